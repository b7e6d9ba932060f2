/* SPDX-License-Identifier: MIT */
/* Texts and keys at their edges: texts that cannot grow, characters that cannot be written, keys
 * and values that are nearly right, and every allocation of config.toml failing. SPEC 2.8, 16. */
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "../fl/config_table.h"
#include "../nn/os.h"
#include "poor.h"

void t_config_edges(void);

enum { PATH_BYTES = 1024 };

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

/* ---- texts ---- */

/* A text of so many bytes that is only claimed to be there: it may fail, not be read. */
static void cannot_grow(const char *what, size_t length, size_t capacity)
{
    char start[] = "abc";
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    fl_text text = {.arena = &arena, .data = start, .length = length, .capacity = capacity};
    fl_text_add(&text, "%s", "defg");
    test_status(what, fl_text_status(&error, &text), DDOME_ERR_MEMORY, &error, "out of memory");
    CHECK(text.data == start && text.length == length && text.capacity == capacity);
    nn_arena_free(&arena);
}

static void texts(void)
{
    test_case("text: lengths that no memory can hold");
    cannot_grow("twice the capacity", SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1);
    cannot_grow("one byte more", SIZE_MAX - 4, SIZE_MAX - 4);
    cannot_grow("the NUL", SIZE_MAX - 5, SIZE_MAX - 4);

    test_case("text: a character that the C library cannot write");
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    const int length = snprintf(NULL, 0, "%lc", (wint_t)0x20ac);
    fl_text_add(&text, "a");
    fl_text_add(&text, "%lc", (wint_t)0x20ac);
    CHECK(text.failed == (length < 0) && text.length == 1 + (size_t)(length < 0 ? 0 : length));
    nn_arena_free(&arena);

    test_case("text: distances of long words");
    char longest[66];
    memset(longest, 'x', sizeof longest - 1);
    longest[65] = '\0';
    test_same_u64("the second", fl_text_distance("x", longest), 65);
    test_same_u64("the first", fl_text_distance(longest, "x"), 65);
    test_same_u64("neither", fl_text_distance(longest + 1, longest + 1), 0);
}

/* ---- keys ---- */

static ddome_status write_config(ddome_error *error, nn_arena *arena, void *context)
{
    const fl_config *config = context;
    const fl_config_hashes hashes = {.exclude = ""};
    fl_text text = {.arena = arena};
    fl_config_write(&text, config, &hashes);
    return fl_text_status(error, &text);
}

static void refuse_line(const char *line, const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    fl_config config, before;
    memset(&config, 0, sizeof config); /* the padding, too, is compared */
    fl_config_defaults(&config);
    memcpy(&before, &config, sizeof before);
    CHECK(nn_os_write_file(&error, path_to("edges.toml"), line, strlen(line)) == DDOME_OK);
    test_status(line, fl_config_load(&error, &config, path_to("edges.toml")), DDOME_ERR_USAGE,
                &error, part);
    CHECK(memcmp(&config, &before, sizeof config) == 0);
}

static void refuse_value(const char *key, const char *value, const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    fl_config config;
    fl_config_defaults(&config);
    test_status(value, fl_config_set(&error, &config, key, value), DDOME_ERR_USAGE, &error, part);
}

static void keys(void)
{
    ddome_error error = {DDOME_OK, ""};
    fl_config config;
    char endless[FL_PATH + 100], quoted[FL_PATH + 100];
    test_case("config: lines whose key has a letter too many (SPEC 16.1)");
    refuse_line("lr{ = 0.1\n", "edges.toml:1: expected key");
    refuse_line("lr: = 0.1\n", "edges.toml:1: expected key");
    refuse_line("LR = 0.1\n", "edges.toml:1: expected key");
    refuse_line("\nl-r = 0.1\n", "edges.toml:2: expected key");

    test_case("config: decimals at the ends of their range (SPEC 16.2)");
    refuse_value("lr", "1e10000000000", "a decimal");
    refuse_value("lr", "1e-10000000000", "a decimal");
    refuse_value("lr", "0.1e", "a decimal");
    refuse_value("lr", "0.1e+", "a decimal");
    refuse_value("lr", "-0.1", "a decimal");
    refuse_value("lr", "0", "above 0");
    refuse_value("gate_momentum", "1", "below 1");
    refuse_value("dropout", "2", "at most 1");
    refuse_value("pretrain_target", "1.5", "at most 1");

    test_case("config: paths with quotes of one side, and too long");
    fl_config_defaults(&config);
    CHECK(fl_config_set(&error, &config, "data_dir", "\"a b\"") == DDOME_OK);
    test_same_text("both", config.data_dir, "a b");
    CHECK(fl_config_set(&error, &config, "data_dir", "\"a b") == DDOME_OK);
    test_same_text("the first", config.data_dir, "\"a b");
    CHECK(fl_config_set(&error, &config, "data_dir", "\"") == DDOME_OK);
    test_same_text("one byte", config.data_dir, "\"");
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    memcpy(quoted, endless, sizeof quoted);
    quoted[0] = quoted[sizeof quoted - 2] = '"';
    refuse_value("data_dir", endless, "a path of less than");
    refuse_value("data_dir", quoted, "a path of less than");
    CHECK(fl_config_find("no_such_key", NULL) == NULL);

    test_case("config: config.toml without memory, at each allocation");
    fl_config_defaults(&config);
    test_poor_alone("config.toml", 10, write_config, &config);
}

/* A table of keys could have words that do not fit into one line. */
static void long_words(void)
{
    static const char word[] = "a_word_of_quite_some_length_that_is_no_use_to_anybody_at_all";
    static const char *const words[] = {word, word, word, word, word, word, NULL};
    const fl_key key = {.name = "words", .type = FL_KEY_CHOICE, .choice = words};
    char out[FL_EXPECTED + 1];
    test_case("config: words that are cut to fit");
    memset(out, '~', sizeof out);
    fl_key_expected(out, &key);
    CHECK(out[FL_EXPECTED] == '~' && strlen(out) == FL_EXPECTED - 1);
    CHECK(strncmp(out, word, sizeof word - 1) == 0);
}

/* A key of decimals from 1 to 2: both ends are its, and nothing beyond. */
static void own_range(void)
{
    static const fl_key key = {.name = "from_1_to_2",
                               .type = FL_KEY_DECIMAL,
                               .offset = offsetof(fl_config, lr),
                               .low = 1,
                               .high = 2};
    static const struct {
        const char *text;
        bool good;
    } cases[] = {{"0.99", false}, {"1", true}, {"1.5", true}, {"2", true}, {"2.01", false}};
    fl_config config;
    test_case("config: a closed range that does not begin at 0");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fl_config_defaults(&config);
        CHECK(fl_key_parse(&config, &key, cases[i].text, FL_BARE) == cases[i].good);
        test_same_text("value", config.lr.text, cases[i].good ? cases[i].text : "0.01");
    }
}

void t_config_edges(void)
{
    texts();
    keys();
    long_words();
    own_range();
}

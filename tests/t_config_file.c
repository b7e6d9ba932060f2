/* SPDX-License-Identifier: MIT */
/* Configuration files: what is taken, what is refused with file and line, the round trip.
 * SPEC 16.1. */
#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "config_help.h"

void t_config_file(void);

enum { PATH_BYTES = 512 };

static void config_path(char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/config.toml", test_dir());
}

static ddome_status load_bytes(ddome_error *error, fl_config *config, const char *text, size_t size)
{
    char path[PATH_BYTES];
    config_path(path);
    CHECK(nn_os_write_file(error, path, text, size) == DDOME_OK);
    ddome_status status = fl_config_load(error, config, path);
    nn_os_remove(path);
    return status;
}

static void load_fails(const char *what, const char *text, const char *part)
{
    fl_config config, before;
    ddome_error error = {DDOME_OK, ""};
    fl_config_defaults(&config);
    before = config;
    test_case("config file: %s", what);
    ddome_status status = load_bytes(&error, &config, text, strlen(text));
    test_status(what, status, DDOME_ERR_USAGE, &error, part);
    test_check(strchr(error.text, '\n') == NULL, __FILE__, __LINE__, "one line");
    same_config("untouched", &config, &before);
}

/* SPEC 16.1.2, 16.1.3, 16.1.5. */
static void refused_files(void)
{
    load_fails("unknown key", "# a\n\nrouns = 3\n", "config.toml:3: unknown key \"rouns\"");
    load_fails("value out of range", "top_k = 0\n",
               "config.toml:1: top_k: expected a whole number");
    load_fails("given twice", "lr = 1\nseed = 2\nlr = 1\n",
               "3: lr: expected once, found in line 1");
    load_fails("no equals", "rounds 3\n", "config.toml:1: expected key = value");
    load_fails("no key", "= 3\n", "expected key = value");
    load_fails("no value", "rounds =\n", "expected key = value");
    load_fails("only a comment for a value", "rounds = # 3\n", "expected key = value");
    load_fails("a table", "[data]\n", "found: [data]");
    load_fails("a quoted key", "\"rounds\" = 3\n", "expected key = value");
    load_fails("words behind the value", "rounds = 3 4\n", "expected key = value");
    load_fails("words behind the string", "algo = \"ddome\" x\n", "expected key = value");
    load_fails("open string", "algo = \"ddome\n", "expected key = value");
    load_fails("unknown escape", "data_dir = \"a\\n\"\n", "expected key = value");
    load_fails("bare string", "algo = ddome\n", "algo: expected double quotes, found ddome");
    load_fails("quoted number", "rounds = \"3\"\n", "expected a value without quotes, found \"3\"");
    load_fails("bare auto", "anchor_clients = auto\n", "expected double quotes");
    load_fails("quoted boolean", "augment = \"true\"\n", "without quotes");
    load_fails("upper-case boolean", "augment = True\n", "expected false or true");
    load_fails("an array", "cifar10_batches = [1,2]\n", "cifar10_batches: expected batches");
    load_fails("a literal string", "algo = 'ddome'\n", "algo: expected");
    load_fails("a control character in a line of comment", "\n# a\001b\nseed = 1\n",
               "config.toml:2: expected a comment without control characters, found byte 0x01");
    load_fails("one behind a value", "seed = 1 # a\033b\n", "found byte 0x1b");
    load_fails("one right behind a value", "seed = 1#\037\n", "found byte 0x1f");
    load_fails("one behind a string", "algo = \"ddome\"#\t\177", "found byte 0x7f");
    load_fails("a carriage return in a comment", "# a\rb\n", "found byte 0x0d");
    load_fails("two of them at the end", "# a\r\r\n", "found byte 0x0d");
    load_fails("one at the end of the file", "seed = 1\n# a\r", "found byte 0x0d");
    load_fails("one behind the last value", "seed = 1\r", "seed: expected");
    load_fails("a control character in a string", "data_dir = \"a\001\"\n", "expected key = value");
    load_fails("a delete in a string", "data_dir = \"a\177\"\n", "data_dir: expected");
    load_fails("byte order mark", "\xef\xbb\xbfseed = 1\n", "config.toml:1: expected key = value");
}

/* SPEC 16.1.2. */
static void strange_files(void)
{
    fl_config config;
    fl_config_defaults(&config);
    test_case("config file: a NUL byte");
    ddome_error error = {DDOME_OK, ""};
    test_status("nul", load_bytes(&error, &config, "seed = 1\0\n", 10), DDOME_ERR_USAGE, &error,
                "NUL");
    test_case("config file: missing");
    ddome_error missing = {DDOME_OK, ""};
    char path[PATH_BYTES];
    config_path(path);
    ddome_status status = fl_config_load(&missing, &config, path);
    test_status("missing", status, DDOME_ERR_USAGE, &missing, "config.toml");
}

static void taken_file(const char *what, const char *text)
{
    fl_config config, want;
    ddome_error error = {DDOME_OK, ""};
    fl_config_defaults(&config);
    want = config;
    want.seed = 7;
    want.algo = FL_ALGO_FEDAVG;
    strcpy(want.data_dir, "a # \"b\"");
    test_case("config file: %s", what);
    test_status(what, load_bytes(&error, &config, text, strlen(text)), DDOME_OK, &error, NULL);
    same_config(what, &config, &want);
}

/* SPEC 16.1.2. */
static void taken_files(void)
{
    taken_file("plain", "seed = 7\nalgo = \"fedavg\"\ndata_dir = \"a # \\\"b\\\"\"\n");
    taken_file("CR LF", "seed = 7\r\nalgo = \"fedavg\"\r\n\r\ndata_dir = \"a # \\\"b\\\"\"\r\n");
    taken_file("no blanks, comments, no last LF",
               "#\nseed=7#x\nalgo=\"fedavg\"# \"\n  \t\ndata_dir=\"a # \\\"b\\\"\"");
    taken_file("tabs and letters in comments",
               "#\ta\t\xc3\xa4\t\nseed = 7 #\t~\nalgo = \"fedavg\"\ndata_dir = \"a # \\\"b\\\"\"");
    taken_file("blanks everywhere",
               " \tseed \t=\t 7 \t\n algo = \"fedavg\" # c\n\tdata_dir = \"a # \\\"b\\\"\"\t");
}

/* ---- all keys there and back: SPEC 16.1.6 ---- */

/* A value that is not the default. */
static const char *other_value(const fl_key *key)
{
    switch (key->type) {
    case FL_KEY_SIZE:
        return strcmp(key->otherwise, "7") == 0 || key->high < 7 || key->low > 7 ? "10" : "7";
    case FL_KEY_AUTO:
        return "3";
    case FL_KEY_SEED:
        return "18446744073709551615";
    case FL_KEY_DECIMAL:
    case FL_KEY_AUTO_DECIMAL:
        return "0.123456789";
    case FL_KEY_CHOICE:
        return key->choice[1] != NULL ? key->choice[1] : key->choice[0];
    case FL_KEY_BOOL:
        return "true";
    case FL_KEY_PATH:
        return "C:\\data\\\"x\" # y = \xc3\xa4";
    case FL_KEY_BATCHES:
        return "1,3,4";
    case FL_KEY_CHOICES:
        return "holdout,seen";
    }
    return "";
}

static void round_trip(void)
{
    size_t count;
    const fl_key *keys = fl_config_keys(&count);
    nn_arena arena = {0};
    fl_config config, loaded;
    ddome_error error = {DDOME_OK, ""};
    fl_config_defaults(&config);
    fl_config_defaults(&loaded);
    test_case("config written and read again is the same");
    for (size_t i = 0; i < count; i++) {
        const char *value = strcmp(keys[i].name, "synth_shapes") == 0 ? "8" : other_value(&keys[i]);
        if (strcmp(keys[i].name, "synth_size") == 0)
            value = "32";
        test_check(fl_key_parse(&config, &keys[i], value, FL_EITHER), __FILE__, __LINE__, "%s = %s",
                   keys[i].name, value);
    }
    const char *text = text_of(&arena, &config, NULL);
    test_status("load", load_bytes(&error, &loaded, text, strlen(text)), DDOME_OK, &error, NULL);
    same_config("again", &loaded, &config);
    CHECK(loaded.lr.value == config.lr.value && loaded.cifar10_batches == 13);
    test_same_text("path", loaded.common, config.common);
    nn_arena_free(&arena);
}

static void hashed_paths(void)
{
    fl_config config;
    fl_config_hashes hashes;
    nn_arena arena = {0};
    fl_config_defaults(&config);
    memset(&hashes, 0, sizeof hashes);
    strcpy(config.data_dir, "/here");
    strcpy(config.common, "/there");
    strcpy(config.exclude, "/unread");
    strcpy(hashes.common, "abc");
    test_case("config written with hashes names no path");
    const char *text = text_of(&arena, &config, &hashes);
    CHECK(strstr(text, "data_dir") == NULL && strstr(text, "/") == NULL);
    CHECK(strstr(text, "\nexclude = \"\"\n") != NULL);
    CHECK(strstr(text, "\ncommon = \"sha256:abc\"\n") != NULL);
    CHECK(strncmp(text, "seed = 1\nalgo = \"ddome\"\n", 24) == 0);
    nn_arena_free(&arena);
}

void t_config_file(void)
{
    refused_files();
    strange_files();
    taken_files();
    round_trip();
    hashed_paths();
}

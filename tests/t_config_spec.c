/* SPDX-License-Identifier: MIT */
/* The table of keys is that of SPEC.md, row by row: name, default, values, which are left out of a
 * hashed config.toml at their defaults. SPEC 16.3. */
#include <inttypes.h>
#include <string.h>

#include "../nn/os.h"
#include "config_help.h"

void t_config_spec(void);

static void add_whole(fl_text *row, const fl_key *key)
{
    fl_text_add(row, "%" PRIu64 "..%" PRIu64, key->low, key->high);
}

static void add_decimal(fl_text *row, const fl_key *key)
{
    fl_text_add(row, "decimal %s %" PRIu64 ", %s %" PRIu64,
                key->range == FL_RANGE_ABOVE ? "above" : "from", key->low,
                key->range == FL_RANGE_BELOW ? "below" : "at most", key->high);
}

static void add_words(fl_text *row, const char *const *words)
{
    fl_text_add(row, "%s", words[0]);
    for (size_t i = 1; words[i] != NULL; i++)
        fl_text_add(row, "%s%s", words[i + 1] == NULL ? " or " : ", ", words[i]);
}

static void add_values(fl_text *row, const fl_key *key)
{
    if (key->type == FL_KEY_AUTO || key->type == FL_KEY_AUTO_DECIMAL)
        fl_text_add(row, "`auto` or ");
    switch (key->type) {
    case FL_KEY_SIZE:
    case FL_KEY_AUTO:
    case FL_KEY_SEED:
        add_whole(row, key);
        break;
    case FL_KEY_DECIMAL:
    case FL_KEY_AUTO_DECIMAL:
        add_decimal(row, key);
        break;
    case FL_KEY_CHOICE:
        add_words(row, key->choice);
        break;
    case FL_KEY_BOOL:
        fl_text_add(row, "boolean");
        break;
    case FL_KEY_PATH:
        fl_text_add(row, "path");
        break;
    case FL_KEY_CHOICES:
        fl_text_add(row, "none or some, in this order and with commas, of ");
        add_words(row, key->choice);
        break;
    case FL_KEY_BATCHES:
        fl_text_add(row, "batches 1..%" PRIu64 ", ascending", key->high);
        break;
    }
}

/* A row is this, then the end of the cell or a semicolon and more words. */
static bool same_row(nn_arena *arena, const char *row, const fl_key *key)
{
    fl_text want = {.arena = arena};
    const char *otherwise = key->otherwise != NULL ? key->otherwise : key->choice[0];
    fl_text_add(&want, "| `%s`%s | %s | ", key->name, fl_key_implied(key) ? " +" : "",
                otherwise[0] == '\0' ? "empty" : otherwise);
    add_values(&want, key);
    const char *behind = row + want.length;
    return test_check(strncmp(row, want.data, want.length) == 0 &&
                          (behind[0] == ';' || strncmp(behind, " |", 2) == 0),
                      __FILE__, __LINE__, "SPEC 16.3 lacks in its place: %s", want.data);
}

void t_config_spec(void)
{
    test_case("config: the table of keys is that of SPEC.md");
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes;
    size_t size, count, i = 0;
    const fl_key *keys = fl_config_keys(&count);
    if (!CHECK(nn_os_read_file(&error, &arena, &bytes, &size, "SPEC.md", DDOME_ERR_DATA) ==
               DDOME_OK))
        return;
    const char *row = strstr((const char *)bytes, "\n### 16.3 Keys\n");
    const char *end = strstr((const char *)bytes, "\n### 16.4 ");
    if (CHECK(row != NULL && end != NULL)) {
        while ((row = strstr(row, "\n| `")) != NULL && row < end && i < count &&
               same_row(&arena, ++row, &keys[i]))
            i++;
        CHECK(row == NULL || row > end);
        test_same_u64("keys", i, count);
    }
    nn_arena_free(&arena);
}

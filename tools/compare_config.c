/* SPDX-License-Identifier: MIT */
/* The settings of two runs, key by key: config.toml leaves young keys out at their defaults.
 * SPEC 16.1.6. */
#include <string.h>

#include "../fl/config_table.h"
#include "../fl/files.h"
#include "compare_run.h"

static size_t key_length(const char *line)
{
    return strcspn(line, " =\n");
}

/* The line behind this one, or the end of the text. */
static const char *behind(const char *line)
{
    line += strcspn(line, "\n");
    return *line == '\n' ? line + 1 : line;
}

/* The line with the key of `like`, or NULL. */
static const char *line_of(const char *text, const char *like)
{
    const size_t length = key_length(like);
    for (; *text != '\0'; text = behind(text))
        if (key_length(text) == length && strncmp(text, like, length) == 0)
            return text;
    return NULL;
}

/* A copy of the line; of one that is not there what it stands for: the default of its key. NULL: no
 * such key is left out. */
static const char *shown_line(tool *t, const char *line, const char *like)
{
    fl_config defaults;
    fl_text value = {.arena = &t->arena};
    if (line != NULL)
        return compare_format(t, "%.*s", (int)strcspn(line, "\n"), line);
    const char *name = compare_format(t, "%.*s", (int)key_length(like), like);
    const fl_key *key = name == NULL ? NULL : fl_config_find(name, NULL);
    if (key == NULL || !fl_key_implied(key))
        return NULL;
    fl_config_defaults(&defaults);
    fl_text_add(&value, "%s = ", name);
    fl_key_write(&value, key, &defaults, NULL);
    t->text.failed = t->text.failed || value.failed;
    return value.data;
}

static void compare_lines(run_pair *pair, const char *a, const char *b, const char *where)
{
    run_finding found = {RUN_SETTINGS,   pair->last->file, where,       a, b,
                         COMPARE_NO_ULP, RUN_NO_PLACE,     RUN_NO_PLACE};
    pair->last->units++;
    if (strcmp(a, b) == 0)
        return;
    if (strncmp(a, "eval_also ", 10) == 0)
        pair->kinds_differ = true;
    if (pair->last->differing++ == 0)
        run_found(pair, &found);
}

/* Keys of A in its order, then those that B has alone. */
static void compare_keys(run_pair *pair, const char *a, const char *b)
{
    tool *t = pair->call->t;
    unsigned long number = 1;
    for (const char *line = a; *line != '\0'; line = behind(line), number++) {
        const char *x = shown_line(t, line, line), *y = shown_line(t, line_of(b, line), line);
        pair->last->missing += y == NULL;
        const char *where =
            compare_format(t, "line %lu, key %.*s", number, (int)key_length(line), line);
        if (x != NULL && y != NULL)
            compare_lines(pair, x, y, where);
    }
    for (const char *line = b; *line != '\0'; line = behind(line)) {
        if (line_of(a, line) != NULL)
            continue;
        const char *x = shown_line(t, NULL, line), *y = shown_line(t, line, line);
        pair->last->extra += x == NULL;
        if (x != NULL && y != NULL)
            compare_lines(pair, x, y, compare_format(t, "key %.*s", (int)key_length(line), line));
    }
}

ddome_status run_config(ddome_error *error, run_pair *pair)
{
    run_part *part;
    char *a = NULL, *b = NULL;
    ddome_status status = run_open(error, pair, &part, FL_FILE_CONFIG, "keys", &a, &b);
    if (status == DDOME_OK && part->in_a && part->in_b)
        compare_keys(pair, a, b);
    return status;
}

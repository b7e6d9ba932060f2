/* SPDX-License-Identifier: MIT */
/* What a run is, line by line, and the first line in which two differ. SPEC 17.6.5. */
#include "identity.h"

#include <string.h>

#include "run.h"

static void add_hash(fl_text *text, const char *key, const nn_digest *digest)
{
    fl_text_add(text, "%s = \"", key);
    fl_text_digest(text, digest);
    fl_text_add(text, "\"\n");
}

void fl_identity_write(fl_text *text, fl_run *run)
{
    char *csv;
    size_t length;
    const fl_task *task = &run->task;
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_text_add(text, "specification = %d\n", DDOME_SPEC_VERSION);
    fl_config_write(text, &run->config, &run->hashes);
    add_hash(text, "train_sha256", &task->set.train.hash);
    add_hash(text, "test_sha256", &task->set.test.hash);
    if (data_partition_text(NULL, &run->scratch, &csv, &length, &task->partition) == DDOME_OK) {
        const nn_digest digest = nn_sha256_of(csv, length);
        add_hash(text, "partition_sha256", &digest);
    } else
        text->failed = true;
    nn_arena_rewind(&run->scratch, mark);
}

/* The line that begins with the key of `line`, or NULL. */
static const char *same_key(const char *text, const char *line)
{
    const size_t key = strcspn(line, " \n");
    for (; *text != '\0'; text += text[0] == '\n') {
        if (strncmp(text, line, key) == 0 && text[key] == ' ')
            return text;
        text += strcspn(text, "\n");
    }
    return NULL;
}

/* The value of the line "key = value", or that the key is at its default. */
static void show_line(fl_text *out, const char *line)
{
    if (line == NULL)
        fl_text_add(out, "its default");
    else {
        const char *value = line + strcspn(line, "=\n");
        value += *value == '=';
        value += *value == ' ';
        const int length = (int)nn_min(strcspn(value, "\n"), 80);
        fl_text_add(out, "%.*s", length, value);
        if (length == 0)
            fl_text_add(out, "nothing");
    }
}

static bool has_key(const char *line)
{
    const size_t key = strcspn(line, " \n");
    return key != 0 && line[key] == ' ';
}

/* The first line of a that b has otherwise, or NULL. */
static const char *first_other(const char *a, const char *b)
{
    for (; *a != '\0'; a += *a == '\n') {
        const size_t length = strcspn(a, "\n");
        const char *other = same_key(b, a);
        if (other == NULL || strcspn(other, "\n") != length || strncmp(a, other, length) != 0)
            return a;
        a += length;
    }
    return NULL;
}

ddome_status fl_identity_compare(ddome_error *error, nn_arena *arena, const char *saved,
                                 const char *here, const char *name)
{
    const char *line = first_other(here, saved);
    const bool more = line == NULL;
    fl_text found = {.arena = arena}, expected = {.arena = arena};
    if (more)
        line = first_other(saved, here);
    if (line == NULL && strcmp(saved, here) == 0)
        return DDOME_OK;
    if (line == NULL || !has_key(line) || (more && same_key(saved, line) != line))
        return nn_fail(error, DDOME_ERR_RESUME,
                       "%.120s: expected each line of its identity once, in order; it was changed",
                       name);
    show_line(&expected, same_key(saved, line));
    show_line(&found, same_key(here, line));
    ddome_status status = fl_text_status(error, &found);
    if (status == DDOME_OK)
        status = fl_text_status(error, &expected);
    if (status != DDOME_OK)
        return status;
    return nn_fail(error, DDOME_ERR_RESUME,
                   "%.120s is of another run: %.*s: expected %s, found %s; leave it as it was, or "
                   "start a new run",
                   name, (int)nn_min(strcspn(line, " \n"), 40), line, expected.data, found.data);
}

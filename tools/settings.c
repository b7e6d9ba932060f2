/* SPDX-License-Identifier: MIT */
/* The configuration of a command: defaults, DDOME_DATA, files, words, threads, trace.
 * SPEC 16.1, 18.3. */
#include <stdlib.h>
#include <string.h>

#include "../nn/team.h"
#include "tool.h"

static size_t key_length(const char *word)
{
    return strcspn(word, "=./\\");
}

/* SPEC 18.3.1: a word that looks like a path is a file. */
bool tool_is_setting(const char *word)
{
    size_t length = key_length(word);
    return length > 0 && word[length] == '=';
}

ddome_status tool_set(ddome_error *error, tool *t, ddome_config *config, const char *word)
{
    char *key = nn_arena_string(&t->arena, word);
    if (key == NULL)
        return nn_arena_fail(error, &t->arena, "arguments");
    size_t length = key_length(word);
    key[length] = '\0';
    return ddome_config_set(error, config, key, word + length + 1);
}

/* The command line wins over files wherever it stands, so files come first (SPEC 16.1.1). */
static ddome_status fill(ddome_error *error, ddome_config *config, tool *t, size_t first)
{
    const char *dir = getenv("DDOME_DATA");
    ddome_status status = DDOME_OK;
    if (dir != NULL && dir[0] != '\0')
        status = ddome_config_set(error, config, "data_dir", dir);
    for (size_t i = first; status == DDOME_OK && i < t->word_count; i++)
        if (!tool_is_setting(t->words[i]))
            status = ddome_config_load(error, config, t->words[i]);
    for (size_t i = first; status == DDOME_OK && i < t->word_count; i++)
        if (tool_is_setting(t->words[i]))
            status = tool_set(error, t, config, t->words[i]);
    return status;
}

/* SPEC 18.3.4. */
static ddome_status set_threads(ddome_error *error, ddome_config *config, const char *word)
{
    const size_t length = strlen(word);
    if (length > 9 || strspn(word, "0123456789") != length) /* 9 digits fit any long */
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--threads: expected a whole number 1..%d, found %.60s", NN_TEAM_MAX, word);
    return ddome_config_set_threads(error, config, (size_t)strtol(word, NULL, 10));
}

/* A-B, both of digits; 9 of them fit any long. */
static bool read_rounds(const char *word, uint64_t *first, uint64_t *last)
{
    const size_t a = strspn(word, "0123456789");
    if (a == 0 || a > 9 || word[a] != '-')
        return false;
    const char *rest = word + a + 1;
    const size_t b = strspn(rest, "0123456789");
    if (b == 0 || b > 9 || rest[b] != '\0')
        return false;
    *first = strtoul(word, NULL, 10);
    *last = strtoul(rest, NULL, 10);
    return *first <= *last;
}

static ddome_status set_trace(ddome_error *error, ddome_config *config, const tool *t)
{
    uint64_t first = 0, last = UINT64_MAX;
    if (t->trace == NULL)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--trace-tensors and --trace-rounds: expected --trace FILE beside them");
    if (t->seeds != NULL)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--trace: expected one run, found --seeds %.60s; trace each seed by itself",
                       t->seeds);
    if (t->trace_rounds != NULL && !read_rounds(t->trace_rounds, &first, &last))
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--trace-rounds: expected A-B with A at most B, such as 0-3 (0 is the "
                       "pretraining), found %.60s",
                       t->trace_rounds);
    return ddome_config_set_trace(error, config, t->trace, t->trace_tensors, first, last);
}

ddome_status tool_new_config(ddome_error *error, ddome_config **config, tool *t, size_t first)
{
    ddome_config *made = NULL;
    ddome_status status = ddome_config_new(error, &made);
    if (status == DDOME_OK)
        status = fill(error, made, t, first);
    if (status == DDOME_OK && t->threads != NULL)
        status = set_threads(error, made, t->threads);
    if (status == DDOME_OK && (t->trace || t->trace_tensors || t->trace_rounds))
        status = set_trace(error, made, t);
    if (status == DDOME_OK)
        *config = made;
    else
        ddome_config_free(made);
    return status;
}

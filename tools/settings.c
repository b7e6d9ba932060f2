/* SPDX-License-Identifier: MIT */
/* The configuration of a command: defaults, DDOME_DATA, files, words, threads. SPEC 16.1, 18.3. */
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

ddome_status tool_new_config(ddome_error *error, ddome_config **config, tool *t, size_t first)
{
    ddome_config *made = NULL;
    ddome_status status = ddome_config_new(error, &made);
    if (status == DDOME_OK)
        status = fill(error, made, t, first);
    if (status == DDOME_OK && t->threads != NULL)
        status = set_threads(error, made, t->threads);
    if (status == DDOME_OK)
        *config = made;
    else
        ddome_config_free(made);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* Configurations are compared by their texts, which hold every key. */
#ifndef CONFIG_HELP_H
#define CONFIG_HELP_H

#include "../fl/config_table.h"
#include "test.h"

/* The text of a configuration; the arena owns it. */
static inline const char *text_of(nn_arena *arena, const fl_config *config,
                                  const fl_config_hashes *hashes)
{
    fl_text text = {.arena = arena};
    fl_config_write(&text, config, hashes);
    return text.data;
}

static inline bool same_config(const char *what, const fl_config *got, const fl_config *want)
{
    nn_arena arena = {0};
    bool ok = test_same_text(what, text_of(&arena, got, NULL), text_of(&arena, want, NULL));
    nn_arena_free(&arena);
    return ok;
}

#endif

/* SPDX-License-Identifier: MIT */
/* What an analyser that reads one file at a time cannot know of the others; tests/static.sh
 * includes it before every file but those that define these functions. It is never compiled into
 * anything.
 *
 * nn_fail returns the status it is given, which is never DDOME_OK, and nn_arena_fail one, too:
 * without that every caller seems to go on behind its own failure. */
#ifndef CONTRACTS_H
#define CONTRACTS_H

#include "../../nn/arena.h"

static inline ddome_status contract(ddome_status returned, ddome_status is)
{
    (void)returned;
    return is;
}

#define nn_fail(error, status, ...) contract(nn_fail(error, status, __VA_ARGS__), status)
#define nn_arena_fail(error, arena, what)                                                          \
    contract(nn_arena_fail(error, arena, what), DDOME_ERR_MEMORY)

#endif

/* SPDX-License-Identifier: MIT */
/* The only memory of the project: chains of blocks with mark and rewind, so that a step that runs
 * twice asks malloc once. Pointers stay valid until the arena is rewound past them or freed. */
#ifndef NN_ARENA_H
#define NN_ARENA_H

#include "base.h"

typedef struct nn_arena_block nn_arena_block;

typedef struct nn_arena_chain {
    nn_arena_block *first, *current; /* blocks behind `current` are free for reuse */
} nn_arena_chain;

typedef struct nn_arena {
    nn_arena_chain small,
        large;         /* large: one allocation a block, so that what comes and goes between
                          them, like a node or scratch, does not part one from the next */
    size_t used, peak; /* bytes handed out now and at most, padding included */
    size_t fail_after; /* tests: from this allocation (counted from 1) on all fail; 0 never */
    size_t allocations;
} nn_arena;

typedef struct nn_arena_mark {
    nn_arena_block *small, *large;
    size_t small_used, used;
} nn_arena_mark;

/* A zeroed nn_arena is a valid empty one. */
void nn_arena_free(nn_arena *arena);

/* count * size bytes, aligned to 64, content undefined; NULL when memory is out or the product
 * overflows. count 0 is valid. */
void *nn_arena_alloc(nn_arena *arena, size_t count, size_t size);

/* The same, zeroed. */
void *nn_arena_zero(nn_arena *arena, size_t count, size_t size);

/* A copy of a string; NULL when memory is out. */
char *nn_arena_string(nn_arena *arena, const char *text);

nn_arena_mark nn_arena_get_mark(const nn_arena *arena);

/* Gives back all that was allocated since the mark. Marks nest like brackets. */
void nn_arena_rewind(nn_arena *arena, nn_arena_mark mark);

/* The error for a NULL from above: "out of memory: WHAT ...". */
ddome_status nn_arena_fail(ddome_error *error, const nn_arena *arena, const char *what);

#endif

/* SPDX-License-Identifier: MIT */
/* nn/arena.h where each allocation is one of malloc, of just its size, and a rewind frees. In the
 * blocks of nn/arena.c a sanitizer sees as much (nn/poison.h), yet a block of a megabyte for an
 * input of some bytes makes a fuzzer ten times slower (make ARENA=tests/fuzz/arena). */
#define _POSIX_C_SOURCE 200809L
#include "../../nn/arena.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

struct nn_arena_block {
    nn_arena_block *before;
    void *data;
};

/* One chain, newest first, is enough. */
static void free_down_to(nn_arena *arena, const nn_arena_block *last)
{
    while (arena->small.current != last) {
        nn_arena_block *block = arena->small.current;
        arena->small.current = block->before;
        free(block->data);
        free(block);
    }
}

void nn_arena_free(nn_arena *arena)
{
    free_down_to(arena, NULL);
    memset(arena, 0, sizeof *arena);
}

static void *add_block(nn_arena *arena, size_t bytes)
{
    nn_arena_block *block = malloc(sizeof *block);
    if (block == NULL)
        return NULL;
    block->before = arena->small.current;
    if (posix_memalign(&block->data, ALIGN, bytes) != 0) {
        free(block);
        return NULL;
    }
    arena->small.current = block;
    return block->data;
}

void *nn_arena_alloc(nn_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    arena->allocations++;
    if (arena->fail_after != 0 && arena->allocations >= arena->fail_after)
        return NULL;
    if (!nn_size_mul(&bytes, count, size) || bytes > SIZE_MAX - ALIGN)
        return NULL;
    void *pointer = add_block(arena, bytes);
    if (pointer == NULL)
        return NULL;
    arena->used += (bytes + ALIGN - 1) / ALIGN * ALIGN; /* as nn/arena.c counts */
    arena->peak = nn_max(arena->peak, arena->used);
    return pointer;
}

void *nn_arena_zero(nn_arena *arena, size_t count, size_t size)
{
    void *pointer = nn_arena_alloc(arena, count, size);
    if (pointer != NULL)
        memset(pointer, 0, count * size);
    return pointer;
}

char *nn_arena_string(nn_arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = nn_arena_alloc(arena, bytes, 1);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

nn_arena_mark nn_arena_get_mark(const nn_arena *arena)
{
    nn_arena_mark mark = {arena->small.current, NULL, 0, arena->used};
    return mark;
}

void nn_arena_rewind(nn_arena *arena, nn_arena_mark mark)
{
    free_down_to(arena, mark.small);
    arena->used = mark.used;
}

ddome_status nn_arena_fail(ddome_error *error, const nn_arena *arena, const char *what)
{
    return nn_fail(error, DDOME_ERR_MEMORY, "out of memory: %s (%lu bytes in use)", what,
                   (unsigned long)arena->used);
}

/* SPDX-License-Identifier: MIT */
/* Chained blocks; a rewind keeps the blocks, so steady state never calls malloc. */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, BLOCK_BYTES = 1 << 20 };

struct nn_arena_block {
    nn_arena_block *next;
    unsigned char *data; /* aligned to ALIGN inside the same allocation */
    size_t size, used;
};

void nn_arena_free(nn_arena *arena)
{
    for (nn_arena_block *block = arena->first; block != NULL;) {
        nn_arena_block *next = block->next;
        free(block);
        block = next;
    }
    memset(arena, 0, sizeof *arena);
}

static nn_arena_block *new_block(size_t bytes)
{
    size_t size = nn_max(bytes, BLOCK_BYTES);
    if (size > SIZE_MAX - sizeof(nn_arena_block) - ALIGN)
        return NULL;
    nn_arena_block *block = malloc(sizeof *block + ALIGN + size);
    if (block == NULL)
        return NULL;
    uintptr_t start = (uintptr_t)(block + 1);
    block->data = (unsigned char *)(block + 1) + (ALIGN - start % ALIGN) % ALIGN;
    block->size = size;
    block->used = 0;
    block->next = NULL;
    return block;
}

/* Makes `current` a block with room for bytes; free blocks behind it that are too small are skipped
 * until the rewind. */
static bool make_room(nn_arena *arena, size_t bytes)
{
    nn_arena_block *block = arena->current;
    if (block != NULL && block->size - block->used >= bytes)
        return true;
    nn_arena_block **link = block == NULL ? &arena->first : &block->next;
    while (*link != NULL && (*link)->size < bytes)
        link = &(*link)->next;
    if (*link == NULL)
        *link = new_block(bytes);
    if (*link == NULL)
        return false;
    arena->current = *link;
    arena->current->used = 0;
    return true;
}

void *nn_arena_alloc(nn_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    arena->allocations++;
    if (arena->fail_after != 0 && arena->allocations >= arena->fail_after)
        return NULL;
    if (!nn_size_mul(&bytes, count, size) || bytes > SIZE_MAX - ALIGN)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!make_room(arena, bytes))
        return NULL;
    void *pointer = arena->current->data + arena->current->used;
    arena->current->used += bytes;
    arena->used += bytes;
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
    nn_arena_mark mark = {arena->current, arena->current == NULL ? 0 : arena->current->used,
                          arena->used};
    return mark;
}

void nn_arena_rewind(nn_arena *arena, nn_arena_mark mark)
{
    arena->current = mark.block != NULL ? mark.block : arena->first;
    if (arena->current != NULL)
        arena->current->used = mark.block_used;
    arena->used = mark.used;
}

ddome_status nn_arena_fail(ddome_error *error, const nn_arena *arena, const char *what)
{
    return nn_fail(
        error, DDOME_ERR_MEMORY,
        "out of memory: %s (%lu bytes in use); use a smaller batch, width or number of experts",
        what, (unsigned long)arena->used);
}

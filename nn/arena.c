/* SPDX-License-Identifier: MIT */
/* Chained blocks; a rewind keeps the blocks, so steady state never calls malloc. */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#include "invariant.h"
#include "poison.h"

/* GAP: where a watcher looks for steps behind the end; `used` and `peak` do not count it. */
enum { ALIGN = 64, BLOCK_BYTES = 1 << 20, GAP = NN_POISONS ? ALIGN : 0 };

struct nn_arena_block {
    nn_arena_block *next;
    unsigned char *data; /* aligned to ALIGN inside the same allocation */
    size_t size, used;
};

static void free_chain(const nn_arena_chain *chain)
{
    for (nn_arena_block *block = chain->first; block != NULL;) {
        nn_arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void nn_arena_free(nn_arena *arena)
{
    free_chain(&arena->small);
    free_chain(&arena->large);
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
    nn_poison_take(block->data, size);
    return block;
}

/* Takes the smallest free block that has room out of its place; NULL when there is none. */
static nn_arena_block *unlink_fitting(nn_arena_block **free_blocks, size_t bytes)
{
    nn_arena_block **best = NULL;
    for (nn_arena_block **link = free_blocks; *link != NULL; link = &(*link)->next)
        if ((*link)->size >= bytes && (best == NULL || (*link)->size < (*best)->size))
            best = link;
    if (best == NULL)
        return NULL;
    nn_arena_block *block = *best;
    *best = block->next;
    return block;
}

/* Makes `current` an empty block with room for bytes and returns it; NULL when memory is out. */
static nn_arena_block *next_block(nn_arena_chain *chain, size_t bytes)
{
    nn_arena_block **link = chain->current == NULL ? &chain->first : &chain->current->next;
    nn_arena_block *block = unlink_fitting(link, bytes);
    if (block == NULL)
        block = new_block(bytes);
    if (block == NULL)
        return NULL;
    block->next = *link;
    block->used = 0;
    *link = block;
    chain->current = block;
    return block;
}

static nn_arena_block *make_room(nn_arena *arena, size_t bytes)
{
    const bool large = bytes >= BLOCK_BYTES;
    nn_arena_chain *chain = large ? &arena->large : &arena->small;
    nn_arena_block *block = chain->current;
    if (!large && block != NULL && block->size - block->used >= bytes)
        return block;
    return next_block(chain, bytes);
}

void *nn_arena_alloc(nn_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    arena->allocations++;
    if (arena->fail_after != 0 && arena->allocations >= arena->fail_after)
        return NULL;
    if (!nn_size_mul(&bytes, count, size) || bytes > SIZE_MAX - ALIGN - GAP)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    nn_arena_block *block = make_room(arena, bytes + GAP);
    if (block == NULL)
        return NULL;
    void *pointer = block->data + block->used;
    nn_poison_give(pointer, count * size);
    block->used += bytes + GAP;
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
    const nn_arena_block *small = arena->small.current;
    nn_arena_mark mark = {arena->small.current, arena->large.current,
                          small == NULL ? 0 : small->used, arena->used};
    return mark;
}

/* Tells a watcher of memory that all blocks behind `last`, and of it all but `kept` bytes, are
 * free.
 */
static void take_back(const nn_arena_chain *chain, nn_arena_block *last, size_t kept)
{
    nn_arena_block *block = last != NULL ? last : chain->first;
    while (block != NULL && chain->current != NULL) {
        const size_t from = block == last ? kept : 0;
        nn_poison_take(block->data + from, block->used - from);
        block = block == chain->current ? NULL : block->next;
    }
}

void nn_arena_rewind(nn_arena *arena, nn_arena_mark mark)
{
    NN_INVARIANT(mark.used <= arena->used); /* marks nest like brackets */
    NN_INVARIANT(mark.small == NULL || mark.small_used <= mark.small->used);
    if (NN_POISONS) {
        take_back(&arena->small, mark.small, mark.small_used);
        take_back(&arena->large, mark.large, mark.large == NULL ? 0 : mark.large->used);
    }
    arena->small.current = mark.small;
    arena->large.current = mark.large;
    if (mark.small != NULL)
        mark.small->used = mark.small_used;
    arena->used = mark.used;
}

ddome_status nn_arena_fail(ddome_error *error, const nn_arena *arena, const char *what)
{
    return nn_fail(
        error, DDOME_ERR_MEMORY,
        "out of memory: %s (%lu bytes in use); use a smaller batch, width or number of experts",
        what, (unsigned long)arena->used);
}

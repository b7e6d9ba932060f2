/* SPDX-License-Identifier: MIT */
/* Lists of products, cut into blocks of NN_BLOCK. SPEC 2.3. */
#include "chain.h"

#include <string.h>

bool nn_chain_begin(nn_chain *chain, nn_arena *arena, size_t portions, size_t length, size_t a_step)
{
    const size_t blocks = length / NN_BLOCK + 1;
    *chain = (nn_chain){.a_step = a_step};
    chain->runs = nn_arena_alloc(arena, portions + blocks, sizeof *chain->runs);
    chain->ends = nn_arena_alloc(arena, blocks, sizeof *chain->ends);
    return chain->runs != NULL && chain->ends != NULL;
}

/* Does this run go on where the last one of its block ends? */
static bool continues(const nn_chain *chain, size_t a, size_t b)
{
    const size_t first = chain->block_count > 1 ? chain->ends[chain->block_count - 2] : 0;
    if (chain->run_count == first)
        return false;
    const nn_run *last = &chain->runs[chain->run_count - 1];
    return last->a + last->count * chain->a_step == a && last->b + last->count == b;
}

/* A run within one block. */
static void append(nn_chain *chain, size_t a, size_t b, size_t count)
{
    const size_t block = chain->position / NN_BLOCK;
    if (chain->block_count == 0 || chain->block != block)
        chain->ends[chain->block_count++] = chain->run_count;
    chain->block = block;
    if (continues(chain, a, b))
        chain->runs[chain->run_count - 1].count += count;
    else
        chain->runs[chain->run_count++] = (nn_run){a, b, count};
    chain->ends[chain->block_count - 1] = chain->run_count;
    chain->position += count;
}

void nn_chain_add(nn_chain *chain, size_t a, size_t b, size_t count)
{
    while (count > 0) {
        const size_t step = nn_min(count, NN_BLOCK - chain->position % NN_BLOCK);
        append(chain, a, b, step);
        a += step * chain->a_step;
        b += step;
        count -= step;
    }
}

void nn_chain_skip(nn_chain *chain, size_t count)
{
    chain->position += count;
}

/* A block without products would add +0, which changes nothing: a total that starts at +0 is never
 * -0. A chain without any leaves its totals at that start. */
static void no_products(float *total, const nn_tile *tile)
{
    for (size_t i = 0; i < tile->rows && tile->fresh; i++)
        memset(total + i * tile->total_row, 0, tile->cols * sizeof *total);
}

void nn_chain_total(const nn_chain *chain, const nn_engine *engine, float *total, const float *a,
                    const float *b, nn_tile *tile)
{
    nn_block_fn *block = engine->kernels->block[engine->arith];
    tile->a_step = chain->a_step;
    if (chain->block_count == 0)
        no_products(total, tile);
    for (size_t i = 0, run = 0; i < chain->block_count; run = chain->ends[i++]) {
        block(total, a, b, tile, chain->runs + run, chain->ends[i] - run);
        tile->fresh = false;
    }
    tile->fresh = false;
}

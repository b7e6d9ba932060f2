/* SPDX-License-Identifier: MIT */
/* Blocks of NN_BLOCK products and their totals. SPEC 2.3. */
#include "chain.h"

#include <string.h>

void nn_chain_begin(nn_chain *chain, float *total, size_t total_row, size_t rows, size_t cols)
{
    chain->total = total;
    chain->total_row = total_row;
    chain->rows = rows;
    chain->cols = cols;
    chain->position = 0;
    chain->open = false;
    for (size_t i = 0; i < rows; i++)
        memset(total + i * total_row, 0, cols * sizeof *total);
}

/* A block without products would add +0, which changes nothing: a total that starts at +0 is never
 * -0. */
static void close_block(nn_chain *chain)
{
    if (!chain->open)
        return;
    for (size_t i = 0; i < chain->rows; i++) {
        float *restrict total = chain->total + i * chain->total_row;
        const float *restrict block = chain->block + i * chain->cols;
        for (size_t j = 0; j < chain->cols; j++)
            total[j] = total[j] + block[j];
    }
    chain->open = false;
}

static void advance(nn_chain *chain, size_t count)
{
    chain->position += count;
    if (chain->position % NN_BLOCK == 0)
        close_block(chain);
}

void nn_chain_add(nn_chain *chain, const float *a, size_t a_row, size_t a_step, const float *b,
                  size_t b_step, size_t count)
{
    nn_tile tile = {chain->rows, chain->cols, 0, chain->cols, a_row, a_step, b_step};
    const nn_kernels *kernels = nn_kernels_active();
    while (count > 0) {
        tile.count = nn_min(count, NN_BLOCK - chain->position % NN_BLOCK);
        if (!chain->open)
            memset(chain->block, 0, chain->rows * chain->cols * sizeof *chain->block);
        chain->open = true;
        kernels->multiply_add(chain->block, a, b, &tile);
        a += tile.count * a_step;
        b += tile.count * b_step;
        count -= tile.count;
        advance(chain, tile.count);
    }
}

void nn_chain_skip(nn_chain *chain, size_t count)
{
    while (count > 0) {
        size_t step = nn_min(count, NN_BLOCK - chain->position % NN_BLOCK);
        count -= step;
        advance(chain, step);
    }
}

void nn_chain_end(nn_chain *chain)
{
    close_block(chain);
}

size_t nn_chain_rows(size_t rows, size_t cols)
{
    return nn_min(rows, NN_CHAIN_FLOATS / nn_max(cols, 1));
}

/* SPDX-License-Identifier: MIT */
/* The one reduction rule (SPEC 2.3) in one place: products k ascending in blocks of NN_BLOCK, each
 * block a chain from +0, block totals added in order to a total from +0. Matrix product,
 * convolution and its gradients only say which products there are. */
#ifndef NN_CHAIN_H
#define NN_CHAIN_H

#include "kernels.h"

enum {
    NN_CHAIN_FLOATS = 4096
}; /* rows * cols of one tile at most: 16 KiB, half a small first-level cache */

typedef struct nn_chain {
    float *total; /* rows x cols results, total_row floats apart */
    size_t total_row, rows, cols;
    size_t position; /* k of the next product, skipped ones counted */
    bool open;       /* the block holds products that are not in the total yet */
    float block[NN_CHAIN_FLOATS];
} nn_chain;

/* Sets the totals to +0. rows * cols <= NN_CHAIN_FLOATS. */
void nn_chain_begin(nn_chain *chain, float *total, size_t total_row, size_t rows, size_t cols);

/* Appends `count` products to every chain; the addresses are those of nn_tile. */
void nn_chain_add(nn_chain *chain, const float *a, size_t a_row, size_t a_step, const float *b,
                  size_t b_step, size_t count);

/* Passes over `count` products that contribute nothing: padded taps count for the block borders
 * (SPEC 5.3). */
void nn_chain_skip(nn_chain *chain, size_t count);

/* Adds the last block. */
void nn_chain_end(nn_chain *chain);

/* Rows of a tile with `cols` columns; at least 1 while cols <= NN_CHAIN_FLOATS. */
size_t nn_chain_rows(size_t rows, size_t cols);

#endif

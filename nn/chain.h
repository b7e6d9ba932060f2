/* SPDX-License-Identifier: MIT */
/* The one reduction rule (SPEC 2.3) in one place: which products a chain has, cut at the borders of
 * the blocks of NN_BLOCK. Matrix product, convolution and its gradients only list their products;
 * tiles of chains that have the same ones share the list. */
#ifndef NN_CHAIN_H
#define NN_CHAIN_H

#include "arena.h"
#include "engine.h"

/* A sum of fewer products does not pay for moving or fetching its factors ahead: measured. */
enum { NN_CHAIN_LONG = 256 };

typedef struct nn_chain {
    size_t a_step; /* as in nn_tile */
    nn_run *runs;  /* [run_count] of all blocks */
    size_t *ends;  /* [block_count] of each block that has products: the index past its last run */
    size_t run_count, block_count;
    size_t block;    /* that of the last run */
    size_t position; /* k of the next product, skipped ones counted */
} nn_chain;

/* An empty chain for at most `portions` calls of nn_chain_add over k < length; its lists live in
 * the arena. False when that is out of memory. */
bool nn_chain_begin(nn_chain *chain, nn_arena *arena, size_t portions, size_t length,
                    size_t a_step);

/* Appends `count` products: offset a in floats, row b. */
void nn_chain_add(nn_chain *chain, size_t a, size_t b, size_t count);

/* Passes over `count` products that contribute nothing: padded taps count for the block borders
 * (SPEC 5.3). */
void nn_chain_skip(nn_chain *chain, size_t count);

/* Adds the blocks of such chains to the totals of a tile, in order; sets tile->a_step to the
 * chain's, and leaves tile->fresh false. */
void nn_chain_total(const nn_chain *chain, const nn_engine *engine, float *total, const float *a,
                    const float *b, nn_tile *tile);

#endif

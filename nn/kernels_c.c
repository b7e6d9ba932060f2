/* SPDX-License-Identifier: MIT */
/* The kernels in portable C: the definition. Lanes run over columns, so any compiler may vectorise
 * without touching a chain. Order of every sum: the products of the runs in their order, one
 * rounding per product and per sum, or one for both (profile fma). SPEC 2.3 to 2.5. */
#include <string.h>

#include "fma.h"
#include "kernels.h"
#include "kernels_rows.h"

/* The most: wide panels spare bookkeeping, and high tiles spare reading b. */
enum { PANEL = NN_PANEL_MAX, TILE_ROWS = NN_TILE_ROWS_MAX };

/* One product into each chain of a row. */
static inline void add_one(float *restrict chain, const float *a, const float *restrict b,
                           size_t width)
{
    const float a0 = a[0];
    for (size_t j = 0; j < width; j++) {
        float product = a0 * b[j];
        chain[j] = chain[j] + product;
    }
}

/* Profile fma: one rounding a step (SPEC 2.5.1). */
static inline void add_one_fused(float *restrict chain, const float *a, const float *restrict b,
                                 size_t width)
{
    const float a0 = a[0];
    for (size_t j = 0; j < width; j++)
        chain[j] = nn_fmaf(a0, b[j], chain[j]);
}

static inline void add_two(float *restrict chain, const float *a, const float *restrict b,
                           const nn_tile *tile, size_t width)
{
    const float a0 = a[0], a1 = a[tile->a_step];
    const float *restrict b1 = b + tile->b_step;
    for (size_t j = 0; j < width; j++) {
        float p0 = a0 * b[j];
        float sum = chain[j] + p0;
        float p1 = a1 * b1[j];
        chain[j] = sum + p1;
    }
}

/* Four products: a chain stays in a register for four steps instead of going through memory at
 * each. */
static inline void add_four(float *restrict chain, const float *a, const float *restrict b,
                            const nn_tile *tile, size_t width)
{
    const size_t sa = tile->a_step, sb = tile->b_step;
    const float a0 = a[0], a1 = a[sa], a2 = a[2 * sa], a3 = a[3 * sa];
    const float *restrict b1 = b + sb, *restrict b2 = b1 + sb, *restrict b3 = b2 + sb;
    for (size_t j = 0; j < width; j++) {
        float p0 = a0 * b[j];
        float sum = chain[j] + p0;
        float p1 = a1 * b1[j];
        sum = sum + p1;
        float p2 = a2 * b2[j];
        sum = sum + p2;
        float p3 = a3 * b3[j];
        chain[j] = sum + p3;
    }
}

/* Eight products: the most whose factors of a still fit the 16 vector registers of SSE2. */
static inline void add_eight(float *restrict chain, const float *a, const float *restrict b,
                             const nn_tile *tile, size_t width)
{
    const size_t sa = tile->a_step, sb = tile->b_step;
    const float a0 = a[0], a1 = a[sa], a2 = a[2 * sa], a3 = a[3 * sa];
    const float a4 = a[4 * sa], a5 = a[5 * sa], a6 = a[6 * sa], a7 = a[7 * sa];
    const float *restrict b1 = b + sb, *restrict b2 = b1 + sb, *restrict b3 = b2 + sb;
    const float *restrict b4 = b3 + sb, *restrict b5 = b4 + sb, *restrict b6 = b5 + sb,
                          *restrict b7 = b6 + sb;
    for (size_t j = 0; j < width; j++) {
        float p0 = a0 * b[j];
        float sum = chain[j] + p0;
        float p1 = a1 * b1[j];
        sum = sum + p1;
        float p2 = a2 * b2[j];
        sum = sum + p2;
        float p3 = a3 * b3[j];
        sum = sum + p3;
        float p4 = a4 * b4[j];
        sum = sum + p4;
        float p5 = a5 * b5[j];
        sum = sum + p5;
        float p6 = a6 * b6[j];
        sum = sum + p6;
        float p7 = a7 * b7[j];
        chain[j] = sum + p7;
    }
}

/* The next `step` products of all rows. Rows are the inner loop, so that a row's chains have long
 * reached memory when they are needed again, and few rows of b serve the whole tile. */
static inline void add_step(float *chain, const float *a, const float *b, const nn_tile *tile,
                            nn_arith arith, size_t step, size_t width)
{
    for (size_t i = 0; i < tile->rows; i++) {
        float *row = chain + i * width;
        const float *factors = a + i * tile->a_row;
        if (arith == NN_ARITH_FMA)
            add_one_fused(row, factors, b, width);
        else if (step == 8)
            add_eight(row, factors, b, tile, width);
        else if (step == 4)
            add_four(row, factors, b, tile, width);
        else if (step == 2)
            add_two(row, factors, b, tile, width);
        else
            add_one(row, factors, b, width);
    }
}

static inline void add_run(float *chain, const float *a, const float *b, const nn_tile *tile,
                           nn_arith arith, size_t count, size_t width)
{
    const size_t sa = tile->a_step, sb = tile->b_step;
    size_t k = 0;
    if (arith == NN_ARITH_MA) {
        for (; k + 8 <= count; k += 8)
            add_step(chain, a + k * sa, b + k * sb, tile, arith, 8, width);
        for (; k + 4 <= count; k += 4)
            add_step(chain, a + k * sa, b + k * sb, tile, arith, 4, width);
        for (; k + 2 <= count; k += 2)
            add_step(chain, a + k * sa, b + k * sb, tile, arith, 2, width);
    }
    for (; k < count; k++)
        add_step(chain, a + k * sa, b + k * sb, tile, arith, 1, width);
}

/* Totals that start at +0 are added to as well: a chain of -0 becomes +0 (SPEC 2.5.3). */
static void add_chains(float *total, const float *chain, const nn_tile *tile, size_t width)
{
    for (size_t i = 0; i < tile->rows; i++)
        for (size_t j = 0; j < tile->cols; j++) {
            const float before = tile->fresh ? 0.0f : total[i * tile->total_row + j];
            total[i * tile->total_row + j] = before + chain[i * width + j];
        }
}

/* All products of a tile in chains of `width` >= tile->cols columns: b holds a whole panel, and
 * what comes of the columns too many is dropped. */
static inline void block(float *total, const float *a, const float *b, const nn_tile *tile,
                         const nn_run *runs, size_t run_count, nn_arith arith, size_t width)
{
    float chain[TILE_ROWS * PANEL];
    memset(chain, 0, tile->rows * width * sizeof *chain);
    for (size_t r = 0; r < run_count; r++)
        add_run(chain, a + runs[r].a, b + runs[r].b * tile->b_step, tile, arith, runs[r].count,
                width);
    add_chains(total, chain, tile, width);
}

/* The width is a literal, so that the loops over columns have no end to be looked for at run
 * time. */
static void block_ma(float *total, const float *a, const float *b, const nn_tile *tile,
                     const nn_run *runs, size_t run_count)
{
    if (tile->cols <= 8)
        block(total, a, b, tile, runs, run_count, NN_ARITH_MA, 8);
    else if (tile->cols <= 16)
        block(total, a, b, tile, runs, run_count, NN_ARITH_MA, 16);
    else
        block(total, a, b, tile, runs, run_count, NN_ARITH_MA, PANEL);
}

static void block_fma(float *total, const float *a, const float *b, const nn_tile *tile,
                      const nn_run *runs, size_t run_count)
{
    if (tile->cols <= 8)
        block(total, a, b, tile, runs, run_count, NN_ARITH_FMA, 8);
    else if (tile->cols <= 16)
        block(total, a, b, tile, runs, run_count, NN_ARITH_FMA, 16);
    else
        block(total, a, b, tile, runs, run_count, NN_ARITH_FMA, PANEL);
}

/* C has no word for it. */
static void fetch(const float *from, size_t count)
{
    (void)from;
    (void)count;
}

const nn_kernels nn_kernels_c = {
    .name = "c",
    .panel = PANEL,
    .wide_rows = TILE_ROWS,
    .narrow_rows = TILE_ROWS,
    .block = {[NN_ARITH_MA] = block_ma, [NN_ARITH_FMA] = block_fma},
    .fetch = fetch,
    NN_KERNELS_ROWS,
};

/* SPDX-License-Identifier: MIT */
/* The hot loops and their contracts. kernels_c.c is their definition; kernels_<isa>.c overrides it
 * and must give the same bits, but for the payload of a NaN. No pointer needs more than the
 * alignment of a float; outputs overlap no inputs unless it is said, and then only as the same
 * pointer; nothing is read or written beyond the ranges stated. SPEC 2.3 to 2.5. */
#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include "base.h"

/* The profiles of the multiply-add (SPEC 2.5). */
typedef enum nn_arith {
    NN_ARITH_MA, /* the product is rounded, then the sum */
    NN_ARITH_FMA /* product and sum are rounded once */
} nn_arith;

enum {
    NN_ARITH_COUNT = 2,
    NN_PANEL_MAX = 32,    /* no table has wider panels */
    NN_TILE_ROWS_MAX = 64 /* or higher tiles */
};

/* A run of products in every chain of a tile. */
typedef struct nn_run {
    size_t a,
        b; /* where the factors of its first product stand, in floats from a, in rows from b */
    size_t count; /* products; 0 is fine */
} nn_run;

/* rows x cols chains: chain (i, j) multiplies a(i, k) with b(k, j). Product t of a run has its
 * factors at a[run.a + i*a_row + t*a_step] and b[(run.b + t)*b_step + j]. */
typedef struct nn_tile {
    size_t rows, cols;    /* 1 <= cols <= panel of the table, 1 <= rows <= nn_tile_rows */
    size_t total_row;     /* distance in floats between rows of the totals */
    size_t a_row, a_step; /* at least one of them is 1 */
    size_t b_step;        /* each row of b has nn_tile_width readable floats; those behind cols may
                             be anything, but subnormals there are slow */
    bool fresh;           /* the totals start at +0 instead of what they hold */
} nn_tile;

/* One block of the reduction rule (SPEC 2.3): a chain from +0 over the products of all runs in
 * order, then total[i][j] = total[i][j] + chain; also without any run. */
typedef void nn_block_fn(float *total, const float *a, const float *b, const nn_tile *tile,
                         const nn_run *runs, size_t run_count);

/* Per-channel constants of a normalisation, [cols] each. */
typedef struct nn_channels {
    const float *mean, *rstd, *gamma, *beta;
} nn_channels;

/* Per-channel constants of its gradient dx = scale * ((dy - shift) - xhat*slope). */
typedef struct nn_slopes {
    const float *mean, *rstd, *scale, *shift, *slope;
} nn_slopes;

typedef struct nn_kernels {
    const char *name;
    size_t panel;       /* columns of a panel of b */
    size_t wide_rows;   /* most rows of a tile of more than panel/2 columns */
    size_t narrow_rows; /* and of one of fewer */
    nn_block_fn *block[NN_ARITH_COUNT];

    /* A hint without any effect on values: from[0..count) will be read soon. */
    void (*fetch)(const float *from, size_t count);

    /* Plain sums of one block (SPEC 2.4), one chain from +0 a column, rows ascending;
     * x[rows, cols]. */
    void (*column_sum)(float *sum, const float *x, size_t rows, size_t cols);
    void (*column_squares)(float *sum, const float *x, const float *mean, size_t rows, size_t cols);

    /* dbeta = sum of dy, dgamma = sum of dy*xhat, xhat = (x - mean)*rstd. With y (else NULL) dy is
     * first set to +0 where y is not > 0. */
    void (*column_slopes)(float *dbeta, float *dgamma, float *dy, const float *y, const float *x,
                          const float *mean, const float *rstd, size_t rows, size_t cols);

    /* y = gamma*((x - mean)*rstd) + beta; + residual unless NULL; max(y, +0) if relu. */
    void (*normalise)(float *y, const float *x, const float *residual, const nn_channels *channels,
                      bool relu, size_t rows, size_t cols);

    /* dx = scale * ((dy - shift) - ((x - mean)*rstd)*slope); dx may be dy or x. */
    void (*normalise_back)(float *dx, const float *dy, const float *x, const nn_slopes *slopes,
                           size_t rows, size_t cols);

    /* y = max(x, +0); dx = y > 0 ? dy : +0; y = a + b. The output may be one of the inputs. */
    void (*relu)(float *y, const float *x, size_t count);
    void (*relu_back)(float *dx, const float *dy, const float *y, size_t count);
    void (*add)(float *y, const float *a, const float *b, size_t count);
} nn_kernels;

extern const nn_kernels nn_kernels_c, nn_kernels_sse2, nn_kernels_avx2, nn_kernels_avx512,
    nn_kernels_neon;

/* Most rows of a tile of so many columns. */
static inline size_t nn_tile_rows(const nn_kernels *kernels, size_t cols)
{
    return cols > kernels->panel / 2 ? kernels->wide_rows : kernels->narrow_rows;
}

/* Floats that a tile of so many columns reads from a row of b: half a panel or a whole one. */
static inline size_t nn_tile_width(const nn_kernels *kernels, size_t cols)
{
    return cols > kernels->panel / 2 ? kernels->panel : kernels->panel / 2;
}

enum { NN_KERNELS_MAX = 8 };

/* The tables of this build that this processor can run, slowest first; list[0] is nn_kernels_c.
 * Returns their number. */
size_t nn_kernels_all(const nn_kernels *list[NN_KERNELS_MAX]);

/* The table called `name` (c, sse2, avx2, avx512, neon); NULL or "": the last of nn_kernels_all.
 * DDOME_ERR_USAGE when this build or this processor lacks it: never another one in its place. */
DDOME_MUST_CHECK ddome_status nn_kernels_find(ddome_error *error, const nn_kernels **kernels,
                                              const char *name);

#endif

/* SPDX-License-Identifier: MIT */
/* The hot loops and their contracts. kernels_c.c is their definition; any other file must give the
 * same bits. SPEC 2.3. */
#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include "base.h"

/* Shape of one multiply-add over a tile of rows x cols independent chains. */
typedef struct nn_tile {
    size_t rows, cols;
    size_t count;         /* products appended to each chain */
    size_t acc_row;       /* distance in floats between rows of acc */
    size_t a_row, a_step; /* a of row i and product k stands at a[i*a_row + k*a_step] */
    size_t b_step;        /* b of product k and column j stands at b[k*b_step + j] */
} nn_tile;

typedef struct nn_kernels {
    const char *name;

    /* acc[i][j] = (..((acc[i][j] + a(i,0)*b(0,j)) + a(i,1)*b(1,j)) ..), k ascending; each product
     * and each sum is rounded (profile ma). acc overlaps neither a nor b. */
    void (*multiply_add)(float *acc, const float *a, const float *b, const nn_tile *tile);
} nn_kernels;

extern const nn_kernels nn_kernels_c;

/* The table in use. */
const nn_kernels *nn_kernels_active(void);

#endif

/* SPDX-License-Identifier: MIT */
/* The bit oracle: naive float code of the reduction rule, one output at a time, padding multiplied
 * as zeros. nn/ must give the same bits. It shares nothing with nn/. SPEC 2.3 to 2.5, 5.1 to 5.12.
 */
#ifndef ORACLE_BITS_H
#define ORACLE_BITS_H

#include "oracle.h"

/* How a product goes into a sum of products. Sums of anything else take BITS_MA. */
typedef enum bits_profile {
    BITS_MA,  /* rounded, then added */
    BITS_FMA, /* added and rounded once, by the C library's fmaf */
    BITS_PROFILES
} bits_profile;

/* One sum: blocks of 256 addends, each a chain from +0, added in order to a total from +0. */
typedef struct bits_sum {
    float total, block;
    size_t count;
} bits_sum;

bits_sum bits_start(void);
void bits_add(bits_sum *sum, float value);
void bits_add_product(bits_sum *sum, float a, float b, bits_profile profile);
float bits_end(const bits_sum *sum);

/* Sum of count values that stand `step` apart. */
float bits_sum_of(const float *x, size_t count, size_t step);

/* c[m,n]; at(i,k) of A is a[i*a_row + k*a_col], at(k,j) of B is b[k*b_row + j*b_col]. */
void bits_gemm(float *c, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
               size_t b_col, size_t m, size_t n, size_t k, bits_profile profile);

void bits_conv_forward(float *y, const float *x, const float *weight, const oracle_window *s,
                       bits_profile profile);
void bits_conv_backward_input(float *dx, const float *dy, const float *weight,
                              const oracle_window *s, bits_profile profile);
void bits_conv_backward_weight(float *dw, const float *dy, const float *x, const oracle_window *s,
                               bits_profile profile);

#endif

/* SPDX-License-Identifier: MIT */
/* The kernels in portable C: the definition. Lanes run over columns, so any compiler may vectorise
 * without touching a chain. Order of every sum: k ascending within a column, one rounding per
 * product and per sum. SPEC 2.3. */
#include "kernels.h"

/* One product into each chain of a row. */
static inline void add_one(float *restrict acc, const float *a, const float *restrict b,
                           size_t cols)
{
    const float a0 = a[0];
    for (size_t j = 0; j < cols; j++) {
        float product = a0 * b[j];
        acc[j] = acc[j] + product;
    }
}

/* Four products: a chain stays in a register for four steps instead of going through memory at
 * each. */
static inline void add_four(float *restrict acc, const float *a, const float *restrict b,
                            const nn_tile *tile, size_t cols)
{
    const size_t sa = tile->a_step, sb = tile->b_step;
    const float a0 = a[0], a1 = a[sa], a2 = a[2 * sa], a3 = a[3 * sa];
    const float *restrict b1 = b + sb, *restrict b2 = b1 + sb, *restrict b3 = b2 + sb;
    for (size_t j = 0; j < cols; j++) {
        float sum = acc[j];
        float p0 = a0 * b[j];
        sum = sum + p0;
        float p1 = a1 * b1[j];
        sum = sum + p1;
        float p2 = a2 * b2[j];
        sum = sum + p2;
        float p3 = a3 * b3[j];
        acc[j] = sum + p3;
    }
}

/* Eight products: the longest run that still fits the 16 vector registers of SSE2 and NEON. */
static inline void add_eight(float *restrict acc, const float *a, const float *restrict b,
                             const nn_tile *tile, size_t cols)
{
    const size_t sa = tile->a_step, sb = tile->b_step;
    const float a0 = a[0], a1 = a[sa], a2 = a[2 * sa], a3 = a[3 * sa];
    const float a4 = a[4 * sa], a5 = a[5 * sa], a6 = a[6 * sa], a7 = a[7 * sa];
    const float *restrict b1 = b + sb, *restrict b2 = b1 + sb, *restrict b3 = b2 + sb;
    const float *restrict b4 = b3 + sb, *restrict b5 = b4 + sb, *restrict b6 = b5 + sb,
                          *restrict b7 = b6 + sb;
    for (size_t j = 0; j < cols; j++) {
        float sum = acc[j];
        float p0 = a0 * b[j];
        sum = sum + p0;
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
        acc[j] = sum + p7;
    }
}

/* All rows, eight products at a time; `cols` is tile->cols, a literal where that lets the compiler
 * unroll. */
static inline void add_rows(float *acc, const float *a, const float *b, const nn_tile *tile,
                            size_t cols)
{
    for (size_t i = 0; i < tile->rows; i++) {
        float *row = acc + i * tile->acc_row;
        const float *ai = a + i * tile->a_row;
        size_t k = 0;
        for (; k + 8 <= tile->count; k += 8)
            add_eight(row, ai + k * tile->a_step, b + k * tile->b_step, tile, cols);
        for (; k + 4 <= tile->count; k += 4)
            add_four(row, ai + k * tile->a_step, b + k * tile->b_step, tile, cols);
        for (; k < tile->count; k++)
            add_one(row, ai + k * tile->a_step, b + k * tile->b_step, cols);
    }
}

/* Narrow tiles, where the bookkeeping of a loop would cost as much as its work, get code of their
 * own. */
static void multiply_add(float *acc, const float *a, const float *b, const nn_tile *tile)
{
    switch (tile->cols) {
    case 4:
        add_rows(acc, a, b, tile, 4);
        break;
    case 8:
        add_rows(acc, a, b, tile, 8);
        break;
    case 16:
        add_rows(acc, a, b, tile, 16);
        break;
    default:
        add_rows(acc, a, b, tile, tile->cols);
        break;
    }
}

const nn_kernels nn_kernels_c = {"c", multiply_add};

/* SPDX-License-Identifier: MIT */
/* Matrix products C[m,n] by the one reduction rule; row-major, C overlaps nothing. SPEC 5.1. */
#ifndef NN_GEMM_H
#define NN_GEMM_H

#include "arena.h"
#include "chain.h"

typedef struct nn_gemm_shape {
    size_t m, n, k;
} nn_gemm_shape;

/* C = A B with A[m,k], B[k,n]. */
void nn_gemm_nn(float *c, const float *a, const float *b, const nn_gemm_shape *shape);

/* C = A^T B with A[k,m], B[k,n]. */
void nn_gemm_tn(float *c, const float *a, const float *b, const nn_gemm_shape *shape);

/* C = A B^T with A[m,k], B[n,k]. B is transposed into scratch, so that lanes run over columns. */
DDOME_MUST_CHECK ddome_status nn_gemm_nt(ddome_error *error, nn_arena *scratch, float *c,
                                         const float *a, const float *b,
                                         const nn_gemm_shape *shape);

/* out[cols, rows] = in[rows, cols]^T. */
void nn_transpose(float *out, const float *in, size_t rows, size_t cols);

#endif

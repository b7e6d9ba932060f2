/* SPDX-License-Identifier: MIT */
/* Matrix products C[m,n] by the one reduction rule; row-major, C overlaps nothing. SPEC 5.1. */
#ifndef NN_GEMM_H
#define NN_GEMM_H

#include "arena.h"
#include "engine.h"

typedef struct nn_gemm_shape {
    size_t m, n, k;
} nn_gemm_shape;

/* Which of the factors is stored transposed. */
typedef enum nn_gemm_form {
    NN_GEMM_NN, /* C = A B with A[m,k], B[k,n] */
    NN_GEMM_TN, /* C = A^T B with A[k,m], B[k,n] */
    NN_GEMM_NT  /* C = A B^T with A[m,k], B[n,k] */
} nn_gemm_form;

DDOME_MUST_CHECK ddome_status nn_gemm(const nn_engine *engine, ddome_error *error,
                                      nn_arena *scratch, float *c, const float *a, const float *b,
                                      const nn_gemm_shape *shape, nn_gemm_form form);

#endif

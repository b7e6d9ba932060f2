/* SPDX-License-Identifier: MIT */
/* Fully connected layer y[n,out] = x[n,in] w^T + b with w[out,in] as in torch. SPEC 5.2. */
#ifndef NN_LINEAR_H
#define NN_LINEAR_H

#include "gemm.h"

typedef struct nn_linear_shape {
    size_t n, in, out;
} nn_linear_shape;

DDOME_MUST_CHECK ddome_status nn_linear_forward(const nn_engine *engine, ddome_error *error,
                                                nn_arena *scratch, float *y, const float *x,
                                                const float *w, const float *b,
                                                const nn_linear_shape *shape);

/* dx[n,in] = dy w: k runs over out. */
DDOME_MUST_CHECK ddome_status nn_linear_backward_input(const nn_engine *engine, ddome_error *error,
                                                       nn_arena *scratch, float *dx,
                                                       const float *dy, const float *w,
                                                       const nn_linear_shape *shape);

/* dw[out,in] = dy^T x: k runs over the batch. */
DDOME_MUST_CHECK ddome_status nn_linear_backward_weight(const nn_engine *engine, ddome_error *error,
                                                        nn_arena *scratch, float *dw,
                                                        const float *dy, const float *x,
                                                        const nn_linear_shape *shape);

/* db[out] = sum of dy over the batch. block: out floats of scratch. */
void nn_linear_backward_bias(float *db, float *block, const float *dy,
                             const nn_linear_shape *shape);

#endif

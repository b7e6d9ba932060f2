/* SPDX-License-Identifier: MIT */
/* y = total(x*w) + b, the bias added last and once, never fused. SPEC 2.5.2, 5.2. */
#include "linear.h"

#include "sum.h"

ddome_status nn_linear_forward(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                               float *y, const float *x, const float *w, const float *b,
                               const nn_linear_shape *s)
{
    const nn_gemm_shape gemm = {s->n, s->out, s->in};
    ddome_status status = nn_gemm(engine, error, scratch, y, x, w, &gemm, NN_GEMM_NT);
    if (status != DDOME_OK)
        return status;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->out; j++)
            y[i * s->out + j] = y[i * s->out + j] + b[j];
    return DDOME_OK;
}

ddome_status nn_linear_backward_input(const nn_engine *engine, ddome_error *error,
                                      nn_arena *scratch, float *dx, const float *dy, const float *w,
                                      const nn_linear_shape *s)
{
    const nn_gemm_shape gemm = {s->n, s->in, s->out};
    return nn_gemm(engine, error, scratch, dx, dy, w, &gemm, NN_GEMM_NN);
}

ddome_status nn_linear_backward_weight(const nn_engine *engine, ddome_error *error,
                                       nn_arena *scratch, float *dw, const float *dy,
                                       const float *x, const nn_linear_shape *s)
{
    const nn_gemm_shape gemm = {s->out, s->in, s->n};
    return nn_gemm(engine, error, scratch, dw, dy, x, &gemm, NN_GEMM_TN);
}

void nn_linear_backward_bias(float *db, float *block, const float *dy, const nn_linear_shape *s)
{
    nn_sum_columns(db, block, dy, s->n, s->out);
}

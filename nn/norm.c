/* SPDX-License-Identifier: MIT */
/* Batch-norm: xhat = (x - mean) * rsqrt(var + eps), y = gamma*xhat + beta per channel; sums over
 * (n, h, w). SPEC 5.6 to 5.8. */
#include "norm.h"

#include <string.h>

#include "fmath.h"
#include "sum.h"

static const float EPS = 1e-5f;
static const float MOMENTUM = 0.1f;

/* total[j] = sum over rows of (x - mean)^2, each square rounded before it is added. */
static void sum_squares(float *total, float *block, const float *x, const float *mean, size_t rows,
                        size_t cols)
{
    memset(total, 0, cols * sizeof *total);
    for (size_t start = 0; start < rows; start += NN_BLOCK) {
        size_t end = nn_min(rows, start + NN_BLOCK);
        memset(block, 0, cols * sizeof *block);
        for (size_t i = start; i < end; i++)
            for (size_t j = 0; j < cols; j++) {
                float d = x[i * cols + j] - mean[j];
                float square = d * d;
                block[j] = block[j] + square;
            }
        for (size_t j = 0; j < cols; j++)
            total[j] = total[j] + block[j];
    }
}

/* y = gamma * ((x - mean) * rstd) + beta. */
static void apply(float *restrict y, const float *restrict x, const float *mean, const float *rstd,
                  const float *gamma, const float *beta, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            float d = x[i * cols + j] - mean[j];
            float xhat = d * rstd[j];
            float scaled = gamma[j] * xhat;
            y[i * cols + j] = scaled + beta[j];
        }
}

static float moved(float running, float value)
{
    const float keep = 1.0f - MOMENTUM;
    float kept = keep * running;
    float taken = MOMENTUM * value;
    const float result = kept + taken;
    return result;
}

ddome_status nn_batch_norm_train(ddome_error *error, nn_arena *scratch, float *y,
                                 nn_norm_saved *saved, float *running_mean, float *running_var,
                                 const nn_tensor *x, const float *gamma, const float *beta)
{
    const size_t cols = x->c, rows = x->n * x->h * x->w;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *block = nn_arena_alloc(scratch, cols, sizeof *block);
    float *squares = nn_arena_alloc(scratch, cols, sizeof *squares);
    if (block == NULL || squares == NULL)
        return nn_arena_fail(error, scratch, "batch-norm sums");
    nn_sum_columns(saved->mean, block, x->data, rows, cols);
    for (size_t j = 0; j < cols; j++)
        saved->mean[j] = saved->mean[j] / (float)rows;
    sum_squares(squares, block, x->data, saved->mean, rows, cols);
    for (size_t j = 0; j < cols; j++) {
        float var = squares[j] / (float)rows;
        float shifted = var + EPS;
        saved->rstd[j] = nn_rsqrtf(shifted);
        running_mean[j] = moved(running_mean[j], saved->mean[j]);
        if (rows > 1) {
            float unbiased = squares[j] / (float)(rows - 1);
            running_var[j] = moved(running_var[j], unbiased);
        }
    }
    apply(y, x->data, saved->mean, saved->rstd, gamma, beta, rows, cols);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

ddome_status nn_batch_norm_eval(ddome_error *error, nn_arena *scratch, float *y, const nn_tensor *x,
                                const float *gamma, const float *beta, const float *running_mean,
                                const float *running_var)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *rstd = nn_arena_alloc(scratch, x->c, sizeof *rstd);
    if (rstd == NULL)
        return nn_arena_fail(error, scratch, "batch-norm scales");
    for (size_t j = 0; j < x->c; j++) {
        float shifted = running_var[j] + EPS;
        rstd[j] = nn_rsqrtf(shifted);
    }
    apply(y, x->data, running_mean, rstd, gamma, beta, x->n * x->h * x->w, x->c);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

/* total[j] = sum over rows of dy * xhat. */
static void sum_scaled(float *total, float *block, const float *dy, const float *x,
                       const nn_norm_saved *saved, size_t rows, size_t cols)
{
    const float *mean = saved->mean, *rstd = saved->rstd;
    memset(total, 0, cols * sizeof *total);
    for (size_t start = 0; start < rows; start += NN_BLOCK) {
        size_t end = nn_min(rows, start + NN_BLOCK);
        memset(block, 0, cols * sizeof *block);
        for (size_t i = start; i < end; i++)
            for (size_t j = 0; j < cols; j++) {
                float d = x[i * cols + j] - mean[j];
                float xhat = d * rstd[j];
                float product = dy[i * cols + j] * xhat;
                block[j] = block[j] + product;
            }
        for (size_t j = 0; j < cols; j++)
            total[j] = total[j] + block[j];
    }
}

/* Per-channel constants of dx = scale * ((dy - shift) - xhat * slope). */
typedef struct backward_terms {
    float *scale, *shift, *slope;
} backward_terms;

static void backward_apply(float *restrict dx, const float *restrict dy, const float *restrict x,
                           const nn_norm_saved *saved, const backward_terms *t, size_t rows,
                           size_t cols)
{
    const float *mean = saved->mean, *rstd = saved->rstd;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            float d = x[i * cols + j] - mean[j];
            float xhat = d * rstd[j];
            float centred = dy[i * cols + j] - t->shift[j];
            float tilted = xhat * t->slope[j];
            float inner = centred - tilted;
            dx[i * cols + j] = t->scale[j] * inner;
        }
}

ddome_status nn_batch_norm_backward(ddome_error *error, nn_arena *scratch, float *dx, float *dgamma,
                                    float *dbeta, const float *dy, const nn_tensor *x,
                                    const float *gamma, const nn_norm_saved *saved)
{
    const size_t cols = x->c, rows = x->n * x->h * x->w;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *work = nn_arena_alloc(scratch, cols, 4 * sizeof *work);
    if (work == NULL)
        return nn_arena_fail(error, scratch, "batch-norm sums");
    const backward_terms terms = {work, work + cols, work + 2 * cols};
    float *block = work + 3 * cols;
    nn_sum_columns(dbeta, block, dy, rows, cols);
    sum_scaled(dgamma, block, dy, x->data, saved, rows, cols);
    for (size_t j = 0; j < cols; j++) {
        terms.scale[j] = gamma[j] * saved->rstd[j];
        terms.shift[j] = dbeta[j] / (float)rows;
        terms.slope[j] = dgamma[j] / (float)rows;
    }
    backward_apply(dx, dy, x->data, saved, &terms, rows, cols);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

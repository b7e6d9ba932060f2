/* SPDX-License-Identifier: MIT */
/* Group-norm: the formulas of batch-norm over (h, w, channels of one group) of one image. SPEC 5.9.
 */
#include "norm.h"

#include "fmath.h"
#include "sum.h"

static const float EPS = 1e-5f;

/* One group of one image: values x[p*stride + j], p < positions, j < width, in that order. */
typedef struct group_view {
    size_t positions, width, stride;
} group_view;

static float group_mean(const float *x, const group_view *g)
{
    nn_running_sum sum = {0, 0, 0};
    for (size_t p = 0; p < g->positions; p++)
        for (size_t j = 0; j < g->width; j++)
            nn_running_add(&sum, x[p * g->stride + j]);
    const float total = nn_running_end(&sum);
    const float mean = total / (float)(g->positions * g->width);
    return mean;
}

static float group_rstd(const float *x, float mean, const group_view *g)
{
    nn_running_sum sum = {0, 0, 0};
    for (size_t p = 0; p < g->positions; p++)
        for (size_t j = 0; j < g->width; j++) {
            float d = x[p * g->stride + j] - mean;
            float square = d * d;
            nn_running_add(&sum, square);
        }
    const float total = nn_running_end(&sum);
    float var = total / (float)(g->positions * g->width);
    float shifted = var + EPS;
    return nn_rsqrtf(shifted);
}

static void group_apply(float *y, const float *x, const float *gamma, const float *beta, float mean,
                        float rstd, const group_view *g)
{
    for (size_t p = 0; p < g->positions; p++)
        for (size_t j = 0; j < g->width; j++) {
            float d = x[p * g->stride + j] - mean;
            float xhat = d * rstd;
            float scaled = gamma[j] * xhat;
            y[p * g->stride + j] = scaled + beta[j];
        }
}

void nn_group_norm_forward(float *y, nn_norm_saved *saved, const nn_tensor *x, const float *gamma,
                           const float *beta, size_t groups)
{
    const group_view g = {x->h * x->w, x->c / groups, x->c};
    for (size_t n = 0; n < x->n; n++)
        for (size_t k = 0; k < groups; k++) {
            size_t at = n * x->h * x->w * x->c + k * g.width;
            float mean = group_mean(x->data + at, &g);
            float rstd = group_rstd(x->data + at, mean, &g);
            saved->mean[n * groups + k] = mean;
            saved->rstd[n * groups + k] = rstd;
            group_apply(y + at, x->data + at, gamma + k * g.width, beta + k * g.width, mean, rstd,
                        &g);
        }
}

/* dx = r * ((dxhat - mean(dxhat)) - xhat * mean(dxhat * xhat)) with dxhat = dy * gamma. */
static void group_backward(float *dx, const float *dy, const float *x, const float *gamma,
                           float mean, float rstd, const group_view *g)
{
    nn_running_sum plain = {0, 0, 0}, scaled = {0, 0, 0};
    for (size_t p = 0; p < g->positions; p++)
        for (size_t j = 0; j < g->width; j++) {
            float d = x[p * g->stride + j] - mean;
            float xhat = d * rstd;
            float dxhat = dy[p * g->stride + j] * gamma[j];
            float product = dxhat * xhat;
            nn_running_add(&plain, dxhat);
            nn_running_add(&scaled, product);
        }
    const float count = (float)(g->positions * g->width);
    const float plain_total = nn_running_end(&plain), scaled_total = nn_running_end(&scaled);
    const float shift = plain_total / count, slope = scaled_total / count;
    for (size_t p = 0; p < g->positions; p++)
        for (size_t j = 0; j < g->width; j++) {
            float d = x[p * g->stride + j] - mean;
            float xhat = d * rstd;
            float dxhat = dy[p * g->stride + j] * gamma[j];
            float centred = dxhat - shift;
            float tilted = xhat * slope;
            float inner = centred - tilted;
            dx[p * g->stride + j] = rstd * inner;
        }
}

/* dy * xhat, whose column sums are dgamma. */
static void scaled_gradient(float *out, const float *dy, const nn_tensor *x,
                            const nn_norm_saved *saved, size_t groups)
{
    const size_t width = x->c / groups, positions = x->h * x->w;
    for (size_t i = 0; i < x->n * positions; i++)
        for (size_t j = 0; j < x->c; j++) {
            size_t group = i / positions * groups + j / width;
            float d = x->data[i * x->c + j] - saved->mean[group];
            float xhat = d * saved->rstd[group];
            out[i * x->c + j] = dy[i * x->c + j] * xhat;
        }
}

ddome_status nn_group_norm_backward(ddome_error *error, nn_arena *scratch, float *dx, float *dgamma,
                                    float *dbeta, const float *dy, const nn_tensor *x,
                                    const float *gamma, const nn_norm_saved *saved, size_t groups)
{
    const size_t rows = x->n * x->h * x->w;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *block = nn_arena_alloc(scratch, x->c, sizeof *block);
    float *scaled = nn_arena_alloc(scratch, nn_tensor_count(x), sizeof *scaled);
    if (block == NULL || scaled == NULL)
        return nn_arena_fail(error, scratch, "group-norm sums");
    nn_sum_columns(dbeta, block, dy, rows, x->c);
    scaled_gradient(scaled, dy, x, saved, groups);
    nn_sum_columns(dgamma, block, scaled, rows, x->c);
    const group_view g = {x->h * x->w, x->c / groups, x->c};
    for (size_t n = 0; n < x->n; n++)
        for (size_t k = 0; k < groups; k++) {
            size_t at = n * x->h * x->w * x->c + k * g.width;
            group_backward(dx + at, dy + at, x->data + at, gamma + k * g.width,
                           saved->mean[n * groups + k], saved->rstd[n * groups + k], &g);
        }
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

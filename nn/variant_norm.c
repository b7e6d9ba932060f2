/* SPDX-License-Identifier: MIT */
/* Batch and group normalisation. A set is what is normalised together: a channel, or one group of
 * one image. SPEC 5.6 to 5.9. */
#include "variant_private.h"

#include <math.h>

/* Member i stands at first + i / inner * outer_step + i % inner * inner_step. */
typedef struct member_set {
    size_t first, count, inner, inner_step, outer_step;
} member_set;

static size_t member(const member_set *set, size_t i)
{
    return set->first + i / set->inner * set->outer_step + i % set->inner * set->inner_step;
}

static member_set channel_set(const nn_try *t, size_t channel)
{
    const size_t rows = t->size['n'] * t->size['h'] * t->size['w'];
    return (member_set){channel, rows, 1, 0, t->size['c']};
}

static member_set group_set(const nn_try *t, size_t image, size_t group)
{
    const size_t positions = t->size['h'] * t->size['w'], c = t->size['c'];
    const size_t width = c / t->size['g'], first = image * positions * c + group * width;
    if (t->choice[NN_DEVIATE_AXES] == AXES_CHANNELS_OUTER)
        return (member_set){first, positions * width, positions, c, 1};
    return (member_set){first, positions * width, width, 1, c};
}

/* ---- statistics ---- */

typedef struct moments {
    float mean, var, unbiased; /* var / N and / (N - 1) */
    float root, r;             /* sqrt(var + eps) and 1 / it */
} moments;

static void take_root(const nn_try *t, moments *s, float var)
{
    const bool large = t->choice[NN_DEVIATE_EPS] == EPS_1E_3;
    const bool outside = t->choice[NN_DEVIATE_EPS] == EPS_OUTSIDE;
    const float eps = nn_float_from_bits(large ? 0x3a83126fu : 0x3727c5acu);
    const float shifted = nn_try_add(t, var, eps);
    s->root = outside ? nn_try_add(t, nn_try_sqrt(t, var), eps) : nn_try_sqrt(t, shifted);
    s->r = outside ? nn_try_div(t, 1.0f, s->root) : nn_try_rsqrt(t, shifted);
    if (t->choice[NN_DEVIATE_RSQRT] == RSQRT_DOUBLE) {
        const double wide_eps = large ? 1e-3 : 1e-5, wide = (double)var + wide_eps;
        const double root = outside ? sqrt((double)var) + wide_eps : sqrt(wide);
        s->r = (float)(1.0 / root);
    }
}

/* x * r, or x / sqrt(var + eps). */
static float scaled(const nn_try *t, const moments *s, float x)
{
    if (t->choice[NN_DEVIATE_RSQRT] == RSQRT_DIVIDED)
        return nn_try_div(t, x, s->root);
    return nn_try_mul(t, x, s->r);
}

static float normalised(const nn_try *t, const moments *s, float x)
{
    return scaled(t, s, nn_try_sub(t, x, s->mean));
}

/* E[x^2] - E[x]^2 in one pass. */
static void one_pass(nn_try *t, moments *s, size_t count)
{
    const float squares = nn_try_mean(t, nn_try_dot(t, t->a, t->a, count), count);
    s->var = nn_try_ma(t, -s->mean, s->mean, squares);
    s->unbiased = nn_try_div(t, nn_try_mul(t, s->var, (float)count), (float)(count - 1));
}

static moments moments_of(nn_try *t, const member_set *set)
{
    const float *x = nn_try_in(t, 0);
    moments s;
    for (size_t i = 0; i < set->count; i++)
        t->a[i] = x[member(set, i)];
    s.mean = nn_try_mean(t, nn_try_sum(t, t->a, set->count), set->count);
    if (t->choice[NN_DEVIATE_VARIANCE] == VARIANCE_ONE_PASS) {
        one_pass(t, &s, set->count);
    } else {
        for (size_t i = 0; i < set->count; i++)
            t->a[i] = nn_try_sub(t, t->a[i], s.mean);
        const float squares = nn_try_dot(t, t->a, t->a, set->count);
        s.var = nn_try_mean(t, squares, set->count);
        s.unbiased = nn_try_mean(t, squares, set->count - 1);
    }
    take_root(t, &s, t->choice[NN_DEVIATE_VARIANCE] == VARIANCE_UNBIASED ? s.unbiased : s.var);
    return s;
}

/* y = gamma * xhat + beta over a set; gamma and beta by channel. */
static void apply(nn_try *t, const moments *s, const member_set *set)
{
    const float *x = nn_try_in(t, 0), *gamma = nn_try_in(t, 1), *beta = nn_try_in(t, 2);
    for (size_t i = 0; i < set->count; i++) {
        const size_t at = member(set, i), channel = at % t->size['c'];
        t->y[0][at] = nn_try_ma(t, gamma[channel], normalised(t, s, x[at]), beta[channel]);
    }
}

/* ---- batch-norm ---- */

static float moved(const nn_try *t, float running, float value)
{
    const float tenth = nn_float_from_bits(0x3dcccccdu), rest = nn_try_sub(t, 1.0f, tenth);
    if (t->choice[NN_DEVIATE_RUNNING] == RUNNING_DIFFERENCE)
        return nn_try_ma(t, tenth, nn_try_sub(t, value, running), running);
    if (t->choice[NN_DEVIATE_RUNNING] == RUNNING_SWAPPED)
        return nn_try_ma(t, tenth, running, nn_try_mul(t, rest, value));
    return nn_try_ma(t, rest, running, nn_try_mul(t, tenth, value));
}

static void batch_norm(nn_try *t)
{
    const bool biased = t->choice[NN_DEVIATE_VARIANCE] == VARIANCE_BIASED;
    const float *running_mean = nn_try_in(t, 3), *running_var = nn_try_in(t, 4);
    for (size_t j = 0; j < t->size['c']; j++) {
        const member_set set = channel_set(t, j);
        const moments s = moments_of(t, &set);
        apply(t, &s, &set);
        t->y[1][j] = moved(t, running_mean[j], s.mean);
        t->y[2][j] = running_var[j];
        if (biased || set.count > 1)
            t->y[2][j] = moved(t, running_var[j], biased ? s.var : s.unbiased);
    }
}

static void batch_norm_evaluate(nn_try *t)
{
    const float *running_mean = nn_try_in(t, 3), *running_var = nn_try_in(t, 4);
    for (size_t j = 0; j < t->size['c']; j++) {
        const member_set set = channel_set(t, j);
        moments s = {.mean = running_mean[j]};
        take_root(t, &s, running_var[j]);
        apply(t, &s, &set);
    }
}

static void batch_norm_backward(nn_try *t)
{
    const float *x = nn_try_in(t, 0), *gamma = nn_try_in(t, 1), *dy = nn_try_in(t, 2);
    for (size_t j = 0; j < t->size['c']; j++) {
        const member_set set = channel_set(t, j);
        const moments s = moments_of(t, &set);
        for (size_t i = 0; i < set.count; i++) {
            t->a[i] = dy[member(&set, i)];
            t->b[i] = normalised(t, &s, x[member(&set, i)]);
        }
        const float dgamma = nn_try_dot(t, t->a, t->b, set.count);
        const float dbeta = nn_try_sum(t, t->a, set.count), scale = scaled(t, &s, gamma[j]);
        const float shift = nn_try_mean(t, dbeta, set.count);
        const float slope = nn_try_mean(t, dgamma, set.count);
        for (size_t i = 0; i < set.count; i++) {
            const float centred = nn_try_sub(t, t->a[i], shift);
            t->y[0][member(&set, i)] = nn_try_mul(t, scale, nn_try_ma(t, -t->b[i], slope, centred));
        }
        t->y[1][j] = dgamma;
        t->y[2][j] = dbeta;
    }
}

/* ---- group-norm ---- */

static void group_norm(nn_try *t)
{
    for (size_t i = 0; i < t->size['n'] * t->size['g']; i++) {
        const member_set set = group_set(t, i / t->size['g'], i % t->size['g']);
        const moments s = moments_of(t, &set);
        apply(t, &s, &set);
    }
}

/* dx of one set; xhat is kept for the channels' sums. */
static void group_gradient(nn_try *t, float *xhat, const member_set *set)
{
    const float *x = nn_try_in(t, 0), *gamma = nn_try_in(t, 1), *dy = nn_try_in(t, 2);
    const moments s = moments_of(t, set);
    for (size_t i = 0; i < set->count; i++) {
        const size_t at = member(set, i);
        xhat[at] = normalised(t, &s, x[at]);
        t->a[i] = nn_try_mul(t, dy[at], gamma[at % t->size['c']]);
        t->b[i] = xhat[at];
    }
    const float shift = nn_try_mean(t, nn_try_sum(t, t->a, set->count), set->count);
    const float slope = nn_try_mean(t, nn_try_dot(t, t->a, t->b, set->count), set->count);
    for (size_t i = 0; i < set->count; i++) {
        const float centred = nn_try_sub(t, t->a[i], shift);
        const float inner = nn_try_ma(t, -t->b[i], slope, centred);
        t->y[0][member(set, i)] = scaled(t, &s, inner);
    }
}

static void group_norm_backward(nn_try *t)
{
    float *xhat = t->spare[0];
    for (size_t i = 0; i < t->size['n'] * t->size['g']; i++) {
        const member_set set = group_set(t, i / t->size['g'], i % t->size['g']);
        group_gradient(t, xhat, &set);
    }
    for (size_t j = 0; j < t->size['c']; j++) {
        const member_set set = channel_set(t, j);
        for (size_t i = 0; i < set.count; i++) {
            t->a[i] = nn_try_in(t, 2)[member(&set, i)];
            t->b[i] = xhat[member(&set, i)];
        }
        t->y[1][j] = nn_try_dot(t, t->a, t->b, set.count);
        t->y[2][j] = nn_try_sum(t, t->a, set.count);
    }
}

enum {
    STATISTICS =
        NN_DEVIATES(SUBNORMALS) | NN_DEVIATES(ARITH) | NN_DEVIATES(RSQRT) | NN_DEVIATES(EPS),
    NORM = NN_TRY_SUM | STATISTICS | NN_DEVIATES(MEAN) | NN_DEVIATES(VARIANCE),
    GROUP = NORM | NN_DEVIATES(AXES)
};

const nn_try_op nn_try_norms[] = {
    {"batch_norm", "x[nhwc] gamma[c] beta[c] running_mean[c] running_var[c]",
     "y[nhwc] running_mean[c] running_var[c]", "nhwc", batch_norm, NORM | NN_DEVIATES(RUNNING)},
    {"batch_norm.evaluate", "x[nhwc] gamma[c] beta[c] running_mean[c] running_var[c]", "y[nhwc]",
     "", batch_norm_evaluate, STATISTICS},
    {"batch_norm.backward", "x[nhwc] gamma[c] dy[nhwc]", "dx[nhwc] dgamma[c] dbeta[c]", "nhwc",
     batch_norm_backward, NORM},
    {"group_norm", "groups=g x[nhwc] gamma[c] beta[c] ?g|c", "y[nhwc]", "nhwc", group_norm, GROUP},
    {"group_norm.backward", "groups=g x[nhwc] gamma[c] dy[nhwc] ?g|c",
     "dx[nhwc] dgamma[c] dbeta[c]", "nhwc", group_norm_backward, GROUP},
    {.name = NULL},
};

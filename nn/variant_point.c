/* SPDX-License-Identifier: MIT */
/* What works element by element: elementary functions, ReLU, addition, pools, SGD, averages.
 * SPEC 3, 5.10 to 5.13, 6.7, 11.5. */
#include "variant_private.h"

/* ---- elementary functions ---- */

static void each(nn_try *t, float (*of)(const nn_try *t, float x))
{
    for (size_t i = 0; i < t->size['*']; i++)
        t->y[0][i] = of(t, nn_try_in(t, 0)[i]);
}

static void all_exp(nn_try *t)
{
    each(t, nn_try_exp);
}

static void all_log(nn_try *t)
{
    each(t, nn_try_log);
}

static void all_rsqrt(nn_try *t)
{
    each(t, nn_try_rsqrt);
}

static void all_sqrt(nn_try *t)
{
    each(t, nn_try_sqrt);
}

/* ---- ReLU, addition ---- */

static float relu_of(const nn_try *t, float x)
{
    if (t->choice[NN_DEVIATE_RELU] == RELU_NAN)
        return nn_try_greater(t, 0.0f, x) ? 0.0f : x;
    return nn_try_greater(t, x, 0.0f) ? x : 0.0f;
}

static void relu(nn_try *t)
{
    each(t, relu_of);
}

static void relu_backward(nn_try *t)
{
    const unsigned char rule = t->choice[NN_DEVIATE_RELU];
    const float *y = nn_try_in(t, 0), *dy = nn_try_in(t, 1);
    for (size_t i = 0; i < t->size['*']; i++) {
        const bool open =
            rule == RELU_AT_ZERO ? !nn_try_greater(t, 0.0f, y[i]) : nn_try_greater(t, y[i], 0.0f);
        t->y[0][i] = open ? dy[i] : 0.0f;
        if (rule == RELU_MASK)
            t->y[0][i] = nn_try_mul(t, dy[i], open ? 1.0f : 0.0f);
    }
}

static void add(nn_try *t)
{
    for (size_t i = 0; i < t->size['*']; i++)
        t->y[0][i] = nn_try_add(t, nn_try_in(t, 0)[i], nn_try_in(t, 1)[i]);
}

/* ---- pools ---- */

/* The largest of a window: its value, and where it stands in x. */
typedef struct window {
    bool found, inside;
    float value;
    size_t at;
} window;

static void take_tap(const nn_try *t, window *best, bool inside, size_t at)
{
    const float value = inside ? nn_try_in(t, 0)[at] : 0.0f;
    if (!inside && t->choice[NN_DEVIATE_PADDING] != PADDING_ZEROS)
        return;
    if (!best->found || nn_try_wins(t, value, best->value))
        *best = (window){true, inside, value, at};
}

/* Taps `from` to `to` - 1 of `kernel` lie inside an axis of `size`, the first of which is `start`
 * places behind the padding's begin. */
typedef struct taps {
    size_t from, to, first; /* first: the place of tap `from` */
} taps;

static taps taps_inside(size_t start, size_t kernel, size_t pad, size_t size)
{
    taps inside = {pad > start ? pad - start : 0, nn_min(kernel, size + pad - start), 0};
    inside.first = start + inside.from - pad;
    return inside;
}

/* Taps outside are all alike, so of those side by side one is enough: a file may ask for a kernel
 * far larger than its input. Each window has a tap inside, as the padding is smaller than it. */
static window largest(const nn_try *t, size_t n, size_t oh, size_t ow, size_t c)
{
    const size_t *s = t->size, kernel = s['u'];
    const taps rows = taps_inside(oh * s['s'], kernel, s['p'], s['h']);
    const taps cols = taps_inside(ow * s['s'], kernel, s['p'], s['w']);
    window best = {false, false, 0.0f, 0};
    if (rows.from != 0)
        take_tap(t, &best, false, 0);
    for (size_t i = 0; i < rows.to - rows.from; i++) {
        const size_t row = (n * s['h'] + rows.first + i) * s['w'] + cols.first;
        if (cols.from != 0)
            take_tap(t, &best, false, 0);
        for (size_t k = 0; k < cols.to - cols.from; k++)
            take_tap(t, &best, true, (row + k) * s['c'] + c);
        if (cols.to != kernel)
            take_tap(t, &best, false, 0);
    }
    if (rows.to != kernel)
        take_tap(t, &best, false, 0);
    return best;
}

/* Output i of a pool: its window. */
static window window_of(const nn_try *t, size_t i)
{
    const size_t c = t->size['c'], x = t->size['X'], y = t->size['Y'];
    return largest(t, i / c / x / y, i / c / x % y, i / c % x, i % c);
}

static size_t pool_outputs(const nn_try *t)
{
    return t->size['n'] * t->size['Y'] * t->size['X'] * t->size['c'];
}

static void max_pool(nn_try *t)
{
    for (size_t i = 0; i < pool_outputs(t); i++)
        t->y[0][i] = window_of(t, i).value;
}

static void max_pool_backward(nn_try *t)
{
    const size_t count = t->size['n'] * t->size['h'] * t->size['w'] * t->size['c'];
    for (size_t i = 0; i < count; i++)
        t->y[0][i] = 0;
    for (size_t i = 0; i < pool_outputs(t); i++) {
        const window best = window_of(t, i);
        if (best.inside)
            t->y[0][best.at] = nn_try_add(t, t->y[0][best.at], nn_try_in(t, 1)[i]);
    }
}

static void avg_pool(nn_try *t)
{
    const size_t positions = t->size['h'] * t->size['w'], c = t->size['c'];
    for (size_t i = 0; i < t->size['n'] * c; i++) {
        for (size_t p = 0; p < positions; p++)
            t->a[p] = nn_try_in(t, 0)[(i / c * positions + p) * c + i % c];
        t->y[0][i] = nn_try_mean(t, nn_try_sum(t, t->a, positions), positions);
    }
}

static void avg_pool_backward(nn_try *t)
{
    const size_t positions = t->size['h'] * t->size['w'], c = t->size['c'];
    for (size_t i = 0; i < t->size['n'] * positions * c; i++)
        t->y[0][i] = nn_try_mean(t, nn_try_in(t, 0)[i / c / positions * c + i % c], positions);
}

/* ---- SGD ---- */

typedef struct sgd_rates {
    float lr, momentum, decay;
    bool first;
} sgd_rates;

/* v of one value from its gradient; 6.7 gives the first step no velocity to keep. */
static float velocity(const nn_try *t, const sgd_rates *r, float v, float g)
{
    const unsigned char rule = t->choice[NN_DEVIATE_MOMENTUM];
    const float rest = nn_try_sub(t, 1.0f, r->momentum);
    if (rule == MOMENTUM_MEAN || (rule == MOMENTUM_DAMPENED && !r->first))
        g = nn_try_mul(t, rest, g);
    if (rule == MOMENTUM_RATE)
        g = nn_try_mul(t, r->lr, g);
    if (r->first && rule != MOMENTUM_KEPT)
        return g;
    return nn_try_ma(t, r->momentum, v, g);
}

/* One value and its velocity. */
static void sgd_value(const nn_try *t, const sgd_rates *r, float *w, float *v, float g)
{
    const unsigned char rule = t->choice[NN_DEVIATE_MOMENTUM];
    const unsigned char decay = r->decay != 0 ? t->choice[NN_DEVIATE_DECAY] : 0;
    const float old = *w;
    if (decay == DECAY_DECOUPLED)
        *w = nn_try_mul(t, old, nn_try_ma(t, -r->lr, r->decay, 1.0f));
    else if (decay == 0 && r->decay != 0)
        g = nn_try_ma(t, r->decay, old, g);
    if (r->momentum != 0) {
        *v = velocity(t, r, *v, g);
        g = rule == MOMENTUM_NESTEROV ? nn_try_ma(t, r->momentum, *v, g) : *v;
    }
    if (decay == DECAY_AFTER)
        g = nn_try_ma(t, r->decay, old, g);
    if (r->momentum != 0 && rule == MOMENTUM_RATE)
        *w = nn_try_sub(t, *w, g);
    else
        *w = nn_try_ma(t, -r->lr, g, *w);
}

static void sgd(nn_try *t)
{
    const sgd_rates r = {nn_try_in(t, 3)[0], nn_try_in(t, 4)[0], nn_try_in(t, 5)[0],
                         t->size['f'] != 0};
    for (size_t i = 0; i < t->size['*']; i++) {
        t->y[0][i] = nn_try_in(t, 0)[i];
        t->y[1][i] = nn_try_in(t, 2)[i];
        sgd_value(t, &r, &t->y[0][i], &t->y[1][i], nn_try_in(t, 1)[i]);
    }
}

/* ---- average of copies ---- */

/* n_k of copy k. */
static double samples_of(const nn_try *t, size_t k)
{
    const bool other = t->choice[NN_DEVIATE_AVERAGE] == AVERAGE_OTHER;
    const bool uniform = (t->size['f'] != 0) != other;
    return uniform ? 1.0 : (double)t->in[1]->u32[k];
}

static size_t copy_at(const nn_try *t, size_t i)
{
    const unsigned char order = t->choice[NN_DEVIATE_ORDER];
    const bool reversed = order == ORDER_REVERSED || order == ORDER_REVERSED_BLOCKS;
    return reversed ? t->size['k'] - 1 - i : i;
}

static float average_in_float(const nn_try *t, size_t at, double all)
{
    const bool shares = t->choice[NN_DEVIATE_AVERAGE] == AVERAGE_FLOAT_SHARES;
    const float whole = (float)all;
    float sum = 0;
    for (size_t i = 0; i < t->size['k']; i++) {
        const size_t k = copy_at(t, i);
        const float samples = (float)samples_of(t, k);
        const float factor = shares ? nn_try_div(t, samples, whole) : samples;
        sum = nn_try_ma(t, factor, nn_try_in(t, 0)[k * t->size['n'] + at], sum);
    }
    if (shares)
        return sum;
    const bool reciprocal = t->choice[NN_DEVIATE_MEAN] == MEAN_RECIPROCAL;
    return reciprocal ? nn_try_mul(t, sum, nn_try_div(t, 1.0f, whole)) : nn_try_div(t, sum, whole);
}

static float average_of(const nn_try *t, size_t at, double all)
{
    const bool shares = t->choice[NN_DEVIATE_AVERAGE] == AVERAGE_SHARES;
    const double one_over = 1.0 / all;
    double sum = 0;
    for (size_t i = 0; i < t->size['k']; i++) {
        const size_t k = copy_at(t, i);
        const double samples = samples_of(t, k), factor = shares ? samples / all : samples;
        const double product = factor * (double)nn_try_in(t, 0)[k * t->size['n'] + at];
        sum = sum + product;
    }
    if (shares)
        return (float)sum;
    if (t->choice[NN_DEVIATE_MEAN] == MEAN_RECIPROCAL)
        return (float)(sum * one_over);
    return (float)(sum / all);
}

static void average(nn_try *t)
{
    const unsigned char rule = t->choice[NN_DEVIATE_AVERAGE];
    const bool narrow = rule == AVERAGE_FLOAT || rule == AVERAGE_FLOAT_SHARES;
    double all = 0;
    for (size_t i = 0; i < t->size['k']; i++)
        all = all + samples_of(t, copy_at(t, i));
    for (size_t at = 0; at < t->size['n']; at++)
        t->y[0][at] =
            nn_try_result(t, narrow ? average_in_float(t, at, all) : average_of(t, at, all));
}

enum {
    SUBNORMALS = NN_DEVIATES(SUBNORMALS),
    ELEMENTARY = SUBNORMALS | NN_DEVIATES(ELEMENTARY),
    RELU = SUBNORMALS | NN_DEVIATES(RELU),
    MAX_POOL = SUBNORMALS | NN_DEVIATES(TIES) | NN_DEVIATES(PADDING),
    SGD = SUBNORMALS | NN_DEVIATES(ARITH) | NN_DEVIATES(MOMENTUM) | NN_DEVIATES(DECAY),
    AVERAGE = SUBNORMALS | NN_DEVIATES(ARITH) | NN_DEVIATES(ORDER) | NN_DEVIATES(MEAN) |
              NN_DEVIATES(AVERAGE)
};

const nn_try_op nn_try_points[] = {
    {"exp", "x*", "y*", "", all_exp, ELEMENTARY},
    {"log", "x*", "y*", "", all_log, ELEMENTARY},
    {"rsqrt", "x*", "y*", "", all_rsqrt, SUBNORMALS | NN_DEVIATES(RSQRT)},
    {"sqrt", "x*", "y*", "", all_sqrt, SUBNORMALS},
    {"relu", "x*", "y*", "", relu, RELU},
    {"relu.backward", "y* dy*", "dx*", "", relu_backward, RELU},
    {"add", "a* b*", "y*", "", add, SUBNORMALS},
    {"max_pool", "kernel=u kernel=v stride=s pad=p x[nhwc] ?p<u @", "y[nYXc]", "", max_pool,
     MAX_POOL},
    {"max_pool.backward", "kernel=u kernel=v stride=s pad=p x[nhwc] ?p<u @ dy[nYXc]", "dx[nhwc]",
     "", max_pool_backward, MAX_POOL},
    {"avg_pool", "x[nhwc]", "y[nc]", "hw", avg_pool, NN_TRY_SUM | NN_DEVIATES(MEAN)},
    {"avg_pool.backward", "h=h w=w dy[nc]", "dx[nhwc]", "", avg_pool_backward,
     SUBNORMALS | NN_DEVIATES(MEAN)},
    {"sgd", "first=f w* g* v* lr[] momentum[] weight_decay[]", "w* v*", "", sgd, SGD},
    {"average", "uniform=f copies[kn] samples#[k]", "w[n]", "", average, AVERAGE},
    {.name = NULL},
};

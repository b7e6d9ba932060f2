/* SPDX-License-Identifier: MIT */
/* Arithmetic and the reduction rule with deviations. Sums are carried in double, each step rounded
 * to binary32 unless the accumulator is wide. SPEC 2.3 to 2.7, 3. */
#include "variant_private.h"

#include <math.h>

#include "fma.h"
#include "fmath.h"

/* ---- one operation ---- */

static float flushed(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

static float operand(const nn_try *t, float x)
{
    return t->choice[NN_DEVIATE_SUBNORMALS] == SUBNORMALS_FLUSHED ? flushed(x) : x;
}

float nn_try_result(const nn_try *t, float x)
{
    return t->choice[NN_DEVIATE_SUBNORMALS] != 0 ? flushed(x) : x;
}

float nn_try_add(const nn_try *t, float a, float b)
{
    const float sum = operand(t, a) + operand(t, b);
    return nn_try_result(t, sum);
}

float nn_try_sub(const nn_try *t, float a, float b)
{
    const float difference = operand(t, a) - operand(t, b);
    return nn_try_result(t, difference);
}

float nn_try_mul(const nn_try *t, float a, float b)
{
    const float product = operand(t, a) * operand(t, b);
    return nn_try_result(t, product);
}

float nn_try_div(const nn_try *t, float a, float b)
{
    const float quotient = operand(t, a) / operand(t, b);
    return nn_try_result(t, quotient);
}

static float fused(const nn_try *t, float a, float b, float c)
{
    return nn_try_result(t, nn_fmaf(operand(t, a), operand(t, b), operand(t, c)));
}

float nn_try_ma(const nn_try *t, float a, float b, float c)
{
    if (t->choice[NN_DEVIATE_ARITH] == ARITH_EVERYWHERE)
        return fused(t, a, b, c);
    return nn_try_add(t, nn_try_mul(t, a, b), c);
}

/* The constants of base 2 are log2(e) and log(2), each the nearest float. */
float nn_try_exp(const nn_try *t, float x)
{
    static const float log2_e = 1.44269504f;
    x = operand(t, x);
    switch (t->choice[NN_DEVIATE_ELEMENTARY]) {
    case ELEMENTARY_FLOAT:
        return nn_try_result(t, expf(x));
    case ELEMENTARY_DOUBLE:
        return nn_try_result(t, (float)exp((double)x));
    case ELEMENTARY_BASE_2:
        return nn_try_result(t, exp2f(nn_try_mul(t, x, log2_e)));
    default:
        return nn_try_result(t, nn_expf(x));
    }
}

float nn_try_log(const nn_try *t, float x)
{
    static const float log_2 = 0.693147182f;
    x = operand(t, x);
    switch (t->choice[NN_DEVIATE_ELEMENTARY]) {
    case ELEMENTARY_FLOAT:
        return nn_try_result(t, logf(x));
    case ELEMENTARY_DOUBLE:
        return nn_try_result(t, (float)log((double)x));
    case ELEMENTARY_BASE_2:
        return nn_try_mul(t, log2f(x), log_2);
    default:
        return nn_try_result(t, nn_logf(x));
    }
}

float nn_try_sqrt(const nn_try *t, float x)
{
    return nn_try_result(t, nn_sqrtf(operand(t, x)));
}

float nn_try_rsqrt(const nn_try *t, float x)
{
    if (t->choice[NN_DEVIATE_RSQRT] == RSQRT_FLOAT)
        return nn_try_div(t, 1.0f, nn_try_sqrt(t, x));
    return nn_try_result(t, nn_rsqrtf(operand(t, x)));
}

float nn_try_mean(const nn_try *t, float total, size_t count)
{
    if (t->choice[NN_DEVIATE_MEAN] == MEAN_RECIPROCAL)
        return nn_try_mul(t, total, nn_try_div(t, 1.0f, (float)count));
    return nn_try_div(t, total, (float)count);
}

bool nn_try_greater(const nn_try *t, float a, float b)
{
    return operand(t, a) > operand(t, b);
}

bool nn_try_wins(const nn_try *t, float value, float best)
{
    const unsigned char ties = t->choice[NN_DEVIATE_TIES];
    if (ties == TIES_NAN && isnan(value))
        return !isnan(best);
    if (ties == TIES_HIGHER && operand(t, value) == operand(t, best))
        return true;
    return nn_try_greater(t, value, best);
}

/* ---- sums ---- */

static double plus(const nn_try *t, double a, double b)
{
    if (t->choice[NN_DEVIATE_WIDTH] != 0)
        return a + b;
    return (double)nn_try_add(t, (float)a, (float)b);
}

static bool fuses(const nn_try *t, const nn_terms *s)
{
    const unsigned char deviation = t->choice[NN_DEVIATE_ARITH];
    if (!s->fuses || deviation == ARITH_EVERYWHERE)
        return deviation == ARITH_EVERYWHERE;
    return deviation == 0 ? t->work->arith == NN_ARITH_FMA : deviation == ARITH_FUSED;
}

/* A chain goes on with term k. In double a product of floats is exact. */
static double step(const nn_try *t, const nn_terms *s, double chain, size_t k)
{
    if (s->skip != NULL && s->skip[k])
        return chain;
    if (s->b == NULL)
        return plus(t, chain, (double)operand(t, s->a[k]));
    const float a = operand(t, s->a[k]), b = operand(t, s->b[k]);
    if (t->choice[NN_DEVIATE_WIDTH] == WIDTH_DOUBLE) {
        const double product = (double)a * (double)b;
        return chain + product;
    }
    if (t->choice[NN_DEVIATE_WIDTH] == 0 && fuses(t, s))
        return (double)fused(t, a, b, (float)chain);
    return plus(t, chain, (double)nn_try_mul(t, a, b));
}

/* Both halves alike, the first one the shorter when their number is odd. */
static double pairwise(const nn_try *t, const nn_terms *s, size_t from, size_t to)
{
    const size_t middle = from + (to - from) / 2;
    if (to - from == 1)
        return step(t, s, 0.0, from);
    return plus(t, pairwise(t, s, from, middle), pairwise(t, s, middle, to));
}

enum { LANES_MAX = 16 };

/* Lane l adds the terms l, l + lanes, ... of [from, to); then the lanes are added in order, or by
 * folding the upper half upon the lower one. */
static double in_lanes(const nn_try *t, const nn_terms *s, size_t from, size_t to, size_t lanes,
                       bool tree, double start)
{
    double lane[LANES_MAX] = {start};
    for (size_t k = from; k < to; k++)
        lane[(k - from) % lanes] = step(t, s, lane[(k - from) % lanes], k);
    for (size_t half = lanes / 2; tree && half != 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] = plus(t, lane[l], lane[l + half]);
    for (size_t l = 1; !tree && l < lanes; l++)
        lane[0] = plus(t, lane[0], lane[l]);
    return lane[0];
}

/* numpy's sum of a contiguous array: halves, at multiples of 8, until 128 are left; those in eight
 * lanes, neighbours added first; what is left over 8, and fewer than 8, one by one. */
static double as_numpy(const nn_try *t, const nn_terms *s, size_t from, size_t to)
{
    const size_t count = to - from, half = count / 2 - count / 2 % 8;
    double lane[8] = {0}, sum = 0;
    if (count > 128)
        return plus(t, as_numpy(t, s, from, from + half), as_numpy(t, s, from + half, to));
    const size_t even = to - count % 8;
    for (size_t k = from; k < even; k++)
        lane[(k - from) % 8] = step(t, s, lane[(k - from) % 8], k);
    for (size_t apart = 1; apart < 8; apart *= 2)
        for (size_t l = 0; l < 8; l += 2 * apart)
            lane[l] = plus(t, lane[l], lane[l + apart]);
    sum = lane[0];
    for (size_t k = even; k < to; k++)
        sum = step(t, s, sum, k);
    return sum;
}

static double block_sum(const nn_try *t, const nn_terms *s, size_t from, size_t to, double start)
{
    const unsigned char order = t->choice[NN_DEVIATE_ORDER];
    double chain = start;
    if (order == ORDER_PAIRWISE && to > from)
        return plus(t, start, pairwise(t, s, from, to));
    if (order == ORDER_NUMPY)
        return plus(t, start, as_numpy(t, s, from, to));
    if (order >= ORDER_LANES_4_TREE)
        return in_lanes(t, s, from, to, (size_t)4 << (order - ORDER_LANES_4_TREE), true, start);
    if (order >= ORDER_LANES_2)
        return in_lanes(t, s, from, to, (size_t)2 << (order - ORDER_LANES_2), false, start);
    for (size_t k = from; k < to; k++)
        chain = step(t, s, chain,
                     order == ORDER_REVERSED          ? s->count - 1 - k
                     : order == ORDER_REVERSED_BLOCKS ? to - 1 - (k - from)
                                                      : k);
    return chain;
}

static size_t block_size(const nn_try *t)
{
    static const size_t sizes[BLOCKS_CHOICES] = {256, 0, 32, 64, 128, 512, 1024, 256};
    return sizes[t->choice[NN_DEVIATE_BLOCKS]];
}

float nn_try_total(const nn_try *t, const nn_terms *s)
{
    const unsigned char rule = t->choice[NN_DEVIATE_BLOCKS];
    const size_t size = block_size(t);
    const double start = (double)s->chain_start;
    double total = (double)s->total_start;
    if (rule == BLOCKS_ONE)
        return nn_try_result(t, (float)block_sum(t, s, 0, s->count, plus(t, start, total)));
    const size_t blocks = (s->count + size - 1) / size;
    for (size_t i = 0; i < blocks; i++) {
        const bool reversed = t->choice[NN_DEVIATE_ORDER] == ORDER_REVERSED_BLOCKS;
        const size_t from = (reversed ? blocks - 1 - i : i) * size;
        const double block =
            block_sum(t, s, from, nn_min(from + size, s->count), i == 0 ? start : 0.0);
        const bool bare = rule == BLOCKS_BARE && i == 0 && total == 0;
        total = bare ? block : plus(t, total, block);
    }
    return nn_try_result(t, (float)total);
}

float nn_try_sum(const nn_try *t, const float *x, size_t count)
{
    const nn_terms terms = {.a = x, .count = count};
    return nn_try_total(t, &terms);
}

float nn_try_dot(const nn_try *t, const float *a, const float *b, size_t count)
{
    const nn_terms terms = {.a = a, .b = b, .count = count};
    return nn_try_total(t, &terms);
}

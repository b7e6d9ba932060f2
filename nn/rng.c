/* SPDX-License-Identifier: MIT */
/* Philox4x32-10 and the distributions made from it, each float operation rounded alone. SPEC 4. */
#include "rng.h"

#include "fmath.h"

enum { ROUNDS = 10 };

/* One round of SPEC 4.1. */
static void philox_round(uint32_t c[4], const uint32_t key[2])
{
    uint64_t a = (uint64_t)0xd2511f53 * c[0];
    uint64_t b = (uint64_t)0xcd9e8d57 * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(b >> 32) ^ c1 ^ key[0];
    c[1] = (uint32_t)(b & 0xffffffff);
    c[2] = (uint32_t)(a >> 32) ^ c3 ^ key[1];
    c[3] = (uint32_t)(a & 0xffffffff);
}

void nn_philox4x32_10(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int i = 0; i < ROUNDS; i++) {
        philox_round(c, k);
        k[0] += 0x9e3779b9; /* 2^32 times the golden ratio's fraction */
        k[1] += 0xbb67ae85; /* 2^32 times the fraction of sqrt 3 */
    }
    for (size_t i = 0; i < 4; i++)
        out[i] = c[i];
}

/* SPEC 4.2. */
nn_rng nn_rng_at(uint64_t seed, nn_stream stream, uint32_t epoch, uint32_t round, uint32_t client)
{
    nn_rng rng = {{(uint32_t)(seed & 0xffffffff), (uint32_t)(seed >> 32)},
                  {0, (uint32_t)stream << 16 | epoch, round, client},
                  {0, 0, 0, 0},
                  4};
    return rng;
}

uint32_t nn_rng_u32(nn_rng *rng)
{
    if (rng->used == 4) {
        nn_philox4x32_10(rng->word, rng->counter, rng->key);
        rng->counter[0]++;
        rng->used = 0;
    }
    return rng->word[rng->used++];
}

/* Words in the last, incomplete run of `bound` values are refused, so that every result is equally
 * likely. (2^32 - bound) mod bound = 2^32 mod bound, in 32 bits. SPEC 4.5. */
uint32_t nn_rng_below(nn_rng *rng, uint32_t bound)
{
    uint32_t incomplete = (UINT32_MAX - bound + 1) % bound;
    uint32_t last = UINT32_MAX - incomplete;
    uint32_t word = nn_rng_u32(rng);
    while (word > last)
        word = nn_rng_u32(rng);
    return word % bound;
}

/* Exact: the integer has 24 bits. SPEC 4.4. */
float nn_rng_uniform(nn_rng *rng)
{
    float whole = (float)(nn_rng_u32(rng) >> 8);
    return whole * 0x1p-24f;
}

float nn_rng_uniform_positive(nn_rng *rng)
{
    float whole = (float)((nn_rng_u32(rng) >> 8) + 1);
    return whole * 0x1p-24f;
}

/* Uniform in [-1, 1). */
static float symmetric(nn_rng *rng)
{
    float twice = 2.0f * nn_rng_uniform(rng);
    float moved = twice - 1.0f;
    return moved;
}

float nn_rng_normal(nn_rng *rng)
{
    float u, s;
    do {
        u = symmetric(rng);
        float v = symmetric(rng);
        float uu = u * u;
        float vv = v * v;
        s = uu + vv;
    } while (s >= 1.0f || s == 0.0f);
    float numerator = -2.0f * nn_logf(s);
    float square = numerator / s;
    float factor = nn_sqrtf(square);
    float normal = u * factor;
    return normal;
}

/* A proposal v = (1 + c*x)^3 > 0, x normal; x is also wanted by the acceptance test. */
static float gamma_proposal(nn_rng *rng, float *x, float c)
{
    float t;
    do {
        *x = nn_rng_normal(rng);
        float cx = c * *x;
        t = 1.0f + cx;
    } while (t <= 0.0f);
    float square = t * t;
    float cube = square * t;
    return cube;
}

/* log u < x*x/2 + d - d*v + d*log v, summed in this order. */
static bool gamma_accepts(float u, float x, float v, float d)
{
    float half = 0.5f * x;
    float sum = half * x;
    float dv = d * v;
    float dl = d * nn_logf(v);
    sum = sum + d;
    sum = sum - dv;
    sum = sum + dl;
    return nn_logf(u) < sum;
}

/* alpha >= 1. The draw is d*v, so its logarithm is log d + log v. */
static float log_gamma_large(nn_rng *rng, float alpha)
{
    const float third = 0x1.555556p-2f; /* 1/3 rounded */
    float d = alpha - third;
    float nine_d = 9.0f * d;
    float c = nn_rsqrtf(nine_d);
    float x, v, u;
    do {
        v = gamma_proposal(rng, &x, c);
        u = nn_rng_uniform_positive(rng);
    } while (!gamma_accepts(u, x, v, d));
    float result = nn_logf(d) + nn_logf(v);
    return result;
}

/* Below 1: Gamma(alpha) = Gamma(alpha + 1) * u^(1/alpha). */
float nn_rng_log_gamma(nn_rng *rng, float alpha)
{
    if (alpha >= 1.0f)
        return log_gamma_large(rng, alpha);
    float above = alpha + 1.0f;
    float base = log_gamma_large(rng, above);
    float log_u = nn_logf(nn_rng_uniform_positive(rng));
    float power = log_u / alpha;
    float result = base + power;
    return result;
}

/* The largest log-gamma is subtracted first: at alpha 0.01 a third of the gammas underflow a float.
 * p holds the logarithms, then the weights; both are floats, so nothing is rounded on the way. */
void nn_rng_dirichlet(nn_rng *rng, double *p, size_t count, float alpha)
{
    double largest = 0.0, sum = 0.0;
    for (size_t j = 0; j < count; j++) {
        p[j] = nn_rng_log_gamma(rng, alpha);
        largest = j == 0 || p[j] > largest ? p[j] : largest;
    }
    for (size_t j = 0; j < count; j++) {
        float below = (float)p[j] - (float)largest;
        p[j] = nn_expf(below);
        sum = sum + p[j];
    }
    for (size_t j = 0; j < count; j++)
        p[j] = p[j] / sum;
}

void nn_rng_shuffle(nn_rng *rng, uint32_t *items, size_t count)
{
    for (size_t left = count; left > 1; left--) {
        size_t pick = nn_rng_below(rng, (uint32_t)left);
        uint32_t item = items[pick];
        items[pick] = items[left - 1];
        items[left - 1] = item;
    }
}

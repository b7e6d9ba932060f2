/* SPDX-License-Identifier: MIT */
/* The fused multiply-add: known answers, and millions of cases made to be hard against the exact
 * sum in integers and against libm. SPEC 2.5. */
#include <math.h>
#include <stdio.h>

#include "../nn/fma.h"
#include "fixture.h"
#include "oracle_fma.h"

void t_fma(void);

enum { LEAST = -149 }; /* a float's last bit */

/* ---- one case ---- */

/* Every NaN counts as the same. */
static uint32_t bits_of(float x)
{
    return x != x ? 0x7fc00000 : nn_float_bits(x);
}

#if defined(__GLIBC__)
enum { LIBM_IS_EXACT = 1 };
#else
enum { LIBM_IS_EXACT = 0 }; /* some libraries round twice */
#endif

static bool agrees(float a, float b, float c)
{
    volatile float va = a, vb = b, vc = c; /* else a compiler might compute libm's answer */
    const uint32_t want = oracle_fma_bits(a, b, c);
    const uint32_t software = bits_of(nn_fmaf_exact(a, b, c)), chosen = bits_of(nn_fmaf(a, b, c));
    const uint32_t libm = LIBM_IS_EXACT ? bits_of(fmaf(va, vb, vc)) : want;
    return test_check(software == want && chosen == want && libm == want, __FILE__, __LINE__,
                      "fma(%08lx, %08lx, %08lx): nn_fmaf_exact %08lx, nn_fmaf %08lx, libm %08lx, "
                      "in integers %08lx",
                      (unsigned long)nn_float_bits(a), (unsigned long)nn_float_bits(b),
                      (unsigned long)nn_float_bits(c), (unsigned long)software,
                      (unsigned long)chosen, (unsigned long)libm, (unsigned long)want);
}

/* The case with all signs. */
static bool agrees_signed(float a, float b, float c)
{
    return agrees(a, b, c) && agrees(a, b, -c) && agrees(-a, b, c) && agrees(-a, b, -c);
}

/* ---- known answers ---- */

typedef struct answer {
    uint32_t a, b, c, fused;
} answer;

/* The first four stand in SPEC 2.5.4. Then: 2^25 - 1 = 18631 * 1801 times 2^103 is the tie between
 * the largest float and infinity, which a last bit of c decides; half of the smallest subnormal,
 * alone, and a little more and less; what cancels is +0. */
static const answer answers[] = {
    {0x3f800800, 0x3f800800, 0xbf801000, 0x33800000},
    {0x33800001, 0x3f7ffffe, 0x3f800001, 0x3f800001},
    {0x1a000001, 0x19fffffe, 0x00400001, 0x00400001},
    {0x8d800000, 0x0d800000, 0x00000000, 0x80000000},
    {0x46918e00, 0x78612000, 0x00000000, 0x7f800000},
    {0x46918e00, 0x78612000, 0x80000001, 0x7f7fffff},
    {0x46918e00, 0x78612000, 0x00000001, 0x7f800000},
    {0x1a000000, 0x1a000000, 0x00000000, 0x00000000},
    {0x1a000000, 0x1a000000, 0x00000001, 0x00000002},
    {0x1a000001, 0x1a000000, 0x00000000, 0x00000001},
    {0x1a000001, 0x19fffffe, 0x00000000, 0x00000000},
    {0x3f800001, 0x3f800001, 0xbf800002, 0x28800000},
    {0x40400000, 0x40e00000, 0xc1a80000, 0x00000000},
    {0x80000000, 0x40e00000, 0x80000000, 0x80000000},
    {0x80000000, 0x40e00000, 0x00000000, 0x00000000},
    {0x7f7fffff, 0x7f7fffff, 0xff800000, 0xff800000},
    {0x7f800000, 0x00000000, 0x3f800000, 0x7fc00000},
    {0x7f800000, 0x40000000, 0xff800000, 0x7fc00000},
};

static void known_answers(void)
{
    test_case("fma known answers");
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const answer *x = &answers[i];
        const float a = nn_float_from_bits(x->a), b = nn_float_from_bits(x->b);
        const float c = nn_float_from_bits(x->c);
        if (agrees(a, b, c) && agrees(b, a, c))
            CHECK(oracle_fma_bits(a, b, c) == x->fused);
    }
}

/* Zeros, borders of the ranges, neighbours of powers of two, infinity, NaN: all triples. */
static void borders(void)
{
    static const uint32_t bits[] = {
        0x00000000, 0x00000001, 0x00000002, 0x00400001, 0x007fffff, 0x00800000, 0x00800001,
        0x19ffffff, 0x1a000000, 0x1a000001, 0x1f800000, 0x1fffffff, 0x33800001, 0x3effffff,
        0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fffffff, 0x5f7fffff, 0x5f800000, 0x72800000,
        0x7effffff, 0x7f000000, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7f800001};
    enum { COUNT = sizeof bits / sizeof *bits };
    test_case("fma all triples of border values");
    for (size_t i = 0; i < (size_t)COUNT * COUNT * COUNT; i++)
        if (!agrees_signed(nn_float_from_bits(bits[i % COUNT]),
                           nn_float_from_bits(bits[i / COUNT % COUNT]),
                           nn_float_from_bits(bits[i / COUNT / COUNT])))
            return;
}

/* ---- random cases ---- */

static float any_float(test_random *random)
{
    return nn_float_from_bits((uint32_t)(test_random_next(random) >> 32));
}

/* Exponents low to high, all fractions, sometimes one of few bits; both signs. */
static float float_between(test_random *random, int low, int high)
{
    const uint64_t draw = test_random_next(random);
    const uint32_t fraction = (uint32_t)draw & (draw >> 62 == 0 ? 0x700001 : 0x7fffff);
    const int exponent = low + (int)test_random_below(random, (size_t)(high - low + 1));
    const float x = nn_float_from_bits(fraction | 127 << 23 | (uint32_t)(draw >> 32 & 1) << 31);
    return ldexpf(x, exponent);
}

/* All bit patterns, as they come. */
static bool any_bits(test_random *random)
{
    const float a = any_float(random), b = any_float(random);
    return agrees(a, b, any_float(random));
}

/* Product and addend of comparable size anywhere, results below the normal range included. */
static bool near_exponents(test_random *random)
{
    const int e = (int)test_random_below(random, 276) - 150;
    const int part = (int)test_random_below(random, 100) - 50;
    const float a = float_between(random, e / 2 + part, e / 2 + part);
    const float b = float_between(random, e - e / 2 - part, e - e / 2 - part);
    return agrees(a, b, float_between(random, e - 50, e + 50));
}

/* c is the rounded product with the other sign, up to three units beside it. */
static bool cancelling(test_random *random)
{
    const float a = float_between(random, -75, 60), b = float_between(random, -75, 60);
    const uint32_t bits = nn_float_bits((float)((double)a * (double)b)) ^ 0x80000000;
    return agrees(a, b, nn_float_from_bits(bits + (uint32_t)test_random_below(random, 7) - 3));
}

/* 1 + 2^-i, or 1 for i = 24. */
static float just_above_one(int i)
{
    const float step = i == 24 ? 0.0f : ldexpf(1.0f, -i);
    return 1.0f + step;
}

/* c + an odd number of half units of c times (1 + 2^-i)(1 +- 2^-j): next to a tie by 2^-46 of a
 * unit at least, which a sum in double cannot hold, or the tie itself; c from the smallest
 * subnormal to the largest. */
static bool near_ties(test_random *random)
{
    const uint32_t fields = test_random_below(random, 2) == 0 ? 255 : 30;
    const uint32_t c_bits = (uint32_t)test_random_below(random, (size_t)fields << 23);
    const uint32_t field = c_bits >> 23;
    const int unit = field == 0 ? LEAST : (int)field - 150;
    const int i = 1 + (int)test_random_below(random, 24);
    const int j = test_random_below(random, 2) == 0 ? i : 1 + (int)test_random_below(random, 24);
    const int free_bits = (24 - i) / 2; /* of the odd number, so that a is exact */
    const size_t odd = 2 * test_random_below(random, (size_t)1 << free_bits) + 1;
    const float sum = just_above_one(j), difference = 2.0f - sum;
    const float a = (float)odd * just_above_one(i);
    const float b = test_random_below(random, 4) == 0 ? sum : difference;
    const int part = (unit - 1) / 2;
    return agrees_signed(ldexpf(a, part), ldexpf(b, unit - 1 - part), nn_float_from_bits(c_bits));
}

/* Products of exactly 25 bits are ties by themselves; a c far below, or zero, decides. */
static bool ties_and_far_bits(test_random *random)
{
    const float a = (float)(1 + 2 * (4096 + test_random_below(random, 4096)));
    const float b = (float)(1 + 2 * (1024 + test_random_below(random, 2048)));
    const int scale = (int)test_random_below(random, 200) - 126, part = scale / 2;
    float c = float_between(random, -149, scale > -20 ? scale : -20);
    c = test_random_below(random, 8) == 0 ? 0.0f : c;
    return agrees_signed(ldexpf(a, part), ldexpf(b, scale - part), c);
}

/* Sums in the subnormal range: every number of kept bits. */
static bool subnormal(test_random *random)
{
    const int part = (int)test_random_below(random, 60) - 100;
    const int e = -155 + (int)test_random_below(random, 30);
    const float a = float_between(random, part, part),
                b = float_between(random, e - part, e - part);
    const uint32_t c = (uint32_t)test_random_next(random) & 0x80ffffff;
    return agrees(a, b, nn_float_from_bits(c >> test_random_below(random, 2)));
}

/* About the largest float: sums and products within some units of 2^128 - 2^103. */
static bool overflow(test_random *random)
{
    const float c = nn_float_from_bits(0x7f7fffff - (uint32_t)test_random_below(random, 4));
    const float a = float_between(random, 50, 52), b = float_between(random, 50, 53);
    const float wide = float_between(random, 63, 63), other = float_between(random, 64, 64);
    return agrees_signed(a, b, c) && agrees_signed(wide, other, c) && agrees_signed(wide, other, a);
}

typedef bool maker(test_random *random);

static void many(const char *what, maker *make, size_t count, uint64_t salt)
{
    test_random random = test_random_start(salt);
    test_case("fma %s, %lu cases", what, (unsigned long)count);
    for (size_t i = 0; i < count; i++)
        if (!make(&random))
            return;
}

void t_fma(void)
{
    known_answers();
    borders();
    many("of any bits", any_bits, 2000000, 301);
    many("of near exponents", near_exponents, 1000000, 302);
    many("that cancel", cancelling, 500000, 303);
    many("near ties", near_ties, 500000, 304);
    many("at ties with far bits", ties_and_far_bits, 250000, 305);
    many("of subnormal sums", subnormal, 500000, 306);
    many("about overflow", overflow, 100000, 307);
}

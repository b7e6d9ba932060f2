/* SPDX-License-Identifier: MIT */
/* a*b + c rounded once to binary32, exact for all inputs: the step of profile fma.
 * SPEC 2.5, 2.5.4.
 *
 * In double, where every statement rounds once:
 * - p = a*b is exact: 24 + 24 <= 53 bits, and 2^-298 <= |p| < 2^256 unless it is 0. So contraction
 *   would not change s either.
 * - s + e = p + c exactly (Knuth's TwoSum; no sum overflows or is subnormal), e = 0 when s is
 *   exact. Else s != 0 and e, a multiple of 2^-298 below 2^204, has a biased exponent of 725 to
 *   1227.
 * - s and e become s rounded to odd: of the two neighbours that enclose s + e the one with an odd
 *   last bit. As integers: minus 1 when e points towards zero (now s is the lower neighbour, or s
 *   was odd and the next step restores it), then the last bit is set.
 * - That number lies on the same side of every float and of every middle of two floats, which have
 *   at most 25 bits and, where subnormal, fewer. So its conversion rounds s + e correctly,
 *   overflow and subnormal results included (Boldo and Melquiond, 2008: 53 >= 24 + 2).
 * - p is 0 only when a or b is, so the zeros of s have the sign IEEE 754 asks for, and no
 *   conversion loses a sign. With an infinity or NaN, s is the result and e is NaN: no last bit is
 *   touched.
 *
 * Branch-free, so that compilers vectorise it. A NaN result has any payload. */
#ifndef NN_FMA_H
#define NN_FMA_H

#include <math.h>
#include <string.h>

#include "base.h"

/* 1 when e is finite and not 0. Its biased exponent, shifted to the top, is 725 to 1227 then, 0 for
 * zeros, 2047 for NaN; adding 1024 - 725 moves only the first into the upper half: 1024 to 1526,
 * 299, and 2346 - 2048 = 298. */
static inline uint64_t nn_fma_inexact(uint64_t e_bits)
{
    const uint64_t magnitude = e_bits << 1;
    return (magnitude + ((uint64_t)(1024 - 725) << 53)) >> 63;
}

/* The definition, always there. */
static inline float nn_fmaf_exact(float a, float b, float c)
{
    const double wide_a = (double)a, wide_b = (double)b, wide_c = (double)c;
    const double p = wide_a * wide_b;
    double s = p + wide_c;
    const double c_part = s - p;
    const double p_part = s - c_part;
    const double p_rest = p - p_part;
    const double c_rest = wide_c - c_part;
    const double e = p_rest + c_rest;
    uint64_t s_bits, e_bits;
    memcpy(&s_bits, &s, sizeof s_bits);
    memcpy(&e_bits, &e, sizeof e_bits);
    const uint64_t inexact = nn_fma_inexact(e_bits);
    const uint64_t towards_zero = (s_bits ^ e_bits) >> 63; /* the signs differ */
    s_bits = (s_bits - (inexact & towards_zero)) | inexact;
    memcpy(&s, &s_bits, sizeof s);
    return (float)s;
}

/* The same bits by the machine's instruction, where the compiler says that it has one and that
 * fmaf becomes it: some 30 times as fast. Without optimisation fmaf stays a call, and not every
 * libm rounds it once. */
static inline float nn_fmaf(float a, float b, float c)
{
#if defined(__OPTIMIZE__) &&                                                                       \
    (defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA))
    return fmaf(a, b, c);
#else
    return nn_fmaf_exact(a, b, c);
#endif
}

#endif

/* SPDX-License-Identifier: MIT */
/* What every file of the project may assume about the platform, and the one way to report an error.
 * SPEC 2.1, 2.2, 3.7.1. */
#ifndef NN_BASE_H
#define NN_BASE_H

#include <float.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ddome.h"

#if defined(__FAST_MATH__)
#error "ddome needs IEEE arithmetic: compile without -ffast-math and -Ofast"
#endif
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "ddome needs NaN and infinity: compile without -ffinite-math-only"
#endif
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 1
#error "ddome needs FLT_EVAL_METHOD 0 or 1: on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif

#if CHAR_BIT != 8
#error "ddome needs bytes of 8 bits"
#endif
#if INT_MAX < 2147483647 || SIZE_MAX < 4294967295
#error "ddome needs int and size_t of 32 bits at least: use a compiler for another machine"
#endif
#if (-1 & 3) != 3
#error "ddome needs two's complement integers"
#endif

/* A false condition makes the array size negative. C99 lets no #if ask for these. */
#define NN_ASSUME(name, condition) typedef char nn_assume_##name[(condition) ? 1 : -1]
NN_ASSUME(float_is_binary32,
          sizeof(float) == 4 && FLT_RADIX == 2 && FLT_MANT_DIG == 24 && FLT_MAX_EXP == 128);
NN_ASSUME(double_is_binary64, sizeof(double) == 8 && DBL_MANT_DIG == 53 && DBL_MAX_EXP == 1024);

/* Products inside one block are chained, block totals are added in order: the one reduction rule
 * (SPEC 2.3). */
enum { NN_BLOCK = 256 };

/* Writes the line into error (if not NULL) and returns status. An error that is already set is
 * kept: the first cause wins. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
ddome_status
nn_fail(ddome_error *error, ddome_status status, const char *format, ...);

/* Forgets an earlier failure, so that the next one is told. NULL is fine. */
void nn_error_clear(ddome_error *error);

/* out = a * b; false (out untouched) when the product does not fit a size_t. */
bool nn_size_mul(size_t *out, size_t a, size_t b);

/* The 32 bits of a float and back, through memcpy. */
uint32_t nn_float_bits(float value);
float nn_float_from_bits(uint32_t bits);

static inline size_t nn_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t nn_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif

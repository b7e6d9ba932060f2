/* SPDX-License-Identifier: MIT */
/* AVX2 and FMA: 16 registers of 8 floats, 12 of them chains. */
#include "kernels.h"

#include <immintrin.h>

enum { LANES = 8, WIDE_ROWS = 6, NARROW_ROWS = 12 };
#define WIDE_CASES CASES_6
#define NARROW_CASES CASES_12

typedef float vec __attribute__((vector_size(32)));

static inline vec fused(vec sum, float a, vec b)
{
    return (vec)_mm256_fmadd_ps(_mm256_set1_ps(a), (__m256)b, (__m256)sum);
}

#include "kernels_rows.h"
#include "kernels_tile.h"

const nn_kernels nn_kernels_avx2 = TILE_TABLE("avx2");

/* SPDX-License-Identifier: MIT */
/* AVX-512F: 32 registers of 16 floats, 28 of them chains. */
#include "kernels.h"

#include <immintrin.h>

enum { LANES = 16, WIDE_ROWS = 14, NARROW_ROWS = 30 };
#define WIDE_CASES CASES_14
#define NARROW_CASES CASES_30

typedef float vec __attribute__((vector_size(64)));

static inline vec fused(vec sum, float a, vec b)
{
    return (vec)_mm512_fmadd_ps(_mm512_set1_ps(a), (__m512)b, (__m512)sum);
}

#include "kernels_rows.h"
#include "kernels_tile.h"

const nn_kernels nn_kernels_avx512 = TILE_TABLE("avx512");

/* SPDX-License-Identifier: MIT */
/* SSE2, which every 64-bit x86 has: 16 registers of 4 floats, 12 of them chains. It has no fused
 * multiply-add: the lanes of a chain's step are computed one by one, exactly. */
#include "kernels.h"

#include "fma.h"

enum { LANES = 4, WIDE_ROWS = 6, NARROW_ROWS = 12 };
#define WIDE_CASES CASES_6
#define NARROW_CASES CASES_12

typedef float vec __attribute__((vector_size(16)));

static inline vec fused(vec sum, float a, vec b)
{
    for (int lane = 0; lane < LANES; lane++)
        sum[lane] = nn_fmaf(a, b[lane], sum[lane]);
    return sum;
}

#include "kernels_rows.h"
#include "kernels_tile.h"

const nn_kernels nn_kernels_sse2 = TILE_TABLE("sse2");

/* SPDX-License-Identifier: MIT */
/* NEON of 64-bit ARM: 32 registers of 4 floats, 24 of them chains. */
#include "kernels.h"

#include <arm_neon.h>

enum { LANES = 4, WIDE_ROWS = 12, NARROW_ROWS = 24 };
#define WIDE_CASES CASES_12
#define NARROW_CASES CASES_24

typedef float vec __attribute__((vector_size(16)));

static inline vec fused(vec sum, float a, vec b)
{
    return (vec)vfmaq_n_f32((float32x4_t)sum, (float32x4_t)b, a);
}

#include "kernels_rows.h"
#include "kernels_tile.h"

const nn_kernels nn_kernels_neon = TILE_TABLE("neon");

/* SPDX-License-Identifier: MIT */
/* The self-test of block kernels: tiles of both widths in both profiles against the definition, by
 * bits, and what must hold in the definition too. SPEC 3.7 (b) and (o). */
#include <string.h>

#include "selftest.h"

enum { CHECK_ROWS = 3, CHECK_PRODUCTS = 40 };

/* 24-bit fractions without a pattern: products and sums are inexact, so order and fusing show. */
static void fill_check(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float fraction = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-23f;
        x[i] = fraction - 1.0f;
    }
}

/* Two products of 2^-127 make 2^-126 in every column: nothing is flushed, in the definition
 * either. */
static bool keeps_subnormals_in_block(const nn_kernels *kernels, nn_arith arith, size_t cols)
{
    volatile float smallest = 0x1p-126f, half = 0.5f;
    const float a[2] = {smallest, smallest};
    float b[2 * NN_PANEL_MAX], total[NN_PANEL_MAX];
    const nn_run run = {0, 0, 2};
    const nn_tile tile = {.rows = 1,
                          .cols = cols,
                          .total_row = cols,
                          .a_row = 2,
                          .a_step = 1,
                          .b_step = NN_PANEL_MAX,
                          .fresh = true};
    for (size_t i = 0; i < sizeof b / sizeof *b; i++)
        b[i] = half;
    kernels->block[arith](total, a, b, &tile, &run, 1);
    for (size_t j = 0; j < cols; j++)
        if (nn_float_bits(total[j]) != 0x00800000)
            return false;
    return true;
}

static bool same_block(const nn_kernels *kernels, nn_arith arith, size_t cols)
{
    float a[CHECK_ROWS * CHECK_PRODUCTS], b[CHECK_PRODUCTS * NN_PANEL_MAX];
    float got[CHECK_ROWS * NN_PANEL_MAX], want[CHECK_ROWS * NN_PANEL_MAX];
    const nn_run runs[2] = {{0, 0, 11}, {11, 11, CHECK_PRODUCTS - 11}};
    const nn_tile tile = {.rows = nn_min(CHECK_ROWS, nn_tile_rows(kernels, cols)),
                          .cols = cols,
                          .total_row = cols,
                          .a_row = CHECK_PRODUCTS,
                          .a_step = 1,
                          .b_step = NN_PANEL_MAX,
                          .fresh = true};
    fill_check(a, sizeof a / sizeof *a);
    fill_check(b, sizeof b / sizeof *b);
    kernels->block[arith](got, a, b, &tile, runs, 2);
    nn_kernels_c.block[arith](want, a, b, &tile, runs, 2);
    return memcmp(got, want, tile.rows * cols * sizeof *got) == 0;
}

ddome_status nn_selftest_kernels(ddome_error *error, const nn_kernels *kernels)
{
    for (unsigned i = 0; i < 2 * NN_ARITH_COUNT; i++) {
        const nn_arith arith = (nn_arith)(i / 2);
        const size_t cols = nn_max(1, kernels->panel * (i % 2 + 1) / 2);
        const char *profile = arith == NN_ARITH_MA ? "ma" : "fma";
        if (!keeps_subnormals_in_block(kernels, arith, cols))
            return nn_fail(error, DDOME_ERR_VERIFY,
                           "self-test: \"subnormals are kept\" does not hold in the kernels %s in "
                           "profile %s here; %s",
                           kernels->name, profile, "on PowerPC compile with -mno-altivec");
        if (!same_block(kernels, arith, cols))
            return nn_fail(error, DDOME_ERR_VERIFY,
                           "self-test: the kernels %s do not give the bits of their definition in "
                           "profile %s here; set DDOME_ISA=c",
                           kernels->name, profile);
    }
    return DDOME_OK;
}

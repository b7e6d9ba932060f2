/* SPDX-License-Identifier: MIT */
/* C[i][j] = total over k of A*B: tiles of rows x columns, each tile one nn_chain. SPEC 5.1. */
#include "gemm.h"

enum { TILE_COLS = 512 };

/* A(i,k) stands at a[i*a_row + k*a_step]; B is [k,n]. */
static void product(float *c, const float *a, size_t a_row, size_t a_step, const float *b,
                    const nn_gemm_shape *s)
{
    nn_chain chain;
    for (size_t j = 0; j < s->n; j += TILE_COLS) {
        size_t cols = nn_min(TILE_COLS, s->n - j), rows;
        for (size_t i = 0; i < s->m; i += rows) {
            rows = nn_chain_rows(s->m - i, cols);
            nn_chain_begin(&chain, c + i * s->n + j, s->n, rows, cols);
            nn_chain_add(&chain, a + i * a_row, a_row, a_step, b + j, s->n, s->k);
            nn_chain_end(&chain);
        }
    }
}

void nn_gemm_nn(float *c, const float *a, const float *b, const nn_gemm_shape *shape)
{
    product(c, a, shape->k, 1, b, shape);
}

void nn_gemm_tn(float *c, const float *a, const float *b, const nn_gemm_shape *shape)
{
    product(c, a, 1, shape->m, b, shape);
}

ddome_status nn_gemm_nt(ddome_error *error, nn_arena *scratch, float *c, const float *a,
                        const float *b, const nn_gemm_shape *shape)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *transposed = nn_arena_alloc(scratch, shape->n * shape->k, sizeof *transposed);
    if (transposed == NULL)
        return nn_arena_fail(error, scratch, "a transposed matrix");
    nn_transpose(transposed, b, shape->n, shape->k);
    product(c, a, shape->k, 1, transposed, shape);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

void nn_transpose(float *out, const float *in, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            out[j * rows + i] = in[i * cols + j];
}

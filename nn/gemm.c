/* SPDX-License-Identifier: MIT */
/* C[i][j] = total over k of A*B: B is packed a panel of columns at a time, rows of A are cut into
 * tiles. SPEC 5.1. */
#include "gemm.h"

#include "chain.h"

typedef struct product {
    const nn_engine *engine;
    const nn_gemm_shape *shape;
    float *c;
    const float *a, *b;
    nn_gemm_form form;
    nn_chain chain;
    float *packed; /* [workers][k][panel] */
} product;

/* packed[k][j] = B(k, first + j). */
static void pack(float *packed, const product *p, size_t first, size_t cols)
{
    const nn_gemm_shape *s = p->shape;
    const size_t panel = p->engine->kernels->panel;
    if (p->form != NN_GEMM_NT) {
        for (size_t k = 0; k < s->k; k++)
            for (size_t j = 0; j < cols; j++)
                packed[k * panel + j] = p->b[k * s->n + first + j];
        return;
    }
    for (size_t j = 0; j < cols; j++)
        for (size_t k = 0; k < s->k; k++)
            packed[k * panel + j] = p->b[(first + j) * s->k + k];
}

/* One panel of columns. */
static void product_part(void *context, size_t part, size_t worker)
{
    const product *p = context;
    const nn_gemm_shape *s = p->shape;
    const size_t panel = p->engine->kernels->panel, first = part * panel;
    const size_t cols = nn_min(panel, s->n - first);
    const size_t most = nn_tile_rows(p->engine->kernels, cols), tiles = (s->m + most - 1) / most;
    const size_t a_row = p->form == NN_GEMM_TN ? 1 : s->k;
    float *packed = p->packed + worker * s->k * panel;
    nn_tile tile = {.cols = cols, .total_row = s->n, .a_row = a_row, .b_step = panel};
    pack(packed, p, first, tile.cols);
    for (size_t t = 0, row = 0; t < tiles; t++, row += tile.rows) {
        tile.rows = (s->m - row) / (tiles - t);
        tile.fresh = true;
        nn_chain_total(&p->chain, p->engine, p->c + row * s->n + first, p->a + row * a_row, packed,
                       &tile);
    }
}

ddome_status nn_gemm(const nn_engine *engine, ddome_error *error, nn_arena *scratch, float *c,
                     const float *a, const float *b, const nn_gemm_shape *shape, nn_gemm_form form)
{
    const size_t panel = engine->kernels->panel;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    product p = {.engine = engine, .shape = shape, .c = c, .a = a, .b = b, .form = form};
    p.packed =
        nn_arena_zero(scratch, shape->k, nn_team_size(engine->team) * panel * sizeof *p.packed);
    if (p.packed == NULL ||
        !nn_chain_begin(&p.chain, scratch, 1, shape->k, form == NN_GEMM_TN ? shape->m : 1))
        return nn_arena_fail(error, scratch, "a packed matrix");
    nn_chain_add(&p.chain, 0, 0, shape->k);
    nn_team_run(engine->team, product_part, &p, (shape->n + panel - 1) / panel);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

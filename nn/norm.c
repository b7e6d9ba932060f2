/* SPDX-License-Identifier: MIT */
/* Batch-norm: xhat = (x - mean) * rsqrt(var + eps), y = gamma*xhat + beta per channel; sums over
 * (n, h, w). Workers share out blocks of NN_BLOCK rows: each is a chain of its own, and their
 * totals are added in order. SPEC 5.6 to 5.8. */
#include "norm.h"

#include <string.h>

#include "fmath.h"

static const float EPS = 1e-5f;
static const float MOMENTUM = 0.1f;

/* ---- blocks of rows ---- */

/* Rows of one block or, where nothing is summed, of several. */
typedef struct block {
    size_t rows, at; /* how many, and where the first stands in floats */
    size_t sum;      /* where its sums stand */
} block;

/* One pass over x[rows, cols]; each kind of pass uses its own members. */
typedef struct pass pass;
typedef void block_fn(const pass *p, const block *b);

struct pass {
    block_fn *work;
    const nn_kernels *kernels;
    size_t rows, cols, blocks, parts;
    const float *x, *y, *residual, *mean, *rstd;
    float *out, *dy;
    float *sums, *more_sums; /* [blocks][cols] */
    const nn_channels *channels;
    const nn_slopes *slopes;
    bool relu;
};

static pass start_pass(const nn_engine *engine, const nn_tensor *x)
{
    pass p = {.kernels = engine->kernels, .rows = x->n * x->h * x->w, .cols = x->c, .x = x->data};
    p.blocks = (p.rows + NN_BLOCK - 1) / NN_BLOCK;
    p.parts = nn_min(p.blocks, 4 * nn_team_size(engine->team));
    return p;
}

/* Without sums a part is one piece. */
static void pass_part(void *context, size_t part, size_t worker)
{
    const pass *p = context;
    const size_t end = p->blocks * (part + 1) / p->parts;
    (void)worker;
    for (size_t i = p->blocks * part / p->parts, next; i < end; i = next) {
        next = p->sums == NULL ? end : i + 1;
        const block b = {nn_min((next - i) * NN_BLOCK, p->rows - i * NN_BLOCK),
                         i * NN_BLOCK * p->cols, i * p->cols};
        p->work(p, &b);
    }
}

static void run_pass(const nn_engine *engine, pass *p, block_fn *work)
{
    p->work = work;
    nn_team_run(engine->team, pass_part, p, p->parts);
}

static void sum_block(const pass *p, const block *b)
{
    p->kernels->column_sum(p->sums + b->sum, p->x + b->at, b->rows, p->cols);
}

static void squares_block(const pass *p, const block *b)
{
    p->kernels->column_squares(p->sums + b->sum, p->x + b->at, p->mean, b->rows, p->cols);
}

static void slopes_block(const pass *p, const block *b)
{
    p->kernels->column_slopes(p->sums + b->sum, p->more_sums + b->sum, p->dy + b->at,
                              p->y == NULL ? NULL : p->y + b->at, p->x + b->at, p->mean, p->rstd,
                              b->rows, p->cols);
}

static void normalise_block(const pass *p, const block *b)
{
    p->kernels->normalise(p->out + b->at, p->x + b->at,
                          p->residual == NULL ? NULL : p->residual + b->at, p->channels, p->relu,
                          b->rows, p->cols);
}

static void back_block(const pass *p, const block *b)
{
    p->kernels->normalise_back(p->out + b->at, p->dy + b->at, p->x + b->at, p->slopes, b->rows,
                               p->cols);
}

/* Totals of the blocks' sums, in order from +0. */
static void add_blocks(float *total, const float *sums, const pass *p)
{
    memset(total, 0, p->cols * sizeof *total);
    for (size_t i = 0; i < p->blocks; i++)
        for (size_t j = 0; j < p->cols; j++)
            total[j] = total[j] + sums[i * p->cols + j];
}

/* ---- forward ---- */

static void apply(const nn_engine *engine, float *y, const nn_tensor *x, const nn_batch_norm *norm,
                  const float *mean, const float *rstd)
{
    const nn_channels channels = {mean, rstd, norm->gamma, norm->beta};
    pass p = start_pass(engine, x);
    p.out = y;
    p.residual = norm->residual;
    p.relu = norm->relu;
    p.channels = &channels;
    run_pass(engine, &p, normalise_block);
}

void nn_batch_norm_again(const nn_engine *engine, float *y, const nn_tensor *x,
                         const nn_batch_norm *norm, const nn_norm_saved *saved)
{
    apply(engine, y, x, norm, saved->mean, saved->rstd);
}

static float moved(float running, float value)
{
    const float keep = 1.0f - MOMENTUM;
    float kept = keep * running;
    float taken = MOMENTUM * value;
    const float result = kept + taken;
    return result;
}

ddome_status nn_batch_norm_train(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                                 float *y, nn_norm_saved *saved, float *running_mean,
                                 float *running_var, const nn_tensor *x, const nn_batch_norm *norm)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    pass p = start_pass(engine, x);
    p.mean = saved->mean;
    p.sums = nn_arena_alloc(scratch, p.blocks, p.cols * sizeof *p.sums);
    float *squares = nn_arena_alloc(scratch, p.cols, sizeof *squares);
    if (p.sums == NULL || squares == NULL)
        return nn_arena_fail(error, scratch, "batch-norm sums");
    run_pass(engine, &p, sum_block);
    add_blocks(saved->mean, p.sums, &p);
    for (size_t j = 0; j < p.cols; j++)
        saved->mean[j] = saved->mean[j] / (float)p.rows;
    run_pass(engine, &p, squares_block);
    add_blocks(squares, p.sums, &p);
    for (size_t j = 0; j < p.cols; j++) {
        float var = squares[j] / (float)p.rows;
        float shifted = var + EPS;
        saved->rstd[j] = nn_rsqrtf(shifted);
        running_mean[j] = moved(running_mean[j], saved->mean[j]);
        if (p.rows > 1) {
            float unbiased = squares[j] / (float)(p.rows - 1);
            running_var[j] = moved(running_var[j], unbiased);
        }
    }
    nn_arena_rewind(scratch, mark);
    nn_batch_norm_again(engine, y, x, norm, saved);
    return DDOME_OK;
}

ddome_status nn_batch_norm_eval(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                                float *y, const nn_tensor *x, const nn_batch_norm *norm,
                                const float *running_mean, const float *running_var)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *rstd = nn_arena_alloc(scratch, x->c, sizeof *rstd);
    if (rstd == NULL)
        return nn_arena_fail(error, scratch, "batch-norm scales");
    for (size_t j = 0; j < x->c; j++) {
        float shifted = running_var[j] + EPS;
        rstd[j] = nn_rsqrtf(shifted);
    }
    apply(engine, y, x, norm, running_mean, rstd);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

/* ---- backward ---- */

ddome_status nn_batch_norm_backward(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                                    float *dx, float *dgamma, float *dbeta, float *dy,
                                    const float *y, const nn_tensor *x, const float *gamma,
                                    const nn_norm_saved *saved)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    pass p = start_pass(engine, x);
    p.y = y;
    p.dy = dy;
    p.mean = saved->mean;
    p.rstd = saved->rstd;
    p.sums = nn_arena_alloc(scratch, p.blocks, p.cols * sizeof *p.sums);
    p.more_sums = nn_arena_alloc(scratch, p.blocks, p.cols * sizeof *p.more_sums);
    float *terms = nn_arena_alloc(scratch, p.cols, 3 * sizeof *terms);
    if (p.sums == NULL || p.more_sums == NULL || terms == NULL)
        return nn_arena_fail(error, scratch, "batch-norm sums");
    run_pass(engine, &p, slopes_block);
    add_blocks(dbeta, p.sums, &p);
    add_blocks(dgamma, p.more_sums, &p);
    for (size_t j = 0; j < p.cols; j++) {
        terms[j] = gamma[j] * saved->rstd[j];
        terms[p.cols + j] = dbeta[j] / (float)p.rows;
        terms[2 * p.cols + j] = dgamma[j] / (float)p.rows;
    }
    const nn_slopes slopes = {saved->mean, saved->rstd, terms, terms + p.cols, terms + 2 * p.cols};
    p.slopes = &slopes;
    p.out = dx;
    p.sums = NULL;
    run_pass(engine, &p, back_block);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

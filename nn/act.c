/* SPDX-License-Identifier: MIT */
/* ReLU y = max(x, +0) and residual addition y = a + b, in pieces that workers share out.
 * SPEC 5.10, 5.13. */
#include "act.h"

enum { PIECE = 16384 }; /* floats: enough work to be worth handing over */

typedef struct pieces pieces;

struct pieces {
    void (*work)(const pieces *p, size_t at, size_t count);
    const nn_kernels *kernels;
    float *out;
    const float *a, *b;
    size_t count;
};

static void relu(const pieces *p, size_t at, size_t count)
{
    p->kernels->relu(p->out + at, p->a + at, count);
}

static void relu_back(const pieces *p, size_t at, size_t count)
{
    p->kernels->relu_back(p->out + at, p->a + at, p->b + at, count);
}

static void add(const pieces *p, size_t at, size_t count)
{
    p->kernels->add(p->out + at, p->a + at, p->b + at, count);
}

static void pieces_part(void *context, size_t part, size_t worker)
{
    const pieces *p = context;
    (void)worker;
    p->work(p, part * PIECE, nn_min(PIECE, p->count - part * PIECE));
}

static void run(const nn_engine *engine, pieces *p)
{
    nn_team_run(engine->team, pieces_part, p, (p->count + PIECE - 1) / PIECE);
}

void nn_relu_forward(const nn_engine *engine, float *y, const float *x, size_t count)
{
    pieces p = {relu, engine->kernels, y, x, NULL, count};
    run(engine, &p);
}

void nn_relu_backward(const nn_engine *engine, float *dx, const float *dy, const float *y,
                      size_t count)
{
    pieces p = {relu_back, engine->kernels, dx, dy, y, count};
    run(engine, &p);
}

void nn_add(const nn_engine *engine, float *y, const float *a, const float *b, size_t count)
{
    pieces p = {add, engine->kernels, y, a, b, count};
    run(engine, &p);
}

/* SPDX-License-Identifier: MIT */
/* Levels of normalisations, pools and activations. SPEC 5.6 to 5.13. */
#include "vectors.h"

/* ---- normalisations ---- */

typedef struct norm_row {
    const char *id, *comment;
    size_t n, h, w, c, groups; /* groups 0: batch-norm */
    vectors_fill fill;
} norm_row;

static const norm_row norms[] = {
    {"small", "18 values a channel", 2, 3, 3, 3, 0, VECTORS_MIXED},
    {"blocks", "588 values a channel: three blocks", 3, 14, 14, 2, 0, VECTORS_MIXED},
    {"batch_of_one", "one image of one pixel: N = 1, the running variance stays", 1, 1, 1, 4, 0,
     VECTORS_MIXED},
    {"batch_of_two", "N = 2: variance / 2, running variance / 1", 2, 1, 1, 4, 0, VECTORS_SIGNED},
    {"tiny", "variances far below eps", 2, 2, 2, 2, 0, VECTORS_TINY},
    {"wide", "more channels than any kernel's panel", 2, 2, 1, 37, 0, VECTORS_SIGNED},
    {"small", "2 groups of 2 channels", 2, 3, 3, 4, 2, VECTORS_MIXED},
    {"one_group", "one group of 3 channels, 432 values", 2, 12, 12, 3, 1, VECTORS_SIGNED},
    {"each_channel", "a group a channel", 1, 2, 2, 3, 3, VECTORS_MIXED}};

static const char *norm_id(vectors_maker *m, const norm_row *r, const char *suffix)
{
    return vectors_name(m, "%s%s.%s", r->groups == 0 ? "batch_norm" : "group_norm", suffix, r->id);
}

static vectors_case begin_norm(vectors_maker *m, const norm_row *r, const char *op, const float *x)
{
    vectors_case c = vectors_begin(op);
    if (r->groups != 0)
        vectors_attribute_set(&c, "groups", r->groups);
    vectors_f32(m, &c.inputs, "x", vectors_4(r->n, r->h, r->w, r->c), x);
    vectors_drawn(m, &c, "gamma", vectors_1(r->c), VECTORS_SIGNED);
    return c;
}

/* Running variances are positive. */
static void add_running(vectors_maker *m, vectors_case *c, size_t channels)
{
    float *var = vectors_draw(m, VECTORS_SIGNED, channels);
    for (size_t i = 0; i < channels; i++)
        var[i] = var[i] * var[i];
    vectors_drawn(m, c, "running_mean", vectors_1(channels), VECTORS_SIGNED);
    vectors_f32(m, &c->inputs, "running_var", vectors_1(channels), var);
}

static void norm_forward(vectors_maker *m, const norm_row *r, const float *x)
{
    const bool batch = r->groups == 0;
    const vectors_about about = {norm_id(m, r, ""), batch ? "5.6" : "5.9", r->comment, false};
    vectors_case c = begin_norm(m, r, batch ? "batch_norm" : "group_norm", x);
    vectors_drawn(m, &c, "beta", vectors_1(r->c), VECTORS_SIGNED);
    if (batch)
        add_running(m, &c, r->c);
    vectors_op_add(m, &c, &about);
}

static void norm_backward(vectors_maker *m, const norm_row *r, const float *x)
{
    const bool batch = r->groups == 0;
    const vectors_about about = {norm_id(m, r, ".backward"), batch ? "5.8" : "5.9", r->comment,
                                 false};
    vectors_case c = begin_norm(m, r, batch ? "batch_norm.backward" : "group_norm.backward", x);
    vectors_drawn(m, &c, "dy", vectors_4(r->n, r->h, r->w, r->c), VECTORS_SIGNED);
    vectors_op_add(m, &c, &about);
}

static void norm_evaluate(vectors_maker *m, const norm_row *r, const float *x)
{
    const vectors_about about = {norm_id(m, r, ".evaluate"), "5.7",
                                 "the running statistics are used and stay", false};
    vectors_case c = begin_norm(m, r, "batch_norm.evaluate", x);
    vectors_drawn(m, &c, "beta", vectors_1(r->c), VECTORS_SIGNED);
    add_running(m, &c, r->c);
    vectors_op_add(m, &c, &about);
}

/* 600 values x and 4 - x in turn, on a grid: their mean is 2 and every partial sum exact. gamma is
 * a power of two and the running statistics are 0, so that no other product is rounded either. */
static void norm_any_order(vectors_maker *m)
{
    const vectors_about about = {"batch_norm.any_order", "5.6",
                                 "x and 4 - x in turn on a coarse grid: exact in any order", true};
    vectors_case c = vectors_begin("batch_norm");
    float *x = vectors_draw(m, VECTORS_GRID, 600);
    const float half = 0.5f, zero = 0;
    for (size_t i = 1; i < 600; i += 2)
        x[i] = 4.0f - x[i - 1];
    vectors_f32(m, &c.inputs, "x", vectors_4(3, 10, 20, 1), x);
    vectors_f32(m, &c.inputs, "gamma", vectors_1(1), &half);
    vectors_drawn(m, &c, "beta", vectors_1(1), VECTORS_SIGNED);
    vectors_f32(m, &c.inputs, "running_mean", vectors_1(1), &zero);
    vectors_f32(m, &c.inputs, "running_var", vectors_1(1), &zero);
    vectors_op_add(m, &c, &about);
}

static void all_norms(vectors_maker *m)
{
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) {
        const norm_row *r = &norms[i];
        const float *x = vectors_draw(m, r->fill, r->n * r->h * r->w * r->c);
        norm_forward(m, r, x);
        norm_backward(m, r, x);
        if (r->groups == 0 && i < 2)
            norm_evaluate(m, r, x);
    }
    norm_any_order(m);
}

/* ---- pools ---- */

typedef struct pool_row {
    const char *id, *comment;
    size_t n, h, w, c, kernel, stride, pad;
    vectors_fill fill;
} pool_row;

static void pool_pair(vectors_maker *m, const pool_row *r, const float *x, size_t oh, size_t ow)
{
    const vectors_shape shape = vectors_4(r->n, r->h, r->w, r->c);
    static const char *const ops[] = {"max_pool", "max_pool.backward"};
    for (size_t i = 0; i < 2; i++) {
        vectors_case c = vectors_begin(ops[i]);
        const vectors_about about = {vectors_name(m, "%s.%s", ops[i], r->id), "5.11", r->comment,
                                     false};
        vectors_attribute_set(&c, "kernel", r->kernel);
        vectors_attribute_set(&c, "stride", r->stride);
        vectors_attribute_set(&c, "pad", r->pad);
        vectors_f32(m, &c.inputs, "x", shape, x);
        if (i == 1)
            vectors_drawn(m, &c, "dy", vectors_4(r->n, oh, ow, r->c), VECTORS_MIXED);
        vectors_op_add(m, &c, &about);
    }
}

static void max_pools(vectors_maker *m)
{
    static const pool_row rows[] = {
        {"stem", "3x3, stride 2, padding 1, windows overlap", 2, 6, 7, 3, 3, 2, 1, VECTORS_MIXED},
        {"ties", "many equal entries: the first in (kh, kw) order", 1, 7, 7, 2, 3, 1, 1,
         VECTORS_GRID},
        {"whole", "2x2, stride 2, no padding", 1, 4, 6, 2, 2, 2, 0, VECTORS_MIXED}};
    static const uint32_t special[16] = {0x7fc00000, 0x3f800000, 0xbf800000, 0xbf800000,
                                         0x3f800000, 0x3f800000, 0x7fc00000, 0xbf800000,
                                         0x80000000, 0x00000000, 0xff800000, 0xff800000,
                                         0x00000000, 0x80000000, 0xff800000, 0xff800000};
    static const pool_row edge = {
        "special", "a NaN that comes first stays, a later one never wins; -0 before +0 stays; -inf",
        1,         4,
        4,         1,
        2,         2,
        0,         VECTORS_MIXED};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const pool_row *r = &rows[i];
        const size_t oh = (r->h + 2 * r->pad - r->kernel) / r->stride + 1;
        const size_t ow = (r->w + 2 * r->pad - r->kernel) / r->stride + 1;
        pool_pair(m, r, vectors_draw(m, r->fill, r->n * r->h * r->w * r->c), oh, ow);
    }
    pool_pair(m, &edge, vectors_bits(m, special, 16), 2, 2);
}

static void avg_pool(vectors_maker *m, const char *id, const char *comment, vectors_shape shape,
                     vectors_fill fill)
{
    const vectors_about forward = {vectors_name(m, "avg_pool.%s", id), "5.12", comment,
                                   fill == VECTORS_GRID};
    const vectors_about backward = {vectors_name(m, "avg_pool.backward.%s", id), "5.12",
                                    "divided by h*w, not multiplied by its reciprocal", false};
    vectors_case c = vectors_begin("avg_pool"), back = vectors_begin("avg_pool.backward");
    vectors_drawn(m, &c, "x", shape, fill);
    vectors_op_add(m, &c, &forward);
    vectors_attribute_set(&back, "h", shape.size[1]);
    vectors_attribute_set(&back, "w", shape.size[2]);
    vectors_drawn(m, &back, "dy", vectors_2(shape.size[0], shape.size[3]), fill);
    vectors_op_add(m, &back, &backward);
}

/* ---- activations ---- */

static void pair(vectors_maker *m, const char *op, const char *id, const char *clause,
                 const char *comment, const char *const names[2], const float *const values[2],
                 size_t count)
{
    vectors_case c = vectors_begin(op);
    const vectors_about about = {id, clause, comment, false};
    for (size_t i = 0; i < 2 && names[i] != NULL; i++)
        vectors_f32(m, &c.inputs, names[i], vectors_1(count), values[i]);
    vectors_op_add(m, &c, &about);
}

static void activations(vectors_maker *m)
{
    static const uint32_t a[] = {0x00000000, 0x80000000, 0x00000001, 0x80000001,
                                 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                 0x7fc00000, 0x7f7fffff, 0x00800000, 0x80800000};
    static const uint32_t b[] = {0x80000000, 0x80000000, 0x80000001, 0x80000001,
                                 0x33800000, 0x3f800000, 0xff800000, 0xff800000,
                                 0x3f800000, 0x7f7fffff, 0x80000001, 0x00000001};
    enum { COUNT = sizeof a / sizeof *a };
    const float *const edges[] = {vectors_bits(m, a, COUNT), vectors_bits(m, b, COUNT)};
    const float *const drawn[] = {vectors_draw(m, VECTORS_MIXED, 45),
                                  vectors_draw(m, VECTORS_MIXED, 45)};
    const char *const x[] = {"x", NULL}, *const back[] = {"y", "dy"}, *const ab[] = {"a", "b"};
    pair(m, "relu", "relu.special", "5.10", "-0 and NaN become +0; subnormals are kept", x, edges,
         COUNT);
    pair(m, "relu", "relu.mixed", "5.10", "both signs", x, drawn, 45);
    pair(m, "relu.backward", "relu.backward.special", "5.10",
         "the gradient passes where y > 0, and is +0 elsewhere", back, edges, COUNT);
    pair(m, "relu.backward", "relu.backward.mixed", "5.10", "both signs", back, drawn, 45);
    pair(m, "add", "add.special", "5.13", "-0 + -0 is -0; infinities; subnormal sums", ab, edges,
         COUNT);
    pair(m, "add", "add.mixed", "5.16", "gradients that meet are added alike", ab, drawn, 45);
}

void vectors_levels_layers(vectors_maker *m)
{
    vectors_open(m, "norm");
    all_norms(m);
    vectors_close(m);
    vectors_open(m, "pool");
    max_pools(m);
    avg_pool(m, "small", "9 positions: a division that is not exact", vectors_4(2, 3, 3, 4),
             VECTORS_MIXED);
    avg_pool(m, "blocks", "361 positions: two blocks", vectors_4(1, 19, 19, 2), VECTORS_MIXED);
    avg_pool(m, "any_order", "a coarse grid: exact in any order", vectors_4(1, 18, 18, 2),
             VECTORS_GRID);
    avg_pool(m, "one", "one position", vectors_4(2, 1, 1, 3), VECTORS_MIXED);
    vectors_close(m);
    vectors_open(m, "activation");
    activations(m);
    vectors_close(m);
}

/* SPDX-License-Identifier: MIT */
/* Levels of losses, mixtures and the optimiser step. SPEC 5.14, 5.15, 6.7. */
#include "vectors.h"

/* ---- softmax and its cross-entropy ---- */

/* The three operations on the same logits. */
static void three_losses(vectors_maker *m, const char *id, const char *comment, vectors_shape shape,
                         const float *z, const uint32_t *labels, float scale)
{
    static const char *const ops[] = {"softmax", "cross_entropy", "cross_entropy.backward"};
    for (size_t i = 0; i < 3; i++) {
        vectors_case c = vectors_begin(ops[i]);
        const vectors_about about = {vectors_name(m, "%s.%s", ops[i], id), "5.14", comment, false};
        vectors_f32(m, &c.inputs, "z", shape, z);
        if (i > 0)
            vectors_u32(m, &c.inputs, "labels", vectors_1(shape.size[0]), labels);
        if (i > 1)
            vectors_number(m, &c.inputs, "scale", scale);
        vectors_op_add(m, &c, &about);
    }
}

static const uint32_t *labels_drawn(vectors_maker *m, size_t count, uint32_t classes)
{
    uint32_t *labels = vectors_alloc(m, count, sizeof *labels);
    for (size_t i = 0; i < count; i++)
        labels[i] = (uint32_t)(i * 7 + i / 3) % classes;
    return labels;
}

static void losses(vectors_maker *m)
{
    static const uint32_t huge[] = {0x7f7fffff, 0x7f7fffff, 0xff7fffff, 0x461c4000, 0xc61c4000,
                                    0x00000000, 0x42c80000, 0xc2c80000, 0x42c80001};
    static const uint32_t certain[] = {0x43480000, 0xc3480000, 0x00000000, 0x41a00000,
                                       0x3f800000, 0xbf800000, 0x3f800000, 0x42cf0000,
                                       0x80000000, 0x00000000, 0x80000000, 0x80000000};
    static const uint32_t nan[] = {0x7fc00000, 0x3f800000, 0x3f800000, 0x3f800000, 0x7fc00000,
                                   0x3f800000, 0x7f800000, 0x3f800000, 0xff800000};
    static const uint32_t first[] = {0, 0, 0, 0}, mixed[] = {0, 1, 2};
    const vectors_shape ten = vectors_2(12, 10), one = vectors_2(1, 3), many = vectors_2(3, 300);
    three_losses(m, "ten_classes", "twelve rows; the division by n is not exact", ten,
                 vectors_draw(m, VECTORS_WIDE, 120), labels_drawn(m, 12, 10), 1.0f);
    three_losses(m, "scaled", "the loss of weight 0.3", ten, vectors_draw(m, VECTORS_SIGNED, 120),
                 labels_drawn(m, 12, 10), 0.3f);
    three_losses(m, "empty_class", "no row has label 2, 4, 5, ...: their columns get p/n alone",
                 ten, vectors_draw(m, VECTORS_WIDE, 120), labels_drawn(m, 12, 2), 1.0f);
    three_losses(m, "one_row", "a batch of one", one, vectors_draw(m, VECTORS_WIDE, 3), mixed + 1,
                 1.0f);
    three_losses(m, "300_classes", "sums over classes of two blocks", many,
                 vectors_draw(m, VECTORS_SIGNED, 900), labels_drawn(m, 3, 300), 1.0f);
    three_losses(m, "300_rows", "a sum over rows of two blocks", vectors_2(300, 3),
                 vectors_draw(m, VECTORS_WIDE, 900), labels_drawn(m, 300, 3), 1.0f);
    three_losses(m, "one_class", "loss and gradient are +0", vectors_2(3, 1),
                 vectors_draw(m, VECTORS_WIDE, 3), first, 1.0f);
    three_losses(m, "huge", "huge logits: the maximum is subtracted first", vectors_2(3, 3),
                 vectors_bits(m, huge, 9), mixed, 1.0f);
    three_losses(m, "certain", "certain predictions, right and wrong; exp below the normal range",
                 vectors_2(4, 3), vectors_bits(m, certain, 12), first, 1.0f);
    three_losses(m, "nan", "a NaN and infinities spoil their row and the batch loss",
                 vectors_2(3, 3), vectors_bits(m, nan, 9), mixed, 1.0f);
}

/* ---- mixtures ---- */

typedef struct mixture_row {
    const char *id, *comment;
    size_t n, experts, k, classes;
    vectors_fill fill;
} mixture_row;

/* chosen: every other expert from the first or second on. */
static vectors_case begin_mixture(vectors_maker *m, const mixture_row *r, const char *op,
                                  const float *gate, const float *const *z)
{
    vectors_case c = vectors_begin(op);
    uint32_t *chosen = vectors_alloc(m, r->k, sizeof *chosen);
    for (size_t i = 0; i < r->k; i++)
        chosen[i] = (uint32_t)(r->experts - 1 - (r->k - 1 - i) * (r->experts >= 2 * r->k ? 2 : 1));
    vectors_f32(m, &c.inputs, "gate", vectors_2(r->n, r->experts), gate);
    vectors_u32(m, &c.inputs, "chosen", vectors_1(r->k), chosen);
    for (size_t i = 0; i < r->k; i++)
        vectors_f32(m, &c.inputs, vectors_name(m, "z%u", (unsigned)i), vectors_2(r->n, r->classes),
                    z[i]);
    return c;
}

static void mixture(vectors_maker *m, const mixture_row *r)
{
    static const char *const ops[] = {"mixture", "mixture_probs", "mixture.backward",
                                      "mixture_probs.backward"};
    enum { MOST = 8 };
    const float *z[MOST], *gate = vectors_draw(m, r->fill, r->n * r->experts);
    for (size_t i = 0; i < r->k; i++)
        z[i] = vectors_draw(m, r->fill, r->n * r->classes);
    const float *dy = vectors_draw(m, VECTORS_SIGNED, r->n * r->classes);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        vectors_case c = begin_mixture(m, r, ops[i], gate, z);
        const vectors_about about = {vectors_name(m, "%s.%s", ops[i], r->id), "5.15", r->comment,
                                     false};
        if (i >= 2)
            vectors_f32(m, &c.inputs, "dy", vectors_2(r->n, r->classes), dy);
        vectors_op_add(m, &c, &about);
    }
}

static void mixtures(vectors_maker *m)
{
    static const mixture_row rows[] = {
        {"two_of_five", "two experts of five; the others get +0", 4, 5, 2, 6, VECTORS_WIDE},
        {"one", "one expert alone: weight 1, no gradient of the gate", 3, 3, 1, 4, VECTORS_WIDE},
        {"all", "all experts", 3, 4, 4, 3, VECTORS_SIGNED},
        {"300_classes", "sums over classes of two blocks", 2, 3, 2, 300, VECTORS_SIGNED},
        {"mixed", "mixed magnitudes: weights of 0 and 1", 3, 5, 3, 5, VECTORS_MIXED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        mixture(m, &rows[i]);
}

/* ---- the optimiser ---- */

typedef struct sgd_row {
    const char *id, *comment;
    float lr, momentum, weight_decay;
    bool first;
} sgd_row;

static void sgd(vectors_maker *m, const sgd_row *r)
{
    enum { COUNT = 33 };
    vectors_case c = vectors_begin("sgd");
    const vectors_about about = {vectors_name(m, "sgd.%s", r->id), "6.7", r->comment, false};
    vectors_attribute_set(&c, "first", r->first);
    vectors_drawn(m, &c, "w", vectors_1(COUNT), VECTORS_MIXED);
    vectors_drawn(m, &c, "g", vectors_1(COUNT), VECTORS_MIXED);
    vectors_drawn(m, &c, "v", vectors_1(COUNT), VECTORS_MIXED);
    vectors_number(m, &c.inputs, "lr", r->lr);
    vectors_number(m, &c.inputs, "momentum", r->momentum);
    vectors_number(m, &c.inputs, "weight_decay", r->weight_decay);
    vectors_op_add(m, &c, &about);
}

static void sgd_special(vectors_maker *m)
{
    static const uint32_t w[] = {0x00000000, 0x80000000, 0x00000001, 0x00800000, 0x7f7fffff},
                          g[] = {0x00000000, 0x00000000, 0x3f800000, 0x00800000, 0xff7fffff},
                          v[] = {0x00000000, 0x80000000, 0x00000003, 0x00000001, 0xff7fffff};
    enum { COUNT = sizeof w / sizeof *w };
    vectors_case c = vectors_begin("sgd");
    const vectors_about about = {"sgd.special", "6.7",
                                 "zeros, subnormals, overflow of the velocity", false};
    vectors_attribute_set(&c, "first", 0);
    vectors_f32(m, &c.inputs, "w", vectors_1(COUNT), vectors_bits(m, w, COUNT));
    vectors_f32(m, &c.inputs, "g", vectors_1(COUNT), vectors_bits(m, g, COUNT));
    vectors_f32(m, &c.inputs, "v", vectors_1(COUNT), vectors_bits(m, v, COUNT));
    vectors_number(m, &c.inputs, "lr", 0.5f);
    vectors_number(m, &c.inputs, "momentum", 0.5f);
    vectors_number(m, &c.inputs, "weight_decay", 0);
    vectors_op_add(m, &c, &about);
}

static void optimiser(vectors_maker *m)
{
    static const sgd_row rows[] = {
        {"first", "the first step: v is the gradient, what v held does not matter", 0.1f, 0.9f,
         5e-4f, true},
        {"later", "momentum without dampening, weight decay in the gradient", 0.1f, 0.9f, 5e-4f,
         false},
        {"no_decay", "momentum alone", 0.05f, 0.9f, 0, false},
        {"no_momentum", "weight decay alone; v stays as it is", 0.05f, 0, 5e-4f, false},
        {"plain", "neither; v stays as it is", 0.1f, 0, 0, false},
        {"plain_first", "neither, at the first step", 0.1f, 0, 0, true},
        {"strong", "decay and momentum as large as the gradient", 0.3f, 0.5f, 0.7f, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        sgd(m, &rows[i]);
    sgd_special(m);
}

void vectors_levels_loss(vectors_maker *m)
{
    vectors_open(m, "loss");
    losses(m);
    vectors_close(m);
    vectors_open(m, "mixture");
    mixtures(m);
    vectors_close(m);
    vectors_open(m, "optimiser");
    optimiser(m);
    vectors_close(m);
}

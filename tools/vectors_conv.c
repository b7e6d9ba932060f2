/* SPDX-License-Identifier: MIT */
/* The level of convolutions, in all three directions. SPEC 5.3 to 5.5. */
#include "vectors.h"

#include "../nn/conv.h"

typedef struct conv_row {
    const char *id, *comment;
    size_t n, h, w, c, oc, k, stride, pad;
    vectors_fill fill;
} conv_row;

/* Small images, so that padding matters; k times k times c or n times oh times ow beyond blocks. */
static const conv_row rows[] = {
    {"3x3", "stride 1, padding 1", 2, 5, 4, 3, 4, 3, 1, 1, VECTORS_MIXED},
    {"3x3.any_order", "a coarse grid: exact in any order", 2, 5, 4, 3, 4, 3, 1, 1, VECTORS_GRID},
    {"3x3.stride2", "stride 2 over odd and even sizes", 1, 7, 6, 2, 3, 3, 2, 1, VECTORS_MIXED},
    {"3x3.stride2.any_order", "stride 2 on a coarse grid", 1, 7, 6, 2, 3, 3, 2, 1, VECTORS_GRID},
    {"3x3.no_pad", "no padding", 1, 5, 5, 2, 2, 3, 1, 0, VECTORS_MIXED},
    {"3x3.one_pixel", "one pixel: eight of nine taps are padded", 2, 1, 1, 5, 3, 3, 1, 1,
     VECTORS_MIXED},
    {"1x1", "a matrix product", 2, 3, 3, 6, 5, 1, 1, 0, VECTORS_MIXED},
    {"1x1.stride2", "the shortcut of a block", 2, 5, 5, 4, 6, 1, 2, 0, VECTORS_MIXED},
    {"7x7", "the stem with stride 2, padding 3", 1, 9, 8, 3, 4, 7, 2, 3, VECTORS_MIXED},
    {"7x7.any_order", "the same on a coarse grid", 1, 9, 8, 3, 4, 7, 2, 3, VECTORS_GRID},
    {"7x7.small", "a window larger than the image", 1, 3, 3, 2, 2, 7, 1, 3, VECTORS_MIXED},
    {"blocks", "576 products, most border taps inside other blocks", 1, 3, 4, 64, 2, 3, 1, 1,
     VECTORS_MIXED},
    {"blocks.any_order", "576 products on a coarse grid", 1, 3, 4, 64, 2, 3, 1, 1, VECTORS_GRID},
    {"blocks.out", "576 products in the gradient of the input", 1, 3, 4, 2, 64, 3, 1, 1,
     VECTORS_MIXED},
    {"blocks.batch", "588 positions: blocks of the weights' gradient run across images", 3, 14, 14,
     2, 2, 3, 1, 1, VECTORS_MIXED},
    {"blocks.batch.any_order", "588 positions on a coarse grid", 3, 14, 14, 2, 2, 3, 1, 1,
     VECTORS_GRID},
    {"wide", "more channels than any kernel's panel", 1, 2, 2, 5, 35, 3, 1, 1, VECTORS_MIXED},
    {"tiny", "products that are subnormal or lost, beside padding", 1, 3, 3, 3, 3, 3, 1, 1,
     VECTORS_TINY}};

static nn_conv_shape shape_of(vectors_maker *m, const conv_row *r)
{
    nn_conv_shape s = {.n = r->n,
                       .h = r->h,
                       .w = r->w,
                       .c = r->c,
                       .oc = r->oc,
                       .kh = r->k,
                       .kw = r->k,
                       .stride = r->stride,
                       .pad = r->pad};
    vectors_check(m, nn_conv_output(&s), "the window does not fit", r->id);
    return s;
}

static vectors_case begin(const char *op, const conv_row *r)
{
    vectors_case c = vectors_begin(op);
    vectors_attribute_set(&c, "stride", r->stride);
    vectors_attribute_set(&c, "pad", r->pad);
    return c;
}

static void add(vectors_maker *m, const vectors_case *c, const conv_row *r, const char *clause)
{
    const vectors_about about = {vectors_name(m, "%s.%s", c->op, r->id), clause, r->comment,
                                 r->fill == VECTORS_GRID};
    vectors_op_add(m, c, &about);
}

static void all_directions(vectors_maker *m, const conv_row *r)
{
    const nn_conv_shape s = shape_of(m, r);
    const vectors_shape x = vectors_4(s.n, s.h, s.w, s.c), y = vectors_4(s.n, s.oh, s.ow, s.oc);
    const vectors_shape weight = vectors_4(s.oc, s.c, s.kh, s.kw);
    const float *xs = vectors_draw(m, r->fill, vectors_count(x));
    const float *ws = vectors_draw(m, r->fill, vectors_count(weight));
    const float *dys = vectors_draw(m, r->fill, vectors_count(y));
    vectors_case forward = begin("conv", r), input = begin("conv.backward_input", r),
                 weights = begin("conv.backward_weight", r);
    vectors_f32(m, &forward.inputs, "x", x, xs);
    vectors_f32(m, &forward.inputs, "w", weight, ws);
    add(m, &forward, r, "5.3");
    vectors_attribute_set(&input, "h", s.h);
    vectors_attribute_set(&input, "w", s.w);
    vectors_f32(m, &input.inputs, "w", weight, ws);
    vectors_f32(m, &input.inputs, "dy", y, dys);
    add(m, &input, r, "5.4");
    vectors_attribute_set(&weights, "kh", s.kh);
    vectors_attribute_set(&weights, "kw", s.kw);
    vectors_f32(m, &weights.inputs, "x", x, xs);
    vectors_f32(m, &weights.inputs, "dy", y, dys);
    add(m, &weights, r, "5.5");
}

/* ---- edges beside padding: one pixel, eight padded taps ---- */

static void one_pixel(vectors_maker *m, const char *id, const char *clause, const char *comment,
                      uint32_t pixel, const uint32_t weights[9])
{
    const conv_row r = {id, comment, 1, 1, 1, 1, 1, 3, 1, 1, VECTORS_MIXED};
    vectors_case c = begin("conv", &r);
    vectors_f32(m, &c.inputs, "x", vectors_4(1, 1, 1, 1), vectors_bits(m, &pixel, 1));
    vectors_f32(m, &c.inputs, "w", vectors_4(1, 1, 3, 3), vectors_bits(m, weights, 9));
    add(m, &c, &r, clause);
}

static void edges(vectors_maker *m)
{
    static const uint32_t infinite[9] = {0x7f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x40000000,
                                         0x3f800000, 0x3f800000, 0x3f800000, 0xff800000};
    static const uint32_t nan[9] = {0x3f800000, 0x7fc00000, 0x3f800000, 0x3f800000, 0x40000000,
                                    0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000};
    static const uint32_t underflow[9] = {0xbf800000, 0xbf800000, 0xbf800000,
                                          0xbf800000, 0x8d800000, 0xbf800000,
                                          0xbf800000, 0xbf800000, 0xbf800000};
    one_pixel(m, "infinite_padding", "5.3",
              "infinite weights meet padding alone: skipped taps, 2 and no NaN", 0x3f800000,
              infinite);
    one_pixel(m, "nan_padding", "5.3", "a NaN weight meets padding alone", 0x3f800000, nan);
    one_pixel(m, "underflow_padding", "2.5.3",
              "2^-100 times -2^-100 beside padded taps with -1: +0 in both profiles", 0x0d800000,
              underflow);
}

void vectors_levels_conv(vectors_maker *m)
{
    vectors_open(m, "conv");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        all_directions(m, &rows[i]);
    edges(m);
    vectors_close(m);
}

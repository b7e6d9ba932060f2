/* SPDX-License-Identifier: MIT */
/* Levels of plain sums, matrix products and linear layers. SPEC 2.3 to 2.5, 5.1, 5.2. */
#include "vectors.h"

/* Patterns that several edges use. */
#define MINUS_ZERO 0x80000000u
enum {
    ONE = 0x3f800000,
    ZERO = 0x00000000,
    TWO_24 = 0x4b800000, /* 2^24: 2^24 + 1 is a tie */
    LARGEST = 0x7f7fffff,
    LEAST = 0x00000001, /* 2^-149 */
    TWO_M126 = 0x00800000,
    TWO_M75 = 0x1a000000,
    TWO_M100 = 0x0d800000
};

/* ---- sum ---- */

static void sum_of(vectors_maker *m, const vectors_about *about, const float *x, size_t count)
{
    vectors_case c = vectors_begin("sum");
    vectors_f32(m, &c.inputs, "x", vectors_1(count), x);
    vectors_op_add(m, &c, about);
}

static void sum_bits(vectors_maker *m, const char *id, const char *comment, const uint32_t *bits,
                     size_t count)
{
    const vectors_about about = {id, "2.4", comment, false};
    sum_of(m, &about, vectors_bits(m, bits, count), count);
}

/* 2^24, then so many ones: each is lost in a chain, and only the ends of blocks bring them in. */
static void sum_lost_ones(vectors_maker *m)
{
    enum { COUNT = 600 };
    uint32_t bits[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        bits[i] = i == 0 ? TWO_24 : ONE;
    sum_bits(m, "sum.lost_ones", "2^24 and 599 ones: those of the first block are lost", bits,
             COUNT);
}

static void sums(vectors_maker *m)
{
    static const size_t lengths[] = {1, 2, 255, 256, 257, 512, 513, 1100};
    const vectors_about any = {"sum.any_order", "2.4", "a coarse grid: exact in any order", true};
    const vectors_about none = {"sum.empty", "2.4", "no addend: +0", true};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const vectors_about about = {vectors_name(m, "sum.mixed.%u", (unsigned)lengths[i]), "2.4",
                                     "mixed magnitudes around the borders of blocks of 256", false};
        sum_of(m, &about, vectors_draw(m, VECTORS_MIXED, lengths[i]), lengths[i]);
    }
    sum_of(m, &any, vectors_draw(m, VECTORS_GRID, 600), 600);
    sum_of(m, &none, vectors_bits(m, NULL, 0), 0);
    sum_lost_ones(m);
    sum_bits(m, "sum.minus_zero", "-0 alone: +0, as the sum starts at +0",
             (const uint32_t[]){MINUS_ZERO}, 1);
    sum_bits(m, "sum.minus_zeros", "three -0: +0",
             (const uint32_t[]){MINUS_ZERO, MINUS_ZERO, MINUS_ZERO}, 3);
    sum_bits(m, "sum.subnormal", "subnormal addends and a subnormal total, which must be kept",
             (const uint32_t[]){LEAST, 0x00400000, 0x80000003, 0x00000010}, 4);
    sum_bits(m, "sum.cancel_to_subnormal", "normal addends, a subnormal total",
             (const uint32_t[]){0x00900000, 0x80800000}, 2);
    sum_bits(m, "sum.overflow", "the largest number twice is infinity, and it stays",
             (const uint32_t[]){LARGEST, LARGEST, 0xff7fffff}, 3);
    sum_bits(m, "sum.nan", "infinity and its negative: NaN",
             (const uint32_t[]){0x7f800000, 0xff800000, ONE}, 3);
    sum_bits(m, "sum.tie", "ties to even: 2^24 + 1, then + 1 again",
             (const uint32_t[]){TWO_24, ONE, ONE}, 3);
}

/* ---- matmul ---- */

static void product(vectors_maker *m, const vectors_about *about, size_t rows, size_t k,
                    size_t cols, const float *a, const float *b)
{
    vectors_case c = vectors_begin("matmul");
    vectors_f32(m, &c.inputs, "a", vectors_2(rows, k), a);
    vectors_f32(m, &c.inputs, "b", vectors_2(k, cols), b);
    vectors_op_add(m, &c, about);
}

typedef struct product_row {
    const char *id, *comment;
    size_t m, k, n;
    vectors_fill fill;
} product_row;

static void drawn_products(vectors_maker *m)
{
    static const product_row rows[] = {
        {"matmul.any_order", "a coarse grid: exact in any order", 5, 600, 7, VECTORS_GRID},
        {"matmul.mixed", "mixed magnitudes, three blocks", 5, 600, 7, VECTORS_MIXED},
        {"matmul.one", "a single product", 1, 1, 1, VECTORS_MIXED},
        {"matmul.256", "exactly one block", 2, 256, 3, VECTORS_MIXED},
        {"matmul.257", "one product behind a border", 2, 257, 3, VECTORS_MIXED},
        {"matmul.512", "exactly two blocks", 2, 512, 3, VECTORS_MIXED},
        {"matmul.wide", "more columns than any kernel's panel", 2, 20, 37, VECTORS_MIXED},
        {"matmul.tall", "more rows than any kernel's tile", 67, 12, 2, VECTORS_MIXED},
        {"matmul.tiny", "products that are subnormal or lost", 3, 40, 3, VECTORS_TINY}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const product_row *r = &rows[i];
        const vectors_about about = {r->id, "5.1", r->comment, r->fill == VECTORS_GRID};
        float *a = vectors_draw(m, r->fill, r->m * r->k);
        product(m, &about, r->m, r->k, r->n, a, vectors_draw(m, r->fill, r->k * r->n));
    }
}

static void product_bits(vectors_maker *m, const char *id, const char *clause, const char *comment,
                         vectors_shape shape, const uint32_t *a, const uint32_t *b)
{
    const size_t rows = shape.size[0], k = shape.size[1], cols = shape.size[2];
    const vectors_about about = {id, clause, comment, false};
    product(m, &about, rows, k, cols, vectors_bits(m, a, rows * k), vectors_bits(m, b, k * cols));
}

static void edge_products(vectors_maker *m)
{
    /* c*1, then a*b is added to it: the table of SPEC 2.5.4 stands in the diagonal */
    static const uint32_t table_a[] = {0xbf801000, 0x3f800800, 0x3f800001, 0x33800001,
                                       0x00400001, 0x1a000001, 0x00000000, 0x8d800000};
    static const uint32_t table_b[] = {ONE,        ONE,        ONE,        ONE,
                                       0x3f800800, 0x3f7ffffe, 0x19fffffe, 0x0d800000};
    const vectors_shape four = {3, {4, 2, 4}}, pair = {3, {1, 2, 1}}, single = {3, {1, 1, 1}};
    product_bits(m, "matmul.fma_table", "2.5.4", "its four rows in the diagonal", four, table_a,
                 table_b);
    product_bits(m, "matmul.minus_zero", "2.3", "-1 times +0: the total is +0, never -0", single,
                 (const uint32_t[]){0xbf800000}, (const uint32_t[]){ZERO});
    product_bits(m, "matmul.underflow_minus_zero", "2.5.3",
                 "-2^-100 times 2^-100: the fused chain is -0, the total +0", single,
                 (const uint32_t[]){0x8d800000}, (const uint32_t[]){TWO_M100});
    product_bits(m, "matmul.underflow_then_zero", "2.5.3",
                 "behind an underflow a product with +0, as of a padded tap", pair,
                 (const uint32_t[]){0x8d800000, ZERO}, (const uint32_t[]){TWO_M100, ONE});
    product_bits(m, "matmul.subnormal_product", "2.1", "2^-75 times 2^-74 and 2^-149 times 1", pair,
                 (const uint32_t[]){TWO_M75, LEAST}, (const uint32_t[]){0x1a800000, ONE});
    product_bits(m, "matmul.subnormal_input", "2.1", "2^-149 times 2^100 and 2^-126", pair,
                 (const uint32_t[]){LEAST, TWO_M126}, (const uint32_t[]){0x71800000, ONE});
    product_bits(m, "matmul.overflow", "2.1",
                 "a product that is rounded to infinity, or not when it is fused", pair,
                 (const uint32_t[]){LARGEST, LARGEST}, (const uint32_t[]){0xbf800000, 0x3f800001});
    product_bits(m, "matmul.infinity_times_zero", "2.1", "NaN", pair,
                 (const uint32_t[]){0x7f800000, ONE}, (const uint32_t[]){ZERO, ONE});
    product_bits(m, "matmul.cancel", "2.5",
                 "(1 + 2^-12)^2 less what is rounded of it: 0 or 2^-24 when it is fused", pair,
                 (const uint32_t[]){0xbf801000, 0x3f800800}, (const uint32_t[]){ONE, 0x3f800800});
}

/* ---- linear ---- */

typedef struct linear_row {
    const char *id, *comment;
    size_t n, in, out;
    vectors_fill fill;
} linear_row;

static const linear_row linears[] = {
    {"any_order", "a coarse grid: exact in any order", 6, 300, 5, VECTORS_GRID},
    {"mixed", "mixed magnitudes; the bias comes last", 6, 300, 5, VECTORS_MIXED},
    {"batch_of_one", "a single sample", 1, 40, 4, VECTORS_MIXED},
    {"single", "one input, one output", 3, 1, 1, VECTORS_MIXED},
    {"tiny", "products that are subnormal or lost", 4, 30, 3, VECTORS_TINY}};

static void linear_forward(vectors_maker *m, const linear_row *r)
{
    vectors_case c = vectors_begin("linear");
    const vectors_about about = {vectors_name(m, "linear.%s", r->id), "5.2", r->comment,
                                 r->fill == VECTORS_GRID};
    vectors_drawn(m, &c, "x", vectors_2(r->n, r->in), r->fill);
    vectors_drawn(m, &c, "w", vectors_2(r->out, r->in), r->fill);
    vectors_drawn(m, &c, "b", vectors_1(r->out), r->fill);
    vectors_op_add(m, &c, &about);
}

static void linear_backward(vectors_maker *m, const linear_row *r, const char *id, size_t n)
{
    vectors_case c = vectors_begin("linear.backward");
    const vectors_about about = {vectors_name(m, "linear.backward.%s", id), "5.2", r->comment,
                                 r->fill == VECTORS_GRID};
    vectors_drawn(m, &c, "x", vectors_2(n, r->in), r->fill);
    vectors_drawn(m, &c, "w", vectors_2(r->out, r->in), r->fill);
    vectors_drawn(m, &c, "dy", vectors_2(n, r->out), r->fill);
    vectors_op_add(m, &c, &about);
}

static void linear_minus_zero(vectors_maker *m)
{
    const uint32_t minus = MINUS_ZERO, one = ONE, zero = ZERO;
    const vectors_about about = {"linear.minus_zero", "5.2", "total +0 and bias -0: +0", false};
    vectors_case c = vectors_begin("linear");
    vectors_f32(m, &c.inputs, "x", vectors_2(1, 1), vectors_bits(m, &zero, 1));
    vectors_f32(m, &c.inputs, "w", vectors_2(1, 1), vectors_bits(m, &one, 1));
    vectors_f32(m, &c.inputs, "b", vectors_1(1), vectors_bits(m, &minus, 1));
    vectors_op_add(m, &c, &about);
}

void vectors_levels_sums(vectors_maker *m)
{
    const linear_row wide = {"",  "sums over a batch of more than a block, and over 260 outputs",
                             0,   3,
                             260, VECTORS_MIXED};
    vectors_open(m, "sum");
    sums(m);
    vectors_close(m);
    vectors_open(m, "matmul");
    drawn_products(m);
    edge_products(m);
    vectors_close(m);
    vectors_open(m, "linear");
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
        linear_forward(m, &linears[i]);
        linear_backward(m, &linears[i], linears[i].id, linears[i].n);
    }
    linear_backward(m, &wide, "blocks", 300);
    linear_minus_zero(m);
    vectors_close(m);
}

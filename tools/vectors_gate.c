/* SPDX-License-Identifier: MIT */
/* Levels of the gate's choices and of the average over clients. SPEC 2.7, 10, 11.5. */
#include "vectors.h"

/* ---- scores ---- */

static void scores(vectors_maker *m)
{
    static const struct {
        const char *id, *comment;
        size_t n, experts;
        vectors_fill fill;
    } rows[] = {{"small", "7 samples", 7, 5, VECTORS_WIDE},
                {"one", "a client with one sample", 1, 4, VECTORS_WIDE},
                {"blocks", "300 samples: two blocks", 300, 3, VECTORS_SIGNED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vectors_case c = vectors_begin("score");
        const vectors_about about = {vectors_name(m, "score.%s", rows[i].id), "10.1",
                                     rows[i].comment, false};
        vectors_drawn(m, &c, "logits", vectors_2(rows[i].n, rows[i].experts), rows[i].fill);
        vectors_op_add(m, &c, &about);
    }
}

/* ---- choices ---- */

static void top_k(vectors_maker *m, const char *id, const char *comment, const uint32_t *score,
                  size_t count, size_t k)
{
    vectors_case c = vectors_begin("top_k");
    const vectors_about about = {vectors_name(m, "top_k.%s", id), "10.2", comment, false};
    vectors_attribute_set(&c, "k", k);
    vectors_f32(m, &c.inputs, "score", vectors_1(count), vectors_bits(m, score, count));
    vectors_op_add(m, &c, &about);
}

static void choices(vectors_maker *m)
{
    static const uint32_t plain[] = {0x3dcccccd, 0x3f000000, 0x3e4ccccd, 0x3d4ccccd, 0x3e800000},
                          ties[] = {0x3e800000, 0x3e000000, 0x3e800000, 0x3e000000, 0x3e800000},
                          equal[] = {0x3e800000, 0x3e800000, 0x3e800000, 0x3e800000},
                          zeros[] = {0x80000000, 0x00000000, 0x80000000, 0x00000001},
                          near[] = {0x3e800000, 0x3e800001, 0x3e7fffff, 0x3e800000},
                          nan[] = {0x3e800000, 0x7fc00000, 0x3f000000, 0x3e800000};
    top_k(m, "two_of_five", "the two largest, written ascending", plain, 5, 2);
    top_k(m, "ties", "three equal for two places: the lower indices", ties, 5, 2);
    top_k(m, "ties_behind", "two equal for the last place", ties, 5, 4);
    top_k(m, "equal", "all equal", equal, 4, 1);
    top_k(m, "all", "as many as there are", plain, 5, 5);
    top_k(m, "zeros", "-0 and +0 are equal, 2^-149 is more", zeros, 4, 2);
    top_k(m, "near", "scores one unit in the last place apart", near, 4, 2);
    top_k(m, "nan", "a NaN that is the first of those left stays", nan, 4, 3);
}

static void argmax(vectors_maker *m)
{
    static const uint32_t z[] = {
        0x3f800000, 0x40000000, 0x40000000, 0x3f800000, /* a tie */
        0x80000000, 0x00000000, 0xbf800000, 0x80000000, /* -0 and +0 are equal */
        0x7fc00000, 0x3f800000, 0x40000000, 0x7f800000, /* a NaN at 0 stays */
        0x3f800000, 0x7fc00000, 0x40000000, 0x7fc00000, /* one elsewhere never wins */
        0xff800000, 0xff800000, 0xff800000, 0xff800000, /* all the least */
        0x80000001, 0x00000000, 0x00000001, 0x80000002, /* subnormals count */
        0x7f800000, 0x7f7fffff, 0x7f800000, 0x7f7fffff};
    vectors_case c = vectors_begin("argmax"), drawn = vectors_begin("argmax");
    const vectors_about about = {"argmax.ties", "2.7", "ties, zeros, NaNs, infinities, subnormals",
                                 false};
    const vectors_about mixed = {"argmax.mixed", "2.7", "many equal values on a grid", false};
    vectors_f32(m, &c.inputs, "z", vectors_2(7, 4), vectors_bits(m, z, 28));
    vectors_op_add(m, &c, &about);
    vectors_drawn(m, &drawn, "z", vectors_2(12, 10), VECTORS_GRID);
    vectors_op_add(m, &drawn, &mixed);
}

/* ---- averages ---- */

static void average(vectors_maker *m, const char *id, const char *comment, bool uniform,
                    const uint32_t *samples, size_t k, size_t n)
{
    vectors_case c = vectors_begin("average");
    const vectors_about about = {vectors_name(m, "average.%s", id), "11.5", comment, false};
    vectors_attribute_set(&c, "uniform", uniform);
    vectors_drawn(m, &c, "copies", vectors_2(k, n), VECTORS_MIXED);
    vectors_u32(m, &c.inputs, "samples", vectors_1(k), samples);
    vectors_op_add(m, &c, &about);
}

static void average_special(vectors_maker *m)
{
    static const uint32_t copies[] = {0x80000000, 0x00000001, 0x7f7fffff, 0x3f800000,
                                      0x80000000, 0x00000000, 0x7f7fffff, 0xbf800000};
    static const uint32_t samples[] = {3, 3};
    vectors_case c = vectors_begin("average");
    const vectors_about about = {
        "average.special", "11.5",
        "-0 twice is +0; half of 2^-149 is a tie; no overflow, as the sum is in binary64", false};
    vectors_attribute_set(&c, "uniform", 0);
    vectors_f32(m, &c.inputs, "copies", vectors_2(2, 4), vectors_bits(m, copies, 8));
    vectors_u32(m, &c.inputs, "samples", vectors_1(2), samples);
    vectors_op_add(m, &c, &about);
}

/* Copies whose sum depends on their order, and a mean halfway between two floats that a product
 * with 1/98 misses. */
static void average_exact(vectors_maker *m)
{
    static const uint32_t large[] = {0x5d800000, 0xdd800000, 0x3f800000}, one[] = {1, 1, 1};
    static const uint32_t close[] = {0x3fc00001, 0x3fc00002}, half[] = {49, 49};
    vectors_case order = vectors_begin("average"), middle = vectors_begin("average");
    const vectors_about first = {"average.order", "11.5", "2^60, -2^60, 1: ascending client id",
                                 false};
    const vectors_about second = {"average.middle", "11.5",
                                  "a tie that 1/98 in place of / 98 does not see", false};
    vectors_attribute_set(&order, "uniform", 0);
    vectors_f32(m, &order.inputs, "copies", vectors_2(3, 1), vectors_bits(m, large, 3));
    vectors_u32(m, &order.inputs, "samples", vectors_1(3), one);
    vectors_op_add(m, &order, &first);
    vectors_attribute_set(&middle, "uniform", 0);
    vectors_f32(m, &middle.inputs, "copies", vectors_2(2, 1), vectors_bits(m, close, 2));
    vectors_u32(m, &middle.inputs, "samples", vectors_1(2), half);
    vectors_op_add(m, &middle, &second);
}

static void averages(vectors_maker *m)
{
    static const uint32_t samples[] = {24, 17, 1, 300, 9, 24, 7};
    average(m, "weighted", "by the number of samples, in binary64, divided once", false, samples, 7,
            40);
    average(m, "uniform", "every client counts alike", true, samples, 7, 40);
    average(m, "one", "one copy of 17 samples stays what it was", false, samples + 1, 1, 20);
    average(m, "one_sample", "a client with one sample among others", false, samples + 1, 3, 20);
    average_special(m);
    average_exact(m);
}

void vectors_levels_gate(vectors_maker *m)
{
    vectors_open(m, "gate");
    scores(m);
    choices(m);
    argmax(m);
    vectors_close(m);
    vectors_open(m, "aggregation");
    averages(m);
    vectors_close(m);
}

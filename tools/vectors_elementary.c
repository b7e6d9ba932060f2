/* SPDX-License-Identifier: MIT */
/* Levels of elementary functions and hashes. SPEC 3. */
#include "../nn/rng.h"
#include "vectors.h"

/* The first 64 inputs of tests/golden/hard_expf.txt and hard_logf.txt: nearest to a rounding
 * boundary of all. */
static const uint32_t hard_exp[] = {
    0xc16912cd, 0xbbf0edf1, 0xbae0e25c, 0xb3000000, 0x377eff81, 0x40315b33, 0x4001b249, 0x39c6be5b,
    0x38e69cc1, 0x383a3ef1, 0xbc2a461a, 0x3d1a274e, 0x4288942b, 0xbbb70ee8, 0x3fe67199, 0xc13d6631,
    0x39e5bb1d, 0x41cbf87b, 0x36fdffc1, 0x367bffe1, 0x35f7fff1, 0x356ffff9, 0x34dffffd, 0x343fffff,
    0x33800000, 0x337fffff, 0xbcb8f40f, 0xc0781533, 0xb7f4c0ea, 0x40dd70cb, 0xb7c9c09f, 0xbfbfa14b,
    0xb2ffffff, 0xba7242a6, 0x38ad9e29, 0xbdb393eb, 0x4034d02b, 0xbf76fd92, 0xbf81eadf, 0xc0382e72,
    0xb6b50020, 0xb616000b, 0xb5d4000b, 0xb4b00002, 0xb4200001, 0xb3c00001, 0xb3000001, 0x3c971aaa,
    0x3caffe2e, 0x3a7bcd08, 0x3f5bc24c, 0x4283070f, 0x4178966e, 0xbce017bb, 0x3c608a0e, 0x3b18f346,
    0xbb9cbb8e, 0xb2fffffe, 0xb3c00000, 0xbb9af86a, 0xbdf128eb, 0xbb8d98f5, 0xc159fa1e, 0xbe67b559};
static const uint32_t hard_log[] = {
    0x65d890d3, 0x4c5d65a5, 0x4d604ebe, 0x66a8c860, 0x1f116ab8, 0x41178feb, 0x3c413d3a, 0x6f31a8ec,
    0x38dcbe38, 0x5ee8984e, 0x4665a9a6, 0x3bf86ef0, 0x79e7ec37, 0x2c4c24b7, 0x0dc8bba4, 0x1a8446cb,
    0x28e3fa26, 0x66abbd63, 0x29fd22f8, 0x111c87f8, 0x29e6126b, 0x2e492984, 0x464d5b2b, 0x54af989d,
    0x4e85f412, 0x6d1f23eb, 0x62b467ba, 0x145cb6d4, 0x5d800341, 0x39c31348, 0x064cb44b, 0x16c5ee7a,
    0x5f64c24a, 0x07c060fa, 0x2423c085, 0x0f61ff63, 0x1b81ab52, 0x7d98b8f4, 0x6914cb96, 0x64e27fa3,
    0x18b06f2a, 0x14907055, 0x022ae487, 0x1aac80dc, 0x22925ad4, 0x158772eb, 0x3e2b3421, 0x7405dee8,
    0x44bc4360, 0x11b257e3, 0x3418949b, 0x13fcd84a, 0x25f12e61, 0x25be734f, 0x39c7b1f9, 0x6d6c9d3a,
    0x22f6d580, 0x4b77325a, 0x1dc9e7c1, 0x526a304f, 0x63b134d9, 0x5d8b2d5b, 0x6a2510d0, 0x2758eec4};

/* Zeros, ones, infinities, NaNs, the ends of the subnormal and of the normal range. */
static const uint32_t specials[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
    0x7f800001, 0xffc12345, 0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000,
    0x80800000, 0x7f7fffff, 0xff7fffff, 0x3f7fffff, 0x3f800001, 0x34000000, 0x33000000};

/* Where exp overflows, where it becomes subnormal, where it is the least subnormal and zero. */
static const uint32_t exp_borders[] = {
    0x42b17217, 0x42b17218, 0x42b17219, 0xc2aeac4f, 0xc2aeac50, 0xc2aeac51, 0xc2b00000, 0xc2c00000,
    0xc2cff1b3, 0xc2cff1b4, 0xc2cff1b5, 0xc2cff1b6, 0x38800000, 0xb8800000, 0x33800000, 0xb3800000};

typedef struct points {
    const char *id, *op, *comment;
    const uint32_t *bits;
    size_t count;
} points;

#define POINTS(array) array, sizeof(array) / sizeof *(array)

static void add_points(vectors_maker *m, const points *p, const char *clause)
{
    vectors_case c = vectors_begin(p->op);
    const vectors_about about = {p->id, clause, p->comment, false};
    vectors_f32(m, &c.inputs, "x", vectors_1(p->count), vectors_bits(m, p->bits, p->count));
    vectors_op_add(m, &c, &about);
}

/* Patterns from everywhere; those of one sign where the other gives only NaN. */
static void add_spread(vectors_maker *m, const char *op, const char *clause, uint32_t least,
                       uint32_t most)
{
    enum { COUNT = 512 };
    uint32_t bits[COUNT];
    nn_rng rng = nn_rng_at(1, NN_STREAM_TEST, (uint32_t)m->levels, m->draws++, 0);
    for (size_t i = 0; i < COUNT; i++)
        bits[i] = least + nn_rng_below(&rng, most - least);
    const points p = {vectors_name(m, "%s.spread", op), op, "512 patterns from its whole range",
                      bits, COUNT};
    add_points(m, &p, clause);
}

static void elementary(vectors_maker *m)
{
    const points rows[] = {
        {"exp.special", "exp", "specials; a NaN becomes 7fc00000", POINTS(specials)},
        {"exp.border", "exp", "overflow, subnormal results, zero", POINTS(exp_borders)},
        {"exp.hard", "exp", "the 64 inputs nearest to a rounding boundary", POINTS(hard_exp)},
        {"log.special", "log", "specials; a NaN becomes 7fc00000", POINTS(specials)},
        {"log.hard", "log", "the 64 inputs nearest to a rounding boundary", POINTS(hard_log)},
        {"rsqrt.special", "rsqrt", "specials; a NaN becomes 7fc00000", POINTS(specials)},
        {"sqrt.special", "sqrt", "specials; a NaN becomes 7fc00000", POINTS(specials)}};
    static const char *const clauses[] = {"3.1", "3.1", "3.1", "3.2", "3.2", "3.3", "3.4"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        add_points(m, &rows[i], clauses[i]);
    add_spread(m, "exp", "3.1", 0x3a000000, 0x42b17218);
    add_spread(m, "log", "3.2", 0x00000001, 0x7f800000);
    add_spread(m, "rsqrt", "3.3", 0x00000001, 0x7f800000);
    add_spread(m, "sqrt", "3.4", 0x00000001, 0x7f800000);
}

/* ---- hashes ---- */

static void hash_of(vectors_maker *m, const char *id, const char *comment, const float *x,
                    size_t count)
{
    vectors_case c = vectors_begin("hash");
    const vectors_about about = {id, "3.6", comment, false};
    vectors_f32(m, &c.inputs, "x", vectors_1(count), x);
    vectors_op_add(m, &c, &about);
}

static void hashes(vectors_maker *m)
{
    static const uint32_t known[] = {0x3f800000, 0x80000000, 0x7fc00000, 0x00000001};
    static const uint32_t nans[] = {0x7f800001, 0xffffffff, 0xffc00000, 0x7fc00001};
    static const size_t lengths[] = {1, 13, 14, 15, 16, 17, 300};
    hash_of(m, "hash.empty", "no element at all", vectors_bits(m, NULL, 0), 0);
    hash_of(m, "hash.known", "1, -0, NaN, 2^-149", vectors_bits(m, known, 4), 4);
    hash_of(m, "hash.nan", "every NaN counts as 7fc00000", vectors_bits(m, nans, 4), 4);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        hash_of(m, vectors_name(m, "hash.%u", (unsigned)lengths[i]),
                "around the borders of the blocks of SHA-256",
                vectors_draw(m, VECTORS_MIXED, lengths[i]), lengths[i]);
}

void vectors_levels_elementary(vectors_maker *m)
{
    vectors_open(m, "elementary");
    elementary(m);
    vectors_close(m);
    vectors_open(m, "hash");
    hashes(m);
    vectors_close(m);
}

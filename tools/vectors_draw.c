/* SPDX-License-Identifier: MIT */
/* Levels of random numbers. SPEC 4. */
#include "vectors.h"

/* Where a generator starts. Seeds stay below 2^53, for readers that keep numbers as doubles. */
typedef struct place {
    uint64_t seed;
    uint32_t stream, epoch, round, client;
} place;

static const place plain = {1, 1024, 0, 0, 0};
static const place full = {((uint64_t)0x12345 << 32) | 0x9abcdef0u, 1030, 65535, 4000000000u,
                           4294967295u};

static vectors_case begin(const char *op, const place *at, uint32_t client, size_t count)
{
    vectors_case c = vectors_begin(op);
    vectors_attribute_set(&c, "seed", at->seed);
    vectors_attribute_set(&c, "stream", at->stream);
    vectors_attribute_set(&c, "epoch", at->epoch);
    vectors_attribute_set(&c, "round", at->round);
    vectors_attribute_set(&c, "client", at->client + client);
    vectors_attribute_set(&c, "count", count);
    return c;
}

/* ---- rng ---- */

static void philox(vectors_maker *m)
{
    static const uint32_t counters[][4] = {{0, 0, 0, 0},
                                           {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
                                           {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
    static const uint32_t keys[][2] = {{0, 0}, {UINT32_MAX, UINT32_MAX}, {0xa4093822, 0x299f31d0}};
    for (size_t i = 0; i < 3; i++) {
        vectors_case c = vectors_begin("philox");
        const vectors_about about = {vectors_name(m, "philox.%u", (unsigned)i + 1), "4.1",
                                     "a known answer of Random123", false};
        vectors_u32(m, &c.inputs, "counter", vectors_1(4), counters[i]);
        vectors_u32(m, &c.inputs, "key", vectors_1(2), keys[i]);
        vectors_op_add(m, &c, &about);
    }
}

typedef struct draw_row {
    const char *id, *op, *clause, *comment;
    const place *at;
    uint32_t client;
    size_t count;
} draw_row;

static void draws(vectors_maker *m)
{
    static const place order = {7, 15, 0, 1, 4}, pretrain = {7, 14, 1, 0, 0};
    static const draw_row rows[] = {
        {"words", "draw.words", "4.2", "three indices, the last one in part", &plain, 0, 11},
        {"words.place", "draw.words", "4.2",
         "every part of the counter and both halves of the seed in use", &full, 0, 8},
        {"uniform", "draw.uniform", "4.4", "in [0, 1)", &plain, 3, 16},
        {"uniform_positive", "draw.uniform_positive", "4.4", "in (0, 1]", &plain, 4, 16},
        {"normal", "draw.normal", "4.6", "the second value of each pair is not used", &plain, 5,
         32},
        {"normal.place", "draw.normal", "4.6", "every part of the counter in use", &full, 0, 32},
        {"shuffle.8", "draw.shuffle", "4.9", "from high to low", &plain, 14, 8},
        {"shuffle.1", "draw.shuffle", "4.9", "one item takes no draw", &plain, 15, 1},
        {"shuffle.300", "draw.shuffle", "4.9", "bounds that do not divide 2^32", &plain, 16, 300},
        {"shuffle.order", "draw.shuffle", "7.7.2", "the order of a client's samples, stream 15",
         &order, 0, 24},
        {"shuffle.pretrain", "draw.shuffle", "9.1",
         "the order of the pool in pretraining, stream 14, epoch 1", &pretrain, 0, 216}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const draw_row *r = &rows[i];
        vectors_case c = begin(r->op, r->at, r->client, r->count);
        const vectors_about about = {r->id, r->clause, r->comment, false};
        vectors_op_add(m, &c, &about);
    }
}

static void below(vectors_maker *m)
{
    static const uint32_t bounds[] = {1, 2, 9, 10, 0x80000001u, 0xffffffffu};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        vectors_case c = begin("draw.below", &plain, (uint32_t)i + 1, 16);
        const vectors_about about = {vectors_name(m, "below.%lu", (unsigned long)bounds[i]), "4.5",
                                     bounds[i] == 0x80000001u
                                         ? "nearly half of the words are rejected"
                                         : "words at or above a multiple of the bound are rejected",
                                     false};
        vectors_attribute_set(&c, "bound", bounds[i]);
        vectors_op_add(m, &c, &about);
    }
}

/* ---- distributions ---- */

static void with_alpha(vectors_maker *m, const char *op, const char *id, const char *clause,
                       uint32_t client, size_t count)
{
    /* 2^-100, 0.01, 0.1, 0.5, 1, 1 + 2^-23, 5, 1000, 2^20 */
    static const uint32_t alphas[] = {0x0d800000, 0x3c23d70a, 0x3dcccccd, 0x3f000000, 0x3f800000,
                                      0x3f800001, 0x40a00000, 0x447a0000, 0x49800000};
    for (size_t i = 0; i < sizeof alphas / sizeof *alphas; i++) {
        vectors_case c = begin(op, &plain, client + (uint32_t)i, count);
        const vectors_about about = {
            vectors_name(m, "%s.%08lx", id, (unsigned long)alphas[i]), clause,
            alphas[i] < 0x3f800000 ? "alpha below 1 takes one more uniform draw"
                                   : "alpha of at least 1",
            false};
        vectors_f32(m, &c.inputs, "alpha", vectors_0(), vectors_bits(m, &alphas[i], 1));
        vectors_op_add(m, &c, &about);
    }
}

void vectors_levels_draw(vectors_maker *m)
{
    vectors_open(m, "rng");
    philox(m);
    draws(m);
    below(m);
    vectors_close(m);
    vectors_open(m, "distributions");
    with_alpha(m, "draw.log_gamma", "log_gamma", "4.7", 100, 16);
    with_alpha(m, "draw.dirichlet", "dirichlet", "4.8", 200, 10);
    vectors_close(m);
}

/* SPDX-License-Identifier: MIT */
/* Flat vectors: declaring and reading slices, initial values and their moments, hash, payload, the
 * first value that is not finite. SPEC 6.1, 6.6. */
#include "fixture.h"
#include "guard.h"

#include "../nn/param.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHANNELS = 12, CLASSES = 7 };

static const nn_norm_choice batch = {false, 0}, groups_of_4 = {true, 4};

/* conv 3x3 -> norm -> linear: every kind of slice. */
static nn_node *model(nn_net *net, nn_node *x, const nn_norm_choice *choice)
{
    nn_node *y = nn_net_conv(net, x, "stem", CHANNELS, 3, 1, 1);
    const nn_norm_layer norm = nn_net_norm(net, CHANNELS, "", choice);
    y = nn_norm_apply(net->graph, &norm, y, false, NULL);
    return nn_net_linear(net, y, "head.fc", CLASSES);
}

/* A net with its graph, arena and error. */
typedef struct bench {
    nn_arena arena;
    ddome_error error;
    nn_graph graph;
    nn_layout layout;
    nn_net net;
} bench;

static void start(bench *b, bool planning)
{
    memset(b, 0, sizeof *b);
    b->graph.engine = test_engine();
    b->graph.arena = &b->arena;
    b->graph.error = &b->error;
    b->graph.planning = planning;
    b->graph.training = true;
    b->net.graph = &b->graph;
    b->net.declare = planning ? &b->layout : NULL;
}

static nn_node *image(bench *b, float *data)
{
    const nn_tensor x = {data, 2, 4, 4, 3};
    return nn_graph_leaf(&b->graph, &x, NULL);
}

static void declare(bench *b, const nn_norm_choice *choice)
{
    start(b, true);
    CHECK(model(&b->net, image(b, NULL), choice) != NULL);
    CHECK(b->graph.status == DDOME_OK);
}

static void check_slice(const nn_slice *slice, const char *name, nn_slice_kind kind, size_t offset,
                        size_t count)
{
    test_same_text("name", slice->name, name);
    CHECK(slice->kind == kind);
    test_same_u64("offset", slice->offset, offset);
    test_same_u64("count", slice->count, count);
}

static void check_declaration(void)
{
    bench b;
    test_case("parameters: declared slices");
    declare(&b, &batch);
    const nn_slice *s = b.layout.slices;
    const size_t conv = CHANNELS * 27, linear = CLASSES * 16 * CHANNELS;
    test_same_u64("slices", b.layout.count, 7);
    check_slice(&s[0], "stem.weight", NN_SLICE_TRAINED, 0, conv);
    check_slice(&s[1], "weight", NN_SLICE_TRAINED, conv, CHANNELS);
    check_slice(&s[2], "bias", NN_SLICE_TRAINED, conv + 12, CHANNELS);
    check_slice(&s[3], "running_mean", NN_SLICE_STATISTIC, conv + 24, CHANNELS);
    check_slice(&s[4], "running_var", NN_SLICE_STATISTIC, conv + 36, CHANNELS);
    check_slice(&s[5], "head.fc.weight", NN_SLICE_TRAINED, conv + 48, linear);
    check_slice(&s[6], "head.fc.bias", NN_SLICE_TRAINED, conv + 48 + linear, CLASSES);
    test_same_u64("total", b.layout.total, conv + 48 + linear + CLASSES);
    test_same_u64("trained", b.layout.trained, conv + 24 + linear + CLASSES);
    test_same_u64("bytes", nn_layout_bytes(&b.layout), 4 * b.layout.total + 8);
    CHECK(s[0].rank == 4 && s[0].shape[0] == CHANNELS && s[0].shape[1] == 3 && s[0].shape[3] == 3);
    CHECK(s[5].rank == 2 && s[5].shape[0] == CLASSES && s[5].shape[1] == 16 * CHANNELS);
    nn_arena_free(&b.arena);
}

static void check_group_declaration(void)
{
    bench b;
    test_case("parameters: group-norm has no statistics");
    declare(&b, &groups_of_4);
    test_same_u64("slices", b.layout.count, 5);
    test_same_u64("trained", b.layout.trained, b.layout.total);
    test_same_u64("bytes", nn_layout_bytes(&b.layout), 4 * b.layout.total);
    nn_arena_free(&b.arena);
}

/* More slices than the first capacity: those declared before survive each move. */
static void check_growth(void)
{
    bench b;
    test_case("parameters: many slices");
    start(&b, true);
    const nn_tensor x = {NULL, 1, 1, 1, 2};
    nn_node *y = nn_graph_leaf(&b.graph, &x, NULL);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "l%d", i);
        y = nn_net_linear(&b.net, y, name, 2);
    }
    test_same_u64("slices", b.layout.count, 400);
    for (size_t i = 0; i < 400; i++) {
        char name[32];
        snprintf(name, sizeof name, "l%d.%s", (int)(i / 2), i % 2 == 0 ? "weight" : "bias");
        test_same_text("name", b.layout.slices[i].name, name);
        test_same_u64("offset", b.layout.slices[i].offset, i / 2 * 6 + i % 2 * 4);
    }
    nn_arena_free(&b.arena);
}

/* ---- initial values ---- */

static void check_moments(const char *what, const float *x, size_t count, double deviation,
                          double kurtosis)
{
    double mean = 0, square = 0, fourth = 0;
    for (size_t i = 0; i < count; i++) {
        mean += (double)x[i] / (double)count;
        square += pow((double)x[i] / deviation, 2) / (double)count;
        fourth += pow((double)x[i] / deviation, 4) / (double)count;
    }
    /* six standard errors of each moment; var(x^2) = kurtosis - 1, that of x^4 is below 96 */
    const double root = sqrt((double)count);
    test_check(fabs(mean) < 6 * deviation / root, __FILE__, __LINE__, "%s mean %g", what, mean);
    test_check(fabs(square - 1) < 6 * sqrt(kurtosis - 1) / root, __FILE__, __LINE__,
               "%s variance over expected %g", what, square);
    test_check(fabs(fourth - kurtosis) < 6 * sqrt(96) / root, __FILE__, __LINE__,
               "%s fourth moment %g", what, fourth);
}

static void check_constants(const float *values, const nn_slice *slice, float want)
{
    for (size_t i = 0; i < slice->count; i++)
        test_check(nn_float_bits(values[slice->offset + i]) == nn_float_bits(want), __FILE__,
                   __LINE__, "%s[%lu]", slice->name, (unsigned long)i);
}

static void check_bounds(const float *x, size_t count, double bound)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)x[i]));
    CHECK(most <= bound);
    CHECK(most > 0.98 * bound);
}

static void check_init(void)
{
    enum { WIDE = 96, IN = 64, OUT = 500 };
    bench b;
    test_case("parameters: initial values");
    start(&b, true);
    const nn_tensor x = {NULL, 1, 1, 1, IN};
    nn_node *y = nn_net_conv(&b.net, nn_graph_leaf(&b.graph, &x, NULL), "c", WIDE, 3, 1, 1);
    const nn_norm_layer norm = nn_net_norm(&b.net, WIDE, "n", &batch);
    y = nn_norm_apply(&b.graph, &norm, y, false, NULL);
    CHECK(nn_net_linear(&b.net, y, "l", OUT) != NULL);
    float *values = test_floats(b.layout.total);
    nn_layout_init(values, &b.layout, test_seed(), NN_STREAM_TEST, 0);
    const nn_slice *s = b.layout.slices;
    /* fan-out of the convolution: 96 * 9; the normal distribution has kurtosis 3, the uniform 9/5
     */
    check_moments("conv", values + s[0].offset, s[0].count, sqrt(2.0 / (WIDE * 9)), 3);
    check_constants(values, &s[1], 1);
    check_constants(values, &s[2], 0);
    check_constants(values, &s[3], 0);
    check_constants(values, &s[4], 1);
    const double bound = 1 / sqrt((double)WIDE);
    check_moments("linear", values + s[5].offset, s[5].count, bound / sqrt(3), 1.8);
    check_bounds(values + s[5].offset, s[5].count, bound * (1 + 0x1p-22));
    check_moments("bias", values + s[6].offset, s[6].count, bound / sqrt(3), 1.8);
    nn_arena_free(&b.arena);
    test_release();
}

/* Another seed, stream, client: other values; the same: the same. */
static void check_streams(void)
{
    bench b;
    test_case("parameters: seeds, streams and clients are independent");
    declare(&b, &batch);
    const size_t total = b.layout.total;
    float *first = test_floats(total), *other = test_floats(total);
    nn_layout_init(first, &b.layout, 5, NN_STREAM_TEST, 0);
    nn_layout_init(other, &b.layout, 5, NN_STREAM_TEST, 0);
    test_same_floats("same draw", other, first, total);
    nn_layout_init(other, &b.layout, 6, NN_STREAM_TEST, 0);
    CHECK(other[0] != first[0]);
    nn_layout_init(other, &b.layout, 5, (nn_stream)(NN_STREAM_TEST + 1), 0);
    CHECK(other[0] != first[0]);
    nn_layout_init(other, &b.layout, 5, NN_STREAM_TEST, 1);
    CHECK(other[0] != first[0]);
    nn_arena_free(&b.arena);
    test_release();
}

/* The draws themselves: slice number is the round of the stream, two roundings each. */
static void check_draws(void)
{
    bench b;
    test_case("parameters: the draws of a slice");
    declare(&b, &batch);
    float *values = test_floats(b.layout.total);
    nn_layout_init(values, &b.layout, 9, NN_STREAM_TEST, 3);
    nn_rng normal = nn_rng_at(9, NN_STREAM_TEST, 0, 0, 3);
    nn_rng uniform = nn_rng_at(9, NN_STREAM_TEST, 0, 5, 3);
    const float deviation = (float)sqrt((double)(2.0f / 108.0f));
    const float bound = 1.0f / (float)sqrt(192.0);
    const float span = 2.0f * bound;
    for (size_t i = 0; i < 20; i++) {
        float want = deviation * nn_rng_normal(&normal);
        test_same_floats("conv", values + i, &want, 1);
        float scaled = nn_rng_uniform(&uniform) * span;
        want = scaled - bound;
        test_same_floats("linear", values + b.layout.slices[5].offset + i, &want, 1);
    }
    nn_arena_free(&b.arena);
    test_release();
}

/* ---- use ---- */

static void compute(bench *b, const nn_layout *layout, float *values, float *grads,
                    const nn_norm_choice *choice)
{
    start(b, false);
    float *x = test_floats(2 * 4 * 4 * 3);
    test_fill(x, 96, FILL_POWERS, &(test_random){1});
    b->net.layout = layout;
    b->net.values = values;
    b->net.grads = grads;
    b->net.statistics = values;
    nn_node *y = model(&b->net, image(b, x), choice);
    if (y != NULL)
        CHECK(nn_graph_backward(&b->graph, nn_graph_cross_entropy(&b->graph, y, (uint32_t[]){1, 2}),
                                1) == DDOME_OK);
}

/* Every trained element gets a gradient, no statistic does; training moves the statistics. */
static void check_gradient_places(void)
{
    bench plan, b;
    test_case("parameters: where gradients and statistics go");
    declare(&plan, &batch);
    const nn_layout *layout = &plan.layout;
    float *values = test_floats(layout->total), *grads = test_floats(layout->total);
    nn_layout_init(values, layout, 1, NN_STREAM_TEST, 0);
    compute(&b, layout, values, grads, &batch);
    test_status("model", b.graph.status, DDOME_OK, &b.error, NULL);
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        for (size_t i = 0; i < slice->count; i++) {
            const uint32_t bits = nn_float_bits(grads[slice->offset + i]);
            CHECK((bits == 0xffffffffu) == (slice->kind == NN_SLICE_STATISTIC));
        }
    }
    CHECK(values[layout->slices[3].offset] != 0 && values[layout->slices[4].offset] != 1);
    test_same_u64("slices used", b.net.next, layout->count);
    nn_arena_free(&b.arena);
    nn_arena_free(&plan.arena);
    test_release();
}

static void check_other_layout(void)
{
    bench plan, b;
    test_case("parameters: the layout of another model is refused");
    declare(&plan, &groups_of_4);
    float *values = test_floats(plan.layout.total);
    compute(&b, &plan.layout, values, NULL, &batch);
    test_status("model", b.graph.status, DDOME_ERR_RUNTIME, &b.error, "another model");
    nn_arena_free(&b.arena);
    nn_layout shorter = plan.layout;
    shorter.count--;
    compute(&b, &shorter, values, NULL, &groups_of_4);
    test_status("shorter", b.graph.status, DDOME_ERR_RUNTIME, &b.error, "another model");
    nn_arena_free(&b.arena);
    nn_arena_free(&plan.arena);
    test_release();
}

static void check_hash(void)
{
    bench b;
    char got[NN_HEX_BYTES], want[NN_HEX_BYTES];
    test_case("parameters: hash");
    declare(&b, &batch);
    float *values = test_floats(b.layout.total);
    unsigned char *bytes = test_bytes(b.layout.total, 4);
    nn_layout_init(values, &b.layout, 1, NN_STREAM_TEST, 0);
    for (size_t i = 0; i < 4 * b.layout.total; i++)
        bytes[i] = (unsigned char)(nn_float_bits(values[i / 4]) >> (8 * (i % 4)) & 0xff);
    const nn_digest plain = nn_sha256_of(bytes, 4 * b.layout.total);
    const nn_digest digest = nn_layout_hash(&b.layout, values);
    nn_digest_hex(got, &digest);
    nn_digest_hex(want, &plain);
    test_same_text("hash", got, want);
    nn_arena_free(&b.arena);
    test_release();
}

static void check_nonfinite(void)
{
    bench b;
    test_case("parameters: the first value that is not finite");
    declare(&b, &batch);
    const size_t total = b.layout.total, last = total - 1, mean = b.layout.slices[3].offset;
    float *values = test_guard_floats(0, total, GUARD_BEHIND);
    nn_layout_init(values, &b.layout, 1, NN_STREAM_TEST, 0);
    values[0] = 3.4028235e38f;
    test_same_u64("none", nn_layout_nonfinite(&b.layout, values), total);
    values[last] = -HUGE_VALF;
    test_same_u64("the last", nn_layout_nonfinite(&b.layout, values), last);
    values[mean] = nn_float_from_bits(0x7fc00000u);
    test_same_u64("an earlier one", nn_layout_nonfinite(&b.layout, values), mean);
    test_same_text("its name", nn_layout_slice_at(&b.layout, mean)->name, "running_mean");
    test_same_text("before it", nn_layout_slice_at(&b.layout, mean - 1)->name, "bias");
    test_same_text("first", nn_layout_slice_at(&b.layout, 0)->name, "stem.weight");
    test_same_text("last", nn_layout_slice_at(&b.layout, last)->name, "head.fc.bias");
    CHECK(nn_layout_slice_at(&b.layout, total) == NULL);
    nn_arena_free(&b.arena);
    test_guard_release();
}

void t_param(void);

void t_param(void)
{
    check_declaration();
    check_group_declaration();
    check_growth();
    check_init();
    check_streams();
    check_draws();
    check_gradient_places();
    check_other_layout();
    check_hash();
    check_nonfinite();
}

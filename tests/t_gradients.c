/* SPDX-License-Identifier: MIT */
/* Every operation on a tape: loss and all gradients of op -> linear -> cross-entropy against
 * central differences of the double oracle. The wiring is what is checked here, with one bound for
 * all; the operations' own suites hold the derived bounds. SPEC 5.16. */
#include "fixture.h"
#include "oracle.h"

#include "../nn/graph.h"

#include <math.h>
#include <string.h>

enum { LEAVES = 4, N = 2, HEAD = 3 };

/* One operation: its leaves, how the tape and the oracle compute it. */
typedef struct op_case {
    const char *name;
    size_t leaf_count, features; /* floats of a sample's result */
    nn_tensor leaves[LEAVES];
    nn_node *(*build)(nn_graph *graph, nn_node **leaves);
    void (*wide)(double *out, const double *const *leaves);
} op_case;

/* ---- operations ---- */

static oracle_window window(size_t c, size_t oc, size_t k, size_t stride, size_t pad)
{
    oracle_window o = {N, 4, 5, c, oc, k, k, stride, pad, 0, 0};
    oracle_place(&o);
    return o;
}

static nn_node *build_conv(nn_graph *graph, nn_node **in)
{
    return nn_graph_conv(graph, in[0], in[1], 2, 1, 3);
}

static void wide_conv(double *out, const double *const *in)
{
    const oracle_window o = window(2, 3, 3, 2, 1);
    oracle_conv(out, in[0], in[1], &o);
}

static nn_node *build_linear(nn_graph *graph, nn_node **in)
{
    return nn_graph_linear(graph, in[0], in[1], in[2]);
}

static void wide_linear(double *out, const double *const *in)
{
    oracle_linear(out, in[0], in[1], in[2], N, 12, 5);
}

static nn_node *build_batch_norm(nn_graph *graph, nn_node **in)
{
    static float mean[3], var[3];
    const nn_attr attr = {.running_mean = mean, .running_var = var};
    return nn_graph_apply(graph, NN_OP_BATCH_NORM, in, 3, &attr);
}

static void wide_batch_norm(double *out, const double *const *in)
{
    oracle_batch_norm(out, in[0], in[1], in[2], N * 4, 3);
}

static nn_node *build_group_norm(nn_graph *graph, nn_node **in)
{
    const nn_attr attr = {.groups = 2};
    return nn_graph_apply(graph, NN_OP_GROUP_NORM, in, 3, &attr);
}

static void wide_group_norm(double *out, const double *const *in)
{
    oracle_group_norm(out, in[0], in[1], in[2], N, 4, 4, 2);
}

static nn_node *build_relu(nn_graph *graph, nn_node **in)
{
    return nn_graph_relu(graph, in[0]);
}

static void wide_relu(double *out, const double *const *in)
{
    oracle_relu(out, in[0], N * 12);
}

static nn_node *build_max_pool(nn_graph *graph, nn_node **in)
{
    return nn_graph_max_pool(graph, in[0], 3, 2, 1);
}

static void wide_max_pool(double *out, const double *const *in)
{
    const oracle_window o = window(2, 2, 3, 2, 1);
    oracle_max_pool(out, in[0], &o);
}

static nn_node *build_avg_pool(nn_graph *graph, nn_node **in)
{
    return nn_graph_avg_pool(graph, in[0]);
}

static void wide_avg_pool(double *out, const double *const *in)
{
    oracle_avg_pool(out, in[0], N, 6, 4);
}

static nn_node *build_add(nn_graph *graph, nn_node **in)
{
    return nn_graph_add(graph, in[0], in[1]);
}

static void wide_add(double *out, const double *const *in)
{
    oracle_add(out, in[0], in[1], N * 6);
}

static const uint32_t chosen[3] = {0, 2, 3};

static nn_node *build_mixture(nn_graph *graph, nn_node **in)
{
    return nn_graph_mixture(graph, in[0], in + 1, chosen, 3, false);
}

static nn_node *build_mixture_probs(nn_graph *graph, nn_node **in)
{
    return nn_graph_mixture(graph, in[0], in + 1, chosen, 3, true);
}

static void wide_mixture(double *out, const double *const *in)
{
    const oracle_mix mix = {N, 5, 3, 4, chosen, 0};
    oracle_mixture(out, in[0], in + 1, &mix);
}

static void wide_mixture_probs(double *out, const double *const *in)
{
    const oracle_mix mix = {N, 5, 3, 4, chosen, 1};
    oracle_mixture(out, in[0], in + 1, &mix);
}

/* A residual block in small: the input is used twice, the sum is normalised and rectified. */
static nn_node *build_block(nn_graph *graph, nn_node **in)
{
    nn_node *y = nn_graph_relu(graph, nn_graph_conv(graph, in[0], in[1], 1, 1, 3));
    return nn_graph_add(graph, nn_graph_conv(graph, y, in[2], 1, 0, 1), in[0]);
}

static void wide_block(double *out, const double *const *in)
{
    double *y = test_doubles(N * 20 * 2), *z = test_doubles(N * 20 * 2);
    const oracle_window first = window(2, 2, 3, 1, 1), second = window(2, 2, 1, 1, 0);
    oracle_conv(y, in[0], in[1], &first);
    oracle_relu(y, y, N * 20 * 2);
    oracle_conv(z, y, in[2], &second);
    oracle_add(out, z, in[0], N * 20 * 2);
}

#define VECTOR(count)                                                                              \
    {                                                                                              \
        NULL, count, 1, 1, 1                                                                       \
    }

static const op_case cases[] = {
    {"conv", 2, 18, {{NULL, N, 4, 5, 2}, {NULL, 3, 1, 1, 18}}, build_conv, wide_conv},
    {"linear",
     3,
     5,
     {{NULL, N, 2, 2, 3}, {NULL, 5, 1, 1, 12}, VECTOR(5)},
     build_linear,
     wide_linear},
    {"batch_norm",
     3,
     12,
     {{NULL, N, 2, 2, 3}, VECTOR(3), VECTOR(3)},
     build_batch_norm,
     wide_batch_norm},
    {"group_norm",
     3,
     16,
     {{NULL, N, 2, 2, 4}, VECTOR(4), VECTOR(4)},
     build_group_norm,
     wide_group_norm},
    {"relu", 1, 12, {{NULL, N, 2, 2, 3}}, build_relu, wide_relu},
    {"max_pool", 1, 12, {{NULL, N, 4, 5, 2}}, build_max_pool, wide_max_pool},
    {"avg_pool", 1, 4, {{NULL, N, 2, 3, 4}}, build_avg_pool, wide_avg_pool},
    {"add", 2, 6, {{NULL, N, 1, 2, 3}, {NULL, N, 1, 2, 3}}, build_add, wide_add},
    {"mixture",
     4,
     4,
     {{NULL, N, 1, 1, 5}, {NULL, N, 1, 1, 4}, {NULL, N, 1, 1, 4}, {NULL, N, 1, 1, 4}},
     build_mixture,
     wide_mixture},
    {"mixture_probs",
     4,
     4,
     {{NULL, N, 1, 1, 5}, {NULL, N, 1, 1, 4}, {NULL, N, 1, 1, 4}, {NULL, N, 1, 1, 4}},
     build_mixture_probs,
     wide_mixture_probs},
    {"residual block",
     3,
     40,
     {{NULL, N, 4, 5, 2}, {NULL, 2, 1, 1, 18}, {NULL, 2, 1, 1, 2}},
     build_block,
     wide_block},
};

/* ---- one case ---- */

/* All leaves in one vector, and the head's weights. */
typedef struct problem {
    const op_case *op;
    size_t count, offset[LEAVES];
    float *values, *grads, *weight, *bias;
    uint32_t labels[N];
} problem;

/* Distinct values 1/32 apart that avoid 0: no kink of a maximum lies within a difference. */
static void fill_distinct(float *x, size_t count, test_random *random)
{
    for (size_t i = 0; i < count; i++) {
        const size_t j = test_random_below(random, i + 1);
        x[i] = x[j];
        x[j] = ((float)i - (float)(count / 2) + 0.5f) / 32.0f;
    }
}

static problem make(const op_case *op, test_random *random)
{
    problem p = {op, 0, {0}, NULL, NULL, NULL, NULL, {2, 0}};
    for (size_t i = 0; i < op->leaf_count; i++) {
        p.offset[i] = p.count;
        p.count += nn_tensor_count(&op->leaves[i]);
    }
    p.values = test_floats(p.count);
    p.grads = test_floats(p.count);
    p.weight = test_floats(HEAD * op->features);
    p.bias = test_floats(HEAD);
    fill_distinct(p.values, p.count, random);
    test_fill_uniform(p.weight, HEAD * op->features, 0.5f, random);
    test_fill_uniform(p.bias, HEAD, 0.5f, random);
    return p;
}

static nn_node *build(nn_graph *graph, problem *p)
{
    nn_node *leaves[LEAVES];
    for (size_t i = 0; i < p->op->leaf_count; i++) {
        nn_tensor value = p->op->leaves[i];
        value.data = p->values + p->offset[i];
        leaves[i] = nn_graph_leaf(graph, &value, p->grads + p->offset[i]);
    }
    const nn_tensor weight = {p->weight, HEAD, 1, 1, p->op->features},
                    bias = {p->bias, HEAD, 1, 1, 1};
    nn_node *z =
        nn_graph_linear(graph, p->op->build(graph, leaves), nn_graph_leaf(graph, &weight, NULL),
                        nn_graph_leaf(graph, &bias, NULL));
    return nn_graph_cross_entropy(graph, z, p->labels);
}

static double objective(const double *values, void *context)
{
    const problem *p = context;
    const double *leaves[LEAVES];
    const size_t features = p->op->features;
    double *y = test_doubles(N * features), *z = test_doubles(N * HEAD);
    for (size_t i = 0; i < p->op->leaf_count; i++)
        leaves[i] = values + p->offset[i];
    p->op->wide(y, leaves);
    oracle_linear(z, y, test_widened(p->weight, HEAD * features), test_widened(p->bias, HEAD), N,
                  features, HEAD);
    return oracle_cross_entropy(z, p->labels, N, HEAD);
}

/* A probability's relative error is the absolute error of the logits: some 30 roundings of terms
 * that add up to less than 32. 2^-14 of the leaf's largest gradient covers that; a wrong wire does
 * not fit into it. The stencil's own rounding stays below 1e-9. */
static bool near_differences(problem *p)
{
    double *values = test_widened(p->values, p->count);
    double *want = test_doubles(p->count), *bound = test_doubles(p->count);
    for (size_t i = 0; i < p->op->leaf_count; i++) {
        const size_t first = p->offset[i], end = first + nn_tensor_count(&p->op->leaves[i]);
        double most = 0;
        for (size_t j = first; j < end; j++) {
            want[j] = oracle_difference(objective, p, values, j, 1e-5);
            most = fmax(most, fabs(want[j]));
        }
        for (size_t j = first; j < end; j++)
            bound[j] = 0x1p-14 * most + 1e-9;
        if (!CHECK(most > 1e-4) ||
            !test_close("gradient", p->grads + first, want + first, end - first, bound + first))
            return test_check(false, __FILE__, __LINE__, "leaf %lu", (unsigned long)i);
    }
    return true;
}

static void check_case(const op_case *op, test_random *random)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    nn_graph graph = {.engine = test_engine(), .arena = &arena, .error = &error, .training = true};
    test_case("gradients of %s through the tape", op->name);
    problem p = make(op, random);
    nn_node *loss = build(&graph, &p);
    if (CHECK(loss != NULL) && CHECK(nn_graph_backward(&graph, loss, 1.0f) == DDOME_OK)) {
        const double want = objective(test_widened(p.values, p.count), &p);
        const double bound = 0x1p-18 * (1 + fabs(want));
        test_close("loss", loss->value.data, &want, 1, &bound);
        near_differences(&p);
    }
    nn_arena_free(&arena);
    test_release();
}

/* scale multiplies every gradient: by a power of two, exactly. */
static void check_scale(void)
{
    float whole[64], half[64];
    test_case("gradients: scale");
    for (int i = 0; i < 2; i++) {
        test_random random = {132};
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        nn_graph graph = {
            .engine = test_engine(), .arena = &arena, .error = &error, .training = true};
        problem p = make(&cases[1], &random);
        CHECK(p.count >= 64);
        CHECK(nn_graph_backward(&graph, build(&graph, &p), i == 0 ? 1.0f : 0.5f) == DDOME_OK);
        memcpy(i == 0 ? whole : half, p.grads, sizeof whole);
        nn_arena_free(&arena);
        test_release();
    }
    for (int i = 0; i < 64; i++)
        whole[i] = 0.5f * whole[i];
    test_same_floats("half", half, whole, 64);
}

void t_gradients(void);

void t_gradients(void)
{
    /* not the run's seed: another one may put a kink of a ReLU in the way */
    test_random random = {131};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i], &random);
    check_scale();
}

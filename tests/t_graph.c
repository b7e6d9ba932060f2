/* SPDX-License-Identifier: MIT */
/* The tape: order of meeting gradients, sticky errors, shape errors, planning, memory. Gradients of
 * every operation through the tape are t_gradients's. SPEC 5.16. */
#include "fixture.h"

#include "../nn/graph.h"

#include <string.h>

/* A graph over its own arena and error. */
typedef struct bench {
    nn_arena arena;
    ddome_error error;
    nn_graph graph;
} bench;

static bench *start(void)
{
    bench *b = test_bytes(1, sizeof *b);
    memset(b, 0, sizeof *b);
    b->graph.engine = test_engine();
    b->graph.arena = &b->arena;
    b->graph.error = &b->error;
    b->graph.training = true;
    return b;
}

static void finish(bench *b)
{
    nn_arena_free(&b->arena);
    test_release();
}

static nn_node *leaf(bench *b, float *data, float *grad, size_t n, size_t h, size_t w, size_t c)
{
    const nn_tensor value = {data, n, h, w, c};
    return nn_graph_leaf(&b->graph, &value, grad);
}

/* ---- meeting gradients ---- */

/* y = (w0*x + w1*x) + w2*x: x receives w2, w1, w0 in this order, each stored or added in float. */
static float meet(const float weights[3])
{
    bench *b = start();
    float x = 1, dx = -1, zero = 0, w[3];
    memcpy(w, weights, sizeof w);
    nn_node *in = leaf(b, &x, &dx, 1, 1, 1, 1), *bias = leaf(b, &zero, NULL, 1, 1, 1, 1), *out[3];
    for (int i = 0; i < 3; i++)
        out[i] = nn_graph_linear(&b->graph, in, leaf(b, &w[i], NULL, 1, 1, 1, 1), bias);
    nn_node *sum = nn_graph_add(&b->graph, nn_graph_add(&b->graph, out[0], out[1]), out[2]);
    CHECK(nn_graph_backward(&b->graph, sum, 1.0f) == DDOME_OK);
    finish(b);
    return dx;
}

static void check_meeting(void)
{
    /* (2^24 + 1) - 2^24 loses the one; earlier first, (-2^24 + 1) + 2^24, would keep it */
    const float late[3] = {-16777216.0f, 1, 16777216.0f};
    /* (2^24 - 2^24) + 1 keeps the one; (2^24 + 1) - 2^24 would lose it */
    const float early[3] = {1, -16777216.0f, 16777216.0f};
    /* (1 + 1) + 2^24; from the other end the ones would be lost one by one */
    const float small[3] = {16777216.0f, 1, 1};
    const float zero = 0, one = 1, more = 16777218.0f;
    test_case("graph: gradients meet later consumer first");
    float got = meet(late);
    test_same_floats("2^24, 1, -2^24", &got, &zero, 1);
    got = meet(early);
    test_same_floats("2^24, -2^24, 1", &got, &one, 1);
    got = meet(small);
    test_same_floats("1, 1, 2^24", &got, &more, 1);
}

/* A single contribution is stored as it is: -0 stays -0, for an addition to +0 would give +0. */
static void check_first_contribution(void)
{
    bench *b = start();
    float x = 2, dx = 7, y = 3, dy = 7;
    const float minus_zero = -0.0f;
    test_case("graph: the first gradient is stored as it is");
    nn_node *sum =
        nn_graph_add(&b->graph, leaf(b, &x, &dx, 1, 1, 1, 1), leaf(b, &y, &dy, 1, 1, 1, 1));
    CHECK(nn_graph_backward(&b->graph, sum, minus_zero) == DDOME_OK);
    test_same_floats("dx", &dx, &minus_zero, 1);
    test_same_floats("dy", &dy, &minus_zero, 1);
    finish(b);
}

/* One node as both inputs; gradients of a shared weight. */
static void check_shared(void)
{
    bench *b = start();
    float x[2] = {1, 2}, w = 5, zero = 0, dx[2], dw;
    const float want_dx[2] = {20, 20}, want_dw = 12;
    test_case("graph: a node that is used twice");
    nn_node *in = leaf(b, x, dx, 2, 1, 1, 1), *weight = leaf(b, &w, &dw, 1, 1, 1, 1);
    nn_node *y = nn_graph_linear(&b->graph, nn_graph_add(&b->graph, in, in), weight,
                                 leaf(b, &zero, NULL, 1, 1, 1, 1));
    y = nn_graph_avg_pool(&b->graph, y); /* the identity: each sample has one position */
    y->value.n = 1;                      /* its two samples become two positions of one sample, */
    y->value.h = 2;                      /* whose mean is a scalar */
    nn_node *mean = nn_graph_avg_pool(&b->graph, y);
    CHECK(nn_graph_backward(&b->graph, mean, 4.0f) == DDOME_OK);
    test_same_floats("dx", dx, want_dx, 2);
    test_same_floats("dw", &dw, &want_dw, 1);
    finish(b);
}

/* Addition is the one operation that takes a node twice. */
static void check_doubled(void)
{
    bench *b = start();
    float x = 0x1.000002p0f, dx = 7;
    const float doubled = 0x1.000002p1f, want_dx = 6;
    test_case("graph: a node added to itself");
    nn_node *in = leaf(b, &x, &dx, 1, 1, 1, 1), *sum = nn_graph_add(&b->graph, in, in);
    if (CHECK(sum != NULL)) {
        test_same_floats("sum", sum->value.data, &doubled, 1);
        CHECK(nn_graph_backward(&b->graph, sum, 3.0f) == DDOME_OK);
        test_same_floats("dx", &dx, &want_dx, 1);
    }
    finish(b);
}

/* ---- errors ---- */

static void expect_shape_error(const char *what, bench *b, const nn_node *node)
{
    test_check(node == NULL, __FILE__, __LINE__, "%s: a node came back", what);
    test_status(what, b->graph.status, DDOME_ERR_RUNTIME, &b->error, what);
    finish(b);
}

static nn_node *plain(bench *b, size_t n, size_t h, size_t w, size_t c)
{
    return leaf(b, test_floats(nn_max(n * h * w * c, 1)), NULL, n, h, w, c);
}

static void check_window_shapes(void)
{
    test_case("graph: shapes that do not fit a window");
    bench *b = start();
    nn_node *x = plain(b, 1, 4, 4, 3), *w = plain(b, 2, 1, 1, 26);
    expect_shape_error("conv", b, nn_graph_conv(&b->graph, x, w, 1, 1, 3));
    b = start();
    x = plain(b, 1, 2, 2, 3), w = plain(b, 2, 1, 1, 75);
    expect_shape_error("conv", b, nn_graph_conv(&b->graph, x, w, 1, 1, 5));
    b = start();
    x = plain(b, 1, 4, 4, 3);
    expect_shape_error("max_pool", b, nn_graph_max_pool(&b->graph, x, 2, 2, 2));
    b = start();
    x = plain(b, 1, 4, 4, 3);
    expect_shape_error("max_pool", b, nn_graph_max_pool(&b->graph, x, 3, 0, 1));
}

static void check_matrix_shapes(void)
{
    test_case("graph: shapes that do not fit each other");
    bench *b = start();
    nn_node *x = plain(b, 2, 1, 2, 3), *w = plain(b, 4, 1, 1, 5), *bias = plain(b, 4, 1, 1, 1);
    expect_shape_error("linear", b, nn_graph_linear(&b->graph, x, w, bias));
    b = start();
    x = plain(b, 2, 1, 1, 5), w = plain(b, 4, 1, 1, 5), bias = plain(b, 3, 1, 1, 1);
    expect_shape_error("linear", b, nn_graph_linear(&b->graph, x, w, bias));
    b = start();
    x = plain(b, 2, 1, 2, 3), w = plain(b, 2, 2, 1, 3);
    expect_shape_error("add", b, nn_graph_add(&b->graph, x, w));
    b = start();
    expect_shape_error("cross_entropy", b,
                       nn_graph_cross_entropy(&b->graph, plain(b, 0, 1, 1, 3), NULL));
}

static void check_norm_shapes(void)
{
    const nn_attr three = {.groups = 3}, none = {.groups = 0};
    test_case("graph: shapes that do not fit a norm");
    bench *b = start();
    nn_node *bad[] = {plain(b, 2, 1, 1, 4), plain(b, 3, 1, 1, 1), plain(b, 4, 1, 1, 1)};
    expect_shape_error("batch_norm", b, nn_graph_apply(&b->graph, NN_OP_BATCH_NORM, bad, 3, NULL));
    b = start();
    nn_node *in[] = {plain(b, 2, 1, 1, 4), plain(b, 4, 1, 1, 1), plain(b, 4, 1, 1, 1)};
    expect_shape_error("group_norm", b, nn_graph_apply(&b->graph, NN_OP_GROUP_NORM, in, 3, &three));
    b = start();
    nn_node *again[] = {plain(b, 2, 1, 1, 4), plain(b, 4, 1, 1, 1), plain(b, 4, 1, 1, 1)};
    expect_shape_error("group_norm", b,
                       nn_graph_apply(&b->graph, NN_OP_GROUP_NORM, again, 3, &none));
}

static void check_mixture_shapes(void)
{
    static const uint32_t chosen[2] = {0, 3}, twice[2] = {1, 1};
    test_case("graph: shapes that do not fit a mixture");
    bench *b = start(); /* expert 3 of 3 */
    nn_node *gate = plain(b, 2, 1, 1, 3), *z[2] = {plain(b, 2, 1, 1, 5), plain(b, 2, 1, 1, 5)};
    expect_shape_error("mixture", b, nn_graph_mixture(&b->graph, gate, z, chosen, 2, false));
    b = start(); /* logits of different widths */
    gate = plain(b, 2, 1, 1, 4), z[0] = plain(b, 2, 1, 1, 5), z[1] = plain(b, 2, 1, 1, 6);
    expect_shape_error("mixture_probs", b, nn_graph_mixture(&b->graph, gate, z, chosen, 2, true));
    b = start(); /* gate of another batch */
    gate = plain(b, 3, 1, 1, 4), z[0] = plain(b, 2, 1, 1, 5), z[1] = plain(b, 2, 1, 1, 5);
    expect_shape_error("mixture", b, nn_graph_mixture(&b->graph, gate, z, chosen, 2, false));
    b = start(); /* not ascending */
    gate = plain(b, 2, 1, 1, 4), z[0] = plain(b, 2, 1, 1, 5), z[1] = plain(b, 2, 1, 1, 5);
    expect_shape_error("mixture", b, nn_graph_mixture(&b->graph, gate, z, twice, 2, false));
    b = start(); /* nobody chosen */
    gate = plain(b, 3, 1, 1, 4);
    expect_shape_error("mixture", b, nn_graph_mixture(&b->graph, gate, z, chosen, 0, false));
    b = start(); /* more than the kernels hold */
    gate = plain(b, 3, 1, 1, 4);
    expect_shape_error("mixture", b,
                       nn_graph_mixture(&b->graph, gate, z, chosen, NN_MAX_EXPERTS + 1, false));
}

/* Every pair of equal inputs fits by its shapes. */
static void check_twice(void)
{
    static const uint32_t chosen[3] = {0, 1, 3};
    static const char twice[] = "the same input twice";
    test_case("graph: the same input twice");
    for (int probs = 0; probs < 2; probs++) {
        bench *b = start();
        nn_node *gate = plain(b, 2, 1, 1, 4), *z = plain(b, 2, 1, 1, 5), *y = plain(b, 2, 1, 1, 5);
        nn_node *logits[3] = {z, y, z};
        expect_shape_error(twice, b,
                           nn_graph_mixture(&b->graph, gate, logits, chosen, 3, probs == 1));
    }
    bench *b = start(); /* the gate is one of the experts */
    nn_node *gate = plain(b, 2, 1, 1, 4), *logits[2] = {plain(b, 2, 1, 1, 4), gate};
    expect_shape_error(twice, b, nn_graph_mixture(&b->graph, gate, logits, chosen, 2, false));
    b = start();
    nn_node *x = plain(b, 3, 1, 1, 3), *w = plain(b, 3, 1, 1, 1);
    expect_shape_error(twice, b, nn_graph_linear(&b->graph, x, x, w));
    b = start();
    x = plain(b, 2, 1, 1, 9);
    expect_shape_error(twice, b, nn_graph_conv(&b->graph, x, x, 1, 0, 1));
    b = start();
    x = plain(b, 2, 1, 1, 4), w = plain(b, 4, 1, 1, 1);
    nn_node *inputs[3] = {x, w, w};
    expect_shape_error(twice, b, nn_graph_apply(&b->graph, NN_OP_BATCH_NORM, inputs, 3, NULL));
}

/* After a failure nothing is appended, every call returns NULL and the first cause stays. */
static void check_sticky(void)
{
    float x = 1;
    test_case("graph: the first failure sticks");
    bench *b = start();
    nn_node *a = plain(b, 1, 1, 1, 2), *c = plain(b, 1, 1, 1, 3);
    b->arena.fail_after = b->arena.allocations + 1;
    CHECK(nn_graph_relu(&b->graph, a) == NULL);
    b->arena.fail_after = 0;
    const nn_node *last = b->graph.last;
    test_status("first", b->graph.status, DDOME_ERR_MEMORY, &b->error, "out of memory");
    CHECK(nn_graph_add(&b->graph, a, c) == NULL);
    CHECK(nn_graph_relu(&b->graph, NULL) == NULL);
    CHECK(nn_graph_linear(&b->graph, NULL, NULL, NULL) == NULL);
    CHECK(nn_graph_conv(&b->graph, NULL, NULL, 1, 1, 1) == NULL);
    CHECK(nn_graph_mixture(&b->graph, NULL, NULL, NULL, NN_MAX_EXPERTS + 1, false) == NULL);
    CHECK(nn_graph_cross_entropy(&b->graph, NULL, NULL) == NULL);
    CHECK(leaf(b, &x, NULL, 1, 1, 1, 1) == NULL);
    CHECK(nn_graph_backward(&b->graph, NULL, 1) == DDOME_ERR_MEMORY);
    test_status("still", b->graph.status, DDOME_ERR_MEMORY, &b->error, "out of memory");
    CHECK(b->graph.last == last);
    finish(b);
}

/* A failure in the backward pass sticks too. */
static void check_backward_failure(void)
{
    float x[2] = {1, 2}, dx[2], w[2] = {1, 2}, dw[2], bias = 0, db;
    test_case("graph: backward without memory, at each allocation");
    bool failed = true;
    for (size_t after = 1; failed && after < 50; after++) {
        bench *b = start();
        nn_node *y =
            nn_graph_linear(&b->graph, nn_graph_relu(&b->graph, leaf(b, x, dx, 1, 1, 1, 2)),
                            leaf(b, w, dw, 1, 1, 1, 2), leaf(b, &bias, &db, 1, 1, 1, 1));
        b->arena.fail_after = b->arena.allocations + after;
        const ddome_status status = nn_graph_backward(&b->graph, y, 1);
        failed = status != DDOME_OK;
        if (failed)
            test_status("backward", status, DDOME_ERR_MEMORY, &b->error, "out of memory");
        CHECK(b->graph.status == status);
        finish(b);
    }
    CHECK(!failed);
}

/* Evaluation keeps no batch statistics to differentiate through: an error, not a crash. */
static void check_backward_of_eval(void)
{
    bench *b = start();
    float x[2] = {1, 2}, dx[2], one = 1, zero = 0, dgamma, dbeta;
    nn_attr attr = {.fixed_mean = &zero, .fixed_var = &one};
    test_case("graph: backward through batch-norm in evaluation is refused");
    b->graph.training = false;
    nn_node *in[] = {leaf(b, x, dx, 1, 2, 1, 1), leaf(b, &one, &dgamma, 1, 1, 1, 1),
                     leaf(b, &zero, &dbeta, 1, 1, 1, 1)};
    nn_node *y = nn_graph_apply(&b->graph, NN_OP_BATCH_NORM, in, 3, &attr);
    const ddome_status status = nn_graph_backward(&b->graph, nn_graph_avg_pool(&b->graph, y), 1);
    test_status("backward", status, DDOME_ERR_RUNTIME, &b->error, "batch_norm");
    finish(b);
}

/* ---- planning, table ---- */

static void check_planning(void)
{
    bench *b = start();
    test_case("graph: planning computes shapes without data");
    b->graph.planning = true;
    nn_node *x = leaf(b, NULL, NULL, 2, 9, 9, 3), *w = leaf(b, NULL, NULL, 8, 1, 1, 27);
    nn_node *y = nn_graph_max_pool(
        &b->graph, nn_graph_relu(&b->graph, nn_graph_conv(&b->graph, x, w, 2, 1, 3)), 3, 2, 1);
    CHECK(y != NULL && y->value.data == NULL && b->graph.status == DDOME_OK);
    CHECK(y->value.n == 2 && y->value.h == 3 && y->value.w == 3 && y->value.c == 8);
    y = nn_graph_avg_pool(&b->graph, y);
    CHECK(y->value.n == 2 && y->value.h == 1 && y->value.w == 1 && y->value.c == 8);
    finish(b);
}

static void check_table(void)
{
    test_case("graph: the op table is complete");
    for (int op = 0; op < NN_OP_COUNT; op++) {
        const nn_op_entry *entry = &nn_op_table[op];
        CHECK(entry->name != NULL && entry->formula != NULL);
        CHECK(op == NN_OP_LEAF ||
              (entry->shape != NULL && entry->forward != NULL && entry->backward != NULL));
    }
}

/* Leaves without gradient are neither written nor asked for; a trained bias beside a frozen weight
 * still learns. */
static void check_frozen(void)
{
    bench *b = start();
    float x[2] = {1, -1}, w[2] = {3, 4}, bias = 0, dx[2], db = 7;
    const float want[2] = {3, 0}, one = 1;
    test_case("graph: frozen parameters");
    nn_node *weight = leaf(b, w, NULL, 1, 1, 1, 2);
    nn_node *y = nn_graph_linear(&b->graph, nn_graph_relu(&b->graph, leaf(b, x, dx, 1, 1, 1, 2)),
                                 weight, leaf(b, &bias, &db, 1, 1, 1, 1));
    CHECK(nn_graph_backward(&b->graph, y, 1) == DDOME_OK);
    test_same_floats("dx", dx, want, 2);
    test_same_floats("db", &db, &one, 1);
    finish(b);
}

void t_graph(void);

void t_graph(void)
{
    check_meeting();
    check_first_contribution();
    check_shared();
    check_doubled();
    check_window_shapes();
    check_matrix_shapes();
    check_norm_shapes();
    check_mixture_shapes();
    check_twice();
    check_sticky();
    check_backward_failure();
    check_backward_of_eval();
    check_planning();
    check_table();
    check_frozen();
}

/* SPDX-License-Identifier: MIT */
/* The tape at its edges: every operation with each of its allocations failing, forward and
 * backward; inputs whose shapes nearly fit; what an operation lacks; a watcher that fails.
 * SPEC 5.16. */
#include "fixture.h"
#include "poor.h"

#include "../nn/graph.h"

#include <string.h>

enum { MOST_FLOATS = 128, CHANNELS = 4 };

/* What the leaves of a tape hold, and where their gradients go. */
typedef struct floats {
    float value[MOST_FLOATS], grad[MOST_FLOATS], mean[CHANNELS], var[CHANNELS];
    uint32_t labels[4], chosen[2];
} floats;

static floats filled(void)
{
    floats f = {.labels = {0, 1, 2, 0}, .chosen = {0, 2}};
    for (size_t i = 0; i < MOST_FLOATS; i++)
        f.value[i] = (float)(i % 13) / 8 - 0.5f;
    return f;
}

static nn_node *leaf(nn_graph *graph, floats *f, size_t n, size_t h, size_t w, size_t c)
{
    const nn_tensor value = {f->value, n, h, w, c};
    return nn_graph_leaf(graph, &value, f->grad);
}

/* A node that wants a gradient and has no room for it yet, so that the tape must ask for some. */
static nn_node *inner(nn_graph *graph, floats *f, size_t n, size_t h, size_t w, size_t c)
{
    nn_node *at = leaf(graph, f, n, h, w, c);
    return at == NULL ? NULL : nn_graph_relu(graph, at);
}

/* ---- no memory ---- */

static nn_node *conv(nn_graph *graph, floats *f)
{
    nn_node *x = inner(graph, f, 2, 3, 3, 2), *w = inner(graph, f, 3, 3, 3, 2);
    return nn_graph_conv(graph, x, w, 1, 1, 3);
}

static nn_node *linear(nn_graph *graph, floats *f)
{
    nn_node *x = inner(graph, f, 2, 1, 1, 5), *w = inner(graph, f, 3, 1, 1, 5);
    return nn_graph_linear(graph, x, w, inner(graph, f, 3, 1, 1, 1));
}

static nn_node *norm(nn_graph *graph, floats *f, nn_op op, nn_node *x, nn_node *residual, bool relu)
{
    const nn_attr attr = {.groups = 2,
                          .relu = relu,
                          .running_mean = f->mean,
                          .running_var = f->var,
                          .fixed_mean = f->mean,
                          .fixed_var = f->value + 5};
    nn_node *inputs[4] = {x, inner(graph, f, CHANNELS, 1, 1, 1), inner(graph, f, CHANNELS, 1, 1, 1),
                          residual};
    return nn_graph_apply(graph, op, inputs, residual == NULL ? 3 : 4, &attr);
}

static nn_node *batch_norm(nn_graph *graph, floats *f)
{
    return norm(graph, f, NN_OP_BATCH_NORM, inner(graph, f, 2, 2, 2, CHANNELS), NULL, false);
}

/* Two values that are dropped and, in the backward pass, computed one from the other. */
static nn_node *dropped(nn_graph *graph, floats *f)
{
    nn_node *a = norm(graph, f, NN_OP_BATCH_NORM, inner(graph, f, 2, 2, 2, CHANNELS), NULL, true);
    nn_node *b = norm(graph, f, NN_OP_BATCH_NORM, a, NULL, true);
    nn_graph_drop(graph, a);
    nn_node *y = nn_graph_relu(graph, b);
    nn_graph_drop(graph, b);
    return y;
}

/* One that is only a residual: it is still dropped when the backward pass comes to it. */
static nn_node *dropped_residual(nn_graph *graph, floats *f)
{
    nn_node *a = norm(graph, f, NN_OP_BATCH_NORM, inner(graph, f, 2, 2, 2, CHANNELS), NULL, true);
    nn_node *y = norm(graph, f, NN_OP_BATCH_NORM, inner(graph, f, 2, 2, 2, CHANNELS), a, true);
    nn_graph_drop(graph, a);
    return y;
}

/* The same, and what lies between has taken all the room that came back: the gradients of a
 * smaller batch-norm and of its gamma. */
static nn_node *dropped_residual_late(nn_graph *graph, floats *f)
{
    const nn_attr attr = {.relu = true, .running_mean = f->mean, .running_var = f->var};
    nn_node *w = inner(graph, f, CHANNELS, 2, 2, CHANNELS);
    nn_node *gamma = inner(graph, f, CHANNELS, 1, 1, 1), *beta = inner(graph, f, CHANNELS, 1, 1, 1);
    nn_node *a = norm(graph, f, NN_OP_BATCH_NORM, inner(graph, f, 2, 2, 2, CHANNELS), NULL, true);
    nn_node *small = inner(graph, f, 2, 1, 1, CHANNELS);
    nn_node *x = norm(graph, f, NN_OP_BATCH_NORM, small, NULL, false);
    nn_node *inputs[4] = {nn_graph_conv(graph, x, w, 1, 1, 2), gamma, beta, a};
    nn_node *y = nn_graph_apply(graph, NN_OP_BATCH_NORM, inputs, 4, &attr);
    nn_graph_drop(graph, a);
    return y;
}

static nn_node *residual(nn_graph *graph, floats *f)
{
    nn_node *x = inner(graph, f, 2, 2, 2, CHANNELS);
    return norm(graph, f, NN_OP_BATCH_NORM, x, inner(graph, f, 2, 2, 2, CHANNELS), true);
}

static nn_node *group_norm(nn_graph *graph, floats *f)
{
    return norm(graph, f, NN_OP_GROUP_NORM, inner(graph, f, 2, 2, 2, CHANNELS), NULL, false);
}

static nn_node *pools(nn_graph *graph, floats *f)
{
    nn_node *x = nn_graph_max_pool(graph, inner(graph, f, 2, 4, 4, 3), 2, 2, 0);
    return nn_graph_avg_pool(graph, x);
}

/* x meets itself: the second gradient needs room of its own. */
static nn_node *sum(nn_graph *graph, floats *f)
{
    nn_node *x = inner(graph, f, 2, 2, 2, 3);
    return nn_graph_add(graph, x, x);
}

static nn_node *mixture(nn_graph *graph, floats *f, bool probs)
{
    nn_node *gate = inner(graph, f, 2, 1, 1, 3);
    nn_node *logits[2] = {inner(graph, f, 2, 1, 1, 5), inner(graph, f, 2, 1, 1, 5)};
    return nn_graph_mixture(graph, gate, logits, f->chosen, 2, probs);
}

static nn_node *mixture_logits(nn_graph *graph, floats *f)
{
    return mixture(graph, f, false);
}

static nn_node *mixture_probs(nn_graph *graph, floats *f)
{
    return mixture(graph, f, true);
}

typedef struct problem {
    const char *name;
    nn_node *(*build)(nn_graph *graph, floats *f);
    bool evaluation; /* forward only, as a model that does not learn */
    float loss;      /* with enough memory */
} problem;

static ddome_status work(ddome_error *error, nn_arena *arena, void *context)
{
    problem *p = context;
    floats f = filled();
    nn_graph graph = {
        .engine = test_engine(), .arena = arena, .error = error, .training = !p->evaluation};
    nn_node *loss = nn_graph_cross_entropy(&graph, p->build(&graph, &f), f.labels);
    if (loss == NULL)
        return graph.status;
    p->loss = *loss->value.data;
    return p->evaluation ? DDOME_OK : nn_graph_backward(&graph, loss, 1.0f);
}

static void without_memory(void)
{
    static const problem problems[] = {
        {"conv", conv, false, 0},
        {"linear", linear, false, 0},
        {"batch-norm", batch_norm, false, 0},
        {"batch-norm, evaluation", batch_norm, true, 0},
        {"batch-norm, dropped twice", dropped, false, 0},
        {"batch-norm, dropped residual", dropped_residual, false, 0},
        {"batch-norm, dropped residual, late", dropped_residual_late, false, 0},
        {"batch-norm, residual", residual, false, 0},
        {"group-norm", group_norm, false, 0},
        {"group-norm, evaluation", group_norm, true, 0},
        {"max-pool, average pool", pools, false, 0},
        {"add", sum, false, 0},
        {"mixture", mixture_logits, false, 0},
        {"mixture of probabilities", mixture_probs, false, 0}};
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        problem p = problems[i];
        test_case("graph: %s without memory, at each allocation, forward and backward", p.name);
        p.loss = -1;
        test_poor_alone(p.name, 5, work, &p);
        CHECK(p.loss > 0);
    }
}

/* ---- what does not fit ---- */

typedef struct bench {
    nn_arena arena;
    ddome_error error;
    nn_graph graph;
    floats f;
} bench;

static bench *start(void)
{
    bench *b = test_bytes(1, sizeof *b);
    memset(b, 0, sizeof *b);
    b->f = filled();
    b->graph = (nn_graph){
        .engine = test_engine(), .arena = &b->arena, .error = &b->error, .training = true};
    return b;
}

static void finish(bench *b)
{
    nn_arena_free(&b->arena);
    test_release();
}

/* The node is refused, and the line says PART. */
static void refused(const char *what, bench *b, const nn_node *made, const char *part)
{
    CHECK(made == NULL);
    test_status(what, b->graph.status, DDOME_ERR_RUNTIME, &b->error, part);
    finish(b);
}

/* Two tensors that differ in one size. */
static void near_shapes(void)
{
    static const size_t sizes[4][4] = {{3, 2, 2, 2}, {2, 3, 2, 2}, {2, 2, 3, 2}, {2, 2, 2, 3}};
    static const char fit[] = "the shapes of its inputs do not fit";
    for (size_t i = 0; i < 4; i++) {
        const size_t *s = sizes[i];
        test_case("graph: size %lu of two inputs differs", (unsigned long)i);
        bench *b = start();
        nn_node *x = leaf(&b->graph, &b->f, 2, 2, 2, 2);
        nn_node *y = leaf(&b->graph, &b->f, s[0], s[1], s[2], s[3]);
        refused("add", b, nn_graph_add(&b->graph, x, y), fit);
        b = start();
        x = leaf(&b->graph, &b->f, 2, 2, 2, CHANNELS);
        y = leaf(&b->graph, &b->f, s[0], s[1], s[2], s[3] + CHANNELS - 2);
        refused("residual", b, norm(&b->graph, &b->f, NN_OP_BATCH_NORM, x, y, false), fit);
    }
}

/* gamma and beta of `gammas` and `betas` channels over x with 4. */
static void bad_norm(nn_op op, size_t gammas, size_t betas, size_t groups, bool residual_too)
{
    bench *b = start();
    const nn_attr attr = {.groups = groups, .running_mean = b->f.mean, .running_var = b->f.var};
    nn_node *x = leaf(&b->graph, &b->f, 2, 2, 2, CHANNELS);
    nn_node *inputs[4] = {x, leaf(&b->graph, &b->f, gammas, 1, 1, 1),
                          leaf(&b->graph, &b->f, betas, 1, 1, 1),
                          leaf(&b->graph, &b->f, 2, 2, 2, CHANNELS)};
    const nn_node *made = nn_graph_apply(&b->graph, op, inputs, residual_too ? 4 : 3, &attr);
    refused(nn_op_table[op].name, b, made, "the shapes of its inputs do not fit");
}

static void norm_shapes(void)
{
    test_case("graph: gamma, beta and groups that do not fit the channels");
    for (int residual_too = 0; residual_too < 2; residual_too++) {
        bad_norm(NN_OP_BATCH_NORM, 3, 4, 0, residual_too == 1);
        bad_norm(NN_OP_BATCH_NORM, 4, 5, 0, residual_too == 1);
    }
    bad_norm(NN_OP_GROUP_NORM, 3, 4, 2, false);
    bad_norm(NN_OP_GROUP_NORM, 4, 3, 2, false);
    bad_norm(NN_OP_GROUP_NORM, 4, 4, 0, false);
    bad_norm(NN_OP_GROUP_NORM, 4, 4, 3, false);
}

/* A window whose padding is as wide as its kernel would see nothing but padding. */
static void windows(void)
{
    static const size_t windows[][4] = {{2, 3, 2, 0}, {3, 2, 2, 0}, {5, 5, 1, 0}, {2, 2, 0, 0}};
    test_case("graph: windows of max-pool that do not fit");
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        const size_t pad = i < 2 ? 2 : windows[i][3];
        nn_attr attr = {0};
        attr.window.kh = windows[i][0];
        attr.window.kw = windows[i][1];
        attr.window.stride = windows[i][2];
        attr.window.pad = pad;
        bench *b = start();
        nn_node *x = leaf(&b->graph, &b->f, 1, 4, 4, 2);
        refused("max-pool", b, nn_graph_apply(&b->graph, NN_OP_MAX_POOL, &x, 1, &attr), "max_pool");
    }
}

/* Each size alone fits a size_t, their product with the bytes of a float does not. */
static void too_large(void)
{
    static const size_t half = SIZE_MAX / 2 + 1;
    static const size_t sizes[][4] = {
        {half, 1, 1, 1}, {1, half, 1, 1}, {1, 1, half, 1}, {1, 1, 1, half}};
    test_case("graph: a value whose size does not fit this machine");
    for (size_t i = 0; i < 4; i++) {
        bench *b = start();
        const size_t *s = sizes[i];
        const nn_tensor value = {NULL, s[0], s[1], s[2], s[3]};
        b->graph.planning = true;
        nn_node *x = nn_graph_leaf(&b->graph, &value, NULL);
        CHECK(nn_graph_relu(&b->graph, x) == NULL);
        test_status("relu", b->graph.status, DDOME_ERR_MEMORY, &b->error, "does not fit");
        finish(b);
    }
}

/* ---- what is missing ---- */

static void missing(void)
{
    test_case("graph: batch-norm that trains needs both running statistics");
    for (int one = 0; one < 2; one++) {
        bench *b = start();
        const nn_attr attr = {.running_mean = one == 0 ? NULL : b->f.mean,
                              .running_var = one == 0 ? b->f.var : NULL};
        nn_node *inputs[3] = {leaf(&b->graph, &b->f, 2, 2, 2, 2),
                              leaf(&b->graph, &b->f, 2, 1, 1, 1),
                              leaf(&b->graph, &b->f, 2, 1, 1, 1)};
        refused("batch-norm", b, nn_graph_apply(&b->graph, NN_OP_BATCH_NORM, inputs, 3, &attr),
                "needs running statistics");
    }

    test_case("graph: a label that is no class");
    bench *b = start();
    b->f.labels[1] = 3;
    refused("labels", b,
            nn_graph_cross_entropy(&b->graph, leaf(&b->graph, &b->f, 2, 1, 1, 3), b->f.labels),
            "label 3 of row 1: expected less than 3");

    test_case("graph: backward from more than one value");
    b = start();
    nn_node *y = nn_graph_relu(&b->graph, leaf(&b->graph, &b->f, 2, 1, 1, 3));
    CHECK(nn_graph_backward(&b->graph, y, 1) == DDOME_ERR_RUNTIME);
    refused("backward", b, NULL, "expected a loss of one value, found 6");
}

/* Weights that want no gradient get none, and the input's is the same. */
static void frozen_weights(void)
{
    float both[18], alone[18];
    test_case("graph: the gradient through weights that are not trained");
    for (int frozen = 0; frozen < 2; frozen++) {
        bench *b = start();
        floats weights = filled();
        const nn_tensor w = {weights.value + 3, 1, 3, 3, 2};
        nn_node *x = leaf(&b->graph, &b->f, 1, 3, 3, 2);
        nn_node *filter = nn_graph_leaf(&b->graph, &w, frozen ? NULL : weights.grad);
        nn_node *y = nn_graph_conv(&b->graph, x, filter, 1, 0, 3);
        weights.grad[0] = 77;
        CHECK(nn_graph_backward(&b->graph, y, 0.5f) == DDOME_OK);
        CHECK((weights.grad[0] == 77) == (frozen == 1));
        memcpy(frozen ? alone : both, b->f.grad, sizeof both);
        finish(b);
    }
    test_same_floats("dx", alone, both, 18);
    CHECK(alone[0] == 0.5f * filled().value[3]);
}

/* ---- watchers ---- */

typedef struct watcher {
    size_t seen, stop_at; /* operations; the one at which it fails, from 1 on */
    char names[256];
} watcher;

static void see(watcher *w, nn_graph *graph, const nn_node *node)
{
    if (strlen(w->names) + strlen(node->name) + 2 < sizeof w->names) {
        strcat(w->names, node->name);
        strcat(w->names, " ");
    }
    if (++w->seen == w->stop_at)
        graph->status = nn_fail(graph->error, DDOME_ERR_IO, "the watcher has enough");
}

static void computed(void *user, nn_graph *graph, nn_node *node)
{
    see(user, graph, node);
}

static void entered(void *user, nn_graph *graph, nn_node *node)
{
    see(user, graph, node);
}

static void delivered(void *user, nn_graph *graph, nn_node *node, nn_node *input,
                      const float *gradient)
{
    (void)user, (void)graph, (void)node, (void)input, (void)gradient;
}

/* relu(x), named or not, and its square root of a loss. */
static ddome_status watched(bench *b, watcher *w)
{
    const nn_watch watch = {w, computed, entered, delivered};
    b->graph.watch = &watch;
    nn_node *x = leaf(&b->graph, &b->f, 2, 1, 1, 3);
    nn_graph_name_next(&b->graph, "part", "own", ".name");
    nn_node *y = nn_graph_relu(&b->graph, x);
    nn_graph_name_next(&b->graph, "", "bare", "");
    y = y == NULL ? NULL : nn_graph_add(&b->graph, y, x);
    y = y == NULL ? NULL : nn_graph_relu(&b->graph, y);
    nn_node *loss = nn_graph_cross_entropy(&b->graph, y, b->f.labels);
    const ddome_status status =
        loss == NULL ? b->graph.status : nn_graph_backward(&b->graph, loss, 1);
    b->graph.watch = NULL;
    return status;
}

static void watchers(void)
{
    test_case("graph: names of watched nodes (SPEC 19.3)");
    bench *b = start();
    watcher w = {0};
    CHECK(watched(b, &w) == DDOME_OK);
    test_same_text("names", w.names,
                   "part/own.name bare bare.relu cross_entropy cross_entropy bare.relu bare "
                   "part/own.name ");
    finish(b);
    for (size_t at = 1; at <= 8; at++) {
        test_case("graph: a watcher that fails at call %lu ends the tape", (unsigned long)at);
        b = start();
        w = (watcher){.stop_at = at};
        test_status("watched", watched(b, &w), DDOME_ERR_IO, &b->error, "has enough");
        test_same_u64("calls", w.seen, at);
        finish(b);
    }
}

void t_graph_poor(void)
{
    without_memory();
    near_shapes();
    norm_shapes();
    windows();
    too_large();
    missing();
    frozen_weights();
    watchers();
}

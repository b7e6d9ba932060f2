/* SPDX-License-Identifier: MIT */
/* Scores, top K with ties, and a first experiment: with known, frozen experts the gate alone learns
 * to route. SPEC 10. */
#include <string.h>

#include "../fl/gate.h"
#include "../nn/fmath.h"
#include "../nn/mlp.h"
#include "../nn/optim.h"
#include "fixture.h"
#include "fl_fixture.h"

static void check_top_k(const float *score, size_t experts, size_t k, const char *want)
{
    uint32_t chosen[NN_MAX_EXPERTS];
    char got[NN_MAX_EXPERTS + 1];
    fl_gate_top_k(chosen, score, experts, k);
    for (size_t i = 0; i < k; i++)
        got[i] = (char)('0' + chosen[i]);
    got[k] = '\0';
    test_same_text("chosen experts", got, want);
}

/* SPEC 10.2. */
static void top_k(void)
{
    const float rising[] = {0.1f, 0.2f, 0.3f, 0.4f}, equal[] = {0.25f, 0.25f, 0.25f, 0.25f};
    const float tie[] = {0.1f, 0.4f, 0.1f, 0.4f}, zeros[] = {-0.0f, 0.0f, -1.0f};
    test_case("gate: top K, ties to the lowest index, ascending order");
    check_top_k(rising, 4, 1, "3");
    check_top_k(rising, 4, 2, "23");
    check_top_k(rising, 4, 4, "0123");
    check_top_k(equal, 4, 1, "0");
    check_top_k(equal, 4, 3, "012");
    check_top_k(tie, 4, 1, "1");
    check_top_k(tie, 4, 3, "013");
    check_top_k(zeros, 3, 1, "0");
    check_top_k(zeros, 1, 1, "0");
}

/* SPEC 10.1. */
static void score(void)
{
    /* Two samples whose softmax is exact: (1/2, 1/2) and, with logits 200 apart, (1, 0). */
    const float logits[] = {3.0f, 3.0f, 200.0f, 0.0f};
    const float want[] = {0.75f, 0.25f};
    float got[2];
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    test_case("gate: a client's score is the mean of its samples' softmax");
    test_status("fl_gate_score", fl_gate_score(&error, &arena, got, logits, 2, 2), DDOME_OK, &error,
                NULL);
    test_same_floats("score", got, want, 2);
    nn_arena_free(&arena);
}

/* ---- the gate alone ---- */

enum { EXPERTS = 3, CLASSES = 6, FEATURES = 4, BATCH = 32, STEPS = 300 };

/* Sample i: domain = class / 2; its features are the domain's corner with noise. Expert e knows
 * only its own two classes: it is right there and says the domain's other class elsewhere. Labels
 * reach the gate only through the mixture's loss. */
static void sample(float *features, float logits[EXPERTS][CLASSES], uint32_t *label, nn_rng *rng)
{
    *label = nn_rng_below(rng, CLASSES);
    for (size_t j = 0; j < FEATURES; j++)
        features[j] = 0.3f * nn_rng_normal(rng) + (j == *label / 2 ? 1.0f : 0.0f);
    for (size_t e = 0; e < EXPERTS; e++)
        for (size_t c = 0; c < CLASSES; c++)
            logits[e][c] = c == (e == *label / 2 ? *label : 2 * e) ? 4.0f : 0.0f;
}

typedef struct gate_alone {
    nn_arena arena, scratch;
    nn_layout layout;
    float *values, *grads;
} gate_alone;

static const nn_mlp GATE = {8, EXPERTS};

static nn_node *build(gate_alone *g, nn_graph *graph, float *x)
{
    const nn_tensor input = {x, BATCH, 1, 1, FEATURES};
    nn_net net = {.graph = graph, .layout = &g->layout, .values = g->values, .grads = g->grads};
    return nn_mlp_build(&net, NULL, nn_graph_leaf(graph, &input, NULL), &GATE);
}

static void start(gate_alone *g)
{
    const nn_tensor input = {NULL, BATCH, 1, 1, FEATURES};
    memset(g, 0, sizeof *g);
    nn_graph graph = {.arena = &g->arena, .planning = true};
    nn_net net = {.graph = &graph, .declare = &g->layout};
    CHECK(nn_mlp_build(&net, NULL, nn_graph_leaf(&graph, &input, NULL), &GATE) != NULL);
    g->values = nn_arena_alloc(&g->arena, g->layout.total, sizeof(float));
    g->grads = nn_arena_alloc(&g->arena, g->layout.total, sizeof(float));
    nn_layout_init(g->values, &g->layout, 1, NN_STREAM_TEST, 0);
}

/* Trains for one batch when `train`; returns how many samples the gate sends to the expert that
 * knows them. */
static size_t one_batch(gate_alone *g, nn_rng *rng, bool train)
{
    float x[BATCH * FEATURES], one[EXPERTS][CLASSES], all[EXPERTS][BATCH * CLASSES];
    uint32_t labels[BATCH];
    const uint32_t chosen[EXPERTS] = {0, 1, 2};
    const nn_sgd sgd = {0.5f, 0, 0};
    nn_node *outputs[EXPERTS];
    size_t right = 0;
    for (size_t i = 0; i < BATCH; i++) {
        sample(x + i * FEATURES, one, &labels[i], rng);
        for (size_t e = 0; e < EXPERTS; e++)
            memcpy(all[e] + i * CLASSES, one[e], sizeof one[e]);
    }
    nn_graph graph = {.engine = test_engine(), .arena = &g->scratch, .training = true};
    nn_node *gate = build(g, &graph, x);
    for (size_t e = 0; e < EXPERTS; e++) {
        const nn_tensor value = {all[e], BATCH, 1, 1, CLASSES};
        outputs[e] = nn_graph_leaf(&graph, &value, NULL);
    }
    for (size_t i = 0; i < BATCH; i++)
        right += fl_argmax(gate->value.data + i * EXPERTS, EXPERTS) == labels[i] / 2;
    nn_node *loss = nn_graph_cross_entropy(
        &graph, nn_graph_mixture(&graph, gate, outputs, chosen, EXPERTS, false), labels);
    if (train && CHECK(nn_graph_backward(&graph, loss, 1.0f) == DDOME_OK))
        nn_sgd_step(g->values, NULL, g->grads, &g->layout, &sgd, true);
    nn_arena_rewind(&g->scratch, (nn_arena_mark){0});
    return right;
}

static void learns_to_route(void)
{
    gate_alone g;
    size_t before = 0, after = 0;
    nn_rng train = nn_rng_at(1, NN_STREAM_TEST, 0, 0, 1),
           test = nn_rng_at(1, NN_STREAM_TEST, 0, 0, 2);
    test_case(
        "gate: with known, frozen experts the gate alone learns to route samples to the right one");
    start(&g);
    nn_rng again = test;
    for (size_t i = 0; i < 10; i++)
        before += one_batch(&g, &test, false);
    for (size_t i = 0; i < STEPS; i++)
        one_batch(&g, &train, true);
    for (size_t i = 0; i < 10; i++)
        after += one_batch(&g, &again, false);
    test_check(before < 200, __FILE__, __LINE__, "untrained, %lu of 320 samples were routed right",
               (unsigned long)before);
    test_check(after >= 304, __FILE__, __LINE__,
               "trained, only %lu of 320 samples were routed right", (unsigned long)after);
    nn_arena_free(&g.scratch);
    nn_arena_free(&g.arena);
}

void t_gate(void)
{
    top_k();
    score();
    learns_to_route();
}

/* SPDX-License-Identifier: MIT */
/* Scores of a client and its top K experts. SPEC 10. */
#include "gate.h"

#include "../nn/sum.h"
#include "invariant.h"
#include "nonfinite.h"
#include "trace_model.h"

/* What both tapes of the same logits are made from. */
typedef struct gating {
    const nn_engine *engine;
    ddome_error *error;
    nn_arena *scratch;
    const fl_model *gate;
    const float *values;
} gating;

static nn_node *build(nn_graph *graph, const gating *g, const nn_tensor *x)
{
    nn_net net = {.graph = graph, .layout = &g->gate->layout, .values = g->values, .scope = "gate"};
    nn_graph_name_next(graph, NULL, "embeddings", "");
    return fl_model_build(&net, NULL, nn_graph_leaf(graph, x, NULL), g->gate);
}

/* Every value looked at. SPEC 11.13.2. */
static void search(const gating *g, const nn_tensor *x, const uint32_t *samples)
{
    ddome_error found = {DDOME_OK, ""};
    fl_search looking = {.row = 0};
    nn_graph graph = {.engine = g->engine,
                      .arena = g->scratch,
                      .error = &found,
                      .watch = fl_search_watch(&looking, NULL)};
    build(&graph, g, x);
    fl_search_end(g->error, &found);
    fl_nonfinite_in(g->error, DDOME_ERR_NONFINITE, NULL, "gate, sample %lu",
                    (unsigned long)samples[looking.row]);
}

ddome_status fl_gate_logits(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                            float *logits, const fl_model *gate, const float *values,
                            const fl_embeddings *embeddings, const uint32_t *samples, size_t count,
                            fl_trace *trace)
{
    const gating g = {engine, error, scratch, gate, values};
    nn_graph graph = {.engine = engine,
                      .arena = scratch,
                      .error = error,
                      .watch = fl_trace_watch(trace),
                      .checked = true};
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    nn_tensor x = {NULL, count, 1, 1, embeddings->features};
    x.data = nn_arena_alloc(scratch, nn_tensor_count(&x), sizeof *x.data);
    if (x.data == NULL)
        return nn_arena_fail(error, scratch, "a client's embeddings");
    fl_embeddings_fill(&x, embeddings, samples, count);
    fl_trace_embeddings(trace, &x);
    fl_trace_model(trace, "gate", &gate->layout, values);
    const nn_node *out = build(&graph, &g, &x);
    for (size_t i = 0; graph.status == DDOME_OK && i < count * gate->outputs; i++)
        logits[i] = out->value.data[i];
    ddome_status status = graph.status;
    if (status == DDOME_OK)
        status = fl_nonfinite_check(error, "forward", "given", "logits", "y", logits,
                                    count * gate->outputs);
    if (status == DDOME_ERR_NONFINITE)
        search(&g, &x, samples);
    nn_arena_rewind(scratch, mark);
    return status;
}

/* SPEC 10.1. */
ddome_status fl_gate_score(ddome_error *error, nn_arena *scratch, float *score, const float *logits,
                           size_t count, size_t experts)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *rows = nn_arena_alloc(scratch, count, experts * sizeof *rows);
    float block[NN_MAX_EXPERTS];
    if (rows == NULL)
        return nn_arena_fail(error, scratch, "gate scores");
    for (size_t i = 0; i < count; i++)
        nn_softmax(rows + i * experts, logits + i * experts, experts);
    nn_sum_columns(score, block, rows, count, experts);
    for (size_t j = 0; j < experts; j++)
        score[j] = score[j] / (float)count;
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

/* SPEC 2.7 over the experts not taken yet, of which there is one. */
static size_t largest_left(const float *score, const bool *taken, size_t experts)
{
    size_t best = experts;
    for (size_t i = 0; i < experts; i++)
        if (!taken[i] && (best == experts || score[i] > score[best]))
            best = i;
    return best;
}

/* SPEC 10.2. */
void fl_gate_top_k(uint32_t *chosen, const float *score, size_t experts, size_t k)
{
    bool taken[NN_MAX_EXPERTS] = {false};
    size_t count = 0;
    for (size_t i = 0; i < k; i++)
        taken[largest_left(score, taken, experts)] = true;
    for (size_t i = 0; i < experts; i++)
        if (taken[i])
            chosen[count++] = (uint32_t)i;
    NN_INVARIANT(fl_invariant_top_k(chosen, k, score, experts));
}

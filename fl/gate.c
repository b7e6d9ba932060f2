/* SPDX-License-Identifier: MIT */
/* Scores of a client and its top K experts. SPEC 10. */
#include "gate.h"

#include "../nn/sum.h"
#include "trace_model.h"

ddome_status fl_gate_logits(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                            float *logits, const fl_model *gate, const float *values,
                            const fl_embeddings *embeddings, const uint32_t *samples, size_t count,
                            fl_trace *trace)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    nn_graph graph = {
        .engine = engine, .arena = scratch, .error = error, .watch = fl_trace_watch(trace)};
    nn_net net = {.graph = &graph, .layout = &gate->layout, .values = values, .scope = "gate"};
    nn_tensor x = {NULL, count, 1, 1, embeddings->features};
    x.data = nn_arena_alloc(scratch, nn_tensor_count(&x), sizeof *x.data);
    if (x.data == NULL)
        return nn_arena_fail(error, scratch, "a client's embeddings");
    fl_embeddings_fill(&x, embeddings, samples, count);
    fl_trace_embeddings(trace, &x);
    fl_trace_model(trace, net.scope, &gate->layout, values);
    nn_graph_name_next(&graph, NULL, "embeddings", "");
    nn_node *out = fl_model_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), gate);
    for (size_t i = 0; graph.status == DDOME_OK && i < count * gate->outputs; i++)
        logits[i] = out->value.data[i];
    nn_arena_rewind(scratch, mark);
    return graph.status;
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
    for (size_t i = 0; i < k; i++)
        taken[largest_left(score, taken, experts)] = true;
    for (size_t i = 0; i < experts; i++)
        if (taken[i])
            *chosen++ = (uint32_t)i;
}

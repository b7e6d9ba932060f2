/* SPDX-License-Identifier: MIT */
/* Logits of each chosen expert for all samples, then one mixture of them. SPEC 13.6. */
#include "eval_mixture.h"

#include <stdio.h>
#include <string.h>

#include "trace_model.h"

/* Logits of one expert as an input of the tape. */
static nn_node *expert_leaf(const fl_evaluator *e, nn_graph *graph, const fl_server *server,
                            const fl_mixed *m, uint32_t expert)
{
    char scope[FL_TRACE_SCOPE], name[FL_TRACE_NAME];
    const fl_slot *slot = &server->expert[expert];
    nn_tensor z = {NULL, m->count, 1, 1, e->expert->outputs};
    z.data = nn_arena_alloc(graph->arena, m->count, e->expert->outputs * sizeof *z.data);
    if (z.data == NULL) {
        graph->status = nn_arena_fail(graph->error, graph->arena, "the logits of an expert");
        return NULL;
    }
    graph->status = fl_model_predict(e->engine, graph->error, graph->arena, z.data, NULL, e->expert,
                                     slot->values, &e->task->set, m->split, m->samples, m->count);
    graph->status =
        fl_nonfinite_in(graph->error, graph->status, NULL, "expert %u", (unsigned)expert);
    if (graph->status != DDOME_OK)
        return NULL;
    fl_trace_scope_expert(scope, expert);
    snprintf(name, sizeof name, "%s/logits", scope);
    const nn_value value = fl_trace_floats("value", z.data, z.n, z.c);
    fl_trace_given(e->trace, "", name, &value);
    nn_graph_name_next(graph, NULL, name, "");
    return nn_graph_leaf(graph, &z, NULL);
}

ddome_status fl_eval_mixture(const fl_evaluator *e, ddome_error *error, nn_arena *scratch, float *z,
                             const fl_server *server, const fl_mixed *m)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    nn_graph graph = {
        .engine = e->engine, .arena = scratch, .error = error, .watch = fl_trace_watch(e->trace)};
    const nn_tensor weights = {m->gate_logits, m->count, 1, 1, server->experts};
    nn_node *outputs[NN_MAX_EXPERTS];
    if (e->gate != NULL) /* what stands for a gate has been traced */
        fl_trace_stand_in(e->trace, m->gate_logits, m->count, server->experts);
    nn_graph_name_next(&graph, NULL, "gate_logits", "");
    nn_node *gate = nn_graph_leaf(&graph, &weights, NULL);
    for (size_t i = 0; i < m->k && graph.status == DDOME_OK; i++)
        outputs[i] = expert_leaf(e, &graph, server, m, m->chosen[i]);
    nn_graph_name_next(&graph, NULL, "mixture", "");
    const nn_node *mixed = graph.status != DDOME_OK
                               ? NULL
                               : nn_graph_mixture(&graph, gate, outputs, m->chosen, m->k,
                                                  e->config->mix == FL_MIX_PROBS);
    if (graph.status == DDOME_OK)
        memcpy(z, mixed->value.data, m->count * e->expert->outputs * sizeof *z);
    nn_arena_rewind(scratch, mark);
    return graph.status;
}

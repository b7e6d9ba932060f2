/* SPDX-License-Identifier: MIT */
/* Each client apart: scores, top K, routing, prediction; then counts, clients in order. SPEC 13. */
#include "eval.h"

#include <string.h>

#include "../nn/sum.h"
#include "eval_mixture.h"
#include "predict.h"
#include "trace_model.h"

/* One client under evaluation; arrays have one entry a sample. */
typedef struct subject {
    const data_client *client;
    const data_split *split;
    float *gate_logits; /* [count, M] */
    float *logits;      /* [count, classes] of the samples of one expert, packed */
    uint32_t *route;    /* expert of each sample */
    uint32_t *mine;     /* samples routed to the expert at hand ... */
    uint32_t *position; /* ... their place in the client ... */
    uint32_t *label;    /* ... and what is predicted for them */
    float *loss;
    bool *right; /* predicted its label */
} subject;

static ddome_status new_subject(ddome_error *error, nn_arena *scratch, subject *s,
                                const fl_evaluator *e, size_t experts)
{
    const size_t count = s->client->count;
    s->split = fl_task_scope_split(e->task, e->scope);
    s->gate_logits = nn_arena_alloc(scratch, count, experts * sizeof(float));
    s->logits = nn_arena_alloc(scratch, count, e->expert->outputs * sizeof(float));
    s->route = nn_arena_zero(scratch, count, sizeof(uint32_t));
    s->mine = nn_arena_alloc(scratch, count, sizeof(uint32_t));
    s->position = nn_arena_alloc(scratch, count, sizeof(uint32_t));
    s->label = nn_arena_alloc(scratch, count, sizeof(uint32_t));
    s->loss = nn_arena_alloc(scratch, count, sizeof(float));
    s->right = nn_arena_alloc(scratch, count, sizeof(bool));
    if (!s->gate_logits || !s->logits || !s->route || !s->mine || !s->position || !s->label ||
        !s->loss || !s->right)
        return nn_arena_fail(error, scratch, "the evaluation of a client");
    return DDOME_OK;
}

const fl_embeddings *fl_evaluator_embeddings(const fl_evaluator *evaluator)
{
    return evaluator->scope == FL_SCOPE_HOLDOUT ? evaluator->train : evaluator->test;
}

/* ---- routing ---- */

static ddome_status entropies(ddome_error *error, nn_arena *scratch, fl_client_result *result,
                              const subject *s, const float *score, size_t experts)
{
    float row[NN_MAX_EXPERTS];
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *each = nn_arena_alloc(scratch, s->client->count, sizeof *each);
    if (each == NULL)
        return nn_arena_fail(error, scratch, "entropies");
    for (size_t i = 0; i < s->client->count; i++) {
        nn_softmax(row, s->gate_logits + i * experts, experts);
        each[i] = fl_entropy(row, experts);
    }
    result->score_entropy = fl_entropy(score, experts);
    result->mean_entropy = nn_sum(each, s->client->count) / (float)s->client->count;
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

static ddome_status route(ddome_error *error, nn_arena *scratch, fl_client_result *result,
                          subject *s, const fl_evaluator *e, const fl_server *server)
{
    const size_t experts = server->experts;
    const data_client *client = s->client;
    const fl_query query = {
        e->engine, e->gate,         server->gate.values, fl_evaluator_embeddings(e),
        s->split,  client->samples, client->count,       e->trace};
    float score[NN_MAX_EXPERTS];
    result->k = e->scope == FL_SCOPE_GLOBAL ? experts : e->config->top_k; /* D22 */
    ddome_status status = fl_control_logits(e->control, error, scratch, s->gate_logits, &query);
    if (status == DDOME_OK)
        status = fl_control_choose(e->control, error, scratch, score, result->chosen, result->k,
                                   s->gate_logits, client->id, 0, &query);
    if (status == DDOME_OK)
        status = entropies(error, scratch, result, s, score, experts);
    if (status != DDOME_OK)
        return status;
    fl_control_route(e->control, s->route, result->chosen, result->k, s->gate_logits, client->count,
                     client->id, false);
    const nn_value route = fl_trace_integers("index", s->route, client->count);
    fl_trace_given(e->trace, "", "route", &route);
    return DDOME_OK;
}

/* What serves a client and, where that is one model, each of its samples (SPEC 13.2). */
static ddome_status choose(ddome_error *error, nn_arena *scratch, fl_client_result *result,
                           subject *s, const fl_evaluator *e, const fl_server *server)
{
    if (e->control->routes)
        return route(error, scratch, result, s, e, server);
    if (fl_algorithm_of(e->config)->choice == FL_CHOICE_LOSS) {
        ddome_status status =
            fl_predict_cluster(error, scratch, &result->chosen[0], e, server, s->client);
        for (size_t i = 0; i < s->client->count; i++)
            s->route[i] = result->chosen[0];
        return status;
    }
    result->k = server->experts;
    for (size_t i = 0; i < result->k; i++)
        result->chosen[i] = (uint32_t)i;
    return DDOME_OK;
}

/* ---- prediction ---- */

/* Of the samples routed to one expert (SPEC 13.3). */
static ddome_status predict(ddome_error *error, nn_arena *scratch, subject *s,
                            const fl_evaluator *e, const fl_server *server, uint32_t expert)
{
    const size_t classes = e->expert->outputs;
    const nn_arena_mark mark = nn_arena_get_mark(scratch);
    const float *values;
    size_t count = 0;
    for (size_t i = 0; i < s->client->count; i++)
        if (s->route[i] == expert) {
            s->mine[count] = s->client->samples[i];
            s->position[count++] = (uint32_t)i;
        }
    ddome_status status = fl_server_values(error, scratch, &values, server, s->client->id, expert);
    if (status == DDOME_OK)
        status = fl_predict_logits(error, scratch, s->logits, e, values, s->mine, count);
    nn_arena_rewind(scratch, mark);
    status = fl_nonfinite_in(error, status, NULL, "expert %lu", (unsigned long)expert);
    for (size_t i = 0; i < count && status == DDOME_OK; i++) {
        const uint32_t label = s->split->labels[s->mine[i]], at = s->position[i];
        const float *logits = s->logits + i * classes;
        s->label[i] = (uint32_t)fl_argmax(logits, classes);
        s->right[at] = s->label[i] == label;
        s->loss[at] = nn_cross_entropy_row(logits, classes, label);
    }
    if (status == DDOME_OK)
        fl_trace_predictions(e->trace, expert, s->logits, s->label, count, classes);
    return status;
}

/* What is right and what it costs, where all models predict together. */
static ddome_status count_right(ddome_error *error, subject *s, size_t classes)
{
    for (size_t i = 0; i < s->client->count; i++) {
        const uint32_t label = s->split->labels[s->client->samples[i]];
        s->right[i] = s->label[i] == label;
        s->loss[i] = nn_cross_entropy_row(s->logits + i * classes, classes, label);
    }
    return fl_nonfinite_check(error, "evaluate", "given", "mixture", "y", s->logits,
                              s->client->count * classes);
}

/* All models predict every sample together (SPEC 13.3). */
static ddome_status predict_together(ddome_error *error, nn_arena *scratch, subject *s,
                                     const fl_evaluator *e, const fl_server *server)
{
    ddome_status status = fl_predict_together(error, scratch, s->label, s->logits, e, server,
                                              s->client, s->gate_logits);
    return status == DDOME_OK ? count_right(error, s, e->expert->outputs) : status;
}

/* Of all samples, by the mixture of the chosen experts (SPEC 13.6). */
static ddome_status predict_mixed(ddome_error *error, nn_arena *scratch, subject *s,
                                  const fl_evaluator *e, const fl_server *server,
                                  const fl_client_result *result)
{
    const size_t classes = e->expert->outputs, count = s->client->count;
    const fl_mixed mixed = {s->split,  s->client->samples, count,
                            result->k, result->chosen,     s->gate_logits};
    ddome_status status = fl_eval_mixture(e, error, scratch, s->logits, server, &mixed);
    if (status != DDOME_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        s->label[i] = (uint32_t)fl_argmax(s->logits + i * classes, classes);
    fl_trace_mixed_predictions(e->trace, s->label, count);
    return count_right(error, s, classes);
}

/* Each sample by the model that it was sent to. */
static ddome_status predict_apart(ddome_error *error, nn_arena *scratch, subject *s,
                                  const fl_evaluator *e, const fl_server *server,
                                  const fl_client_result *result)
{
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < result->k && status == DDOME_OK; i++)
        status = predict(error, scratch, s, e, server, result->chosen[i]);
    return status;
}

/* Finite logits far apart have an infinite loss. */
static ddome_status check_loss(ddome_error *error, const fl_client_result *result)
{
    return fl_nonfinite_check(error, "evaluate", "cross_entropy", "loss", "loss", &result->loss, 1);
}

static ddome_status end_client(ddome_error *error, ddome_status status,
                               const fl_client_result *result, const fl_server *server)
{
    return fl_nonfinite_in(error, status, "lower lr or gate_lr",
                           "evaluation after round %u, client %u", (unsigned)server->round,
                           (unsigned)result->client);
}

/* ---- clients ---- */

typedef struct evaluation_work {
    const fl_evaluator *evaluator;
    const fl_server *server;
    fl_evaluation *out;
    subject *subjects; /* one a client; its arrays only while it is at work */
} evaluation_work;

/* Writes the client's result and subject; the loss as SPEC 14.2. */
static ddome_status evaluate_client(ddome_error *error, nn_arena *scratch, void *context, size_t at)
{
    const evaluation_work *w = context;
    const fl_evaluator *e = w->evaluator;
    const data_client *client = &e->clients[at];
    subject *s = &w->subjects[at];
    fl_client_result *result = &w->out->client[at];
    *s = (subject){.client = client};
    *result = (fl_client_result){
        .client = client->id, .role = client->role, .count = client->count, .k = 1};
    fl_trace_at_client(e->trace, client->id);
    ddome_status status = new_subject(error, scratch, s, e, w->server->experts);
    const bool together = fl_algorithm_of(e->config)->prediction != FL_PREDICTION_BEST;
    if (status == DDOME_OK)
        status = choose(error, scratch, result, s, e, w->server);
    if (status == DDOME_OK && together)
        status = predict_together(error, scratch, s, e, w->server);
    else if (status == DDOME_OK && e->config->test == FL_TEST_MIXTURE)
        status = predict_mixed(error, scratch, s, e, w->server, result);
    else if (status == DDOME_OK)
        status = predict_apart(error, scratch, s, e, w->server, result);
    if (status == DDOME_OK) {
        result->loss = nn_sum(s->loss, client->count) / (float)client->count;
        status = check_loss(error, result);
    }
    status = end_client(error, status, result, w->server);
    return status == DDOME_OK ? fl_trace_status(error, e->trace) : status;
}

/* Adds to what all clients share. */
static ddome_status count_client(ddome_error *error, void *context, size_t at)
{
    const evaluation_work *w = context;
    const subject *s = &w->subjects[at];
    fl_evaluation *out = w->out;
    const uint32_t *of_label = w->evaluator->control->of_label;
    (void)error;
    for (size_t i = 0; i < s->client->count; i++) {
        const uint32_t label = s->split->labels[s->client->samples[i]];
        const size_t cell = s->route[i] * out->classes + label;
        out->routed[cell]++;
        out->correct[cell] += s->right[i];
        out->client[at].correct += s->right[i];
        if (of_label == NULL || of_label[label] == FL_UNTIED)
            continue;
        out->client[at].tied++;
        out->client[at].own += s->route[i] == of_label[label];
    }
    return DDOME_OK;
}

static ddome_status evaluate_clients(ddome_error *error, const fl_crew *crew, fl_evaluation *out,
                                     const fl_evaluator *e, const fl_server *server)
{
    nn_arena_mark mark = nn_arena_get_mark(crew->scratch);
    evaluation_work w = {e, server, out, NULL};
    w.subjects = nn_arena_alloc(crew->scratch, e->client_count, sizeof *w.subjects);
    if (w.subjects == NULL)
        return nn_arena_fail(error, crew->scratch, "the evaluation of clients");
    ddome_status status =
        fl_crew_each(error, crew, evaluate_client, count_client, &w, e->client_count);
    nn_arena_rewind(crew->scratch, mark);
    return status;
}

/* ---- anchors ---- */

/* How many samples of each anchor does the gate send to the anchor's own expert, out of all M?
 * SPEC 14.4. */
static ddome_status route_anchors(ddome_error *error, nn_arena *scratch, fl_evaluation *out,
                                  const fl_evaluator *e, const fl_server *server)
{
    const fl_control *control = e->control;
    uint32_t all[NN_MAX_EXPERTS];
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < server->experts; i++)
        all[i] = (uint32_t)i;
    for (size_t q = 0; q < control->anchors && status == DDOME_OK; q++) {
        const data_client *anchor = &e->task->partition.clients[control->anchor[q]];
        const fl_query query = {e->engine,           e->gate,         server->gate.values, e->train,
                                &e->task->set.train, anchor->samples, anchor->count,       NULL};
        nn_arena_mark mark = nn_arena_get_mark(scratch);
        float *logits = nn_arena_alloc(scratch, anchor->count, server->experts * sizeof *logits);
        uint32_t *routes = nn_arena_alloc(scratch, anchor->count, sizeof *routes);
        if (logits == NULL || routes == NULL)
            return nn_arena_fail(error, scratch, "gate logits of an anchor");
        status = fl_control_logits(control, error, scratch, logits, &query);
        if (status == DDOME_OK)
            fl_control_route(control, routes, all, server->experts, logits, anchor->count,
                             anchor->id, true);
        status =
            fl_nonfinite_in(error, status, "lower gate_lr", "evaluation after round %u, anchor %u",
                            (unsigned)server->round, (unsigned)anchor->id);
        for (size_t i = 0; i < anchor->count && status == DDOME_OK; i++)
            out->anchor_own += routes[i] == q;
        out->anchor_total += anchor->count;
        nn_arena_rewind(scratch, mark);
    }
    return status;
}

ddome_status fl_evaluate(ddome_error *error, nn_arena *arena, const fl_crew *crew,
                         fl_evaluation *out, const fl_evaluator *e, const fl_server *server)
{
    const size_t cells = server->experts * e->expert->outputs;
    memset(out, 0, sizeof *out);
    out->clients = e->client_count;
    out->experts = server->experts;
    out->classes = e->expert->outputs;
    out->client = nn_arena_zero(arena, out->clients, sizeof *out->client);
    out->routed = nn_arena_zero(arena, cells, sizeof *out->routed);
    out->correct = nn_arena_zero(arena, cells, sizeof *out->correct);
    if (out->client == NULL || out->routed == NULL || out->correct == NULL)
        return nn_arena_fail(error, arena, "an evaluation");
    ddome_status status = evaluate_clients(error, crew, out, e, server);
    if (status == DDOME_OK && e->control->routes)
        status = route_anchors(error, crew->scratch, out, e, server);
    return status;
}

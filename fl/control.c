/* SPDX-License-Identifier: MIT */
/* Stand-ins for the gate, ties of anchors, parts of a run. SPEC 10.3, 11.7, 11.8, 12.7.1, 13.7. */
#include "control.h"

#include <string.h>

#include "../nn/rng.h"
#include "baselines.h"
#include "invariant.h"
#include "schedule.h"
#include "trace_model.h"

/* The oracle's logit: exp(-200) is +0, so its softmax is 1 and +0, exactly. SPEC 10.3.3. */
#define SURE 200.0f

/* Which draws of a client's stream GATE_ROUTE: its counter's epoch (SPEC 4.3). */
enum { ROUTE_CLIENT, ROUTE_ANCHOR };

bool fl_control_has_gate(const fl_config *config)
{
    return fl_algorithm_of(config)->gate &&
           (config->gate == FL_GATE_LEARNED || config->gate == FL_GATE_FROZEN);
}

bool fl_control_embeds(const fl_config *config)
{
    const fl_algorithm *algorithm = fl_algorithm_of(config);
    if (!algorithm->gate)
        return algorithm->embeds;
    return fl_control_has_gate(config) || config->anchors == FL_ANCHORS_CLUSTER;
}

/* ---- ties ---- */

void fl_control_tie(fl_control *control)
{
    memset(control->tie, 0xff, control->training * sizeof *control->tie);
    for (size_t q = 0; q < control->anchors; q++)
        control->tie[control->anchor[q]] = (uint32_t)q;
}

/* SPEC 11.7.2; clusters are found later (SPEC 11.7.1). */
ddome_status fl_control_init(ddome_error *error, nn_arena *arena, fl_control *control,
                             const fl_config *config, const fl_task *task)
{
    const data_partition *partition = &task->partition;
    memset(control, 0, sizeof *control);
    control->config = config;
    control->routes = fl_algorithm_of(config)->gate;
    control->experts = fl_algorithm_experts(config);
    control->training = partition->training;
    control->anchor = nn_arena_zero(arena, control->experts, sizeof *control->anchor);
    control->tie = nn_arena_zero(arena, control->training, sizeof *control->tie);
    if (control->anchor == NULL || control->tie == NULL)
        return nn_arena_fail(error, arena, "the ties of the anchors");
    const bool tied = fl_algorithm_of(config)->pinned && config->anchors != FL_ANCHORS_NONE &&
                      config->anchors != FL_ANCHORS_CLUSTER;
    control->anchors = tied ? partition->anchors : 0;
    for (size_t q = 0; q < control->anchors; q++)
        control->anchor[q] = (uint32_t)q;
    fl_control_tie(control);
    return fl_schedule_groups(error, arena, &control->group, config, task);
}

bool fl_control_is_anchor(const fl_control *control, uint32_t client)
{
    return client < control->training && control->tie[client] != FL_UNTIED;
}

/* SPEC 11.7.3. */
uint32_t fl_control_expert_of(const fl_control *control, uint32_t client, uint32_t round)
{
    uint32_t experts[NN_MAX_EXPERTS];
    const uint32_t own = control->tie[client];
    if (control->config->anchors != FL_ANCHORS_WRONG)
        return own;
    nn_rng rng = nn_rng_at(control->config->seed, NN_STREAM_WRONG_ANCHOR, 0, round, 0);
    for (size_t i = 0; i < control->experts; i++)
        experts[i] = (uint32_t)i;
    nn_rng_shuffle(&rng, experts, control->experts);
    return experts[own];
}

/* ---- experts of labels: SPEC 10.3.3 ---- */

/* The one whose anchor holds most samples of it, the lowest among equals. */
static uint32_t expert_of_label(const fl_control *control, const fl_task *task, size_t label)
{
    uint32_t best = FL_UNTIED;
    uint64_t most = 0;
    for (size_t q = 0; q < control->anchors; q++) {
        const data_client *anchor = &task->partition.clients[control->anchor[q]];
        uint64_t held = 0;
        for (size_t i = 0; i < anchor->count; i++)
            held += task->set.train.labels[anchor->samples[i]] == label;
        best = held > most ? (uint32_t)q : best;
        most = held > most ? held : most;
    }
    return best;
}

ddome_status fl_control_labels(ddome_error *error, nn_arena *arena, fl_control *control,
                               const fl_task *task)
{
    const size_t classes = task->set.classes;
    const bool oracle = control->routes && control->config->gate == FL_GATE_ORACLE;
    if (!oracle && control->anchors == 0)
        return DDOME_OK;
    uint32_t *of_label = nn_arena_alloc(arena, classes, sizeof *of_label);
    uint32_t *sure = nn_arena_alloc(arena, classes, sizeof *sure);
    if (of_label == NULL || sure == NULL)
        return nn_arena_fail(error, arena, "the experts of the labels");
    for (size_t label = 0; label < classes; label++) {
        of_label[label] = expert_of_label(control, task, label);
        sure[label] =
            of_label[label] == FL_UNTIED ? (uint32_t)(label % control->experts) : of_label[label];
    }
    control->of_label = control->anchors != 0 ? of_label : NULL;
    control->oracle = oracle ? sure : NULL;
    return DDOME_OK;
}

/* ---- parts of a run ---- */

/* Rounds of the first part of an order (SPEC 11.8.1). */
static size_t first_part(const fl_config *config)
{
    return config->order_rounds == 0 ? config->rounds / 2 : config->order_rounds;
}

uint32_t fl_control_expert_rounds(const fl_control *control, uint32_t round)
{
    const fl_config *config = control->config;
    const uint32_t first = (uint32_t)nn_min(round, first_part(config));
    if (!control->routes || config->order == FL_ORDER_JOINT)
        return round;
    return config->order == FL_ORDER_EXPERTS_FIRST ? first : round - first;
}

/* SPEC 10.3.1, 11.8.1. */
void fl_control_held(const fl_control *control, uint32_t round, bool *gate, bool *experts)
{
    const fl_config *config = control->config;
    const bool second = round > first_part(config);
    const bool gate_alone = (config->order == FL_ORDER_GATE_FIRST && !second) ||
                            (config->order == FL_ORDER_EXPERTS_FIRST && second);
    const bool in_order = control->routes && config->order != FL_ORDER_JOINT;
    *experts = in_order && gate_alone;
    *gate = (in_order && !gate_alone) || config->gate != FL_GATE_LEARNED;
}

/* ---- stand-ins for the gate ---- */

ddome_status fl_control_logits(const fl_control *control, ddome_error *error, nn_arena *scratch,
                               float *logits, const fl_query *query)
{
    const size_t experts = control->experts;
    if (query->model != NULL)
        return fl_gate_logits(query->engine, error, scratch, logits, query->model, query->values,
                              query->embeddings, query->samples, query->count, query->trace);
    for (size_t i = 0; i < query->count * experts; i++)
        logits[i] = 0;
    for (size_t i = 0; i < query->count && control->oracle != NULL; i++)
        logits[i * experts + control->oracle[query->split->labels[query->samples[i]]]] = SURE;
    return DDOME_OK;
}

/* SPEC 10.3.2. */
static void draw(const fl_control *control, uint32_t *chosen, size_t k, uint32_t client,
                 uint32_t round)
{
    uint32_t experts[NN_MAX_EXPERTS];
    nn_rng rng = nn_rng_at(control->config->seed, NN_STREAM_GATE_CHOICE, 0, round, client);
    for (size_t i = 0; i < control->experts; i++)
        experts[i] = (uint32_t)i;
    nn_rng_shuffle(&rng, experts, control->experts);
    memcpy(chosen, experts, k * sizeof *chosen);
    data_sort_u32(chosen, k);
}

ddome_status fl_control_choose(const fl_control *control, ddome_error *error, nn_arena *scratch,
                               float *score, uint32_t *chosen, size_t k, const float *logits,
                               uint32_t client, uint32_t round, const fl_query *query)
{
    const bool drawn = control->config->gate == FL_GATE_RANDOM;
    const size_t experts = control->experts;
    ddome_status status = fl_gate_score(error, scratch, score, logits, query->count, experts);
    if (status != DDOME_OK)
        return status;
    if (drawn)
        draw(control, chosen, k, client, round);
    else
        fl_gate_top_k(chosen, score, experts, k);
    NN_INVARIANT(fl_invariant_ids(chosen, k, experts));
    if (query->model == NULL)
        fl_trace_stand_in(query->trace, logits, query->count, experts);
    if (drawn)
        fl_trace_drawn(query->trace, chosen, k);
    else
        fl_trace_choice(query->trace, query->model == NULL, score, experts, chosen, k);
    return DDOME_OK;
}

/* The chosen expert with the largest gate logit, the lowest index among equals (SPEC 13.2). */
static uint32_t best_of(const float *logits, const uint32_t *chosen, size_t k)
{
    uint32_t best = chosen[0];
    for (size_t i = 1; i < k; i++)
        if (logits[chosen[i]] > logits[best])
            best = chosen[i];
    return best;
}

void fl_control_route(const fl_control *control, uint32_t *route, const uint32_t *chosen, size_t k,
                      const float *logits, size_t count, uint32_t client, bool of_anchor)
{
    nn_rng rng = nn_rng_at(control->config->seed, NN_STREAM_GATE_ROUTE,
                           of_anchor ? ROUTE_ANCHOR : ROUTE_CLIENT, 0, client);
    const bool drawn = control->config->gate == FL_GATE_RANDOM;
    for (size_t i = 0; i < count; i++)
        route[i] = drawn ? chosen[nn_rng_below(&rng, (uint32_t)k)]
                         : best_of(logits + i * control->experts, chosen, k);
}

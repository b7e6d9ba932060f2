/* SPDX-License-Identifier: MIT */
/* Bytes from the messages of the participants that the seed draws, work from a planned tape, memory
 * and time from one real step of each kind. SPEC 18.3.5. */
#include "plan.h"

#include <string.h>

#include "../nn/os.h"
#include "schedule.h"

/* ---- work ---- */

/* A convolution or linear layer forms each of its results from one row of weights. Backward it does
 * as much for the weights and once more for its input, unless that is data. */
static void add_work(fl_plan_work *sum, const nn_node *node)
{
    if (node->op != NN_OP_CONV && node->op != NN_OP_LINEAR)
        return;
    const uint64_t results = nn_tensor_count(&node->value), row = node->inputs[1]->value.c;
    sum->forward += results * row;
    sum->training += (node->inputs[0]->op == NN_OP_LEAF ? 2 : 3) * results * row;
}

static ddome_status plan_model(fl_run *run, fl_plan_work *sum, const fl_model *model)
{
    const nn_tensor input = {NULL, 1, model->h, model->w, model->c};
    nn_layout declared = {.slices = NULL};
    nn_graph graph = {.arena = &run->scratch, .error = run->error, .planning = true};
    nn_net net = {.graph = &graph, .declare = &declared};
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_model_build(&net, NULL, nn_graph_leaf(&graph, &input, NULL), model);
    for (const nn_node *node = graph.last; node != NULL; node = node->previous)
        add_work(sum, node);
    nn_arena_rewind(&run->scratch, mark);
    return graph.status;
}

static ddome_status plan_models(fl_plan *p)
{
    fl_run *run = p->run;
    ddome_status status = plan_model(run, &p->expert, &run->expert);
    if (status == DDOME_OK && fl_control_has_gate(&run->config))
        status = plan_model(run, &p->gate, &run->gate);
    return status;
}

/* ---- traffic ---- */

int fl_plan_kind_of(const fl_plan *plan, const data_client *client)
{
    return fl_client_is_anchor(&plan->run->world, client) ? FL_PLAN_ANCHOR : FL_PLAN_NORMAL;
}

/* The first experts stand for any. */
static fl_visit visit_of(const fl_plan *p, const data_client *client, uint32_t round)
{
    fl_visit visit = fl_run_visit(p->run, client, round);
    visit.anchor = fl_plan_kind_of(p, client) == FL_PLAN_ANCHOR;
    if (!visit.anchor)
        visit.k = fl_algorithm_trained(&p->run->config);
    for (size_t i = 0; i < visit.k; i++)
        visit.chosen[i] = (uint32_t)i;
    return visit;
}

/* An anchor does without what it does not train. */
uint64_t fl_plan_sample_work(const fl_plan *p, const data_client *client, uint32_t round)
{
    const fl_visit visit = visit_of(p, client, round);
    const fl_plan_work none = {0, 0}, *gate = &p->gate, *expert = &p->expert;
    if (visit.anchor && visit.gate_held)
        gate = &none;
    if (visit.anchor && visit.experts_held)
        expert = &none;
    return (visit.gate_held ? gate->forward : gate->training) +
           visit.k * (visit.experts_held ? expert->forward : expert->training);
}

/* A lost visit is not worked out (SPEC 11.10). */
static void count_training(fl_plan_tally *tally, const fl_plan *p, const fl_visit *visit)
{
    const uint64_t samples =
        fl_schedule_samples(&p->run->config, visit->client->count, visit->slow);
    if (visit->lost)
        return;
    tally->samples[fl_plan_kind_of(p, visit->client)] += samples;
    tally->work += samples * fl_plan_sample_work(p, visit->client, visit->round);
}

static void take_part(fl_plan *p, const data_client *client, uint32_t round)
{
    fl_plan_kind *kind = &p->kinds[fl_plan_kind_of(p, client)];
    fl_traffic traffic = {0, 0, 0, 0};
    const fl_visit visit = visit_of(p, client, round);
    fl_run_count_visit(&traffic, p->run, &visit);
    if (kind->largest == NULL)
        kind->visit = traffic;
    if (kind->largest == NULL || client->count > kind->largest->count)
        kind->largest = client;
    fl_traffic_add(&p->all.traffic, &traffic);
    count_training(&p->all, p, &visit);
}

/* With anchors = cluster the first clients stand for those that embeddings will name. */
static void stand_for_clusters(fl_run *run)
{
    fl_control *control = &run->control;
    if (!control->routes || run->config.anchors != FL_ANCHORS_CLUSTER)
        return;
    control->anchors = control->experts;
    control->cluster = true;
    for (size_t q = 0; q < control->anchors; q++)
        control->anchor[q] = (uint32_t)q;
    fl_control_tie(control);
}

/* Who takes part follows from the seed alone (SPEC 11.1). */
static ddome_status draw_rounds(fl_plan *p)
{
    fl_run *run = p->run;
    const size_t rounds = fl_run_rounds(run);
    ddome_status status = DDOME_OK;
    fl_run_count_common(&p->set_up, run);
    fl_run_count_means(&p->set_up, run);
    for (uint32_t round = 1; round <= rounds && status == DDOME_OK; round++) {
        if (fl_schedule_common(&run->config, round))
            fl_run_count_common(&p->all.traffic, run);
        status = fl_run_participants(run, round);
        for (size_t i = 0; i < run->active && status == DDOME_OK; i++)
            take_part(p, &run->task.partition.clients[run->participants[i]], round);
        if (round == 1)
            p->first = p->all;
    }
    return status;
}

/* ---- steps ---- */

/* Of so many samples of the client; who that is does not matter to pretraining. */
typedef ddome_status step_fn(fl_plan *p, nn_arena *arena, const data_client *client,
                             size_t samples);

static ddome_status copy_models(const fl_plan *p, nn_arena *arena, fl_visit *visit)
{
    const fl_run *run = p->run;
    bool made = true;
    if (fl_control_has_gate(&run->config) && !(visit->anchor && visit->gate_held)) {
        visit->gate = nn_arena_zero(arena, run->gate.layout.total, sizeof *visit->gate);
        made = visit->gate != NULL;
    }
    for (size_t i = 0; i < visit->k && made && !(visit->anchor && visit->experts_held); i++) {
        visit->expert[i] = nn_arena_zero(arena, run->expert.layout.total, sizeof *visit->expert[i]);
        made = visit->expert[i] != NULL;
    }
    if (!made)
        return nn_arena_fail(run->error, arena, "a client's copies of the models");
    visit->correction = (fl_correction){
        .kind = run->algorithm->correction, .mu = run->config.mu.value, .start = visit->expert[0]};
    return run->algorithm->correction == FL_CORRECTION_VARIATES
               ? fl_variates_send(run->error, arena, &visit->correction, &p->variates, 0)
               : DDOME_OK;
}

static ddome_status client_step(fl_plan *p, nn_arena *arena, const data_client *client,
                                size_t samples)
{
    const data_client part = {client->id, client->role, samples, client->samples};
    fl_visit visit = visit_of(p, &part, 1);
    visit.lost = visit.slow = false;
    ddome_status status = copy_models(p, arena, &visit);
    if (status == DDOME_OK)
        status = fl_client_train(p->run->error, arena, &visit, &p->run->world);
    return status;
}

/* An epoch of one batch, with one held-out sample behind it. */
static ddome_status pretraining_step(fl_plan *p, nn_arena *arena, const data_client *client,
                                     size_t samples)
{
    fl_run *run = p->run;
    fl_common common;
    fl_task task = run->task;
    (void)client;
    task.partition.pool_count = samples;
    task.partition.held_count = nn_min(1, task.partition.held_count);
    return fl_common_pretrain(&run->engine, run->error, arena, arena, &common, &run->common_model,
                              &p->keys, &task, NULL, NULL);
}

enum { TRIES = 5 };
static const double ENOUGH = 2; /* seconds */

/* A short step is tried again and the fastest taken, for the first one meets fresh memory. */
static ddome_status try_step(fl_plan *p, fl_plan_step *out, step_fn *step,
                             const data_client *client, size_t samples)
{
    nn_arena arena = {.used = 0};
    const nn_arena_mark mark = nn_arena_get_mark(&arena);
    double spent = 0;
    ddome_status status = DDOME_OK;
    for (int i = 0; i < TRIES && spent < ENOUGH && status == DDOME_OK; i++) {
        const double start = nn_os_seconds();
        status = step(p, &arena, client, samples);
        const double seconds = nn_os_seconds() - start;
        out->seconds = i == 0 || seconds < out->seconds ? seconds : out->seconds;
        spent += seconds;
        nn_arena_rewind(&arena, mark);
    }
    out->samples = samples;
    out->bytes = arena.peak;
    nn_arena_free(&arena);
    return status;
}

static ddome_status try_steps(fl_plan *p)
{
    const fl_config *config = &p->run->config;
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < FL_PLAN_KINDS && status == DDOME_OK; i++) {
        fl_plan_kind *kind = &p->kinds[i];
        if (kind->largest != NULL)
            status = try_step(p, &kind->step, client_step, kind->largest,
                              nn_min(config->batch, kind->largest->count));
    }
    if (status == DDOME_OK && fl_algorithm_needs_common(config) && config->common[0] == '\0')
        status = try_step(p, &p->pretraining, pretraining_step, NULL,
                          nn_min(config->pretrain_batch, p->run->task.partition.pool_count));
    return status;
}

/* ---- the whole ---- */

/* Nothing moves at rate 0, so that a step can be tried again. */
static void set_keys(fl_plan *p)
{
    p->keys = p->run->config;
    p->keys.epochs = p->keys.pretrain_epochs = 1;
    p->keys.lr.value = p->keys.gate_lr.value = p->keys.pretrain_lr.value = 0;
}

/* All samples share one row of zeros. */
static ddome_status make_world(fl_plan *p)
{
    fl_run *run = p->run;
    const fl_model *gate = fl_control_has_gate(&run->config) ? &run->gate : NULL;
    run->world =
        (fl_client_world){.engine = &run->solo,
                          .config = &p->keys,
                          .task = &run->task,
                          .expert = &run->expert,
                          .gate = gate,
                          .control = &run->control,
                          .embeddings = fl_control_embeds(&run->config) ? &p->embeddings : NULL};
    p->embeddings = (fl_embeddings){
        run->common_model.features,
        nn_arena_zero(&run->arena, run->task.set.train.count, sizeof *p->embeddings.slot),
        nn_arena_zero(&run->arena, run->common_model.features, sizeof *p->embeddings.rows)};
    if (p->embeddings.slot == NULL || p->embeddings.rows == NULL)
        return nn_arena_fail(run->error, &run->arena, "made-up embeddings");
    if (run->algorithm->correction == FL_CORRECTION_VARIATES)
        return fl_variates_init(run->error, &run->arena, &p->variates, &run->expert.layout, 1);
    return DDOME_OK;
}

ddome_status fl_plan_make(fl_plan *plan, fl_run *run)
{
    memset(plan, 0, sizeof *plan);
    plan->run = run;
    plan->data_bytes = run->arena.used;
    set_keys(plan);
    stand_for_clusters(run);
    ddome_status status = fl_control_labels(run->error, &run->arena, &run->control, &run->task);
    if (status == DDOME_OK)
        status = make_world(plan);
    if (status == DDOME_OK)
        status = plan_models(plan);
    if (status == DDOME_OK)
        status = draw_rounds(plan);
    return status == DDOME_OK ? try_steps(plan) : status;
}

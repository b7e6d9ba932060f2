/* SPDX-License-Identifier: MIT */
/* The controls' steps of a run: anchors from embeddings, a common expert that is renewed, who takes
 * part and how. SPEC 10.4, 11.7 to 11.12. */
#include "cluster.h"
#include "run.h"
#include "sample.h"
#include "schedule.h"
#include "state.h"

#include "../nn/sum.h"

/* ---- anchors from embeddings ---- */

void fl_run_count_means(fl_traffic *traffic, const fl_run *run)
{
    const bool cluster = run->control.routes && run->config.anchors == FL_ANCHORS_CLUSTER;
    for (size_t i = 0; cluster && i < run->task.partition.training; i++) {
        const fl_message message = {.client = (uint32_t)i,
                                    .float_count = run->common_model.features};
        fl_traffic_up(traffic, &message);
    }
}

/* A client's mean embedding (SPEC 10.4.1), which is all that the server sees of it. */
static ddome_status mean_embedding(fl_run *run, float *mean, const data_client *client)
{
    const size_t width = run->common_model.features;
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    nn_tensor x = {NULL, client->count, 1, 1, width};
    x.data = nn_arena_alloc(&run->scratch, client->count, width * sizeof *x.data);
    float *block = nn_arena_alloc(&run->scratch, width, sizeof *block);
    if (x.data == NULL || block == NULL)
        return nn_arena_fail(run->error, &run->scratch, "a client's embeddings");
    fl_embeddings_fill(&x, &run->train, client->samples, client->count);
    nn_sum_columns(mean, block, x.data, client->count, width);
    for (size_t j = 0; j < width; j++)
        mean[j] = mean[j] / (float)client->count;
    nn_arena_rewind(&run->scratch, mark);
    const ddome_status status =
        fl_nonfinite_check(run->error, "data", "given", "mean embedding", "value", mean, width);
    return fl_nonfinite_in(run->error, status, "lower pretrain_lr, or give another file as common",
                           "round 0, client %u", (unsigned)client->id);
}

/* Those of a checkpoint were found when the common expert was still the first. */
static ddome_status anchors_of_checkpoint(fl_run *run)
{
    run->control.anchors = run->control.experts;
    run->control.cluster = true;
    ddome_status status = fl_state_anchors(run, &run->saved.state);
    if (status == DDOME_OK)
        fl_control_tie(&run->control);
    return status;
}

static ddome_status find_anchors(fl_run *run)
{
    const size_t training = run->task.partition.training, width = run->common_model.features;
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    float *means = nn_arena_alloc(&run->scratch, training, width * sizeof *means);
    const fl_points points = {means, training, width};
    if (means == NULL)
        return nn_arena_fail(run->error, &run->scratch, "the mean embeddings of the clients");
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < training && status == DDOME_OK; i++)
        status = mean_embedding(run, means + i * width, &run->task.partition.clients[i]);
    if (status == DDOME_OK)
        status = fl_cluster(run->error, &run->scratch, run->control.anchor, &points,
                            run->control.experts, run->config.cluster_iterations, run->config.seed);
    nn_arena_rewind(&run->scratch, mark);
    run->control.anchors = run->control.experts;
    run->control.cluster = true;
    if (status == DDOME_OK)
        fl_control_tie(&run->control);
    return status;
}

ddome_status fl_run_anchors(fl_run *run)
{
    ddome_status status = DDOME_OK;
    if (run->control.routes && run->config.anchors == FL_ANCHORS_CLUSTER)
        status = run->saved.found ? anchors_of_checkpoint(run) : find_anchors(run);
    return status == DDOME_OK
               ? fl_control_labels(run->error, &run->arena, &run->control, &run->task)
               : status;
}

/* ---- the common expert once more ---- */

ddome_status fl_run_renew_common(fl_run *run, uint32_t round)
{
    const fl_embeddings *test = &run->test;
    fl_run_count_common(&run->traffic, run);
    run->watch.begun = false; /* what experts are held against is another one (SPEC 14.7 c) */
    ddome_status status =
        fl_common_again(&run->engine, run->error, &run->scratch, &run->common, &run->common_model,
                        &run->config, &run->task, round, run->trace);
    if (status == DDOME_OK)
        status = fl_common_embed_again(&run->engine, run->error, &run->scratch, &run->train,
                                       &run->common, &run->common_model, &run->task,
                                       &run->task.set.train);
    if (status == DDOME_OK && test->rows != NULL)
        status =
            fl_common_embed_again(&run->engine, run->error, &run->scratch, &run->test, &run->common,
                                  &run->common_model, &run->task, &run->task.set.test);
    return status;
}

/* ---- participants ---- */

/* All training clients, or those of the groups that are there (SPEC 12.6.6, 12.7.4). */
static void take_all(fl_run *run, uint32_t round)
{
    const uint32_t *group = run->control.group;
    run->active = 0;
    for (uint32_t id = 0; id < run->task.partition.training; id++)
        if (group == NULL || fl_schedule_active(&run->config, group[id], round))
            run->participants[run->active++] = id;
}

/* With clusters other clients are in the strata (SPEC 11.7.1). */
ddome_status fl_run_participants(fl_run *run, uint32_t round)
{
    const data_partition *p = &run->task.partition;
    const fl_field field = {p->training, p->anchors, run->control.cluster ? run->control.tie : NULL,
                            run->control.group};
    if (!fl_algorithm_takes_all(&run->config))
        return fl_sample_participants(run->error, &run->scratch, run->participants, &run->active,
                                      &run->config, &field, round);
    take_all(run, round);
    return DDOME_OK;
}

fl_visit fl_run_visit(const fl_run *run, const data_client *client, uint32_t round)
{
    fl_visit visit = {.client = client, .round = round, .k = 1};
    fl_control_held(&run->control, round, &visit.gate_held, &visit.experts_held);
    visit.lost = fl_schedule_lost(&run->config, round, client->id);
    visit.slow = fl_schedule_slow(&run->config, round, client->id);
    return visit;
}

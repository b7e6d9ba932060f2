/* SPDX-License-Identifier: MIT */
/* Setting up a run and doing its steps. SPEC 11. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include "../nn/os.h"
#include "../nn/selftest.h"
#include "checkpoint.h"
#include "origin.h"
#include "state.h"

/* ---- set-up ---- */

static ddome_status init_models(fl_run *run)
{
    const fl_config *config = &run->config;
    ddome_status status =
        fl_model_expert(run->error, &run->arena, &run->expert, config, &run->task.set);
    run->common_model = run->expert;
    if (status == DDOME_OK && run->algorithm->head)
        status = fl_model_head(run->error, &run->arena, &run->expert, run->common_model.features,
                               run->task.set.classes);
    if (status == DDOME_OK && fl_control_has_gate(config))
        status = fl_model_gate(run->error, &run->arena, &run->gate, run->expert.features,
                               config->gate_hidden, config->experts);
    return status;
}

static ddome_status init_round_arrays(fl_run *run)
{
    run->most_active = fl_algorithm_takes_all(&run->config)
                           ? run->config.clients
                           : run->config.active_anchors + run->config.active_normal;
    run->active = run->most_active;
    run->participants = nn_arena_alloc(&run->arena, run->active, sizeof *run->participants);
    run->visits = nn_arena_zero(&run->arena, run->active, sizeof *run->visits);
    if (run->participants == NULL || run->visits == NULL)
        return nn_arena_fail(run->error, &run->arena, "the participants of a round");
    ddome_status status = fl_record_init(run->error, &run->arena, &run->record,
                                         run->config.rounds / run->config.eval_every + 2);
    run->record.names_lost = run->config.dropout.value > 0;
    run->record.names_slow = run->config.straggler.value > 0;
    return status;
}

/* An unknown name is refused before data are read (SPEC 18.4.1). */
ddome_status fl_run_selftest(ddome_error *error, const nn_kernels **kernels)
{
    ddome_status status = nn_selftest(error);
    if (status == DDOME_OK)
        status = nn_kernels_find(error, kernels, getenv("DDOME_ISA"));
    if (status == DDOME_OK)
        status = nn_selftest_kernels(error, *kernels);
    return status;
}

static ddome_status init_engine(fl_run *run)
{
    run->solo.arith = (nn_arith)run->config.arith;
    ddome_status status = fl_run_selftest(run->error, &run->solo.kernels);
    run->engine = run->solo;
    return status;
}

static ddome_status take_scope(fl_run *run, int scope)
{
    fl_evaluator *evaluator = &run->evaluator[run->evaluators++];
    evaluator->scope = scope;
    return fl_task_scope(run->error, &run->arena, &evaluator->clients, &evaluator->client_count,
                         &run->whole, &run->task, &run->config, scope);
}

/* The clients that are evaluated (SPEC 13.1, 13.8). */
static ddome_status take_scopes(fl_run *run)
{
    run->evaluators = 0;
    ddome_status status = take_scope(run, run->config.eval_scope);
    for (int scope = 0; scope < FL_SCOPES && status == DDOME_OK; scope++)
        if ((run->config.eval_also >> scope & 1) != 0)
            status = take_scope(run, scope);
    return status;
}

ddome_status fl_run_load(fl_run *run)
{
    run->algorithm = fl_algorithm_of(&run->config);
    ddome_status status = fl_task_load(run->error, &run->arena, &run->task, &run->config);
    if (status == DDOME_OK)
        status = take_scopes(run);
    if (status == DDOME_OK)
        status = fl_control_init(run->error, &run->arena, &run->control, &run->config, &run->task);
    if (status == DDOME_OK)
        status = init_models(run);
    if (!fl_algorithm_needs_common(&run->config))
        run->config.common[0] = '\0'; /* without effect (SPEC 9.4) */
    if (status == DDOME_OK)
        status = fl_origin_hashes(run->error, &run->scratch, &run->hashes, &run->config);
    return status == DDOME_OK ? init_round_arrays(run) : status;
}

ddome_status fl_run_init(ddome_error *error, fl_run *run, const fl_config *config, size_t threads,
                         const ddome_progress *progress)
{
    memset(run, 0, sizeof *run);
    run->saved.every = config->checkpoint_every;
    run->error = error;
    run->progress = progress;
    run->config = *config;
    run->started = nn_os_seconds();
    ddome_status status = fl_config_check(error, &run->config);
    if (status == DDOME_OK)
        status = init_engine(run);
    if (status == DDOME_OK)
        status = fl_crew_open(error, &run->arena, &run->scratch, &run->crew, threads);
    run->engine.team = run->crew.team;
    return status == DDOME_OK ? fl_run_load(run) : status;
}

void fl_run_free(fl_run *run)
{
    fl_rundir_leave(&run->dir);
    fl_server_close_stores(&run->server);
    fl_saved_free(&run->saved);
    fl_crew_close(&run->crew);
    nn_arena_free(&run->scratch);
    nn_arena_free(&run->arena);
}

/* ---- the common expert ---- */

ddome_status fl_run_take_common(fl_run *run)
{
    fl_common *common = &run->common;
    if (run->config.common[0] == '\0' || common->values != NULL)
        return DDOME_OK;
    common->floats = run->common_model.layout.total;
    common->values = nn_arena_alloc(&run->arena, common->floats, sizeof *common->values);
    if (common->values == NULL)
        return nn_arena_fail(run->error, &run->arena, "the common expert");
    ddome_status status =
        fl_checkpoint_load(run->error, &run->scratch, common->values, &common->batches,
                           &run->common_model, run->config.common);
    if (status != DDOME_OK)
        return status;
    common->given = common->batches;
    const nn_digest hash = nn_layout_hash(&run->common_model.layout, common->values);
    return fl_origin_check_model(run->error, &run->scratch, run->config.common, &hash, &run->task);
}

ddome_status fl_run_take_start(fl_run *run)
{
    fl_common *start = &run->start;
    if (run->config.init != FL_INIT_FILE || start->values != NULL)
        return DDOME_OK;
    start->floats = run->expert.layout.total;
    start->values = nn_arena_alloc(&run->arena, start->floats, sizeof *start->values);
    if (start->values == NULL)
        return nn_arena_fail(run->error, &run->arena, "the model that rounds start from");
    ddome_status status = fl_checkpoint_load(run->error, &run->scratch, start->values,
                                             &start->batches, &run->expert, run->config.init_file);
    start->given = start->batches;
    return status == DDOME_OK ? fl_origin_check_model(run->error, &run->scratch,
                                                      run->config.init_file, NULL, &run->task)
                              : status;
}

/* It may have been trained on since it was given or made (SPEC 11.12). */
static ddome_status common_of_checkpoint(fl_run *run)
{
    fl_common *common = &run->common;
    common->floats = run->common_model.layout.total;
    if (common->values == NULL)
        common->values = nn_arena_alloc(&run->arena, common->floats, sizeof *common->values);
    if (common->values == NULL)
        return nn_arena_fail(run->error, &run->arena, "the common expert");
    return fl_state_common(run, &run->saved.state);
}

ddome_status fl_run_common(fl_run *run)
{
    ddome_status status = fl_run_take_common(run);
    if (status == DDOME_OK && run->saved.found)
        return common_of_checkpoint(run);
    if (status != DDOME_OK || run->common.values != NULL)
        return status;
    return fl_run_pretrain(run);
}

ddome_status fl_run_pretrain(fl_run *run)
{
    ddome_status status =
        fl_common_pretrain(&run->engine, run->error, &run->arena, &run->scratch, &run->common,
                           &run->common_model, &run->config, &run->task, run->progress, run->trace);
    if (status == DDOME_STOPPED)
        return nn_fail(run->error, status,
                       "stopped while the common expert was pretrained, before any checkpoint; "
                       "start again");
    return status;
}

void fl_run_count_common(fl_traffic *traffic, const fl_run *run)
{
    const bool sends = fl_algorithm_sends_common(&run->config);
    const bool start = run->algorithm->own && run->config.init == FL_INIT_FILE;
    for (size_t i = 0; sends && i < run->task.partition.training; i++) {
        const fl_message message = {.client = (uint32_t)i,
                                    .expert_model = start ? &run->expert : &run->common_model,
                                    .expert_count = 1,
                                    .experts = start ? &run->start.values : &run->common.values};
        fl_traffic_down(traffic, &message);
    }
}

/* The common expert goes once to every training client. */
static void send_common(fl_run *run)
{
    fl_traffic traffic = {0, 0, 0, 0};
    fl_run_count_common(&traffic, run);
    fl_run_count_means(&traffic, run);
    fl_record_setup_traffic(&run->record, &traffic);
}

/* Those that are evaluated on samples of the test split. */
static size_t tested(const fl_evaluator *evaluator)
{
    return evaluator->scope == FL_SCOPE_HOLDOUT ? 0 : evaluator->client_count;
}

/* All of them, in the scratch memory. */
static ddome_status tested_clients(fl_run *run, data_client **clients, size_t *count)
{
    size_t sum = 0;
    for (size_t i = 0; i < run->evaluators; i++)
        sum += tested(&run->evaluator[i]);
    *count = 0;
    *clients = nn_arena_alloc(&run->scratch, sum, sizeof **clients);
    if (*clients == NULL)
        return nn_arena_fail(run->error, &run->scratch, "the clients that are evaluated");
    for (size_t i = 0; i < run->evaluators; i++)
        for (size_t c = 0; c < tested(&run->evaluator[i]); c++)
            (*clients)[(*count)++] = run->evaluator[i].clients[c];
    return DDOME_OK;
}

static ddome_status embed_tested(fl_run *run)
{
    data_client *clients;
    size_t count;
    const nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    ddome_status status = tested_clients(run, &clients, &count);
    if (status == DDOME_OK && count != 0)
        status = fl_common_embed(&run->engine, run->error, &run->arena, &run->scratch, &run->test,
                                 &run->common, &run->common_model, &run->task, &run->task.set.test,
                                 clients, count);
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

ddome_status fl_run_embed(fl_run *run)
{
    const data_partition *p = &run->task.partition;
    if (fl_algorithm_sends_common(&run->config))
        send_common(run);
    if (!fl_control_embeds(&run->config))
        return DDOME_OK;
    /* held-out clients are embedded only when they are evaluated */
    const bool holdout = fl_config_evaluates(&run->config, FL_SCOPE_HOLDOUT);
    const size_t count = p->training + (holdout ? p->holdout : 0);
    ddome_status status = fl_common_embed(&run->engine, run->error, &run->arena, &run->scratch,
                                          &run->train, &run->common, &run->common_model, &run->task,
                                          &run->task.set.train, p->clients, count);
    if (status == DDOME_OK)
        status = embed_tested(run);
    if (status == DDOME_OK)
        fl_report(run->progress, DDOME_PHASE_EMBED, count, count, 0);
    return status;
}

/* Several clients share the team out; one alone leaves it to its operations. */
static const nn_engine *engine_for(const fl_run *run, size_t clients)
{
    return clients > 1 ? &run->solo : &run->engine;
}

const fl_common *fl_run_start(const fl_run *run)
{
    if (run->algorithm->from_common || run->config.init == FL_INIT_COMMON)
        return &run->common;
    return run->config.init == FL_INIT_FILE ? &run->start : NULL;
}

/* Its clients and their scope are there. */
static void complete_evaluator(fl_run *run, fl_evaluator *evaluator, fl_trace *trace)
{
    const bool embeds = fl_control_embeds(&run->config);
    evaluator->engine = engine_for(run, evaluator->client_count);
    evaluator->config = &run->config;
    evaluator->task = &run->task;
    evaluator->expert = &run->expert;
    evaluator->gate = fl_control_has_gate(&run->config) ? &run->gate : NULL;
    evaluator->train = embeds ? &run->train : NULL;
    evaluator->test = embeds ? &run->test : NULL;
    evaluator->control = &run->control;
    evaluator->trace = trace;
}

/* What stays with clients is on the disk of the run, unless that is only looked at. */
static ddome_status init_stores(fl_run *run)
{
    char *path = NULL;
    ddome_status status = DDOME_OK;
    if (run->dir.path != NULL && !run->dir.verify)
        status = fl_rundir_join(run->error, &run->arena, &run->dir, &path, FL_STORE_FILE);
    return status == DDOME_OK ? fl_server_init_stores(run->error, &run->arena, &run->server, path)
                              : status;
}

ddome_status fl_run_server(fl_run *run)
{
    const fl_model *gate = fl_control_has_gate(&run->config) ? &run->gate : NULL;
    const bool embeds = fl_control_embeds(&run->config);
    run->world = (fl_client_world){.engine = engine_for(run, run->most_active),
                                   .config = &run->config,
                                   .task = &run->task,
                                   .expert = &run->expert,
                                   .gate = gate,
                                   .embeddings = embeds ? &run->train : NULL,
                                   .control = &run->control,
                                   .trace = run->trace};
    for (size_t i = 0; i < run->evaluators; i++)
        complete_evaluator(run, &run->evaluator[i], i == 0 ? run->trace : NULL);
    ddome_status status = fl_run_take_start(run);
    fl_server_close_stores(&run->server);
    if (status == DDOME_OK)
        status = fl_server_init(run->error, &run->arena, &run->server, &run->config, &run->expert,
                                gate, fl_run_start(run), fl_algorithm_experts(&run->config));
    return status == DDOME_OK ? init_stores(run) : status;
}

ddome_status fl_run_set_up(fl_run *run)
{
    ddome_status status = DDOME_OK;
    if (fl_algorithm_needs_common(&run->config))
        status = fl_run_common(run);
    if (status == DDOME_OK)
        status = fl_run_embed(run);
    if (status == DDOME_OK)
        status = fl_run_anchors(run);
    if (status == DDOME_OK)
        status = fl_run_server(run);
    if (status == DDOME_OK)
        status = fl_watch_begin(run->error, &run->arena, &run->watch, &run->world, &run->common,
                                &run->server);
    run->resumed = run->saved.found;
    if (status == DDOME_OK && run->resumed)
        status = fl_state_take(run, &run->saved.state);
    if (status == DDOME_OK && run->resumed && !run->dir.verify)
        status = fl_run_go_on(run);
    fl_saved_free(&run->saved);
    return status;
}

/* ---- evaluation ---- */

size_t fl_run_rounds(const fl_run *run)
{
    return run->algorithm->rounds ? run->config.rounds : 0;
}

/* SPEC 13.4. */
bool fl_run_evaluates(const fl_run *run, uint32_t round)
{
    return round % run->config.eval_every == 0 || round == run->config.rounds;
}

/* SPEC 13.8. */
static ddome_status evaluate_also(fl_run *run, const fl_evaluator *evaluator, uint32_t round)
{
    fl_evaluation evaluation;
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    ddome_status status =
        fl_evaluate(run->error, &run->scratch, &run->crew, &evaluation, evaluator, &run->server);
    if (status == DDOME_OK)
        status =
            fl_record_also(run->error, &run->scratch, &run->record, round, &evaluation, evaluator);
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

ddome_status fl_run_evaluate(fl_run *run, uint32_t round)
{
    fl_evaluation evaluation;
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_trace_at_pass(run->trace, round, FL_TRACE_NONE, "evaluate");
    ddome_status status = fl_evaluate(run->error, &run->scratch, &run->crew, &evaluation,
                                      run->evaluator, &run->server);
    if (status == DDOME_OK)
        status = fl_record_evaluation(run->error, &run->scratch, &run->record, round, &evaluation,
                                      run->evaluator);
    if (status == DDOME_OK)
        fl_report(run->progress, DDOME_PHASE_EVALUATE, round, fl_run_rounds(run),
                  run->record.last.mean);
    if (status == DDOME_OK)
        status = fl_watch_evaluation(run->error, &run->scratch, &run->watch, &run->engine, round,
                                     &evaluation, &run->record.last, run->progress);
    nn_arena_rewind(&run->scratch, mark);
    for (size_t i = 1; i < run->evaluators && status == DDOME_OK; i++)
        status = evaluate_also(run, &run->evaluator[i], round);
    return status;
}

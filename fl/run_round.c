/* SPDX-License-Identifier: MIT */
/* One round: who takes part, what each chooses, what travels, what comes back. SPEC 11. */
#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "ifca.h"
#include "invariant.h"
#include "run.h"
#include "schedule.h"
#include "trace_model.h"

/* ---- participants and their work ---- */

ddome_status fl_run_open_round(fl_run *run, uint32_t round)
{
    memset(&run->traffic, 0, sizeof run->traffic);
    fl_server_open_round(&run->server);
    run->server.round = round;
    ddome_status status = DDOME_OK;
    if (fl_schedule_common(&run->config, round))
        status = fl_run_renew_common(run, round);
    if (status == DDOME_OK)
        status = fl_run_participants(run, round);
    NN_INVARIANT(status != DDOME_OK ||
                 fl_invariant_ids(run->participants, run->active, run->control.training));
    for (size_t i = 0; i < run->active && status == DDOME_OK; i++)
        run->visits[i] =
            fl_run_visit(run, &run->task.partition.clients[run->participants[i]], round);
    return status;
}

/* What the functions below are handed through fl_crew_each. */
typedef struct round_work {
    fl_run *run;
    fl_client_fn *one;
    fl_take_fn *take;
} round_work;

/* A visit in which something was not finite, from its beginning. SPEC 11.13.2. */
static void search(ddome_error *error, nn_arena *scratch, const round_work *w, fl_visit *visit)
{
    fl_search looking;
    ddome_error found = {DDOME_OK, ""};
    fl_trace_stop(w->run->trace);
    *visit = fl_run_visit(w->run, visit->client, visit->round);
    visit->search = &looking;
    found.status = w->one(&found, scratch, visit, w->run);
    visit->search = NULL;
    fl_search_end(error, &found);
}

static ddome_status work_on(ddome_error *error, nn_arena *scratch, void *context, size_t i)
{
    char mend[2 * FL_DECIMAL + 32];
    const round_work *w = context;
    fl_visit *visit = &w->run->visits[i];
    const nn_arena_mark mark = nn_arena_get_mark(scratch);
    const ddome_status status = w->one(error, scratch, visit, w->run);
    if (status != DDOME_ERR_NONFINITE)
        return status;
    nn_arena_rewind(scratch, mark);
    search(error, scratch, w, visit);
    snprintf(mend, sizeof mend, "lower lr = %s or gate_lr = %s", w->run->config.lr.text,
             w->run->config.gate_lr.text);
    return fl_nonfinite_in(error, status, mend, "round %u, client %u", (unsigned)visit->round,
                           (unsigned)visit->client->id);
}

/* run->error is the one that fl_crew_each was given. */
static ddome_status take_back(ddome_error *error, void *context, size_t i)
{
    const round_work *w = context;
    (void)error;
    return w->take(w->run, &w->run->visits[i]);
}

ddome_status fl_run_clients(fl_run *run, fl_client_fn *one, fl_take_fn *take)
{
    round_work w = {run, one, take};
    NN_INVARIANT_NEEDS(const data_split *split = &run->task.set.train;)
    NN_INVARIANT_NEEDS(const nn_digest before = fl_invariant_embeddings(&run->train, split);)
    const ddome_status status =
        fl_crew_each(run->error, &run->crew, work_on, take_back, &w, run->active);
    NN_INVARIANT_NEEDS(const nn_digest after = fl_invariant_embeddings(&run->train, split);)
    NN_INVARIANT(fl_invariant_same(&before, &after)); /* only 11.12 makes them anew */
    return status;
}

/* The client's own choice: top K of the mean score over its samples (SPEC 10.1, 10.2), or what
 * stands for it (SPEC 10.3). */
static ddome_status choose_by_gate(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                                   const fl_run *run)
{
    const data_client *client = visit->client;
    const fl_query query = {
        run->world.engine,    run->world.gate, run->server.gate.values, &run->train,
        &run->task.set.train, client->samples, client->count,           run->trace};
    float score[NN_MAX_EXPERTS];
    fl_trace_at_pass(run->trace, visit->round, client->id, "choose");
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *logits = nn_arena_alloc(scratch, client->count, run->server.experts * sizeof *logits);
    if (logits == NULL)
        return nn_arena_fail(error, scratch, "gate logits of a client");
    ddome_status status = fl_control_logits(&run->control, error, scratch, logits, &query);
    visit->k = run->config.top_k;
    if (status == DDOME_OK)
        status = fl_control_choose(&run->control, error, scratch, score, visit->chosen, visit->k,
                                   logits, client->id, visit->round, &query);
    nn_arena_rewind(scratch, mark);
    return status == DDOME_OK ? fl_trace_status(error, run->trace) : status;
}

/* The model of least loss on the client's samples (SPEC 12.6.7). */
static ddome_status choose_by_loss(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                                   const fl_run *run)
{
    const data_client *client = visit->client;
    const fl_server *server = &run->server;
    float loss[NN_MAX_EXPERTS];
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < server->experts && status == DDOME_OK; i++) {
        status = fl_ifca_figure(run->world.engine, error, scratch, &loss[i], true, &run->expert,
                                server->expert[i].values, &run->task.set, &run->task.set.train,
                                client->samples, client->count);
        status = fl_nonfinite_in(error, status, NULL, "expert %lu", (unsigned long)i);
    }
    if (status != DDOME_OK)
        return status;
    visit->chosen[0] = (uint32_t)fl_ifca_least(loss, server->experts);
    fl_trace_at_pass(run->trace, visit->round, client->id, "choose");
    fl_trace_figures(run->trace, "losses", loss, server->experts, visit->chosen[0]);
    return fl_trace_status(error, run->trace);
}

/* A mixture on the tape refers to what was chosen. */
static ddome_status choose_all(ddome_error *error, fl_visit *visit, const fl_run *run)
{
    visit->k = run->server.experts;
    for (size_t i = 0; i < visit->k; i++)
        visit->chosen[i] = (uint32_t)i;
    if (!run->algorithm->gate)
        return DDOME_OK;
    const nn_value all = fl_trace_integers("chosen", visit->chosen, visit->k);
    fl_trace_at_pass(run->trace, visit->round, visit->client->id, "choose");
    fl_trace_given(run->trace, "", "chosen", &all);
    return fl_trace_status(error, run->trace);
}

ddome_status fl_run_choose(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                           const fl_run *run)
{
    visit->anchor = fl_client_is_anchor(&run->world, visit->client);
    if (visit->anchor) {
        visit->chosen[0] = fl_control_expert_of(&run->control, visit->client->id, visit->round);
        return DDOME_OK;
    }
    if (run->algorithm->choice == FL_CHOICE_GATE)
        return choose_by_gate(error, scratch, visit, run);
    if (run->algorithm->choice == FL_CHOICE_LOSS)
        return choose_by_loss(error, scratch, visit, run);
    return choose_all(error, visit, run);
}

/* Gate down, indices up. */
static void count_choice(fl_traffic *traffic, const fl_run *run, const fl_visit *visit)
{
    const fl_message down = {
        .client = visit->client->id, .gate_model = &run->gate, .gate = run->server.gate.values};
    const fl_message up = {
        .client = visit->client->id, .index_count = visit->k, .indices = visit->chosen};
    fl_traffic_down(traffic, &down);
    fl_traffic_up(traffic, &up);
}

/* What travels in both directions, as far as it is inside: experts, the gate, a control variate. */
static fl_message models_message(const fl_run *run, const fl_visit *visit, bool experts, bool gate)
{
    const bool variates = run->algorithm->correction == FL_CORRECTION_VARIATES;
    const fl_message message = {.client = visit->client->id,
                                .expert_model = &run->expert,
                                .expert_count = experts ? visit->k : 0,
                                .experts = visit->expert,
                                .gate_model = gate ? &run->gate : NULL,
                                .gate = gate ? visit->gate : NULL,
                                .variate_model = variates ? &run->expert : NULL,
                                .variate = variates ? visit->correction.server : NULL};
    return message;
}

/* Down: an anchor needs what it trains; all others need the experts, and the gate if no choice has
 * brought it before. Up: what was trained (SPEC 11.2, 11.8). */
void fl_run_count_visit(fl_traffic *traffic, const fl_run *run, const fl_visit *visit)
{
    const fl_choice choice = run->algorithm->choice;
    const bool gate = fl_control_has_gate(&run->config), learns = gate && !visit->gate_held,
               anchor = fl_client_is_anchor(&run->world, visit->client),
               chooses = choice == FL_CHOICE_GATE && !anchor;
    fl_message down = models_message(run, visit, !anchor || !visit->experts_held,
                                     anchor ? learns : gate && !chooses),
               up = models_message(run, visit, !visit->experts_held, learns);
    up.variate = visit->correction.change;
    if (run->algorithm->own)
        return; /* nothing moves (SPEC 12.6.6) */
    if (choice == FL_CHOICE_LOSS) {
        down.expert_count = fl_algorithm_experts(&run->config); /* SPEC 12.6.7, 12.7.2 */
        up.index_count = visit->k;
        up.indices = visit->chosen;
    }
    if (gate && chooses)
        count_choice(traffic, run, visit);
    fl_traffic_down(traffic, &down);
    if (!visit->lost)
        fl_traffic_up(traffic, &up);
}

ddome_status fl_run_take(fl_run *run, const fl_visit *visit)
{
    fl_run_count_visit(&run->traffic, run, visit);
    if (visit->lost)
        return DDOME_OK;
    return fl_server_take(run->error, &run->server, visit);
}

/* Of those that answered. */
static double mean_loss(const fl_run *run)
{
    double sum = 0;
    size_t answers = 0;
    for (size_t i = 0; i < run->active; i++) {
        sum = sum + (double)run->visits[i].loss; /* 0 of a lost one */
        answers += !run->visits[i].lost;
    }
    return answers == 0 ? 0 : sum / (double)answers;
}

ddome_status fl_run_close_round(fl_run *run, uint32_t round)
{
    NN_INVARIANT(fl_invariant_weights(&run->server, run->visits, run->active));
    ddome_status status = fl_server_average(run->error, &run->server);
    if (status != DDOME_OK)
        return status;
    fl_trace_average(run->trace, round, &run->server, run->visits, run->active);
    status = fl_trace_status(run->error, run->trace);
    if (status != DDOME_OK)
        return status;
    fl_record_round(&run->record, round, run->visits, run->active, &run->traffic, &run->server);
    fl_watch_round(&run->watch, round, run->visits, run->active);
    fl_text_add(&run->record.timing.text, "%u,%lu\n", (unsigned)round,
                (unsigned long)(1000 * (nn_os_seconds() - run->started)));
    fl_report(run->progress, DDOME_PHASE_ROUND, round, run->config.rounds, mean_loss(run));
    return DDOME_OK;
}

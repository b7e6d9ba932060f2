/* SPDX-License-Identifier: MIT */
/* The lines of a plan, and the sums of memory and time. SPEC 18.3.5. */
#include "config_table.h"
#include "plan.h"
#include "schedule.h"

#include <assert.h>

static void line(fl_text *text, const char *name, uint64_t value)
{
    fl_text_add(text, "%s: %llu\n", name, (unsigned long long)value);
}

/* "SUBJECT NAME: value" */
static void line_of(fl_text *text, const char *subject, const char *name, uint64_t value)
{
    fl_text_add(text, "%s ", subject);
    line(text, name, value);
}

/* ---- models, traffic, work ---- */

static void add_choices(fl_text *text, const fl_run *run)
{
    fl_text_add(text, "algorithm: %s\n", run->algorithm->name);
    fl_text_add(text, "architecture: %s\n", fl_config_find("arch", NULL)->choice[run->config.arch]);
    line(text, "experts", fl_algorithm_experts(&run->config));
    line(text, "experts of a normal client", fl_algorithm_trained(&run->config));
    line(text, "rounds", fl_run_rounds(run));
    line(text, "threads", nn_team_size(run->crew.team));
}

/* A missing gate has zeros. */
static void add_model(fl_text *text, const char *name, const fl_model *model,
                      const fl_plan_work *work)
{
    line_of(text, name, "parameters", model->layout.trained);
    line_of(text, name, "statistics", model->layout.total - model->layout.trained);
    line_of(text, name, "message bytes", nn_layout_bytes(&model->layout));
    line_of(text, name, "multiply-adds of a sample forward", work->forward);
    line_of(text, name, "multiply-adds of a sample in training", work->training);
}

static void add_traffic(fl_text *text, const char *name, const fl_traffic *traffic)
{
    line_of(text, name, "bytes down", traffic->down);
    line_of(text, name, "bytes up", traffic->up);
    line_of(text, name, "round trips", traffic->round_trips);
}

static void add_all_traffic(fl_text *text, const fl_plan *p)
{
    fl_traffic sum = p->set_up;
    fl_traffic_add(&sum, &p->all.traffic);
    line(text, "set-up bytes down", p->set_up.down);
    add_traffic(text, "anchor visit", &p->kinds[FL_PLAN_ANCHOR].visit);
    add_traffic(text, "normal visit", &p->kinds[FL_PLAN_NORMAL].visit);
    add_traffic(text, "round 1", &p->first.traffic);
    add_traffic(text, "run", &sum);
}

static uint64_t samples_of(const fl_plan_tally *t)
{
    return t->samples[FL_PLAN_ANCHOR] + t->samples[FL_PLAN_NORMAL];
}

static void add_work(fl_text *text, const fl_plan *p)
{
    const data_partition *partition = &p->run->task.partition;
    fl_plan_tally epoch = {.samples = {0}}; /* one of all training clients */
    assert(partition->training != 0);       /* SPEC 8.7, 16.3: every partition has one */
    for (size_t i = 0; i < partition->training; i++) {
        const data_client *client = &partition->clients[i];
        const uint64_t samples = fl_schedule_epoch_samples(&p->keys, client->count);
        epoch.samples[fl_plan_kind_of(p, client)] += samples;
        epoch.work += samples * fl_plan_sample_work(p, client, 1);
    }
    line(text, "mean client samples an epoch", samples_of(&epoch) / partition->training);
    line(text, "mean client multiply-adds an epoch", epoch.work / partition->training);
    line(text, "round 1 training samples", samples_of(&p->first));
    line(text, "round 1 multiply-adds", p->first.work);
    line(text, "run training samples", samples_of(&p->all));
    line(text, "run multiply-adds", p->all.work);
}

/* ---- memory ---- */

static uint64_t held_samples(const data_client *clients, size_t count)
{
    uint64_t samples = 0;
    for (size_t i = 0; i < count; i++)
        samples += clients[i].count;
    return samples;
}

/* Samples of the test split. */
static uint64_t evaluated(const fl_evaluator *e)
{
    return e->scope == FL_SCOPE_HOLDOUT ? 0 : held_samples(e->clients, e->client_count);
}

/* Table and rows (SPEC 9.3), were all samples of the clients different. */
static uint64_t split_embeddings(const fl_run *run, const data_split *split, uint64_t held)
{
    held = held < split->count ? held : split->count;
    return sizeof(uint32_t) * split->count + sizeof(float) * held * run->common_model.features;
}

static uint64_t embeddings(const fl_run *run)
{
    const data_partition *p = &run->task.partition;
    if (!fl_control_embeds(&run->config))
        return 0;
    const bool holdout = fl_config_evaluates(&run->config, FL_SCOPE_HOLDOUT);
    uint64_t tested = 0;
    for (size_t i = 0; i < run->evaluators; i++)
        tested += evaluated(&run->evaluator[i]);
    return split_embeddings(run, &run->task.set.train,
                            held_samples(p->clients, p->training + (holdout ? p->holdout : 0))) +
           (tested == 0 ? 0 : split_embeddings(run, &run->task.set.test, tested));
}

/* Values of the models and the sums of their averages, likewise SCAFFOLD's control variate; the
 * common expert and a given start. */
static uint64_t server(const fl_run *run)
{
    const size_t expert = run->expert.layout.total;
    const uint64_t summed = fl_algorithm_experts(&run->config) * expert +
                            (fl_control_has_gate(&run->config) ? run->gate.layout.total : 0) +
                            (run->algorithm->correction == FL_CORRECTION_VARIATES ? expert : 0);
    const uint64_t common =
        fl_algorithm_needs_common(&run->config) ? run->common_model.layout.total : 0;
    const uint64_t start = run->config.init == FL_INIT_FILE ? expert : 0; /* SPEC 12.4 */
    return (sizeof(float) + sizeof(double)) * summed + sizeof(float) * (common + start);
}

/* What stays with clients (SPEC 12.6.9), were all of them to take part, with all experts. */
static uint64_t states(const fl_run *run)
{
    const nn_layout *layout = &run->expert.layout;
    const uint64_t clients = run->task.partition.training;
    uint64_t floats = 0;
    if (run->algorithm->own)
        return sizeof(float) * layout->total * clients;
    if (run->config.bn_stats == FL_BN_LOCAL && fl_run_rounds(run) != 0)
        floats += (layout->total - layout->trained) * fl_algorithm_experts(&run->config);
    if (run->algorithm->correction == FL_CORRECTION_VARIATES)
        floats += layout->total;
    return sizeof(float) * floats * clients;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The first thread works in the memory that pretraining has left. */
static void add_memory(fl_text *text, const fl_plan *p)
{
    const fl_run *run = p->run;
    const uint64_t anchor = p->kinds[FL_PLAN_ANCHOR].step.bytes,
                   normal = p->kinds[FL_PLAN_NORMAL].step.bytes, client = larger(anchor, normal),
                   others = (nn_team_size(run->crew.team) - 1) * client,
                   standing = p->data_bytes + embeddings(run) + server(run);
    line(text, "memory bytes of data and partition", p->data_bytes);
    line(text, "memory bytes of embeddings, at most", embeddings(run));
    line(text, "memory bytes of the server", server(run));
    line(text, "memory bytes of an anchor's step", anchor);
    line(text, "memory bytes of a normal client's step", normal);
    line(text, "memory bytes of a pretraining step", p->pretraining.bytes);
    line(text, "memory bytes of the run, rough",
         standing + larger(client, p->pretraining.bytes) + others);
    line(text, "disk bytes of clients' states, at most", states(run));
}

/* ---- time ---- */

/* Clients of a round share the threads; the last batch of an epoch counts by its samples. */
static double seconds_of(const fl_plan *p, const fl_plan_tally *t)
{
    double sum = 0;
    for (size_t i = 0; i < FL_PLAN_KINDS; i++)
        if (p->kinds[i].step.samples != 0)
            sum +=
                p->kinds[i].step.seconds * (double)t->samples[i] / (double)p->kinds[i].step.samples;
    return sum / (double)nn_min(nn_team_size(p->run->crew.team), p->run->most_active);
}

static double pretraining_seconds(const fl_plan *p)
{
    const size_t pool = p->run->task.partition.pool_count, batch = p->run->config.pretrain_batch;
    const size_t batches = (pool + batch - 1) / batch;
    const double steps = (double)p->run->config.pretrain_epochs * (double)batches;
    return steps * p->pretraining.seconds;
}

static void line_time(fl_text *text, const char *unit, const char *name, double value)
{
    fl_text_add(text, "%s of ", unit);
    line(text, name, (uint64_t)value);
}

static void add_time(fl_text *text, const fl_plan *p)
{
    static const char step[] = "microseconds", sum[] = "milliseconds";
    line_time(text, step, "an anchor's step, rough", 1e6 * p->kinds[FL_PLAN_ANCHOR].step.seconds);
    line_time(text, step, "a normal client's step, rough",
              1e6 * p->kinds[FL_PLAN_NORMAL].step.seconds);
    line_time(text, step, "a pretraining step, rough", 1e6 * p->pretraining.seconds);
    line_time(text, sum, "pretraining, rough, at most", 1e3 * pretraining_seconds(p));
    line_time(text, sum, "round 1, rough", 1e3 * seconds_of(p, &p->first));
    line_time(text, sum, "all rounds, rough", 1e3 * seconds_of(p, &p->all));
}

void fl_plan_write(fl_text *text, const fl_plan *plan)
{
    add_choices(text, plan->run);
    add_model(text, "expert", &plan->run->expert, &plan->expert);
    add_model(text, "gate", &plan->run->gate, &plan->gate);
    add_all_traffic(text, plan);
    add_work(text, plan);
    add_memory(text, plan);
    add_time(text, plan);
}

/* SPDX-License-Identifier: MIT */
/* The figures of a plan against closed forms, and against what real rounds move and use; the text
 * is t_plan_text's. SPEC 18.3.5. */
#include <stdio.h>
#include <string.h>

#include "../fl/plan.h"
#include "fl_fixture.h"

void t_plan(void);

/* A plan of the tiny federation; free the run with fl_run_free in any case. */
static bool planned(fl_plan *plan, fl_run *run, ddome_error *error, const char *keys)
{
    return test_federation_init(run, error, keys) &&
           test_status(keys, fl_plan_make(plan, run), DDOME_OK, error, NULL);
}

/* ---- closed forms ---- */

/* Stages of 3, 4, 6 and 3 blocks: halving a side and doubling the channels keeps the products of a
 * 3x3 convolution, and a first one with half its channels has half of them. Two convolutions a
 * block, and a 1x1 one where the shape changes: 9*6 + (9*7.5 + 0.5) + (9*11.5 + 0.5)
 * + (9*5.5 + 0.5) = 276 times w*w*h*h. */
static void resnet_work(void)
{
    enum { W = 3, H = 16, CLASSES = 4, STEM = 27 * W * H * H, FC = 8 * W * CLASSES };
    const uint64_t forward = 276 * W * W * H * H + STEM + FC;
    ddome_error error;
    fl_run run;
    fl_plan plan;
    test_case("plan: multiply-adds of ResNet-34 in closed form");
    if (planned(&plan, &run, &error, "arch=resnet34 width=3 synth_size=16")) {
        test_same_u64("forward", plan.expert.forward, forward);
        test_same_u64("training", plan.expert.training, 3 * forward - STEM);
    }
    fl_run_free(&run);
}

/* ---- against real rounds ---- */

/* The largest client of each kind that took part, too. */
static void sum_round(fl_plan_tally *sum, size_t *most, const fl_plan *plan, const fl_run *run)
{
    fl_traffic_add(&sum->traffic, &run->traffic);
    for (size_t i = 0; i < run->active; i++) {
        const data_client *client = run->visits[i].client;
        const int kind = fl_plan_kind_of(plan, client);
        sum->samples[kind] += run->config.epochs * client->count;
        most[kind] = nn_max(most[kind], client->count);
    }
}

static void same_traffic(const char *what, const fl_traffic *got, const fl_traffic *want)
{
    test_same_u64(what, got->messages, want->messages);
    test_same_u64(what, got->round_trips, want->round_trips);
    test_same_u64(what, got->down, want->down);
    test_same_u64(what, got->up, want->up);
}

static void rounds(const char *keys)
{
    ddome_error error;
    fl_run run, real;
    fl_plan plan;
    fl_plan_tally sum = {.samples = {0}};
    size_t most[FL_PLAN_KINDS] = {0};
    test_case("plan: traffic and samples of real rounds, %s", keys);
    memset(&real, 0, sizeof real);
    if (planned(&plan, &run, &error, keys) && test_federation(&real, &error, keys)) {
        same_traffic("set-up", &plan.set_up, &real.record.total);
        for (uint32_t round = 1; round <= real.config.rounds; round++) {
            if (!test_status("round", test_round(&real, round), DDOME_OK, &error, NULL))
                break;
            sum_round(&sum, most, &plan, &real);
            if (round == 1)
                same_traffic("round 1", &plan.first.traffic, &sum.traffic);
        }
        same_traffic("all rounds", &plan.all.traffic, &sum.traffic);
        for (size_t i = 0; i < FL_PLAN_KINDS; i++) {
            test_same_u64("samples", plan.all.samples[i], sum.samples[i]);
            test_same_u64("samples of a step", plan.kinds[i].step.samples,
                          nn_min(most[i], real.config.batch));
        }
    }
    fl_run_free(&run);
    fl_run_free(&real);
}

/* Every visit of one batch uses what the step of its kind did. */
static void visit_memory(const fl_plan *plan, fl_run *real, ddome_error *error)
{
    if (!test_status("a round", fl_run_open_round(real, 1), DDOME_OK, error, NULL))
        return;
    for (size_t i = 0; i < real->active; i++) {
        nn_arena arena = {0};
        const fl_plan_step *step = &plan->kinds[fl_plan_kind_of(plan, real->visits[i].client)].step;
        if (test_status("a visit", test_client(error, &arena, &real->visits[i], real), DDOME_OK,
                        error, NULL))
            test_same_u64("bytes of a visit", step->bytes, arena.peak);
        nn_arena_free(&arena);
    }
}

static void pretraining_memory(const fl_plan *plan, const fl_run *real, ddome_error *error)
{
    nn_arena arena = {0};
    fl_common common;
    ddome_status status = fl_common_pretrain(&real->engine, error, &arena, &arena, &common,
                                             &real->expert, &real->config, &real->task, NULL, NULL);
    if (test_status("pretraining", status, DDOME_OK, error, NULL))
        test_same_u64("bytes of pretraining", plan->pretraining.bytes, arena.peak);
    nn_arena_free(&arena);
}

static void memory(const char *keys)
{
    ddome_error error;
    fl_run run, real;
    fl_plan plan;
    test_case("plan: bytes of real steps, %s", keys);
    memset(&real, 0, sizeof real);
    if (planned(&plan, &run, &error, keys) && test_federation(&real, &error, keys)) {
        visit_memory(&plan, &real, &error);
        pretraining_memory(&plan, &real, &error);
    }
    fl_run_free(&run);
    fl_run_free(&real);
}

/* ---- what it leaves out and refuses ---- */

static void frozen(void)
{
    ddome_error error;
    fl_run run;
    fl_plan plan;
    test_case("plan: no round, no visit, no step of one");
    if (planned(&plan, &run, &error, "algo=common")) {
        const fl_traffic none = {0, 0, 0, 0};
        same_traffic("all rounds", &plan.all.traffic, &none);
        CHECK(plan.kinds[FL_PLAN_ANCHOR].step.samples == 0);
        CHECK(plan.kinds[FL_PLAN_NORMAL].step.samples == 0);
        CHECK(plan.pretraining.bytes != 0);
    }
    fl_run_free(&run);
}

/* An algorithm without a common expert. */
static void no_pretraining(void)
{
    ddome_error error;
    fl_run run;
    fl_plan plan;
    test_case("plan: no step of pretraining where there is none");
    if (planned(&plan, &run, &error, "algo=fedavg")) {
        CHECK(plan.pretraining.samples == 0 && plan.pretraining.bytes == 0);
        CHECK(plan.kinds[FL_PLAN_NORMAL].step.bytes != 0);
    }
    fl_run_free(&run);
}

static void no_memory(void)
{
    test_case("plan: running out of memory");
    for (int scratch = 0; scratch < 2; scratch++) {
        ddome_error error;
        fl_run run;
        fl_plan plan;
        if (test_federation_init(&run, &error, "")) {
            nn_arena *arena = scratch ? &run.scratch : &run.arena;
            arena->fail_after = arena->allocations + 1;
            test_status("plan", fl_plan_make(&plan, &run), DDOME_ERR_MEMORY, &error,
                        "out of memory");
        }
        fl_run_free(&run);
    }
}

static void refusals(void)
{
    static const struct {
        const char *keys;
        ddome_status status;
        const char *part;
    } cases[] = {{"top_k=3", DDOME_ERR_USAGE, "at most experts = 2"},
                 {"data=cifar10", DDOME_ERR_DATA, "DDOME_DATA"},
                 {"data=cifar10 data_dir=nowhere", DDOME_ERR_DATA, "is missing"}};
    test_case("plan: refused as a run is, the text untouched");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char mark[] = "mark", *text = mark;
        ddome_error error = {DDOME_OK, ""};
        ddome_config *config;
        if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
            return;
        if (test_federation_config(config, cases[i].keys)) {
            const ddome_status status = ddome_plan(&error, &text, config);
            test_status(cases[i].keys, status, cases[i].status, &error, cases[i].part);
            CHECK(text == mark);
        }
        ddome_config_free(config);
    }
}

void t_plan(void)
{
    resnet_work();
    rounds("epochs=2");
    rounds("sampling=uniform rounds=6");
    rounds("algo=fedavg");
    rounds("partition=dirichlet anchor_clients=0 active_anchors=0 rounds=5 batch=100");
    memory("batch=16 pretrain_batch=1000");
    memory("batch=16 pretrain_batch=1000 arch=resnet34 width=2 momentum=0.9 augment=true");
    memory("batch=16 pretrain_batch=1000 top_k=1 pretrain_momentum=0");
    frozen();
    no_pretraining();
    no_memory();
    refusals();
}

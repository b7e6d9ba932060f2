/* SPDX-License-Identifier: MIT */
/* The figures of a plan against numbers by hand, and against what real rounds move and use.
 * SPEC 18.3.5. */
#include <stdio.h>
#include <stdlib.h>
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

/* ---- by hand ---- */

/* The value of "\nNAME: value" in the text. */
static void check_line(const char *text, const char *name, uint64_t want)
{
    char start[96], line[128];
    snprintf(start, sizeof start, "\n%s: ", name);
    snprintf(line, sizeof line, "\n%s: %lu\n", name, (unsigned long)want);
    const char *found = strstr(text, start);
    if (!test_check(strstr(text, line) != NULL, __FILE__, __LINE__, "a line %s", line + 1) &&
        found != NULL)
        printf("  found %.60s\n", found + 1);
}

/* Expert: 8 * 8 * 3 inputs, 6 hidden, 4 classes; gate: 6, 5, 2 experts (SPEC 6.5); no
 * statistics. */
static void by_hand(void)
{
    enum {
        P = 192 * 6 + 6 + 6 * 4 + 4,
        G = 6 * 5 + 5 + 5 * 2 + 2,
        EXPERT = 2 * 192 * 6 + 3 * 6 * 4, /* no gradient of the image */
        GATE = 2 * 6 * 5 + 3 * 5 * 2,
        DOWN = (G + P) + 2 * (G + 2 * P), /* an anchor and two normal clients, K = 2 */
        SAMPLES = 3 * 10
    };
    static const struct {
        const char *name;
        uint64_t value;
    } lines[] = {
        {"experts", 2},
        {"threads", 1},
        {"expert parameters", P},
        {"expert statistics", 0},
        {"expert message bytes", 4 * P},
        {"expert multiply-adds of a sample forward", 192 * 6 + 6 * 4},
        {"expert multiply-adds of a sample in training", EXPERT},
        {"gate parameters", G},
        {"gate multiply-adds of a sample forward", 6 * 5 + 5 * 2},
        {"gate multiply-adds of a sample in training", GATE},
        {"set-up bytes down", 7 * 4 * P},
        {"anchor visit bytes down", 4 * (G + P)},
        {"normal visit bytes up", 4 * (G + 2 * P + 2)},
        {"normal visit round trips", 2},
        {"round 1 bytes down", 4 * DOWN},
        {"round 1 bytes up", 4 * (DOWN + 2 * 2)},
        {"round 1 round trips", 1 + 2 * 2},
        {"run bytes down", 7 * 4 * P + 3 * 4 * DOWN},
        {"run bytes up", 3 * 4 * (DOWN + 2 * 2)},
        {"mean client samples an epoch", 10},
        {"round 1 training samples", SAMPLES},
        {"round 1 multiply-adds", 10 * (GATE + EXPERT) + 20 * (GATE + 2 * EXPERT)},
        {"run training samples", 3 * SAMPLES},
        {"memory bytes of the server", 12 * (2 * P + G) + 4 * P},
        {"memory bytes of kept statistics, at most", 0},
    };
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config;
    char *text = NULL;
    test_case("plan: a perceptron federation by hand");
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    if (test_federation_config(config, "") &&
        test_status("plan", ddome_plan(&error, &text, config), DDOME_OK, &error, NULL)) {
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
            check_line(text, lines[i].name, lines[i].value);
        ddome_text_free(text);
    }
    ddome_config_free(config);
}

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

/* 200 and 80 samples with 6 features each, of which 7 clients hold 70, the held-out one 9 more and
 * the unseen ones all 80; one expert has P = 1186 floats, that of ResNet-34 counts itself. */
static void memory_by_hand(void)
{
    enum { P = 192 * 6 + 6 + 6 * 4 + 4, G = 6 * 5 + 5 + 5 * 2 + 2 };
    static const char embeddings[] = "memory bytes of embeddings, at most",
                      server[] = "memory bytes of the server",
                      kept[] = "memory bytes of kept statistics, at most",
                      states[] = "memory bytes of clients' states, at most";
    static const struct {
        const char *keys, *name;
        uint64_t value;
    } rows[] = {
        {"", embeddings, 4 * 200 + 4 * 6 * 70 + 4 * 80 + 4 * 6 * 80},
        {"eval_scope=holdout", embeddings, 4 * 200 + 4 * 6 * (70 + 9)},
        {"algo=fedavg", embeddings, 0},
        {"algo=fedavg", server, 12 * P},
        {"algo=ensemble", server, 12 * 2 * P},
        {"init=common", server, 12 * (2 * P + G) + 4 * P},
        {"bn_stats=local", kept, 4 * 2 * P * 7},
        {"bn_stats=local algo=local eval_scope=seen", kept, 0},
        {"bn_stats=local algo=common", kept, 0},
        {"algo=local eval_scope=seen", states, 4 * P * 7},
        {"algo=scaffold momentum=0", states, 4 * P * 8 + 8 * P},
        {"", states, 0},
        {"", "mean client multiply-adds an epoch",
         10 * (2 * (90 + 2376) + 5 * (90 + 2 * 2376)) / 7},
    };
    test_case("plan: memory by hand");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ddome_error error;
        fl_run run;
        fl_plan plan;
        if (planned(&plan, &run, &error, rows[i].keys)) {
            fl_text text = {.arena = &run.arena};
            fl_plan_write(&text, &plan);
            check_line(text.data, rows[i].name, rows[i].value);
        }
        fl_run_free(&run);
    }
}

/* One thread: what stands, and the largest of the steps. */
static void memory_of_the_run(void)
{
    static const char *const parts[] = {"data and partition", "embeddings, at most", "the server",
                                        "kept statistics, at most", "clients' states, at most"};
    ddome_error error;
    fl_run run;
    fl_plan plan;
    test_case("plan: memory of the run is the sum of its parts");
    if (planned(&plan, &run, &error, "bn_stats=local")) {
        fl_text text = {.arena = &run.arena};
        for (size_t larger = 0; larger < 3; larger++) {
            uint64_t sum = 1000;
            plan.kinds[FL_PLAN_ANCHOR].step.bytes = larger == 0 ? 1000 : 400;
            plan.kinds[FL_PLAN_NORMAL].step.bytes = larger == 1 ? 1000 : 300;
            plan.pretraining.bytes = larger == 2 ? 1000 : 200;
            text.length = 0;
            fl_plan_write(&text, &plan);
            for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                char name[96];
                snprintf(name, sizeof name, "\nmemory bytes of %s: ", parts[i]);
                const char *found = strstr(text.data, name);
                sum += found == NULL ? 0 : strtoull(found + strlen(name), NULL, 10);
            }
            check_line(text.data, "memory bytes of the run, rough", sum);
        }
    }
    fl_run_free(&run);
}

/* Steps of 10 and of 4 samples that took 2 and 1 seconds, a pretraining step that took 0.5: five
 * epochs of 180 samples are 40 steps of 25. A kind without a step takes no time. */
static void times(void)
{
    ddome_error error;
    fl_run run;
    fl_plan plan;
    test_case("plan: times by hand");
    if (planned(&plan, &run, &error, "pretrain_epochs=5 pretrain_batch=25")) {
        fl_text text = {.arena = &run.arena};
        plan.kinds[FL_PLAN_ANCHOR].step = (fl_plan_step){10, 0, 2};
        plan.kinds[FL_PLAN_NORMAL].step = (fl_plan_step){4, 0, 1};
        plan.pretraining.seconds = 0.5;
        plan.first.samples[FL_PLAN_ANCHOR] = 15;
        plan.first.samples[FL_PLAN_NORMAL] = 6;
        plan.all.samples[FL_PLAN_ANCHOR] = 0;
        plan.all.samples[FL_PLAN_NORMAL] = 2;
        fl_plan_write(&text, &plan);
        check_line(text.data, "microseconds of an anchor's step, rough", 2000000);
        check_line(text.data, "microseconds of a normal client's step, rough", 1000000);
        check_line(text.data, "microseconds of a pretraining step, rough", 500000);
        check_line(text.data, "milliseconds of pretraining, rough, at most", 20000);
        check_line(text.data, "milliseconds of round 1, rough", 4500);
        check_line(text.data, "milliseconds of all rounds, rough", 500);
        text.length = 0;
        plan.kinds[FL_PLAN_ANCHOR].step = (fl_plan_step){0, 0, 0};
        fl_plan_write(&text, &plan);
        check_line(text.data, "milliseconds of round 1, rough", 1500);
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
    by_hand();
    resnet_work();
    memory_by_hand();
    memory_of_the_run();
    times();
    rounds("epochs=2");
    rounds("sampling=uniform rounds=6");
    rounds("algo=fedavg");
    rounds("partition=dirichlet anchor_clients=0 active_anchors=0 rounds=5 batch=100");
    memory("batch=16 pretrain_batch=1000");
    memory("batch=16 pretrain_batch=1000 arch=resnet34 width=2 momentum=0.9 augment=true");
    memory("batch=16 pretrain_batch=1000 top_k=1 pretrain_momentum=0");
    frozen();
    no_memory();
    refusals();
}

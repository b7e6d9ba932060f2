/* SPDX-License-Identifier: MIT */
/* The lines of a plan against numbers by hand: traffic, work, memory, time. SPEC 18.3.5. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fl/plan.h"
#include "fl_fixture.h"

void t_plan_text(void);

#define RESNET "arch=resnet34 width=1 "

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
        {"disk bytes of clients' states, at most", 0},
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

/* ---- memory ---- */

/* A plan of the tiny federation; free the run with fl_run_free in any case. */
static bool planned(fl_plan *plan, fl_run *run, ddome_error *error, const char *keys)
{
    return test_federation_init(run, error, keys) &&
           test_status(keys, fl_plan_make(plan, run), DDOME_OK, error, NULL);
}

/* 200 and 80 samples with 6 features each, of which 7 clients hold 70, the held-out one 9 more and
 * the unseen ones all 80; one expert has P = 1186 floats. */
static void memory_by_hand(void)
{
    enum { P = 192 * 6 + 6 + 6 * 4 + 4, G = 6 * 5 + 5 + 5 * 2 + 2 };
    /* ResNet-34 of width 1: its convolutions by stage, 133 channels with four values, fc */
    enum { R = 27 + 54 + 272 + 1664 + 3200 + 4 * 133 + 8 * 4 + 4, S = 2 * 133 };
    static const char embeddings[] = "memory bytes of embeddings, at most",
                      server[] = "memory bytes of the server",
                      states[] = "disk bytes of clients' states, at most";
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
        {RESNET "bn_stats=local", states, 4 * 2 * S * 7},
        {RESNET "bn_stats=local algo=local eval_scope=seen", states, 4 * R * 7},
        {RESNET "bn_stats=local algo=scaffold momentum=0", states, 4 * (S + R) * 7},
        {RESNET "bn_stats=local algo=common", states, 0},
        {"algo=local eval_scope=seen", states, 4 * P * 7},
        {"algo=scaffold momentum=0", states, 4 * P * 7},
        {"algo=scaffold momentum=0", server, 12 * 2 * P},
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

static uint64_t value_of(const char *text, const char *name)
{
    char start[96];
    snprintf(start, sizeof start, "\n%s: ", name);
    const char *found = strstr(text, start);
    return CHECK(found != NULL) ? strtoull(found + strlen(start), NULL, 10) : 0;
}

/* What stands; the largest of the steps; the larger step of a client once more for each further
 * thread. */
static void sum_of_parts(fl_plan *plan, size_t threads)
{
    static const char *const parts[] = {"memory bytes of data and partition",
                                        "memory bytes of embeddings, at most",
                                        "memory bytes of the server"};
    static const uint64_t steps[][3] = {{1000, 300, 200}, {400, 1000, 200}, {300, 400, 1000}};
    for (size_t row = 0; row < sizeof steps / sizeof *steps; row++) {
        fl_text text = {.arena = &plan->run->arena};
        uint64_t sum = 1000 + (threads - 1) * (row == 2 ? 400 : 1000);
        plan->kinds[FL_PLAN_ANCHOR].step.bytes = steps[row][0];
        plan->kinds[FL_PLAN_NORMAL].step.bytes = steps[row][1];
        plan->pretraining.bytes = steps[row][2];
        fl_plan_write(&text, plan);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            sum += value_of(text.data, parts[i]);
        check_line(text.data, "memory bytes of the run, rough", sum);
    }
}

static void memory_of_the_run(size_t threads)
{
    ddome_error error = {DDOME_OK, ""};
    fl_run run;
    fl_plan plan;
    fl_config config;
    test_case("plan: memory of a run of %lu threads is the sum of its parts",
              (unsigned long)threads);
    memset(&run, 0, sizeof run);
    if (!test_federation_keys(&config, RESNET "bn_stats=local"))
        return;
    const ddome_status status = fl_run_init(&error, &run, &config, threads, NULL);
    if (strstr(error.text, "no threads") != NULL)
        test_skip("this build has no threads");
    else if (test_status("set-up", status, DDOME_OK, &error, NULL) &&
             CHECK(fl_plan_make(&plan, &run) == DDOME_OK))
        sum_of_parts(&plan, threads);
    fl_run_free(&run);
}

/* ---- time ---- */

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

void t_plan_text(void)
{
    by_hand();
    memory_by_hand();
    memory_of_the_run(1);
    memory_of_the_run(3);
    times();
}

/* SPDX-License-Identifier: MIT */
/* Failure signatures: each one forced, each one's limit from both sides, cosines by hand, told
 * once. SPEC 14.6 to 14.9. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_watch(void);

/* ---- what is told ---- */

typedef struct told {
    char text[4096];
    size_t lines;
} told;

static void note(void *user, const char *line)
{
    told *t = user;
    const size_t used = strlen(t->text);
    snprintf(t->text + used, sizeof t->text - used, "%s\n", line);
    t->lines++;
}

/* An evaluation made up by hand: two clients, two experts, two labels. */
typedef struct scene {
    fl_run run;
    ddome_error error;
    told told;
    ddome_progress progress;
    fl_client_result client[2];
    uint64_t routed[4], correct[4];
    fl_evaluation evaluation;
    fl_metrics metrics;
    bool ready;
} scene;

static void open_scene(scene *s, const char *keys)
{
    memset(s, 0, sizeof *s);
    s->ready = test_federation(&s->run, &s->error, keys);
    s->progress = (ddome_progress){.user = &s->told, .notice = note};
    s->client[0].k = s->client[1].k = 1;
    s->client[1].chosen[0] = 1;
    s->routed[0] = s->routed[3] = 5;
    s->metrics.total = 10;
    s->evaluation = (fl_evaluation){.clients = 2,
                                    .experts = 2,
                                    .classes = 2,
                                    .client = s->client,
                                    .routed = s->routed,
                                    .correct = s->correct};
}

/* Judges by what stands in the watch; the rows of signatures.csv so far. */
static const char *judge(scene *s, uint32_t round)
{
    const ddome_status status = fl_watch_judge(&s->error, &s->run.scratch, &s->run.watch, round,
                                               &s->evaluation, &s->metrics, &s->progress);
    test_status("judged", status, DDOME_OK, &s->error, NULL);
    return strchr(s->run.watch.signatures.text.data, '\n') + 1;
}

/* Neither expert is anything special. */
static void calm(scene *s)
{
    for (size_t i = 0; i < 2; i++) {
        fl_watched *w = &s->run.watch.expert[i];
        w->total = 20;
        w->correct = w->best = w->common = 10;
        w->last = 1;
    }
}

static void choices(void)
{
    scene s;
    test_case("watch: all clients choose alike, one expert predicts all (D50)");
    open_scene(&s, "top_k=1");
    if (s.ready) {
        calm(&s);
        test_same_text("two choices", judge(&s, 1), "");
        s.client[0].chosen[0] = 1;
        test_same_text("one choice", judge(&s, 2), "2,one-choice,1,2\n");
        s.routed[3] = 0;
        test_same_text("one expert", judge(&s, 3),
                       "2,one-choice,1,2\n3,one-choice,1,2\n3,one-expert,0,10\n");
        s.client[0].k = s.client[1].k = 2;
        s.routed[3] = 1;
        test_same_text("K = M is no choice", judge(&s, 4),
                       "2,one-choice,1,2\n3,one-choice,1,2\n3,one-expert,0,10\n");
        s.routed[0] = s.routed[3] = 0;
        s.routed[2] = 5;
        test_same_text(
            "the other expert", judge(&s, 5),
            "2,one-choice,1,2\n3,one-choice,1,2\n3,one-expert,0,10\n5,one-expert,1,10\n");
        test_same_text("told once", s.told.text,
                       "failure signature one-choice, round 2: all 2 clients chose expert 1\n"
                       "failure signature one-expert, round 3: expert 0 predicts all 10 samples\n");
    }
    fl_run_free(&s.run);
}

/* With one client under evaluation the last round's participants are looked at. */
static void participants(void)
{
    scene s;
    fl_visit visits[4] = {{.k = 1}, {.k = 1}, {.k = 1, .anchor = true}, {.k = 1, .lost = true}};
    test_case("watch: all participants choose alike (D50)");
    open_scene(&s, "top_k=1 eval_scope=global");
    if (s.ready) {
        calm(&s);
        s.evaluation.clients = 1;
        s.client[0].k = 2;
        visits[0].chosen[0] = visits[1].chosen[0] = 1;
        fl_watch_round(&s.run.watch, 1, visits, 4);
        test_same_text("anchors and lost ones have no say", judge(&s, 1), "1,one-choice,1,2\n");
        fl_watch_round(&s.run.watch, 2, visits + 1, 3);
        test_same_text("one is none", judge(&s, 2), "1,one-choice,1,2\n");
        visits[0].chosen[0] = 0;
        fl_watch_round(&s.run.watch, 3, visits, 4);
        test_same_text("two choices", judge(&s, 3), "1,one-choice,1,2\n");
        test_same_text("told", s.told.text,
                       "failure signature one-choice, round 1: all 2 participants with a choice "
                       "chose expert 1\n");
    }
    fl_run_free(&s.run);
    open_scene(&s, "algo=fedmix");
    if (s.ready) {
        calm(&s);
        s.evaluation.clients = 1;
        s.client[0].k = 2;
        fl_watch_round(&s.run.watch, 1, visits + 1, 1);
        test_same_u64("FedMix's have none", s.run.watch.choice.clients, 0);
    }
    fl_run_free(&s.run);
}

/* As IFCA's whole test split has one (SPEC 12.6.7). */
static void one_client(void)
{
    scene s;
    test_case("watch: one expert of one client is none of one choice (D50)");
    open_scene(&s, "");
    if (s.ready) {
        calm(&s);
        s.evaluation.clients = 1;
        s.routed[3] = 0;
        test_same_text("one choice", judge(&s, 1), "");
        s.client[0].k = 2;
        test_same_text("one of two", judge(&s, 1), "1,one-expert,0,10\n");
    }
    fl_run_free(&s.run);
}

static void experts(void)
{
    scene s;
    test_case("watch: below the common expert, drift, untrained (D51, D53, D54)");
    open_scene(&s, "");
    if (s.ready) {
        fl_watched *w = s.run.watch.expert;
        calm(&s);
        test_same_text("equal to the common expert", judge(&s, 20), "");
        w[1].last = 2;
        test_same_text("19 rounds, 20 rounds", judge(&s, 21), "21,untrained,0,20\n");
        w[0].last = 21;
        w[1].correct = 9;
        test_same_text("below, a twentieth under its best", judge(&s, 21),
                       "21,untrained,0,20\n21,below-common,1,0.050000\n");
        w[1].common = 0;
        w[1].correct = 8;
        test_same_text("a tenth", judge(&s, 21),
                       "21,untrained,0,20\n21,below-common,1,0.050000\n21,drift,1,0.100000\n");
        w[1].correct = 30;
        judge(&s, 21);
        test_same_u64("the best follows", w[1].best, 30);
        test_same_text(
            "told each once", s.told.text,
            "failure signature untrained, round 21: nobody trained expert 0 for 20 rounds\n"
            "failure signature below-common, round 21: of 20 held samples of its anchor's labels "
            "expert 1 has 9 right, the common expert 10\n"
            "failure signature drift, round 21: of 20 held samples of its anchor's labels expert 1 "
            "has 8 right and had 10\n");
    }
    fl_run_free(&s.run);
}

/* Rounds that hold the experts (SPEC 11.8) train none, and count for none. */
static void held(void)
{
    scene s;
    test_case("watch: rounds that hold the experts leave none untrained (D53)");
    open_scene(&s, "order=gate-first order_rounds=30 rounds=60");
    if (s.ready) {
        calm(&s);
        s.run.watch.expert[0].last = s.run.watch.expert[1].last = 0;
        test_same_text("30 rounds of the gate alone", judge(&s, 30), "");
        test_same_text("19 rounds more", judge(&s, 49), "");
        s.run.watch.expert[1].last = 31;
        test_same_text("20 rounds more", judge(&s, 50), "50,untrained,0,20\n");
    }
    fl_run_free(&s.run);
    open_scene(&s, "order=experts-first order_rounds=30 rounds=100");
    if (s.ready) {
        calm(&s);
        s.run.watch.expert[0].last = 11;
        s.run.watch.expert[1].last = 30;
        test_same_text("19 rounds, then 70 of the gate alone", judge(&s, 100), "");
        s.run.watch.expert[0].last = 10;
        test_same_text("20 rounds before them", judge(&s, 100), "100,untrained,0,20\n");
    }
    fl_run_free(&s.run);
}

/* What is told a second time, of several experts, or without memory for its words. */
static void again(void)
{
    scene s;
    test_case("watch: two experts, told once, no memory for the words");
    open_scene(&s, "top_k=1");
    if (s.ready) {
        uint64_t routed[6] = {1, 1, 1, 1, 1, 1};
        calm(&s);
        s.evaluation.experts = 3;
        s.evaluation.routed = routed;
        s.client[0] = s.client[1] = (fl_client_result){.k = 2, .chosen = {0, 2}};
        s.run.scratch.fail_after = 1;
        test_same_text("a line", judge(&s, 1), "1,one-choice,0 2,2\n");
        test_same_u64("no words without memory", s.told.lines, 0);
        memset(s.run.watch.seen, 0, sizeof s.run.watch.seen);
        s.run.scratch.fail_after = 0;
        judge(&s, 2);
        test_same_text("plural", s.told.text,
                       "failure signature one-choice, round 2: all 2 clients chose experts 0 2\n");
        s.client[1].k = 1;
        s.run.watch.expert[0].last = s.run.watch.expert[1].last = 30;
        judge(&s, 30);
        test_same_u64("other numbers of experts are other choices", s.told.lines, 1);
        judge(&s, 50);
        judge(&s, 51);
        test_same_u64("both untrained, told once each", s.told.lines, 3);
    }
    fl_run_free(&s.run);
}

/* The tables are in the memory that lasts. */
static void no_table(void)
{
    scene s;
    test_case("watch: no memory for the lines");
    open_scene(&s, "");
    if (s.ready) {
        ddome_status status = DDOME_OK;
        calm(&s);
        s.metrics.std = 1;
        s.run.arena.fail_after = 1;
        for (uint32_t round = 1; round < 100 && status == DDOME_OK; round++)
            status = fl_watch_judge(&s.error, &s.run.scratch, &s.run.watch, round, &s.evaluation,
                                    &s.metrics, NULL);
        test_status("judged", status, DDOME_ERR_MEMORY, &s.error, "out of memory");
    }
    fl_run_free(&s.run);
}

static void clients(void)
{
    scene s;
    test_case("watch: deviation of the clients (D52)");
    open_scene(&s, "");
    if (s.ready) {
        calm(&s);
        s.metrics.std = 0.1499999;
        test_same_text("below", judge(&s, 1), "");
        s.metrics.std = 0.15;
        test_same_text("at the limit", judge(&s, 1), "1,client-variance,,0.150000\n");
        s.evaluation.clients = 1;
        test_same_text("one client", judge(&s, 1), "1,client-variance,,0.150000\n");
    }
    fl_run_free(&s.run);
}

/* ---- cosines ---- */

/* Moves every parameter of expert 0 by `step`, the even ones the other way when `split`. */
static void move(scene *s, float step, bool split, uint32_t round)
{
    fl_slot *slot = &s->run.server.expert[0];
    for (size_t i = 0; i < slot->model->layout.total; i++)
        slot->values[i] = slot->values[i] + (split && i % 2 == 0 ? -step : step);
    slot->returned = 1;
    s->run.server.expert[1].returned = 0;
    fl_watch_round(&s->run.watch, round, NULL, 0);
}

static void cosines(void)
{
    scene s;
    test_case("watch: an update along, across and against the way so far");
    open_scene(&s, "");
    if (s.ready) {
        fl_slot *slot = &s.run.server.expert[0];
        fl_watched *w = s.run.watch.expert;
        calm(&s);
        for (size_t i = 0; i < slot->model->layout.total; i++)
            slot->values[i] = 0;
        for (size_t i = 0; i < s.run.watch.values; i++)
            w[0].start[i] = w[0].now[i] = 0;
        w[0].last = 0;
        move(&s, 1, false, 1);
        test_same_u64("the first update has no way before it", w[0].updates, 0);
        move(&s, 2, false, 2);
        CHECK(w[0].updates == 1 && w[0].cosines > 0.999999 && w[0].cosines < 1.000001);
        move(&s, 1, true, 3);
        CHECK(w[0].updates == 2 && w[0].cosines > 0.999999 && w[0].cosines < 1.000001);
        judge(&s, 3);
        CHECK(w[0].updates == 0 && w[0].cosines == 0);
        move(&s, -2, false, 4);
        CHECK(w[0].updates == 1 && w[0].cosines < -0.9);
        move(&s, 0, false, 5);
        test_same_u64("no update, no cosine", w[0].updates, 1);
        test_same_u64("rounds that trained it", w[0].trained, 5);
        test_same_u64("those of the other", w[1].trained, 0);
        judge(&s, 5);
        CHECK(strstr(s.run.watch.drift.text.data, "\n3,0,3,3,0.500000,10,20,10\n") != NULL);
        CHECK(strstr(s.run.watch.drift.text.data, "\n3,1,0,1,,10,20,10\n") != NULL);
        CHECK(strstr(s.run.watch.drift.text.data, "\n5,0,5,5,-0.") != NULL);
    }
    fl_run_free(&s.run);
}

/* Every third parameter of a model of 3 * 65536 - 1: at most 65536 of them. */
static void places(void)
{
    ddome_error error;
    fl_run run;
    test_case("watch: a part of the parameters of a large expert (D54)");
    if (test_federation(&run, &error, "hidden=1000 rounds=1")) {
        const size_t trained = run.expert.layout.trained, stride = (trained + 65535) / 65536;
        CHECK(stride > 1);
        test_same_u64("how many", run.watch.values, (trained + stride - 1) / stride);
        test_same_u64("the second", run.watch.place[1], stride);
    }
    fl_run_free(&run);
    if (test_federation(&run, &error, "synth_size=9 synth_domains=3 synth_shapes=3 hidden=259")) {
        test_same_u64("exactly as many as are followed", run.expert.layout.trained, 65536);
        test_same_u64("all of them", run.watch.values, 65536);
    }
    fl_run_free(&run);
}

/* No anchor is named. */
static void words_of_shared(void)
{
    scene s;
    test_case("watch: what is told of a model that all train");
    open_scene(&s, "algo=fedavg init=common");
    if (s.ready) {
        fl_watched *w = s.run.watch.expert;
        w->total = 20;
        w->correct = 9;
        w->best = w->common = 11;
        test_same_text("both", judge(&s, 1), "1,below-common,0,0.100000\n1,drift,0,0.100000\n");
        test_same_text("told", s.told.text,
                       "failure signature below-common, round 1: of 20 held samples expert 0 has 9 "
                       "right, the common expert 11\n"
                       "failure signature drift, round 1: of 20 held samples expert 0 has 9 right "
                       "and had 11\n");
    }
    fl_run_free(&s.run);
}

static void no_memory(void)
{
    test_case("watch: running out of memory");
    ddome_error error;
    fl_run run;
    if (test_federation(&run, &error, ""))
        for (size_t fail = 1; fail <= 6; fail++) {
            nn_arena arena = {0};
            arena.fail_after = fail;
            fl_watch watch;
            test_status(
                "begin",
                fl_watch_begin(&error, &arena, &watch, &run.world, &run.common, &run.server),
                DDOME_ERR_MEMORY, &error, "out of memory");
            memset(&error, 0, sizeof error);
            nn_arena_free(&arena);
        }
    fl_run_free(&run);
}

void t_watch(void)
{
    choices();
    participants();
    one_client();
    experts();
    held();
    words_of_shared();
    again();
    no_table();
    clients();
    cosines();
    places();
    no_memory();
}

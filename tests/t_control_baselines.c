/* SPDX-License-Identifier: MIT */
/* Each control with each algorithm: refused, or with the meaning that is written down.
 * SPEC 12.7, 16.4.10. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_control_baselines(void);

#define SEEN "eval_scope=seen "

/* ---- which go together: SPEC 16.4.10 ---- */

/* Who takes it. */
typedef enum taker { DDOME_ALONE, WITH_GATE, ANSWERING, ALL } taker;

static const struct {
    const char *keys;
    taker taker;
} CONTROLS[] = {{"gate=random", WITH_GATE},
                {"gate=frozen", WITH_GATE},
                {"gate=oracle", WITH_GATE},
                {"anchors=cluster", DDOME_ALONE},
                {"anchors=wrong", DDOME_ALONE},
                {"anchors=none", DDOME_ALONE},
                {"test=mixture", DDOME_ALONE},
                {"order=experts-first", WITH_GATE},
                {"order=gate-first", WITH_GATE},
                {"common_every=2", WITH_GATE},
                {"dropout=0.5", ANSWERING},
                {"straggler=0.5", ALL},
                {"schedule=grow schedule_groups=2 schedule_rounds=2", ALL}};

static const struct {
    const char *name, *keys;
    bool gate;
} ALGORITHMS[] = {{"ddome", "", true},    {"fedavg", "", false},   {"common", "", false},
                  {"fedprox", "", false}, {"scaffold", "", false}, {"ensemble", "", false},
                  {"fedmix", "", true},   {"local", SEEN, false},  {"ifca", "", false},
                  {"head", "", false}};

static bool takes(size_t algorithm, taker who)
{
    const char *name = ALGORITHMS[algorithm].name;
    switch (who) {
    case DDOME_ALONE:
        return strcmp(name, "ddome") == 0;
    case WITH_GATE:
        return ALGORITHMS[algorithm].gate;
    case ANSWERING:
        return strcmp(name, "local") != 0;
    case ALL:
        break;
    }
    return true;
}

static void which_go_together(void)
{
    char keys[128];
    fl_config config;
    test_case("controls of baselines: which are taken, and which are refused in one line");
    for (size_t a = 0; a < sizeof ALGORITHMS / sizeof *ALGORITHMS; a++)
        for (size_t c = 0; c < sizeof CONTROLS / sizeof *CONTROLS; c++) {
            const bool taken = takes(a, CONTROLS[c].taker);
            ddome_error error = {DDOME_OK, ""};
            snprintf(keys, sizeof keys, "algo=%s %s%s", ALGORITHMS[a].name, ALGORITHMS[a].keys,
                     CONTROLS[c].keys);
            if (!test_federation_keys(&config, keys))
                continue;
            test_status(keys, fl_config_check(&error, &config), taken ? DDOME_OK : DDOME_ERR_USAGE,
                        &error, taken ? NULL : ALGORITHMS[a].name);
            CHECK(taken || (strstr(error.text, "expected") && strstr(error.text, "leave")));
        }
}

/* ---- FedMix: SPEC 12.7.1 ---- */

static void fedmix_held(void)
{
    fl_run run;
    ddome_error error;
    test_case("controls of baselines: FedMix trains what is not held");
    if (test_federation(&run, &error, "algo=fedmix order=experts-first")) {
        const nn_digest gate = run.server.gate.hash, expert = run.server.expert[0].hash;
        test_status("round 1", test_round(&run, 1), DDOME_OK, &error, NULL);
        const nn_digest trained = run.server.expert[0].hash;
        test_same_bytes("gate", &run.server.gate.hash, &gate, sizeof gate);
        CHECK(memcmp(&trained, &expert, sizeof trained) != 0);
        test_status("round 2", test_round(&run, 2), DDOME_OK, &error, NULL);
        CHECK(memcmp(&run.server.gate.hash, &gate, sizeof gate) != 0);
        test_same_bytes("expert", &run.server.expert[0].hash, &trained, sizeof trained);
    }
    fl_run_free(&run);
}

/* With one expert nothing is to be weighed: the expert is FedAvg's whatever stands for the gate. */
static void fedmix_of_one(const char *gate)
{
    char keys[128];
    fl_run run, other;
    ddome_error error, other_error;
    test_case("controls of baselines: FedMix of one expert is FedAvg: gate = %s", gate);
    snprintf(keys, sizeof keys, "algo=fedmix experts=1 top_k=1 anchor_labels=2 gate=%s", gate);
    const bool ran = test_federation_rounds(&run, &error, keys, 2);
    if (test_federation_rounds(&other, &other_error,
                               "algo=fedavg experts=1 top_k=1 anchor_labels=2", 2) &&
        ran)
        test_same_floats("expert", run.server.expert[0].values, other.server.expert[0].values,
                         run.expert.layout.total);
    fl_run_free(&run);
    fl_run_free(&other);
}

/* It has no anchors, so the expert of a label is label mod M. */
static void fedmix_oracle(void)
{
    fl_run run;
    ddome_error error;
    fl_evaluation e;
    test_case("controls of baselines: FedMix's oracle goes by label mod M, and has no anchors");
    if (test_federation_rounds(&run, &error, "algo=fedmix gate=oracle", 1)) {
        CHECK(run.control.anchors == 0);
        for (uint32_t label = 0; label < run.task.set.classes; label++)
            test_same_u64("expert", run.control.oracle[label], label % 2);
        CHECK(fl_evaluate(&error, &run.arena, &run.crew, &e, run.evaluator, &run.server) ==
              DDOME_OK);
        test_same_u64("anchors", e.anchor_total, 0);
        for (size_t label = 0; label < e.classes; label++)
            test_same_u64("routed", e.routed[(1 - label % 2) * e.classes + label], 0);
    }
    fl_run_free(&run);
}

/* ---- lost answers: SPEC 12.7.2 ---- */

/* x + (eta * sum of moves) / answers, by hand. */
static void scaffold_lost(void)
{
    fl_run run;
    ddome_error error;
    test_case("controls of baselines: SCAFFOLD counts answers; a lost client's variate stays");
    if (test_federation(
            &run, &error,
            "algo=scaffold dropout=0.5 server_lr=0.5 active_anchors=2 active_normal=5")) {
        const size_t total = run.expert.layout.total;
        double *sum = test_bytes(total, sizeof *sum);
        float *want = test_floats(total);
        const float *x = run.server.expert[0].values;
        size_t answers = 0;
        CHECK(fl_run_open_round(&run, 1) == DDOME_OK);
        for (size_t i = 0; i < total; i++)
            sum[i] = 0;
        for (size_t i = 0; i < run.active; i++) {
            fl_visit visit = run.visits[i];
            if (visit.lost)
                continue;
            CHECK(test_client(&error, &run.scratch, &visit, &run) == DDOME_OK);
            for (size_t j = 0; j < total; j++)
                sum[j] = sum[j] + ((double)visit.expert[0][j] - (double)x[j]);
            answers++;
        }
        CHECK(answers > 0 && answers < run.active);
        for (size_t j = 0; j < total; j++) {
            const double scaled = 0.5 * sum[j], mean = scaled / (double)answers;
            want[j] = (float)((double)x[j] + mean);
        }
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_floats("model", run.server.expert[0].values, want, total);
        for (size_t i = 0; i < run.active; i++)
            CHECK(fl_store_has(&run.server.variates.client, run.participants[i]) ==
                  !run.visits[i].lost);
        test_release();
    }
    fl_run_free(&run);
}

/* Everything lost: M models each went down and nothing came up, the index neither. */
static void all_lost(const char *keys, uint64_t models)
{
    fl_run run;
    ddome_error error;
    test_case("controls of baselines: all answers lost: %s", keys);
    if (test_federation(&run, &error, keys)) {
        const nn_digest before = run.server.expert[0].hash;
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_bytes("expert", &run.server.expert[0].hash, &before, sizeof before);
        test_same_u64("down", run.traffic.down,
                      run.active * models * nn_layout_bytes(&run.expert.layout));
        test_same_u64("up", run.traffic.up, 0);
        test_same_u64("round trips", run.traffic.round_trips, 0);
    }
    fl_run_free(&run);
}

/* ---- slow clients: SPEC 12.7.3 ---- */

/* 10 samples in batches of 4, two epochs: 6 batches, of which 2 are done. */
static void slow_ensemble(void)
{
    fl_run run, other;
    ddome_error error, other_error;
    test_case("controls of baselines: each model of a slow ensemble trains its part");
    const bool ran = test_federation_rounds(
        &run, &error, "algo=ensemble straggler=1 straggler_share=0.4 epochs=2 init=common", 2);
    if (test_federation_rounds(&other, &other_error,
                               "algo=fedavg straggler=1 straggler_share=0.4 epochs=2 init=common",
                               2) &&
        ran) {
        test_same_floats("model 0", run.server.expert[0].values, other.server.expert[0].values,
                         run.expert.layout.total);
        CHECK(memcmp(run.server.expert[0].values, run.server.expert[1].values,
                     run.expert.layout.total * sizeof(float)) != 0);
        for (size_t i = 0; i < run.active; i++) {
            test_same_u64("steps", run.visits[i].steps, 2 * 2);
            test_same_u64("steps of one model", other.visits[i].steps, 2);
            test_same_u64("last of model 0", fl_visit_last_step(&run.visits[i], 0), 1);
            test_same_u64("last of model 1", fl_visit_last_step(&run.visits[i], 1), 3);
        }
        test_same_u64("batches", run.server.expert[1].batches, other.server.expert[0].batches);
    }
    fl_run_free(&run);
    fl_run_free(&other);
}

/* ---- groups: SPEC 12.7.4 ---- */

static void groups_of_local(void)
{
    fl_run run;
    ddome_error error;
    test_case("controls of baselines: local_budget = full takes all clients of the groups");
    if (test_federation(&run, &error,
                        SEEN "algo=local local_budget=full schedule=switch schedule_groups=2 "
                             "schedule_rounds=1"))
        for (uint32_t round = 1; round <= 3; round++) {
            size_t there = 0;
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            for (uint32_t id = 0; id < 7; id++)
                there += run.control.group[id] == (round - 1) % 2;
            test_same_u64("participants", run.active, there);
            for (size_t i = 0; i < run.active; i++)
                CHECK(run.control.group[run.participants[i]] == (round - 1) % 2);
        }
    fl_run_free(&run);
}

/* ---- no rounds: SPEC 12.7.5 ---- */

static void no_rounds(void)
{
    fl_run run;
    ddome_error error;
    test_case("controls of baselines: common has no rounds in which anything could happen");
    if (test_federation(&run, &error,
                        "algo=common dropout=1 straggler=1 schedule=grow schedule_rounds=1 "
                        "schedule_groups=2"))
        test_same_u64("rounds", fl_run_rounds(&run), 0);
    fl_run_free(&run);
}

void t_control_baselines(void)
{
    which_go_together();
    fedmix_held();
    fedmix_of_one("random");
    fedmix_of_one("frozen");
    fedmix_of_one("oracle");
    fedmix_oracle();
    scaffold_lost();
    all_lost("algo=fedavg dropout=1", 1);
    all_lost("algo=ensemble dropout=1", 2);
    all_lost("algo=ifca dropout=1", 2);
    all_lost("algo=head dropout=1", 1);
    slow_ensemble();
    groups_of_local();
    no_rounds();
}

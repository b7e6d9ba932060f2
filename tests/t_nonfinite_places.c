/* SPDX-License-Identifier: MIT */
/* Where else it is looked for values that are not finite: embeddings, choices, averages, control
 * variates, evaluations, failure signatures. SPEC 11.13.1. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../fl/checkpoint.h"
#include "../fl/ifca.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_nonfinite_places(void);

#define LINE "a value is not finite: "

static const float LARGE = 3e38f;

static void fill(float *values, size_t count, float value)
{
    for (size_t i = 0; i < count; i++)
        values[i] = value;
}

/* Logits +-3e38 whatever the input: finite, but too far apart. */
static void part_logits(const fl_run *run, size_t expert)
{
    const nn_layout *layout = &run->expert.layout;
    float *values = run->server.expert[expert].values;
    fill(test_slice(values, layout, "fc2.weight"), run->task.set.classes * 6, 0);
    for (size_t i = 0; i < run->task.set.classes; i++)
        test_slice(values, layout, "fc2.bias")[i] = i % 2 == 0 ? LARGE : -LARGE;
}

/* A logit of -infinity in class 0 wherever a hidden value is above 1. */
static void lose_class(const fl_run *run, size_t expert)
{
    const nn_layout *layout = &run->expert.layout;
    float *values = run->server.expert[expert].values;
    fill(test_slice(values, layout, "fc1.bias"), 6, 100);
    fill(test_slice(values, layout, "fc2.weight"), 6, -LARGE);
}

/* ---- embeddings ---- */

static void write_common(const char *path, float value)
{
    fl_run run;
    ddome_error error;
    unsigned char *bytes;
    size_t size;
    if (test_federation_init(&run, &error, "")) {
        float *values = test_floats(run.common_model.layout.total);
        fill(values, run.common_model.layout.total, value);
        CHECK(fl_checkpoint_format(&error, &run.arena, &bytes, &size, &run.common_model, values,
                                   0) == DDOME_OK &&
              nn_os_write_file(&error, path, bytes, size) == DDOME_OK);
        test_release();
    }
    fl_run_free(&run);
}

static void common_file(const char *profile)
{
    fl_run run;
    ddome_error error = {DDOME_OK, ""};
    char path[600], keys[700];
    test_case("nonfinite: a common expert's file with huge finite weights, %s", profile);
    snprintf(path, sizeof path, "%s/huge.safetensors", test_dir());
    snprintf(keys, sizeof keys, "%s common=%s", profile, path);
    write_common(path, LARGE);
    if (test_federation_init(&run, &error, keys))
        test_status("set-up", fl_run_set_up(&run), DDOME_ERR_NONFINITE, &error,
                    LINE "common expert, embeddings of the train split: sample ");
    CHECK(strstr(error.text, ": forward, linear fc1: element ") != NULL &&
          strstr(error.text, "give another file as common") != NULL);
    fl_run_free(&run);
    nn_os_remove(path);
}

static void embeddings_again(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: embeddings of the test split, made anew");
    if (test_federation(&run, &error, "")) {
        fill(run.common.values, run.common.floats, LARGE);
        test_status("test split",
                    fl_common_embed_again(&run.engine, &error, &run.scratch, &run.test, &run.common,
                                          &run.common_model, &run.task, &run.task.set.test),
                    DDOME_ERR_NONFINITE, &error, "embeddings of the test split: sample ");
    }
    fl_run_free(&run);
}

static void mean_embedding(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: a mean of finite embeddings");
    if (test_federation(&run, &error, "anchors=cluster")) {
        fill(run.train.rows, 6, LARGE); /* the first sample of client 0, and its second */
        fill(run.train.rows + 6, 6, LARGE);
        test_status("anchors", fl_run_anchors(&run), DDOME_ERR_NONFINITE, &error,
                    LINE
                    "round 0, client 0: data, given mean embedding: element 0 of value is +inf");
    }
    fl_run_free(&run);
}

/* ---- choices ---- */

static void figures(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: losses by which IFCA chooses");
    if (test_federation(&run, &error, "algo=ifca")) {
        part_logits(&run, 1);
        test_status("a loss", test_round(&run, 1), DDOME_ERR_NONFINITE, &error,
                    ": expert 1: choose, given losses: element 0 of value is +infinity; lower lr");
        lose_class(&run, 1);
        nn_error_clear(&error);
        test_status("a logit", test_round(&run, 1), DDOME_ERR_NONFINITE, &error,
                    ": expert 1: sample ");
    }
    fl_run_free(&run);
}

/* ---- what comes back ---- */

static void variates(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: control variates");
    if (test_federation(&run, &error, "algo=scaffold")) {
        fl_visit visit = fl_run_visit(&run, &run.task.partition.clients[3], 4);
        CHECK(fl_server_send(&error, &run.scratch, &visit, &run.server) == DDOME_OK);
        visit.correction.change[7] = HUGE_VALF;
        test_status("d", fl_server_take(&error, &run.server, &visit), DDOME_ERR_NONFINITE, &error,
                    LINE "round 4, client 3: update, given variate: element 7 of d is +infinity");
        visit.correction.own[5] = -HUGE_VALF;
        nn_error_clear(&error);
        test_status("c_k", fl_server_take(&error, &run.server, &visit), DDOME_ERR_NONFINITE, &error,
                    "variate: element 5 of c_k is -infinity");
        nn_error_clear(&error);
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        fill(run.server.variates.server, run.server.variates.total, LARGE);
        run.server.variates.sum[2] = 1e39;
        run.server.round = 5;
        test_status("c", fl_server_average(&error, &run.server), DDOME_ERR_NONFINITE, &error,
                    LINE "round 5: average, given variate: element 2 of c is +infinity");
    }
    fl_run_free(&run);
}

static void averages(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: averages");
    if (test_federation(&run, &error, "")) {
        fl_server_open_round(&run.server);
        run.server.round = 2;
        run.server.gate.returned = run.server.expert[1].returned = 1;
        run.server.gate.weight = run.server.expert[1].weight = 1;
        memset(run.server.gate.sum, 0, run.gate.layout.total * sizeof(double));
        memset(run.server.expert[1].sum, 0, run.expert.layout.total * sizeof(double));
        run.server.expert[1].sum[0] = -1e39;
        test_status("an expert", fl_server_average(&error, &run.server), DDOME_ERR_NONFINITE,
                    &error,
                    LINE "round 2: average, average expert1/fc1.weight: element 0 of w is -inf");
        run.server.gate.sum[run.gate.layout.slices[0].count] = 1e39;
        nn_error_clear(&error);
        test_status("the gate", fl_server_average(&error, &run.server), DDOME_ERR_NONFINITE, &error,
                    LINE "round 2: average, average gate/fc1.bias: element 0 of w is +infinity");
    }
    fl_run_free(&run);
}

/* ---- where a second time looks ---- */

/* The only step of a visit overflows: the weights are looked at behind it, and the second time
 * finds the first of them. */
static void last_update(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: the gate in the last update of a visit");
    if (test_federation(&run, &error, "batch=100 sampling=uniform")) {
        ddome_status status = DDOME_OK;
        for (size_t i = 0; i < run.task.set.train.count; i++)
            for (size_t j = 0; j < 6 && run.train.slot[i] != UINT32_MAX; j++)
                run.train.rows[run.train.slot[i] * 6 + j] *= 1e6f;
        run.config.gate_lr.value = LARGE;
        for (uint32_t round = 1; round <= 3 && status == DDOME_OK; round++)
            status = test_round(&run, round);
        test_status("rounds", status, DDOME_ERR_NONFINITE, &error,
                    ": epoch 0, step 0: update, sgd gate/");
    }
    fl_run_free(&run);
}

/* Statistics, corrected gradients and the two parameters of each norm are passed on the way. */
static void passed(const char *keys, bool head)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: a second time through norms: %s", keys);
    if (test_federation(&run, &error, keys)) {
        ddome_status status = DDOME_OK;
        if (head)
            fill(test_slice(run.server.expert[0].values, &run.expert.layout, "fc.weight"), 8,
                 LARGE);
        for (uint32_t round = 1; round <= 3 && status == DDOME_OK; round++)
            status = test_round(&run, round);
        test_status("rounds", status, DDOME_ERR_NONFINITE, &error, LINE "round ");
        CHECK(strstr(error.text, ", step ") != NULL && strstr(error.text, "expert0/") != NULL);
    }
    fl_run_free(&run);
}

/* ---- evaluations ---- */

typedef void damage_fn(const fl_run *run, size_t expert);

static void evaluation(const char *keys, damage_fn *damage, const char *part)
{
    fl_run run;
    ddome_error error;
    fl_evaluation result;
    test_case("nonfinite: evaluation: %s: %s", keys, part);
    if (test_federation(&run, &error, keys)) {
        damage(&run, 0);
        run.server.round = 6;
        test_status("evaluation",
                    fl_evaluate(&error, &run.arena, &run.crew, &result, run.evaluator, &run.server),
                    DDOME_ERR_NONFINITE, &error, LINE "evaluation after round 6, ");
        CHECK(strstr(error.text, part) != NULL && strstr(error.text, "; lower ") != NULL);
    }
    fl_run_free(&run);
}

static void damage_head(const fl_run *run, size_t expert)
{
    fill(run->server.expert[expert].values, run->expert.layout.total, LARGE);
    fill(run->test.rows, 6, 10);
}

static void damage_gate(const fl_run *run, size_t expert)
{
    (void)expert;
    fill(run->server.gate.values, run->gate.layout.total, LARGE);
}

/* Only the samples of anchors are met behind the clients. */
static void damage_anchor(const fl_run *run, size_t expert)
{
    (void)expert;
    run->train.rows[0] = HUGE_VALF;
}

static void all_damaged(const fl_run *run, size_t expert)
{
    (void)expert;
    for (size_t i = 0; i < run->server.experts; i++)
        part_logits(run, i);
}

/* ---- failure signatures ---- */

/* Watching ends no run. */
static void signatures(void)
{
    fl_run run;
    ddome_error error;
    fl_evaluation result;
    test_case("nonfinite: logits of an anchor's held samples: none is right");
    if (test_federation(&run, &error, "")) {
        CHECK(fl_evaluate(&error, &run.arena, &run.crew, &result, run.evaluator, &run.server) ==
              DDOME_OK);
        lose_class(&run, 1);
        fill(run.common.values, run.common.floats, LARGE);
        run.watch.expert[1].correct = run.watch.expert[1].common = 77;
        test_status("an evaluation",
                    fl_watch_evaluation(&error, &run.scratch, &run.watch, &run.engine, 3, &result,
                                        &run.record.last, NULL),
                    DDOME_OK, &error, NULL);
        CHECK(run.watch.expert[1].correct == 0 && run.watch.expert[1].common == 0 &&
              run.watch.expert[1].total != 0 && error.text[0] == '\0');
    }
    fl_run_free(&run);
}

void t_nonfinite_places(void)
{
    common_file("arith=ma");
    common_file("arith=fma");
    embeddings_again();
    mean_embedding();
    figures();
    variates();
    averages();
    last_update();
    passed("algo=fedprox arch=resnet34 width=1 lr=1000 epochs=20 batch=10", false);
    passed("algo=fedavg arch=resnet34 width=1 norm=group batch=10", true);
    evaluation("algo=fedavg", lose_class, ": expert 0: sample ");
    evaluation("algo=fedavg", part_logits,
               "evaluate, cross_entropy loss: element 0 of loss is +inf");
    evaluation("algo=ensemble", lose_class, ": expert 0: sample ");
    evaluation("algo=ensemble", all_damaged, ": evaluate, given mixture: element ");
    evaluation("algo=fedmix mix=probs", all_damaged, ": evaluate, given mixture: element ");
    evaluation("test=mixture mix=probs", all_damaged, ": evaluate, given mixture: element ");
    evaluation("test=mixture", lose_class, ": expert 0: sample ");
    evaluation("algo=ifca", lose_class, ": expert 0: sample ");
    evaluation("algo=ifca ifca_test=oracle", part_logits,
               ": expert 0: choose, given losses: element 0 of value is ");
    evaluation("algo=head", damage_head, ": expert 0: row 0: forward, linear fc: element ");
    evaluation("", damage_gate, ": gate, sample ");
    evaluation("", damage_anchor, ", anchor 0: gate, sample ");
    signatures();
}

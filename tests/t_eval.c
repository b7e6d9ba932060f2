/* SPDX-License-Identifier: MIT */
/* Routing, ties, scopes, entropies and counts with a gate and experts whose every answer is known.
 * SPEC 13, 14.3, 14.4. */
#include <stdio.h>
#include <string.h>

#include "../nn/fmath.h"
#include "../nn/sum.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_eval(void);

#define LOG_2 0x1.62e430p-1f
/* exp(-SURE) is +0, so a softmax over logits this far apart is exact. */
#define SURE 200.0f

enum { CLASSES = 4 };

/* ---- known models ---- */

static void zero_model(float *values, const fl_model *model)
{
    memset(values, 0, model->layout.total * sizeof *values);
}

/* Logits: bias[j], and slope on top for the last expert where the first feature is 1. */
static void set_gate(fl_run *run, const float *bias, float slope)
{
    float *values = run->server.gate.values;
    const size_t experts = run->server.experts;
    zero_model(values, &run->gate);
    test_slice(values, &run->gate.layout, "fc1.weight")[0] = 1.0f;
    memcpy(test_slice(values, &run->gate.layout, "fc2.bias"), bias, experts * sizeof *bias);
    test_slice(values, &run->gate.layout, "fc2.weight")[(experts - 1) * run->gate.mlp.hidden] =
        slope;
}

/* Expert e says class e of 4, all by its bias; expert 0 has equal logits, and the lowest wins. */
static void set_experts(fl_run *run)
{
    for (size_t e = 0; e < run->server.experts; e++) {
        float *values = run->server.expert[e].values;
        zero_model(values, &run->expert);
        test_slice(values, &run->expert.layout, "fc2.bias")[e] = e == 0 ? 0 : SURE;
    }
}

/* The first feature of slots 0, 1, 2, ... is 0, 1, 0, ...; all others are 0. */
static void set_embeddings(fl_embeddings *embeddings, const data_split *split)
{
    for (size_t i = 0; i < split->count; i++) {
        const uint32_t slot = embeddings->slot[i];
        float *row = embeddings->rows + slot * embeddings->features;
        if (slot == UINT32_MAX)
            continue;
        memset(row, 0, embeddings->features * sizeof *row);
        row[0] = (float)(slot % 2);
    }
}

static bool start(fl_run *run, ddome_error *error, const char *keys)
{
    if (!test_federation(run, error, keys))
        return false;
    set_experts(run);
    if (run->test.rows != NULL)
        set_embeddings(&run->test, &run->task.set.test);
    return test_same_u64("classes", run->expert.outputs, CLASSES);
}

static fl_evaluation evaluate(fl_run *run)
{
    fl_evaluation evaluation;
    memset(&evaluation, 0, sizeof evaluation);
    test_status(
        "fl_evaluate",
        fl_evaluate(run->error, &run->arena, &run->crew, &evaluation, run->evaluator, &run->server),
        DDOME_OK, run->error, NULL);
    return evaluation;
}

/* ---- what must come out ---- */

/* The one client's samples at odd places go to expert `odd`, the others to `even`. The loss as
 * SPEC 14.2. */
static void check_counts(const fl_run *run, const fl_evaluation *e, uint32_t even, uint32_t odd)
{
    const data_client *client = &run->evaluator->clients[0];
    const data_split *split = fl_task_split(&run->task, client);
    uint64_t routed[4 * CLASSES] = {0}, correct[4 * CLASSES] = {0}, right = 0;
    float *loss = test_floats(client->count);
    for (size_t i = 0; i < client->count; i++) {
        const uint32_t expert = i % 2 == 1 ? odd : even, label = split->labels[client->samples[i]];
        routed[expert * CLASSES + label]++;
        correct[expert * CLASSES + label] += label == expert;
        right += label == expert;
        loss[i] = expert == 0 ? nn_logf(4) : label == expert ? 0 : SURE;
    }
    test_same_bytes("routed", e->routed, routed, e->experts * CLASSES * sizeof *routed);
    test_same_bytes("correct", e->correct, correct, e->experts * CLASSES * sizeof *correct);
    test_same_u64("samples", e->client[0].count, client->count);
    test_same_u64("right", e->client[0].correct, right);
    const float mean = nn_sum(loss, client->count) / (float)client->count;
    test_same_floats("loss", &e->client[0].loss, &mean, 1);
    test_release();
}

static void check_chosen(const fl_client_result *result, size_t k, uint32_t first, uint32_t last)
{
    test_same_u64("K", result->k, k);
    test_same_u64("first of the chosen", result->chosen[0], first);
    test_same_u64("last of the chosen", result->chosen[k - 1], last);
}

/* The mean as SPEC 2.4 sums it, which need not be the value itself. */
static float mean_of(float value, size_t count)
{
    float *all = test_floats(count);
    for (size_t i = 0; i < count; i++)
        all[i] = value;
    const float mean = nn_sum(all, count) / (float)count;
    test_release();
    return mean;
}

static void check_entropies(const fl_client_result *result, float of_score, float mean)
{
    test_same_floats("entropy of the mean score", &result->score_entropy, &of_score, 1);
    test_same_floats("mean entropy", &result->mean_entropy, &mean, 1);
}

/* ---- cases ---- */

/* Half of the samples surely to expert 0, half surely to expert 1. SPEC 13.2, 13.3. */
static void sure_halves(void)
{
    static const float bias[] = {SURE, 0};
    fl_run run;
    ddome_error error;
    test_case("eval: samples go to their expert; counts, loss and entropies");
    if (start(&run, &error, "experts=2 top_k=2 unseen_clients=1")) {
        set_gate(&run, bias, 2 * SURE);
        const fl_evaluation e = evaluate(&run);
        check_chosen(&e.client[0], 2, 0, 1);
        check_counts(&run, &e, 0, 1);
        check_entropies(&e.client[0], LOG_2, 0);
    }
    fl_run_free(&run);
}

/* Every sample undecided between two. */
static void undecided(void)
{
    static const float bias[] = {0, 0};
    fl_run run;
    ddome_error error;
    test_case("eval: equal logits go to the lowest index, entropies are log 2");
    if (start(&run, &error, "experts=2 top_k=2 unseen_clients=1")) {
        set_gate(&run, bias, 0);
        const fl_evaluation e = evaluate(&run);
        check_counts(&run, &e, 0, 0);
        check_entropies(&e.client[0], LOG_2, mean_of(LOG_2, e.client[0].count));
        test_same_u64("anchor 0 is right about all of its samples", e.anchor_own,
                      run.task.partition.clients[0].count);
        test_same_u64("samples of both anchors", e.anchor_total,
                      run.task.partition.clients[0].count + run.task.partition.clients[1].count);
    }
    fl_run_free(&run);
}

/* Experts 1 and 2 are chosen out of 4 and tie for every sample. SPEC 13.2. */
static void tie_inside(void)
{
    static const float bias[] = {0, 2, 2, 0}, flat[] = {1, 1, 1, 1};
    static const double log_4 = 0x1.62e42fefa39efp+0, bound = 1e-6;
    fl_run run;
    ddome_error error;
    test_case("eval: a tie among the chosen experts goes to the lowest index");
    if (start(&run, &error, "experts=4 top_k=2 unseen_clients=1")) {
        set_gate(&run, bias, 0);
        fl_evaluation e = evaluate(&run);
        check_chosen(&e.client[0], 2, 1, 2);
        check_counts(&run, &e, 1, 1);
        test_same_u64("anchor 1", e.anchor_own, run.task.partition.clients[1].count);
        set_gate(&run, flat, 0);
        e = evaluate(&run);
        check_chosen(&e.client[0], 2, 0, 1);
        check_counts(&run, &e, 0, 0);
        test_close("entropy of 4 equal scores", &e.client[0].score_entropy, &log_4, 1, &bound);
        test_close("their mean", &e.client[0].mean_entropy, &log_4, 1, &bound);
    }
    fl_run_free(&run);
}

/* K = 1, but the one client of the whole test split chooses among all (SPEC 13.1). */
static void global_scope(void)
{
    static const float bias[] = {SURE, 0};
    fl_run run;
    ddome_error error;
    test_case("eval: the global scope uses all experts; K = 1 elsewhere uses one");
    if (start(&run, &error, "experts=2 top_k=1 eval_scope=global")) {
        set_gate(&run, bias, 2 * SURE);
        const fl_evaluation e = evaluate(&run);
        test_same_u64("clients", e.clients, 1);
        test_same_u64("the whole test split", e.client[0].count, run.task.set.test.count);
        CHECK(e.client[0].client == 0 && e.client[0].role == DATA_UNSEEN);
        check_chosen(&e.client[0], 2, 0, 1);
        check_counts(&run, &e, 0, 1);
    }
    fl_run_free(&run);
    if (start(&run, &error, "experts=2 top_k=1 unseen_clients=1")) {
        set_gate(&run, bias, 2 * SURE);
        const fl_evaluation e = evaluate(&run);
        check_chosen(&e.client[0], 1, 0, 0);
        check_counts(&run, &e, 0, 0);
    }
    fl_run_free(&run);
}

/* The held-out client's samples are of the train split, and so are its embeddings.
 * SPEC 13.1. */
static void holdout_scope(void)
{
    static const float bias[] = {0, SURE};
    fl_run run;
    ddome_error error;
    test_case("eval: the scope of held-out clients");
    if (start(&run, &error, "experts=2 top_k=2 eval_scope=holdout")) {
        CHECK(run.test.rows == NULL);
        set_embeddings(&run.train, &run.task.set.train);
        set_gate(&run, bias, 0);
        const fl_evaluation e = evaluate(&run);
        CHECK(e.clients == 1 && e.client[0].client == 7 && e.client[0].role == DATA_HOLDOUT);
        check_counts(&run, &e, 1, 1);
        check_entropies(&e.client[0], 0, 0);
    }
    fl_run_free(&run);
}

static void without_gate(void)
{
    fl_run run;
    ddome_error error;
    test_case("eval: without a gate all samples go to the one model");
    if (start(&run, &error, "algo=fedavg unseen_clients=1")) {
        const fl_evaluation e = evaluate(&run);
        check_chosen(&e.client[0], 1, 0, 0);
        check_counts(&run, &e, 0, 0);
        check_entropies(&e.client[0], 0, 0);
        CHECK(e.anchor_own == 0 && e.anchor_total == 0);
    }
    fl_run_free(&run);
}

/* What a run of its own has as its only line is a line of a run that looks at all of them.
 * SPEC 13.8. */
static void other_scopes(const char *keys)
{
    static const char *const scopes[] = {"unseen", "holdout", "global", "seen"};
    char words[256];
    fl_run whole, run;
    ddome_error error;
    test_case("eval: %s: other clients at the same time", keys);
    snprintf(words, sizeof words, "%s eval_also=holdout,global,seen", keys);
    const bool made = test_federation_rounds(&whole, &error, words, 2) &&
                      CHECK(fl_run_evaluate(&whole, 2) == DDOME_OK);
    const char *line = !made ? NULL : strchr(whole.record.metrics.text.data, '\n') + 1;
    for (size_t i = 0; made && i < 4; i++) {
        snprintf(words, sizeof words, "%s eval_scope=%s", keys, scopes[i]);
        if (test_federation_rounds(&run, &error, words, 2) &&
            CHECK(fl_run_evaluate(&run, 2) == DDOME_OK)) {
            const char *alone = strchr(run.record.metrics.text.data, '\n') + 1;
            test_check(strncmp(line, alone, strlen(alone)) == 0, __FILE__, __LINE__,
                       "%s: found %.*s, expected %s", scopes[i], (int)strcspn(line, "\n"), line,
                       alone);
            CHECK(i != 0 ||
                  (strcmp(run.record.clients.text.data, whole.record.clients.text.data) == 0 &&
                   strcmp(run.record.experts.text.data, whole.record.experts.text.data) == 0));
        }
        fl_run_free(&run);
        line += strcspn(line, "\n") + 1;
    }
    CHECK(!made || *line == '\0');
    if (made)
        CHECK(whole.record.evaluations == 1 && whole.record.last.total > 0);
    fl_run_free(&whole);
}

void t_eval(void)
{
    sure_halves();
    undecided();
    tie_inside();
    global_scope();
    holdout_scope();
    other_scopes("algo=ddome");
    other_scopes("algo=ddome common_every=1 rounds=3");
    other_scopes("algo=ddome test=mixture gate=random");
    other_scopes("algo=fedmix top_k=2");
    other_scopes("algo=ifca init=common");
    other_scopes("algo=ensemble");
    other_scopes("algo=head");
    without_gate();
}

/* SPDX-License-Identifier: MIT */
/* What is watched in whole runs: which held samples an expert has and how many are right, of it and
 * of the common expert; the gate's accuracy. SPEC 14.7, 14.10. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_watch_runs(void);

static void watch_evaluation(fl_run *run, ddome_error *error, uint32_t round)
{
    fl_evaluation evaluation;
    fl_metrics metrics;
    ddome_status status =
        fl_evaluate(error, &run->scratch, &run->crew, &evaluation, run->evaluator, &run->server);
    if (status == DDOME_OK)
        status = fl_metrics_of(error, &run->scratch, &metrics, &evaluation);
    if (status == DDOME_OK)
        status = fl_watch_evaluation(error, &run->scratch, &run->watch, &run->engine, round,
                                     &evaluation, &metrics, NULL);
    test_status("watched", status, DDOME_OK, error, NULL);
}

/* Accuracy on the held list by hand: every held sample with a label of the anchor. */
static void counted(void)
{
    ddome_error error;
    fl_run run;
    test_case("watch: held samples of an anchor's labels");
    if (test_federation(&run, &error, "pretrain_epochs=3")) {
        const data_partition *p = &run.task.partition;
        for (size_t i = 0; i < 2; i++) {
            const data_label_set labels = data_client_labels(&p->clients[i], &run.task.set.train);
            size_t total = 0;
            for (size_t h = 0; h < p->held_count; h++)
                total += data_label_set_has(&labels, run.task.set.train.labels[p->held[h]]);
            test_same_u64("samples", run.watch.expert[i].total, total);
        }
        watch_evaluation(&run, &error, 1);
        CHECK(run.watch.expert[0].common + run.watch.expert[1].common <= p->held_count);
        /* labels of two anchors: half of the four each, so all held samples */
        test_same_u64("all of the common expert's",
                      run.watch.expert[0].common + run.watch.expert[1].common, run.common.correct);
    }
    fl_run_free(&run);
}

/* How many held samples each model has. */
static void held_by(const char *keys, bool all)
{
    ddome_error error;
    fl_run run;
    test_case("watch: held samples of models without an anchor: %s", keys);
    if (test_federation(&run, &error, keys))
        for (size_t i = 0; i < run.server.experts; i++)
            test_same_u64("samples", run.watch.expert[i].total,
                          all ? run.task.partition.held_count : 0);
    fl_run_free(&run);
}

/* FedAvg from the common expert: equal to it, then with a last layer that knows nothing. */
static void below_its_start(void)
{
    ddome_error error;
    fl_run run;
    test_case("watch: FedAvg below the common expert that it started from");
    if (test_federation(&run, &error, "algo=fedavg init=common pretrain_epochs=3")) {
        const fl_watched *w = run.watch.expert;
        watch_evaluation(&run, &error, 1);
        test_same_u64("the common expert", w->common, run.common.correct);
        test_same_u64("its copy", w->correct, run.common.correct);
        CHECK(strstr(run.watch.signatures.text.data, "below-common") == NULL);
        memset(run.server.expert[0].values, 0, run.expert.layout.total * sizeof(float));
        watch_evaluation(&run, &error, 2);
        CHECK(w->correct < w->common);
        CHECK(strstr(run.watch.signatures.text.data, "\n2,below-common,0,0.") != NULL);
    }
    fl_run_free(&run);
}

static void shared(void)
{
    held_by("algo=fedavg init=common", true);
    held_by("algo=fedprox init=common", true);
    held_by("algo=scaffold init=common", true);
    held_by("algo=ensemble init=common", true);
    held_by("algo=ddome experts=1 top_k=1 anchor_clients=0 active_anchors=0", true);
    held_by("algo=fedavg", false); /* no common expert */
    held_by("algo=ifca init=common", false);
    held_by("algo=fedmix", false);
    held_by("anchors=none", false);
    held_by("anchors=wrong", false);
    held_by("algo=head init=common", false);
    held_by("algo=common", false);
    held_by("algo=local init=common eval_scope=seen", false);
    below_its_start();
}

/* Right among the held samples of an expert's anchor, by the common expert as it is. */
static uint64_t right_of_common(const fl_run *run, const fl_watched *w)
{
    const size_t classes = run->expert.outputs;
    nn_arena arena = {0};
    ddome_error error;
    uint64_t right = 0;
    float *logits = test_floats(w->total * classes);
    CHECK(fl_model_predict(&run->engine, &error, &arena, logits, NULL, &run->common_model,
                           run->common.values, &run->task.set, &run->task.set.train, w->held,
                           w->total) == DDOME_OK);
    for (size_t i = 0; i < w->total; i++)
        right += fl_argmax(logits + i * classes, classes) == run->task.set.train.labels[w->held[i]];
    nn_arena_free(&arena);
    test_release();
    return right;
}

/* Experts are held against the common expert of the round, not of the first evaluation. */
static void renewed(void)
{
    ddome_error error;
    fl_run run;
    uint64_t before = 0, after = 0;
    test_case("watch: the common expert as it is after 11.12");
    if (test_federation(&run, &error, "common_every=1 pretrain_lr=0.3"))
        for (uint32_t round = 1; round <= 2; round++) {
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            watch_evaluation(&run, &error, round);
            before = after;
            after = 0;
            for (size_t i = 0; i < 2; i++) {
                const fl_watched *w = &run.watch.expert[i];
                test_same_u64("right", w->common, right_of_common(&run, w));
                after = 100 * after + w->common;
            }
        }
    CHECK(before != after); /* or the case tells nothing */
    fl_run_free(&run);
}

/* own and tied of every client, from routes and the anchors' samples; -1 for a label without one.
 */
static void gate_by_hand(const char *keys, const int expert_of[4], bool all_own)
{
    ddome_error error;
    fl_run run;
    test_case("watch: accuracy of the gate by client: %s", keys);
    if (test_federation(&run, &error, keys)) {
        char want[1024] = "round,client,own,tied\n";
        fl_evaluation evaluation;
        uint64_t own = 0, routed = 0;
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_status(
            "evaluated",
            fl_evaluate(&error, &run.scratch, &run.crew, &evaluation, run.evaluator, &run.server),
            DDOME_OK, &error, NULL);
        for (size_t i = 0; i < evaluation.clients; i++) {
            const fl_client_result *r = &evaluation.client[i];
            size_t tied = 0;
            for (size_t s = 0; s < r->count; s++)
                tied +=
                    expert_of[run.task.set.test.labels[run.evaluator->clients[i].samples[s]]] >= 0;
            test_same_u64("tied", r->tied, tied);
            CHECK(!all_own || r->own == tied);
            own += r->own;
            sprintf(want + strlen(want), "1,%u,%u,%u\n", (unsigned)r->client, (unsigned)r->own,
                    (unsigned)r->tied);
        }
        for (size_t label = 0; label < 4; label++)
            routed +=
                expert_of[label] < 0 ? 0 : evaluation.routed[(size_t)expert_of[label] * 4 + label];
        test_same_u64("own of all clients", own, routed);
        watch_evaluation(&run, &error, 1);
        test_same_text("gate.csv", run.watch.gate.text.data, want);
    }
    fl_run_free(&run);
}

/* Labels of the anchors by the partition, which the oracle knows too. */
static void gates(void)
{
    static const int none[4] = {-1, -1, -1, -1};
    int expert_of[4] = {-1, -1, -1, -1}, first[4] = {-1, -1, -1, -1};
    ddome_error error;
    fl_run run;
    test_case("watch: labels of the anchors");
    if (test_federation(&run, &error, ""))
        for (size_t q = 0; q < 2; q++) {
            const data_client *anchor = &run.task.partition.clients[q];
            for (size_t i = 0; i < anchor->count; i++)
                expert_of[run.task.set.train.labels[anchor->samples[i]]] = (int)q;
        }
    for (size_t label = 0; label < 4; label++)
        CHECK(expert_of[label] >= 0); /* two disjoint labels each */
    fl_run_free(&run);
    gate_by_hand("", expert_of, false);
    gate_by_hand("gate=oracle", expert_of, true);
    gate_by_hand("gate=random eval_scope=seen", expert_of, false);
    gate_by_hand("anchors=none", none, false);
    gate_by_hand("algo=fedmix", none, false);
    if (test_federation(&run, &error, "anchor_labels=1"))
        for (size_t q = 0; q < 2; q++)
            first[run.task.set.train.labels[run.task.partition.clients[q].samples[0]]] = (int)q;
    fl_run_free(&run);
    gate_by_hand("anchor_labels=1", first, false);
}

void t_watch_runs(void)
{
    counted();
    shared();
    renewed();
    gates();
}

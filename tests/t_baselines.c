/* SPDX-License-Identifier: MIT */
/* Identities between algorithms, what each one chooses, keeps and starts from, and the closed forms
 * of its bytes. SPEC 12.5, 12.6, 13.5, 15.1. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_baselines(void);

#define RESNET "arch=resnet34 width=2 active_normal=2 "
#define UNEVEN "partition=dirichlet min_size=2 "
#define SEEN "eval_scope=seen seen_samples=6 "

/* ---- identities ---- */

typedef void compare_fn(const fl_run *run, const fl_run *other);

static void both(const char *what, const char *keys, const char *other_keys, compare_fn *compare)
{
    fl_run run, other;
    ddome_error error, other_error;
    test_case("baselines: %s", what);
    const bool ran = test_federation_rounds(&run, &error, keys, 3);
    if (test_federation_rounds(&other, &other_error, other_keys, 3) && ran)
        compare(&run, &other);
    fl_run_free(&run);
    fl_run_free(&other);
}

static void same_expert(const fl_run *run, const fl_run *other)
{
    test_same_floats("expert 0", run->server.expert[0].values, other->server.expert[0].values,
                     run->expert.layout.total);
    test_same_u64("batches", run->server.expert[0].batches, other->server.expert[0].batches);
}

static void other_expert(const fl_run *run, const fl_run *other)
{
    CHECK(memcmp(run->server.expert[0].values, other->server.expert[0].values,
                 run->expert.layout.total * sizeof(float)) != 0);
}

/* Member 0 is FedAvg's model; member 1 starts from the same weights and sees other orders. */
static void same_member(const fl_run *run, const fl_run *other)
{
    same_expert(run, other);
    CHECK(memcmp(run->server.expert[0].values, run->server.expert[1].values,
                 run->expert.layout.total * sizeof(float)) != 0);
}

static void own_model(const fl_run *run, const fl_run *other)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const float *values;
    const ddome_status status = fl_server_values(&error, &arena, &values, &run->server, 0, 0);
    if (test_status("its model", status, DDOME_OK, &error, NULL))
        test_same_floats("the client's model", values, other->server.expert[0].values,
                         run->expert.layout.total);
    nn_arena_free(&arena);
}

static void identities(void)
{
    both("FedProx with mu = 0 is FedAvg", "algo=fedprox mu=0", "algo=fedavg", same_expert);
    both("FedProx with mu = 0 is FedAvg with ResNet-34", RESNET "algo=fedprox mu=0 rounds=2",
         RESNET "algo=fedavg rounds=2", same_expert);
    both("FedProx with mu = 0.5 is not", "algo=fedprox mu=0.5", "algo=fedavg", other_expert);
    both("an ensemble's first member is FedAvg", "algo=ensemble init=common epochs=2",
         "algo=fedavg init=common epochs=2", same_member);
    both("an ensemble's first member is FedAvg with ResNet-34",
         RESNET "algo=ensemble augment=true epochs=2", RESNET "algo=fedavg augment=true epochs=2",
         same_member);
    /* clients of many sizes */
    both("IFCA of one cluster is FedAvg that counts clients",
         UNEVEN "algo=ifca experts=1 top_k=1 anchor_clients=0 active_anchors=0",
         UNEVEN "algo=fedavg aggregate=uniform experts=1 top_k=1 anchor_clients=0 active_anchors=0",
         same_expert);
    both("IFCA of one cluster is not FedAvg that counts samples",
         UNEVEN "algo=ifca experts=1 top_k=1 anchor_clients=0 active_anchors=0",
         UNEVEN "algo=fedavg experts=1 top_k=1 anchor_clients=0 active_anchors=0", other_expert);
    both("one local client is FedAvg of one client",
         SEEN "algo=local clients=1 anchor_clients=0 active_anchors=0 active_normal=1",
         "algo=fedavg clients=1 anchor_clients=0 active_anchors=0 active_normal=1", own_model);
}

/* While all variates are zero, SCAFFOLD is FedAvg but for roundings. */
static void first_scaffold_round(void)
{
    fl_run run, other;
    ddome_error error, other_error;
    test_case("baselines: SCAFFOLD's first round is FedAvg's with plain SGD, nearly");
    const bool ran = test_federation_rounds(&run, &error, "algo=scaffold", 1);
    if (test_federation_rounds(&other, &other_error, "algo=fedavg momentum=0 aggregate=uniform",
                               1) &&
        ran)
        for (size_t i = 0; i < run.expert.layout.total; i++)
            if (!CHECK(fabs((double)run.server.expert[0].values[i] -
                            (double)other.server.expert[0].values[i]) < 1e-6))
                break;
    fl_run_free(&run);
    fl_run_free(&other);
}

/* ---- starts ---- */

static void starts(void)
{
    fl_run run;
    ddome_error error;
    test_case("baselines: a head starts as the last layer of the common expert");
    if (test_federation(&run, &error, "algo=head init=common")) {
        const float *last = test_slice(run.common.values, &run.common_model.layout, "fc2.weight");
        test_same_floats("head", run.server.expert[0].values, last, 6 * 4 + 4);
        test_same_u64("parameters", run.expert.layout.total, 6 * 4 + 4);
    }
    fl_run_free(&run);
    test_case("baselines: clusters from the common expert differ, and are near it");
    if (test_federation(&run, &error, "algo=ifca init=common")) {
        const float *a = run.server.expert[0].values, *b = run.server.expert[1].values;
        CHECK(memcmp(a, b, run.expert.layout.total * sizeof *a) != 0);
        for (size_t i = 0; i < run.expert.layout.total; i++) {
            const double w = (double)run.common.values[i];
            if (!CHECK(fabs((double)a[i] - w) <= 0.1 * fabs(w)))
                break;
        }
    }
    fl_run_free(&run);
}

/* ---- IFCA ---- */

/* Equal models: the lowest index; the cluster that nobody chose keeps its model (SPEC 12.6.7). */
static void equal_clusters(void)
{
    fl_run run;
    ddome_error error;
    test_case("baselines: equal clusters: the lowest is chosen, an empty one stays");
    if (test_federation_rounds(&run, &error, "algo=ifca init=common ifca_noise=0", 1)) {
        for (size_t i = 0; i < run.active; i++)
            CHECK(run.visits[i].k == 1 && run.visits[i].chosen[0] == 0);
        test_same_floats("expert 1", run.server.expert[1].values, run.common.values,
                         run.expert.layout.total);
        CHECK(run.server.expert[0].returned == run.active);
    }
    fl_run_free(&run);
}

/* Expert e is sure of class e, and knows nothing of the others. */
static void set_sure(fl_run *run)
{
    for (size_t e = 0; e < run->server.experts; e++) {
        float *values = run->server.expert[e].values;
        memset(values, 0, run->expert.layout.total * sizeof *values);
        test_slice(values, &run->expert.layout, "fc2.bias")[e] = 3 + (float)e;
    }
}

/* A client chooses the class that most of its samples have, of classes 0 and 1: the loss of a
 * sample of another class is log(e^b + 3), the larger the surer the expert. */
static void least_loss(void)
{
    fl_run run;
    ddome_error error;
    test_case("baselines: IFCA's choice is the least loss");
    if (test_federation(&run, &error, "algo=ifca")) {
        set_sure(&run);
        CHECK(fl_run_open_round(&run, 1) == DDOME_OK);
        for (size_t i = 0; i < run.active; i++) {
            fl_visit *visit = &run.visits[i];
            double loss[2] = {0, 0};
            for (size_t s = 0; s < visit->client->count; s++)
                for (size_t e = 0; e < 2; e++)
                    loss[e] +=
                        log(exp(3 + (double)e) + 3) -
                        (run.task.set.train.labels[visit->client->samples[s]] == e ? 3 + (double)e
                                                                                   : 0);
            CHECK(fl_run_choose(&error, &run.scratch, visit, &run) == DDOME_OK);
            test_same_u64("cluster", visit->chosen[0], loss[1] < loss[0]);
        }
    }
    fl_run_free(&run);
}

/* Without labels the surest model wins; with them, the right one. */
static void cluster_of_test(void)
{
    fl_run run;
    ddome_error error;
    fl_evaluation e;
    test_case("baselines: ifca_test = entropy takes the surest model");
    if (test_federation(&run, &error, "algo=ifca")) {
        set_sure(&run);
        CHECK(fl_evaluate(&error, &run.arena, &run.crew, &e, run.evaluator, &run.server) ==
              DDOME_OK);
        for (size_t i = 0; i < e.clients; i++)
            CHECK(e.client[i].k == 1 && e.client[i].chosen[0] == 1);
    }
    fl_run_free(&run);
    test_case("baselines: ifca_test = oracle takes the one of least loss");
    if (test_federation(&run, &error, "algo=ifca ifca_test=oracle unseen_clients=4")) {
        set_sure(&run);
        CHECK(fl_evaluate(&error, &run.arena, &run.crew, &e, run.evaluator, &run.server) ==
              DDOME_OK);
        for (size_t i = 0; i < e.clients; i++) {
            const data_label_set held =
                data_client_labels(&run.evaluator->clients[i], &run.task.set.test);
            const bool one = data_label_set_has(&held, 1), zero = data_label_set_has(&held, 0);
            if (one != zero)
                test_same_u64("cluster", e.client[i].chosen[0], one);
        }
    }
    fl_run_free(&run);
}

/* ---- ensembles ---- */

/* Member 0 is surer of class 0 than member 1 is of class 1, and the other way round. */
static void ensemble_prediction(float first, float second, uint32_t want)
{
    fl_run run;
    ddome_error error;
    fl_evaluation e;
    if (test_federation(&run, &error, "algo=ensemble eval_scope=global")) {
        set_sure(&run);
        test_slice(run.server.expert[0].values, &run.expert.layout, "fc2.bias")[0] = first;
        test_slice(run.server.expert[1].values, &run.expert.layout, "fc2.bias")[1] = second;
        CHECK(fl_evaluate(&error, &run.arena, &run.crew, &e, run.evaluator, &run.server) ==
              DDOME_OK);
        for (uint32_t label = 0; label < 4; label++)
            test_same_u64("right of a label", e.correct[label],
                          label == want ? e.routed[label] : 0);
        CHECK(e.routed[want] != 0);
        test_same_u64("models", e.client[0].k, 2);
    }
    fl_run_free(&run);
}

/* ---- seen clients ---- */

static void seen(void)
{
    fl_run run;
    ddome_error error;
    test_case("baselines: eval_scope = seen: test samples of each client's labels, even shares");
    if (test_federation(&run, &error, "algo=fedavg eval_scope=seen seen_samples=5")) {
        const data_split *test = &run.task.set.test;
        test_same_u64("clients", run.evaluator->client_count, 7);
        for (size_t k = 0; k < run.evaluator->client_count; k++) {
            const data_client *client = &run.evaluator->clients[k];
            const data_label_set held =
                data_client_labels(&run.task.partition.clients[k], &run.task.set.train);
            size_t low = 0, of_low = 0, labels = 0;
            for (unsigned label = 256; label-- > 0;)
                if (data_label_set_has(&held, label)) {
                    low = label;
                    labels++;
                }
            for (size_t i = 0; i < client->count; i++) {
                CHECK(data_label_set_has(&held, test->labels[client->samples[i]]));
                CHECK(i == 0 || client->samples[i - 1] < client->samples[i]);
                of_low += test->labels[client->samples[i]] == low;
            }
            test_same_u64("samples", client->count, 5);
            test_same_u64("of the lowest label", of_low, labels == 1 ? 5 : 3);
            test_same_u64("id", client->id, k);
            CHECK(client->role == (k < 2 ? DATA_ANCHOR : DATA_NORMAL));
        }
    }
    fl_run_free(&run);
}

/* ---- local ---- */

static void budgets(void)
{
    fl_run run;
    ddome_error error;
    test_case("baselines: local models stay with their clients");
    if (test_federation_rounds(&run, &error, SEEN "algo=local active_normal=1", 1))
        for (uint32_t id = 0; id < 7; id++) {
            const bool took = id == run.participants[0] || id == run.participants[1];
            CHECK(fl_store_has(&run.server.models, id) == took);
        }
    test_same_u64("bytes", run.traffic.down + run.traffic.up, 0);
    fl_run_free(&run);
    test_case("baselines: with local_budget = full every client trains every round");
    if (test_federation_rounds(&run, &error, SEEN "algo=local local_budget=full", 1)) {
        test_same_u64("participants", run.active, 7);
        for (uint32_t id = 0; id < 7; id++)
            CHECK(run.visits[id].client->id == id && run.server.own[id].batches == 3);
    }
    fl_run_free(&run);
}

/* ---- bytes ---- */

/* Of one round of one normal client; P, T, G and M as in SPEC 15.1. */
static void bytes(const char *keys, uint64_t p_times, uint64_t t_times, uint64_t g_times,
                  uint64_t indices, uint64_t set_up)
{
    fl_run run;
    ddome_error error;
    test_case("baselines: bytes of %s in closed form", keys);
    if (test_federation_rounds(&run, &error, keys, 1)) {
        const uint64_t p = nn_layout_bytes(&run.expert.layout),
                       g = nn_layout_bytes(&run.gate.layout),
                       t = 4 * (uint64_t)run.expert.layout.trained,
                       common = nn_layout_bytes(&run.common_model.layout);
        test_same_u64("down and up", run.traffic.down + run.traffic.up,
                      run.active * (p_times * p + t_times * t + g_times * g + 4 * indices));
        test_same_u64("round trips", run.traffic.round_trips, p_times == 0 ? 0 : run.active);
        test_same_u64("set-up", run.record.total.down - run.traffic.down, set_up * common);
    }
    fl_run_free(&run);
}

static void closed_forms(void)
{
    bytes(RESNET "algo=fedavg", 2, 0, 0, 0, 0);
    bytes(RESNET "algo=fedprox", 2, 0, 0, 0, 0);
    bytes(RESNET "algo=scaffold", 2, 2, 0, 0, 0);
    bytes("algo=ensemble", 2 * 2, 0, 0, 0, 0);
    bytes("algo=fedmix", 2 * 2, 0, 2, 0, 7);
    bytes("algo=fedmix experts=3 top_k=3 clients=8", 2 * 3, 0, 2, 0, 8);
    bytes("algo=ifca", 2 + 1, 0, 0, 1, 0);
    bytes("algo=ifca experts=3 top_k=3 clients=8", 3 + 1, 0, 0, 1, 0);
    bytes("algo=head", 2, 0, 0, 0, 7);
    bytes(SEEN "algo=local", 0, 0, 0, 0, 0);
    bytes(SEEN "algo=local init=common", 0, 0, 0, 0, 7);
}

void t_baselines(void)
{
    identities();
    first_scaffold_round();
    starts();
    equal_clusters();
    least_loss();
    cluster_of_test();
    test_case("baselines: an ensemble predicts by the mean of its softmax outputs");
    ensemble_prediction(5, 4, 0);
    ensemble_prediction(4, 5, 1);
    ensemble_prediction(4, 4, 0); /* equal: the lowest class */
    seen();
    budgets();
    closed_forms();
}

/* SPDX-License-Identifier: MIT */
/* What stands for the gate, anchors otherwise, mixture at test, parts of a run: by hand, in bytes,
 * and for any number of threads. SPEC 10.3, 11.7, 11.8, 13.6, 13.7. */
#include <stdlib.h>
#include <string.h>

#include "../fl/eval_mixture.h"
#include "../nn/sum.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_control(void);

/* Two experts and eight classes, so that labels and anchors leave something open. */
#define WIDE "synth_domains=4 labels_per_client=3 anchor_labels=3 "

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

static void rounds_of(fl_run *run, uint32_t count)
{
    for (uint32_t round = 1; round <= count; round++)
        test_status("a round", test_round(run, round), DDOME_OK, run->error, NULL);
}

/* ---- any number of threads ---- */

static void same_hashes(const char *what, const fl_run *run, const fl_run *want)
{
    for (size_t i = 0; i < want->server.experts; i++)
        test_same_bytes(what, &run->server.expert[i].hash, &want->server.expert[i].hash,
                        sizeof(nn_digest));
    test_same_bytes(what, &run->server.gate.hash, &want->server.gate.hash, sizeof(nn_digest));
    test_same_u64("bytes down", run->traffic.down, want->traffic.down);
    test_same_u64("bytes up", run->traffic.up, want->traffic.up);
}

static void threads(const char *keys)
{
    fl_run run, want;
    ddome_error error, want_error;
    memset(&want, 0, sizeof want);
    test_case("control: one thread and three give the same: %s", keys);
    if (test_federation_threads(&run, &error, keys, 3) &&
        test_federation(&want, &want_error, keys)) {
        rounds_of(&run, 3);
        rounds_of(&want, 3);
        same_hashes(keys, &run, &want);
        const fl_evaluation got = evaluate(&run), expected = evaluate(&want);
        for (size_t i = 0; i < expected.clients; i++)
            test_same_floats("loss", &got.client[i].loss, &expected.client[i].loss, 1);
        test_same_u64("routed", got.anchor_own, expected.anchor_own);
    }
    fl_run_free(&run);
    fl_run_free(&want);
}

/* A key at its default moves nothing. */
static void same_as_default(const char *keys)
{
    fl_run run, want;
    ddome_error error, want_error;
    memset(&want, 0, sizeof want);
    test_case("control: the same as without: %s", keys);
    if (test_federation(&run, &error, keys) && test_federation(&want, &want_error, "")) {
        rounds_of(&run, 2);
        rounds_of(&want, 2);
        same_hashes(keys, &run, &want);
    }
    fl_run_free(&run);
    fl_run_free(&want);
}

/* ---- gate = random ---- */

/* The first of a shuffle of all experts, and the only one. */
static uint32_t drawn(const fl_run *run, uint32_t client, uint32_t round)
{
    uint32_t experts[4] = {0, 1, 2, 3};
    nn_rng rng = nn_rng_at(run->config.seed, NN_STREAM_GATE_CHOICE, 0, round, client);
    nn_rng_shuffle(&rng, experts, run->server.experts);
    return experts[0];
}

static void random_choice(void)
{
    fl_run run;
    ddome_error error;
    size_t chosen[4] = {0};
    test_case("control: gate = random chooses by its stream, every round anew, at test once");
    if (test_federation(&run, &error,
                        "gate=random experts=4 top_k=1 anchor_clients=0 active_anchors=0 "
                        "active_normal=5")) {
        for (uint32_t round = 1; round <= 6; round++) {
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            for (size_t i = 0; i < run.active; i++) {
                const fl_visit *visit = &run.visits[i];
                test_same_u64("K", visit->k, 1);
                test_same_u64("expert", visit->chosen[0], drawn(&run, visit->client->id, round));
                chosen[visit->chosen[0]]++;
            }
        }
        CHECK(chosen[0] > 0 && chosen[1] > 0 && chosen[2] > 0 && chosen[3] > 0);
        CHECK(run.server.gate.model == NULL && run.common.values == NULL);
        const fl_evaluation e = evaluate(&run); /* behind round 6, by the draw of round 0 */
        for (size_t i = 0; i < e.clients; i++)
            test_same_u64("at test", e.client[i].chosen[0], drawn(&run, e.client[i].client, 0));
    }
    fl_run_free(&run);
}

/* Each sample's expert in the order of the draws, counted by label. */
static void random_routes(void)
{
    fl_run run;
    ddome_error error;
    test_case("control: gate = random routes each sample by its stream");
    if (test_federation(&run, &error, "gate=random")) {
        const fl_evaluation e = evaluate(&run);
        uint64_t routed[2 * 4] = {0};
        for (size_t c = 0; c < e.clients; c++) {
            const data_client *client = &run.evaluator->clients[c];
            nn_rng rng = nn_rng_at(run.config.seed, NN_STREAM_GATE_ROUTE, 0, 0, client->id);
            for (size_t i = 0; i < client->count; i++) {
                const uint32_t label = run.task.set.test.labels[client->samples[i]];
                routed[nn_rng_below(&rng, 2) * 4 + label]++;
            }
        }
        test_same_bytes("routed", e.routed, routed, sizeof routed);
        CHECK(e.anchor_own > 0 && e.anchor_own < e.anchor_total);
    }
    fl_run_free(&run);
}

/* ---- gate = oracle ---- */

static void oracle(void)
{
    fl_run run;
    ddome_error error;
    test_case("control: gate = oracle routes every anchor sample to its own expert");
    if (test_federation(&run, &error, WIDE "gate=oracle top_k=1 active_normal=4")) {
        const data_client *clients = run.task.partition.clients;
        const uint8_t *labels = run.task.set.train.labels;
        const fl_evaluation e = evaluate(&run);
        test_same_u64("own", e.anchor_own, e.anchor_total);
        test_same_u64("samples of anchors", e.anchor_total, clients[0].count + clients[1].count);
        for (uint32_t label = 0; label < 8; label++) {
            bool held[2] = {false, false};
            for (size_t q = 0; q < 2; q++)
                for (size_t i = 0; i < clients[q].count; i++)
                    held[q] = held[q] || labels[clients[q].samples[i]] == label;
            test_same_u64("expert of a label", run.control.oracle[label],
                          held[1] || (!held[0] && label % 2 == 1));
        }
        test_case("control: gate = oracle chooses the expert of most of a client's samples");
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        for (size_t v = 0; v < run.active; v++) {
            const data_client *client = run.visits[v].client;
            size_t count[2] = {0, 0};
            for (size_t i = 0; i < client->count && !run.visits[v].anchor; i++)
                count[run.control.oracle[labels[client->samples[i]]]]++;
            if (!run.visits[v].anchor)
                test_same_u64("expert", run.visits[v].chosen[0], count[1] > count[0]);
        }
    }
    fl_run_free(&run);
}

/* With K = M every sample trains its own expert alone: an expert of which no sample is has only
 * zeros as gradients, and no weight decay moves it. */
static void oracle_trains_its_own(void)
{
    fl_run run;
    ddome_error error;
    test_case("control: gate = oracle trains the sample's own expert alone");
    if (test_federation(&run, &error, "gate=oracle anchors=none active_anchors=0 momentum=0")) {
        const data_client *client;
        float *before = test_floats(run.expert.layout.total);
        memcpy(before, run.server.expert[1].values, run.expert.layout.total * sizeof *before);
        for (size_t label = 0; label < 4; label++)
            run.control.oracle[label] = 0;
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        client = run.visits[0].client;
        CHECK(run.server.expert[1].returned == run.active && client->count > 0);
        for (size_t i = 0; i < run.expert.layout.total; i++)
            if (run.server.expert[1].values[i] != before[i]) {
                test_same_floats("expert 1", run.server.expert[1].values, before,
                                 run.expert.layout.total);
                break;
            }
        test_release();
    }
    fl_run_free(&run);
}

/* ---- gate = frozen, order ---- */

/* Which of both moves from its start in these rounds. */
static void moves(const char *keys, uint32_t rounds, bool gate, bool experts)
{
    fl_run run;
    ddome_error error;
    test_case("control: %s in %u rounds: gate %s, experts %s", keys, (unsigned)rounds,
              gate ? "moves" : "stays", experts ? "move" : "stay");
    if (test_federation(&run, &error, keys)) {
        const nn_digest g = run.server.gate.hash, first = run.server.expert[0].hash,
                        second = run.server.expert[1].hash;
        rounds_of(&run, rounds);
        CHECK((memcmp(&g, &run.server.gate.hash, sizeof g) != 0) == gate);
        CHECK((memcmp(&first, &run.server.expert[0].hash, sizeof g) != 0) == experts);
        CHECK((memcmp(&second, &run.server.expert[1].hash, sizeof g) != 0) == experts);
    }
    fl_run_free(&run);
}

/* The loss of an anchor in a round of the gate alone is that of the gate, and its expert does not
 * travel. */
static void anchor_of_gate_first(void)
{
    fl_run run;
    ddome_error error;
    test_case("control: an anchor in a round of the gate alone");
    if (test_federation(&run, &error,
                        "order=gate-first active_normal=0 batch=100 anchor_gate_weight=0.5")) {
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        const data_client *client = run.visits[0].client;
        const uint32_t own = run.visits[0].chosen[0];
        float *logits = test_floats(client->count * 2), *row = test_floats(client->count);
        float *start = test_floats(run.gate.layout.total);
        uint32_t *order = test_bytes(client->count, sizeof *order);
        nn_rng shuffle = nn_rng_at(run.config.seed, NN_STREAM_SHUFFLE, 0, 1, client->id);
        memcpy(order, client->samples, client->count * sizeof *order);
        nn_rng_shuffle(&shuffle, order, client->count);
        nn_layout_init(start, &run.gate.layout, run.config.seed, NN_STREAM_INIT_GATE, 0);
        CHECK(fl_gate_logits(&run.engine, &error, &run.scratch, logits, &run.gate, start,
                             &run.train, order, client->count, NULL) == DDOME_OK);
        for (size_t i = 0; i < client->count; i++)
            row[i] = nn_cross_entropy_row(logits + 2 * i, 2, own);
        const float loss = nn_sum(row, client->count) / (float)client->count;
        test_same_floats("loss", &run.visits[0].loss, &loss, 1);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- anchors ---- */

static void wrong_anchors(void)
{
    fl_run run;
    ddome_error error;
    size_t own = 0, other = 0;
    test_case("control: anchors = wrong draws the anchor's expert in every round");
    if (test_federation(&run, &error, "anchors=wrong active_anchors=2 active_normal=0")) {
        for (uint32_t round = 1; round <= 12; round++) {
            uint32_t experts[2] = {0, 1};
            nn_rng rng = nn_rng_at(run.config.seed, NN_STREAM_WRONG_ANCHOR, 0, round, 0);
            nn_rng_shuffle(&rng, experts, 2);
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            for (size_t i = 0; i < 2; i++) {
                test_same_u64("expert", run.visits[i].chosen[0], experts[i]);
                own += experts[i] == i;
                other += experts[i] != i;
            }
        }
        CHECK(own > 0 && other > 0);
    }
    fl_run_free(&run);
}

static void no_anchors(void)
{
    fl_run run, want;
    ddome_error error, want_error;
    memset(&want, 0, sizeof want);
    test_case("control: anchors = none: the same participants, all of them normal clients");
    if (test_federation(&run, &error, "anchors=none") && test_federation(&want, &want_error, "")) {
        for (uint32_t round = 1; round <= 3; round++) {
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            test_status("a round", test_round(&want, round), DDOME_OK, &want_error, NULL);
            test_same_bytes("participants", run.participants, want.participants,
                            run.active * sizeof *run.participants);
            for (size_t i = 0; i < run.active; i++)
                CHECK(run.visits[i].k == 2 && !run.visits[i].anchor);
        }
        test_same_u64("samples of anchors", evaluate(&run).anchor_total, 0);
    }
    fl_run_free(&run);
    fl_run_free(&want);
}

/* The nearest clients to two centres, and strata of them and of all others. */
static void cluster_anchors(void)
{
    fl_run run;
    ddome_error error;
    test_case("control: anchors = cluster: its anchors are drawn as anchors, all others as normal");
    if (test_federation(&run, &error, "anchors=cluster anchor_clients=1 active_normal=3 seed=3")) {
        CHECK(run.control.anchors == 2 && run.control.anchor[0] != run.control.anchor[1]);
        for (uint32_t round = 1; round <= 6; round++) {
            size_t anchors = 0;
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            for (size_t i = 0; i < run.active; i++) {
                const fl_visit *visit = &run.visits[i];
                CHECK(i == 0 || run.participants[i - 1] < run.participants[i]);
                anchors += visit->anchor;
                if (visit->anchor)
                    test_same_u64("client", run.control.anchor[visit->chosen[0]],
                                  visit->client->id);
            }
            test_same_u64("anchors", anchors, 1);
        }
    }
    fl_run_free(&run);
}

/* ---- test = mixture ---- */

/* With K = 1 the mixture is the one expert: 1 * z from +0, which keeps all but a -0. */
static void mixture_of_one(void)
{
    fl_run run, want;
    ddome_error error, want_error;
    memset(&want, 0, sizeof want);
    test_case("control: test = mixture with K = 1 predicts as argmax does");
    if (test_federation(&run, &error, "test=mixture top_k=1") &&
        test_federation(&want, &want_error, "top_k=1")) {
        rounds_of(&run, 1);
        rounds_of(&want, 1);
        const fl_evaluation got = evaluate(&run), expected = evaluate(&want);
        for (size_t i = 0; i < expected.clients; i++) {
            test_same_u64("right", got.client[i].correct, expected.client[i].correct);
            test_same_floats("loss", &got.client[i].loss, &expected.client[i].loss, 1);
        }
        test_same_bytes("routed", got.routed, expected.routed, 2 * 4 * sizeof *got.routed);
    }
    fl_run_free(&run);
    fl_run_free(&want);
}

/* Weights of a half each: z_j = (0.5 * a_j) + (0.5 * b_j). */
static void mixture_of_two(void)
{
    fl_run run;
    ddome_error error;
    test_case("control: test = mixture of two experts by hand");
    if (test_federation(&run, &error, "test=mixture gate=random")) {
        const data_client *client = &run.evaluator->clients[0];
        const size_t count = client->count, all = count * 4;
        float *a = test_floats(all), *b = test_floats(all), *row = test_floats(count);
        float *values[2] = {run.server.expert[0].values, run.server.expert[1].values};
        for (size_t e = 0; e < 2; e++)
            CHECK(fl_model_predict(&run.engine, &error, &run.scratch, e == 0 ? a : b, NULL,
                                   &run.expert, values[e], &run.task.set, &run.task.set.test,
                                   client->samples, count) == DDOME_OK);
        size_t right = 0;
        for (size_t i = 0; i < count; i++) {
            const uint32_t label = run.task.set.test.labels[client->samples[i]];
            float z[4];
            for (size_t j = 0; j < 4; j++) {
                const float first = 0.5f * a[4 * i + j], second = 0.5f * b[4 * i + j];
                z[j] = first + second;
            }
            right += fl_argmax(z, 4) == label;
            row[i] = nn_cross_entropy_row(z, 4, label);
        }
        const fl_evaluation e = evaluate(&run);
        const float loss = nn_sum(row, count) / (float)count;
        test_same_u64("right", e.client[0].correct, right);
        test_same_floats("loss", &e.client[0].loss, &loss, 1);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- shares ---- */

static void shares(const char *keys, size_t anchors)
{
    fl_run run;
    ddome_error error;
    test_case("control: %lu anchors a round: %s", (unsigned long)anchors, keys);
    if (test_federation(&run, &error, keys)) {
        rounds_of(&run, 2);
        size_t found = 0;
        for (size_t i = 0; i < run.active; i++)
            found += run.visits[i].anchor;
        test_same_u64("anchors", found, anchors);
        test_same_u64("anchors of the partition", run.task.partition.anchors, run.config.experts);
    }
    fl_run_free(&run);
}

/* Memory that runs out at any allocation of a set-up or a round. */
static void no_memory(const char *keys)
{
    size_t failures = 0;
    bool failed = true;
    test_case("control: running out of memory: %s", keys);
    while (failed && failures < 3000) {
        fl_run run;
        ddome_error error;
        failed = false;
        if (test_federation_init(&run, &error, keys)) {
            run.scratch.fail_after = run.scratch.allocations + failures + 1;
            ddome_status status = fl_run_set_up(&run);
            for (uint32_t round = 1; round <= 2 && status == DDOME_OK; round++)
                status = test_round(&run, round);
            failed = status != DDOME_OK;
            if (failed &&
                !test_status("a round", status, DDOME_ERR_MEMORY, &error, "out of memory"))
                failed = false;
        }
        fl_run_free(&run);
        failures += failed;
    }
    CHECK(failures > 20 && failures < 3000);
}

void t_control(void)
{
    same_as_default("gate=learned anchors=label test=argmax order=joint schedule=all dropout=0 "
                    "straggler=0 straggler_share=0.1 order_rounds=2 common_every=0");
    threads("gate=random test=mixture");
    threads("gate=oracle anchors=cluster");
    threads("gate=frozen common_every=1");
    threads("order=gate-first anchors=wrong dropout=0.4 straggler=0.5");
    threads("arch=resnet34 width=2 order=experts-first order_rounds=1 active_normal=2 batch=16");
    threads("schedule=switch schedule_groups=2 schedule_rounds=1 schedule_by=label");
    random_choice();
    random_routes();
    oracle();
    oracle_trains_its_own();
    moves("gate=frozen", 3, false, true);
    moves("order=experts-first order_rounds=2", 2, false, true);
    moves("order=gate-first order_rounds=2", 2, true, false);
    moves("order=gate-first order_rounds=2", 3, true, true);
    anchor_of_gate_first();
    wrong_anchors();
    no_anchors();
    cluster_anchors();
    mixture_of_one();
    mixture_of_two();
    shares("active_anchors=0", 0);
    shares("active_anchors=2 experts=2 top_k=2", 2);
    shares("experts=3 top_k=3 active_anchors=3 clients=9 anchor_labels=1", 3);
    no_memory("gate=oracle anchors=cluster test=mixture rounds=2 batch=100 epochs=1");
    no_memory("order=gate-first rounds=2 common_every=1 batch=100");
    no_memory("algo=fedmix gate=oracle rounds=2 batch=100");
}

/* SPDX-License-Identifier: MIT */
/* A full tiny federation as golden text with its intermediates, and identities between algorithms.
 * SPEC 9 to 13. */
#include <stdio.h>
#include <string.h>

#include "../nn/sum.h"
#include "fixture.h"
#include "fl_fixture.h"

/* ---- golden rounds ---- */

static void add_hash(fl_text *text, const char *what, const float *values, size_t count)
{
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    nn_sha256_floats(&sha, values, count);
    const nn_digest digest = nn_sha256_end(&sha);
    fl_text_add(text, "%s ", what);
    fl_text_digest(text, &digest);
    fl_text_add(text, "\n");
}

static void add_server(fl_text *text, const fl_run *run)
{
    for (size_t i = 0; i < run->server.experts; i++)
        add_hash(text, i == 0 ? "expert 0" : "expert 1", run->server.expert[i].values,
                 run->expert.layout.total);
    if (run->server.gate.model != NULL)
        add_hash(text, "gate", run->server.gate.values, run->gate.layout.total);
}

/* What every participant did, its returned copies included. */
static void add_visit(fl_text *text, fl_run *run, uint32_t round, size_t i)
{
    fl_visit *visit = &run->visits[i];
    CHECK(fl_run_choose(run->error, &run->scratch, visit, run) == DDOME_OK);
    fl_text_add(text, "round %u client %u experts", (unsigned)round, (unsigned)visit->client->id);
    for (size_t j = 0; j < visit->k; j++)
        fl_text_add(text, " %u", (unsigned)visit->chosen[j]);
    fl_text_add(text, "\n");
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    CHECK(fl_server_send(run->error, &run->scratch, visit, &run->server) == DDOME_OK);
    CHECK(fl_client_train(run->error, &run->scratch, visit, &run->world) == DDOME_OK);
    CHECK(fl_server_take(run->error, &run->server, visit) == DDOME_OK);
    fl_text_add(text, "loss ");
    fl_text_float(text, visit->loss);
    fl_text_add(text, "\n");
    if (visit->gate != NULL)
        add_hash(text, "returned gate", visit->gate, run->gate.layout.total);
    for (size_t j = 0; j < visit->k; j++)
        add_hash(text, "returned expert", visit->expert[j], run->expert.layout.total);
    nn_arena_rewind(&run->scratch, mark);
}

static void add_evaluation(fl_text *text, fl_run *run)
{
    fl_evaluation evaluation;
    CHECK(fl_evaluate(run->error, &run->arena, &run->crew, &evaluation, run->evaluator,
                      &run->server) == DDOME_OK);
    fl_record_clients(text, 2, &evaluation, run->evaluator);
    fl_text_add(text, "anchors %lu of %lu\n", (unsigned long)evaluation.anchor_own,
                (unsigned long)evaluation.anchor_total);
}

/* SPEC 12.1, 12.2, 12.4; with augmented batches SPEC 7.7.2. */
static void golden(const char *name, const char *keys)
{
    fl_run run;
    ddome_error error;
    char file[64];
    test_case("round: two rounds of %s with intermediates", name);
    if (test_federation(&run, &error, keys)) {
        fl_text text = {.arena = &run.arena};
        if (run.common.values != NULL)
            add_hash(&text, "common", run.common.values, run.expert.layout.total);
        add_server(&text, &run);
        for (uint32_t round = 1; round <= 2; round++) {
            CHECK(fl_run_open_round(&run, round) == DDOME_OK);
            for (size_t i = 0; i < run.active; i++)
                add_visit(&text, &run, round, i);
            CHECK(fl_run_close_round(&run, round) == DDOME_OK);
            add_server(&text, &run);
        }
        add_evaluation(&text, &run);
        snprintf(file, sizeof file, "round_%s.txt", name);
        test_golden_text(file, text.data);
    }
    fl_run_free(&run);
}

/* ---- identities ---- */

/* Runs both for three rounds and compares expert 0 (SPEC 12.5). */
static void same_expert(const char *what, const char *keys, const char *other_keys)
{
    fl_run run, other;
    ddome_error error, other_error;
    test_case("round: %s", what);
    const bool ran = test_federation_rounds(&run, &error, keys, 3);
    if (test_federation_rounds(&other, &other_error, other_keys, 3) && ran)
        test_same_floats("expert 0", run.server.expert[0].values, other.server.expert[0].values,
                         run.expert.layout.total);
    fl_run_free(&run);
    fl_run_free(&other);
}

#define ONE "experts=1 top_k=1 anchor_clients=0 active_anchors=0 "
#define RESNET "arch=resnet34 width=2 "

/* The federation of one client, by hand. */
static void plain_sgd(float *values, const fl_run *run)
{
    const data_client *client = &run->task.partition.clients[0];
    const fl_config *config = &run->config;
    const nn_sgd sgd = {config->lr.value, config->momentum.value, 0};
    test_sgd s = test_sgd_start(run, values, &sgd, config->batch);
    uint32_t *order = test_bytes(client->count, sizeof *order);
    nn_rng rng = nn_rng_at(config->seed, NN_STREAM_SHUFFLE, 0, 1, 0);
    memcpy(order, client->samples, client->count * sizeof *order);
    nn_rng_shuffle(&rng, order, client->count);
    for (size_t at = 0; at < client->count; at += config->batch)
        test_sgd_batch(&s, order + at, client->count - at);
}

/* SPEC 7.7.2, 12.2. */
static void one_client_is_sgd(void)
{
    fl_run run;
    ddome_error error;
    test_case("round: one client and one epoch equal plain SGD");
    if (test_federation(&run, &error, ONE "algo=fedavg clients=1 active_normal=1 batch=4")) {
        float *values = test_floats(run.expert.layout.total);
        memcpy(values, run.server.expert[0].values, run.expert.layout.total * sizeof *values);
        plain_sgd(values, &run);
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_floats("weights", run.server.expert[0].values, values, run.expert.layout.total);
        test_release();
    }
    fl_run_free(&run);
}

/* An anchor never touches another expert; an expert nobody trained stays, to the bit
 * (SPEC 11.5). */
static void untouched_expert_stays(void)
{
    fl_run run;
    ddome_error error;
    test_case("round: an expert that nobody trained stays as it is");
    if (test_federation(&run, &error, "active_anchors=1 active_normal=0")) {
        float *before = test_floats(run.expert.layout.total);
        CHECK(fl_run_open_round(&run, 1) == DDOME_OK);
        const uint32_t other = 1 - run.participants[0];
        memcpy(before, run.server.expert[other].values, run.expert.layout.total * sizeof *before);
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_floats("the other expert", run.server.expert[other].values, before,
                         run.expert.layout.total);
        CHECK(run.server.expert[1 - other].returned == 1);
        test_release();
    }
    fl_run_free(&run);
}

/* SPEC 2.7. */
static void diverging_run_stops(void)
{
    fl_run run;
    ddome_error error;
    ddome_status status = DDOME_OK;
    test_case("round: a loss that is not finite ends the run with status 7");
    if (test_federation(&run, &error, "algo=fedavg lr=1000 momentum=0.9 epochs=4"))
        for (uint32_t round = 1; round <= 8 && status == DDOME_OK; round++)
            status = test_round(&run, round);
    test_status("a diverging run", status, DDOME_ERR_NONFINITE, &error, "not finite");
    fl_run_free(&run);
}

void t_round(void)
{
    golden("ddome", "");
    golden("fedavg", "algo=fedavg init=common");
    golden("resnet", RESNET "mix=probs augment=true epochs=2 active_normal=1");
    golden("group_norm", RESNET "norm=group gn_channels=2 active_normal=1");
    same_expert("DDOME with M = K = 1 and no anchors is FedAvg", ONE "algo=ddome",
                ONE "algo=fedavg");
    same_expert("DDOME with M = K = 1 is FedAvg with ResNet-34 and its statistics",
                ONE RESNET "algo=ddome active_normal=2", ONE RESNET "algo=fedavg active_normal=2");
    one_client_is_sgd();
    untouched_expert_stays();
    diverging_run_stops();
}

/* SPDX-License-Identifier: MIT */
/* Groups of clients, lost answers, slow clients, a common expert that is trained on: draws against
 * their streams, averages by hand, bytes, plans. SPEC 11.9 to 11.12. */
#include <stdlib.h>
#include <string.h>

#include "../fl/plan.h"
#include "../fl/sample.h"
#include "../fl/schedule.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_schedule(void);

static bool drawn_below(const fl_run *run, nn_stream stream, uint32_t round, uint32_t client,
                        float bound)
{
    nn_rng rng = nn_rng_at(run->config.seed, stream, 0, round, client);
    return nn_rng_uniform(&rng) < bound;
}

/* ---- drop-out ---- */

static void lost_by_stream(void)
{
    fl_run run;
    ddome_error error;
    size_t lost = 0, all = 0;
    test_case("schedule: answers are lost by their stream, down counts and up does not");
    if (test_federation(&run, &error, "dropout=0.5")) {
        const uint64_t p = nn_layout_bytes(&run.expert.layout),
                       g = nn_layout_bytes(&run.gate.layout);
        for (uint32_t round = 1; round <= 8; round++) {
            uint64_t up = 0, trips = 0;
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            for (size_t i = 0; i < run.active; i++) {
                const fl_visit *visit = &run.visits[i];
                CHECK(visit->lost ==
                      drawn_below(&run, NN_STREAM_DROPOUT, round, visit->client->id, 0.5f));
                up += visit->anchor ? 0 : 8;
                up += visit->lost ? 0 : g + visit->k * p;
                trips += !visit->anchor;
                trips += !visit->lost;
                lost += visit->lost;
                all++;
            }
            test_same_u64("down", run.traffic.down, 3 * g + 5 * p);
            test_same_u64("up", run.traffic.up, up);
            test_same_u64("round trips", run.traffic.round_trips, trips);
        }
        CHECK(lost > 4 && lost < all - 4);
    }
    fl_run_free(&run);
}

/* The average of those that answered is that of a round with nobody else. */
static void not_in_averages(void)
{
    fl_run run;
    ddome_error error;
    test_case("schedule: lost answers are in no average");
    if (test_federation(&run, &error, "algo=fedavg active_normal=5 active_anchors=2 dropout=0.4")) {
        const size_t total = run.expert.layout.total;
        double *sum = test_bytes(total, sizeof *sum), weight = 0;
        float *mean = test_floats(total);
        size_t lost = 0;
        memset(sum, 0, total * sizeof *sum);
        CHECK(fl_run_open_round(&run, 1) == DDOME_OK);
        for (size_t i = 0; i < run.active; i++) {
            fl_visit visit = run.visits[i];
            lost += visit.lost;
            if (visit.lost)
                continue;
            CHECK(test_client(&error, &run.scratch, &visit, &run) == DDOME_OK);
            for (size_t j = 0; j < total; j++) {
                const double product = (double)visit.client->count * (double)visit.expert[0][j];
                sum[j] = sum[j] + product;
            }
            weight = weight + (double)visit.client->count;
        }
        for (size_t j = 0; j < total; j++)
            mean[j] = (float)(sum[j] / weight);
        CHECK(lost > 0 && lost < run.active);
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_floats("average", run.server.expert[0].values, mean, total);
        test_release();
    }
    fl_run_free(&run);
}

static void all_lost(void)
{
    fl_run run;
    ddome_error error;
    test_case("schedule: a round in which all are lost leaves the models");
    if (test_federation(&run, &error, "dropout=1")) {
        const nn_digest gate = run.server.gate.hash, expert = run.server.expert[0].hash;
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_bytes("gate", &run.server.gate.hash, &gate, sizeof gate);
        test_same_bytes("expert", &run.server.expert[0].hash, &expert, sizeof expert);
        test_same_u64("up", run.traffic.up, 2 * 8);
        CHECK(strstr(run.record.rounds.text.data, "\"loss\":[null,null,null]") != NULL);
        CHECK(strstr(run.record.rounds.text.data, "\"lost\":[") != NULL);
    }
    fl_run_free(&run);
}

/* ---- stragglers ---- */

/* 10 samples in batches of 4: 3 an epoch, 6 in all. */
static void batches(void)
{
    static const struct {
        const char *share;
        size_t batches, samples;
    } cases[] = {{"0.01", 1, 4}, {"0.33", 1, 4}, {"0.34", 2, 8},  {"0.5", 3, 10},
                 {"0.7", 4, 14}, {"0.9", 5, 18}, {"0.99", 5, 18}, {"1", 6, 20}};
    fl_config config;
    ddome_error error = {DDOME_OK, ""};
    test_case("schedule: batches and samples of a slow client");
    CHECK(test_federation_keys(&config, "epochs=2"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(fl_config_set(&error, &config, "straggler_share", cases[i].share) == DDOME_OK);
        test_same_u64(cases[i].share, fl_schedule_batches(&config, 10, true), cases[i].batches);
        test_same_u64(cases[i].share, fl_schedule_samples(&config, 10, true), cases[i].samples);
        test_same_u64("not slow", fl_schedule_batches(&config, 10, false), 6);
        test_same_u64("not slow", fl_schedule_samples(&config, 10, false), 20);
    }
}

static void slow_by_stream(void)
{
    fl_run run;
    ddome_error error;
    size_t slow = 0, all = 0;
    test_case("schedule: slow clients by their stream take a part of their steps");
    if (test_federation(&run, &error, "straggler=0.5 straggler_share=0.4 epochs=2")) {
        for (uint32_t round = 1; round <= 6; round++) {
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            for (size_t i = 0; i < run.active; i++) {
                const fl_visit *visit = &run.visits[i];
                CHECK(visit->slow ==
                      drawn_below(&run, NN_STREAM_STRAGGLER, round, visit->client->id, 0.5f));
                test_same_u64("steps", visit->steps, visit->slow ? 2 : 6);
                slow += visit->slow;
                all++;
            }
        }
        CHECK(slow > 2 && slow < all - 2);
        CHECK(strstr(run.record.rounds.text.data, "\"slow\":[") != NULL);
    }
    fl_run_free(&run);
}

/* ---- groups ---- */

/* 3 anchors and 7 others in 3 groups: 1 1 1 and 3 2 2. */
static void groups_by_id(void)
{
    static const uint32_t want[] = {0, 1, 2, 0, 0, 0, 1, 1, 2, 2};
    fl_run run;
    ddome_error error;
    test_case("schedule: groups by id are even shares of anchors and of others");
    if (test_federation_init(&run, &error,
                             "clients=10 experts=3 anchor_labels=1 schedule=grow schedule_rounds=1 "
                             "schedule_groups=3"))
        test_same_bytes("groups", run.control.group, want, sizeof want);
    fl_run_free(&run);
}

static void groups_by_label(void)
{
    fl_run run;
    ddome_error error;
    test_case("schedule: groups by label go by the most frequent one");
    if (test_federation_init(&run, &error,
                             "clients=12 partition=dirichlet min_size=1 anchor_clients=0 "
                             "active_anchors=0 schedule=switch schedule_groups=2 "
                             "schedule_by=label schedule_rounds=1"))
        for (size_t i = 0; i < 12; i++) {
            const data_client *client = &run.task.partition.clients[i];
            size_t count[4] = {0}, best = 0;
            for (size_t j = 0; j < client->count; j++)
                count[run.task.set.train.labels[client->samples[j]]]++;
            for (size_t label = 1; label < 4; label++)
                best = count[label] > count[best] ? label : best;
            test_same_u64("group", run.control.group[i], best >= 2);
        }
    fl_run_free(&run);
}

/* Participants of each round are of the groups that are there, and as many as there can be. */
static void active_groups(const char *keys, bool grow)
{
    fl_run run;
    ddome_error error;
    size_t seen[4] = {0};
    test_case("schedule: who takes part: %s", keys);
    if (test_federation(&run, &error, keys)) {
        for (uint32_t round = 1; round <= 10; round++) {
            const uint32_t step = (round - 1) / 2;
            size_t there[2] = {0, 0}; /* anchors and others */
            for (size_t i = 0; i < run.task.partition.training; i++)
                if (grow ? run.control.group[i] <= step : run.control.group[i] == step % 4)
                    there[i < run.task.partition.anchors ? 0 : 1]++;
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            test_same_u64("participants", run.active,
                          nn_min(run.config.active_anchors, there[0]) +
                              nn_min(run.config.active_normal, there[1]));
            for (size_t i = 0; i < run.active; i++) {
                const uint32_t group = run.control.group[run.participants[i]];
                CHECK(grow ? group <= step : group == step % 4);
                seen[group]++;
            }
        }
        for (size_t g = 0; g < 4; g++)
            CHECK(seen[g] > 0);
    }
    fl_run_free(&run);
}

static void empty_round(void)
{
    fl_run run;
    ddome_error error;
    test_case("schedule: a round in which nobody takes part leaves the models");
    if (test_federation(&run, &error,
                        "schedule=switch schedule_rounds=1 schedule_groups=5 active_anchors=1 "
                        "active_normal=0")) {
        /* 2 anchors in 5 groups: none in group 2 */
        const nn_digest *gate = &run.server.gate.hash;
        test_status("rounds", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_u64("participants", run.active, 1);
        const nn_digest before = *gate;
        test_status("rounds", test_round(&run, 3), DDOME_OK, &error, NULL);
        test_same_u64("participants", run.active, 0);
        test_same_bytes("gate", gate, &before, sizeof before);
    }
    fl_run_free(&run);
}

/* ---- common expert ---- */

/* One more epoch by hand: the rates, the order, the counter; then the embeddings. */
static void trained_on(void)
{
    fl_run run;
    ddome_error error;
    test_case("schedule: common_every trains the common expert on and embeds again");
    if (test_federation(&run, &error, "common_every=2 pretrain_momentum=0 active_normal=1")) {
        const data_partition *p = &run.task.partition;
        const size_t total = run.expert.layout.total, batch = run.config.pretrain_batch;
        const size_t steps = (p->pool_count + batch - 1) / batch;
        const nn_sgd sgd = {run.config.pretrain_lr.value, 0,
                            run.config.pretrain_weight_decay.value};
        float *values = test_floats(total);
        uint32_t *order = test_bytes(p->pool_count, sizeof *order);
        nn_rng rng = nn_rng_at(run.config.seed, NN_STREAM_COMMON_AGAIN, 0, 3, 0);
        memcpy(values, run.common.values, total * sizeof *values);
        memcpy(order, p->pool, p->pool_count * sizeof *order);
        nn_rng_shuffle(&rng, order, p->pool_count);
        test_sgd s = test_sgd_start(&run, values, &sgd, batch);
        for (size_t i = 0; i < steps; i++) {
            const float left = (float)(steps - i) / (float)steps;
            s.sgd.lr = run.config.pretrain_lr.value * left;
            test_sgd_batch(&s, order + i * batch, p->pool_count - i * batch);
        }
        const uint64_t before = run.common.batches;
        test_status("round 1", test_round(&run, 1), DDOME_OK, &error, NULL);
        const uint64_t down = run.traffic.down;
        test_status("round 2", test_round(&run, 2), DDOME_OK, &error, NULL);
        test_same_u64("round 2 down", run.traffic.down, down);
        test_same_u64("batches", run.common.batches, before);
        test_status("round 3", test_round(&run, 3), DDOME_OK, &error, NULL);
        test_same_u64("round 3 down", run.traffic.down,
                      down + 7 * nn_layout_bytes(&run.expert.layout));
        test_same_u64("batches", run.common.batches, before + steps);
        test_same_floats("common expert", run.common.values, values, total);
        float *features = test_floats(run.expert.features);
        const uint32_t *sample = p->clients[0].samples;
        CHECK(fl_model_predict(&run.engine, &error, &run.scratch, NULL, features, &run.expert,
                               values, &run.task.set, &run.task.set.train, sample, 1) == DDOME_OK);
        test_same_floats("embedding",
                         run.train.rows + run.train.slot[*sample] * run.expert.features, features,
                         run.expert.features);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- plans ---- */

static uint64_t samples_of(const fl_run *run)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < run->active; i++) {
        const fl_visit *visit = &run->visits[i];
        const uint64_t whole = visit->steps / 3, rest = visit->steps % 3; /* 10 in batches of 4 */
        sum += visit->lost ? 0 : 10 * whole + 4 * rest;
    }
    return sum;
}

static void plans(const char *keys)
{
    fl_run run, real;
    fl_plan plan;
    ddome_error error;
    test_case("schedule: the plan of what really happens: %s", keys);
    memset(&real, 0, sizeof real);
    if (test_federation_init(&run, &error, keys) &&
        test_status("plan", fl_plan_make(&plan, &run), DDOME_OK, &error, NULL) &&
        test_federation(&real, &error, keys)) {
        uint64_t samples = 0;
        fl_traffic all = plan.set_up;
        for (uint32_t round = 1; round <= real.config.rounds; round++) {
            test_status("a round", test_round(&real, round), DDOME_OK, &error, NULL);
            samples += samples_of(&real);
        }
        fl_traffic_add(&all, &plan.all.traffic);
        test_same_u64("down", all.down, real.record.total.down);
        test_same_u64("up", all.up, real.record.total.up);
        test_same_u64("messages", all.messages, real.record.total.messages);
        test_same_u64("round trips", all.round_trips, real.record.total.round_trips);
        test_same_u64("samples", plan.all.samples[0] + plan.all.samples[1], samples);
    }
    fl_run_free(&run);
    fl_run_free(&real);
}

/* ---- refusals: SPEC 16.4.10 to 16.4.13 ---- */

static void refused(const char *keys, const char *part)
{
    fl_config config;
    ddome_error error = {DDOME_OK, ""};
    if (test_federation_keys(&config, keys))
        test_status(keys, fl_config_check(&error, &config),
                    part == NULL ? DDOME_OK : DDOME_ERR_USAGE, &error, part);
}

static void refusals(void)
{
    test_case("schedule: controls that cannot be are refused, with keys, bound and mend");
    refused("algo=fedavg gate=oracle", "gate = oracle: expected an algorithm with a gate");
    refused("algo=fedavg anchors=none", "anchors = none: expected an algorithm with a gate");
    refused("algo=fedavg test=mixture", "test = mixture: expected an algorithm with a gate");
    refused("algo=fedavg order=gate-first", "order = gate-first: expected an algorithm");
    refused("algo=fedavg common_every=3", "common_every = 3: expected an algorithm with a gate");
    refused("anchors=wrong anchor_clients=0 active_anchors=0", "expected anchor_clients = experts");
    refused("anchors=cluster anchor_clients=0 experts=9 sampling=uniform", "at most clients = 7");
    refused("anchors=cluster active_anchors=3", "active_anchors = 3: expected at most experts = 2");
    refused("anchors=cluster active_normal=6", "expected at most clients - experts = 5");
    refused("order=gate-first gate=frozen",
            "order = gate-first: expected gate = learned, found gate = frozen");
    refused("order=gate-first rounds=1", "expected less than rounds = 1");
    refused("order=experts-first order_rounds=3", "order_rounds = 3: expected less than rounds");
    refused("common_every=2 gate=random", "learned or frozen with common_every");
    refused("schedule=grow schedule_groups=8", "schedule_groups = 8: expected at most clients = 7");
    refused("anchors=none anchor_clients=1", NULL);
    refused("anchors=cluster anchor_clients=0 active_anchors=2", NULL);
    refused("schedule=grow schedule_groups=1", "schedule_groups = 1: expected at least 2");
    refused("schedule=grow schedule_groups=2", "schedule_rounds = 200: expected less than rounds");
    refused("schedule=switch schedule_groups=2 schedule_rounds=3",
            "schedule_rounds = 3: expected less than rounds = 3");
    refused("common_every=3", "common_every = 3: expected less than rounds = 3");
    refused("anchors=wrong active_anchors=0", "active_anchors of at least 1, found 0");
    refused("anchors=wrong experts=1 top_k=1 active_anchors=1", "at least 2 experts, found");
    refused("anchors=wrong active_anchors=0 sampling=uniform", NULL);
    refused("schedule=grow schedule_groups=2 schedule_rounds=2 common_every=2", NULL);
    refused("algo=fedavg dropout=0.5 straggler=1 schedule=switch schedule_groups=2 "
            "schedule_rounds=1",
            NULL);
}

static void empty_group(void)
{
    fl_run run;
    fl_config config;
    ddome_error error = {DDOME_OK, ""};
    test_case("schedule: a group without a client is refused");
    memset(&run, 0, sizeof run);
    /* 4 classes reach 4 of the 7 groups */
    if (test_federation_keys(&config,
                             "schedule=grow schedule_groups=7 schedule_by=label schedule_rounds=1"))
        test_status("set-up", fl_run_init(&error, &run, &config, 1, NULL), DDOME_ERR_USAGE, &error,
                    "has no client");
    fl_run_free(&run);
}

void t_schedule(void)
{
    lost_by_stream();
    not_in_averages();
    all_lost();
    batches();
    slow_by_stream();
    groups_by_id();
    groups_by_label();
    active_groups("schedule=grow schedule_rounds=2 schedule_groups=4 clients=12 partition=iid",
                  true);
    active_groups("schedule=switch schedule_rounds=2 schedule_groups=4 clients=12 partition=iid",
                  false);
    active_groups("schedule=grow schedule_rounds=2 schedule_groups=4 clients=12 partition=iid "
                  "active_anchors=2 active_normal=10",
                  true); /* whoever is there takes part */
    empty_round();
    trained_on();
    plans("rounds=8 dropout=0.5 straggler=0.5 straggler_share=0.4");
    plans("rounds=6 schedule=grow schedule_rounds=2 schedule_groups=3 common_every=2 epochs=2");
    plans("rounds=4 order=gate-first anchors=wrong dropout=0.3");
    plans("rounds=4 gate=oracle anchors=cluster");
    plans("rounds=4 gate=random anchors=none algo=ddome");
    plans("rounds=5 algo=fedavg sampling=uniform dropout=0.3 schedule=switch schedule_groups=2 "
          "schedule_rounds=1");
    refusals();
    empty_group();
}

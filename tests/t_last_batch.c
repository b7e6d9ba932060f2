/* SPDX-License-Identifier: MIT */
/* last_batch = drop: which batches an epoch has, by counts, by SGD by hand, and in all that counts
 * them. SPEC 7.7.2, 11.11.1, 18.3.5. */
#include <string.h>

#include "../fl/plan.h"
#include "../fl/schedule.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_last_batch(void);

/* Batches of 4; of a slow client half of those of two epochs. */
static void counts(void)
{
    static const struct {
        const char *what;
        size_t samples, batches, kept, slow_batches, slow_kept;
    } cases[] = {{"one", 1, 1, 1, 1, 1},     {"a batch less one", 3, 1, 3, 1, 3},
                 {"a batch", 4, 1, 4, 1, 4}, {"a batch and one", 5, 1, 4, 1, 4},
                 {"two", 8, 2, 8, 2, 8},     {"three less one", 11, 2, 8, 2, 8},
                 {"three", 12, 3, 12, 3, 12}};
    fl_config config;
    test_case("last batch: batches and samples of an epoch, and of a slow visit of two");
    CHECK(test_federation_keys(&config, "last_batch=drop epochs=2 straggler_share=0.5"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = cases[i].samples;
        test_same_u64(cases[i].what, fl_schedule_epoch(&config, n), cases[i].batches);
        test_same_u64(cases[i].what, fl_schedule_epoch_samples(&config, n), cases[i].kept);
        test_same_u64(cases[i].what, fl_schedule_batches(&config, n, false), 2 * cases[i].batches);
        test_same_u64(cases[i].what, fl_schedule_samples(&config, n, false), 2 * cases[i].kept);
        test_same_u64(cases[i].what, fl_schedule_batches(&config, n, true), cases[i].slow_batches);
        test_same_u64(cases[i].what, fl_schedule_samples(&config, n, true), cases[i].slow_kept);
    }
}

/* 10 samples of one client, `used` of them in batches of `batch`, one epoch. */
static void by_hand(const char *keys, size_t used)
{
    fl_run run;
    ddome_error error;
    test_case("last batch: SGD by hand: %s", keys);
    if (test_federation(&run, &error, keys)) {
        const data_client *client = &run.task.partition.clients[0];
        const fl_config *config = &run.config;
        const nn_sgd sgd = {config->lr.value, config->momentum.value, 0};
        float *values = test_floats(run.expert.layout.total);
        uint32_t *order = test_bytes(client->count, sizeof *order);
        nn_rng rng = nn_rng_at(config->seed, NN_STREAM_SHUFFLE, 0, 1, 0);
        memcpy(values, run.server.expert[0].values, run.expert.layout.total * sizeof *values);
        memcpy(order, client->samples, client->count * sizeof *order);
        nn_rng_shuffle(&rng, order, client->count);
        test_sgd s = test_sgd_start(&run, values, &sgd, config->batch);
        for (size_t at = 0; at < used; at += config->batch)
            test_sgd_batch(&s, order + at, used - at);
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_floats("weights", run.server.expert[0].values, values, run.expert.layout.total);
        test_same_u64("steps", run.visits[0].steps, s.steps);
        test_release();
    }
    fl_run_free(&run);
}

/* Whole batches alone: both words are the same run; a partial one tells them apart. */
static void against_keep(const char *keys, const char *keep, bool same)
{
    fl_run run, other;
    ddome_error error, other_error;
    test_case("last batch: %s, %s", keys, same ? "as it is kept" : "not as it is kept");
    const bool ran = test_federation_rounds(&run, &error, keys, 2);
    if (test_federation_rounds(&other, &other_error, keep, 2) && ran)
        CHECK(same == (memcmp(run.server.expert[0].values, other.server.expert[0].values,
                              run.expert.layout.total * sizeof(float)) == 0));
    fl_run_free(&run);
    fl_run_free(&other);
}

/* Samples of the plan are those of the steps taken: 10 in batches of 4, so 4 each. */
static void plans(const char *keys)
{
    fl_run run, real;
    fl_plan plan;
    ddome_error error;
    test_case("last batch: the plan of what really happens: %s", keys);
    memset(&real, 0, sizeof real);
    if (test_federation_init(&run, &error, keys) &&
        test_status("plan", fl_plan_make(&plan, &run), DDOME_OK, &error, NULL) &&
        test_federation(&real, &error, keys)) {
        uint64_t samples = 0;
        for (uint32_t round = 1; round <= real.config.rounds; round++) {
            test_status("a round", test_round(&real, round), DDOME_OK, &error, NULL);
            for (size_t i = 0; i < real.active; i++)
                samples += real.visits[i].lost ? 0 : 4 * real.visits[i].steps;
        }
        test_same_u64("samples", plan.all.samples[0] + plan.all.samples[1], samples);
        CHECK(samples != 0);
    }
    fl_run_free(&run);
    fl_run_free(&real);
}

#define ONE "algo=fedavg clients=1 anchor_clients=0 active_anchors=0 active_normal=1 "
#define DROP "last_batch=drop "

void t_last_batch(void)
{
    counts();
    by_hand(ONE DROP "batch=4", 8);
    by_hand(ONE DROP "batch=5", 10);
    by_hand(ONE DROP "batch=9", 9);
    by_hand(ONE DROP "batch=11", 10);
    by_hand(ONE "batch=4", 10);
    against_keep(DROP "samples_per_client=8 epochs=2", "samples_per_client=8 epochs=2", true);
    against_keep(DROP "epochs=2", "epochs=2", false);
    against_keep(DROP "algo=scaffold augment=true", "algo=scaffold augment=true", false);
    against_keep(DROP "algo=ensemble samples_per_client=3", "algo=ensemble samples_per_client=3",
                 true);
    plans(DROP "rounds=6 dropout=0.3 straggler=0.5 straggler_share=0.6 epochs=3");
}

/* SPDX-License-Identifier: MIT */
/* Every number of a checkpoint at its bounds, which are taken, and one beyond, which is refused.
 * SPEC 17.6.7. */
#include "../fl/bounds.h"

#include <stdio.h>
#include <string.h>

#include "../fl/schedule.h"
#include "state_fixture.h"

void t_bounds(void);

/* Evaluations after rounds 2 and 4 of 5: there is an update since. */
enum { ROUNDS = 5 };
static const char usual[] = "rounds=9 eval_every=2";

/* ---- one number ---- */

/* Little-endian. */
static void to_bytes(unsigned char bytes[8], uint64_t value)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
}

static bool one_line(const ddome_error *error)
{
    return error->text[0] != '\0' && strchr(error->text, '\n') == NULL;
}

/* `part` NULL: it is taken. */
static void put(test_saved *s, const char *tensor, size_t at, const unsigned char *bytes,
                size_t count, const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    const test_change change = {.tensor = tensor, .bytes = bytes, .count = count, .how = CHANGED};
    const ddome_status status = test_saved_change(s, &error, &change, at);
    test_status(tensor, status, part == NULL ? DDOME_OK : DDOME_ERR_RESUME, &error, part);
    CHECK(part == NULL || one_line(&error));
}

static void put_number(test_saved *s, const char *tensor, size_t width, uint64_t value, bool taken)
{
    unsigned char bytes[8];
    char part[80];
    snprintf(part, sizeof part, "tensor %s: expected ", tensor);
    to_bytes(bytes, value);
    put(s, tensor, 0, bytes, width, taken ? NULL : part);
}

/* The first number of a tensor of so many bytes a number. */
static void up_to(test_saved *s, const char *tensor, size_t width, uint64_t most)
{
    put_number(s, tensor, width, most, true);
    put_number(s, tensor, width, most + 1, false);
    put_number(s, tensor, width, width == 4 ? UINT32_MAX : UINT64_MAX, false);
}

static void between(test_saved *s, const char *tensor, size_t width, uint64_t least, uint64_t most)
{
    put_number(s, tensor, width, least, true);
    if (least != 0)
        put_number(s, tensor, width, least - 1, false);
    up_to(s, tensor, width, most);
}

static void put_real(test_saved *s, const char *tensor, double value, const char *part)
{
    unsigned char bytes[8];
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    to_bytes(bytes, bits);
    put(s, tensor, 0, bytes, 8, part);
}

static void real_between(test_saved *s, const char *tensor, double least, double most)
{
    char part[80];
    snprintf(part, sizeof part, "tensor %s: expected ", tensor);
    put_real(s, tensor, least, NULL);
    put_real(s, tensor, most, NULL);
    put_real(s, tensor, least - 0x1p-20, part);
    put_real(s, tensor, most + 0x1p-20, part);
    put_real(s, tensor, 1.7e308, part);
    put_real(s, tensor, -1.7e308, part);
}

/* ---- the parts of a run ---- */

static void common_expert(void)
{
    static const char *const keys[] = {"rounds=9 pretrain_epochs=3 pretrain_target=0",
                                       "rounds=9 pretrain_epochs=3 pretrain_target=0 "
                                       "common_every=2"};
    test_saved s;
    for (size_t i = 0; i < 2; i++) {
        test_case("bounds: the common expert, pretrained %s", i == 0 ? "once" : "and renewed");
        if (test_saved_make(&s, keys[i], ROUNDS)) {
            const size_t held = s.run.task.partition.held_count, renewals = i == 0 ? 0 : 2;
            const uint64_t steps = (s.run.task.partition.pool_count + 31) / 32;
            test_same_u64("epochs", s.run.common.epochs, 1);
            between(&s, "common.batches", 8, (1 + renewals) * steps, (1 + renewals) * steps);
            between(&s, "common.correct", 8, 0, held);
            between(&s, "common.total", 8, held, held);
            put_number(&s, "common.epochs", 8, 0, false);
            put_number(&s, "common.epochs", 8, 4, false);
            put_number(&s, "common.epochs", 8, UINT64_MAX, false);
        }
        test_saved_free(&s);
    }
}

/* What it was trained before is not known here, but how it was counted. */
static void given_expert(void)
{
    test_saved s;
    test_case("bounds: a common expert that was given and renewed");
    if (test_saved_make(&s, "rounds=9 common_every=2 init=common", ROUNDS)) {
        const uint64_t steps = (s.run.task.partition.pool_count + 31) / 32;
        strcpy(s.run.config.common, "given");
        s.run.common = (fl_common){.values = s.run.common.values,
                                   .floats = s.run.common.floats,
                                   .given = UINT64_MAX,
                                   .batches = UINT64_MAX + 2 * steps};
        for (size_t i = 0; i < s.run.server.experts; i++)
            s.run.server.expert[i].batches = 0; /* one more than at the start */
        ddome_status status = test_saved_write(&s);
        test_status("write", status, DDOME_OK, &s.error, NULL);
        between(&s, "common.batches", 8, 2 * steps - 1, 2 * steps - 1);
        between(&s, "common.epochs", 8, 0, 0);
        between(&s, "common.correct", 8, 0, 0);
        between(&s, "common.total", 8, 0, 0);
        put_number(&s, "expert_0000000.batches", 8, UINT64_MAX, true);
        put_number(&s, "expert_0000000.batches", 8, UINT64_MAX - 1, false);
    }
    test_saved_free(&s);
}

/* A visit trains ceil(samples / 4) batches in one epoch. */
static uint64_t most_steps(const fl_run *run)
{
    uint64_t most = 0;
    for (size_t i = 0; i < run->task.partition.training; i++)
        most = nn_max(most, (run->task.partition.clients[i].count + 3) / 4);
    return most;
}

static void models(void)
{
    static const char *const keys[] = {usual, "rounds=9 eval_every=2 init=common"};
    test_saved s;
    for (size_t i = 0; i < 2; i++) {
        test_case("bounds: counters of models, %s", keys[i]);
        if (test_saved_make(&s, keys[i], ROUNDS)) {
            const uint64_t start = i == 0 ? 0 : s.run.common.batches;
            between(&s, "expert_0000001.batches", 8, start, start + ROUNDS * most_steps(&s.run));
            between(&s, "gate_0000000.batches", 8, 0, 0);
        }
        test_saved_free(&s);
    }
    test_case("bounds: counters of clients' own models");
    if (test_saved_make(&s, "algo=local eval_scope=seen local_budget=full", 2))
        between(&s, "own_0000003.batches", 8, 0, 2 * most_steps(&s.run));
    test_saved_free(&s);
}

/* An anchor and two others a round, who choose both experts (SPEC 11.2); the common expert goes to
 * seven clients before the rounds and with every renewal. */
static void traffic(void)
{
    test_saved s;
    for (size_t every = 0; every <= 2; every += 2) {
        char keys[64];
        test_case("bounds: traffic, common_every=%lu", (unsigned long)every);
        snprintf(keys, sizeof keys, "%s common_every=%lu", usual, (unsigned long)every);
        if (test_saved_make(&s, keys, ROUNDS)) {
            const uint64_t p = nn_layout_bytes(&s.run.expert.layout),
                           g = nn_layout_bytes(&s.run.gate.layout), visits = ROUNDS * 3,
                           sent = every == 0 ? 7 : 7 * 3;
            between(&s, "traffic.down", 8, 0, sent * p + visits * (g + 2 * p));
            between(&s, "traffic.up", 8, 0, visits * (g + 2 * p + 8));
            between(&s, "traffic.messages", 8, 0, sent + visits * 4);
            between(&s, "traffic.round_trips", 8, 0, visits * 2);
            CHECK(s.run.done == ROUNDS);
        }
        test_saved_free(&s);
    }
    test_case("bounds: traffic of anchors alone, each of which has one expert");
    if (test_saved_make(&s, "rounds=9 eval_every=2 clients=2 active_normal=0", ROUNDS)) {
        const uint64_t p = nn_layout_bytes(&s.run.expert.layout),
                       g = nn_layout_bytes(&s.run.gate.layout);
        between(&s, "traffic.down", 8, 0, 2 * p + ROUNDS * (g + p));
        between(&s, "traffic.up", 8, 0, ROUNDS * (g + p));
    }
    test_saved_free(&s);
}

static void evaluations(void)
{
    test_saved s;
    test_case("bounds: evaluations are as many as the rounds have, accuracies of 0 to 1");
    if (test_saved_make(&s, usual, ROUNDS)) {
        const double last = s.run.record.means[1];
        between(&s, "evaluations", 8, 2, 2);
        real_between(&s, "evaluation.means", 0, 1);
        real_between(&s, "evaluation.last_least", 0, 1);
        real_between(&s, "evaluation.last_mean", last, last);
    }
    test_saved_free(&s);
    test_case("bounds: nothing was evaluated before the first evaluation");
    if (test_saved_make(&s, usual, 1)) {
        real_between(&s, "evaluation.last_least", 0, 0);
        real_between(&s, "evaluation.last_mean", 0, 0);
        between(&s, "watch_0000000.best", 8, 0, 0);
        between(&s, "watch_0000000.common", 8, 0, 0);
        put(&s, "watch.begun", 0, (const unsigned char *)"\1", 1, "expected that of its rounds");
        put(&s, "watch.seen", 0, (const unsigned char *)"\1", 1, "of the first (0)");
    }
    test_saved_free(&s);
}

static void watched(void)
{
    test_saved s;
    test_case("bounds: what is watched of an expert");
    if (test_saved_make(&s, usual, ROUNDS)) {
        const fl_watched w = s.run.watch.expert[1];
        CHECK(w.total > w.best && w.updates == 1 && w.trained == ROUNDS);
        up_to(&s, "watch_0000001.best", 8, w.total);
        between(&s, "watch_0000001.common", 8, 0, w.total);
        between(&s, "watch_0000001.correct", 8, 0, w.best);
        up_to(&s, "watch_0000001.last", 4, ROUNDS);
        between(&s, "watch_0000001.trained", 4, 1, ROUNDS);
        put(&s, "watch_0000001.last", 0, (const unsigned char *)"\4", 1, /* trained in all */
            "tensor watch_0000001.trained: expected 1 to 4, found 5");
        put(&s, "watch_0000001.last", 0, (const unsigned char *)"\0", 1,
            "tensor watch_0000001.trained: expected 0, found 5");
        up_to(&s, "watch_0000001.updates", 8, 1);
        real_between(&s, "watch_0000001.cosines", -1, 1);
        put_real(&s, "watch_0000001.cosines", 1 + 0x1p-35, NULL);
    }
    test_saved_free(&s);
}

static void flags(void)
{
    static const unsigned char off[] = {0}, on[] = {1};
    test_saved s;
    test_case("bounds: flags of experts that there are, and of the common expert as it is");
    if (test_saved_make(&s, usual, ROUNDS)) {
        const size_t width = FL_MAX_EXPERTS, drift = FL_SIGN_DRIFT * width;
        put(&s, "watch.begun", 0, off, 1, "tensor watch.begun: expected that of its rounds (1)");
        put(&s, "watch.seen", FL_SIGN_ONE_CHOICE * width, on, 1, NULL);
        put(&s, "watch.seen", FL_SIGN_ONE_CHOICE * width + 1, on, 1, "of the first (1)");
        put(&s, "watch.seen", drift + 1, on, 1, NULL);
        put(&s, "watch.seen", drift + 2, on, 1, "tensor watch.seen: expected flags of a signature");
    }
    test_saved_free(&s);
    test_case("bounds: a common expert that was renewed has not been evaluated");
    if (test_saved_make(&s, "rounds=9 eval_every=2 common_every=4", ROUNDS))
        put(&s, "watch.begun", 0, on, 1, "tensor watch.begun: expected that of its rounds (0)");
    test_saved_free(&s);
}

/* Nobody has trained before the first round. */
static void clients(void)
{
    static const char *const keys[] = {"algo=local eval_scope=seen", "algo=scaffold",
                                       "arch=resnet34 width=1 bn_stats=local"};
    static const char *const parts[] = {"own", "variate", "local"};
    test_saved s;
    for (size_t i = 0; i < 3; i++) {
        char part[80];
        test_case("bounds: what stays with clients that have not trained: %s", parts[i]);
        snprintf(part, sizeof part, "tensor %s: expected none but of training clients", parts[i]);
        if (test_saved_make(&s, keys[i], 0))
            put(&s, parts[i], 1, (const unsigned char *)"\1", 1, part);
        test_saved_free(&s);
    }
}

/* ---- closed forms ---- */

/* Against rounds that are looked at one by one. */
static void closed_forms(void)
{
    fl_run run;
    ddome_error error;
    test_case("bounds: renewals and evaluations are those of the rounds");
    if (test_federation_init(&run, &error, "rounds=11"))
        for (size_t every = 0; every < 5; every++) {
            size_t renewals = 0, evaluations = 0;
            uint32_t last = 0;
            run.config.common_every = every;
            run.config.eval_every = every + 1;
            for (run.done = 1; run.done <= 11; run.done++) {
                renewals += fl_schedule_common(&run.config, run.done);
                evaluations += fl_run_evaluates(&run, run.done);
                last = fl_run_evaluates(&run, run.done) ? run.done : last;
                CHECK(fl_schedule_renewals(&run.config, run.done) == renewals);
                CHECK(fl_bounds_evaluations(&run) == evaluations);
                CHECK(fl_bounds_evaluated(&run) == last);
            }
        }
    CHECK(fl_schedule_renewals(&run.config, 0) == 0);
    fl_run_free(&run);
}

void t_bounds(void)
{
    common_expert();
    given_expert();
    models();
    traffic();
    evaluations();
    watched();
    flags();
    clients();
    closed_forms();
}

/* SPDX-License-Identifier: MIT */
/* Clients at work at the same time: the same bits, the same error, bounded memory. SPEC 11.6. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_crew(void);

enum { CLIENTS = 40, BYTES = 100000 };

/* ---- order, errors, memory ---- */

typedef struct trial {
    bool fails[CLIENTS], started[CLIENTS];
    unsigned spin[CLIENTS]; /* how long each takes */
    unsigned char *bytes[CLIENTS];
    size_t stops_at; /* the client that fails while it is finished */
    size_t finished;
    bool in_order, intact;
} trial;

static ddome_status start_client(ddome_error *error, nn_arena *scratch, void *context, size_t i)
{
    trial *t = context;
    volatile unsigned spin = 0;
    t->started[i] = true;
    t->bytes[i] = nn_arena_alloc(scratch, BYTES, 1);
    if (t->bytes[i] == NULL)
        return nn_arena_fail(error, scratch, "a trial");
    memset(t->bytes[i], (int)i, BYTES);
    while (spin < t->spin[i])
        spin = spin + 1;
    return t->fails[i] ? nn_fail(error, DDOME_ERR_NONFINITE, "client %lu", (unsigned long)i)
                       : DDOME_OK;
}

static ddome_status finish_client(ddome_error *error, void *context, size_t i)
{
    trial *t = context;
    t->in_order = t->in_order && t->finished == i;
    t->intact = t->intact && t->bytes[i][0] == i && t->bytes[i][BYTES - 1] == i;
    t->finished++;
    return i == t->stops_at ? nn_fail(error, DDOME_ERR_DATA, "at the end of %lu", (unsigned long)i)
                            : DDOME_OK;
}

/* A trial that has not run. */
static trial new_trial(void)
{
    trial t;
    memset(&t, 0, sizeof t);
    t.stops_at = CLIENTS;
    t.in_order = t.intact = true;
    for (size_t i = 0; i < CLIENTS; i++)
        t.spin[i] = (unsigned)(i * 7919 % 5) * 2000;
    return t;
}

static void check_trial(const fl_crew *crew, trial *t, ddome_status want, const char *part,
                        size_t finished)
{
    ddome_error error = {DDOME_OK, ""};
    size_t behind = 0;
    test_status("status", fl_crew_each(&error, crew, start_client, finish_client, t, CLIENTS), want,
                &error, part);
    test_same_u64("clients finished", t->finished, finished);
    CHECK(t->in_order && t->intact);
    for (size_t i = 0; i < CLIENTS; i++)
        behind += i > finished && t->started[i];
    const size_t threads = nn_team_size(crew->team);
    test_check(finished == CLIENTS || behind < threads, __FILE__, __LINE__,
               "%lu clients started behind the one that failed, with %lu threads",
               (unsigned long)behind, (unsigned long)threads);
}

static void trials(const fl_crew *crew)
{
    trial t = new_trial();
    check_trial(crew, &t, DDOME_OK, NULL, CLIENTS);
    for (size_t repeat = 0; repeat < 20; repeat++) {
        t = new_trial(); /* the lower one fails later */
        t.fails[6] = t.fails[7] = t.fails[8] = true;
        t.spin[6] = 100000;
        check_trial(crew, &t, DDOME_ERR_NONFINITE, "client 6", 6);
    }
    t = new_trial();
    t.fails[0] = true;
    check_trial(crew, &t, DDOME_ERR_NONFINITE, "client 0", 0);
    t = new_trial();
    t.stops_at = 5;
    t.fails[6] = true;
    check_trial(crew, &t, DDOME_ERR_DATA, "at the end of 5", 6);
    t = new_trial(); /* nothing sticks */
    check_trial(crew, &t, DDOME_OK, NULL, CLIENTS);
}

static void order_and_errors(size_t threads)
{
    nn_arena arena = {0}, scratch = {0};
    fl_crew crew = {NULL, NULL, NULL};
    ddome_error error = {DDOME_OK, ""};
    test_case("crew of %lu: ascending order, the lowest client's error", (unsigned long)threads);
    const ddome_status status = fl_crew_open(&error, &arena, &scratch, &crew, threads);
    if (strstr(error.text, "no threads") != NULL)
        test_skip("this build has no threads");
    else if (test_status("open", status, DDOME_OK, &error, NULL)) {
        trials(&crew);
        test_same_u64("scratch in use", scratch.used, 0);
        test_check(scratch.peak < 2 * BYTES, __FILE__, __LINE__, "scratch held %lu bytes",
                   (unsigned long)scratch.peak);
    }
    fl_crew_close(&crew);
    nn_arena_free(&scratch);
    nn_arena_free(&arena);
}

/* ---- the same bits ---- */

static void compare_servers(const fl_run *run, const fl_run *want)
{
    for (size_t i = 0; i < want->server.experts; i++)
        test_same_bytes("hash of an expert", &run->server.expert[i].hash,
                        &want->server.expert[i].hash, sizeof(nn_digest));
    test_same_bytes("hash of the gate", &run->server.gate.hash, &want->server.gate.hash,
                    sizeof(nn_digest));
    for (size_t i = 0; i < want->active; i++)
        test_same_floats("loss of a visit", &run->visits[i].loss, &want->visits[i].loss, 1);
    test_same_u64("bytes down", run->traffic.down, want->traffic.down);
    test_same_u64("bytes up", run->traffic.up, want->traffic.up);
    test_same_u64("messages", run->traffic.messages, want->traffic.messages);
}

/* Three rounds, then the lines of an evaluation. */
static bool work(fl_run *run, ddome_error *error)
{
    fl_evaluation evaluation;
    ddome_status status = DDOME_OK;
    for (uint32_t round = 1; round <= 3 && status == DDOME_OK; round++)
        status = test_round(run, round);
    if (status == DDOME_OK)
        status =
            fl_evaluate(error, &run->arena, &run->crew, &evaluation, run->evaluator, &run->server);
    if (status == DDOME_OK)
        status = fl_record_evaluation(error, &run->scratch, &run->record, 3, &evaluation,
                                      run->evaluator);
    return test_status("rounds and evaluation", status, DDOME_OK, error, NULL);
}

static void same_bits(const char *keys, size_t threads)
{
    fl_run run, want;
    ddome_error error, want_error;
    test_case("crew of %lu: the bits of one thread: %s", (unsigned long)threads, keys);
    if (test_federation_threads(&run, &error, keys, threads)) {
        if (test_federation(&want, &want_error, keys) && work(&want, &want_error) &&
            work(&run, &error)) {
            compare_servers(&run, &want);
            test_same_text("clients.csv", run.record.clients.text.data,
                           want.record.clients.text.data);
            test_same_text("experts.csv", run.record.experts.text.data,
                           want.record.experts.text.data);
            test_same_text("metrics.csv", run.record.metrics.text.data,
                           want.record.metrics.text.data);
        }
        fl_run_free(&want);
    }
    fl_run_free(&run);
}

#define MANY "clients=9 active_anchors=2 active_normal=6 unseen_clients=5 "

void t_crew(void)
{
    static const size_t threads[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        order_and_errors(threads[i]);
    for (size_t i = 1; i < sizeof threads / sizeof *threads; i++)
        same_bits(MANY, threads[i]);
    same_bits(MANY "algo=fedavg", 3);
    same_bits("algo=fedavg arch=resnet34 width=1 bn_stats=local", 3);
}

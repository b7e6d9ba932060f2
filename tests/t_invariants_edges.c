/* SPDX-License-Identifier: MIT */
/* The rules of nn/invariant.h say no: every part of each one asked by itself, without the end of
 * the program that t_invariants looks at. SPEC 20.2. */
#include <math.h>
#include <string.h>

#include "../data/invariant.h"
#include "../fl/invariant.h"
#include "../nn/invariant.h"
#include "../nn/loss.h"
#include "fl_fixture.h"

void t_invariants_edges(void);

enum { CLIENTS = 16 };

/* ---- partitions ---- */

/* A run whose partition may be changed. */
typedef struct changed {
    fl_run run;
    ddome_error error;
    data_client clients[CLIENTS];
    uint32_t samples[200];
    bool ready;
} changed;

static void start(changed *c, const char *keys)
{
    memset(c, 0, sizeof *c);
    c->ready = test_federation_init(&c->run, &c->error, keys);
    data_partition *p = &c->run.task.partition;
    const size_t count = p->training + p->holdout + p->unseen;
    c->ready = c->ready && CHECK(count <= CLIENTS && p->clients[0].count < 200);
    if (!c->ready)
        return;
    memcpy(c->clients, p->clients, count * sizeof *c->clients);
    memcpy(c->samples, p->clients[0].samples, p->clients[0].count * sizeof *c->samples);
    c->clients[0].samples = c->samples;
    p->clients = c->clients;
}

static bool holds(const changed *c)
{
    return data_invariant_partition(&c->run.task.partition, &c->run.task.set);
}

static void each_sample_once(void)
{
    changed c;
    test_case("invariants: each sample of the pool has one training client");
    start(&c, "partition=iid");
    if (c.ready) {
        data_partition *p = &c.run.task.partition;
        const uint32_t first = c.samples[0];
        CHECK(holds(&c));
        c.samples[0] = c.samples[1];
        CHECK(!holds(&c)); /* twice */
        c.samples[0] = p->held[0];
        CHECK(!holds(&c)); /* not of the pool */
        c.samples[0] = first;
        c.clients[0].count--;
        CHECK(!holds(&c)); /* one is nobody's */
        c.clients[0].count++;
        p->pool_count--;
        CHECK(!holds(&c)); /* one more than the pool has */
        p->pool_count++;
        CHECK(holds(&c));
    }
    fl_run_free(&c.run);
}

static void anchors_share_nothing(void)
{
    changed c;
    test_case("invariants: anchors of kind labels share no label");
    start(&c, "");
    if (c.ready) {
        CHECK(c.run.task.partition.anchors == 2 && holds(&c));
        c.clients[1].samples = c.clients[0].samples;
        c.clients[1].count = 1;
        CHECK(!holds(&c));
        c.run.task.partition.anchors = 1;
        CHECK(holds(&c));
    }
    fl_run_free(&c.run);
}

/* ---- batches ---- */

static void batches(void)
{
    changed c;
    test_case("invariants: the samples of a batch are the client's own, and it trains");
    start(&c, "");
    if (c.ready) {
        const data_partition *p = &c.run.task.partition;
        const data_client *client = &c.clients[3], *held = &c.clients[p->training];
        uint32_t samples[2] = {client->samples[0], client->samples[1]};
        CHECK(fl_invariant_batch(samples, 2, client, p));
        CHECK(fl_invariant_batch(samples, 0, client, p));
        samples[1] = held->samples[0];
        CHECK(!fl_invariant_batch(samples, 2, client, p));
        CHECK(fl_invariant_batch(samples, 1, client, p));
        CHECK(!fl_invariant_batch(samples + 1, 1, held, p));
        c.clients[3].role = DATA_UNSEEN;
        CHECK(!fl_invariant_batch(samples, 1, client, p));
        c.clients[3].role = DATA_ANCHOR;
        CHECK(fl_invariant_batch(samples, 1, client, p));
    }
    fl_run_free(&c.run);
}

/* ---- averages ---- */

static void weights(const char *keys)
{
    fl_run run;
    ddome_error error;
    test_case("invariants: the divisors of the averages: %s", keys);
    if (test_federation(&run, &error, keys) && CHECK(fl_run_open_round(&run, 1) == DDOME_OK) &&
        CHECK(fl_run_clients(&run, test_client, fl_run_take) == DDOME_OK)) {
        fl_server *server = &run.server;
        fl_slot *slots[] = {&server->gate, &server->expert[0], &server->expert[1]};
        CHECK(fl_invariant_weights(server, run.visits, run.active));
        for (size_t i = server->gate.model == NULL; i < 1 + server->experts; i++) {
            slots[i]->weight += 1;
            CHECK(!fl_invariant_weights(server, run.visits, run.active));
            slots[i]->weight -= 1;
            slots[i]->returned++;
            CHECK(!fl_invariant_weights(server, run.visits, run.active));
            slots[i]->returned--;
        }
        CHECK(fl_invariant_weights(server, run.visits, run.active));
        CHECK(!fl_invariant_weights(server, run.visits, run.active - 1));
    }
    fl_run_free(&run);
}

/* ---- mixtures ---- */

/* Weights of two chosen experts, rounded, whose sum is 1 within 3 * 2^-24. */
static void mixtures(void)
{
    static const uint32_t chosen[] = {2, 0};
    static const struct {
        float w[2];
        bool holds;
    } cases[] = {{{0.25f, 0.75f}, true},
                 {{0, 1}, true},
                 {{1, 0}, true},
                 {{-0.25f, 1}, false},
                 {{1, -0.25f}, false},
                 {{1.25f, -0.25f}, false},
                 {{0.25f, 1.25f}, false},
                 {{NAN, 1}, false},
                 {{0.5f, NAN}, false},
                 {{0x1.000006p-1f, 0.5f}, true},
                 {{0x1.000008p-1f, 0.5f}, false},
                 {{0x1.fffff4p-2f, 0.5f}, true},
                 {{0x1.fffff2p-2f, 0.5f}, false},
                 {{0.5f, 0.25f}, false},
                 {{0, 0}, false}};
    const nn_mixture_shape shape = {.k = 2, .chosen = chosen};
    float gate[3] = {0.5f, NAN, -1}; /* that of an expert which is not chosen does not matter */
    test_case("invariants: weights of a mixture are of [0, 1] and add up to 1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        test_check(nn_invariant_mixture(cases[i].w, gate, &shape) == cases[i].holds, __FILE__,
                   __LINE__, "weights %lu", (unsigned long)i);
    gate[0] = INFINITY; /* no weights can be right */
    CHECK(nn_invariant_mixture(cases[3].w, gate, &shape));
}

void t_invariants_edges(void)
{
    each_sample_once();
    anchors_share_nothing();
    batches();
    weights("");
    weights("algo=ensemble aggregate=uniform");
    mixtures();
}

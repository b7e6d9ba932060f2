/* SPDX-License-Identifier: MIT */
/* The rules of nn/invariant.h say no: every part of each one asked by itself, without the end of
 * the program that t_invariants looks at. SPEC 20.2. */
#include <string.h>

#include "../data/invariant.h"
#include "../fl/invariant.h"
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

void t_invariants_edges(void)
{
    each_sample_once();
    anchors_share_nothing();
    batches();
    weights("");
    weights("algo=ensemble aggregate=uniform");
}

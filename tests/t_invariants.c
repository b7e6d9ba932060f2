/* SPDX-License-Identifier: MIT */
/* Every rule of nn/invariant.h is looked at in this build, and broken on purpose it ends the
 * program. SPEC 20.2. */
#include <string.h>

#include "../data/invariant.h"
#include "../fl/invariant.h"
#include "death.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_invariants(void);

/* Opens the case; false, and it is skipped, where there are no processes. */
static bool open_case(const char *rule)
{
    test_case("invariants: a broken one ends the program: %s", rule);
    if (test_death_present())
        return true;
    test_skip("plain C99 has no processes");
    return false;
}

/* ---- nn/ ---- */

static void rewind_outside_in(void *context)
{
    nn_arena *arena = context;
    const nn_arena_mark outer = nn_arena_get_mark(arena);
    if (nn_arena_alloc(arena, 1, 1) == NULL)
        return;
    const nn_arena_mark inner = nn_arena_get_mark(arena);
    nn_arena_rewind(arena, outer);
    nn_arena_rewind(arena, inner);
}

static void arena(void)
{
    nn_arena arena = {.used = 0};
    if (open_case("marks of an arena nest"))
        test_death("inner mark after the outer one", rewind_outside_in, &arena, "nn/arena.c",
                   "mark.used <= arena->used");
    nn_arena_free(&arena);
}

static void uneven_mixture(void *context)
{
    const uint32_t chosen[] = {0, 2};
    const float gate[] = {0, 0, 0};
    const nn_mixture_shape shape = {1, 3, 2, 1, chosen};
    NN_INVARIANT(nn_invariant_mixture(context, gate, &shape));
}

static void mixture(void)
{
    float more[] = {0.5f, 0.5000003f}, less[] = {1.5f, -0.5f};
    const float sharp[] = {1, 0}, endless[] = {0, 0, nn_float_from_bits(0x7f800000u)};
    const uint32_t chosen[] = {0, 2};
    const nn_mixture_shape shape = {1, 3, 2, 1, chosen};
    if (!open_case("weights of a mixture sum to one"))
        return;
    CHECK(nn_invariant_mixture(sharp, sharp, &(nn_mixture_shape){1, 2, 1, 1, chosen}));
    CHECK(nn_invariant_mixture(less, endless, &shape)); /* 11.13 is about these */
    test_death("a sum above one", uneven_mixture, more, "t_invariants.c", "nn_invariant_mixture");
    test_death("a negative weight", uneven_mixture, less, "t_invariants.c", "nn_invariant_mixture");
}

/* ---- data/ ---- */

static void look_at_partition(void *context)
{
    const fl_run *run = context;
    NN_INVARIANT(data_invariant_partition(&run->task.partition, &run->task.set));
}

/* Client 1 gets the samples of client 0. */
static void shared_samples(const char *keys)
{
    fl_run run;
    ddome_error error;
    if (open_case(keys) && test_federation_init(&run, &error, keys)) {
        data_client clients[16];
        data_partition *p = &run.task.partition;
        CHECK(data_invariant_partition(p, &run.task.set));
        memcpy(clients, p->clients, (p->training + p->holdout + p->unseen) * sizeof *clients);
        clients[1].samples = clients[0].samples;
        p->clients = clients;
        test_death("a sample of two clients", look_at_partition, &run, "t_invariants.c",
                   "data_invariant_partition");
        p->kind = DATA_PARTITION_FILE;
        CHECK(data_invariant_partition(p, &run.task.set));
        fl_run_free(&run);
    }
}

/* ---- fl/ ---- */

/* There are two experts. */
static void choose_three(void *context)
{
    uint32_t chosen[] = {9, 9, 9};
    fl_gate_top_k(chosen, context, 2, 3);
}

static void top_k(void)
{
    float score[] = {0.25f, 0.5f, 0.5f, nn_float_from_bits(0x7fc00000u)};
    const uint32_t right[] = {1}, later[] = {2}, worse[] = {0}, twice[] = {1, 1}, beyond[] = {4};
    if (!open_case("the K best experts, ties to the lowest index"))
        return;
    CHECK(fl_invariant_top_k(right, 1, score, 4));
    CHECK(!fl_invariant_top_k(later, 1, score, 4));
    CHECK(!fl_invariant_top_k(worse, 1, score, 4));
    CHECK(!fl_invariant_top_k(twice, 2, score, 4));
    CHECK(!fl_invariant_top_k(beyond, 1, score, 4));
    test_death("three of two", choose_three, score, "fl/gate.c", "fl_invariant_top_k");
}

/* A deed that is done to a federation. */
static void done_to(const char *rule, const char *keys, void (*deed)(void *), const char *file,
                    const char *condition)
{
    fl_run run;
    ddome_error error;
    if (open_case(rule) && test_federation(&run, &error, keys)) {
        test_death(keys, deed, &run, file, condition);
        fl_run_free(&run);
    }
}

/* Client 7 is the held-out one. */
static void draw_held_out(void *context)
{
    fl_run *run = context;
    run->task.partition.training++;
    for (uint32_t round = 1; round < 99; round++)
        if (fl_run_open_round(run, round) != DDOME_OK)
            return;
}

static void train(fl_run *run, const data_client *client)
{
    fl_visit visit = fl_run_visit(run, client, 1);
    if (test_client(run->error, &run->scratch, &visit, run) != DDOME_OK)
        return;
}

static void train_on_held_out(void *context)
{
    fl_run *run = context;
    data_client client = run->task.partition.clients[2];
    client.samples = run->task.partition.clients[7].samples;
    client.count = 1;
    train(run, &client);
}

static void train_held_out(void *context)
{
    fl_run *run = context;
    train(run, &run->task.partition.clients[7]);
}

static ddome_status touch_embeddings(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                                     const fl_run *run)
{
    const size_t slot = run->train.slot[visit->client->samples[0]];
    run->train.rows[slot * run->train.features] = 7;
    return test_client(error, scratch, visit, run);
}

static void change_embeddings(void *context)
{
    fl_run *run = context;
    if (fl_run_open_round(run, 1) == DDOME_OK &&
        fl_run_clients(run, touch_embeddings, fl_run_take) != DDOME_OK)
        return;
}

static void close_with(fl_run *run, fl_slot *slot, double more)
{
    if (fl_run_open_round(run, 1) != DDOME_OK ||
        fl_run_clients(run, test_client, fl_run_take) != DDOME_OK)
        return;
    slot->weight += more;
    if (fl_run_close_round(run, 1) != DDOME_OK)
        return;
}

static void divide_expert(void *context)
{
    fl_run *run = context;
    close_with(run, &run->server.expert[1], 1);
}

static void divide_gate(void *context)
{
    fl_run *run = context;
    close_with(run, &run->server.gate, -1);
}

static void rounds(void)
{
    done_to("no held-out client takes part", "", draw_held_out, "fl/run_round.c",
            "fl_invariant_ids(run->participants");
    done_to("no sample of another client is trained on", "algo=fedavg", train_on_held_out,
            "fl/client.c", "fl_invariant_batch");
    done_to("no held-out client trains", "algo=fedavg", train_held_out, "fl/client.c",
            "fl_invariant_batch");
    done_to("embeddings stay as they are", "", change_embeddings, "fl/run_round.c",
            "fl_invariant_same(&before, &after)");
    done_to("the weights of an expert's average sum to one", "", divide_expert, "fl/run_round.c",
            "fl_invariant_weights");
    done_to("the weights of the gate's average sum to one", "aggregate=uniform", divide_gate,
            "fl/run_round.c", "fl_invariant_weights");
}

void t_invariants(void)
{
    arena();
    mixture();
    shared_samples("partition=iid");
    shared_samples("partition=dirichlet alpha=1 min_size=2");
    shared_samples("partition=shards");
    shared_samples("partition=quantity beta=1");
    shared_samples("partition=labels");
    top_k();
    rounds();
}

/* SPDX-License-Identifier: MIT */
/* Every rule of nn/invariant.h is looked at in this build, and broken on purpose it ends the
 * program. SPEC 20.2. */
#include <string.h>

#include "../data/invariant.h"
#include "../fl/control.h"
#include "../fl/invariant.h"
#include "../nn/loss.h"
#include "../nn/os.h"
#include "../nn/poison.h"
#include "death.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_invariants(void);

#if NN_FEATURE(memory_sanitizer) || defined(NN_VALGRIND)
enum { SEES_UNWRITTEN = 1 };
#else
enum { SEES_UNWRITTEN = 0 };
#endif

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

/* A large allocation has a block of its own: there are more bytes in use than at the inner mark,
 * but fewer of them in its block. */
static void rewind_past_large(void *context)
{
    enum { LARGE = 1 << 20 };
    nn_arena *arena = context;
    if (nn_arena_alloc(arena, 1, 1) == NULL)
        return;
    const nn_arena_mark outer = nn_arena_get_mark(arena);
    if (nn_arena_alloc(arena, 1, 1) == NULL)
        return;
    const nn_arena_mark inner = nn_arena_get_mark(arena);
    nn_arena_rewind(arena, outer);
    if (nn_arena_alloc(arena, LARGE, 1) != NULL)
        nn_arena_rewind(arena, inner);
}

static void arena(void)
{
    nn_arena arena = {.used = 0};
    if (open_case("marks of an arena nest")) {
        test_death("inner mark after the outer one", rewind_outside_in, &arena, "nn/arena.c",
                   "mark.used <= arena->used");
        test_death("the same with a large block", rewind_past_large, &arena, "nn/arena.c",
                   "mark.small_used <= mark.small->used");
    }
    nn_arena_free(&arena);
}

static void uneven_mixture(void *context)
{
    const uint32_t chosen[] = {0, 2};
    const float gate[] = {0, 0, 0};
    const nn_mixture_shape shape = {1, 3, 2, 1, chosen};
    NN_INVARIANT(nn_invariant_mixture(context, gate, &shape));
}

/* The softmax of none sums to 0. */
static void mix_none(void *context)
{
    float z[1];
    nn_mixture_shape shape = *(const nn_mixture_shape *)context;
    const float gate[] = {0, 0, 0};
    shape.k = 0;
    nn_mixture_forward(z, gate, NULL, &shape);
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
    nn_mixture_shape none = shape;
    test_death("no expert", mix_none, &none, "nn/mixture.c", "nn_invariant_mixture");
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

/* A drawn choice of three among two; the third is what was in memory. */
static void draw_three(void *context)
{
    nn_arena scratch = {.used = 0};
    fl_config config = {.gate = FL_GATE_RANDOM};
    const fl_control control = {.config = &config, .experts = 2};
    const fl_query query = {.count = 1};
    float score[2];
    uint32_t chosen[3];
    const ddome_status status =
        fl_control_choose(&control, NULL, &scratch, score, chosen, 3, context, 0, 1, &query);
    nn_arena_free(&scratch);
    (void)status;
}

static void drawn(void)
{
    float logits[] = {0, 0};
    if (!open_case("drawn experts are distinct and below M"))
        return;
    if (SEES_UNWRITTEN)
        test_skip("a watcher of memory ends the program first");
    else
        test_death("three of two", draw_three, logits, "fl/control.c", "fl_invariant_ids(chosen");
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

/* ---- all of them ---- */

/* Where the rules stand. No input breaks the one of partitions, which every kind is made to keep,
 * so that a death in its place cannot be had; that it stands there is read from the source. */
static const struct {
    const char *file, *look;
} PLACES[] = {
    {"nn/arena.c", "NN_INVARIANT(mark.used <= arena->used);"},
    {"nn/arena.c", "NN_INVARIANT(mark.small == NULL || mark.small_used <= mark.small->used);"},
    {"nn/mixture.c", "NN_INVARIANT(nn_invariant_mixture(w, gate_row, s));"},
    {"data/partition.c",
     "NN_INVARIANT(status != DDOME_OK || data_invariant_partition(&division.out, set));"},
    {"fl/client.c", "NN_INVARIANT(fl_invariant_batch(samples, count, w->visit->client, "
                    "&w->world->task->partition));"},
    {"fl/control.c", "NN_INVARIANT(fl_invariant_ids(chosen, k, experts));"},
    {"fl/gate.c", "NN_INVARIANT(fl_invariant_top_k(chosen, k, score, experts));"},
    {"fl/run_round.c", "NN_INVARIANT(status != DDOME_OK ||"},
    {"fl/run_round.c", "NN_INVARIANT(fl_invariant_same(&before, &after));"},
    {"fl/run_round.c",
     "NN_INVARIANT(fl_invariant_weights(&run->server, run->visits, run->active));"},
};

/* Lines of the text that begin with `what`, behind spaces. */
static size_t lines_with(const char *text, const char *what)
{
    size_t count = 0;
    for (; *text != '\0'; text += *text == '\n') {
        text += strspn(text, " ");
        count += strncmp(text, what, strlen(what)) == 0;
        text += strcspn(text, "\n");
    }
    return count;
}

static size_t places_in(const char *file)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++)
        count += strcmp(PLACES[i].file, file) == 0;
    return count;
}

static void places(void)
{
    nn_arena arena = {.used = 0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *text;
    size_t size;
    test_case("invariants: where they are looked at");
    if (!nn_os_exists(PLACES[0].file)) {
        test_skip("the sources are not where the tests run");
        return;
    }
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++)
        if (test_status(
                PLACES[i].file,
                nn_os_read_file(&error, &arena, &text, &size, PLACES[i].file, DDOME_ERR_DATA),
                DDOME_OK, &error, NULL)) {
            test_same_u64(PLACES[i].look, lines_with((const char *)text, PLACES[i].look), 1);
            test_same_u64(PLACES[i].file, lines_with((const char *)text, "NN_INVARIANT("),
                          places_in(PLACES[i].file));
        }
    nn_arena_free(&arena);
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
    drawn();
    rounds();
    places();
}

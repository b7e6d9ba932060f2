/* SPDX-License-Identifier: MIT */
/* What each kind of partition promises: labels, sizes, who is unseen, golden hashes. SPEC 8. */
#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "partition_fixture.h"

void t_partition(void);

enum { TRAIN = 500, TEST = 200, CLASSES = 10, POOL = 450, HELD = 50, TEXT_BYTES = 4096 };

/* 12 training clients, 3 of them anchors; 2 held-out and 4 unseen ones. */
static data_partition_source source_of(data_partition_kind kind)
{
    static const fixture_clients numbers = {12, 3, 4, 2, 4, 1};
    return fixture_source(kind, &numbers);
}

static void start(fixture *f)
{
    const data_synth_source source = {TRAIN, TEST, 8, 5, 2, 20, 1};
    fixture_start(f, &source);
}

static size_t clients_of(const data_partition *p)
{
    return p->training + p->holdout + p->unseen;
}

static void count_labels(size_t counts[CLASSES], const data_client *client, const data_set *set)
{
    const data_split *split = client->role == DATA_UNSEEN ? &set->test : &set->train;
    memset(counts, 0, CLASSES * sizeof *counts);
    for (size_t i = 0; i < client->count; i++)
        counts[split->labels[client->samples[i]]]++;
}

static unsigned label_bits(const data_client *client, const data_set *set)
{
    size_t counts[CLASSES];
    unsigned bits = 0;
    count_labels(counts, client, set);
    for (unsigned k = 0; k < CLASSES; k++)
        bits |= counts[k] != 0 ? 1u << k : 0;
    return bits;
}

static size_t count_bits(unsigned bits)
{
    size_t count = 0;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

static bool ascends(const uint32_t *items, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (items[i] <= items[i - 1])
            return false;
    return true;
}

/* SPEC 8.1. */
static void test_hold_out(void)
{
    fixture f;
    size_t times[TRAIN] = {0};
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_IID);
    test_case("partition: hold-out");
    fixture_make(&f, &source);
    const data_partition *p = &f.partition;
    test_same_u64("pool", p->pool_count, POOL);
    test_same_u64("held", p->held_count, HELD);
    CHECK(ascends(p->pool, POOL) && ascends(p->held, HELD));
    for (size_t i = 0; i < POOL; i++)
        times[p->pool[i]]++;
    for (size_t i = 0; i < HELD; i++)
        times[p->held[i]]++;
    for (size_t i = 0; i < TRAIN; i++)
        test_same_u64("each sample once", times[i], 1);
    nn_arena_free(&f.arena);
}

/* The labels of one training client have even shares, the lowest labels one more (SPEC 8.2.2). */
static void check_shares(const data_client *client, const data_set *set, size_t labels)
{
    size_t counts[CLASSES], rank = 0;
    count_labels(counts, client, set);
    for (size_t k = 0; k < CLASSES; k++)
        if (counts[k] != 0) {
            size_t share = client->count / labels + (rank < client->count % labels ? 1 : 0);
            test_same_u64("share of a label", counts[k], share);
            rank++;
        }
    test_same_u64("labels of a client", rank, labels);
}

/* SPEC 8.2, 8.2.1, 8.3. */
static void test_labels(void)
{
    fixture f;
    unsigned anchors = 0, normal = 0;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_LABELS);
    test_case("partition: labels of training clients");
    fixture_make(&f, &source);
    for (size_t id = 0; id < 12; id++) {
        const data_client *client = &f.partition.clients[id];
        test_same_u64("samples", client->count, POOL / 12);
        check_shares(client, &f.set, id < 3 ? CLASSES / 3 : 4);
        CHECK(client->role == (id < 3 ? DATA_ANCHOR : DATA_NORMAL));
        unsigned bits = label_bits(client, &f.set);
        CHECK(id >= 3 || (anchors & bits) == 0);
        anchors |= id < 3 ? bits : 0;
        normal |= bits;
    }
    test_same_u64("labels of the anchors", count_bits(anchors), 9);
    CHECK(normal == (1u << CLASSES) - 1);
    source.samples_per_client = 7;
    source.anchor_labels = 2;
    fixture_make(&f, &source);
    for (size_t id = 0; id < 12; id++)
        check_shares(&f.partition.clients[id], &f.set, id < 3 ? 2 : 4);
    test_same_u64("samples_per_client", f.partition.clients[5].count, 7);
    nn_arena_free(&f.arena);
}

/* All samples with the client's labels, of the test split or of the held list. */
static size_t available(const fixture *f, const data_client *client)
{
    unsigned bits = label_bits(client, &f->set);
    size_t count = 0;
    for (size_t i = 0; client->role == DATA_UNSEEN && i < TEST; i++)
        count += bits >> f->set.test.labels[i] & 1;
    for (size_t i = 0; client->role == DATA_HOLDOUT && i < HELD; i++)
        count += bits >> f->set.train.labels[f->partition.held[i]] & 1;
    return count;
}

/* SPEC 8.4, 8.4.1. */
static void test_unseen(void)
{
    fixture f;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_LABELS);
    test_case("partition: label sets of unseen clients");
    fixture_make(&f, &source);
    const data_client *clients = f.partition.clients;
    for (size_t id = 12; id < 18; id++) {
        for (size_t t = 0; t < 12; t++)
            CHECK(label_bits(&clients[id], &f.set) != label_bits(&clients[t], &f.set));
        CHECK(clients[id].role == (id < 14 ? DATA_HOLDOUT : DATA_UNSEEN));
        CHECK(ascends(clients[id].samples, clients[id].count));
        test_same_u64("all samples", clients[id].count, available(&f, &clients[id]));
        test_same_u64("labels", count_bits(label_bits(&clients[id], &f.set)), 4);
    }
    source.unseen_samples = 10;
    fixture_make(&f, &source);
    test_same_u64("unseen_samples", f.partition.clients[15].count, 10);
    check_shares(&f.partition.clients[15], &f.set, 4);
    CHECK(ascends(f.partition.clients[15].samples, 10));
    nn_arena_free(&f.arena);
}

/* Without draws the unseen client has the lexicographically first pair no training client has.
 * SPEC 8.4.1. */
static void test_first_free(void)
{
    fixture f;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_LABELS);
    test_case("partition: the first free label set");
    source.labels_per_client = 2;
    source.clients = 40;
    source.samples_per_client = 10;
    source.max_draws = 0;
    fixture_make(&f, &source);
    unsigned want = 0;
    for (unsigned a = 0; a < CLASSES && want == 0; a++)
        for (unsigned b = a + 1; b < CLASSES && want == 0; b++) {
            want = 1u << a | 1u << b;
            for (size_t t = 0; t < 40; t++)
                want = label_bits(&f.partition.clients[t], &f.set) == want ? 0 : want;
        }
    test_same_u64("labels", label_bits(&f.partition.clients[45], &f.set), want);
    source.labels_per_client = CLASSES;
    ddome_status status = data_partition_make(&f.error, &f.arena, &f.partition, &f.set, &source);
    test_status("all sets used", status, DDOME_ERR_USAGE, &f.error, "no label set is left");
    nn_arena_free(&f.arena);
}

/* Every sample of the pool has one training client, and each client ascends (SPEC 8.5.5). */
static void check_division(const fixture *f)
{
    size_t times[TRAIN] = {0};
    const data_partition *p = &f->partition;
    for (size_t id = 0; id < p->training; id++) {
        CHECK(ascends(p->clients[id].samples, p->clients[id].count));
        for (size_t i = 0; i < p->clients[id].count; i++)
            times[p->clients[id].samples[i]]++;
    }
    for (size_t i = 0; i < p->pool_count; i++)
        test_same_u64("each sample of the pool once", times[p->pool[i]], 1);
    for (size_t i = 0; i < p->held_count; i++)
        test_same_u64("no held sample", times[p->held[i]], 0);
}

/* SPEC 8.4.2, 8.5. */
static void test_dirichlet(data_dirichlet_dialect dialect)
{
    fixture f;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_DIRICHLET);
    test_case("partition: dirichlet dialect %d", (int)dialect);
    source.dialect = dialect;
    fixture_make(&f, &source);
    check_division(&f);
    CHECK(f.partition.draws >= 1 && !f.partition.repaired);
    for (size_t id = 0; id < clients_of(&f.partition); id++)
        CHECK(f.partition.clients[id].count >= (id < 12 ? 5 : 1));
    CHECK(f.partition.clients[2].role == DATA_ANCHOR);
    for (size_t id = 14; id < 18; id++)
        CHECK(f.partition.clients[id].count <= TEST / 4 &&
              ascends(f.partition.clients[id].samples, f.partition.clients[id].count));
    nn_arena_free(&f.arena);
}

/* One draw at a small alpha leaves poor clients; 450 samples can give 12 clients 37 each.
 * SPEC 8.5.4. */
static void test_repair(void)
{
    fixture f;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_DIRICHLET);
    test_case("partition: dirichlet repair");
    source.max_draws = 1;
    source.min_size = 37;
    source.alpha = 0.1f;
    fixture_make(&f, &source);
    CHECK(f.partition.repaired);
    test_same_u64("draws", f.partition.draws, 1);
    check_division(&f);
    for (size_t id = 0; id < 12; id++)
        CHECK(f.partition.clients[id].count >= 37 && f.partition.clients[id].count <= 43);
    nn_arena_free(&f.arena);
}

/* 450 over 12 clients: six of 38, six of 37; 50 over 2; 200 over 4. SPEC 8.4.3, 8.6. */
static void test_iid(void)
{
    fixture f;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_IID);
    test_case("partition: iid");
    fixture_make(&f, &source);
    check_division(&f);
    for (size_t id = 0; id < 18; id++)
        test_same_u64("size", f.partition.clients[id].count,
                      id < 6    ? 38
                      : id < 12 ? 37
                      : id < 14 ? 25
                                : 50);
    source.unseen_samples = 9;
    fixture_make(&f, &source);
    test_same_u64("unseen_samples", f.partition.clients[17].count, 9);
    nn_arena_free(&f.arena);
}

/* A line a partition: its name, draws, repaired, SHA-256 of partition.csv. */
static size_t print_hash(char *text, size_t room, fixture *f, const char *name,
                         const data_partition_source *source)
{
    char *csv = NULL, hex[NN_HEX_BYTES] = "";
    size_t length = 0;
    if (fixture_make(f, source) &&
        data_partition_text(&f->error, &f->arena, &csv, &length, &f->partition) == DDOME_OK) {
        nn_digest digest = nn_sha256_of(csv, length);
        nn_digest_hex(hex, &digest);
    }
    return (size_t)snprintf(text, room, "%s %lu %d %s\n", name, (unsigned long)f->partition.draws,
                            (int)f->partition.repaired, hex);
}

typedef struct golden_case {
    const char *name;
    data_partition_kind kind;
    data_dirichlet_dialect dialect;
    size_t unseen_samples, max_draws, min_size, labels;
    uint64_t seed;
} golden_case;

static const golden_case golden_cases[] = {
    {"labels", DATA_PARTITION_LABELS, DATA_DIRICHLET_PLAIN, 0, 1000, 5, 4, 1},
    {"labels-seed-2", DATA_PARTITION_LABELS, DATA_DIRICHLET_PLAIN, 0, 1000, 5, 4, 2},
    {"labels-few-samples", DATA_PARTITION_LABELS, DATA_DIRICHLET_PLAIN, 9, 1000, 5, 2, 1},
    {"labels-no-draws", DATA_PARTITION_LABELS, DATA_DIRICHLET_PLAIN, 0, 0, 5, 1, 1},
    {"dirichlet-plain", DATA_PARTITION_DIRICHLET, DATA_DIRICHLET_PLAIN, 0, 1000, 5, 4, 1},
    {"dirichlet-balanced", DATA_PARTITION_DIRICHLET, DATA_DIRICHLET_BALANCED, 7, 1000, 5, 4, 1},
    {"dirichlet-repaired", DATA_PARTITION_DIRICHLET, DATA_DIRICHLET_PLAIN, 1, 2, 30, 4, 1},
    {"iid", DATA_PARTITION_IID, DATA_DIRICHLET_PLAIN, 0, 1000, 5, 4, 1},
    {"iid-few-samples", DATA_PARTITION_IID, DATA_DIRICHLET_PLAIN, 9, 1000, 5, 4, 3}};

/* The draws themselves, among them SPEC 8.4.2 and SPEC 8.5.2 to 8.5.4. To accept a difference, copy
 * the text left in the scratch folder over the old. */
static void test_hashes(void)
{
    char text[TEXT_BYTES], path[1024];
    size_t used = 0;
    fixture f;
    start(&f);
    test_case("partition: golden hashes");
    for (size_t i = 0; i < sizeof golden_cases / sizeof golden_cases[0]; i++) {
        const golden_case *c = &golden_cases[i];
        data_partition_source source = source_of(c->kind);
        source.dialect = c->dialect;
        source.unseen_samples = c->unseen_samples;
        source.max_draws = c->max_draws;
        source.min_size = c->min_size;
        source.labels_per_client = c->labels;
        source.seed = c->seed;
        used += print_hash(text + used, sizeof text - used, &f, c->name, &source);
    }
    nn_arena_free(&f.arena);
    const char *want = test_golden("partition.txt");
    if (want != NULL && test_same_text("partition.txt", text, want))
        return;
    snprintf(path, sizeof path, "%s/partition.txt", test_dir());
    CHECK(nn_os_write_file(NULL, path, text, strlen(text)) == DDOME_OK);
}

void t_partition(void)
{
    test_hold_out();
    test_labels();
    test_unseen();
    test_first_free();
    test_dirichlet(DATA_DIRICHLET_PLAIN);
    test_dirichlet(DATA_DIRICHLET_BALANCED);
    test_repair();
    test_iid();
    test_hashes();
}

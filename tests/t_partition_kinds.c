/* SPDX-License-Identifier: MIT */
/* Shards and quantity skew drawn again, sample by sample as the text says; a thousand clients at
 * the smallest parameters. SPEC 8.4.4, 8.4.5, 8.5.4, 8.10, 8.11. */
#include <stdlib.h>
#include <string.h>

#include "../nn/rng.h"
#include "partition_fixture.h"

void t_partition_kinds(void);

/* 450 samples of the pool: 9 clients of 4 shards have shards of 12 and 13. */
enum { TRAIN = 500, TEST = 200, CLASSES = 10, CLIENTS = 9, ANCHORS = 2, HOLDOUT = 2, UNSEEN = 3 };

/* One role as a test sees it: the samples it may have and who has each. */
typedef struct role_again {
    const data_split *split;
    nn_stream stream;
    size_t first, clients, count, most;
    uint32_t index[TRAIN]; /* ascending */
    size_t owner[TRAIN];   /* by sample */
} role_again;

static int compare(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* SPEC 8.1. */
static void side(role_again *r, uint64_t seed, bool held)
{
    uint32_t order[TRAIN];
    nn_rng rng = nn_rng_at(seed, NN_STREAM_HOLDOUT, 0, 0, 0);
    for (uint32_t i = 0; i < TRAIN; i++)
        order[i] = i;
    nn_rng_shuffle(&rng, order, TRAIN);
    r->count = held ? TRAIN / 10 : TRAIN - TRAIN / 10;
    memcpy(r->index, held ? order : order + TRAIN / 10, r->count * sizeof *order);
    qsort(r->index, r->count, sizeof *r->index, compare);
}

/* number: 0 training, 1 held-out, 2 unseen clients. */
static role_again role_of(const fixture *f, const data_partition_source *source, int number,
                          nn_stream training)
{
    const nn_stream stream[] = {training, NN_STREAM_HOLDOUT_CLIENT, NN_STREAM_UNSEEN};
    const size_t first[] = {0, CLIENTS, CLIENTS + HOLDOUT}, clients[] = {CLIENTS, HOLDOUT, UNSEEN};
    role_again r = {number == 2 ? &f->set.test : &f->set.train,
                    stream[number],
                    first[number],
                    clients[number],
                    TEST,
                    SIZE_MAX,
                    {0},
                    {0}};
    if (number != 0 && source->unseen_samples != 0)
        r.most = source->unseen_samples;
    for (uint32_t i = 0; number == 2 && i < TEST; i++)
        r.index[i] = i;
    if (number != 2)
        side(&r, source->seed, number == 1);
    return r;
}

/* Each client has what it owns, ascending, and no more than the first `most` of it. */
static void check_owners(const fixture *f, const role_again *r)
{
    for (size_t j = 0; j < r->clients; j++) {
        const data_client *client = &f->partition.clients[r->first + j];
        const data_role test = r->first == CLIENTS ? DATA_HOLDOUT : DATA_UNSEEN,
                        train = j < ANCHORS ? DATA_ANCHOR : DATA_NORMAL;
        uint32_t want[TRAIN];
        size_t count = 0;
        for (size_t i = 0; i < r->count && count < r->most; i++)
            if (r->owner[r->index[i]] == j)
                want[count++] = r->index[i];
        CHECK(client->role == (r->first == 0 ? train : test));
        if (test_same_u64("samples", client->count, count))
            test_same_bytes("samples", client->samples, want, count * sizeof *want);
    }
}

/* ---- shards ---- */

/* SPEC 8.10, 8.4.4: label by label, each ascending; then one shard after the other. */
static void shards_again(role_again *r, const data_partition_source *source)
{
    const size_t each = source->shards_per_client, shards = each * r->clients;
    uint32_t sorted[TRAIN], order[TRAIN];
    size_t owner_of[TRAIN], at = 0;
    nn_rng rng = nn_rng_at(source->seed, r->stream, 0, 0, 0);
    for (unsigned label = 0; label < CLASSES; label++)
        for (size_t i = 0; i < r->count; i++)
            if (r->split->labels[r->index[i]] == label)
                sorted[at++] = r->index[i];
    for (uint32_t i = 0; i < shards; i++)
        order[i] = i;
    nn_rng_shuffle(&rng, order, shards);
    for (size_t place = 0; place < shards; place++)
        owner_of[order[place]] = place / each;
    at = 0;
    for (size_t s = 0; s < shards; s++) {
        const size_t size = r->count / shards + (s < r->count % shards ? 1 : 0);
        for (size_t i = 0; i < size; i++)
            r->owner[sorted[at++]] = owner_of[s];
    }
    test_same_u64("all samples", at, r->count);
}

/* ---- quantity ---- */

/* Who takes place `at`: the first client whose share ends behind it, else the last. */
static size_t taker(const double *p, size_t clients, size_t at, size_t count)
{
    double sum = 0.0;
    for (size_t j = 0; j + 1 < clients; j++) {
        sum = sum + p[j];
        const double end = sum * (double)count;
        if (end >= (double)at + 1.0)
            return j;
    }
    return clients - 1;
}

static size_t size_of(const role_again *r, size_t j)
{
    size_t size = 0;
    for (size_t i = 0; i < r->count; i++)
        size += r->owner[r->index[i]] == j;
    return size;
}

/* The lowest client with fewer than min_size samples, or their number. */
static size_t poor_one(const role_again *r, size_t min_size)
{
    size_t j = 0;
    while (j < r->clients && size_of(r, j) >= min_size)
        j++;
    return j;
}

/* SPEC 8.5.4. */
static void move_one(role_again *r, size_t poor)
{
    size_t rich = 0, i = 0;
    for (size_t j = 1; j < r->clients; j++)
        rich = size_of(r, j) > size_of(r, rich) ? j : rich;
    while (r->owner[r->index[i]] != rich)
        i++;
    r->owner[r->index[i]] = poor;
}

/* SPEC 8.11, 8.4.5: the draws taken; *repaired when the last one is not enough. */
static size_t quantity_again(role_again *r, const data_partition_source *source, size_t min_size,
                             bool *repaired)
{
    uint32_t order[TRAIN];
    double p[CLIENTS];
    size_t draws = 0;
    nn_rng shuffle = nn_rng_at(source->seed, r->stream, 0, 0, 0);
    memcpy(order, r->index, r->count * sizeof *order);
    nn_rng_shuffle(&shuffle, order, r->count);
    do {
        nn_rng rng = nn_rng_at(source->seed, r->stream, (uint32_t)draws++, 1, 0);
        nn_rng_dirichlet(&rng, p, r->clients, source->beta);
        for (size_t i = 0; i < r->count; i++)
            r->owner[order[i]] = taker(p, r->clients, i, r->count);
    } while (poor_one(r, min_size) < r->clients && draws < source->max_draws);
    *repaired = poor_one(r, min_size) < r->clients;
    for (size_t j; (j = poor_one(r, min_size)) < r->clients;)
        move_one(r, j);
    return draws;
}

/* ---- cases ---- */

typedef struct kind_case {
    const char *what;
    data_partition_kind kind;
    size_t shards, unseen_samples, min_size, max_draws;
    float beta;
    uint64_t seed;
    size_t draws; /* at least so many */
    bool repaired;
} kind_case;

static const kind_case cases[] = {
    {"shards, 2 a client", DATA_PARTITION_SHARDS, 2, 0, 10, 1000, 0.5f, 1, 0, false},
    {"shards, 4 a client, few unseen samples", DATA_PARTITION_SHARDS, 4, 20, 0, 0, 0.5f, 2, 0,
     false},
    {"shards of one sample", DATA_PARTITION_SHARDS, 25, 0, 10, 1000, 0.5f, 3, 0, false},
    {"one shard", DATA_PARTITION_SHARDS, 1, 3, 10, 1000, 0.5f, 4, 0, false},
    {"quantity", DATA_PARTITION_QUANTITY, 2, 0, 5, 1000, 0.5f, 1, 1, false},
    {"quantity, several draws", DATA_PARTITION_QUANTITY, 2, 15, 10, 1000, 0.5f, 2, 2, false},
    {"quantity, repaired", DATA_PARTITION_QUANTITY, 2, 0, 50, 3, 0.1f, 3, 3, true},
    {"quantity, hardly any skew", DATA_PARTITION_QUANTITY, 2, 1, 40, 1000, 1000.0f, 4, 1, false},
    {"quantity, one client has nearly all", DATA_PARTITION_QUANTITY, 2, 0, 1, 2, 0x1p-10f, 5, 2,
     true},
};

static void check_role(const fixture *f, const kind_case *c, const data_partition_source *source,
                       int number)
{
    const bool shards = c->kind == DATA_PARTITION_SHARDS;
    bool repaired = false;
    size_t draws = 0;
    role_again r = role_of(f, source, number, shards ? NN_STREAM_SHARDS : NN_STREAM_QUANTITY);
    if (shards)
        shards_again(&r, source);
    else
        draws = quantity_again(&r, source, number == 0 ? source->min_size : 1, &repaired);
    if (number == 0) {
        test_same_u64("draws", f->partition.draws, draws);
        CHECK(draws >= c->draws && repaired == c->repaired && f->partition.repaired == repaired);
    }
    check_owners(f, &r);
}

static void test_again(const kind_case *c)
{
    static const data_synth_source images = {TRAIN, TEST, 8, 5, 2, 20, 1};
    const fixture_clients numbers = {CLIENTS, ANCHORS, UNSEEN, HOLDOUT, 0, c->seed};
    fixture f;
    fixture_start(&f, &images);
    data_partition_source source = fixture_source(c->kind, &numbers);
    source.shards_per_client = c->shards;
    source.beta = c->beta;
    source.unseen_samples = c->unseen_samples;
    source.min_size = c->min_size;
    source.max_draws = c->max_draws;
    test_case("partition: drawn again: %s", c->what);
    if (fixture_make(&f, &source))
        for (int number = 0; number < 3; number++)
            check_role(&f, c, &source, number);
    nn_arena_free(&f.arena);
}

/* ---- a thousand clients ---- */

/* Every sample of the pool once, nobody below min_size, draws bounded. 9 each is the most that 9000
 * samples can give 1000 clients. */
static void test_thousand(data_partition_kind kind, data_dirichlet_dialect dialect, float parameter,
                          size_t min_size)
{
    static const data_synth_source images = {10000, 1000, 8, 5, 2, 20, 1};
    const fixture_clients numbers = {1000, 10, 100, 100, 0, 1};
    fixture f;
    fixture_start(&f, &images);
    data_partition_source source = fixture_source(kind, &numbers);
    source.dialect = dialect;
    source.alpha = source.beta = parameter;
    source.min_size = min_size;
    source.max_draws = 3;
    test_case("partition: 1000 clients, kind %d, dialect %d, at least %lu", (int)kind, (int)dialect,
              (unsigned long)min_size);
    if (fixture_make(&f, &source)) {
        static unsigned char times[10000];
        size_t wrong = 0, small = 0;
        memset(times, 0, sizeof times);
        for (size_t j = 0; j < 1000; j++) {
            const data_client *client = &f.partition.clients[j];
            small += client->count < min_size;
            for (size_t i = 0; i < client->count; i++)
                times[client->samples[i]]++;
        }
        for (size_t i = 0; i < f.partition.pool_count; i++)
            wrong += times[f.partition.pool[i]] != 1;
        CHECK(small == 0 && wrong == 0 && f.partition.repaired);
        test_same_u64("draws", f.partition.draws, 3);
    }
    nn_arena_free(&f.arena);
}

void t_partition_kinds(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        test_again(&cases[i]);
    test_thousand(DATA_PARTITION_DIRICHLET, DATA_DIRICHLET_PLAIN, 0.01f, 1);
    test_thousand(DATA_PARTITION_DIRICHLET, DATA_DIRICHLET_PLAIN, 0.01f, 9);
    test_thousand(DATA_PARTITION_DIRICHLET, DATA_DIRICHLET_BALANCED, 0.01f, 9);
    test_thousand(DATA_PARTITION_DIRICHLET, DATA_DIRICHLET_BALANCED, 0x1p-10f, 9);
    test_thousand(DATA_PARTITION_QUANTITY, DATA_DIRICHLET_PLAIN, 0.01f, 9);
    test_thousand(DATA_PARTITION_QUANTITY, DATA_DIRICHLET_PLAIN, 0x1p-10f, 1);
}

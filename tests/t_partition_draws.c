/* SPDX-License-Identifier: MIT */
/* Dirichlet partitions drawn again, sample by sample as the text says: nothing of data/ but the
 * data set, nothing of nn/ but the draws. SPEC 8.1, 8.4.2, 8.5.2 to 8.5.5. */
#include <stdlib.h>
#include <string.h>

#include "../nn/rng.h"
#include "partition_fixture.h"

void t_partition_draws(void);

/* 450 samples of the pool over 9 clients: a size can be the even share exactly (SPEC 8.5.3). */
enum { TRAIN = 500, TEST = 200, CLASSES = 10, CLIENTS = 9, ANCHORS = 2, HOLDOUT = 2, UNSEEN = 3 };

/* What a client of a partition drawn again holds: a mark for each sample. */
typedef struct owners {
    int client[TRAIN]; /* of samples of the train split; -1: nobody */
    size_t size[CLIENTS];
} owners;

/* SPEC 8.1: the split without its first tenth of the shuffle, or that tenth; ascending. */
static size_t side(uint32_t *out, uint64_t seed, bool held)
{
    uint32_t order[TRAIN];
    bool marked[TRAIN] = {false};
    nn_rng rng = nn_rng_at(seed, NN_STREAM_HOLDOUT, 0, 0, 0);
    size_t count = 0;
    for (uint32_t i = 0; i < TRAIN; i++)
        order[i] = i;
    nn_rng_shuffle(&rng, order, TRAIN);
    for (size_t i = 0; i < TRAIN / 10; i++)
        marked[order[i]] = true;
    for (uint32_t i = 0; i < TRAIN; i++)
        if (marked[i] == held)
            out[count++] = i;
    return count;
}

static size_t of_label(uint32_t *out, const data_split *split, const uint32_t *index, size_t count,
                       unsigned label)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (split->labels[index[i]] == label)
            out[found++] = index[i];
    return found;
}

/* ---- training clients ---- */

/* SPEC 8.5.3, one client at a time. */
static double balanced(const double *p, const owners *o, size_t pool, size_t j)
{
    double sum = 0.0;
    for (size_t i = 0; i < CLIENTS; i++)
        if (o->size[i] * CLIENTS < pool)
            sum = sum + p[i];
    if (!(sum > 0.0))
        return p[j];
    return o->size[j] * CLIENTS < pool ? p[j] / sum : 0.0;
}

/* Who takes place `at` of `count`: the first client whose share ends behind it, else the last. A
 * sum of shares never falls, so no cut lies before an earlier one. */
static int taker(const double *share, size_t at, size_t count)
{
    double sum = 0.0;
    for (int j = 0; j < CLIENTS - 1; j++) {
        sum = sum + share[j];
        const double end = sum * (double)count;
        if (end >= (double)at + 1.0)
            return j;
    }
    return CLIENTS - 1;
}

/* SPEC 8.5.2: one class of draw t. */
static void draw_class(owners *o, const data_set *set, const data_partition_source *source,
                       const uint32_t *pool, size_t pool_count, uint32_t k, uint32_t t)
{
    uint32_t order[TRAIN];
    double p[CLIENTS], share[CLIENTS];
    const size_t count = of_label(order, &set->train, pool, pool_count, k);
    nn_rng rng = nn_rng_at(source->seed, NN_STREAM_DIRICHLET, t, k, 0);
    nn_rng_shuffle(&rng, order, count);
    nn_rng_dirichlet(&rng, p, CLIENTS, source->alpha);
    for (size_t j = 0; j < CLIENTS; j++)
        share[j] =
            source->dialect == DATA_DIRICHLET_BALANCED ? balanced(p, o, pool_count, j) : p[j];
    for (size_t i = 0; i < count; i++)
        o->client[order[i]] = taker(share, i, count);
    for (size_t i = 0; i < count; i++)
        o->size[o->client[order[i]]]++;
}

static void draw_again(owners *o, const data_set *set, const data_partition_source *source,
                       uint32_t t)
{
    uint32_t pool[TRAIN];
    const size_t count = side(pool, source->seed, false);
    for (size_t i = 0; i < TRAIN; i++)
        o->client[i] = -1;
    memset(o->size, 0, sizeof o->size);
    for (uint32_t k = 0; k < CLASSES; k++)
        draw_class(o, set, source, pool, count, k, t);
}

static size_t poorest(const owners *o)
{
    size_t best = 0;
    for (size_t j = 1; j < CLIENTS; j++)
        if (o->size[j] < o->size[best])
            best = j;
    return o->size[best];
}

/* SPEC 8.5.4: one sample moves to the lowest client that is too small. */
static void move_one(owners *o, size_t min_size)
{
    int poor = 0, rich = 0;
    size_t i = 0;
    while (o->size[poor] >= min_size)
        poor++;
    for (int j = 1; j < CLIENTS; j++)
        rich = o->size[j] > o->size[rich] ? j : rich;
    while (o->client[i] != rich)
        i++;
    o->client[i] = poor;
    o->size[poor]++;
    o->size[rich]--;
}

/* SPEC 8.5.5: the clients' samples ascend. */
static void check_owners(const data_partition *p, const owners *o)
{
    for (int j = 0; j < CLIENTS; j++) {
        const data_client *client = &p->clients[j];
        size_t at = 0;
        CHECK(client->role == (j < ANCHORS ? DATA_ANCHOR : DATA_NORMAL));
        if (!test_same_u64("size", client->count, o->size[j]))
            return;
        for (uint32_t i = 0; i < TRAIN; i++)
            if (o->client[i] == j && !test_same_u64("sample", client->samples[at++], i))
                return;
    }
}

/* The draws before the one that counts leave a client too small. */
static void check_training(const fixture *f, const data_partition_source *source)
{
    const data_partition *p = &f->partition;
    owners o;
    for (uint32_t t = 0; t < p->draws; t++) {
        draw_again(&o, &f->set, source, t);
        const bool last = t + 1 == p->draws;
        CHECK((poorest(&o) >= source->min_size) == (last && !p->repaired));
    }
    while (p->repaired && poorest(&o) < source->min_size)
        move_one(&o, source->min_size);
    check_owners(p, &o);
}

/* ---- held-out and unseen clients ---- */

static int compare(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* The samples from which clients of the role choose. */
static size_t stock_of(uint32_t *out, data_role role, uint64_t seed)
{
    if (role == DATA_HOLDOUT)
        return side(out, seed, true);
    for (uint32_t i = 0; i < TEST; i++)
        out[i] = i;
    return TEST;
}

/* SPEC 8.4.2 for client j of the role; the samples it takes, sorted. */
static size_t taste_again(uint32_t *out, const data_set *set, const data_partition_source *source,
                          data_role role, uint32_t j)
{
    const bool unseen = role == DATA_UNSEEN;
    const data_split *split = unseen ? &set->test : &set->train;
    const nn_stream stream = unseen ? NN_STREAM_UNSEEN : NN_STREAM_HOLDOUT_CLIENT;
    uint32_t stock[TRAIN], order[TRAIN];
    double p[CLASSES];
    size_t taken = 0, best = CLASSES;
    const size_t all = stock_of(stock, role, source->seed);
    const size_t n =
        source->unseen_samples != 0 ? source->unseen_samples : all / (unseen ? UNSEEN : HOLDOUT);
    nn_rng rng = nn_rng_at(source->seed, stream, 0, 0, j);
    nn_rng_dirichlet(&rng, p, CLASSES, source->alpha);
    for (int only_best = 0; only_best < 2 && taken == 0; only_best++)
        for (uint32_t k = 0; k < CLASSES; k++) {
            const size_t count = of_label(order, split, stock, all, k);
            if (count != 0 && (best == CLASSES || p[k] > p[best]))
                best = only_best ? best : k;
            size_t take = only_best ? k == best : (size_t)(p[k] * (double)n);
            nn_rng shuffle = nn_rng_at(source->seed, stream, 0, 1000 + k, j);
            nn_rng_shuffle(&shuffle, order, count);
            for (size_t i = 0; i < count && i < take; i++)
                out[taken++] = order[i];
        }
    qsort(out, taken, sizeof *out, compare);
    return taken;
}

static void check_testing(const fixture *f, const data_partition_source *source)
{
    for (uint32_t id = CLIENTS; id < CLIENTS + HOLDOUT + UNSEEN; id++) {
        const bool unseen = id >= CLIENTS + HOLDOUT;
        const data_client *client = &f->partition.clients[id];
        uint32_t want[TRAIN];
        const size_t count = taste_again(want, &f->set, source, unseen ? DATA_UNSEEN : DATA_HOLDOUT,
                                         id - CLIENTS - (unseen ? HOLDOUT : 0));
        CHECK(client->role == (unseen ? DATA_UNSEEN : DATA_HOLDOUT));
        if (test_same_u64("samples", client->count, count))
            test_same_bytes("samples", client->samples, want, count * sizeof *want);
    }
}

/* ---- cases ---- */

typedef struct draw_case {
    const char *what;
    data_dirichlet_dialect dialect;
    float alpha;
    size_t unseen_samples, min_size, max_draws;
    uint64_t seed;
    size_t draws; /* at least so many */
    bool repaired;
} draw_case;

static const draw_case cases[] = {
    {"plain", DATA_DIRICHLET_PLAIN, 0.5f, 0, 5, 1000, 1, 1, false},
    {"balanced", DATA_DIRICHLET_BALANCED, 0.5f, 0, 5, 1000, 1, 1, false},
    {"balanced and skewed", DATA_DIRICHLET_BALANCED, 0.05f, 0, 10, 1000, 2, 1, false},
    {"several draws", DATA_DIRICHLET_PLAIN, 0.1f, 20, 20, 1000, 3, 3, false},
    {"repaired", DATA_DIRICHLET_PLAIN, 0.1f, 40, 50, 3, 4, 3, true},
    {"one sample, of the favourite label", DATA_DIRICHLET_PLAIN, 0.5f, 1, 5, 1000, 5, 1, false},
    {"hardly any skew", DATA_DIRICHLET_PLAIN, 1000.0f, 0, 40, 1000, 6, 1, false},
    {"the most there can be", DATA_DIRICHLET_BALANCED, 1.0f, 100000, 5, 1000, 7, 1, false},
};

static void test_draws(const draw_case *c)
{
    static const data_synth_source images = {TRAIN, TEST, 8, 5, 2, 20, 1};
    const fixture_clients numbers = {CLIENTS, ANCHORS, UNSEEN, HOLDOUT, 0, c->seed};
    fixture f;
    fixture_start(&f, &images);
    data_partition_source source = fixture_source(DATA_PARTITION_DIRICHLET, &numbers);
    source.dialect = c->dialect;
    source.alpha = c->alpha;
    source.unseen_samples = c->unseen_samples;
    source.min_size = c->min_size;
    source.max_draws = c->max_draws;
    test_case("partition: dirichlet drawn again: %s", c->what);
    if (fixture_make(&f, &source)) {
        test_check(f.partition.draws >= c->draws && f.partition.repaired == c->repaired, __FILE__,
                   __LINE__, "%lu draws, repaired %d", (unsigned long)f.partition.draws,
                   (int)f.partition.repaired);
        check_training(&f, &source);
        check_testing(&f, &source);
    }
    nn_arena_free(&f.arena);
}

void t_partition_draws(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        test_draws(&cases[i]);
}

/* SPDX-License-Identifier: MIT */
/* Labels in groups: each client's label set and samples drawn again, step by step as the text says;
 * what a group must divide. SPEC 8.2.1, 8.3, 8.4.1. */
#include <string.h>

#include "../nn/rng.h"
#include "partition_fixture.h"

void t_partition_labels(void);

enum { TRAIN = 600, TEST = 240, CLASSES = 12, CLIENTS = 10, ANCHORS = 3, HOLDOUT = 2, UNSEEN = 3 };

static data_partition_source source_of(size_t group, size_t labels)
{
    static const fixture_clients numbers = {CLIENTS, ANCHORS, UNSEEN, HOLDOUT, 0, 3};
    data_partition_source source = fixture_source(DATA_PARTITION_LABELS, &numbers);
    source.label_group = group;
    source.labels_per_client = labels;
    return source;
}

static void start(fixture *f)
{
    const data_synth_source source = {TRAIN, TEST, 8, 6, 2, 20, 1};
    fixture_start(f, &source);
}

/* ---- the text again ---- */

/* Labels as bits: units `from` to `from + count - 1` of the shuffled ones. SPEC 8.2.1. */
static unsigned drawn_labels(nn_rng rng, size_t group, size_t from, size_t count)
{
    uint32_t unit[CLASSES];
    unsigned labels = 0;
    for (uint32_t u = 0; u < CLASSES / group; u++)
        unit[u] = u;
    nn_rng_shuffle(&rng, unit, CLASSES / group);
    for (unsigned label = 0; label < CLASSES; label++)
        for (size_t i = from; i < from + count; i++)
            if (label / group == unit[i])
                labels |= 1u << label;
    return labels;
}

/* Samples `index` with this label among `count` of a split, ascending; how many there are. */
static size_t of_label(uint32_t *out, const data_split *split, const uint32_t *index, size_t count,
                       unsigned label)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (split->labels[index[i]] == label)
            out[found++] = index[i];
    return found;
}

static size_t share(size_t total, size_t parts, size_t part)
{
    return total / parts + (part < total % parts ? 1 : 0);
}

static size_t count_bits(unsigned bits)
{
    size_t count = 0;
    for (; bits != 0; bits >>= 1)
        count += bits & 1;
    return count;
}

/* SPEC 8.2.2: the samples of a training client in the order of the draws. */
static void check_training(const fixture *f, size_t id, unsigned labels, nn_rng rng)
{
    const data_client *client = &f->partition.clients[id];
    const data_partition *p = &f->partition;
    uint32_t stock[TRAIN];
    size_t at = 0, rank = 0;
    test_same_u64("samples", client->count, p->pool_count / CLIENTS);
    for (unsigned label = 0; label < CLASSES; label++) {
        if ((labels >> label & 1) == 0)
            continue;
        const size_t there = of_label(stock, &f->set.train, p->pool, p->pool_count, label);
        for (size_t n = share(client->count, count_bits(labels), rank++); n > 0; n--, at++)
            if (!test_same_u64("sample", client->samples[at],
                               stock[nn_rng_below(&rng, (uint32_t)there)]))
                return;
    }
}

/* All samples of the source with these labels (unseen_samples is 0). */
static void check_test(const fixture *f, size_t id, unsigned labels)
{
    const data_client *client = &f->partition.clients[id];
    const bool unseen = client->role == DATA_UNSEEN;
    const data_split *split = unseen ? &f->set.test : &f->set.train;
    size_t at = 0;
    for (uint32_t i = 0; i < TEST || !unseen; i++) {
        if (!unseen && i >= f->partition.held_count)
            break;
        const uint32_t sample = unseen ? i : f->partition.held[i];
        if ((labels >> split->labels[sample] & 1) == 0)
            continue;
        if (!CHECK(at < client->count) || !test_same_u64("sample", client->samples[at++], sample))
            return;
    }
    test_same_u64("samples", client->count, at);
}

static bool is_used(unsigned labels, const unsigned *used)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (used[i] == labels)
            return true;
    return false;
}

/* SPEC 8.4.1: of max_draws the first free one, or 0. */
static unsigned first_free_draw(const data_partition_source *source, nn_stream stream, uint32_t j,
                                const unsigned *used)
{
    for (uint32_t t = 0; t < source->max_draws; t++) {
        const nn_rng rng = nn_rng_at(source->seed, stream, 0, t, j);
        const unsigned labels = drawn_labels(rng, source->label_group, 0,
                                             source->labels_per_client / source->label_group);
        if (!is_used(labels, used))
            return labels;
    }
    return 0;
}

/* The lexicographically first free pair of units. */
static unsigned first_free_pair(size_t group, const unsigned *used)
{
    const unsigned unit = (1u << group) - 1;
    for (size_t a = 0; a < CLASSES / group; a++)
        for (size_t b = a + 1; b < CLASSES / group; b++) {
            const unsigned labels = unit << a * group | unit << b * group;
            if (!is_used(labels, used))
                return labels;
        }
    return 0;
}

/* ---- cases ---- */

static void check_all(const fixture *f, const data_partition_source *source, size_t anchor_labels)
{
    const size_t group = source->label_group, units = source->labels_per_client / group;
    const uint64_t seed = source->seed;
    unsigned used[CLIENTS];
    for (uint32_t id = 0; id < CLIENTS; id++) {
        const bool anchor = id < ANCHORS;
        const nn_stream stream = anchor ? NN_STREAM_ANCHOR : NN_STREAM_NORMAL;
        const nn_rng rng = nn_rng_at(seed, stream, 0, 0, anchor ? 0 : id);
        const size_t count = anchor ? anchor_labels / group : units;
        used[id] = drawn_labels(rng, group, anchor ? id * count : 0, count);
        check_training(f, id, used[id], nn_rng_at(seed, stream, 0, 1, id));
    }
    for (uint32_t id = CLIENTS; id < CLIENTS + HOLDOUT + UNSEEN; id++) {
        const bool unseen = id >= CLIENTS + HOLDOUT;
        const uint32_t j = id - CLIENTS - (unseen ? HOLDOUT : 0);
        unsigned labels =
            first_free_draw(source, unseen ? NN_STREAM_UNSEEN : NN_STREAM_HOLDOUT_CLIENT, j, used);
        check_test(f, id, labels != 0 ? labels : first_free_pair(group, used));
    }
}

typedef struct group_case {
    const char *what;
    size_t group, labels, anchor_labels, drawn_anchor_labels, max_draws;
} group_case;

/* 12 labels over 3 anchors are 4 each, and 3 with groups of 3; 4 labels in 6 units of 2 have 15
 * sets, of which 10 clients take several. */
static const group_case cases[] = {
    {"single labels", 1, 4, 0, 4, 1000},
    {"pairs", 2, 4, 0, 4, 1000},
    {"pairs, one an anchor", 2, 4, 2, 2, 1000},
    {"pairs without draws", 2, 4, 0, 4, 0},
    {"triples", 3, 6, 0, 3, 1000},
    {"triples, one draw", 3, 6, 3, 3, 1},
    {"pairs, three a client", 2, 6, 0, 4, 1000},
};

static void test_groups(const group_case *c)
{
    fixture f;
    start(&f);
    data_partition_source source = source_of(c->group, c->labels);
    source.anchor_labels = c->anchor_labels;
    source.max_draws = c->max_draws;
    test_case("partition: labels drawn again: %s", c->what);
    if (fixture_make(&f, &source))
        check_all(&f, &source, c->drawn_anchor_labels);
    nn_arena_free(&f.arena);
}

/* SPEC 8.2.1: G divides the classes, L, and a B that is not 0. */
static void test_refusals(void)
{
    static const struct {
        size_t group, labels, anchor_labels;
        const char *part;
    } refused[] = {{5, 5, 0, "label_group = 5: expected a divisor of the 12 classes"},
                   {24, 4, 0, "label_group = 24"},
                   {2, 3, 0,
                    "label_group = 2: expected a divisor of the 12 classes, of "
                    "labels_per_client and of anchor_labels"},
                   {2, 4, 3, "label_group = 2"},
                   {4, 2, 0, "label_group = 4"},
                   {6, 6, 0, "3 anchors with"}, /* 12 / 3, rounded down to 6s, is none */
                   {0, 4, 0, "label_group = 0"}};
    fixture f;
    start(&f);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        data_partition_source source = source_of(refused[i].group, refused[i].labels);
        source.anchor_labels = refused[i].anchor_labels;
        test_case("partition: groups of %lu refused for %lu labels, %lu an anchor",
                  (unsigned long)refused[i].group, (unsigned long)refused[i].labels,
                  (unsigned long)refused[i].anchor_labels);
        nn_error_clear(&f.error);
        ddome_status status =
            data_partition_make(&f.error, &f.arena, &f.partition, &f.set, &source);
        test_status("make", status, DDOME_ERR_USAGE, &f.error, refused[i].part);
    }
    nn_arena_free(&f.arena);
}

/* Every set of two out of three units is some client's. SPEC 8.4.1. */
static void test_none_free(void)
{
    fixture f;
    start(&f);
    data_partition_source source = source_of(4, 8);
    source.clients = 40;
    test_case("partition: no free set of groups");
    ddome_status status = data_partition_make(&f.error, &f.arena, &f.partition, &f.set, &source);
    test_status("make", status, DDOME_ERR_USAGE, &f.error, "no label set is left");
    nn_arena_free(&f.arena);
}

void t_partition_labels(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        test_groups(&cases[i]);
    test_refusals();
    test_none_free();
}

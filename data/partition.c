/* SPDX-License-Identifier: MIT */
/* The hold-out, the order in which clients are drawn, and the iid kind. SPEC 8.1, 8.4.3, 8.6. */
#include "invariant.h"
#include "partition_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    HOLDOUT_SHARE = 10, /* D15: a tenth of the train split is held out */
    MAX_DRAWS = 65535   /* the draw number is the epoch of a stream (SPEC 4.2) */
};

static int compare_u32(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

void data_sort_u32(uint32_t *items, size_t count)
{
    qsort(items, count, sizeof *items, compare_u32); /* equal integers cannot be told apart */
}

ddome_status data_division_no_memory(data_division *division)
{
    return nn_arena_fail(division->error, division->arena, "partition");
}

uint32_t *data_division_client(data_division *division, size_t id, data_role role, size_t count)
{
    uint32_t *samples = nn_arena_alloc(division->arena, count, sizeof *samples);
    data_client *client = &division->clients[id];
    client->id = (uint32_t)id;
    client->role = role;
    client->count = count;
    client->samples = samples;
    return samples;
}

static uint32_t *identity(nn_arena *arena, size_t count)
{
    uint32_t *items = nn_arena_alloc(arena, count, sizeof *items);
    for (size_t i = 0; items != NULL && i < count; i++)
        items[i] = (uint32_t)i;
    return items;
}

/* The ascending samples with this mark. */
static ddome_status list_of(data_division *division, const uint32_t **list, size_t *count,
                            const uint8_t *mark, uint8_t wanted)
{
    size_t split = division->set->train.count, found = 0;
    for (size_t i = 0; i < split; i++)
        found += mark[i] == wanted;
    uint32_t *items = nn_arena_alloc(division->arena, found, sizeof *items);
    if (items == NULL)
        return data_division_no_memory(division);
    *list = items;
    *count = found;
    for (size_t i = 0; i < split; i++)
        if (mark[i] == wanted)
            *items++ = (uint32_t)i;
    return DDOME_OK;
}

ddome_status data_division_lists(data_division *division, const uint8_t *mark)
{
    data_partition *out = &division->out;
    ddome_status status = list_of(division, &out->pool, &out->pool_count, mark, DATA_MARK_POOL);
    if (status == DDOME_OK)
        status = list_of(division, &out->held, &out->held_count, mark, DATA_MARK_HELD);
    return status;
}

/* SPEC 8.1: the first tenth of a shuffle is held out. */
static ddome_status hold_out(data_division *division, uint8_t *mark)
{
    size_t count = division->set->train.count;
    nn_rng rng = nn_rng_at(division->source->seed, NN_STREAM_HOLDOUT, 0, 0, 0);
    uint32_t *order = identity(division->arena, count);
    if (order == NULL)
        return data_division_no_memory(division);
    nn_rng_shuffle(&rng, order, count);
    for (size_t i = 0; i < count; i++)
        mark[order[i]] = i < count / HOLDOUT_SHARE ? DATA_MARK_HELD : DATA_MARK_POOL;
    return DDOME_OK;
}

/* A counting sort, so that samples of one label stay ascending. */
static ddome_status make_stock(data_division *division, data_stock *stock, const data_split *split,
                               const uint32_t *index, size_t count)
{
    size_t classes = division->set->classes;
    uint32_t *start = nn_arena_zero(division->arena, classes + 2, sizeof *start);
    uint32_t *by_label = nn_arena_alloc(division->arena, count, sizeof *by_label);
    if (start == NULL || by_label == NULL)
        return data_division_no_memory(division);
    for (size_t i = 0; i < count; i++)
        start[split->labels[index[i]] + 2]++;
    for (size_t k = 2; k < classes + 2; k++)
        start[k] += start[k - 1];
    /* start[k + 1] is where label k's next sample goes; in the end, where label k stops. */
    for (size_t i = 0; i < count; i++)
        by_label[start[split->labels[index[i]] + 1]++] = index[i];
    data_stock made = {split, count, index, by_label, start};
    *stock = made;
    return DDOME_OK;
}

static ddome_status make_stocks(data_division *division)
{
    const data_set *set = division->set;
    const data_partition *out = &division->out;
    const uint32_t *all = identity(division->arena, set->test.count);
    if (all == NULL)
        return data_division_no_memory(division);
    ddome_status status =
        make_stock(division, &division->pool, &set->train, out->pool, out->pool_count);
    if (status == DDOME_OK)
        status = make_stock(division, &division->held, &set->train, out->held, out->held_count);
    if (status == DDOME_OK)
        status = make_stock(division, &division->test, &set->test, all, set->test.count);
    return status;
}

data_group data_training_group(const data_division *division, nn_stream stream)
{
    data_group group = {.role = DATA_NORMAL,
                        .what = "training",
                        .stream = stream,
                        .count = division->out.training,
                        .stock = &division->pool};
    return group;
}

data_role data_group_role(const data_division *division, const data_group *group, size_t j)
{
    bool anchor = group->role == DATA_NORMAL && j < division->out.anchors;
    return anchor ? DATA_ANCHOR : group->role;
}

size_t data_group_most(const data_division *division)
{
    size_t most = division->source->unseen_samples;
    return most == 0 ? SIZE_MAX : most;
}

/* Parts of a permutation (SPEC 8.6), each then ascending and cut to `most`. */
static ddome_status deal(data_division *division, const data_group *group, nn_rng rng, size_t most)
{
    const data_stock *stock = group->stock;
    uint32_t *order = nn_arena_alloc(division->arena, stock->count, sizeof *order);
    if (order == NULL)
        return data_division_no_memory(division);
    memcpy(order, stock->index, stock->count * sizeof *order);
    nn_rng_shuffle(&rng, order, stock->count);
    for (size_t j = 0; j < group->count; j++) {
        size_t part = data_share(stock->count, group->count, j), kept = nn_min(part, most);
        uint32_t *samples = data_division_client(division, group->first + j,
                                                 data_group_role(division, group, j), kept);
        if (samples == NULL)
            return data_division_no_memory(division);
        data_sort_u32(order, part);
        memcpy(samples, order, kept * sizeof *samples);
        order += part;
    }
    return DDOME_OK;
}

ddome_status data_iid_training(data_division *division)
{
    data_group group = data_training_group(division, NN_STREAM_IID);
    nn_rng rng = nn_rng_at(division->source->seed, group.stream, 0, 0, 0);
    return deal(division, &group, rng, SIZE_MAX);
}

ddome_status data_iid_group(data_division *division, const data_group *group)
{
    nn_rng rng = nn_rng_at(division->source->seed, group->stream, 0, 0, 0);
    return deal(division, group, rng, data_group_most(division));
}

typedef struct method {
    ddome_status (*training)(data_division *division);
    ddome_status (*group)(data_division *division, const data_group *group);
} method;

static const method method_table[] = {
    [DATA_PARTITION_LABELS] = {data_labels_training, data_labels_group},
    [DATA_PARTITION_DIRICHLET] = {data_dirichlet_training, data_dirichlet_group},
    [DATA_PARTITION_IID] = {data_iid_training, data_iid_group},
    [DATA_PARTITION_SHARDS] = {data_shards_training, data_shards_group},
    [DATA_PARTITION_QUANTITY] = {data_quantity_training, data_quantity_group}};

/* A client without samples has no mean: it is refused before a round divides by its size
 * (SPEC 8, 16.4.8). */
static ddome_status check_group_size(data_division *division, const char *what, size_t clients,
                                     size_t samples)
{
    if (clients <= samples)
        return DDOME_OK;
    return nn_fail(division->error, DDOME_ERR_USAGE,
                   "%lu %s clients but only %lu samples for them; ask for fewer clients",
                   (unsigned long)clients, what, (unsigned long)samples);
}

static ddome_status draw_group(data_division *division, const data_group *group)
{
    if (group->count == 0)
        return DDOME_OK;
    ddome_status status =
        check_group_size(division, group->what, group->count, group->stock->count);
    if (status == DDOME_OK)
        status = method_table[division->source->kind].group(division, group);
    return status;
}

static ddome_status draw(data_division *division)
{
    const data_partition *out = &division->out;
    data_group held = {.role = DATA_HOLDOUT,
                       .what = "held-out",
                       .stream = NN_STREAM_HOLDOUT_CLIENT,
                       .first = out->training,
                       .count = out->holdout,
                       .stock = &division->held};
    data_group unseen = {.role = DATA_UNSEEN,
                         .what = "unseen",
                         .stream = NN_STREAM_UNSEEN,
                         .first = out->training + out->holdout,
                         .count = out->unseen,
                         .stock = &division->test};
    ddome_status status = make_stocks(division);
    if (status == DDOME_OK)
        status = check_group_size(division, "training", out->training, out->pool_count);
    if (status == DDOME_OK)
        status = method_table[division->source->kind].training(division);
    if (status == DDOME_OK)
        status = draw_group(division, &held);
    if (status == DDOME_OK)
        status = draw_group(division, &unseen);
    return status;
}

ddome_status data_division_clients(data_division *division)
{
    const data_partition *out = &division->out;
    size_t clients = out->training + out->holdout + out->unseen;
    division->clients = nn_arena_zero(division->arena, clients, sizeof *division->clients);
    division->out.clients = division->clients;
    return division->clients == NULL ? data_division_no_memory(division) : DDOME_OK;
}

/* A common expert that stops by no sample has no accuracy (SPEC 8.1, 9.2). */
static ddome_status check_held(const data_division *division)
{
    if (division->out.held_count != 0)
        return DDOME_OK;
    return nn_fail(division->error, DDOME_ERR_USAGE,
                   "the train split has %lu samples: expected at least %d, so that a tenth can be "
                   "held out; use more data or exclude fewer records",
                   (unsigned long)division->set->train.count, HOLDOUT_SHARE);
}

static ddome_status divide(data_division *division)
{
    uint8_t *mark = nn_arena_alloc(division->arena, division->set->train.count, 1);
    if (mark == NULL)
        return data_division_no_memory(division);
    ddome_status status = hold_out(division, mark);
    if (status == DDOME_OK && division->source->kind == DATA_PARTITION_FILE)
        return data_file_read(division, mark);
    if (status == DDOME_OK)
        status = data_division_lists(division, mark);
    if (status == DDOME_OK)
        status = check_held(division);
    if (status == DDOME_OK)
        status = data_division_clients(division);
    return status == DDOME_OK ? draw(division) : status;
}

typedef struct limit {
    const char *key;
    size_t value, low, high;
} limit;

/* Limits that hold for every kind; 0 clients is for files, which bring their own number. */
static ddome_status check_source(ddome_error *error, const data_partition_source *source)
{
    const size_t most = 1000000;
    bool file = source->kind == DATA_PARTITION_FILE;
    const limit limits[] = {{"clients", source->clients, file ? 0 : 1, most},
                            {"anchor_clients", source->anchors, 0, source->clients},
                            {"unseen_clients", source->unseen, 0, most},
                            {"holdout_clients", source->holdout, 0, most},
                            {"max_draws", source->max_draws, 0, MAX_DRAWS}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value < limits[i].low || limits[i].value > limits[i].high)
            return nn_fail(error, DDOME_ERR_USAGE, "%s = %lu: expected %lu..%lu", limits[i].key,
                           (unsigned long)limits[i].value, (unsigned long)limits[i].low,
                           (unsigned long)limits[i].high);
    return DDOME_OK;
}

ddome_status data_partition_make(ddome_error *error, nn_arena *arena, data_partition *partition,
                                 const data_set *set, const data_partition_source *source)
{
    data_division division = {error, arena, set, source, {0}, {0}, {0}, {0}, NULL};
    nn_arena_mark mark = nn_arena_get_mark(arena);
    division.out.kind = source->kind;
    division.out.training = source->clients;
    division.out.anchors = source->anchors;
    division.out.holdout = source->holdout;
    division.out.unseen = source->unseen;
    ddome_status status = check_source(error, source);
    if (status == DDOME_OK)
        status = divide(&division);
    if (status == DDOME_OK)
        status = data_partition_check(error, arena, &division.out, set);
    NN_INVARIANT(status != DDOME_OK || data_invariant_partition(&division.out, set));
    if (status == DDOME_OK)
        *partition = division.out;
    else
        nn_arena_rewind(arena, mark);
    return status;
}

nn_digest data_partition_pool_hash(const data_partition *partition)
{
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    for (size_t i = 0; i < partition->pool_count; i++) {
        const uint32_t index = partition->pool[i];
        const unsigned char bytes[4] = {(unsigned char)index, (unsigned char)(index >> 8),
                                        (unsigned char)(index >> 16), (unsigned char)(index >> 24)};
        nn_sha256_bytes(&sha, bytes, sizeof bytes);
    }
    return nn_sha256_end(&sha);
}

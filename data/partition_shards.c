/* SPDX-License-Identifier: MIT */
/* Shards: the samples sorted by label, cut, a few pieces a client. SPEC 8.4.4, 8.10. */
#include "partition_private.h"

#include <assert.h>
#include <string.h>

/* A stock cut into even shares of its samples by label, and the order in which they are dealt. */
typedef struct deck {
    const data_stock *stock;
    size_t shards;
    uint32_t *order;
} deck;

static size_t shard_size(const deck *d, size_t i)
{
    return data_share(d->stock->count, d->shards, d->order[i]);
}

/* Of the shards before it, the first count % shards have one sample more. */
static const uint32_t *shard(const deck *d, size_t i)
{
    size_t number = d->order[i], each = d->stock->count / d->shards;
    return d->stock->by_label + number * each + nn_min(number, d->stock->count % d->shards);
}

static ddome_status deal_client(data_division *division, const data_group *group, const deck *d,
                                size_t j, size_t most, uint32_t *all)
{
    const size_t each = division->source->shards_per_client;
    size_t count = 0;
    for (size_t i = j * each; i < (j + 1) * each; i++) {
        memcpy(all + count, shard(d, i), shard_size(d, i) * sizeof *all);
        count += shard_size(d, i);
    }
    data_sort_u32(all, count);
    count = nn_min(count, most);
    uint32_t *samples = data_division_client(division, group->first + j,
                                             data_group_role(division, group, j), count);
    if (samples == NULL)
        return data_division_no_memory(division);
    memcpy(samples, all, count * sizeof *samples);
    return DDOME_OK;
}

static ddome_status check_shards(const data_division *division, const data_group *group)
{
    const size_t each = division->source->shards_per_client, samples = group->stock->count;
    if (each >= 1 && each <= samples / group->count)
        return DDOME_OK;
    return nn_fail(division->error, DDOME_ERR_USAGE,
                   "shards_per_client = %lu: expected 1..%lu, the %lu samples over %lu %s clients; "
                   "lower it or ask for fewer clients",
                   (unsigned long)each, (unsigned long)(samples / group->count),
                   (unsigned long)samples, (unsigned long)group->count, group->what);
}

static ddome_status deal(data_division *division, const data_group *group, size_t most)
{
    nn_rng rng = nn_rng_at(division->source->seed, group->stream, 0, 0, 0);
    ddome_status status = check_shards(division, group);
    if (status != DDOME_OK)
        return status;
    deck d = {group->stock, group->count * division->source->shards_per_client, NULL};
    assert(d.shards != 0 || group->count == 0); /* check_shards wants at least one a client */
    d.order = nn_arena_alloc(division->arena, d.shards, sizeof *d.order);
    uint32_t *all = nn_arena_alloc(division->arena, d.stock->count, sizeof *all);
    if (d.order == NULL || all == NULL)
        return data_division_no_memory(division);
    for (size_t i = 0; i < d.shards; i++)
        d.order[i] = (uint32_t)i;
    nn_rng_shuffle(&rng, d.order, d.shards);
    for (size_t j = 0; status == DDOME_OK && j < group->count; j++)
        status = deal_client(division, group, &d, j, most, all);
    return status;
}

ddome_status data_shards_training(data_division *division)
{
    const data_group group = data_training_group(division, NN_STREAM_SHARDS);
    return deal(division, &group, SIZE_MAX);
}

ddome_status data_shards_group(data_division *division, const data_group *group)
{
    return deal(division, group, data_group_most(division));
}

/* SPDX-License-Identifier: MIT */
/* The first N of a shuffle, per stratum, sorted. SPEC 11.1. */
#include "sample.h"

#include <stdlib.h>

#include "../nn/rng.h"

/* Which of a round's draws: its number is the counter's `client` (SPEC 4.3). */
enum { DRAW_ANCHORS, DRAW_NORMAL, DRAW_UNIFORM };

typedef struct stratum {
    uint32_t draw, first; /* first id */
    size_t size, take;
} stratum;

/* Ids are distinct, so any sort gives the same order. */
static int by_id(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static ddome_status draw(ddome_error *error, nn_arena *scratch, uint32_t *ids, const stratum *s,
                         uint64_t seed, uint32_t round)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    nn_rng rng = nn_rng_at(seed, NN_STREAM_PARTICIPANTS, 0, round, s->draw);
    uint32_t *all = nn_arena_alloc(scratch, s->size, sizeof *all);
    if (all == NULL)
        return nn_arena_fail(error, scratch, "the list of clients");
    for (size_t i = 0; i < s->size; i++)
        all[i] = s->first + (uint32_t)i;
    nn_rng_shuffle(&rng, all, s->size);
    for (size_t i = 0; i < s->take; i++)
        ids[i] = all[i];
    qsort(ids, s->take, sizeof *ids, by_id);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

ddome_status fl_sample_participants(ddome_error *error, nn_arena *scratch, uint32_t *ids,
                                    const fl_config *config, const data_partition *partition,
                                    uint32_t round)
{
    const size_t anchors = config->active_anchors, normal = config->active_normal;
    const stratum all = {DRAW_UNIFORM, 0, partition->training, anchors + normal};
    const stratum tied = {DRAW_ANCHORS, 0, partition->anchors, anchors};
    const stratum free_ones = {DRAW_NORMAL, (uint32_t)partition->anchors,
                               partition->training - partition->anchors, normal};
    if (config->sampling == FL_SAMPLING_UNIFORM)
        return draw(error, scratch, ids, &all, config->seed, round);
    ddome_status status = draw(error, scratch, ids, &tied, config->seed, round);
    if (status == DDOME_OK)
        status = draw(error, scratch, ids + anchors, &free_ones, config->seed, round);
    return status;
}

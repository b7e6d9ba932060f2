/* SPDX-License-Identifier: MIT */
/* Quantity skew: sizes by Dirichlet proportions, samples without a look at their labels.
 * SPEC 8.4.5, 8.11, 8.11.2. */
#include "partition_private.h"

#include <string.h>

enum { ORDER_ROUND, SIZES_ROUND };

/* The order of the samples stays; a draw moves the cuts alone. */
static void draw_sizes(const data_division *division, data_skew *s, size_t draw)
{
    const data_partition_source *source = division->source;
    nn_rng rng = nn_rng_at(source->seed, s->group->stream, (uint32_t)draw, SIZES_ROUND, 0);
    memset(s->size, 0, s->group->count * sizeof *s->size);
    nn_rng_dirichlet(&rng, s->p, s->group->count, source->beta);
    data_skew_cut(s, s->group->stock->count);
}

static ddome_status deal(data_division *division, const data_group *group, size_t min_size,
                         size_t most, size_t *draws, bool *repaired)
{
    data_skew s;
    nn_rng rng = nn_rng_at(division->source->seed, group->stream, 0, ORDER_ROUND, 0);
    ddome_status status = data_skew_start(division, &s, group, min_size);
    if (status != DDOME_OK)
        return status;
    nn_rng_shuffle(&rng, s.order, group->stock->count);
    *draws = data_skew_fill(division, &s, draw_sizes, repaired);
    return data_skew_hand_out(division, &s, most);
}

ddome_status data_quantity_training(data_division *division)
{
    const data_group group = data_training_group(division, NN_STREAM_QUANTITY);
    ddome_status status = data_skew_check(division, "beta", division->source->beta);
    if (status != DDOME_OK)
        return status;
    return deal(division, &group, division->source->min_size, SIZE_MAX, &division->out.draws,
                &division->out.repaired);
}

/* min_size is for those that train; here it is enough that none is empty (SPEC 8.4.5). */
ddome_status data_quantity_group(data_division *division, const data_group *group)
{
    size_t draws;
    bool repaired;
    return deal(division, group, 1, data_group_most(division), &draws, &repaired);
}

/* SPDX-License-Identifier: MIT */
/* The first N of a shuffle, per stratum, sorted. SPEC 11.1. */
#include "sample.h"

#include "../nn/rng.h"
#include "schedule.h"

/* Which of a round's draws: its number is the counter's `client` (SPEC 4.3). */
enum { DRAW_ANCHORS, DRAW_NORMAL, DRAW_UNIFORM };

typedef struct stratum {
    uint32_t draw;
    bool anchors, others; /* who is in it */
    size_t take;
} stratum;

static bool has(const stratum *s, const fl_field *field, const fl_config *config, size_t id,
                uint32_t round)
{
    const bool anchor = field->tie != NULL ? field->tie[id] != UINT32_MAX : id < field->anchors;
    if (field->group != NULL && !fl_schedule_active(config, field->group[id], round))
        return false;
    return anchor ? s->anchors : s->others;
}

/* Appends the first of a shuffle of the stratum's clients, all of them where they are fewer
 * (SPEC 11.9.4). */
static ddome_status draw(ddome_error *error, nn_arena *scratch, uint32_t *ids, size_t *count,
                         const stratum *s, const fl_field *field, const fl_config *config,
                         uint32_t round)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    nn_rng rng = nn_rng_at(config->seed, NN_STREAM_PARTICIPANTS, 0, round, s->draw);
    uint32_t *all = nn_arena_alloc(scratch, field->training, sizeof *all);
    size_t size = 0;
    if (all == NULL)
        return nn_arena_fail(error, scratch, "the list of clients");
    for (size_t id = 0; id < field->training; id++)
        if (has(s, field, config, id, round))
            all[size++] = (uint32_t)id;
    nn_rng_shuffle(&rng, all, size);
    for (size_t i = 0; i < nn_min(s->take, size); i++)
        ids[(*count)++] = all[i];
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

ddome_status fl_sample_participants(ddome_error *error, nn_arena *scratch, uint32_t *ids,
                                    size_t *count, const fl_config *config, const fl_field *field,
                                    uint32_t round)
{
    const size_t anchors = config->active_anchors, normal = config->active_normal;
    const stratum all = {DRAW_UNIFORM, true, true, anchors + normal};
    const stratum tied = {DRAW_ANCHORS, true, false, anchors};
    const stratum free_ones = {DRAW_NORMAL, false, true, normal};
    const bool uniform = config->sampling == FL_SAMPLING_UNIFORM;
    *count = 0;
    ddome_status status =
        draw(error, scratch, ids, count, uniform ? &all : &tied, field, config, round);
    if (status == DDOME_OK && !uniform)
        status = draw(error, scratch, ids, count, &free_ones, field, config, round);
    if (status == DDOME_OK)
        data_sort_u32(ids, *count);
    return status;
}

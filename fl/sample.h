/* SPDX-License-Identifier: MIT */
/* Who takes part in a round: drawn from a stream that no algorithm changes. SPEC 11.1. */
#ifndef FL_SAMPLE_H
#define FL_SAMPLE_H

#include "config.h"

/* Out of whom. */
typedef struct fl_field {
    size_t training;       /* clients 0 .. training - 1 */
    size_t anchors;        /* the first of them, unless tie says otherwise */
    const uint32_t *tie;   /* NULL, or [training]: UINT32_MAX for all that are no anchors */
    const uint32_t *group; /* NULL, or [training]: the group in the schedule (SPEC 11.9) */
} fl_field;

/* ids[*count], ascending: participants of round (from 1), active_anchors + active_normal or, where
 * a schedule leaves fewer, those. With sampling = uniform they are drawn out of all training
 * clients. */
DDOME_MUST_CHECK ddome_status fl_sample_participants(ddome_error *error, nn_arena *scratch,
                                                     uint32_t *ids, size_t *count,
                                                     const fl_config *config, const fl_field *field,
                                                     uint32_t round);

#endif

/* SPDX-License-Identifier: MIT */
/* Who takes part in a round: drawn from a stream that no algorithm changes. SPEC 11.1. */
#ifndef FL_SAMPLE_H
#define FL_SAMPLE_H

#include "config.h"

/* ids[active_anchors + active_normal], ascending: participants of round (from 1). With sampling =
 * uniform the same number is drawn out of all training clients. */
DDOME_MUST_CHECK ddome_status fl_sample_participants(ddome_error *error, nn_arena *scratch,
                                                     uint32_t *ids, const fl_config *config,
                                                     const data_partition *partition,
                                                     uint32_t round);

#endif

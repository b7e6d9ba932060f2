/* SPDX-License-Identifier: MIT */
/* Anchors without labels: clients whose mean embeddings lie nearest to the centres of k-means.
 * SPEC 10.4. */
#ifndef FL_CLUSTER_H
#define FL_CLUSTER_H

#include "../nn/arena.h"

/* Points of binary32, count of them with width entries each. */
typedef struct fl_points {
    const float *rows;
    size_t count, width;
} fl_points;

/* chosen[k], k <= count, all different: chosen[q] is the point nearest to centre q. The first
 * centre is drawn from the seed. */
DDOME_MUST_CHECK ddome_status fl_cluster(ddome_error *error, nn_arena *scratch, uint32_t *chosen,
                                         const fl_points *points, size_t k, size_t iterations,
                                         uint64_t seed);

#endif

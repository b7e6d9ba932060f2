/* SPDX-License-Identifier: MIT */
/* The rules of fl/, for builds with -DDDOME_INVARIANTS (nn/invariant.h). */
#ifndef FL_INVARIANT_H
#define FL_INVARIANT_H

#include "../nn/invariant.h"
#include "server.h"

#ifdef DDOME_INVARIANTS

/* Ids ascend strictly below `bound`. */
bool fl_invariant_ids(const uint32_t *ids, size_t count, size_t bound);

/* The chosen ones are distinct, and each left out has a lower score, or the same and a higher
 * index; scores that are no numbers are not compared. SPEC 10.2. */
bool fl_invariant_top_k(const uint32_t *chosen, size_t k, const float *score, size_t experts);

/* Every sample of a batch belongs to the training client that the partition has under this number.
 */
bool fl_invariant_batch(const uint32_t *samples, size_t count, const data_client *client,
                        const data_partition *partition);

/* The divisor of each average is the sum of the weights of the visits that returned that model, so
 * that the weights over it sum to one. SPEC 11.5. */
bool fl_invariant_weights(const fl_server *server, const fl_visit *visits, size_t count);

/* Of all rows, in the order of their samples; of none without embeddings. */
nn_digest fl_invariant_embeddings(const fl_embeddings *embeddings, const data_split *split);

bool fl_invariant_same(const nn_digest *a, const nn_digest *b);

#endif

#endif

/* SPDX-License-Identifier: MIT */
/* The rules of data/, for builds with -DDDOME_INVARIANTS (nn/invariant.h). */
#ifndef DATA_INVARIANT_H
#define DATA_INVARIANT_H

#include "../nn/invariant.h"
#include "partition.h"

#ifdef DDOME_INVARIANTS

/* Drawn kinds but `labels`: each sample of the pool has exactly one training client. Kind `labels`,
 * which draws with replacement: no two anchors share a label. A file may do as it likes.
 * SPEC 8.3, 8.5.5, 8.6, 8.10, 8.11.2. */
bool data_invariant_partition(const data_partition *partition, const data_set *set);

#endif

#endif

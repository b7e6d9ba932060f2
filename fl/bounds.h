/* SPDX-License-Identifier: MIT */
/* What the numbers of a run can be after run->done rounds, by its configuration, data and partition
 * alone: what a checkpoint is held against. SPEC 17.6.7. */
#ifndef FL_BOUNDS_H
#define FL_BOUNDS_H

#include "wire.h"

struct fl_run;

/* |sum of cosines| <= updates * FL_BOUNDS_COSINE (SPEC 14.8). A cosine is the quotient of sums of
 * at most 65536 = 2^16 products and passes 1 by less than 2^-35; 10^6 < 2^20 additions add less
 * than 2^-33 of the sum. */
#define FL_BOUNDS_COSINE (1 + 0x1p-30)

typedef struct fl_bounds {
    fl_traffic traffic; /* at most */
    uint64_t batches;   /* that a model has been trained with by clients, at most */
    size_t clients;     /* those with a lower id may have kept something */
} fl_bounds;

/* The run has been set up. */
fl_bounds fl_bounds_of(const struct fl_run *run);

/* Counter of the common expert, exactly, by the epochs that it was pretrained; that of an expert
 * before its first batch. */
uint64_t fl_bounds_common(const struct fl_run *run);
uint64_t fl_bounds_start(const struct fl_run *run);

/* Evaluations so far, and the round of the last one; 0 before the first. SPEC 13.4. */
size_t fl_bounds_evaluations(const struct fl_run *run);
uint32_t fl_bounds_evaluated(const struct fl_run *run);

/* Was the common expert, as it is now, evaluated (SPEC 14.7 c)? */
bool fl_bounds_begun(const struct fl_run *run);

#endif

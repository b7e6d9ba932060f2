/* SPDX-License-Identifier: MIT */
/* What each algorithm has and does: DDOME and its baselines run in one engine. SPEC 12. */
#ifndef FL_BASELINES_H
#define FL_BASELINES_H

#include "config.h"

typedef struct fl_algorithm {
    const char *name;
    bool gate;        /* a gate routes; needs the embeddings of the common expert */
    bool one_model;   /* a single model instead of M experts */
    bool rounds;      /* false: evaluated as it starts */
    bool from_common; /* starts from the common expert whatever `init` says */
} fl_algorithm;

const fl_algorithm *fl_algorithm_of(const fl_config *config);

/* Models on the server: 1 or M. */
size_t fl_algorithm_experts(const fl_config *config);

/* Is the common expert needed at all (SPEC 9.0)? */
bool fl_algorithm_needs_common(const fl_config *config);

#endif

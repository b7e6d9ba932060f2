/* SPDX-License-Identifier: MIT */
/* A generated data set and the partition of a test; requests in the smallest form. SPEC 8. */
#ifndef PARTITION_FIXTURE_H
#define PARTITION_FIXTURE_H

#include "../data/partition.h"
#include "../data/synth.h"
#include "test.h"

typedef struct fixture {
    nn_arena arena;
    data_set set;
    data_partition partition;
    ddome_error error;
} fixture;

/* Numbers of clients and the seed of a request. */
typedef struct fixture_clients {
    size_t clients, anchors, unseen, holdout, labels_per_client;
    uint64_t seed;
} fixture_clients;

data_partition_source fixture_source(data_partition_kind kind, const fixture_clients *numbers);

/* The generated set; free it with nn_arena_free(&f->arena). */
void fixture_start(fixture *f, const data_synth_source *source);

/* Makes the partition; false (and the case fails) when it is refused. */
bool fixture_make(fixture *f, const data_partition_source *source);

#endif

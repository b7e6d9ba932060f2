/* SPDX-License-Identifier: MIT */
/* A generated data set and its partition. */
#include "partition_fixture.h"

#include <string.h>

data_partition_source fixture_source(data_partition_kind kind, const fixture_clients *numbers)
{
    data_partition_source source = {0};
    source.kind = kind;
    source.clients = numbers->clients;
    source.anchors = numbers->anchors;
    source.unseen = numbers->unseen;
    source.holdout = numbers->holdout;
    source.labels_per_client = numbers->labels_per_client;
    source.label_group = 1;
    source.alpha = 0.5f;
    source.min_size = 5;
    source.max_draws = 1000;
    source.shards_per_client = 2;
    source.beta = 0.5f;
    source.seed = numbers->seed;
    return source;
}

void fixture_start(fixture *f, const data_synth_source *source)
{
    memset(f, 0, sizeof *f);
    test_status("synth", data_synth_load(&f->error, &f->arena, &f->set, source), DDOME_OK,
                &f->error, NULL);
}

bool fixture_make(fixture *f, const data_partition_source *source)
{
    ddome_status status = data_partition_make(&f->error, &f->arena, &f->partition, &f->set, source);
    return test_status("make", status, DDOME_OK, &f->error, NULL);
}

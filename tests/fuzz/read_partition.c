/* SPDX-License-Identifier: MIT */
/* partition.csv: what is taken is written back byte for byte (SPEC 8.7.1), and what trains is not
 * what tunes (SPEC 8.9). */
#include <string.h>

#include "../../data/partition.h"
#include "fuzz.h"

enum { TRAIN = 40, TEST = 20, CLASSES = 5 };

static void make_set(data_set *set, uint8_t labels[TRAIN])
{
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < TRAIN; i++)
        labels[i] = (uint8_t)(i % CLASSES);
    set->h = set->w = set->c = 1;
    set->classes = CLASSES;
    set->train.count = TRAIN;
    set->test.count = TEST;
    set->train.labels = set->test.labels = labels;
}

/* No sample is on both sides of the hold-out. */
static void check_sides(const data_partition *partition)
{
    bool held[TRAIN] = {false};
    for (size_t i = 0; i < partition->held_count; i++)
        held[partition->held[i]] = true;
    const size_t clients = partition->training + partition->holdout;
    for (size_t id = 0; id < clients; id++)
        for (size_t i = 0; i < partition->clients[id].count; i++)
            FUZZ_CHECK(held[partition->clients[id].samples[i]] == (id >= partition->training));
    FUZZ_CHECK(partition->held_count != 0);
    FUZZ_CHECK(partition->held_count + partition->pool_count == TRAIN);
}

ddome_status fuzz_partition(fuzz_call *call)
{
    char path[FUZZ_PATH], *text;
    uint8_t labels[TRAIN];
    size_t length;
    data_set set;
    data_partition partition;
    nn_arena arena = {0};
    make_set(&set, labels);
    fuzz_put("fuzz-partition.csv", call->bytes, call->size);
    fuzz_path(path, "fuzz-partition.csv");
    const data_partition_source source = {.kind = DATA_PARTITION_FILE, .file = path, .seed = 1};
    ddome_status status =
        data_partition_make(&call->error, &call->arena, &partition, &set, &source);
    if (status == DDOME_OK) {
        check_sides(&partition);
        FUZZ_CHECK(data_partition_text(NULL, &arena, &text, &length, &partition) == DDOME_OK);
        FUZZ_CHECK(length == call->size && memcmp(text, call->bytes, length) == 0);
    }
    nn_arena_free(&arena);
    return status;
}

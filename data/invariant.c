/* SPDX-License-Identifier: MIT */
/* The rules of data/. */
#include "invariant.h"

#ifdef DDOME_INVARIANTS

/* Memory of its own, so that no test's count of allocations moves. */
static bool each_once(const data_partition *p, size_t split)
{
    nn_arena arena = {.used = 0};
    size_t held = 0;
    uint8_t *taken = nn_arena_zero(&arena, split, 1);
    bool once = taken != NULL;
    for (size_t k = 0; k < p->training && once; k++)
        for (size_t i = 0; i < p->clients[k].count && once; i++) {
            once = taken[p->clients[k].samples[i]]++ == 0;
            held++;
        }
    for (size_t i = 0; i < p->pool_count && once; i++)
        once = taken[p->pool[i]] == 1;
    nn_arena_free(&arena);
    return once && held == p->pool_count;
}

static bool anchors_apart(const data_partition *p, const data_split *split)
{
    data_label_set all = {{0}};
    for (size_t q = 0; q < p->anchors; q++) {
        const data_label_set own = data_client_labels(&p->clients[q], split);
        for (size_t w = 0; w < sizeof all.word / sizeof *all.word; w++) {
            if ((all.word[w] & own.word[w]) != 0)
                return false;
            all.word[w] |= own.word[w];
        }
    }
    return true;
}

bool data_invariant_partition(const data_partition *partition, const data_set *set)
{
    if (partition->kind == DATA_PARTITION_FILE)
        return true;
    return partition->kind == DATA_PARTITION_LABELS ? anchors_apart(partition, &set->train)
                                                    : each_once(partition, set->train.count);
}

#endif

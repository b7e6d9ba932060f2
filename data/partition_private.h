/* SPDX-License-Identifier: MIT */
/* What the files of the partition share: stocks of samples, groups of clients. SPEC 8. */
#ifndef DATA_PARTITION_PRIVATE_H
#define DATA_PARTITION_PRIVATE_H

#include "../nn/rng.h"
#include "partition.h"

/* The samples a group of clients may take, ascending, and the same ordered by label. */
typedef struct data_stock {
    const data_split *split;
    size_t count;
    const uint32_t *index;    /* [count] */
    const uint32_t *by_label; /* [count]: by label, within a label ascending */
    const uint32_t *start;    /* [classes + 1]: label k is by_label[start[k] .. start[k+1]-1] */
} data_stock;

static inline size_t data_stock_of_label(const data_stock *stock, size_t label)
{
    return stock->start[label + 1] - stock->start[label];
}

/* The clients of one role: how many, the id of the first, where their samples come from. */
typedef struct data_group {
    data_role role;
    const char *what; /* "held-out" or "unseen", for messages */
    nn_stream stream;
    size_t first, count;
    const data_stock *stock;
} data_group;

/* A partition in the making. Training clients are 0..out.training-1 and share `pool`. */
typedef struct data_division {
    ddome_error *error;
    nn_arena *arena;
    const data_set *set;
    const data_partition_source *source;
    data_stock pool, held, test;
    data_partition out;
    data_client *clients;
} data_division;

/* An array for all clients of division->out. */
DDOME_MUST_CHECK ddome_status data_division_clients(data_division *division);

/* Allocates and enters the client; NULL when memory is out. */
uint32_t *data_division_client(data_division *division, size_t id, data_role role, size_t count);

ddome_status data_division_no_memory(data_division *division);

/* total / parts, and one more for the first total % parts of them. */
static inline size_t data_share(size_t total, size_t parts, size_t part)
{
    return total / parts + (part < total % parts ? 1 : 0);
}

/* All training clients as one group, samples from the pool. */
data_group data_training_group(const data_division *division, nn_stream stream);

/* The role of client j of the group: the first training clients are anchors. */
data_role data_group_role(const data_division *division, const data_group *group, size_t j);

/* What a held-out or unseen client keeps at most, its first samples (SPEC 8.4.3). */
size_t data_group_most(const data_division *division);

/* ---- cuts by Dirichlet proportions (SPEC 8.5.2, 8.5.4), of one label or of a whole list ---- */

/* One draw in the making; owner is indexed by sample, only samples of the stock are owned. */
typedef struct data_skew {
    const data_group *group;
    size_t min_size;
    uint32_t *owner, *order;
    size_t *size, *searched; /* [clients]; searched: where the repair has looked for its samples */
    double *p;               /* [clients] */
} data_skew;

/* All clients start empty; order holds the stock, ascending. */
DDOME_MUST_CHECK ddome_status data_skew_start(data_division *division, data_skew *skew,
                                              const data_group *group, size_t min_size);

/* order[0 .. count-1] to the clients by the proportions p. */
void data_skew_cut(data_skew *skew, size_t count);

/* One draw: sets every owner and size. */
typedef void data_skew_draw(const data_division *division, data_skew *skew, size_t draw);

/* Draws until every client has min_size samples, or repairs; returns the draws taken. */
size_t data_skew_fill(const data_division *division, data_skew *skew, data_skew_draw *draw,
                      bool *repaired);

/* Every client its samples, ascending, and at most its first `most`. */
DDOME_MUST_CHECK ddome_status data_skew_hand_out(data_division *division, const data_skew *skew,
                                                 size_t most);

/* What a draw needs (SPEC 8.5.1): 1 <= min_size, clients * min_size <= samples; a parameter, whose
 * key is named, between 2^-10 and 2^20. */
DDOME_MUST_CHECK ddome_status data_skew_check(const data_division *division, const char *key,
                                              float value);

/* SPEC 8.2, 8.3 and, for held-out and unseen clients, 8.4.1. */
DDOME_MUST_CHECK ddome_status data_labels_training(data_division *division);
DDOME_MUST_CHECK ddome_status data_labels_group(data_division *division, const data_group *group);

/* SPEC 8.5 and 8.4.2. */
DDOME_MUST_CHECK ddome_status data_dirichlet_training(data_division *division);
DDOME_MUST_CHECK ddome_status data_dirichlet_group(data_division *division,
                                                   const data_group *group);

/* SPEC 8.6 and 8.4.3. */
DDOME_MUST_CHECK ddome_status data_iid_training(data_division *division);
DDOME_MUST_CHECK ddome_status data_iid_group(data_division *division, const data_group *group);

/* SPEC 8.10 and 8.4.4. */
DDOME_MUST_CHECK ddome_status data_shards_training(data_division *division);
DDOME_MUST_CHECK ddome_status data_shards_group(data_division *division, const data_group *group);

/* SPEC 8.11 and 8.4.5. */
DDOME_MUST_CHECK ddome_status data_quantity_training(data_division *division);
DDOME_MUST_CHECK ddome_status data_quantity_group(data_division *division, const data_group *group);

/* SPEC 8.7: all roles; samples the file uses change side in mark, then the lists are made. */
DDOME_MUST_CHECK ddome_status data_file_read(data_division *division, uint8_t *mark);

/* Which side of the hold-out a sample of the train split is on (SPEC 8.1). */
enum { DATA_MARK_NONE, DATA_MARK_POOL, DATA_MARK_HELD };

/* Sets the two lists of division->out; mark has one entry for each sample of the train split. */
DDOME_MUST_CHECK ddome_status data_division_lists(data_division *division, const uint8_t *mark);

#endif

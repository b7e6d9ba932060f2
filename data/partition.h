/* SPDX-License-Identifier: MIT */
/* Who holds which samples: anchors, normal clients, held-out clients, unseen clients. SPEC 8. */
#ifndef DATA_PARTITION_H
#define DATA_PARTITION_H

#include "dataset.h"

typedef enum data_role {
    DATA_ANCHOR,  /* trains; tied to the expert with its own id */
    DATA_NORMAL,  /* trains */
    DATA_HOLDOUT, /* tunes: samples of the held-out tenth of the train split (SPEC 8.1, D23) */
    DATA_UNSEEN   /* tests: samples of the test split */
} data_role;

typedef struct data_client {
    uint32_t
        id; /* number in the partition: training clients 0.., then held-out, then unseen clients */
    data_role role;
    size_t count;
    const uint32_t *samples; /* indices into the train split (anchor, normal, holdout) or the test
                                split (unseen) */
} data_client;

typedef enum data_partition_kind {
    DATA_PARTITION_LABELS,
    DATA_PARTITION_DIRICHLET,
    DATA_PARTITION_IID,
    DATA_PARTITION_FILE,
    DATA_PARTITION_SHARDS,
    DATA_PARTITION_QUANTITY
} data_partition_kind;

typedef struct data_partition {
    data_partition_kind kind;
    size_t training, anchors, holdout,
        unseen;    /* numbers of clients; anchors are the first of the training clients */
    size_t draws;  /* dirichlet, quantity: draws taken, 0 otherwise */
    bool repaired; /* of these: max_draws was not enough (D24) */
    const data_client *clients; /* [training + holdout + unseen] */
    size_t pool_count;          /* the 90 % of the train split that may train, ascending */
    const uint32_t *pool;
    size_t held_count; /* the other 10 %, ascending */
    const uint32_t *held;
} data_partition;

typedef enum data_dirichlet_dialect {
    DATA_DIRICHLET_PLAIN,
    DATA_DIRICHLET_BALANCED
} data_dirichlet_dialect;

typedef struct data_partition_source {
    data_partition_kind kind;
    size_t clients, anchors;  /* S (anchors included) and how many of them are anchors */
    size_t unseen, holdout;   /* unseen and held-out clients */
    size_t labels_per_client; /* L */
    size_t label_group; /* labels are drawn in runs of so many consecutive ones; 1: each alone */
    size_t
        anchor_labels; /* labels per anchor; 0 = classes / anchors, rounded down to whole groups */
    size_t samples_per_client; /* 0 = pool size / S */
    size_t unseen_samples; /* at most so many samples a held-out or unseen client, its first ones by
                              index; 0 = all */
    float alpha;
    data_dirichlet_dialect dialect;
    size_t min_size, max_draws;
    size_t shards_per_client; /* kind SHARDS (D47) */
    float beta;               /* kind QUANTITY (D48) */
    const char *file;         /* kind FILE: a partition.csv */
    uint64_t seed;
} data_partition_source;

/* Draws or reads the partition and checks that nothing leaks. DDOME_ERR_USAGE for a request that
 * cannot be met (more anchor labels than classes, no label set left for an unseen client),
 * DDOME_ERR_DATA for a damaged file. */
DDOME_MUST_CHECK ddome_status data_partition_make(ddome_error *error, nn_arena *arena,
                                                  data_partition *partition, const data_set *set,
                                                  const data_partition_source *source);

/* No sample index of a held-out client is in the training pool, every index is in range, roles are
 * in order, anchors first; with kind LABELS no unseen label set equals a training client's.
 * DDOME_ERR_RUNTIME names client and index. */
DDOME_MUST_CHECK ddome_status data_partition_check(ddome_error *error, nn_arena *scratch,
                                                   const data_partition *partition,
                                                   const data_set *set);

/* The text of partition.csv (SPEC 8.8) in the arena. */
DDOME_MUST_CHECK ddome_status data_partition_text(ddome_error *error, nn_arena *arena, char **text,
                                                  size_t *length, const data_partition *partition);

/* SHA-256 of the pool's indices, each as 4 bytes little-endian: what training may use. */
nn_digest data_partition_pool_hash(const data_partition *partition);

/* Labels, a bit each. */
typedef struct data_label_set {
    uint32_t word[8];
} data_label_set;

NN_ASSUME(label_set_holds_a_byte, sizeof(((data_label_set *)0)->word) * CHAR_BIT >= 256);

/* The labels that occur among a client's samples of a split. */
data_label_set data_client_labels(const data_client *client, const data_split *split);

static inline bool data_label_set_has(const data_label_set *set, unsigned label)
{
    return (set->word[label / 32] >> label % 32 & 1) != 0;
}

bool data_label_set_same(const data_label_set *a, const data_label_set *b);

const char *data_role_name(data_role role);

/* Ascending order. */
void data_sort_u32(uint32_t *items, size_t count);

#endif

/* SPDX-License-Identifier: MIT */
/* Strict reader of the IDX files of MNIST and EMNIST. SPEC 7.8. */
#ifndef DATA_IDX_H
#define DATA_IDX_H

#include "dataset.h"

/* The ways in which EMNIST is cut (D45), in the order of the words of the key emnist_split. */
typedef enum data_emnist_split {
    DATA_EMNIST_BYCLASS,
    DATA_EMNIST_BYMERGE,
    DATA_EMNIST_BALANCED,
    DATA_EMNIST_LETTERS,
    DATA_EMNIST_DIGITS,
    DATA_EMNIST_MNIST,
    DATA_EMNIST_COUNT
} data_emnist_split;

/* Which files and records to read. */
typedef struct data_idx_source {
    const char *dir;         /* the folder that holds mnist or emnist, or that folder itself */
    const char *exclude;     /* file of record indices to leave out, or NULL (SPEC 7.2) */
    data_emnist_split split; /* EMNIST */
} data_idx_source;

/* Reads both splits, one channel, uncompressed files. A missing, compressed or damaged file:
 * DDOME_ERR_DATA with file, offset, expected and found. */
DDOME_MUST_CHECK ddome_status data_mnist_load(ddome_error *error, nn_arena *arena, data_set *set,
                                              const data_idx_source *source);

/* The same with rows and columns exchanged (SPEC 7.8.3). */
DDOME_MUST_CHECK ddome_status data_emnist_load(ddome_error *error, nn_arena *arena, data_set *set,
                                               const data_idx_source *source);

#endif

/* SPDX-License-Identifier: MIT */
/* Strict readers of the CIFAR-10 and CIFAR-100 binary files. SPEC 7.1, 7.2. */
#ifndef DATA_CIFAR_H
#define DATA_CIFAR_H

#include "dataset.h"

/* Which files and records to read. */
typedef struct data_cifar_source {
    const char *dir;     /* the folder that holds cifar-10-batches-bin or cifar-100-binary, or that
                            folder itself */
    const char *exclude; /* file of record indices to leave out, or NULL (SPEC 7.2) */
    unsigned batches;    /* CIFAR-10: bit i set = data_batch_<i+1>.bin is used */
    bool coarse;         /* CIFAR-100: the 20 coarse labels instead of the 100 fine ones */
} data_cifar_source;

/* Reads both splits. A missing file, a size that is not a multiple of the record, a label out of
 * range: DDOME_ERR_DATA with file, offset, expected and found. */
DDOME_MUST_CHECK ddome_status data_cifar10_load(ddome_error *error, nn_arena *arena, data_set *set,
                                                const data_cifar_source *source);

/* CIFAR-100 with its 100 fine or 20 coarse labels (train.bin, test.bin). */
DDOME_MUST_CHECK ddome_status data_cifar100_load(ddome_error *error, nn_arena *arena, data_set *set,
                                                 const data_cifar_source *source);

#endif

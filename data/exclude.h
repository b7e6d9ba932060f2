/* SPDX-License-Identifier: MIT */
/* The list of records to leave out. SPEC 7.2. */
#ifndef DATA_EXCLUDE_H
#define DATA_EXCLUDE_H

#include "../nn/arena.h"

/* Marks by official index, `indices` of each split; NULL where nothing is left out. */
typedef struct data_exclusion {
    uint8_t *train, *test;
    size_t indices;
} data_exclusion;

/* No official index of either split reaches `indices`. path NULL: nothing is left out. A breach of
 * SPEC 7.2.2 is DDOME_ERR_DATA with file and line. */
DDOME_MUST_CHECK ddome_status data_exclusion_read(ddome_error *error, nn_arena *arena,
                                                  data_exclusion *list, const char *path,
                                                  size_t indices);

#endif

/* SPDX-License-Identifier: MIT */
/* Finds the files of a data set: under their official names, or those of a prefix of them.
 * SPEC 7.1.1, 7.1.5. */
#ifndef DATA_FILES_H
#define DATA_FILES_H

#include "../nn/arena.h"

/* The official name is stem rest; that of its first N records stem joint "first" N rest. */
typedef struct data_file {
    const char *stem, *joint, *rest;
    size_t records; /* of the official file */
} data_file;

typedef struct data_place {
    const char *path; /* with the official name when there is no file */
    bool there;
    size_t prefix; /* N of a prefix's name; 0: the official file */
} data_place;

/* folder has its trailing slash. The only failure is running out of memory. */
DDOME_MUST_CHECK ddome_status data_file_find(ddome_error *error, nn_arena *arena, data_place *place,
                                             const char *folder, const data_file *file);

/* dir/name/ when `probe` is in it under one of its names, or is in neither and dir/name/ is there;
 * else dir/. */
DDOME_MUST_CHECK ddome_status data_folder_find(ddome_error *error, nn_arena *arena,
                                               const char **folder, const char *dir,
                                               const char *name, const data_file *probe);

/* How a file's number of records must be related to its name: exactly N of a prefix, else at most
 * the official number (SPEC 7.1.2, 7.1.5). */
DDOME_MUST_CHECK ddome_status data_file_check_records(ddome_error *error, const data_place *place,
                                                      const data_file *file, size_t records);

#endif

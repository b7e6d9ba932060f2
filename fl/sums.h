/* SPDX-License-Identifier: MIT */
/* The list of hashes of a finished run, in the one form that it has. SPEC 17.3.1. */
#ifndef FL_SUMS_H
#define FL_SUMS_H

#include "rundir.h"

typedef struct fl_sums_line {
    const char *hex, *name;
} fl_sums_line;

typedef struct fl_sums {
    fl_sums_line *line; /* [count], names ascending by their bytes, none twice */
    size_t count;
    char root_hash[NN_HEX_BYTES];
} fl_sums;

/* Reads the folder's SHA256SUMS into dir->arena. No such file, or one that is not of the form of
 * SPEC 17.3.1, is DDOME_ERR_DATA. */
DDOME_MUST_CHECK ddome_status fl_sums_read(ddome_error *error, fl_sums *sums, const fl_rundir *dir);

/* Does it list the file? */
bool fl_sums_has(const fl_sums *sums, const char *name);

#endif

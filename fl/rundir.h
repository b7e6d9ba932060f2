/* SPDX-License-Identifier: MIT */
/* The run directory: hashed files written atomically, SHA256SUMS last. SPEC 17. */
#ifndef FL_RUNDIR_H
#define FL_RUNDIR_H

#include "text.h"

typedef struct fl_rundir_file fl_rundir_file;

typedef struct fl_rundir {
    const char *path;
    nn_arena *arena;
    fl_rundir_file *files; /* the hashed ones written so far */
} fl_rundir;

/* Creates the folder (its parent exists) and proves that it can be written. A folder that holds
 * SHA256SUMS or manifest.json is refused with DDOME_ERR_USAGE unless force, which removes those two
 * first: an interrupted run never looks finished. */
DDOME_MUST_CHECK ddome_status fl_rundir_open(ddome_error *error, fl_rundir *dir, nn_arena *arena,
                                             const char *path, bool force);

/* Writes a hashed file; name may hold one folder ("final/gate.safetensors"), which is created.
 * Writing a name again replaces it. */
DDOME_MUST_CHECK ddome_status fl_rundir_write(ddome_error *error, fl_rundir *dir, const char *name,
                                              const void *bytes, size_t size);

/* Writes a file that stays outside the hashes (times, host). */
DDOME_MUST_CHECK ddome_status fl_rundir_write_unhashed(ddome_error *error, const fl_rundir *dir,
                                                       const char *name, const void *bytes,
                                                       size_t size);

/* Writes SHA256SUMS (lines "HASH  NAME", sorted by the bytes of the name, LF) and gives its own
 * hash, the root hash. */
DDOME_MUST_CHECK ddome_status fl_rundir_close(ddome_error *error, fl_rundir *dir,
                                              char root_hash[NN_HEX_BYTES]);

#endif

/* SPDX-License-Identifier: MIT */
/* The run directory: one process at a time writes its files, atomically or at their ends, and
 * SHA256SUMS last. SPEC 17. */
#ifndef FL_RUNDIR_H
#define FL_RUNDIR_H

#include "../nn/os.h"
#include "text.h"

typedef struct fl_rundir_file fl_rundir_file;

typedef struct fl_rundir {
    const char *path;
    nn_arena *arena;
    fl_rundir_file *files; /* the hashed ones written so far */
    nn_os_lock lock;
    bool verify; /* what would be written is compared with what is there: DDOME_ERR_VERIFY */
} fl_rundir;

/* Creates the folder (its parent exists), locks it and proves that it can be written. A folder in
 * use, or one that holds a run (SHA256SUMS, manifest.json or ckpt/DONE) is refused with
 * DDOME_ERR_USAGE (of checkpoints without their list see fl_saved_lost); the latter not with force,
 * which removes those three first: an interrupted run never looks finished. ckpt/run.toml of an
 * older run is removed, too. *dir is untouched on error, else fl_rundir_leave ends it. */
DDOME_MUST_CHECK ddome_status fl_rundir_open(ddome_error *error, fl_rundir *dir, nn_arena *arena,
                                             const char *path, bool force);

/* The same of a folder that may hold a run, to go on with it. */
DDOME_MUST_CHECK ddome_status fl_rundir_reopen(ddome_error *error, fl_rundir *dir, nn_arena *arena,
                                               const char *path);

/* The same to look at it: nothing is written or locked, see `verify`. */
DDOME_MUST_CHECK ddome_status fl_rundir_view(ddome_error *error, fl_rundir *dir, nn_arena *arena,
                                             const char *path);

/* Removes SHA256SUMS and manifest.json of a run that goes on. */
DDOME_MUST_CHECK ddome_status fl_rundir_unseal(ddome_error *error, const fl_rundir *dir);

/* Is SHA256SUMS there? */
bool fl_rundir_is_sealed(const fl_rundir *dir);

/* Unlocks it; a zeroed one is fine. */
void fl_rundir_leave(fl_rundir *dir);

/* Writes a hashed file; name may hold one folder ("final/gate.safetensors"), which is created.
 * Writing a name again replaces it. */
DDOME_MUST_CHECK ddome_status fl_rundir_write(ddome_error *error, fl_rundir *dir, const char *name,
                                              const void *bytes, size_t size);

/* Writes a file that stays outside the hashes (times, host). */
DDOME_MUST_CHECK ddome_status fl_rundir_write_unhashed(ddome_error *error, const fl_rundir *dir,
                                                       const char *name, const void *bytes,
                                                       size_t size);

/* bytes follow the first `at` of the file and end it; not flushed. */
DDOME_MUST_CHECK ddome_status fl_rundir_append(ddome_error *error, const fl_rundir *dir,
                                               const char *name, uint64_t at, const void *bytes,
                                               size_t size);

DDOME_MUST_CHECK ddome_status fl_rundir_flush(ddome_error *error, const fl_rundir *dir,
                                              const char *name);

/* bytes[size] from byte `at` of the file on; one that is missing or ends before is
 * DDOME_ERR_DATA. */
DDOME_MUST_CHECK ddome_status fl_rundir_read_part(ddome_error *error, const fl_rundir *dir,
                                                  void *bytes, size_t size, const char *name,
                                                  uint64_t at);

/* The hash so far of its first `size` bytes; one that has fewer is DDOME_ERR_DATA. */
DDOME_MUST_CHECK ddome_status fl_rundir_hash(ddome_error *error, const fl_rundir *dir,
                                             nn_sha256 *sha, const char *name, uint64_t size);

/* The file as it stands is one of the hashed ones. */
DDOME_MUST_CHECK ddome_status fl_rundir_list(ddome_error *error, fl_rundir *dir, const char *name,
                                             const nn_digest *digest);

/* The file is not there any more, if it can be removed. */
DDOME_MUST_CHECK ddome_status fl_rundir_remove(ddome_error *error, const fl_rundir *dir,
                                               const char *name);

/* path/name, in `arena`. */
DDOME_MUST_CHECK ddome_status fl_rundir_join(ddome_error *error, nn_arena *arena,
                                             const fl_rundir *dir, char **out, const char *name);

/* Writes SHA256SUMS (lines "HASH  NAME", sorted by the bytes of the name, LF) and gives its own
 * hash, the root hash. */
DDOME_MUST_CHECK ddome_status fl_rundir_close(ddome_error *error, fl_rundir *dir,
                                              char root_hash[NN_HEX_BYTES]);

#endif

/* SPDX-License-Identifier: MIT */
/* Are the files of a finished run those of its SHA256SUMS, are they all there, and is its
 * configuration the one at hand? SPEC 17.7. */
#ifndef FL_VERIFY_H
#define FL_VERIFY_H

#include "rundir.h"

struct fl_run;

/* Hashes every file of run_dir/SHA256SUMS again. No such file, or one that is not of the form of
 * SPEC 17.3.1, is DDOME_ERR_DATA; a file that is missing or has another hash DDOME_ERR_VERIFY. */
DDOME_MUST_CHECK ddome_status fl_verify_hashes(ddome_error *error, nn_arena *arena,
                                               const char *run_dir, char root_hash[NN_HEX_BYTES]);

/* Does the list name every file that a run of its manifest and its configuration has (SPEC 17.1.1,
 * 17.1.2)? Else DDOME_ERR_DATA. For files that fl_verify_hashes found as they were. */
DDOME_MUST_CHECK ddome_status fl_verify_complete(ddome_error *error, nn_arena *arena,
                                                 const char *run_dir);

/* Is the configuration of `run` that of run_dir/config.toml? Else DDOME_ERR_VERIFY with the first
 * key that differs: ckpt/run.toml, which nothing hashes, or the words that were given are of
 * another run. */
DDOME_MUST_CHECK ddome_status fl_verify_config(struct fl_run *run, const char *run_dir);

/* Has the run tables? Those that only pretrained have none (SPEC 17.1.2). */
bool fl_verify_has_tables(const fl_rundir *dir);

#endif

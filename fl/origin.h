/* SPDX-License-Identifier: MIT */
/* The files that a run is given: their hashes, and whether they were made from the same samples.
 * SPEC 9.4. */
#ifndef FL_ORIGIN_H
#define FL_ORIGIN_H

#include "../data/json.h"
#include "model.h"
#include "task.h"

/* SHA-256 of the files the configuration names; "" for those it does not. */
DDOME_MUST_CHECK ddome_status fl_origin_hashes(ddome_error *error, nn_arena *scratch,
                                               fl_config_hashes *hashes, const fl_config *config);

/* The members of a manifest.json; a file that is missing or no JSON object is DDOME_ERR_DATA. */
DDOME_MUST_CHECK ddome_status fl_manifest_read(ddome_error *error, nn_arena *arena,
                                               const data_json_value **manifest, const char *path);

/* Is the member this text? */
bool fl_manifest_says(const data_json_value *manifest, const char *member, const char *text);

/* The manifest.json of a given model (in its folder, or one above a folder `final`) must have this
 * run's training split and pool, or held-out samples would be among what it was trained on; and of
 * a common expert (NULL: it is none) its hash, or it is the manifest of something else:
 * DDOME_ERR_USAGE. Without a manifest nothing is known and nothing is said. */
DDOME_MUST_CHECK ddome_status fl_origin_check_model(ddome_error *error, nn_arena *scratch,
                                                    const char *path, const nn_digest *common,
                                                    const fl_task *task);

/* Splits and profile must be those of RUN/manifest.json: DDOME_ERR_VERIFY (SPEC 18.3.2). */
DDOME_MUST_CHECK ddome_status fl_origin_check_run(ddome_error *error, nn_arena *scratch,
                                                  const char *run_dir, const fl_config *config,
                                                  const fl_task *task);

#endif

/* SPDX-License-Identifier: MIT */
/* Was a file made from the same data? Manifests say what a common expert or a run was made from.
 * SPEC 8.9, 17.2.4. */
#ifndef FL_ORIGIN_H
#define FL_ORIGIN_H

#include "task.h"

/* A manifest.json beside the common expert must have this run's training split and pool, or
 * held-out samples would be among what it was trained on: DDOME_ERR_USAGE. Without a manifest
 * nothing is known and nothing is said. */
DDOME_MUST_CHECK ddome_status fl_origin_check_common(ddome_error *error, nn_arena *scratch,
                                                     const char *path, const fl_task *task);

/* The splits must be those of RUN/manifest.json: DDOME_ERR_VERIFY. */
DDOME_MUST_CHECK ddome_status fl_origin_check_run(ddome_error *error, nn_arena *scratch,
                                                  const char *run_dir, const fl_task *task);

#endif

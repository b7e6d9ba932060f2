/* SPDX-License-Identifier: MIT */
/* A tiny federation for the suites of fl/: perceptron experts on generated images, seconds at most.
 */
#ifndef FL_FIXTURE_H
#define FL_FIXTURE_H

#include "../fl/run.h"
#include "test.h"

/* "key=value key=value ..." over the tiny defaults; the run is ready for its first round: common
 * expert trained, embeddings made, server started. Free it with fl_run_free. False (and the case
 * fails) when something went wrong. */
bool test_federation(fl_run *run, ddome_error *error, const char *keys);

/* The configuration alone. */
bool test_federation_keys(fl_config *config, const char *keys);

/* One round without evaluation. */
ddome_status test_round(fl_run *run, uint32_t round);

#endif

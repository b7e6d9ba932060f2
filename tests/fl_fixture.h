/* SPDX-License-Identifier: MIT */
/* A tiny federation for the suites of fl/: perceptron experts on generated images, seconds at most.
 */
#ifndef FL_FIXTURE_H
#define FL_FIXTURE_H

#include "../fl/run.h"
#include "../nn/optim.h"
#include "test.h"

/* "key=value key=value ..." over the tiny defaults; the run is ready for its first round: common
 * expert trained, embeddings made, server started. Free it with fl_run_free. False (and the case
 * fails) when something went wrong. */
bool test_federation(fl_run *run, ddome_error *error, const char *keys);

/* The same with so many threads; the case is skipped when the build has none. */
bool test_federation_threads(fl_run *run, ddome_error *error, const char *keys, size_t threads);

/* The configuration alone; behind the public handle; and a run that is set up and no more. */
bool test_federation_keys(fl_config *config, const char *keys);
bool test_federation_config(ddome_config *config, const char *keys);
ddome_config *test_federation_new(const char *keys); /* the caller frees it; NULL: a failure */
bool test_federation_init(fl_run *run, ddome_error *error, const char *keys);

/* One participant's part of a round. */
ddome_status test_client(ddome_error *error, nn_arena *scratch, fl_visit *visit, const fl_run *run);

/* One round without evaluation. */
ddome_status test_round(fl_run *run, uint32_t round);

/* test_federation and its first rounds. */
bool test_federation_rounds(fl_run *run, ddome_error *error, const char *keys, uint32_t rounds);

/* The floats of the slice with this name inside a flat vector. */
float *test_slice(float *values, const nn_layout *layout, const char *name);

/* SGD by hand on an expert that is a perceptron: nothing of fl/client.c, fl/common.c and
 * fl/trainee.c. */
typedef struct test_sgd {
    const fl_run *run;
    float *values, *grads, *velocity;
    nn_sgd sgd;
    size_t batch, steps; /* steps taken; the first one sets the velocity */
} test_sgd;

/* Gradients and velocity are buffers of fixture.h. */
test_sgd test_sgd_start(const fl_run *run, float *values, const nn_sgd *sgd, size_t batch);

/* One step on at most `batch` samples of the train split; false when it failed. */
bool test_sgd_batch(test_sgd *s, const uint32_t *samples, size_t count);

#endif

/* SPDX-License-Identifier: MIT */
/* A model in training: its values, gradients and optimiser state. SPEC 6.7, 11.3. */
#ifndef FL_TRAINEE_H
#define FL_TRAINEE_H

#include "../nn/optim.h"
#include "correction.h"
#include "model.h"
#include "trace.h"

typedef struct fl_trainee {
    const fl_model *model;
    float *values; /* trained in place */
    float *grads;
    float *velocity; /* NULL without momentum */
    nn_sgd sgd;
    const fl_correction *correction; /* NULL: none */
    uint64_t steps;                  /* taken so far; the first one sets the velocity */
    char scope[FL_TRACE_SCOPE];      /* its name in a trace; may be "" */
} fl_trainee;

/* Gradients and velocity come from the arena; values stay the caller's. */
DDOME_MUST_CHECK ddome_status fl_trainee_init(ddome_error *error, nn_arena *arena,
                                              fl_trainee *trainee, const fl_model *model,
                                              float *values, const nn_sgd *sgd);

/* The model on the tape, with gradients, batch statistics moving. Returns its logits. */
nn_node *fl_trainee_build(fl_trainee *trainee, nn_graph *graph, nn_node *x);

/* Gradients of scale * loss; *value is the loss itself. A loss that is infinite or NaN is
 * DDOME_ERR_NONFINITE. */
DDOME_MUST_CHECK ddome_status fl_trainee_backward(float *value, nn_graph *graph, nn_node *loss,
                                                  float scale);

/* The correction, then SGD; grads keep what SGD was given. */
void fl_trainee_step(fl_trainee *trainee);

#endif

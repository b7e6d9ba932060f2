/* SPDX-License-Identifier: MIT */
/* An operation of SPEC 19.1.2 done by the functions that runs use, on values that may come from
 * anywhere. The first thing that does not fit sticks in `status`; what follows does nothing. */
#ifndef VECTORS_RUN_H
#define VECTORS_RUN_H

#include "../nn/case.h"

/* K + 1 gradients of a mixture of 64 experts. */
enum { VECTORS_OUTPUTS = 65 };

/* Of sizes that an attribute gives: what they make is bounded by nothing else. */
#define VECTORS_MOST ((uint64_t)1 << 24)

typedef struct vectors_work {
    ddome_error *error;
    ddome_status status;
    nn_arena *arena;
    nn_engine engine;
    const nn_case *at_hand;
    nn_value *outputs; /* [VECTORS_OUTPUTS] */
    size_t output_count;
} vectors_work;

/* Reads inputs and attributes, checks them, makes the outputs in the order of SPEC 19.1.2. */
typedef struct vectors_op {
    const char *name; /* NULL ends a list */
    void (*run)(vectors_work *w);
} vectors_op;

extern const vectors_op vectors_ops_draw[], vectors_ops_sums[], vectors_ops_layers[],
    vectors_ops_loss[];

/* Does this program know the operation? */
bool vectors_runs(const char *op);

DDOME_MUST_CHECK ddome_status vectors_run(ddome_error *error, nn_arena *arena,
                                          const nn_value **outputs, size_t *output_count,
                                          const nn_case *work, const nn_kernels *kernels);

/* ---- for the operations ---- */

/* Never NULL: after a failure an empty value. Any rank from `least` to `most`. */
const nn_value *vectors_in(vectors_work *w, const char *name, nn_value_type type, size_t least,
                           size_t most);
const nn_value *vectors_in_f32(vectors_work *w, const char *name, size_t rank);

float vectors_in_scalar(vectors_work *w, const char *name);

/* low..high, or the work fails. */
uint64_t vectors_attribute(vectors_work *w, const char *name, uint64_t low, uint64_t high);

/* Still all right, and is it so that `holds`? `what` says what must. */
bool vectors_need(vectors_work *w, bool holds, const char *what);

/* Takes over the status of a call. */
void vectors_took(vectors_work *w, ddome_status status);

/* New outputs; NULL after a failure. `name` must last as long as the arena. */
float *vectors_out_f32(vectors_work *w, const char *name, size_t rank, const size_t *shape);
uint32_t *vectors_out_u32(vectors_work *w, const char *name, size_t rank, const size_t *shape);
double *vectors_out_f64(vectors_work *w, const char *name, size_t rank, const size_t *shape);

/* The same as an input's. */
float *vectors_out_as(vectors_work *w, const char *name, const nn_value *like);

/* Scratch; NULL after a failure. */
float *vectors_floats(vectors_work *w, size_t count);

#endif

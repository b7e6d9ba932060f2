/* SPDX-License-Identifier: MIT */
/* test = mixture: a sample is predicted by the mixture of the chosen experts, as in training.
 * SPEC 13.6. */
#ifndef FL_EVAL_MIXTURE_H
#define FL_EVAL_MIXTURE_H

#include "eval.h"

/* The chosen experts of a client and the gate's logits of its samples, [count, M]. */
typedef struct fl_mixed {
    const data_split *split;
    const uint32_t *samples;
    size_t count, k;
    const uint32_t *chosen;
    float *gate_logits;
} fl_mixed;

/* z[count, classes]: logits of the mixture of the chosen experts. */
DDOME_MUST_CHECK ddome_status fl_eval_mixture(const fl_evaluator *evaluator, ddome_error *error,
                                              nn_arena *scratch, float *z, const fl_server *server,
                                              const fl_mixed *mixed);

#endif

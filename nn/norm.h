/* SPDX-License-Identifier: MIT */
/* Batch normalisation (training and evaluation) and group normalisation over NHWC. SPEC 5.6 to 5.9.
 */
#ifndef NN_NORM_H
#define NN_NORM_H

#include "arena.h"
#include "engine.h"
#include "tensor.h"

/* Statistics of one normalisation: one entry a channel (batch-norm) or an image and group
 * (group-norm). */
typedef struct nn_norm_saved {
    float *mean, *rstd;
} nn_norm_saved;

/* What a batch-norm does besides normalising, in the order y = gamma*xhat + beta, + residual,
 * max(y, +0): the same operations as on their own, but in one pass over memory. */
typedef struct nn_batch_norm {
    const float *gamma, *beta; /* [c] */
    const float *residual;     /* as x, or NULL */
    bool relu;
} nn_batch_norm;

/* Training: normalises with the statistics of the batch, stores them in saved (c floats each) and
 * moves the running ones: running = 0.9*running + 0.1*batch; with one value a channel the running
 * variance stays. */
DDOME_MUST_CHECK ddome_status nn_batch_norm_train(const nn_engine *engine, ddome_error *error,
                                                  nn_arena *scratch, float *y, nn_norm_saved *saved,
                                                  float *running_mean, float *running_var,
                                                  const nn_tensor *x, const nn_batch_norm *norm);

/* y once more, from the saved statistics. */
void nn_batch_norm_again(const nn_engine *engine, float *y, const nn_tensor *x,
                         const nn_batch_norm *norm, const nn_norm_saved *saved);

/* Evaluation: the same with running_mean and rsqrt(running_var + eps). */
DDOME_MUST_CHECK ddome_status nn_batch_norm_eval(const nn_engine *engine, ddome_error *error,
                                                 nn_arena *scratch, float *y, const nn_tensor *x,
                                                 const nn_batch_norm *norm,
                                                 const float *running_mean,
                                                 const float *running_var);

/* Gradients of the training form; dx, dgamma, dbeta are overwritten. With y, the output of a form
 * with ReLU, dy becomes its gradient before the ReLU, which is also that of the residual; y NULL:
 * dy stays. dx may be dy or x->data. */
DDOME_MUST_CHECK ddome_status nn_batch_norm_backward(const nn_engine *engine, ddome_error *error,
                                                     nn_arena *scratch, float *dx, float *dgamma,
                                                     float *dbeta, float *dy, const float *y,
                                                     const nn_tensor *x, const float *gamma,
                                                     const nn_norm_saved *saved);

/* Group-norm over (h, w, channels of the group) of one image; saved holds n*groups floats each;
 * groups divides c. */
void nn_group_norm_forward(float *y, nn_norm_saved *saved, const nn_tensor *x, const float *gamma,
                           const float *beta, size_t groups);

DDOME_MUST_CHECK ddome_status nn_group_norm_backward(ddome_error *error, nn_arena *scratch,
                                                     float *dx, float *dgamma, float *dbeta,
                                                     const float *dy, const nn_tensor *x,
                                                     const float *gamma, const nn_norm_saved *saved,
                                                     size_t groups);

#endif

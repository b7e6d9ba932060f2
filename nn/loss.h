/* SPDX-License-Identifier: MIT */
/* Softmax, its cross-entropy, and the mixture of expert outputs weighted by a gate.
 * SPEC 5.14, 5.15. */
#ifndef NN_LOSS_H
#define NN_LOSS_H

#include "arena.h"

/* p[j] = exp(z_j - max) / sum, j ascending. p may be z. */
void nn_softmax(float *p, const float *z, size_t count);

/* Loss of one row: log(sum exp(z_j - max)) - (z_label - max). */
float nn_cross_entropy_row(const float *z, size_t classes, uint32_t label);

/* Mean over the rows of z[n,classes]. row_losses: n floats of scratch. */
float nn_cross_entropy_forward(float *row_losses, const float *z, const uint32_t *labels, size_t n,
                               size_t classes);

/* dz = scale * ((p_j - [j = label]) / (float)n). */
void nn_cross_entropy_backward(float *dz, const float *z, const uint32_t *labels, size_t n,
                               size_t classes, float scale);

/* Sizes of a mixture: n samples, K chosen of M experts, C classes; chosen[K] ascending. */
typedef struct nn_mixture_shape {
    size_t n, experts, k, classes;
    const uint32_t *chosen;
} nn_mixture_shape;

/* z[n,C] = sum over chosen i ascending of w_i * z_i, w = softmax of the chosen gate logits of the
 * sample; gate[n,M], z_i[n,C]. */
void nn_mixture_forward(float *z, const float *gate, const float *const *expert_logits,
                        const nn_mixture_shape *shape);

/* dgate[n,M] (0 for experts not chosen) and dz_i[n,C] of each chosen expert. */
void nn_mixture_backward(float *dgate, float *const *dexpert, const float *dz, const float *gate,
                         const float *const *expert_logits, const nn_mixture_shape *shape);

/* mix = probs: z_j = log sum over i of w_i * softmax(z_i)_j, by log-sum-exp (SPEC 5.15b). */
void nn_mixture_probs_forward(float *z, const float *gate, const float *const *expert_logits,
                              const nn_mixture_shape *shape);

void nn_mixture_probs_backward(float *dgate, float *const *dexpert, const float *dz, const float *z,
                               const float *gate, const float *const *expert_logits,
                               const nn_mixture_shape *shape);

enum { NN_MAX_EXPERTS = 64 };

#endif

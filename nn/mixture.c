/* SPDX-License-Identifier: MIT */
/* Mixture of K chosen experts: z = sum_i w_i z_i with w = softmax of the chosen gate logits.
 * Products are rounded in both profiles (SPEC 2.5.2). SPEC 5.15. */
#include "loss.h"

#include <assert.h>
#include <string.h>

#include "fmath.h"
#include "invariant.h"
#include "sum.h"

/* Sums over experts have at most NN_MAX_EXPERTS < NN_BLOCK addends: one block, one chain from +0.
 */
NN_ASSUME(experts_fit_a_block, (int)NN_MAX_EXPERTS <= (int)NN_BLOCK);

/* w[K] = softmax of the chosen logits of one sample. */
static void weights_of(float *w, const float *gate_row, const nn_mixture_shape *s)
{
    for (size_t i = 0; i < s->k; i++)
        w[i] = gate_row[s->chosen[i]];
    nn_softmax(w, w, s->k);
    NN_INVARIANT(nn_invariant_mixture(w, gate_row, s));
}

void nn_mixture_forward(float *z, const float *gate, const float *const *logits,
                        const nn_mixture_shape *s)
{
    float w[NN_MAX_EXPERTS];
    for (size_t n = 0; n < s->n; n++) {
        weights_of(w, gate + n * s->experts, s);
        for (size_t j = 0; j < s->classes; j++) {
            float sum = 0;
            for (size_t i = 0; i < s->k; i++) {
                float product = w[i] * logits[i][n * s->classes + j];
                sum = sum + product;
            }
            z[n * s->classes + j] = sum;
        }
    }
}

/* Sum over classes ascending, by blocks, of a_j * b_j. */
static float dot(const float *a, const float *b, size_t count)
{
    nn_running_sum sum = {0, 0, 0};
    for (size_t j = 0; j < count; j++) {
        float product = a[j] * b[j];
        nn_running_add(&sum, product);
    }
    return nn_running_end(&sum);
}

/* Softmax backward into the chosen logits: du_i = w_i * (dw_i - sum_l w_l dw_l). */
static void weights_backward(float *dgate_row, const float *w, const float *dw,
                             const nn_mixture_shape *s)
{
    const float mean = dot(w, dw, s->k);
    memset(dgate_row, 0, s->experts * sizeof *dgate_row);
    for (size_t i = 0; i < s->k; i++) {
        float centred = dw[i] - mean;
        dgate_row[s->chosen[i]] = w[i] * centred;
    }
}

void nn_mixture_backward(float *dgate, float *const *dexpert, const float *dz, const float *gate,
                         const float *const *logits, const nn_mixture_shape *s)
{
    float w[NN_MAX_EXPERTS], dw[NN_MAX_EXPERTS];
    for (size_t n = 0; n < s->n; n++) {
        const size_t row = n * s->classes;
        weights_of(w, gate + n * s->experts, s);
        for (size_t i = 0; i < s->k; i++) {
            for (size_t j = 0; j < s->classes; j++)
                dexpert[i][row + j] = w[i] * dz[row + j];
            dw[i] = dot(dz + row, logits[i] + row, s->classes);
        }
        weights_backward(dgate + n * s->experts, w, dw, s);
    }
}

/* ---- mix = probs ---- */

/* offset_i = log w_i - log-normaliser of expert i, so that t_ij = z_ij + offset_i is log(w_i p_ij).
 * SPEC 5.15b. */
static float log_normaliser(const float *z, size_t count)
{
    uint32_t most = 0;
    for (uint32_t j = 1; j < count; j++)
        most = z[j] > z[most] ? j : most;
    const float spread = nn_cross_entropy_row(z, count, most); /* log sum exp(z - z_most) */
    const float all =
        spread + z[most]; /* through the largest term: through another one digits cancel */
    return all;
}

static void offsets_of(float *offset, const float *gate_row, const float *const *logits,
                       const nn_mixture_shape *s, size_t n)
{
    float u[NN_MAX_EXPERTS];
    assert(s->k != 0); /* the softmax of none has no normaliser */
    for (size_t i = 0; i < s->k; i++)
        u[i] = gate_row[s->chosen[i]];
    const float gate_normaliser = log_normaliser(u, s->k);
    for (size_t i = 0; i < s->k; i++) {
        float log_weight = u[i] - gate_normaliser;
        offset[i] = log_weight - log_normaliser(logits[i] + n * s->classes, s->classes);
    }
}

void nn_mixture_probs_forward(float *z, const float *gate, const float *const *logits,
                              const nn_mixture_shape *s)
{
    float offset[NN_MAX_EXPERTS], t[NN_MAX_EXPERTS];
    for (size_t n = 0; n < s->n; n++) {
        offsets_of(offset, gate + n * s->experts, logits, s, n);
        for (size_t j = 0; j < s->classes; j++) {
            for (size_t i = 0; i < s->k; i++)
                t[i] = logits[i][n * s->classes + j] + offset[i];
            z[n * s->classes + j] = log_normaliser(t, s->k);
        }
    }
}

/* dt_ij = dz_j * exp(t_ij - z_j) goes into dexpert; returns its sum over j. */
static float responsibilities(float *dt, const float *dz, const float *z, const float *logits,
                              float offset, size_t count)
{
    nn_running_sum sum = {0, 0, 0};
    for (size_t j = 0; j < count; j++) {
        float t = logits[j] + offset;
        float relative = t - z[j];
        dt[j] = dz[j] * nn_expf(relative);
        nn_running_add(&sum, dt[j]);
    }
    return nn_running_end(&sum);
}

void nn_mixture_probs_backward(float *dgate, float *const *dexpert, const float *dz, const float *z,
                               const float *gate, const float *const *logits,
                               const nn_mixture_shape *s)
{
    float offset[NN_MAX_EXPERTS], w[NN_MAX_EXPERTS], du[NN_MAX_EXPERTS];
    for (size_t n = 0; n < s->n; n++) {
        const size_t row = n * s->classes;
        float all = 0;
        float *dgate_row = dgate + n * s->experts;
        offsets_of(offset, gate + n * s->experts, logits, s, n);
        weights_of(w, gate + n * s->experts, s);
        memset(dgate_row, 0, s->experts * sizeof *dgate_row);
        for (size_t i = 0; i < s->k; i++) {
            du[i] = responsibilities(dexpert[i] + row, dz + row, z + row, logits[i] + row,
                                     offset[i], s->classes);
            all = all + du[i];
            const float normaliser = log_normaliser(logits[i] + row, s->classes);
            for (size_t j = 0; j < s->classes;
                 j++) { /* through log-softmax: dz_ij = dt_ij - p_ij * sum dt */
                float shifted = logits[i][row + j] - normaliser;
                float pulled = nn_expf(shifted) * du[i];
                dexpert[i][row + j] = dexpert[i][row + j] - pulled;
            }
        }
        for (size_t i = 0; i < s->k; i++) {
            float pulled = w[i] * all;
            dgate_row[s->chosen[i]] = du[i] - pulled;
        }
    }
}

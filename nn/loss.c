/* SPDX-License-Identifier: MIT */
/* Softmax cross-entropy: loss = log(sum_j exp(z_j - m)) - (z_y - m), dz_j = (p_j - [j = y]) / n.
 * SPEC 5.14. */
#include "loss.h"

#include "fmath.h"
#include "sum.h"

/* SPEC 2.7: a NaN at 0 stays, one elsewhere never wins. */
static float maximum(const float *z, size_t count)
{
    float best = z[0];
    for (size_t j = 1; j < count; j++)
        best = z[j] > best ? z[j] : best;
    return best;
}

void nn_softmax(float *p, const float *z, size_t count)
{
    const float most = maximum(z, count);
    for (size_t j = 0; j < count; j++) {
        float shifted = z[j] - most;
        p[j] = nn_expf(shifted);
    }
    const float sum = nn_sum(p, count);
    for (size_t j = 0; j < count; j++)
        p[j] = p[j] / sum;
}

float nn_cross_entropy_row(const float *z, size_t classes, uint32_t label)
{
    const float most = maximum(z, classes);
    nn_running_sum exponentials = {0, 0, 0};
    for (size_t j = 0; j < classes; j++) {
        float shifted = z[j] - most;
        nn_running_add(&exponentials, nn_expf(shifted));
    }
    const float sum = nn_running_end(&exponentials);
    const float chosen = z[label] - most;
    const float loss = nn_logf(sum) - chosen;
    return loss;
}

float nn_cross_entropy_forward(float *row_losses, const float *z, const uint32_t *labels, size_t n,
                               size_t classes)
{
    for (size_t i = 0; i < n; i++)
        row_losses[i] = nn_cross_entropy_row(z + i * classes, classes, labels[i]);
    const float mean = nn_sum(row_losses, n) / (float)n;
    return mean;
}

void nn_cross_entropy_backward(float *dz, const float *z, const uint32_t *labels, size_t n,
                               size_t classes, float scale)
{
    for (size_t i = 0; i < n; i++) {
        float *row = dz + i * classes;
        nn_softmax(row, z + i * classes, classes);
        row[labels[i]] = row[labels[i]] - 1.0f;
        for (size_t j = 0; j < classes; j++) {
            float mean = row[j] / (float)n;
            row[j] = scale * mean;
        }
    }
}

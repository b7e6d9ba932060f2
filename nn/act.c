/* SPDX-License-Identifier: MIT */
/* ReLU y = max(x, +0) and residual addition y = a + b. SPEC 5.10, 5.13. */
#include "act.h"

void nn_relu_forward(float *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = x[i] > 0 ? x[i] : 0;
}

/* dy is read whether it is needed or not: a choice between two values vectorises, a branch does
 * not. */
void nn_relu_backward(float *dx, const float *dy, const float *y, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float gradient = dy[i];
        dx[i] = y[i] > 0 ? gradient : 0;
    }
}

void nn_add(float *y, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

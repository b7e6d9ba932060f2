/* SPDX-License-Identifier: MIT */
/* ReLU and residual addition. SPEC 5.10, 5.13. */
#ifndef NN_ACT_H
#define NN_ACT_H

#include "engine.h"

/* y = x > 0 ? x : +0. */
void nn_relu_forward(const nn_engine *engine, float *y, const float *x, size_t count);

/* dx = y > 0 ? dy : +0. */
void nn_relu_backward(const nn_engine *engine, float *dx, const float *dy, const float *y,
                      size_t count);

/* y = a + b. y may be a. */
void nn_add(const nn_engine *engine, float *y, const float *a, const float *b, size_t count);

#endif

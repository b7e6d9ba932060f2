/* SPDX-License-Identifier: MIT */
/* A view of floats it does not own. Activations are NHWC: element (n, h, w, c) is data[((n*H + h)*W
 * + w)*C + c]; a matrix [n, c] has h = w = 1. SPEC 1.3. */
#ifndef NN_TENSOR_H
#define NN_TENSOR_H

#include "base.h"

typedef struct nn_tensor {
    float *data;
    size_t n, h, w, c;
} nn_tensor;

/* Does the number of bytes fit a size_t? Checked once, where a tensor gets its shape. */
static inline bool nn_tensor_fits(const nn_tensor *tensor)
{
    size_t count = sizeof(float);
    return nn_size_mul(&count, count, tensor->n) && nn_size_mul(&count, count, tensor->h) &&
           nn_size_mul(&count, count, tensor->w) && nn_size_mul(&count, count, tensor->c);
}

static inline size_t nn_tensor_count(const nn_tensor *tensor)
{
    return tensor->n * tensor->h * tensor->w * tensor->c;
}

#endif

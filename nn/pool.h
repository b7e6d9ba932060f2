/* SPDX-License-Identifier: MIT */
/* Max pooling and global average pooling over NHWC. SPEC 5.11, 5.12. */
#ifndef NN_POOL_H
#define NN_POOL_H

#include "conv.h"
#include "tensor.h"

/* The window is a conv shape with oc = c. y[n,oh,ow,c] = the first maximum over (kh, kw) ascending
 * of the taps inside the input; choice[..] = its position ih*w + iw in the image. */
void nn_max_pool_forward(float *y, uint32_t *choice, const float *x, const nn_conv_shape *shape);

/* dx = sum, outputs ascending, of the dy whose choice is that input (windows overlap). */
void nn_max_pool_backward(float *dx, const float *dy, const uint32_t *choice,
                          const nn_conv_shape *shape);

/* y[n,c] = total over (h, w) of x / (float)(h*w). block: c floats of scratch. */
void nn_avg_pool_forward(float *y, float *block, const nn_tensor *x);

/* dx = dy / (float)(h*w) at every position; dx has the shape of the input. */
void nn_avg_pool_backward(nn_tensor *dx, const float *dy);

#endif

/* SPDX-License-Identifier: MIT */
/* SGD with momentum and weight decay on the trained slices of a flat vector. SPEC 6.7. */
#ifndef NN_OPTIM_H
#define NN_OPTIM_H

#include "param.h"

typedef struct nn_sgd {
    float lr, momentum, weight_decay;
} nn_sgd;

/* g = g + wd*w (if wd != 0); v = first ? g : momentum*v + g; w = w - lr*v. velocity has
 * layout->total floats and may be NULL when momentum is 0; its content does not matter at the first
 * step. Statistics are not touched. */
void nn_sgd_step(float *values, float *velocity, const float *grads, const nn_layout *layout,
                 const nn_sgd *sgd, bool first);

#endif

/* SPDX-License-Identifier: MIT */
/* SGD: g += wd*w; v = first ? g : momentum*v + g; w -= lr*v; each operation rounded. SPEC 6.7. */
#include "optim.h"

static void step_slice(float *restrict w, float *restrict v, const float *restrict g, size_t count,
                       const nn_sgd *sgd, bool first)
{
    for (size_t i = 0; i < count; i++) {
        float gradient = g[i];
        if (sgd->weight_decay != 0) {
            float decay = sgd->weight_decay * w[i];
            gradient = gradient + decay;
        }
        if (v != NULL) {
            float kept = first ? 0 : sgd->momentum * v[i];
            gradient = first ? gradient : kept + gradient;
            v[i] = gradient;
        }
        float move = sgd->lr * gradient;
        w[i] = w[i] - move;
    }
}

void nn_sgd_step(float *values, float *velocity, const float *grads, const nn_layout *layout,
                 const nn_sgd *sgd, bool first)
{
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        const size_t at = slice->offset;
        if (slice->kind == NN_SLICE_TRAINED)
            step_slice(values + at, velocity == NULL ? NULL : velocity + at, grads + at,
                       slice->count, sgd, first);
    }
}

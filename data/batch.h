/* SPDX-License-Identifier: MIT */
/* From sample indices to a batch of normalised floats NHWC and labels. SPEC 7.3, 7.6, 7.7. */
#ifndef DATA_BATCH_H
#define DATA_BATCH_H

#include "../nn/rng.h"
#include "../nn/tensor.h"
#include "dataset.h"

/* SPEC 7.7.1: x[i] = image samples[i], labels[i] = its label; x has n >= count images of the set's
 * shape, labels n entries. */
void data_batch_fill(nn_tensor *x, uint32_t *labels, const data_set *set, const data_split *split,
                     const uint32_t *samples, size_t count);

/* In place: each image is shifted by -4..4 pixels in both directions (what enters is byte 0's
 * normalised value) and mirrored with probability 1/2. Three draws an image: below(9), below(9),
 * below(2) (SPEC 7.6). scratch: one image of floats. */
void data_batch_augment(nn_tensor *x, float *scratch, nn_rng *rng, const data_set *set,
                        size_t count);

#endif

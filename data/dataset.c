/* SPDX-License-Identifier: MIT */
/* The byte-to-float table and the hash that identifies a split. SPEC 7.3, 7.5. */
#include "dataset.h"

/* One rounding per named variable, and a quotient: scaling by 1/255 would differ in the last bit
 * (SPEC 2.6, 7.3.1). */
static float normalized(unsigned byte, float mean, float deviation)
{
    const float full = 255.0f;
    float unit = (float)byte / full;
    float centred = unit - mean;
    float value = centred / deviation;
    return value;
}

void data_set_normalize(data_set *set, const float *mean, const float *deviation)
{
    for (size_t c = 0; c < set->c; c++)
        for (unsigned byte = 0; byte < 256; byte++)
            set->value[c][byte] = normalized(byte, mean[c], deviation[c]);
}

nn_digest data_split_hash(const data_split *split, size_t bytes_per_image)
{
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    for (size_t i = 0; i < split->count; i++) {
        nn_sha256_bytes(&sha, &split->labels[i], 1);
        nn_sha256_bytes(&sha, split->pixels + i * bytes_per_image, bytes_per_image);
    }
    return nn_sha256_end(&sha);
}

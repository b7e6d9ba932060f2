/* SPDX-License-Identifier: MIT */
/* Gathers normalised images into a batch and shifts and mirrors them. SPEC 7.3, 7.6, 7.7. */
#include "batch.h"

#include <string.h>

enum { MAX_SHIFT = 4 }; /* SPEC 7.6: the margin of the usual CIFAR crop */

static void fill_image(float *out, const data_set *set, const uint8_t *pixels)
{
    size_t bytes = set->h * set->w * set->c;
    for (size_t i = 0; i < bytes; i += set->c)
        for (size_t c = 0; c < set->c; c++)
            out[i + c] = set->value[c][pixels[i + c]];
}

void data_batch_fill(nn_tensor *x, uint32_t *labels, const data_set *set, const data_split *split,
                     const uint32_t *samples, size_t count)
{
    size_t bytes = set->h * set->w * set->c;
    for (size_t i = 0; i < count; i++) {
        fill_image(x->data + i * bytes, set, split->pixels + samples[i] * bytes);
        labels[i] = split->labels[samples[i]];
    }
}

/* Where a pixel comes from along one axis: position + shift - MAX_SHIFT; the length if outside. */
static size_t source_of(size_t position, size_t shift, size_t length)
{
    size_t moved = position + shift;
    return moved >= MAX_SHIFT && moved - MAX_SHIFT < length ? moved - MAX_SHIFT : length;
}

typedef struct view {
    size_t down, right; /* 0..2*MAX_SHIFT */
    bool mirrored;
} view;

static void copy_pixel(float *out, const float *image, const data_set *set, size_t row, size_t col)
{
    bool outside = row == set->h || col == set->w;
    for (size_t c = 0; c < set->c; c++)
        out[c] = outside ? set->value[c][0] : image[(row * set->w + col) * set->c + c];
}

static void apply_view(float *out, const float *image, const data_set *set, view seen)
{
    for (size_t h = 0; h < set->h; h++) {
        size_t row = source_of(h, seen.down, set->h);
        for (size_t w = 0; w < set->w; w++) {
            size_t across = seen.mirrored ? set->w - 1 - w : w;
            size_t col = source_of(across, seen.right, set->w);
            copy_pixel(out + (h * set->w + w) * set->c, image, set, row, col);
        }
    }
}

void data_batch_augment(nn_tensor *x, float *scratch, nn_rng *rng, const data_set *set,
                        size_t count)
{
    size_t floats = set->h * set->w * set->c;
    for (size_t i = 0; i < count; i++) {
        float *image = x->data + i * floats;
        view seen;
        seen.down = nn_rng_below(rng, 2 * MAX_SHIFT + 1);
        seen.right = nn_rng_below(rng, 2 * MAX_SHIFT + 1);
        seen.mirrored = nn_rng_below(rng, 2) == 1;
        memcpy(scratch, image, floats * sizeof *scratch);
        apply_view(image, scratch, set, seen);
    }
}

/* SPDX-License-Identifier: MIT */
/* Batches against a plain lookup and a padded-copy oracle. SPEC 7.3, 7.6, 7.7.1. */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../data/batch.h"

void t_batch(void);

enum { SIZE = 6, WIDE = 5, CHANNELS = 3, IMAGES = 7, FLOATS = SIZE * WIDE * CHANNELS, MARGIN = 4 };

/* A set that is not square, so that rows and columns cannot be mixed up. */
typedef struct fixture {
    uint8_t pixels[IMAGES * FLOATS], labels[IMAGES];
    data_set set;
} fixture;

static void start(fixture *f)
{
    const float mean[CHANNELS] = {0.25f, 0.5f, 0.75f}, deviation[CHANNELS] = {0.5f, 0.25f, 0.125f};
    nn_rng rng = nn_rng_at(test_seed(), NN_STREAM_TEST, 0, 0, 0);
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < sizeof f->pixels; i++)
        f->pixels[i] = (uint8_t)nn_rng_below(&rng, 256);
    for (size_t i = 0; i < IMAGES; i++)
        f->labels[i] = (uint8_t)(10 + i);
    f->set.h = SIZE;
    f->set.w = WIDE;
    f->set.c = CHANNELS;
    f->set.train.count = IMAGES;
    f->set.train.pixels = f->pixels;
    f->set.train.labels = f->labels;
    data_set_normalize(&f->set, mean, deviation);
}

static void test_fill(void)
{
    const uint32_t samples[] = {6, 0, 3, 3};
    fixture f;
    float data[5 * FLOATS], want[5 * FLOATS];
    uint32_t labels[5] = {99, 99, 99, 99, 99};
    nn_tensor x = {data, 5, SIZE, WIDE, CHANNELS};
    start(&f);
    test_case("batch: fill");
    for (size_t i = 0; i < 5 * FLOATS; i++)
        data[i] = want[i] = -1.0f;
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < FLOATS; k++)
            want[i * FLOATS + k] = f.set.value[k % CHANNELS][f.pixels[samples[i] * FLOATS + k]];
    data_batch_fill(&x, labels, &f.set, &f.set.train, samples, 4);
    test_same_floats("pixels", data, want, 5 * FLOATS);
    const uint32_t expected[] = {16, 10, 13, 13, 99};
    test_same_bytes("labels", labels, expected, sizeof labels);
    data_batch_fill(&x, labels, &f.set, &f.set.train, samples, 0);
    test_same_floats("an empty batch writes nothing", data, want, 5 * FLOATS);
}

/* The usual way: pad by four on each side, cut at (down, right), then mirror. */
static void oracle(float *out, const float *image, const data_set *set, const uint32_t view[3])
{
    for (size_t h = 0; h < SIZE; h++)
        for (size_t w = 0; w < WIDE; w++)
            for (size_t c = 0; c < CHANNELS; c++) {
                int row = (int)(h + view[0]) - MARGIN;
                int col = (int)((view[2] == 1 ? WIDE - 1 - w : w) + view[1]) - MARGIN;
                bool inside = row >= 0 && row < SIZE && col >= 0 && col < WIDE;
                float pixel = set->value[c][0];
                if (inside)
                    pixel = image[((size_t)row * WIDE + (size_t)col) * CHANNELS + c];
                out[(h * WIDE + w) * CHANNELS + c] = pixel;
            }
}

static void test_augment(void)
{
    enum { ROUNDS = 60 };
    const uint32_t samples[IMAGES] = {0, 1, 2, 3, 4, 5, 6};
    fixture f;
    float data[IMAGES * FLOATS], before[IMAGES * FLOATS], want[IMAGES * FLOATS], scratch[FLOATS];
    uint32_t labels[IMAGES];
    nn_tensor x = {data, IMAGES, SIZE, WIDE, CHANNELS};
    bool seen[3][9] = {{false}};
    start(&f);
    test_case("batch: augmentation against a padded copy");
    nn_rng rng = nn_rng_at(test_seed(), NN_STREAM_TEST, 0, 1, 0), fork = rng;
    data_batch_fill(&x, labels, &f.set, &f.set.train, samples, IMAGES);
    memcpy(before, data, sizeof data);
    for (size_t round = 0; round < ROUNDS; round++) {
        memcpy(data, before, sizeof data);
        data_batch_augment(&x, scratch, &rng, &f.set, IMAGES);
        for (size_t i = 0; i < IMAGES; i++) {
            uint32_t view[3];
            for (size_t k = 0; k < 3; k++) {
                view[k] = nn_rng_below(&fork, k == 2 ? 2 : 9);
                seen[k][view[k]] = true;
            }
            oracle(want + i * FLOATS, before + i * FLOATS, &f.set, view);
        }
        if (!test_same_floats("augmented batch", data, want, IMAGES * FLOATS))
            return;
    }
    CHECK(seen[0][0] && seen[0][8] && seen[1][0] && seen[1][8] && seen[2][0] && seen[2][1]);
}

void t_batch(void)
{
    test_fill();
    test_augment();
}

/* SPDX-License-Identifier: MIT */
/* A labelled image data set in memory: bytes NHWC, one label an image, the table that turns bytes
 * into floats. SPEC 7. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include "../nn/arena.h"
#include "../nn/hash.h"

enum { DATA_MAX_CHANNELS = 3, DATA_LABELS = 256 /* a label is a byte */ };

/* One split (train or test). Read-only after loading; the arena that loaded it owns it. */
typedef struct data_split {
    size_t count;
    const uint8_t *pixels; /* [count, h, w, c] */
    const uint8_t *labels; /* [count], each < classes */
    nn_digest hash;        /* of the records used, in index order (SPEC 7.5) */
} data_split;

typedef struct data_set {
    const char *name;
    size_t h, w, c, classes;
    data_split train, test;
    float value[DATA_MAX_CHANNELS][256]; /* normalised value of a byte (SPEC 7.3) */
} data_set;

/* Fills set->value: ((byte/255) - mean[c]) / deviation[c], each step rounded to float (SPEC 7.3).
 */
void data_set_normalize(data_set *set, const float *mean, const float *deviation);

/* Hash of a split: for each record in index order the label byte, then the pixels NHWC (SPEC 7.5).
 */
nn_digest data_split_hash(const data_split *split, size_t bytes_per_image);

#endif

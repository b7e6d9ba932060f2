/* SPDX-License-Identifier: MIT */
/* A generated image data set with clear classes, drawn by integer arithmetic from the seed: it
 * needs no file. SPEC 7.4. */
#ifndef DATA_SYNTH_H
#define DATA_SYNTH_H

#include "dataset.h"

typedef struct data_synth_source {
    size_t train, test; /* images a split; image i has class i % classes */
    size_t size;        /* height = width, at least 8 */
    size_t
        domains; /* drawing domains; classes = domains * shapes, class = domain * shapes + shape */
    size_t shapes; /* shapes a domain, 2..8 */
    size_t noise;  /* amplitude of the byte noise, 0..255 */
    uint64_t seed;
} data_synth_source;

DDOME_MUST_CHECK ddome_status data_synth_load(ddome_error *error, nn_arena *arena, data_set *set,
                                              const data_synth_source *source);

#endif

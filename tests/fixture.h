/* SPDX-License-Identifier: MIT */
/* What several suites need: buffers of exact size, fill patterns, random numbers that are not the
 * library's, engines, golden texts. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "../nn/engine.h"
#include "oracle_bits.h"
#include "test.h"

/* Buffers of exactly this many elements, each a malloc of its own, so that a sanitizer sees every
 * access beyond them. Floats start as a NaN pattern, so that what is left unwritten shows; doubles
 * start as 0. The run ends when memory is out. */
float *test_floats(size_t count);
double *test_doubles(size_t count);
void *test_bytes(size_t count, size_t size);

/* Frees all buffers above. */
void test_release(void);

/* Frees those taken since the mark, for functions that are called often. */
size_t test_mark(void);
void test_rewind(size_t mark);

/* SplitMix64 (Steele, Lea, Flood 2014); a seed of its own, so that inputs do not depend on nn/rng.
 */
typedef struct test_random {
    uint64_t state;
} test_random;

/* salt tells suites apart under one seed. */
test_random test_random_start(uint64_t salt);
uint64_t test_random_next(test_random *random);
size_t test_random_below(test_random *random, size_t bound);

/* A multiple of 2^-23 in [-1, 1): exact in float, so the same everywhere. */
float test_random_float(test_random *random);

/* Rows and columns around what the tiles and panels of a table hold: case i < TEST_TILES. */
enum { TEST_TILES = 24 };
void test_tile(size_t *rows, size_t *cols, const nn_kernels *kernels, size_t i);

typedef enum fill_pattern {
    FILL_ZERO,
    FILL_NEGATIVE_ZERO,
    FILL_ONE_HOT,
    FILL_LARGE,     /* about 2^56: products near 2^112 */
    FILL_SUBNORMAL, /* subnormals, values whose products are subnormal, and normal ones */
    FILL_POWERS,    /* +- powers of two */
    FILL_CANCEL,    /* +-2^24, +-1, 1/2, +-0: the value of a sum shows its order */
    FILL_RANDOM,
    FILL_COUNT
} fill_pattern;

const char *test_fill_name(fill_pattern pattern);
void test_fill(float *x, size_t count, fill_pattern pattern, test_random *random);

/* Uniform in [-scale, scale). */
void test_fill_uniform(float *x, size_t count, float scale, test_random *random);

/* out[i] = x[i] and |x[i]|. */
double *test_widened(const float *x, size_t count);
double *test_magnitudes(const float *x, size_t count);

/* The engine of suites that are not about kernels: those that DDOME_ISA names or the best, profile
 * ma, no team. A wrong name ends the run with a message. */
const nn_engine *test_engine(void);

enum { TEST_ENGINES = NN_KERNELS_MAX * NN_ARITH_COUNT };

/* Every kernel table that this build and this processor have, in both profiles, without a team; the
 * table at (i / NN_ARITH_COUNT) of nn_kernels_all, the portable one in profile ma first. Returns
 * their number. */
size_t test_engines(nn_engine engines[TEST_ENGINES]);

/* What the bit oracle calls the engine's profile. */
bits_profile test_profile(const nn_engine *engine);

/* "avx2, fma"; valid until the next call but three. */
const char *test_engine_name(const nn_engine *engine);

/* test_engine's kernels in both profiles, with one team of this many workers. False, and the open
 * case is skipped, where the build has no threads. One such pair at a time. */
bool test_team_engines(nn_engine engines[NN_ARITH_COUNT], size_t workers);
void test_team_close(const nn_engine engines[NN_ARITH_COUNT]);

/* Compares text with tests/golden/NAME; with DDOME_WRITE_GOLDEN=1 in the environment writes it. */
bool test_golden_text(const char *name, const char *text);

#endif

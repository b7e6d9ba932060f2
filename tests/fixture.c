/* SPDX-License-Identifier: MIT */
/* Buffers, patterns, random inputs, engines and golden texts of the suites. */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- buffers ---- */

static struct {
    void **block;
    size_t count, capacity;
} held;

static void *not_null(void *pointer)
{
    if (pointer == NULL) {
        fprintf(stderr, "runner: out of memory in a test fixture\n");
        exit(DDOME_ERR_MEMORY);
    }
    return pointer;
}

void *test_bytes(size_t count, size_t size)
{
    size_t bytes = 0;
    if (held.count == held.capacity) {
        held.capacity = 2 * held.capacity + 64;
        held.block = not_null(realloc(held.block, held.capacity * sizeof *held.block));
    }
    void *block = nn_size_mul(&bytes, count, size) ? malloc(nn_max(bytes, 1)) : NULL;
    held.block[held.count++] = not_null(block);
    return block;
}

float *test_floats(size_t count)
{
    float *x = test_bytes(count, sizeof *x);
    memset(x, 0xff, count * sizeof *x);
    return x;
}

double *test_doubles(size_t count)
{
    double *x = test_bytes(count, sizeof *x);
    for (size_t i = 0; i < count; i++)
        x[i] = 0;
    return x;
}

size_t test_mark(void)
{
    return held.count;
}

void test_rewind(size_t mark)
{
    while (held.count > mark)
        free(held.block[--held.count]);
}

void test_release(void)
{
    test_rewind(0);
    free(held.block);
    memset(&held, 0, sizeof held);
}

/* ---- random numbers ---- */

test_random test_random_start(uint64_t salt)
{
    test_random random = {test_seed() * 0x9e3779b97f4a7c15u ^ salt};
    return random;
}

uint64_t test_random_next(test_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The bias of the remainder is below 2^-32 for the small bounds of tests. */
size_t test_random_below(test_random *random, size_t bound)
{
    return (size_t)(test_random_next(random) % bound);
}

float test_random_float(test_random *random)
{
    int32_t step = (int32_t)(test_random_next(random) >> 40) - (1 << 23);
    return (float)step / 8388608.0f;
}

/* ---- patterns ---- */

const char *test_fill_name(fill_pattern pattern)
{
    static const char *const names[FILL_COUNT] = {"zero",      "-0",     "one-hot", "large",
                                                  "subnormal", "powers", "cancel",  "random"};
    return names[pattern];
}

static float large(test_random *random)
{
    return test_random_float(random) * 72057594037927936.0f;
}

static float subnormal(test_random *random)
{
    uint32_t bits = (uint32_t)test_random_next(random) & 0x807fffffu;
    switch (test_random_below(random, 3)) {
    case 0:
        return nn_float_from_bits(bits);
    case 1: /* exponent -74: two of these multiply to 2^-148, which is rounded to a few bits */
        return nn_float_from_bits(bits | (uint32_t)(127 - 74) << 23);
    default:
        return nn_float_from_bits(bits | (uint32_t)127 << 23);
    }
}

static float power(test_random *random)
{
    uint32_t exponent = 127 - 12 + (uint32_t)test_random_below(random, 25);
    uint32_t sign = (uint32_t)test_random_below(random, 2) << 31;
    return nn_float_from_bits(sign | exponent << 23);
}

static float cancelling(test_random *random)
{
    static const float values[] = {16777216.0f, -16777216.0f, 1.0f, -1.0f, 0.5f, 0.0f, -0.0f, 3.0f};
    return values[test_random_below(random, sizeof values / sizeof *values)];
}

static float pattern_value(fill_pattern pattern, test_random *random)
{
    switch (pattern) {
    case FILL_NEGATIVE_ZERO:
        return -0.0f;
    case FILL_LARGE:
        return large(random);
    case FILL_SUBNORMAL:
        return subnormal(random);
    case FILL_POWERS:
        return power(random);
    case FILL_CANCEL:
        return cancelling(random);
    case FILL_RANDOM:
        return test_random_float(random);
    default:
        return 0.0f;
    }
}

void test_fill(float *x, size_t count, fill_pattern pattern, test_random *random)
{
    for (size_t i = 0; i < count; i++)
        x[i] = pattern_value(pattern, random);
    if (pattern == FILL_ONE_HOT && count > 0)
        x[test_random_below(random, count)] = 1.0f;
}

void test_fill_uniform(float *x, size_t count, float scale, test_random *random)
{
    for (size_t i = 0; i < count; i++)
        x[i] = scale * test_random_float(random);
}

double *test_widened(const float *x, size_t count)
{
    double *wide = test_doubles(count);
    for (size_t i = 0; i < count; i++)
        wide[i] = (double)x[i];
    return wide;
}

double *test_magnitudes(const float *x, size_t count)
{
    double *wide = test_doubles(count);
    for (size_t i = 0; i < count; i++)
        wide[i] = fabs((double)x[i]);
    return wide;
}

/* ---- engines ---- */

const nn_engine *test_engine(void)
{
    static nn_engine engine;
    ddome_error error = {DDOME_OK, ""};
    if (engine.kernels != NULL)
        return &engine;
    if (nn_kernels_find(&error, &engine.kernels, getenv("DDOME_ISA")) != DDOME_OK) {
        fprintf(stderr, "runner: DDOME_ISA: %s\n", error.text);
        exit(DDOME_ERR_USAGE);
    }
    return &engine;
}

size_t test_engines(nn_engine engines[TEST_ENGINES])
{
    const nn_kernels *tables[NN_KERNELS_MAX];
    const size_t count = NN_ARITH_COUNT * nn_kernels_all(tables);
    for (size_t i = 0; i < count; i++)
        engines[i] = (nn_engine){tables[i / NN_ARITH_COUNT], (nn_arith)(i % NN_ARITH_COUNT), NULL};
    return count;
}

bits_profile test_profile(const nn_engine *engine)
{
    return engine->arith == NN_ARITH_FMA ? BITS_FMA : BITS_MA;
}

const char *test_engine_name(const nn_engine *engine)
{
    static char names[4][32];
    static size_t next;
    char *name = names[next++ % 4];
    snprintf(name, sizeof names[0], "%s, %s", engine->kernels->name,
             engine->arith == NN_ARITH_FMA ? "fma" : "ma");
    return name;
}

static nn_arena team_arena;

bool test_team_engines(nn_engine engines[NN_ARITH_COUNT], size_t workers)
{
    ddome_error error = {DDOME_OK, ""};
    nn_team *team = NULL;
    const ddome_status status = nn_team_open(&error, &team_arena, &team, workers);
    for (int i = 0; i < NN_ARITH_COUNT; i++)
        engines[i] = (nn_engine){test_engine()->kernels, (nn_arith)i, team};
    if (status == DDOME_ERR_USAGE)
        test_skip(error.text);
    else
        test_status("a team", status, DDOME_OK, &error, NULL);
    return status == DDOME_OK;
}

void test_team_close(const nn_engine engines[NN_ARITH_COUNT])
{
    nn_team_close(engines[0].team);
    nn_arena_free(&team_arena);
}

/* ---- golden texts ---- */

static bool write_golden(const char *name, const char *text)
{
    const char *folder = getenv("DDOME_GOLDEN");
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "tests/golden", name);
    FILE *file = fopen(path, "wb");
    if (!CHECK(file != NULL))
        return false;
    const size_t length = strlen(text);
    const bool written = fwrite(text, 1, length, file) == length;
    return CHECK(fclose(file) == 0 && written);
}

bool test_golden_text(const char *name, const char *text)
{
    const char *asked = getenv("DDOME_WRITE_GOLDEN");
    if (asked != NULL && strcmp(asked, "1") == 0)
        return write_golden(name, text);
    const char *golden = test_golden(name);
    return golden != NULL && test_same_text(name, text, golden);
}

/* One less, as many, one more, and two full tiles and one; of columns half a panel or a whole one.
 */
void test_tile(size_t *rows, size_t *cols, const nn_kernels *kernels, size_t i)
{
    const size_t whole = i % 6 < 3 ? kernels->panel : nn_max(2, kernels->panel / 2);
    *cols = whole - 1 + i % 3;
    const size_t most = nn_tile_rows(kernels, *cols);
    const size_t counts[4] = {most - 1, most, most + 1, 2 * most + 1};
    *rows = nn_max(1, counts[i / 6]);
}

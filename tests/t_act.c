/* SPDX-License-Identifier: MIT */
/* ReLU and addition of every kernel table by value: signed zeros, subnormals, infinities, sizes
 * around lanes, in place, pieces of a team. SPEC 5.10, 5.13. */
#include "fixture.h"

#include "../nn/act.h"

#include <math.h>
#include <string.h>

static nn_engine engines[TEST_ENGINES];
static size_t engine_count;

/* The smallest subnormal survives, -0 and NaN become +0: the formula is x > 0 ? x : +0. */
static void check_values(void)
{
    const float least = nn_float_from_bits(1);
    const float x[8] = {1,     -1,     0.0f,      -0.0f,
                        least, -least, HUGE_VALF, nn_float_from_bits(0x7fc00000)};
    const float want[8] = {1, 0, 0, 0, least, 0, HUGE_VALF, 0};
    const float dy[8] = {2, 3, 4, 5, -0.0f, 7, -8, 9};
    const float want_dx[8] = {2, 0, 0, 0, -0.0f, 0, -8, 0};
    test_case("relu: values");
    for (size_t i = 0; i < engine_count; i++) {
        float y[24], dx[24], wide[24], wide_dy[24], wide_y[24];
        for (size_t j = 0; j < 24; j++) { /* three times, so that they stand in every lane */
            wide[j] = x[j / 3];
            wide_y[j] = want[j / 3];
            wide_dy[j] = dy[j / 3];
        }
        nn_relu_forward(&engines[i], y, wide, 24);
        nn_relu_backward(&engines[i], dx, wide_dy, wide_y, 24);
        for (size_t j = 0; j < 24; j++)
            if (!test_same_floats("y", &y[j], &want[j / 3], 1) ||
                !test_same_floats("dx", &dx[j], &want_dx[j / 3], 1))
                test_check(false, __FILE__, __LINE__, "kernels %s", test_engine_name(&engines[i]));
    }
}

/* What the formulas give. */
typedef struct wanted {
    float *y, *dx, *sum;
} wanted;

static wanted make_wanted(const float *x, const float *dy, size_t count)
{
    const wanted want = {test_floats(count), test_floats(count), test_floats(count)};
    for (size_t i = 0; i < count; i++) {
        const bool open = (nn_float_bits(x[i]) & 0x80000000u) == 0 && nn_float_bits(x[i]) != 0;
        want.y[i] = open ? x[i] : 0.0f;
        want.dx[i] = open ? dy[i] : 0.0f;
        want.sum[i] = x[i] + dy[i];
    }
    return want;
}

static bool check_engine(const nn_engine *engine, const wanted *want, const float *x,
                         const float *dy, size_t count)
{
    float *y = test_floats(count), *dx = test_floats(count), *sum = test_floats(count);
    nn_relu_forward(engine, y, x, count);
    nn_relu_backward(engine, dx, dy, y, count);
    nn_add(engine, sum, x, dy, count);
    bool good = test_same_floats("y", y, want->y, count) &&
                test_same_floats("dx", dx, want->dx, count) &&
                test_same_floats("sum", sum, want->sum, count);
    memcpy(sum, x, count * sizeof *sum); /* in place */
    memcpy(dx, x, count * sizeof *dx);
    nn_add(engine, sum, sum, dy, count);
    nn_relu_forward(engine, dx, dx, count);
    good = good && test_same_floats("sum in place", sum, want->sum, count) &&
           test_same_floats("y in place", dx, want->y, count);
    memcpy(dx, dy, count * sizeof *dx);
    nn_relu_backward(engine, dx, dx, want->y, count);
    good = good && test_same_floats("dx in place", dx, want->dx, count);
    return test_check(good, __FILE__, __LINE__, "kernels %s", test_engine_name(engine));
}

static bool check_count(size_t count, fill_pattern pattern, test_random *random)
{
    float *x = test_floats(count), *dy = test_floats(count);
    bool good = true;
    test_fill(x, count, pattern, random);
    test_fill(dy, count, FILL_RANDOM, random);
    const wanted want = make_wanted(x, dy, count);
    for (size_t i = 0; i < engine_count && good; i++)
        good = check_engine(&engines[i], &want, x, dy, count);
    test_release();
    return test_check(good, __FILE__, __LINE__, "%lu values, %s", (unsigned long)count,
                      test_fill_name(pattern));
}

static void check_counts(void)
{
    static const size_t counts[] = {0,  1,  3,  4,  5,  7,  8,  9,   15,   16,
                                    17, 31, 32, 33, 63, 64, 65, 100, 16383};
    test_random random = test_random_start(101);
    test_case("relu, add: sizes around lanes, all patterns");
    for (int p = 0; p < FILL_COUNT; p++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            check_count(counts[i], (fill_pattern)p, &random);
}

/* Pieces of 16384 floats, the last one short or full. */
static void check_teams(void)
{
    test_random random = test_random_start(102);
    test_case("relu, add: a team of 3");
    if (test_team_engines(engines, 3)) {
        engine_count = NN_ARITH_COUNT;
        check_count(16384, FILL_RANDOM, &random);
        check_count(16385, FILL_RANDOM, &random);
        check_count(5 * 16384 - 1, FILL_RANDOM, &random);
        test_team_close(engines);
    }
    engine_count = test_engines(engines);
}

void t_act(void);

void t_act(void)
{
    engine_count = test_engines(engines);
    check_values();
    check_counts();
    check_teams();
}

/* SPDX-License-Identifier: MIT */
/* ReLU and addition by value: signed zeros, subnormals, infinities, sizes around lanes. SPEC 5.10,
 * 5.13. */
#include "fixture.h"

#include "../nn/act.h"

#include <math.h>
#include <string.h>

/* The smallest subnormal survives, -0 and NaN become +0: the formula is x > 0 ? x : +0. */
static void check_values(void)
{
    const float least = nn_float_from_bits(1);
    const float x[8] = {1,     -1,     0.0f,      -0.0f,
                        least, -least, HUGE_VALF, nn_float_from_bits(0x7fc00000)};
    const float want[8] = {1, 0, 0, 0, least, 0, HUGE_VALF, 0};
    const float dy[8] = {2, 3, 4, 5, -0.0f, 7, -8, 9};
    const float want_dx[8] = {2, 0, 0, 0, -0.0f, 0, -8, 0};
    float y[8], dx[8];
    test_case("relu: values");
    nn_relu_forward(y, x, 8);
    test_same_floats("y", y, want, 8);
    nn_relu_backward(dx, dy, y, 8);
    test_same_floats("dx", dx, want_dx, 8);
}

static bool check_count(size_t count, fill_pattern pattern, test_random *random)
{
    float *x = test_floats(count), *dy = test_floats(count), *y = test_floats(count);
    float *dx = test_floats(count), *sum = test_floats(count), *want = test_floats(count);
    test_fill(x, count, pattern, random);
    test_fill(dy, count, FILL_RANDOM, random);
    nn_relu_forward(y, x, count);
    nn_relu_backward(dx, dy, y, count);
    nn_add(sum, x, dy, count);
    bool good = true;
    for (size_t i = 0; i < count && good; i++) {
        const bool open = (nn_float_bits(x[i]) & 0x80000000u) == 0 && nn_float_bits(x[i]) != 0;
        good = CHECK(nn_float_bits(y[i]) == (open ? nn_float_bits(x[i]) : 0)) &&
               CHECK(nn_float_bits(dx[i]) == (open ? nn_float_bits(dy[i]) : 0));
        want[i] = x[i] + dy[i];
    }
    good = good && test_same_floats("sum", sum, want, count);
    nn_add(x, x, dy, count); /* in place */
    good = good && test_same_floats("sum in place", x, want, count);
    test_release();
    return good;
}

static void check_counts(void)
{
    static const size_t counts[] = {0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 100};
    test_random random = test_random_start(101);
    test_case("relu, add: sizes around lanes, all patterns");
    for (int p = 0; p < FILL_COUNT; p++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            test_check(check_count(counts[i], (fill_pattern)p, &random), __FILE__, __LINE__,
                       "%lu values, %s", (unsigned long)counts[i], test_fill_name((fill_pattern)p));
}

void t_act(void);

void t_act(void)
{
    check_values();
    check_counts();
}

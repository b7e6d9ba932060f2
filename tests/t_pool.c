/* SPDX-License-Identifier: MIT */
/* Max-pooling: ties, signed zeros, padding, overlaps; average pooling: bits and double oracle. All
 * small windows are t_exhaustive's. SPEC 5.11, 5.12. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/pool.h"

/* SPEC 2.7. */
static void check_ties(void)
{
    const float x[6] = {1, 5, 5, -0.0f, 0.0f, -1};
    const nn_conv_shape pairs = {1, 1, 6, 1, 1, 1, 3, 3, 0, 1, 2};
    const float want[2] = {5, -0.0f};
    const uint32_t first[2] = {1, 3};
    float y[2];
    uint32_t choice[2];
    test_case("max-pool: the first of equal values, -0 and +0 being equal");
    nn_max_pool_forward(y, choice, x, &pairs);
    test_same_floats("y", y, want, 2);
    test_same_bytes("choice", choice, first, sizeof choice);
}

/* Negative inputs: a padding that counted as 0 would win. */
static void check_padding(void)
{
    const float x[4] = {-4, -3, -2, -5};
    const nn_conv_shape s = {1, 2, 2, 1, 1, 3, 3, 2, 1, 1, 1};
    const float want = -2, dy = 3, want_dx[4] = {0, 0, 3, 0};
    const uint32_t at = 2;
    float y, dx[4];
    uint32_t choice;
    test_case("max-pool: padding never wins");
    nn_max_pool_forward(&y, &choice, x, &s);
    nn_max_pool_backward(dx, &dy, &choice, &s);
    test_same_floats("y", &y, &want, 1);
    test_same_bytes("choice", &choice, &at, sizeof choice);
    test_same_floats("dx", dx, want_dx, 4);
}

/* Three windows choose the middle: ((0 + 2^24) + 1) - 2^24 is 0, any other order gives 1. */
static void check_order(void)
{
    const float x[5] = {0, 0, 9, 0, 0}, dy[3] = {16777216.0f, 1, -16777216.0f};
    const nn_conv_shape s = {1, 1, 5, 1, 1, 1, 3, 1, 0, 1, 3};
    const float want[5] = {0, 0, 0, 0, 0};
    float y[3], dx[5];
    uint32_t choice[3];
    test_case("max-pool: overlapping windows add in the order of the outputs");
    nn_max_pool_forward(y, choice, x, &s);
    nn_max_pool_backward(dx, dy, choice, &s);
    test_same_floats("dx", dx, want, 5);
}

/* The stem's window on several channels, against the double oracle: a maximum is exact. */
static void check_stem(void)
{
    oracle_window o = {2, 9, 8, 5, 5, 3, 3, 2, 1, 0, 0};
    test_random random = test_random_start(91);
    test_case("max-pool: the window of the big stem");
    oracle_place(&o);
    const size_t inputs = o.n * o.h * o.w * o.c, outputs = o.n * o.oh * o.ow * o.c;
    const nn_conv_shape s = {o.n, o.h, o.w, o.c, o.oc, o.kh, o.kw, o.stride, o.pad, o.oh, o.ow};
    float *x = test_floats(inputs), *y = test_floats(outputs);
    uint32_t *choice = test_bytes(outputs, sizeof *choice);
    double *want = test_doubles(outputs);
    test_fill(x, inputs, FILL_RANDOM, &random);
    nn_max_pool_forward(y, choice, x, &s);
    oracle_max_pool(want, test_widened(x, inputs), &o);
    test_close("y", y, want, outputs, test_doubles(outputs));
    test_release();
}

/* The total divided by the count, never times its reciprocal (SPEC 2.6). */
static bool check_average(size_t n, size_t h, size_t w, size_t c, fill_pattern pattern,
                          test_random *random)
{
    const size_t positions = h * w, count = n * positions * c;
    nn_tensor x = {test_floats(count), n, h, w, c};
    float *y = test_floats(n * c), *want = test_floats(n * c);
    double *wide = test_doubles(n * c), *bound = test_doubles(n * c);
    test_fill(x.data, count, pattern, random);
    nn_avg_pool_forward(y, test_floats(c), &x);
    oracle_avg_pool(wide, test_widened(x.data, count), n, positions, c);
    oracle_avg_pool(bound, test_magnitudes(x.data, count), n, positions, c);
    for (size_t i = 0; i < n * c; i++) {
        float sum = bits_sum_of(x.data + i / c * positions * c + i % c, positions, c);
        want[i] = sum / (float)positions;
        /* bound: mean magnitude times the factor of a sum, one rounding of the quotient, both of at
         * most mean magnitude and subnormal results */
        bound[i] = oracle_sum_bound(positions, bound[i]) + 2 * ORACLE_U * bound[i] + 0x1p-149;
    }
    bool good = test_same_floats("y", y, want, n * c) &&
                test_close("y against double", y, wide, n * c, bound);
    test_release();
    return test_check(good, __FILE__, __LINE__, "n %lu h %lu w %lu c %lu, %s", (unsigned long)n,
                      (unsigned long)h, (unsigned long)w, (unsigned long)c,
                      test_fill_name(pattern));
}

static void check_averages(void)
{
    static const size_t shapes[][4] = {{2, 1, 1, 5},   {3, 2, 3, 4},   {1, 5, 51, 3},
                                       {2, 16, 16, 7}, {2, 1, 257, 8}, {1, 19, 27, 9}};
    test_random random = test_random_start(92);
    test_case("average pool: sizes around blocks, all patterns");
    for (int p = 0; p < FILL_COUNT; p++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            check_average(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], (fill_pattern)p,
                          &random);
}

static void check_average_gradient(void)
{
    enum { N = 2, POSITIONS = 6, C = 3 };
    const float dy[N * C] = {1, -2, 0.1f, -0.0f, 7, 1e-40f};
    float dx[N * POSITIONS * C], want[N * POSITIONS * C];
    nn_tensor view = {dx, N, 2, 3, C};
    test_case("average pool: gradient");
    nn_avg_pool_backward(&view, dy);
    for (size_t i = 0; i < N * POSITIONS * C; i++)
        want[i] = dy[i / (POSITIONS * C) * C + i % C] / 6.0f;
    test_same_floats("dx", dx, want, N * POSITIONS * C);
}

void t_pool(void);

void t_pool(void)
{
    check_ties();
    check_padding();
    check_order();
    check_stem();
    check_averages();
    check_average_gradient();
}

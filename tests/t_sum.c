/* SPDX-License-Identifier: MIT */
/* Plain sums: bits of the rule, bound of the double oracle, order probe. SPEC 2.4. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/sum.h"

#include <math.h>

static const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 255, 256, 257, 511, 512, 513, 768, 1025};

enum { COUNTS = sizeof counts / sizeof *counts };

static bool check_sum(size_t count, fill_pattern pattern, test_random *random)
{
    float *x = test_floats(count);
    test_fill(x, count, pattern, random);
    const float got = nn_sum(x, count), want = bits_sum_of(x, count, 1);
    double exact = 0, bound = 0;
    for (size_t i = 0; i < count; i++) {
        exact += (double)x[i];
        bound += fabs((double)x[i]);
    }
    bound = oracle_sum_bound(count, bound);
    bool good = test_same_floats("sum", &got, &want, 1) &&
                test_close("sum against double", &got, &exact, 1, &bound);
    test_release();
    return test_check(good, __FILE__, __LINE__, "%lu values, %s", (unsigned long)count,
                      test_fill_name(pattern));
}

static bool check_columns(size_t rows, size_t cols, fill_pattern pattern, test_random *random)
{
    float *x = test_floats(rows * cols), *got = test_floats(cols), *want = test_floats(cols);
    float *block = test_floats(cols);
    test_fill(x, rows * cols, pattern, random);
    nn_sum_columns(got, block, x, rows, cols);
    for (size_t j = 0; j < cols; j++)
        want[j] = bits_sum_of(x + j, rows, cols);
    bool good = test_same_floats("columns", got, want, cols);
    test_release();
    return test_check(good, __FILE__, __LINE__, "%lu rows, %lu columns, %s", (unsigned long)rows,
                      (unsigned long)cols, test_fill_name(pattern));
}

static void check_all_sums(void)
{
    test_random random = test_random_start(31);
    test_case("sum: counts around blocks, all patterns");
    for (int p = 0; p < FILL_COUNT; p++)
        for (size_t i = 0; i < COUNTS; i++)
            if (!check_sum(counts[i], (fill_pattern)p, &random))
                return;
}

static void check_all_columns(void)
{
    static const size_t cols[] = {0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17};
    test_random random = test_random_start(32);
    test_case("sum of columns: sizes around blocks and lanes, all patterns");
    for (int p = 0; p < FILL_COUNT; p++)
        for (size_t i = 0; i < COUNTS; i++)
            for (size_t j = 0; j < sizeof cols / sizeof *cols; j++)
                if (!check_columns(counts[i], cols[j], (fill_pattern)p, &random))
                    return;
}

/* 2^24 swallows the ones of its own block and no others: 255 are lost of 600. */
static void check_probe(void)
{
    float x[602];
    test_case("sum order probe");
    for (size_t i = 0; i < 602; i++)
        x[i] = 1;
    x[0] = 16777216.0f;
    x[601] = -16777216.0f;
    const float got = nn_sum(x, 602), want = 345;
    test_same_floats("probe", &got, &want, 1);
}

void t_sum(void);

void t_sum(void)
{
    check_all_sums();
    check_all_columns();
    check_probe();
}

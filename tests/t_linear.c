/* SPDX-License-Identifier: MIT */
/* Linear layer by every engine: four directions against both oracles. SPEC 5.2. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/linear.h"

#include <math.h>

static nn_engine engines[TEST_ENGINES];
static size_t engine_count;
static nn_arena scratch;

/* One layer with all its tensors. */
typedef struct layer {
    nn_linear_shape s;
    float *x, *w, *b, *dy;
} layer;

static layer make(size_t n, size_t in, size_t out, fill_pattern pattern, test_random *random)
{
    layer l = {{n, in, out},
               test_floats(n * in),
               test_floats(out * in),
               test_floats(out),
               test_floats(n * out)};
    test_fill(l.x, n * in, pattern, random);
    test_fill(l.w, out * in, FILL_RANDOM, random);
    test_fill(l.b, out, pattern, random);
    test_fill(l.dy, n * out, pattern, random);
    return l;
}

static bool check_forward_double(const layer *l, const float *y)
{
    const size_t n = l->s.n, in = l->s.in, out = l->s.out, count = n * out;
    double *want = test_doubles(count), *mass = test_doubles(count);
    double *none = test_doubles(out);
    oracle_linear(want, test_widened(l->x, n * in), test_widened(l->w, out * in),
                  test_widened(l->b, out), n, in, out);
    oracle_linear(mass, test_magnitudes(l->x, n * in), test_magnitudes(l->w, out * in), none, n, in,
                  out);
    for (size_t i = 0; i < count; i++) { /* the sum's bound and one rounding of the result */
        const double sum = oracle_sum_bound(in, mass[i]);
        mass[i] = sum + ORACLE_U * (fabs(want[i]) + sum);
    }
    return test_close("y against double", y, want, count, mass);
}

static float *want_forward(const layer *l, bits_profile profile)
{
    const size_t n = l->s.n, in = l->s.in, out = l->s.out;
    float *want = test_floats(n * out);
    bits_gemm(want, l->x, in, 1, l->w, 1, in, n, out, in, profile);
    for (size_t i = 0; i < n * out; i++)
        want[i] = want[i] + l->b[i % out];
    return want;
}

static bool check_forward(const layer *l)
{
    const size_t count = l->s.n * l->s.out;
    const float *want[BITS_PROFILES] = {want_forward(l, BITS_MA), want_forward(l, BITS_FMA)};
    bool good = check_forward_double(l, want[BITS_MA]) && check_forward_double(l, want[BITS_FMA]);
    for (size_t i = 0; i < engine_count && good; i++) {
        const nn_engine *engine = &engines[i];
        float *got = test_floats(count);
        good = CHECK(nn_linear_forward(engine, NULL, &scratch, got, l->x, l->w, l->b, &l->s) ==
                     DDOME_OK) &&
               CHECK(scratch.used == 0) &&
               test_same_floats("y", got, want[test_profile(engine)], count);
        test_check(good, __FILE__, __LINE__, "kernels %s", test_engine_name(engine));
    }
    return good;
}

static bool same_gradients(const layer *l, const nn_engine *engine, const float *want_dx,
                           const float *want_dw)
{
    const size_t n = l->s.n, in = l->s.in, out = l->s.out;
    float *dx = test_floats(n * in), *dw = test_floats(out * in);
    const bool good = CHECK(nn_linear_backward_input(engine, NULL, &scratch, dx, l->dy, l->w,
                                                     &l->s) == DDOME_OK) &&
                      CHECK(nn_linear_backward_weight(engine, NULL, &scratch, dw, l->dy, l->x,
                                                      &l->s) == DDOME_OK) &&
                      CHECK(scratch.used == 0) && test_same_floats("dx", dx, want_dx, n * in) &&
                      test_same_floats("dw", dw, want_dw, out * in);
    return test_check(good, __FILE__, __LINE__, "kernels %s", test_engine_name(engine));
}

/* db is a plain sum in both profiles (SPEC 2.5.2). */
static bool check_backward(const layer *l)
{
    const size_t n = l->s.n, in = l->s.in, out = l->s.out;
    float *dx[BITS_PROFILES], *dw[BITS_PROFILES];
    float *db = test_floats(out), *want_db = test_floats(out);
    nn_linear_backward_bias(db, test_floats(out), l->dy, &l->s);
    for (size_t j = 0; j < out; j++)
        want_db[j] = bits_sum_of(l->dy + j, n, out);
    for (int i = 0; i < BITS_PROFILES; i++) {
        dx[i] = test_floats(n * in);
        dw[i] = test_floats(out * in);
        bits_gemm(dx[i], l->dy, out, 1, l->w, in, 1, n, in, out, (bits_profile)i);
        bits_gemm(dw[i], l->dy, 1, out, l->x, in, 1, out, in, n, (bits_profile)i);
    }
    bool good = test_same_floats("db", db, want_db, out);
    for (size_t i = 0; i < engine_count && good; i++) {
        const bits_profile profile = test_profile(&engines[i]);
        good = same_gradients(l, &engines[i], dx[profile], dw[profile]);
    }
    return good;
}

static bool check_layer(size_t n, size_t in, size_t out, fill_pattern pattern, test_random *random)
{
    layer l = make(n, in, out, pattern, random);
    const bool good = check_forward(&l) && check_backward(&l);
    test_release();
    return test_check(good, __FILE__, __LINE__, "n %lu in %lu out %lu, %s", (unsigned long)n,
                      (unsigned long)in, (unsigned long)out, test_fill_name(pattern));
}

static void check_sizes(void)
{
    static const size_t sizes[] = {1, 4, 5, 16, 17, 256, 300};
    test_random random = test_random_start(51);
    test_case("linear: sizes around lanes and blocks");
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < 7; j++)
            for (size_t k = 0; k < 7; k++)
                if (i + j + k <= 14 && /* at most one side long, the others small */
                    !check_layer(sizes[i], sizes[j], sizes[k], FILL_RANDOM, &random))
                    return;
}

/* One sample and output less and more than every table's tiles and panels hold. */
static void check_tables(void)
{
    test_random random = test_random_start(53);
    test_case("linear: sizes around the tiles of every table");
    for (size_t t = 0; t < engine_count; t += NN_ARITH_COUNT) {
        for (size_t i = 0; i < TEST_TILES; i++) {
            size_t n, out;
            test_tile(&n, &out, engines[t].kernels, i);
            if (!check_layer(n, 7, out, FILL_RANDOM, &random))
                return;
        }
    }
}

static void check_patterns(void)
{
    test_random random = test_random_start(52);
    test_case("linear: patterns");
    for (int p = 0; p < FILL_COUNT; p++)
        check_layer(6, 300, 11, (fill_pattern)p, &random);
}

/* The bias is added last: 2^24 would swallow the products if it opened the chain. */
static void check_bias_order(void)
{
    const float x[2] = {1, 1}, w[2] = {0.5f, 0.5f}, b = 16777216.0f, want = 16777216.0f;
    const float x3[3] = {1, 1, 1}, w3[3] = {1, 1, 1}, want3 = 16777220.0f;
    const nn_linear_shape two = {1, 2, 1}, three = {1, 3, 1};
    test_case("linear: the bias comes last");
    for (size_t i = 0; i < engine_count; i++) {
        float got = 0;
        CHECK(nn_linear_forward(&engines[i], NULL, &scratch, &got, x, w, &b, &two) == DDOME_OK);
        test_same_floats("1 + 2^24", &got, &want, 1);
        CHECK(nn_linear_forward(&engines[i], NULL, &scratch, &got, x3, w3, &b, &three) == DDOME_OK);
        test_same_floats("3 + 2^24", &got, &want3, 1);
    }
}

void t_linear(void);

void t_linear(void)
{
    engine_count = test_engines(engines);
    check_sizes();
    check_tables();
    check_patterns();
    check_bias_order();
    nn_arena_free(&scratch);
}

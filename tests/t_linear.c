/* SPDX-License-Identifier: MIT */
/* Linear layer: four directions against both oracles. SPEC 5.2. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/linear.h"

#include <math.h>

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

static bool check_forward(const layer *l)
{
    const size_t n = l->s.n, in = l->s.in, out = l->s.out;
    float *got = test_floats(n * out), *want = test_floats(n * out);
    nn_arena scratch = {0};
    ddome_error error = {DDOME_OK, ""};
    bool good =
        CHECK(nn_linear_forward(&error, &scratch, got, l->x, l->w, l->b, &l->s) == DDOME_OK);
    nn_arena_free(&scratch);
    bits_gemm(want, l->x, in, 1, l->w, 1, in, n, out, in);
    for (size_t i = 0; i < n * out; i++)
        want[i] = want[i] + l->b[i % out];
    return good && test_same_floats("y", got, want, n * out) && check_forward_double(l, got);
}

static bool check_backward(const layer *l)
{
    const size_t n = l->s.n, in = l->s.in, out = l->s.out;
    float *dx = test_floats(n * in), *dw = test_floats(out * in), *db = test_floats(out);
    float *want_dx = test_floats(n * in), *want_dw = test_floats(out * in);
    float *want_db = test_floats(out);
    nn_linear_backward_input(dx, l->dy, l->w, &l->s);
    nn_linear_backward_weight(dw, l->dy, l->x, &l->s);
    nn_linear_backward_bias(db, test_floats(out), l->dy, &l->s);
    bits_gemm(want_dx, l->dy, out, 1, l->w, in, 1, n, in, out);
    bits_gemm(want_dw, l->dy, 1, out, l->x, in, 1, out, in, n);
    for (size_t j = 0; j < out; j++)
        want_db[j] = bits_sum_of(l->dy + j, n, out);
    return test_same_floats("dx", dx, want_dx, n * in) &&
           test_same_floats("dw", dw, want_dw, out * in) &&
           test_same_floats("db", db, want_db, out);
}

static void check_sizes(void)
{
    static const size_t sizes[] = {1, 4, 5, 16, 17, 256, 300};
    test_random random = test_random_start(51);
    test_case("linear: sizes around lanes and blocks");
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < 7; j++)
            for (size_t k = 0; k < 7; k++) {
                if (i + j + k > 14) /* at most one side long, the others small */
                    continue;
                layer l = make(sizes[i], sizes[j], sizes[k], FILL_RANDOM, &random);
                bool good = check_forward(&l) && check_backward(&l);
                test_release();
                if (!test_check(good, __FILE__, __LINE__, "n %lu in %lu out %lu",
                                (unsigned long)sizes[i], (unsigned long)sizes[j],
                                (unsigned long)sizes[k]))
                    return;
            }
}

static void check_patterns(void)
{
    test_random random = test_random_start(52);
    test_case("linear: patterns");
    for (int p = 0; p < FILL_COUNT; p++) {
        layer l = make(6, 300, 11, (fill_pattern)p, &random);
        bool good = check_forward(&l) && check_backward(&l);
        test_release();
        test_check(good, __FILE__, __LINE__, "%s", test_fill_name((fill_pattern)p));
    }
}

/* The bias is added last: 2^24 would swallow the products if it opened the chain. */
static void check_bias_order(void)
{
    const float x[2] = {1, 1}, w[2] = {0.5f, 0.5f}, b = 16777216.0f, want = 16777216.0f;
    const float x3[3] = {1, 1, 1}, w3[3] = {1, 1, 1}, want3 = 16777220.0f;
    const nn_linear_shape two = {1, 2, 1}, three = {1, 3, 1};
    float got = 0;
    nn_arena scratch = {0};
    ddome_error error = {DDOME_OK, ""};
    test_case("linear: the bias comes last");
    CHECK(nn_linear_forward(&error, &scratch, &got, x, w, &b, &two) == DDOME_OK);
    test_same_floats("1 + 2^24", &got, &want, 1);
    CHECK(nn_linear_forward(&error, &scratch, &got, x3, w3, &b, &three) == DDOME_OK);
    test_same_floats("3 + 2^24", &got, &want3, 1);
    nn_arena_free(&scratch);
}

void t_linear(void);

void t_linear(void)
{
    check_sizes();
    check_patterns();
    check_bias_order();
}

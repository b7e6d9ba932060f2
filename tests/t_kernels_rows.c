/* SPDX-License-Identifier: MIT */
/* The element kernels of every table give the bits of the contract in kernels.h, written down here
 * float by float, and touch nothing beyond it: a crash in this suite is such an access. The payload
 * of a NaN is free. SPEC 2.4, 5.6 to 5.8, 5.10, 5.13. */
#include <string.h>

#include "fixture.h"
#include "guard.h"

#include "../nn/kernels.h"

enum {
    MOST_ROWS = 256,
    MOST_COLS = 130,
    MOST = MOST_ROWS * MOST_COLS,
    CONSTANTS = 5,
    SLOT_X = 0,
    SLOT_DY,
    SLOT_Y,
    SLOT_RESIDUAL,
    SLOT_OUT,
    SLOT_OUT2,
    SLOT_COPY,
    SLOT_CONSTANTS
};

/* Inputs of one shape, the same for all tables. */
typedef struct inputs {
    size_t rows, cols, count;
    guard_side side;
    const float *x, *dy, *y, *residual;
    const float *constant[CONSTANTS]; /* [cols] each */
} inputs;

/* What must come out; the second is of kernels with two outputs. */
static float want[MOST], want2[MOST];

/* ---- inputs ---- */

static void spoil(float *x, size_t count, test_random *random)
{
    static const uint32_t bits[] = {0x7fc00000u, 0x7f800000u, 0xff800000u, 0x80000000u,
                                    0x00000001u, 0x80000001u, 0x7f7fffffu, 0xff7fffffu};
    for (size_t i = 0; i < count; i++)
        if (test_random_below(random, 8) == 0)
            x[i] = nn_float_from_bits(bits[test_random_below(random, 8)]);
}

static const float *make_input(size_t slot, size_t count, guard_side side, bool spoilt,
                               test_random *random)
{
    float *x = test_guard_floats(slot, count, side);
    test_fill(x, count, (fill_pattern)test_random_below(random, FILL_COUNT), random);
    if (spoilt)
        spoil(x, count, random);
    return x;
}

static inputs make_inputs(size_t rows, size_t cols, guard_side side, test_random *random)
{
    inputs in = {.rows = rows, .cols = cols, .count = rows * cols, .side = side};
    const bool spoilt = test_random_below(random, 3) == 0;
    in.x = make_input(SLOT_X, in.count, side, spoilt, random);
    in.dy = make_input(SLOT_DY, in.count, side, spoilt, random);
    in.y = make_input(SLOT_Y, in.count, side, spoilt, random);
    in.residual = make_input(SLOT_RESIDUAL, in.count, side, spoilt, random);
    for (size_t i = 0; i < CONSTANTS; i++)
        in.constant[i] = make_input(SLOT_CONSTANTS + i, cols, side, false, random);
    return in;
}

/* An output that starts as a copy of `from`, unless that is NULL. */
static float *make_output(size_t slot, const inputs *in, size_t count, const float *from)
{
    float *out = test_guard_floats(slot, count, in->side);
    if (from != NULL)
        memcpy(out, from, count * sizeof *out);
    return out;
}

/* ---- comparison ---- */

static void make_canonical(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (x[i] != x[i])
            x[i] = nn_float_from_bits(0x7fc00000u);
}

static bool same(const char *what, const nn_kernels *kernels, const inputs *in, float *got,
                 float *expected, size_t count)
{
    make_canonical(got, count);
    make_canonical(expected, count);
    if (memcmp(got, expected, count * sizeof *got) == 0)
        return true;
    test_same_floats(what, got, expected, count);
    return test_check(false, __FILE__, __LINE__, "table %s, %lu rows of %lu", kernels->name,
                      (unsigned long)in->rows, (unsigned long)in->cols);
}

/* ---- sums ---- */

static bool check_sum(const nn_kernels *kernels, const inputs *in)
{
    float *got = make_output(SLOT_OUT, in, in->cols, NULL);
    for (size_t j = 0; j < in->cols; j++) {
        want[j] = 0.0f;
        for (size_t i = 0; i < in->rows; i++)
            want[j] = want[j] + in->x[i * in->cols + j];
    }
    kernels->column_sum(got, in->x, in->rows, in->cols);
    return same("column_sum", kernels, in, got, want, in->cols);
}

static bool check_squares(const nn_kernels *kernels, const inputs *in)
{
    const float *mean = in->constant[0];
    float *got = make_output(SLOT_OUT, in, in->cols, NULL);
    for (size_t j = 0; j < in->cols; j++) {
        want[j] = 0.0f;
        for (size_t i = 0; i < in->rows; i++) {
            float d = in->x[i * in->cols + j] - mean[j];
            float square = d * d;
            want[j] = want[j] + square;
        }
    }
    kernels->column_squares(got, in->x, mean, in->rows, in->cols);
    return same("column_squares", kernels, in, got, want, in->cols);
}

/* dbeta in want, dgamma in want2. */
static void naive_slopes(const inputs *in, const float *dy)
{
    const float *mean = in->constant[0], *rstd = in->constant[1];
    for (size_t j = 0; j < in->cols; j++) {
        want[j] = 0.0f;
        want2[j] = 0.0f;
        for (size_t i = 0; i < in->rows; i++) {
            const size_t at = i * in->cols + j;
            float d = in->x[at] - mean[j];
            float xhat = d * rstd[j];
            float product = dy[at] * xhat;
            want[j] = want[j] + dy[at];
            want2[j] = want2[j] + product;
        }
    }
}

/* dy is an output, too, so that it is a copy. */
static bool check_slopes(const nn_kernels *kernels, const inputs *in, const float *y)
{
    static float masked[MOST];
    float *dbeta = make_output(SLOT_OUT, in, in->cols, NULL);
    float *dgamma = make_output(SLOT_OUT2, in, in->cols, NULL);
    float *dy = make_output(SLOT_COPY, in, in->count, in->dy);
    for (size_t i = 0; i < in->count; i++)
        masked[i] = y == NULL || y[i] > 0 ? in->dy[i] : 0.0f;
    naive_slopes(in, masked);
    kernels->column_slopes(dbeta, dgamma, dy, y, in->x, in->constant[0], in->constant[1], in->rows,
                           in->cols);
    return same("dbeta", kernels, in, dbeta, want, in->cols) &&
           same("dgamma", kernels, in, dgamma, want2, in->cols) &&
           same("masked dy", kernels, in, dy, masked, in->count);
}

/* ---- normalisation ---- */

static float naive_normalised(const inputs *in, size_t at, const float *residual, bool relu)
{
    const size_t j = at % in->cols;
    float d = in->x[at] - in->constant[0][j];
    float xhat = d * in->constant[1][j];
    float scaled = in->constant[2][j] * xhat;
    float value = scaled + in->constant[3][j];
    if (residual != NULL)
        value = value + residual[at];
    return relu && !(value > 0) ? 0.0f : value;
}

static bool check_normalise(const nn_kernels *kernels, const inputs *in, const float *residual,
                            bool relu)
{
    const nn_channels channels = {in->constant[0], in->constant[1], in->constant[2],
                                  in->constant[3]};
    float *got = make_output(SLOT_OUT, in, in->count, NULL);
    for (size_t at = 0; at < in->count; at++)
        want[at] = naive_normalised(in, at, residual, relu);
    kernels->normalise(got, in->x, residual, &channels, relu, in->rows, in->cols);
    return same("normalise", kernels, in, got, want, in->count);
}

static void naive_normalise_back(const inputs *in)
{
    const float *const *c = in->constant;
    for (size_t at = 0; at < in->count; at++) {
        const size_t j = at % in->cols;
        float d = in->x[at] - c[0][j];
        float xhat = d * c[1][j];
        float centred = in->dy[at] - c[3][j];
        float tilted = xhat * c[4][j];
        float inner = centred - tilted;
        want[at] = c[2][j] * inner;
    }
}

/* Into a place of its own, over dy, over x. */
static bool check_normalise_back(const nn_kernels *kernels, const inputs *in)
{
    const nn_slopes slopes = {in->constant[0], in->constant[1], in->constant[2], in->constant[3],
                              in->constant[4]};
    naive_normalise_back(in);
    float *got = make_output(SLOT_OUT, in, in->count, NULL);
    kernels->normalise_back(got, in->dy, in->x, &slopes, in->rows, in->cols);
    bool good = same("normalise_back", kernels, in, got, want, in->count);
    got = make_output(SLOT_OUT, in, in->count, in->dy);
    kernels->normalise_back(got, got, in->x, &slopes, in->rows, in->cols);
    good = good && same("normalise_back over dy", kernels, in, got, want, in->count);
    got = make_output(SLOT_OUT, in, in->count, in->x);
    kernels->normalise_back(got, in->dy, got, &slopes, in->rows, in->cols);
    return good && same("normalise_back over x", kernels, in, got, want, in->count);
}

/* ---- activations ---- */

static bool check_relu(const nn_kernels *kernels, const inputs *in)
{
    for (size_t i = 0; i < in->count; i++)
        want[i] = in->x[i] > 0 ? in->x[i] : 0.0f;
    float *got = make_output(SLOT_OUT, in, in->count, NULL);
    kernels->relu(got, in->x, in->count);
    bool good = same("relu", kernels, in, got, want, in->count);
    got = make_output(SLOT_OUT, in, in->count, in->x);
    kernels->relu(got, got, in->count);
    return good && same("relu in place", kernels, in, got, want, in->count);
}

static bool check_relu_back(const nn_kernels *kernels, const inputs *in)
{
    for (size_t i = 0; i < in->count; i++)
        want[i] = in->y[i] > 0 ? in->dy[i] : 0.0f;
    float *got = make_output(SLOT_OUT, in, in->count, NULL);
    kernels->relu_back(got, in->dy, in->y, in->count);
    bool good = same("relu_back", kernels, in, got, want, in->count);
    got = make_output(SLOT_OUT, in, in->count, in->dy);
    kernels->relu_back(got, got, in->y, in->count);
    good = good && same("relu_back over dy", kernels, in, got, want, in->count);
    got = make_output(SLOT_OUT, in, in->count, in->y);
    kernels->relu_back(got, in->dy, got, in->count);
    return good && same("relu_back over y", kernels, in, got, want, in->count);
}

static bool check_add(const nn_kernels *kernels, const inputs *in)
{
    for (size_t i = 0; i < in->count; i++)
        want[i] = in->x[i] + in->dy[i];
    float *got = make_output(SLOT_OUT, in, in->count, NULL);
    kernels->add(got, in->x, in->dy, in->count);
    bool good = same("add", kernels, in, got, want, in->count);
    got = make_output(SLOT_OUT, in, in->count, in->x);
    kernels->add(got, got, in->dy, in->count);
    good = good && same("add over a", kernels, in, got, want, in->count);
    got = make_output(SLOT_OUT, in, in->count, in->dy);
    kernels->add(got, in->x, got, in->count);
    return good && same("add over b", kernels, in, got, want, in->count);
}

/* ---- all of them ---- */

static bool check_table(const nn_kernels *kernels, const inputs *in)
{
    return check_sum(kernels, in) && check_squares(kernels, in) &&
           check_slopes(kernels, in, NULL) && check_slopes(kernels, in, in->y) &&
           check_normalise(kernels, in, NULL, false) && check_normalise(kernels, in, NULL, true) &&
           check_normalise(kernels, in, in->residual, false) &&
           check_normalise(kernels, in, in->residual, true) && check_normalise_back(kernels, in) &&
           check_relu(kernels, in) && check_relu_back(kernels, in) && check_add(kernels, in);
}

static bool check_shape(size_t rows, size_t cols, test_random *random)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    bool good = true;
    for (int side = 0; side < GUARD_SIDES && good; side++) {
        const inputs in = make_inputs(rows, cols, (guard_side)side, random);
        for (size_t i = 0; i < count && good; i++)
            good = check_table(list[i], &in);
    }
    return good;
}

static bool check_cols(size_t cols, test_random *random)
{
    static const size_t rows[] = {0, 1, 2, 7, 8, 9, 255, MOST_ROWS};
    bool good = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && good; i++)
        good = check_shape(rows[i], cols, random);
    return good;
}

void t_kernels_rows(void);

void t_kernels_rows(void)
{
    test_random random = test_random_start(44);
    test_case("kernels: sums over rows, normalisation, activations");
    bool good = check_cols(128, &random) && check_cols(MOST_COLS, &random);
    for (size_t cols = 0; cols <= 70 && good; cols++)
        good = check_cols(cols, &random);
    test_guard_release();
}

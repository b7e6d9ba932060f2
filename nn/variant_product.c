/* SPDX-License-Identifier: MIT */
/* Sums of products: matrix product, linear, convolution. Each output lists its terms and adds them.
 * SPEC 2.4, 5.1 to 5.5. */
#include "variant_private.h"

enum { DEVIATIONS = NN_TRY_SUM | NN_DEVIATES(ARITH) };

static void sum(nn_try *t)
{
    t->y[0][0] = nn_try_sum(t, nn_try_in(t, 0), t->size['*']);
}

/* ---- matrices ---- */

/* A(i, k) = at[i*row + k*step]; B(k, j) = at[j*row + k*step]. */
typedef struct matrix {
    const float *at;
    size_t row, step;
} matrix;

/* y[rows, cols]; bias[cols] or NULL. */
static void product(nn_try *t, float *y, const matrix *a, const matrix *b, const float *bias,
                    size_t rows, size_t cols, size_t count)
{
    const unsigned char when = t->choice[NN_DEVIATE_BIAS];
    for (size_t i = 0; i < rows * cols; i++) {
        const size_t row = i / cols, col = i % cols;
        nn_terms terms = {.a = t->a, .b = t->b, .count = count, .fuses = true};
        for (size_t k = 0; k < count; k++) {
            t->a[k] = a->at[row * a->row + k * a->step];
            t->b[k] = b->at[col * b->row + k * b->step];
        }
        if (bias != NULL && when == BIAS_FIRST)
            terms.chain_start = bias[col];
        if (bias != NULL && when == BIAS_TOTAL)
            terms.total_start = bias[col];
        y[i] = nn_try_total(t, &terms);
        if (bias != NULL && when == 0)
            y[i] = nn_try_add(t, y[i], bias[col]);
    }
}

static void matmul(nn_try *t)
{
    const size_t m = t->size['m'], n = t->size['n'], k = t->size['k'];
    const matrix a = {nn_try_in(t, 0), k, 1}, b = {nn_try_in(t, 1), 1, n};
    product(t, t->y[0], &a, &b, NULL, m, n, k);
}

static void linear(nn_try *t)
{
    const size_t n = t->size['n'], in = t->size['i'], out = t->size['o'];
    const matrix x = {nn_try_in(t, 0), in, 1}, w = {nn_try_in(t, 1), in, 1};
    product(t, t->y[0], &x, &w, nn_try_in(t, 2), n, out, in);
}

static void linear_backward(nn_try *t)
{
    const size_t n = t->size['n'], in = t->size['i'], out = t->size['o'];
    const float *x = nn_try_in(t, 0), *w = nn_try_in(t, 1), *dy = nn_try_in(t, 2);
    const matrix dy_rows = {dy, out, 1}, w_columns = {w, 1, in};
    const matrix dy_columns = {dy, 1, out}, x_columns = {x, 1, in};
    product(t, t->y[0], &dy_rows, &w_columns, NULL, n, in, out);
    product(t, t->y[1], &dy_columns, &x_columns, NULL, out, in, n);
    for (size_t o = 0; o < out; o++) {
        for (size_t i = 0; i < n; i++)
            t->a[i] = dy[i * out + o];
        t->y[2][o] = nn_try_sum(t, t->a, n);
    }
}

/* ---- convolution ---- */

/* Term k of a sum; a NULL: its tap lies outside. */
static void put(nn_try *t, size_t k, const float *a, float b)
{
    t->skip[k] = a == NULL && t->choice[NN_DEVIATE_PADDING] != PADDING_ZEROS;
    t->a[k] = a == NULL ? 0.0f : *a;
    t->b[k] = b;
}

static size_t drop_skipped(nn_try *t, size_t count)
{
    size_t kept = 0;
    for (size_t k = 0; k < count; k++)
        if (!t->skip[k]) {
            t->a[kept] = t->a[k];
            t->b[kept] = t->b[k];
            t->skip[kept++] = false;
        }
    return kept;
}

static float total_of_put(nn_try *t, size_t count)
{
    if (t->choice[NN_DEVIATE_PADDING] == PADDING_UNCOUNTED)
        count = drop_skipped(t, count);
    const nn_terms terms = {.a = t->a, .b = t->b, .skip = t->skip, .count = count, .fuses = true};
    return nn_try_total(t, &terms);
}

/* x at a tap of output (oh, ow), or NULL outside the input. */
static const float *tap(const nn_try *t, const float *x, size_t n, size_t oh, size_t ow, size_t kh,
                        size_t kw, size_t c)
{
    const size_t stride = t->size['s'], pad = t->size['p'];
    const size_t h = oh * stride + kh, w = ow * stride + kw; /* with the padding in front */
    if (h < pad || w < pad || h - pad >= t->size['h'] || w - pad >= t->size['w'])
        return NULL;
    return &x[((n * t->size['h'] + h - pad) * t->size['w'] + w - pad) * t->size['c'] + c];
}

/* Where the product of a tap and a channel stands in the sum. */
static size_t place(const nn_try *t, size_t kh, size_t kw, size_t c, size_t channels)
{
    if (t->choice[NN_DEVIATE_AXES] == AXES_CHANNELS_OUTER)
        return (c * t->size['u'] + kh) * t->size['v'] + kw;
    return (kh * t->size['v'] + kw) * channels + c;
}

static float weight(const nn_try *t, const float *w, size_t o, size_t c, size_t kh, size_t kw)
{
    return w[((o * t->size['c'] + c) * t->size['u'] + kh) * t->size['v'] + kw];
}

static float conv_output(nn_try *t, size_t n, size_t oh, size_t ow, size_t o)
{
    const size_t c = t->size['c'];
    const float *x = nn_try_in(t, 0), *w = nn_try_in(t, 1);
    for (size_t kh = 0; kh < t->size['u']; kh++)
        for (size_t kw = 0; kw < t->size['v']; kw++)
            for (size_t ic = 0; ic < c; ic++)
                put(t, place(t, kh, kw, ic, c), tap(t, x, n, oh, ow, kh, kw, ic),
                    weight(t, w, o, ic, kh, kw));
    return total_of_put(t, t->size['u'] * t->size['v'] * c);
}

static void conv(nn_try *t)
{
    size_t i = 0;
    for (size_t n = 0; n < t->size['n']; n++)
        for (size_t oh = 0; oh < t->size['Y']; oh++)
            for (size_t ow = 0; ow < t->size['X']; ow++)
                for (size_t o = 0; o < t->size['o']; o++)
                    t->y[0][i++] = conv_output(t, n, oh, ow, o);
}

/* dy of the output that reads input (h, w) through a tap, or NULL. */
static const float *reader(const nn_try *t, const float *dy, size_t n, size_t h, size_t w,
                           size_t kh, size_t kw, size_t o)
{
    const size_t stride = t->size['s'], pad = t->size['p'];
    if (h + pad < kh || w + pad < kw)
        return NULL;
    const size_t from_h = h + pad - kh, from_w = w + pad - kw;
    const size_t oh = from_h / stride, ow = from_w / stride;
    if (from_h % stride != 0 || from_w % stride != 0 || oh >= t->size['Y'] || ow >= t->size['X'])
        return NULL;
    return &dy[((n * t->size['Y'] + oh) * t->size['X'] + ow) * t->size['o'] + o];
}

static float conv_input(nn_try *t, size_t n, size_t h, size_t w, size_t c)
{
    const size_t out = t->size['o'];
    const float *weights = nn_try_in(t, 0), *dy = nn_try_in(t, 1);
    for (size_t kh = 0; kh < t->size['u']; kh++)
        for (size_t kw = 0; kw < t->size['v']; kw++)
            for (size_t o = 0; o < out; o++)
                put(t, place(t, kh, kw, o, out), reader(t, dy, n, h, w, kh, kw, o),
                    weight(t, weights, o, c, kh, kw));
    return total_of_put(t, t->size['u'] * t->size['v'] * out);
}

static void conv_backward_input(nn_try *t)
{
    size_t i = 0;
    for (size_t n = 0; n < t->size['n']; n++)
        for (size_t h = 0; h < t->size['h']; h++)
            for (size_t w = 0; w < t->size['w']; w++)
                for (size_t c = 0; c < t->size['c']; c++)
                    t->y[0][i++] = conv_input(t, n, h, w, c);
}

/* Puts the terms of one image at k0 + (oh*OW + ow) * step. */
static void put_image(nn_try *t, size_t n, size_t o, size_t c, size_t kh, size_t kw, size_t k0,
                      size_t step)
{
    const float *x = nn_try_in(t, 0), *dy = nn_try_in(t, 1);
    const size_t positions = t->size['Y'] * t->size['X'], width = t->size['X'];
    for (size_t i = 0; i < positions; i++)
        put(t, k0 + i * step, tap(t, x, n, i / width, i % width, kh, kw, c),
            dy[(n * positions + i) * t->size['o'] + o]);
}

static float conv_weight(nn_try *t, size_t o, size_t c, size_t kh, size_t kw)
{
    const size_t images = t->size['n'], positions = t->size['Y'] * t->size['X'];
    const unsigned char axes = t->choice[NN_DEVIATE_AXES];
    float apart = 0;
    for (size_t n = 0; n < images; n++)
        if (axes == AXES_IMAGES_APART) {
            put_image(t, n, o, c, kh, kw, 0, 1);
            apart = nn_try_add(t, apart, total_of_put(t, positions));
        } else if (axes == AXES_IMAGES_INNER) {
            put_image(t, n, o, c, kh, kw, n, images);
        } else {
            put_image(t, n, o, c, kh, kw, n * positions, 1);
        }
    return axes == AXES_IMAGES_APART ? apart : total_of_put(t, images * positions);
}

static void conv_backward_weight(nn_try *t)
{
    size_t i = 0;
    for (size_t o = 0; o < t->size['o']; o++)
        for (size_t c = 0; c < t->size['c']; c++)
            for (size_t kh = 0; kh < t->size['u']; kh++)
                for (size_t kw = 0; kw < t->size['v']; kw++)
                    t->y[0][i++] = conv_weight(t, o, c, kh, kw);
}

enum { CONV = DEVIATIONS | NN_DEVIATES(AXES) | NN_DEVIATES(PADDING) };

const nn_try_op nn_try_products[] = {
    {"sum", "x*", "total[]", "", sum, NN_TRY_SUM},
    {"matmul", "a[mk] b[kn]", "c[mn]", "k", matmul, DEVIATIONS},
    {"linear", "x[n/i] w[oi] b[o]", "y[no]", "i", linear, DEVIATIONS | NN_DEVIATES(BIAS)},
    {"linear.backward", "x[n/i] w[oi] dy[no]", "dx[n/i] dw[oi] db[o]", "no", linear_backward,
     DEVIATIONS},
    {"conv", "stride=s pad=p x[nhwc] w[ocuv] @", "y[nYXo]", "cuv", conv, CONV},
    {"conv.backward_input", "stride=s pad=p h=h w=w w[ocuv] @ dy[nYXo]", "dx[nhwc]", "ouv",
     conv_backward_input, CONV},
    {"conv.backward_weight", "stride=s pad=p kh=u kw=v x[nhwc] @ dy[nYXo]", "dw[ocuv]", "nYX",
     conv_backward_weight, CONV},
    {.name = NULL},
};

/* SPDX-License-Identifier: MIT */
/* The reduction rule written down as plainly as possible. SPEC 2.3, 2.4. */
#include "oracle_bits.h"

#include <math.h>

bits_sum bits_start(void)
{
    bits_sum sum = {0.0f, 0.0f, 0};
    return sum;
}

/* One addend more; a full block goes into the total. */
static void count_one(bits_sum *sum)
{
    sum->count++;
    if (sum->count == 256) {
        sum->total = sum->total + sum->block;
        sum->block = 0.0f;
        sum->count = 0;
    }
}

void bits_add(bits_sum *sum, float value)
{
    sum->block = sum->block + value;
    count_one(sum);
}

void bits_add_product(bits_sum *sum, float a, float b, bits_profile profile)
{
    if (profile == BITS_FMA) {
        sum->block = fmaf(a, b, sum->block);
    } else {
        float product = a * b;
        sum->block = sum->block + product;
    }
    count_one(sum);
}

float bits_end(const bits_sum *sum)
{
    return sum->total + sum->block;
}

float bits_sum_of(const float *x, size_t count, size_t step)
{
    bits_sum sum = bits_start();
    for (size_t i = 0; i < count; i++)
        bits_add(&sum, x[i * step]);
    return bits_end(&sum);
}

void bits_gemm(float *c, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
               size_t b_col, size_t m, size_t n, size_t k, bits_profile profile)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            bits_sum sum = bits_start();
            for (size_t l = 0; l < k; l++)
                bits_add_product(&sum, a[i * a_row + l * a_col], b[l * b_row + j * b_col], profile);
            c[i * n + j] = bits_end(&sum);
        }
}

/* x at a position of the padded image; +0 outside. */
static float padded(const float *x, const oracle_window *s, size_t n, size_t ph, size_t pw,
                    size_t c)
{
    if (ph < s->pad || pw < s->pad || ph >= s->pad + s->h || pw >= s->pad + s->w)
        return 0.0f;
    return x[((n * s->h + ph - s->pad) * s->w + pw - s->pad) * s->c + c];
}

static float one_output(const float *x, const float *weight, const oracle_window *s, size_t n,
                        size_t oh, size_t ow, size_t oc, bits_profile profile)
{
    bits_sum sum = bits_start();
    for (size_t kh = 0; kh < s->kh; kh++)
        for (size_t kw = 0; kw < s->kw; kw++)
            for (size_t c = 0; c < s->c; c++)
                bits_add_product(&sum, padded(x, s, n, oh * s->stride + kh, ow * s->stride + kw, c),
                                 weight[((oc * s->c + c) * s->kh + kh) * s->kw + kw], profile);
    return bits_end(&sum);
}

void bits_conv_forward(float *y, const float *x, const float *weight, const oracle_window *s,
                       bits_profile profile)
{
    for (size_t n = 0; n < s->n; n++)
        for (size_t oh = 0; oh < s->oh; oh++)
            for (size_t ow = 0; ow < s->ow; ow++)
                for (size_t oc = 0; oc < s->oc; oc++)
                    y[((n * s->oh + oh) * s->ow + ow) * s->oc + oc] =
                        one_output(x, weight, s, n, oh, ow, oc, profile);
}

/* dy of the output that reads padded position (ph, pw) through tap (kh, kw); +0 when there is none.
 */
static float reader(const float *dy, const oracle_window *s, size_t n, size_t ph, size_t pw,
                    size_t kh, size_t kw, size_t oc)
{
    for (size_t oh = 0; oh < s->oh; oh++)
        for (size_t ow = 0; ow < s->ow; ow++)
            if (oh * s->stride + kh == ph && ow * s->stride + kw == pw)
                return dy[((n * s->oh + oh) * s->ow + ow) * s->oc + oc];
    return 0.0f;
}

static float one_input(const float *dy, const float *weight, const oracle_window *s, size_t n,
                       size_t h, size_t w, size_t c, bits_profile profile)
{
    bits_sum sum = bits_start();
    for (size_t kh = 0; kh < s->kh; kh++)
        for (size_t kw = 0; kw < s->kw; kw++)
            for (size_t oc = 0; oc < s->oc; oc++)
                bits_add_product(&sum, reader(dy, s, n, h + s->pad, w + s->pad, kh, kw, oc),
                                 weight[((oc * s->c + c) * s->kh + kh) * s->kw + kw], profile);
    return bits_end(&sum);
}

void bits_conv_backward_input(float *dx, const float *dy, const float *weight,
                              const oracle_window *s, bits_profile profile)
{
    for (size_t n = 0; n < s->n; n++)
        for (size_t h = 0; h < s->h; h++)
            for (size_t w = 0; w < s->w; w++)
                for (size_t c = 0; c < s->c; c++)
                    dx[((n * s->h + h) * s->w + w) * s->c + c] =
                        one_input(dy, weight, s, n, h, w, c, profile);
}

static float one_weight(const float *dy, const float *x, const oracle_window *s, size_t oc,
                        size_t c, size_t kh, size_t kw, bits_profile profile)
{
    bits_sum sum = bits_start();
    for (size_t n = 0; n < s->n; n++)
        for (size_t oh = 0; oh < s->oh; oh++)
            for (size_t ow = 0; ow < s->ow; ow++)
                bits_add_product(&sum, padded(x, s, n, oh * s->stride + kh, ow * s->stride + kw, c),
                                 dy[((n * s->oh + oh) * s->ow + ow) * s->oc + oc], profile);
    return bits_end(&sum);
}

void bits_conv_backward_weight(float *dw, const float *dy, const float *x, const oracle_window *s,
                               bits_profile profile)
{
    for (size_t oc = 0; oc < s->oc; oc++)
        for (size_t c = 0; c < s->c; c++)
            for (size_t kh = 0; kh < s->kh; kh++)
                for (size_t kw = 0; kw < s->kw; kw++)
                    dw[((oc * s->c + c) * s->kh + kh) * s->kw + kw] =
                        one_weight(dy, x, s, oc, c, kh, kw, profile);
}

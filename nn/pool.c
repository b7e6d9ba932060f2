/* SPDX-License-Identifier: MIT */
/* Max pooling keeps the first maximum in (kh, kw) order; the average divides a blocked total by the
 * count. SPEC 2.6, 2.7, 5.11, 5.12. */
#include "pool.h"

#include <string.h>

#include "sum.h"

/* One output of one channel. */
static void max_window(float *best, uint32_t *choice, const float *image, const nn_conv_shape *s,
                       size_t oh, size_t ow)
{
    bool found = false;
    for (size_t kh = 0; kh < s->kh; kh++)
        for (size_t kw = 0; kw < s->kw; kw++) {
            size_t ih = oh * s->stride + kh, iw = ow * s->stride + kw; /* in padded coordinates */
            if (ih < s->pad || iw < s->pad || ih - s->pad >= s->h || iw - s->pad >= s->w)
                continue;
            size_t at = (ih - s->pad) * s->w + iw - s->pad;
            if (found && !(image[at * s->c] > *best))
                continue;
            *best = image[at * s->c];
            *choice = (uint32_t)at;
            found = true;
        }
}

void nn_max_pool_forward(float *y, uint32_t *choice, const float *x, const nn_conv_shape *s)
{
    size_t out = 0;
    for (size_t n = 0; n < s->n; n++)
        for (size_t oh = 0; oh < s->oh; oh++)
            for (size_t ow = 0; ow < s->ow; ow++)
                for (size_t c = 0; c < s->c; c++, out++)
                    max_window(&y[out], &choice[out], x + n * s->h * s->w * s->c + c, s, oh, ow);
}

void nn_max_pool_backward(float *dx, const float *dy, const uint32_t *choice,
                          const nn_conv_shape *s)
{
    memset(dx, 0, s->n * s->h * s->w * s->c * sizeof *dx);
    for (size_t n = 0, out = 0; n < s->n; n++)
        for (size_t i = 0; i < s->oh * s->ow; i++)
            for (size_t c = 0; c < s->c; c++, out++) {
                float *at = dx + (n * s->h * s->w + choice[out]) * s->c + c;
                *at = *at + dy[out];
            }
}

void nn_avg_pool_forward(float *y, float *block, const nn_tensor *x)
{
    const size_t positions = x->h * x->w;
    for (size_t n = 0; n < x->n; n++) {
        nn_sum_columns(y + n * x->c, block, x->data + n * positions * x->c, positions, x->c);
        for (size_t c = 0; c < x->c; c++)
            y[n * x->c + c] = y[n * x->c + c] / (float)positions;
    }
}

void nn_avg_pool_backward(nn_tensor *dx, const float *dy)
{
    const size_t positions = dx->h * dx->w;
    for (size_t n = 0; n < dx->n; n++)
        for (size_t p = 0; p < positions; p++)
            for (size_t c = 0; c < dx->c; c++)
                dx->data[(n * positions + p) * dx->c + c] = dy[n * dx->c + c] / (float)positions;
}

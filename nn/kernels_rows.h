/* SPDX-License-Identifier: MIT */
/* The element kernels of every table, in plain C: sums over rows, normalisation, activations.
 * kernels_c.c and each kernels_<isa>.c compile them for their own instruction set, so they are one
 * definition with several translations. Lanes run over columns; each statement rounds once. A loop
 * that is to become vector code has a literal number of turns and writes to a place that provably
 * overlaps nothing: gcc -O2 vectorises no other. SPEC 2.4, 5.6 to 5.8, 5.10, 5.13. */
#ifndef NN_KERNELS_ROWS_H
#define NN_KERNELS_ROWS_H

#include <string.h>

#include "kernels.h"

enum {
    STRIP = 16,      /* floats of a loop: one to four vectors */
    HALF_STRIP = 8,  /* for the narrowest networks */
    WIDE_LANES = 128 /* floats over which constants of narrow rows are repeated */
};

/* ---- activations ---- */

/* Outputs that may be an input go through a local strip: otherwise the compiler would have to tell
 * at run time whether they overlap, and give up its vectors when they do. */
static inline void store_strip(float *restrict y, const float *restrict strip, size_t width)
{
    for (size_t t = 0; t < width; t++)
        y[t] = strip[t];
}

static inline void relu_strip(float *y, const float *x, size_t width)
{
    float strip[STRIP];
    for (size_t t = 0; t < width; t++)
        strip[t] = x[t] > 0 ? x[t] : 0;
    store_strip(y, strip, width);
}

static void relu(float *y, const float *x, size_t count)
{
    size_t t = 0;
    for (; t + STRIP <= count; t += STRIP)
        relu_strip(y + t, x + t, STRIP);
    for (; t < count; t++)
        relu_strip(y + t, x + t, 1);
}

/* dy is read whether it is needed or not: a choice between two values vectorises, a branch does
 * not. */
static inline void relu_back_strip(float *dx, const float *dy, const float *y, size_t width)
{
    float strip[STRIP];
    for (size_t t = 0; t < width; t++) {
        const float gradient = dy[t];
        strip[t] = y[t] > 0 ? gradient : 0;
    }
    store_strip(dx, strip, width);
}

static void relu_back(float *dx, const float *dy, const float *y, size_t count)
{
    size_t t = 0;
    for (; t + STRIP <= count; t += STRIP)
        relu_back_strip(dx + t, dy + t, y + t, STRIP);
    for (; t < count; t++)
        relu_back_strip(dx + t, dy + t, y + t, 1);
}

static inline void add_strip(float *y, const float *a, const float *b, size_t width)
{
    float strip[STRIP];
    for (size_t t = 0; t < width; t++)
        strip[t] = a[t] + b[t];
    store_strip(y, strip, width);
}

static void add(float *y, const float *a, const float *b, size_t count)
{
    size_t t = 0;
    for (; t + STRIP <= count; t += STRIP)
        add_strip(y + t, a + t, b + t, STRIP);
    for (; t < count; t++)
        add_strip(y + t, a + t, b + t, 1);
}

/* ---- sums over rows ---- */

/* The chains of `width` columns take eight rows while they are in registers: going through memory
 * at each row would cost more than the addition. */
static inline void sum_eight(float *restrict sum, const float *restrict x, size_t cols,
                             size_t width)
{
    const float *x1 = x + cols, *x2 = x1 + cols, *x3 = x2 + cols, *x4 = x3 + cols, *x5 = x4 + cols,
                *x6 = x5 + cols, *x7 = x6 + cols;
    for (size_t j = 0; j < width; j++) {
        float chain = sum[j];
        chain = chain + x[j];
        chain = chain + x1[j];
        chain = chain + x2[j];
        chain = chain + x3[j];
        chain = chain + x4[j];
        chain = chain + x5[j];
        chain = chain + x6[j];
        sum[j] = chain + x7[j];
    }
}

static inline void sum_one(float *restrict sum, const float *restrict x, size_t width)
{
    for (size_t j = 0; j < width; j++)
        sum[j] = sum[j] + x[j];
}

static inline void sum_strip(float *sum, const float *x, size_t rows, size_t cols, size_t width)
{
    if (rows == 8)
        sum_eight(sum, x, cols, width);
    else
        sum_one(sum, x, width);
}

/* One row or eight, all columns. */
static inline void sum_band(float *sum, const float *x, size_t rows, size_t cols)
{
    size_t j = 0;
    for (; j + STRIP <= cols; j += STRIP)
        sum_strip(sum + j, x + j, rows, cols, STRIP);
    for (; j + HALF_STRIP <= cols; j += HALF_STRIP)
        sum_strip(sum + j, x + j, rows, cols, HALF_STRIP);
    for (; j < cols; j++)
        sum_strip(sum + j, x + j, rows, cols, 1);
}

static void column_sum(float *sum, const float *x, size_t rows, size_t cols)
{
    size_t i = 0;
    memset(sum, 0, cols * sizeof *sum);
    for (; i + 8 <= rows; i += 8)
        sum_band(sum, x + i * cols, 8, cols);
    for (; i < rows; i++)
        sum_band(sum, x + i * cols, 1, cols);
}

/* chain + (x - mean)^2 */
static inline float add_square(float chain, float x, float mean)
{
    float d = x - mean;
    float square = d * d;
    const float sum = chain + square;
    return sum;
}

static inline void squares_eight(float *restrict sum, const float *restrict x,
                                 const float *restrict mean, size_t cols, size_t width)
{
    const float *x1 = x + cols, *x2 = x1 + cols, *x3 = x2 + cols, *x4 = x3 + cols, *x5 = x4 + cols,
                *x6 = x5 + cols, *x7 = x6 + cols;
    for (size_t j = 0; j < width; j++) {
        const float centre = mean[j];
        float chain = sum[j];
        chain = add_square(chain, x[j], centre);
        chain = add_square(chain, x1[j], centre);
        chain = add_square(chain, x2[j], centre);
        chain = add_square(chain, x3[j], centre);
        chain = add_square(chain, x4[j], centre);
        chain = add_square(chain, x5[j], centre);
        chain = add_square(chain, x6[j], centre);
        sum[j] = add_square(chain, x7[j], centre);
    }
}

static inline void squares_one(float *restrict sum, const float *restrict x,
                               const float *restrict mean, size_t width)
{
    for (size_t j = 0; j < width; j++)
        sum[j] = add_square(sum[j], x[j], mean[j]);
}

static inline void squares_strip(float *sum, const float *x, const float *mean, size_t rows,
                                 size_t cols, size_t width)
{
    if (rows == 8)
        squares_eight(sum, x, mean, cols, width);
    else
        squares_one(sum, x, mean, width);
}

static inline void squares_band(float *sum, const float *x, const float *mean, size_t rows,
                                size_t cols)
{
    size_t j = 0;
    for (; j + STRIP <= cols; j += STRIP)
        squares_strip(sum + j, x + j, mean + j, rows, cols, STRIP);
    for (; j + HALF_STRIP <= cols; j += HALF_STRIP)
        squares_strip(sum + j, x + j, mean + j, rows, cols, HALF_STRIP);
    for (; j < cols; j++)
        squares_strip(sum + j, x + j, mean + j, rows, cols, 1);
}

static void column_squares(float *sum, const float *x, const float *mean, size_t rows, size_t cols)
{
    size_t i = 0;
    memset(sum, 0, cols * sizeof *sum);
    for (; i + 8 <= rows; i += 8)
        squares_band(sum, x + i * cols, mean, 8, cols);
    for (; i < rows; i++)
        squares_band(sum, x + i * cols, mean, 1, cols);
}

/* ---- sums of the gradient of a normalisation ---- */

/* chain + dy * ((x - mean)*rstd) */
static inline float add_slope(float chain, float dy, float x, float mean, float rstd)
{
    float d = x - mean;
    float xhat = d * rstd;
    float product = dy * xhat;
    const float sum = chain + product;
    return sum;
}

static inline void slopes_four(float *restrict dbeta, float *restrict dgamma,
                               const float *restrict dy, const float *restrict x,
                               const float *restrict mean, const float *restrict rstd, size_t cols,
                               size_t width)
{
    const float *dy1 = dy + cols, *dy2 = dy1 + cols, *dy3 = dy2 + cols;
    const float *x1 = x + cols, *x2 = x1 + cols, *x3 = x2 + cols;
    for (size_t j = 0; j < width; j++) {
        float shift = dbeta[j], slope = dgamma[j];
        shift = shift + dy[j];
        slope = add_slope(slope, dy[j], x[j], mean[j], rstd[j]);
        shift = shift + dy1[j];
        slope = add_slope(slope, dy1[j], x1[j], mean[j], rstd[j]);
        shift = shift + dy2[j];
        slope = add_slope(slope, dy2[j], x2[j], mean[j], rstd[j]);
        dbeta[j] = shift + dy3[j];
        dgamma[j] = add_slope(slope, dy3[j], x3[j], mean[j], rstd[j]);
    }
}

static inline void slopes_one(float *restrict dbeta, float *restrict dgamma,
                              const float *restrict dy, const float *restrict x,
                              const float *restrict mean, const float *restrict rstd, size_t width)
{
    for (size_t j = 0; j < width; j++) {
        dbeta[j] = dbeta[j] + dy[j];
        dgamma[j] = add_slope(dgamma[j], dy[j], x[j], mean[j], rstd[j]);
    }
}

static inline void slopes_strip(float *dbeta, float *dgamma, const float *dy, const float *x,
                                const float *mean, const float *rstd, size_t rows, size_t cols,
                                size_t width)
{
    if (rows == 4)
        slopes_four(dbeta, dgamma, dy, x, mean, rstd, cols, width);
    else
        slopes_one(dbeta, dgamma, dy, x, mean, rstd, width);
}

static inline void slopes_band(float *dbeta, float *dgamma, const float *dy, const float *x,
                               const float *mean, const float *rstd, size_t rows, size_t cols)
{
    size_t j = 0;
    for (; j + STRIP <= cols; j += STRIP)
        slopes_strip(dbeta + j, dgamma + j, dy + j, x + j, mean + j, rstd + j, rows, cols, STRIP);
    for (; j + HALF_STRIP <= cols; j += HALF_STRIP)
        slopes_strip(dbeta + j, dgamma + j, dy + j, x + j, mean + j, rstd + j, rows, cols,
                     HALF_STRIP);
    for (; j < cols; j++)
        slopes_strip(dbeta + j, dgamma + j, dy + j, x + j, mean + j, rstd + j, rows, cols, 1);
}

/* dy is masked a few rows at a time, so that it is still in the nearest cache when it is summed;
 * within one loop the compiler could not know that a row written is none of the next ones. */
static void column_slopes(float *dbeta, float *dgamma, float *dy, const float *y, const float *x,
                          const float *mean, const float *rstd, size_t rows, size_t cols)
{
    memset(dbeta, 0, cols * sizeof *dbeta);
    memset(dgamma, 0, cols * sizeof *dgamma);
    size_t taken = 0;
    for (size_t i = 0; i < rows; i += taken) {
        const size_t at = i * cols;
        taken = rows - i >= 4 ? 4 : 1;
        if (y != NULL)
            relu_back(dy + at, dy + at, y + at, taken * cols);
        if (taken == 4)
            slopes_band(dbeta, dgamma, dy + at, x + at, mean, rstd, 4, cols);
        else
            slopes_band(dbeta, dgamma, dy + at, x + at, mean, rstd, 1, cols);
    }
}

/* ---- normalisation ---- */

/* Repeats the constants of a row, so that narrow rows are treated several at a time, as one. */
static const float *repeat(float wide[WIDE_LANES], const float *values, size_t times, size_t cols)
{
    for (size_t i = 0; i < times; i++)
        memcpy(wide + i * cols, values, cols * sizeof *values);
    return wide;
}

/* How many rows are treated as one; 1 means that the constants are used where they are. */
static size_t rows_together(size_t rows, size_t cols)
{
    return 2 * cols > WIDE_LANES || rows < 2 || cols == 0 ? 1 : nn_min(rows, WIDE_LANES / cols);
}

static inline void normalise_strip(float *restrict y, const float *restrict x,
                                   const float *restrict residual, const nn_channels *channels,
                                   size_t at, bool plus, bool relu_last, size_t width)
{
    const float *restrict mean = channels->mean + at, *restrict rstd = channels->rstd + at;
    const float *restrict gamma = channels->gamma + at, *restrict beta = channels->beta + at;
    for (size_t t = 0; t < width; t++) {
        float d = x[at + t] - mean[t];
        float xhat = d * rstd[t];
        float scaled = gamma[t] * xhat;
        float value = scaled + beta[t];
        if (plus)
            value = value + residual[at + t];
        if (relu_last)
            value = value > 0 ? value : 0;
        y[at + t] = value;
    }
}

/* Consecutive floats with a constant each. */
static inline void normalise_span(float *y, const float *x, const float *residual,
                                  const nn_channels *channels, bool plus, bool relu_last,
                                  size_t count)
{
    size_t t = 0;
    for (; t + STRIP <= count; t += STRIP)
        normalise_strip(y, x, residual, channels, t, plus, relu_last, STRIP);
    for (; t < count; t++)
        normalise_strip(y, x, residual, channels, t, plus, relu_last, 1);
}

static void normalise_rows(float *y, const float *x, const float *residual,
                           const nn_channels *channels, bool relu_last, size_t count)
{
    if (residual != NULL && relu_last)
        normalise_span(y, x, residual, channels, true, true, count);
    else if (residual != NULL)
        normalise_span(y, x, residual, channels, true, false, count);
    else if (relu_last)
        normalise_span(y, x, NULL, channels, false, true, count);
    else
        normalise_span(y, x, NULL, channels, false, false, count);
}

static void normalise(float *y, const float *x, const float *residual, const nn_channels *channels,
                      bool relu_last, size_t rows, size_t cols)
{
    float wide[4][WIDE_LANES];
    nn_channels c = *channels;
    const size_t together = rows_together(rows, cols);
    if (together > 1) {
        c.mean = repeat(wide[0], c.mean, together, cols);
        c.rstd = repeat(wide[1], c.rstd, together, cols);
        c.gamma = repeat(wide[2], c.gamma, together, cols);
        c.beta = repeat(wide[3], c.beta, together, cols);
    }
    for (size_t i = 0; i < rows; i += together) {
        const size_t at = i * cols, count = nn_min(together, rows - i) * cols;
        normalise_rows(y + at, x + at, residual != NULL ? residual + at : NULL, &c, relu_last,
                       count);
    }
}

/* The place of the constants, of dy and of x may be anything but that of the strip. */
static inline void normalise_back_values(float *restrict strip, const float *restrict dy,
                                         const float *restrict x, const nn_slopes *restrict slopes,
                                         size_t at, size_t width)
{
    const float *restrict mean = slopes->mean + at, *restrict rstd = slopes->rstd + at;
    const float *restrict shift = slopes->shift + at, *restrict slope = slopes->slope + at;
    const float *restrict scale = slopes->scale + at;
    for (size_t t = 0; t < width; t++) {
        float d = x[at + t] - mean[t];
        float xhat = d * rstd[t];
        float centred = dy[at + t] - shift[t];
        float tilted = xhat * slope[t];
        float inner = centred - tilted;
        strip[t] = scale[t] * inner;
    }
}

static inline void normalise_back_strip(float *dx, const float *dy, const float *x,
                                        const nn_slopes *slopes, size_t at, size_t width)
{
    float strip[STRIP];
    normalise_back_values(strip, dy, x, slopes, at, width);
    store_strip(dx + at, strip, width);
}

static void normalise_back_span(float *dx, const float *dy, const float *x, const nn_slopes *slopes,
                                size_t count)
{
    size_t t = 0;
    for (; t + STRIP <= count; t += STRIP)
        normalise_back_strip(dx, dy, x, slopes, t, STRIP);
    for (; t < count; t++)
        normalise_back_strip(dx, dy, x, slopes, t, 1);
}

static void normalise_back(float *dx, const float *dy, const float *x, const nn_slopes *slopes,
                           size_t rows, size_t cols)
{
    float wide[5][WIDE_LANES];
    nn_slopes s = *slopes;
    const size_t together = rows_together(rows, cols);
    if (together > 1) {
        s.mean = repeat(wide[0], s.mean, together, cols);
        s.rstd = repeat(wide[1], s.rstd, together, cols);
        s.scale = repeat(wide[2], s.scale, together, cols);
        s.shift = repeat(wide[3], s.shift, together, cols);
        s.slope = repeat(wide[4], s.slope, together, cols);
    }
    for (size_t i = 0; i < rows; i += together) {
        const size_t at = i * cols;
        normalise_back_span(dx + at, dy + at, x + at, &s, nn_min(together, rows - i) * cols);
    }
}

/* The places of these kernels in a table. */
#define NN_KERNELS_ROWS                                                                            \
    .column_sum = column_sum, .column_squares = column_squares, .column_slopes = column_slopes,    \
    .normalise = normalise, .normalise_back = normalise_back, .relu = relu,                        \
    .relu_back = relu_back, .add = add

#endif

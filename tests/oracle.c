/* SPDX-License-Identifier: MIT */
/* Naive double-precision code of every operation, and the error analysis of float code. */
#include "oracle.h"

#include <math.h>

/* ---- error bounds ---- */

static const double TINY = 0x1p-150; /* half the smallest subnormal */

/* The factor of c roundings; the oracle's own errors are 2^29 times finer. */
static double gamma_of(double c)
{
    return c * ORACLE_U / (1 - c * ORACLE_U);
}

double oracle_sum_bound(size_t count, double mass)
{
    const double blocks = ceil((double)count / 256);
    const double c = 1 + fmin((double)count, 256) + blocks;
    return gamma_of(c) * mass + (double)count * TINY;
}

approx approx_exact(double v)
{
    approx a = {v, 0};
    return a;
}

/* Rounds a result whose operands' errors amount to e. */
static approx rounded(double v, double e)
{
    approx a = {v, e + ORACLE_U * (fabs(v) + e) + TINY};
    return a;
}

approx approx_add(approx a, approx b)
{
    return rounded(a.v + b.v, a.e + b.e);
}

approx approx_sub(approx a, approx b)
{
    return rounded(a.v - b.v, a.e + b.e);
}

approx approx_mul(approx a, approx b)
{
    return rounded(a.v * b.v, fabs(a.v) * b.e + fabs(b.v) * a.e + a.e * b.e);
}

approx approx_div(approx a, approx b)
{
    const double least = fabs(b.v) - b.e;
    return rounded(a.v / b.v, least > 0 ? (a.e + fabs(a.v / b.v) * b.e) / least : HUGE_VAL);
}

approx approx_exp(approx a)
{
    return rounded(exp(a.v), exp(a.v) * expm1(a.e));
}

approx approx_log(approx a)
{
    return rounded(log(a.v), a.e < a.v ? a.e / (a.v - a.e) : HUGE_VAL);
}

approx approx_rsqrt(approx a)
{
    const double least = a.v - a.e;
    return rounded(1 / sqrt(a.v), least > 0 ? 1 / sqrt(least) - 1 / sqrt(a.v) : HUGE_VAL);
}

approx approx_sum(const approx *x, size_t count)
{
    double sum = 0, error = 0, mass = 0;
    for (size_t i = 0; i < count; i++) {
        sum += x[i].v;
        error += x[i].e;
        mass += fabs(x[i].v) + x[i].e;
    }
    approx total = {sum, error + oracle_sum_bound(count, mass)};
    return total;
}

/* ---- matrices and windows ---- */

void oracle_gemm(double *c, const double *a, size_t a_row, size_t a_col, const double *b,
                 size_t b_row, size_t b_col, size_t m, size_t n, size_t k)
{
    for (size_t i = 0; i < m * n; i++)
        c[i] = 0;
    for (size_t l = 0; l < k; l++)
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++)
                c[i * n + j] += a[i * a_row + l * a_col] * b[l * b_row + j * b_col];
}

void oracle_place(oracle_window *s)
{
    s->oh = s->ow = 0;
    for (size_t top = 0; top + s->kh <= s->h + 2 * s->pad; top += s->stride)
        s->oh++;
    for (size_t left = 0; left + s->kw <= s->w + 2 * s->pad; left += s->stride)
        s->ow++;
}

/* The triples (x, w, y) that a convolution multiplies: input, weight and output index of one tap.
 */
typedef struct triple {
    size_t x, w, y;
} triple;

/* Input pixel of output (n, oh, ow) under tap (kh, kw); 0 when it lies in the padding. */
static int tap_pixel(size_t *pixel, const oracle_window *s, size_t n, size_t oh, size_t ow,
                     size_t kh, size_t kw)
{
    const long h = (long)(oh * s->stride + kh) - (long)s->pad;
    const long w = (long)(ow * s->stride + kw) - (long)s->pad;
    if (h < 0 || w < 0 || h >= (long)s->h || w >= (long)s->w)
        return 0;
    *pixel = (n * s->h + (size_t)h) * s->w + (size_t)w;
    return 1;
}

typedef void (*triple_visit)(double *out, const double *a, const double *b, const triple *t);

static void visit_tap(triple_visit visit, double *out, const double *a, const double *b,
                      const oracle_window *s, size_t in_pixel, size_t out_pixel, size_t tap)
{
    for (size_t c = 0; c < s->c; c++)
        for (size_t oc = 0; oc < s->oc; oc++) {
            const triple t = {in_pixel * s->c + c, (oc * s->c + c) * s->kh * s->kw + tap,
                              out_pixel * s->oc + oc};
            visit(out, a, b, &t);
        }
}

/* All triples, outputs outermost: whatever is not the output is a scatter. */
static void visit_all(triple_visit visit, double *out, const double *a, const double *b,
                      const oracle_window *s)
{
    size_t out_pixel = 0, in_pixel;
    for (size_t n = 0; n < s->n; n++)
        for (size_t oh = 0; oh < s->oh; oh++)
            for (size_t ow = 0; ow < s->ow; ow++, out_pixel++)
                for (size_t kh = 0; kh < s->kh; kh++)
                    for (size_t kw = 0; kw < s->kw; kw++)
                        if (tap_pixel(&in_pixel, s, n, oh, ow, kh, kw))
                            visit_tap(visit, out, a, b, s, in_pixel, out_pixel, kh * s->kw + kw);
}

static void clear(double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = 0;
}

static void into_output(double *y, const double *x, const double *w, const triple *t)
{
    y[t->y] += x[t->x] * w[t->w];
}

static void into_input(double *dx, const double *dy, const double *w, const triple *t)
{
    dx[t->x] += dy[t->y] * w[t->w];
}

static void into_weight(double *dw, const double *dy, const double *x, const triple *t)
{
    dw[t->w] += dy[t->y] * x[t->x];
}

void oracle_conv(double *y, const double *x, const double *weight, const oracle_window *s)
{
    clear(y, s->n * s->oh * s->ow * s->oc);
    visit_all(into_output, y, x, weight, s);
}

void oracle_conv_input(double *dx, const double *dy, const double *weight, const oracle_window *s)
{
    clear(dx, s->n * s->h * s->w * s->c);
    visit_all(into_input, dx, dy, weight, s);
}

void oracle_conv_weight(double *dw, const double *dy, const double *x, const oracle_window *s)
{
    clear(dw, s->oc * s->c * s->kh * s->kw);
    visit_all(into_weight, dw, dy, x, s);
}

void oracle_max_pool(double *y, const double *x, const oracle_window *s)
{
    size_t out_pixel = 0, in_pixel;
    for (size_t i = 0; i < s->n * s->oh * s->ow * s->c; i++)
        y[i] = -HUGE_VAL;
    for (size_t n = 0; n < s->n; n++)
        for (size_t oh = 0; oh < s->oh; oh++)
            for (size_t ow = 0; ow < s->ow; ow++, out_pixel++)
                for (size_t tap = 0; tap < s->kh * s->kw; tap++)
                    if (tap_pixel(&in_pixel, s, n, oh, ow, tap / s->kw, tap % s->kw))
                        for (size_t c = 0; c < s->c; c++)
                            y[out_pixel * s->c + c] =
                                fmax(y[out_pixel * s->c + c], x[in_pixel * s->c + c]);
}

void oracle_avg_pool(double *y, const double *x, size_t n, size_t positions, size_t c)
{
    clear(y, n * c);
    for (size_t i = 0; i < n * positions * c; i++)
        y[i / (positions * c) * c + i % c] += x[i] / (double)positions;
}

/* ---- point-wise, normalisation, losses ---- */

void oracle_linear(double *y, const double *x, const double *w, const double *b, size_t n,
                   size_t in, size_t out)
{
    oracle_gemm(y, x, in, 1, w, 1, in, n, out, in);
    for (size_t i = 0; i < n * out; i++)
        y[i] += b[i % out];
}

void oracle_relu(double *y, const double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = fmax(x[i], 0);
}

void oracle_add(double *y, const double *a, const double *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

/* Element i of the set that is normalised together. */
typedef size_t (*set_index)(size_t set, size_t i, const size_t *sizes);

/* Two-pass mean and variance of each set; y = gamma*(x - mean)/sqrt(var + eps) + beta with the
 * float eps of SPEC 5.6, so that the oracle errs by doubles only. */
static void normalise(double *y, const double *x, const double *gamma, const double *beta, size_t c,
                      size_t sets, size_t members, set_index at, const size_t *sizes)
{
    for (size_t set = 0; set < sets; set++) {
        double mean = 0, var = 0;
        for (size_t i = 0; i < members; i++)
            mean += x[at(set, i, sizes)] / (double)members;
        for (size_t i = 0; i < members; i++)
            var += pow(x[at(set, i, sizes)] - mean, 2) / (double)members;
        for (size_t i = 0; i < members; i++) {
            const size_t to = at(set, i, sizes);
            y[to] = gamma[to % c] * (x[to] - mean) / sqrt(var + (double)1e-5f) + beta[to % c];
        }
    }
}

static size_t channel_member(size_t set, size_t i, const size_t *sizes)
{
    return i * sizes[0] + set;
}

void oracle_batch_norm(double *y, const double *x, const double *gamma, const double *beta,
                       size_t rows, size_t c)
{
    normalise(y, x, gamma, beta, c, c, rows, channel_member, &c);
}

/* sizes: positions, channels, groups. */
static size_t group_member(size_t set, size_t i, const size_t *sizes)
{
    const size_t width = sizes[1] / sizes[2], image = set / sizes[2], group = set % sizes[2];
    const size_t channel = group * width + i / sizes[0], position = i % sizes[0];
    return (image * sizes[0] + position) * sizes[1] + channel;
}

void oracle_group_norm(double *y, const double *x, const double *gamma, const double *beta,
                       size_t n, size_t positions, size_t c, size_t groups)
{
    const size_t sizes[] = {positions, c, groups};
    normalise(y, x, gamma, beta, c, n * groups, positions * (c / groups), group_member, sizes);
}

static double softmax_at(const double *z, size_t count, size_t j)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += exp(z[i] - z[j]);
    return 1 / sum;
}

double oracle_cross_entropy(const double *z, const uint32_t *labels, size_t n, size_t classes)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++)
        loss -= log(softmax_at(z + i * classes, classes, labels[i])) / (double)n;
    return loss;
}

static double gate_weight(const double *gate, const oracle_mix *s, size_t i)
{
    double sum = 0;
    for (size_t l = 0; l < s->k; l++)
        sum += exp(gate[s->chosen[l]] - gate[s->chosen[i]]);
    return 1 / sum;
}

void oracle_mixture(double *z, const double *gate, const double *const *logits, const oracle_mix *s)
{
    clear(z, s->n * s->classes);
    for (size_t at = 0; at < s->n * s->classes; at++) {
        const size_t n = at / s->classes, j = at % s->classes, row = n * s->classes;
        for (size_t i = 0; i < s->k; i++)
            z[at] += gate_weight(gate + n * s->experts, s, i) *
                     (s->probs ? softmax_at(logits[i] + row, s->classes, j) : logits[i][at]);
        z[at] = s->probs ? log(z[at]) : z[at];
    }
}

/* ---- gradients ---- */

static double moved(oracle_function f, void *context, double *x, size_t i, double by)
{
    const double kept = x[i];
    x[i] = kept + by;
    const double value = f(x, context);
    x[i] = kept;
    return value;
}

double oracle_difference(oracle_function f, void *context, double *x, size_t i, double h)
{
    const double near = moved(f, context, x, i, h) - moved(f, context, x, i, -h);
    const double far = moved(f, context, x, i, 2 * h) - moved(f, context, x, i, -2 * h);
    return (8 * near - far) / (12 * h);
}

/* SPDX-License-Identifier: MIT */
/* The double oracle: naive code for every operation that shares nothing with nn/, scatter where nn/
 * gathers; error bounds of float code; gradients by central differences. */
#ifndef ORACLE_H
#define ORACLE_H

#include <stddef.h>
#include <stdint.h>

/* ---- error bounds ---- */

/* Half a unit in the last place of 1: the relative error of one rounding to binary32. */
#define ORACLE_U 0x1p-24

/* Bound on the error of a blocked sum of `count` products whose magnitudes add up to `mass`. A term
 * passes at most 1 product, min(count, 256) additions in its block and ceil(count/256) block
 * totals, each a factor (1 + d), |d| <= u; c roundings give c*u/(1 - c*u) (Higham 2002, lemma 3.1).
 * Products below the normal range lose up to 2^-150 each; subnormal sums are exact. */
double oracle_sum_bound(size_t count, double mass);

/* A real number and a bound on the error with which float code arrives at it (running error
 * analysis: each operation hands on the errors of its operands and adds half an ulp of its result).
 */
typedef struct approx {
    double v, e;
} approx;

approx approx_exact(double v);
approx approx_add(approx a, approx b);
approx approx_sub(approx a, approx b);
approx approx_mul(approx a, approx b);
approx approx_div(approx a, approx b);
approx approx_exp(approx a);
approx approx_log(approx a);
approx approx_rsqrt(approx a);
approx approx_sum(const approx *x, size_t count);

/* ---- matrices and windows ---- */

/* The magnitudes of a bilinear operation's terms are the same operation on magnitudes, so these
 * functions give the mass of oracle_sum_bound too. */

/* c[m,n]; at(i,k) of A is a[i*a_row + k*a_col], at(k,j) of B is b[k*b_row + j*b_col]. */
void oracle_gemm(double *c, const double *a, size_t a_row, size_t a_col, const double *b,
                 size_t b_row, size_t b_col, size_t m, size_t n, size_t k);

typedef struct oracle_window {
    size_t n, h, w, c;
    size_t oc, kh, kw, stride, pad;
    size_t oh, ow;
} oracle_window;

/* Counts oh and ow by placing windows one after the other. */
void oracle_place(oracle_window *s);

void oracle_conv(double *y, const double *x, const double *weight, const oracle_window *s);
void oracle_conv_input(double *dx, const double *dy, const double *weight, const oracle_window *s);
void oracle_conv_weight(double *dw, const double *dy, const double *x, const oracle_window *s);

void oracle_max_pool(double *y, const double *x, const oracle_window *s);
void oracle_avg_pool(double *y, const double *x, size_t n, size_t positions, size_t c);

/* ---- point-wise, normalisation, losses ---- */

void oracle_linear(double *y, const double *x, const double *w, const double *b, size_t n,
                   size_t in, size_t out);
void oracle_relu(double *y, const double *x, size_t count);
void oracle_add(double *y, const double *a, const double *b, size_t count);
void oracle_batch_norm(double *y, const double *x, const double *gamma, const double *beta,
                       size_t rows, size_t c);
void oracle_group_norm(double *y, const double *x, const double *gamma, const double *beta,
                       size_t n, size_t positions, size_t c, size_t groups);
double oracle_cross_entropy(const double *z, const uint32_t *labels, size_t n, size_t classes);

/* gate[n,experts], logits of chosen expert i at logits[i][n,classes]; probs: log of the mixed
 * probabilities instead of mixed logits. */
typedef struct oracle_mix {
    size_t n, experts, k, classes;
    const uint32_t *chosen;
    int probs;
} oracle_mix;

void oracle_mixture(double *z, const double *gate, const double *const *logits,
                    const oracle_mix *s);

/* ---- gradients ---- */

typedef double (*oracle_function)(const double *x, void *context);

/* df/dx[i] by the five-point stencil with step h: error about h^4 |f^(5)| / 30 + 2^-52 |f| / h. x
 * is moved and put back. */
double oracle_difference(oracle_function f, void *context, double *x, size_t i, double h);

#endif

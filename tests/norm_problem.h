/* SPDX-License-Identifier: MIT */
/* One normalisation with all its tensors, run by nn/ and judged by the double oracle; t_norm.c adds
 * the bits. SPEC 5.6 to 5.9. */
#ifndef NORM_PROBLEM_H
#define NORM_PROBLEM_H

#include "fixture.h"

#include "../nn/norm.h"

/* groups 0 is batch-norm. A set is what is normalised together: a channel, or an image's group. */
typedef struct norm_problem {
    nn_tensor x;
    size_t groups, count, sets, members;
    float *gamma, *beta, *dy;
    float *y, *dx, *dgamma, *dbeta;
    nn_norm_saved saved;
} norm_problem;

/* Index of element i of a set, in the order of the sums. */
size_t norm_member(const norm_problem *p, size_t set, size_t i);

norm_problem norm_make(size_t n, size_t h, size_t w, size_t c, size_t groups);

/* Uniform values around `centre`. */
void norm_fill(norm_problem *p, float centre, test_random *random);

/* Runs nn forward and backward; engine and the running statistics mean and var are batch-norm's
 * only. dy keeps its bits. */
bool norm_run(norm_problem *p, const nn_engine *engine, float *mean, float *var);

/* y against the double oracle and, if asked, gradients against its central differences. */
bool norm_near_double(norm_problem *p, bool differences);

#endif

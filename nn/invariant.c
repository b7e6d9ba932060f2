/* SPDX-License-Identifier: MIT */
/* The rules of nn/. */
#include "invariant.h"

#ifdef DDOME_INVARIANTS

#include <math.h>

#include "loss.h"

/* p_j = e_j / S rounded once, S = sum of e_j with K - 1 roundings, each within 2^-24 relatively (a
 * quotient that is subnormal within 2^-150): the exact sum of the p_j is within (K + 1) * 2^-24 of
 * 1, and that of doubles is exact beside it. */
bool nn_invariant_mixture(const float *w, const float *gate_row,
                          const struct nn_mixture_shape *shape)
{
    double sum = 0;
    for (size_t i = 0; i < shape->k; i++)
        if (!isfinite(gate_row[shape->chosen[i]]))
            return true;
    for (size_t i = 0; i < shape->k; i++) {
        if (!(w[i] >= 0 && w[i] <= 1))
            return false;
        sum += (double)w[i];
    }
    return fabs(sum - 1) <= (double)(shape->k + 1) / 16777216;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Plain sums: the reduction rule with additions only. SPEC 2.4. */
#ifndef NN_SUM_H
#define NN_SUM_H

#include "base.h"

/* Total of x[0..count) in blocks of NN_BLOCK. */
float nn_sum(const float *x, size_t count);

/* total[j] = total over i of x[i*cols + j]. block: cols floats of scratch. */
void nn_sum_columns(float *total, float *block, const float *x, size_t rows, size_t cols);

#endif

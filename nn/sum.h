/* SPDX-License-Identifier: MIT */
/* Plain sums: the reduction rule with additions only. SPEC 2.4. */
#ifndef NN_SUM_H
#define NN_SUM_H

#include "base.h"

/* A sum whose addends come one at a time. Zero-initialise it. */
typedef struct nn_running_sum {
    float total, block;
    size_t count;
} nn_running_sum;

static inline void nn_running_add(nn_running_sum *sum, float value)
{
    sum->block = sum->block + value;
    if (++sum->count % NN_BLOCK == 0) {
        sum->total = sum->total + sum->block;
        sum->block = 0;
    }
}

/* A last block without addends adds +0 to a total that is never -0: no change. */
static inline float nn_running_end(const nn_running_sum *sum)
{
    const float all = sum->total + sum->block;
    return all;
}

/* Total of x[0..count) in blocks of NN_BLOCK. */
float nn_sum(const float *x, size_t count);

/* total[j] = total over i of x[i*cols + j]. block: cols floats of scratch. */
void nn_sum_columns(float *total, float *block, const float *x, size_t rows, size_t cols);

#endif

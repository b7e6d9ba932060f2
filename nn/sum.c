/* SPDX-License-Identifier: MIT */
/* Blocks of NN_BLOCK addends, each a chain from +0; block totals in order to a total from +0.
 * SPEC 2.4. */
#include "sum.h"

#include <string.h>

#include "kernels.h"

float nn_sum(const float *x, size_t count)
{
    nn_running_sum sum = {0, 0, 0};
    for (size_t i = 0; i < count; i++)
        nn_running_add(&sum, x[i]);
    return nn_running_end(&sum);
}

void nn_sum_columns(float *total, float *block, const float *x, size_t rows, size_t cols)
{
    memset(total, 0, cols * sizeof *total);
    for (size_t start = 0; start < rows; start += NN_BLOCK) {
        nn_kernels_c.column_sum(block, x + start * cols, nn_min(NN_BLOCK, rows - start), cols);
        for (size_t j = 0; j < cols; j++)
            total[j] = total[j] + block[j];
    }
}

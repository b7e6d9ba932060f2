/* SPDX-License-Identifier: MIT */
/* Choice of the kernel table: so far the portable definition is the only one. */
#include "kernels.h"

const nn_kernels *nn_kernels_active(void)
{
    return &nn_kernels_c;
}

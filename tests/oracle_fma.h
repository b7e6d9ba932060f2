/* SPDX-License-Identifier: MIT */
/* The fused multiply-add without any floating-point operation: the judge of nn/fma.h, of libm and
 * of the kernels. SPEC 2.5. */
#ifndef ORACLE_FMA_H
#define ORACLE_FMA_H

#include "../nn/base.h"

/* The bits of a*b + c rounded once; every NaN is 7fc00000. */
uint32_t oracle_fma_bits(float a, float b, float c);
float oracle_fma(float a, float b, float c);

#endif

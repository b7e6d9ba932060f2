/* SPDX-License-Identifier: MIT */
/* exp and log, correctly rounded for every binary32 input (round to nearest, ties to even), without
 * libm. SPEC 3. */
#ifndef NN_FMATH_H
#define NN_FMATH_H

#include "base.h"

/* exp(x): exp(NaN) = NaN 0x7fc00000, exp(+inf) = +inf, exp(-inf) = +0; overflow gives +inf, results
 * below the normal range are rounded subnormals or +0. */
float nn_expf(float x);

/* log(x): log(+-0) = -inf, log(x < 0) = log(NaN) = NaN 0x7fc00000, log(+inf) = +inf, log(1) = +0.
 */
float nn_logf(float x);

/* (float)(1.0 / sqrt((double)x)), which is correctly rounded for all 2^32 inputs. */
float nn_rsqrtf(float x);

/* Square root, correctly rounded (IEEE 754); of libm a run needs this one alone.
 */
float nn_sqrtf(float x);

#endif

/* SPDX-License-Identifier: MIT */
/* Is every value a finite number, is it a number at all? SPEC 2.7, 11.13. */
#ifndef NN_FINITE_H
#define NN_FINITE_H

#include "base.h"

/* Index of the first value that is infinite or NaN; count when there is none. */
size_t nn_nonfinite(const float *values, size_t count);

/* Index of the first NaN; count when there is none. */
size_t nn_first_nan(const float *values, size_t count);

/* "NaN", "+infinity" or "-infinity" of such a value; "a finite number" of any other. */
const char *nn_nonfinite_name(float value);

#endif

/* SPDX-License-Identifier: MIT */
/* `ddome compare --explain` as one more reader. */
#ifndef FUZZ_READ_COMPARE_H
#define FUZZ_READ_COMPARE_H

#include "fuzz.h"

/* Compares two names of the scratch folder. A difference is a result: DDOME_OK. */
ddome_status fuzz_compare(fuzz_call *call, const char *a, const char *b);

#endif

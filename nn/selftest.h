/* SPDX-License-Identifier: MIT */
/* The start-up self-test: refuses to compute where the arithmetic of SPEC 2 is broken. SPEC 3.7. */
#ifndef NN_SELFTEST_H
#define NN_SELFTEST_H

#include "base.h"

/* DDOME_ERR_VERIFY, with the witness that failed and the flag that mends it in the error line. It
 * takes some microseconds; call it once before anything is computed. */
DDOME_MUST_CHECK ddome_status nn_selftest(ddome_error *error);

#endif

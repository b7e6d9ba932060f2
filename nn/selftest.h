/* SPDX-License-Identifier: MIT */
/* The start-up self-test: refuses to compute where the arithmetic of SPEC 2 is broken. SPEC 3.7. */
#ifndef NN_SELFTEST_H
#define NN_SELFTEST_H

#include "kernels.h"

/* DDOME_ERR_VERIFY, with the witness that failed and the flag that mends it in the error line. It
 * takes some microseconds; call it once before anything is computed. */
DDOME_MUST_CHECK ddome_status nn_selftest(ddome_error *error);

/* The same for the block kernels of a table: tiles of both widths in both profiles against the
 * definition, by bits. */
DDOME_MUST_CHECK ddome_status nn_selftest_kernels(ddome_error *error, const nn_kernels *kernels);

#endif

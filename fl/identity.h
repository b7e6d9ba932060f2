/* SPDX-License-Identifier: MIT */
/* Whether a checkpoint is of this run: what must be the same, as text. SPEC 17.6.5. */
#ifndef FL_IDENTITY_H
#define FL_IDENTITY_H

#include "../nn/arena.h"
#include "text.h"

struct fl_run;

/* The hashed configuration, the version of SPEC.md, the hashes of the data and of the partition,
 * one line each. */
void fl_identity_write(fl_text *text, struct fl_run *run);

/* DDOME_ERR_RESUME, naming the first key whose line differs, unless both texts are the same. `name`
 * is the file of the saved one, for errors. */
DDOME_MUST_CHECK ddome_status fl_identity_compare(ddome_error *error, nn_arena *arena,
                                                  const char *saved, const char *here,
                                                  const char *name);

#endif

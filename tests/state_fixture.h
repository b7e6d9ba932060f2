/* SPDX-License-Identifier: MIT */
/* A run after some rounds with its state as a file in memory; the same file with one tensor
 * otherwise. */
#ifndef STATE_FIXTURE_H
#define STATE_FIXTURE_H

#include "../fl/state.h"
#include "fl_fixture.h"

extern const char test_saved_name[]; /* of the file in its run directory */

typedef struct test_saved {
    fl_run run;
    ddome_error error;
    nn_arena arena;
    fl_text identity;
    unsigned char *bytes;
    size_t size;
    nn_digest digest;
} test_saved;

/* test_federation after its first rounds, evaluated where it is due; false (and the case fails or
 * is skipped) when something went wrong. Free it in any case. */
bool test_saved_make(test_saved *s, const char *keys, uint32_t rounds);

/* The state as it is now, once more. */
ddome_status test_saved_write(test_saved *s);

void test_saved_free(test_saved *s);

/* Reads a file back into the run; the round it is of. */
ddome_status test_saved_take(test_saved *s, ddome_error *error, uint32_t *round,
                             const unsigned char *bytes, size_t size);

/* Other bytes in the tensor's data, another type or length, cut, left out, or put in. */
typedef struct test_change {
    const char *what, *tensor;
    const char *dtype; /* NULL: the same */
    const unsigned char *bytes;
    size_t count; /* of them */
    ddome_status expected;
    const char *part;
    enum { CHANGED, CUT, WITHOUT, BESIDE } how;
} test_change;

/* Reads the file with that change into the run. Changed bytes begin at byte `at` of the tensor. */
ddome_status test_saved_change(test_saved *s, ddome_error *error, const test_change *c, size_t at);

#endif

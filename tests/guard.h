/* SPDX-License-Identifier: MIT */
/* Floats right before or right behind an inaccessible page, so that a read or write beyond them
 * ends the run on the spot. */
#ifndef GUARD_H
#define GUARD_H

#include "test.h"

typedef enum guard_side {
    GUARD_BEHIND, /* the last float is followed by the page */
    GUARD_BEFORE, /* the first float follows the page */
    GUARD_SIDES
} guard_side;

enum {
    GUARD_SLOTS = 12,         /* buffers at a time */
    GUARD_FLOATS = 256 * 1024 /* most floats of one */
};

/* False where there is nothing but C99 (TEST_GUARD_NONE or no POSIX): then buffers are ordinary. */
bool test_guard_present(void);

/* The buffer of a slot; what the slot held before is gone. Floats start as a NaN pattern. */
float *test_guard_floats(size_t slot, size_t count, guard_side side);

/* Gives the memory of all slots back. */
void test_guard_release(void);

#endif

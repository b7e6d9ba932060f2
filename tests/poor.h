/* SPDX-License-Identifier: MIT */
/* Every allocation of a call fails, one after the other. */
#ifndef POOR_H
#define POOR_H

#include "../nn/arena.h"
#include "test.h"

typedef ddome_status test_poor_call(ddome_error *error, nn_arena *arena, void *context);

/* Makes the call with its nth allocation in the arena and all later ones failing, n = 1, 2, ..,
 * until it succeeds. Each failure must be DDOME_ERR_MEMORY with a line that says so, the success
 * must have asked for less than n; else the open case fails. What the call left in the arena is
 * given back after each try. Returns the number of failures: how many allocations the call makes.
 */
size_t test_poor(const char *what, nn_arena *arena, test_poor_call *call, void *context);

/* The same for n = 1, 1 + stride, ..; returns the last n that failed. */
size_t test_poor_every(const char *what, size_t stride, nn_arena *arena, test_poor_call *call,
                       void *context);

/* The first in an arena of its own; the case fails, too, when the call allocates less than `least`
 * times. */
void test_poor_alone(const char *what, size_t least, test_poor_call *call, void *context);

#endif

/* SPDX-License-Identifier: MIT */
/* What ends a program, in a child process. */
#ifndef DEATH_H
#define DEATH_H

#include "test.h"

/* False where there are no processes (TEST_GUARD_NONE or no POSIX). */
bool test_death_present(void);

/* `deed` in a child ends it by abort, after standard error got a line that has both parts. */
bool test_death(const char *what, void (*deed)(void *), void *context, const char *file,
                const char *rule);

#endif

/* SPDX-License-Identifier: MIT */
/* The test runner: one line a case, the first difference with its bits, totals at the end. */
#ifndef TEST_H
#define TEST_H

#include "../nn/base.h"

/* Starts a case; the case before it, if any, ends and is printed ("ok NAME" or "FAIL NAME"). */
void test_case(const char *format, ...);

/* Ends the open case as "skipped NAME: why". */
void test_skip(const char *why);

/* Marks the open case failed and prints "file:line: text" when ok is false. Returns ok. */
bool test_check(bool ok, const char *file, int line, const char *format, ...);

#define CHECK(condition) test_check((condition), __FILE__, __LINE__, "%s", #condition)

/* Bit equality; prints the first differing index with both values (%a and hex). */
bool test_same_floats(const char *what, const float *got, const float *want, size_t count);
bool test_same_bytes(const char *what, const void *got, const void *want, size_t count);
bool test_same_text(const char *what, const char *got, const char *want);
bool test_same_u64(const char *what, uint64_t got, uint64_t want);

/* |got - want| <= bound elementwise; prints the first index beyond it. */
bool test_close(const char *what, const float *got, const double *want, size_t count,
                const double *bound);

/* The status is the expected one and, unless part is NULL, the error line contains part. */
bool test_status(const char *what, ddome_status got, ddome_status want, const ddome_error *error,
                 const char *part);

/* A file of tests/golden, or NULL (the case fails). The returned text is static until the next
 * call. */
const char *test_golden(const char *name);

/* The folder where tests may write; it exists and is emptied by the script that starts the runner.
 */
const char *test_dir(void);

/* The seed of random tests; printed with every failure. */
uint64_t test_seed(void);

#endif

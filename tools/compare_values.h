/* SPDX-License-Identifier: MIT */
/* When two arrays are equal, and where and how far they are not. Pure: the test runner links it.
 * SPEC 19.4.2, 19.4.3. */
#ifndef TOOLS_COMPARE_VALUES_H
#define TOOLS_COMPARE_VALUES_H

#include "../data/safetensors.h"
#include "../nn/case.h"

/* The distance of a NaN from anything, and of whole numbers from each other. */
#define COMPARE_NO_ULP UINT64_MAX

/* How many floats lie between two patterns, plus one; +0 and -0 are the same place. */
uint64_t compare_ulp32(uint32_t a, uint32_t b);
uint64_t compare_ulp64(uint64_t a, uint64_t b);

/* Patterns alone (neither), or a bound more; both: either is enough. */
typedef struct compare_rule {
    bool by_ulp, by_relative;
    uint64_t ulp;
    double relative;
} compare_rule;

typedef enum compare_type {
    COMPARE_F32,
    COMPARE_F64,
    COMPARE_UNSIGNED,
    COMPARE_OTHER
} compare_type;

/* Elements of 1, 2, 4 or 8 bytes, of this machine or little-endian at any address. */
typedef struct compare_array {
    const char *dtype;
    compare_type type;
    size_t width, count, rank;
    const size_t *sizes;   /* [rank], or NULL: */
    const uint64_t *shape; /* those of a file */
    const void *data;      /* NULL: only the hash is known */
    bool native;
    nn_digest hash; /* of all the array, if data is NULL */
} compare_array;

/* Both point into what they are given. */
compare_array compare_array_of(const nn_value *value);
compare_array compare_tensor_of(const data_safetensor *tensor);

uint64_t compare_size(const compare_array *array, size_t axis);

/* The pattern of an element. */
uint64_t compare_bits(const compare_array *array, size_t index);

typedef enum compare_verdict {
    COMPARE_SAME,
    COMPARE_DTYPE,
    COMPARE_SHAPE,
    COMPARE_ELEMENTS,
    COMPARE_HASH /* elements are missing on a side, and the hashes differ */
} compare_verdict;

typedef struct compare_result {
    compare_verdict verdict;
    size_t count, differing;       /* elements, if ELEMENTS */
    size_t first, worst;           /* indices; worst: of the largest distance that is one */
    uint64_t first_ulp, worst_ulp; /* or COMPARE_NO_ULP */
} compare_result;

compare_result compare_arrays(const compare_array *a, const compare_array *b,
                              const compare_rule *rule);

/* A digest against the elements of the other side is computed where it is needed. */
compare_result compare_values(const nn_value *a, const nn_value *b, const compare_rule *rule);

/* "3e8816a5" and "0.265798718"; a whole number is the same in both. */
enum { COMPARE_TEXT = 32 };
void compare_hex(char text[COMPARE_TEXT], const compare_array *array, size_t index);
void compare_decimal(char text[COMPARE_TEXT], const compare_array *array, size_t index);

/* ---- tolerances by level ---- */

typedef struct compare_tolerance {
    const char *level;
    size_t line;
    compare_rule rule;
} compare_tolerance;

typedef struct compare_tolerances {
    compare_tolerance *item;
    size_t count;
    compare_rule otherwise; /* "*", exact without one */
} compare_tolerances;

/* Whole numbers below 2^63 and decimals from 0 on; false otherwise. */
bool compare_parse_ulp(uint64_t *out, const char *text);
bool compare_parse_relative(double *out, const char *text);

/* The lines of SPEC 19.4.3; `path` is for the error alone (DDOME_ERR_USAGE). */
DDOME_MUST_CHECK ddome_status compare_tolerances_parse(ddome_error *error, nn_arena *arena,
                                                       compare_tolerances *out, const char *text,
                                                       const char *path);

/* NULL for a level that is known (SPEC 19.4.3) or one of `levels`; else the one most like it. */
const char *compare_level_nearest(const char *level, const char *const *levels, size_t count);

compare_rule compare_rule_of(const compare_tolerances *tolerances, const char *level);

#endif

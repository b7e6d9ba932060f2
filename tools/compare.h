/* SPDX-License-Identifier: MIT */
/* What the files of `ddome compare` share. SPEC 19.4. */
#ifndef TOOLS_COMPARE_H
#define TOOLS_COMPARE_H

#include "../data/json.h"
#include "compare_values.h"
#include "tool.h"

/* One call. Whatever a kind finds goes into the tool's text and json. */
typedef struct compare_call {
    tool *t;
    const char *a, *b; /* paths */
    compare_tolerances tolerances;
    bool explain;
    size_t compared, differing, missing; /* vectors, files, tensors, values; missing: B has none */
    size_t missing_parts; /* of what is compared, values or lines or tensors that B lacks */
    const char *first;    /* the name of the first difference, or NULL */
    const char *expected; /* what a file of B must be called, where none has such a name; or NULL */
} compare_call;

/* compare_run.c, compare_model.c, compare_trace.c, compare_vectors.c: the kinds */
DDOME_MUST_CHECK ddome_status compare_runs(ddome_error *error, compare_call *call);
DDOME_MUST_CHECK ddome_status compare_models(ddome_error *error, compare_call *call);
DDOME_MUST_CHECK ddome_status compare_traces(ddome_error *error, compare_call *call);
DDOME_MUST_CHECK ddome_status compare_vectors(ddome_error *error, compare_call *call, bool a_folder,
                                              bool b_folder);

/* Is each level of the tolerances one of tests/vectors, of traces and models, or of these?
 * DDOME_ERR_USAGE names the nearest. */
DDOME_MUST_CHECK ddome_status compare_levels_known(ddome_error *error, const compare_call *call,
                                                   const char *const *levels, size_t count);

/* ---- models ---- */

/* A tensor that both files have and that differs. */
typedef struct compare_tensor {
    const char *name;
    compare_array a, b;
    compare_result result;
} compare_tensor;

typedef struct compare_model {
    size_t tensors, missing, extra; /* of A; that B lacks; that only B has */
    compare_tensor *differing;
    size_t differing_count;
} compare_model;

/* The tensors of two files, in the order of A's. DDOME_ERR_DATA: missing or damaged. */
DDOME_MUST_CHECK ddome_status compare_model_files(ddome_error *error, compare_call *call,
                                                  compare_model *out, const char *a, const char *b);

/* ---- compare_report.c ---- */

/* A text in the arena; NULL when memory is out, which t->text then remembers. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
const char *
compare_format(tool *t, const char *format, ...);

/* dir/name, in the arena. */
const char *compare_path(tool *t, const char *dir, const char *name);

/* One float as 8 digits of its pattern: a loss (SPEC 17.2.3), the words of a scalar (19.1.1). */
bool compare_pattern(uint32_t *bits, const data_json_value *value);

/* Lines of a difference for people, indented, and the same as members of the open JSON object. */
void compare_add_text(tool *t, const compare_array *a, const compare_array *b,
                      const compare_result *result);
void compare_add_json(tool *t, const compare_array *a, const compare_array *b,
                      const compare_result *result);

/* In one line: "3 of 216 elements, first [0,1,1,1]: 3e8816a5 and 3e8816a6, 1 ULP". */
void compare_add_line(tool *t, const compare_array *a, const compare_array *b,
                      const compare_result *result);

/* ---- names in order ---- */

/* An index over names, to find them without walking all. */
typedef struct compare_name {
    const char *name;
    size_t position;
} compare_name;

/* Sorts; the first name that occurs twice, or NULL. */
const char *compare_names_sort(compare_name *names, size_t count);

/* SIZE_MAX when it is not there. */
size_t compare_names_find(const compare_name *names, size_t count, const char *name);

#endif

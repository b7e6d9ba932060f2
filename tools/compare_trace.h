/* SPDX-License-Identifier: MIT */
/* Traces in memory: an index over the lines; a line is parsed again when it is looked at.
 * SPEC 19.3.
 */
#ifndef TOOLS_COMPARE_TRACE_H
#define TOOLS_COMPARE_TRACE_H

#include "compare_explain.h"

typedef enum trace_pass {
    TRACE_DATA,
    TRACE_START,
    TRACE_FORWARD,
    TRACE_BACKWARD,
    TRACE_UPDATE,
    TRACE_CHOOSE,
    TRACE_AVERAGE,
    TRACE_EVALUATE,
    TRACE_PASSES
} trace_pass;

extern const char *const trace_pass_names[TRACE_PASSES];

typedef struct trace_event {
    const char *key;
    const char *line; /* NUL-terminated */
    size_t number;    /* of the line, from 1 */
    trace_pass pass;
    nn_value value; /* name: the tensor; without elements */
} trace_event;

typedef struct trace_file {
    const char *path;
    const char *arith;
    trace_event *event;
    size_t count;
    compare_name *names;      /* [count] keys, sorted */
    data_safetensors tensors; /* those of FILE.safetensors, if it is there */
    compare_name *tensor_names;
} trace_file;

/* trace_read.c. DDOME_ERR_DATA names file and line. */
DDOME_MUST_CHECK ddome_status trace_read(ddome_error *error, tool *t, trace_file *out,
                                         const char *path);

/* Parses a line again; the tree lives in the arena. */
DDOME_MUST_CHECK ddome_status trace_line(ddome_error *error, nn_arena *arena,
                                         const data_json_value **out, const trace_file *file,
                                         const trace_event *event);

/* An array object of JSON: dtype and shape into value. */
bool trace_read_form(nn_value *value, const data_json_value *object);

/* The elements of a key, or NULL. */
const data_safetensor *trace_tensor(const trace_file *file, const char *key);

/* compare_trace_case.c: does the computation of A's event at `first` again. */
DDOME_MUST_CHECK ddome_status trace_explain(ddome_error *error, tool *t, const trace_file *a,
                                            const trace_file *b, size_t first);

#endif

/* SPDX-License-Identifier: MIT */
/* Traces in memory: an index over the lines; a line is parsed again when it is looked at.
 * SPEC 19.3.
 */
#ifndef TOOLS_COMPARE_TRACE_H
#define TOOLS_COMPARE_TRACE_H

#include "../data/value.h"
#include "../fl/trace.h"
#include "compare_explain.h"

typedef struct trace_event {
    const char *key;
    const char *line; /* NUL-terminated */
    size_t number;    /* of the line, from 1 */
    size_t pass;      /* of fl_trace_passes */
    const char *op;
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
    bool *foreign_tensor; /* [tensors.count] looked at and not that of its line */
    size_t foreign;       /* how many of them */
    size_t relabelled;    /* lines that name another op, pass or tensor than those of `like` */
    const char *relabelled_key; /* the first of them */
} trace_file;

/* trace_read.c. DDOME_ERR_DATA names file and line. With `like` a line needs only key and sha256
 * where `like` has the key, whose line then says the rest (SPEC 19.4.2); else it is NULL. */
DDOME_MUST_CHECK ddome_status trace_read(ddome_error *error, tool *t, trace_file *out,
                                         const char *path, const trace_file *like);

/* Parses a line again; the tree lives in the arena. */
DDOME_MUST_CHECK ddome_status trace_line(ddome_error *error, nn_arena *arena,
                                         const data_json_value **out, const trace_file *file,
                                         const trace_event *event);

/* NULL when there is none. */
trace_event *trace_find(const trace_file *file, const char *key);

/* The elements of an event into the arena; *out stays NULL where no tensor of its form and with its
 * sha256 stands beside the trace. */
DDOME_MUST_CHECK ddome_status trace_elements(ddome_error *error, nn_arena *arena, const void **out,
                                             trace_file *file, const trace_event *event);

/* "trace again with --trace-rounds R-R --trace-tensors '...'": what shows an event and all that its
 * computation took. Any character that a shell or the pattern could take amiss is `?`. */
void trace_add_wanted(fl_text *text, fl_text *pattern, const trace_event *event,
                      const data_json_value *line);

/* compare_trace_case.c: does the computation of A's event at `first` again. */
DDOME_MUST_CHECK ddome_status trace_explain(ddome_error *error, tool *t, trace_file *a,
                                            trace_file *b, size_t first);

#endif

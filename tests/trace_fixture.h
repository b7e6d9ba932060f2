/* SPDX-License-Identifier: MIT */
/* A trace read back, checked line by line, and done again operation by operation. SPEC 19.3. */
#ifndef TRACE_FIXTURE_H
#define TRACE_FIXTURE_H

#include "../data/safetensors.h"
#include "../nn/graph.h"

typedef struct trace_event {
    const char *key;
    size_t line; /* from 0, the head not counted */
    const data_json_value *json;
} trace_event;

typedef struct trace_file {
    nn_arena arena;
    nn_arith arith;
    trace_event *event;         /* in the order of the lines */
    const trace_event **sorted; /* by key */
    size_t count;
    data_safetensors tensors; /* of FILE.safetensors, if it is there */
} trace_file;

/* False, and the open case fails, when there is a line that is no JSON object. */
bool trace_file_read(trace_file *file, const char *path);
void trace_file_free(trace_file *file);

const trace_event *trace_file_find(const trace_file *file, const char *key);

/* A member as text; the key of an input. "" when there is none. */
const char *trace_event_text(const trace_event *event, const char *member);
const char *trace_event_input(const trace_event *event, const char *input);

/* Members in their order, each key once and as its parts say, inputs before their line, hashes and
 * first elements as the tensors have them. */
void trace_file_check(const trace_file *file);

/* Computes outputs again from the inputs and compares hashes; all tensors must be there. */
void trace_file_redo(const trace_file *file);

#endif

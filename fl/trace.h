/* SPDX-License-Identifier: MIT */
/* A trace: every value that a run computes as a line of JSON with its hash, and some of them in
 * full. Watching moves no bit. One thread only. A NULL trace is one that nobody wants: every
 * function below takes it and does nothing. SPEC 19.3. */
#ifndef FL_TRACE_H
#define FL_TRACE_H

#include "../data/safetensors.h"
#include "../nn/case.h"
#include "../nn/graph.h"
#include "config.h"

/* What the caller wants; path "": no trace. */
typedef struct fl_trace_wish {
    char path[FL_PATH], tensors[FL_PATH]; /* tensors: patterns with commas; "": none */
    uint64_t first, last;                 /* rounds, both included */
} fl_trace_wish;

/* Where in the run a value is made; FL_TRACE_NONE: of no client, in no step. */
#define FL_TRACE_NONE UINT64_MAX
enum { FL_TRACE_NAME = 128 }; /* room for SCOPE/SLICE */
enum { FL_TRACE_SCOPE = 24 }; /* room for "expert" and any unsigned number */
typedef struct fl_trace_place {
    uint64_t round, client, step;
    const char *pass; /* NULL: a training step, whose events have passes of their own */
} fl_trace_place;

/* The passes in the order in which reports list them: whoever reads traces, or bounds for them,
 * knows these and no others (SPEC 19.3.1). */
enum { FL_TRACE_PASSES = 9 };
extern const char *const fl_trace_passes[FL_TRACE_PASSES];

/* Which gradient a parameter was given, so that the update can name it. */
typedef struct fl_trace_grad {
    const struct fl_trace_grad *next;
    const char *parameter, *from, *tensor;
} fl_trace_grad;

typedef struct fl_trace {
    nn_arena arena;
    const fl_trace_wish *wish;
    fl_text text; /* the file; whole lines */
    data_safetensor *kept;
    size_t kept_count, kept_capacity;
    fl_trace_place at;
    bool on; /* at.round is one of those that are wanted */
    bool stopped, failed;
    fl_text key, attributes, inputs; /* of the operation at hand */
    char op[32];
    nn_watch watch;
    const fl_trace_grad *grads; /* of the step at hand, in the memory of its tapes */
} fl_trace;

/* ---- the file ---- */

/* The wish stays the caller's. */
void fl_trace_init(fl_trace *trace, const fl_trace_wish *wish);

/* The first line, written to the file at once: hours of work must not end at a file that cannot be
 * written. An older file of tensors beside it is removed. */
DDOME_MUST_CHECK ddome_status fl_trace_begin(ddome_error *error, fl_trace *trace, nn_arith arith);

/* Writes what there is, whatever has become of the run: that is when a trace is wanted. Returns
 * `status`, that of the run, or the failure to write when it is DDOME_OK. */
DDOME_MUST_CHECK ddome_status fl_trace_end(ddome_error *error, fl_trace *trace,
                                           ddome_status status);

/* Out of memory sticks; whoever recorded something asks here. */
DDOME_MUST_CHECK ddome_status fl_trace_status(ddome_error *error, const fl_trace *trace);

/* ---- where ---- */

void fl_trace_at_step(fl_trace *trace, uint64_t round, uint64_t client, uint64_t step);
void fl_trace_at_pass(fl_trace *trace, uint64_t round, uint64_t client, const char *pass);

/* Another client in the same round and pass. */
void fl_trace_at_client(fl_trace *trace, uint64_t client);

/* Records no more: what follows is done for a second time. */
void fl_trace_stop(fl_trace *trace);

/* Is anything recorded here? */
bool fl_trace_on(const fl_trace *trace);

/* ---- one operation ---- */

/* Its name, then attributes and inputs, then a line for each of its outputs. `pass` is that of a
 * step; a place with a pass of its own overrides it. */
void fl_trace_op(fl_trace *trace, const char *op);
void fl_trace_attribute(fl_trace *trace, const char *name, uint64_t value);
void fl_trace_input(fl_trace *trace, const char *input, const char *pass, const char *name,
                    const char *tensor);

/* The same, of another place; and several of them, stacked: open, add one by one, close. */
void fl_trace_input_from(fl_trace *trace, const char *input, const fl_trace_place *place,
                         const char *pass, const char *name, const char *tensor);
void fl_trace_stack_open(fl_trace *trace, const char *input);
void fl_trace_stack_add(fl_trace *trace, const fl_trace_place *place, const char *pass,
                        const char *name, const char *tensor);
void fl_trace_stack_close(fl_trace *trace);

/* Inputs that are no lines of the trace: a float; a list of `count` whole numbers, opened, added
 * one by one, closed. */
void fl_trace_scalar(fl_trace *trace, const char *input, float value);
void fl_trace_list_open(fl_trace *trace, const char *input, size_t count);
void fl_trace_list_add(fl_trace *trace, size_t number);
void fl_trace_list_close(fl_trace *trace);

/* value->name is the tensor. */
void fl_trace_output(fl_trace *trace, const char *pass, const char *name, const nn_value *value);

/* An operation without inputs of which no more is known. */
void fl_trace_given(fl_trace *trace, const char *pass, const char *name, const nn_value *value);

/* Values to hand over; cols 0: a vector of rows elements. */
nn_value fl_trace_floats(const char *tensor, const float *values, size_t rows, size_t cols);
nn_value fl_trace_integers(const char *tensor, const uint32_t *values, size_t count);

/* Does the text fit one of the patterns, with * for any text and ? for one byte, between commas? */
bool fl_trace_matches(const char *patterns, const char *text);

/* Holds the value under its key for FILE.safetensors; false when memory is out. */
bool fl_trace_keep(fl_trace *trace, const char *key, const nn_value *value);

/* ---- tapes ---- */

/* For nn_graph.watch; NULL when nothing is recorded here. trace_tape.c */
const nn_watch *fl_trace_watch(fl_trace *trace);

/* The words of SPEC 19.1.2 for input i of a node, or for the gradient of it; and the operation that
 * makes this gradient. */
enum { FL_TRACE_WORD = 16, FL_TRACE_OP = 32 };
void fl_trace_input_word(char word[FL_TRACE_WORD], const nn_node *node, size_t i, bool gradient);
void fl_trace_backward_op(char op[FL_TRACE_OP], const nn_node *node, size_t i);

#endif

/* SPDX-License-Identifier: MIT */
/* The lines of a trace. SPEC 19.3.1. */
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>

enum { SHOWN = 4 }; /* elements in `first` */

const char *const fl_trace_passes[FL_TRACE_PASSES] = {
    "data", "start", "forward", "backward", "correct", "update", "choose", "average", "evaluate"};

/* ---- where ---- */

static void move_to(fl_trace *trace, const fl_trace_place *place)
{
    trace->at = *place;
    trace->on = place->round >= trace->wish->first && place->round <= trace->wish->last;
    trace->grads = NULL;
}

void fl_trace_at_step(fl_trace *trace, uint64_t round, uint64_t client, uint64_t step)
{
    const fl_trace_place place = {round, client, step, NULL};
    if (trace != NULL)
        move_to(trace, &place);
}

void fl_trace_at_pass(fl_trace *trace, uint64_t round, uint64_t client, const char *pass)
{
    const fl_trace_place place = {round, client, FL_TRACE_NONE, pass};
    if (trace != NULL)
        move_to(trace, &place);
}

void fl_trace_at_client(fl_trace *trace, uint64_t client)
{
    if (trace != NULL)
        trace->at.client = client;
}

void fl_trace_stop(fl_trace *trace)
{
    if (trace != NULL)
        trace->stopped = true;
}

bool fl_trace_on(const fl_trace *trace)
{
    return trace != NULL && trace->on && !trace->stopped && !trace->failed;
}

/* r1/c3/s0/forward/expert1/conv1/y */
static void add_key(fl_text *text, const fl_trace_place *place, const char *pass, const char *name,
                    const char *tensor)
{
    fl_text_add(text, "r%" PRIu64 "/", place->round);
    if (place->client != FL_TRACE_NONE)
        fl_text_add(text, "c%" PRIu64 "/", place->client);
    if (place->step != FL_TRACE_NONE)
        fl_text_add(text, "s%" PRIu64 "/", place->step);
    fl_text_add(text, "%s/%s/%s", place->pass != NULL ? place->pass : pass, name, tensor);
}

/* ---- one operation ---- */

static void clear(fl_text *text)
{
    text->length = 0;
    fl_text_add(text, "%s", "");
}

void fl_trace_op(fl_trace *trace, const char *op)
{
    if (!fl_trace_on(trace))
        return;
    snprintf(trace->op, sizeof trace->op, "%s", op);
    clear(&trace->attributes);
    clear(&trace->inputs);
}

static const char *comma(const fl_text *text)
{
    return text->length == 0 ? "" : ",";
}

void fl_trace_attribute(fl_trace *trace, const char *name, uint64_t value)
{
    if (fl_trace_on(trace))
        fl_text_add(&trace->attributes, "%s\"%s\":%" PRIu64, comma(&trace->attributes), name,
                    value);
}

void fl_trace_input_from(fl_trace *trace, const char *input, const fl_trace_place *place,
                         const char *pass, const char *name, const char *tensor)
{
    if (!fl_trace_on(trace))
        return;
    fl_text_add(&trace->inputs, "%s\"%s\":\"", comma(&trace->inputs), input);
    add_key(&trace->inputs, place, pass, name, tensor);
    fl_text_add(&trace->inputs, "\"");
}

void fl_trace_input(fl_trace *trace, const char *input, const char *pass, const char *name,
                    const char *tensor)
{
    if (fl_trace_on(trace))
        fl_trace_input_from(trace, input, &trace->at, pass, name, tensor);
}

static bool ends_in(const fl_text *text, char byte)
{
    return text->length != 0 && text->data[text->length - 1] == byte;
}

void fl_trace_stack_open(fl_trace *trace, const char *input)
{
    if (fl_trace_on(trace))
        fl_text_add(&trace->inputs, "%s\"%s\":[", comma(&trace->inputs), input);
}

void fl_trace_stack_add(fl_trace *trace, const fl_trace_place *place, const char *pass,
                        const char *name, const char *tensor)
{
    if (!fl_trace_on(trace))
        return;
    fl_text_add(&trace->inputs, "%s\"", ends_in(&trace->inputs, '[') ? "" : ",");
    add_key(&trace->inputs, place, pass, name, tensor);
    fl_text_add(&trace->inputs, "\"");
}

void fl_trace_stack_close(fl_trace *trace)
{
    if (fl_trace_on(trace))
        fl_text_add(&trace->inputs, "]");
}

void fl_trace_scalar(fl_trace *trace, const char *input, float value)
{
    if (!fl_trace_on(trace))
        return;
    fl_text_add(&trace->inputs, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[],\"words\":\"",
                comma(&trace->inputs), input);
    fl_text_float(&trace->inputs, value);
    fl_text_add(&trace->inputs, "\"}");
}

void fl_trace_list_open(fl_trace *trace, const char *input, size_t count)
{
    if (fl_trace_on(trace))
        fl_text_add(&trace->inputs, "%s\"%s\":{\"dtype\":\"U32\",\"shape\":[%lu],\"words\":\"",
                    comma(&trace->inputs), input, (unsigned long)count);
}

void fl_trace_list_add(fl_trace *trace, size_t number)
{
    if (fl_trace_on(trace))
        fl_text_add(&trace->inputs, "%s%lu", ends_in(&trace->inputs, '"') ? "" : " ",
                    (unsigned long)number);
}

void fl_trace_list_close(fl_trace *trace)
{
    if (fl_trace_on(trace))
        fl_text_add(&trace->inputs, "\"}");
}

/* ---- one value ---- */

nn_value fl_trace_floats(const char *tensor, const float *values, size_t rows, size_t cols)
{
    const nn_value value = {.name = tensor,
                            .type = NN_VALUE_F32,
                            .rank = cols == 0 ? 1 : 2,
                            .shape = {rows, cols},
                            .count = cols == 0 ? rows : rows * cols,
                            .f32 = values};
    return value;
}

nn_value fl_trace_integers(const char *tensor, const uint32_t *values, size_t count)
{
    const nn_value value = {.name = tensor,
                            .type = NN_VALUE_U32,
                            .rank = 1,
                            .shape = {count},
                            .count = count,
                            .u32 = values};
    return value;
}

static void add_first(fl_text *text, const nn_value *value)
{
    fl_text_add(text, "\"first\":[");
    for (size_t i = 0; i < nn_min(value->count, SHOWN); i++) {
        fl_text_add(text, "%s", i == 0 ? "" : ",");
        if (value->type == NN_VALUE_U32) {
            fl_text_add(text, "%" PRIu32, value->u32[i]);
            continue;
        }
        fl_text_add(text, "\"");
        fl_text_hex_float(text, value->f32[i]);
        fl_text_add(text, "\"");
    }
    fl_text_add(text, "]");
}

static void add_value(fl_text *text, const nn_value *value)
{
    const nn_digest digest = nn_value_hash(value);
    fl_text_add(text, "\"tensor\":\"%s\",\"dtype\":\"%s\",\"shape\":[", value->name,
                value->type == NN_VALUE_U32 ? "U32" : "F32");
    for (size_t i = 0; i < value->rank; i++)
        fl_text_add(text, "%s%lu", i == 0 ? "" : ",", (unsigned long)value->shape[i]);
    fl_text_add(text, "],\"sha256\":\"");
    fl_text_digest(text, &digest);
    fl_text_add(text, "\",");
    add_first(text, value);
}

static void add_place(fl_text *text, const fl_trace_place *place, const char *pass)
{
    fl_text_add(text, "\"round\":%" PRIu64 ",", place->round);
    if (place->client != FL_TRACE_NONE)
        fl_text_add(text, "\"client\":%" PRIu64 ",", place->client);
    if (place->step != FL_TRACE_NONE)
        fl_text_add(text, "\"step\":%" PRIu64 ",", place->step);
    fl_text_add(text, "\"pass\":\"%s\",", place->pass != NULL ? place->pass : pass);
}

/* ---- a line ---- */

static void add_line(fl_trace *trace, const char *pass, const char *name, const nn_value *value)
{
    fl_text *text = &trace->text;
    clear(&trace->key);
    add_key(&trace->key, &trace->at, pass, name, value->name);
    if (trace->key.failed || trace->attributes.failed || trace->inputs.failed)
        return;
    fl_text_add(text, "{\"key\":\"%s\",", trace->key.data);
    add_place(text, &trace->at, pass);
    fl_text_add(text, "\"op\":\"%s\",\"name\":\"%s\",", trace->op, name);
    add_value(text, value);
    if (trace->attributes.length != 0)
        fl_text_add(text, ",\"attributes\":{%s}", trace->attributes.data);
    if (trace->inputs.length != 0)
        fl_text_add(text, ",\"inputs\":{%s}", trace->inputs.data);
    fl_text_add(text, "}\n");
}

/* A line that does not fit into memory is taken back whole. */
void fl_trace_output(fl_trace *trace, const char *pass, const char *name, const nn_value *value)
{
    if (!fl_trace_on(trace))
        return;
    fl_text *text = &trace->text;
    const size_t start = text->length;
    add_line(trace, pass, name, value);
    trace->failed =
        text->failed || trace->key.failed || trace->attributes.failed || trace->inputs.failed;
    if (!trace->failed && fl_trace_matches(trace->wish->tensors, trace->key.data))
        trace->failed = !fl_trace_keep(trace, trace->key.data, value);
    if (trace->failed)
        text->length = start;
}

void fl_trace_given(fl_trace *trace, const char *pass, const char *name, const nn_value *value)
{
    fl_trace_op(trace, "given");
    fl_trace_output(trace, pass, name, value);
}

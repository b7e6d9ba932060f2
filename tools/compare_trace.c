/* SPDX-License-Identifier: MIT */
/* Two traces: the first value that differs in the order of A, and how it spreads.
 * SPEC 19.3, 19.4.2.
 */
#include "compare_trace.h"

#include <inttypes.h>
#include <string.h>

enum { NEXT_NAMES = 5 };

typedef struct trace_pair {
    compare_call *call;
    trace_file a, b;
    size_t compared[TRACE_PASSES], differing[TRACE_PASSES];
    size_t first, other; /* events of the first difference */
    compare_array x, y;
    compare_result result;
    size_t next[NEXT_NAMES]; /* events of A that differ behind it */
    size_t next_count;
} trace_pair;

/* ---- one key ---- */

/* A tensor beside the trace stands in for the line's hash when it has the line's form. */
static compare_array array_of(const trace_file *file, const trace_event *event, bool elements)
{
    compare_array array = compare_array_of(&event->value);
    const data_safetensor *tensor = elements ? trace_tensor(file, event->key) : NULL;
    array.hash = event->value.hash;
    if (tensor == NULL)
        return array;
    const compare_array found = compare_tensor_of(tensor);
    return strcmp(found.dtype, array.dtype) == 0 && found.count == array.count ? found : array;
}

/* Hashes first: they settle almost all lines. */
static compare_result compare_events(trace_pair *pair, const trace_event *a, const trace_event *b,
                                     compare_array *x, compare_array *y)
{
    const compare_rule rule = compare_rule_of(&pair->call->tolerances, trace_pass_names[a->pass]);
    *x = array_of(&pair->a, a, false);
    *y = array_of(&pair->b, b, false);
    compare_result result = compare_arrays(x, y, &rule);
    if (result.verdict != COMPARE_HASH)
        return result;
    const compare_array full_x = array_of(&pair->a, a, true), full_y = array_of(&pair->b, b, true);
    if (full_x.data == NULL || full_y.data == NULL)
        return result;
    const compare_result full = compare_arrays(&full_x, &full_y, &rule);
    if (full.verdict == COMPARE_SAME && !rule.by_ulp && !rule.by_relative)
        return result; /* the tensors are not those of the lines */
    *x = full_x;
    *y = full_y;
    return full;
}

static void compare_key(trace_pair *pair, size_t i)
{
    compare_array x, y;
    const trace_event *a = &pair->a.event[i];
    const size_t j = compare_names_find(pair->b.names, pair->b.count, a->key);
    if (j == SIZE_MAX) {
        pair->call->missing++;
        return;
    }
    const compare_result result = compare_events(pair, a, &pair->b.event[j], &x, &y);
    pair->call->compared++;
    pair->compared[a->pass]++;
    if (result.verdict == COMPARE_SAME)
        return;
    pair->differing[a->pass]++;
    if (pair->call->differing++ == 0) {
        pair->first = i;
        pair->other = j;
        pair->x = x;
        pair->y = y;
        pair->result = result;
    } else if (pair->next_count < NEXT_NAMES)
        pair->next[pair->next_count++] = i;
}

/* ---- the report ---- */

static const char *member_text(const data_json_value *object, const char *name)
{
    const data_json_value *value = data_json_member(object, name);
    return value != NULL && value->kind == DATA_JSON_STRING ? value->text : "?";
}

/* The first four elements of both lines, for want of all. */
static void add_shown(tool *t, const char *side, const data_json_value *line)
{
    const data_json_value *first = data_json_member(line, "first");
    fl_text_add(&t->text, "    %s begins", side);
    for (const data_json_value *at = first == NULL ? NULL : first->child; at != NULL; at = at->next)
        if (at->kind == DATA_JSON_STRING || at->kind == DATA_JSON_NUMBER)
            fl_text_add(&t->text, " %s", at->text);
    fl_text_add(&t->text, "\n");
}

/* What to trace to see the elements: the value itself and, for --explain, its inputs. */
static void add_wanted(tool *t, const trace_pair *pair)
{
    const char *key = pair->a.event[pair->first].key;
    const char *slash = strrchr(key, '/');
    const size_t round = strspn(key, "r0123456789");
    fl_text_add(&t->text,
                "    elements are not at hand: trace both sides again with --trace-rounds "
                "%.*s-%.*s --trace-tensors '%.*s/*'\n",
                (int)round - 1, key + 1, (int)round - 1, key + 1, (int)(slash - key), key);
}

static ddome_status add_first(ddome_error *error, tool *t, const trace_pair *pair)
{
    const trace_event *event = &pair->a.event[pair->first];
    const data_json_value *a = NULL, *b = NULL;
    ddome_status status = trace_line(error, &t->arena, &a, &pair->a, event);
    if (status == DDOME_OK)
        status = trace_line(error, &t->arena, &b, &pair->b, &pair->b.event[pair->other]);
    if (status != DDOME_OK)
        return status;
    const char *op = member_text(a, "op");
    fl_text_add(&t->text, "first difference: %s, made by %s, %s (line %lu of A, %lu of B)\n",
                event->key, op, pair->x.dtype, (unsigned long)event->number,
                (unsigned long)pair->b.event[pair->other].number);
    compare_add_text(t, &pair->x, &pair->y, &pair->result);
    if (pair->result.verdict == COMPARE_HASH) {
        add_shown(t, "A", a);
        add_shown(t, "B", b);
        if (strrchr(event->key, '/') != NULL && event->key[0] == 'r')
            add_wanted(t, pair);
    }
    fl_text_add(&t->json, ", \"first\": {\"key\": ");
    tool_json_quoted(&t->json, event->key);
    tool_json_string(t, "op", op);
    tool_json_string(t, "pass", trace_pass_names[event->pass]);
    tool_json_u64(t, "line", event->number);
    compare_add_json(t, &pair->x, &pair->y, &pair->result);
    fl_text_add(&t->json, "}");
    return DDOME_OK;
}

static void add_next(tool *t, const trace_pair *pair)
{
    if (pair->call->differing > 1)
        fl_text_add(&t->text, "\n%lu later values differ, next:\n",
                    (unsigned long)pair->call->differing - 1);
    fl_text_add(&t->json, ", \"next\": [");
    for (size_t i = 0; i < pair->next_count; i++) {
        const char *key = pair->a.event[pair->next[i]].key;
        fl_text_add(&t->text, "    %s\n", key);
        fl_text_add(&t->json, "%s", i == 0 ? "" : ", ");
        tool_json_quoted(&t->json, key);
    }
    fl_text_add(&t->json, "]");
}

static void add_passes(tool *t, const trace_pair *pair)
{
    fl_text_add(&t->text, "\n%-10s %9s %9s\n", "pass", "equal", "differ");
    fl_text_add(&t->json, ", \"passes\": [");
    bool first = true;
    for (int i = 0; i < TRACE_PASSES; i++) {
        if (pair->compared[i] == 0)
            continue;
        fl_text_add(&t->text, "%-10s %9lu %9lu\n", trace_pass_names[i],
                    (unsigned long)(pair->compared[i] - pair->differing[i]),
                    (unsigned long)pair->differing[i]);
        fl_text_add(&t->json, "%s{\"pass\": \"%s\", \"compared\": %lu, \"differing\": %lu}",
                    first ? "" : ", ", trace_pass_names[i], (unsigned long)pair->compared[i],
                    (unsigned long)pair->differing[i]);
        first = false;
    }
    fl_text_add(&t->json, "]");
    const size_t extra = pair->b.count - pair->call->compared;
    fl_text_add(&t->text, "%lu values missing in B, %lu only in B\n",
                (unsigned long)pair->call->missing, (unsigned long)extra);
    tool_json_u64(t, "extra", extra);
}

static ddome_status report(ddome_error *error, trace_pair *pair)
{
    tool *t = pair->call->t;
    ddome_status status = DDOME_OK;
    tool_json_string(t, "a_arith", pair->a.arith);
    tool_json_string(t, "b_arith", pair->b.arith);
    if (strcmp(pair->a.arith, pair->b.arith) != 0)
        fl_text_add(&t->text, "the profiles differ (SPEC 2.5): A has %s, B has %s\n", pair->a.arith,
                    pair->b.arith);
    if (pair->call->differing != 0) {
        pair->call->first = pair->a.event[pair->first].key;
        status = add_first(error, t, pair);
        if (status == DDOME_OK)
            add_next(t, pair);
    }
    if (status == DDOME_OK)
        add_passes(t, pair);
    return status;
}

ddome_status compare_traces(ddome_error *error, compare_call *call)
{
    tool *t = call->t;
    trace_pair *pair = nn_arena_zero(&t->arena, 1, sizeof *pair);
    if (pair == NULL)
        return nn_arena_fail(error, &t->arena, "comparison");
    pair->call = call;
    ddome_status status = trace_read(error, t, &pair->a, call->a);
    if (status == DDOME_OK)
        status = trace_read(error, t, &pair->b, call->b);
    for (size_t i = 0; status == DDOME_OK && i < pair->a.count; i++)
        compare_key(pair, i);
    if (status == DDOME_OK)
        status = report(error, pair);
    if (status == DDOME_OK && call->explain && call->differing != 0)
        status = trace_explain(error, t, &pair->a, &pair->b, pair->first);
    return status;
}

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
    size_t compared[FL_TRACE_PASSES], differing[FL_TRACE_PASSES];
    size_t first, other; /* events of the first difference */
    compare_array x, y;
    compare_result result;
    size_t next[NEXT_NAMES]; /* events of A that differ behind it */
    size_t next_count;
} trace_pair;

/* ---- one key ---- */

/* The elements of both sides; without those of one, both stay hashes. */
static ddome_status add_elements(ddome_error *error, trace_pair *pair, const trace_event *a,
                                 const trace_event *b, compare_array *x, compare_array *y)
{
    nn_arena *arena = &pair->call->t->arena;
    const void *of_a = NULL, *of_b = NULL;
    ddome_status status = trace_elements(error, arena, &of_a, &pair->a, a);
    if (status == DDOME_OK && of_a != NULL)
        status = trace_elements(error, arena, &of_b, &pair->b, b);
    if (status == DDOME_OK && of_b != NULL) {
        x->data = of_a;
        y->data = of_b;
    }
    return status;
}

/* Hashes first: they settle almost all lines. */
static ddome_status compare_events(ddome_error *error, trace_pair *pair, const trace_event *a,
                                   const trace_event *b, compare_array *x, compare_array *y,
                                   compare_result *result)
{
    const compare_rule rule = compare_rule_of(&pair->call->tolerances, fl_trace_passes[a->pass]);
    *x = compare_array_of(&a->value);
    *y = compare_array_of(&b->value);
    x->hash = a->value.hash;
    y->hash = b->value.hash;
    *result = compare_arrays(x, y, &rule);
    if (result->verdict != COMPARE_HASH)
        return DDOME_OK;
    ddome_status status = add_elements(error, pair, a, b, x, y);
    if (status == DDOME_OK && x->data != NULL)
        *result = compare_arrays(x, y, &rule);
    return status;
}

static ddome_status compare_key(ddome_error *error, trace_pair *pair, size_t i)
{
    compare_array x, y;
    compare_result result;
    nn_arena *arena = &pair->call->t->arena;
    const nn_arena_mark mark = nn_arena_get_mark(arena);
    const trace_event *a = &pair->a.event[i], *b = trace_find(&pair->b, a->key);
    if (b == NULL) {
        pair->call->missing++;
        return DDOME_OK;
    }
    ddome_status status = compare_events(error, pair, a, b, &x, &y, &result);
    if (status != DDOME_OK)
        return status;
    pair->call->compared++;
    pair->compared[a->pass]++;
    const bool differs = result.verdict != COMPARE_SAME;
    pair->differing[a->pass] += differs;
    if (differs && pair->call->differing++ == 0) {
        pair->first = i;
        pair->other = (size_t)(b - pair->b.event);
        pair->x = x;
        pair->y = y;
        pair->result = result;
        return DDOME_OK;
    }
    if (differs && pair->next_count < NEXT_NAMES)
        pair->next[pair->next_count++] = i;
    nn_arena_rewind(arena, mark); /* only the first difference is shown */
    return DDOME_OK;
}

/* ---- the report ---- */

/* The first four elements of a line, for want of all. */
static void add_shown(tool *t, const char *side, const data_json_value *line)
{
    const data_json_value *first = data_json_member(line, "first");
    if (first == NULL || first->kind != DATA_JSON_ARRAY)
        return;
    fl_text_add(&t->text, "    %s begins", side);
    for (const data_json_value *at = first->child; at != NULL; at = at->next)
        if (at->kind == DATA_JSON_STRING || at->kind == DATA_JSON_NUMBER)
            fl_text_add(&t->text, " %s", tool_shown(t, at->text));
    fl_text_add(&t->text, "\n");
}

/* What to trace to see the elements and, for --explain, those of the inputs. */
static ddome_status add_wanted(ddome_error *error, tool *t, trace_pair *pair,
                               const data_json_value *line)
{
    const trace_event *a = &pair->a.event[pair->first], *b = &pair->b.event[pair->other];
    const void *of_a = NULL, *of_b = NULL;
    fl_text pattern = {.arena = &t->arena};
    ddome_status status = trace_elements(error, &t->arena, &of_a, &pair->a, a);
    if (status == DDOME_OK)
        status = trace_elements(error, &t->arena, &of_b, &pair->b, b);
    if (status != DDOME_OK)
        return status;
    const char *side = of_a != NULL ? "B" : of_b != NULL ? "A" : "A and B";
    fl_text_add(&t->text, "    elements of %s are not at hand: ", side);
    trace_add_wanted(&t->text, &pattern, a, line);
    fl_text_add(&t->text, "\n");
    return DDOME_OK;
}

/* What a computation is told by its line: words of an input, a number among the attributes; NULL: a
 * key, or nothing. */
static const char *stated(tool *t, const data_json_value *member)
{
    uint32_t bits;
    if (member->kind == DATA_JSON_NUMBER)
        return member->text;
    const data_json_value *words = data_json_member(member, "words");
    const char *dtype = data_value_text(data_json_member(member, "dtype"));
    if (dtype != NULL && strcmp(dtype, "F32") == 0 && compare_pattern(&bits, words))
        return compare_format(t, "%08" PRIx32 " (%.9g)", bits, (double)nn_float_from_bits(bits));
    return data_value_text(words);
}

static void add_one_stated(tool *t, const char *name, const char *a, const char *b, bool first)
{
    fl_text_add(&t->text, "    B states %s %.60s, A %.60s\n", tool_shown(t, name), tool_shown(t, b),
                tool_shown(t, a));
    fl_text_add(&t->json, "%s{\"name\": ", first ? "" : ", ");
    tool_json_quoted(&t->json, name);
    tool_json_string(t, "a", a);
    tool_json_string(t, "b", b);
    fl_text_add(&t->json, "}");
}

/* Another rate, say: no deviation explains what another input makes. Of the members of this name,
 * those that both lines state, and not alike; `count` of them stand in the list already. */
static size_t add_stated(tool *t, const char *name, const data_json_value *line_a,
                         const data_json_value *line_b, size_t count)
{
    const data_json_value *a = data_json_member(line_a, name), *b = data_json_member(line_b, name);
    if (a == NULL || b == NULL || a->kind != DATA_JSON_OBJECT)
        return count;
    for (const data_json_value *at = a->child; at != NULL; at = at->next) {
        const data_json_value *other = data_json_member(b, at->name);
        const char *of_a = stated(t, at), *of_b = other == NULL ? NULL : stated(t, other);
        if (of_a != NULL && of_b != NULL && strcmp(of_a, of_b) != 0)
            add_one_stated(t, at->name, of_a, of_b, count++ == 0);
    }
    return count;
}

static ddome_status add_first(ddome_error *error, tool *t, trace_pair *pair)
{
    const trace_event *event = &pair->a.event[pair->first];
    const data_json_value *a = NULL, *b = NULL;
    ddome_status status = trace_line(error, &t->arena, &a, &pair->a, event);
    if (status == DDOME_OK)
        status = trace_line(error, &t->arena, &b, &pair->b, &pair->b.event[pair->other]);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->text, "first difference: %s, made by %s, %s (line %lu of A, %lu of B)\n",
                tool_shown(t, event->key), tool_shown(t, event->op), pair->x.dtype,
                (unsigned long)event->number, (unsigned long)pair->b.event[pair->other].number);
    compare_add_text(t, &pair->x, &pair->y, &pair->result);
    if (pair->result.verdict == COMPARE_HASH) {
        add_shown(t, "A", a);
        add_shown(t, "B", b);
        status = add_wanted(error, t, pair, a);
    }
    fl_text_add(&t->json, ", \"first\": {\"key\": ");
    tool_json_quoted(&t->json, event->key);
    tool_json_string(t, "op", event->op);
    tool_json_string(t, "pass", fl_trace_passes[event->pass]);
    tool_json_u64(t, "line", event->number);
    compare_add_json(t, &pair->x, &pair->y, &pair->result);
    fl_text_add(&t->json, ", \"stated\": [");
    (void)add_stated(t, "inputs", a, b, add_stated(t, "attributes", a, b, 0));
    fl_text_add(&t->json, "]}");
    return status;
}

static void add_next(tool *t, const trace_pair *pair)
{
    if (pair->call->differing > 1)
        fl_text_add(&t->text, "\n%lu later values differ, next:\n",
                    (unsigned long)pair->call->differing - 1);
    fl_text_add(&t->json, ", \"next\": [");
    for (size_t i = 0; i < pair->next_count; i++) {
        const char *key = pair->a.event[pair->next[i]].key;
        fl_text_add(&t->text, "    %s\n", tool_shown(t, key));
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
    for (size_t i = 0; i < FL_TRACE_PASSES; i++) {
        if (pair->compared[i] == 0)
            continue;
        fl_text_add(&t->text, "%-10s %9lu %9lu\n", fl_trace_passes[i],
                    (unsigned long)(pair->compared[i] - pair->differing[i]),
                    (unsigned long)pair->differing[i]);
        fl_text_add(&t->json, "%s{\"pass\": \"%s\", \"compared\": %lu, \"differing\": %lu}",
                    first ? "" : ", ", fl_trace_passes[i], (unsigned long)pair->compared[i],
                    (unsigned long)pair->differing[i]);
        first = false;
    }
    fl_text_add(&t->json, "]");
    const size_t extra = pair->b.count - pair->call->compared;
    fl_text_add(&t->text, "%lu values missing in B, %lu only in B\n",
                (unsigned long)pair->call->missing, (unsigned long)extra);
    tool_json_u64(t, "extra", extra);
}

/* Known when all is done: --explain looks at more tensors. */
static void add_foreign(tool *t, const trace_file *file, const char *member)
{
    if (file->foreign == 0)
        return;
    fl_text_add(&t->text,
                "the tensors beside %s are of another trace: %lu have not the sha256 of their "
                "lines and were not used\n",
                tool_shown(t, file->path), (unsigned long)file->foreign);
    tool_json_u64(t, member, file->foreign);
}

static void add_relabelled(tool *t, const trace_file *b)
{
    if (b->relabelled == 0)
        return;
    fl_text_add(&t->text, "%lu lines of B name another op, pass or tensor than A, first %s\n",
                (unsigned long)b->relabelled, tool_shown(t, b->relabelled_key));
    tool_json_u64(t, "relabelled", b->relabelled);
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
    if (status == DDOME_OK)
        add_relabelled(t, &pair->b);
    return status;
}

ddome_status compare_traces(ddome_error *error, compare_call *call)
{
    tool *t = call->t;
    trace_pair *pair = nn_arena_zero(&t->arena, 1, sizeof *pair);
    if (pair == NULL)
        return nn_arena_fail(error, &t->arena, "comparison");
    pair->call = call;
    ddome_status status = trace_read(error, t, &pair->a, call->a, NULL);
    if (status == DDOME_OK)
        status = trace_read(error, t, &pair->b, call->b, &pair->a);
    for (size_t i = 0; status == DDOME_OK && i < pair->a.count; i++)
        status = compare_key(error, pair, i);
    if (status == DDOME_OK)
        status = report(error, pair);
    if (status == DDOME_OK && call->explain && call->differing != 0)
        status = trace_explain(error, t, &pair->a, &pair->b, pair->first);
    if (status == DDOME_OK) {
        add_foreign(t, &pair->a, "a_foreign_tensors");
        add_foreign(t, &pair->b, "b_foreign_tensors");
    }
    return status;
}

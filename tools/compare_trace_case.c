/* SPDX-License-Identifier: MIT */
/* One computation out of a trace: its line, its inputs as far as their elements are at hand, what B
 * has for its outputs. SPEC 19.3, 19.4.4. */
#include <string.h>

#include "../nn/loss.h"
#include "compare_trace.h"

enum { INPUTS = 3 + NN_MAX_EXPERTS, OUTPUTS = 8 };

typedef struct trace_case {
    tool *t;
    ddome_error *error;
    trace_file *a, *b;
    const data_json_value *line;
    nn_case work;
    nn_value input[INPUTS], got[OUTPUTS];
    size_t got_count;
    bool flat;    /* one parameter or statistic, of whatever shape, as a vector */
    bool lacking; /* an input is not at hand */
} trace_case;

static bool is_op(const trace_case *c, const char *op)
{
    return strcmp(c->work.op, op) == 0;
}

static ddome_status no_memory(const trace_case *c)
{
    return nn_arena_fail(c->error, &c->t->arena, "computation");
}

static void flatten(nn_value *value)
{
    value->rank = 1;
    value->shape[0] = value->count;
}

/* ---- inputs ---- */

/* The value of a line with its elements, under the name that it has. */
static ddome_status take_event(trace_case *c, nn_value *value, trace_file *file,
                               const trace_event *event)
{
    const char *name = value->name;
    const void *elements = NULL;
    *value = event->value;
    value->name = name;
    ddome_status status = trace_elements(c->error, &c->t->arena, &elements, file, event);
    data_value_set(value, elements);
    return status;
}

/* "inputs": {"x": KEY} */
static ddome_status take_key(trace_case *c, nn_value *value, const data_json_value *member)
{
    const char *key = data_value_text(member);
    const trace_event *event = key == NULL ? NULL : trace_find(c->a, key);
    ddome_status status = event == NULL ? DDOME_OK : take_event(c, value, c->a, event);
    c->lacking = c->lacking || event == NULL || !nn_value_known(value);
    return status;
}

/* One row of a list: of the form of those before, its elements at hand. */
static ddome_status take_row(trace_case *c, const nn_value **row, const data_json_value *key,
                             const nn_value *first)
{
    nn_value *value = nn_arena_zero(&c->t->arena, 1, sizeof *value);
    if (value == NULL)
        return no_memory(c);
    ddome_status status = take_key(c, value, key);
    *row = value;
    if (first != NULL && (value->type != first->type || value->count != first->count))
        c->lacking = true;
    return status;
}

static const void *elements_of(const nn_value *value)
{
    return value->type == NN_VALUE_F32   ? (const void *)value->f32
           : value->type == NN_VALUE_F64 ? (const void *)value->f64
                                         : (const void *)value->u32;
}

static ddome_status take_rows(trace_case *c, const nn_value **rows, const data_json_value *keys)
{
    ddome_status status = DDOME_OK;
    size_t i = 0;
    for (const data_json_value *at = keys->child; status == DDOME_OK && at != NULL; at = at->next) {
        status = take_row(c, &rows[i], at, i == 0 ? NULL : rows[0]);
        i++;
    }
    c->lacking = c->lacking || i == 0;
    return status;
}

/* "copies": [KEY, KEY, ...], one row each */
static ddome_status take_stack(trace_case *c, nn_value *value, const data_json_value *keys)
{
    nn_arena *arena = &c->t->arena;
    const nn_value **rows = nn_arena_zero(arena, keys->length, sizeof *rows);
    if (rows == NULL)
        return no_memory(c);
    ddome_status status = take_rows(c, rows, keys);
    if (status != DDOME_OK || c->lacking)
        return status;
    const size_t width = data_value_width(rows[0]->type), bytes = rows[0]->count * width;
    value->type = rows[0]->type;
    value->rank = 2;
    value->shape[0] = keys->length;
    value->shape[1] = rows[0]->count;
    unsigned char *elements = nn_size_mul(&value->count, keys->length, rows[0]->count)
                                  ? nn_arena_alloc(arena, value->count, width)
                                  : NULL;
    if (elements == NULL)
        return no_memory(c);
    for (size_t i = 0; bytes != 0 && i < keys->length; i++)
        memcpy(elements + i * bytes, elements_of(rows[i]), bytes);
    data_value_set(value, elements);
    return DDOME_OK;
}

/* "lr": {"dtype": "F32", "shape": [], "words": "3c23d70a"} */
static ddome_status take_literal(trace_case *c, nn_value *value, const data_json_value *object)
{
    const data_json_value *words = data_json_member(object, "words");
    if (!data_value_read_type(&value->type, data_json_member(object, "dtype")) ||
        !data_value_read_shape(value, data_json_member(object, "shape")) ||
        !data_value_words_fit(value, words)) {
        c->lacking = true;
        return DDOME_OK;
    }
    void *elements = nn_arena_alloc(&c->t->arena, value->count, data_value_width(value->type));
    if (elements == NULL)
        return no_memory(c);
    if (data_value_read_words(elements, value, words->text))
        data_value_set(value, elements);
    else
        c->lacking = true;
    return DDOME_OK;
}

static ddome_status take_input(trace_case *c, const data_json_value *member)
{
    if (c->work.input_count == INPUTS)
        return DDOME_OK;
    nn_value *value = &c->input[c->work.input_count++];
    ddome_status status = DDOME_OK;
    value->name = member->name;
    if (member->kind == DATA_JSON_ARRAY)
        status = take_stack(c, value, member);
    else if (member->kind == DATA_JSON_OBJECT)
        status = take_literal(c, value, member);
    else
        status = take_key(c, value, member);
    if (c->flat && value->rank > 1 && strcmp(value->name, "copies") != 0)
        flatten(value);
    return status;
}

/* A velocity starts at nothing and is not read at the first step (SPEC 6.7). */
static ddome_status add_velocity(trace_case *c)
{
    const nn_value *g = nn_case_input(&c->work, "g");
    if (!is_op(c, "sgd") || g == NULL || !nn_value_known(g) ||
        nn_case_input(&c->work, "v") != NULL || c->work.input_count == INPUTS)
        return DDOME_OK;
    nn_value *v = &c->input[c->work.input_count];
    *v = *g;
    v->name = "v";
    v->f32 = nn_arena_zero(&c->t->arena, g->count, sizeof(float));
    v->hashed = false;
    if (v->f32 == NULL)
        return no_memory(c);
    c->work.input_count++;
    return DDOME_OK;
}

static ddome_status take_inputs(trace_case *c)
{
    const data_json_value *inputs = data_json_member(c->line, "inputs");
    ddome_status status = DDOME_OK;
    c->work.inputs = c->input;
    if (inputs != NULL && inputs->kind == DATA_JSON_OBJECT)
        for (const data_json_value *at = inputs->child; status == DDOME_OK && at != NULL;
             at = at->next)
            status = take_input(c, at);
    return status == DDOME_OK ? add_velocity(c) : status;
}

static ddome_status take_attributes(trace_case *c)
{
    const data_json_value *object = data_json_member(c->line, "attributes");
    if (object == NULL || object->kind != DATA_JSON_OBJECT)
        return DDOME_OK;
    nn_attribute *list = nn_arena_zero(&c->t->arena, object->length, sizeof *list);
    if (list == NULL)
        return no_memory(c);
    c->work.attributes = list;
    for (const data_json_value *at = object->child; at != NULL; at = at->next) {
        list->name = at->name;
        if (data_json_u64(&list->value, at))
            c->work.attribute_count++, list++;
    }
    return DDOME_OK;
}

/* ---- outputs ---- */

/* Lines of one computation stand together and have the same inputs. */
static bool same_work(const trace_event *a, const trace_event *b)
{
    const char *x = strstr(a->line, "\"inputs\":"), *y = strstr(b->line, "\"inputs\":");
    const char *slash = strrchr(a->key, '/');
    if (x == NULL || y == NULL || slash == NULL || strcmp(x, y) != 0)
        return false;
    return strncmp(a->key, b->key, (size_t)(slash - a->key) + 1) == 0;
}

/* `dy` of the walk is the y of an addition (SPEC 19.3.3). */
static const char *output_name(const trace_case *c, const char *tensor)
{
    return is_op(c, "add") ? "y" : tensor;
}

static ddome_status take_output(trace_case *c, const trace_event *event)
{
    const trace_event *other = trace_find(c->b, event->key);
    if (other == NULL || c->got_count == OUTPUTS)
        return DDOME_OK;
    nn_value *value = &c->got[c->got_count++];
    ddome_status status = take_event(c, value, c->b, other);
    value->name = output_name(c, event->value.name);
    if (c->flat)
        flatten(value);
    return status;
}

static ddome_status take_outputs(trace_case *c, size_t first)
{
    const trace_event *events = c->a->event;
    size_t from = first, to = first + 1;
    ddome_status status = DDOME_OK;
    while (from > 0 && same_work(&events[first], &events[from - 1]))
        from--;
    while (to < c->a->count && same_work(&events[first], &events[to]))
        to++;
    for (size_t i = from; status == DDOME_OK && i < to; i++)
        status = take_output(c, &events[i]);
    return status;
}

/* ---- explain ---- */

static ddome_status take_case(trace_case *c, size_t first)
{
    const trace_event *event = &c->a->event[first];
    ddome_status status = trace_line(c->error, &c->t->arena, &c->line, c->a, event);
    if (status != DDOME_OK)
        return status;
    c->work.op = event->op;
    c->work.arith = strcmp(c->a->arith, "fma") == 0 ? NN_ARITH_FMA : NN_ARITH_MA;
    c->flat = is_op(c, "sgd") || is_op(c, "average");
    status = take_attributes(c);
    if (status == DDOME_OK)
        status = take_inputs(c);
    return status == DDOME_OK ? take_outputs(c, first) : status;
}

static ddome_status explain_case(const trace_case *c, const char *key)
{
    explain_item item = {.id = key, .work = &c->work, .got = c->got, .got_count = c->got_count};
    explain_call explain = {.t = c->t, .noun = "value", .item = &item, .count = 1};
    ddome_status status = explain_try(c->error, &explain);
    return status == DDOME_OK ? explain_report(c->error, &explain) : status;
}

static void add_missing(const trace_case *c, const trace_event *event)
{
    tool *t = c->t;
    fl_text pattern = {.arena = &t->arena};
    fl_text_add(&t->text, "\ncauses: A's inputs are not at hand; ");
    trace_add_wanted(&t->text, &pattern, event, c->line);
    fl_text_add(&t->text, "\n");
    fl_text_add(&t->json, ", \"explain\": {\"trace_tensors\": ");
    tool_json_quoted(&t->json, pattern.data == NULL ? "" : pattern.data);
    fl_text_add(&t->json, "}");
    t->json.failed = t->json.failed || pattern.failed;
}

ddome_status trace_explain(ddome_error *error, tool *t, trace_file *a, trace_file *b, size_t first)
{
    const trace_event *event = &a->event[first];
    trace_case *c = nn_arena_zero(&t->arena, 1, sizeof *c);
    if (c == NULL)
        return nn_arena_fail(error, &t->arena, "computation");
    c->t = t;
    c->error = error;
    c->a = a;
    c->b = b;
    ddome_status status = take_case(c, first);
    if (status != DDOME_OK)
        return status;
    if (is_op(c, "given") || !nn_variant_knows(c->work.op)) {
        fl_text_add(&t->text,
                    "\ncauses: %s is given, not computed: what made it lies before the trace\n",
                    tool_shown(t, event->key));
        fl_text_add(&t->json, ", \"explain\": {\"given\": true}");
        return DDOME_OK;
    }
    if (c->lacking) {
        add_missing(c, event);
        return DDOME_OK;
    }
    return explain_case(c, event->key);
}

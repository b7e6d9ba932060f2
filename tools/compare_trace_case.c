/* SPDX-License-Identifier: MIT */
/* One computation out of a trace: its line, its inputs as far as their elements are at hand, what B
 * has for its outputs. SPEC 19.3, 19.4.4. */
#include <stdlib.h>
#include <string.h>

#include "../nn/loss.h"
#include "compare_trace.h"

enum { INPUTS = 3 + NN_MAX_EXPERTS, OUTPUTS = 8 };

typedef struct trace_case {
    tool *t;
    ddome_error *error;
    const trace_file *a, *b;
    const data_json_value *line;
    nn_case work;
    nn_value input[INPUTS], got[OUTPUTS];
    size_t got_count;
    bool flat;      /* one parameter or statistic, of whatever shape, as a vector */
    fl_text wanted; /* patterns of what is missing */
} trace_case;

static bool is_op(const trace_case *c, const char *op)
{
    return strcmp(c->work.op, op) == 0;
}

static ddome_status no_memory(const trace_case *c)
{
    return nn_arena_fail(c->error, &c->t->arena, "computation");
}

static void want(trace_case *c, const char *key)
{
    fl_text_add(&c->wanted, "%s%s", c->wanted.length == 0 ? "" : ",", key);
}

static void flatten(nn_value *value)
{
    value->rank = 1;
    value->shape[0] = value->count;
}

/* ---- elements ---- */

static void set_elements(nn_value *value, const void *elements)
{
    value->f32 = value->type == NN_VALUE_F32 ? elements : NULL;
    value->f64 = value->type == NN_VALUE_F64 ? elements : NULL;
    value->u32 = value->type == NN_VALUE_U32 ? elements : NULL;
}

static size_t width_of(const nn_value *value)
{
    return value->type == NN_VALUE_F64 ? 8 : 4;
}

static void store(unsigned char *to, size_t index, size_t width, uint64_t bits)
{
    const uint32_t word = (uint32_t)bits;
    if (width == 8)
        memcpy(to + 8 * index, &bits, sizeof bits);
    else
        memcpy(to + 4 * index, &word, sizeof word);
}

/* Asked before memory is: a line may claim any shape, a tensor has its bytes. */
static bool at_hand(const nn_value *value, const trace_file *file, const char *key)
{
    const data_safetensor *tensor = trace_tensor(file, key);
    if (tensor == NULL)
        return false;
    const compare_array form = compare_array_of(value), found = compare_tensor_of(tensor);
    return strcmp(form.dtype, found.dtype) == 0 && form.count == found.count;
}

static void load(unsigned char *to, const trace_file *file, const char *key)
{
    const compare_array found = compare_tensor_of(trace_tensor(file, key));
    for (size_t i = 0; i < found.count; i++)
        store(to, i, found.width, compare_bits(&found, i));
}

/* ---- inputs ---- */

static const trace_event *find_event(const trace_file *file, const char *key)
{
    const size_t at = compare_names_find(file->names, file->count, key);
    return at == SIZE_MAX ? NULL : &file->event[at];
}

/* "inputs": {"x": KEY} */
static ddome_status take_key(trace_case *c, nn_value *value, const char *key)
{
    const trace_event *event = find_event(c->a, key);
    const char *name = value->name;
    if (event == NULL) {
        want(c, key);
        return DDOME_OK;
    }
    *value = event->value;
    value->name = name;
    if (!at_hand(value, c->a, key)) {
        want(c, key);
        return DDOME_OK;
    }
    unsigned char *elements = nn_arena_alloc(&c->t->arena, value->count, width_of(value));
    if (elements == NULL)
        return no_memory(c);
    load(elements, c->a, key);
    set_elements(value, elements);
    return DDOME_OK;
}

/* Are all the keys of a list at hand, each of as many elements as the first? */
static bool all_at_hand(trace_case *c, const data_json_value *keys)
{
    const trace_event *first = NULL;
    for (const data_json_value *at = keys->child; at != NULL; at = at->next) {
        const char *key = at->kind == DATA_JSON_STRING ? at->text : "?";
        const trace_event *event = find_event(c->a, key);
        first = first == NULL ? event : first;
        if (event == NULL || event->value.count != first->value.count ||
            event->value.type != first->value.type || !at_hand(&event->value, c->a, key))
            want(c, key);
    }
    return first != NULL && c->wanted.length == 0;
}

/* "copies": [KEY, KEY, ...], one row each */
static ddome_status take_stack(trace_case *c, nn_value *value, const data_json_value *keys)
{
    const char *name = value->name;
    if (!all_at_hand(c, keys)) {
        if (c->wanted.length == 0)
            want(c, name);
        return DDOME_OK;
    }
    const nn_value *row = &find_event(c->a, keys->child->text)->value;
    *value = *row;
    value->name = name;
    value->rank = 2;
    value->shape[0] = keys->length;
    value->shape[1] = row->count;
    if (!nn_size_mul(&value->count, keys->length, row->count))
        return no_memory(c);
    unsigned char *elements = nn_arena_alloc(&c->t->arena, value->count, width_of(value)),
                  *to = elements;
    if (elements == NULL)
        return no_memory(c);
    for (const data_json_value *at = keys->child; at != NULL; at = at->next) {
        load(to, c->a, at->text);
        to += row->count * width_of(value);
    }
    set_elements(value, elements);
    return DDOME_OK;
}

/* The next word of a literal: hexadecimal for floats, else decimal. */
static bool take_word(uint64_t *bits, const char **at, const nn_value *value)
{
    char *end;
    const int base = value->type == NN_VALUE_U32 ? 10 : 16;
    if (**at == '\0' || strchr("0123456789abcdef", **at) == NULL)
        return false;
    *bits = strtoull(*at, &end, base);
    *at = *end == ' ' ? end + 1 : end;
    return true;
}

/* "lr": {"dtype": "F32", "shape": [], "words": "3c23d70a"} */
static ddome_status take_literal(trace_case *c, nn_value *value, const data_json_value *object)
{
    const data_json_value *words = data_json_member(object, "words");
    if (words == NULL || words->kind != DATA_JSON_STRING || !trace_read_form(value, object) ||
        value->count > words->length / 2 + 1) {
        want(c, value->name);
        return DDOME_OK;
    }
    const char *at = words->text;
    unsigned char *elements = nn_arena_alloc(&c->t->arena, value->count, width_of(value));
    if (elements == NULL)
        return no_memory(c);
    for (size_t i = 0; i < value->count; i++) {
        uint64_t bits;
        if (!take_word(&bits, &at, value)) {
            want(c, value->name);
            return DDOME_OK;
        }
        store(elements, i, width_of(value), bits);
    }
    set_elements(value, elements);
    return DDOME_OK;
}

static ddome_status take_input(trace_case *c, const data_json_value *member)
{
    if (c->work.input_count == INPUTS)
        return DDOME_OK;
    nn_value *value = &c->input[c->work.input_count++];
    ddome_status status = DDOME_OK;
    value->name = member->name;
    if (member->kind == DATA_JSON_STRING)
        status = take_key(c, value, member->text);
    else if (member->kind == DATA_JSON_ARRAY)
        status = take_stack(c, value, member);
    else if (member->kind == DATA_JSON_OBJECT)
        status = take_literal(c, value, member);
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
    const trace_event *other = find_event(c->b, event->key);
    if (other == NULL || c->got_count == OUTPUTS)
        return DDOME_OK;
    nn_value *value = &c->got[c->got_count++];
    *value = other->value;
    value->name = output_name(c, event->value.name);
    if (c->flat)
        flatten(value);
    if (!at_hand(value, c->b, event->key))
        return DDOME_OK;
    unsigned char *elements = nn_arena_alloc(&c->t->arena, value->count, width_of(value));
    if (elements == NULL)
        return no_memory(c);
    load(elements, c->b, event->key);
    set_elements(value, elements);
    return DDOME_OK;
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
    c->work.op = data_json_member(c->line, "op")->text;
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

/* rN of a key, for --trace-rounds. */
static void add_missing(trace_case *c, const char *key)
{
    const int round = key[0] == '\0' ? 0 : (int)strspn(key + 1, "0123456789");
    fl_text_add(&c->t->text,
                "\ncauses: A's inputs are not at hand; trace again with --trace-rounds %.*s-%.*s "
                "--trace-tensors '%s,%s'\n",
                round, key + (round > 0), round, key + (round > 0), key, c->wanted.data);
    fl_text_add(&c->t->json, ", \"explain\": {\"trace_tensors\": ");
    tool_json_quoted(&c->t->json, c->wanted.data);
    fl_text_add(&c->t->json, "}");
}

ddome_status trace_explain(ddome_error *error, tool *t, const trace_file *a, const trace_file *b,
                           size_t first)
{
    const char *key = a->event[first].key;
    trace_case *c = nn_arena_zero(&t->arena, 1, sizeof *c);
    if (c == NULL)
        return nn_arena_fail(error, &t->arena, "computation");
    c->t = t;
    c->error = error;
    c->a = a;
    c->b = b;
    c->wanted.arena = &t->arena;
    ddome_status status = take_case(c, first);
    if (status != DDOME_OK)
        return status;
    if (is_op(c, "given") || !nn_variant_knows(c->work.op)) {
        fl_text_add(&t->text,
                    "\ncauses: %s is given, not computed: what made it lies before the trace\n",
                    key);
        fl_text_add(&t->json, ", \"explain\": {\"given\": true}");
        return DDOME_OK;
    }
    if (c->wanted.length != 0) {
        add_missing(c, key);
        return DDOME_OK;
    }
    return explain_case(c, key);
}

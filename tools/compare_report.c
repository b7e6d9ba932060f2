/* SPDX-License-Identifier: MIT */
/* Differences as lines for people and as members of a JSON object. SPEC 19.4.2. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

const char *compare_format(tool *t, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? NULL : nn_arena_alloc(&t->arena, (size_t)length + 1, 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, format, again);
    else
        t->text.failed = t->json.failed = true;
    va_end(again);
    va_end(arguments);
    return text;
}

const char *compare_path(tool *t, const char *dir, const char *name)
{
    return compare_format(t, "%s/%s", dir, name);
}

bool compare_pattern(uint32_t *bits, const data_json_value *value)
{
    if (value == NULL || value->kind != DATA_JSON_STRING || value->length != 8 ||
        strspn(value->text, "0123456789abcdef") != 8)
        return false;
    *bits = (uint32_t)strtoul(value->text, NULL, 16);
    return true;
}

/* ---- shapes and indices ---- */

static void add_shape(fl_text *text, const compare_array *array)
{
    fl_text_add(text, "[");
    for (size_t i = 0; i < array->rank; i++)
        fl_text_add(text, "%s%" PRIu64, i == 0 ? "" : ",", compare_size(array, i));
    fl_text_add(text, "]");
}

/* The place of an element, last axis fastest (SPEC 1.3). No size is 0 where there is one. */
static void add_place(fl_text *text, const compare_array *array, size_t index)
{
    uint64_t below = 1, rest = index;
    for (size_t i = 0; i < array->rank; i++)
        below *= compare_size(array, i);
    fl_text_add(text, "[");
    for (size_t i = 0; i < array->rank; i++) {
        below /= compare_size(array, i);
        fl_text_add(text, "%s%" PRIu64, i == 0 ? "" : ",", rest / below);
        rest %= below;
    }
    fl_text_add(text, "]");
}

static void add_element(fl_text *text, const char *side, const compare_array *array, size_t index)
{
    char hex[COMPARE_TEXT], decimal[COMPARE_TEXT];
    compare_hex(hex, array, index);
    compare_decimal(decimal, array, index);
    fl_text_add(text, "    %-8s %s", side, hex);
    if (strcmp(hex, decimal) != 0)
        fl_text_add(text, "  %s", decimal);
    fl_text_add(text, "\n");
}

static void add_digest(fl_text *text, const char *side, const compare_array *array)
{
    fl_text_add(text, "    %-8s ", side);
    if (array->data == NULL)
        fl_text_digest(text, &array->hash);
    fl_text_add(text, "\n");
}

/* ---- for people ---- */

static void add_ulp(fl_text *text, const char *before, uint64_t ulp, const char *after)
{
    if (ulp != COMPARE_NO_ULP)
        fl_text_add(text, "%s%" PRIu64 " ULP%s", before, ulp, after);
}

static void add_share(fl_text *text, const compare_result *result)
{
    char share[COMPARE_TEXT];
    snprintf(share, sizeof share, "%.3g",
             100.0 * (double)result->differing / (double)result->count);
    fl_text_add(text, "%lu of %lu elements (%s %%)", (unsigned long)result->differing,
                (unsigned long)result->count, share);
}

static void add_elements(fl_text *text, const compare_array *a, const compare_array *b,
                         const compare_result *result)
{
    fl_text_add(text, "    first    element %lu = ", (unsigned long)result->first);
    add_place(text, a, result->first);
    fl_text_add(text, " of ");
    add_shape(text, a);
    fl_text_add(text, "\n");
    add_element(text, "A", a, result->first);
    add_element(text, "B", b, result->first);
    add_ulp(text, "    apart    ", result->first_ulp, "\n");
    fl_text_add(text, "    differ   ");
    add_share(text, result);
    add_ulp(text, ", the largest distance is ", result->worst_ulp, " at ");
    if (result->worst_ulp != COMPARE_NO_ULP)
        add_place(text, a, result->worst);
    fl_text_add(text, "\n");
}

void compare_add_text(tool *t, const compare_array *a, const compare_array *b,
                      const compare_result *result)
{
    fl_text *text = &t->text;
    if (result->verdict == COMPARE_DTYPE)
        fl_text_add(text, "    A is %s, B is %s\n", a->dtype, b->dtype);
    if (result->verdict == COMPARE_SHAPE) {
        fl_text_add(text, "    shapes   A ");
        add_shape(text, a);
        fl_text_add(text, ", B ");
        add_shape(text, b);
        fl_text_add(text, "\n");
    }
    if (result->verdict == COMPARE_HASH) {
        add_digest(text, "A sha256", a);
        add_digest(text, "B sha256", b);
    }
    if (result->verdict == COMPARE_ELEMENTS)
        add_elements(text, a, b, result);
}

void compare_add_line(tool *t, const compare_array *a, const compare_array *b,
                      const compare_result *result)
{
    char x[COMPARE_TEXT], y[COMPARE_TEXT];
    if (result->verdict == COMPARE_DTYPE)
        fl_text_add(&t->text, "A is %s, B is %s", a->dtype, b->dtype);
    else if (result->verdict == COMPARE_SHAPE)
        fl_text_add(&t->text, "other shape");
    else if (result->verdict == COMPARE_HASH)
        fl_text_add(&t->text, "other hash");
    else if (result->verdict == COMPARE_ELEMENTS) {
        compare_hex(x, a, result->first);
        compare_hex(y, b, result->first);
        fl_text_add(&t->text, "%lu of %lu elements, first ", (unsigned long)result->differing,
                    (unsigned long)result->count);
        add_place(&t->text, a, result->first);
        fl_text_add(&t->text, ": %s and %s", x, y);
        add_ulp(&t->text, ", ", result->first_ulp, "");
    }
}

/* ---- for programs ---- */

static void add_json_ulp(tool *t, const char *name, uint64_t ulp)
{
    if (ulp == COMPARE_NO_ULP)
        fl_text_add(&t->json, ", \"%s\": null", name);
    else
        tool_json_u64(t, name, ulp);
}

static void add_json_side(tool *t, const char *side, const compare_array *array, size_t index)
{
    char hex[COMPARE_TEXT], decimal[COMPARE_TEXT];
    compare_hex(hex, array, index);
    compare_decimal(decimal, array, index);
    fl_text_add(&t->json, ", \"%s\": \"%s\", \"%s_decimal\": \"%s\"", side, hex, side, decimal);
}

static void add_json_elements(tool *t, const compare_array *a, const compare_array *b,
                              const compare_result *result)
{
    tool_json_u64(t, "element", result->first);
    fl_text_add(&t->json, ", \"index\": ");
    add_place(&t->json, a, result->first);
    add_json_side(t, "a", a, result->first);
    add_json_side(t, "b", b, result->first);
    add_json_ulp(t, "ulp", result->first_ulp);
    tool_json_u64(t, "differing", result->differing);
    tool_json_u64(t, "elements", result->count);
    add_json_ulp(t, "largest_ulp", result->worst_ulp);
    fl_text_add(&t->json, ", \"largest_index\": ");
    add_place(&t->json, a, result->worst);
}

static void add_json_hash(tool *t, const char *name, const compare_array *array)
{
    fl_text_add(&t->json, ", \"%s\": \"", name);
    fl_text_digest(&t->json, &array->hash);
    fl_text_add(&t->json, "\"");
}

void compare_add_json(tool *t, const compare_array *a, const compare_array *b,
                      const compare_result *result)
{
    static const char *const what[] = {"nothing", "dtype", "shape", "elements", "hash"};
    tool_json_string(t, "what", what[result->verdict]);
    tool_json_string(t, "dtype", a->dtype);
    fl_text_add(&t->json, ", \"shape\": ");
    add_shape(&t->json, a);
    if (result->verdict == COMPARE_DTYPE)
        tool_json_string(t, "b_dtype", b->dtype);
    if (result->verdict == COMPARE_SHAPE) {
        fl_text_add(&t->json, ", \"b_shape\": ");
        add_shape(&t->json, b);
    }
    if (result->verdict == COMPARE_HASH) {
        add_json_hash(t, "a_sha256", a);
        add_json_hash(t, "b_sha256", b);
    }
    if (result->verdict == COMPARE_ELEMENTS)
        add_json_elements(t, a, b, result);
}

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
    const compare_name *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    if (order != 0)
        return order;
    return x->position < y->position ? -1 : x->position > y->position;
}

const char *compare_names_sort(compare_name *names, size_t count)
{
    if (count != 0)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1].name, names[i].name) == 0)
            return names[i].name;
    return NULL;
}

size_t compare_names_find(const compare_name *names, size_t count, const char *name)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(names[middle].name, name);
        if (order == 0)
            return names[middle].position;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

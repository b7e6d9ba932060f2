/* SPDX-License-Identifier: MIT */
/* Reading and checking a trace. */
#include "trace_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fl/trace.h"
#include "../nn/hash.h"
#include "../nn/os.h"
#include "test.h"

/* ---- reading ---- */

static int by_key(const void *a, const void *b)
{
    const trace_event *x = *(const trace_event *const *)a, *y = *(const trace_event *const *)b;
    return strcmp(x->key, y->key);
}

static const char *member_text(const data_json_value *object, const char *name)
{
    const data_json_value *value = object == NULL ? NULL : data_json_member(object, name);
    return value == NULL || (value->kind != DATA_JSON_STRING && value->kind != DATA_JSON_NUMBER)
               ? ""
               : value->text;
}

static bool read_line(trace_file *file, const char *line, size_t length, size_t number)
{
    ddome_error error = {DDOME_OK, ""};
    const data_json_value *value;
    ddome_status status = data_json_parse(&error, &file->arena, &value, line, length);
    if (!test_status("a line", status, DDOME_OK, &error, NULL) ||
        !CHECK(value->kind == DATA_JSON_OBJECT))
        return false;
    if (number == 0) {
        file->arith = strcmp(member_text(value, "arith"), "fma") == 0 ? NN_ARITH_FMA : NN_ARITH_MA;
        return test_same_text("trace", member_text(value, "trace"), "ddome-trace-1") &&
               test_same_text("specification", member_text(value, "specification"), "1");
    }
    file->event[file->count] = (trace_event){member_text(value, "key"), file->count, value};
    file->sorted[file->count] = &file->event[file->count];
    file->count++;
    return true;
}

static bool read_lines(trace_file *file, const char *text, size_t size)
{
    size_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    file->event = nn_arena_alloc(&file->arena, lines, sizeof *file->event);
    file->sorted = nn_arena_alloc(&file->arena, lines, sizeof *file->sorted);
    if (!CHECK(file->event != NULL && file->sorted != NULL && size != 0 && text[size - 1] == '\n'))
        return false;
    const char *line = text;
    for (size_t i = 0; i < lines; i++) {
        const size_t length = strcspn(line, "\n");
        if (!read_line(file, line, length, i))
            return false;
        line += length + 1;
    }
    qsort(file->sorted, file->count, sizeof *file->sorted, by_key);
    return true;
}

bool trace_file_read(trace_file *file, const char *path)
{
    char beside[1200];
    unsigned char *bytes;
    size_t size;
    ddome_error error = {DDOME_OK, ""};
    ddome_status status =
        nn_os_read_file(&error, &file->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (!test_status(path, status, DDOME_OK, &error, NULL) ||
        !read_lines(file, (const char *)bytes, size))
        return false;
    snprintf(beside, sizeof beside, "%s.safetensors", path);
    if (!nn_os_exists(beside))
        return true;
    status = nn_os_read_file(&error, &file->arena, &bytes, &size, beside, DDOME_ERR_DATA);
    if (status == DDOME_OK)
        status = data_safetensors_parse(&error, &file->arena, &file->tensors, bytes, size);
    nn_os_remove(beside);
    return test_status(beside, status, DDOME_OK, &error, NULL);
}

void trace_file_free(trace_file *file)
{
    nn_arena_free(&file->arena);
}

const trace_event *trace_file_find(const trace_file *file, const char *key)
{
    const trace_event wanted = {.key = key}, *pointer = &wanted;
    const trace_event **found =
        bsearch(&pointer, file->sorted, file->count, sizeof *file->sorted, by_key);
    return found == NULL ? NULL : *found;
}

const char *trace_event_text(const trace_event *event, const char *member)
{
    return event == NULL ? "" : member_text(event->json, member);
}

const char *trace_event_input(const trace_event *event, const char *input)
{
    return event == NULL ? "" : member_text(data_json_member(event->json, "inputs"), input);
}

/* ---- checking ---- */

/* Required ones first, in this order; the others are left out where they are not needed. */
static bool check_members(const trace_event *event)
{
    static const char *const names[] = {"key",    "round", "client",     "step",  "pass",
                                        "op",     "name",  "tensor",     "dtype", "shape",
                                        "sha256", "first", "attributes", "inputs"};
    const data_json_value *member = event->json->child;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const bool optional = i == 2 || i == 3 || i > 11;
        if (member != NULL && strcmp(member->name, names[i]) == 0)
            member = member->next;
        else if (!test_check(optional, __FILE__, __LINE__, "%s: no %s", event->key, names[i]))
            return false;
    }
    return test_check(member == NULL, __FILE__, __LINE__, "%s: a member too many", event->key);
}

static bool check_key(const trace_event *event)
{
    char key[300];
    int at = snprintf(key, sizeof key, "r%s/", trace_event_text(event, "round"));
    if (data_json_member(event->json, "client") != NULL)
        at +=
            snprintf(key + at, sizeof key - (size_t)at, "c%s/", trace_event_text(event, "client"));
    if (data_json_member(event->json, "step") != NULL)
        at += snprintf(key + at, sizeof key - (size_t)at, "s%s/", trace_event_text(event, "step"));
    snprintf(key + at, sizeof key - (size_t)at, "%s/%s/%s", trace_event_text(event, "pass"),
             trace_event_text(event, "name"), trace_event_text(event, "tensor"));
    return test_same_text("key", event->key, key);
}

/* What the reader of `ddome compare` knows. */
static bool check_pass(const trace_event *event)
{
    bool known = false;
    for (size_t i = 0; i < FL_TRACE_PASSES; i++)
        known = known || strcmp(fl_trace_passes[i], trace_event_text(event, "pass")) == 0;
    return test_check(known, __FILE__, __LINE__, "%s: its pass is none of fl_trace_passes",
                      event->key);
}

static bool check_reference(const trace_file *file, const trace_event *event, const char *key)
{
    const trace_event *input = trace_file_find(file, key);
    return test_check(input != NULL && input->line < event->line, __FILE__, __LINE__,
                      "%s: its input %s is not before it", event->key, key);
}

static bool same_shape(const trace_event *a, const trace_event *b)
{
    const data_json_value *x = data_json_member(a->json, "shape")->child;
    const data_json_value *y = data_json_member(b->json, "shape")->child;
    for (; x != NULL && y != NULL && strcmp(x->text, y->text) == 0; x = x->next)
        y = y->next;
    return x == NULL && y == NULL;
}

/* dx of an operation that takes x has its shape (SPEC 19.1.2). */
static bool check_gradient(const trace_file *file, const trace_event *event)
{
    const char *tensor = trace_event_text(event, "tensor");
    const char *key = tensor[0] == 'd' ? trace_event_input(event, tensor + 1) : "";
    const trace_event *input = trace_file_find(file, key);
    return input == NULL || test_check(same_shape(event, input), __FILE__, __LINE__,
                                       "%s has not the shape of %s", event->key, key);
}

/* A key, a list of keys, or a value of its own. */
static bool check_inputs(const trace_file *file, const trace_event *event)
{
    const data_json_value *inputs = data_json_member(event->json, "inputs");
    bool ok = true;
    for (const data_json_value *in = inputs == NULL ? NULL : inputs->child; in && ok;
         in = in->next) {
        if (in->kind == DATA_JSON_STRING)
            ok = check_reference(file, event, in->text);
        else if (in->kind == DATA_JSON_ARRAY)
            for (const data_json_value *one = in->child; one && ok; one = one->next)
                ok = check_reference(file, event, one->text);
        else
            ok = CHECK(in->kind == DATA_JSON_OBJECT && data_json_member(in, "words") != NULL);
    }
    return ok;
}

static uint32_t word_of(const data_safetensor *tensor, size_t i)
{
    const unsigned char *b = tensor->bytes + 4 * i;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static bool check_first(const trace_event *event, const data_safetensor *tensor)
{
    const data_json_value *first = data_json_member(event->json, "first")->child;
    const bool whole = strcmp(tensor->dtype, "U32") == 0;
    for (size_t i = 0; i < nn_min(4, tensor->byte_count / 4); i++, first = first->next) {
        if (!CHECK(first != NULL))
            return false;
        const uint32_t word = word_of(tensor, i);
        const uint32_t shown = whole ? (uint32_t)strtoul(first->text, NULL, 10)
                                     : nn_float_bits(strtof(first->text, NULL));
        if (strcmp(first->text, "nan") != 0 && !test_same_u64(event->key, shown, word))
            return false;
    }
    return CHECK(first == NULL);
}

/* NaN has one pattern in hashes (SPEC 3.6). */
static void hash_tensor(char hex[NN_HEX_BYTES], const data_safetensor *tensor)
{
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    for (size_t i = 0; i < tensor->byte_count / 4; i++) {
        const float value = nn_float_from_bits(word_of(tensor, i));
        if (strcmp(tensor->dtype, "F32") == 0)
            nn_sha256_floats(&sha, &value, 1);
        else
            nn_sha256_bytes(&sha, tensor->bytes + 4 * i, 4);
    }
    const nn_digest digest = nn_sha256_end(&sha);
    nn_digest_hex(hex, &digest);
}

static bool check_tensor(const trace_event *event, const data_safetensor *tensor)
{
    char hex[NN_HEX_BYTES];
    const data_json_value *size = data_json_member(event->json, "shape")->child;
    uint64_t value;
    hash_tensor(hex, tensor);
    bool ok = test_same_text("sha256", trace_event_text(event, "sha256"), hex) &&
              test_same_text("dtype", trace_event_text(event, "dtype"), tensor->dtype);
    for (size_t i = 0; i < tensor->rank && ok; i++, size = size->next)
        ok = CHECK(size != NULL && data_json_u64(&value, size) && value == tensor->shape[i]);
    return ok && CHECK(size == NULL) && check_first(event, tensor);
}

void trace_file_check(const trace_file *file)
{
    bool ok = true;
    for (size_t i = 1; i < file->count && ok; i++)
        ok = test_check(by_key(&file->sorted[i - 1], &file->sorted[i]) != 0, __FILE__, __LINE__,
                        "%s stands twice", file->sorted[i]->key);
    for (size_t i = 0; i < file->count && ok; i++)
        ok = check_members(&file->event[i]) && check_key(&file->event[i]) &&
             check_pass(&file->event[i]) && check_inputs(file, &file->event[i]) &&
             check_gradient(file, &file->event[i]);
    for (size_t i = 0; i < file->tensors.count && ok; i++) {
        const trace_event *event = trace_file_find(file, file->tensors.tensor[i].name);
        ok = CHECK(event != NULL) && check_tensor(event, &file->tensors.tensor[i]);
    }
}

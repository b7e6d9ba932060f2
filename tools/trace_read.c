/* SPDX-License-Identifier: MIT */
/* Reads a trace and the tensors beside it. SPEC 19.3. */
#include <string.h>

#include "../nn/os.h"
#include "compare_trace.h"

const char *const trace_pass_names[TRACE_PASSES] = {"data",   "start",  "forward", "backward",
                                                    "update", "choose", "average", "evaluate"};

/* ---- members ---- */

static const char *text_of(const data_json_value *object, const char *name)
{
    const data_json_value *value = data_json_member(object, name);
    const bool usable =
        value != NULL && value->kind == DATA_JSON_STRING && strlen(value->text) == value->length;
    return usable ? value->text : NULL;
}

bool trace_read_form(nn_value *value, const data_json_value *object)
{
    static const char *const dtypes[] = {"F32", "F64", "U32"};
    const data_json_value *shape = data_json_member(object, "shape");
    const char *dtype = text_of(object, "dtype");
    size_t type = 0, room = 8; /* bytes of the elements fit a size_t */
    while (type < 3 && (dtype == NULL || strcmp(dtype, dtypes[type]) != 0))
        type++;
    if (type == 3 || shape == NULL || shape->kind != DATA_JSON_ARRAY ||
        shape->length > NN_VALUE_RANK)
        return false;
    value->type = (nn_value_type)type;
    value->rank = 0;
    value->count = 1;
    for (const data_json_value *at = shape->child; at != NULL; at = at->next) {
        uint64_t size;
        if (!data_json_u64(&size, at) || size > SIZE_MAX || !nn_size_mul(&room, room, (size_t)size))
            return false;
        value->shape[value->rank++] = (size_t)size;
        value->count *= (size_t)size;
    }
    return true;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++)
        if (digits[i] == c)
            return i;
    return -1;
}

static bool read_digest(nn_digest *out, const char *text)
{
    if (text == NULL || strlen(text) != NN_HEX_BYTES - 1)
        return false;
    for (size_t i = 0; i < sizeof out->byte; i++) {
        const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->byte[i] = (unsigned char)(16 * high + low);
    }
    return true;
}

/* ---- lines ---- */

static ddome_status refuse(ddome_error *error, const char *path, size_t number, const char *what)
{
    return nn_fail(error, DDOME_ERR_DATA, "%.250s:%lu: expected %s (SPEC 19.3.1)", path,
                   (unsigned long)number, what);
}

static ddome_status parse_line(ddome_error *error, nn_arena *arena, const data_json_value **out,
                               const char *path, size_t number, const char *line)
{
    ddome_error inner = {DDOME_OK, ""};
    ddome_status status = data_json_parse(&inner, arena, out, line, strlen(line));
    if (status != DDOME_OK)
        return nn_fail(error, status, "%.200s:%lu: %.250s", path, (unsigned long)number,
                       inner.text);
    if ((*out)->kind != DATA_JSON_OBJECT)
        return refuse(error, path, number, "one object a line");
    return DDOME_OK;
}

ddome_status trace_line(ddome_error *error, nn_arena *arena, const data_json_value **out,
                        const trace_file *file, const trace_event *event)
{
    return parse_line(error, arena, out, file->path, event->number, event->line);
}

static bool find_pass(trace_pass *out, const char *name)
{
    for (int i = 0; name != NULL && i < TRACE_PASSES; i++)
        if (strcmp(name, trace_pass_names[i]) == 0) {
            *out = (trace_pass)i;
            return true;
        }
    return false;
}

/* What the index keeps is copied: the tree of the line goes. */
static ddome_status take_event(ddome_error *error, nn_arena *arena, trace_event *event,
                               const char *path, const data_json_value *object)
{
    const char *key = text_of(object, "key"), *tensor = text_of(object, "tensor");
    if (key == NULL || tensor == NULL || text_of(object, "op") == NULL ||
        text_of(object, "name") == NULL)
        return refuse(error, path, event->number, "the texts key, op, name and tensor");
    if (!find_pass(&event->pass, text_of(object, "pass")))
        return refuse(error, path, event->number, "a pass such as \"forward\"");
    if (!trace_read_form(&event->value, object))
        return refuse(error, path, event->number, "dtype F32, F64 or U32 and a shape of at most 4");
    if (!read_digest(&event->value.hash, text_of(object, "sha256")))
        return refuse(error, path, event->number, "sha256 as 64 lower-case hexadecimal digits");
    event->value.hashed = true;
    event->key = nn_arena_string(arena, key);
    event->value.name = nn_arena_string(arena, tensor);
    if (event->key == NULL || event->value.name == NULL)
        return nn_arena_fail(error, arena, "trace");
    return DDOME_OK;
}

static ddome_status take_line(ddome_error *error, tool *t, nn_arena *scratch, trace_file *file,
                              const char *line, size_t number)
{
    const data_json_value *object = NULL;
    trace_event *event = &file->event[file->count];
    const nn_arena_mark mark = nn_arena_get_mark(scratch);
    memset(event, 0, sizeof *event);
    event->line = line;
    event->number = number;
    ddome_status status = parse_line(error, scratch, &object, file->path, number, line);
    if (status == DDOME_OK)
        status = take_event(error, &t->arena, event, file->path, object);
    nn_arena_rewind(scratch, mark);
    file->count += status == DDOME_OK;
    return status;
}

static ddome_status take_head(ddome_error *error, tool *t, trace_file *file, const char *line)
{
    const data_json_value *object = NULL;
    uint64_t version = 0;
    ddome_status status = parse_line(error, &t->arena, &object, file->path, 1, line);
    if (status != DDOME_OK)
        return status;
    const char *trace = text_of(object, "trace");
    const data_json_value *specification = data_json_member(object, "specification");
    file->arith = text_of(object, "arith");
    if (trace == NULL || strcmp(trace, "ddome-trace-1") != 0 || specification == NULL ||
        !data_json_u64(&version, specification) || version != DDOME_SPEC_VERSION)
        return refuse(error, file->path, 1, "\"trace\": \"ddome-trace-1\" of this specification");
    if (file->arith == NULL || (strcmp(file->arith, "ma") != 0 && strcmp(file->arith, "fma") != 0))
        return refuse(error, file->path, 1, "arith \"ma\" or \"fma\"");
    return DDOME_OK;
}

/* ---- the file ---- */

static size_t count_lines(const char *text)
{
    size_t lines = 1;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static ddome_status take_lines(ddome_error *error, tool *t, nn_arena *scratch, trace_file *file,
                               char *text)
{
    ddome_status status = DDOME_OK;
    file->event = nn_arena_alloc(&t->arena, count_lines(text), sizeof *file->event);
    if (file->event == NULL)
        return nn_arena_fail(error, &t->arena, "trace");
    for (size_t number = 1; status == DDOME_OK && *text != '\0'; number++) {
        char *end = text + strcspn(text, "\n");
        char *next = *end == '\0' ? end : end + 1;
        *end = '\0';
        status = number == 1 ? take_head(error, t, file, text)
                             : take_line(error, t, scratch, file, text, number);
        text = next;
    }
    return status;
}

static ddome_status index_keys(ddome_error *error, tool *t, trace_file *file)
{
    file->names = nn_arena_alloc(&t->arena, file->count, sizeof *file->names);
    if (file->names == NULL)
        return nn_arena_fail(error, &t->arena, "keys of the trace");
    for (size_t i = 0; i < file->count; i++) {
        file->names[i].name = file->event[i].key;
        file->names[i].position = i;
    }
    const char *twice = compare_names_sort(file->names, file->count);
    return twice == NULL
               ? DDOME_OK
               : nn_fail(error, DDOME_ERR_DATA,
                         "%.200s: expected each key once, found %.200s twice", file->path, twice);
}

static ddome_status read_tensors(ddome_error *error, tool *t, trace_file *file)
{
    unsigned char *bytes;
    size_t size;
    ddome_error inner = {DDOME_OK, ""};
    const char *path = compare_format(t, "%s.safetensors", file->path);
    if (path == NULL)
        return nn_arena_fail(error, &t->arena, "paths");
    if (!nn_os_exists(path))
        return DDOME_OK;
    ddome_status status = nn_os_read_file(error, &t->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    status = data_safetensors_parse(&inner, &t->arena, &file->tensors, bytes, size);
    if (status != DDOME_OK)
        return nn_fail(error, status, "%.200s: %.250s", path, inner.text);
    file->tensor_names = nn_arena_alloc(&t->arena, file->tensors.count, sizeof *file->tensor_names);
    if (file->tensor_names == NULL)
        return nn_arena_fail(error, &t->arena, "tensors");
    for (size_t i = 0; i < file->tensors.count; i++) {
        file->tensor_names[i].name = file->tensors.tensor[i].name;
        file->tensor_names[i].position = i;
    }
    (void)compare_names_sort(file->tensor_names, file->tensors.count);
    return DDOME_OK;
}

const data_safetensor *trace_tensor(const trace_file *file, const char *key)
{
    const size_t at = compare_names_find(file->tensor_names, file->tensors.count, key);
    return at == SIZE_MAX ? NULL : &file->tensors.tensor[at];
}

ddome_status trace_read(ddome_error *error, tool *t, trace_file *out, const char *path)
{
    unsigned char *bytes;
    size_t size;
    nn_arena scratch;
    memset(out, 0, sizeof *out);
    memset(&scratch, 0, sizeof scratch);
    out->path = path;
    ddome_status status = nn_os_read_file(error, &t->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK && memchr(bytes, 0, size) != NULL)
        status = nn_fail(error, DDOME_ERR_DATA, "%.300s: expected text, found a NUL", path);
    if (status == DDOME_OK)
        status = take_lines(error, t, &scratch, out, (char *)bytes);
    nn_arena_free(&scratch);
    if (status == DDOME_OK)
        status = index_keys(error, t, out);
    return status == DDOME_OK ? read_tensors(error, t, out) : status;
}

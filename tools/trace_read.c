/* SPDX-License-Identifier: MIT */
/* Reads a trace and the tensors beside it. SPEC 19.3. */
#include <string.h>

#include "../nn/os.h"
#include "compare_trace.h"

static const char *text_of(const data_json_value *object, const char *name)
{
    return data_value_text(data_json_member(object, name));
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

static bool find_pass(size_t *out, const char *name)
{
    for (size_t i = 0; name != NULL && i < FL_TRACE_PASSES; i++)
        if (strcmp(name, fl_trace_passes[i]) == 0) {
            *out = i;
            return true;
        }
    return false;
}

/* A line under way: those of the second trace may leave to A what is the same. */
typedef struct reading {
    ddome_error *error;
    tool *t;
    trace_file *file;
    const trace_file *like;
    nn_arena scratch; /* the tree of one line */
} reading;

/* op, pass and tensor: of the line, else of the other trace; false: of neither. What is kept is
 * copied: the tree of the line goes. */
static bool take_labels(const reading *r, trace_event *event, const trace_event *other,
                        const data_json_value *object)
{
    const char *tensor = text_of(object, "tensor"), *op = text_of(object, "op");
    const char *pass = text_of(object, "pass");
    if (other == NULL && (tensor == NULL || op == NULL || text_of(object, "name") == NULL))
        return false;
    if (other != NULL) {
        const bool same = (tensor == NULL || strcmp(tensor, other->value.name) == 0) &&
                          (op == NULL || strcmp(op, other->op) == 0) &&
                          (pass == NULL || strcmp(pass, fl_trace_passes[other->pass]) == 0);
        if (!same && r->file->relabelled++ == 0)
            r->file->relabelled_key = other->key;
        event->pass = other->pass;
        event->op = other->op;
        event->value.name = other->value.name;
        return true;
    }
    event->op = nn_arena_string(&r->t->arena, op);
    event->value.name = nn_arena_string(&r->t->arena, tensor);
    return true;
}

/* dtype and shape, alike. */
static bool take_form(trace_event *event, const trace_event *other, const data_json_value *object)
{
    const data_json_value *dtype = data_json_member(object, "dtype");
    const data_json_value *shape = data_json_member(object, "shape");
    nn_value form = event->value;
    if (other != NULL) {
        form = other->value;
        form.name = event->value.name;
    }
    if ((other == NULL || dtype != NULL) && !data_value_read_type(&form.type, dtype))
        return false;
    if ((other == NULL || shape != NULL) && !data_value_read_shape(&form, shape))
        return false;
    event->value = form;
    return true;
}

static ddome_status take_event(const reading *r, trace_event *event, const data_json_value *object)
{
    const char *key = text_of(object, "key"), *path = r->file->path;
    const size_t number = event->number;
    if (key == NULL)
        return refuse(r->error, path, number, "the texts key, op, name and tensor");
    const trace_event *other = r->like == NULL ? NULL : trace_find(r->like, key);
    const bool alone = r->like != NULL && other == NULL; /* only counted */
    if (!alone && !take_labels(r, event, other, object))
        return refuse(r->error, path, number, "the texts key, op, name and tensor");
    size_t pass = event->pass;
    if ((r->like == NULL || data_json_member(object, "pass") != NULL) &&
        !find_pass(&pass, text_of(object, "pass")))
        return refuse(r->error, path, number, "a pass such as \"forward\"");
    if (!alone && !take_form(event, other, object))
        return refuse(r->error, path, number, "dtype F32, F64 or U32 and a shape of at most 4");
    if (!data_value_read_digest(&event->value.hash, data_json_member(object, "sha256")))
        return refuse(r->error, path, number, "sha256 as 64 lower-case hexadecimal digits");
    event->pass = other == NULL ? pass : other->pass;
    event->value.hashed = true;
    event->key = nn_arena_string(&r->t->arena, key);
    if (event->key == NULL || (!alone && (event->value.name == NULL || event->op == NULL)))
        return nn_arena_fail(r->error, &r->t->arena, "trace");
    return DDOME_OK;
}

static ddome_status take_line(reading *r, const char *line, size_t number)
{
    const data_json_value *object = NULL;
    trace_event *event = &r->file->event[r->file->count];
    const nn_arena_mark mark = nn_arena_get_mark(&r->scratch);
    memset(event, 0, sizeof *event);
    event->line = line;
    event->number = number;
    ddome_status status = parse_line(r->error, &r->scratch, &object, r->file->path, number, line);
    if (status == DDOME_OK)
        status = take_event(r, event, object);
    nn_arena_rewind(&r->scratch, mark);
    r->file->count += status == DDOME_OK;
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

/* Lines that may be events: one that is shorter than its hash is refused, so that memory is bounded
 * by the file's size. */
static size_t count_events(const char *text)
{
    enum { LEAST = NN_HEX_BYTES - 1 };
    size_t events = 1; /* the line that is being taken has room, too */
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        events += length > LEAST;
        text += length + (text[length] != '\0');
    }
    return events;
}

static ddome_status take_lines(reading *r, char *text)
{
    trace_file *file = r->file;
    ddome_status status = DDOME_OK;
    file->event = nn_arena_alloc(&r->t->arena, count_events(text), sizeof *file->event);
    if (file->event == NULL)
        return nn_arena_fail(r->error, &r->t->arena, "trace");
    for (size_t number = 1; status == DDOME_OK && *text != '\0'; number++) {
        char *end = text + strcspn(text, "\n");
        char *next = *end == '\0' ? end : end + 1;
        *end = '\0';
        status = number == 1 ? take_head(r->error, r->t, file, text) : take_line(r, text, number);
        text = next;
    }
    if (status == DDOME_OK && file->arith == NULL)
        status = refuse(r->error, file->path, 1, "the line that opens a trace");
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
    const char *path = compare_format(t, "%s.safetensors", file->path);
    if (path == NULL)
        return nn_arena_fail(error, &t->arena, "paths");
    if (!nn_os_exists(path))
        return DDOME_OK;
    ddome_status status = data_safetensors_read_file(error, &t->arena, &file->tensors, path);
    if (status != DDOME_OK)
        return status;
    file->tensor_names = nn_arena_alloc(&t->arena, file->tensors.count, sizeof *file->tensor_names);
    file->foreign_tensor = nn_arena_zero(&t->arena, file->tensors.count, sizeof(bool));
    if (file->tensor_names == NULL || file->foreign_tensor == NULL)
        return nn_arena_fail(error, &t->arena, "tensors");
    for (size_t i = 0; i < file->tensors.count; i++) {
        file->tensor_names[i].name = file->tensors.tensor[i].name;
        file->tensor_names[i].position = i;
    }
    (void)compare_names_sort(file->tensor_names, file->tensors.count);
    return DDOME_OK;
}

ddome_status trace_read(ddome_error *error, tool *t, trace_file *out, const char *path,
                        const trace_file *like)
{
    unsigned char *bytes;
    size_t size;
    reading r = {.error = error, .t = t, .file = out, .like = like};
    memset(out, 0, sizeof *out);
    out->path = path;
    r.scratch.fail_after = t->arena.fail_after;
    ddome_status status = nn_os_read_file(error, &t->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK && memchr(bytes, 0, size) != NULL)
        status = nn_fail(error, DDOME_ERR_DATA, "%.300s: expected text, found a NUL", path);
    if (status == DDOME_OK)
        status = take_lines(&r, (char *)bytes);
    nn_arena_free(&r.scratch);
    if (status == DDOME_OK)
        status = index_keys(error, t, out);
    return status == DDOME_OK ? read_tensors(error, t, out) : status;
}

/* ---- what is read from it ---- */

trace_event *trace_find(const trace_file *file, const char *key)
{
    const size_t at = compare_names_find(file->names, file->count, key);
    return at == SIZE_MAX ? NULL : &file->event[at];
}

/* Asked before memory is: a line may claim any shape, a tensor has its bytes. */
static const data_safetensor *tensor_of(const trace_file *file, const trace_event *event)
{
    const size_t at = compare_names_find(file->tensor_names, file->tensors.count, event->key);
    const data_safetensor *tensor = at == SIZE_MAX ? NULL : &file->tensors.tensor[at];
    const nn_value *form = &event->value;
    if (tensor == NULL || strcmp(tensor->dtype, data_value_dtype(form->type)) != 0 ||
        tensor->byte_count / data_value_width(form->type) != form->count)
        return NULL;
    return tensor;
}

ddome_status trace_elements(ddome_error *error, nn_arena *arena, const void **out, trace_file *file,
                            const trace_event *event)
{
    nn_value value = event->value;
    const data_safetensor *tensor = tensor_of(file, event);
    const nn_arena_mark mark = nn_arena_get_mark(arena);
    if (tensor == NULL)
        return DDOME_OK;
    void *elements = nn_arena_alloc(arena, value.count, data_value_width(value.type));
    if (elements == NULL)
        return nn_arena_fail(error, arena, "tensors");
    data_value_read_tensor(elements, value.type, tensor);
    data_value_set(&value, elements);
    value.hashed = false;
    const nn_digest found = nn_value_hash(&value);
    if (memcmp(&found, &event->value.hash, sizeof found) == 0) {
        *out = elements;
        return DDOME_OK;
    }
    nn_arena_rewind(arena, mark);
    bool *foreign = &file->foreign_tensor[tensor - file->tensors.tensor];
    file->foreign += !*foreign; /* --explain looks a second time */
    *foreign = true;
    return DDOME_OK;
}

/* ---- how to see more ---- */

static void add_key(fl_text *pattern, const char *key)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-*?";
    fl_text_add(pattern, "%s", pattern->length == 0 ? "" : ",");
    for (; *key != '\0'; key++)
        fl_text_add(pattern, "%c", strchr(plain, *key) != NULL ? *key : '?');
}

void trace_add_wanted(fl_text *text, fl_text *pattern, const trace_event *event,
                      const data_json_value *line)
{
    const data_json_value *inputs = data_json_member(line, "inputs");
    const int round = event->key[0] != 'r' ? 0 : (int)strspn(event->key + 1, "0123456789");
    add_key(pattern, event->key);
    if (inputs != NULL && inputs->kind != DATA_JSON_OBJECT)
        inputs = NULL;
    for (const data_json_value *at = inputs == NULL ? NULL : inputs->child; at != NULL;
         at = at->next) {
        const data_json_value *key = at->kind == DATA_JSON_ARRAY ? at->child : at;
        for (; key != NULL; key = at->kind == DATA_JSON_ARRAY ? key->next : NULL)
            if (data_value_text(key) != NULL)
                add_key(pattern, key->text);
    }
    fl_text_add(text, "trace again with ");
    if (round > 0)
        fl_text_add(text, "--trace-rounds %.*s-%.*s ", round, event->key + 1, round,
                    event->key + 1);
    fl_text_add(text, "--trace-tensors '%s'", pattern->data == NULL ? "" : pattern->data);
    text->failed = text->failed || pattern->failed;
}

/* SPDX-License-Identifier: MIT */
/* Reader of safetensors files: u64 n, n bytes of JSON, the data without a hole. SPEC 17.4.
 *
 * It trusts nothing: sizes and offsets stay 64-bit integers until check_layout has proved that they
 * lie in the file; only then one becomes a size_t or a pointer.
 */
#include "safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nn/os.h"

/* The limit of the format on the bytes of a header (SPEC 17.4.1); a multiple of 8. */
#define HEADER_MAX 100000000u

enum { PREFIX_BYTES = 8, LABEL_BYTES = 64 };

typedef struct dtype {
    const char *name;
    unsigned bits;
} dtype;

/* SPEC 17.4.4, in the order of the format's own list. */
static const dtype dtypes[] = {
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
};

/* A tensor whose offsets are not yet known to lie in the file. */
typedef struct entry {
    data_safetensor tensor;
    uint64_t begin, end;
} entry;

/* The start of a name in quotes, kept to one line of ASCII for an error. */
static void make_label(char label[LABEL_BYTES], const char *text, size_t length)
{
    size_t n = 0;
    label[n++] = '"';
    for (size_t i = 0; i < length && n < LABEL_BYTES - 2; i++)
        label[n++] = text[i] >= ' ' && text[i] < 0x7F ? text[i] : '?';
    label[n++] = '"';
    label[n] = 0;
}

static void describe(char found[LABEL_BYTES], const data_json_value *value)
{
    static const char *const kinds[] = {"null", "a boolean", "", "", "an array of", "an object of"};
    if (value == NULL)
        snprintf(found, LABEL_BYTES, "none");
    else if (value->kind == DATA_JSON_NUMBER)
        snprintf(found, LABEL_BYTES, "%.24s", value->text);
    else if (value->kind == DATA_JSON_STRING)
        make_label(found, value->text, value->length);
    else if (value->kind == DATA_JSON_ARRAY || value->kind == DATA_JSON_OBJECT)
        snprintf(found, LABEL_BYTES, "%s %zu", kinds[value->kind], value->length);
    else
        snprintf(found, LABEL_BYTES, "%s", kinds[value->kind]);
}

static ddome_status refuse(ddome_error *error, const data_json_value *member, const char *expected,
                           const data_json_value *value)
{
    char name[LABEL_BYTES], found[LABEL_BYTES];
    make_label(name, member->name, member->name_length);
    describe(found, value);
    return nn_fail(error, DDOME_ERR_DATA, "safetensors: %s: expected %s, found %s (SPEC 17.4.3)",
                   name, expected, found);
}

static const dtype *find_dtype(const data_json_value *value)
{
    if (value == NULL || value->kind != DATA_JSON_STRING)
        return NULL;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strlen(dtypes[i].name) == value->length &&
            memcmp(dtypes[i].name, value->text, value->length) == 0)
            return &dtypes[i];
    return NULL;
}

/* An array of at most `room` plain integers. */
static bool read_integers(uint64_t *out, size_t *count, const data_json_value *value, size_t room)
{
    if (value == NULL || value->kind != DATA_JSON_ARRAY || value->length > room)
        return false;
    size_t i = 0;
    for (const data_json_value *v = value->child; v != NULL; v = v->next)
        if (!data_json_u64(&out[i++], v))
            return false;
    *count = i;
    return true;
}

/* What an error shows: of an array the first element that is no plain integer, if there is one. */
static const data_json_value *culprit(const data_json_value *value)
{
    uint64_t ignored;
    if (value == NULL || value->kind != DATA_JSON_ARRAY)
        return value;
    for (const data_json_value *v = value->child; v != NULL; v = v->next)
        if (!data_json_u64(&ignored, v))
            return v;
    return value;
}

/* a * b <= 2^64-1; a zero to the left hides what follows it, as in the official reader. */
static bool multiply(uint64_t *a, uint64_t b)
{
    if (b != 0 && *a > UINT64_MAX / b)
        return false;
    *a *= b;
    return true;
}

static bool count_bits(uint64_t *bits, const data_safetensor *tensor, unsigned bits_each)
{
    *bits = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        if (!multiply(bits, tensor->shape[i]))
            return false;
    return multiply(bits, bits_each);
}

/* dtype, shape and offsets must name the same whole number of bytes. */
static ddome_status check_size(ddome_error *error, const entry *e, const data_json_value *member,
                               const dtype *type)
{
    char name[LABEL_BYTES];
    uint64_t bits;
    make_label(name, member->name, member->name_length);
    if (!count_bits(&bits, &e->tensor, type->bits))
        return nn_fail(error, DDOME_ERR_DATA,
                       "safetensors: %s: expected a size below 2^64 bits, found more (SPEC 17.4.4)",
                       name);
    if (bits % 8 != 0)
        return nn_fail(error, DDOME_ERR_DATA,
                       "safetensors: %s: expected whole bytes, found %" PRIu64
                       " bits (SPEC 17.4.4)",
                       name, bits);
    if (e->end < e->begin || e->end - e->begin != bits / 8)
        return nn_fail(error, DDOME_ERR_DATA,
                       "safetensors: %s: expected %" PRIu64 " bytes, found data_offsets [%" PRIu64
                       ",%" PRIu64 "] (SPEC 17.4.5)",
                       name, bits / 8, e->begin, e->end);
    return DDOME_OK;
}

static ddome_status read_offsets(ddome_error *error, entry *e, const data_json_value *member)
{
    const data_json_value *value = data_json_member(member, "data_offsets");
    uint64_t offsets[2];
    size_t count = 0;
    if (!read_integers(offsets, &count, value, 2) || count != 2)
        return refuse(error, member, "as data_offsets 2 integers of 0..2^64-1", culprit(value));
    e->begin = offsets[0];
    e->end = offsets[1];
    return DDOME_OK;
}

/* A shape of any rank: its eight bytes a size are less than the JSON values took, and those are
 * bounded by the length of the header. */
static ddome_status read_shape(ddome_error *error, nn_arena *arena, data_safetensor *tensor,
                               const data_json_value *member)
{
    const data_json_value *value = data_json_member(member, "shape");
    size_t room = value != NULL && value->kind == DATA_JSON_ARRAY ? value->length : 0;
    uint64_t *shape = nn_arena_alloc(arena, room, sizeof *shape);
    if (shape == NULL)
        return nn_arena_fail(error, arena, "the shape of a safetensors file's tensor");
    if (!read_integers(shape, &tensor->rank, value, room))
        return refuse(error, member, "as shape integers of 0..2^64-1", culprit(value));
    tensor->shape = shape;
    return DDOME_OK;
}

/* Member names are distinct, so three known ones among three leave no room for a fourth. */
static ddome_status read_entry(ddome_error *error, nn_arena *arena, entry *e,
                               const data_json_value *member)
{
    const data_json_value *dtype_value = data_json_member(member, "dtype");
    const dtype *type = find_dtype(dtype_value);
    if (member->kind != DATA_JSON_OBJECT)
        return refuse(error, member, "an object", member);
    if (type == NULL)
        return refuse(error, member, "a dtype of SPEC 17.4.4", dtype_value);
    ddome_status status = read_shape(error, arena, &e->tensor, member);
    if (status == DDOME_OK)
        status = read_offsets(error, e, member);
    if (status == DDOME_OK && member->length != 3)
        status = refuse(error, member, "only dtype, shape and data_offsets", member);
    if (status == DDOME_OK)
        status = check_size(error, e, member, type);
    e->tensor.name = member->name;
    e->tensor.dtype = type->name;
    return status;
}

static ddome_status check_metadata(ddome_error *error, const data_json_value *member)
{
    if (member->kind != DATA_JSON_OBJECT)
        return refuse(error, member, "an object of strings", member);
    for (const data_json_value *v = member->child; v != NULL; v = v->next)
        if (v->kind != DATA_JSON_STRING)
            return refuse(error, member, "only strings", v);
    return DDOME_OK;
}

static bool is_metadata(const data_json_value *member)
{
    static const char name[] = "__metadata__";
    return member->name_length == sizeof name - 1 &&
           memcmp(member->name, name, sizeof name - 1) == 0;
}

/* A NUL would end the name early for C and make two names one. */
static ddome_status check_name(ddome_error *error, const data_json_value *member)
{
    char name[LABEL_BYTES];
    make_label(name, member->name, member->name_length);
    if (strlen(member->name) == member->name_length)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_DATA,
                   "safetensors: %s: expected a name without NUL, found one at byte %zu "
                   "(SPEC 17.4.3)",
                   name, strlen(member->name));
}

static ddome_status read_entries(ddome_error *error, nn_arena *arena, entry *entries, size_t *count,
                                 const data_json_value *header)
{
    ddome_status status = DDOME_OK;
    size_t n = 0;
    for (const data_json_value *m = header->child; m != NULL && status == DDOME_OK; m = m->next) {
        if (is_metadata(m)) {
            status = check_metadata(error, m);
            continue;
        }
        status = check_name(error, m);
        if (status == DDOME_OK)
            status = read_entry(error, arena, &entries[n++], m);
    }
    *count = n;
    return status;
}

/* A total order, so that the result never depends on the sort: an empty tensor comes before the
 * one that begins at the same place. */
static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

/* After it begin <= end <= data_bytes for every entry: each begins where the one before ended, and
 * the last ends with the file. */
static ddome_status check_layout(ddome_error *error, const entry *entries, size_t count,
                                 uint64_t data_bytes)
{
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        char name[LABEL_BYTES];
        make_label(name, entries[i].tensor.name, strlen(entries[i].tensor.name));
        if (entries[i].begin != at)
            return nn_fail(error, DDOME_ERR_DATA,
                           "safetensors: %s: expected to begin at %" PRIu64 ", found %" PRIu64
                           " (SPEC 17.4.5)",
                           name, at, entries[i].begin);
        at = entries[i].end;
    }
    if (at == data_bytes)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_DATA,
                   "safetensors: expected %" PRIu64 " bytes of data, found %" PRIu64
                   " (SPEC 17.4.5)",
                   at, data_bytes);
}

/* The byte count of the header in a file of `count` bytes, or a reason why there is none. */
static ddome_status read_prefix(ddome_error *error, size_t *header_bytes,
                                const unsigned char *bytes, uint64_t count)
{
    uint64_t n = 0;
    if (count < PREFIX_BYTES)
        return nn_fail(error, DDOME_ERR_DATA,
                       "safetensors: expected a file of 8 bytes at least, found %" PRIu64
                       " (SPEC 17.4.1)",
                       count);
    for (int i = PREFIX_BYTES - 1; i >= 0; i--)
        n = n << 8 | bytes[i];
    if (n > HEADER_MAX || n > count - PREFIX_BYTES)
        return nn_fail(error, DDOME_ERR_DATA,
                       "safetensors: expected a header of at most %" PRIu64 " bytes, found %" PRIu64
                       " (SPEC 17.4.1)",
                       count - PREFIX_BYTES < HEADER_MAX ? count - PREFIX_BYTES : HEADER_MAX, n);
    *header_bytes = (size_t)n;
    return DDOME_OK;
}

static ddome_status read_header(ddome_error *error, nn_arena *arena, const data_json_value **header,
                                const unsigned char *bytes, size_t count)
{
    ddome_error reason = {DDOME_OK, ""};
    const data_json_value *value = NULL;
    ddome_status status = data_json_parse(&reason, arena, &value, (const char *)bytes, count);
    if (status == DDOME_ERR_DATA)
        return nn_fail(error, status, "safetensors: header (from byte 8 on): %s (SPEC 17.4.2)",
                       reason.text);
    if (status != DDOME_OK)
        return nn_fail(error, status, "%s", reason.text);
    if (value->kind != DATA_JSON_OBJECT)
        return nn_fail(error, DDOME_ERR_DATA,
                       "safetensors: header: expected a JSON object (SPEC 17.4.2)");
    *header = value;
    return DDOME_OK;
}

/* The entries turned into tensors: the data begin at byte data_at of the file, and at `data`,
 * unless that is NULL. */
static ddome_status finish(ddome_error *error, nn_arena *arena, data_safetensors *out,
                           const entry *entries, size_t count, size_t data_at,
                           const unsigned char *data)
{
    data_safetensor *tensor = nn_arena_alloc(arena, count, sizeof *tensor);
    if (tensor == NULL)
        return nn_arena_fail(error, arena, "tensors of a safetensors file");
    for (size_t i = 0; i < count; i++) {
        tensor[i] = entries[i].tensor;
        tensor[i].at = data_at + entries[i].begin;
        tensor[i].bytes = data == NULL ? NULL : data + (size_t)entries[i].begin;
        tensor[i].byte_count = (size_t)(entries[i].end - entries[i].begin);
        if (tensor[i].byte_count != entries[i].end - entries[i].begin)
            return nn_fail(error, DDOME_ERR_MEMORY,
                           "safetensors: a tensor is larger than the memory of this machine");
    }
    *out = (data_safetensors){.tensor = tensor, .count = count};
    return DDOME_OK;
}

/* The header is bytes[header_bytes], in a file of file_bytes. */
static ddome_status parse(ddome_error *error, nn_arena *arena, data_safetensors *out,
                          const unsigned char *bytes, size_t header_bytes, uint64_t file_bytes,
                          const unsigned char *data)
{
    const size_t data_at = PREFIX_BYTES + header_bytes;
    size_t entry_count = 0;
    const data_json_value *header = NULL;
    ddome_status status = read_header(error, arena, &header, bytes, header_bytes);
    if (status != DDOME_OK)
        return status;
    entry *entries = nn_arena_zero(arena, header->length, sizeof *entries);
    if (entries == NULL)
        return nn_arena_fail(error, arena, "entries of a safetensors file");
    status = read_entries(error, arena, entries, &entry_count, header);
    if (status != DDOME_OK)
        return status;
    qsort(entries, entry_count, sizeof *entries, compare_entries);
    status = check_layout(error, entries, entry_count, file_bytes - data_at);
    if (status == DDOME_OK)
        status = finish(error, arena, out, entries, entry_count, data_at, data);
    return status;
}

ddome_status data_safetensors_parse(ddome_error *error, nn_arena *arena, data_safetensors *out,
                                    const unsigned char *bytes, size_t count)
{
    size_t header_bytes = 0;
    nn_arena_mark mark = nn_arena_get_mark(arena);
    ddome_status status = read_prefix(error, &header_bytes, bytes, count);
    if (status == DDOME_OK)
        status = parse(error, arena, out, bytes + PREFIX_BYTES, header_bytes, count,
                       bytes + PREFIX_BYTES + header_bytes);
    if (status != DDOME_OK)
        nn_arena_rewind(arena, mark);
    return status;
}

/* The parser does not know the file. */
static ddome_status in_file(ddome_error *error, ddome_status status, const char *path,
                            const ddome_error *reason)
{
    return status == DDOME_OK ? status
                              : nn_fail(error, status, "%.200s: %.300s", path, reason->text);
}

/* Where the header of a file on the disk ends. */
static ddome_status find_header(ddome_error *error, size_t *header_bytes, uint64_t *size,
                                const char *path)
{
    unsigned char prefix[PREFIX_BYTES] = {0};
    ddome_error reason = {DDOME_OK, ""};
    ddome_status status = nn_os_file_size(error, size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK && *size >= PREFIX_BYTES)
        status = nn_os_read_part(error, prefix, PREFIX_BYTES, path, 0);
    if (status != DDOME_OK)
        return status;
    status = read_prefix(&reason, header_bytes, prefix, *size);
    return in_file(error, status, path, &reason);
}

static ddome_status parse_file(ddome_error *error, nn_arena *arena, data_safetensors *out,
                               const char *path)
{
    ddome_error reason = {DDOME_OK, ""};
    size_t header_bytes = 0;
    uint64_t size = 0;
    ddome_status status = find_header(error, &header_bytes, &size, path);
    if (status != DDOME_OK)
        return status;
    unsigned char *header = nn_arena_alloc(arena, header_bytes, 1);
    if (header == NULL)
        return nn_arena_fail(error, arena, path);
    status = nn_os_read_part(error, header, header_bytes, path, PREFIX_BYTES);
    if (status != DDOME_OK)
        return status;
    status = parse(&reason, arena, out, header, header_bytes, size, NULL);
    out->path = path;
    return in_file(error, status, path, &reason);
}

ddome_status data_safetensors_open_file(ddome_error *error, nn_arena *arena, data_safetensors *out,
                                        const char *path)
{
    data_safetensors made;
    const nn_arena_mark mark = nn_arena_get_mark(arena);
    const ddome_status status = parse_file(error, arena, &made, path);
    if (status == DDOME_OK)
        *out = made;
    else
        nn_arena_rewind(arena, mark);
    return status;
}

ddome_status data_safetensors_read(ddome_error *error, const data_safetensors *file,
                                   const data_safetensor *tensor, size_t first,
                                   unsigned char *bytes, size_t count)
{
    if (file->path != NULL)
        return nn_os_read_part(error, bytes, count, file->path, tensor->at + first);
    if (count != 0)
        memcpy(bytes, tensor->bytes + first, count);
    return DDOME_OK;
}

const data_safetensor *data_safetensors_find(const data_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            return &file->tensor[i];
    return NULL;
}

ddome_status data_safetensors_read_file(ddome_error *error, nn_arena *arena, data_safetensors *out,
                                        const char *path)
{
    unsigned char *bytes;
    size_t size;
    ddome_error reason = {DDOME_OK, ""};
    ddome_status status = nn_os_read_file(error, arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    status = data_safetensors_parse(&reason, arena, out, bytes, size);
    return in_file(error, status, path, &reason);
}

/* SPDX-License-Identifier: MIT */
/* One value: dtype, shape, and its elements as words, as a tensor of a file beside, or by their
 * hash alone. SPEC 19.1.1. */
#include <string.h>

#include "../nn/os.h"
#include "vectors_private.h"

typedef struct value_type {
    const char *dtype;
    nn_value_type type;
    size_t bytes;
} value_type;

static const value_type types[] = {
    {"F32", NN_VALUE_F32, 4}, {"F64", NN_VALUE_F64, 8}, {"U32", NN_VALUE_U32, 4}};

static ddome_status no_memory(const data_vectors_reader *r)
{
    return nn_arena_fail(r->error, r->arena, "a value of a vector");
}

/* ---- dtype and shape ---- */

static const value_type *find_type(const data_json_value *value)
{
    const char *text;
    if (!data_vectors_text(&text, value))
        return NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].dtype, text) == 0)
            return &types[i];
    return NULL;
}

/* count * bytes fits a size_t, too. */
static bool read_shape(nn_value *out, const data_json_value *value, size_t bytes)
{
    size_t total = bytes;
    if (value == NULL || value->kind != DATA_JSON_ARRAY || value->length > NN_VALUE_RANK)
        return false;
    out->count = 1;
    for (const data_json_value *v = value->child; v != NULL; v = v->next) {
        uint64_t size;
        if (!data_json_u64(&size, v) || size > SIZE_MAX ||
            !nn_size_mul(&total, total, (size_t)size))
            return false;
        out->shape[out->rank++] = (size_t)size;
        out->count *= (size_t)size;
    }
    return true;
}

/* ---- words ---- */

/* `digits` lower-case hexadecimal digits. */
static bool read_hex(uint64_t *out, const char *text, size_t digits)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        const char c = text[i];
        const bool number = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!number && !letter)
            return false;
        bits = bits << 4 | (uint64_t)(number ? c - '0' : c - 'a' + 10);
    }
    *out = bits;
    return true;
}

/* Decimal below 2^32 without a leading zero. */
static bool read_decimal(uint64_t *out, const char *text, size_t digits)
{
    uint64_t sum = 0;
    if (digits == 0 || digits > 10 || (text[0] == '0' && digits > 1))
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(text[i] - '0');
    }
    *out = sum;
    return sum <= UINT32_MAX;
}

/* Element i becomes these bits, as bytes: some processors change a NaN in a register. */
static void store(void *elements, nn_value_type type, size_t i, uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    if (type == NN_VALUE_F64)
        memcpy((double *)elements + i, &bits, sizeof bits);
    else
        memcpy((uint32_t *)elements + i, &low, sizeof low);
}

/* Exactly `count` words, one space between. */
static bool read_words(void *elements, const value_type *type, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        const size_t digits = strcspn(text, " ");
        const bool decimal = type->type == NN_VALUE_U32;
        if (!(decimal ? read_decimal(&bits, text, digits)
                      : digits == 2 * type->bytes && read_hex(&bits, text, digits)))
            return false;
        store(elements, type->type, i, bits);
        text += digits;
        if (i + 1 < count && *text++ != ' ')
            return false;
    }
    return *text == '\0';
}

static ddome_status take_words(const data_vectors_reader *r, const void **elements,
                               const nn_value *value, const value_type *type,
                               const data_json_value *words)
{
    const char *text;
    /* each word but the last takes two bytes at least, so the text bounds what is asked for */
    if (!data_vectors_text(&text, words) || value->count > strlen(text) / 2 + 1)
        return data_vectors_refuse(r, value->name, "as words as many as its shape has", words);
    void *out = nn_arena_alloc(r->arena, value->count, type->bytes);
    if (out == NULL)
        return no_memory(r);
    if (!read_words(out, type, text, value->count))
        return data_vectors_refuse(
            r, value->name, "words of its dtype, one space apart, as many as its shape has", words);
    *elements = out;
    return DDOME_OK;
}

/* ---- tensors ---- */

/* Only a file of the same folder, so that a vector never names another one. */
static bool plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strpbrk(name, "/\\") == NULL;
}

static ddome_status load(data_vectors_reader *r, data_companion *companion, const char *name)
{
    unsigned char *bytes;
    size_t size;
    char *path = nn_arena_alloc(r->arena, r->folder + strlen(name) + 1, 1);
    if (path == NULL)
        return no_memory(r);
    memcpy(path, r->path, r->folder);
    memcpy(path + r->folder, name, strlen(name) + 1);
    ddome_status status = nn_os_read_file(r->error, r->arena, &bytes, &size, path, DDOME_ERR_DATA);
    ddome_error reason = {DDOME_OK, ""};
    if (status == DDOME_OK) {
        status = data_safetensors_parse(&reason, r->arena, &companion->tensors, bytes, size);
        if (status != DDOME_OK) /* the parser does not know the file */
            status = nn_fail(r->error, status, "%.200s: %.300s", path, reason.text);
    }
    if (status != DDOME_OK)
        return status;
    companion->elements =
        nn_arena_zero(r->arena, companion->tensors.count, sizeof *companion->elements);
    return companion->elements == NULL ? no_memory(r) : DDOME_OK;
}

static ddome_status find_companion(data_vectors_reader *r, data_companion **out, const char *name)
{
    for (data_companion *c = r->companions; c != NULL; c = c->next)
        if (strcmp(c->name, name) == 0) {
            *out = c;
            return DDOME_OK;
        }
    data_companion *companion = nn_arena_zero(r->arena, 1, sizeof *companion);
    if (companion == NULL)
        return no_memory(r);
    companion->name = name;
    ddome_status status = load(r, companion, name);
    companion->next = r->companions;
    if (status == DDOME_OK)
        r->companions = *out = companion;
    return status;
}

static bool same_form(const data_safetensor *tensor, const nn_value *value, const value_type *type)
{
    if (strcmp(tensor->dtype, type->dtype) != 0 || tensor->rank != value->rank)
        return false;
    for (size_t i = 0; i < value->rank; i++)
        if (tensor->shape[i] != value->shape[i])
            return false;
    return true;
}

static const void *decode(nn_arena *arena, const data_safetensor *tensor, const value_type *type)
{
    const size_t count = tensor->byte_count / type->bytes;
    void *out = nn_arena_alloc(arena, count, type->bytes);
    for (size_t i = 0; out != NULL && i < count; i++) {
        uint64_t bits = 0;
        for (size_t b = type->bytes; b-- > 0;)
            bits = bits << 8 | tensor->bytes[i * type->bytes + b];
        store(out, type->type, i, bits);
    }
    return out;
}

static ddome_status take_tensor(data_vectors_reader *r, const void **elements,
                                const nn_value *value, const value_type *type,
                                const data_json_value *file, const data_json_value *tensor)
{
    const char *file_name, *tensor_name;
    data_companion *companion = NULL;
    if (!data_vectors_text(&file_name, file) || !plain_name(file_name))
        return data_vectors_refuse(r, value->name, "as file a name in the same folder", file);
    if (!data_vectors_text(&tensor_name, tensor))
        return data_vectors_refuse(r, value->name, "as tensor a name in that file", tensor);
    ddome_status status = find_companion(r, &companion, file_name);
    if (status != DDOME_OK)
        return status;
    const data_safetensor *found = data_safetensors_find(&companion->tensors, tensor_name);
    if (found == NULL || !same_form(found, value, type))
        return data_vectors_refuse(r, value->name, "a tensor of this dtype and shape in the file",
                                   tensor);
    const size_t at = (size_t)(found - companion->tensors.tensor);
    if (companion->elements[at] == NULL)
        companion->elements[at] = decode(r->arena, found, type);
    *elements = companion->elements[at];
    return *elements == NULL ? no_memory(r) : DDOME_OK;
}

/* ---- hashes ---- */

static bool read_digest(nn_digest *out, const data_json_value *value)
{
    const char *text;
    if (!data_vectors_text(&text, value) || strlen(text) != NN_HEX_BYTES - 1)
        return false;
    for (size_t i = 0; i < sizeof out->byte; i++) {
        uint64_t byte;
        if (!read_hex(&byte, text + 2 * i, 2))
            return false;
        out->byte[i] = (unsigned char)byte;
    }
    return true;
}

static ddome_status take_hash(const data_vectors_reader *r, nn_value *value,
                              const data_json_value *sha256)
{
    nn_digest stated;
    if (!read_digest(&stated, sha256))
        return data_vectors_refuse(r, value->name, "as sha256 64 lower-case hexadecimal digits",
                                   sha256);
    if (nn_value_known(value)) {
        const nn_digest found = nn_value_hash(value);
        if (memcmp(&found, &stated, sizeof found) != 0)
            return data_vectors_refuse(r, value->name, "elements with this sha256", sha256);
    }
    value->hash = stated;
    value->hashed = true;
    return DDOME_OK;
}

/* ---- the whole ---- */

static void point_to(nn_value *value, const void *elements)
{
    value->f32 = value->type == NN_VALUE_F32 ? elements : NULL;
    value->f64 = value->type == NN_VALUE_F64 ? elements : NULL;
    value->u32 = value->type == NN_VALUE_U32 ? elements : NULL;
}

static ddome_status take_elements(data_vectors_reader *r, nn_value *out, const value_type *type,
                                  const data_json_value *member)
{
    const data_json_value *words = data_json_member(member, "words");
    const data_json_value *file = data_json_member(member, "file");
    const data_json_value *tensor = data_json_member(member, "tensor");
    const data_json_value *sha256 = data_json_member(member, "sha256");
    const void *elements = NULL;
    ddome_status status = DDOME_OK;
    const bool apart = file != NULL || tensor != NULL;
    if ((words != NULL && apart) || (words == NULL && !apart && sha256 == NULL))
        return data_vectors_refuse(r, out->name, "words, or file and tensor, or sha256", member);
    if (words != NULL)
        status = take_words(r, &elements, out, type, words);
    else if (apart)
        status = take_tensor(r, &elements, out, type, file, tensor);
    if (status != DDOME_OK)
        return status;
    point_to(out, elements);
    return sha256 == NULL ? DDOME_OK : take_hash(r, out, sha256);
}

ddome_status data_vectors_value(data_vectors_reader *r, nn_value *out,
                                const data_json_value *member)
{
    static const char *const names[] = {"dtype", "shape", "words", "file", "tensor", "sha256"};
    memset(out, 0, sizeof *out);
    out->name = member->name;
    if (member->kind != DATA_JSON_OBJECT || strlen(member->name) != member->name_length)
        return data_vectors_refuse(r, member->name, "an object under a name without NUL", member);
    ddome_status status =
        data_vectors_known(r, member->name, member, names, sizeof names / sizeof *names);
    if (status != DDOME_OK)
        return status;
    const data_json_value *dtype = data_json_member(member, "dtype");
    const data_json_value *shape = data_json_member(member, "shape");
    const value_type *type = find_type(dtype);
    if (type == NULL)
        return data_vectors_refuse(r, member->name, "as dtype F32, F64 or U32", dtype);
    out->type = type->type;
    if (!read_shape(out, shape, type->bytes))
        return data_vectors_refuse(r, member->name,
                                   "as shape at most 4 integers whose product fits memory", shape);
    return take_elements(r, out, type, member);
}

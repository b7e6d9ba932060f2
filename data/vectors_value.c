/* SPDX-License-Identifier: MIT */
/* One value: dtype, shape, and its elements as words, as a tensor of a file beside, or by their
 * hash alone. SPEC 19.1.1. */
#include <string.h>

#include "value.h"
#include "vectors_private.h"

static ddome_status no_memory(const data_vectors_reader *r)
{
    return nn_arena_fail(r->error, r->arena, "a value of a vector");
}

/* ---- words ---- */

static ddome_status take_words(const data_vectors_reader *r, const void **elements,
                               const nn_value *value, const data_json_value *words)
{
    if (!data_value_words_fit(value, words))
        return data_vectors_refuse(r, value->name, "as words as many as its shape has", words);
    void *out = nn_arena_alloc(r->arena, value->count, data_value_width(value->type));
    if (out == NULL)
        return no_memory(r);
    if (!data_value_read_words(out, value, words->text))
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
    char *path = nn_arena_alloc(r->arena, r->folder + strlen(name) + 1, 1);
    if (path == NULL)
        return no_memory(r);
    memcpy(path, r->path, r->folder);
    memcpy(path + r->folder, name, strlen(name) + 1);
    ddome_status status = data_safetensors_read_file(r->error, r->arena, &companion->tensors, path);
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

static const void *decode(nn_arena *arena, const data_safetensor *tensor, nn_value_type type)
{
    const size_t width = data_value_width(type);
    void *out = nn_arena_alloc(arena, tensor->byte_count / width, width);
    if (out != NULL)
        data_value_read_tensor(out, type, tensor);
    return out;
}

static ddome_status take_tensor(data_vectors_reader *r, const void **elements,
                                const nn_value *value, const data_json_value *file,
                                const data_json_value *tensor)
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
    if (found == NULL || !data_value_same_form(found, value))
        return data_vectors_refuse(r, value->name, "a tensor of this dtype and shape in the file",
                                   tensor);
    const size_t at = (size_t)(found - companion->tensors.tensor);
    if (companion->elements[at] == NULL)
        companion->elements[at] = decode(r->arena, found, value->type);
    *elements = companion->elements[at];
    return *elements == NULL ? no_memory(r) : DDOME_OK;
}

/* ---- hashes ---- */

static ddome_status take_hash(const data_vectors_reader *r, nn_value *value,
                              const data_json_value *sha256)
{
    nn_digest stated;
    if (!data_value_read_digest(&stated, sha256))
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

static ddome_status take_elements(data_vectors_reader *r, nn_value *out,
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
        status = take_words(r, &elements, out, words);
    else if (apart)
        status = take_tensor(r, &elements, out, file, tensor);
    if (status != DDOME_OK)
        return status;
    data_value_set(out, elements);
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
    if (!data_value_read_type(&out->type, dtype))
        return data_vectors_refuse(r, member->name, "as dtype F32, F64 or U32", dtype);
    if (!data_value_read_shape(out, shape))
        return data_vectors_refuse(r, member->name,
                                   "as shape at most 4 integers whose product fits memory", shape);
    return take_elements(r, out, member);
}

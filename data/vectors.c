/* SPDX-License-Identifier: MIT */
/* Level files and answers: an object, its vectors, their members. What a member must be is checked
 * here, which members a level file must have by tests/vectors/schema.json: an answer may lack most.
 * SPEC 19.2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nn/os.h"
#include "value.h"
#include "vectors_private.h"

enum { LABEL_BYTES = 80, EXPECTED_BYTES = 80 };

/* ---- errors and small parts ---- */

/* The start of a text kept to printable ASCII: an error is one line. */
static const char *shown(char label[LABEL_BYTES], const char *text)
{
    size_t n = 0;
    for (; text[n] != '\0' && n < LABEL_BYTES - 1; n++)
        label[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
    label[n] = '\0';
    return label;
}

ddome_status data_vectors_refuse(const data_vectors_reader *r, const char *member,
                                 const char *expected, const data_json_value *found)
{
    static const char *const kinds[] = {"null", "a boolean", "", "", "an array", "an object"};
    char id[LABEL_BYTES], name[LABEL_BYTES], what[LABEL_BYTES];
    const char *text = found == NULL ? "nothing" : kinds[found->kind];
    if (found != NULL && (found->kind == DATA_JSON_NUMBER || found->kind == DATA_JSON_STRING))
        text = found->text;
    return nn_fail(r->error, DDOME_ERR_DATA, "%.200s: %s%s%s%s: expected %s, found %s (SPEC 19.2)",
                   r->path, r->id == NULL ? "" : "vector ", r->id == NULL ? "" : shown(id, r->id),
                   r->id == NULL ? "" : ": ", shown(name, member), expected, shown(what, text));
}

bool data_vectors_text(const char **out, const data_json_value *value)
{
    const char *text = data_value_text(value);
    if (text != NULL)
        *out = text;
    return text != NULL;
}

ddome_status data_vectors_known(const data_vectors_reader *r, const char *what,
                                const data_json_value *object, const char *const *names,
                                size_t count)
{
    for (const data_json_value *m = object->child; m != NULL; m = m->next) {
        size_t i = 0;
        while (i < count && !(strlen(names[i]) == m->name_length && strcmp(names[i], m->name) == 0))
            i++;
        if (i == count) {
            char name[LABEL_BYTES], expected[EXPECTED_BYTES + LABEL_BYTES];
            snprintf(expected, sizeof expected, "members of SPEC 19.2 only, none called \"%s\"",
                     shown(name, m->name));
            return data_vectors_refuse(r, what, expected, m);
        }
    }
    return DDOME_OK;
}

/* A member that may be missing: *out stays. */
static ddome_status take_text(const data_vectors_reader *r, const char **out,
                              const data_json_value *object, const char *name)
{
    const data_json_value *member = data_json_member(object, name);
    if (member == NULL || data_vectors_text(out, member))
        return DDOME_OK;
    return data_vectors_refuse(r, name, "a text without NUL", member);
}

/* One of the words; *out stays when the member is missing. */
static ddome_status take_choice(const data_vectors_reader *r, size_t *out,
                                const data_json_value *object, const char *name,
                                const char *const *words, size_t count)
{
    const data_json_value *member = data_json_member(object, name);
    const char *text;
    if (member == NULL)
        return DDOME_OK;
    for (size_t i = 0; i < count && data_vectors_text(&text, member); i++)
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return DDOME_OK;
        }
    return data_vectors_refuse(r, name, count == 3 ? "ma, fma or any" : "any-order or this-order",
                               member);
}

/* Room for the members of an object or the elements of an array; 0 of them when it is missing. */
static ddome_status open_list(const data_vectors_reader *r, const data_json_value **first,
                              void **room, size_t *count, const data_json_value *object,
                              const char *name, data_json_kind kind, size_t size)
{
    const data_json_value *list = data_json_member(object, name);
    *first = NULL;
    *count = 0;
    if (list == NULL)
        return DDOME_OK;
    if (list->kind != kind)
        return data_vectors_refuse(r, name, kind == DATA_JSON_ARRAY ? "an array" : "an object",
                                   list);
    *room = nn_arena_zero(r->arena, list->length, size);
    if (*room == NULL)
        return nn_arena_fail(r->error, r->arena, "the members of a vector");
    *first = list->child;
    *count = list->length;
    return DDOME_OK;
}

/* ---- members of a vector ---- */

static ddome_status take_flags(const data_vectors_reader *r, data_vector *out,
                               const data_json_value *vector)
{
    const data_json_value *at;
    void *room = NULL;
    ddome_status status = open_list(r, &at, &room, &out->flag_count, vector, "flags",
                                    DATA_JSON_ARRAY, sizeof *out->flags);
    out->flags = room;
    for (size_t i = 0; at != NULL && status == DDOME_OK; at = at->next)
        if (!data_vectors_text(&out->flags[i++], at))
            status = data_vectors_refuse(r, "flags", "words", at);
    return status;
}

static ddome_status take_config(const data_vectors_reader *r, data_vector *out,
                                const data_json_value *vector)
{
    const data_json_value *at;
    void *room = NULL;
    ddome_status status = open_list(r, &at, &room, &out->config_count, vector, "config",
                                    DATA_JSON_OBJECT, sizeof *out->config);
    data_vector_key *key = room;
    out->config = key;
    for (; at != NULL && status == DDOME_OK; at = at->next, key++) {
        key->key = at->name;
        if (!data_vectors_text(&key->value, at) || strlen(at->name) != at->name_length)
            status = data_vectors_refuse(r, "config", "keys with texts", at);
    }
    return status;
}

static ddome_status take_attributes(const data_vectors_reader *r, nn_case *work,
                                    const data_json_value *vector)
{
    const data_json_value *at;
    void *room = NULL;
    ddome_status status = open_list(r, &at, &room, &work->attribute_count, vector, "attributes",
                                    DATA_JSON_OBJECT, sizeof *work->attributes);
    nn_attribute *attribute = room;
    work->attributes = attribute;
    for (; at != NULL && status == DDOME_OK; at = at->next, attribute++) {
        attribute->name = at->name;
        if (!data_json_u64(&attribute->value, at) || strlen(at->name) != at->name_length)
            status = data_vectors_refuse(r, "attributes", "whole numbers of 0..2^64-1", at);
    }
    return status;
}

static ddome_status take_values(data_vectors_reader *r, const nn_value **values, size_t *count,
                                const data_json_value *vector, const char *name)
{
    const data_json_value *at;
    void *room = NULL;
    ddome_status status =
        open_list(r, &at, &room, count, vector, name, DATA_JSON_OBJECT, sizeof(nn_value));
    nn_value *value = room;
    *values = value;
    for (; at != NULL && status == DDOME_OK; at = at->next)
        status = data_vectors_value(r, value++, at);
    return status;
}

static ddome_status take_words_of(data_vectors_reader *r, data_vector *out,
                                  const data_json_value *vector)
{
    static const char *const profiles[] = {"ma", "fma", "any"};
    static const char *const orders[] = {"this-order", "any-order"};
    size_t profile = DATA_PROFILE_ANY, order = 0;
    out->clause = out->comment = out->work.op = "";
    ddome_status status = take_text(r, &out->work.op, vector, "op");
    if (status == DDOME_OK)
        status = take_text(r, &out->clause, vector, "clause");
    if (status == DDOME_OK)
        status = take_text(r, &out->comment, vector, "comment");
    if (status == DDOME_OK)
        status = take_choice(r, &profile, vector, "profile", profiles, 3);
    if (status == DDOME_OK)
        status = take_choice(r, &order, vector, "exact", orders, 2);
    out->profile = (data_profile)profile;
    out->any_order = order == 1;
    out->work.arith = profile == DATA_PROFILE_FMA ? NN_ARITH_FMA : NN_ARITH_MA;
    return status;
}

static ddome_status take_members(data_vectors_reader *r, data_vector *out,
                                 const data_json_value *vector)
{
    ddome_status status = take_words_of(r, out, vector);
    if (status == DDOME_OK)
        status = take_flags(r, out, vector);
    if (status == DDOME_OK)
        status = take_config(r, out, vector);
    if (status == DDOME_OK)
        status = take_attributes(r, &out->work, vector);
    if (status == DDOME_OK)
        status = take_values(r, &out->work.inputs, &out->work.input_count, vector, "inputs");
    if (status == DDOME_OK)
        status = take_values(r, &out->work.outputs, &out->work.output_count, vector, "expected");
    return status;
}

static ddome_status take_vector(data_vectors_reader *r, data_vector *out,
                                const data_json_value *vector)
{
    static const char *const names[] = {"id",     "op",         "clause",  "profile",
                                        "exact",  "comment",    "flags",   "config",
                                        "inputs", "attributes", "expected"};
    r->id = NULL;
    if (vector->kind != DATA_JSON_OBJECT)
        return data_vectors_refuse(r, "vectors", "objects", vector);
    const data_json_value *id = data_json_member(vector, "id");
    if (!data_vectors_text(&out->id, id) || out->id[0] == '\0')
        return data_vectors_refuse(r, "vectors", "an id in each", id);
    r->id = out->id;
    ddome_status status =
        data_vectors_known(r, "its members", vector, names, sizeof names / sizeof *names);
    if (status == DDOME_OK && data_json_member(vector, "expected") == NULL)
        status = data_vectors_refuse(r, "expected", "an object", NULL);
    return status == DDOME_OK ? take_members(r, out, vector) : status;
}

/* ---- the file ---- */

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ddome_status refuse_equal_ids(const data_vectors_reader *r, const data_vector *vectors,
                                     size_t count)
{
    nn_arena_mark mark = nn_arena_get_mark(r->arena);
    const char **ids = nn_arena_alloc(r->arena, count, sizeof *ids);
    if (ids == NULL)
        return nn_arena_fail(r->error, r->arena, "the ids of vectors");
    for (size_t i = 0; i < count; i++)
        ids[i] = vectors[i].id;
    qsort(ids, count, sizeof *ids, compare_ids);
    const char *twice = NULL;
    for (size_t i = 1; i < count && twice == NULL; i++)
        twice = strcmp(ids[i - 1], ids[i]) == 0 ? ids[i] : NULL;
    nn_arena_rewind(r->arena, mark);
    if (twice == NULL)
        return DDOME_OK;
    char id[LABEL_BYTES];
    return nn_fail(r->error, DDOME_ERR_DATA,
                   "%.200s: vector %s: expected each id once, found it twice (SPEC 19.2)", r->path,
                   shown(id, twice));
}

static ddome_status check_head(data_vectors_reader *r, const data_json_value *root)
{
    static const char *const names[] = {"schema", "specification", "level", "vectors"};
    const char *schema;
    uint64_t version = DDOME_SPEC_VERSION;
    if (root->kind != DATA_JSON_OBJECT)
        return data_vectors_refuse(r, "the file", "an object", root);
    const data_json_value *found = data_json_member(root, "schema");
    if (!data_vectors_text(&schema, found) || strcmp(schema, "ddome-vectors-1") != 0)
        return data_vectors_refuse(r, "schema", "ddome-vectors-1", found);
    const data_json_value *specification = data_json_member(root, "specification");
    if (specification != NULL &&
        (!data_json_u64(&version, specification) || version != DDOME_SPEC_VERSION))
        return data_vectors_refuse(r, "specification", "the version of this text", specification);
    return data_vectors_known(r, "the file", root, names, sizeof names / sizeof *names);
}

static ddome_status take_file(data_vectors_reader *r, data_vectors *out,
                              const data_json_value *root)
{
    const data_json_value *at = NULL;
    void *room = NULL;
    data_vectors taken = {"", NULL, 0};
    ddome_status status = check_head(r, root);
    if (status == DDOME_OK)
        status = take_text(r, &taken.level, root, "level");
    if (status == DDOME_OK && data_json_member(root, "vectors") == NULL)
        status = data_vectors_refuse(r, "vectors", "an array", NULL);
    if (status == DDOME_OK)
        status = open_list(r, &at, &room, &taken.count, root, "vectors", DATA_JSON_ARRAY,
                           sizeof *taken.vector);
    data_vector *vector = room;
    taken.vector = vector;
    for (; at != NULL && status == DDOME_OK; at = at->next)
        status = take_vector(r, vector++, at);
    if (status == DDOME_OK)
        status = refuse_equal_ids(r, taken.vector, taken.count);
    if (status == DDOME_OK)
        *out = taken;
    return status;
}

/* The parser of JSON does not know the file. */
static ddome_status parse(const data_vectors_reader *r, const data_json_value **root,
                          const unsigned char *bytes, size_t size)
{
    ddome_error reason = {DDOME_OK, ""};
    ddome_status status = data_json_parse(&reason, r->arena, root, (const char *)bytes, size);
    return status == DDOME_OK ? status
                              : nn_fail(r->error, status, "%.200s: %.300s", r->path, reason.text);
}

ddome_status data_vectors_read(ddome_error *error, nn_arena *arena, data_vectors *out,
                               const char *path)
{
    const char *slash = strrchr(path, '/');
    data_vectors_reader r = {error, arena, path, 0, NULL, NULL};
    const data_json_value *root = NULL;
    unsigned char *bytes = NULL;
    size_t size = 0;
    nn_arena_mark mark = nn_arena_get_mark(arena);
    r.folder = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    ddome_status status = nn_os_read_file(error, arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK)
        status = parse(&r, &root, bytes, size);
    if (status == DDOME_OK)
        status = take_file(&r, out, root);
    if (status != DDOME_OK)
        nn_arena_rewind(arena, mark);
    return status;
}

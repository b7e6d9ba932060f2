/* SPDX-License-Identifier: MIT */
/* ddome probe write: the vectors as JSON with their inputs beside. SPEC 19.6.1, 19.6.2. */
#include <string.h>

#include "../data/safetensors.h"
#include "../nn/os.h"
#include "compare.h"
#include "probe_set.h"

enum { PROBE_TENSORS = 2 * PROBE_CASES };

static ddome_status add_tensor(ddome_error *error, tool *t, data_safetensor *out, const char *id,
                               const nn_value *value)
{
    unsigned char *bytes = nn_arena_alloc(&t->arena, value->count, 4);
    uint64_t *shape = nn_arena_alloc(&t->arena, value->rank, sizeof *shape);
    out->name = compare_format(t, "%s/%s", id, value->name);
    if (bytes == NULL || shape == NULL || out->name == NULL)
        return nn_arena_fail(error, &t->arena, "probe");
    for (size_t i = 0; i < value->count; i++) {
        const uint32_t bits = nn_float_bits(value->f32[i]);
        for (int b = 0; b < 4; b++)
            bytes[4 * i + (size_t)b] = (unsigned char)(bits >> 8 * b & 0xff);
    }
    out->dtype = "F32";
    out->rank = value->rank;
    for (size_t i = 0; i < value->rank; i++)
        shape[i] = value->shape[i];
    out->shape = shape;
    out->bytes = bytes;
    out->byte_count = 4 * value->count;
    return DDOME_OK;
}

static ddome_status write_tensors(ddome_error *error, tool *t, const probe_set *set,
                                  const char *path)
{
    data_safetensor tensor[PROBE_TENSORS];
    unsigned char *bytes = NULL;
    size_t size = 0;
    ddome_status status = DDOME_OK;
    memset(tensor, 0, sizeof tensor);
    for (size_t i = 0; status == DDOME_OK && i < PROBE_TENSORS; i++)
        status =
            add_tensor(error, t, &tensor[i], set->one[i / 2].id, &set->one[i / 2].input[i % 2]);
    if (status == DDOME_OK)
        status = data_safetensors_format(error, &t->arena, &bytes, &size, tensor, PROBE_TENSORS);
    return status == DDOME_OK ? nn_os_write_file(error, path, bytes, size) : status;
}

static void add_form(fl_text *json, const nn_value *value)
{
    fl_text_add(json, "\"%s\":{\"dtype\":\"F32\",\"shape\":[%lu,%lu],", value->name,
                (unsigned long)value->shape[0], (unsigned long)value->shape[1]);
}

static void add_case(fl_text *json, const probe_case *one, const char *file)
{
    static const char *const comments[] = {
        "2^40 at leaf i, -2^40 at leaf j, else 1: the result counts what is added after both met",
        "the square of 1 + 2^-12 beside -(1 + 2^-11): 2^-24 where products are not rounded, else "
        "0"};
    const bool order = one->input[1].shape[1] == 1;
    fl_text_add(json, "{\"id\":\"%s\",\"op\":\"matmul\",\"clause\":\"%s\",\"profile\":\"%s\",",
                one->id, order ? "2.3" : "2.5", order ? "any" : "ma");
    fl_text_add(json, "\"exact\":\"this-order\",\"comment\":\"%s\",\"flags\":[],\"inputs\":{",
                comments[!order]);
    for (size_t i = 0; i < 2; i++) {
        fl_text_add(json, "%s", i == 0 ? "" : ",");
        add_form(json, &one->input[i]);
        fl_text_add(json, "\"file\":");
        tool_json_quoted(json, file);
        fl_text_add(json, ",\"tensor\":\"%s/%s\"}", one->id, one->input[i].name);
    }
    fl_text_add(json, "},\"expected\":{");
    add_form(json, one->expected);
    fl_text_add(json, "\"words\":\"");
    for (size_t i = 0; i < one->expected->count; i++) {
        fl_text_add(json, "%s", i == 0 ? "" : " ");
        fl_text_float(json, one->expected->f32[i]);
    }
    fl_text_add(json, "\"}}}");
}

static ddome_status write_json(ddome_error *error, tool *t, const probe_set *set, const char *path,
                               const char *file)
{
    fl_text json = {.arena = &t->arena};
    fl_text_add(&json,
                "{\"schema\":\"ddome-vectors-1\",\"specification\":%d,\"level\":\"probe\","
                "\"vectors\":[\n",
                DDOME_SPEC_VERSION);
    for (size_t i = 0; i < PROBE_CASES; i++) {
        add_case(&json, &set->one[i], file);
        fl_text_add(&json, "%s\n", i + 1 < PROBE_CASES ? "," : "");
    }
    fl_text_add(&json, "]}\n");
    ddome_status status = fl_text_status(error, &json);
    return status == DDOME_OK ? nn_os_write_file(error, path, json.data, json.length) : status;
}

/* A vector names a file beside it by a plain name (SPEC 19.1.1), so FILE must be one. */
static ddome_status check_name(ddome_error *error, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    if (name[0] != '\0' && name[0] != '.' && strchr(name, '\\') == NULL)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_USAGE,
                   "probe write: expected FILE with a name that begins with no dot and has no \\, "
                   "found %.200s",
                   path);
}

ddome_status tool_probe_write(ddome_error *error, tool *t)
{
    const char *path = t->words[0], *slash = strrchr(path, '/');
    const char *tensors = compare_format(t, "%s.safetensors", path);
    probe_set set;
    if (tensors == NULL)
        return nn_arena_fail(error, &t->arena, "paths");
    ddome_status status = check_name(error, path);
    if (status == DDOME_OK)
        status = probe_set_new(error, &t->arena, &set);
    if (status == DDOME_OK)
        status = write_tensors(error, t, &set, tensors);
    if (status == DDOME_OK)
        status = write_json(error, t, &set, path,
                            slash == NULL ? tensors : tensors + (slash - path) + 1);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->text, "vectors    %s\ntensors    %s\n", path, tensors);
    tool_json_string(t, "vectors", path);
    tool_json_string(t, "tensors", tensors);
    return DDOME_OK;
}

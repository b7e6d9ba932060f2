/* SPDX-License-Identifier: MIT */
/* One tensor a slice, little-endian F32, and one I64 counter a batch-norm. SPEC 17.4, 17.4.8. */
#include "checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "../data/safetensors.h"
#include "../nn/os.h"

enum { COUNTER_NAME = NN_SLICE_NAME + 24 };

/* The counter that belongs to PREFIX.running_var; false for any other slice. */
static bool counter_name(char name[COUNTER_NAME], const nn_slice *slice)
{
    static const char suffix[] = "running_var";
    const size_t length = strlen(slice->name), tail = sizeof suffix - 1;
    if (length < tail || strcmp(slice->name + length - tail, suffix) != 0)
        return false;
    snprintf(name, COUNTER_NAME, "%.*snum_batches_tracked", (int)(length - tail), slice->name);
    return true;
}

static void store_u32(unsigned char *bytes, uint32_t word)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(word >> 8 * i);
}

static uint32_t load_u32(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* ---- writing ---- */

static bool slice_tensor(nn_arena *arena, data_safetensor *tensor, const nn_slice *slice,
                         const float *values)
{
    unsigned char *bytes = nn_arena_alloc(arena, slice->count, 4);
    uint64_t *shape = nn_arena_alloc(arena, slice->rank, sizeof *shape);
    if (bytes == NULL || shape == NULL)
        return false;
    for (size_t i = 0; i < slice->count; i++)
        store_u32(bytes + 4 * i, nn_float_bits(values[slice->offset + i]));
    *tensor = (data_safetensor){.name = slice->name,
                                .dtype = "F32",
                                .rank = slice->rank,
                                .shape = shape,
                                .bytes = bytes,
                                .byte_count = 4 * slice->count};
    for (size_t i = 0; i < slice->rank; i++)
        shape[i] = slice->shape[i];
    return true;
}

static bool counter_tensor(nn_arena *arena, data_safetensor *tensor, const char *name,
                           uint64_t batches)
{
    unsigned char *bytes = nn_arena_alloc(arena, 8, 1);
    const char *copy = nn_arena_string(arena, name);
    if (bytes == NULL || copy == NULL)
        return false;
    store_u32(bytes, (uint32_t)batches);
    store_u32(bytes + 4, (uint32_t)(batches >> 32));
    *tensor =
        (data_safetensor){.name = copy, .dtype = "I64", .rank = 0, .bytes = bytes, .byte_count = 8};
    return true;
}

ddome_status fl_checkpoint_format(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                                  size_t *size, const fl_model *model, const float *values,
                                  uint64_t batches)
{
    const nn_layout *layout = &model->layout;
    char name[COUNTER_NAME];
    size_t count = 0;
    data_safetensor *tensors =
        nn_arena_alloc(arena, layout->count + layout->batch_norms, sizeof *tensors);
    bool ok = tensors != NULL;
    for (size_t s = 0; s < layout->count && ok; s++) {
        ok = slice_tensor(arena, &tensors[count++], &layout->slices[s], values);
        if (ok && counter_name(name, &layout->slices[s]))
            ok = counter_tensor(arena, &tensors[count++], name, batches);
    }
    if (!ok)
        return nn_arena_fail(error, arena, "a checkpoint");
    return data_safetensors_format(error, arena, bytes, size, tensors, count);
}

/* ---- reading ---- */

static bool same_shape(const data_safetensor *tensor, const nn_slice *slice)
{
    bool same = tensor->rank == slice->rank && strcmp(tensor->dtype, "F32") == 0;
    for (size_t i = 0; i < slice->rank && same; i++)
        same = tensor->shape[i] == slice->shape[i];
    return same;
}

static bool all_finite(const data_safetensor *tensor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((load_u32(tensor->bytes + 4 * i) & 0x7f800000u) == 0x7f800000u)
            return false;
    return true;
}

/* The counter of one batch-norm. */
static ddome_status read_counter(ddome_error *error, uint64_t *counter,
                                 const data_safetensors *file, const char *name, const char *path)
{
    const data_safetensor *tensor = data_safetensors_find(file, name);
    if (tensor == NULL || strcmp(tensor->dtype, "I64") != 0 || tensor->rank != 0)
        return nn_fail(error, DDOME_ERR_DATA,
                       "%s: tensor %s: expected one I64 of shape [], found %s", path, name,
                       tensor == NULL ? "none" : tensor->dtype);
    *counter = load_u32(tensor->bytes) | (uint64_t)load_u32(tensor->bytes + 4) << 32;
    return DDOME_OK;
}

enum { SHAPE_TEXT = 96, SHAPE_SIZES = 4 };
NN_ASSUME(slice_shapes_fit, sizeof((nn_slice *)0)->shape / sizeof(size_t) == SHAPE_SIZES);

/* "[10, 64]"; of more than four sizes the first ones, for a file may have any number. */
static void write_shape(char text[SHAPE_TEXT], const uint64_t *shape, size_t rank)
{
    size_t at = 0;
    for (size_t i = 0; i < rank && i < SHAPE_SIZES; i++) /* 2 + 20 digits each: at stays inside */
        at += (size_t)snprintf(text + at, SHAPE_TEXT - at, "%s%llu", i == 0 ? "[" : ", ",
                               (unsigned long long)shape[i]);
    snprintf(text + at, SHAPE_TEXT - at, "%s]", rank == 0 ? "[" : rank > SHAPE_SIZES ? ".." : "");
}

static ddome_status refuse_shape(ddome_error *error, const data_safetensor *tensor,
                                 const nn_slice *slice, const char *path)
{
    uint64_t shape[SHAPE_SIZES];
    char want[SHAPE_TEXT], found[SHAPE_TEXT];
    for (size_t i = 0; i < slice->rank; i++)
        shape[i] = slice->shape[i];
    write_shape(want, shape, slice->rank);
    write_shape(found, tensor->shape, tensor->rank);
    return nn_fail(error, DDOME_ERR_DATA,
                   "%s: tensor %s: expected F32 of shape %s, found %s of shape %s; are width, "
                   "classes and stem the same?",
                   path, slice->name, want, tensor->dtype, found);
}

static ddome_status check_slice(ddome_error *error, const data_safetensors *file,
                                const nn_slice *slice, const char *path)
{
    const data_safetensor *tensor = data_safetensors_find(file, slice->name);
    if (tensor == NULL)
        return nn_fail(error, DDOME_ERR_DATA,
                       "%s: tensor %s is missing: the file is of another architecture", path,
                       slice->name);
    if (!same_shape(tensor, slice))
        return refuse_shape(error, tensor, slice, path);
    if (!all_finite(tensor, slice->count))
        return nn_fail(error, DDOME_ERR_DATA, "%s: tensor %s holds a value that is not finite",
                       path, slice->name);
    return DDOME_OK;
}

static ddome_status check_file(ddome_error *error, const data_safetensors *file,
                               const nn_layout *layout, const char *path)
{
    ddome_status status = DDOME_OK;
    if (file->count != layout->count + layout->batch_norms)
        return nn_fail(error, DDOME_ERR_DATA,
                       "%s: expected %lu tensors, found %lu: the file is of another architecture",
                       path, (unsigned long)(layout->count + layout->batch_norms),
                       (unsigned long)file->count);
    for (size_t s = 0; s < layout->count && status == DDOME_OK; s++)
        status = check_slice(error, file, &layout->slices[s], path);
    return status;
}

/* One counter a model: all its batch-norms count alike (SPEC 9.4). */
static ddome_status read_counters(ddome_error *error, uint64_t *batches,
                                  const data_safetensors *file, const nn_layout *layout,
                                  const char *path)
{
    char name[COUNTER_NAME];
    bool first = true;
    *batches = 0;
    for (size_t s = 0; s < layout->count; s++) {
        uint64_t counter = 0;
        if (!counter_name(name, &layout->slices[s]))
            continue;
        ddome_status status = read_counter(error, &counter, file, name, path);
        if (status != DDOME_OK)
            return status;
        if (!first && counter != *batches)
            return nn_fail(error, DDOME_ERR_DATA,
                           "%s: tensor %s: expected %llu as before, found %llu", path, name,
                           (unsigned long long)*batches, (unsigned long long)counter);
        *batches = counter;
        first = false;
    }
    return DDOME_OK;
}

static void copy_values(float *values, const data_safetensors *file, const nn_layout *layout)
{
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        const data_safetensor *tensor = data_safetensors_find(file, slice->name);
        for (size_t i = 0; i < slice->count; i++)
            values[slice->offset + i] = nn_float_from_bits(load_u32(tensor->bytes + 4 * i));
    }
}

ddome_status fl_checkpoint_load(ddome_error *error, nn_arena *scratch, float *values,
                                uint64_t *batches, const fl_model *model, const char *path)
{
    unsigned char *bytes;
    size_t size;
    data_safetensors file;
    uint64_t counter;
    ddome_error inner = {DDOME_OK, ""};
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    ddome_status status = nn_os_read_file(error, scratch, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK) {
        status = data_safetensors_parse(&inner, scratch, &file, bytes, size);
        if (status != DDOME_OK)
            nn_fail(error, status, "%s: %.400s", path, inner.text);
    }
    if (status == DDOME_OK)
        status = check_file(error, &file, &model->layout, path);
    if (status == DDOME_OK)
        status = read_counters(error, &counter, &file, &model->layout, path);
    if (status == DDOME_OK) {
        copy_values(values, &file, &model->layout);
        *batches = counter;
    }
    nn_arena_rewind(scratch, mark);
    return status;
}

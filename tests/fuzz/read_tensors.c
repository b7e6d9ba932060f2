/* SPDX-License-Identifier: MIT */
/* safetensors files and model files: what is taken, written and read again is the same to the bit.
 * SPEC 17.4, 17.4.8. */
#include <string.h>

#include "../../data/safetensors.h"
#include "../../fl/checkpoint.h"
#include "fuzz.h"

/* ---- safetensors ---- */

static void check_tensor(const fuzz_call *call, const data_safetensor *a, const data_safetensor *b)
{
    FUZZ_CHECK(b != NULL && strcmp(a->dtype, b->dtype) == 0 && a->rank == b->rank);
    FUZZ_CHECK(a->byte_count == b->byte_count && a->byte_count <= call->size);
    FUZZ_CHECK(a->bytes >= call->bytes && a->bytes + a->byte_count <= call->bytes + call->size);
    for (size_t i = 0; i < a->rank; i++)
        FUZZ_CHECK(a->shape[i] == b->shape[i]);
    FUZZ_CHECK(a->byte_count == 0 || memcmp(a->bytes, b->bytes, a->byte_count) == 0);
}

static void check_tensors(const fuzz_call *call, const data_safetensors *file)
{
    nn_arena arena = {0};
    data_safetensors again;
    unsigned char *bytes, *twice;
    size_t size, size_twice;
    FUZZ_CHECK(data_safetensors_format(NULL, &arena, &bytes, &size, file->tensor, file->count) ==
               DDOME_OK);
    FUZZ_CHECK(data_safetensors_parse(NULL, &arena, &again, bytes, size) == DDOME_OK);
    FUZZ_CHECK(again.count == file->count);
    for (size_t i = 0; i < file->count; i++)
        check_tensor(call, &file->tensor[i], data_safetensors_find(&again, file->tensor[i].name));
    FUZZ_CHECK(data_safetensors_format(NULL, &arena, &twice, &size_twice, again.tensor,
                                       again.count) == DDOME_OK);
    FUZZ_CHECK(size == size_twice && memcmp(bytes, twice, size) == 0);
    nn_arena_free(&arena);
}

ddome_status fuzz_safetensors(fuzz_call *call)
{
    data_safetensors file;
    ddome_status status =
        data_safetensors_parse(&call->error, &call->arena, &file, call->bytes, call->size);
    if (status == DDOME_OK)
        check_tensors(call, &file);
    else
        FUZZ_CHECK(call->arena.used == 0);
    return status;
}

/* ---- models ---- */

/* A convolution and a batch-norm with its statistics; the architecture does not matter here. */
enum { FLOATS = 12 };
static nn_slice slices[] = {
    {"conv.weight", NN_SLICE_TRAINED, NN_INIT_ZERO, 1, 4, {2, 1, 1, 2}, 0, 4},
    {"bn.weight", NN_SLICE_TRAINED, NN_INIT_ONE, 1, 1, {2}, 4, 2},
    {"bn.bias", NN_SLICE_TRAINED, NN_INIT_ZERO, 1, 1, {2}, 6, 2},
    {"bn.running_mean", NN_SLICE_STATISTIC, NN_INIT_ZERO, 1, 1, {2}, 8, 2},
    {"bn.running_var", NN_SLICE_STATISTIC, NN_INIT_ONE, 1, 1, {2}, 10, 2},
};

static void check_model(const fl_model *model, const float *values, uint64_t batches)
{
    nn_arena arena = {0};
    char path[FUZZ_PATH];
    unsigned char *bytes;
    size_t size;
    float again[FLOATS];
    uint64_t batches_again;
    FUZZ_CHECK(nn_layout_nonfinite(&model->layout, values) == FLOATS);
    FUZZ_CHECK(fl_checkpoint_format(NULL, &arena, &bytes, &size, model, values, batches) ==
               DDOME_OK);
    fuzz_put("fuzz-again.safetensors", bytes, size);
    fuzz_path(path, "fuzz-again.safetensors");
    FUZZ_CHECK(fl_checkpoint_load(NULL, &arena, again, &batches_again, model, path) == DDOME_OK);
    FUZZ_CHECK(batches == batches_again && memcmp(values, again, sizeof again) == 0);
    nn_arena_free(&arena);
}

ddome_status fuzz_checkpoint(fuzz_call *call)
{
    char path[FUZZ_PATH];
    float values[FLOATS], untouched[FLOATS];
    uint64_t batches = 7;
    fl_model model;
    memset(&model, 0, sizeof model);
    memset(values, 0x7f, sizeof values);
    memset(untouched, 0x7f, sizeof untouched);
    model.layout.slices = slices;
    model.layout.count = sizeof slices / sizeof *slices;
    model.layout.total = FLOATS;
    model.layout.batch_norms = 1;
    fuzz_put("fuzz-checkpoint.safetensors", call->bytes, call->size);
    fuzz_path(path, "fuzz-checkpoint.safetensors");
    ddome_status status =
        fl_checkpoint_load(&call->error, &call->arena, values, &batches, &model, path);
    FUZZ_CHECK(call->arena.used == 0);
    if (status == DDOME_OK)
        check_model(&model, values, batches);
    else
        FUZZ_CHECK(batches == 7 && memcmp(values, untouched, sizeof values) == 0);
    return status;
}

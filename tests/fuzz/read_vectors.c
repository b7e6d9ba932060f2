/* SPDX-License-Identifier: MIT */
/* Level files and answers, the safetensors file beside one, manifests. SPEC 17.2.4, 19.2. */
#include <string.h>

#include "../../data/value.h"
#include "../../data/vectors.h"
#include "../../fl/origin.h"
#include "fuzz.h"

/* A known value has as many elements as its shape says, all of them readable; a hash that is given
 * beside them is theirs. */
static void check_values(const nn_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nn_value value = values[i];
        size_t product = 1;
        for (size_t k = 0; k < value.rank; k++)
            product *= value.shape[k];
        FUZZ_CHECK(value.rank <= NN_VALUE_RANK && product == value.count);
        FUZZ_CHECK(nn_value_known(&value) || value.hashed);
        value.hashed = false;
        const nn_digest found = nn_value_hash(&value);
        if (nn_value_known(&value) && values[i].hashed)
            FUZZ_CHECK(memcmp(&found, &values[i].hash, sizeof found) == 0);
    }
}

static void check_vectors(const data_vectors *vectors)
{
    FUZZ_CHECK(vectors->level != NULL);
    for (size_t i = 0; i < vectors->count; i++) {
        const data_vector *v = &vectors->vector[i];
        FUZZ_CHECK(v->id[0] != '\0' && v->work.op != NULL && v->clause != NULL);
        for (size_t k = 0; k < v->flag_count; k++)
            FUZZ_CHECK(v->flags[k] != NULL);
        for (size_t k = 0; k < v->config_count; k++)
            FUZZ_CHECK(v->config[k].key != NULL && v->config[k].value != NULL);
        check_values(v->work.inputs, v->work.input_count);
        check_values(v->work.outputs, v->work.output_count);
    }
}

static ddome_status read_vectors(fuzz_call *call, const char *name)
{
    char path[FUZZ_PATH];
    data_vectors vectors;
    fuzz_path(path, name);
    ddome_status status = data_vectors_read(&call->error, &call->arena, &vectors, path);
    if (status == DDOME_OK)
        check_vectors(&vectors);
    return status;
}

/* Two tensors: a = F32 [2] 1, 2; u = U32 [] 7. */
static const char tensors[] = "\x70\0\0\0\0\0\0\0"
                              "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                              "\"u\":{\"dtype\":\"U32\",\"shape\":[],\"data_offsets\":[8,12]}}     "
                              "\0\0\x80\x3f\0\0\0\x40\x07\0\0\0";

ddome_status fuzz_vectors(fuzz_call *call)
{
    static bool done;
    if (!done) {
        fuzz_folder("fuzz-vectors");
        fuzz_folder("fuzz-vectors/in");
        fuzz_put("fuzz-vectors/side.safetensors", tensors, sizeof tensors - 1); /* out of reach */
        fuzz_put("fuzz-vectors/in/side.safetensors", tensors, sizeof tensors - 1);
    }
    done = true;
    fuzz_put("fuzz-vectors/in/level.json", call->bytes, call->size);
    return read_vectors(call, "fuzz-vectors/in/level.json");
}

/* The input is the safetensors file; every tensor of the level file is looked for in it. */
ddome_status fuzz_companion(fuzz_call *call)
{
    static const char level[] =
        "{\"schema\":\"ddome-vectors-1\",\"level\":\"sum\",\"vectors\":[{\"id\":\"v\",\"inputs\":{"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"file\":\"side.safetensors\",\"tensor\":\"a\"},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"file\":\"side.safetensors\",\"tensor\":\"a\"},"
        "\"u\":{\"dtype\":\"U32\",\"shape\":[],\"file\":\"side.safetensors\",\"tensor\":\"u\"}},"
        "\"expected\":{}}]}";
    static bool done;
    if (!done) {
        fuzz_folder("fuzz-companion");
        fuzz_put_text("fuzz-companion/level.json", level);
    }
    done = true;
    fuzz_put("fuzz-companion/side.safetensors", call->bytes, call->size);
    return read_vectors(call, "fuzz-companion/level.json");
}

/* ---- manifests ---- */

/* A run of unknown data: only a manifest that names these zeros fits it. */
ddome_status fuzz_manifest(fuzz_call *call)
{
    char path[FUZZ_PATH];
    const data_json_value *manifest;
    fl_config config;
    fl_task task;
    nn_arena arena = {0};
    static bool done;
    if (!done)
        fuzz_folder("fuzz-run");
    done = true;
    fuzz_put("fuzz-run/manifest.json", call->bytes, call->size);
    fuzz_path(path, "fuzz-run/manifest.json");
    ddome_status status = fl_manifest_read(&call->error, &call->arena, &manifest, path);
    memset(&task, 0, sizeof task);
    fl_config_defaults(&config);
    fuzz_path(path, "fuzz-run");
    if (status == DDOME_OK)
        status = fl_origin_check_run(&call->error, &arena, path, &config, &task);
    fuzz_path(path, "fuzz-run/common.safetensors");
    if (status == DDOME_OK)
        status = fl_origin_check_model(&call->error, &arena, path, &task.set.train.hash, &task);
    nn_arena_free(&arena);
    return status;
}

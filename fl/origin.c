/* SPDX-License-Identifier: MIT */
/* Hashes of given files, and of a manifest against those of the task at hand. SPEC 9.4. */
#include "origin.h"

#include <string.h>

#include "../nn/os.h"
#include "files.h"

/* ---- hashes of given files ---- */

static ddome_status hash_file(ddome_error *error, nn_arena *scratch, char out[NN_HEX_BYTES],
                              const char *path)
{
    unsigned char *bytes;
    size_t size;
    out[0] = '\0';
    if (path[0] == '\0')
        return DDOME_OK;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    ddome_status status = nn_os_read_file(error, scratch, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK) {
        const nn_digest digest = nn_sha256_of(bytes, size);
        nn_digest_hex(out, &digest);
    }
    nn_arena_rewind(scratch, mark);
    return status;
}

ddome_status fl_origin_hashes(ddome_error *error, nn_arena *scratch, fl_config_hashes *hashes,
                              const fl_config *config)
{
    memset(hashes, 0, sizeof *hashes);
    ddome_status status = hash_file(error, scratch, hashes->exclude, config->exclude);
    if (status == DDOME_OK)
        status = hash_file(error, scratch, hashes->partition_file, config->partition_file);
    if (status == DDOME_OK)
        status = hash_file(error, scratch, hashes->common, config->common);
    if (status == DDOME_OK)
        status = hash_file(error, scratch, hashes->init_file, config->init_file);
    return status;
}

/* ---- manifests ---- */

ddome_status fl_manifest_read(ddome_error *error, nn_arena *arena, const data_json_value **manifest,
                              const char *path)
{
    unsigned char *bytes;
    size_t size;
    ddome_error inner = {DDOME_OK, ""};
    ddome_status status = nn_os_read_file(error, arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    status = data_json_parse(&inner, arena, manifest, (const char *)bytes, size);
    if (status != DDOME_OK)
        return nn_fail(error, status, "%.200s: %.250s", path, inner.text);
    if ((*manifest)->kind != DATA_JSON_OBJECT)
        return nn_fail(error, DDOME_ERR_DATA, "%.400s: expected an object", path);
    return DDOME_OK;
}

/* The member is this text; a manifest that lacks it is taken for one of something else. */
bool fl_manifest_says(const data_json_value *manifest, const char *member, const char *text)
{
    const data_json_value *value = data_json_member(manifest, member);
    return value != NULL && value->kind == DATA_JSON_STRING && strcmp(value->text, text) == 0;
}

static bool names(const data_json_value *manifest, const char *member, const nn_digest *digest)
{
    char hex[NN_HEX_BYTES];
    nn_digest_hex(hex, digest);
    return fl_manifest_says(manifest, member, hex);
}

/* manifest.json in the folder of the file, or above it when the folder is a run's `final`. */
static const char *manifest_of(nn_arena *scratch, const char *path)
{
    fl_text text = {.arena = scratch};
    const char *slash = strrchr(path, '/');
    const size_t folder = slash == NULL ? 0 : (size_t)(slash + 1 - path);
    const bool final = folder >= 6 && memcmp(path + folder - 6, "final/", 6) == 0 &&
                       (folder == 6 || path[folder - 7] == '/');
    fl_text_add(&text, "%.*s%s" FL_FILE_MANIFEST, (int)folder, path, final ? "../" : "");
    return text.failed ? NULL : text.data;
}

/* common NULL: of any model of a run. */
static ddome_status compare_model(ddome_error *error, const data_json_value *manifest,
                                  const char *path, const char *file, const nn_digest *common,
                                  const fl_task *task)
{
    const nn_digest pool = data_partition_pool_hash(&task->partition);
    if (common != NULL && !names(manifest, "common_sha256", common))
        return nn_fail(error, DDOME_ERR_USAGE,
                       "common=%.200s is not the common expert that %.200s names; keep a model "
                       "with its own manifest",
                       path, file);
    if (!names(manifest, "train_sha256", &task->set.train.hash) ||
        !names(manifest, "pool_sha256", &pool))
        return nn_fail(
            error, DDOME_ERR_USAGE,
            "%s=%.160s was %strained on other samples than this run may train on, "
            "says %.160s: held-out samples would leak; use its data, seed and partition, "
            "or %s",
            common != NULL ? "common" : "init_file", path, common != NULL ? "pre" : "", file,
            common != NULL ? "pretrain again" : "another file");
    return DDOME_OK;
}

ddome_status fl_origin_check_model(ddome_error *error, nn_arena *scratch, const char *path,
                                   const nn_digest *common, const fl_task *task)
{
    const data_json_value *manifest;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    const char *file = manifest_of(scratch, path);
    if (file == NULL)
        return nn_arena_fail(error, scratch, "the path of a manifest");
    ddome_status status = DDOME_OK;
    if (nn_os_exists(file)) {
        status = fl_manifest_read(error, scratch, &manifest, file);
        if (status == DDOME_OK)
            status = compare_model(error, manifest, path, file, common, task);
    }
    nn_arena_rewind(scratch, mark);
    return status;
}

static ddome_status compare_run(ddome_error *error, const data_json_value *manifest,
                                const char *file, const fl_config *config, const fl_task *task)
{
    const char *profile = fl_config_arith(config);
    if (!names(manifest, "train_sha256", &task->set.train.hash) ||
        !names(manifest, "test_sha256", &task->set.test.hash))
        return nn_fail(error, DDOME_ERR_VERIFY,
                       "the data are not those of %.300s: train_sha256 or test_sha256 differ; name "
                       "the same data set, batches and exclusion list",
                       file);
    if (!fl_manifest_says(manifest, "arith", profile))
        return nn_fail(error, DDOME_ERR_VERIFY,
                       "arith = %s is not the profile of %.300s; leave the key arith out", profile,
                       file);
    return DDOME_OK;
}

ddome_status fl_origin_check_run(ddome_error *error, nn_arena *scratch, const char *run_dir,
                                 const fl_config *config, const fl_task *task)
{
    const data_json_value *manifest;
    fl_text path = {.arena = scratch};
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    fl_text_add(&path, "%s/" FL_FILE_MANIFEST, run_dir);
    ddome_status status = fl_text_status(error, &path);
    if (status == DDOME_OK)
        status = fl_manifest_read(error, scratch, &manifest, path.data);
    if (status == DDOME_OK)
        status = compare_run(error, manifest, path.data, config, task);
    nn_arena_rewind(scratch, mark);
    return status;
}

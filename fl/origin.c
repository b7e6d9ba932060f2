/* SPDX-License-Identifier: MIT */
/* Hashes of a manifest against those of the task at hand. SPEC 8.9, 17.2.4. */
#include "origin.h"

#include <string.h>

#include "../data/json.h"
#include "../nn/os.h"

static ddome_status read_manifest(ddome_error *error, nn_arena *scratch,
                                  const data_json_value **manifest, const char *path)
{
    unsigned char *bytes;
    size_t size;
    ddome_status status = nn_os_read_file(error, scratch, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK)
        status = data_json_parse(error, scratch, manifest, (const char *)bytes, size);
    return status;
}

/* The member is this hash; a manifest that lacks it is taken for one of something else. */
static bool names(const data_json_value *manifest, const char *member, const nn_digest *digest)
{
    char hex[NN_HEX_BYTES];
    const data_json_value *value = data_json_member(manifest, member);
    nn_digest_hex(hex, digest);
    return value != NULL && value->kind == DATA_JSON_STRING && strcmp(value->text, hex) == 0;
}

/* The path of manifest.json in the folder of another file. */
static char *beside(nn_arena *scratch, const char *path)
{
    static const char name[] = "manifest.json";
    const char *slash = strrchr(path, '/');
    const size_t folder = slash == NULL ? 0 : (size_t)(slash + 1 - path);
    char *made = nn_arena_alloc(scratch, folder + sizeof name, 1);
    if (made != NULL) {
        memcpy(made, path, folder);
        memcpy(made + folder, name, sizeof name);
    }
    return made;
}

ddome_status fl_origin_check_common(ddome_error *error, nn_arena *scratch, const char *path,
                                    const fl_task *task)
{
    const data_json_value *manifest;
    const nn_digest pool = data_partition_pool_hash(&task->partition);
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    const char *file = beside(scratch, path);
    if (file == NULL)
        return nn_arena_fail(error, scratch, "the path of a manifest");
    ddome_status status = DDOME_OK;
    if (nn_os_exists(file)) {
        status = read_manifest(error, scratch, &manifest, file);
        if (status == DDOME_OK && (!names(manifest, "train_sha256", &task->set.train.hash) ||
                                   !names(manifest, "pool_sha256", &pool)))
            status =
                nn_fail(error, DDOME_ERR_USAGE,
                        "common=%.200s was pretrained on other samples than this run may train "
                        "on, says %.200s: held-out samples would leak; use its data, seed and "
                        "partition, or pretrain again",
                        path, file);
    }
    nn_arena_rewind(scratch, mark);
    return status;
}

ddome_status fl_origin_check_run(ddome_error *error, nn_arena *scratch, const char *run_dir,
                                 const fl_task *task)
{
    const data_json_value *manifest;
    fl_text path = {.arena = scratch};
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    fl_text_add(&path, "%s/manifest.json", run_dir);
    ddome_status status = fl_text_status(error, &path);
    if (status == DDOME_OK)
        status = read_manifest(error, scratch, &manifest, path.data);
    if (status == DDOME_OK && (!names(manifest, "train_sha256", &task->set.train.hash) ||
                               !names(manifest, "test_sha256", &task->set.test.hash)))
        status =
            nn_fail(error, DDOME_ERR_VERIFY,
                    "the data are not those of %.300s: train_sha256 or test_sha256 differ; name "
                    "the same data set, batches and exclusion list",
                    path.data);
    nn_arena_rewind(scratch, mark);
    return status;
}

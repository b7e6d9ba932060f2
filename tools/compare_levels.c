/* SPDX-License-Identifier: MIT */
/* Which files hold the levels of A, and which B's answers to them. SPEC 19.2.3, 19.4.1. */
#include <string.h>

#include "../nn/os.h"
#include "compare_vectors.h"

/* manifest.json and the schema stand in the list or not: neither holds vectors. */
static bool is_level(const char *name)
{
    const size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".json") == 0 &&
           strcmp(name, "schema.json") != 0 && strcmp(name, "manifest.json") != 0;
}

static ddome_status refuse_manifest(ddome_error *error, const char *path)
{
    return nn_fail(error, DDOME_ERR_DATA,
                   "%.300s: expected \"files\", a list of objects with a name each (SPEC 19.2.3)",
                   path);
}

/* A name that leads out of the folder is as bad as none. */
static const char *file_name(const data_json_value *file)
{
    const data_json_value *name =
        file->kind == DATA_JSON_OBJECT ? data_json_member(file, "name") : NULL;
    const bool plain = name != NULL && name->kind == DATA_JSON_STRING &&
                       strlen(name->text) == name->length && name->text[0] != '.' &&
                       strpbrk(name->text, "/\\") == NULL;
    return plain ? name->text : NULL;
}

static ddome_status add_level(ddome_error *error, vector_set *set, const char *name, bool b_folder)
{
    compare_call *call = set->call;
    vector_level *level = &set->level[set->levels++];
    level->a = compare_path(call->t, call->a, name);
    level->b = b_folder ? compare_path(call->t, call->b, name) : call->b;
    if (level->a == NULL || level->b == NULL)
        return nn_arena_fail(error, &call->t->arena, "paths");
    if (!nn_os_exists(level->b))
        level->b = NULL;
    return DDOME_OK;
}

static ddome_status list_folder(ddome_error *error, vector_set *set, bool b_folder)
{
    compare_call *call = set->call;
    nn_arena *arena = &call->t->arena;
    const char *path = compare_path(call->t, call->a, "manifest.json");
    unsigned char *bytes;
    size_t size;
    const data_json_value *manifest = NULL;
    ddome_error inner = {DDOME_OK, ""};
    if (path == NULL)
        return nn_arena_fail(error, arena, "paths");
    ddome_status status = nn_os_read_file(error, arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK &&
        data_json_parse(&inner, arena, &manifest, (const char *)bytes, size) != DDOME_OK)
        status = nn_fail(error, inner.status, "%.200s: %.250s", path, inner.text);
    if (status != DDOME_OK)
        return status;
    const data_json_value *files =
        manifest->kind == DATA_JSON_OBJECT ? data_json_member(manifest, "files") : NULL;
    if (files == NULL || files->kind != DATA_JSON_ARRAY)
        return refuse_manifest(error, path);
    set->level = nn_arena_zero(arena, files->length, sizeof *set->level);
    if (set->level == NULL)
        return nn_arena_fail(error, arena, "levels");
    for (const data_json_value *at = files->child; status == DDOME_OK && at != NULL;
         at = at->next) {
        const char *name = file_name(at);
        if (name == NULL)
            status = refuse_manifest(error, path);
        else if (is_level(name))
            status = add_level(error, set, name, b_folder);
    }
    return status;
}

ddome_status vectors_list(ddome_error *error, vector_set *set, bool a_folder, bool b_folder)
{
    compare_call *call = set->call;
    if (a_folder)
        return list_folder(error, set, b_folder);
    set->level = nn_arena_zero(&call->t->arena, 1, sizeof *set->level);
    if (set->level == NULL)
        return nn_arena_fail(error, &call->t->arena, "levels");
    const char *slash = strrchr(call->a, '/');
    const char *name = slash == NULL ? call->a : slash + 1;
    set->levels = 1;
    set->level[0].a = call->a;
    set->level[0].b = b_folder ? compare_path(call->t, call->b, name) : call->b;
    if (set->level[0].b != NULL && !nn_os_exists(set->level[0].b))
        set->level[0].b = NULL;
    return DDOME_OK;
}

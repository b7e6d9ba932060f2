/* SPDX-License-Identifier: MIT */
/* Official names first, then those of prefixes by rising length. SPEC 7.1.1, 7.1.5. */
#include "files.h"

#include <stdio.h>
#include <string.h>

#include "../nn/os.h"

enum { PREFIX_STEP = 1000, WORD_BYTES = 32 };

/* folder stem word rest; NULL when memory is out. */
static char *path_of(nn_arena *arena, const char *folder, const data_file *file, const char *word)
{
    size_t bytes = strlen(folder) + strlen(file->stem) + strlen(word) + strlen(file->rest) + 1;
    char *path = nn_arena_alloc(arena, bytes, 1);
    if (path != NULL)
        snprintf(path, bytes, "%s%s%s%s", folder, file->stem, word, file->rest);
    return path;
}

/* *place changes, and the path stays in the arena, only when something is there. */
static ddome_status probe(ddome_error *error, nn_arena *arena, data_place *place,
                          const char *folder, const data_file *file, size_t prefix)
{
    char word[WORD_BYTES] = "";
    nn_arena_mark mark = nn_arena_get_mark(arena);
    if (prefix != 0)
        snprintf(word, sizeof word, "%sfirst%lu", file->joint, (unsigned long)prefix);
    const char *path = path_of(arena, folder, file, word);
    if (path == NULL)
        return nn_arena_fail(error, arena, "a path of the data");
    if (nn_os_exists(path))
        *place = (data_place){path, true, prefix};
    else
        nn_arena_rewind(arena, mark);
    return DDOME_OK;
}

ddome_status data_file_find(ddome_error *error, nn_arena *arena, data_place *place,
                            const char *folder, const data_file *file)
{
    data_place found = {NULL, false, 0};
    ddome_status status = probe(error, arena, &found, folder, file, 0);
    for (size_t n = PREFIX_STEP; status == DDOME_OK && !found.there && n <= file->records;
         n += PREFIX_STEP)
        status = probe(error, arena, &found, folder, file, n);
    if (status != DDOME_OK)
        return status;
    if (!found.there)
        found.path = path_of(arena, folder, file, "");
    if (found.path == NULL)
        return nn_arena_fail(error, arena, "a path of the data");
    *place = found;
    return DDOME_OK;
}

/* dir/ or dir/name/. */
static const char *folder_of(nn_arena *arena, const char *dir, const char *name)
{
    size_t bytes = strlen(dir) + strlen(name) + 3;
    char *folder = nn_arena_alloc(arena, bytes, 1);
    if (folder != NULL)
        snprintf(folder, bytes, "%s/%s%s", dir, name, *name == '\0' ? "" : "/");
    return folder;
}

ddome_status data_folder_find(ddome_error *error, nn_arena *arena, const char **folder,
                              const char *dir, const char *name, const data_file *probed)
{
    data_place place = {NULL, false, 0};
    const char *inner = folder_of(arena, dir, name), *outer = folder_of(arena, dir, "");
    if (inner == NULL || outer == NULL)
        return nn_arena_fail(error, arena, "the folder of the data");
    ddome_status status = data_file_find(error, arena, &place, inner, probed);
    const bool is_inner = place.there;
    if (status == DDOME_OK && !is_inner)
        status = data_file_find(error, arena, &place, outer, probed);
    /* In neither: what is missing is told of the set's own folder, should there be one. */
    if (status == DDOME_OK)
        *folder = is_inner || (!place.there && nn_os_exists(inner)) ? inner : outer;
    return status;
}

ddome_status data_file_check_records(ddome_error *error, const data_place *place,
                                     const data_file *file, size_t records)
{
    unsigned long found = (unsigned long)records, named = (unsigned long)place->prefix;
    if (place->prefix != 0 && records != place->prefix)
        return nn_fail(error, DDOME_ERR_DATA,
                       "%s: expected the %lu records that the name says, found %lu; cut it again "
                       "or rename it",
                       place->path, named, found);
    if (records > file->records)
        return nn_fail(error, DDOME_ERR_DATA,
                       "%s: expected at most the official %lu records, found %lu; download it "
                       "again",
                       place->path, (unsigned long)file->records, found);
    return DDOME_OK;
}

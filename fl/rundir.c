/* SPDX-License-Identifier: MIT */
/* The run directory: files with their hashes, the list of hashes last, the root hash. SPEC 17. */
#include "rundir.h"

#include <string.h>

#include "../nn/os.h"

struct fl_rundir_file {
    const char *name;
    nn_digest digest;
    fl_rundir_file *next; /* ascending by the bytes of the name */
};

static const char sums[] = "SHA256SUMS", manifest[] = "manifest.json", probe[] = "probe.tmp";

/* path/name in the arena. */
static ddome_status join(ddome_error *error, const fl_rundir *dir, char **out, const char *name)
{
    fl_text text = {.arena = dir->arena};
    fl_text_add(&text, "%s/%s", dir->path, name);
    *out = text.data;
    return fl_text_status(error, &text);
}

/* A run is there once its manifest or its hashes are (SPEC 17.3.3). */
static ddome_status clear(ddome_error *error, const fl_rundir *dir, const char *name, bool force)
{
    char *path;
    ddome_status status = join(error, dir, &path, name);
    if (status != DDOME_OK || !nn_os_exists(path))
        return status;
    if (!force)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "%.200s holds a run already (%s); choose another folder, or replace it with "
                       "--force",
                       dir->path, name);
    nn_os_remove(path);
    if (nn_os_exists(path))
        return nn_fail(error, DDOME_ERR_IO, "cannot remove %.200s; check the rights of the folder",
                       path);
    return DDOME_OK;
}

/* Hours of work must not end at a folder that cannot be written (SPEC 17.3.4). */
static ddome_status prove_writable(ddome_error *error, const fl_rundir *dir)
{
    char *path;
    ddome_status status = join(error, dir, &path, probe);
    if (status == DDOME_OK)
        status = nn_os_write_file(error, path, "", 0);
    if (status == DDOME_OK)
        nn_os_remove(path);
    return status;
}

ddome_status fl_rundir_open(ddome_error *error, fl_rundir *dir, nn_arena *arena, const char *path,
                            bool force)
{
    fl_rundir opened = {nn_arena_string(arena, path), arena, NULL};
    if (opened.path == NULL)
        return nn_arena_fail(error, arena, "run directory");
    ddome_status status = nn_os_make_dir(error, path);
    if (status == DDOME_OK)
        status = clear(error, &opened, sums, force);
    if (status == DDOME_OK)
        status = clear(error, &opened, manifest, force);
    if (status == DDOME_OK)
        status = prove_writable(error, &opened);
    if (status == DDOME_OK)
        *dir = opened;
    return status;
}

/* The folder of "folder/file", made when it is not there. */
static ddome_status make_folder(ddome_error *error, const fl_rundir *dir, const char *name)
{
    const char *slash = strchr(name, '/');
    if (slash == NULL)
        return DDOME_OK;
    fl_text text = {.arena = dir->arena};
    fl_text_add(&text, "%s/%.*s", dir->path, (int)(slash - name), name);
    ddome_status status = fl_text_status(error, &text);
    return status == DDOME_OK ? nn_os_make_dir(error, text.data) : status;
}

ddome_status fl_rundir_write_unhashed(ddome_error *error, const fl_rundir *dir, const char *name,
                                      const void *bytes, size_t size)
{
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    char *path;
    ddome_status status = make_folder(error, dir, name);
    if (status == DDOME_OK)
        status = join(error, dir, &path, name);
    if (status == DDOME_OK)
        status = nn_os_write_file(error, path, bytes, size);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

/* The entry of name, made in its place of the order when there is none; NULL when memory is out. */
static fl_rundir_file *entry_of(fl_rundir *dir, const char *name)
{
    fl_rundir_file **link = &dir->files;
    while (*link != NULL && strcmp((*link)->name, name) < 0)
        link = &(*link)->next;
    if (*link != NULL && strcmp((*link)->name, name) == 0)
        return *link;
    fl_rundir_file *made = nn_arena_zero(dir->arena, 1, sizeof *made);
    char *copy = nn_arena_string(dir->arena, name);
    if (made == NULL || copy == NULL)
        return NULL;
    made->name = copy;
    made->next = *link;
    *link = made;
    return made;
}

/* Written first: a name is listed only with the bytes that are on the disk. */
ddome_status fl_rundir_write(ddome_error *error, fl_rundir *dir, const char *name,
                             const void *bytes, size_t size)
{
    ddome_status status = fl_rundir_write_unhashed(error, dir, name, bytes, size);
    if (status != DDOME_OK)
        return status;
    fl_rundir_file *entry = entry_of(dir, name);
    if (entry == NULL)
        return nn_arena_fail(error, dir->arena, "run directory");
    entry->digest = nn_sha256_of(bytes, size);
    return DDOME_OK;
}

/* SPEC 17.3.1, 17.3.2. */
ddome_status fl_rundir_close(ddome_error *error, fl_rundir *dir, char root_hash[NN_HEX_BYTES])
{
    fl_text text = {.arena = dir->arena};
    fl_text_add(&text, "%s", "");
    for (const fl_rundir_file *file = dir->files; file != NULL; file = file->next) {
        fl_text_digest(&text, &file->digest);
        fl_text_add(&text, "  %s\n", file->name);
    }
    ddome_status status = fl_text_status(error, &text);
    if (status == DDOME_OK)
        status = fl_rundir_write_unhashed(error, dir, sums, text.data, text.length);
    if (status != DDOME_OK)
        return status;
    nn_digest root = nn_sha256_of(text.data, text.length);
    nn_digest_hex(root_hash, &root);
    return DDOME_OK;
}

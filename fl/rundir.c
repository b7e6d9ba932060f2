/* SPDX-License-Identifier: MIT */
/* The run directory: files with their hashes, the list of hashes last, the root hash. SPEC 17. */
#include "rundir.h"

#include <string.h>

#include "files.h"

struct fl_rundir_file {
    const char *name;
    nn_digest digest;
    fl_rundir_file *next; /* ascending by the bytes of the name */
};

static const char sums[] = "SHA256SUMS", manifest[] = FL_FILE_MANIFEST, done[] = "ckpt/DONE",
                  words[] = "ckpt/run.toml", probe[] = "probe.tmp", lock[] = "lock";

enum { CHUNK_BYTES = 1 << 16 };

ddome_status fl_rundir_join(ddome_error *error, nn_arena *arena, const fl_rundir *dir, char **out,
                            const char *name)
{
    fl_text text = {.arena = arena};
    fl_text_add(&text, "%s/%s", dir->path, name);
    *out = text.data;
    return fl_text_status(error, &text);
}

/* ---- opening ---- */

/* A run is there once its manifest, its hashes or a checkpoint are (SPEC 17.3.3). */
static ddome_status clear(ddome_error *error, const fl_rundir *dir, const char *name, bool force)
{
    char *path;
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, name);
    if (status != DDOME_OK || !nn_os_exists(path))
        return status;
    if (!force)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "%.200s holds a run already (%s); choose another folder, go on with it by "
                       "--resume, or replace it with --force",
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
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, probe);
    if (status != DDOME_OK)
        return status;
    status = nn_os_write_file(error, path, "", 0);
    nn_os_remove(path);
    return status;
}

static ddome_status name_folder(ddome_error *error, fl_rundir *dir, nn_arena *arena,
                                const char *path)
{
    *dir = (fl_rundir){.path = nn_arena_string(arena, path), .arena = arena};
    return dir->path == NULL ? nn_arena_fail(error, arena, "run directory") : DDOME_OK;
}

static ddome_status take_folder(ddome_error *error, fl_rundir *dir, nn_arena *arena,
                                const char *path)
{
    char *file;
    ddome_status status = name_folder(error, dir, arena, path);
    if (status == DDOME_OK)
        status = nn_os_make_dir(error, path);
    if (status == DDOME_OK)
        status = fl_rundir_join(error, arena, dir, &file, lock);
    return status == DDOME_OK ? nn_os_lock_file(error, &dir->lock, file) : status;
}

/* *dir gets what was opened, or stays as it is. */
static ddome_status hand_over(fl_rundir *dir, fl_rundir *opened, ddome_status status)
{
    if (status == DDOME_OK)
        *dir = *opened;
    else
        fl_rundir_leave(opened);
    return status;
}

ddome_status fl_rundir_open(ddome_error *error, fl_rundir *dir, nn_arena *arena, const char *path,
                            bool force)
{
    fl_rundir opened;
    ddome_status status = take_folder(error, &opened, arena, path);
    if (status == DDOME_OK)
        status = clear(error, &opened, sums, force);
    if (status == DDOME_OK)
        status = clear(error, &opened, manifest, force);
    if (status == DDOME_OK)
        status = clear(error, &opened, done, force);
    if (status == DDOME_OK)
        status = clear(error, &opened, words, true);
    if (status == DDOME_OK) /* which flushes the folder, so that they stay removed */
        status = prove_writable(error, &opened);
    return hand_over(dir, &opened, status);
}

ddome_status fl_rundir_reopen(ddome_error *error, fl_rundir *dir, nn_arena *arena, const char *path)
{
    fl_rundir opened;
    ddome_status status = take_folder(error, &opened, arena, path);
    if (status == DDOME_OK)
        status = prove_writable(error, &opened);
    return hand_over(dir, &opened, status);
}

ddome_status fl_rundir_view(ddome_error *error, fl_rundir *dir, nn_arena *arena, const char *path)
{
    fl_rundir opened;
    const ddome_status status = name_folder(error, &opened, arena, path);
    opened.verify = true;
    return hand_over(dir, &opened, status);
}

ddome_status fl_rundir_unseal(ddome_error *error, const fl_rundir *dir)
{
    ddome_status status = clear(error, dir, sums, true);
    if (status == DDOME_OK)
        status = clear(error, dir, manifest, true);
    return status == DDOME_OK ? prove_writable(error, dir) : status;
}

bool fl_rundir_is_sealed(const fl_rundir *dir)
{
    return clear(NULL, dir, sums, false) == DDOME_ERR_USAGE;
}

void fl_rundir_leave(fl_rundir *dir)
{
    nn_os_unlock(&dir->lock);
}

/* ---- files ---- */

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

static ddome_status differs(ddome_error *error, const fl_rundir *dir, const char *name, uint64_t at)
{
    return nn_fail(error, DDOME_ERR_VERIFY,
                   "%.200s/%s is not what this program makes of the run: the first difference is "
                   "byte %llu",
                   dir->path, name, (unsigned long long)at);
}

static ddome_status missing(ddome_error *error, const fl_rundir *dir, const char *name,
                            uint64_t end)
{
    return nn_fail(error, DDOME_ERR_VERIFY,
                   "%.200s/%s: expected %llu bytes at least, found fewer or no file", dir->path,
                   name, (unsigned long long)end);
}

/* Does the file have these bytes from `at` on? */
static ddome_status compare_part(ddome_error *error, const fl_rundir *dir, const char *name,
                                 uint64_t at, const unsigned char *bytes, size_t size)
{
    unsigned char *chunk = nn_arena_alloc(dir->arena, CHUNK_BYTES, 1);
    ddome_error inner = {DDOME_OK, ""};
    ddome_status status = DDOME_OK;
    if (chunk == NULL)
        return nn_arena_fail(error, dir->arena, "a part of a file");
    for (size_t done_bytes = 0; done_bytes < size && status == DDOME_OK;) {
        const size_t part = nn_min(size - done_bytes, CHUNK_BYTES);
        status = fl_rundir_read_part(&inner, dir, chunk, part, name, at + done_bytes);
        for (size_t i = 0; i < part && status == DDOME_OK; i++)
            if (chunk[i] != bytes[done_bytes + i])
                return differs(error, dir, name, at + done_bytes + i);
        done_bytes += part;
    }
    if (status == DDOME_OK)
        return status;
    return status == DDOME_ERR_DATA ? missing(error, dir, name, at + size)
                                    : nn_fail(error, status, "%s", inner.text);
}

/* And no more than these? */
static ddome_status compare_whole(ddome_error *error, const fl_rundir *dir, const char *name,
                                  const void *bytes, size_t size)
{
    unsigned char more;
    ddome_error inner = {DDOME_OK, ""};
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = compare_part(error, dir, name, 0, bytes, size);
    if (status == DDOME_OK) {
        const ddome_status found = fl_rundir_read_part(&inner, dir, &more, 1, name, size);
        if (found == DDOME_OK)
            status = differs(error, dir, name, size);
        else if (found != DDOME_ERR_DATA) /* its end could not be looked at */
            status = nn_fail(error, found, "%s", inner.text);
    }
    nn_arena_rewind(dir->arena, mark);
    return status;
}

static ddome_status write_whole(ddome_error *error, const fl_rundir *dir, const char *name,
                                const void *bytes, size_t size)
{
    char *path;
    ddome_status status = make_folder(error, dir, name);
    if (status == DDOME_OK)
        status = fl_rundir_join(error, dir->arena, dir, &path, name);
    return status == DDOME_OK ? nn_os_write_file(error, path, bytes, size) : status;
}

ddome_status fl_rundir_write_unhashed(ddome_error *error, const fl_rundir *dir, const char *name,
                                      const void *bytes, size_t size)
{
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = dir->verify ? DDOME_OK : write_whole(error, dir, name, bytes, size);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

ddome_status fl_rundir_append(ddome_error *error, const fl_rundir *dir, const char *name,
                              uint64_t at, const void *bytes, size_t size)
{
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, name);
    if (status == DDOME_OK)
        status = dir->verify ? compare_part(error, dir, name, at, bytes, size)
                             : nn_os_append(error, path, at, bytes, size);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

ddome_status fl_rundir_flush(ddome_error *error, const fl_rundir *dir, const char *name)
{
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, name);
    if (status == DDOME_OK)
        status = nn_os_flush(error, path);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

ddome_status fl_rundir_remove(ddome_error *error, const fl_rundir *dir, const char *name)
{
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, name);
    if (status == DDOME_OK)
        nn_os_remove(path);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

ddome_status fl_rundir_read_part(ddome_error *error, const fl_rundir *dir, void *bytes, size_t size,
                                 const char *name, uint64_t at)
{
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, name);
    if (status == DDOME_OK)
        status = nn_os_read_part(error, bytes, size, path, at);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

ddome_status fl_rundir_hash(ddome_error *error, const fl_rundir *dir, nn_sha256 *sha,
                            const char *name, uint64_t size)
{
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    unsigned char *chunk = nn_arena_alloc(dir->arena, CHUNK_BYTES, 1);
    if (chunk == NULL)
        return nn_arena_fail(error, dir->arena, "a part of a file");
    ddome_status status = DDOME_OK;
    nn_sha256_begin(sha);
    for (uint64_t at = 0; at < size && status == DDOME_OK;) {
        const size_t part = size - at < CHUNK_BYTES ? (size_t)(size - at) : CHUNK_BYTES;
        status = fl_rundir_read_part(error, dir, chunk, part, name, at);
        nn_sha256_bytes(sha, chunk, part);
        at += part;
    }
    nn_arena_rewind(dir->arena, mark);
    return status;
}

/* ---- hashes ---- */

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

ddome_status fl_rundir_list(ddome_error *error, fl_rundir *dir, const char *name,
                            const nn_digest *digest)
{
    fl_rundir_file *entry = entry_of(dir, name);
    if (entry == NULL)
        return nn_arena_fail(error, dir->arena, "run directory");
    entry->digest = *digest;
    return DDOME_OK;
}

/* Written first: a name is listed only with the bytes that are on the disk. */
ddome_status fl_rundir_write(ddome_error *error, fl_rundir *dir, const char *name,
                             const void *bytes, size_t size)
{
    const nn_digest digest = nn_sha256_of(bytes, size);
    ddome_status status = dir->verify ? compare_whole(error, dir, name, bytes, size)
                                      : fl_rundir_write_unhashed(error, dir, name, bytes, size);
    return status == DDOME_OK ? fl_rundir_list(error, dir, name, &digest) : status;
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
        status = dir->verify ? compare_whole(error, dir, sums, text.data, text.length)
                             : fl_rundir_write_unhashed(error, dir, sums, text.data, text.length);
    if (status != DDOME_OK)
        return status;
    nn_digest root = nn_sha256_of(text.data, text.length);
    nn_digest_hex(root_hash, &root);
    return DDOME_OK;
}

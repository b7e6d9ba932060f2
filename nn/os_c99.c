/* SPDX-License-Identifier: MIT */
/* The stand-in of os_posix.c with nothing but C99: no flush to disk, no folders of its own, no
 * telling a link or a pipe from a file, the processor's clock. */
#include "os.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PATH_BYTES = 4096, CHUNK_BYTES = 4096 };

/* C99 knows a file's size only from reading it. */
static bool count_bytes(FILE *file, uint64_t *size)
{
    unsigned char chunk[CHUNK_BYTES];
    size_t got;
    *size = 0;
    while ((got = fread(chunk, 1, sizeof chunk, file)) != 0)
        *size += got;
    return !ferror(file);
}

static ddome_status read_open_file(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                                   size_t *size, const char *path, ddome_status missing, FILE *file)
{
    uint64_t there;
    if (!count_bytes(file, &there) || fseek(file, 0, SEEK_SET) != 0) {
        if (ferror(file) && there != 0)
            return nn_fail(error, DDOME_ERR_IO, "reading %s failed", path);
        return nn_fail(error, missing, "cannot read %s: not a file; check the path", path);
    }
    const size_t count = (size_t)there;
    unsigned char *content = nn_arena_alloc(arena, count + 1, 1);
    if (content == NULL)
        return nn_arena_fail(error, arena, path);
    if (fread(content, 1, count, file) != count)
        return nn_fail(error, DDOME_ERR_IO, "reading %s failed", path);
    content[count] = '\0';
    *bytes = content;
    *size = count;
    return DDOME_OK;
}

ddome_status nn_os_read_file(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                             size_t *size, const char *path, ddome_status missing)
{
    errno = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return nn_fail(error, missing, "cannot open %s: %s; check the path", path,
                       errno != 0 ? strerror(errno) : "no reason given");
    ddome_status status = read_open_file(error, arena, bytes, size, path, missing, file);
    fclose(file);
    return status;
}

ddome_status nn_os_file_size(ddome_error *error, uint64_t *size, const char *path,
                             ddome_status missing)
{
    uint64_t count;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return nn_fail(error, missing, "cannot open %s; check the path", path);
    const bool counted = count_bytes(file, &count);
    fclose(file);
    if (!counted)
        return nn_fail(error, count == 0 ? missing : DDOME_ERR_IO, "reading %s failed", path);
    *size = count;
    return DDOME_OK;
}

static bool write_closed(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return false;
    bool ok = fwrite(bytes, 1, size, file) == size;
    bool closed = fclose(file) == 0;
    return ok && closed;
}

/* C99 leaves it open whether rename replaces a file: where it does not, the old one is removed
 * first, unless there is nothing to replace it, and for that moment a reader finds neither. */
static bool replace(const char *from, const char *to)
{
    if (rename(from, to) == 0)
        return true;
    return nn_os_exists(from) && remove(to) == 0 && rename(from, to) == 0;
}

/* Once the old file is gone the new one under its temporary name is all there is. */
static void drop(const char *temporary, const char *path)
{
    if (nn_os_exists(path))
        remove(temporary);
}

static ddome_status write_failed(ddome_error *error, const char *path)
{
    return nn_fail(error, DDOME_ERR_IO,
                   "cannot write %s; check the folder, its rights and the free space", path);
}

ddome_status nn_os_write_file(ddome_error *error, const char *path, const void *bytes, size_t size)
{
    char temporary[PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if ((size_t)length >= sizeof temporary) /* -1 is, too */
        return nn_fail(error, DDOME_ERR_IO, "cannot write %.80s...: path too long", path);
    const bool written = write_closed(temporary, bytes, size);
    if (written && replace(temporary, path))
        return DDOME_OK;
    if (written)
        drop(temporary, path);
    else
        remove(temporary);
    return write_failed(error, path);
}

/* C99 seeks by a long at a time; behind the end it may succeed. */
static bool walk_to(FILE *file, uint64_t at)
{
    bool ok = true;
    for (long part; ok && at != 0; at -= (uint64_t)part) {
        part = at < LONG_MAX ? (long)at : LONG_MAX;
        ok = fseek(file, part, SEEK_CUR) == 0;
    }
    return ok;
}

/* A file of `at` bytes at its end; NULL when it has another length. */
static FILE *open_end(const char *path, uint64_t at)
{
    char byte;
    FILE *file = fopen(path, "r+b");
    if (file == NULL)
        return NULL;
    if (walk_to(file, at - 1) && fread(&byte, 1, 1, file) == 1 && fread(&byte, 1, 1, file) == 0 &&
        !ferror(file) && fseek(file, 0, SEEK_CUR) == 0)
        return file;
    fclose(file);
    return NULL;
}

/* The first `size` bytes of `path` into `file`. */
static bool copy_start(FILE *file, const char *path, uint64_t size)
{
    unsigned char chunk[CHUNK_BYTES];
    FILE *from = fopen(path, "rb");
    bool ok = from != NULL;
    while (ok && size != 0) {
        const size_t part = size < sizeof chunk ? (size_t)size : sizeof chunk;
        ok = fread(chunk, 1, part, from) == part && fwrite(chunk, 1, part, file) == part;
        size -= part;
    }
    if (from != NULL)
        fclose(from);
    return ok;
}

/* C99 cannot make a file shorter: what stays of a longer one is copied. */
static ddome_status replace_end(ddome_error *error, const char *path, uint64_t at,
                                const void *bytes, size_t size)
{
    char temporary[PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if ((size_t)length >= sizeof temporary) /* -1 is, too */
        return nn_fail(error, DDOME_ERR_IO, "cannot write %.80s...: path too long", path);
    FILE *file = fopen(temporary, "wb");
    bool ok = file != NULL && (at == 0 || copy_start(file, path, at)) &&
              fwrite(bytes, 1, size, file) == size;
    ok = (file == NULL || fclose(file) == 0) && ok;
    if (ok && replace(temporary, path))
        return DDOME_OK;
    if (ok)
        drop(temporary, path);
    else
        remove(temporary);
    return write_failed(error, path);
}

ddome_status nn_os_append(ddome_error *error, const char *path, uint64_t at, const void *bytes,
                          size_t size)
{
    FILE *file = at == 0 ? NULL : open_end(path, at);
    if (file == NULL)
        return replace_end(error, path, at, bytes, size);
    bool ok = fwrite(bytes, 1, size, file) == size;
    ok = fclose(file) == 0 && ok;
    return ok ? DDOME_OK : write_failed(error, path);
}

ddome_status nn_os_read_part(ddome_error *error, void *bytes, size_t size, const char *path,
                             uint64_t at)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return nn_fail(error, DDOME_ERR_DATA, "cannot open %s; check the path", path);
    const size_t got = walk_to(file, at) ? fread(bytes, 1, size, file) : 0;
    const bool broken = ferror(file) && (at != 0 || got != 0); /* of a folder nothing is read */
    fclose(file);
    if (got == size)
        return DDOME_OK;
    if (broken)
        return nn_fail(error, DDOME_ERR_IO, "reading %s failed", path);
    return nn_fail(error, DDOME_ERR_DATA, "%s: expected more bytes than it has; it was cut", path);
}

/* C99 has no way to the disk but closing the file. */
ddome_status nn_os_flush(ddome_error *error, const char *path)
{
    return nn_os_exists(path) ? DDOME_OK : write_failed(error, path);
}

ddome_status nn_os_move(ddome_error *error, const char *from, const char *to)
{
    const bool had = nn_os_exists(to);
    if (replace(from, to))
        return DDOME_OK;
    if (!had || nn_os_exists(to))
        remove(from);
    return write_failed(error, to);
}

/* C99 cannot make a folder: one that takes a file counts as made. */
ddome_status nn_os_make_dir(ddome_error *error, const char *path)
{
    char probe[PATH_BYTES];
    int length = snprintf(probe, sizeof probe, "%s/probe.tmp", path);
    if ((size_t)length >= sizeof probe) /* -1 is, too */
        return nn_fail(error, DDOME_ERR_IO, "cannot use the folder %.80s...: path too long", path);
    bool usable = write_closed(probe, "", 0);
    remove(probe);
    if (usable)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_IO,
                   "cannot use the folder %s: plain C99 cannot make one; make it by hand", path);
}

bool nn_os_exists(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    fclose(file);
    return true;
}

ddome_status nn_os_list(ddome_error *error, nn_arena *arena, const char ***names, size_t *count,
                        const char *path, const char *prefix)
{
    (void)arena, (void)names, (void)count, (void)prefix;
    return nn_fail(error, DDOME_ERR_USAGE,
                   "cannot look into %s: plain C99 knows no folders; name what is in it", path);
}

void nn_os_remove(const char *path)
{
    remove(path);
}

ddome_status nn_os_lock_file(ddome_error *error, nn_os_lock *lock, const char *path)
{
    (void)error;
    *lock = (nn_os_lock){0, path};
    return DDOME_OK;
}

void nn_os_unlock(nn_os_lock *lock)
{
    (void)lock;
}

ddome_status nn_os_spill_open(ddome_error *error, nn_os_spill *spill, const char *path)
{
    FILE *file = tmpfile();
    (void)path;
    if (file == NULL)
        return nn_fail(error, DDOME_ERR_IO,
                       "cannot make a temporary file; check the folder of temporary files");
    *spill = (nn_os_spill){.stream = file, .path = "a temporary file"};
    return DDOME_OK;
}

static bool go_to(FILE *file, uint64_t at)
{
    return fseek(file, 0, SEEK_SET) == 0 && walk_to(file, at);
}

ddome_status nn_os_spill_write(ddome_error *error, const nn_os_spill *spill, uint64_t at,
                               const void *bytes, size_t size)
{
    if (go_to(spill->stream, at) && fwrite(bytes, 1, size, spill->stream) == size)
        return DDOME_OK;
    return write_failed(error, spill->path);
}

ddome_status nn_os_spill_read(ddome_error *error, const nn_os_spill *spill, uint64_t at,
                              void *bytes, size_t size)
{
    if (go_to(spill->stream, at) && fread(bytes, 1, size, spill->stream) == size)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_IO, "reading back what was written to %s failed", spill->path);
}

bool nn_os_spill_is_open(const nn_os_spill *spill)
{
    return spill->stream != NULL;
}

void nn_os_spill_close(nn_os_spill *spill)
{
    if (spill->stream != NULL)
        fclose(spill->stream);
    spill->stream = NULL;
}

double nn_os_seconds(void)
{
    return (double)clock() / (double)CLOCKS_PER_SEC;
}

bool nn_os_stderr_is_terminal(void)
{
    return false;
}

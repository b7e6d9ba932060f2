/* SPDX-License-Identifier: MIT */
/* The stand-in of os_posix.c with nothing but C99: no flush to disk, no folders of its own, the
 * processor's clock. */
#include "os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PATH_BYTES = 4096, CHUNK_BYTES = 4096 };

/* C99 knows a file's size only from reading it. */
static bool count_bytes(FILE *file, size_t *size)
{
    unsigned char chunk[CHUNK_BYTES];
    size_t got;
    *size = 0;
    while ((got = fread(chunk, 1, sizeof chunk, file)) != 0)
        *size += got;
    return !ferror(file) && fseek(file, 0, SEEK_SET) == 0;
}

static ddome_status read_open_file(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                                   size_t *size, const char *path, ddome_status missing, FILE *file)
{
    size_t count;
    if (!count_bytes(file, &count))
        return nn_fail(error, missing, "cannot read %s: not a file; check the path", path);
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
 * first, and for that moment a reader finds neither. */
static bool replace(const char *from, const char *to)
{
    if (rename(from, to) == 0)
        return true;
    return remove(to) == 0 && rename(from, to) == 0;
}

ddome_status nn_os_write_file(ddome_error *error, const char *path, const void *bytes, size_t size)
{
    char temporary[PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return nn_fail(error, DDOME_ERR_IO, "cannot write %.80s...: path too long", path);
    if (write_closed(temporary, bytes, size) && replace(temporary, path))
        return DDOME_OK;
    remove(temporary);
    return nn_fail(error, DDOME_ERR_IO,
                   "cannot write %s; check the folder, its rights and the free space", path);
}

/* C99 cannot make a folder: one that takes a file counts as made. */
ddome_status nn_os_make_dir(ddome_error *error, const char *path)
{
    char probe[PATH_BYTES];
    int length = snprintf(probe, sizeof probe, "%s/probe.tmp", path);
    if (length < 0 || (size_t)length >= sizeof probe)
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

double nn_os_seconds(void)
{
    return (double)clock() / (double)CLOCKS_PER_SEC;
}

bool nn_os_stderr_is_terminal(void)
{
    return false;
}

/* SPDX-License-Identifier: MIT */
/* Files, folders and clock by POSIX: with team_threads.c all of the project that is not plain
 * C99. */
#define _POSIX_C_SOURCE 200809L
#include "os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* Reads until size bytes are there; a file that ends early is an error, errno 0. */
static bool read_all(int file, unsigned char *bytes, size_t size)
{
    errno = 0;
    while (size != 0) {
        ssize_t got = read(file, bytes, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        bytes += got;
        size -= (size_t)got;
    }
    return true;
}

static ddome_status read_open_file(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                                   size_t *size, const char *path, ddome_status missing, int file)
{
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode))
        return nn_fail(error, missing, "cannot read %s: not a file; check the path", path);
    if ((uintmax_t)info.st_size > SIZE_MAX - 1)
        return nn_fail(error, DDOME_ERR_MEMORY, "cannot read %s: too large for memory", path);
    size_t count = (size_t)info.st_size;
    unsigned char *content = nn_arena_alloc(arena, count + 1, 1);
    if (content == NULL)
        return nn_arena_fail(error, arena, path);
    if (!read_all(file, content, count))
        return nn_fail(error, DDOME_ERR_IO, "reading %s failed: %s", path,
                       errno != 0 ? strerror(errno) : "it became shorter meanwhile");
    content[count] = '\0';
    *bytes = content;
    *size = count;
    return DDOME_OK;
}

ddome_status nn_os_read_file(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                             size_t *size, const char *path, ddome_status missing)
{
    int file = open(path, O_RDONLY);
    if (file < 0)
        return nn_fail(error, missing, "cannot open %s: %s; check the path", path, strerror(errno));
    ddome_status status = read_open_file(error, arena, bytes, size, path, missing, file);
    close(file);
    return status;
}

static bool write_all(int file, const unsigned char *bytes, size_t size)
{
    while (size != 0) {
        ssize_t put = write(file, bytes, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        bytes += put;
        size -= (size_t)put;
    }
    return true;
}

/* The bytes are on the disk, not only in its cache, when this returns true. EINVAL: the file system
 * has no flush. close is called once on every path; errno is that of the first failure. */
static bool write_flushed(const char *path, const void *bytes, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0)
        return false;
    bool ok = write_all(file, bytes, size) && (fsync(file) == 0 || errno == EINVAL);
    int cause = errno;
    bool closed = close(file) == 0;
    if (!ok)
        errno = cause;
    return ok && closed;
}

ddome_status nn_os_write_file(ddome_error *error, const char *path, const void *bytes, size_t size)
{
    char temporary[PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return nn_fail(error, DDOME_ERR_IO, "cannot write %.80s...: path too long", path);
    if (write_flushed(temporary, bytes, size) && rename(temporary, path) == 0)
        return DDOME_OK;
    int cause = errno;
    unlink(temporary);
    return nn_fail(error, DDOME_ERR_IO,
                   "cannot write %s: %s; check the folder, its rights and the free space", path,
                   strerror(cause));
}

ddome_status nn_os_make_dir(ddome_error *error, const char *path)
{
    if (mkdir(path, 0777) == 0)
        return DDOME_OK;
    int cause = errno;
    struct stat info;
    if (cause == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_IO, "cannot make the folder %s: %s; its parent must exist",
                   path, strerror(cause));
}

bool nn_os_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The list grows by doubling; the old ones stay in the arena. */
static ddome_status add_name(ddome_error *error, nn_arena *arena, const char ***names,
                             size_t *count, const char *name)
{
    const bool full = (*count & (*count - 1)) == 0; /* 0 or a power of two */
    const char **list = *names;
    if (full) {
        list = nn_arena_alloc(arena, nn_max(2 * *count, 1), sizeof *list);
        if (list == NULL)
            return nn_arena_fail(error, arena, "the names in a folder");
        if (*count != 0)
            memcpy(list, *names, *count * sizeof *list);
        *names = list;
    }
    list[*count] = nn_arena_string(arena, name);
    return list[(*count)++] == NULL ? nn_arena_fail(error, arena, "the names in a folder")
                                    : DDOME_OK;
}

ddome_status nn_os_list(ddome_error *error, nn_arena *arena, const char ***names, size_t *count,
                        const char *path, const char *prefix)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return nn_fail(error, DDOME_ERR_DATA, "cannot look into %s: %s; check the path", path,
                       strerror(errno));
    ddome_status status = DDOME_OK;
    *names = NULL;
    *count = 0;
    for (struct dirent *entry; status == DDOME_OK && (entry = readdir(folder)) != NULL;)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            status = add_name(error, arena, names, count, entry->d_name);
    closedir(folder);
    return status;
}

void nn_os_remove(const char *path)
{
    unlink(path);
}

double nn_os_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool nn_os_stderr_is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

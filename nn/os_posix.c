/* SPDX-License-Identifier: MIT */
/* Files, folders and clock by POSIX: with os_posix_lock.c, os_posix_spill.c and team_threads.c all
 * of the project that is not plain C99. */
#define _POSIX_C_SOURCE 200809L
#include "os_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef O_NOFOLLOW /* POSIX.1-2008; without it links are followed */
#define O_NOFOLLOW 0
#endif

enum { PATH_BYTES = 4096 };

/* Reads until size bytes are there; a file that ends early is an error, errno 0. */
static bool read_all(int file, unsigned char *bytes, size_t size)
{
    while (size != 0) {
        errno = 0;
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

/* What cannot be opened or looked at is missing, unless it is the disk or the system that failed.
 */
static ddome_status cannot(ddome_error *error, const char *what, const char *path,
                           ddome_status missing)
{
    const bool failed = errno == EIO || errno == EMFILE || errno == ENFILE || errno == EOVERFLOW;
    return nn_fail(error, failed ? DDOME_ERR_IO : missing, "cannot %s %s: %s; check the path", what,
                   path, strerror(errno));
}

static ddome_status read_open_file(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                                   size_t *size, const char *path, ddome_status missing, int file)
{
    struct stat info;
    if (fstat(file, &info) != 0)
        return cannot(error, "read", path, missing);
    if (!S_ISREG(info.st_mode))
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
    int file = open(path, O_RDONLY | O_NONBLOCK); /* a pipe must not keep it waiting */
    if (file < 0)
        return cannot(error, "open", path, missing);
    ddome_status status = read_open_file(error, arena, bytes, size, path, missing, file);
    close(file);
    return status;
}

ddome_status nn_os_file_size(ddome_error *error, uint64_t *size, const char *path,
                             ddome_status missing)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return cannot(error, "open", path, missing);
    if (!S_ISREG(info.st_mode))
        return nn_fail(error, missing, "cannot read %s: not a file; check the path", path);
    *size = (uint64_t)info.st_size;
    return DDOME_OK;
}

/* ---- writing ---- */

int nn_os_open_in_place(const char *path, int how)
{
    return open(path, how | O_NOFOLLOW | O_NONBLOCK, 0666);
}

int nn_os_open_new(const char *path, int how)
{
    unlink(path);
    return nn_os_open_in_place(path, how | O_CREAT | O_EXCL);
}

bool nn_os_write_all(int file, const unsigned char *bytes, size_t size)
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

/* EINVAL: the file system has no flush. */
static bool flush(int file)
{
    int done;
    do
        done = fsync(file);
    while (done != 0 && errno == EINTR);
    return done == 0 || errno == EINVAL;
}

bool nn_os_cut(int file, off_t end)
{
    int done;
    do
        done = ftruncate(file, end);
    while (done != 0 && errno == EINTR);
    return done == 0;
}

/* close is called once on every path; errno is that of the first failure. A close that a signal
 * interrupts has closed the file: to do it again could close another one. */
static bool close_after(int file, bool ok)
{
    const int cause = errno;
    const bool closed = close(file) == 0 || errno == EINTR;
    if (!ok)
        errno = cause;
    return ok && closed;
}

/* A name lasts once its folder is on the disk. A folder that cannot be opened for reading has no
 * flush either. */
static bool flush_folder(const char *path)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (length >= sizeof folder)
        return false;
    memcpy(folder, path, length);
    strcpy(folder + length, ".");
    const int file = open(folder, O_RDONLY);
    if (file < 0)
        return errno == EACCES;
    return close_after(file, flush(file));
}

/* The bytes are on the disk, not only in its cache, when this returns true. */
static bool write_flushed(const char *path, const void *bytes, size_t size)
{
    const int file = nn_os_open_new(path, O_WRONLY);
    if (file < 0)
        return false;
    return close_after(file, nn_os_write_all(file, bytes, size) && flush(file));
}

ddome_status nn_os_write_failed(ddome_error *error, const char *path, int cause)
{
    return nn_fail(error, DDOME_ERR_IO,
                   "cannot write %s: %s; check the folder, its rights and the free space", path,
                   strerror(cause));
}

ddome_status nn_os_place_failed(ddome_error *error, const char *path, int cause)
{
    struct stat info;
    if (lstat(path, &info) != 0 || S_ISREG(info.st_mode))
        return nn_os_write_failed(error, path, cause);
    const char *found = S_ISLNK(info.st_mode) ? "a symbolic link" : "a folder, a pipe or a device";
    return nn_fail(error, DDOME_ERR_IO, "cannot write %s: expected a file, found %s; remove it",
                   path, found);
}

/* A folder, a pipe, a device: renaming would put a file in its place, /dev/null's even. */
static bool is_special(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode);
}

ddome_status nn_os_write_file(ddome_error *error, const char *path, const void *bytes, size_t size)
{
    char temporary[PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if ((size_t)length >= sizeof temporary) /* -1 is, too */
        return nn_fail(error, DDOME_ERR_IO, "cannot write %.80s...: path too long", path);
    if (is_special(path))
        return nn_os_place_failed(error, path, EINVAL);
    if (write_flushed(temporary, bytes, size) && rename(temporary, path) == 0 && flush_folder(path))
        return DDOME_OK;
    int cause = errno;
    unlink(temporary);
    return nn_os_write_failed(error, path, cause);
}

/* The file's end is moved to `at`; EFBIG: no file can be so long, EINVAL: it is none. */
static bool cut_at(int file, uint64_t at)
{
    const off_t end = (off_t)at;
    struct stat info;
    if (end < 0 || (uint64_t)end != at) {
        errno = EFBIG;
        return false;
    }
    if (fstat(file, &info) != 0)
        return false;
    if (!S_ISREG(info.st_mode) || info.st_size < end) {
        errno = S_ISREG(info.st_mode) ? ENODATA : EINVAL;
        return false;
    }
    return nn_os_cut(file, end) && lseek(file, end, SEEK_SET) == end;
}

ddome_status nn_os_append(ddome_error *error, const char *path, uint64_t at, const void *bytes,
                          size_t size)
{
    const int file = nn_os_open_in_place(path, O_WRONLY | O_CREAT);
    if (file >= 0 && close_after(file, cut_at(file, at) && nn_os_write_all(file, bytes, size)))
        return DDOME_OK;
    return nn_os_place_failed(error, path, errno);
}

ddome_status nn_os_read_part(ddome_error *error, void *bytes, size_t size, const char *path,
                             uint64_t at)
{
    const int file = open(path, O_RDONLY | O_NONBLOCK); /* a pipe must not keep it waiting */
    struct stat info;
    if (file < 0)
        return cannot(error, "open", path, DDOME_ERR_DATA);
    const off_t start = (off_t)at;
    errno = 0;
    bool ok = fstat(file, &info) == 0 && S_ISREG(info.st_mode) && start >= 0 &&
              (uint64_t)start == at && lseek(file, start, SEEK_SET) == start &&
              read_all(file, bytes, size);
    if (close_after(file, ok))
        return DDOME_OK;
    if (errno != 0)
        return nn_fail(error, DDOME_ERR_IO, "reading %s failed: %s", path, strerror(errno));
    return nn_fail(error, DDOME_ERR_DATA,
                   "%s: expected %llu bytes behind the first %llu, found fewer; it was cut", path,
                   (unsigned long long)size, (unsigned long long)at);
}

ddome_status nn_os_flush(ddome_error *error, const char *path)
{
    const int file = nn_os_open_in_place(path, O_WRONLY);
    if (file >= 0 && close_after(file, flush(file)) && flush_folder(path))
        return DDOME_OK;
    return nn_os_place_failed(error, path, errno);
}

ddome_status nn_os_move(ddome_error *error, const char *from, const char *to)
{
    ddome_status status = nn_os_flush(error, from);
    if (status == DDOME_OK && (rename(from, to) != 0 || !flush_folder(to)))
        status = nn_os_write_failed(error, to, errno);
    if (status != DDOME_OK)
        unlink(from);
    return status;
}

ddome_status nn_os_make_dir(ddome_error *error, const char *path)
{
    if (mkdir(path, 0777) == 0)
        return flush_folder(path) ? DDOME_OK : nn_os_write_failed(error, path, errno);
    int cause = errno;
    struct stat info;
    if (cause == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_IO, "cannot make the folder %s: %s; its parent must exist",
                   path, strerror(cause));
}

/* A file at which nobody can look may be there: nothing is written over it. */
bool nn_os_exists(const char *path)
{
    return access(path, F_OK) == 0 ||
           (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG);
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
        return cannot(error, "look into", path, DDOME_ERR_DATA);
    ddome_status status = DDOME_OK;
    *names = NULL;
    *count = 0;
    errno = 0;
    for (struct dirent *entry; status == DDOME_OK && (entry = readdir(folder)) != NULL; errno = 0)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            status = add_name(error, arena, names, count, entry->d_name);
    if (status == DDOME_OK && errno != 0)
        status = nn_fail(error, DDOME_ERR_IO, "reading %s failed: %s", path, strerror(errno));
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

/* SPDX-License-Identifier: MIT */
/* A library to be put before the program (LD_PRELOAD) by tests/cli_edges.sh and tests/cli_plain.sh:
 * calls of the operating system and of the C library that do less than they are asked, or fail.
 *
 * CALL=write NTH=3 ERROR=28: the third write to a file fails with errno 28, and all later ones, or
 * TIMES of them. NTH=0: none does. FILE=END: of the calls that are given a path (or open one), and
 * of fread, those count whose path ends so. (Other paths may be no business of the program: one
 * that counts its branches writes them down as it ends.)
 * PIECES: reads and writes do at most 700 bytes, and every second call is interrupted.
 * CALL=size SIZE=N: fstat finds N bytes. CALL=inode, CALL=device: stat finds another one.
 * CALL=malloc: what is asked for is 1 MiB or more. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { LARGE = 1 << 20 };

static unsigned calls, pieces;

static unsigned number(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : (unsigned)atoi(text);
}

/* Does the path end as FILE says? */
static int is_meant(const char *path)
{
    const char *end = getenv("FILE");
    const size_t length = strlen(path), tail = end == NULL ? 0 : strlen(end);
    return length >= tail && (tail == 0 || strcmp(path + length - tail, end) == 0);
}

/* path NULL: a call without one. Leaves errno as it is when the call does not fail. */
static int fails_at(const char *name, const char *path)
{
    const char *call = getenv("CALL");
    const unsigned nth = number("NTH", 0);
    if (call == NULL || nth == 0 || strcmp(call, name) != 0 || (path != NULL && !is_meant(path)))
        return 0;
    if (++calls < nth || calls - nth >= number("TIMES", (unsigned)-1))
        return 0;
    errno = (int)number("ERROR", 0);
    return 1;
}

static int fails(const char *name)
{
    return fails_at(name, NULL);
}

static size_t piece(size_t count)
{
    if (getenv("PIECES") == NULL)
        return count;
    if (++pieces % 2 == 0)
        return 0;
    return count < 700 ? count : 700;
}

#define REAL(name) (*(void **)&real = dlsym(RTLD_NEXT, name))

/* ---- POSIX ---- */

int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...);
    va_list more;
    va_start(more, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    REAL("open");
    return fails_at("open", path) ? -1 : real(path, flags, mode);
}

ssize_t read(int file, void *bytes, size_t count)
{
    ssize_t (*real)(int, void *, size_t);
    const size_t part = piece(count);
    REAL("read");
    if (fails("read"))
        return errno == 0 ? 0 : -1; /* 0: the file has become shorter */
    errno = EINTR;
    return part == 0 && count != 0 ? -1 : real(file, bytes, part);
}

ssize_t write(int file, const void *bytes, size_t count)
{
    ssize_t (*real)(int, const void *, size_t);
    const size_t part = file > 2 ? piece(count) : count;
    REAL("write");
    if (file > 2 && fails("write"))
        return -1;
    errno = EINTR;
    return part == 0 && count != 0 ? -1 : real(file, bytes, part);
}

ssize_t pread(int file, void *bytes, size_t count, off_t at)
{
    ssize_t (*real)(int, void *, size_t, off_t);
    const size_t part = piece(count);
    REAL("pread");
    if (fails("pread"))
        return errno == 0 ? 0 : -1; /* 0: the file has become shorter */
    errno = EINTR;
    return part == 0 && count != 0 ? -1 : real(file, bytes, part, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t);
    const size_t part = piece(count);
    REAL("pwrite");
    if (fails("pwrite"))
        return -1;
    errno = EINTR;
    return part == 0 && count != 0 ? -1 : real(file, bytes, part, at);
}

off_t lseek(int file, off_t offset, int from)
{
    off_t (*real)(int, off_t, int);
    REAL("lseek");
    return fails("lseek") ? -1 : real(file, offset, from);
}

/* No test here takes the power away, so the disk need not be waited for. */
int fsync(int file)
{
    (void)file;
    return fails("fsync") ? -1 : 0;
}

/* The file is closed even so. */
int close(int file)
{
    int (*real)(int);
    REAL("close");
    if (!fails("close"))
        return real(file);
    const int cause = errno;
    real(file);
    errno = cause;
    return -1;
}

int ftruncate(int file, off_t length)
{
    int (*real)(int, off_t);
    REAL("ftruncate");
    return fails("ftruncate") ? -1 : real(file, length);
}

/* Locks alone have a pointer behind them here, another command a number. */
int fcntl(int file, int command, ...)
{
    int (*real)(int, int, ...);
    va_list more;
    va_start(more, command);
    void *what = va_arg(more, void *);
    va_end(more);
    REAL("fcntl");
    return fails("fcntl") ? -1 : real(file, command, what);
}

int fstat(int file, struct stat *info)
{
    int (*real)(int, struct stat *);
    REAL("fstat");
    if (fails("fstat"))
        return -1;
    const int found = real(file, info);
    if (found == 0 && S_ISREG(info->st_mode) && fails("size"))
        info->st_size = (off_t)atol(getenv("SIZE"));
    return found;
}

int stat(const char *path, struct stat *info)
{
    int (*real)(const char *, struct stat *);
    REAL("stat");
    if (fails_at("stat", path))
        return -1;
    const int found = real(path, info);
    info->st_ino += found == 0 && fails_at("inode", path);
    info->st_dev += found == 0 && fails_at("device", path);
    return found;
}

/* NULL with errno 0 is the end. */
struct dirent *readdir(DIR *folder)
{
    struct dirent *(*real)(DIR *);
    REAL("readdir");
    return fails("readdir") ? NULL : real(folder);
}

/* ---- C ---- */

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *);
    REAL("rename");
    return fails_at("rename", to) ? -1 : real(from, to);
}

int mkstemp(char *path)
{
    int (*real)(char *);
    REAL("mkstemp");
    return fails("mkstemp") ? -1 : real(path);
}

FILE *tmpfile(void)
{
    FILE *(*real)(void);
    REAL("tmpfile");
    return fails("tmpfile") ? NULL : real();
}

/* The last one opened whose path FILE means. */
static FILE *meant;

FILE *fopen(const char *path, const char *mode)
{
    FILE *(*real)(const char *, const char *);
    REAL("fopen");
    if (fails_at("fopen", path))
        return NULL;
    FILE *file = real(path, mode);
    if (is_meant(path))
        meant = file;
    return file;
}

/* Without ERROR nothing is read, as at the end of a file; with it half is, and ferror tells until
 * the file is closed. */
static FILE *broken;

size_t fread(void *bytes, size_t size, size_t count, FILE *file)
{
    size_t (*real)(void *, size_t, size_t, FILE *);
    REAL("fread");
    if ((getenv("FILE") != NULL && file != meant) || !fails("fread"))
        return real(bytes, size, count, file);
    if (errno == 0)
        return 0;
    broken = file;
    return real(bytes, size, count / 2, file);
}

int ferror(FILE *file)
{
    int (*real)(FILE *);
    REAL("ferror");
    return file == broken || real(file);
}

size_t fwrite(const void *bytes, size_t size, size_t count, FILE *file)
{
    size_t (*real)(const void *, size_t, size_t, FILE *);
    REAL("fwrite");
    return count != 0 && file != stdout && file != stderr && fails("fwrite")
               ? 0
               : real(bytes, size, count, file);
}

/* Of files that are written; it is closed even so. */
int fclose(FILE *file)
{
    int (*real)(FILE *);
    const int written = __fwritable(file);
    REAL("fclose");
    broken = file == broken ? NULL : broken;
    meant = file == meant ? NULL : meant;
    const int done = real(file);
    return written && fails("fclose") ? EOF : done;
}

int fseek(FILE *file, long offset, int from)
{
    int (*real)(FILE *, long, int);
    REAL("fseek");
    return fails("fseek") ? -1 : real(file, offset, from);
}

void *malloc(size_t size)
{
    static void *(*real)(size_t);
    if (real == NULL)
        REAL("malloc");
    return size >= LARGE && fails("malloc") ? NULL : real(size);
}

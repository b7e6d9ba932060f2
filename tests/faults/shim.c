/* SPDX-License-Identifier: MIT */
/* Stand-ins that count, write down, and let one call fail. The environment says which:
 *
 *   FAULT=KIND:N:WHAT   the N-th call (from 1) of KIND: the name of a call (write, arena_alloc;
 *                       open_write and close_write of files that are written), or a group: io,
 *                       memory, arena, thread
 *   FAULT_LOG=FILE      appended: a line "GROUP CALL PATH" (tabs between) a call, or, with FAULT,
 *                       the one line "fault CALL PATH" when it happens
 *
 * WHAT: EIO, ENOSPC, EINTR, EAGAIN, ENOMEM fails with it, and with a + all later ones of KIND, too;
 * short: half of the bytes are written, and the next write to that file finds the disk full; part:
 * half of the bytes are read or written, and all goes on; kill: half of the bytes are written, or
 * nothing is done, and the process kills itself; stop: it stops itself before the call; trap: it
 * aborts there, which ASAN_OPTIONS=handle_abort=1 shows; leak: an allocation takes as much again
 * and loses it. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../nn/arena.h"
#include "journal.h"

enum { FILES = 256, PATH_BYTES = 512, WISH_BYTES = 64 };

typedef enum fate { GO, FAIL, SHORT, PART, KILL, STOP, TRAP, LEAK } fate;

static struct {
    int log; /* -1: none */
    char wish[WISH_BYTES], kind[WISH_BYTES];
    unsigned long at, met; /* at 0: no fault is wanted */
    fate fate;
    int cause; /* errno of a failure */
    bool onward;
    int full; /* the file whose next write finds no room; -1: none */
    char paths[FILES][PATH_BYTES];
    bool writes[FILES];
} state = {.log = -1, .full = -1};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- what is wanted ---- */

static const struct {
    const char *name;
    fate fate;
    int cause;
} whats[] = {{"EIO", FAIL, EIO},       {"ENOSPC", FAIL, ENOSPC}, {"EINTR", FAIL, EINTR},
             {"EAGAIN", FAIL, EAGAIN}, {"ENOMEM", FAIL, ENOMEM}, {"short", SHORT, ENOSPC},
             {"part", PART, 0},        {"kill", KILL, 0},        {"stop", STOP, 0},
             {"trap", TRAP, 0},        {"leak", LEAK, 0}};

/* A wish that cannot be understood must not look like a run without faults. */
static void refuse(const char *wish)
{
    fprintf(stderr, "shim: expected FAULT=KIND:N:WHAT, found %s\n", wish);
    abort();
}

static void set_what(char *what, const char *wish)
{
    char *plus = strchr(what, '+');
    state.onward = plus != NULL;
    if (plus != NULL)
        *plus = '\0';
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++)
        if (strcmp(what, whats[i].name) == 0) {
            state.fate = whats[i].fate;
            state.cause = whats[i].cause;
            return;
        }
    refuse(wish);
}

static void begin(void)
{
    const char *wish = getenv("FAULT"), *log = getenv("FAULT_LOG");
    char what[WISH_BYTES];
    if (log != NULL)
        state.log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (wish == NULL)
        return;
    if (strlen(wish) >= WISH_BYTES ||
        sscanf(wish, "%63[a-z_]:%lu:%63s", state.kind, &state.at, what) != 3 || state.at == 0)
        refuse(wish);
    strcpy(state.wish, wish);
    set_what(what, wish);
}

/* ---- one call ---- */

/* One write, so that lines of threads do not mix and a kill loses none. */
static void note(const char *group, const char *call, const char *path)
{
    char line[2 * PATH_BYTES];
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", group, call, path);
    if (state.log < 0 || length < 0)
        return;
    if (write(state.log, line, nn_min((size_t)length, sizeof line - 1)) < 0)
        abort();
}

static fate fate_of(const char *group, const char *call, const char *path)
{
    fate found = GO;
    pthread_mutex_lock(&lock);
    if (strcmp(state.kind, group) == 0 || strcmp(state.kind, call) == 0) {
        state.met++;
        if (state.met == state.at || (state.onward && state.met > state.at))
            found = state.fate;
    }
    if (state.at == 0 || state.met == state.at)
        note(state.at == 0 ? group : "fault", call, path);
    pthread_mutex_unlock(&lock);
    return found;
}

/* What the call itself has to see to: GO, FAIL, SHORT, PART, KILL or LEAK. */
static fate meet(const char *group, const char *call, const char *path)
{
    const int before = errno;
    pthread_once(&once, begin);
    const fate found = fate_of(group, call, path);
    errno = before;
    if (found == FAIL)
        errno = state.cause;
    if (found == STOP)
        raise(SIGSTOP);
    if (found == TRAP)
        raise(SIGABRT);
    return found == STOP ? GO : found;
}

/* Of a call that is done or not: must it fail? */
static bool fails(const char *group, const char *call, const char *path)
{
    const fate found = meet(group, call, path);
    if (found == KILL)
        raise(SIGKILL);
    return found == FAIL;
}

static bool io_fails(const char *call, const char *path)
{
    return fails("io", call, path);
}

/* Into the journal, if it was done. */
static int changed(int result, const char *change, const char *path, const char *other, off_t at)
{
    const int cause = errno;
    if (result == 0)
        fault_journal(change, path, other, at, NULL, 0);
    errno = cause;
    return result;
}

static const char *path_of(int file)
{
    return file >= 0 && file < FILES ? state.paths[file] : "";
}

/* ---- files ---- */

int fault_open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    const bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (io_fails(writes ? "open_write" : "open", path))
        return -1;
    int file = open(path, flags, mode);
    if (file >= 0 && file < FILES) {
        snprintf(state.paths[file], PATH_BYTES, "%s", path);
        state.writes[file] = writes;
    }
    if (file >= 0 && (flags & O_CREAT) != 0)
        fault_journal("create", path, (flags & O_TRUNC) != 0 ? "empty" : "", 0, NULL, 0);
    return file;
}

/* As on Linux the file is closed whatever close returns. */
int fault_close(int file)
{
    const bool writes = file >= 0 && file < FILES && state.writes[file];
    const bool failing = io_fails(writes ? "close_write" : "close", path_of(file));
    const int cause = errno;
    if (file == state.full)
        state.full = -1;
    const int result = close(file);
    if (failing)
        errno = cause;
    return failing ? -1 : result;
}

/* How many of the bytes a call may read; -1: none, and why is in errno. */
static ssize_t readable(const char *call, int file, size_t size)
{
    const fate found = meet("io", call, path_of(file));
    if (found == KILL)
        raise(SIGKILL);
    return found == FAIL || found == KILL ? -1 : (ssize_t)(found == PART ? (size + 1) / 2 : size);
}

ssize_t fault_read(int file, void *bytes, size_t size)
{
    const ssize_t some = readable("read", file, size);
    return some < 0 ? -1 : read(file, bytes, (size_t)some);
}

/* What is written is in the journal, too. */
static ssize_t put(int file, const void *bytes, size_t size)
{
    const ssize_t done = write(file, bytes, size);
    if (done > 0)
        fault_journal("write", path_of(file), "", (long long)lseek(file, 0, SEEK_CUR) - done, bytes,
                      (size_t)done);
    return done;
}

/* How many of the bytes a call may write; -1: none, and why is in errno. */
static ssize_t allowed(fate *found, const char *call, int file, size_t size)
{
    *found = meet("io", call, path_of(file));
    if (*found == FAIL)
        return -1;
    if (file == state.full) {
        state.full = -1;
        errno = ENOSPC;
        return -1;
    }
    return (ssize_t)(*found == GO ? size : *found == PART ? (size + 1) / 2 : size / 2);
}

/* What happens behind a call that has written. */
static void conclude(fate found, int file)
{
    if (found == KILL)
        raise(SIGKILL);
    if (found == SHORT)
        state.full = file;
}

ssize_t fault_write(int file, const void *bytes, size_t size)
{
    fate found;
    const ssize_t some = allowed(&found, "write", file, size);
    if (some < 0)
        return -1;
    const ssize_t done = put(file, bytes, (size_t)some);
    conclude(found, file);
    return done;
}

/* Of a file without a name: nothing of it outlasts the process, so the journal has nothing of it.
 */
ssize_t fault_pread(int file, void *bytes, size_t size, off_t at)
{
    const ssize_t some = readable("pread", file, size);
    return some < 0 ? -1 : pread(file, bytes, (size_t)some, at);
}

ssize_t fault_pwrite(int file, const void *bytes, size_t size, off_t at)
{
    fate found;
    const ssize_t some = allowed(&found, "pwrite", file, size);
    if (some < 0)
        return -1;
    const ssize_t done = pwrite(file, bytes, (size_t)some, at);
    conclude(found, file);
    return done;
}

int fault_fsync(int file)
{
    return io_fails("fsync", path_of(file)) ? -1
                                            : changed(fsync(file), "sync", path_of(file), "", 0);
}

int fault_ftruncate(int file, off_t size)
{
    const char *path = path_of(file);
    return io_fails("ftruncate", path) ? -1 : changed(ftruncate(file, size), "cut", path, "", size);
}

off_t fault_lseek(int file, off_t offset, int from)
{
    return io_fails("lseek", path_of(file)) ? -1 : lseek(file, offset, from);
}

int fault_fcntl(int file, int command, ...)
{
    const bool locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    va_list rest;
    va_start(rest, command);
    struct flock *region = locks ? va_arg(rest, struct flock *) : NULL;
    const int number = locks ? 0 : va_arg(rest, int);
    va_end(rest);
    if (io_fails("fcntl", path_of(file)))
        return -1;
    return locks ? fcntl(file, command, region) : fcntl(file, command, number);
}

int fault_fstat(int file, struct stat *info)
{
    return io_fails("fstat", path_of(file)) ? -1 : fstat(file, info);
}

int fault_stat(const char *path, struct stat *info)
{
    return io_fails("stat", path) ? -1 : stat(path, info);
}

int fault_lstat(const char *path, struct stat *info)
{
    return io_fails("lstat", path) ? -1 : lstat(path, info);
}

int fault_access(const char *path, int how)
{
    return io_fails("access", path) ? -1 : access(path, how);
}

int fault_rename(const char *old, const char *new)
{
    return io_fails("rename", new) ? -1 : changed(rename(old, new), "rename", old, new, 0);
}

int fault_mkdir(const char *path, mode_t mode)
{
    return io_fails("mkdir", path) ? -1 : changed(mkdir(path, mode), "mkdir", path, "", 0);
}

int fault_unlink(const char *path)
{
    return io_fails("unlink", path) ? -1 : changed(unlink(path), "remove", path, "", 0);
}

int fault_mkstemp(char *path)
{
    if (io_fails("open_write", path))
        return -1;
    const int file = mkstemp(path);
    if (file >= 0 && file < FILES) {
        snprintf(state.paths[file], PATH_BYTES, "%s", path);
        state.writes[file] = true;
    }
    return file;
}

DIR *fault_opendir(const char *path)
{
    return io_fails("opendir", path) ? NULL : opendir(path);
}

struct dirent *fault_readdir(DIR *folder)
{
    return io_fails("readdir", "") ? NULL : readdir(folder);
}

int fault_closedir(DIR *folder)
{
    const bool failing = io_fails("closedir", "");
    const int cause = errno;
    const int result = closedir(folder);
    if (failing)
        errno = cause;
    return failing ? -1 : result;
}

/* ---- memory ---- */

/* Nothing points at it any more: proof that the build finds a leak. */
static void lose(size_t size)
{
    char *volatile lost = malloc(size);
    if (lost != NULL)
        *lost = 1;
    lost = NULL;
}

void *fault_malloc(size_t size)
{
    const fate found = meet("memory", "malloc", "");
    if (found == LEAK)
        lose(size);
    return found == FAIL ? NULL : malloc(size);
}

void *fault_arena_alloc(nn_arena *arena, size_t count, size_t size)
{
    return fails("arena", "arena_alloc", "") ? NULL : nn_arena_alloc(arena, count, size);
}

void *fault_arena_zero(nn_arena *arena, size_t count, size_t size)
{
    return fails("arena", "arena_zero", "") ? NULL : nn_arena_zero(arena, count, size);
}

char *fault_arena_string(nn_arena *arena, const char *text)
{
    return fails("arena", "arena_string", text) ? NULL : nn_arena_string(arena, text);
}

/* ---- threads ---- */

int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *),
                         void *argument)
{
    return fails("thread", "pthread_create", "")
               ? errno
               : pthread_create(thread, attributes, work, argument);
}

int fault_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    return fails("thread", "pthread_mutex_init", "") ? errno
                                                     : pthread_mutex_init(mutex, attributes);
}

int fault_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    return fails("thread", "pthread_cond_init", "") ? errno
                                                    : pthread_cond_init(condition, attributes);
}

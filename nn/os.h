/* SPDX-License-Identifier: MIT */
/* The door to the operating system: files, folders, clock; threads are behind team.h. os_posix.c is
 * the usual one; os_c99.c is a stand-in that needs nothing but C99 (make OS=c99). */
#ifndef NN_OS_H
#define NN_OS_H

#include "arena.h"

/* The whole file into the arena. A missing or unreadable file is `missing` (DDOME_ERR_DATA for
 * data, DDOME_ERR_USAGE for a configuration); a failing read is DDOME_ERR_IO. The bytes are
 * followed by a NUL that size does not count. */
DDOME_MUST_CHECK ddome_status nn_os_read_file(ddome_error *error, nn_arena *arena,
                                              unsigned char **bytes, size_t *size, const char *path,
                                              ddome_status missing);

/* How many bytes the file has. A missing one, or what is no file, is `missing`. */
DDOME_MUST_CHECK ddome_status nn_os_file_size(ddome_error *error, uint64_t *size, const char *path,
                                              ddome_status missing);

/* Writes path.tmp anew, flushes it to disk, renames it over path, flushes the folder: a reader sees
 * the old bytes or the new, never half, and what is written stays after a crash of the machine. */
DDOME_MUST_CHECK ddome_status nn_os_write_file(ddome_error *error, const char *path,
                                               const void *bytes, size_t size);

/* The first `at` bytes of the file stay, `bytes` become all that follows; at 0 makes the file. A
 * file shorter than `at` is DDOME_ERR_IO and stays as it is, and so is a symbolic link or what is
 * no regular file (os_c99.c follows links). Not flushed: see nn_os_flush. */
DDOME_MUST_CHECK ddome_status nn_os_append(ddome_error *error, const char *path, uint64_t at,
                                           const void *bytes, size_t size);

/* bytes[size] of the file, from its byte `at` on; a file that ends before is DDOME_ERR_DATA. */
DDOME_MUST_CHECK ddome_status nn_os_read_part(ddome_error *error, void *bytes, size_t size,
                                              const char *path, uint64_t at);

/* What was appended is on the disk, not only in its cache, when this returns DDOME_OK. */
DDOME_MUST_CHECK ddome_status nn_os_flush(ddome_error *error, const char *path);

/* Flushes `from` and gives it the name `to`, whatever had it; the folder is flushed, too. On error
 * `from` is removed, unless a file `to` went with it. */
DDOME_MUST_CHECK ddome_status nn_os_move(ddome_error *error, const char *from, const char *to);

/* Creates the folder (its parent must exist); one that exists is fine. */
DDOME_MUST_CHECK ddome_status nn_os_make_dir(ddome_error *error, const char *path);

/* True when there is something at path (os_c99.c: when it can be opened for reading). */
bool nn_os_exists(const char *path);

/* The names in a folder that begin with `prefix`, in no order of their own. A folder that is not
 * there is DDOME_ERR_DATA (os_c99.c: DDOME_ERR_USAGE always, it cannot look into one). */
DDOME_MUST_CHECK ddome_status nn_os_list(ddome_error *error, nn_arena *arena, const char ***names,
                                         size_t *count, const char *path, const char *prefix);

/* Removes a file; one that is not there is fine. */
void nn_os_remove(const char *path);

/* One process at a time: a lock on the file `path`, which is made where it is not there and says
 * who has the lock. It ends with the process, so a file that a killed one left locks nothing. A
 * lock that another process has is DDOME_ERR_USAGE, what nn_os_append refuses is DDOME_ERR_IO; a
 * second one of the same process is not noticed. os_c99.c locks nothing. */
typedef struct nn_os_lock {
    int file;         /* + 1; 0: no lock */
    const char *path; /* the caller's, until it is unlocked */
} nn_os_lock;

DDOME_MUST_CHECK ddome_status nn_os_lock_file(ddome_error *error, nn_os_lock *lock,
                                              const char *path);

/* Removes the file; a zeroed lock is fine. */
void nn_os_unlock(nn_os_lock *lock);

/* A file without a name, for what memory is too small for: no other process sees it, and it ends
 * with this one, however that ends. Threads may use it at the same time, each other bytes of it
 * (os_c99.c: one thread). */
typedef struct nn_os_spill {
    int file;         /* + 1; 0: none */
    void *stream;     /* os_c99.c has this in its place */
    const char *path; /* for errors; the caller's, until it is closed */
} nn_os_spill;

/* An empty one on the file system of `path`, where it has that name for a moment; what is there is
 * removed. NULL: in the folder of temporary files, TMPDIR or /tmp (os_c99.c always: it leaves the
 * place to the C library). *spill is untouched on error. */
DDOME_MUST_CHECK ddome_status nn_os_spill_open(ddome_error *error, nn_os_spill *spill,
                                               const char *path);

/* bytes[size] to or from its byte `at` on. It grows at its end alone; to read behind that is
 * DDOME_ERR_IO. */
DDOME_MUST_CHECK ddome_status nn_os_spill_write(ddome_error *error, const nn_os_spill *spill,
                                                uint64_t at, const void *bytes, size_t size);
DDOME_MUST_CHECK ddome_status nn_os_spill_read(ddome_error *error, const nn_os_spill *spill,
                                               uint64_t at, void *bytes, size_t size);

/* A zeroed one is not. */
bool nn_os_spill_is_open(const nn_os_spill *spill);

/* Gives its room back; a zeroed one is fine. */
void nn_os_spill_close(nn_os_spill *spill);

/* Seconds since some fixed point. Never enters a hashed file. */
double nn_os_seconds(void);

/* True when standard error is a terminal. */
bool nn_os_stderr_is_terminal(void);

#endif

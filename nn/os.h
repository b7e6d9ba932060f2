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

/* Writes path.tmp, flushes it to disk, renames it over path: a reader sees the old bytes or the
 * new, never half. */
DDOME_MUST_CHECK ddome_status nn_os_write_file(ddome_error *error, const char *path,
                                               const void *bytes, size_t size);

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

/* Seconds since some fixed point. Never enters a hashed file. */
double nn_os_seconds(void);

/* True when standard error is a terminal. */
bool nn_os_stderr_is_terminal(void);

#endif

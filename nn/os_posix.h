/* SPDX-License-Identifier: MIT */
/* What os_posix.c, os_posix_lock.c and os_posix_spill.c share. What returns no status leaves the
 * cause in errno. */
#ifndef NN_OS_POSIX_H
#define NN_OS_POSIX_H

#include <sys/types.h>

#include "os.h"

/* open of a file that is to be written where it stands; -1 on error. A folder from elsewhere may
 * have a link or a pipe in its place: what the link names stays as it is, and nothing waits for
 * the pipe's reader (SPEC 17.3.5). What was opened may still be no file. */
int nn_os_open_in_place(const char *path, int how);

/* A file of its own, empty: what a killed run left there goes first, and what takes its place
 * meanwhile is not opened. -1 on error. */
int nn_os_open_new(const char *path, int how);

/* The reason why opening in place failed, or that it is no file. */
DDOME_MUST_CHECK ddome_status nn_os_place_failed(ddome_error *error, const char *path, int cause);

bool nn_os_write_all(int file, const unsigned char *bytes, size_t size);

/* The file ends there. */
bool nn_os_cut(int file, off_t end);

DDOME_MUST_CHECK ddome_status nn_os_write_failed(ddome_error *error, const char *path, int cause);

#endif

/* SPDX-License-Identifier: MIT */
/* A file that has lost its name: it lives as long as it is open, and a kill leaves nothing. */
#define _POSIX_C_SOURCE 200809L
#include "os_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static const char temporary[] = "a file in the folder of temporary files (TMPDIR)";

static ddome_status take_name(ddome_error *error, nn_os_spill *spill, int file, const char *name,
                              const char *told)
{
    if (unlink(name) != 0) {
        const int cause = errno;
        close(file);
        return nn_os_write_failed(error, name, cause);
    }
    *spill = (nn_os_spill){.file = file + 1, .path = told};
    return DDOME_OK;
}

/* Of a name that nobody else has: several runs of a process, processes of several machines or
 * containers, and other users share that folder. */
static ddome_status open_temporary(ddome_error *error, nn_os_spill *spill)
{
    char name[PATH_BYTES];
    const char *folder = getenv("TMPDIR");
    const int length = snprintf(name, sizeof name, "%s/ddome-XXXXXX",
                                folder == NULL || *folder == '\0' ? "/tmp" : folder);
    if ((size_t)length >= sizeof name) /* -1 is, too */
        return nn_fail(error, DDOME_ERR_IO, "cannot write %s: path too long", temporary);
    const int file = mkstemp(name);
    if (file < 0)
        return nn_os_place_failed(error, name, errno);
    fcntl(file, F_SETFD, FD_CLOEXEC); /* a child would keep its room */
    return take_name(error, spill, file, name, temporary);
}

ddome_status nn_os_spill_open(ddome_error *error, nn_os_spill *spill, const char *path)
{
    if (path == NULL)
        return open_temporary(error, spill);
    const int file = nn_os_open_new(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return nn_os_place_failed(error, path, errno);
    return take_name(error, spill, file, path, path);
}

/* Has a file room for bytes from `at` on? */
static bool is_place(uint64_t at, size_t size)
{
    const off_t first = (off_t)at, last = (off_t)(at + size);
    errno = EFBIG;
    return first >= 0 && (uint64_t)first == at && last >= first && (uint64_t)last == at + size;
}

ddome_status nn_os_spill_write(ddome_error *error, const nn_os_spill *spill, uint64_t at,
                               const void *bytes, size_t size)
{
    const unsigned char *rest = bytes;
    bool ok = is_place(at, size);
    while (ok && size != 0) {
        const ssize_t put = pwrite(spill->file - 1, rest, size, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        ok = put >= 0;
        rest += ok ? put : 0;
        at += ok ? (uint64_t)put : 0;
        size -= ok ? (size_t)put : 0;
    }
    return ok ? DDOME_OK : nn_os_write_failed(error, spill->path, errno);
}

ddome_status nn_os_spill_read(ddome_error *error, const nn_os_spill *spill, uint64_t at,
                              void *bytes, size_t size)
{
    unsigned char *rest = bytes;
    bool ok = is_place(at, size);
    while (ok && size != 0) {
        errno = 0;
        const ssize_t got = pread(spill->file - 1, rest, size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        ok = got > 0;
        rest += ok ? got : 0;
        at += ok ? (uint64_t)got : 0;
        size -= ok ? (size_t)got : 0;
    }
    if (ok)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_IO, "reading back what was written to %s failed: %s",
                   spill->path, errno != 0 ? strerror(errno) : "it is shorter");
}

bool nn_os_spill_is_open(const nn_os_spill *spill)
{
    return spill->file != 0;
}

void nn_os_spill_close(nn_os_spill *spill)
{
    if (spill->file != 0)
        close(spill->file - 1);
    spill->file = 0;
}

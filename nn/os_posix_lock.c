/* SPDX-License-Identifier: MIT */
/* One process at a time, by locks of POSIX, which end with their process, whatever ends that.
 * SPEC 17.3.3, 17.3.5. */
#define _POSIX_C_SOURCE 200809L
#include "os_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_TRIES = 1000 };

/* Is the file that was opened still the one that has the name? Its last owner removes it. */
static bool still_there(const struct stat *opened, const char *path)
{
    struct stat named;
    return stat(path, &named) == 0 && opened->st_dev == named.st_dev &&
           opened->st_ino == named.st_ino;
}

static struct flock whole_file(void)
{
    struct flock whole;
    memset(&whole, 0, sizeof whole);
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    return whole;
}

static ddome_status lock_refused(ddome_error *error, int file, const char *path, int cause)
{
    struct flock other = whole_file();
    if (cause != EACCES && cause != EAGAIN)
        return nn_fail(error, DDOME_ERR_IO, "cannot lock %s: %s; is its file system able to?", path,
                       strerror(cause));
    if (fcntl(file, F_GETLK, &other) != 0 || other.l_type == F_UNLCK)
        other.l_pid = 0;
    return nn_fail(error, DDOME_ERR_USAGE,
                   "%s: expected a folder that is free, found it in use by process %ld; wait for "
                   "it, or choose another folder",
                   path, (long)other.l_pid);
}

static bool write_owner(int file)
{
    char owner[32];
    const int length = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
    return nn_os_cut(file, 0) && nn_os_write_all(file, (unsigned char *)owner, (size_t)length);
}

/* True: locked, or refused for good. False: the file was removed meanwhile. */
static bool settle(ddome_error *error, int file, const char *path, ddome_status *status)
{
    struct stat opened;
    struct flock whole = whole_file();
    *status = DDOME_OK;
    if (fstat(file, &opened) != 0)
        return false;
    if (!S_ISREG(opened.st_mode))
        *status = nn_os_place_failed(error, path, EINVAL);
    else if (fcntl(file, F_SETLK, &whole) != 0)
        *status = lock_refused(error, file, path, errno);
    else if (!still_there(&opened, path))
        return false;
    else if (!write_owner(file))
        *status = nn_os_write_failed(error, path, errno);
    return true;
}

static bool try_lock(ddome_error *error, nn_os_lock *lock, const char *path, ddome_status *status)
{
    const int file = nn_os_open_in_place(path, O_RDWR | O_CREAT);
    if (file < 0) {
        *status = nn_os_place_failed(error, path, errno);
        return true;
    }
    const bool settled = settle(error, file, path, status);
    if (settled && *status == DDOME_OK)
        *lock = (nn_os_lock){file + 1, path};
    else
        close(file);
    return settled;
}

ddome_status nn_os_lock_file(ddome_error *error, nn_os_lock *lock, const char *path)
{
    ddome_status status;
    for (int i = 0; i < LOCK_TRIES; i++)
        if (try_lock(error, lock, path, &status))
            return status;
    return nn_os_write_failed(error, path, errno);
}

/* Removed before it is unlocked: who opens it from now on makes a new one. */
void nn_os_unlock(nn_os_lock *lock)
{
    if (lock->file == 0)
        return;
    unlink(lock->path);
    close(lock->file - 1);
    lock->file = 0;
}

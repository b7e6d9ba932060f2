/* SPDX-License-Identifier: MIT */
/* See journal.h. */
#define _POSIX_C_SOURCE 200809L
#include "journal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_BYTES = 1100 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void put(int file, const void *bytes, size_t size)
{
    if (write(file, bytes, size) != (ssize_t)size)
        abort();
}

void fault_journal(const char *change, const char *path, const char *other, long long at,
                   const void *bytes, size_t size)
{
    char line[LINE_BYTES];
    const char *name = getenv("FAULT_JOURNAL");
    if (name == NULL)
        return;
    const int length = snprintf(line, sizeof line, "%s\t%s\t%s\t%lld\t%lu\n", change, path, other,
                                at, (unsigned long)(bytes == NULL ? 0 : size));
    pthread_mutex_lock(&lock);
    const int file = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0 || length < 0 || length >= LINE_BYTES)
        abort();
    put(file, line, (size_t)length);
    if (bytes != NULL)
        put(file, bytes, size);
    close(file);
    pthread_mutex_unlock(&lock);
}

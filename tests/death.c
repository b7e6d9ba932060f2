/* SPDX-License-Identifier: MIT */
/* A child writes its standard error into a pipe; the parent reads it, then asks how it ended. */
#if (defined(__unix__) || defined(__APPLE__)) && !defined(TEST_GUARD_NONE)
#define _POSIX_C_SOURCE 200809L
#define PROCESSES 1
#else
#define PROCESSES 0
#endif
#include "death.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if PROCESSES
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

bool test_death_present(void)
{
    return PROCESSES;
}

#if PROCESSES
enum { SAID = 4096 };

static void be_child(int out, void (*deed)(void *), void *context)
{
    dup2(out, STDERR_FILENO);
    deed(context);
    _exit(EXIT_SUCCESS);
}

static void listen(char said[SAID], int in)
{
    size_t length = 0;
    ssize_t got;
    while (length < SAID - 1 && (got = read(in, said + length, SAID - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
}

bool test_death(const char *what, void (*deed)(void *), void *context, const char *file,
                const char *rule)
{
    char said[SAID];
    int ends[2], status = 0;
    fflush(NULL);
    if (!CHECK(pipe(ends) == 0))
        return false;
    const pid_t child = fork();
    if (child == 0)
        be_child(ends[1], deed, context);
    close(ends[1]);
    listen(said, ends[0]);
    close(ends[0]);
    return CHECK(child > 0 && waitpid(child, &status, 0) == child) &&
           test_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, __FILE__, __LINE__,
                      "%s: ended by abort, not with status %d", what, status) &&
           test_check(strstr(said, file) != NULL && strstr(said, rule) != NULL, __FILE__, __LINE__,
                      "%s: said \"%s\", wanted %s and %s", what, said, file, rule);
}
#else
bool test_death(const char *what, void (*deed)(void *), void *context, const char *file,
                const char *rule)
{
    (void)deed, (void)context, (void)file, (void)rule;
    return test_check(false, __FILE__, __LINE__, "%s: there are no processes", what);
}
#endif

/* SPDX-License-Identifier: MIT */
/* An interrupt asks a run to stop after the round at hand; a second one ends the program at once.
 * A file that grows beyond a limit is a write that fails. SPEC 17.6.6, 18.1. */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

#include "tool.h"

/* The one variable of the program that a signal can reach. */
static volatile sig_atomic_t caught;

/* The other signal's action may not be changed here (C99 7.14.1.1 p5), but the program may end.
 * That `caught` is read, not only assigned, is more than C99 allows; no known system minds. */
static void note(int number)
{
    if (caught != 0)
        _Exit(128 + number);
    caught = number;
    signal(number, SIG_DFL);
}

/* A signal that whoever started the program ignores stays ignored, as behind nohup. */
static void catch_one(int number)
{
    if (signal(number, note) == SIG_IGN)
        signal(number, SIG_IGN);
}

void tool_catch_signals(void)
{
    catch_one(SIGINT);
    catch_one(SIGTERM);
}

int tool_caught_signal(void)
{
    return (int)caught;
}

int tool_signal_status(void)
{
    return 128 + tool_caught_signal();
}

/* C99 does not know the signal; where there is none, such a write fails anyway. */
void tool_ignore_size_limit(void)
{
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN);
#endif
}

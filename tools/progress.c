/* SPDX-License-Identifier: MIT */
/* Progress on standard error: a line a step, on a terminal one bar that is drawn over.
 * SPEC 18.2.2. */
#include <inttypes.h>
#include <stdio.h>

#include "../nn/os.h"
#include "tool.h"

enum { BAR = 24 };

static const char *const phase_name[] = {"common expert, epoch", "embedding", "round",
                                         "evaluation"};
static const char *const value_name[] = {"accuracy", "", "loss", "accuracy"};

/* Seconds as people read them. */
static void print_seconds(double seconds)
{
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s < 60)
        fprintf(stderr, "%lu s", s);
    else if (s < 3600)
        fprintf(stderr, "%lu min %02lu s", s / 60, s % 60);
    else
        fprintf(stderr, "%lu h %02lu min", s / 3600, s / 60 % 60);
}

static void print_bar(uint64_t done, uint64_t of)
{
    unsigned filled = of == 0 ? BAR : (unsigned)((double)done / (double)of * BAR);
    fputc('[', stderr);
    for (unsigned i = 0; i < BAR; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fputs("] ", stderr);
}

static void print_step(const tool_progress *p, uint64_t done, uint64_t of, double value)
{
    fprintf(stderr, "%s%s ", p->label, phase_name[p->phase]);
    if (p->terminal)
        print_bar(done, of);
    fprintf(stderr, "%" PRIu64 "/%" PRIu64, done, of);
    if (value_name[p->phase][0] != '\0')
        fprintf(stderr, ", %s %.4f", value_name[p->phase], value);
    bool steady = p->phase == DDOME_PHASE_ROUND || p->phase == DDOME_PHASE_PRETRAIN;
    if (steady && done != 0 && done < of) {
        double elapsed = nn_os_seconds() - p->phase_start;
        fputs(", left ", stderr);
        print_seconds(elapsed / (double)done * (double)(of - done));
    }
}

/* A phase begins where the report before it ended: its first step is timed, too. */
static void enter_phase(tool_progress *p, ddome_phase phase)
{
    if (p->phase == phase)
        return;
    if (p->open)
        fputc('\n', stderr);
    p->open = false;
    p->phase = phase;
    p->phase_start = p->last;
}

/* Evaluations stand between rounds: they neither end the rounds' bar nor restart their clock. */
static void report(void *user, ddome_phase phase, uint64_t done, uint64_t of, double value)
{
    tool_progress *p = user;
    ddome_phase before = p->phase;
    double start = p->phase_start;
    enter_phase(p, phase);
    if (p->terminal)
        fputc('\r', stderr);
    print_step(p, done, of, value);
    if (p->terminal)
        fputs("\033[K", stderr);
    p->open = p->terminal && done < of;
    if (!p->open)
        fputc('\n', stderr);
    p->last = nn_os_seconds();
    if (phase == DDOME_PHASE_EVALUATE && before == DDOME_PHASE_ROUND) {
        p->phase = before;
        p->phase_start = start;
    }
}

/* Between the steps, on a line of its own. */
static void notice(void *user, const char *line)
{
    tool_progress *p = user;
    if (p->open)
        fputc('\n', stderr);
    p->open = false;
    fprintf(stderr, "%s%s\n", p->label, line);
}

static int stop(void *user)
{
    (void)user;
    return tool_caught_signal() != 0;
}

ddome_progress tool_progress_begin(tool_progress *progress, const tool *t, const char *label)
{
    const ddome_progress none = {.stop = stop},
                         out = {.report = report, .user = progress, .notice = notice, .stop = stop};
    double now = nn_os_seconds();
    tool_progress fresh = {label, nn_os_stderr_is_terminal(), false, DDOME_PHASE_PRETRAIN, now,
                           now};
    *progress = fresh;
    return t->quiet ? none : out;
}

void tool_progress_end(tool_progress *progress)
{
    if (progress->open)
        fputc('\n', stderr);
    progress->open = false;
}

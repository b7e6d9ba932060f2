/* SPDX-License-Identifier: MIT */
/* One fault, named by the argument, that a build of tests/memory.sh must see although it lies
 * inside the arena; none of them is seen in a plain build. Without this a watcher that sees nothing
 * and code that has no fault look the same. */
#include <stdio.h>
#include <string.h>

#include "../../nn/kernels.h"
#include "../../nn/team.h"

enum { COUNT = 40 };

static float *filled(nn_arena *arena, size_t count)
{
    float *x = nn_arena_zero(arena, COUNT, sizeof *x);
    for (size_t i = 0; x != NULL && i < count; i++)
        x[i] = (float)i;
    return x;
}

/* A value that nobody has written, through the vectors of a kernel. */
static bool unset(nn_arena *arena)
{
    float *x = nn_arena_alloc(arena, COUNT, sizeof *x), *y = filled(arena, COUNT);
    const nn_kernels *kernels;
    if (x == NULL || y == NULL || nn_kernels_find(NULL, &kernels, NULL) != DDOME_OK)
        return false;
    memcpy(x, y, (COUNT - 1) * sizeof *x);
    kernels->add(y, x, y, COUNT);
    return y[COUNT - 1] > 0;
}

/* The same in memory that was written before a rewind. */
static bool reused(nn_arena *arena)
{
    const nn_arena_mark mark = nn_arena_get_mark(arena);
    if (filled(arena, COUNT) == NULL)
        return false;
    nn_arena_rewind(arena, mark);
    const float *x = nn_arena_alloc(arena, COUNT, sizeof *x);
    return x != NULL && x[0] > 0;
}

/* Behind one allocation and before the next. */
static bool behind(nn_arena *arena)
{
    const float *x = filled(arena, COUNT);
    return x != NULL && filled(arena, COUNT) != NULL && x[COUNT] > 0;
}

static bool rewound(nn_arena *arena)
{
    const nn_arena_mark mark = nn_arena_get_mark(arena);
    const float *x = filled(arena, COUNT);
    nn_arena_rewind(arena, mark);
    return x != NULL && x[1] > 0;
}

static bool leak(nn_arena *arena)
{
    const float *x = filled(arena, COUNT);
    memset(arena, 0, sizeof *arena);
    return x != NULL;
}

/* Each of two parts waits for the other, so that two threads are at it however busy the machine. */
static void count_part(void *context, size_t part, size_t worker)
{
    volatile size_t *counts = context;
    counts[1 + part] = 1;
    while (counts[2 - part] == 0)
        continue;
    counts[0] += part + worker; /* one place for both */
}

static bool race(nn_arena *arena)
{
    size_t counts[3] = {0, 0, 0};
    nn_team *team;
    if (nn_team_open(NULL, arena, &team, 2) != DDOME_OK)
        return false;
    nn_team_run(team, count_part, counts, 2);
    nn_team_close(team);
    return counts[0] != 0;
}

/* A number of bytes that no size_t holds. */
static bool wrap(nn_arena *arena)
{
    volatile size_t count = SIZE_MAX / 2;
    const size_t bytes = 4 * count;
    (void)arena;
    return bytes != 0;
}

static bool none(nn_arena *arena)
{
    const float *x = filled(arena, COUNT);
    return x != NULL && x[1] > 0;
}

static const struct fault {
    const char *name;
    bool (*run)(nn_arena *arena);
} faults[] = {{"unset", unset}, {"reused", reused}, {"behind", behind}, {"rewound", rewound},
              {"leak", leak},   {"race", race},     {"wrap", wrap},     {"none", none}};

int main(int argc, char **argv)
{
    nn_arena arena = {0};
    for (size_t i = 0; argc == 2 && i < sizeof faults / sizeof *faults; i++)
        if (strcmp(argv[1], faults[i].name) == 0) {
            if (faults[i].run(&arena)) /* a branch: what MSan and Valgrind wait for */
                printf("something\n");
            nn_arena_free(&arena);
            return 0;
        }
    fprintf(stderr, "canary: expected one of unset reused behind rewound leak race wrap none\n");
    return 2;
}

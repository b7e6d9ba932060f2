/* SPDX-License-Identifier: MIT */
/* Teams of threads: every part once, one at a time on a worker, finished in order, nested, often.
 * A race among the counts below is for the thread sanitizer to find. */
#include <string.h>

#include "../nn/team.h"
#include "test.h"

void t_team(void);

enum { PARTS = 1000, RUNS = 10000, NONE = PARTS };

/* What the parts write: each part and each worker has places of its own; `finished` and `misses`
 * belong to whoever finishes. */
typedef struct log {
    size_t size;                  /* of the team */
    unsigned done[PARTS];         /* times each part was done */
    size_t holds[NN_TEAM_MAX];    /* the part of each worker, NONE without */
    unsigned wrong[NN_TEAM_MAX];  /* rules that a worker saw broken */
    size_t parts_of[NN_TEAM_MAX]; /* how many each worker did */
    unsigned stray[PARTS];        /* parts done by a worker that does not exist */
    size_t finished, misses;
} log;

static log seen;

static void clear(const nn_team *team)
{
    memset(&seen, 0, sizeof seen);
    seen.size = nn_team_size(team);
    for (size_t i = 0; i < NN_TEAM_MAX; i++)
        seen.holds[i] = NONE;
}

/* Uneven, so that later parts are ready before earlier ones. */
static void busy(size_t part)
{
    volatile unsigned spin = 0;
    for (size_t i = 0; i < part * 37 % 11 * 50; i++)
        spin = spin + 1;
}

static void begin(log *l, size_t part, size_t worker)
{
    if (worker >= l->size) {
        l->stray[part]++;
        return;
    }
    l->wrong[worker] += l->holds[worker] != NONE;
    l->holds[worker] = part;
    l->done[part]++;
    l->parts_of[worker]++;
}

static void end(log *l, size_t part, size_t worker)
{
    if (worker >= l->size)
        return;
    l->wrong[worker] += l->holds[worker] != part;
    l->holds[worker] = NONE;
}

static void whole_part(void *context, size_t part, size_t worker)
{
    begin(context, part, worker);
    busy(part);
    end(context, part, worker);
}

static void first_half(void *context, size_t part, size_t worker)
{
    begin(context, part, worker);
    busy(part);
}

static void second_half(void *context, size_t part, size_t worker)
{
    log *l = context;
    l->misses += part != l->finished;
    l->finished++;
    end(l, part, worker);
}

static void check_parts(size_t parts)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < PARTS; i++) {
        test_same_u64("times this part was done", seen.done[i], i < parts);
        wrong += seen.stray[i];
    }
    for (size_t i = 0; i < NN_TEAM_MAX; i++)
        wrong += seen.wrong[i];
    test_same_u64("broken rules", wrong, 0);
}

/* A team, or NULL with *ok false: the case was skipped because the build has no threads. */
static nn_team *open_team(nn_arena *arena, size_t size, bool *ok)
{
    ddome_error error = {DDOME_OK, ""};
    nn_team *team = NULL;
    const ddome_status status = nn_team_open(&error, arena, &team, size);
    *ok = false;
    if (strstr(error.text, "no threads") != NULL) {
        test_status("more than one", status, DDOME_ERR_USAGE, &error, "THREADS=1");
        test_skip("this build has no threads");
        return NULL;
    }
    *ok = test_status("open", status, DDOME_OK, &error, NULL) &&
          test_same_u64("size", nn_team_size(team), size) && CHECK((team == NULL) == (size == 1));
    return team;
}

static void every_part_once(size_t size)
{
    const size_t parts[] = {0, 1, size - 1, size, size + 1, PARTS};
    nn_arena arena = {0};
    bool ok;
    test_case("team of %lu: every part once, in order where asked", (unsigned long)size);
    nn_team *team = open_team(&arena, size, &ok);
    for (size_t i = 0; ok && i < sizeof parts / sizeof *parts; i++) {
        clear(team);
        nn_team_run(team, whole_part, &seen, parts[i]);
        check_parts(parts[i]);
        clear(team);
        nn_team_run_in_order(team, first_half, second_half, &seen, parts[i]);
        check_parts(parts[i]);
        test_same_u64("parts finished", seen.finished, parts[i]);
        test_same_u64("parts finished out of order", seen.misses, 0);
    }
    nn_team_close(team);
    nn_arena_free(&arena);
}

/* ---- nested and often ---- */

typedef struct outer {
    nn_team *inner[3];   /* of each worker */
    uint64_t sum[PARTS]; /* of each part */
} outer;

typedef struct inner {
    uint64_t square[8];
} inner;

static void square(void *context, size_t part, size_t worker)
{
    inner *i = context;
    (void)worker;
    i->square[part] = part * part;
}

static void sum_of_squares(void *context, size_t part, size_t worker)
{
    outer *o = context;
    inner i = {{0}};
    nn_team_run(o->inner[worker], square, &i, part % 9);
    o->sum[part] = 0;
    for (size_t k = 0; k < 8; k++)
        o->sum[part] += i.square[k];
}

static void check_sums(const outer *o, size_t parts)
{
    for (size_t part = 0; part < parts; part++) {
        uint64_t want = 0;
        for (size_t k = 0; k < part % 9; k++)
            want += k * k;
        test_same_u64("the sum of a part", o->sum[part], want);
    }
}

static void nested(void)
{
    static outer o;
    nn_arena arena = {0};
    bool ok;
    test_case("team: parts that run teams of their own");
    nn_team *team = open_team(&arena, 3, &ok);
    for (size_t i = 0; ok && i < 3; i++)
        o.inner[i] = open_team(&arena, 1 + i, &ok);
    if (ok) {
        nn_team_run(team, sum_of_squares, &o, 300);
        check_sums(&o, 300);
    }
    for (size_t i = 0; i < 3; i++)
        nn_team_close(o.inner[i]);
    nn_team_close(team);
    nn_arena_free(&arena);
}

static void many_short_runs(void)
{
    static outer o;
    nn_arena arena = {0};
    bool ok;
    test_case("team: %d short runs", (int)RUNS);
    nn_team *team = open_team(&arena, 3, &ok);
    memset(&o, 0, sizeof o);
    for (size_t i = 0; ok && i < RUNS; i++) {
        const size_t parts = i / 2 % 8;
        if (i % 2 == 0)
            nn_team_run(team, sum_of_squares, &o, parts);
        else {
            clear(team);
            nn_team_run_in_order(team, first_half, second_half, &seen, parts);
            ok = CHECK(seen.finished == parts && seen.misses == 0);
        }
    }
    if (ok)
        check_sums(&o, 7);
    nn_team_close(team);
    nn_arena_free(&arena);
}

/* The caller alone would get every part done, too. */
static void others_help(void)
{
    nn_arena arena = {0};
    bool ok, helped = false;
    test_case("team: workers wake up and take parts");
    nn_team *team = open_team(&arena, 2, &ok);
    for (size_t i = 0; ok && !helped && i < RUNS; i++) {
        clear(team);
        nn_team_run(team, whole_part, &seen, PARTS);
        helped = seen.parts_of[1] != 0;
    }
    if (ok)
        CHECK(helped);
    nn_team_close(team);
    nn_arena_free(&arena);
}

/* ---- opening ---- */

static void open_and_close(void)
{
    nn_arena arena = {0};
    bool ok = true;
    test_case("team: opened and closed, with and without work");
    for (size_t i = 0; ok && i < 50; i++) {
        nn_team *team = open_team(&arena, 1 + i % 8, &ok);
        clear(team);
        if (ok && i % 3 != 0) {
            nn_team_run(team, whole_part, &seen, i);
            check_parts(i);
        }
        nn_team_close(team);
        nn_arena_rewind(&arena, (nn_arena_mark){0});
    }
    nn_arena_free(&arena);
}

static void refusals(void)
{
    static const size_t sizes[] = {0, NN_TEAM_MAX + 1};
    nn_arena arena = {0};
    nn_team *const none = NULL, *team = none;
    test_case("team: sizes out of range, no memory");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ddome_error error = {DDOME_OK, ""};
        test_status("size", nn_team_open(&error, &arena, &team, sizes[i]), DDOME_ERR_USAGE, &error,
                    "thread");
    }
    for (size_t step = 1; step <= 2; step++) {
        ddome_error error = {DDOME_OK, ""};
        arena.fail_after = arena.allocations + step;
        const ddome_status status = nn_team_open(&error, &arena, &team, 3);
        CHECK(status == DDOME_ERR_MEMORY || strstr(error.text, "no threads") != NULL);
    }
    CHECK(team == none && nn_team_size(NULL) == 1);
    nn_team_close(NULL);
    nn_arena_free(&arena);
}

void t_team(void)
{
    static const size_t sizes[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        every_part_once(sizes[i]);
    nested();
    many_short_runs();
    others_help();
    open_and_close();
    refusals();
}

/* SPDX-License-Identifier: MIT */
/* POSIX threads that sleep until there are parts. Parts are handed out in ascending order, so the
 * lowest one that is not finished is always in the hands of a worker that can finish it: finishing
 * in order cannot lock up. */
#define _POSIX_C_SOURCE 200809L
#include "team.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

/* One worker besides the caller, who is worker 0. */
typedef struct seat {
    nn_team *team;
    size_t worker;
    pthread_t thread;
} seat;

struct nn_team {
    seat *seats; /* [size]; the first is unused */
    size_t size; /* threads that run, the caller's counted */

    pthread_mutex_t lock;       /* of all below */
    pthread_cond_t parts_given; /* or the team closes */
    pthread_cond_t part_done;   /* the next in order may finish, or all is done */
    nn_part_fn *work, *finish;  /* finish NULL: in any order */
    void *context;
    size_t parts, next, done; /* next: the first one nobody has taken; equal while idle */
    bool closing;
};

/* ---- the work ---- */

/* Lock held: waits for the part's turn and finishes it. Others go on meanwhile. */
static void finish_in_turn(nn_team *team, size_t part, size_t worker)
{
    while (team->done != part)
        pthread_cond_wait(&team->part_done, &team->lock);
    pthread_mutex_unlock(&team->lock);
    team->finish(team->context, part, worker);
    pthread_mutex_lock(&team->lock);
}

/* Lock held, at the end, too: takes parts until none is left. While a part is not done, work,
 * finish, context and parts stay as they are. */
static void do_parts(nn_team *team, size_t worker)
{
    while (team->next < team->parts) {
        const size_t part = team->next++;
        pthread_mutex_unlock(&team->lock);
        team->work(team->context, part, worker);
        pthread_mutex_lock(&team->lock);
        if (team->finish != NULL)
            finish_in_turn(team, part, worker);
        team->done++;
        if (team->finish != NULL || team->done == team->parts)
            pthread_cond_broadcast(&team->part_done);
    }
}

static void *worker_main(void *argument)
{
    const seat *own = argument;
    nn_team *team = own->team;
    pthread_mutex_lock(&team->lock);
    while (!team->closing) {
        do_parts(team, own->worker); /* a team that has parts is not closed */
        pthread_cond_wait(&team->parts_given, &team->lock);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

static void run_alone(nn_part_fn *work, nn_part_fn *finish, void *context, size_t parts)
{
    for (size_t part = 0; part < parts; part++) {
        work(context, part, 0);
        if (finish != NULL)
            finish(context, part, 0);
    }
}

static void run(nn_team *team, nn_part_fn *work, nn_part_fn *finish, void *context, size_t parts)
{
    if (team == NULL || parts < 2) {
        run_alone(work, finish, context, parts);
        return;
    }
    pthread_mutex_lock(&team->lock);
    assert(team->done == team->parts); /* not from within a part */
    team->work = work;
    team->finish = finish;
    team->context = context;
    team->parts = parts;
    team->next = team->done = 0;
    pthread_cond_broadcast(&team->parts_given);
    do_parts(team, 0);
    while (team->done != parts)
        pthread_cond_wait(&team->part_done, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

void nn_team_run(nn_team *team, nn_part_fn *work, void *context, size_t parts)
{
    run(team, work, NULL, context, parts);
}

void nn_team_run_in_order(nn_team *team, nn_part_fn *work, nn_part_fn *finish, void *context,
                          size_t parts)
{
    run(team, work, finish, context, parts);
}

size_t nn_team_size(const nn_team *team)
{
    return team == NULL ? 1 : team->size;
}

/* ---- beginning and end ---- */

/* 0 or an errno; nothing is left over then. */
static int init_lock(nn_team *team)
{
    int reason = pthread_mutex_init(&team->lock, NULL);
    if (reason != 0)
        return reason;
    reason = pthread_cond_init(&team->parts_given, NULL);
    if (reason == 0) {
        reason = pthread_cond_init(&team->part_done, NULL);
        if (reason != 0)
            pthread_cond_destroy(&team->parts_given);
    }
    if (reason != 0)
        pthread_mutex_destroy(&team->lock);
    return reason;
}

void nn_team_close(nn_team *team)
{
    if (team == NULL)
        return;
    pthread_mutex_lock(&team->lock);
    team->closing = true;
    pthread_cond_broadcast(&team->parts_given);
    pthread_mutex_unlock(&team->lock);
    for (size_t worker = 1; worker < team->size; worker++)
        pthread_join(team->seats[worker].thread, NULL);
    pthread_cond_destroy(&team->part_done);
    pthread_cond_destroy(&team->parts_given);
    pthread_mutex_destroy(&team->lock);
}

/* 0 or an errno; team->size counts those that run. */
static int start_threads(nn_team *team, size_t workers)
{
    int reason = 0;
    team->size = 1;
    while (team->size < workers && reason == 0) {
        seat *s = &team->seats[team->size];
        s->team = team;
        s->worker = team->size;
        reason = pthread_create(&s->thread, NULL, worker_main, s);
        team->size += reason == 0;
    }
    return reason;
}

/* The wish has been checked: 2 workers at least. */
static ddome_status open_team(ddome_error *error, nn_arena *arena, nn_team **team, size_t workers)
{
    nn_team *made = nn_arena_zero(arena, 1, sizeof *made);
    seat *seats = nn_arena_zero(arena, workers, sizeof *seats);
    if (made == NULL || seats == NULL)
        return nn_arena_fail(error, arena, "a team of threads");
    made->seats = seats;
    int reason = init_lock(made);
    if (reason == 0) {
        reason = start_threads(made, workers);
        if (reason != 0)
            nn_team_close(made);
    }
    if (reason != 0)
        return nn_fail(error, DDOME_ERR_RUNTIME,
                       "cannot start %lu threads: thread %lu: %.100s; use fewer",
                       (unsigned long)workers, (unsigned long)made->size + 1, strerror(reason));
    *team = made;
    return DDOME_OK;
}

ddome_status nn_team_open(ddome_error *error, nn_arena *arena, nn_team **team, size_t workers)
{
    if (workers < 1 || workers > NN_TEAM_MAX)
        return nn_fail(error, DDOME_ERR_USAGE, "threads: expected 1..%d, found %lu", NN_TEAM_MAX,
                       (unsigned long)workers);
    if (workers > 1)
        return open_team(error, arena, team, workers);
    *team = NULL;
    return DDOME_OK;
}

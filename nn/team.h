/* SPDX-License-Identifier: MIT */
/* Threads that share out the parts of one piece of work. Which worker does which part never moves a
 * bit: parts write to places of their own. team_threads.c uses POSIX threads; team_alone.c is for
 * builds without (make THREADS=0). */
#ifndef NN_TEAM_H
#define NN_TEAM_H

#include "arena.h"

typedef struct nn_team nn_team;

/* Part `part` of a piece of work, done by worker `worker` < nn_team_size. */
typedef void nn_part_fn(void *context, size_t part, size_t worker);

enum { NN_TEAM_MAX = 256 };

/* A team of `workers` threads, the caller's counted: 1 <= workers <= NN_TEAM_MAX; more than 1 is
 * DDOME_ERR_USAGE where the build has no threads. *team is NULL for one worker, else it lives in
 * the arena and must be closed before that is rewound. */
DDOME_MUST_CHECK ddome_status nn_team_open(ddome_error *error, nn_arena *arena, nn_team **team,
                                           size_t workers);

/* Ends the threads; NULL is fine. */
void nn_team_close(nn_team *team);

/* 1 for NULL. */
size_t nn_team_size(const nn_team *team);

/* Calls work(context, part, worker) once for each part < parts, in any order and at the same time;
 * returns when all are done. A worker has one part at a time; a single part is done by
 * the caller and leaves the team free for it. One thread at a time calls a team,
 * and never from within one of its parts. */
void nn_team_run(nn_team *team, nn_part_fn *work, void *context, size_t parts);

/* The same, and after its work each part is finished by the same worker: finish(context, part,
 * worker) is called for one part at a time, part 0 first, then 1, and so on. What a worker holds
 * for its part it may drop in finish; so no more than nn_team_size parts are held at a time. */
void nn_team_run_in_order(nn_team *team, nn_part_fn *work, nn_part_fn *finish, void *context,
                          size_t parts);

#endif

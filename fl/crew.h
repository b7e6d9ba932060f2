/* SPDX-License-Identifier: MIT */
/* Several clients at work at a time, each with an error and memory of its own, finished one by one
 * in ascending order: results and errors, but for running out of memory, are the same for any
 * number of threads. SPEC 11.6. */
#ifndef FL_CREW_H
#define FL_CREW_H

#include "../nn/team.h"

typedef struct fl_crew_member fl_crew_member;

typedef struct fl_crew {
    nn_team *team;           /* NULL: one thread */
    nn_arena *scratch;       /* of the first member, the caller's */
    fl_crew_member *members; /* [nn_team_size(team)] */
} fl_crew;

/* The part of client i that needs no other's: it writes to places of its own only. What it leaves
 * in scratch stays until it is finished. */
typedef ddome_status fl_work_fn(ddome_error *error, nn_arena *scratch, void *context, size_t i);

/* Takes its results over; one client at a time, ascending, none behind one that failed. */
typedef ddome_status fl_finish_fn(ddome_error *error, void *context, size_t i);

/* threads: 1..NN_TEAM_MAX; the first works in `scratch`, the others in arenas of their own, so that
 * memory grows with threads, never with clients. The crew lives in `arena`. */
DDOME_MUST_CHECK ddome_status fl_crew_open(ddome_error *error, nn_arena *arena, nn_arena *scratch,
                                           fl_crew *crew, size_t threads);

/* A zeroed crew is fine. */
void fl_crew_close(fl_crew *crew);

/* Works on and finishes clients 0 .. count - 1. One client alone does not occupy the team: its
 * operations may use it. The failure of the lowest one is returned, whatever
 * the timing; of those behind it, only some that were at work already are worked on at all. */
DDOME_MUST_CHECK ddome_status fl_crew_each(ddome_error *error, const fl_crew *crew,
                                           fl_work_fn *work, fl_finish_fn *finish, void *context,
                                           size_t count);

#endif

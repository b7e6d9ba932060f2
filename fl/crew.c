/* SPDX-License-Identifier: MIT */
/* Who works on which client. A member is touched by its own thread alone, the shared verdict only
 * while clients finish, which happens to one at a time. SPEC 11.6. */
#include "crew.h"

struct fl_crew_member {
    nn_arena *scratch, own; /* scratch: own, or the caller's */
    nn_arena_mark mark;     /* before the client at hand */
    ddome_error error;
    ddome_status status; /* of the client at hand */
    bool stop;           /* some client has failed: start no other */
};

/* ---- beginning and end ---- */

ddome_status fl_crew_open(ddome_error *error, nn_arena *arena, nn_arena *scratch, fl_crew *crew,
                          size_t threads)
{
    nn_team *team;
    ddome_status status = nn_team_open(error, arena, &team, threads);
    if (status != DDOME_OK)
        return status;
    fl_crew_member *members = nn_arena_zero(arena, threads, sizeof *members);
    if (members == NULL) {
        nn_team_close(team);
        return nn_arena_fail(error, arena, "the memory of threads");
    }
    for (size_t i = 0; i < threads; i++)
        members[i].scratch = i == 0 ? scratch : &members[i].own;
    *crew = (fl_crew){team, scratch, members};
    return DDOME_OK;
}

void fl_crew_close(fl_crew *crew)
{
    const size_t threads = nn_team_size(crew->team);
    nn_team_close(crew->team);
    for (size_t i = 1; i < threads; i++)
        nn_arena_free(&crew->members[i].own);
    *crew = (fl_crew){NULL, NULL, NULL};
}

/* ---- the work ---- */

typedef struct job {
    ddome_error *error;
    fl_crew_member *members;
    fl_work_fn *work;
    fl_finish_fn *finish;
    void *context;
    ddome_status status; /* of the lowest client that failed */
} job;

static void work_on(void *context, size_t i, size_t worker)
{
    const job *j = context;
    fl_crew_member *m = &j->members[worker];
    m->mark = nn_arena_get_mark(m->scratch);
    nn_error_clear(&m->error);
    m->status = m->stop ? DDOME_OK : j->work(&m->error, m->scratch, j->context, i);
}

/* Clients come here in ascending order, so the first failure is the lowest client's. */
static void finish_one(void *context, size_t i, size_t worker)
{
    job *j = context;
    fl_crew_member *m = &j->members[worker];
    if (j->status == DDOME_OK && m->status != DDOME_OK)
        j->status = nn_fail(j->error, m->status, "%s", m->error.text);
    else if (j->status == DDOME_OK)
        j->status = j->finish(j->error, j->context, i);
    nn_arena_rewind(m->scratch, m->mark);
    m->stop = j->status != DDOME_OK;
}

ddome_status fl_crew_each(ddome_error *error, const fl_crew *crew, fl_work_fn *work,
                          fl_finish_fn *finish, void *context, size_t count)
{
    job j = {error, crew->members, work, finish, context, DDOME_OK};
    for (size_t i = 0; i < nn_team_size(crew->team); i++)
        j.members[i].stop = false;
    nn_team_run_in_order(crew->team, work_on, finish_one, &j, count);
    return j.status;
}

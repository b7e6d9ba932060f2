/* SPDX-License-Identifier: MIT */
/* The team of a build without threads (make THREADS=0): the caller, part after part. */
#include "team.h"

ddome_status nn_team_open(ddome_error *error, nn_arena *arena, nn_team **team, size_t workers)
{
    (void)arena;
    if (workers != 1)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "this build has no threads: expected 1 thread, found %lu; build with "
                       "THREADS=1",
                       (unsigned long)workers);
    *team = NULL;
    return DDOME_OK;
}

void nn_team_close(nn_team *team)
{
    (void)team;
}

size_t nn_team_size(const nn_team *team)
{
    (void)team;
    return 1;
}

void nn_team_run(nn_team *team, nn_part_fn *work, void *context, size_t parts)
{
    (void)team;
    for (size_t part = 0; part < parts; part++)
        work(context, part, 0);
}

void nn_team_run_in_order(nn_team *team, nn_part_fn *work, nn_part_fn *finish, void *context,
                          size_t parts)
{
    (void)team;
    for (size_t part = 0; part < parts; part++) {
        work(context, part, 0);
        finish(context, part, 0);
    }
}

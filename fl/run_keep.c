/* SPDX-License-Identifier: MIT */
/* Keeping a run: its directory, its checkpoints, and going on from one. SPEC 17.6.1, 17.6.2. */
#include <stdio.h>
#include <string.h>

#include "identity.h"
#include "run.h"
#include "state.h"

/* ---- opening ---- */

static ddome_status add_identity(fl_run *run)
{
    fl_text text = {.arena = &run->arena};
    fl_identity_write(&text, run);
    run->saved.identity = text.data;
    return fl_text_status(run->error, &text);
}

/* The configuration with its paths, which `resume` reads (SPEC 17.6.1). */
static ddome_status write_words(fl_run *run)
{
    fl_text text = {.arena = &run->arena};
    fl_config_write(&text, &run->config, NULL);
    ddome_status status = fl_text_status(run->error, &text);
    return status == DDOME_OK ? fl_rundir_write_unhashed(run->error, &run->dir, "ckpt/run.toml",
                                                         text.data, text.length)
                              : status;
}

/* Checkpoints that ckpt/DONE is to name are a run, too (SPEC 17.3.3). */
static ddome_status refuse_lost(fl_run *run, const char *out_dir)
{
    fl_rundir dir;
    ddome_error reason = {DDOME_OK, ""};
    nn_arena_mark mark = nn_arena_get_mark(&run->arena);
    ddome_status status = fl_rundir_view(&reason, &dir, &run->arena, out_dir);
    if (status == DDOME_OK)
        status = fl_saved_lost(&reason, &run->saved, &dir);
    nn_arena_rewind(&run->arena, mark);
    if (status == DDOME_ERR_RESUME)
        status = DDOME_ERR_USAGE;
    return status == DDOME_OK ? status : nn_fail(run->error, status, "%s", reason.text);
}

ddome_status fl_run_open(fl_run *run, const char *out_dir, bool force)
{
    ddome_status status = force ? DDOME_OK : refuse_lost(run, out_dir);
    if (status == DDOME_OK)
        status = fl_rundir_open(run->error, &run->dir, &run->arena, out_dir, force);
    if (status == DDOME_OK)
        status = fl_saved_tidy(run->error, &run->saved, &run->dir);
    return status == DDOME_OK ? fl_trace_begin(run->error, run->trace, run->engine.arith) : status;
}

ddome_status fl_run_open_kept(fl_run *run, const char *out_dir, bool force)
{
    ddome_status status = fl_run_open(run, out_dir, force);
    if (status == DDOME_OK)
        status = add_identity(run);
    if (status == DDOME_OK)
        status = write_words(run);
    return status;
}

/* Is the checkpoint that was read one of this run, and of the round in its name? */
static ddome_status check_state(fl_run *run)
{
    const fl_saved *saved = &run->saved;
    char name[FL_SAVED_NAME];
    ddome_status status = fl_state_check(run->error, &run->scratch, &run->done, &saved->state,
                                         fl_saved_name(name, saved->round), saved->identity);
    if (status == DDOME_OK && (run->done != saved->round || run->done > fl_run_rounds(run)))
        return nn_fail(run->error, DDOME_ERR_RESUME,
                       "%s is of round %lu: expected that of its name, at most %lu",
                       fl_saved_name(name, saved->round), (unsigned long)run->done,
                       (unsigned long)fl_run_rounds(run));
    return status;
}

/* A table that cannot be written where it stands (SPEC 17.3.5) is refused before anything changes.
 */
static ddome_status try_tables(fl_run *run, fl_table *const *tables, size_t count)
{
    char *path;
    ddome_status status = DDOME_OK;
    nn_arena_mark mark = nn_arena_get_mark(&run->arena);
    for (size_t i = 0; i < count && status == DDOME_OK; i++) {
        status = fl_rundir_join(run->error, &run->arena, &run->dir, &path, tables[i]->name);
        if (status == DDOME_OK && nn_os_exists(path))
            status = nn_os_flush(run->error, path);
    }
    nn_arena_rewind(&run->arena, mark);
    return status;
}

/* Tables that a checkpoint does not fit may fit the one before it, in a run that is to go on. */
static ddome_status check_tables(fl_run *run, bool *again)
{
    char name[FL_SAVED_NAME];
    ddome_error inner = {DDOME_OK, ""}, reason = {DDOME_OK, ""}, *const usual = run->error;
    fl_table *tables[FL_RECORD_TABLES];
    if (run->dir.verify)
        return DDOME_OK;
    run->error = &inner;
    fl_record_tables(tables, &run->record);
    ddome_status status = try_tables(run, tables, FL_RECORD_TABLES);
    if (status == DDOME_OK)
        status = fl_state_tables(run, &run->saved.state);
    run->error = usual;
    if (status == DDOME_ERR_RESUME)
        status = nn_fail(&reason, status, "%s does not fit: %.400s",
                         fl_saved_name(name, run->saved.round), inner.text);
    else if (status != DDOME_OK)
        reason = inner;
    *again = status == DDOME_ERR_RESUME && fl_saved_older(&run->saved, &reason, run->progress);
    return status == DDOME_OK || *again ? DDOME_OK : nn_fail(usual, status, "%s", reason.text);
}

/* Reads the checkpoint to go on from, if there is one. */
static ddome_status find_state(fl_run *run, uint32_t most)
{
    fl_saved *saved = &run->saved;
    bool again = true;
    ddome_status status = add_identity(run);
    if (status == DDOME_OK)
        status = fl_saved_open(run->error, saved, &run->dir);
    while (status == DDOME_OK && again) {
        again = false;
        status = fl_saved_find(run->error, saved, &run->dir, most, run->progress);
        if (status != DDOME_OK || !saved->found)
            return status;
        most = saved->round == 0 ? 0 : saved->round - 1;
        status = check_state(run);
        if (status == DDOME_OK)
            status = check_tables(run, &again);
    }
    return status;
}

/* A checkpoint that is there but cannot be used: what can be done about it. */
static ddome_status refuse(fl_run *run, ddome_error *reason, ddome_status status)
{
    const bool says = status != DDOME_ERR_RESUME || strstr(reason->text, "another run") != NULL ||
                      strstr(reason->text, "--force") != NULL;
    return nn_fail(run->error, status, "%.440s%s", reason->text,
                   says ? "" : "; start again with --force");
}

static ddome_status find_to_resume(fl_run *run)
{
    ddome_error reason = {DDOME_OK, ""}, *const usual = run->error;
    run->error = &reason;
    const ddome_status status = find_state(run, UINT32_MAX);
    run->error = usual;
    return status == DDOME_OK ? status : refuse(run, &reason, status);
}

ddome_status fl_run_go_on(fl_run *run)
{
    fl_table *tables[FL_WATCH_TABLES];
    fl_watch_tables(tables, &run->watch);
    ddome_status status = try_tables(run, tables, FL_WATCH_TABLES);
    if (status == DDOME_OK)
        status = fl_rundir_unseal(run->error, &run->dir);
    return status == DDOME_OK ? fl_saved_tidy(run->error, &run->saved, &run->dir) : status;
}

/* A run without a checkpoint, so one that starts anew: finished is what has its hashes. One that
 * has no checkpoint before it ends may have left a manifest without them (SPEC 17.1.3). */
static ddome_status start_anew(fl_run *run, const char *out_dir)
{
    const bool kept = fl_run_rounds(run) != 0 && run->config.checkpoint_every != 0;
    ddome_status status = DDOME_OK;
    if (fl_rundir_is_sealed(&run->dir))
        status = nn_fail(run->error, DDOME_ERR_USAGE,
                         "%.300s is finished and has no checkpoint: nothing to go on with; replace "
                         "it with --force",
                         out_dir);
    if (status == DDOME_OK && !kept)
        status = fl_rundir_unseal(run->error, &run->dir);
    fl_rundir_leave(&run->dir);
    return status == DDOME_OK ? fl_run_open_kept(run, out_dir, false) : status;
}

ddome_status fl_run_reopen(fl_run *run, const char *out_dir)
{
    ddome_status status = fl_rundir_reopen(run->error, &run->dir, &run->arena, out_dir);
    if (status == DDOME_OK)
        status = find_to_resume(run);
    if (status == DDOME_OK && !run->saved.found)
        return start_anew(run, out_dir);
    if (status == DDOME_OK && run->trace != NULL)
        status = nn_fail(run->error, DDOME_ERR_USAGE,
                         "a trace begins with the run: expected none, as %.300s goes on from a "
                         "checkpoint; leave out --trace",
                         out_dir);
    return status;
}

/* Without a checkpoint that is whole the rounds begin with the first (SPEC 17.7.2). */
ddome_status fl_run_view(fl_run *run, const char *out_dir, uint32_t most)
{
    ddome_error reason = {DDOME_OK, ""}, *const usual = run->error;
    ddome_status status = fl_rundir_view(run->error, &run->dir, &run->arena, out_dir);
    if (status != DDOME_OK || most == 0)
        return status;
    run->error = &reason;
    status = find_state(run, most);
    run->error = usual;
    if (status == DDOME_OK)
        return status;
    if (status != DDOME_ERR_RESUME || strstr(reason.text, "another run") != NULL)
        return nn_fail(run->error, status, "%s", reason.text);
    fl_saved_free(&run->saved);
    run->done = 0;
    fl_tell(run->progress, reason.text);
    return DDOME_OK;
}

/* ---- tables ---- */

typedef ddome_status table_fn(ddome_error *error, fl_rundir *dir, fl_table *table);

static ddome_status each_table(fl_run *run, table_fn *take)
{
    fl_table *tables[FL_RECORD_TABLES + FL_WATCH_TABLES];
    ddome_status status = DDOME_OK;
    fl_record_tables(tables, &run->record);
    fl_watch_tables(tables + FL_RECORD_TABLES, &run->watch);
    for (size_t i = 0; i < sizeof tables / sizeof *tables && status == DDOME_OK; i++)
        status = take(run->error, &run->dir, tables[i]);
    return status;
}

static ddome_status flush_table(ddome_error *error, fl_rundir *dir, fl_table *table)
{
    return fl_table_flush(error, dir, table);
}

ddome_status fl_run_write_tables(fl_run *run)
{
    return each_table(run, fl_table_write);
}

ddome_status fl_run_close_tables(fl_run *run)
{
    return each_table(run, fl_table_close);
}

/* ---- checkpoints ---- */

/* What the tables have must be on the disk before a checkpoint counts on it. */
static ddome_status write_checkpoint(fl_run *run, uint32_t round)
{
    char name[FL_SAVED_NAME], temporary[FL_SAVED_NAME + 4];
    nn_digest digest;
    snprintf(temporary, sizeof temporary, "%s.tmp", fl_saved_name(name, round));
    ddome_status status = each_table(run, flush_table);
    if (status == DDOME_OK)
        status = fl_state_write(run, &digest, temporary, round, run->saved.identity);
    return status == DDOME_OK ? fl_saved_add(run->error, &run->saved, &run->dir, round, &digest,
                                             run->config.checkpoint_keep)
                              : status;
}

ddome_status fl_run_keep_round(fl_run *run, uint32_t round)
{
    const size_t every = run->config.checkpoint_every, rounds = fl_run_rounds(run);
    const bool stops = round < rounds && fl_wants_stop(run->progress);
    ddome_status status = fl_run_write_tables(run);
    const bool due = every != 0 && (round % every == 0 || round == rounds);
    if (status == DDOME_OK && (due || stops) && rounds != 0 && !run->dir.verify)
        status = write_checkpoint(run, round);
    if (status != DDOME_OK || !stops)
        return status;
    return nn_fail(run->error, DDOME_STOPPED,
                   "stopped after round %lu of %lu; go on with: ddome resume %.300s",
                   (unsigned long)round, (unsigned long)rounds, run->dir.path);
}

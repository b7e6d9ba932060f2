/* SPDX-License-Identifier: MIT */
/* Algorithm 1 of DDOME, in the order of SPEC.md and without arithmetic: the page to read first.
 * Every step is one call; what it does stands in fl/ under the same word. */
#include "fl/origin.h"
#include "fl/run.h"
#include "fl/verify.h"

/* ---- one round (SPEC 11) ---- */

/* The part of one participant, which needs no other's: the gate goes down and scores its
 * embeddings, the K best experts follow (an anchor gets its own), it trains them locally. */
static ddome_status one_client(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                               const fl_run *run)
{
    ddome_status status = fl_run_choose(error, scratch, visit, run);
    if (status == DDOME_OK)
        status = fl_server_send(error, scratch, visit, &run->server);
    if (status == DDOME_OK)
        status = fl_client_train(error, scratch, visit, &run->world);
    return status;
}

/* Participants are drawn; each does its part, several at a time; their copies come back into the
 * sums in ascending order of their ids; the server averages gate and experts. */
static ddome_status one_round(fl_run *run, uint32_t round)
{
    ddome_status status = fl_run_open_round(run, round);
    if (status == DDOME_OK)
        status = fl_run_clients(run, one_client, fl_run_take);
    if (status == DDOME_OK)
        status = fl_run_close_round(run, round);
    if (status == DDOME_OK && fl_run_evaluates(run, round))
        status = fl_run_evaluate(run, round);
    return status == DDOME_OK ? fl_run_keep_round(run, round) : status;
}

/* ---- the whole (SPEC 9 to 13) ---- */

/* From the round after the last one that a checkpoint has. */
static ddome_status rounds_to(fl_run *run, size_t last)
{
    ddome_status status = run->resumed ? DDOME_OK : fl_run_keep_round(run, 0);
    for (uint32_t round = run->done + 1; round <= last && status == DDOME_OK; round++)
        status = one_round(run, round);
    return status;
}

/* The common expert is trained or loaded and embeds every client's samples once; experts and gate
 * get their start; then the rounds, each evaluated when it is due. */
static ddome_status algorithm_1(fl_run *run, ddome_summary *summary)
{
    ddome_status status = fl_run_set_up(run);
    const size_t rounds = fl_run_rounds(run);
    if (status == DDOME_OK && rounds == 0)
        status = fl_run_evaluate(run, 0);
    if (status == DDOME_OK)
        status = rounds_to(run, rounds);
    if (status == DDOME_OK)
        status = fl_run_finish(run, summary);
    return status;
}

static ddome_status pretraining(fl_run *run, ddome_summary *summary)
{
    ddome_status status = fl_run_pretrain(run);
    return status == DDOME_OK ? fl_run_finish_common(run, summary) : status;
}

/* ---- the public calls ---- */

typedef ddome_status work_fn(fl_run *run, ddome_summary *summary);

/* How a run finds its folder. */
typedef ddome_status open_fn(fl_run *run, const char *out_dir);

static ddome_status open_new(fl_run *run, const char *out_dir)
{
    return fl_run_open_kept(run, out_dir, false);
}

static ddome_status open_forced(fl_run *run, const char *out_dir)
{
    return fl_run_open_kept(run, out_dir, true);
}

static ddome_status open_common(fl_run *run, const char *out_dir)
{
    return fl_run_open(run, out_dir, false);
}

static ddome_status open_common_forced(fl_run *run, const char *out_dir)
{
    return fl_run_open(run, out_dir, true);
}

/* Everything is checked and the folder is there before the work begins. */
static ddome_status with_run(ddome_error *error, ddome_summary *summary, const ddome_config *config,
                             const char *out_dir, const ddome_progress *progress, open_fn *open,
                             work_fn *work)
{
    fl_run run;
    ddome_summary made = {.rounds = 0};
    nn_error_clear(error);
    ddome_status status =
        fl_run_init(error, &run, fl_config_of(config), fl_threads_of(config), progress);
    if (status == DDOME_OK)
        status = fl_run_trace(&run, fl_trace_wish_of(config));
    if (status == DDOME_OK)
        status = fl_run_take_common(&run);
    if (status == DDOME_OK)
        status = fl_run_take_start(&run);
    if (status == DDOME_OK)
        status = open(&run, out_dir);
    if (status == DDOME_OK)
        status = work(&run, &made);
    status = fl_run_end_trace(&run, status);
    fl_run_free(&run);
    if (status == DDOME_OK)
        *summary = made;
    return status;
}

ddome_status ddome_train(ddome_error *error, ddome_summary *summary, const ddome_config *config,
                         const char *out_dir, const ddome_progress *progress, int force)
{
    return with_run(error, summary, config, out_dir, progress, force ? open_forced : open_new,
                    algorithm_1);
}

ddome_status ddome_resume(ddome_error *error, ddome_summary *summary, const ddome_config *config,
                          const char *run_dir, const ddome_progress *progress)
{
    return with_run(error, summary, config, run_dir, progress, fl_run_reopen, algorithm_1);
}

ddome_status ddome_pretrain(ddome_error *error, ddome_summary *summary, const ddome_config *config,
                            const char *out_dir, const ddome_progress *progress, int force)
{
    nn_error_clear(error);
    if (fl_config_of(config)->common[0] != '\0')
        return nn_fail(error, DDOME_ERR_USAGE,
                       "pretrain makes a common expert: expected no key common, found %.300s",
                       fl_config_of(config)->common);
    return with_run(error, summary, config, out_dir, progress,
                    force ? open_common_forced : open_common, pretraining);
}

/* ---- once more, to compare ---- */

/* Rounds that are compared; the last round of the run brings its models. SPEC 17.7.2. */
static ddome_status rounds_again(fl_run *run, const char *run_dir, uint64_t first, uint64_t last)
{
    ddome_summary summary;
    const size_t rounds = fl_run_rounds(run), least = rounds == 0 ? 0 : 1;
    ddome_status status = fl_verify_config(run, run_dir);
    if (status == DDOME_OK)
        status = fl_origin_check_run(run->error, &run->scratch, run_dir, &run->config, &run->task);
    if (status == DDOME_OK)
        status = fl_run_take_common(run);
    if (status != DDOME_OK)
        return status;
    if (first < least || first > last || last > nn_max(rounds, 1))
        return nn_fail(run->error, DDOME_ERR_USAGE,
                       "expected rounds of 1 to %lu, found %llu to %llu", (unsigned long)rounds,
                       (unsigned long long)first, (unsigned long long)last);
    status = fl_run_view(run, run_dir, (uint32_t)(first - 1));
    if (status == DDOME_OK && !fl_verify_has_tables(&run->dir))
        return nn_fail(run->error, DDOME_ERR_USAGE,
                       "%.300s has no rounds to do again: a pretraining is verified by its files "
                       "alone; leave out --rounds and --round",
                       run_dir);
    if (status == DDOME_OK && last >= rounds)
        return algorithm_1(run, &summary);
    if (status == DDOME_OK)
        status = fl_run_set_up(run);
    return status == DDOME_OK ? rounds_to(run, (size_t)last) : status;
}

ddome_status ddome_verify(ddome_error *error, ddome_summary *summary, const ddome_config *config,
                          const char *run_dir, const ddome_progress *progress, uint64_t first,
                          uint64_t last)
{
    fl_run run;
    nn_arena arena = {0};
    ddome_summary made = {.rounds = 0};
    nn_error_clear(error);
    ddome_status status = fl_verify_hashes(error, &arena, run_dir, made.root_hash);
    if (status == DDOME_OK)
        status = fl_verify_complete(error, &arena, run_dir);
    nn_arena_free(&arena);
    if (status == DDOME_OK && last != 0) {
        status = fl_run_init(error, &run, fl_config_of(config), fl_threads_of(config), progress);
        if (status == DDOME_OK)
            status = rounds_again(&run, run_dir, first, last);
        fl_run_free(&run);
    }
    if (status == DDOME_OK && last != 0)
        made.rounds = last - first + 1;
    if (status == DDOME_OK)
        *summary = made;
    return status;
}

/* SPDX-License-Identifier: MIT */
/* The steps of a run with each of their allocations failing, in the memory that lasts and in that
 * of one step: set-up, a round, an evaluation with its tables, the end. SPEC 17.3.1. */
#include <stdio.h>
#include <string.h>

#include "../fl/checkpoint.h"
#include "../nn/os.h"
#include "fl_fixture.h"
#include "poor.h"

void t_run_poor(void);

/* A run that is put back before each try; `run` must stay where it is. */
typedef struct tried {
    fl_run run, before;
    ddome_error error;
    ddome_status (*step)(fl_run *run);
} tried;

/* The members of a run but for its two arenas, which only grow. A try that has made a server leaves
 * its files open. */
static void put_back(tried *at)
{
    if (at->before.server.expert == NULL)
        fl_server_close_stores(&at->run.server);
    const nn_arena arena = at->run.arena, scratch = at->run.scratch;
    at->run = at->before;
    at->run.arena = arena;
    at->run.scratch = scratch;
}

/* The arena whose turn it is not is given back here. */
static ddome_status try_step(ddome_error *error, nn_arena *arena, void *context)
{
    tried *at = context;
    nn_arena *other = arena == &at->run.arena ? &at->run.scratch : &at->run.arena;
    const nn_arena_mark mark = nn_arena_get_mark(other);
    put_back(at);
    at->run.error = error;
    const ddome_status status = at->step(&at->run);
    nn_arena_rewind(other, mark);
    return status;
}

/* Every `stride`th allocation; lasting and passing: how many there are at least. */
static void try_both(tried *at, const char *what, ddome_status (*step)(fl_run *run), size_t stride,
                     size_t lasting, size_t passing)
{
    at->before = at->run;
    at->step = step;
    const size_t kept = test_poor_every(what, stride, &at->run.arena, try_step, at);
    const size_t scratch = test_poor_every(what, stride, &at->run.scratch, try_step, at);
    test_check(kept >= lasting && scratch >= passing, __FILE__, __LINE__,
               "%s: expected %lu and %lu allocations, found %lu and %lu", what,
               (unsigned long)lasting, (unsigned long)passing, (unsigned long)kept,
               (unsigned long)scratch);
    put_back(at);
    at->run.error = &at->error;
}

/* The first lines of the tables keep their failure to themselves until the tables are written. */
static ddome_status load(fl_run *run)
{
    const ddome_status status = fl_run_load(run);
    return status == DDOME_OK ? fl_text_status(run->error, &run->record.timing.text) : status;
}

static ddome_status set_up(fl_run *run)
{
    return fl_run_set_up(run);
}

/* The tables are written behind it, and a checkpoint if there is to be one. */
static ddome_status evaluate(fl_run *run)
{
    const ddome_status status = fl_run_evaluate(run, 1);
    return status == DDOME_OK ? fl_run_keep_round(run, 1) : status;
}

static ddome_status finish(fl_run *run)
{
    ddome_summary summary = {.clients = 77};
    const ddome_status status = fl_run_finish(run, &summary);
    CHECK((summary.clients == 77) == (status != DDOME_OK));
    return status;
}

/* Without memory no list of hashes appears: the run does not look finished. The folder forgets what
 * was written by earlier tries. */
static ddome_status finish_unfinished(fl_run *run)
{
    char sums[1024];
    snprintf(sums, sizeof sums, "%s/SHA256SUMS", run->dir.path);
    nn_os_remove(sums);
    run->dir.files = NULL;
    const ddome_status status = finish(run);
    CHECK(nn_os_exists(sums) == (status == DDOME_OK));
    return status;
}

static const char *run_folder(void)
{
    static char path[1000];
    snprintf(path, sizeof path, "%s/poor_run", test_dir());
    return path;
}

/* From a run directory to its state after round 1, as `ddome verify` looks at it. */
static ddome_status view(fl_run *run)
{
    ddome_status status = fl_run_view(run, run_folder(), 1);
    if (status == DDOME_OK)
        status = fl_run_set_up(run);
    CHECK(status != DDOME_OK || run->done == 1);
    fl_saved_free(&run->saved);
    return status;
}

/* The same to go on with it. */
static ddome_status reopen(fl_run *run)
{
    char sums[1024];
    ddome_error error = {DDOME_OK, ""};
    snprintf(sums, sizeof sums, "%s/SHA256SUMS", run_folder());
    CHECK(nn_os_write_file(&error, sums, "\n", 1) == DDOME_OK); /* as if it were finished */
    ddome_status status = fl_run_reopen(run, run_folder());
    if (status == DDOME_OK)
        status = fl_run_set_up(run);
    CHECK(status != DDOME_OK || !nn_os_exists(sums));
    nn_os_remove(sums);
    fl_rundir_leave(&run->dir);
    fl_saved_free(&run->saved);
    return status;
}

static bool open_run(tried *run)
{
    const ddome_status status = fl_run_open_kept(&run->run, run_folder(), true);
    if (strstr(run->error.text, "plain C99") == NULL)
        return test_status("open", status, DDOME_OK, &run->error, NULL);
    test_skip("plain C99 cannot make folders");
    return false;
}

static tried t; /* a run is large, and its address must not change */

static void loads(const char *keys)
{
    test_case("no memory for the data and the models of a run: %s", keys);
    if (test_federation_init(&t.run, &t.error, keys))
        try_both(&t, "load", load, 1, 30, 0);
    fl_run_free(&t.run);
}

static void set_ups(const char *keys)
{
    test_case("no memory in the set-up of a run: %s", keys);
    if (test_federation_init(&t.run, &t.error, keys))
        try_both(&t, "set-up", set_up, 1, 3, 0);
    fl_run_free(&t.run);
}

static void evaluations(const char *keys, size_t stride)
{
    test_case("no memory in an evaluation and its tables: %s", keys);
    if (test_federation_init(&t.run, &t.error, keys) && open_run(&t)) {
        CHECK(fl_run_set_up(&t.run) == DDOME_OK && test_round(&t.run, 1) == DDOME_OK);
        try_both(&t, "evaluation", evaluate, stride, 4, 4);
    }
    fl_run_free(&t.run);
}

/* Not all of them, for every file is flushed to the disk. */
static void ends(const char *keys)
{
    test_case("no memory at the end of a run: %s", keys);
    if (test_federation_init(&t.run, &t.error, keys) && open_run(&t)) {
        CHECK(fl_run_set_up(&t.run) == DDOME_OK && test_round(&t.run, 1) == DDOME_OK);
        try_both(&t, "end", finish_unfinished, 7, 30, 30);
    }
    fl_run_free(&t.run);
}

/* A finished run that is compared with its own files: nothing is flushed, so all of them. */
static ddome_status finish_viewed(fl_run *run)
{
    run->dir.files = NULL;
    return finish(run);
}

static ddome_status finish_common(fl_run *run)
{
    ddome_summary summary = {.clients = 77};
    run->dir.files = NULL;
    const ddome_status status = fl_run_finish_common(run, &summary);
    CHECK((summary.clients == 77) == (status != DDOME_OK));
    return status;
}

/* Finishes once, then again and again as `ddome verify` does. */
static void viewed_ends(const char *keys, ddome_status (*start)(fl_run *run),
                        ddome_status (*end)(fl_run *run))
{
    test_case("no memory to verify the end of a run: %s", keys);
    if (test_federation_init(&t.run, &t.error, keys) && open_run(&t) &&
        test_status("start", start(&t.run), DDOME_OK, &t.error, NULL) &&
        test_status("end", end(&t.run), DDOME_OK, &t.error, NULL)) {
        t.run.dir.verify = true;
        try_both(&t, "end", end, 1, 30, 10);
    }
    fl_run_free(&t.run);
}

static ddome_status to_the_end(fl_run *run)
{
    ddome_status status = fl_run_set_up(run);
    if (status == DDOME_OK)
        status = test_round(run, 1);
    return status == DDOME_OK ? fl_run_evaluate(run, 1) : status;
}

static ddome_status open_forced(fl_run *run)
{
    return fl_run_open_kept(run, run_folder(), true);
}

/* Nothing that would be refused is left behind by it. */
static ddome_status open_new(fl_run *run)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/poor_new", test_dir());
    return fl_run_open(run, path, false);
}

/* Not all of them, for the folder is flushed each time. The last ones may fail unseen: what is left
 * over in the folder is not listed then. */
static void openings(const char *what, ddome_status (*start)(fl_run *run), size_t stride,
                     size_t least)
{
    size_t failures = 0;
    bool met = true;
    test_case("no memory to open %s", what);
    if (test_federation_init(&t.run, &t.error, "") && open_run(&t)) {
        nn_arena *arena = &t.run.arena;
        fl_rundir_leave(&t.run.dir);
        for (size_t n = 1; met && CHECK(n < 1000); n += stride) {
            const nn_arena_mark mark = nn_arena_get_mark(arena);
            nn_error_clear(&t.error);
            arena->fail_after = arena->allocations + n;
            const ddome_status status = start(&t.run);
            met = arena->allocations >= arena->fail_after;
            arena->fail_after = 0;
            fl_rundir_leave(&t.run.dir); /* before its path is given back */
            nn_arena_rewind(arena, mark);
            failures += status == DDOME_ERR_MEMORY;
            CHECK(status == DDOME_ERR_MEMORY || status == DDOME_OK);
        }
        test_check(failures >= least, __FILE__, __LINE__, "%lu failures, expected %lu",
                   (unsigned long)failures, (unsigned long)least);
    }
    fl_run_free(&t.run);
}

/* A model comes from a file, for the key at the end of `keys`. */
static void given(const char *keys, size_t lasting, size_t passing)
{
    char words[1100];
    unsigned char *bytes;
    size_t size;
    test_case("no memory for a model that is given: %s", keys);
    const size_t at = (size_t)snprintf(words, sizeof words, "%s=", keys);
    snprintf(words + at, sizeof words - at, "%s/poor_common.safetensors", test_dir());
    if (test_federation(&t.run, &t.error, "") &&
        CHECK(fl_checkpoint_format(&t.error, &t.run.arena, &bytes, &size, &t.run.common_model,
                                   t.run.common.values, 0) == DDOME_OK) &&
        CHECK(nn_os_write_file(&t.error, words + at, bytes, size) == DDOME_OK)) {
        fl_run_free(&t.run);
        if (test_federation_init(&t.run, &t.error, words))
            try_both(&t, "set-up", set_up, 1, lasting, passing);
    }
    fl_run_free(&t.run);
    nn_os_remove(words + at);
}

/* A run with one checkpoint, then another that looks at it and goes on with it. */
static void returns(const char *keys)
{
    test_case("no memory to go on with a run: %s", keys);
    const bool kept = test_federation_init(&t.run, &t.error, keys) && open_run(&t) &&
                      CHECK(fl_run_set_up(&t.run) == DDOME_OK) &&
                      CHECK(test_round(&t.run, 1) == DDOME_OK) &&
                      CHECK(fl_run_keep_round(&t.run, 1) == DDOME_OK);
    fl_run_free(&t.run);
    if (kept && test_federation_init(&t.run, &t.error, keys)) {
        try_both(&t, "view", view, 1, 10, 10);
        try_both(&t, "reopen", reopen, 2, 10, 10);
        fl_run_free(&t.run);
    }
}

void t_run_poor(void)
{
    loads("algo=head");
    loads("eval_also=global,seen");
    set_ups("pretrain_epochs=2");
    set_ups("gate=oracle anchors=cluster eval_scope=global");
    set_ups("eval_scope=holdout init=common");
    set_ups("algo=local eval_scope=seen local_budget=full");
    set_ups("algo=scaffold");
    set_ups("algo=common");
    evaluations("test=mixture eval_scope=global checkpoint_every=0", 1);
    evaluations("eval_also=global,seen checkpoint_every=0", 1);
    evaluations("checkpoint_every=1", 3); /* not all, for the checkpoint is flushed */
    ends("algo=common");
    viewed_ends("", to_the_end, finish_viewed);
    viewed_ends("algo=local eval_scope=seen init=common", to_the_end, finish_viewed);
    viewed_ends("algo=common", fl_run_pretrain, finish_common);
    openings("the folder of a run", open_forced, 4, 10);
    openings("a new folder", open_new, 1, 10);
    given("common", 4, 10);
    given("algo=fedavg init=file init_file", 4, 4);
    returns("checkpoint_every=1 batch=100 gate=oracle anchors=cluster");
}

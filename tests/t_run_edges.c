/* SPDX-License-Identifier: MIT */
/* Runs at their edges: a pretraining that is stopped, a run without a checkpoint or with one of
 * another round, a given common expert, evaluations that cannot be made, what a manifest says of a
 * repaired draw. SPEC 9, 11.13, 17.6, 18.3. */
#include <stdio.h>
#include <string.h>

#include "../fl/checkpoint.h"
#include "../fl/plan.h"
#include "../fl/state.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_run_edges(void);

enum { PATH_BYTES = 1024 };

/* Who watches: asks to stop once `rounds` of a phase are done. */
typedef struct watcher {
    ddome_phase phase;
    size_t rounds, seen;
    char notice[600];
} watcher;

static void report(void *user, ddome_phase phase, uint64_t done, uint64_t of, double value)
{
    watcher *w = user;
    (void)done, (void)of, (void)value;
    w->seen += phase == w->phase;
}

static void notice(void *user, const char *line)
{
    watcher *w = user;
    if (strstr(line, "ckpt/") != NULL) /* else a failure signature */
        snprintf(w->notice, sizeof w->notice, "%s", line);
}

static int stop(void *user)
{
    const watcher *w = user;
    return w->seen >= w->rounds;
}

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

/* A run in the folder `name`; false, and the case skipped, where folders cannot be made. */
static bool train(ddome_summary *summary, const char *name, const ddome_config *config)
{
    ddome_error error = {DDOME_OK, ""};
    const ddome_status status = ddome_train(&error, summary, config, path_to(name), NULL, 1);
    if (strstr(error.text, "plain C99") == NULL)
        return test_status("train", status, DDOME_OK, &error, NULL);
    test_skip("plain C99 cannot make folders");
    return false;
}

/* ---- stopping, going on ---- */

static void stopped_pretraining(void)
{
    watcher w = {.phase = DDOME_PHASE_PRETRAIN, .rounds = 2};
    const ddome_progress progress = {.report = report, .user = &w, .stop = stop};
    ddome_summary summary = {.clients = 77};
    fl_run run;
    ddome_error error = {DDOME_OK, ""};
    fl_config keys;
    test_case("run: a pretraining that is stopped after two of three epochs");
    memset(&run, 0, sizeof run);
    if (test_federation_keys(&keys, "pretrain_epochs=3 pretrain_target=1 pretrain_lr=0.0001")) {
        CHECK(fl_run_init(&error, &run, &keys, 1, &progress) == DDOME_OK);
        test_status("pretrain", fl_run_pretrain(&run), DDOME_STOPPED, &error,
                    "stopped while the common expert was pretrained, before any checkpoint");
        CHECK(w.seen == 2 && run.common.epochs == 2 && summary.clients == 77);
    }
    fl_run_free(&run);
}

static void finished_without_checkpoint(void)
{
    ddome_summary want, got = {.clients = 77};
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config = test_federation_new("algo=common");
    test_case("run: a finished one without a checkpoint cannot be gone on with (SPEC 17.6.5)");
    if (config != NULL && train(&want, "edges_common", config)) {
        test_status("resume", ddome_resume(&error, &got, config, path_to("edges_common"), NULL),
                    DDOME_ERR_USAGE, &error, "is finished and has no checkpoint");
        CHECK(got.clients == 77 && nn_os_exists(path_to("edges_common/SHA256SUMS")));
        test_same_u64("rounds", fl_rounds_of(config), 0);
    }
    ddome_config_free(config);
}

/* The common expert that another run has made: its own is that one, and goes on from a checkpoint.
 */
static void given_common(void)
{
    char keys[PATH_BYTES + 64];
    ddome_summary want, got;
    ddome_error error = {DDOME_OK, ""};
    ddome_config *first = test_federation_new("checkpoint_every=1"), *second = NULL;
    test_case("run: a given common expert, planned with, gone on with");
    if (first != NULL && train(&want, "edges_given", first)) {
        snprintf(keys, sizeof keys, "checkpoint_every=1 common=%s",
                 path_to("edges_given/final/common.safetensors"));
        second = test_federation_new(keys);
    }
    if (second != NULL && train(&want, "edges_taker", second)) {
        char *text = NULL;
        test_status("resume", ddome_resume(&error, &got, second, path_to("edges_taker"), NULL),
                    DDOME_OK, &error, NULL);
        test_same_text("root hash", got.root_hash, want.root_hash);
        if (test_status("plan", ddome_plan(&error, &text, second), DDOME_OK, &error, NULL))
            CHECK(strstr(text, "memory bytes of a pretraining step: 0\n") != NULL);
        ddome_text_free(text);
    }
    ddome_config_free(second);
    ddome_config_free(first);
}

/* ---- checkpoints of another round ---- */

static const char kept_keys[] = "checkpoint_every=1 checkpoint_keep=2";

/* A checkpoint whose name and hash are right says that it is of round `inside`. */
static bool forge(uint32_t named, uint32_t inside)
{
    fl_run run;
    ddome_error error;
    nn_digest digest;
    char name[FL_SAVED_NAME], temporary[FL_SAVED_NAME + 4];
    bool made = false;
    snprintf(temporary, sizeof temporary, "%s.tmp", fl_saved_name(name, named));
    if (test_federation_init(&run, &error, kept_keys)) {
        ddome_status status = fl_run_open_kept(&run, path_to("edges_forged"), true);
        if (strstr(error.text, "plain C99") != NULL) {
            test_skip("plain C99 cannot make folders");
            fl_run_free(&run);
            return false;
        }
        if (status == DDOME_OK)
            status = fl_run_set_up(&run);
        if (status == DDOME_OK)
            status = fl_run_keep_round(&run, 0);
        if (status == DDOME_OK)
            status = fl_state_write(&run, &digest, temporary, inside, run.saved.identity);
        if (status == DDOME_OK)
            status = fl_saved_add(&error, &run.saved, &run.dir, named, &digest, 2);
        made = test_status("forge", status, DDOME_OK, &error, NULL);
    }
    fl_run_free(&run);
    return made;
}

static void other_rounds(void)
{
    static const uint32_t rounds[][2] = {{2, 1}, {9, 9}};
    static const char *const parts[] = {
        "00000002.safetensors is of round 1: expected that of its name, at most 3",
        "00000009.safetensors is of round 9: expected that of its name, at most 3"};
    for (size_t i = 0; i < 2; i++) {
        fl_run run;
        ddome_error error;
        test_case("run: a checkpoint of round %u says that it is of round %u",
                  (unsigned)rounds[i][0], (unsigned)rounds[i][1]);
        if (!forge(rounds[i][0], rounds[i][1]))
            return;
        if (test_federation_init(&run, &error, kept_keys))
            test_status("reopen", fl_run_reopen(&run, path_to("edges_forged")), DDOME_ERR_RESUME,
                        &error, parts[i]);
        fl_run_free(&run);
    }
}

/* A checkpoint that cannot be used is told of where somebody listens. SPEC 17.7.2. */
static void told(void)
{
    static const char *const damaged[] = {"edges_told/ckpt/00000001.safetensors",
                                          "edges_told/ckpt/00000002.safetensors"};
    ddome_summary summary;
    ddome_config *config = test_federation_new("checkpoint_every=1 checkpoint_keep=3");
    test_case("run: verified without a checkpoint that is whole, with and without a listener");
    if (config != NULL && train(&summary, "edges_told", config)) {
        for (int listens = 0; listens < 2; listens++) {
            watcher w = {.rounds = SIZE_MAX};
            const ddome_progress progress = {.user = &w, .notice = listens ? notice : NULL};
            ddome_error error = {DDOME_OK, ""};
            for (size_t i = 0; i < 2; i++)
                CHECK(nn_os_write_file(NULL, path_to(damaged[i]), "", 0) == DDOME_OK);
            nn_os_remove(path_to("edges_told/ckpt/00000000.safetensors"));
            test_status(
                "verify",
                ddome_verify(&error, &summary, config, path_to("edges_told"), &progress, 2, 2),
                DDOME_OK, &error, NULL);
            CHECK((strstr(w.notice, "00000001.safetensors") != NULL) == (listens != 0));
        }
    }
    ddome_config_free(config);
}

/* ---- evaluation, texts ---- */

static void evaluate(const char *what, const ddome_config *config, const char *run_dir,
                     ddome_status want, const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    ddome_summary summary;
    char *text = NULL;
    test_status(what, ddome_eval(&error, &summary, &text, config, run_dir, NULL), want, &error,
                part);
    CHECK((text != NULL) == (want == DDOME_OK));
    ddome_text_free(text);
}

/* Finite weights whose logits are not: client 1 of the run in the folder edges_local. */
static void write_huge(const char *keys)
{
    fl_run run;
    ddome_error error;
    unsigned char *bytes;
    size_t size;
    if (test_federation_init(&run, &error, keys)) {
        const size_t total = run.expert.layout.total;
        float *values = test_floats(total);
        for (size_t i = 0; i < total; i++)
            values[i] = 3e38f;
        CHECK(fl_checkpoint_format(&error, &run.arena, &bytes, &size, &run.expert, values, 0) ==
                  DDOME_OK &&
              nn_os_write_file(&error, path_to("edges_local/final/client_1.safetensors"), bytes,
                               size) == DDOME_OK);
        test_release();
    }
    fl_run_free(&run);
}

/* A client that never trained has no model of its own. */
static void own_models(void)
{
    char path[PATH_BYTES + 200];
    ddome_summary summary;
    static const char keys[] = "algo=local eval_scope=seen";
    ddome_config *config = test_federation_new(keys);
    test_case("run: evaluated with clients' own models, one of which is missing (SPEC 12.6.6)");
    if (config != NULL && train(&summary, "edges_local", config)) {
        snprintf(path, sizeof path, "%s", path_to("edges_local"));
        evaluate("whole", config, path, DDOME_OK, NULL);
        write_huge(keys);
        evaluate("huge", config, path, DDOME_ERR_NONFINITE,
                 "evaluation after round 3, client 1: expert 0: sample 0: ");
        nn_os_remove(path_to("edges_local/final/client_1.safetensors"));
        evaluate("missing", config, path, DDOME_ERR_DATA, "client_1.safetensors");
        memset(path, 'a', sizeof path - 1);
        path[sizeof path - 1] = '\0';
        evaluate("a long path", config, path, DDOME_ERR_USAGE, "the path of the run is too long");
        for (size_t length = 1000; length < 1024; length++) { /* SHA256SUMS fits at first */
            path[length] = '\0';
            evaluate("a path", config, path,
                     length + sizeof "/SHA256SUMS" <= FL_PATH ? DDOME_ERR_DATA : DDOME_ERR_USAGE,
                     NULL);
            path[length] = 'a';
        }
    }
    ddome_config_free(config);
}

static void refused_partition(void)
{
    ddome_error error = {DDOME_OK, ""};
    char *text = NULL;
    ddome_config *config = test_federation_new("active_normal=90");
    test_case("run: no partition of a configuration that is refused");
    if (config != NULL)
        test_status("partition", ddome_partition(&error, &text, config), DDOME_ERR_USAGE, &error,
                    "active_normal");
    CHECK(text == NULL);
    ddome_config_free(config);
}

/* ---- the end ---- */

static void repaired(void)
{
    fl_run run;
    ddome_error error;
    test_case("run: the manifest says whether a draw was repaired (SPEC 17.2.4)");
    for (int is = 0; is < 2; is++) {
        ddome_summary summary;
        unsigned char *bytes;
        size_t size;
        if (test_federation_init(&run, &error, "algo=common")) {
            ddome_status status = fl_run_open_kept(&run, path_to("edges_repaired"), true);
            if (strstr(error.text, "plain C99") != NULL) {
                test_skip("plain C99 cannot make folders");
                is = 2; /* no more */
            } else {
                run.task.partition.repaired = is == 1;
                CHECK(status == DDOME_OK && fl_run_set_up(&run) == DDOME_OK &&
                      fl_run_evaluate(&run, 0) == DDOME_OK &&
                      fl_run_finish(&run, &summary) == DDOME_OK);
                if (CHECK(nn_os_read_file(&error, &run.arena, &bytes, &size,
                                          path_to("edges_repaired/manifest.json"),
                                          DDOME_ERR_DATA) == DDOME_OK))
                    CHECK(strstr((const char *)bytes, is == 1 ? "\"dirichlet_repaired\": true,"
                                                              : "\"dirichlet_repaired\": false,") !=
                          NULL);
            }
        }
        fl_run_free(&run);
    }
}

/* Each table of what is watched has no memory left: an evaluation and the end of the run say so. */
static void watched(void)
{
    fl_run run;
    ddome_error error;
    test_case("run: no memory for what is watched");
    if (test_federation_rounds(&run, &error, "", 1)) {
        fl_table *tables[FL_WATCH_TABLES];
        fl_watch_tables(tables, &run.watch);
        for (size_t i = 0; i < FL_WATCH_TABLES; i++) {
            nn_error_clear(&error);
            tables[i]->text.failed = true;
            test_status(tables[i]->name, fl_run_evaluate(&run, 1), DDOME_ERR_MEMORY, &error,
                        "out of memory");
            tables[i]->text.failed = false;
        }
        nn_error_clear(&error);
        if (fl_run_open_kept(&run, path_to("edges_watched"), true) == DDOME_OK) {
            tables[0]->text.failed = true;
            test_status("close", fl_run_close_tables(&run), DDOME_ERR_MEMORY, &error,
                        "out of memory");
        } else
            test_skip("plain C99 cannot make folders");
    }
    fl_run_free(&run);
}

static void poor_trace(void)
{
    const fl_trace_wish wish = {.path = "nowhere"};
    fl_run run;
    ddome_error error;
    test_case("run: no memory for a trace, or for the list of evaluations");
    if (test_federation_init(&run, &error, "")) {
        run.arena.fail_after = 1;
        test_status("trace", fl_run_trace(&run, &wish), DDOME_ERR_MEMORY, &error, "a trace");
        nn_error_clear(&error);
        test_status("record", fl_record_init(&error, &run.arena, &run.record, 3), DDOME_ERR_MEMORY,
                    &error, "the list of evaluations");
    }
    CHECK(run.trace == NULL);
    fl_run_free(&run);
}

void t_run_edges(void)
{
    stopped_pretraining();
    finished_without_checkpoint();
    given_common();
    other_rounds();
    told();
    own_models();
    refused_partition();
    repaired();
    watched();
    poor_trace();
}

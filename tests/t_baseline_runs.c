/* SPDX-License-Identifier: MIT */
/* Whole runs of every algorithm through the public calls: the same root hash with one thread and
 * with three, the figures of `eval` those of the run, and the plan's bytes. SPEC 11.6, 12.6. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_baseline_runs(void);

enum { PATH_BYTES = 1024 };

/* False when this build can do no such run; the case is then skipped. */
static bool train(ddome_summary *summary, const char *folder, const char *keys, size_t threads)
{
    ddome_config *config;
    ddome_error error = {DDOME_OK, ""};
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return false;
    ddome_status status = DDOME_OK;
    bool ok = test_federation_config(config, keys);
    if (ok)
        status = ddome_config_set_threads(&error, config, threads);
    if (ok && status == DDOME_OK)
        status = ddome_train(&error, summary, config, folder, NULL, 1);
    if (strstr(error.text, "plain C99") != NULL || strstr(error.text, "without threads") != NULL ||
        strstr(error.text, "no threads") != NULL) {
        test_skip("this build has no threads or folders");
        ok = false;
    } else {
        ok = ok && test_status("train", status, DDOME_OK, &error, NULL);
    }
    ddome_config_free(config);
    return ok;
}

static void evaluate(const char *folder, const ddome_summary *want)
{
    char path[PATH_BYTES + 16], *report = NULL;
    ddome_config *config;
    ddome_summary got;
    ddome_error error = {DDOME_OK, ""};
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    snprintf(path, sizeof path, "%s/config.toml", folder);
    test_status("config.toml", ddome_config_load(&error, config, path), DDOME_OK, &error, NULL);
    if (test_status("eval", ddome_eval(&error, &got, &report, config, folder, NULL), DDOME_OK,
                    &error, NULL)) {
        CHECK(got.mean_accuracy == want->mean_accuracy);
        CHECK(got.worst_accuracy == want->worst_accuracy);
        ddome_text_free(report);
    }
    ddome_config_free(config);
}

static void plan(const ddome_summary *want, const char *keys)
{
    char line[64], *text = NULL;
    ddome_config *config;
    ddome_error error = {DDOME_OK, ""};
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    if (test_federation_config(config, keys) &&
        test_status("plan", ddome_plan(&error, &text, config), DDOME_OK, &error, NULL)) {
        snprintf(line, sizeof line, "\nrun bytes down: %lu\n", (unsigned long)want->bytes_down);
        CHECK(strstr(text, line) != NULL);
        snprintf(line, sizeof line, "\nrun bytes up: %lu\n", (unsigned long)want->bytes_up);
        CHECK(strstr(text, line) != NULL);
        ddome_text_free(text);
    }
    ddome_config_free(config);
}

static void whole(const char *keys)
{
    char folder[PATH_BYTES];
    ddome_summary one, three;
    test_case("baseline runs: %s: threads, eval, plan", keys);
    snprintf(folder, sizeof folder, "%s/baseline", test_dir());
    if (!train(&one, folder, keys, 1))
        return;
    evaluate(folder, &one);
    plan(&one, keys);
    if (train(&three, folder, keys, 3))
        test_same_text("root hash", three.root_hash, one.root_hash);
}

void t_baseline_runs(void)
{
    whole("algo=fedprox mu=0.5");
    whole("algo=scaffold server_lr=0.5 weight_decay=0.01");
    whole("algo=scaffold arch=resnet34 width=1 rounds=2 bn_stats=local");
    whole("algo=ensemble init=common");
    whole("algo=fedmix");
    whole("algo=fedmix mix=probs eval_scope=holdout");
    whole("algo=local eval_scope=seen");
    whole(
        "algo=local eval_scope=seen local_budget=full init=common arch=resnet34 width=1 rounds=2");
    whole("algo=ifca");
    whole("algo=ifca init=common ifca_test=oracle eval_scope=global");
    whole("algo=head init=common eval_scope=holdout eval_also=unseen");
    whole("algo=head eval_scope=holdout arch=resnet34 width=1 rounds=2");
    whole("algo=ddome eval_scope=seen");
    whole("algo=ddome eval_also=global,seen");
    whole("algo=ddome gate=random anchors=cluster test=mixture");
    whole("algo=ddome gate=oracle eval_scope=seen straggler=0.5");
    whole("algo=ddome order=gate-first anchors=wrong dropout=0.5");
    whole("algo=ddome gate=frozen common_every=1 schedule=grow schedule_groups=2 "
          "schedule_rounds=1");
    whole("algo=fedmix gate=random dropout=0.5");
    whole("algo=fedmix gate=oracle eval_scope=seen straggler=0.5");
    whole("algo=fedmix gate=frozen mix=probs common_every=1");
    whole("algo=fedmix order=gate-first eval_scope=global");
    whole("algo=scaffold dropout=0.5 straggler=0.5 epochs=2");
    whole("algo=ensemble straggler=0.5 epochs=2");
    whole("algo=ifca dropout=0.5 straggler=0.5");
    whole("algo=head dropout=0.5 schedule=switch schedule_groups=2 schedule_rounds=1");
    whole("algo=local eval_scope=seen local_budget=full straggler=0.5 schedule=grow "
          "schedule_groups=2 schedule_rounds=1");
}

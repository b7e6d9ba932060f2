/* SPDX-License-Identifier: MIT */
/* A tiny federation for the suites of fl/. */
#include "fl_fixture.h"

#include <stdio.h>
#include <string.h>

static const char TINY[] =
    "synth_train=200 synth_test=80 synth_size=8 synth_domains=2 synth_shapes=2 synth_noise=8 "
    "arch=mlp hidden=6 clients=7 experts=2 top_k=2 labels_per_client=2 samples_per_client=10 "
    "active_anchors=1 active_normal=2 batch=4 rounds=3 eval_every=2 unseen_clients=2 "
    "holdout_clients=1 pretrain_epochs=1 pretrain_batch=32 gate_hidden=5 gate_lr=0.1 lr=0.05";

static bool set_all(fl_config *config, const char *keys)
{
    char text[1024], *rest = text;
    ddome_error error = {DDOME_OK, ""};
    snprintf(text, sizeof text, "%s", keys);
    for (char *key = strtok(rest, " "); key != NULL; key = strtok(NULL, " ")) {
        char *value = strchr(key, '=');
        *value++ = '\0';
        if (!test_status(key, fl_config_set(&error, config, key, value), DDOME_OK, &error, NULL))
            return false;
    }
    return true;
}

bool test_federation_keys(fl_config *config, const char *keys)
{
    fl_config_defaults(config);
    return set_all(config, TINY) && set_all(config, keys);
}

bool test_federation(fl_run *run, ddome_error *error, const char *keys)
{
    fl_config config;
    memset(run, 0, sizeof *run);
    memset(error, 0, sizeof *error);
    if (!test_federation_keys(&config, keys))
        return false;
    ddome_status status = fl_run_init(error, run, &config, NULL);
    if (status == DDOME_OK && fl_algorithm_needs_common(&run->config))
        status = fl_run_common(run);
    if (status == DDOME_OK)
        status = fl_run_embed(run);
    if (status == DDOME_OK)
        status = fl_run_server(run);
    return test_status("a tiny federation", status, DDOME_OK, error, NULL);
}

ddome_status test_round(fl_run *run, uint32_t round)
{
    ddome_status status = fl_run_open_round(run, round);
    for (size_t i = 0; i < run->active && status == DDOME_OK; i++) {
        status = fl_run_choose(run, round, i);
        if (status == DDOME_OK)
            status = fl_run_visit(run, i);
    }
    return status == DDOME_OK ? fl_run_close_round(run, round) : status;
}

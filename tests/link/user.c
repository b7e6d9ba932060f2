/* SPDX-License-Identifier: MIT */
/* A program of somebody else: nothing of ddome but ddome.h and libddome.a. Trains a tiny run into
 * the folder argv[1] and prints its root hash. */
#include <stdio.h>

#include "ddome.h"

static const char *const settings[][2] = {
    {"arch", "mlp"},          {"hidden", "8"},          {"gate_hidden", "8"},
    {"synth_train", "400"},   {"synth_test", "200"},    {"synth_size", "8"},
    {"synth_domains", "2"},   {"synth_shapes", "3"},    {"clients", "6"},
    {"experts", "2"},         {"top_k", "1"},           {"labels_per_client", "2"},
    {"unseen_clients", "2"},  {"holdout_clients", "1"}, {"active_anchors", "2"},
    {"active_normal", "2"},   {"rounds", "2"},          {"batch", "16"},
    {"pretrain_epochs", "1"}, {"eval_every", "1"},
};

static ddome_status configure(ddome_error *error, ddome_config *config)
{
    ddome_status status = DDOME_OK;
    for (size_t i = 0; status == DDOME_OK && i < sizeof settings / sizeof settings[0]; i++)
        status = ddome_config_set(error, config, settings[i][0], settings[i][1]);
    return status;
}

int main(int argc, char **argv)
{
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config = NULL;
    ddome_summary summary;
    ddome_status status = ddome_config_new(&error, &config);
    if (status == DDOME_OK)
        status = configure(&error, config);
    if (status == DDOME_OK)
        status = ddome_train(&error, &summary, config, argc > 1 ? argv[1] : "run", NULL, 1);
    if (status == DDOME_OK)
        printf("%s\n", summary.root_hash);
    else
        fprintf(stderr, "%s\n", error.text);
    ddome_config_free(config);
    return (int)status;
}

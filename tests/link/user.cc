// SPDX-License-Identifier: MIT
// The same from C++: ddome.h is valid there, and the library has C linkage.
#include <cstdio>
#include <utility>

#include "ddome.h"

static const std::pair<const char *, const char *> settings[] = {
    {"arch", "mlp"},          {"hidden", "8"},          {"gate_hidden", "8"},
    {"synth_train", "400"},   {"synth_test", "200"},    {"synth_size", "8"},
    {"synth_domains", "2"},   {"synth_shapes", "3"},    {"clients", "6"},
    {"experts", "2"},         {"top_k", "1"},           {"labels_per_client", "2"},
    {"unseen_clients", "2"},  {"holdout_clients", "1"}, {"active_anchors", "2"},
    {"active_normal", "2"},   {"rounds", "2"},          {"batch", "16"},
    {"pretrain_epochs", "1"}, {"eval_every", "1"},
};

int main(int argc, char **argv)
{
    ddome_error error = {};
    ddome_config *config = nullptr;
    ddome_summary summary = {};
    ddome_status status = ddome_config_new(&error, &config);
    for (const auto &setting : settings)
        if (status == DDOME_OK)
            status = ddome_config_set(&error, config, setting.first, setting.second);
    if (status == DDOME_OK)
        status = ddome_train(&error, &summary, config, argc > 1 ? argv[1] : "run", nullptr, 1);
    if (status == DDOME_OK)
        std::printf("%s\n", summary.root_hash);
    else
        std::fprintf(stderr, "%s\n", error.text);
    ddome_config_free(config);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* Whole runs through the public calls: every hashed text, SHA256SUMS and the root hash as golden
 * text. SPEC 9 to 17. */
#include <stdio.h>
#include <string.h>

#include "../fl/text.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_run(void);

enum { PATH_BYTES = 1024 };

/* Appends "== NAME" and the file; manifest.json is SPEC 17.2.4. */
static bool add_file(fl_text *text, const char *folder, const char *name)
{
    char path[PATH_BYTES + 64];
    unsigned char *bytes;
    size_t size;
    ddome_error error = {DDOME_OK, ""};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    ddome_status status = nn_os_read_file(&error, text->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (!test_status(name, status, DDOME_OK, &error, NULL))
        return false;
    test_same_u64(name, strlen((const char *)bytes), size);
    fl_text_add(text, "== %s\n%s", name, (const char *)bytes);
    return true;
}

/* The root hash is that of the file SHA256SUMS, the last one added (SPEC 17.3.2). */
static void check_root(const fl_text *text, const char *root)
{
    static const char head[] = "== SHA256SUMS\n";
    char hex[NN_HEX_BYTES];
    const char *sums = strstr(text->data, head);
    if (!CHECK(sums != NULL))
        return;
    sums += sizeof head - 1;
    const nn_digest digest = nn_sha256_of(sums, strlen(sums));
    nn_digest_hex(hex, &digest);
    test_same_text("root hash", root, hex);
}

/* The files of SPEC 17.1.1 as texts, models by their hashes in SHA256SUMS. */
static void compare(const char *name, const char *folder, const ddome_summary *summary)
{
    static const char *const files[] = {"config.toml",  "manifest.json", "metrics.csv",
                                        "clients.csv",  "experts.csv",   "comm.csv",
                                        "rounds.jsonl", "SHA256SUMS"};
    char golden[64];
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    bool whole = true;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        whole = add_file(&text, folder, files[i]) && whole;
    if (whole) {
        check_root(&text, summary->root_hash);
        fl_text_add(&text, "== root hash\n%s\n", summary->root_hash);
        snprintf(golden, sizeof golden, "run_%s.txt", name);
        test_golden_text(golden, text.data);
    }
    nn_arena_free(&arena);
}

static void whole_run(const char *name, const char *keys)
{
    char folder[PATH_BYTES];
    ddome_config *config;
    ddome_summary summary;
    ddome_error error = {DDOME_OK, ""};
    test_case("run: a whole run of %s, file by file", name);
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    snprintf(folder, sizeof folder, "%s/run_%s", test_dir(), name);
    if (test_federation_config(config, keys)) {
        ddome_status status = ddome_train(&error, &summary, config, folder, NULL, 1);
        if (strstr(error.text, "plain C99") != NULL)
            test_skip("plain C99 cannot make folders");
        else if (test_status("train", status, DDOME_OK, &error, NULL))
            compare(name, folder, &summary);
    }
    ddome_config_free(config);
}

/* 12 labels, so that unseen clients differ; 12 of them, so that percentiles do;
 * 250 is no multiple of 12, so that their sizes do. Of 5 rounds 2, 4 and 5 are evaluated
 * (SPEC 13.4); fedavg has a common expert because of `init` (SPEC 9.0). */
#define MANY                                                                                       \
    "synth_train=480 synth_test=250 synth_domains=4 synth_shapes=3 clients=9 experts=3 "           \
    "samples_per_client=24 labels_per_client=3 unseen_clients=12 hidden=16 "

void t_run(void)
{
    whole_run("ddome", MANY "rounds=5 eval_every=2 anchor_gate_weight=0.5 gate_momentum=0.5 "
                            "weight_decay=0.01 pretrain_target=0.3 pretrain_epochs=12 "
                            "pretrain_lr=0.05 active_anchors=2 active_normal=3 epochs=2");
    whole_run("fedavg", MANY "algo=fedavg init=common sampling=uniform normalize=none "
                             "eval_scope=global epochs=2 pretrain_epochs=2");
}

/* SPDX-License-Identifier: MIT */
/* Traces: every line has its form, its key once, its inputs before it, and the hash of its tensor;
 * an operation done again from its traced inputs gives its traced output; a run is the same with
 * and without; the golden trace of tools/presets/three_rounds.toml. SPEC 19.3. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fl/text.h"
#include "../nn/act.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"
#include "trace_fixture.h"

void t_trace(void);

enum { PATH_BYTES = 1024 };

/* ---- patterns ---- */

static void patterns(void)
{
    static const struct {
        const char *patterns, *text;
        bool fits;
    } cases[] = {
        {"", "a", false},           {"*", "", true},           {"*", "r1/c3/x", true},
        {"a", "a", true},           {"a", "ab", false},        {"ab", "a", false},
        {"?", "/", true},           {"?", "", false},          {"r?/*", "r1/", true},
        {"*/dw", "r1/s0/dw", true}, {"*/dw", "r1/dwx", false}, {"a*b*c", "abbcbc", true},
        {"a*b*c", "abbcb", false},  {"x,*/y,z", "q/y", true},  {"x,,z", "", false},
        {"x,z", "x,z", false},      {"**a**", "bab", true},    {"*aab", "aaaab", true},
        {"a?*", "a", false},        {",b", "b", true},         {"b,", "b", true},
    };
    test_case("trace: patterns");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        test_check(fl_trace_matches(cases[i].patterns, cases[i].text) == cases[i].fits, __FILE__,
                   __LINE__, "\"%s\" and \"%s\"", cases[i].patterns, cases[i].text);
}

/* ---- runs ---- */

/* A run into NAME and, with a trace, NAME.jsonl; false when it failed, or no folder can be made. */
static bool train(char folder[PATH_BYTES], const char *name, ddome_config *config)
{
    ddome_summary summary;
    ddome_error error = {DDOME_OK, ""};
    snprintf(folder, PATH_BYTES, "%s/%s", test_dir(), name);
    const ddome_status status = ddome_train(&error, &summary, config, folder, NULL, 1);
    if (strstr(error.text, "plain C99") != NULL) {
        test_skip("plain C99 cannot make folders");
        return false;
    }
    return test_status("train", status, DDOME_OK, &error, NULL);
}

/* The bytes of SHA256SUMS. */
static bool read_sums(nn_arena *arena, const char **sums, const char *folder)
{
    char path[PATH_BYTES + 16];
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/SHA256SUMS", folder);
    ddome_status status = nn_os_read_file(&error, arena, &bytes, &size, path, DDOME_ERR_DATA);
    *sums = (const char *)bytes;
    return test_status(path, status, DDOME_OK, &error, NULL);
}

/* Two runs, one of them traced: the same files; then the trace itself. */
static bool traced_run(trace_file *file, const char *name, const char *keys)
{
    char plain[PATH_BYTES], traced[PATH_BYTES], path[PATH_BYTES + 16];
    nn_arena arena = {0};
    const char *without, *with;
    ddome_config *config;
    ddome_error error = {DDOME_OK, ""};
    bool ok = CHECK(ddome_config_new(&error, &config) == DDOME_OK);
    snprintf(path, sizeof path, "%s/%s.jsonl", test_dir(), name);
    ok = ok && test_federation_config(config, keys) && train(plain, "trace_plain", config) &&
         CHECK(ddome_config_set_trace(&error, config, path, "*", 0, 1) == DDOME_OK) &&
         train(traced, name, config) && read_sums(&arena, &without, plain) &&
         read_sums(&arena, &with, traced) && test_same_text("SHA256SUMS", with, without);
    ddome_config_free(config);
    nn_arena_free(&arena);
    return ok && trace_file_read(file, path);
}

static void one_run(const char *name, const char *keys)
{
    trace_file file = {.count = 0};
    test_case("trace: %s: form, keys, inputs, hashes; the run's files are the same", name);
    if (traced_run(&file, name, keys)) {
        trace_file_check(&file);
        test_case("trace: %s: operations done again from their inputs", name);
        trace_file_redo(&file);
    }
    trace_file_free(&file);
}

#define RESNET                                                                                     \
    "arch=resnet34 width=2 rounds=1 samples_per_client=6 batch=4 pretrain_batch=64 eval_every=1 "

static void runs(void)
{
    one_run("trace_mlp", "eval_every=1 rounds=2 epochs=2 weight_decay=0.01 gate_momentum=0.5");
    one_run("trace_probs", "eval_every=1 rounds=1 mix=probs arith=fma eval_scope=global");
    one_run("trace_fedavg", "algo=fedavg init=common rounds=1 aggregate=uniform momentum=0");
    one_run("trace_common", "algo=common");
    one_run("trace_fedprox", "algo=fedprox mu=0.5 rounds=1");
    one_run("trace_scaffold", "algo=scaffold rounds=2");
    one_run("trace_ensemble", "algo=ensemble rounds=1 epochs=2");
    one_run("trace_fedmix", "algo=fedmix rounds=1 eval_scope=global");
    one_run("trace_own", "algo=local eval_scope=seen rounds=1");
    one_run("trace_ifca", "algo=ifca rounds=1");
    one_run("trace_head", "algo=head rounds=1");
    one_run("trace_random", "gate=random rounds=1 eval_every=1 test=mixture dropout=0.5");
    one_run("trace_oracle", "gate=oracle top_k=1 rounds=1 anchors=cluster straggler=0.5");
    one_run("trace_frozen", "gate=frozen rounds=2 mix=probs test=mixture common_every=1");
    one_run("trace_gate", RESNET "order=gate-first rounds=2 active_normal=1 anchors=wrong");
    one_run("trace_experts",
            "order=experts-first rounds=2 schedule=grow schedule_groups=2 schedule_rounds=1");
    one_run("trace_mix_random", "algo=fedmix gate=random rounds=1 dropout=0.5");
    one_run("trace_mix_gate", "algo=fedmix order=gate-first rounds=2 common_every=1 mix=probs");
    one_run("trace_slow", "algo=ensemble straggler=1 epochs=2 rounds=1");
    one_run("trace_lost", "algo=ifca dropout=0.5 rounds=2");
    one_run("trace_resnet", RESNET);
    one_run("trace_group", RESNET "norm=group stem=7x7 synth_size=16");
    one_run("trace_first", RESNET "bn_stats=first arith=fma");
    one_run("trace_local", RESNET "bn_stats=local rounds=2");
}

/* ---- order ---- */

/* What a block with a shortcut of its own computes, in the order of SPEC 6.2, and walks back. */
static const char *const BLOCK_FORWARD[] = {
    "layer2.0.conv1/y",
    "layer2.0.bn1/y",
    "layer2.0.bn1/running_mean",
    "layer2.0.bn1/running_var",
    "layer2.0.bn1.relu/y",
    "layer2.0.conv2/y",
    "layer2.0.bn2/y",
    "layer2.0.bn2/running_mean",
    "layer2.0.bn2/running_var",
    "layer2.0.downsample.0/y",
    "layer2.0.downsample.1/y",
    "layer2.0.downsample.1/running_mean",
    "layer2.0.downsample.1/running_var",
    "layer2.0.add/y",
    "layer2.0.add.relu/y",
    "layer2.1.conv1/y",
};

static const char *const BLOCK_BACKWARD[] = {
    "layer2.0.add.relu/dy",
    "layer2.0.add.relu/dx",
    "layer2.0.add/dy",
    "layer2.0.add/da",
    "layer2.0.add/db",
    "layer2.0.downsample.1/dy",
    "layer2.0.downsample.1/dx",
    "layer2.0.downsample.1/dgamma",
    "layer2.0.downsample.1/dbeta",
    "layer2.0.downsample.0/dy",
    "layer2.0.downsample.0/dw",
    "layer2.0.downsample.0/dx",
    "layer2.0.bn2/dy",
    "layer2.0.bn2/dx",
    "layer2.0.bn2/dgamma",
    "layer2.0.bn2/dbeta",
    "layer2.0.conv2/dy",
    "layer2.0.conv2/dw",
    "layer2.0.conv2/dx",
    "layer2.0.bn1.relu/dy",
    "layer2.0.bn1.relu/dx",
    "layer2.0.bn1/dy",
};

static void check_order(const trace_file *file, const char *prefix, const char *const *names,
                        size_t count)
{
    char key[200];
    snprintf(key, sizeof key, "%s%s", prefix, names[0]);
    const trace_event *first = trace_file_find(file, key);
    if (!test_check(first != NULL, __FILE__, __LINE__, "%s is missing", key))
        return;
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%s%s", prefix, names[i]);
        if (!test_same_text("key", first[i].key, key))
            return;
    }
}

static void order(void)
{
    trace_file file = {.count = 0};
    test_case("trace: a basic block forwards and backwards in the order of SPEC 6.2");
    if (traced_run(&file, "trace_order", "algo=fedavg " RESNET "init=common")) {
        check_order(&file, "r0/s0/forward/common/", BLOCK_FORWARD,
                    sizeof BLOCK_FORWARD / sizeof *BLOCK_FORWARD);
        check_order(&file, "r0/s0/backward/common/", BLOCK_BACKWARD,
                    sizeof BLOCK_BACKWARD / sizeof *BLOCK_BACKWARD);
        const trace_event *met =
            trace_file_find(&file, "r0/s0/backward/common/layer1.2.add.relu/dy");
        CHECK(met != NULL && strcmp(trace_event_text(met, "op"), "add") == 0);
        test_same_text("a", trace_event_input(met, "a"),
                       "r0/s0/backward/common/layer2.0.downsample.0/dx");
        test_same_text("b", trace_event_input(met, "b"), "r0/s0/backward/common/layer2.0.conv1/dx");
    }
    trace_file_free(&file);
}

/* ---- rounds ---- */

static void rounds(void)
{
    char folder[PATH_BYTES], path[PATH_BYTES];
    ddome_config *config;
    ddome_error error = {DDOME_OK, ""};
    trace_file file = {.count = 0};
    test_case("trace: only the rounds that are wanted, and no tensors unless asked for");
    snprintf(path, sizeof path, "%s/trace_two.jsonl", test_dir());
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    if (test_federation_config(config, "") &&
        CHECK(ddome_config_set_trace(&error, config, path, NULL, 2, 2) == DDOME_OK) &&
        train(folder, "trace_two", config) && trace_file_read(&file, path)) {
        CHECK(file.count > 100 && file.tensors.count == 0);
        for (size_t i = 0; i < file.count; i++)
            CHECK(strncmp(file.event[i].key, "r2/", 3) == 0);
        trace_file_check(&file);
    }
    ddome_config_free(config);
    trace_file_free(&file);
}

/* ---- failures ---- */

/* A run that fails leaves the trace up to there, in whole lines. */
static void failed_run(void)
{
    char folder[PATH_BYTES], path[PATH_BYTES];
    ddome_config *config;
    ddome_summary summary = {.rounds = 77};
    ddome_error error = {DDOME_OK, ""};
    trace_file file = {.count = 0};
    test_case("trace: a run that fails leaves what it has");
    snprintf(path, sizeof path, "%s/trace_failed.jsonl", test_dir());
    snprintf(folder, sizeof folder, "%s/trace_failed", test_dir());
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    if (test_federation_config(config, "lr=1000 epochs=9 rounds=9") &&
        CHECK(ddome_config_set_trace(&error, config, path, "*/loss/*", 1, 9) == DDOME_OK)) {
        const ddome_status status = ddome_train(&error, &summary, config, folder, NULL, 1);
        if (strstr(error.text, "plain C99") != NULL)
            test_skip("plain C99 cannot make folders");
        else if (test_status("train", status, DDOME_ERR_NONFINITE, &error, "is not finite") &&
                 trace_file_read(&file, path)) {
            CHECK(file.count > 0 && file.tensors.count > 0 && summary.rounds == 77);
            trace_file_check(&file);
        }
    }
    ddome_config_free(config);
    trace_file_free(&file);
}

static void refusals(void)
{
    char longer[FL_PATH + 1];
    ddome_config *config;
    ddome_error error = {DDOME_OK, ""};
    test_case("trace: what is refused when it is asked for");
    memset(longer, 'x', FL_PATH);
    longer[FL_PATH] = '\0';
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    test_status("rounds", ddome_config_set_trace(&error, config, "t", NULL, 2, 1), DDOME_ERR_USAGE,
                &error, "found 2-1");
    test_status("path", ddome_config_set_trace(&error, config, longer, NULL, 0, 1), DDOME_ERR_USAGE,
                &error, "at most 1023 bytes");
    test_status("patterns", ddome_config_set_trace(&error, config, "t", longer, 0, 1),
                DDOME_ERR_USAGE, &error, "at most 1023 bytes");
    CHECK(fl_trace_wish_of(config)->path[0] == '\0');
    CHECK(ddome_config_set_threads(&error, config, 2) == DDOME_OK);
    test_status("threads", ddome_config_set_trace(&error, config, "t", NULL, 0, 1), DDOME_ERR_USAGE,
                &error, "found 2");
    CHECK(ddome_config_set_trace(&error, config, NULL, NULL, 0, 1) == DDOME_OK);
    CHECK(ddome_config_set_threads(&error, config, 1) == DDOME_OK);
    CHECK(ddome_config_set_trace(&error, config, "t", NULL, 0, 1) == DDOME_OK);
    test_status("threads", ddome_config_set_threads(&error, config, 2), DDOME_ERR_USAGE, &error,
                "found 2");
    CHECK(fl_threads_of(config) == 1);
    ddome_config_free(config);
}

/* A round of a federation of which an arena fails at its nth allocation from here: that of the
 * trace, or that of the tapes, which hold names and notes. Returns whether it failed. */
static bool poor_round(const char *keys, bool tapes, size_t after)
{
    fl_run run;
    ddome_error error;
    fl_trace_wish wish = {.tensors = "*/dw,*/w", .last = 9};
    trace_file file = {.count = 0};
    bool failed = false;
    snprintf(wish.path, sizeof wish.path, "%s/trace_poor.jsonl", test_dir());
    if (test_federation_init(&run, &error, keys) && CHECK(fl_run_trace(&run, &wish) == DDOME_OK) &&
        test_status("begin", fl_trace_begin(&error, run.trace, NN_ARITH_MA), DDOME_OK, &error,
                    NULL) &&
        test_status("set-up", fl_run_set_up(&run), DDOME_OK, &error, NULL)) {
        nn_arena *arena = tapes ? &run.scratch : &run.trace->arena;
        arena->fail_after = arena->allocations + after;
        ddome_status status = test_round(&run, 1);
        failed = status != DDOME_OK;
        arena->fail_after = 0;
        if (failed)
            test_status("round", status, DDOME_ERR_MEMORY, &error, "out of memory");
        CHECK(fl_run_end_trace(&run, status) == status);
        if (trace_file_read(&file, wish.path))
            trace_file_check(&file);
    }
    trace_file_free(&file);
    fl_run_free(&run);
    return failed;
}

static void poor_rounds(const char *what, const char *keys, bool tapes)
{
    size_t failures = 0;
    test_case("trace: %s without memory, at each allocation", what);
    while (failures < 5000 && poor_round(keys, tapes, failures + 1))
        failures++;
    CHECK(failures > 5 && failures < 5000);
}

/* ---- the golden trace ---- */

static void golden(void)
{
    enum { LINES = 12 };
    char folder[PATH_BYTES], path[PATH_BYTES], hex[NN_HEX_BYTES];
    ddome_config *config;
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    unsigned char *bytes;
    size_t size;
    test_case("trace: the three rounds of tools/presets/three_rounds.toml");
    snprintf(path, sizeof path, "%s/trace_golden.jsonl", test_dir());
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    if (CHECK(ddome_config_load(&error, config, "tools/presets/three_rounds.toml") == DDOME_OK) &&
        CHECK(ddome_config_set_trace(&error, config, path, NULL, 0, 99) == DDOME_OK) &&
        train(folder, "trace_golden", config) &&
        CHECK(nn_os_read_file(&error, &arena, &bytes, &size, path, DDOME_ERR_DATA) == DDOME_OK)) {
        const nn_digest digest = nn_sha256_of(bytes, size);
        const char *line = (const char *)bytes;
        for (int i = 0; i < LINES; i++)
            line = strchr(line, '\n') + 1;
        nn_digest_hex(hex, &digest);
        fl_text_add(&text, "%.*s...\n%lu bytes, SHA-256 %s\n", (int)(line - (const char *)bytes),
                    (const char *)bytes, (unsigned long)size, hex);
        test_golden_text("trace.txt", text.data);
        nn_os_remove(path);
    }
    ddome_config_free(config);
    nn_arena_free(&arena);
}

void t_trace(void)
{
    patterns();
    runs();
    order();
    rounds();
    failed_run();
    refusals();
    poor_rounds("its own arena", "active_normal=1 batch=100 rounds=1", false);
    poor_rounds("the tapes' arena",
                "algo=fedavg active_normal=1 active_anchors=0 batch=100 epochs=1", true);
    golden();
}

/* SPDX-License-Identifier: MIT */
/* Runs that are stopped after every round in turn and gone on with: the root hash of a run that was
 * not. Checkpoints that do not fit or are damaged. Runs verified against their files.
 * SPEC 17.6.3 to 17.6.6, 17.7.1, 17.7.2. */
#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_resume(void);

enum { PATH_BYTES = 1024, ROUNDS = 4 };

typedef struct stopper {
    size_t rounds; /* to go on for */
    size_t asked;
    char notice[600];
    const char *list; /* NULL, or ckpt/DONE, whose lines are counted behind round 1 */
    size_t listed;
} stopper;

static size_t lines_of(const char *name)
{
    char path[PATH_BYTES + 32];
    nn_arena arena = {0};
    unsigned char *bytes;
    size_t size, lines = 0;
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    if (CHECK(nn_os_read_file(NULL, &arena, &bytes, &size, path, DDOME_ERR_DATA) == DDOME_OK))
        for (size_t i = 0; i < size; i++)
            lines += bytes[i] == '\n';
    nn_arena_free(&arena);
    return lines;
}

static void report(void *user, ddome_phase phase, uint64_t done, uint64_t of, double value)
{
    stopper *s = user;
    (void)done, (void)of, (void)value;
    s->asked += phase == DDOME_PHASE_ROUND;
}

static void notice(void *user, const char *line)
{
    stopper *s = user;
    if (strncmp(line, "failure signature", 17) != 0)
        snprintf(s->notice, sizeof s->notice, "%s", line);
}

static int stop(void *user)
{
    stopper *s = user;
    if (s->list != NULL && s->asked == 1)
        s->listed = lines_of(s->list);
    return s->asked >= s->rounds;
}

static const char *folder_of(char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", test_dir(), name);
    return path;
}

/* True: the build has no folders, and the case is skipped. */
static bool no_folders(const ddome_error *error)
{
    const bool none = strstr(error->text, "plain C99") != NULL;
    if (none)
        test_skip("plain C99 cannot make folders");
    return none;
}

/* ---- stopping and going on ---- */

static bool whole(ddome_summary *summary, const ddome_config *config)
{
    char path[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    ddome_status status = ddome_train(&error, summary, config, folder_of(path, "whole"), NULL, 1);
    return !no_folders(&error) && test_status("whole", status, DDOME_OK, &error, NULL);
}

/* Each call does `step` rounds at most, until one does not stop. */
static bool in_parts(ddome_summary *summary, const ddome_config *config, size_t step)
{
    char path[PATH_BYTES];
    bool first = true;
    folder_of(path, "parts");
    for (size_t calls = 0; CHECK(calls < 3 * ROUNDS); calls++) {
        stopper s = {.rounds = step};
        const ddome_progress progress = {.report = report, .user = &s, .stop = stop};
        ddome_error error = {DDOME_OK, ""};
        ddome_status status = first ? ddome_train(&error, summary, config, path, &progress, 1)
                                    : ddome_resume(&error, summary, config, path, &progress);
        first = false;
        if (status != DDOME_STOPPED)
            return test_status("the last part", status, DDOME_OK, &error, NULL);
        CHECK(strstr(error.text, "ddome resume") != NULL);
    }
    return false;
}

/* What is watched stands outside the hashes and must be the same all the same (SPEC 17.5). */
static void same_watch(void)
{
    static const char *const names[] = {"signatures.csv", "drift.csv", "gate.csv"};
    nn_arena arena = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unsigned char *bytes[2];
        size_t size[2];
        bool ok = true;
        for (int k = 0; k < 2 && ok; k++) {
            char path[PATH_BYTES + 32];
            snprintf(path, sizeof path, "%s/%s/%s", test_dir(), k == 0 ? "whole" : "parts",
                     names[i]);
            ok = CHECK(nn_os_read_file(NULL, &arena, &bytes[k], &size[k], path, DDOME_ERR_DATA) ==
                       DDOME_OK);
        }
        if (ok)
            test_same_text(names[i], (const char *)bytes[1], (const char *)bytes[0]);
    }
    nn_arena_free(&arena);
}

static void stopped_everywhere(const char *name, const char *keys)
{
    char all[512], path[PATH_BYTES];
    ddome_summary want, got;
    ddome_error error = {DDOME_OK, ""};
    test_case("resume: %s in parts of one round, and of two", name);
    snprintf(all, sizeof all, "%s rounds=%d eval_every=2 checkpoint_every=0", keys, ROUNDS);
    ddome_config *config = test_federation_new(all);
    if (config == NULL)
        return;
    if (whole(&want, config))
        for (size_t step = 1; step <= 2; step++)
            if (in_parts(&got, config, step)) {
                test_same_text("root hash", got.root_hash, want.root_hash);
                CHECK(memcmp(&got, &want, sizeof got) == 0);
                same_watch();
                ddome_status status =
                    ddome_verify(&error, &got, config, folder_of(path, "parts"), NULL, 1, ROUNDS);
                test_status("verify", status, DDOME_OK, &error, NULL);
            }
    ddome_config_free(config);
}

/* Going on from round 0 writes nothing over what is there: a program that is killed again before
 * the next checkpoint goes on as well. */
static void from_the_start(const ddome_config *config)
{
    char path[PATH_BYTES];
    ddome_summary want, got;
    ddome_error error = {DDOME_OK, ""};
    stopper s = {.rounds = 0};
    const ddome_progress progress = {.report = report, .user = &s, .stop = stop};
    if (!whole(&want, config))
        return;
    folder_of(path, "parts");
    CHECK(ddome_train(&error, &got, config, path, &progress, 1) == DDOME_STOPPED);
    s.rounds = SIZE_MAX;
    s.list = "parts/ckpt/DONE";
    nn_error_clear(&error);
    ddome_status status = ddome_resume(&error, &got, config, path, &progress);
    test_status("resume", status, DDOME_OK, &error, NULL);
    test_same_text("root hash", got.root_hash, want.root_hash);
    test_same_u64("lines of DONE after round 1", s.listed, 1);
}

static void twice_from_the_start(void)
{
    test_case("resume: from round 0 the checkpoint of round 0 stays as it is");
    for (int keep = 1; keep <= 2; keep++) {
        char keys[64];
        snprintf(keys, sizeof keys, "rounds=3 checkpoint_every=100 checkpoint_keep=%d", keep);
        ddome_config *config = test_federation_new(keys);
        if (config != NULL)
            from_the_start(config);
        ddome_config_free(config);
    }
}

/* ---- what does not fit ---- */

static void other_key(const char *keys, ddome_status expected, const char *part)
{
    char all[512], path[PATH_BYTES];
    ddome_summary summary;
    ddome_error error = {DDOME_OK, ""};
    snprintf(all, sizeof all, "rounds=3 %s", keys);
    ddome_config *config = test_federation_new(all);
    if (config == NULL)
        return;
    ddome_status status = ddome_resume(&error, &summary, config, folder_of(path, "saved"), NULL);
    test_status(keys, status, expected, &error, part);
    ddome_config_free(config);
}

/* A run in folder "saved" with the checkpoints of rounds 1, 2 and 3. */
static bool make_saved(ddome_summary *summary)
{
    char path[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config = test_federation_new("rounds=3 checkpoint_every=1 checkpoint_keep=3");
    if (config == NULL)
        return false;
    ddome_status status = ddome_train(&error, summary, config, folder_of(path, "saved"), NULL, 1);
    ddome_config_free(config);
    return !no_folders(&error) && test_status("train", status, DDOME_OK, &error, NULL);
}

static void does_not_fit(void)
{
    ddome_summary summary;
    test_case("resume: another configuration, data set or profile is refused by the key's name");
    if (!make_saved(&summary))
        return;
    other_key("", DDOME_OK, NULL);
    other_key("lr=0.5", DDOME_ERR_RESUME, ": lr: expected 0.05, found 0.5;");
    other_key("seed=99", DDOME_ERR_RESUME, ": seed: expected");
    other_key("arith=fma", DDOME_ERR_RESUME, ": arith: expected \"ma\", found \"fma\"");
    other_key("synth_noise=33", DDOME_ERR_RESUME, ": synth_noise: expected");
    other_key("gate=frozen", DDOME_ERR_RESUME, ": gate: expected its default, found \"frozen\"");
    other_key("rounds=5", DDOME_ERR_RESUME, ": rounds: expected 3, found 5");
    other_key("checkpoint_every=2 checkpoint_keep=1", DDOME_OK, NULL);
}

/* ---- damage ---- */

static bool read_file(unsigned char **bytes, size_t *size, nn_arena *arena, const char *name)
{
    char path[PATH_BYTES + 64];
    ddome_error error = {DDOME_OK, ""};
    snprintf(path, sizeof path, "%s/saved/%s", test_dir(), name);
    ddome_status status = nn_os_read_file(&error, arena, bytes, size, path, DDOME_ERR_DATA);
    return test_status(name, status, DDOME_OK, &error, NULL);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/saved/%s", test_dir(), name);
    CHECK(nn_os_write_file(NULL, path, bytes, size) == DDOME_OK);
}

static void remove_file(const char *name)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/saved/%s", test_dir(), name);
    nn_os_remove(path);
}

/* The status of going on, and what was said on the way. */
static void go_on(const char *what, ddome_status expected, const char *part, const char *told,
                  const char *root)
{
    char path[PATH_BYTES];
    stopper s = {.rounds = SIZE_MAX};
    const ddome_progress progress = {.report = report, .user = &s, .notice = notice, .stop = stop};
    ddome_summary summary;
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config = test_federation_new("rounds=3 checkpoint_every=1 checkpoint_keep=3");
    if (config == NULL)
        return;
    ddome_status status =
        ddome_resume(&error, &summary, config, folder_of(path, "saved"), &progress);
    if (test_status(what, status, expected, &error, part) && status == DDOME_OK)
        test_same_text(what, summary.root_hash, root);
    CHECK(told == NULL ? s.notice[0] == '\0' : strstr(s.notice, told) != NULL);
    ddome_config_free(config);
}

static void damaged(void)
{
    static const char newest[] = "ckpt/00000003.safetensors", older[] = "ckpt/00000002.safetensors",
                      oldest[] = "ckpt/00000001.safetensors";
    ddome_summary summary;
    nn_arena arena = {0};
    unsigned char *bytes, *list;
    size_t size, length;
    test_case("resume: a damaged checkpoint is told of and an older one used");
    if (make_saved(&summary) && read_file(&bytes, &size, &arena, newest)) {
        bytes[size - 1] ^= 1;
        write_file(newest, bytes, size);
        go_on("a bit", DDOME_OK, NULL, "00000003.safetensors is damaged", summary.root_hash);
        write_file(newest, bytes, size / 2);
        write_file(older, "", 0);
        go_on("two", DDOME_OK, NULL, "00000002.safetensors is damaged", summary.root_hash);
        remove_file(newest);
        go_on("none", DDOME_OK, NULL, "cannot open ", summary.root_hash);
        write_file(newest, "", 0);
        write_file(older, "", 0);
        write_file(oldest, bytes, size);
        go_on("all", DDOME_ERR_RESUME, "00000001.safetensors is damaged", "00000002", NULL);
    }
    test_case("resume: a damaged list is refused, a damaged table where no checkpoint fits it");
    if (make_saved(&summary) && read_file(&list, &length, &arena, "ckpt/DONE")) {
        for (size_t cut = 1; cut < length; cut += 7) {
            if (list[cut - 1] == '\n')
                continue;
            write_file("ckpt/DONE", list, cut);
            go_on("cut", DDOME_ERR_RESUME, "DONE is damaged: line ", NULL, NULL);
        }
        write_file("ckpt/DONE", list, length);
        if (read_file(&bytes, &size, &arena, "metrics.csv")) {
            bytes[size - 2] ^= 1;
            write_file("metrics.csv", bytes, size);
            go_on("a byte", DDOME_OK, NULL, "metrics.csv is not what the checkpoint knows",
                  summary.root_hash);
            write_file("metrics.csv", bytes, size - 9);
            go_on("a cut", DDOME_OK, NULL, "found fewer", summary.root_hash);
            bytes[0] ^= 1;
            write_file("metrics.csv", bytes, size);
            go_on("its first byte", DDOME_ERR_RESUME,
                  "metrics.csv is not what the checkpoint knows", "the one before it is tried",
                  NULL);
            CHECK(read_file(&bytes, &size, &arena, "SHA256SUMS")); /* nothing was changed */
        }
    }
    test_case("resume: a damaged table outside the hashes begins anew");
    if (make_saved(&summary)) {
        write_file("timing.csv", "", 0);
        write_file("drift.csv", "round", 5);
        go_on("anew", DDOME_OK, NULL, "drift.csv: expected", summary.root_hash);
        if (read_file(&bytes, &size, &arena, "drift.csv"))
            CHECK(strncmp((const char *)bytes, "round,expert,", 13) == 0);
    }
    nn_arena_free(&arena);
}

/* ---- verify ---- */

static void verify(const char *what, const char *keys, uint64_t first, uint64_t last,
                   ddome_status expected, const char *part)
{
    char path[PATH_BYTES];
    ddome_summary summary;
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config = test_federation_new(keys);
    if (config == NULL)
        return;
    ddome_status status =
        ddome_verify(&error, &summary, config, folder_of(path, "saved"), NULL, first, last);
    test_status(what, status, expected, &error, part);
    ddome_config_free(config);
}

/* Changes a byte of a hashed file and, unless the hash is to tell, its line of SHA256SUMS. */
static void forge(const char *name, size_t at, unsigned char with, bool honest_hash)
{
    nn_arena arena = {0};
    unsigned char *bytes, *sums;
    size_t size, length;
    char hex[NN_HEX_BYTES];
    if (read_file(&bytes, &size, &arena, name) && read_file(&sums, &length, &arena, "SHA256SUMS")) {
        bytes[at < size ? at : size - 1] = with;
        write_file(name, bytes, size);
        const nn_digest digest = nn_sha256_of(bytes, size);
        nn_digest_hex(hex, &digest);
        char *line = strstr((char *)sums, name);
        if (!honest_hash && CHECK(line != NULL)) {
            memcpy(line - 66, hex, 64);
            write_file("SHA256SUMS", sums, length);
        }
    }
    nn_arena_free(&arena);
}

/* A file that no run makes, in SHA256SUMS with its hash; its name is behind all others. */
static void list_another(const char *name)
{
    nn_arena arena = {0};
    unsigned char *sums;
    size_t length;
    char hex[NN_HEX_BYTES], line[NN_HEX_BYTES + 64];
    const nn_digest digest = nn_sha256_of("text", 4);
    write_file(name, "text", 4);
    nn_digest_hex(hex, &digest);
    snprintf(line, sizeof line, "%s  %s\n", hex, name);
    if (read_file(&sums, &length, &arena, "SHA256SUMS")) {
        char *longer = nn_arena_alloc(&arena, length + strlen(line), 1);
        memcpy(longer, sums, length);
        memcpy(longer + length, line, strlen(line));
        write_file("SHA256SUMS", longer, length + strlen(line));
    }
    nn_arena_free(&arena);
}

static void verified(void)
{
    static const char keys[] = "rounds=3 checkpoint_every=1 checkpoint_keep=3";
    ddome_summary summary;
    test_case("verify: files, the first rounds, one round from its checkpoint, all");
    if (!make_saved(&summary))
        return;
    verify("files", keys, 1, 0, DDOME_OK, NULL);
    verify("two rounds", keys, 1, 2, DDOME_OK, NULL);
    verify("one round", keys, 3, 3, DDOME_OK, NULL);
    verify("all", keys, 1, 3, DDOME_OK, NULL);
    verify("too many", keys, 1, 4, DDOME_ERR_USAGE, "expected rounds of 1 to 3, found 1 to 4");
    verify("backwards", keys, 3, 2, DDOME_ERR_USAGE, "found 3 to 2");
    verify("another run", "rounds=3 lr=0.5", 1, 1, DDOME_ERR_VERIFY,
           "config.toml is of another run: lr: expected 0.05, found 0.5;");
    verify("another checkpoint", "rounds=3 lr=0.5", 2, 2, DDOME_ERR_VERIFY, "lr");
    write_file("ckpt/00000002.safetensors", "", 0);
    verify("a checkpoint that is damaged", keys, 3, 3, DDOME_OK, NULL);
    write_file("ckpt/00000001.safetensors", "", 0);
    verify("none that is whole", keys, 3, 3, DDOME_OK, NULL);
    test_case("verify: a changed file, and one whose hash was changed with it");
    forge("rounds.jsonl", 20, 'x', true);
    verify("changed", keys, 1, 0, DDOME_ERR_VERIFY, "rounds.jsonl was changed: expected SHA-256");
    forge("rounds.jsonl", 20, 'x', false);
    verify("forged", keys, 1, 0, DDOME_OK, NULL);
    verify("found out", keys, 1, 1, DDOME_ERR_VERIFY,
           "rounds.jsonl is not what this program makes of the run: the first difference is byte "
           "20");
    if (!make_saved(&summary))
        return;
    forge("final/gate.safetensors", SIZE_MAX, 1, false);
    verify("before the end", keys, 1, 2, DDOME_OK, NULL);
    verify("the end", keys, 1, 3, DDOME_ERR_VERIFY, "final/gate.safetensors is not what");
    if (!make_saved(&summary))
        return;
    list_another("words.txt");
    verify("a file more", keys, 1, 0, DDOME_OK, NULL);
    verify("which is not of the run", keys, 1, 3, DDOME_ERR_VERIFY, "SHA256SUMS is not what");
    write_file("SHA256SUMS", "0123\n", 5);
    verify("no sums", keys, 1, 0, DDOME_ERR_DATA, "line 1: expected a hash");
    write_file("SHA256SUMS",
               "0000000000000000000000000000000000000000000000000000000000000000  ../whole/comm.csv"
               "\n",
               84);
    verify("outside", keys, 1, 0, DDOME_ERR_DATA, "the path of a file in the folder");
}

void t_resume(void)
{
    stopped_everywhere("ddome", "epochs=2 dropout=0.3 straggler=0.3");
    stopped_everywhere("ddome, statistics kept",
                       "arch=resnet34 width=1 synth_size=8 "
                       "bn_stats=local anchors=cluster common_every=2 init=common");
    stopped_everywhere("ddome, an oracle", "gate=oracle schedule=grow schedule_rounds=2");
    stopped_everywhere("fedavg", "algo=fedavg");
    stopped_everywhere("fedprox", "algo=fedprox");
    stopped_everywhere("scaffold", "algo=scaffold");
    stopped_everywhere("ensemble", "algo=ensemble");
    stopped_everywhere("fedmix", "algo=fedmix");
    stopped_everywhere("local", "algo=local eval_scope=seen");
    stopped_everywhere("ifca", "algo=ifca");
    stopped_everywhere("head", "algo=head");
    twice_from_the_start();
    does_not_fit();
    damaged();
    verified();
}

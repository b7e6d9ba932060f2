/* SPDX-License-Identifier: MIT */
/* Runs of every algorithm whose list of hashes lacks a line; tables and data that are not the
 * run's. SPEC 17.1.1, 17.1.2, 17.3.1, 17.7.1, 17.7.2. */
#include <stdio.h>
#include <string.h>

#include "../fl/verify.h"
#include "../nn/os.h"
#include "fl_fixture.h"
#include "idx_fixture.h"
#include "poor.h"

void t_verify(void);

/* Every checkpoint flushes its files. */
#define SHORT "rounds=1 checkpoint_every=0 "

enum { PATH_BYTES = 1024, NAME_AT = NN_HEX_BYTES + 1 };

static const char sums[] = "SHA256SUMS";

/* ---- a run ---- */

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/verified%s%s", test_dir(), name[0] == '\0' ? "" : "/", name);
    return path;
}

typedef struct text {
    char *data;
    size_t size;
} text;

static text get(nn_arena *arena, const char *name)
{
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes = NULL;
    text out = {"", 0};
    if (test_status(
            name, nn_os_read_file(&error, arena, &bytes, &out.size, path_to(name), DDOME_ERR_DATA),
            DDOME_OK, &error, NULL))
        out.data = (char *)bytes;
    return out;
}

/* Not flushed, for it is done often. */
static void put(const char *name, const char *data, size_t size)
{
    FILE *file = fopen(path_to(name), "wb");
    if (CHECK(file != NULL)) {
        CHECK(fwrite(data, 1, size, file) == size);
        CHECK(fclose(file) == 0);
    }
}

/* false where folders cannot be made. */
static bool make_run(const char *keys, bool pretraining)
{
    ddome_summary summary;
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config = test_federation_new(keys);
    if (config == NULL)
        return false;
    const ddome_status status = pretraining
                                    ? ddome_pretrain(&error, &summary, config, path_to(""), NULL, 1)
                                    : ddome_train(&error, &summary, config, path_to(""), NULL, 1);
    ddome_config_free(config);
    if (strstr(error.text, "plain C99") == NULL)
        return test_status(keys, status, DDOME_OK, &error, NULL);
    test_skip("plain C99 cannot make folders");
    return false;
}

static void verify(const char *what, const char *keys, uint64_t first, uint64_t last,
                   ddome_status expected, const char *part)
{
    ddome_summary summary;
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config = test_federation_new(keys);
    if (config == NULL)
        return;
    const ddome_status status =
        ddome_verify(&error, &summary, config, path_to(""), NULL, first, last);
    test_status(what, status, expected, &error, part);
    ddome_config_free(config);
}

/* The list of hashes anew, of the files as they are. */
static void list_anew(void)
{
    nn_arena arena = {0};
    text list = get(&arena, sums);
    for (char *line = list.data, *feed; (feed = strchr(line, '\n')) != NULL; line = feed + 1) {
        char hex[NN_HEX_BYTES];
        *feed = '\0';
        const text file = get(&arena, line + NAME_AT);
        const nn_digest digest = nn_sha256_of(file.data, file.size);
        *feed = '\n';
        nn_digest_hex(hex, &digest);
        memcpy(line, hex, NN_HEX_BYTES - 1);
    }
    put(sums, list.data, list.size);
    nn_arena_free(&arena);
}

/* ---- lists that are not as the run wrote them: SPEC 17.7.1 ---- */

/* The list with so many copies of one line. */
static void put_copies(nn_arena *arena, const text *list, size_t at, size_t next, size_t copies)
{
    const size_t length = next - at;
    char *made = nn_arena_alloc(arena, list->size + length, 1);
    memcpy(made, list->data, at);
    for (size_t i = 0; i < copies; i++)
        memcpy(made + at + i * length, list->data + at, length);
    memcpy(made + at + copies * length, list->data + next, list->size - next);
    put(sums, made, list->size - length + copies * length);
}

/* Every line of the list is needed, and once. */
static void needs_each_line(const char *keys, bool pretraining)
{
    nn_arena arena = {0};
    test_case("verify: the list of hashes of %s%s without a line, or with one twice",
              pretraining ? "a pretraining" : "", keys);
    if (!make_run(keys, pretraining))
        return;
    const text list = get(&arena, sums);
    size_t lines = 0;
    for (size_t at = 0, next; at < list.size; at = next, lines++) {
        char part[120];
        next = at + strcspn(list.data + at, "\n") + 1;
        snprintf(part, sizeof part, "does not list %.*s, which such a run has",
                 (int)(next - at - NAME_AT - 1), list.data + at + NAME_AT);
        put_copies(&arena, &list, at, next, 0);
        verify("without a line", keys, 1, 0, DDOME_ERR_DATA, part);
        put_copies(&arena, &list, at, next, 2);
        verify("a line twice", keys, 1, 0, DDOME_ERR_DATA, "expected each path once, sorted");
    }
    test_same_u64("the fewest lines", nn_min(lines, 9), pretraining ? 3 : 9);
    put(sums, list.data, list.size);
    verify("as it was", keys, 1, 0, DDOME_OK, NULL);
    nn_arena_free(&arena);
}

/* Kinds that differ in their files; t_resume.c verifies runs of all algorithms. */
static void lists(void)
{
    static const char *const kinds[] = {SHORT "algo=ddome", SHORT "gate=oracle",
                                        SHORT "algo=fedavg", SHORT "algo=common",
                                        SHORT "algo=local eval_scope=seen"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        needs_each_line(kinds[i], false);
    needs_each_line("", true);
}

/* ---- files that say what there must be ---- */

static void says(const char *what, const char *keys, const char *name, const char *content,
                 const char *part)
{
    nn_arena arena = {0};
    const text list = get(&arena, sums), file = get(&arena, name);
    put(name, content, strlen(content));
    list_anew();
    verify(what, keys, 1, 0, DDOME_ERR_DATA, part);
    put(name, file.data, file.size);
    put(sums, list.data, list.size);
    nn_arena_free(&arena);
}

static ddome_status complete(ddome_error *error, nn_arena *arena, void *context)
{
    const size_t used = arena->used;
    const ddome_status status = fl_verify_complete(error, arena, path_to(""));
    (void)context;
    CHECK(arena->used == used);
    return status;
}

static void misleading(void)
{
    static const char keys[] = SHORT "algo=local eval_scope=seen";
    test_case("verify: a manifest, a configuration and rounds that say nothing of use");
    if (!make_run(keys, false))
        return;
    says("no manifest", keys, "manifest.json", "[]", "manifest.json: expected an object");
    says("a pretraining", keys, "manifest.json", "{\"algo\": \"pretrain\"}",
         "does not list common.safetensors");
    says("no configuration", keys, "config.toml", "algo = \"none\"\n", "config.toml:1: algo");
    says("a gate", keys, "config.toml", "algo = \"ddome\"\n", "does not list final/common");
    says("no JSON", keys, "rounds.jsonl", "{\n", "rounds.jsonl: ");
    says("no object", keys, "rounds.jsonl", "[]\n", "expected the participants of a round");
    says("no members", keys, "rounds.jsonl", "{}", "expected the participants of a round");
    says("no list", keys, "rounds.jsonl", "{\"participants\":{}}\n", "expected the participants");
    says("no number", keys, "rounds.jsonl", "{\"participants\":[null]}\n", "expected ids of");
    says("too large", keys, "rounds.jsonl", "{\"participants\":[4294967296]}\n", "expected ids of");
    says("a damaged line before another", keys, "rounds.jsonl",
         "{\"participants\":[null]}\n{\"participants\":[0]}\n", "expected ids of");
    says("an algorithm whose start is the common expert", keys, "config.toml",
         "algo = \"local\"\neval_scope = \"seen\"\ninit = \"common\"\n",
         "does not list final/common");
    says("a client more", keys, "rounds.jsonl", "{\"participants\":[4294967295]}\n",
         "does not list final/client_4294967295.safetensors, which");
    verify("as it was", keys, 1, 0, DDOME_OK, NULL);
    test_case("verify: what a run has is looked up without memory, at each allocation");
    test_poor_alone("models of clients", 15, complete, NULL);
}

/* ---- what is not the run's: SPEC 17.7.2 ---- */

/* metrics.csv of a run with the checkpoint of round 1. */
static void change_table(const char *keys)
{
    nn_arena arena = {0};
    test_case("verify: a table that does not fit the checkpoint that a round is done from");
    const text table = get(&arena, "metrics.csv");
    char *line = strchr(table.data, '\n') + 1;
    const size_t start = (size_t)(line - table.data);
    *line = '7';
    put("metrics.csv", table.data, table.size);
    list_anew();
    verify("files", keys, 1, 0, DDOME_OK, NULL);
    verify("a changed line", keys, 2, 2, DDOME_ERR_VERIFY,
           "metrics.csv is not what the checkpoint knows");
    put("metrics.csv", table.data, start);
    list_anew();
    verify("no line", keys, 2, 2, DDOME_ERR_VERIFY, "bytes that the checkpoint knows, found fewer");
    nn_arena_free(&arena);
}

/* The keys of a run on images from test_dir()/NAME, which are made. */
static bool other_images(char keys[PATH_BYTES + 128], const char *name, unsigned file)
{
    const idx_made train = {"train", file, 300, 0, 10, false},
                   test = {"t10k", file + 1, 100, 0, 10, false};
    if (!idx_make_folder(name))
        return false;
    idx_write(name, &train);
    idx_write(name, &test);
    snprintf(keys, PATH_BYTES + 128,
             "algo=fedavg data=mnist data_dir=%s/%s holdout_clients=0 rounds=2 eval_every=1 "
             "checkpoint_every=1",
             test_dir(), name);
    return true;
}

static void not_its_own(void)
{
    char keys[PATH_BYTES + 128], other[PATH_BYTES + 128];
    static const char differ[] = "the data are not those of";
    test_case("verify: other data are told from a changed run");
    if (!other_images(keys, "verify_images", 1) || !other_images(other, "verify_others", 5)) {
        test_skip("plain C99 cannot make folders");
        return;
    }
    if (!make_run(keys, false))
        return;
    verify("its own data", keys, 1, 2, DDOME_OK, NULL);
    verify("other data", other, 1, 2, DDOME_ERR_VERIFY, differ);
    verify("other data, from a checkpoint", other, 2, 2, DDOME_ERR_VERIFY, differ);
    verify("other data, the files alone", other, 1, 0, DDOME_OK, NULL);
    change_table(keys);
}

void t_verify(void)
{
    lists();
    misleading();
    not_its_own();
}

/* SPDX-License-Identifier: MIT */
/* One file of a run is the input: `report` of it, `compare` with the run as it was. SPEC 17.2,
 * 18.3.6, 19.4.2. */
#include "read_compare.h"

#include <stdio.h>
#include <string.h>

#include "../../tools/report.h"

static const struct {
    const char *name, *text;
} files[] = {
    {"manifest.json", "{\"algo\": \"ddome\", \"expert_bytes\": 8}\n"},
    {"config.toml",
     "algo = \"ddome\"\nclients = 2\nexperts = 2\nrounds = 1\nepochs = 1\nbatch = 2\n"
     "eval_scope = \"unseen\"\n"},
    {"metrics.csv", "round,scope,mean,worst10\n1,unseen,0.500000,0.250000\n"},
    {"clients.csv", "round,client,experts\n1,3,0\n"},
    {"comm.csv", "round,messages,round_trips,bytes_down,bytes_up\n0,1,1,8,0\n1,2,2,16,16\n"},
    {"partition.csv", "index,client,role\n0,0,anchor\n1,1,normal\n"},
    {"rounds.jsonl", "{\"round\": 1, \"participants\": [0, 1], \"chosen\": [[0], [0, 1]], "
                     "\"loss\": [\"3f800000\", \"40000000\"]}\n"},
    {"signatures.csv", "round,signature,experts\n1,one-choice,0\n"},
};
enum { FILES = sizeof files / sizeof *files, HASHED = FILES - 1, PLACE = 64 };

/* ---- folders ---- */

/* `changed` is the file that is not as in the table: FILES for SHA256SUMS, NONE before the first
 * writing. */
typedef struct run_folder {
    const char *name;
    size_t changed;
} run_folder;
#define NONE SIZE_MAX

static void put_file(const run_folder *folder, const char *name, const void *bytes, size_t size)
{
    char path[PLACE];
    snprintf(path, sizeof path, "%s/%s", folder->name, name);
    fuzz_put(path, bytes, size);
}

static void put_as_it_was(const run_folder *folder, size_t i)
{
    put_file(folder, files[i].name, files[i].text, strlen(files[i].text));
}

static void put_sums(const run_folder *folder, size_t changed, const unsigned char *bytes,
                     size_t size)
{
    nn_arena arena = {0};
    fl_text sums = {.arena = &arena};
    for (size_t i = 0; i < HASHED; i++) {
        const char *text = files[i].text;
        const nn_digest digest =
            i == changed ? nn_sha256_of(bytes, size) : nn_sha256_of(text, strlen(text));
        fl_text_digest(&sums, &digest);
        fl_text_add(&sums, "  %s\n", files[i].name);
    }
    FUZZ_CHECK(!sums.failed);
    put_file(folder, "SHA256SUMS", sums.data, sums.length);
    nn_arena_free(&arena);
}

static void prepare(run_folder *folder)
{
    if (folder->changed != NONE)
        return;
    fuzz_folder(folder->name);
    for (size_t i = 0; i < FILES; i++)
        put_as_it_was(folder, i);
    put_sums(folder, NONE, NULL, 0);
    folder->changed = FILES;
}

/* The first line of the input is the name of a file, the rest is that file; its hash is right, but
 * for SHA256SUMS itself. False when there is no such file. */
static bool change(run_folder *folder, const fuzz_call *call)
{
    char name[24];
    size_t length = 0, file = 0;
    prepare(folder);
    while (length < call->size && length < sizeof name - 1 && call->bytes[length] != '\n') {
        name[length] = (char)call->bytes[length];
        length++;
    }
    name[length] = '\0';
    while (file < FILES && strcmp(name, files[file].name) != 0)
        file++;
    if ((file == FILES && strcmp(name, "SHA256SUMS") != 0) || length == call->size)
        return false;
    const unsigned char *bytes = call->bytes + length + 1;
    const size_t size = call->size - length - 1;
    if (folder->changed < FILES)
        put_as_it_was(folder, folder->changed);
    folder->changed = file;
    if (file < FILES)
        put_sums(folder, file, bytes, size);
    put_file(folder, file < FILES ? files[file].name : "SHA256SUMS", bytes, size);
    return true;
}

static ddome_status no_file(fuzz_call *call)
{
    return nn_fail(&call->error, DDOME_ERR_DATA, "expected the name of a file of a run");
}

/* ---- report ---- */

static void check_run(const report_run *run)
{
    FUZZ_CHECK(run->scopes >= 1 && run->scopes <= REPORT_SCOPES && run->algo != NULL);
    FUZZ_CHECK(run->sets <= REPORT_SETS && run->signs <= REPORT_SIGNS);
    for (size_t i = 0; i < run->setting_count; i++)
        FUZZ_CHECK(report_setting_of(run, run->settings[i].key) != NULL);
    for (size_t i = 0; i < run->scopes; i++)
        FUZZ_CHECK(run->scope[i].evaluations != 0 && run->scope[i].last <= run->scope[i].maximum);
}

ddome_status fuzz_report(fuzz_call *call)
{
    static run_folder folder = {"fuzz-report", NONE};
    char path[FUZZ_PATH];
    report_run run;
    tool t;
    if (!change(&folder, call))
        return no_file(call);
    memset(&t, 0, sizeof t);
    fuzz_path(path, folder.name);
    ddome_status status = report_read(&call->error, &t, &run, path);
    if (status == DDOME_OK)
        check_run(&run);
    call->arena = t.arena;
    return status;
}

/* ---- compare ---- */

ddome_status fuzz_compare_run(fuzz_call *call)
{
    static run_folder a = {"fuzz-run-a", NONE}, b = {"fuzz-run-b", NONE};
    prepare(&a);
    return change(&b, call) ? fuzz_compare(call, a.name, b.name) : no_file(call);
}

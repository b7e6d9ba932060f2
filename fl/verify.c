/* SPDX-License-Identifier: MIT */
/* The list of hashes against the files and against what such a run has; the configuration.
 * SPEC 17.7.1, 17.7.2. */
#include "verify.h"

#include <string.h>

#include "files.h"
#include "identity.h"
#include "origin.h"
#include "run.h"
#include "sums.h"

/* ---- the files against their hashes: SPEC 17.7.1 ---- */

static ddome_status hash_of(ddome_error *error, const fl_rundir *dir, char hex[NN_HEX_BYTES],
                            const char *name)
{
    unsigned char *bytes;
    size_t size;
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, name);
    if (status == DDOME_OK)
        status = nn_os_read_file(error, dir->arena, &bytes, &size, path, DDOME_ERR_VERIFY);
    if (status == DDOME_OK) {
        const nn_digest digest = nn_sha256_of(bytes, size);
        nn_digest_hex(hex, &digest);
    }
    nn_arena_rewind(dir->arena, mark);
    return status;
}

static ddome_status check_file(ddome_error *error, const fl_rundir *dir, const fl_sums_line *line)
{
    char hex[NN_HEX_BYTES];
    ddome_status status = hash_of(error, dir, hex, line->name);
    if (status == DDOME_OK && strcmp(hex, line->hex) != 0)
        return nn_fail(error, DDOME_ERR_VERIFY,
                       "%.200s/%.120s was changed: expected SHA-256 %.16s..., found %.16s...",
                       dir->path, line->name, line->hex, hex);
    return status;
}

ddome_status fl_verify_hashes(ddome_error *error, nn_arena *arena, const char *run_dir,
                              char root_hash[NN_HEX_BYTES])
{
    fl_rundir dir;
    fl_sums sums = {.count = 0};
    nn_arena_mark mark = nn_arena_get_mark(arena);
    ddome_status status = fl_rundir_view(error, &dir, arena, run_dir);
    if (status == DDOME_OK)
        status = fl_sums_read(error, &sums, &dir);
    for (size_t i = 0; i < sums.count && status == DDOME_OK; i++)
        status = check_file(error, &dir, &sums.line[i]);
    if (status == DDOME_OK)
        memcpy(root_hash, sums.root_hash, sizeof sums.root_hash);
    nn_arena_rewind(arena, mark);
    return status;
}

/* ---- the files that such a run has: SPEC 17.1.1, 17.1.2 ---- */

typedef struct expecting {
    ddome_error *error;
    const fl_rundir *dir;
    const fl_sums *sums;
} expecting;

static ddome_status expect(const expecting *e, const char *name)
{
    return fl_sums_has(e->sums, name)
               ? DDOME_OK
               : nn_fail(e->error, DDOME_ERR_DATA,
                         "%.300s/SHA256SUMS does not list %.80s, which such a run has: expected "
                         "the list that the run wrote",
                         e->dir->path, name);
}

static ddome_status expect_tables(const expecting *e)
{
    fl_record record;
    fl_table *tables[FL_RECORD_TABLES];
    ddome_status status = fl_record_init(e->error, e->dir->arena, &record, 1);
    fl_record_tables(tables, &record);
    for (size_t i = 0; i < FL_RECORD_TABLES && status == DDOME_OK; i++)
        if (tables[i]->hashed)
            status = expect(e, tables[i]->name);
    return status;
}

/* The participants of one line of rounds.jsonl (SPEC 17.2.3). */
static ddome_status read_round(const expecting *e, const data_json_value **participants,
                               const char *line, size_t length)
{
    const data_json_value *round, *list = NULL;
    ddome_error inner = {DDOME_OK, ""};
    ddome_status status = data_json_parse(&inner, e->dir->arena, &round, line, length);
    if (status != DDOME_OK)
        return nn_fail(e->error, status, "%.200s/rounds.jsonl: %.200s", e->dir->path, inner.text);
    if (round->kind == DATA_JSON_OBJECT)
        list = data_json_member(round, "participants");
    if (list == NULL || list->kind != DATA_JSON_ARRAY)
        return nn_fail(e->error, DDOME_ERR_DATA,
                       "%.300s/rounds.jsonl: expected the participants of a round in each line",
                       e->dir->path);
    *participants = list->child;
    return DDOME_OK;
}

static ddome_status expect_round(const expecting *e, const char *line, size_t length)
{
    char name[FL_FILE_NAME];
    const data_json_value *client = NULL;
    uint64_t id;
    ddome_status status = read_round(e, &client, line, length);
    for (; status == DDOME_OK && client != NULL; client = client->next)
        status = data_json_u64(&id, client) && id <= UINT32_MAX
                     ? expect(e, fl_file_client(name, (size_t)id))
                     : nn_fail(e->error, DDOME_ERR_DATA,
                               "%.300s/rounds.jsonl: expected ids of clients as participants",
                               e->dir->path);
    return status;
}

/* Where models stay with their clients, those that took part have one (SPEC 12.6.6). */
static ddome_status expect_own_models(const expecting *e)
{
    nn_arena *arena = e->dir->arena;
    unsigned char *bytes;
    size_t size;
    char *path;
    ddome_status status = fl_rundir_join(e->error, arena, e->dir, &path, FL_FILE_ROUNDS);
    if (status == DDOME_OK)
        status = nn_os_read_file(e->error, arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    const char *line = (const char *)bytes, *end = line + size;
    while (line != end && status == DDOME_OK) {
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        const char *next = feed == NULL ? end : feed + 1;
        nn_arena_mark mark = nn_arena_get_mark(arena);
        status = expect_round(e, line, (size_t)(next - line));
        nn_arena_rewind(arena, mark);
        line = next;
    }
    return status;
}

static ddome_status expect_models(const expecting *e, const fl_config *config)
{
    char name[FL_FILE_NAME];
    ddome_status status = DDOME_OK;
    if (fl_algorithm_needs_common(config))
        status = expect(e, FL_FILE_COMMON);
    if (status == DDOME_OK && fl_control_has_gate(config))
        status = expect(e, FL_FILE_GATE);
    if (fl_algorithm_of(config)->own)
        return status == DDOME_OK ? expect_own_models(e) : status;
    for (size_t i = 0; i < fl_algorithm_experts(config) && status == DDOME_OK; i++)
        status = expect(e, fl_file_expert(name, i));
    return status;
}

/* The hashed configuration of the run: ckpt/run.toml may be another's. */
static ddome_status read_config(const expecting *e, fl_config *config)
{
    char *path;
    ddome_error inner = {DDOME_OK, ""};
    fl_config_defaults(config);
    ddome_status status = fl_rundir_join(e->error, e->dir->arena, e->dir, &path, FL_FILE_CONFIG);
    if (status != DDOME_OK)
        return status;
    status = fl_config_load(&inner, config, path);
    return status == DDOME_OK
               ? status
               : nn_fail(e->error, status == DDOME_ERR_USAGE ? DDOME_ERR_DATA : status, "%s",
                         inner.text);
}

static ddome_status expect_run(const expecting *e)
{
    fl_config config;
    ddome_status status = expect(e, FL_FILE_PARTITION);
    if (status == DDOME_OK)
        status = expect_tables(e);
    if (status == DDOME_OK)
        status = read_config(e, &config);
    return status == DDOME_OK ? expect_models(e, &config) : status;
}

static ddome_status expect_all(const expecting *e)
{
    const data_json_value *manifest;
    char *path;
    ddome_status status = expect(e, FL_FILE_CONFIG);
    if (status == DDOME_OK)
        status = expect(e, FL_FILE_MANIFEST);
    if (status == DDOME_OK)
        status = fl_rundir_join(e->error, e->dir->arena, e->dir, &path, FL_FILE_MANIFEST);
    if (status == DDOME_OK)
        status = fl_manifest_read(e->error, e->dir->arena, &manifest, path);
    if (status != DDOME_OK)
        return status;
    return fl_manifest_says(manifest, "algo", FL_FILE_PRETRAIN) ? expect(e, FL_FILE_PRETRAINED)
                                                                : expect_run(e);
}

ddome_status fl_verify_complete(ddome_error *error, nn_arena *arena, const char *run_dir)
{
    fl_rundir dir;
    fl_sums sums;
    const expecting e = {error, &dir, &sums};
    nn_arena_mark mark = nn_arena_get_mark(arena);
    ddome_status status = fl_rundir_view(error, &dir, arena, run_dir);
    if (status == DDOME_OK)
        status = fl_sums_read(error, &sums, &dir);
    if (status == DDOME_OK)
        status = expect_all(&e);
    nn_arena_rewind(arena, mark);
    return status;
}

/* ---- the configuration: SPEC 17.7.2 ---- */

ddome_status fl_verify_config(fl_run *run, const char *run_dir)
{
    unsigned char *bytes;
    size_t size;
    ddome_error inner = {DDOME_OK, ""};
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_text path = {.arena = &run->scratch}, here = {.arena = &run->scratch};
    fl_text_add(&path, "%s/" FL_FILE_CONFIG, run_dir);
    fl_config_write(&here, &run->config, &run->hashes);
    ddome_status status = fl_text_status(run->error, &path);
    if (status == DDOME_OK)
        status = fl_text_status(run->error, &here);
    if (status == DDOME_OK)
        status =
            nn_os_read_file(run->error, &run->scratch, &bytes, &size, path.data, DDOME_ERR_DATA);
    if (status == DDOME_OK) {
        status = fl_identity_compare(&inner, &run->scratch, (const char *)bytes, here.data,
                                     FL_FILE_CONFIG);
        if (status != DDOME_OK)
            status = nn_fail(run->error, status == DDOME_ERR_RESUME ? DDOME_ERR_VERIFY : status,
                             "%s", inner.text);
    }
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

bool fl_verify_has_tables(const fl_rundir *dir)
{
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    const bool known = fl_rundir_join(NULL, dir->arena, dir, &path, "metrics.csv") == DDOME_OK;
    const bool has = !known || nn_os_exists(path);
    nn_arena_rewind(dir->arena, mark);
    return has;
}

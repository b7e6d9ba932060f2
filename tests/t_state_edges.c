/* SPDX-License-Identifier: MIT */
/* The state of a run at its edges: clients' own models that the reading run has not made yet, parts
 * of several chunks, identities that are no text, each allocation failing. SPEC 17.6.3, 17.6.5. */
#include <stdio.h>
#include <string.h>

#include "../fl/identity.h"
#include "../fl/state.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"
#include "poor.h"

void t_state_edges(void);

enum { PATH_BYTES = 1024, MOST_TENSORS = 256 };

static const char name[] = "ckpt/state", own_keys[] = "algo=local eval_scope=seen";

/* A run after one round, its state as a file in memory, and a run before its first round. */
typedef struct pair {
    fl_run run, fresh;
    ddome_error error;
    nn_arena arena;
    fl_text identity;
    unsigned char *bytes;
    size_t size;
    data_safetensors file;
    data_safetensor list[MOST_TENSORS]; /* a file that was changed */
} pair;

static pair p; /* a run is large, and its address must not change */

static const char *folder(void)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/state_edges", test_dir());
    return path;
}

static ddome_status write_state(void)
{
    fl_run *run = &p.run;
    p.identity.arena = &p.arena;
    fl_identity_write(&p.identity, run);
    ddome_status status = fl_rundir_open(&p.error, &run->dir, &run->arena, folder(), true);
    if (status == DDOME_OK)
        status = fl_run_write_tables(run);
    if (status == DDOME_OK) /* makes the folder */
        status = fl_rundir_write_unhashed(&p.error, &run->dir, name, "", 0);
    return status;
}

static ddome_status read_state(void)
{
    char path[PATH_BYTES + 16];
    nn_digest digest;
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    ddome_status status = fl_state_write(&p.run, &digest, name, 1, p.identity.data);
    if (status == DDOME_OK)
        status = nn_os_read_file(&p.error, &p.arena, &p.bytes, &p.size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK)
        status = data_safetensors_parse(&p.error, &p.arena, &p.file, p.bytes, p.size);
    return status;
}

static bool make(const char *keys)
{
    memset(&p, 0, sizeof p);
    if (!test_federation_rounds(&p.run, &p.error, keys, 1))
        return false;
    p.run.done = 1;
    ddome_status status = write_state();
    if (strstr(p.error.text, "plain C99") != NULL) {
        test_skip("plain C99 cannot make folders");
        return false;
    }
    if (status == DDOME_OK)
        status = read_state();
    return test_status("state", status, DDOME_OK, &p.error, NULL) &&
           CHECK(p.file.count < MOST_TENSORS);
}

static void unmake(void)
{
    fl_run_free(&p.run);
    fl_run_free(&p.fresh);
    nn_arena_free(&p.arena);
}

/* The file without a tensor. */
static data_safetensors without(const char *tensor)
{
    data_safetensors changed = {.tensor = p.list};
    for (size_t i = 0; i < p.file.count; i++)
        if (strcmp(p.file.tensor[i].name, tensor) != 0)
            p.list[changed.count++] = p.file.tensor[i];
    test_same_u64(tensor, changed.count, p.file.count - 1);
    return changed;
}

/* The file with another dtype or rank of its identity. */
static data_safetensors other_identity(const char *dtype, size_t rank)
{
    data_safetensors changed = {.tensor = p.list, .count = p.file.count};
    memcpy(p.list, p.file.tensor, p.file.count * sizeof *p.list);
    for (size_t i = 0; i < changed.count; i++)
        if (strcmp(p.list[i].name, "identity") == 0) {
            p.list[i].dtype = dtype;
            p.list[i].rank = rank;
        }
    return changed;
}

/* ---- clients' own models ---- */

/* In the arena of the pair. */
static const float *own_model(const fl_server *server, size_t client)
{
    const float *values;
    CHECK(fl_server_values(&p.error, &p.arena, &values, server, (uint32_t)client, 0) == DDOME_OK);
    return values;
}

/* The fresh run reads a file; it has no client's model before. */
static ddome_status take_fresh(ddome_error *error, nn_arena *arena, void *context)
{
    fl_run *fresh = &p.fresh;
    fl_store *models = &fresh->server.models;
    nn_arena *other = arena == &fresh->arena ? &fresh->scratch : &fresh->arena;
    const nn_arena_mark mark = nn_arena_get_mark(other);
    memset(fresh->server.own, 0, fresh->config.clients * sizeof *fresh->server.own);
    memset(models->place, 0, models->count * sizeof *models->place);
    models->used = 0;
    fresh->error = error;
    const ddome_status status = fl_state_take(fresh, context);
    fresh->error = &p.error;
    for (size_t i = 0; i < fresh->config.clients && status == DDOME_OK; i++) {
        CHECK(fresh->server.own[i].batches == p.run.server.own[i].batches);
        CHECK(fl_store_has(models, i) == fl_store_has(&p.run.server.models, i));
        const float *got = own_model(&fresh->server, i), *want = own_model(&p.run.server, i);
        test_same_floats("own", got, want, fresh->expert.layout.total);
    }
    nn_arena_rewind(other, mark);
    return status;
}

static void refused(const char *tensor, const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    data_safetensors file = without(tensor);
    test_status(tensor, take_fresh(&error, &p.fresh.scratch, &file), DDOME_ERR_RESUME, &error,
                part);
}

/* Where the models of the file cannot be kept. */
static void no_place(void)
{
    char path[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    const char *usual = p.fresh.server.models.path;
    nn_os_spill_close(&p.fresh.server.models.spill);
    snprintf(path, sizeof path, "%s/no such folder/clients.tmp", test_dir());
    p.fresh.server.models.path = path;
    test_status("no place", take_fresh(&error, &p.fresh.scratch, &p.file), DDOME_ERR_IO, &error,
                path);
    p.fresh.server.models.path = usual;
}

/* The last value of a model is none. */
static void not_finite(void)
{
    static const char tensor[] = "own_0000000.values";
    ddome_error error = {DDOME_OK, ""};
    const data_safetensor *values = data_safetensors_find(&p.file, tensor);
    if (!CHECK(values != NULL))
        return;
    unsigned char *last = p.bytes + values->at + values->byte_count - 2, kept[2];
    memcpy(kept, last, sizeof kept);
    last[0] = 0xc0;
    last[1] = 0x7f;
    test_status(tensor, take_fresh(&error, &p.fresh.scratch, &p.file), DDOME_ERR_RESUME, &error,
                "tensor own_0000000.values: expected finite values");
    memcpy(last, kept, sizeof kept);
}

static void own_models(void)
{
    test_case("state: clients' own models in a run that has none yet, each allocation failing");
    if (make(own_keys) && test_federation(&p.fresh, &p.error, own_keys) &&
        CHECK(fl_rundir_view(&p.error, &p.fresh.dir, &p.fresh.arena, folder()) == DDOME_OK)) {
        p.fresh.done = 1;
        refused("own", "tensor own: expected U8");
        refused("own_0000000.batches", "tensor own_0000000.batches: expected U64");
        refused("own_0000000.values", "tensor own_0000000.values: expected F32");
        no_place();
        not_finite();
        CHECK(test_poor("lasting", &p.fresh.arena, take_fresh, &p.file) >= 6);
        CHECK(test_poor("passing", &p.fresh.scratch, take_fresh, &p.file) >= 20);
    }
    unmake();
}

/* ---- writing ---- */

static ddome_status write_again(ddome_error *error, nn_arena *arena, void *context)
{
    nn_digest digest;
    const nn_digest *want = context;
    fl_run *run = &p.run;
    nn_arena *other = arena == &run->arena ? &run->scratch : &run->arena;
    const nn_arena_mark mark = nn_arena_get_mark(other);
    run->error = error;
    const ddome_status status = fl_state_write(run, &digest, name, 1, p.identity.data);
    run->error = &p.error;
    if (status == DDOME_OK)
        test_same_bytes("hash", digest.byte, want->byte, sizeof digest.byte);
    nn_arena_rewind(other, mark);
    return status;
}

/* A part of more than 2^20 bytes is written in several chunks. */
static void written(const char *keys, size_t stride)
{
    test_case("state: written with each allocation failing: %s", keys);
    if (make(keys)) {
        nn_digest digest = nn_sha256_of(p.bytes, p.size);
        CHECK(test_poor("names", &p.run.arena, write_again, &digest) >= 20);
        CHECK(test_poor_every("lists", stride, &p.run.scratch, write_again, &digest) >= 20);
    }
    unmake();
}

/* ---- whose it is ---- */

static ddome_status check(ddome_error *error, const data_safetensors *file)
{
    uint32_t round = 0;
    nn_arena_mark mark = nn_arena_get_mark(&p.arena);
    const ddome_status status =
        fl_state_check(error, &p.arena, &round, file, name, p.identity.data);
    nn_arena_rewind(&p.arena, mark);
    return status;
}

/* The texts differ; that is what a comparison with enough memory says. */
static ddome_status compare(ddome_error *error, nn_arena *arena, void *context)
{
    const ddome_status status =
        fl_identity_compare(error, arena, "a = 1\nb = 2\n", "a = 1\nb = 3\n", context);
    if (status != DDOME_ERR_RESUME)
        return status;
    test_status("compare", status, DDOME_ERR_RESUME, error,
                "file is of another run: b: expected 2");
    return DDOME_OK;
}

static void identities(void)
{
    char file[] = "file";
    test_case("state: an identity of another type or rank, or with no memory to compare it");
    if (make("")) {
        ddome_error error = {DDOME_OK, ""};
        data_safetensors changed = other_identity("U8", 1);
        test_status("the same", check(&error, &changed), DDOME_OK, &error, NULL);
        changed = other_identity("I8", 1);
        test_status("type", check(&error, &changed), DDOME_ERR_RESUME, &error, "tensor identity");
        nn_error_clear(&error);
        changed = other_identity("U8", 0);
        test_status("rank", check(&error, &changed), DDOME_ERR_RESUME, &error, "tensor identity");
    }
    unmake();
    test_poor_alone("compare", 2, compare, file);
}

/* Keys at their defaults are not written, so that either side may have a line that the other lacks,
 * at its end or between two that are the same. */
static void keys_of_one_side(void)
{
    static const struct {
        const char *saved, *here, *part; /* NULL: the same run */
    } pairs[] = {
        {"a = 1\nb = 2\n", "a = 1\nb = 2\n", NULL},
        {"a = 1\nb = 2\n", "a = 1\n", ": b: expected 2, found its default;"},
        {"a = 1\n", "a = 1\nb = 2\n", ": b: expected its default, found 2;"},
        {"a = 1\nb = 2\nc = 3\n", "a = 1\nc = 3\n", ": b: expected 2, found its default;"},
        {"a = 1\nbb = 2\n", "a = 1\nbb = 2\nb = 2\n", ": b: expected its default, found 2;"},
        {"b = 2\n", "", ": b: expected 2, found its default;"},
    };
    test_case("state: identities of which one has a key that the other lacks (SPEC 17.6.5)");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        const ddome_status status =
            fl_identity_compare(&error, &arena, pairs[i].saved, pairs[i].here, "file");
        test_status(pairs[i].saved, status, pairs[i].part == NULL ? DDOME_OK : DDOME_ERR_RESUME,
                    &error, pairs[i].part);
        nn_arena_free(&arena);
    }
}

/* A run at the defaults meets the checkpoint of one that was not. */
static void key_of_the_checkpoint(void)
{
    test_case("state: a checkpoint of a run with a key more");
    if (make("order=gate-first")) {
        ddome_error error = {DDOME_OK, ""};
        test_status("the same", check(&error, &p.file), DDOME_OK, &error, NULL);
        p.run.config.order = FL_ORDER_JOINT;
        p.identity = (fl_text){.arena = &p.arena};
        fl_identity_write(&p.identity, &p.run);
        test_status("another", check(&error, &p.file), DDOME_ERR_RESUME, &error,
                    " is of another run: order: expected \"gate-first\", found its default;");
    }
    unmake();
}

/* The anchors that clusters have found stand in the checkpoint; without them nobody is tied. */
static void anchors(void)
{
    const data_safetensor none = {.name = ""};
    ddome_error error = {DDOME_OK, ""};
    test_case("state: no anchors in the checkpoint of a run with clusters");
    memset(&p, 0, sizeof p);
    if (test_federation(&p.run, &error, "anchors=cluster")) {
        p.run.saved.found = true;
        p.run.saved.state = (data_safetensors){.tensor = &none, .count = 1};
        test_status("anchors", fl_run_anchors(&p.run), DDOME_ERR_RESUME, &error,
                    "tensor anchors: expected U32");
    }
    unmake();
}

void t_state_edges(void)
{
    own_models();
    written(own_keys, 1);
    written("algo=fedavg hidden=1400 rounds=1", 50);
    identities();
    keys_of_one_side();
    key_of_the_checkpoint();
    anchors();
}

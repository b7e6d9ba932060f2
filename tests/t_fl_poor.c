/* SPDX-License-Identifier: MIT */
/* The parts of a run with each of their allocations failing: data and partition, clients of each
 * scope, ties and groups, models and their files, manifests, the plan. */
#include <stdio.h>
#include <string.h>

#include "../fl/checkpoint.h"
#include "../fl/origin.h"
#include "../fl/plan.h"
#include "../fl/schedule.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"
#include "poor.h"

void t_fl_poor(void);

/* The keys over those of the tiny federation, resolved as a run does. */
static bool keys_of(fl_config *config, const char *keys)
{
    ddome_error error = {DDOME_OK, ""};
    return test_federation_keys(config, keys) &&
           test_status(keys, fl_config_check(&error, config), DDOME_OK, &error, NULL);
}

/* ---- data, clients, ties ---- */

typedef struct loading {
    fl_config config;
    fl_task task;
    const data_client *clients;
    size_t count;
    data_client whole;
    fl_control control;
} loading;

static ddome_status load(ddome_error *error, nn_arena *arena, void *context)
{
    loading *l = context;
    ddome_status status = fl_task_load(error, arena, &l->task, &l->config);
    if (status == DDOME_OK)
        status = fl_task_scope(error, arena, &l->clients, &l->count, &l->whole, &l->task,
                               &l->config, l->config.eval_scope);
    if (status == DDOME_OK)
        status = fl_control_init(error, arena, &l->control, &l->config, &l->task);
    return status == DDOME_OK ? fl_control_labels(error, arena, &l->control, &l->task) : status;
}

static void loads(const char *keys, size_t clients)
{
    loading l = {.count = 0};
    test_case("no memory for data, partition, scope and controls: %s", keys);
    if (keys_of(&l.config, keys)) {
        test_poor_alone("load", 20, load, &l);
        test_same_u64("clients", l.count, clients);
    }
}

/* ---- threads ---- */

static ddome_status open_crew(ddome_error *error, nn_arena *arena, void *context)
{
    fl_crew *crew = context;
    nn_arena scratch = {0};
    *crew = (fl_crew){NULL, NULL, NULL};
    const ddome_status status = fl_crew_open(error, arena, &scratch, crew, 2);
    CHECK((crew->members != NULL) == (status == DDOME_OK));
    fl_crew_close(crew);
    return status;
}

static void crews(void)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    nn_team *team = NULL;
    fl_crew crew;
    test_case("no memory for two threads and their clients");
    if (nn_team_open(&error, &arena, &team, 2) != DDOME_OK) {
        test_skip("this build has no threads");
    } else {
        nn_team_close(team);
        test_poor_alone("crew", 2, open_crew, &crew);
    }
    nn_arena_free(&arena);
}

/* ---- models and their files ---- */

typedef struct stored {
    fl_config config;
    data_set set;
    fl_model model;
    float *values, *got;
    unsigned char *bytes;
    size_t size;
    char path[1024];
} stored;

static ddome_status declare(ddome_error *error, nn_arena *arena, void *context)
{
    stored *s = context;
    return fl_model_expert(error, arena, &s->model, &s->config, &s->set);
}

static ddome_status format(ddome_error *error, nn_arena *arena, void *context)
{
    stored *s = context;
    return fl_checkpoint_format(error, arena, &s->bytes, &s->size, &s->model, s->values, 3);
}

static ddome_status reload(ddome_error *error, nn_arena *arena, void *context)
{
    stored *s = context;
    uint64_t batches = 77;
    const size_t total = s->model.layout.total;
    memset(s->got, 0xff, total * sizeof *s->got);
    const ddome_status status =
        fl_checkpoint_load(error, arena, s->got, &batches, &s->model, s->path);
    const uint64_t want = s->model.layout.batch_norms == 0 ? 0 : 3;
    CHECK(batches == (status == DDOME_OK ? want : 77));
    CHECK((nn_float_bits(s->got[0]) == 0xffffffffu) == (status != DDOME_OK));
    return status;
}

static void models(const char *keys, size_t least)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    stored s = {.set = {.h = 8, .w = 8, .c = 3, .classes = 4}};
    test_case("no memory for a model, its file, and reading it: %s", keys);
    snprintf(s.path, sizeof s.path, "%s/poor_model.safetensors", test_dir());
    if (keys_of(&s.config, keys)) {
        test_poor_alone("declare", 3, declare, &s);
        CHECK(declare(&error, &arena, &s) == DDOME_OK);
        s.values = test_floats(s.model.layout.total);
        s.got = test_floats(s.model.layout.total);
        nn_layout_init(s.values, &s.model.layout, 3, NN_STREAM_TEST, 0);
        test_poor_alone("format", least, format, &s);
        CHECK(format(&error, &arena, &s) == DDOME_OK);
        if (CHECK(nn_os_write_file(&error, s.path, s.bytes, s.size) == DDOME_OK))
            test_poor_alone("reload", 3, reload, &s);
        test_same_floats("values", s.got, s.values, s.model.layout.total);
    }
    nn_arena_free(&arena);
    test_release();
}

/* ---- manifests ---- */

typedef struct stated {
    fl_task task;
    fl_config config;
    nn_digest common;
    char folder[1000], common_path[1024];
} stated;

static ddome_status check_origins(ddome_error *error, nn_arena *arena, void *context)
{
    const stated *s = context;
    fl_config_hashes hashes;
    ddome_status status = fl_origin_hashes(error, arena, &hashes, &s->config);
    if (status == DDOME_OK)
        status = fl_origin_check_model(error, arena, s->common_path, &s->common, &s->task);
    return status == DDOME_OK ? fl_origin_check_run(error, arena, s->folder, &s->config, &s->task)
                              : status;
}

static void put_digest(char *text, size_t size, const char *name, const nn_digest *digest)
{
    char hex[NN_HEX_BYTES];
    const size_t at = strlen(text);
    nn_digest_hex(hex, digest);
    snprintf(text + at, size - at, "\"%s\": \"%s\", ", name, hex);
}

/* A manifest that fits, in the folder of the common expert, which is that of the run, too. */
static void origins(void)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    stated s = {.folder = ""};
    char manifest[1000] = "{", path[1024];
    test_case("no memory for the hashes of given files and for manifests");
    snprintf(s.folder, sizeof s.folder, "%s", test_dir());
    snprintf(s.common_path, sizeof s.common_path, "%s/poor_common", test_dir());
    snprintf(path, sizeof path, "%s/manifest.json", test_dir());
    if (keys_of(&s.config, "") &&
        CHECK(fl_task_load(&error, &arena, &s.task, &s.config) == DDOME_OK)) {
        snprintf(s.config.exclude, sizeof s.config.exclude, "%s", path);
        snprintf(s.config.partition_file, sizeof s.config.partition_file, "%s", path);
        snprintf(s.config.common, sizeof s.config.common, "%s", path);
        const nn_digest pool = data_partition_pool_hash(&s.task.partition);
        put_digest(manifest, sizeof manifest, "common_sha256", &s.common);
        put_digest(manifest, sizeof manifest, "train_sha256", &s.task.set.train.hash);
        put_digest(manifest, sizeof manifest, "test_sha256", &s.task.set.test.hash);
        put_digest(manifest, sizeof manifest, "pool_sha256", &pool);
        strcat(manifest, "\"arith\": \"ma\"}");
        CHECK(nn_os_write_file(&error, path, manifest, strlen(manifest)) == DDOME_OK);
        test_poor_alone("origins", 6, check_origins, &s);
    }
    nn_os_remove(path);
    nn_arena_free(&arena);
}

/* ---- plan ---- */

static ddome_status make_plan(ddome_error *error, nn_arena *arena, void *context)
{
    fl_run *run = context;
    fl_plan plan;
    (void)arena;
    run->error = error;
    return fl_plan_make(&plan, run);
}

static void plans(const char *keys)
{
    ddome_error error;
    fl_run run;
    test_case("no memory for a plan: %s", keys);
    if (test_federation_init(&run, &error, keys)) {
        CHECK(test_poor("kept", &run.arena, make_plan, &run) >= 2);
        CHECK(test_poor("scratch", &run.scratch, make_plan, &run) >= 5);
    }
    fl_run_free(&run);
}

void t_fl_poor(void)
{
    loads("", 2);
    loads("eval_scope=seen gate=oracle", 7);
    loads("eval_scope=global schedule=switch schedule_groups=2 schedule_rounds=1 partition=shards",
          1);
    crews();
    models("arch=mlp", 5);
    models("arch=resnet34 width=1", 100);
    origins();
    plans("");
    plans("algo=scaffold");
    plans("gate=oracle anchors=cluster");
}

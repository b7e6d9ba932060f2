/* SPDX-License-Identifier: MIT */
/* Files without a name, and what stays with clients in them: what is written is read, whole and in
 * parts, in any order; nothing of it is left behind; every failure has its status. SPEC 12.6.9. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fl/store.h"
#include "fl_fixture.h"
#include "poor.h"

void t_store(void);

enum { PATH_BYTES = 1024, ARRAYS = 9, FLOATS = 1500 };

static const char *join(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

/* Plain C99 makes its files where it likes, and has no descriptors. */
static bool has_places(void)
{
    nn_os_spill spill = {0};
    ddome_error error = {DDOME_OK, ""};
    if (!CHECK(nn_os_spill_open(&error, &spill, join("spill.tmp")) == DDOME_OK))
        return false;
    CHECK(nn_os_spill_is_open(&spill));
    const bool places = spill.file != 0;
    nn_os_spill_close(&spill);
    return places;
}

/* ---- files without a name ---- */

static void spills(void)
{
    static unsigned char bytes[70000], got[70000];
    nn_os_spill spill = {0}, other = {0};
    ddome_error error = {DDOME_OK, ""};
    const char *path = join("spill.tmp");
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 41 % 251);
    test_case("spill: what is written at any place is read, and has no name");
    CHECK(nn_os_write_file(&error, path, "left by a killed run", 20) == DDOME_OK);
    CHECK(nn_os_spill_open(&error, &spill, path) == DDOME_OK);
    CHECK(nn_os_spill_open(&error, &other, NULL) == DDOME_OK);
    CHECK(!has_places() || !nn_os_exists(path));
    CHECK(nn_os_spill_write(&error, &spill, 0, bytes, 10) == DDOME_OK);
    CHECK(nn_os_spill_write(&error, &other, 0, bytes + 5, 100) == DDOME_OK);
    CHECK(nn_os_spill_write(&error, &spill, 10, bytes + 10, sizeof bytes - 10) == DDOME_OK);
    CHECK(nn_os_spill_read(&error, &spill, 0, got, sizeof got) == DDOME_OK);
    test_same_bytes("all", got, bytes, sizeof bytes);
    CHECK(nn_os_spill_write(&error, &spill, 3, bytes + 100, 4) == DDOME_OK);
    CHECK(nn_os_spill_read(&error, &spill, 1, got, 9) == DDOME_OK);
    CHECK(memcmp(got, bytes + 1, 2) == 0 && memcmp(got + 2, bytes + 100, 4) == 0 &&
          memcmp(got + 6, bytes + 7, 3) == 0);
    CHECK(nn_os_spill_read(&error, &other, 0, got, 100) == DDOME_OK);
    test_same_bytes("the other", got, bytes + 5, 100);
    CHECK(nn_os_spill_read(&error, &spill, sizeof bytes, got, 0) == DDOME_OK);
    test_status("behind its end", nn_os_spill_read(&error, &spill, sizeof bytes - 1, got, 2),
                DDOME_ERR_IO, &error, "reading back");
    nn_os_spill_close(&other);
    nn_os_spill_close(&spill);
    nn_os_spill_close(&spill);
    nn_os_remove(path);
}

static void places_of_spills(void)
{
    nn_os_spill spill = {0};
    ddome_error error = {DDOME_OK, ""};
    test_case("spill: where no file can be, and behind what a file can hold");
    if (!has_places()) {
        test_skip("plain C99 leaves the place to the C library");
        return;
    }
    test_status("no folder", nn_os_spill_open(&error, &spill, join("no such folder/spill.tmp")),
                DDOME_ERR_IO, &error, "cannot write");
    CHECK(spill.file == 0);
    error = (ddome_error){DDOME_OK, ""};
    test_status("a folder", nn_os_spill_open(&error, &spill, test_dir()), DDOME_ERR_IO, &error,
                "found a folder");
    error = (ddome_error){DDOME_OK, ""};
    CHECK(nn_os_spill_open(&error, &spill, join("spill.tmp")) == DDOME_OK);
    test_status("too far", nn_os_spill_write(&error, &spill, UINT64_MAX, "ab", 2), DDOME_ERR_IO,
                &error, "cannot write");
    error = (ddome_error){DDOME_OK, ""};
    test_status("too large", nn_os_spill_write(&error, &spill, INT64_MAX, "ab", 2), DDOME_ERR_IO,
                &error, "spill.tmp");
    error = (ddome_error){DDOME_OK, ""};
    test_status("too far", nn_os_spill_read(&error, &spill, UINT64_MAX, &spill, 1), DDOME_ERR_IO,
                &error, "reading back");
    nn_os_spill_close(&spill);
}

/* ---- arrays ---- */

static void fill(float *values, size_t index, size_t visit)
{
    for (size_t i = 0; i < FLOATS; i++)
        values[i] = (float)(index * 1000000 + visit * 10000 + i);
}

/* Clients come in another order than that of their ids, and some come again. */
static void arrays(void)
{
    static const size_t visits[] = {7, 2, 7, 0, 8, 2, 3, 0, 7};
    size_t visits_of[ARRAYS] = {0};
    float want[FLOATS], got[FLOATS];
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    fl_store store = {0};
    test_case("store: each array keeps what was written last, whole and in parts");
    CHECK(!fl_store_is_set(&store) && !fl_store_has(&store, 0));
    CHECK(fl_store_init(&error, &arena, &store, ARRAYS, FLOATS, NULL) == DDOME_OK);
    CHECK(fl_store_is_set(&store));
    for (size_t v = 0; v < sizeof visits / sizeof *visits; v++) {
        const size_t client = visits[v], half = v % 2 == 0 ? 0 : FLOATS / 3;
        CHECK(fl_store_has(&store, client) == (visits_of[client] != 0));
        fill(want, client, ++visits_of[client]);
        CHECK(fl_store_write(&error, &store, client, 0, want, half) == DDOME_OK);
        CHECK(fl_store_write(&error, &store, client, half, want + half, FLOATS - half) == DDOME_OK);
    }
    for (size_t i = 0; i < ARRAYS; i++) {
        CHECK(fl_store_has(&store, i) == (visits_of[i] != 0));
        if (visits_of[i] == 0)
            continue;
        fill(want, i, visits_of[i]);
        CHECK(fl_store_read(&error, &store, i, 0, got, FLOATS) == DDOME_OK);
        test_same_floats("whole", got, want, FLOATS);
        CHECK(fl_store_read(&error, &store, i, 700, got, 11) == DDOME_OK);
        test_same_floats("part", got, want + 700, 11);
    }
    test_same_u64("places", store.used, 5);
    fl_store_close(&store);
    CHECK(!fl_store_is_set(&store) && !fl_store_has(&store, 7));
    fl_store_close(&store);
    nn_arena_free(&arena);
}

static ddome_status init_store(ddome_error *error, nn_arena *arena, void *context)
{
    fl_store store = {0};
    const ddome_status status = fl_store_init(error, arena, &store, ARRAYS, FLOATS, context);
    CHECK(fl_store_is_set(&store) == (status == DDOME_OK));
    return status;
}

static void failures(void)
{
    const float value = 1;
    char path[PATH_BYTES];
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    fl_store store = {0};
    test_case("store: without memory, and without a place");
    test_poor_alone("init", 1, init_store, NULL);
    if (!has_places()) {
        test_skip("plain C99 leaves the place to the C library");
        return;
    }
    snprintf(path, sizeof path, "%s", join("no such folder/clients.tmp"));
    CHECK(fl_store_init(&error, &arena, &store, ARRAYS, 1, path) == DDOME_OK);
    test_status("no folder", fl_store_write(&error, &store, 3, 0, &value, 1), DDOME_ERR_IO, &error,
                path);
    CHECK(!fl_store_has(&store, 3) && store.used == 0 && !nn_os_spill_is_open(&store.spill));
    fl_store_close(&store);
    nn_arena_free(&arena);
}

/* ---- a run ---- */

/* The file of a store becomes one that cannot be written: a descriptor nobody has. */
static void break_store(fl_store *store)
{
    nn_os_spill_close(&store->spill);
    store->spill.file = 1 << 20;
}

/* A visit that cannot be kept, and one that cannot go on with what was kept, end the run. */
static void broken(const char *keys, fl_store *(*store_of)(fl_server *server))
{
    fl_run run;
    ddome_error error;
    test_case("store: of a run, when it breaks: %s", keys);
    if (!has_places())
        test_skip("plain C99 has no descriptors");
    else if (test_federation(&run, &error, keys)) {
        fl_store *store = store_of(&run.server);
        test_status("round 1", test_round(&run, 1), DDOME_OK, &error, NULL);
        const uint32_t id = run.participants[0];
        CHECK(store->used != 0);
        break_store(store);
        test_status("round 2", test_round(&run, 2), DDOME_ERR_IO, &error, "TMPDIR");
        error = (ddome_error){DDOME_OK, ""};
        fl_visit visit = fl_run_visit(&run, &run.task.partition.clients[id], 3);
        test_status("a client", fl_server_send(&error, &run.scratch, &visit, &run.server),
                    DDOME_ERR_IO, &error, "reading back");
        store->spill.file = 0;
        fl_run_free(&run);
    } else {
        fl_run_free(&run);
    }
}

/* Without rounds, or with nothing to remember. */
static void nothing_to_keep(const char *keys)
{
    fl_run run;
    ddome_error error;
    test_case("store: nothing stays with clients: %s", keys);
    if (test_federation(&run, &error, keys))
        CHECK(!fl_store_is_set(&run.server.local) && !fl_store_is_set(&run.server.models) &&
              !fl_store_is_set(&run.server.variates.client));
    fl_run_free(&run);
}

static fl_store *variates_of(fl_server *server)
{
    return &server->variates.client;
}

static fl_store *models_of(fl_server *server)
{
    return &server->models;
}

static fl_store *statistics_of(fl_server *server)
{
    return &server->local;
}

/* The lowest descriptor that is free: POSIX gives that one. */
static int free_descriptor(void)
{
    nn_os_spill spill = {0};
    ddome_error error = {DDOME_OK, ""};
    const bool opened = CHECK(nn_os_spill_open(&error, &spill, join("spill.tmp")) == DDOME_OK);
    const int file = opened ? spill.file : -1;
    nn_os_spill_close(&spill);
    return file;
}

/* What is sent to the client that was first in round 1. */
static ddome_status send_again(ddome_error *error, nn_arena *arena, void *context)
{
    const fl_run *run = context;
    fl_visit visit = fl_run_visit(run, &run->task.partition.clients[run->participants[0]], 2);
    return fl_server_send(error, arena, &visit, &run->server);
}

static void poor(const char *keys, size_t least)
{
    fl_run run;
    ddome_error error;
    test_case("store: without memory for what was kept: %s", keys);
    if (test_federation(&run, &error, keys)) {
        test_status("round 1", test_round(&run, 1), DDOME_OK, &error, NULL);
        CHECK(test_poor("send", &run.scratch, send_again, &run) >= least);
    }
    fl_run_free(&run);
}

/* A caller of the library may make thousands of runs. */
static void gives_back(const char *keys)
{
    fl_run run;
    ddome_error error;
    const int before = free_descriptor();
    test_case("store: a run gives its files back: %s", keys);
    if (CHECK(test_federation(&run, &error, keys))) {
        test_status("round 1", test_round(&run, 1), DDOME_OK, &error, NULL);
        CHECK(!has_places() || free_descriptor() > before);
    }
    fl_run_free(&run);
    CHECK(free_descriptor() == before);
}

static void runs(void)
{
    poor("algo=scaffold momentum=0", 3);
    poor("algo=local eval_scope=seen", 1);
    poor("algo=fedavg arch=resnet34 width=1 bn_stats=local", 2);
    gives_back("algo=scaffold momentum=0 active_normal=5");
    gives_back("algo=fedavg arch=resnet34 width=1 bn_stats=local");
    broken("algo=scaffold momentum=0 active_normal=5", variates_of);
    broken("algo=local eval_scope=seen local_budget=full", models_of);
    broken("arch=resnet34 width=1 bn_stats=local active_anchors=0 active_normal=3", statistics_of);
    nothing_to_keep("algo=common arch=resnet34 width=1 bn_stats=local");
    nothing_to_keep("algo=fedavg");
}

void t_store(void)
{
    spills();
    places_of_spills();
    arrays();
    failures();
    runs();
}

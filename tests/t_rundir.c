/* SPDX-License-Identifier: MIT */
/* The run directory: what stands in SHA256SUMS, refusal and force, replaced files, failures.
 * SPEC 17.3. */
#include <stdio.h>
#include <string.h>

#include "../fl/rundir.h"
#include "../nn/os.h"
#include "test.h"

void t_rundir(void);

enum { PATH_BYTES = 512 };

#define HASH_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HASH_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void join(char path[PATH_BYTES], const char *folder, const char *name)
{
    int length = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    CHECK(length > 0 && length < PATH_BYTES);
}

static bool there(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    join(path, folder, name);
    return nn_os_exists(path);
}

static bool holds(const char *folder, const char *name, const char *want)
{
    char path[PATH_BYTES];
    nn_arena arena = {0};
    unsigned char *bytes;
    size_t size;
    ddome_error error = {DDOME_OK, ""};
    join(path, folder, name);
    ddome_status status = nn_os_read_file(&error, &arena, &bytes, &size, path, DDOME_ERR_DATA);
    bool ok = test_status(name, status, DDOME_OK, &error, NULL) &&
              test_same_text(name, (const char *)bytes, want);
    nn_arena_free(&arena);
    return ok;
}

/* True when plain C99 stands in for the system: it cannot make folders. */
static bool no_folders(const ddome_error *error)
{
    return strstr(error->text, "plain C99") != NULL;
}

static bool write_three(fl_rundir *dir, ddome_error *error)
{
    return CHECK(fl_rundir_write(error, dir, "metrics.csv", "wrong", 5) == DDOME_OK) &&
           CHECK(fl_rundir_write(error, dir, "final/gate", "abc", 3) == DDOME_OK) &&
           CHECK(fl_rundir_write(error, dir, "config.toml", "", 0) == DDOME_OK) &&
           CHECK(fl_rundir_write_unhashed(error, dir, "timing.csv", "1 s\n", 4) == DDOME_OK) &&
           CHECK(fl_rundir_write(error, dir, "metrics.csv", "abc", 3) == DDOME_OK);
}

/* SPEC 17.3.1, 17.3.2, 17.5. */
static void whole_run(const char *path)
{
    static const char sums[] =
        HASH_EMPTY "  config.toml\n" HASH_ABC "  final/gate\n" HASH_ABC "  metrics.csv\n";
    nn_arena arena = {0};
    fl_rundir dir;
    ddome_error error = {DDOME_OK, ""};
    char root[NN_HEX_BYTES] = "untouched", want[NN_HEX_BYTES];
    test_case("rundir lists hashed files by name");
    ddome_status status = fl_rundir_open(&error, &dir, &arena, path, true);
    if (status != DDOME_OK && no_folders(&error)) {
        test_skip("plain C99 cannot make a folder");
        return;
    }
    if (test_status("open", status, DDOME_OK, &error, NULL) && write_three(&dir, &error)) {
        CHECK(!there(path, "SHA256SUMS") && !there(path, "probe.tmp"));
        CHECK(fl_rundir_close(&error, &dir, root) == DDOME_OK);
        holds(path, "SHA256SUMS", sums);
        holds(path, "metrics.csv", "abc");
        holds(path, "timing.csv", "1 s\n");
        nn_digest digest = nn_sha256_of(sums, sizeof sums - 1);
        nn_digest_hex(want, &digest);
        test_same_text("root hash", root, want);
        CHECK(there(path, "lock"));
        fl_rundir_leave(&dir);
        CHECK(!there(path, "lock"));
    }
    nn_arena_free(&arena);
}

/* SPEC 17.3.3. */
static void refusal(const char *path, const char *held)
{
    nn_arena arena = {0};
    fl_rundir dir = {.path = "untouched"};
    ddome_error error = {DDOME_OK, ""};
    test_case("rundir refuses a folder with %s", held);
    ddome_status status = fl_rundir_open(&error, &dir, &arena, path, false);
    test_status("open", status, DDOME_ERR_USAGE, &error, held);
    CHECK(strstr(error.text, "--force") != NULL && there(path, held));
    test_same_text("untouched", dir.path, "untouched");
    nn_arena_free(&arena);
}

/* SPEC 17.3.3. */
static void force(const char *path)
{
    nn_arena arena = {0};
    fl_rundir dir;
    ddome_error error = {DDOME_OK, ""};
    test_case("rundir force takes the old end away first");
    ddome_status status = fl_rundir_open(&error, &dir, &arena, path, true);
    test_status("open", status, DDOME_OK, &error, NULL);
    CHECK(!there(path, "SHA256SUMS") && !there(path, "manifest.json"));
    CHECK(there(path, "metrics.csv"));
    fl_rundir_leave(&dir);
    nn_arena_free(&arena);

    test_case("rundir takes a folder where a run was broken off");
    fl_rundir again;
    test_status("open", fl_rundir_open(&error, &again, &arena, path, false), DDOME_OK, &error,
                NULL);
    fl_rundir_leave(&again);
    nn_arena_free(&arena);
}

/* SPEC 17.3.4. */
static void unwritable(void)
{
    char file[PATH_BYTES], below[PATH_BYTES + 8];
    nn_arena arena = {0};
    fl_rundir dir = {.path = "untouched"};
    ddome_error error = {DDOME_OK, ""};
    test_case("rundir refuses a folder that cannot be");
    join(file, test_dir(), "rundir_file");
    snprintf(below, sizeof below, "%s/run", file);
    CHECK(nn_os_write_file(&error, file, "x", 1) == DDOME_OK);
    ddome_status status = fl_rundir_open(&error, &dir, &arena, below, false);
    test_status("open", status, DDOME_ERR_IO, &error, "rundir_file");
    test_same_text("untouched", dir.path, "untouched");
    nn_os_remove(file);
    nn_arena_free(&arena);
}

/* Whatever allocation fails, the error is a memory error and no list of hashes appears. */
static void without_memory(const char *path)
{
    test_case("rundir without memory");
    for (size_t n = 1; n < 20; n++) {
        nn_arena arena = {.fail_after = n};
        fl_rundir dir = {.arena = NULL};
        ddome_error error = {DDOME_OK, ""};
        char root[NN_HEX_BYTES];
        ddome_status status = fl_rundir_open(&error, &dir, &arena, path, true);
        if (status == DDOME_OK)
            status = fl_rundir_write(&error, &dir, "final/gate", "abc", 3);
        if (status == DDOME_OK)
            status = fl_rundir_close(&error, &dir, root);
        bool ended = there(path, "SHA256SUMS");
        if (dir.arena != NULL)
            fl_rundir_leave(&dir);
        CHECK(!there(path, "lock"));
        nn_arena_free(&arena);
        if (!CHECK(status == DDOME_OK ? ended : status == DDOME_ERR_MEMORY && (n < 5 || !ended)))
            break;
    }
}

void t_rundir(void)
{
    char path[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    join(path, test_dir(), "rundir");
    whole_run(path);
    unwritable();
    if (!there(path, "SHA256SUMS"))
        return;
    refusal(path, "SHA256SUMS");
    join(path, test_dir(), "rundir/SHA256SUMS");
    nn_os_remove(path);
    join(path, test_dir(), "rundir/manifest.json");
    if (nn_os_write_file(&error, path, "{}", 2) != DDOME_OK)
        return;
    join(path, test_dir(), "rundir");
    refusal(path, "manifest.json");
    force(path);
    without_memory(path);
}

/* SPDX-License-Identifier: MIT */
/* What a run keeps when memory ends or a folder is in a file's place: lists of hashes, leftovers of
 * checkpoints, a round that is done again. SPEC 17.3, 17.6, 17.7. */
#include <stdio.h>
#include <string.h>

#include "../fl/run.h"
#include "../fl/saved.h"
#include "../fl/verify.h"
#include "poor.h"

void t_kept_poor(void);

enum { PATH_BYTES = 1024 };

#define HASH_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/kept_poor%s%s", test_dir(), name[0] == '\0' ? "" : "/", name);
    return path;
}

static void put(const char *name, const char *text)
{
    CHECK(nn_os_write_file(NULL, path_to(name), text, strlen(text)) == DDOME_OK);
}

static bool there(const char *name)
{
    return nn_os_exists(path_to(name));
}

/* test_dir()/kept_poor with folders ckpt and final; false where folders cannot be made. */
static bool make_folders(void)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    fl_rundir dir = {.path = NULL};
    ddome_status status = fl_rundir_open(&error, &dir, &arena, path_to(""), true);
    if (status == DDOME_OK)
        status = fl_rundir_write_unhashed(&error, &dir, "ckpt/note", "", 0);
    if (status == DDOME_OK)
        status = fl_rundir_write_unhashed(&error, &dir, "final/gate", "abc", 3);
    fl_rundir_leave(&dir);
    nn_arena_free(&arena);
    if (strstr(error.text, "plain C99") == NULL)
        return test_status("folders", status, DDOME_OK, &error, NULL);
    test_skip("plain C99 cannot make folders");
    return false;
}

/* ---- SHA256SUMS ---- */

static ddome_status verify(ddome_error *error, nn_arena *arena, void *context)
{
    char root[NN_HEX_BYTES] = "";
    const size_t used = arena->used;
    const ddome_status status = fl_verify_hashes(error, arena, path_to(""), root);
    CHECK(arena->used == used && (root[0] == '\0') == (status != DDOME_OK));
    (void)context;
    return status;
}

/* A name of two characters is none of "..". */
static void hashes(void)
{
    test_case("kept: a list of hashes without memory, at each allocation");
    put("abc", "abc");
    put("ab", "abc");
    put("SHA256SUMS", HASH_ABC "  ab\n" HASH_ABC "  abc\n" HASH_ABC "  final/gate\n");
    test_poor_alone("verify", 10, verify, NULL);
    nn_os_remove(path_to("SHA256SUMS"));
}

static void has_tables(void)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    fl_rundir dir;
    test_case("kept: tables that are there, are not, or cannot be looked for");
    if (CHECK(fl_rundir_view(&error, &dir, &arena, path_to("")) == DDOME_OK)) {
        const size_t used = arena.used;
        CHECK(!fl_verify_has_tables(&dir));
        arena.fail_after = 1; /* what follows fails for want of memory and says so */
        CHECK(fl_verify_has_tables(&dir));
        arena.fail_after = 0;
        put("metrics.csv", "");
        CHECK(fl_verify_has_tables(&dir));
        CHECK(arena.used == used);
        nn_os_remove(path_to("metrics.csv"));
    }
    nn_arena_free(&arena);
}

/* ---- a file that is compared ---- */

static ddome_status compare(ddome_error *error, nn_arena *arena, void *context)
{
    fl_rundir dir;
    char root[NN_HEX_BYTES];
    const ddome_status status = fl_rundir_view(error, &dir, arena, path_to(""));
    (void)context;
    return status == DDOME_OK ? fl_rundir_close(error, &dir, root) : status;
}

/* The list of hashes comes last: whether it goes on behind its end is the last thing to look at. */
static void compared(void)
{
    test_case("kept: the last file is compared without memory, at each allocation");
    put("SHA256SUMS", "");
    test_poor_alone("compare", 4, compare, NULL);
    nn_os_remove(path_to("SHA256SUMS"));
}

/* ---- config.toml ---- */

static ddome_status compare_config(ddome_error *error, nn_arena *arena, void *context)
{
    fl_run *run = context;
    run->error = error;
    run->scratch = *arena;
    const ddome_status status = fl_verify_config(run, path_to(""));
    *arena = run->scratch;
    run->scratch = (nn_arena){0};
    CHECK(arena->used == 0);
    return status;
}

/* With another value the lines that are shown need memory, too. */
static void config(void)
{
    static fl_run run;
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    test_case("kept: the configuration is compared without memory, at each allocation");
    fl_config_defaults(&run.config);
    fl_config_write(&text, &run.config, &run.hashes);
    CHECK(fl_text_status(&error, &text) == DDOME_OK);
    put("config.toml", text.data);
    test_poor_alone("the same", 3, compare_config, &run);
    run.config.rounds++;
    size_t failures = 0;
    ddome_status status;
    do {
        nn_arena poor = {.fail_after = ++failures};
        nn_error_clear(&error);
        status = compare_config(&error, &poor, &run);
        nn_arena_free(&poor);
    } while (status == DDOME_ERR_MEMORY);
    test_status("another", status, DDOME_ERR_VERIFY, &error,
                "config.toml is of another run: rounds");
    CHECK(failures > 5);
    nn_os_remove(path_to("config.toml"));
    nn_arena_free(&arena);
}

/* ---- checkpoints ---- */

/* Three checkpoints, of which the last is to go, and leftovers of a run that was killed. */
static void leave_over(fl_saved *saved)
{
    static const char *const names[] = {"ckpt/00000003.safetensors", "ckpt/00000005.safetensors",
                                        "ckpt/00000007.safetensors",
                                        "ckpt/00000009.safetensors.tmp"};
    for (size_t i = 0; i < 4; i++)
        if (!there(names[i])) /* writing flushes */
            put(names[i], "abc");
    *saved = (fl_saved){.count = 3, .round = 5};
    for (uint32_t i = 0; i < 3; i++)
        saved->file[i] = (fl_saved_file){2 * i + 3, nn_sha256_of("abc", 3)};
}

static void tidied(void)
{
    static fl_saved saved;
    char path[PATH_BYTES];
    size_t failures = 0;
    bool met = true;
    snprintf(path, sizeof path, "%s", path_to(""));
    test_case("kept: leftovers without memory, at each allocation");
    for (size_t n = 1; met && CHECK(n < 100); n++) {
        ddome_error error = {DDOME_OK, ""};
        nn_arena arena = {.fail_after = n};
        const fl_rundir dir = {.path = path, .arena = &arena};
        leave_over(&saved);
        const ddome_status status = fl_saved_tidy(&error, &saved, &dir);
        met = arena.allocations >= n;
        failures += status != DDOME_OK;
        test_status("tidy", status, status == DDOME_OK ? DDOME_OK : DDOME_ERR_MEMORY, &error,
                    status == DDOME_OK ? NULL : "out of memory");
        CHECK(saved.count == 2 && arena.used == 0);
        CHECK(there("ckpt/00000003.safetensors") && there("ckpt/00000005.safetensors"));
        CHECK(met ||
              (!there("ckpt/00000007.safetensors") && !there("ckpt/00000009.safetensors.tmp")));
        nn_arena_free(&arena);
    }
    CHECK(failures >= 5);
}

/* A round that is done again replaces its checkpoint and those behind it. */
static void done_again(void)
{
    static fl_saved saved;
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    char path[PATH_BYTES];
    test_case("kept: the checkpoint of a round that is done again");
    leave_over(&saved);
    put("ckpt/00000005.safetensors.tmp", "ab");
    snprintf(path, sizeof path, "%s", path_to(""));
    const fl_rundir dir = {.path = path, .arena = &arena};
    const nn_digest digest = nn_sha256_of("ab", 2);
    test_status("add", fl_saved_add(&error, &saved, &dir, 5, &digest, 3), DDOME_OK, &error, NULL);
    test_same_u64("checkpoints", saved.count, 2);
    CHECK(saved.file[0].round == 3 && saved.file[1].round == 5);
    test_same_bytes("its hash", saved.file[1].digest.byte, digest.byte, sizeof digest.byte);
    CHECK(!there("ckpt/00000005.safetensors.tmp"));
    nn_arena_free(&arena);
}

/* ---- a folder in a file's place ---- */

/* What cannot be removed stays, and the run does not begin. */
static void in_the_way(void)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    fl_rundir dir = {.path = NULL};
    char path[PATH_BYTES], sums[PATH_BYTES + 20], file[PATH_BYTES + 30];
    test_case("kept: a list of hashes that cannot be removed");
    snprintf(path, sizeof path, "%s/kept_blocked", test_dir());
    snprintf(sums, sizeof sums, "%s/SHA256SUMS", path);
    snprintf(file, sizeof file, "%s/file", sums);
    CHECK(nn_os_make_dir(&error, path) == DDOME_OK && nn_os_make_dir(&error, sums) == DDOME_OK);
    CHECK(nn_os_write_file(&error, file, "", 0) == DDOME_OK);
    test_status("open", fl_rundir_open(&error, &dir, &arena, path, true), DDOME_ERR_IO, &error,
                "SHA256SUMS; check the rights of the folder");
    CHECK(dir.path == NULL);
    nn_error_clear(&error);
    if (CHECK(fl_rundir_reopen(&error, &dir, &arena, path) == DDOME_OK)) {
        test_status("unseal", fl_rundir_unseal(&error, &dir), DDOME_ERR_IO, &error,
                    "cannot remove");
        fl_rundir_leave(&dir);
    }
    CHECK(nn_os_exists(file));
    nn_arena_free(&arena);
}

void t_kept_poor(void)
{
    test_case("kept: a folder that something is wrong with");
    if (!make_folders())
        return;
    hashes();
    has_tables();
    compared();
    config();
    tidied();
    done_again();
    in_the_way();
}

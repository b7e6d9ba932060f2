/* SPDX-License-Identifier: MIT */
/* Files and folders: what is written is read; every failure has its status and names the path.
 * SPEC 17.1.1, 17.3.4. */
#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "test.h"

void t_os(void);

enum { PATH_BYTES = 1024 };

static void join(char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", test_dir(), name);
}

static void write_and_read(const char *path, const unsigned char *bytes, size_t size)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *got = NULL;
    size_t got_size = 0;
    ddome_status status = nn_os_write_file(&error, path, bytes, size);
    test_status("write", status, DDOME_OK, &error, NULL);
    status = nn_os_read_file(&error, &arena, &got, &got_size, path, DDOME_ERR_DATA);
    if (test_status("read", status, DDOME_OK, &error, NULL)) {
        if (test_same_u64("size", got_size, size))
            test_same_bytes("bytes", got, bytes, size);
        CHECK(got[got_size] == '\0');
    }
    nn_arena_free(&arena);
}

static void round_trips(void)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 20000, 3};
    static unsigned char bytes[20000];
    char path[PATH_BYTES], temporary[PATH_BYTES + 4];
    join(path, "os.bin");
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 31 % 256);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        test_case("os writes over and reads %lu bytes", (unsigned long)sizes[i]);
        write_and_read(path, bytes, sizes[i]);
        CHECK(!nn_os_exists(temporary));
    }
    test_case("os removes");
    CHECK(nn_os_exists(path));
    nn_os_remove(path);
    CHECK(!nn_os_exists(path));
    nn_os_remove(path);
}

static void read_failure(const char *name, const char *path, ddome_status missing)
{
    test_case("os does not read %s", name);
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes = NULL;
    size_t size = 99;
    ddome_status status = nn_os_read_file(&error, &arena, &bytes, &size, path, missing);
    test_status(name, status, missing, &error, path);
    CHECK(bytes == NULL && size == 99);
    nn_arena_free(&arena);
}

/* When memory is out the outputs stay untouched, too. */
static void read_without_memory(void)
{
    char path[PATH_BYTES];
    join(path, "os_memory.bin");
    test_case("os reads without memory");
    nn_arena arena = {.fail_after = 1};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes = NULL;
    size_t size = 99;
    CHECK(nn_os_write_file(&error, path, "abc", 3) == DDOME_OK);
    ddome_status status = nn_os_read_file(&error, &arena, &bytes, &size, path, DDOME_ERR_DATA);
    test_status("memory", status, DDOME_ERR_MEMORY, &error, path);
    CHECK(bytes == NULL && size == 99);
    nn_os_remove(path);
    nn_arena_free(&arena);
}

static void write_failure(const char *name, const char *path)
{
    test_case("os does not write %s", name);
    ddome_error error = {DDOME_OK, ""};
    ddome_status status = nn_os_write_file(&error, path, "abc", 3);
    test_status(name, status, DDOME_ERR_IO, &error, "cannot write");
    CHECK(!nn_os_exists(path));
}

static void failures(void)
{
    static char endless[6000];
    char path[PATH_BYTES];
    memset(endless, 'x', sizeof endless - 1);
    join(path, "no such file");
    read_failure("a missing file as data", path, DDOME_ERR_DATA);
    read_failure("a missing file as configuration", path, DDOME_ERR_USAGE);
    read_failure("a folder", test_dir(), DDOME_ERR_DATA);
    read_without_memory();
    join(path, "no such folder/file");
    write_failure("into a missing folder", path);
    write_failure("a path that is too long", endless);
}

static void folders(void)
{
    char path[PATH_BYTES], inside[PATH_BYTES + 8];
    ddome_error error = {DDOME_OK, ""};
    test_case("os takes a folder that exists");
    CHECK(nn_os_make_dir(&error, test_dir()) == DDOME_OK);

    test_case("os makes no folder without a parent");
    join(path, "no such folder/folder");
    ddome_status status = nn_os_make_dir(&error, path);
    test_status("parent", status, DDOME_ERR_IO, &error, path);

    test_case("os makes a folder");
    join(path, "os_folder");
    snprintf(inside, sizeof inside, "%s/file", path);
    ddome_error other = {DDOME_OK, ""};
    status = nn_os_make_dir(&other, path);
    if (status != DDOME_OK && strstr(other.text, "plain C99") != NULL) {
        test_skip("plain C99 cannot make one");
        return;
    }
    test_status("new", status, DDOME_OK, &other, NULL);
    write_and_read(inside, (const unsigned char *)"abc", 3);
    nn_os_remove(inside);
}

static void a_file_is_no_folder(void)
{
    char path[PATH_BYTES];
    join(path, "os_file");
    test_case("os takes no file for a folder");
    ddome_error error = {DDOME_OK, ""};
    CHECK(nn_os_write_file(&error, path, "abc", 3) == DDOME_OK);
    ddome_status status = nn_os_make_dir(&error, path);
    test_status("file", status, DDOME_ERR_IO, &error, path);
    nn_os_remove(path);
}

static void clock_runs_forward(void)
{
    test_case("os clock does not run back");
    double before = nn_os_seconds();
    CHECK(nn_os_seconds() >= before);
}

/* Nine names, so that the list grows; others do not count. */
static void listing(void)
{
    char folder[PATH_BYTES], path[2 * PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    const char **names = NULL;
    size_t count = 0, found = 0;
    test_case("os: names in a folder");
    join(folder, "listed");
    if (nn_os_list(&error, &arena, &names, &count, ".", "") == DDOME_ERR_USAGE) {
        test_skip("plain C99 cannot look into a folder");
        return;
    }
    nn_arena_free(&arena);
    test_status("folder", nn_os_make_dir(&error, folder), DDOME_OK, &error, NULL);
    for (int i = 0; i < 12; i++) {
        snprintf(path, sizeof path, "%s/%s-%d", folder, i < 9 ? "seed" : "other", i);
        test_status("file", nn_os_write_file(&error, path, "", 0), DDOME_OK, &error, NULL);
    }
    ddome_status status = nn_os_list(&error, &arena, &names, &count, folder, "seed-");
    if (test_status("list", status, DDOME_OK, &error, NULL) && test_same_u64("names", count, 9))
        for (size_t i = 0; i < count; i++)
            found |= (size_t)1 << (names[i][5] - '0');
    test_same_u64("each of them", found, 511);
    for (size_t fail = 1; fail <= arena.allocations; fail++) {
        nn_arena small = {.fail_after = fail};
        status = nn_os_list(&error, &small, &names, &count, folder, "seed-");
        test_status("no memory", status, DDOME_ERR_MEMORY, &error, "out of memory");
        error = (ddome_error){DDOME_OK, ""};
        nn_arena_free(&small);
    }
    status = nn_os_list(&error, &arena, &names, &count, "nowhere", "");
    test_status("no folder", status, DDOME_ERR_DATA, &error, "cannot look into nowhere");
    nn_arena_free(&arena);
}

void t_os(void)
{
    round_trips();
    failures();
    folders();
    a_file_is_no_folder();
    listing();
    clock_runs_forward();
}

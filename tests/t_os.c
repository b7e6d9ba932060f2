/* SPDX-License-Identifier: MIT */
/* Files and folders: what is written is read, cut, read in parts and moved; every failure has its
 * status and names the path. SPEC 17.1.1, 17.3.4, 17.3.5. */
#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "test.h"

void t_os(void);

enum { PATH_BYTES = 1024, LONG_PATH = 6000, MOST_BYTES = 9000 };

static void join(char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", test_dir(), name);
}

/* Longer than any path of these systems; below test_dir(), where a part of it would be found. */
static const char *too_long(void)
{
    static char path[LONG_PATH];
    memset(path, 'x', sizeof path - 1);
    snprintf(path, sizeof path, "%s/", test_dir());
    path[strlen(path)] = 'x';
    return path;
}

/* True when plain C99 stands in for the system: it can neither make a folder nor look into one. */
static bool plain_c99(void)
{
    const char **names;
    size_t count;
    nn_arena arena = {0};
    const ddome_status status = nn_os_list(NULL, &arena, &names, &count, ".", "");
    nn_arena_free(&arena);
    return status == DDOME_ERR_USAGE;
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
        CHECK(nn_os_write_file(NULL, temporary, bytes, 5000) == DDOME_OK); /* a killed one's */
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

/* Neither does the name fit under which it is written first, by one byte: that, not a shorter one,
 * is what must not be made. Dots lengthen a path and lead nowhere. */
static void write_at_the_limit(void)
{
    enum { LIMIT = 4096 - 4 };
    char path[LIMIT + 1];
    ddome_error error = {DDOME_OK, ""};
    snprintf(path, sizeof path, "%s", test_dir());
    for (size_t i = strlen(path); i < LIMIT - 1; i++)
        path[i] = (LIMIT - i) % 2 == 0 ? '/' : '.';
    path[LIMIT - 1] = 'x';
    path[LIMIT] = '\0';
    test_case("os does not write a path that is too long by one");
    test_same_u64("bytes", strlen(path), LIMIT);
    const ddome_status status = nn_os_write_file(&error, path, "abc", 3);
    test_status("limit", status, DDOME_ERR_IO, &error, "path too long");
    nn_os_remove(path);
}

/* The folder is not empty: a folder that is could be removed, and a file take its name. */
static void write_over_a_folder(void)
{
    char inside[PATH_BYTES], temporary[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    test_case("os does not write over a folder");
    join(inside, "os_inside");
    snprintf(temporary, sizeof temporary, "%s.tmp", test_dir());
    CHECK(nn_os_write_file(&error, inside, "abc", 3) == DDOME_OK);
    const ddome_status status = nn_os_write_file(&error, test_dir(), "abc", 3);
    test_status("folder", status, DDOME_ERR_IO, &error, "cannot write");
    CHECK(nn_os_exists(inside) && !nn_os_exists(temporary));
    nn_os_remove(inside);
}

static void failures(void)
{
    char path[PATH_BYTES];
    join(path, "no such file");
    read_failure("a missing file as data", path, DDOME_ERR_DATA);
    read_failure("a missing file as configuration", path, DDOME_ERR_USAGE);
    read_failure("a folder", test_dir(), DDOME_ERR_DATA);
    read_without_memory();
    join(path, "no such folder/file");
    write_failure("into a missing folder", path);
    write_failure("a path that is too long", too_long());
    write_at_the_limit();
    write_over_a_folder();
}

/* ---- parts of files ---- */

static unsigned char some[MOST_BYTES];

/* The file is some[size]. */
static void holds(const char *path, size_t size)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *got = NULL;
    size_t got_size = 0;
    const ddome_status status =
        nn_os_read_file(&error, &arena, &got, &got_size, path, DDOME_ERR_DATA);
    if (test_status(path, status, DDOME_OK, &error, NULL) && test_same_u64(path, got_size, size))
        test_same_bytes(path, got, some, size);
    nn_arena_free(&arena);
}

static void sizes(void)
{
    char path[PATH_BYTES];
    uint64_t size = 99;
    ddome_error error = {DDOME_OK, ""};
    test_case("os tells the size of a file, and of nothing else");
    join(path, "os_size");
    for (size_t bytes = 0; bytes <= sizeof some; bytes += 3000) {
        CHECK(nn_os_write_file(&error, path, some, bytes) == DDOME_OK);
        CHECK(nn_os_file_size(&error, &size, path, DDOME_ERR_DATA) == DDOME_OK);
        test_same_u64("size", size, bytes);
    }
    nn_os_remove(path);
    test_status("missing", nn_os_file_size(&error, &size, path, DDOME_ERR_USAGE), DDOME_ERR_USAGE,
                &error, path);
    error = (ddome_error){DDOME_OK, ""};
    test_status("a folder", nn_os_file_size(&error, &size, test_dir(), DDOME_ERR_DATA),
                DDOME_ERR_DATA, &error, test_dir());
    test_same_u64("size", size, sizeof some);
}

/* Each file ends where its last part does, which some[] tells. */
static void appends(const char *path, const char *temporary)
{
    static const struct {
        size_t at, size;
    } parts[] = {{0, 0},       {0, 5},      {5, 4092},   {4097, 0},  {4096, 4000},
                 {8095, 905},  {8192, 1},   {8193, 700}, {8192, 10}, {4095, 1},
                 {4096, 4096}, {8192, 808}, {3, 1},      {4, 1},     {0, 9}};
    ddome_error error = {DDOME_OK, ""};
    for (size_t i = 0; i < sizeof some; i++)
        some[i] = (unsigned char)(i * 37 % 253);
    test_case("os appends behind what stays, and reads parts");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t at = parts[i].at, end = at + parts[i].size;
        unsigned char got[MOST_BYTES] = {0};
        ddome_status status = nn_os_append(&error, path, at, some + at, parts[i].size);
        test_status("append", status, DDOME_OK, &error, NULL);
        holds(path, end);
        status = nn_os_read_part(&error, got, end - at, path, at);
        test_status("part", status, DDOME_OK, &error, NULL);
        test_same_bytes("part", got, some + at, end - at);
        CHECK(nn_os_read_part(&error, got, end / 2, path, 0) == DDOME_OK);
        test_same_bytes("first half", got, some, end / 2);
        CHECK(!nn_os_exists(temporary));
    }
    CHECK(nn_os_flush(&error, path) == DDOME_OK);
}

static void append_failure(const char *what, const char *path, uint64_t at)
{
    ddome_error error = {DDOME_OK, ""};
    test_status(what, nn_os_append(&error, path, at, "xyz", 3), DDOME_ERR_IO, &error,
                "cannot write");
}

static void part_failure(const char *what, const char *path, uint64_t at)
{
    unsigned char got[3];
    ddome_error error = {DDOME_OK, ""};
    test_status(what, nn_os_read_part(&error, got, 3, path, at), DDOME_ERR_DATA, &error, "");
    CHECK(strstr(error.text, path) != NULL);
}

/* The file has 9 bytes. */
static void part_failures(const char *path, const char *temporary)
{
    static const uint64_t behind[] = {
        10, 5000, (uint64_t)1 << 31, (uint64_t)1 << 40, (uint64_t)1 << 63, UINT64_MAX};
    char other[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    test_case("os appends to no file that is shorter, and does not read behind its end");
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        append_failure("behind", path, behind[i]);
        part_failure("behind", path, behind[i]);
        holds(path, 9);
        CHECK(!nn_os_exists(temporary));
    }
    part_failure("one byte too few", path, 7);
    if (!plain_c99())
        append_failure("a device", "/dev/null", 0);

    test_case("os appends to, reads and flushes nothing that is missing");
    join(other, "no such folder/file");
    append_failure("no folder", other, 0);
    append_failure("too long", too_long(), 0);
    part_failure("missing", other, 0);
    part_failure("a folder", test_dir(), 0);
    test_status("flush", nn_os_flush(&error, other), DDOME_ERR_IO, &error, "cannot write");
    join(other, "no such file");
    append_failure("no file", other, 3);
    nn_os_remove(other);
}

static void parts(void)
{
    char path[PATH_BYTES], temporary[PATH_BYTES + 4];
    join(path, "os_parts");
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    appends(path, temporary);
    part_failures(path, temporary);
    nn_os_remove(path);
}

static void moves(void)
{
    char from[PATH_BYTES], to[PATH_BYTES], nowhere[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    join(from, "os_from");
    join(to, "os_to");
    join(nowhere, "no such folder/file");
    test_case("os moves a file, over another one, too");
    for (size_t size = 3; size < 5; size++) {
        CHECK(nn_os_write_file(&error, from, some, size) == DDOME_OK);
        test_status("move", nn_os_move(&error, from, to), DDOME_OK, &error, NULL);
        holds(to, size);
        CHECK(!nn_os_exists(from));
    }

    test_case("os moves nothing that is missing, nor to where nothing can be");
    test_status("from", nn_os_move(&error, from, to), DDOME_ERR_IO, &error, "cannot write");
    holds(to, 4);
    error = (ddome_error){DDOME_OK, ""};
    CHECK(nn_os_write_file(&error, from, some, 3) == DDOME_OK);
    test_status("to", nn_os_move(&error, from, nowhere), DDOME_ERR_IO, &error, nowhere);
    CHECK(!nn_os_exists(from)); /* so that nothing half done is left */
    nn_os_remove(to);
}

/* ---- folders ---- */

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

    test_case("os makes no folder whose path is too long");
    status = nn_os_make_dir(&error, too_long());
    test_status("too long", status, DDOME_ERR_IO, &error, "folder");

    test_case("os makes a folder");
    join(path, "os_folder");
    snprintf(inside, sizeof inside, "%s/file", path);
    ddome_error other = {DDOME_OK, ""};
    if (plain_c99()) {
        test_skip("plain C99 cannot make one");
        return;
    }
    status = nn_os_make_dir(&other, path);
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
    if (plain_c99()) {
        test_skip("plain C99 cannot look into a folder");
        return;
    }
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

/* The second lock of this process is not noticed (nn/os.h), so one is enough. */
static void locks(void)
{
    char path[PATH_BYTES], nowhere[PATH_BYTES];
    nn_os_lock lock;
    ddome_error error = {DDOME_OK, ""};
    join(path, "os_lock");
    join(nowhere, "no such folder/lock");
    test_case("os locks a file and removes it");
    test_status("lock", nn_os_lock_file(&error, &lock, path), DDOME_OK, &error, NULL);
    CHECK(nn_os_exists(path) == !plain_c99());
    nn_os_unlock(&lock);
    CHECK(!nn_os_exists(path) && lock.file == 0);
    CHECK(nn_os_write_file(&error, path, some, 3) == DDOME_OK); /* by now another one's */
    nn_os_unlock(&lock);
    CHECK(nn_os_exists(path));
    nn_os_remove(path);

    test_case("os locks no file that cannot be");
    if (plain_c99())
        test_skip("plain C99 locks nothing");
    else
        test_status("lock", nn_os_lock_file(&error, &lock, nowhere), DDOME_ERR_IO, &error, nowhere);
}

void t_os(void)
{
    round_trips();
    failures();
    sizes();
    parts();
    moves();
    folders();
    a_file_is_no_folder();
    listing();
    locks();
    clock_runs_forward();
}

/* SPDX-License-Identifier: MIT */
/* CIFAR-100: coarse labels, files of the first records, the real ones. SPEC 7.1.1, 7.1.5. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/cifar.h"
#include "../nn/os.h"
#include "test.h"

void t_cifar100(void);

enum { PATH_BYTES = 1024, IMAGE = 3072, RECORD = IMAGE + 2, PREFIX = 1000 };

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/hundred/%s", test_dir(), name);
    return path;
}

/* Record r: coarse label r % 20, fine label (3 * r) % 100. */
static void write_records(const char *name, size_t records)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes = nn_arena_alloc(&arena, records, RECORD), *at = bytes;
    for (size_t r = 0; r < records; r++) {
        *at++ = (unsigned char)(r % 20);
        *at++ = (unsigned char)(3 * r % 100);
        for (size_t i = 0; i < IMAGE; i++)
            *at++ = (unsigned char)(r * 57 + i * 7 + i / 256);
    }
    test_status(name, nn_os_write_file(&error, path_to(name), bytes, records * RECORD), DDOME_OK,
                &error, NULL);
    nn_arena_free(&arena);
}

static bool load(nn_arena *arena, data_set *set, const char *dir, bool coarse)
{
    ddome_error error = {DDOME_OK, ""};
    const data_cifar_source source = {dir, NULL, 0, coarse};
    return test_status(coarse ? "coarse" : "fine", data_cifar100_load(&error, arena, set, &source),
                       DDOME_OK, &error, NULL);
}

/* The first label byte of every record; the images stay. */
static void test_coarse(const char *dir)
{
    nn_arena arena = {0};
    data_set fine = {0}, coarse = {0};
    test_case("cifar100: coarse labels");
    write_records("train.bin", 30);
    write_records("test.bin", 2);
    if (load(&arena, &fine, dir, false) && load(&arena, &coarse, dir, true)) {
        test_same_u64("fine classes", fine.classes, 100);
        test_same_u64("coarse classes", coarse.classes, 20);
        for (size_t i = 0; i < 30; i++) {
            test_same_u64("coarse label", coarse.train.labels[i], i % 20);
            test_same_u64("fine label", fine.train.labels[i], 3 * i % 100);
        }
        test_same_bytes("pixels", coarse.train.pixels, fine.train.pixels, (size_t)30 * IMAGE);
        CHECK(memcmp(coarse.train.hash.byte, fine.train.hash.byte, NN_HEX_BYTES / 2) != 0);
    }
    nn_arena_free(&arena);
}

/* Read only without the official file, and only with as many records as the name says; a prefix of
 * the test file makes the folder the data set's. */
static void test_prefix(const char *dir)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    const data_cifar_source source = {dir, NULL, 0, false};
    test_case("cifar100: files of the first records");
    write_records("train_first1000.bin", PREFIX);
    write_records("test_first1000.bin", PREFIX);
    if (load(&arena, &set, dir, false))
        test_same_u64("official file", set.train.count, 30);
    nn_os_remove(path_to("train.bin"));
    nn_os_remove(path_to("test.bin"));
    if (load(&arena, &set, dir, false))
        CHECK(set.train.count == PREFIX && set.test.count == PREFIX);
    write_records("train_first1000.bin", PREFIX - 1);
    test_status("999 records", data_cifar100_load(&error, &arena, &set, &source), DDOME_ERR_DATA,
                &error,
                "train_first1000.bin: expected the 1000 records that the name says, found 999");
    nn_arena_free(&arena);
}

/* Whole, or the first records, whose hash another program made. */
static void check_split(const data_split *split, size_t whole, size_t prefix, const char *hex)
{
    char got[NN_HEX_BYTES];
    nn_digest_hex(got, &split->hash);
    CHECK(split->count == whole || split->count == prefix);
    if (split->count == prefix)
        test_same_text("SHA-256", got, hex);
}

/* Where DDOME_DATA names the folder that holds cifar-100-binary. */
static void test_real(void)
{
    const char *dir = getenv("DDOME_DATA");
    test_case("cifar100: the real CIFAR-100");
    if (dir == NULL || dir[0] == '\0') {
        test_skip("DDOME_DATA is not set");
        return;
    }
    nn_arena arena = {0};
    data_set set = {0};
    if (load(&arena, &set, dir, false)) {
        check_split(&set.train, 50000, 6000,
                    "4b9dfeb40e2f2cf5ce611a4a5cb264937faf09ccde7c54c0512f720593efadce");
        check_split(&set.test, 10000, 2000,
                    "cf23e98c2d3ca7b0c4d550decbaf7c6591ee43f3eb3fef280c5bb482d9e13cd6");
    }
    if (load(&arena, &set, dir, true))
        check_split(&set.train, 50000, 6000,
                    "ed5018769fbbc0f7e4a853976f3b0e3f79da2ac4fcd93bbcc21e32b6610fc627");
    nn_arena_free(&arena);
}

void t_cifar100(void)
{
    char dir[PATH_BYTES];
    test_real();
    test_case("cifar100: files to read");
    snprintf(dir, sizeof dir, "%s/hundred", test_dir());
    if (nn_os_make_dir(NULL, dir) != DDOME_OK) {
        test_skip("plain C99 cannot make folders");
        return;
    }
    nn_os_remove(path_to("train_first1000.bin"));
    nn_os_remove(path_to("test_first1000.bin"));
    test_coarse(dir);
    test_prefix(dir);
}

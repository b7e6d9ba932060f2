/* SPDX-License-Identifier: MIT */
/* The CIFAR readers on files made here: layout, exclusion, every kind of damage. SPEC 7.1, 7.2. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/cifar.h"
#include "../nn/os.h"

void t_cifar(void);

enum { PATH_BYTES = 1024, IMAGE = 3072, MAX_RECORDS = 4, MAX_BYTES = MAX_RECORDS * (IMAGE + 2) };

/* A byte that tells file, record, channel and position apart. */
static unsigned char pixel(unsigned file, size_t record, size_t channel, size_t position)
{
    return (unsigned char)(file * 31 + record * 57 + channel * 101 + position * 7 + position / 256);
}

static const char *path_to(const char *folder, const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s/%s", test_dir(), folder, name);
    return path;
}

static void write_bytes(const char *folder, const char *name, const void *bytes, size_t count)
{
    ddome_error error = {DDOME_OK, ""};
    ddome_status status = nn_os_write_file(&error, path_to(folder, name), bytes, count);
    test_status(name, status, DDOME_OK, &error, NULL);
}

/* Record r has the class 3 * r + file; a second label byte is the coarse one, r. */
static size_t make_records(unsigned char *bytes, unsigned file, size_t records, size_t label_bytes)
{
    unsigned char *at = bytes;
    for (size_t r = 0; r < records; r++) {
        if (label_bytes == 2)
            *at++ = (unsigned char)r;
        *at++ = (unsigned char)(3 * r + file);
        for (size_t i = 0; i < IMAGE; i++)
            *at++ = pixel(file, r, i / 1024, i % 1024);
    }
    return (size_t)(at - bytes);
}

static void write_records(const char *folder, const char *name, unsigned file, size_t records,
                          size_t label_bytes)
{
    unsigned char bytes[MAX_BYTES];
    write_bytes(folder, name, bytes, make_records(bytes, file, records, label_bytes));
}

static bool make_folders(void)
{
    static const char *const folders[] = {"cifar-10-batches-bin", "cifar-100-binary"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", test_dir(), folders[i]);
        if (nn_os_make_dir(NULL, path) != DDOME_OK)
            return false;
    }
    return true;
}

/* Batches 1 and 3 with three and two records, a test batch with two. */
static void write_all(void)
{
    write_records("cifar-10-batches-bin", "data_batch_1.bin", 1, 3, 1);
    write_records("cifar-10-batches-bin", "data_batch_3.bin", 3, 2, 1);
    write_records("cifar-10-batches-bin", "test_batch.bin", 0, 2, 1);
    write_records("cifar-100-binary", "train.bin", 20, 4, 2);
    write_records("cifar-100-binary", "test.bin", 10, 1, 2);
}

static data_cifar_source source_of(const char *exclude, unsigned batches)
{
    data_cifar_source source = {test_dir(), exclude, batches, false};
    return source;
}

typedef ddome_status load_fn(ddome_error *error, nn_arena *arena, data_set *set,
                             const data_cifar_source *source);

static bool same_image(const data_split *split, size_t index, unsigned file, size_t record)
{
    for (size_t position = 0; position < 1024; position++)
        for (size_t c = 0; c < 3; c++)
            if (split->pixels[index * IMAGE + position * 3 + c] != pixel(file, record, c, position))
                return false;
    return split->labels[index] == 3 * record + file;
}

/* SPEC 7.1.1, 7.1.3; the value holds the constants of SPEC 7.3.2. */
static void test_cifar10(void)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    data_cifar_source source = source_of(NULL, 5);
    test_case("cifar: CIFAR-10");
    test_status("load", data_cifar10_load(&error, &arena, &set, &source), DDOME_OK, &error, NULL);
    test_same_u64("classes", set.classes, 10);
    test_same_u64("train", set.train.count, 5);
    test_same_u64("test", set.test.count, 2);
    CHECK(same_image(&set.train, 0, 1, 0) && same_image(&set.train, 2, 1, 2));
    CHECK(same_image(&set.train, 3, 3, 0) && same_image(&set.train, 4, 3, 1));
    CHECK(same_image(&set.test, 1, 0, 1));
    test_same_u64("value", nn_float_bits(set.value[0][255]), 0x4003c873);
    nn_digest hash = data_split_hash(&set.train, IMAGE);
    test_same_bytes("hash", hash.byte, set.train.hash.byte, sizeof hash.byte);
    nn_arena_free(&arena);
}

/* The folder itself instead of its parent, and the fine label of two. SPEC 7.1.1, 7.3.2. */
static void test_cifar100(void)
{
    char folder[PATH_BYTES];
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    snprintf(folder, sizeof folder, "%s/cifar-100-binary", test_dir());
    data_cifar_source source = {folder, NULL, 0, false};
    test_case("cifar: CIFAR-100");
    test_status("load", data_cifar100_load(&error, &arena, &set, &source), DDOME_OK, &error, NULL);
    test_same_u64("classes", set.classes, 100);
    test_same_u64("train", set.train.count, 4);
    CHECK(same_image(&set.train, 3, 20, 3) && same_image(&set.test, 0, 10, 0));
    test_same_u64("value", nn_float_bits(set.value[2][0]), 0xbfcc53ca);
    nn_arena_free(&arena);
}

/* Index 20000 is the first record of batch 3; 59999 belongs to no batch and is harmless.
 * SPEC 7.2.1 to 7.2.3. */
static void test_exclusion(void)
{
    static const char list[] = "# two kinds\n\n train 1\t20000 # and one more\r\ntrain 59999\n"
                               "test 0\ntest";
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    char path[PATH_BYTES];
    test_case("cifar: exclusion list");
    write_bytes(".", "exclude.txt", list, sizeof list - 1);
    snprintf(path, sizeof path, "%s", path_to(".", "exclude.txt"));
    data_cifar_source source = source_of(path, 5);
    test_status("load", data_cifar10_load(&error, &arena, &set, &source), DDOME_OK, &error, NULL);
    test_same_u64("train", set.train.count, 3);
    test_same_u64("test", set.test.count, 1);
    CHECK(same_image(&set.train, 0, 1, 0) && same_image(&set.train, 1, 1, 2));
    CHECK(same_image(&set.train, 2, 3, 1) && same_image(&set.test, 0, 0, 1));
    nn_arena_free(&arena);
}

static void refuse(load_fn *load, const data_cifar_source *source, ddome_status want,
                   const char *part)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    test_status(part, load(&error, &arena, &set, source), want, &error, part);
    CHECK(set.name == NULL && arena.used == 0);
    nn_arena_free(&arena);
}

/* SPEC 7.1.4, 7.2.2; at the end a split with nothing left (SPEC 7.2.3). */
static void test_bad_lists(void)
{
    static const struct {
        const char *text, *part;
        size_t length;
    } cases[] = {{"train 1\nvalid 2\n", "line 2", 0},
                 {"train 1\ntrain 1,2\n", "line 2", 0},
                 {"train 60000\n", "line 1", 0},
                 {"\n\ntest -1\n", "line 3", 0},
                 {"train 1x\n", "line 1", 0},
                 {"trainx 1\n", "line 1", 0},
                 {"5\n", "line 1", 0},
                 {"train 1\n\0train 2\n", "line 2", 17},
                 {"train 1 \0 2\n", "line 1", 12},
                 {"train 4294967297\n", "line 1", 0},
                 {"# a comment \0 with a NUL\n", "line 1", 25}};
    char path[PATH_BYTES];
    test_case("cifar: bad exclusion lists");
    snprintf(path, sizeof path, "%s", path_to(".", "exclude.txt"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t length = cases[i].length != 0 ? cases[i].length : strlen(cases[i].text);
        write_bytes(".", "exclude.txt", cases[i].text, length);
        data_cifar_source source = source_of(path, 5);
        refuse(data_cifar10_load, &source, DDOME_ERR_DATA, cases[i].part);
    }
    write_bytes(".", "exclude.txt", "test 0 1\n", 9);
    data_cifar_source source = source_of(path, 5);
    refuse(data_cifar10_load, &source, DDOME_ERR_DATA, "every record of the test split");
    write_bytes(".", "exclude.txt", "train 0 1 2 20000 20001\n", 24);
    refuse(data_cifar10_load, &source, DDOME_ERR_DATA, "every record of the train split");
    source.exclude = path_to(".", "no_such_list.txt");
    refuse(data_cifar10_load, &source, DDOME_ERR_DATA, "no_such_list.txt");
}

/* Writes the damaged file, wants the refusal, puts the good files back. */
static void refuse_file(load_fn *load, const char *folder, const char *name, const void *bytes,
                        size_t count, const char *part)
{
    data_cifar_source source = source_of(NULL, 5);
    write_bytes(folder, name, bytes, count);
    refuse(load, &source, DDOME_ERR_DATA, part);
    write_all();
}

/* SPEC 7.1.2, 7.1.4. */
static void test_damage(void)
{
    static const char *const ten = "cifar-10-batches-bin", *const hundred = "cifar-100-binary";
    unsigned char bytes[MAX_BYTES] = {0};
    test_case("cifar: damaged files");
    size_t size = make_records(bytes, 0, 2, 1);
    refuse_file(data_cifar10_load, ten, "data_batch_3.bin", bytes, size - 1,
                "data_batch_3.bin offset 3073: the record is cut: expected a multiple of 3073");
    refuse_file(data_cifar10_load, ten, "test_batch.bin", bytes, size + 1, "offset 6146");
    refuse_file(data_cifar10_load, ten, "test_batch.bin", bytes, 0, "found 0;");
    bytes[3073] = 10;
    refuse_file(data_cifar10_load, ten, "data_batch_1.bin", bytes, size,
                "data_batch_1.bin offset 3073: expected a label 0..9, found 10");
    size = make_records(bytes, 20, 2, 2);
    refuse_file(data_cifar100_load, hundred, "test.bin", bytes, size - 2, "multiple of 3074");
    bytes[3074] = 20;
    refuse_file(data_cifar100_load, hundred, "test.bin", bytes, size,
                "offset 3074: expected a coarse label 0..19, found 20");
    bytes[3074] = 19;
    bytes[3075] = 100;
    refuse_file(data_cifar100_load, hundred, "train.bin", bytes, size,
                "offset 3075: expected a fine label 0..99, found 100");
}

/* SPEC 7.1.4: a record that is left out is checked all the same. */
static void test_excluded_labels(void)
{
    unsigned char bytes[MAX_BYTES];
    char path[PATH_BYTES];
    test_case("cifar: bad labels in excluded records");
    write_bytes(".", "exclude.txt", "train 1\ntest 1\n", 15);
    snprintf(path, sizeof path, "%s", path_to(".", "exclude.txt"));
    const data_cifar_source source = source_of(path, 1);
    size_t size = make_records(bytes, 1, 3, 1);
    bytes[IMAGE + 1] = 10;
    write_bytes("cifar-10-batches-bin", "data_batch_1.bin", bytes, size);
    refuse(data_cifar10_load, &source, DDOME_ERR_DATA,
           "data_batch_1.bin offset 3073: expected a label 0..9, found 10");
    size = make_records(bytes, 10, 2, 2);
    bytes[IMAGE + 2] = 20;
    write_bytes("cifar-100-binary", "test.bin", bytes, size);
    refuse(data_cifar100_load, &source, DDOME_ERR_DATA,
           "test.bin offset 3074: expected a coarse label 0..19, found 20");
    write_all();
}

static void test_missing(void)
{
    data_cifar_source source = source_of(NULL, 7);
    test_case("cifar: missing files and batches");
    refuse(data_cifar10_load, &source, DDOME_ERR_DATA, "data_batch_2.bin is missing");
    source.batches = 0;
    refuse(data_cifar10_load, &source, DDOME_ERR_USAGE, "cifar10_batches");
    source.batches = 1 << 5;
    refuse(data_cifar10_load, &source, DDOME_ERR_USAGE, "cifar10_batches");
    source.dir = "/no/such/folder";
    refuse(data_cifar100_load, &source, DDOME_ERR_DATA, "/no/such/folder/train.bin is missing");
}

/* One record more than the official test file has: the size alone is enough to refuse it.
 * SPEC 7.1.2. */
static void test_too_long(void)
{
    size_t size = (size_t)10001 * 3073;
    nn_arena arena = {0};
    unsigned char *bytes = nn_arena_zero(&arena, size, 1);
    test_case("cifar: more records than the official file");
    if (CHECK(bytes != NULL))
        refuse_file(data_cifar10_load, "cifar-10-batches-bin", "test_batch.bin", bytes, size,
                    "expected at most the official 30730000 bytes, found 30733073");
    nn_arena_free(&arena);
}

static size_t count_failures(load_fn *load, const data_cifar_source *source)
{
    ddome_status status = DDOME_ERR_MEMORY;
    size_t failures = 0;
    while (status == DDOME_ERR_MEMORY) {
        nn_arena arena = {0};
        data_set set = {0};
        arena.fail_after = failures + 1;
        status = load(NULL, &arena, &set, source);
        CHECK((set.name != NULL) == (status == DDOME_OK));
        failures += status == DDOME_ERR_MEMORY;
        nn_arena_free(&arena);
    }
    CHECK(status == DDOME_OK);
    return failures;
}

static void test_memory(void)
{
    char path[PATH_BYTES];
    test_case("cifar: out of memory");
    write_bytes(".", "exclude.txt", "train 0\n", 8);
    snprintf(path, sizeof path, "%s", path_to(".", "exclude.txt"));
    data_cifar_source source = source_of(path, 5);
    CHECK(count_failures(data_cifar10_load, &source) >= 12);
    CHECK(count_failures(data_cifar100_load, &source) >= 10);
}

/* The real files, where DDOME_DATA names the folder that holds cifar-10-batches-bin. */
static void test_real(void)
{
    const char *dir = getenv("DDOME_DATA");
    test_case("cifar: the real CIFAR-10");
    if (dir == NULL || dir[0] == '\0') {
        test_skip("DDOME_DATA is not set");
        return;
    }
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    data_cifar_source source = {dir, NULL, 1, false};
    size_t of_class[10] = {0};
    test_status("load", data_cifar10_load(&error, &arena, &set, &source), DDOME_OK, &error, NULL);
    test_same_u64("train", set.train.count, 10000);
    for (size_t i = 0; i < set.test.count; i++)
        of_class[set.test.labels[i]]++;
    for (size_t k = 0; k < 10; k++)
        test_same_u64("test images of a class", of_class[k], 1000);
    nn_arena_free(&arena);
}

void t_cifar(void)
{
    test_case("cifar: files to read");
    if (!make_folders()) {
        test_skip("plain C99 cannot make folders");
        return;
    }
    write_all();
    test_cifar10();
    test_cifar100();
    test_exclusion();
    test_bad_lists();
    test_damage();
    test_excluded_labels();
    test_missing();
    test_too_long();
    test_memory();
    test_real();
}

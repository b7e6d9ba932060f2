/* SPDX-License-Identifier: MIT */
/* The IDX reader on files made here: layout, orientation, prefixes, every kind of damage.
 * SPEC 7.1.5, 7.2, 7.8. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/idx.h"
#include "../nn/os.h"
#include "idx_fixture.h"

void t_idx(void);

static const idx_made mnist_train = {"train", 1, 5, 0, 10, false},
                      mnist_test = {"t10k", 2, 3, 0, 10, false};

static data_idx_source source_of(const char *dir, data_emnist_split split)
{
    data_idx_source source = {dir, NULL, split};
    return source;
}

static bool same_image(const data_split *split, size_t index, const idx_made *made, size_t r)
{
    for (size_t y = 0; y < 28; y++)
        for (size_t x = 0; x < 28; x++)
            if (split->pixels[index * IDX_IMAGE + y * 28 + x] != idx_pixel(made->file, r, y, x))
                return false;
    return split->labels[index] == (r + made->file) % made->count;
}

/* Loads, and compares every image, upright, and every label from 0. */
static bool load_both(const char *what, const data_idx_source *source, bool emnist,
                      const idx_made *train, const idx_made *test, size_t classes)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    ddome_status status = emnist ? data_emnist_load(&error, &arena, &set, source)
                                 : data_mnist_load(&error, &arena, &set, source);
    bool ok = test_status(what, status, DDOME_OK, &error, NULL) &&
              test_same_u64("channels", set.c, 1) && test_same_u64("classes", set.classes, classes);
    if (ok && test_same_u64("train", set.train.count, train->records) &&
        test_same_u64("test", set.test.count, test->records)) {
        for (size_t r = 0; r < train->records; r++)
            ok = ok && same_image(&set.train, r, train, r);
        for (size_t r = 0; r < test->records; r++)
            ok = ok && same_image(&set.test, r, test, r);
        nn_digest hash = data_split_hash(&set.train, IDX_IMAGE);
        test_same_bytes("hash", hash.byte, set.train.hash.byte, sizeof hash.byte);
    }
    nn_arena_free(&arena);
    return CHECK(ok);
}

/* In a folder of its own, in none; the constants of SPEC 7.3.2. */
static void test_mnist(void)
{
    char folder[IDX_PATH];
    nn_arena arena = {0};
    data_set set = {0};
    test_case("idx: MNIST");
    idx_write("mnist", &mnist_train);
    idx_write("mnist", &mnist_test);
    data_idx_source source = source_of(test_dir(), DATA_EMNIST_BYCLASS);
    load_both("under a folder", &source, false, &mnist_train, &mnist_test, 10);
    snprintf(folder, sizeof folder, "%s/mnist", test_dir());
    source.dir = folder;
    load_both("the folder itself", &source, false, &mnist_train, &mnist_test, 10);
    CHECK(data_mnist_load(NULL, &arena, &set, &source) == DDOME_OK);
    const float centred = 1.0f - 0.1307f, most = centred / 0.3081f;
    test_same_u64("value", nn_float_bits(set.value[0][255]), nn_float_bits(most));
    nn_arena_free(&arena);
}

/* SPEC 7.8.1, 7.8.3. */
static void test_emnist(void)
{
    static const struct {
        const char *name;
        unsigned classes, first;
    } splits[DATA_EMNIST_COUNT] = {{"byclass", 62, 0}, {"bymerge", 47, 0}, {"balanced", 47, 0},
                                   {"letters", 26, 1}, {"digits", 10, 0},  {"mnist", 10, 0}};
    const data_idx_source dir = source_of(test_dir(), DATA_EMNIST_BYCLASS);
    for (int i = 0; i < DATA_EMNIST_COUNT; i++) {
        char stem[2][64];
        test_case("idx: EMNIST %s", splits[i].name);
        snprintf(stem[0], sizeof stem[0], "emnist-%s-train", splits[i].name);
        snprintf(stem[1], sizeof stem[1], "emnist-%s-test", splits[i].name);
        const unsigned file = (unsigned)i;
        const idx_made train = {stem[0], file, 70, splits[i].first, splits[i].classes, true};
        const idx_made test = {stem[1], file + 9, 2, splits[i].first, splits[i].classes, true};
        idx_write("emnist", &train);
        idx_write("emnist", &test);
        data_idx_source source = dir;
        source.split = (data_emnist_split)i;
        load_both(splits[i].name, &source, true, &train, &test, splits[i].classes);
    }
}

static void refuse(data_emnist_split split, bool emnist, const char *exclude, const char *part)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    data_idx_source source = {test_dir(), exclude, split};
    ddome_status status = emnist ? data_emnist_load(&error, &arena, &set, &source)
                                 : data_mnist_load(&error, &arena, &set, &source);
    test_status(part, status, DDOME_ERR_DATA, &error, part);
    CHECK(set.name == NULL && arena.used == 0);
    nn_arena_free(&arena);
}

/* One byte of a good file changed, or its end cut; the good files come back. */
typedef struct damage {
    bool images, test;
    size_t at;
    unsigned char byte;
    int longer; /* bytes more or, below 0, less */
    const char *part;
} damage;

static const damage damages[] = {
    {true, false, 3, 1, 0, "offset 0: expected the magic number 2051, found 2049"},
    {false, false, 3, 3, 0, "offset 0: expected the magic number 2049, found 2051"},
    {true, true, 2, 9, 0, "t10k-images-idx3-ubyte offset 0: expected the magic number"},
    {true, false, 11, 27, 0, "offset 8: expected rows 28, found 27"},
    {true, false, 15, 29, 0, "offset 12: expected columns 28, found 29"},
    {true, false, 7, 4, 0, "offset 4: expected 3152 bytes for its 4 records, found 3936"},
    {true, false, 7, 0, 0, "offset 4: expected at least one record"},
    {true, false, 4, 255, 0, "expected at most the official 60000 records, found 4278190085"},
    {true, true, 6, 0x28, 0, "expected at most the official 10000 records, found 10243"},
    {true, false, 3, 3, -1, "expected 3936 bytes for its 5 records, found 3935"},
    {true, false, 3, 3, 1, "expected 3936 bytes for its 5 records, found 3937"},
    {true, false, 3, 3, -3925, "the head is cut: expected 16 bytes"},
    {false, false, 3, 1, -1, "expected 13 bytes for its 5 records, found 12"},
    {false, false, 3, 1, -6, "offset 7: the head is cut: expected 8 bytes"},
    {false, true, 3, 1, -11, "offset 0: the head is cut"},
    {false, false, 12, 10, 0, "train-labels-idx1-ubyte offset 12: expected a label 0..9, found 10"},
};

static void test_damage(const damage *d)
{
    nn_arena arena = {0};
    size_t size;
    const idx_made *made = d->test ? &mnist_test : &mnist_train;
    unsigned char *bytes =
        d->images ? idx_images(&arena, made, &size) : idx_labels(&arena, made, &size);
    unsigned char *longer = nn_arena_zero(&arena, size + 1, 1);
    memcpy(longer, bytes, size);
    longer[d->at] = d->byte;
    idx_write_bytes(idx_path("mnist", made->stem, d->images), longer,
                    (size_t)((long)size + d->longer));
    refuse(DATA_EMNIST_BYCLASS, false, NULL, d->part);
    idx_write("mnist", made);
    nn_arena_free(&arena);
}

/* Both files of a split are of one length; labels of `letters` start at 1. */
static void test_pairs(void)
{
    static const idx_made four = {"train", 1, 4, 0, 10, false},
                          zero = {"emnist-letters-train", 3, 30, 0, 26, true},
                          good = {"emnist-letters-train", 3, 30, 1, 26, true};
    nn_arena arena = {0};
    size_t size;
    test_case("idx: files that do not belong together");
    const unsigned char *bytes = idx_labels(&arena, &four, &size);
    idx_write_bytes(idx_path("mnist", "train", false), bytes, size);
    refuse(DATA_EMNIST_BYCLASS, false, NULL, "offset 4: expected the 5 records of");
    idx_write("mnist", &mnist_train);
    idx_write("emnist", &zero);
    refuse(DATA_EMNIST_LETTERS, true, NULL, "offset 31: expected a label 1..26, found 0");
    idx_write("emnist", &good);
    nn_arena_free(&arena);
}

/* SPEC 7.8.4. */
static void test_gzip(void)
{
    static const char packed[] = "\x1f\x8b\x08 and so on";
    char path[IDX_PATH], gz[IDX_PATH + 4];
    test_case("idx: compressed and missing files");
    snprintf(path, sizeof path, "%s", idx_path("mnist", "train", true));
    snprintf(gz, sizeof gz, "%s.gz", path);
    idx_write_bytes(path, packed, sizeof packed);
    refuse(DATA_EMNIST_BYCLASS, false, NULL, "unpack it with gunzip");
    idx_write_bytes(path, "\x1f\x8c", 2); /* near it, and too short for a head */
    refuse(DATA_EMNIST_BYCLASS, false, NULL, "offset 2: the head is cut: expected 16 bytes");
    nn_os_remove(path);
    refuse(DATA_EMNIST_BYCLASS, false, NULL, "train-images-idx3-ubyte is missing");
    idx_write_bytes(gz, packed, sizeof packed);
    refuse(DATA_EMNIST_BYCLASS, false, NULL, "train-images-idx3-ubyte.gz is compressed");
    nn_os_remove(gz);
    idx_write("mnist", &mnist_train);
}

/* SPEC 7.2, 7.8.5: the two bounds of an index; a split that keeps nothing. */
static void test_exclusion(void)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    char path[IDX_PATH];
    test_case("idx: exclusion list");
    snprintf(path, sizeof path, "%s/idx_list.txt", test_dir());
    idx_write_bytes(path, "train 0 3 59999\ntest 1\n", 23);
    const data_idx_source source = {test_dir(), path, DATA_EMNIST_BYCLASS};
    test_status("load", data_mnist_load(&error, &arena, &set, &source), DDOME_OK, &error, NULL);
    test_same_u64("train", set.train.count, 3);
    CHECK(same_image(&set.train, 0, &mnist_train, 1) && same_image(&set.train, 1, &mnist_train, 2));
    CHECK(same_image(&set.train, 2, &mnist_train, 4) && set.test.count == 2);
    CHECK(same_image(&set.test, 0, &mnist_test, 0) && same_image(&set.test, 1, &mnist_test, 2));
    idx_write_bytes(path, "train 60000\n", 12);
    refuse(DATA_EMNIST_BYCLASS, false, path, "record indices 0..59999");
    idx_write_bytes(path, "train 60000 697931\ntrain 1", 26);
    test_status("load", data_emnist_load(&error, &arena, &set, &source), DDOME_OK, &error, NULL);
    test_same_u64("train", set.train.count, 69);
    idx_write_bytes(path, "test 697932\n", 12);
    refuse(DATA_EMNIST_BYCLASS, true, path, "record indices 0..697931");
    idx_write_bytes(path, "test 0 1 2\n", 11);
    refuse(DATA_EMNIST_BYCLASS, false, path, "every record of the test split is excluded");
    nn_arena_free(&arena);
}

/* SPEC 7.1.5: the shortest prefix, only where the official file is not, with as many records as its
 * name says. */
static void test_prefix(void)
{
    static const idx_made one = {"train-first1000", 4, 1000, 0, 10, false},
                          two = {"train-first2000", 5, 2000, 0, 10, false},
                          test = {"t10k-first1000", 6, 1000, 0, 10, false},
                          few = {"t10k-first1000", 6, 999, 0, 10, false};
    char folder[IDX_PATH];
    test_case("idx: prefixes of the official files");
    if (!CHECK(idx_make_folder("prefix") && idx_make_folder("prefix/mnist")))
        return;
    snprintf(folder, sizeof folder, "%s/prefix", test_dir());
    const data_idx_source source = source_of(folder, DATA_EMNIST_BYCLASS);
    nn_os_remove(idx_path("prefix/mnist", "train", true));
    nn_os_remove(idx_path("prefix/mnist", "train", false));
    nn_os_remove(idx_path("prefix/mnist", one.stem, true));
    nn_os_remove(idx_path("prefix/mnist", one.stem, false));
    idx_write("prefix/mnist", &two);
    idx_write("prefix/mnist", &test);
    load_both("2000 records", &source, false, &two, &test, 10);
    idx_write("prefix/mnist", &one);
    load_both("1000 records", &source, false, &one, &test, 10);
    idx_write("prefix/mnist", &mnist_train);
    load_both("the official name", &source, false, &mnist_train, &test, 10);
    idx_write("prefix/mnist", &few);
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    test_status("999", data_mnist_load(&error, &arena, &set, &source), DDOME_ERR_DATA, &error,
                "expected the 1000 records that the name says, found 999");
    nn_arena_free(&arena);
}

static void test_memory(void)
{
    ddome_status status = DDOME_ERR_MEMORY;
    char path[IDX_PATH];
    size_t failures = 0;
    test_case("idx: out of memory");
    snprintf(path, sizeof path, "%s/idx_list.txt", test_dir());
    idx_write_bytes(path, "train 1\n", 8);
    const data_idx_source source = {test_dir(), path, DATA_EMNIST_BYCLASS};
    while (status == DDOME_ERR_MEMORY) {
        nn_arena arena = {0};
        data_set set = {0};
        arena.fail_after = failures + 1;
        status = data_emnist_load(NULL, &arena, &set, &source);
        CHECK((set.name != NULL) == (status == DDOME_OK));
        failures += status == DDOME_ERR_MEMORY;
        nn_arena_free(&arena);
    }
    CHECK(status == DDOME_OK && failures >= 12);
}

/* The hash of a split of the first 15,000 or 5,000 records; the whole files have others. */
static void check_real(const data_split *split, size_t prefix, const char *hex)
{
    char got[NN_HEX_BYTES];
    nn_digest_hex(got, &split->hash);
    if (split->count == prefix)
        test_same_text("SHA-256", got, hex);
}

/* The real files, where DDOME_DATA names the folder that holds mnist. */
static void test_real(void)
{
    const char *dir = getenv("DDOME_DATA");
    test_case("idx: the real MNIST");
    if (dir == NULL || dir[0] == '\0') {
        test_skip("DDOME_DATA is not set");
        return;
    }
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    const data_idx_source source = source_of(dir, DATA_EMNIST_BYCLASS);
    if (test_status("load", data_mnist_load(&error, &arena, &set, &source), DDOME_OK, &error,
                    NULL)) {
        CHECK(set.train.count == 60000 || set.train.count == 15000);
        CHECK(set.test.count == 10000 || set.test.count == 5000);
        CHECK(set.train.labels[0] == 5 && set.test.labels[0] == 7);
        check_real(&set.train, 15000,
                   "57d37736c85bddd322a87821964345ca61ccf663ae780170aca421fae0e57dbe");
        check_real(&set.test, 5000,
                   "65ecb05c77e7bd8ee311a1283ad51657532efa0fec3debec7e1a22ee4264e2ea");
    }
    nn_arena_free(&arena);
}

void t_idx(void)
{
    test_real();
    test_case("idx: files to read");
    if (!idx_make_folder("mnist") || !idx_make_folder("emnist")) {
        test_skip("plain C99 cannot make folders");
        return;
    }
    test_mnist();
    test_emnist();
    test_case("idx: damaged files");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        test_damage(&damages[i]);
    test_pairs();
    test_gzip();
    test_exclusion();
    test_prefix();
    test_memory();
}

/* SPDX-License-Identifier: MIT */
/* Reads IDX files, checked to the byte; the pixels stay where the file's bytes are. SPEC 7.8,
 * 7.8.6. */
#include "idx.h"

#include <string.h>

#include "../nn/os.h"
#include "exclude.h"
#include "files.h"

enum {
    SIDE = 28,
    IMAGE_BYTES = SIDE * SIDE,
    IMAGE_HEAD = 16,
    LABEL_HEAD = 8,
    IMAGE_MAGIC = 0x803, /* unsigned bytes in three dimensions */
    LABEL_MAGIC = 0x801,
    MNIST_INDICES = 60000, /* SPEC 7.8.5 */
    EMNIST_INDICES = 697932
};

typedef struct idx_split {
    const char *name; /* in messages */
    data_file images, labels;
} idx_split;

/* Labels are first_label .. first_label + classes - 1 in the file. */
typedef struct idx_format {
    const char *name;
    size_t classes, first_label, indices;
    bool transposed;
    float mean, deviation; /* SPEC 7.3.2 */
    idx_split train, test;
} idx_format;

#define SPLIT(what, stem, records)                                                                 \
    {                                                                                              \
        what, {stem, "-", "-images-idx3-ubyte", records},                                          \
        {                                                                                          \
            stem, "-", "-labels-idx1-ubyte", records                                               \
        }                                                                                          \
    }
#define EMNIST(split, classes, first, train, test)                                                 \
    {                                                                                              \
        "emnist", classes, first, EMNIST_INDICES, true, 0.5f, 0.5f,                                \
            SPLIT("the train split", "emnist-" split "-train", train),                             \
            SPLIT("the test split", "emnist-" split "-test", test)                                 \
    }

static const idx_format mnist = {"mnist",
                                 10,
                                 0,
                                 MNIST_INDICES,
                                 false,
                                 0.1307f,
                                 0.3081f,
                                 SPLIT("the train split", "train", 60000),
                                 SPLIT("the test split", "t10k", 10000)};

/* SPEC 7.8.1. */
static const idx_format emnist[DATA_EMNIST_COUNT] = {
    [DATA_EMNIST_BYCLASS] = EMNIST("byclass", 62, 0, 697932, 116323),
    [DATA_EMNIST_BYMERGE] = EMNIST("bymerge", 47, 0, 697932, 116323),
    [DATA_EMNIST_BALANCED] = EMNIST("balanced", 47, 0, 112800, 18800),
    [DATA_EMNIST_LETTERS] = EMNIST("letters", 26, 1, 124800, 20800),
    [DATA_EMNIST_DIGITS] = EMNIST("digits", 10, 0, 240000, 40000),
    [DATA_EMNIST_MNIST] = EMNIST("mnist", 10, 0, 60000, 10000)};

/* One load in progress; `folder` has its trailing slash. */
typedef struct loader {
    ddome_error *error;
    nn_arena *arena;
    const idx_format *format;
    const char *folder;
} loader;

/* One file in memory: its bytes behind the head, and how many records they are. */
typedef struct idx_file {
    data_place place;
    uint8_t *bytes;
    size_t size, count;
} idx_file;

static unsigned long big_endian(const uint8_t *at)
{
    return (unsigned long)at[0] << 24 | (unsigned long)at[1] << 16 | (unsigned long)at[2] << 8 |
           at[3];
}

/* SPEC 7.8.4: the distributed form, which nothing here unpacks. */
static ddome_status refuse_gzip(const loader *load, const char *path)
{
    return nn_fail(load->error, DDOME_ERR_DATA,
                   "%s is compressed by gzip: expected the file itself; unpack it with gunzip",
                   path);
}

/* PATH.gz in its place is worth its own word. */
static ddome_status refuse_missing(const loader *load, const char *path)
{
    const size_t length = strlen(path);
    char *packed = nn_arena_alloc(load->arena, length + 4, 1);
    if (packed == NULL)
        return nn_arena_fail(load->error, load->arena, "a path of the data");
    memcpy(packed, path, length);
    memcpy(packed + length, ".gz", 4);
    if (nn_os_exists(packed))
        return refuse_gzip(load, packed);
    return nn_fail(load->error, DDOME_ERR_DATA,
                   "%s is missing; expected the IDX files of %s, unpacked", path,
                   load->format->name);
}

static ddome_status check_word(const loader *load, const idx_file *file, size_t offset,
                               const char *what, unsigned long want)
{
    const unsigned long found = big_endian(file->bytes + offset);
    if (found == want)
        return DDOME_OK;
    return nn_fail(load->error, DDOME_ERR_DATA,
                   "%s offset %lu: expected %s %lu, found %lu; is this the right file? download "
                   "it again",
                   file->place.path, (unsigned long)offset, what, want, found);
}

/* SPEC 7.8.2: as many bytes as the head says. The product cannot overflow what it is held against:
 * the records are counted first (64-bit product of a 32-bit number). */
static ddome_status check_length(const loader *load, const idx_file *file, size_t head,
                                 size_t record)
{
    const uint64_t want = head + (uint64_t)file->count * record;
    if (want == file->size)
        return DDOME_OK;
    return nn_fail(load->error, DDOME_ERR_DATA,
                   "%s offset 4: expected %llu bytes for its %lu records, found %lu; download it "
                   "again",
                   file->place.path, (unsigned long long)want, (unsigned long)file->count,
                   (unsigned long)file->size);
}

static ddome_status check_head(const loader *load, const idx_file *file, const data_file *name,
                               size_t head, size_t record)
{
    if (file->count == 0)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s offset 4: expected at least one record, found 0; download it again",
                       file->place.path);
    ddome_status status = data_file_check_records(load->error, &file->place, name, file->count);
    return status == DDOME_OK ? check_length(load, file, head, record) : status;
}

/* Finds and reads the file; magic and number of records. The bytes stay in the arena. */
static ddome_status read_file(const loader *load, idx_file *file, const data_file *name,
                              size_t head, unsigned long magic)
{
    ddome_status status =
        data_file_find(load->error, load->arena, &file->place, load->folder, name);
    if (status != DDOME_OK)
        return status;
    const char *path = file->place.path;
    if (!file->place.there)
        return refuse_missing(load, path);
    status =
        nn_os_read_file(load->error, load->arena, &file->bytes, &file->size, path, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    if (file->size >= 2 && file->bytes[0] == 0x1f && file->bytes[1] == 0x8b)
        return refuse_gzip(load, path);
    if (file->size < head)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s offset %lu: the head is cut: expected %lu bytes; download it again",
                       path, (unsigned long)file->size, (unsigned long)head);
    file->count = (size_t)big_endian(file->bytes + 4);
    return check_word(load, file, 0, "the magic number", magic);
}

static ddome_status read_images(const loader *load, idx_file *file, const data_file *name)
{
    ddome_status status = read_file(load, file, name, IMAGE_HEAD, IMAGE_MAGIC);
    if (status == DDOME_OK)
        status = check_word(load, file, 8, "rows", SIDE);
    if (status == DDOME_OK)
        status = check_word(load, file, 12, "columns", SIDE);
    if (status == DDOME_OK)
        status = check_head(load, file, name, IMAGE_HEAD, IMAGE_BYTES);
    return status;
}

/* Of excluded records, too (SPEC 7.8.2). */
static ddome_status check_labels(const loader *load, const idx_file *file)
{
    const size_t low = load->format->first_label, high = low + load->format->classes - 1;
    for (size_t i = 0; i < file->count; i++) {
        const uint8_t label = file->bytes[LABEL_HEAD + i];
        if (label < low || label > high)
            return nn_fail(load->error, DDOME_ERR_DATA,
                           "%s offset %lu: expected a label %lu..%lu, found %u; download it again",
                           file->place.path, (unsigned long)(LABEL_HEAD + i), (unsigned long)low,
                           (unsigned long)high, (unsigned)label);
    }
    return DDOME_OK;
}

static ddome_status read_labels(const loader *load, idx_file *file, const data_file *name,
                                const idx_file *images)
{
    ddome_status status = read_file(load, file, name, LABEL_HEAD, LABEL_MAGIC);
    if (status == DDOME_OK)
        status = check_head(load, file, name, LABEL_HEAD, 1);
    if (status == DDOME_OK && file->count != images->count)
        status = nn_fail(load->error, DDOME_ERR_DATA,
                         "%s offset 4: expected the %lu records of %s, found %lu; take both files "
                         "from one place",
                         file->place.path, (unsigned long)images->count, images->place.path,
                         (unsigned long)file->count);
    return status == DDOME_OK ? check_labels(load, file) : status;
}

/* In place; a square has the same bytes either way. SPEC 7.8.3. */
static void transpose(uint8_t *image)
{
    for (size_t y = 0; y < SIDE; y++)
        for (size_t x = 0; x < y; x++) {
            const uint8_t lower = image[y * SIDE + x];
            image[y * SIDE + x] = image[x * SIDE + y];
            image[x * SIDE + y] = lower;
        }
}

/* Records that stay move down over excluded ones (SPEC 7.2.3); returns how many they are. */
static size_t settle(const idx_format *format, uint8_t *pixels, uint8_t *labels, size_t count,
                     const uint8_t *excluded)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (excluded != NULL && excluded[i])
            continue;
        uint8_t *image = pixels + kept * IMAGE_BYTES;
        if (kept != i)
            memcpy(image, pixels + i * IMAGE_BYTES, IMAGE_BYTES);
        if (format->transposed)
            transpose(image);
        labels[kept++] = (uint8_t)(labels[i] - format->first_label);
    }
    return kept;
}

/* Records stay below the marks of the list: files have at most the official number (SPEC 7.8.5). */
static ddome_status load_split(const loader *load, data_split *split, const idx_split *files,
                               const uint8_t *excluded)
{
    idx_file images = {{NULL, false, 0}, NULL, 0, 0}, labels = images;
    ddome_status status = read_images(load, &images, &files->images);
    if (status == DDOME_OK)
        status = read_labels(load, &labels, &files->labels, &images);
    if (status != DDOME_OK)
        return status;
    uint8_t *pixels = images.bytes + IMAGE_HEAD, *label = labels.bytes + LABEL_HEAD;
    const size_t kept = settle(load->format, pixels, label, images.count, excluded);
    if (kept == 0)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s: every record of %s is excluded; exclude fewer", load->folder,
                       files->name);
    data_split made = {kept, pixels, label, {{0}}};
    made.hash = data_split_hash(&made, IMAGE_BYTES);
    *split = made;
    return DDOME_OK;
}

static ddome_status load_splits(const loader *load, data_set *set, const char *exclude)
{
    data_exclusion list;
    const idx_format *format = load->format;
    ddome_status status =
        data_exclusion_read(load->error, load->arena, &list, exclude, format->indices);
    if (status == DDOME_OK)
        status = load_split(load, &set->train, &format->train, list.train);
    if (status == DDOME_OK)
        status = load_split(load, &set->test, &format->test, list.test);
    return status;
}

static ddome_status load_set(ddome_error *error, nn_arena *arena, data_set *set,
                             const data_idx_source *source, const idx_format *format)
{
    loader load = {error, arena, format, NULL};
    data_set made = {0};
    nn_arena_mark mark = nn_arena_get_mark(arena);
    made.name = format->name;
    made.h = made.w = SIDE;
    made.c = 1;
    made.classes = format->classes;
    data_set_normalize(&made, &format->mean, &format->deviation);
    ddome_status status = data_folder_find(error, arena, &load.folder, source->dir, format->name,
                                           &format->test.images);
    if (status == DDOME_OK)
        status = load_splits(&load, &made, source->exclude);
    if (status == DDOME_OK)
        *set = made;
    else
        nn_arena_rewind(arena, mark);
    return status;
}

ddome_status data_mnist_load(ddome_error *error, nn_arena *arena, data_set *set,
                             const data_idx_source *source)
{
    return load_set(error, arena, set, source, &mnist);
}

ddome_status data_emnist_load(ddome_error *error, nn_arena *arena, data_set *set,
                              const data_idx_source *source)
{
    return load_set(error, arena, set, source, &emnist[source->split]);
}

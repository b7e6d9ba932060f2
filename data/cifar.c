/* SPDX-License-Identifier: MIT */
/* Reads the binary CIFAR files and the exclusion list, checked to the byte. SPEC 7.1, 7.2. */
#include "cifar.h"

#include "../nn/os.h"
#include "exclude.h"
#include "files.h"

enum {
    SIDE = 32,
    CHANNELS = 3,
    PLANE = SIDE * SIDE,
    IMAGE_BYTES = PLANE * CHANNELS,
    MAX_LABEL_BYTES = 2,
    CIFAR10_BATCHES = 5,
    INDICES = 60000 /* no official index of either split reaches this */
};

typedef struct label_field {
    const char *name;
    unsigned classes;
} label_field;

/* One file: its records have the official indices first_index, first_index + 1, ... */
typedef struct cifar_file {
    data_file file;
    size_t first_index;
} cifar_file;

/* A record is one byte per label field, then IMAGE_BYTES. */
typedef struct cifar_format {
    const char *name, *folder;
    size_t label_bytes;
    label_field field[MAX_LABEL_BYTES];
    float mean[CHANNELS], deviation[CHANNELS]; /* SPEC 7.3 */
    cifar_file train[CIFAR10_BATCHES], test;
} cifar_format;

/* Files, labels and official indices (SPEC 7.1.1, 7.2.1); constants of SPEC 7.3.2. */
static const cifar_format cifar10 = {"cifar10",
                                     "cifar-10-batches-bin",
                                     1,
                                     {{"label", 10}},
                                     {0.4914f, 0.4822f, 0.4465f},
                                     {0.2470f, 0.2435f, 0.2616f},
                                     {{{"data_batch_1", "_", ".bin", 10000}, 0},
                                      {{"data_batch_2", "_", ".bin", 10000}, 10000},
                                      {{"data_batch_3", "_", ".bin", 10000}, 20000},
                                      {{"data_batch_4", "_", ".bin", 10000}, 30000},
                                      {{"data_batch_5", "_", ".bin", 10000}, 40000}},
                                     {{"test_batch", "_", ".bin", 10000}, 0}};

enum { COARSE, FINE };

static const cifar_format cifar100 = {
    "cifar100",
    "cifar-100-binary",
    2,
    {[COARSE] = {"coarse label", 20}, [FINE] = {"fine label", 100}},
    {0.5071f, 0.4865f, 0.4409f},
    {0.2673f, 0.2564f, 0.2762f},
    {{{"train", "_", ".bin", 50000}, 0}},
    {{"test", "_", ".bin", 10000}, 0}};

/* One load in progress. `folder` is where the files are, with the trailing slash; the label field
 * number `label` is the class. */
typedef struct loader {
    ddome_error *error;
    nn_arena *arena;
    const cifar_format *format;
    size_t label;
    const char *folder;
} loader;

/* A split being filled; excluded is indexed by official index, NULL when nothing is. */
typedef struct filling {
    uint8_t *pixels, *labels;
    size_t count, room;
    const uint8_t *excluded;
} filling;

static size_t record_bytes(const cifar_format *format)
{
    return format->label_bytes + IMAGE_BYTES;
}

static unsigned long official_bytes(const cifar_format *format, const cifar_file *file)
{
    return (unsigned long)(file->file.records * record_bytes(format));
}

/* SPEC 7.1.2, 7.1.5. */
static ddome_status check_size(const loader *load, const cifar_file *file, const data_place *place,
                               size_t size)
{
    unsigned long record = (unsigned long)record_bytes(load->format);
    unsigned long official = official_bytes(load->format, file), found = (unsigned long)size;
    if (size == 0 || size % record != 0)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s offset %lu: the record is cut: expected a multiple of %lu bytes, "
                       "found %lu; the official file has %lu bytes; download it again",
                       place->path, found - found % record, record, found, official);
    if (size > official)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s: expected at most the official %lu bytes, found %lu; download it again",
                       place->path, official, found);
    return data_file_check_records(load->error, place, &file->file, size / record);
}

/* Of excluded records, too (SPEC 7.1.4). */
static ddome_status check_labels(const loader *load, const cifar_file *file, const char *path,
                                 const unsigned char *record, size_t offset)
{
    for (size_t i = 0; i < load->format->label_bytes; i++) {
        const label_field *field = &load->format->field[i];
        if (record[i] >= field->classes)
            return nn_fail(load->error, DDOME_ERR_DATA,
                           "%s offset %lu: expected a %s 0..%u, found %u; the official file has "
                           "%lu bytes; download it again",
                           path, (unsigned long)(offset + i), field->name, field->classes - 1,
                           (unsigned)record[i], official_bytes(load->format, file));
    }
    return DDOME_OK;
}

/* Planes to NHWC (SPEC 7.1.3). */
static void add_record(filling *fill, const loader *load, const unsigned char *record)
{
    const unsigned char *planes = record + load->format->label_bytes;
    uint8_t *pixels = fill->pixels + fill->count * IMAGE_BYTES;
    for (size_t i = 0; i < PLANE; i++)
        for (size_t c = 0; c < CHANNELS; c++)
            pixels[i * CHANNELS + c] = planes[c * PLANE + i];
    fill->labels[fill->count++] = record[load->label];
}

static ddome_status add_records(const loader *load, filling *fill, const cifar_file *file,
                                const char *path, const unsigned char *bytes, size_t size)
{
    size_t record = record_bytes(load->format);
    for (size_t i = 0; i < size / record; i++) {
        ddome_status status = check_labels(load, file, path, bytes + i * record, i * record);
        if (status != DDOME_OK)
            return status;
        if (fill->excluded != NULL && fill->excluded[file->first_index + i])
            continue;
        if (fill->count == fill->room)
            return nn_fail(load->error, DDOME_ERR_IO,
                           "%s became longer while it was read; leave it alone and run again",
                           path);
        add_record(fill, load, bytes + i * record);
    }
    return DDOME_OK;
}

/* The bytes stay in the arena. */
static ddome_status read_file(const loader *load, unsigned char **bytes, size_t *size,
                              data_place *place, const cifar_file *file)
{
    ddome_status status =
        data_file_find(load->error, load->arena, place, load->folder, &file->file);
    if (status != DDOME_OK)
        return status;
    if (!place->there)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s is missing; expected the binary version of the data set, %s",
                       place->path, load->format->folder);
    status = nn_os_read_file(load->error, load->arena, bytes, size, place->path, DDOME_ERR_DATA);
    return status == DDOME_OK ? check_size(load, file, place, *size) : status;
}

/* Adds the records to the split, or counts them when there is no split yet; the file's bytes are
 * given back. */
static ddome_status take_file(const loader *load, filling *fill, size_t *records,
                              const cifar_file *file)
{
    unsigned char *bytes;
    size_t size;
    data_place place;
    nn_arena_mark mark = nn_arena_get_mark(load->arena);
    ddome_status status = read_file(load, &bytes, &size, &place, file);
    if (status == DDOME_OK && fill != NULL)
        status = add_records(load, fill, file, place.path, bytes, size);
    else if (status == DDOME_OK)
        *records += size / record_bytes(load->format);
    nn_arena_rewind(load->arena, mark);
    return status;
}

/* Bit i of chosen stands for files[i]. */
static ddome_status take_files(const loader *load, filling *fill, size_t *records,
                               const cifar_file *files, unsigned chosen)
{
    ddome_status status = DDOME_OK;
    for (size_t i = 0; status == DDOME_OK && chosen >> i != 0; i++)
        if ((chosen >> i & 1) != 0)
            status = take_file(load, fill, records, &files[i]);
    return status;
}

/* The files are read twice, the first time to count: so memory is bounded by what they hold, not by
 * what the official ones do, and the room lies below their bytes. */
static ddome_status fill_split(const loader *load, filling *fill, const cifar_file *files,
                               unsigned chosen)
{
    ddome_status status = take_files(load, NULL, &fill->room, files, chosen);
    if (status != DDOME_OK)
        return status;
    fill->pixels = nn_arena_alloc(load->arena, fill->room, IMAGE_BYTES);
    fill->labels = nn_arena_alloc(load->arena, fill->room, 1);
    if (fill->pixels == NULL || fill->labels == NULL)
        return nn_arena_fail(load->error, load->arena, load->format->name);
    return take_files(load, fill, NULL, files, chosen);
}

/* A split that keeps no record is refused (SPEC 7.2.3). */
static ddome_status load_split(const loader *load, data_split *split, const cifar_file *files,
                               unsigned chosen, const uint8_t *excluded)
{
    filling fill = {NULL, NULL, 0, 0, excluded};
    ddome_status status = fill_split(load, &fill, files, chosen);
    if (status != DDOME_OK)
        return status;
    if (fill.count == 0)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s: every record of %s is excluded; exclude fewer", load->folder,
                       files == &load->format->test ? "the test split" : "the train split");
    data_split made = {fill.count, fill.pixels, fill.labels, {{0}}};
    made.hash = data_split_hash(&made, IMAGE_BYTES);
    *split = made;
    return DDOME_OK;
}

/* Both splits; excluded records are never stored, so later ones move down (SPEC 7.2.3). */
static ddome_status load_splits(const loader *load, data_set *set, const char *exclude,
                                unsigned chosen)
{
    data_exclusion list;
    const cifar_format *format = load->format;
    ddome_status status = data_exclusion_read(load->error, load->arena, &list, exclude, INDICES);
    if (status == DDOME_OK)
        status = load_split(load, &set->train, format->train, chosen, list.train);
    if (status == DDOME_OK)
        status = load_split(load, &set->test, &format->test, 1, list.test);
    return status;
}

static ddome_status load_set(ddome_error *error, nn_arena *arena, data_set *set,
                             const data_cifar_source *source, const cifar_format *format,
                             size_t label, unsigned chosen)
{
    loader load = {error, arena, format, label, NULL};
    data_set made = {0};
    nn_arena_mark mark = nn_arena_get_mark(arena);
    made.name = format->name;
    made.h = made.w = SIDE;
    made.c = CHANNELS;
    made.classes = format->field[label].classes;
    data_set_normalize(&made, format->mean, format->deviation);
    ddome_status status = data_folder_find(error, arena, &load.folder, source->dir, format->folder,
                                           &format->test.file);
    if (status == DDOME_OK)
        status = load_splits(&load, &made, source->exclude, chosen);
    if (status == DDOME_OK)
        *set = made;
    else
        nn_arena_rewind(arena, mark);
    return status;
}

ddome_status data_cifar10_load(ddome_error *error, nn_arena *arena, data_set *set,
                               const data_cifar_source *source)
{
    if (source->batches == 0 || source->batches >> CIFAR10_BATCHES != 0)
        return nn_fail(error, DDOME_ERR_USAGE, "cifar10_batches: expected one or more of 1..%d",
                       CIFAR10_BATCHES);
    return load_set(error, arena, set, source, &cifar10, 0, source->batches);
}

ddome_status data_cifar100_load(ddome_error *error, nn_arena *arena, data_set *set,
                                const data_cifar_source *source)
{
    return load_set(error, arena, set, source, &cifar100, source->coarse ? COARSE : FINE, 1);
}

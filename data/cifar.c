/* SPDX-License-Identifier: MIT */
/* Reads the binary CIFAR files and the exclusion list, checked to the byte. SPEC 7.1, 7.2. */
#include "cifar.h"

#include <string.h>

#include "../nn/os.h"

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
    const char *name;
    size_t first_index, records; /* of the official file */
} cifar_file;

/* A record is one byte per label field, then IMAGE_BYTES; the last field is the class. */
typedef struct cifar_format {
    const char *name, *folder;
    size_t label_bytes, classes;
    label_field field[MAX_LABEL_BYTES];
    float mean[CHANNELS], deviation[CHANNELS]; /* SPEC 7.3 */
    cifar_file train[CIFAR10_BATCHES], test;
} cifar_format;

/* Files, labels and official indices (SPEC 7.1.1, 7.2.1); constants of SPEC 7.3.2. */
static const cifar_format cifar10 = {"cifar10",
                                     "cifar-10-batches-bin",
                                     1,
                                     10,
                                     {{"label", 10}},
                                     {0.4914f, 0.4822f, 0.4465f},
                                     {0.2470f, 0.2435f, 0.2616f},
                                     {{"data_batch_1.bin", 0, 10000},
                                      {"data_batch_2.bin", 10000, 10000},
                                      {"data_batch_3.bin", 20000, 10000},
                                      {"data_batch_4.bin", 30000, 10000},
                                      {"data_batch_5.bin", 40000, 10000}},
                                     {"test_batch.bin", 0, 10000}};

static const cifar_format cifar100 = {"cifar100",
                                      "cifar-100-binary",
                                      2,
                                      100,
                                      {{"coarse label", 20}, {"fine label", 100}},
                                      {0.5071f, 0.4865f, 0.4409f},
                                      {0.2673f, 0.2564f, 0.2762f},
                                      {{"train.bin", 0, 50000}},
                                      {"test.bin", 0, 10000}};

/* One load in progress. `folder` is where the files are, with the trailing slash. */
typedef struct loader {
    ddome_error *error;
    nn_arena *arena;
    const cifar_format *format;
    const char *folder;
} loader;

/* A split being filled; excluded is indexed by official index, NULL when nothing is. */
typedef struct filling {
    uint8_t *pixels, *labels;
    size_t count;
    const uint8_t *excluded;
} filling;

static size_t record_bytes(const cifar_format *format)
{
    return format->label_bytes + IMAGE_BYTES;
}

static unsigned long official_bytes(const cifar_format *format, const cifar_file *file)
{
    return (unsigned long)(file->records * record_bytes(format));
}

/* SPEC 7.1.2. */
static ddome_status check_size(const loader *load, const cifar_file *file, size_t size)
{
    unsigned long record = (unsigned long)record_bytes(load->format);
    unsigned long official = official_bytes(load->format, file), found = (unsigned long)size;
    if (size == 0 || size % record != 0)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s%s offset %lu: the record is cut: expected a multiple of %lu bytes, "
                       "found %lu; the official file has %lu bytes; download it again",
                       load->folder, file->name, found - found % record, record, found, official);
    if (size > official)
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s%s: expected at most the official %lu bytes, found %lu; download it "
                       "again",
                       load->folder, file->name, official, found);
    return DDOME_OK;
}

/* Of excluded records, too (SPEC 7.1.4). */
static ddome_status check_labels(const loader *load, const cifar_file *file,
                                 const unsigned char *record, size_t offset)
{
    for (size_t i = 0; i < load->format->label_bytes; i++) {
        const label_field *field = &load->format->field[i];
        if (record[i] >= field->classes)
            return nn_fail(load->error, DDOME_ERR_DATA,
                           "%s%s offset %lu: expected a %s 0..%u, found %u; the official file has "
                           "%lu bytes; download it again",
                           load->folder, file->name, (unsigned long)(offset + i), field->name,
                           field->classes - 1, (unsigned)record[i],
                           official_bytes(load->format, file));
    }
    return DDOME_OK;
}

/* Planes to NHWC (SPEC 7.1.3). */
static void add_record(filling *fill, const cifar_format *format, const unsigned char *record)
{
    const unsigned char *planes = record + format->label_bytes;
    uint8_t *pixels = fill->pixels + fill->count * IMAGE_BYTES;
    for (size_t i = 0; i < PLANE; i++)
        for (size_t c = 0; c < CHANNELS; c++)
            pixels[i * CHANNELS + c] = planes[c * PLANE + i];
    fill->labels[fill->count++] = record[format->label_bytes - 1];
}

static ddome_status add_records(const loader *load, filling *fill, const cifar_file *file,
                                const unsigned char *bytes, size_t size)
{
    size_t record = record_bytes(load->format);
    for (size_t i = 0; i < size / record; i++) {
        ddome_status status = check_labels(load, file, bytes + i * record, i * record);
        if (status != DDOME_OK)
            return status;
        if (fill->excluded == NULL || !fill->excluded[file->first_index + i])
            add_record(fill, load->format, bytes + i * record);
    }
    return DDOME_OK;
}

/* Three strings after one another; NULL when memory is out. */
static char *join(nn_arena *arena, const char *a, const char *b, const char *c)
{
    size_t na = strlen(a), nb = strlen(b), nc = strlen(c);
    char *joined = nn_arena_alloc(arena, na + nb + nc + 1, 1);
    if (joined == NULL)
        return NULL;
    memcpy(joined, a, na);
    memcpy(joined + na, b, nb);
    memcpy(joined + na + nb, c, nc + 1);
    return joined;
}

static ddome_status read_file(const loader *load, filling *fill, const cifar_file *file)
{
    unsigned char *bytes;
    size_t size;
    const char *path = join(load->arena, load->folder, file->name, "");
    if (path == NULL)
        return nn_arena_fail(load->error, load->arena, file->name);
    if (!nn_os_exists(path))
        return nn_fail(load->error, DDOME_ERR_DATA,
                       "%s is missing; expected the binary version of the data set, %s", path,
                       load->format->folder);
    ddome_status status =
        nn_os_read_file(load->error, load->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK)
        status = check_size(load, file, size);
    if (status == DDOME_OK)
        status = add_records(load, fill, file, bytes, size);
    return status;
}

/* The file's bytes are given back when its records are copied. */
static ddome_status add_file(const loader *load, filling *fill, const cifar_file *file)
{
    nn_arena_mark mark = nn_arena_get_mark(load->arena);
    ddome_status status = read_file(load, fill, file);
    nn_arena_rewind(load->arena, mark);
    return status;
}

/* Room for the official number of records comes first, below the bytes of the files. */
static ddome_status start_filling(const loader *load, filling *fill, const cifar_file *files,
                                  unsigned chosen)
{
    size_t records = 0;
    for (size_t i = 0; chosen >> i != 0; i++)
        records += (chosen >> i & 1) != 0 ? files[i].records : 0;
    fill->count = 0;
    fill->pixels = nn_arena_alloc(load->arena, records, IMAGE_BYTES);
    fill->labels = nn_arena_alloc(load->arena, records, 1);
    if (fill->pixels == NULL || fill->labels == NULL)
        return nn_arena_fail(load->error, load->arena, load->format->name);
    return DDOME_OK;
}

/* Bit i of chosen stands for files[i]. A split that keeps no record is refused (SPEC 7.2.3). */
static ddome_status load_split(const loader *load, data_split *split, const cifar_file *files,
                               unsigned chosen, const uint8_t *excluded)
{
    filling fill = {NULL, NULL, 0, excluded};
    ddome_status status = start_filling(load, &fill, files, chosen);
    for (size_t i = 0; status == DDOME_OK && chosen >> i != 0; i++)
        if ((chosen >> i & 1) != 0)
            status = add_file(load, &fill, &files[i]);
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

/* The exclusion list (SPEC 7.2). */
typedef struct exclusion {
    uint8_t train[INDICES], test[INDICES];
} exclusion;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return *at == '#' ? at + strcspn(at, "\n") : at;
}

/* One index; NULL when it is no number below INDICES. */
static const char *take_index(const char *at, size_t *index)
{
    const char *start = at;
    *index = 0;
    while (*at >= '0' && *at <= '9' && *index < INDICES)
        *index = *index * 10 + (size_t)(*at++ - '0');
    bool ended = is_blank(*at) || *at == '\n' || *at == '#' || *at == '\0';
    return at > start && ended && *index < INDICES ? at : NULL;
}

/* The word at the start of a line says which split its indices are of; NULL when it is neither. */
static uint8_t *marks_of(exclusion *list, const char *word, size_t length)
{
    if (length == 5 && memcmp(word, "train", length) == 0)
        return list->train;
    return length == 4 && memcmp(word, "test", length) == 0 ? list->test : NULL;
}

/* Where the line stops: at its line feed, at the end, or at what does not belong there
 * (SPEC 7.2.2). */
static const char *take_line(const char *at, exclusion *list)
{
    at = skip_blanks(at);
    size_t word = strcspn(at, " \t\r\n#");
    uint8_t *marks = marks_of(list, at, word);
    if (marks == NULL)
        return at;
    at = skip_blanks(at + word);
    size_t index;
    for (const char *next; (next = take_index(at, &index)) != NULL; at = skip_blanks(next))
        marks[index] = 1;
    return at;
}

static ddome_status read_exclusion(const loader *load, exclusion *list, const char *path)
{
    unsigned char *bytes;
    size_t size;
    ddome_status status =
        nn_os_read_file(load->error, load->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    const char *at = (const char *)bytes, *end = at + size;
    for (unsigned long line = 1; at < end; line++) {
        at = take_line(at, list);
        if (at < end && *at++ != '\n')
            return nn_fail(load->error, DDOME_ERR_DATA,
                           "%s line %lu: expected train or test and record indices 0..%d; mend "
                           "the line",
                           path, line, INDICES - 1);
    }
    return DDOME_OK;
}

/* Both splits; excluded records are never stored, so later ones move down (SPEC 7.2.3). */
static ddome_status load_splits(const loader *load, data_set *set, const char *exclude,
                                unsigned chosen)
{
    exclusion *list = NULL;
    ddome_status status = DDOME_OK;
    if (exclude != NULL) {
        list = nn_arena_zero(load->arena, 1, sizeof *list);
        if (list == NULL)
            return nn_arena_fail(load->error, load->arena, exclude);
        status = read_exclusion(load, list, exclude);
    }
    const cifar_format *format = load->format;
    if (status == DDOME_OK)
        status = load_split(load, &set->train, format->train, chosen, list ? list->train : NULL);
    if (status == DDOME_OK)
        status = load_split(load, &set->test, &format->test, 1, list ? list->test : NULL);
    return status;
}

/* dir/FOLDER/ when the test file is in it, else dir/ itself. */
static ddome_status find_folder(loader *load, const char *dir)
{
    const char *outer = join(load->arena, dir, "/", "");
    const char *bare = outer == NULL ? NULL : join(load->arena, outer, load->format->folder, "");
    const char *inner = bare == NULL ? NULL : join(load->arena, bare, "/", "");
    const char *probe =
        inner == NULL ? NULL : join(load->arena, inner, load->format->test.name, "");
    if (probe == NULL)
        return nn_arena_fail(load->error, load->arena, "data path");
    load->folder = nn_os_exists(probe) ? inner : outer;
    return DDOME_OK;
}

static ddome_status load_set(ddome_error *error, nn_arena *arena, data_set *set,
                             const data_cifar_source *source, const cifar_format *format,
                             unsigned chosen)
{
    loader load = {error, arena, format, NULL};
    data_set made = {0};
    nn_arena_mark mark = nn_arena_get_mark(arena);
    made.name = format->name;
    made.h = made.w = SIDE;
    made.c = CHANNELS;
    made.classes = format->classes;
    data_set_normalize(&made, format->mean, format->deviation);
    ddome_status status = find_folder(&load, source->dir);
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
    return load_set(error, arena, set, source, &cifar10, source->batches);
}

ddome_status data_cifar100_load(ddome_error *error, nn_arena *arena, data_set *set,
                                const data_cifar_source *source)
{
    return load_set(error, arena, set, source, &cifar100, 1);
}

/* SPDX-License-Identifier: MIT */
/* The parts of a state one by one: listed, to be written, or read from a file. SPEC 17.6.3. */
#include "state_walk.h"

#include <stdio.h>
#include <string.h>

#include "run.h"

enum { CHUNK_BYTES = 1 << 20 };

static const struct {
    const char *name;
    size_t bytes;
} TYPE[] = {{"F32", 4}, {"F64", 8}, {"U64", 8}, {"U32", 4}, {"U8", 1}};

/* ---- numbers as bytes ---- */

static void to_bytes(unsigned char *bytes, const void *data, size_t first, size_t count,
                     fl_walk_type type)
{
    const size_t width = TYPE[type].bytes;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *from = (const unsigned char *)data + (first + i) * width;
        uint64_t word = *from;
        uint32_t half;
        if (width == 8)
            memcpy(&word, from, 8);
        if (width == 4) {
            memcpy(&half, from, 4);
            word = half;
        }
        for (size_t b = 0; b < width; b++)
            bytes[i * width + b] = (unsigned char)(word >> 8 * b);
    }
}

static uint64_t word_at(const unsigned char *bytes, size_t width)
{
    uint64_t word = 0;
    for (size_t b = 0; b < width; b++)
        word |= (uint64_t)bytes[b] << 8 * b;
    return word;
}

static void from_bytes(void *data, const unsigned char *bytes, size_t count, fl_walk_type type)
{
    const size_t width = TYPE[type].bytes;
    for (size_t i = 0; i < count; i++) {
        const uint64_t word = word_at(bytes + i * width, width);
        const uint32_t half = (uint32_t)word;
        unsigned char *to = (unsigned char *)data + i * width;
        if (width == 8)
            memcpy(to, &word, 8);
        else if (width == 4)
            memcpy(to, &half, 4);
        else
            *to = (unsigned char)word;
    }
}

static bool all_finite(const unsigned char *bytes, size_t count, fl_walk_type type)
{
    const size_t width = TYPE[type].bytes;
    const uint64_t exponent =
        type == FL_WALK_F32 ? (uint64_t)0xff << 23 : (uint64_t)0x7ff << 52; /* all ones: none */
    for (size_t i = 0; i < count && (type == FL_WALK_F32 || type == FL_WALK_F64); i++)
        if ((word_at(bytes + i * width, width) & exponent) == exponent)
            return false;
    return true;
}

/* ---- one part ---- */

static void out_of_memory(fl_walk *w)
{
    w->status = nn_arena_fail(w->error, w->arena, "the state of a run");
}

void *fl_walk_room(fl_walk *w, size_t count, size_t size)
{
    void *room = w->status == DDOME_OK ? nn_arena_zero(w->arena, count, size) : NULL;
    if (room == NULL && w->status == DDOME_OK)
        out_of_memory(w);
    return room;
}

static void list_part(fl_walk *w, const char *name, size_t count, const fl_walk_part *part)
{
    if (w->count == w->capacity) {
        const size_t capacity = nn_max(64, 2 * w->capacity);
        data_safetensor *tensor = nn_arena_alloc(w->arena, capacity, sizeof *tensor);
        fl_walk_part *parts = nn_arena_alloc(w->arena, capacity, sizeof *parts);
        if (tensor == NULL || parts == NULL) {
            out_of_memory(w);
            return;
        }
        if (w->count != 0) {
            memcpy(tensor, w->tensor, w->count * sizeof *tensor);
            memcpy(parts, w->part, w->count * sizeof *parts);
        }
        w->tensor = tensor;
        w->part = parts;
        w->capacity = capacity;
    }
    uint64_t *shape = nn_arena_alloc(w->arena, 1, sizeof *shape);
    char *copy = nn_arena_string(w->arena, name);
    if (shape == NULL || copy == NULL) {
        out_of_memory(w);
        return;
    }
    *shape = count;
    w->tensor[w->count] = (data_safetensor){.name = copy,
                                            .dtype = TYPE[part->type].name,
                                            .rank = 1,
                                            .shape = shape,
                                            .byte_count = count * TYPE[part->type].bytes};
    w->part[w->count++] = *part;
}

void fl_walk_list(fl_walk *w, fl_walk_type type, const char *name, const void *data, size_t count)
{
    const fl_walk_part part = {.data = data, .type = type};
    list_part(w, name, count, &part);
}

void fl_walk_misfit(fl_walk *w, const char *name, const char *expected, uint64_t count)
{
    w->status = nn_fail(w->error, DDOME_ERR_RESUME,
                        "the checkpoint does not fit the run: tensor %s: expected %s (%llu)", name,
                        expected, (unsigned long long)count);
}

void fl_walk_need(fl_walk *w, bool holds, const char *name, const char *expected, uint64_t count)
{
    if (w->file != NULL && w->status == DDOME_OK && !holds)
        fl_walk_misfit(w, name, expected, count);
}

/* Parts of one kind are walked as they stand in the file: one behind the one before. */
static const data_safetensor *find(fl_walk *w, const char *name)
{
    const data_safetensors *file = w->file;
    const data_safetensor *tensor = NULL;
    for (size_t i = w->next == 0 ? 0 : w->next - 1; i < file->count && i <= w->next; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            tensor = &file->tensor[i];
    if (tensor == NULL)
        tensor = data_safetensors_find(file, name);
    if (tensor != NULL)
        w->next = (size_t)(tensor - file->tensor) + 1;
    return tensor;
}

/* NULL, and the walk has failed, when there is none of that type and length. */
static const data_safetensor *find_part(fl_walk *w, fl_walk_type type, const char *name,
                                        size_t count)
{
    const data_safetensor *tensor = find(w, name);
    if (tensor != NULL && strcmp(tensor->dtype, TYPE[type].name) == 0 && tensor->rank == 1 &&
        tensor->shape[0] == count)
        return tensor;
    fl_walk_misfit(w, name, TYPE[type].name, count);
    return NULL;
}

/* Values first .. first + count - 1 of a tensor; `bytes` has room for them. */
static void read_some(fl_walk *w, fl_walk_type type, const data_safetensor *tensor, void *data,
                      size_t first, size_t count, unsigned char *bytes)
{
    const size_t width = TYPE[type].bytes;
    ddome_error inner = {DDOME_OK, ""};
    w->status = data_safetensors_read(&inner, w->file, tensor, first * width, bytes, count * width);
    if (w->status == DDOME_ERR_DATA) /* it was whole when its hash was taken */
        w->status = DDOME_ERR_RESUME;
    if (w->status != DDOME_OK)
        nn_fail(w->error, w->status, "%s", inner.text);
    if (w->status == DDOME_OK && !all_finite(bytes, count, type))
        fl_walk_misfit(w, tensor->name, "finite values", tensor->shape[0]);
    if (w->status == DDOME_OK)
        from_bytes(data, bytes, count, type);
}

/* Piece by piece, so that the memory it takes does not grow with the tensor. */
static void read_part(fl_walk *w, fl_walk_type type, const char *name, void *data, size_t count)
{
    const size_t width = TYPE[type].bytes;
    const data_safetensor *tensor = find_part(w, type, name, count);
    const nn_arena_mark mark = nn_arena_get_mark(w->arena);
    unsigned char *chunk = fl_walk_room(w, nn_min(count * width, CHUNK_BYTES), 1);
    for (size_t first = 0; first < count && w->status == DDOME_OK;) {
        const size_t some = nn_min(count - first, CHUNK_BYTES / width);
        read_some(w, type, tensor, (unsigned char *)data + first * width, first, some, chunk);
        first += some;
    }
    nn_arena_rewind(w->arena, mark);
    w->found += w->status == DDOME_OK;
}

void fl_walk_values(fl_walk *w, fl_walk_type type, const char *name, void *data, size_t count)
{
    if (w->status != DDOME_OK)
        return;
    if (w->file == NULL)
        fl_walk_list(w, type, name, data, count);
    else
        read_part(w, type, name, data, count);
}

const char *fl_walk_indexed(char name[FL_WALK_NAME], const char *prefix, size_t index,
                            const char *suffix)
{
    snprintf(name, FL_WALK_NAME, "%s_%07lu.%s", prefix, (unsigned long)index, suffix);
    return name;
}

/* ---- numbers and their bounds ---- */

static void need_within(fl_walk *w, const char *name, uint64_t value, uint64_t least, uint64_t most)
{
    char range[64];
    if (w->file == NULL || w->status != DDOME_OK || (value >= least && value <= most))
        return;
    snprintf(range, sizeof range, least == most ? "%llu" : "%llu to %llu",
             (unsigned long long)least, (unsigned long long)most);
    w->status = nn_fail(w->error, DDOME_ERR_RESUME,
                        "the checkpoint does not fit the run: tensor %s: expected %s, found %llu",
                        name, range, (unsigned long long)value);
}

void fl_walk_u64(fl_walk *w, const char *name, uint64_t *value, uint64_t least, uint64_t most)
{
    fl_walk_values(w, FL_WALK_U64, name, value, 1);
    need_within(w, name, *value, least, most);
}

void fl_walk_u32(fl_walk *w, const char *name, uint32_t *value, uint32_t least, uint32_t most)
{
    fl_walk_values(w, FL_WALK_U32, name, value, 1);
    need_within(w, name, *value, least, most);
}

void fl_walk_size(fl_walk *w, const char *name, size_t *value, size_t least, size_t most)
{
    uint64_t *word = fl_walk_room(w, 1, sizeof *word);
    if (word == NULL)
        return;
    *word = *value;
    fl_walk_u64(w, name, word, least, most);
    if (w->status == DDOME_OK)
        *value = (size_t)*word;
}

void fl_walk_reals(fl_walk *w, const char *name, double *values, size_t count, double least,
                   double most, const char *expected)
{
    fl_walk_values(w, FL_WALK_F64, name, values, count);
    for (size_t i = 0; i < count && w->status == DDOME_OK; i++)
        fl_walk_need(w, values[i] >= least && values[i] <= most, name, expected, count);
}

/* ---- flags and arrays ---- */

void fl_walk_flags(fl_walk *w, const char *name, bool *flags, size_t count)
{
    unsigned char *bytes = fl_walk_room(w, count, 1);
    if (bytes == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        bytes[i] = flags[i];
    fl_walk_values(w, FL_WALK_U8, name, bytes, count);
    for (size_t i = 0; i < count && w->status == DDOME_OK; i++)
        if (bytes[i] > 1)
            fl_walk_misfit(w, name, "bytes of 0 or 1", count);
    for (size_t i = 0; i < count && w->status == DDOME_OK; i++)
        flags[i] = bytes[i] != 0;
}

const bool *fl_walk_present(fl_walk *w, const char *name, const fl_store *store)
{
    bool *there = fl_walk_room(w, store->count, sizeof *there);
    if (there == NULL)
        return NULL;
    for (size_t i = 0; i < store->count; i++)
        there[i] = fl_store_has(store, i);
    fl_walk_flags(w, name, there, store->count);
    return w->status == DDOME_OK ? there : NULL;
}

/* From the checkpoint to the place of the array, piece by piece. */
static void read_array(fl_walk *w, const char *name, fl_store *store, size_t index)
{
    const data_safetensor *tensor = find_part(w, FL_WALK_F32, name, store->floats);
    const nn_arena_mark mark = nn_arena_get_mark(w->arena);
    const size_t room = nn_min(store->floats, CHUNK_BYTES / sizeof(float));
    unsigned char *chunk = fl_walk_room(w, room, sizeof(float));
    float *values = fl_walk_room(w, room, sizeof *values);
    for (size_t first = 0; first < store->floats && w->status == DDOME_OK;) {
        const size_t some = nn_min(store->floats - first, room);
        read_some(w, FL_WALK_F32, tensor, values, first, some, chunk);
        if (w->status == DDOME_OK)
            w->status = fl_store_write(w->error, store, index, first, values, some);
        first += some;
    }
    nn_arena_rewind(w->arena, mark);
    w->found += w->status == DDOME_OK;
}

void fl_walk_array(fl_walk *w, const char *name, fl_store *store, size_t index)
{
    const fl_walk_part part = {.type = FL_WALK_F32, .store = store, .index = index};
    if (w->status != DDOME_OK)
        return;
    if (w->file == NULL)
        list_part(w, name, store->floats, &part);
    else
        read_array(w, name, store, index);
}

/* ---- writing ---- */

/* The next bytes of a file that grows. */
typedef struct output {
    fl_run *run;
    const char *name;
    uint64_t size;
    nn_sha256 sha;
} output;

static ddome_status put(output *o, const void *bytes, size_t size)
{
    ddome_status status =
        fl_rundir_append(o->run->error, &o->run->dir, o->name, o->size, bytes, size);
    nn_sha256_bytes(&o->sha, bytes, size);
    o->size += size;
    return status;
}

/* Room for a piece: as bytes, and as values from elsewhere than memory. */
typedef struct pieces {
    unsigned char *bytes;
    float *values;
} pieces;

/* Values first .. first + count - 1 as bytes. */
static ddome_status fetch(ddome_error *error, const pieces *room, const fl_walk_part *p,
                          size_t first, size_t count)
{
    if (p->store == NULL) {
        to_bytes(room->bytes, p->data, first, count, p->type);
        return DDOME_OK;
    }
    const ddome_status status =
        fl_store_read(error, p->store, p->index, first, room->values, count);
    if (status == DDOME_OK)
        to_bytes(room->bytes, room->values, 0, count, p->type);
    return status;
}

static ddome_status put_part(output *o, const pieces *room, const fl_walk_part *p, size_t bytes)
{
    const size_t width = TYPE[p->type].bytes, count = bytes / width;
    ddome_status status = DDOME_OK;
    for (size_t first = 0; first < count && status == DDOME_OK;) {
        const size_t some = nn_min(count - first, CHUNK_BYTES / width);
        status = fetch(o->run->error, room, p, first, some);
        if (status == DDOME_OK)
            status = put(o, room->bytes, some * width);
        first += some;
    }
    return status;
}

ddome_status fl_walk_write(const fl_walk *w, nn_digest *digest, const char *name)
{
    const pieces room = {nn_arena_alloc(w->arena, CHUNK_BYTES, 1),
                         nn_arena_alloc(w->arena, CHUNK_BYTES, 1)};
    unsigned char *head;
    size_t bytes;
    const data_safetensor *const *order;
    output o = {.run = w->run, .name = name};
    if (room.bytes == NULL || room.values == NULL)
        return nn_arena_fail(w->error, w->arena, "a part of a checkpoint");
    nn_sha256_begin(&o.sha);
    ddome_status status =
        data_safetensors_head(w->error, w->arena, &head, &bytes, &order, w->tensor, w->count);
    if (status == DDOME_OK)
        status = put(&o, head, bytes);
    for (size_t i = 0; i < w->count && status == DDOME_OK; i++)
        status = put_part(&o, &room, &w->part[order[i] - w->tensor], order[i]->byte_count);
    if (status != DDOME_OK) { /* half of it would keep a full disk full (SPEC 17.6.4) */
        const ddome_status removed = fl_rundir_remove(NULL, &w->run->dir, name);
        (void)removed; /* the first failure is told */
    }
    *digest = nn_sha256_end(&o.sha);
    return status;
}

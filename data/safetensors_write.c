/* SPDX-License-Identifier: MIT */
/* Writer of safetensors files: the same tensors in any order give the same bytes. SPEC 17.4.6.
 *
 * The header is laid out twice, first to count its bytes, then to write them. The finished file
 * goes through the reader, so that equal names, a wrong shape or a name that is no UTF-8 is refused
 * by the same code that would refuse the file.
 */
#include "safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_BYTES = 8, HEADER_MAX = 100000000 };

/* Takes what fits into room and counts all; room 0 only measures. */
typedef struct sink {
    unsigned char *to;
    size_t room, length;
} sink;

/* The length stops at SIZE_MAX instead of wrapping round. */
static void put(sink *s, char byte)
{
    if (s->length < s->room)
        s->to[s->length] = (unsigned char)byte;
    s->length += s->length < SIZE_MAX;
}

static void put_text(sink *s, const char *text)
{
    for (; *text != 0; text++)
        put(s, *text);
}

static void put_u64(sink *s, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    put_text(s, digits);
}

/* A JSON string in its one shortest form but for \u00xx; bytes beyond ASCII pass as they are. */
static void put_string(sink *s, const char *text)
{
    put(s, '"');
    for (; *text != 0; text++) {
        char code[8];
        snprintf(code, sizeof code, "\\u%04x", (unsigned)(unsigned char)*text);
        if (*text == '"' || *text == '\\')
            put(s, '\\');
        if ((unsigned char)*text < 0x20)
            put_text(s, code);
        else
            put(s, *text);
    }
    put(s, '"');
}

static void put_entry(sink *s, const data_safetensor *tensor, uint64_t begin)
{
    put_string(s, tensor->name);
    put_text(s, ":{\"dtype\":");
    put_string(s, tensor->dtype);
    put_text(s, ",\"shape\":[");
    for (size_t i = 0; i < tensor->rank; i++) {
        put_text(s, i == 0 ? "" : ",");
        put_u64(s, tensor->shape[i]);
    }
    put_text(s, "],\"data_offsets\":[");
    put_u64(s, begin);
    put(s, ',');
    put_u64(s, begin + tensor->byte_count);
    put_text(s, "]}");
}

static void put_header(sink *s, const data_safetensor *const *order, size_t count)
{
    uint64_t begin = 0;
    put(s, '{');
    for (size_t i = 0; i < count; i++) {
        put_text(s, i == 0 ? "" : ",");
        put_entry(s, order[i], begin);
        begin += order[i]->byte_count;
    }
    put(s, '}');
    while (s->length % 8 != 0 && s->length < SIZE_MAX)
        put(s, ' ');
}

static void put_head(unsigned char *file, const data_safetensor *const *order, size_t count,
                     size_t header_bytes)
{
    sink header = {file + PREFIX_BYTES, header_bytes, 0};
    for (unsigned i = 0; i < PREFIX_BYTES; i++)
        file[i] = (unsigned char)((uint64_t)header_bytes >> 8 * i & 0xFF);
    put_header(&header, order, count);
}

static void put_file(unsigned char *file, const data_safetensor *const *order, size_t count,
                     size_t header_bytes)
{
    unsigned char *data = file + PREFIX_BYTES + header_bytes;
    put_head(file, order, count, header_bytes);
    for (size_t i = 0; i < count; i++) {
        if (order[i]->byte_count > 0)
            memcpy(data, order[i]->bytes, order[i]->byte_count);
        data += order[i]->byte_count;
    }
}

/* By bytes: the order must not depend on the locale or on the sign of char. */
static int compare_names(const void *a, const void *b)
{
    const data_safetensor *x = *(const data_safetensor *const *)a;
    const data_safetensor *y = *(const data_safetensor *const *)b;
    return strcmp(x->name, y->name);
}

/* out = the tensors in the order of the file. */
static ddome_status sort_tensors(ddome_error *error, nn_arena *arena, const data_safetensor ***out,
                                 const data_safetensor *tensors, size_t count)
{
    const data_safetensor **order = nn_arena_alloc(arena, count, sizeof *order);
    if (order == NULL)
        return nn_arena_fail(error, arena, "the order of the tensors of a safetensors file");
    for (size_t i = 0; i < count; i++)
        order[i] = &tensors[i];
    qsort(order, count, sizeof *order, compare_names);
    *out = order;
    return DDOME_OK;
}

/* False when the file is larger than the memory of the machine can be. */
static bool measure(size_t *header_bytes, size_t *total, const data_safetensor *const *order,
                    size_t count)
{
    sink header = {NULL, 0, 0};
    put_header(&header, order, count);
    if (header.length > SIZE_MAX - PREFIX_BYTES - 1)
        return false;
    size_t sum = PREFIX_BYTES + header.length;
    for (size_t i = 0; i < count; i++) {
        if (order[i]->byte_count > SIZE_MAX - sum)
            return false;
        sum += order[i]->byte_count;
    }
    *header_bytes = header.length;
    *total = sum;
    return true;
}

static ddome_status check_file(ddome_error *error, nn_arena *arena, const unsigned char *file,
                               size_t count)
{
    data_safetensors parsed;
    nn_arena_mark mark = nn_arena_get_mark(arena);
    ddome_status status = data_safetensors_parse(error, arena, &parsed, file, count);
    nn_arena_rewind(arena, mark);
    return status;
}

static ddome_status format(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                           size_t *count, const data_safetensor *tensors, size_t tensor_count)
{
    const data_safetensor **order = NULL;
    size_t header_bytes = 0, total = 0;
    ddome_status status = sort_tensors(error, arena, &order, tensors, tensor_count);
    if (status != DDOME_OK)
        return status;
    bool fits = measure(&header_bytes, &total, order, tensor_count);
    unsigned char *file = fits ? nn_arena_alloc(arena, total, 1) : NULL;
    if (file == NULL)
        return nn_arena_fail(error, arena, "a safetensors file");
    put_file(file, order, tensor_count, header_bytes);
    status = check_file(error, arena, file, total);
    if (status != DDOME_OK)
        return status;
    *bytes = file;
    *count = total;
    return DDOME_OK;
}

ddome_status data_safetensors_format(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                                     size_t *count, const data_safetensor *tensors,
                                     size_t tensor_count)
{
    nn_arena_mark mark = nn_arena_get_mark(arena);
    ddome_status status = format(error, arena, bytes, count, tensors, tensor_count);
    if (status != DDOME_OK)
        nn_arena_rewind(arena, mark);
    return status;
}

ddome_status data_safetensors_head(ddome_error *error, nn_arena *arena, unsigned char **bytes,
                                   size_t *count, const data_safetensor *const **order,
                                   const data_safetensor *tensors, size_t tensor_count)
{
    const data_safetensor **sorted = NULL;
    size_t header_bytes = 0, total = 0;
    ddome_status status = sort_tensors(error, arena, &sorted, tensors, tensor_count);
    if (status != DDOME_OK)
        return status;
    const bool fits = measure(&header_bytes, &total, sorted, tensor_count);
    if (fits && header_bytes > HEADER_MAX)
        return nn_fail(
            error, DDOME_ERR_RUNTIME,
            "a safetensors file of %lu tensors: its header would have %lu bytes, expected "
            "at most %d",
            (unsigned long)tensor_count, (unsigned long)header_bytes, HEADER_MAX);
    unsigned char *head = fits ? nn_arena_alloc(arena, PREFIX_BYTES + header_bytes, 1) : NULL;
    if (head == NULL)
        return nn_arena_fail(error, arena, "the head of a safetensors file");
    put_head(head, sorted, tensor_count, header_bytes);
    *bytes = head;
    *count = PREFIX_BYTES + header_bytes;
    *order = sorted;
    return DDOME_OK;
}

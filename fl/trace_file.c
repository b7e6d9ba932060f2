/* SPDX-License-Identifier: MIT */
/* Which values a trace keeps in full, and the files it ends in. SPEC 19.3.4, 19.3.5. */
#include <string.h>

#include "../nn/os.h"
#include "trace.h"

/* ---- values in full ---- */

/* A star takes as little as it can; where the rest does not fit, the last one takes a byte more. */
static bool fits(const char *pattern, size_t length, const char *text)
{
    size_t at = 0, star = SIZE_MAX;
    const char *behind = NULL;
    while (*text != '\0') {
        if (at < length && pattern[at] == '*') {
            star = at++;
            behind = text;
        } else if (at < length && (pattern[at] == '?' || pattern[at] == *text)) {
            at++;
            text++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            text = ++behind;
        } else
            return false;
    }
    while (at < length && pattern[at] == '*')
        at++;
    return at == length;
}

bool fl_trace_matches(const char *patterns, const char *text)
{
    for (const char *pattern = patterns; *pattern != '\0';) {
        const size_t length = strcspn(pattern, ",");
        if (length > 0 && fits(pattern, length, text))
            return true;
        pattern += length + (pattern[length] == ',');
    }
    return false;
}

static uint32_t word_at(const nn_value *value, size_t i)
{
    return value->type == NN_VALUE_U32 ? value->u32[i] : nn_float_bits(value->f32[i]);
}

static void put_word(unsigned char bytes[4], uint32_t word)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(word >> 8 * i & 0xffu);
}

static bool grow_kept(fl_trace *trace)
{
    if (trace->kept_count < trace->kept_capacity)
        return true;
    const size_t capacity = nn_max(64, 2 * trace->kept_capacity);
    data_safetensor *kept = nn_arena_alloc(&trace->arena, capacity, sizeof *kept);
    if (kept == NULL)
        return false;
    if (trace->kept_count != 0)
        memcpy(kept, trace->kept, trace->kept_count * sizeof *kept);
    trace->kept = kept;
    trace->kept_capacity = capacity;
    return true;
}

bool fl_trace_keep(fl_trace *trace, const char *key, const nn_value *value)
{
    char *name = nn_arena_string(&trace->arena, key);
    unsigned char *bytes = nn_arena_alloc(&trace->arena, value->count, 4);
    uint64_t *shape = nn_arena_alloc(&trace->arena, value->rank, sizeof *shape);
    if (name == NULL || bytes == NULL || shape == NULL || !grow_kept(trace))
        return false;
    for (size_t i = 0; i < value->count; i++)
        put_word(bytes + 4 * i, word_at(value, i));
    for (size_t i = 0; i < value->rank; i++)
        shape[i] = value->shape[i];
    trace->kept[trace->kept_count++] =
        (data_safetensor){.name = name,
                          .dtype = value->type == NN_VALUE_U32 ? "U32" : "F32",
                          .rank = value->rank,
                          .shape = shape,
                          .bytes = bytes,
                          .byte_count = 4 * value->count};
    return true;
}

/* ---- the file ---- */

void fl_trace_init(fl_trace *trace, const fl_trace_wish *wish)
{
    *trace = (fl_trace){.wish = wish};
    fl_text *const texts[] = {&trace->text, &trace->key, &trace->attributes, &trace->inputs};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        texts[i]->arena = &trace->arena;
    fl_trace_at_pass(trace, 0, FL_TRACE_NONE, "start");
}

static ddome_status tensors_path(ddome_error *error, fl_trace *trace, const char **path)
{
    fl_text text = {.arena = &trace->arena};
    fl_text_add(&text, "%s.safetensors", trace->wish->path);
    *path = text.data;
    return fl_text_status(error, &text);
}

/* Tensors of an earlier trace would be taken for those of this one. */
ddome_status fl_trace_begin(ddome_error *error, fl_trace *trace, nn_arith arith)
{
    const char *beside;
    if (trace == NULL)
        return DDOME_OK;
    fl_text *text = &trace->text;
    fl_text_add(text, "{\"trace\":\"ddome-trace-1\",\"specification\":%d,\"arith\":\"%s\"}\n",
                DDOME_SPEC_VERSION, arith == NN_ARITH_FMA ? "fma" : "ma");
    ddome_status status = fl_text_status(error, text);
    if (status == DDOME_OK)
        status = tensors_path(error, trace, &beside);
    if (status == DDOME_OK)
        status = nn_os_write_file(error, trace->wish->path, text->data, text->length);
    if (status == DDOME_OK)
        nn_os_remove(beside);
    return status;
}

static ddome_status write_tensors(ddome_error *error, fl_trace *trace)
{
    const char *path;
    unsigned char *bytes;
    size_t count;
    if (trace->wish->tensors[0] == '\0')
        return DDOME_OK;
    ddome_status status = tensors_path(error, trace, &path);
    if (status == DDOME_OK)
        status = data_safetensors_format(error, &trace->arena, &bytes, &count, trace->kept,
                                         trace->kept_count);
    return status == DDOME_OK ? nn_os_write_file(error, path, bytes, count) : status;
}

ddome_status fl_trace_end(ddome_error *error, fl_trace *trace, ddome_status status)
{
    if (trace == NULL)
        return status;
    if (trace->text.length != 0) {
        ddome_status mine =
            nn_os_write_file(error, trace->wish->path, trace->text.data, trace->text.length);
        if (mine == DDOME_OK)
            mine = write_tensors(error, trace);
        status = status == DDOME_OK ? mine : status;
    }
    nn_arena_free(&trace->arena);
    return status;
}

ddome_status fl_trace_status(ddome_error *error, const fl_trace *trace)
{
    if (trace == NULL || !trace->failed)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_MEMORY,
                   "out of memory: a trace (%lu bytes in use); record fewer rounds or tensors",
                   (unsigned long)trace->arena.used);
}

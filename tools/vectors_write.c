/* SPDX-License-Identifier: MIT */
/* Vectors as JSON, their longer values as tensors. Of floats only bits are written, so the bytes
 * are the same everywhere. SPEC 19.1, 19.2. */
#include <inttypes.h>
#include <string.h>

#include "../data/value.h"
#include "vectors.h"
#include "vectors_run.h"

/* ---- JSON ---- */

/* Names and comments of this program need no other escapes than these. */
static void put_text(fl_text *text, const char *string)
{
    fl_text_add(text, "\"");
    for (; *string != '\0'; string++)
        fl_text_add(text, *string == '"' || *string == '\\' ? "\\%c" : "%c", *string);
    fl_text_add(text, "\"");
}

static void put_member(fl_text *text, const char *name, const char *value)
{
    fl_text_add(text, " \"%s\": ", name);
    put_text(text, value);
    fl_text_add(text, ",\n");
}

static void put_head(fl_text *text, const nn_value *value)
{
    fl_text_add(text, "  ");
    put_text(text, value->name);
    fl_text_add(text, ": {\"dtype\":\"%s\",\"shape\":[", data_value_dtype(value->type));
    for (size_t i = 0; i < value->rank; i++)
        fl_text_add(text, "%s%lu", i == 0 ? "" : ",", (unsigned long)value->shape[i]);
    fl_text_add(text, "],");
}

/* The pattern of an element through memory alone: a register of some processors changes a NaN. A
 * NaN that was computed has any pattern, so of results it is written as 7fc00000. */
static uint64_t bits_of(const nn_value *value, size_t i, bool computed)
{
    uint64_t wide = 0;
    uint32_t bits = 0;
    if (value->type == NN_VALUE_F64) {
        memcpy(&wide, value->f64 + i, sizeof wide);
        const bool nan = (wide & INT64_MAX) > (uint64_t)0x7ff << 52;
        return nan && computed ? (uint64_t)0x7ff8 << 48 : wide;
    }
    if (value->type == NN_VALUE_U32)
        return value->u32[i];
    memcpy(&bits, value->f32 + i, sizeof bits);
    return (bits & INT32_MAX) > 0x7f800000 && computed ? 0x7fc00000 : bits;
}

static void put_elements(fl_text *text, const nn_value *value, bool computed)
{
    fl_text_add(text, "\"words\":\"");
    for (size_t i = 0; i < value->count; i++) {
        const uint64_t bits = bits_of(value, i, computed);
        if (i != 0)
            fl_text_add(text, " ");
        if (value->type == NN_VALUE_U32)
            fl_text_add(text, "%" PRIu64, bits);
        else
            fl_text_add(text, "%0*" PRIx64, value->type == NN_VALUE_F32 ? 8 : 16, bits);
    }
    fl_text_add(text, "\"");
}

static void put_hash(fl_text *text, const nn_value *value)
{
    const nn_digest hash = nn_value_hash(value);
    fl_text_add(text, "\"sha256\":\"");
    fl_text_digest(text, &hash);
    fl_text_add(text, "\"");
}

void vectors_words(fl_text *text, const nn_value *value)
{
    put_head(text, value);
    put_elements(text, value, true);
    fl_text_add(text, "}");
}

/* ---- tensors ---- */

static unsigned char *little_endian(vectors_maker *m, const nn_value *value, size_t *size)
{
    const size_t each = value->type == NN_VALUE_F64 ? 8 : 4;
    unsigned char *bytes = vectors_alloc(m, value->count, each);
    for (size_t i = 0; i < value->count; i++) {
        const uint64_t bits = bits_of(value, i, true);
        for (size_t b = 0; b < each; b++)
            bytes[i * each + b] = (unsigned char)(bits >> 8 * b & 0xff);
    }
    *size = value->count * each;
    return bytes;
}

static void grow(vectors_maker *m)
{
    const size_t capacity = m->tensor_capacity == 0 ? 64 : 2 * m->tensor_capacity;
    data_safetensor *tensor = vectors_alloc(m, capacity, sizeof *tensor);
    nn_digest *hash = vectors_alloc(m, capacity, sizeof *hash);
    if (m->tensor_count != 0) {
        memcpy(tensor, m->tensor, m->tensor_count * sizeof *tensor);
        memcpy(hash, m->tensor_hash, m->tensor_count * sizeof *hash);
    }
    m->tensor = tensor;
    m->tensor_hash = hash;
    m->tensor_capacity = capacity;
}

static void set_tensor(vectors_maker *m, data_safetensor *tensor, const nn_value *value)
{
    memset(tensor, 0, sizeof *tensor);
    tensor->dtype = data_value_dtype(value->type);
    uint64_t *shape = vectors_alloc(m, value->rank, sizeof *shape);
    for (size_t i = 0; i < value->rank; i++)
        shape[i] = value->shape[i];
    tensor->rank = value->rank;
    tensor->shape = shape;
    tensor->bytes = little_endian(m, value, &tensor->byte_count);
}

/* The name of a tensor with these elements; equal ones, as of the same input in both profiles, are
 * stored once. (Elements with other NaNs than 7fc00000 would be taken for equal: the fills have
 * none.) */
static const char *tensor_of(vectors_maker *m, const char *id, const char *side,
                             const nn_value *value)
{
    const nn_digest hash = nn_value_hash(value);
    for (size_t i = 0; i < m->tensor_count; i++)
        if (memcmp(&m->tensor_hash[i], &hash, sizeof hash) == 0 &&
            data_value_same_form(&m->tensor[i], value))
            return m->tensor[i].name;
    if (m->tensor_count == m->tensor_capacity)
        grow(m);
    m->tensor_hash[m->tensor_count] = hash;
    data_safetensor *tensor = &m->tensor[m->tensor_count++];
    set_tensor(m, tensor, value);
    return tensor->name = vectors_name(m, "%s/%s/%s", id, side, value->name);
}

static void put_value(vectors_maker *m, const char *id, const char *side, const nn_value *value)
{
    fl_text *text = &m->text;
    put_head(text, value);
    if (!nn_value_known(value)) {
        put_hash(text, value);
    } else if (value->count <= VECTORS_SHORT) {
        put_elements(text, value, side[0] == 'e');
    } else {
        fl_text_add(text, "\"file\":\"%s.safetensors\",\"tensor\":\"%s\",", m->stem,
                    tensor_of(m, id, side, value));
        put_hash(text, value);
    }
    fl_text_add(text, "}");
}

static void put_values(vectors_maker *m, const char *id, const char *side, const nn_value *values,
                       size_t count)
{
    fl_text_add(&m->text, " \"%s\": {%s", side, count == 0 ? "}" : "\n");
    for (size_t i = 0; i < count; i++) {
        put_value(m, id, side, &values[i]);
        fl_text_add(&m->text, "%s", i + 1 < count ? ",\n" : "}");
    }
}

/* ---- vectors ---- */

static void put_flags(fl_text *text, const char *const *flags, size_t count)
{
    fl_text_add(text, " \"flags\": [");
    for (size_t i = 0; i < count; i++)
        fl_text_add(text, "%s\"%s\"", i == 0 ? "" : ", ", flags[i]);
    fl_text_add(text, "],\n");
}

static void put_config(fl_text *text, const vectors_case *c)
{
    if (c->config_count == 0)
        return;
    fl_text_add(text, " \"config\": {");
    for (size_t i = 0; i < c->config_count; i++) {
        fl_text_add(text, "%s\"%s\": ", i == 0 ? "" : ", ", c->config[i].key);
        put_text(text, c->config[i].value);
    }
    fl_text_add(text, "},\n");
}

static void put_attributes(fl_text *text, const vectors_case *c)
{
    if (c->attribute_count == 0)
        return;
    fl_text_add(text, " \"attributes\": {");
    for (size_t i = 0; i < c->attribute_count; i++)
        fl_text_add(text, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", c->attribute[i].name,
                    c->attribute[i].value);
    fl_text_add(text, "},\n");
}

static void put_vector(vectors_maker *m, const vectors_case *c, const vectors_about *about,
                       data_profile profile, const nn_case *work, const char *const *flags,
                       size_t flag_count)
{
    static const char *const profiles[] = {"ma", "fma", "any"};
    fl_text *text = &m->text;
    fl_text_add(text, "%s\n{\n", m->vectors++ == 0 ? "" : ",");
    put_member(text, "id", about->id);
    put_member(text, "op", c->op);
    put_member(text, "clause", about->clause);
    put_member(text, "profile", profiles[profile]);
    put_member(text, "exact", about->any_order ? "any-order" : "this-order");
    put_member(text, "comment", about->comment);
    put_flags(text, flags, flag_count);
    put_config(text, c);
    put_attributes(text, c);
    put_values(m, about->id, "inputs", work->inputs, work->input_count);
    fl_text_add(text, ",\n");
    put_values(m, about->id, "expected", work->outputs, work->output_count);
    fl_text_add(text, "\n}");
}

static nn_case case_of(const vectors_case *c, nn_arith arith)
{
    const nn_case work = {.op = c->op,
                          .arith = arith,
                          .attributes = c->attribute,
                          .attribute_count = c->attribute_count,
                          .inputs = c->inputs.value,
                          .input_count = c->inputs.count,
                          .outputs = c->outputs.value,
                          .output_count = c->outputs.count};
    return work;
}

void vectors_add(vectors_maker *m, const vectors_case *c, const vectors_about *about,
                 data_profile profile)
{
    const nn_case work = case_of(c, profile == DATA_PROFILE_FMA ? NN_ARITH_FMA : NN_ARITH_MA);
    put_vector(m, c, about, profile, &work, NULL, 0);
}

static void run(vectors_maker *m, nn_case *work)
{
    vectors_must(m, vectors_run(&m->error, &m->arena, &work->outputs, &work->output_count, work,
                                m->kernels));
}

static bool same_outputs(const nn_case *a, const nn_case *b)
{
    bool same = a->output_count == b->output_count;
    for (size_t i = 0; same && i < a->output_count; i++)
        same = nn_value_same(&a->outputs[i], &b->outputs[i]);
    return same;
}

static void add_tried(vectors_maker *m, const vectors_case *c, const vectors_about *about,
                      data_profile profile, const nn_case *work)
{
    static const char *const suffixes[] = {".ma", ".fma", ""};
    const char *flags[VECTORS_FLAGS];
    vectors_about own = *about;
    own.id = vectors_name(m, "%s%s", about->id, suffixes[profile]);
    const size_t count = vectors_flags(m, flags, work, &own);
    put_vector(m, c, &own, profile, work, flags, count);
}

void vectors_op_add(vectors_maker *m, const vectors_case *c, const vectors_about *about)
{
    nn_case ma = case_of(c, NN_ARITH_MA), fma = case_of(c, NN_ARITH_FMA);
    run(m, &ma);
    run(m, &fma);
    if (same_outputs(&ma, &fma)) {
        add_tried(m, c, about, DATA_PROFILE_ANY, &ma);
        return;
    }
    vectors_check(m, !about->any_order, "the profiles differ where nothing may", about->id);
    add_tried(m, c, about, DATA_PROFILE_MA, &ma);
    add_tried(m, c, about, DATA_PROFILE_FMA, &fma);
}

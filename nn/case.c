/* SPDX-License-Identifier: MIT */
/* Values: found by name, hashed as little-endian bytes, compared bit by bit with all NaNs the same.
 * SPEC 19.1. */
#include "case.h"

#include <string.h>

static const nn_value *find(const nn_value *values, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(values[i].name, name) == 0)
            return &values[i];
    return NULL;
}

const nn_value *nn_case_input(const nn_case *work, const char *name)
{
    return find(work->inputs, work->input_count, name);
}

const nn_value *nn_case_output(const nn_case *work, const char *name)
{
    return find(work->outputs, work->output_count, name);
}

uint64_t nn_case_attribute(const nn_case *work, const char *name, uint64_t otherwise)
{
    for (size_t i = 0; i < work->attribute_count; i++)
        if (strcmp(work->attributes[i].name, name) == 0)
            return work->attributes[i].value;
    return otherwise;
}

/* No elements are always at hand. */
bool nn_value_known(const nn_value *value)
{
    const void *elements = value->type == NN_VALUE_F32   ? (const void *)value->f32
                           : value->type == NN_VALUE_F64 ? (const void *)value->f64
                                                         : (const void *)value->u32;
    return elements != NULL || value->count == 0;
}

/* The pattern of element i in the low bits; every NaN is the one that is hashed. */
static uint64_t element_bits(const nn_value *value, size_t i)
{
    uint64_t bits;
    if (value->type == NN_VALUE_U32)
        return value->u32[i];
    if (value->type == NN_VALUE_F32)
        return value->f32[i] != value->f32[i] ? 0x7fc00000u : nn_float_bits(value->f32[i]);
    memcpy(&bits, &value->f64[i], sizeof bits);
    return value->f64[i] != value->f64[i] ? (uint64_t)0x7ff8 << 48 : bits;
}

nn_digest nn_value_hash(const nn_value *value)
{
    const size_t bytes = value->type == NN_VALUE_F64 ? 8 : 4;
    nn_sha256 sha;
    if (value->hashed)
        return value->hash;
    nn_sha256_begin(&sha);
    for (size_t i = 0; nn_value_known(value) && i < value->count; i++) {
        unsigned char little[8];
        const uint64_t bits = element_bits(value, i);
        for (size_t b = 0; b < bytes; b++)
            little[b] = (unsigned char)(bits >> (8 * b) & 0xff);
        nn_sha256_bytes(&sha, little, bytes);
    }
    return nn_sha256_end(&sha);
}

static bool same_shape(const nn_value *a, const nn_value *b)
{
    bool same = a->rank == b->rank && a->count == b->count;
    for (size_t i = 0; same && i < a->rank; i++)
        same = a->shape[i] == b->shape[i];
    return same;
}

bool nn_value_same(const nn_value *a, const nn_value *b)
{
    const bool known = nn_value_known(a) && nn_value_known(b);
    if (a->type != b->type || !same_shape(a, b))
        return false;
    for (size_t i = 0; known && i < a->count; i++)
        if (element_bits(a, i) != element_bits(b, i))
            return false;
    if (known)
        return true;
    if (!(nn_value_known(a) || a->hashed) || !(nn_value_known(b) || b->hashed))
        return false;
    const nn_digest of_a = nn_value_hash(a), of_b = nn_value_hash(b);
    return memcmp(of_a.byte, of_b.byte, sizeof of_a.byte) == 0;
}

/* SPDX-License-Identifier: MIT */
/* Inputs: drawn or given by their bits, put together to a case. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../nn/rng.h"
#include "vectors.h"

enum { SEED = 19 };

/* ---- shapes ---- */

vectors_shape vectors_0(void)
{
    const vectors_shape s = {0, {0}};
    return s;
}

vectors_shape vectors_1(size_t a)
{
    const vectors_shape s = {1, {a}};
    return s;
}

vectors_shape vectors_2(size_t a, size_t b)
{
    const vectors_shape s = {2, {a, b}};
    return s;
}

vectors_shape vectors_4(size_t a, size_t b, size_t c, size_t d)
{
    const vectors_shape s = {4, {a, b, c, d}};
    return s;
}

size_t vectors_count(vectors_shape shape)
{
    size_t count = 1;
    for (size_t i = 0; i < shape.rank; i++)
        count *= shape.size[i];
    return count;
}

/* ---- elements ---- */

/* +- 1.xxx times 2^exponent with 23 random bits. */
static float pattern(nn_rng *rng, int exponent)
{
    const uint32_t word = nn_rng_u32(rng);
    return nn_float_from_bits((word & 0x807fffffu) | (uint32_t)(127 + exponent) << 23);
}

static float element(nn_rng *rng, vectors_fill fill)
{
    const float unit = nn_rng_uniform(rng), half = unit - 0.5f;
    switch (fill) {
    case VECTORS_GRID:
        return (float)((int)nn_rng_below(rng, 17) - 8) * 0.25f;
    case VECTORS_MIXED:
        return pattern(rng, (int)nn_rng_below(rng, 16) - 8);
    case VECTORS_TINY:
        return pattern(rng, -90 + (int)nn_rng_below(rng, 31));
    case VECTORS_WIDE:
        return 16.0f * half;
    default:
        return 2.0f * half;
    }
}

float *vectors_draw(vectors_maker *m, vectors_fill fill, size_t count)
{
    float *x = vectors_alloc(m, count, sizeof *x);
    nn_rng rng = nn_rng_at(SEED, NN_STREAM_TEST, (uint32_t)m->levels, m->draws++, 0);
    for (size_t i = 0; i < count; i++)
        x[i] = element(&rng, fill);
    return x;
}

float *vectors_bits(vectors_maker *m, const uint32_t *bits, size_t count)
{
    float *x = vectors_alloc(m, count, sizeof *x);
    if (count != 0) /* as bytes: some processors change a NaN on its way through a register */
        memcpy(x, bits, count * sizeof *x);
    return x;
}

/* ---- values ---- */

vectors_case vectors_begin(const char *op)
{
    vectors_case c;
    memset(&c, 0, sizeof c);
    c.op = op;
    return c;
}

void vectors_attribute_set(vectors_case *c, const char *name, uint64_t value)
{
    c->attribute[c->attribute_count++] = (nn_attribute){name, value};
}

static nn_value *new_value(vectors_maker *m, vectors_list *list, const char *name,
                           vectors_shape shape)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 8 : 2 * list->capacity;
        nn_value *more = vectors_alloc(m, capacity, sizeof *more);
        if (list->count != 0)
            memcpy(more, list->value, list->count * sizeof *more);
        list->value = more;
        list->capacity = capacity;
    }
    nn_value *value = &list->value[list->count++];
    memset(value, 0, sizeof *value);
    value->name = name;
    value->rank = shape.rank;
    memcpy(value->shape, shape.size, shape.rank * sizeof *shape.size);
    value->count = vectors_count(shape);
    return value;
}

void vectors_f32(vectors_maker *m, vectors_list *list, const char *name, vectors_shape shape,
                 const float *elements)
{
    nn_value *value = new_value(m, list, name, shape);
    value->type = NN_VALUE_F32;
    value->f32 = elements;
}

void vectors_u32(vectors_maker *m, vectors_list *list, const char *name, vectors_shape shape,
                 const uint32_t *elements)
{
    nn_value *value = new_value(m, list, name, shape);
    value->type = NN_VALUE_U32;
    value->u32 = elements;
}

void vectors_number(vectors_maker *m, vectors_list *list, const char *name, float value)
{
    float *element = vectors_alloc(m, 1, sizeof *element);
    *element = value;
    vectors_f32(m, list, name, vectors_0(), element);
}

void vectors_hash_only(vectors_maker *m, vectors_list *list, const char *name, vectors_shape shape,
                       const float *elements)
{
    vectors_f32(m, list, vectors_name(m, "%s", name), shape, elements);
    nn_value *value = &list->value[list->count - 1];
    value->hash = nn_value_hash(value);
    value->hashed = true;
    value->f32 = NULL;
}

void vectors_drawn(vectors_maker *m, vectors_case *c, const char *name, vectors_shape shape,
                   vectors_fill fill)
{
    vectors_f32(m, &c->inputs, name, shape, vectors_draw(m, fill, vectors_count(shape)));
}

char *vectors_name(vectors_maker *m, const char *format, ...)
{
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *copy = nn_arena_string(&m->arena, text);
    if (copy == NULL)
        vectors_must(m, nn_arena_fail(&m->error, &m->arena, "a name"));
    return copy;
}

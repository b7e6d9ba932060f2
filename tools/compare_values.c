/* SPDX-License-Identifier: MIT */
/* Two arrays, element by element. SPEC 19.4.2, 19.4.3. */
#include "compare_values.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../data/value.h"

/* ---- distance ---- */

/* Magnitudes below 2^63 add up without a carry, so the largest distance is 2^64 - 2 and never
 * COMPARE_NO_ULP. */
static uint64_t distance(uint64_t a, uint64_t b, uint64_t sign)
{
    const uint64_t x = a & (sign - 1), y = b & (sign - 1);
    if ((a & sign) != (b & sign))
        return x + y;
    return x > y ? x - y : y - x;
}

uint64_t compare_ulp32(uint32_t a, uint32_t b)
{
    return distance(a, b, UINT64_C(1) << 31);
}

uint64_t compare_ulp64(uint64_t a, uint64_t b)
{
    return distance(a, b, UINT64_C(1) << 63);
}

/* ---- arrays ---- */

compare_array compare_array_of(const nn_value *value)
{
    static const compare_type types[] = {COMPARE_F32, COMPARE_F64, COMPARE_UNSIGNED};
    compare_array array = {.dtype = data_value_dtype(value->type),
                           .type = types[value->type],
                           .width = data_value_width(value->type),
                           .count = value->count,
                           .rank = value->rank,
                           .sizes = value->shape,
                           .native = true};
    if (value->f32 != NULL)
        array.data = value->f32;
    else if (value->f64 != NULL)
        array.data = value->f64;
    else
        array.data = value->u32;
    return array;
}

compare_array compare_tensor_of(const data_safetensor *tensor)
{
    compare_array array = {.dtype = tensor->dtype,
                           .type = COMPARE_OTHER,
                           .width = 1,
                           .rank = tensor->rank,
                           .shape = tensor->shape,
                           .data = tensor->bytes};
    if (strcmp(tensor->dtype, "F32") == 0)
        array.type = COMPARE_F32;
    else if (strcmp(tensor->dtype, "F64") == 0)
        array.type = COMPARE_F64;
    else if (tensor->dtype[0] == 'U')
        array.type = COMPARE_UNSIGNED;
    const char *bits = tensor->dtype + strcspn(tensor->dtype, "0123456789");
    if (strncmp(bits, "64", 2) == 0)
        array.width = 8;
    else if (strncmp(bits, "32", 2) == 0)
        array.width = 4;
    else if (strncmp(bits, "16", 2) == 0)
        array.width = 2;
    array.count = tensor->byte_count / array.width;
    return array;
}

uint64_t compare_size(const compare_array *array, size_t axis)
{
    return array->sizes != NULL ? array->sizes[axis] : array->shape[axis];
}

static uint64_t native_bits(const unsigned char *at, size_t width)
{
    uint32_t word;
    uint64_t twice;
    if (width == 4) {
        memcpy(&word, at, sizeof word);
        return word;
    }
    memcpy(&twice, at, sizeof twice);
    return twice;
}

uint64_t compare_bits(const compare_array *array, size_t index)
{
    const unsigned char *at = (const unsigned char *)array->data + index * array->width;
    if (array->native)
        return native_bits(at, array->width);
    uint64_t bits = 0;
    for (size_t i = array->width; i-- > 0;)
        bits = bits << 8 | at[i];
    return bits;
}

static double number(compare_type type, uint64_t bits)
{
    double value;
    if (type == COMPARE_F32)
        return (double)nn_float_from_bits((uint32_t)bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool is_float(compare_type type)
{
    return type == COMPARE_F32 || type == COMPARE_F64;
}

/* ---- elements ---- */

static uint64_t ulp_of(compare_type type, uint64_t a, uint64_t b)
{
    if (!is_float(type) || isnan(number(type, a)) || isnan(number(type, b)))
        return COMPARE_NO_ULP;
    return type == COMPARE_F32 ? compare_ulp32((uint32_t)a, (uint32_t)b) : compare_ulp64(a, b);
}

/* An infinity is near nothing else: X times infinity would take everything. */
static bool near(compare_type type, uint64_t a, uint64_t b, double relative)
{
    const double x = number(type, a), y = number(type, b);
    const double bound = relative * fmax(fabs(x), fabs(y));
    return isfinite(x) && isfinite(y) && fabs(x - y) <= bound;
}

static bool equal(compare_type type, uint64_t a, uint64_t b, const compare_rule *rule)
{
    if (a == b)
        return true;
    if (!is_float(type))
        return false;
    if (isnan(number(type, a)) || isnan(number(type, b)))
        return isnan(number(type, a)) && isnan(number(type, b));
    return (rule->by_ulp && ulp_of(type, a, b) <= rule->ulp) ||
           (rule->by_relative && near(type, a, b, rule->relative));
}

static void note(compare_result *result, size_t index, uint64_t ulp)
{
    if (result->differing++ == 0) {
        result->first = index;
        result->worst = index;
        result->first_ulp = ulp;
        result->worst_ulp = ulp;
    }
    if (ulp != COMPARE_NO_ULP && (result->worst_ulp == COMPARE_NO_ULP || ulp > result->worst_ulp)) {
        result->worst = index;
        result->worst_ulp = ulp;
    }
}

static bool same_shape(const compare_array *a, const compare_array *b)
{
    for (size_t i = 0; i < a->rank; i++)
        if (i >= b->rank || compare_size(a, i) != compare_size(b, i))
            return false;
    return a->rank == b->rank;
}

compare_result compare_arrays(const compare_array *a, const compare_array *b,
                              const compare_rule *rule)
{
    compare_result result = {COMPARE_SAME, a->count, 0, 0, 0, 0, 0};
    if (strcmp(a->dtype, b->dtype) != 0)
        result.verdict = COMPARE_DTYPE;
    else if (!same_shape(a, b))
        result.verdict = COMPARE_SHAPE;
    else if (a->data == NULL || b->data == NULL)
        result.verdict =
            memcmp(&a->hash, &b->hash, sizeof a->hash) == 0 ? COMPARE_SAME : COMPARE_HASH;
    else
        for (size_t i = 0; i < a->count; i++) {
            const uint64_t x = compare_bits(a, i), y = compare_bits(b, i);
            if (!equal(a->type, x, y, rule))
                note(&result, i, ulp_of(a->type, x, y));
        }
    if (result.differing != 0)
        result.verdict = COMPARE_ELEMENTS;
    return result;
}

compare_result compare_values(const nn_value *a, const nn_value *b, const compare_rule *rule)
{
    compare_array x = compare_array_of(a), y = compare_array_of(b);
    if (!nn_value_known(a) || !nn_value_known(b)) {
        x.data = NULL;
        y.data = NULL;
        x.hash = nn_value_hash(a);
        y.hash = nn_value_hash(b);
    }
    return compare_arrays(&x, &y, rule);
}

/* ---- texts ---- */

void compare_hex(char text[COMPARE_TEXT], const compare_array *array, size_t index)
{
    const uint64_t bits = compare_bits(array, index);
    if (array->type == COMPARE_UNSIGNED)
        snprintf(text, COMPARE_TEXT, "%" PRIu64, bits);
    else
        snprintf(text, COMPARE_TEXT, "%0*" PRIx64, (int)(2 * array->width), bits);
}

static void print_signed(char text[COMPARE_TEXT], uint64_t bits, size_t width)
{
    assert(width != 0 && width <= sizeof bits);
    const uint64_t sign = UINT64_C(1) << (8 * width - 1);
    const uint64_t magnitude = (bits & sign) != 0 ? (sign - (bits & (sign - 1))) : bits;
    snprintf(text, COMPARE_TEXT, "%s%" PRIu64, (bits & sign) != 0 ? "-" : "", magnitude);
}

/* 9 and 17 digits tell any two floats apart. */
void compare_decimal(char text[COMPARE_TEXT], const compare_array *array, size_t index)
{
    const uint64_t bits = compare_bits(array, index);
    if (is_float(array->type))
        snprintf(text, COMPARE_TEXT, "%.*g", array->type == COMPARE_F32 ? 9 : 17,
                 number(array->type, bits));
    else if (array->dtype[0] == 'I')
        print_signed(text, bits, array->width);
    else
        compare_hex(text, array, index);
}

/* SPDX-License-Identifier: MIT */
/* The parts of a value in JSON, read strictly. SPEC 19.1.1. */
#include "value.h"

#include <string.h>

static const char *const dtypes[] = {"F32", "F64", "U32"};

size_t data_value_width(nn_value_type type)
{
    return type == NN_VALUE_F64 ? 8 : 4;
}

const char *data_value_dtype(nn_value_type type)
{
    return dtypes[type];
}

const char *data_value_text(const data_json_value *value)
{
    if (value == NULL || value->kind != DATA_JSON_STRING || strlen(value->text) != value->length)
        return NULL;
    return value->text;
}

/* ---- form ---- */

bool data_value_read_type(nn_value_type *out, const data_json_value *dtype)
{
    const char *text = data_value_text(dtype);
    for (size_t i = 0; text != NULL && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i], text) == 0) {
            *out = (nn_value_type)i;
            return true;
        }
    return false;
}

bool data_value_read_shape(nn_value *out, const data_json_value *shape)
{
    size_t total = data_value_width(out->type);
    if (shape == NULL || shape->kind != DATA_JSON_ARRAY || shape->length > NN_VALUE_RANK)
        return false;
    out->rank = 0;
    out->count = 1;
    for (const data_json_value *at = shape->child; at != NULL; at = at->next) {
        uint64_t size;
        if (!data_json_u64(&size, at) || size > SIZE_MAX ||
            !nn_size_mul(&total, total, (size_t)size))
            return false;
        out->shape[out->rank++] = (size_t)size;
        out->count *= (size_t)size;
    }
    return true;
}

/* ---- words ---- */

/* `digits` lower-case hexadecimal digits. */
static bool read_hex(uint64_t *out, const char *text, size_t digits)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        const char c = text[i];
        const bool number = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!number && !letter)
            return false;
        bits = bits << 4 | (uint64_t)(number ? c - '0' : c - 'a' + 10);
    }
    *out = bits;
    return true;
}

/* Decimal below 2^32 without a leading zero. */
static bool read_decimal(uint64_t *out, const char *text, size_t digits)
{
    uint64_t sum = 0;
    if (digits == 0 || digits > 10 || (text[0] == '0' && digits > 1))
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(text[i] - '0');
    }
    *out = sum;
    return sum <= UINT32_MAX;
}

/* Element i becomes these bits, as bytes: some processors change a NaN in a register. */
static void store(void *elements, nn_value_type type, size_t i, uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    if (type == NN_VALUE_F64)
        memcpy((double *)elements + i, &bits, sizeof bits);
    else
        memcpy((uint32_t *)elements + i, &low, sizeof low);
}

/* Each word but the last takes two bytes at least. */
bool data_value_words_fit(const nn_value *form, const data_json_value *words)
{
    const char *text = data_value_text(words);
    return text != NULL && form->count <= strlen(text) / 2 + 1;
}

bool data_value_read_words(void *elements, const nn_value *form, const char *words)
{
    for (size_t i = 0; i < form->count; i++) {
        uint64_t bits;
        const size_t digits = strcspn(words, " ");
        const bool decimal = form->type == NN_VALUE_U32;
        if (!(decimal
                  ? read_decimal(&bits, words, digits)
                  : digits == 2 * data_value_width(form->type) && read_hex(&bits, words, digits)))
            return false;
        store(elements, form->type, i, bits);
        words += digits;
        if (i + 1 < form->count && *words++ != ' ')
            return false;
    }
    return *words == '\0';
}

/* ---- tensors, hashes ---- */

void data_value_read_tensor(void *elements, nn_value_type type, const data_safetensor *tensor)
{
    const size_t width = data_value_width(type);
    for (size_t i = 0; i < tensor->byte_count / width; i++) {
        uint64_t bits = 0;
        for (size_t b = width; b-- > 0;)
            bits = bits << 8 | tensor->bytes[i * width + b];
        store(elements, type, i, bits);
    }
}

bool data_value_read_digest(nn_digest *out, const data_json_value *sha256)
{
    const char *text = data_value_text(sha256);
    if (text == NULL || strlen(text) != NN_HEX_BYTES - 1)
        return false;
    for (size_t i = 0; i < sizeof out->byte; i++) {
        uint64_t byte;
        if (!read_hex(&byte, text + 2 * i, 2))
            return false;
        out->byte[i] = (unsigned char)byte;
    }
    return true;
}

void data_value_set(nn_value *value, const void *elements)
{
    value->f32 = value->type == NN_VALUE_F32 ? elements : NULL;
    value->f64 = value->type == NN_VALUE_F64 ? elements : NULL;
    value->u32 = value->type == NN_VALUE_U32 ? elements : NULL;
}

bool data_value_same_form(const data_safetensor *tensor, const nn_value *value)
{
    if (strcmp(tensor->dtype, data_value_dtype(value->type)) != 0 || tensor->rank != value->rank)
        return false;
    for (size_t i = 0; i < value->rank; i++)
        if (tensor->shape[i] != value->shape[i])
            return false;
    return true;
}

/* SPDX-License-Identifier: MIT */
/* Errors, checked sizes, float bits. */
#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ddome_status nn_fail(ddome_error *error, ddome_status status, const char *format, ...)
{
    if (error == NULL || error->status != DDOME_OK)
        return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return status;
}

void nn_error_clear(ddome_error *error)
{
    if (error != NULL)
        memset(error, 0, sizeof *error);
}

bool nn_size_mul(size_t *out, size_t a, size_t b)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

uint32_t nn_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float nn_float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* SPDX-License-Identifier: MIT */
/* Errors, checked sizes, float bits. */
#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is told stays one line and moves no terminal, whatever a file has put into it: control
 * characters become \xNN. */
static void set_line(ddome_error *error, const char *line)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (; *line != '\0'; line++) {
        const unsigned char c = (unsigned char)*line;
        const bool plain = c >= ' ' && c != 0x7f;
        if (at + (plain ? 1 : 4) >= sizeof error->text)
            break;
        if (plain) {
            error->text[at++] = *line;
            continue;
        }
        error->text[at++] = '\\';
        error->text[at++] = 'x';
        error->text[at++] = digits[c >> 4];
        error->text[at++] = digits[c & 15];
    }
    error->text[at] = '\0';
}

ddome_status nn_fail(ddome_error *error, ddome_status status, const char *format, ...)
{
    if (error == NULL || error->status != DDOME_OK)
        return status;
    char line[sizeof error->text];
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    set_line(error, line);
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

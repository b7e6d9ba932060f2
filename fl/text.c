/* SPDX-License-Identifier: MIT */
/* Growing text in an arena; decimals come from integers, so every libc writes the same. SPEC 2.8.
 */
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAPACITY = 256, MILLION = 1000000, LIMBS = 3 };

/* The old bytes stay in the arena until it is rewound; doubling bounds them by the new capacity. */
static bool grow(fl_text *text, size_t needed)
{
    size_t twice = text->capacity > SIZE_MAX / 2 ? SIZE_MAX : 2 * text->capacity;
    size_t capacity = nn_max(nn_max(needed, twice), FIRST_CAPACITY);
    char *data = nn_arena_alloc(text->arena, capacity, 1);
    if (data == NULL)
        return false;
    if (text->length != 0)
        memcpy(data, text->data, text->length);
    data[text->length] = '\0';
    text->data = data;
    text->capacity = capacity;
    return true;
}

/* Room for extra more bytes and the NUL. */
static bool make_room(fl_text *text, size_t extra)
{
    bool fits = !text->failed && extra < SIZE_MAX - text->length;
    if (fits && text->length + extra + 1 > text->capacity)
        fits = grow(text, text->length + extra + 1);
    text->failed = !fits;
    return fits;
}

void fl_text_add(fl_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0)
        text->failed = true;
    else if (make_room(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

/* fraction in [0, 1) times 10^6, exactly, rounded half to even. The fraction is cut into three
 * limbs of 32 bits: 96 bits hold it whole when it is at least 2^-44 (53 bits of significand), and a
 * smaller one gives less than half a millionth whatever was cut off. */
static uint64_t millionths(double fraction)
{
    uint64_t limb[LIMBS], carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        double shifted = fraction * 4294967296.0; /* 2^32: exact */
        limb[i] = (uint64_t)shifted;
        fraction = shifted - (double)limb[i];
    }
    for (int i = LIMBS - 1; i >= 0; i--) {
        carry += limb[i] * MILLION; /* < 2^32 * 10^6 + 2^20: no overflow */
        limb[i] = carry & UINT32_MAX;
        carry >>= 32;
    }
    const uint64_t half = (uint64_t)1 << 31;
    bool above = limb[0] > half || (limb[0] == half && (limb[1] | limb[2]) != 0);
    bool tie = limb[0] == half && (limb[1] | limb[2]) == 0;
    return carry + (above || (tie && carry % 2 == 1) ? 1 : 0);
}

void fl_text_fixed6(fl_text *text, double value)
{
    const double limit = 1099511627776.0; /* 2^40: the micros stay below 2^60 */
    if (!(value >= 0.0 && value < limit)) {
        fl_text_add(text, "nan");
        return;
    }
    uint64_t whole = (uint64_t)value;
    uint64_t micros = whole * MILLION + millionths(value - (double)whole);
    fl_text_add(text, "%" PRIu64 ".%06" PRIu64, micros / MILLION, micros % MILLION);
}

void fl_text_float(fl_text *text, float value)
{
    fl_text_add(text, "%08" PRIx32, nn_float_bits(value));
}

void fl_text_hex_float(fl_text *text, float value)
{
    const uint32_t bits = nn_float_bits(value);
    uint32_t fraction = bits & 0x7fffffu;
    int exponent = (int)(bits >> 23 & 0xffu) - 127, digits = 6;
    const char *sign = bits >> 31 != 0 ? "-" : "";
    if (exponent == 128 || (bits & 0x7fffffffu) == 0) {
        fl_text_add(text, "%s%s", fraction != 0 ? "" : sign,
                    exponent != 128 ? "0x0p+0"
                    : fraction != 0 ? "nan"
                                    : "inf");
        return;
    }
    if (exponent == -127) {
        for (exponent = -126; (fraction & 0x800000u) == 0; exponent--)
            fraction <<= 1;
        fraction &= 0x7fffffu;
    }
    fraction <<= 1; /* 24 bits: six digits */
    for (; digits > 0 && (fraction & 0xfu) == 0; digits--)
        fraction >>= 4;
    if (digits == 0)
        fl_text_add(text, "%s0x1p%+d", sign, exponent);
    else
        fl_text_add(text, "%s0x1.%0*" PRIx32 "p%+d", sign, digits, fraction, exponent);
}

void fl_text_digest(fl_text *text, const nn_digest *digest)
{
    char hex[NN_HEX_BYTES];
    nn_digest_hex(hex, digest);
    fl_text_add(text, "%s", hex);
}

size_t fl_text_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t na = strlen(a), nb = strlen(b), row[LONGEST + 1];
    if (na > LONGEST || nb > LONGEST)
        return nn_max(na, nb);
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = nn_min(changed, nn_min(row[j], row[j - 1]) + 1);
        }
    }
    return row[nb];
}

ddome_status fl_text_status(ddome_error *error, const fl_text *text)
{
    return text->failed ? nn_arena_fail(error, text->arena, "text") : DDOME_OK;
}

/* SPDX-License-Identifier: MIT */
/* All exponent bits set means infinity, and with any bit of the fraction NaN. */
#include "finite.h"

#include <string.h>

static const uint32_t EXPONENT = 0x7f800000u, MAGNITUDE = 0x7fffffffu;

/* Does the magnitude of some bit pattern reach `least`? Without a way out, so that the loop may
 * become vectors; by bits, for a comparison of floats would be free to raise flags. */
static bool some_reach(const float *values, size_t count, uint32_t least)
{
    uint32_t some = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        some |= (uint32_t)((bits & MAGNITUDE) >= least);
    }
    return some != 0;
}

static size_t first_to_reach(const float *values, size_t count, uint32_t least)
{
    for (size_t start = 0; start < count; start += NN_BLOCK) {
        const size_t end = nn_min(count, start + NN_BLOCK);
        if (!some_reach(values + start, end - start, least))
            continue;
        size_t i = start;
        while ((nn_float_bits(values[i]) & MAGNITUDE) < least)
            i++;
        return i;
    }
    return count;
}

size_t nn_nonfinite(const float *values, size_t count)
{
    return first_to_reach(values, count, EXPONENT);
}

size_t nn_first_nan(const float *values, size_t count)
{
    return first_to_reach(values, count, EXPONENT + 1);
}

const char *nn_nonfinite_name(float value)
{
    const uint32_t bits = nn_float_bits(value);
    if ((bits & EXPONENT) != EXPONENT)
        return "a finite number";
    if ((bits & ~EXPONENT) << 1 != 0)
        return "NaN";
    return bits >> 31 != 0 ? "-infinity" : "+infinity";
}

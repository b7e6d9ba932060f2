/* SPDX-License-Identifier: MIT */
/* a*b + c in integers: the exact sum, rounded once to nearest, ties to even. SPEC 2.5. */
#include "oracle_fma.h"

#include <math.h>

/* (mantissa + part) * 2^exponent with 0 <= part < 1; part is not 0 when sticky. */
typedef struct exact {
    bool negative, sticky;
    uint64_t mantissa;
    int exponent;
} exact;

enum { LEAD = 61, LEAST = -149 }; /* a normalised mantissa's first bit; a float's last bit */

static exact exact_from(float x)
{
    const uint32_t bits = nn_float_bits(x), field = bits >> 23 & 0xff;
    const uint32_t fraction = bits & 0x7fffff;
    const exact out = {bits >> 31 != 0, false, field == 0 ? fraction : fraction | 0x800000,
                       field == 0 ? LEAST : (int)field - 150};
    return out;
}

/* x is not 0; its first bit at LEAD, or above where it was. */
static exact normalised(exact x)
{
    for (int step = 32; step > 0; step /= 2)
        if (x.mantissa >> (LEAD + 1 - step) == 0) {
            x.mantissa <<= step;
            x.exponent -= step;
        }
    return x;
}

/* x + y, neither 0, |x| >= |y|, both normalised and of at most 48 bits. Bits of y are lost only
 * when it is moved by 14 or more, and then the first bit falls by one place at most. */
static exact sum_of(exact x, exact y)
{
    const int distance = x.exponent - y.exponent;
    const uint64_t moved = distance > 63 ? 0 : y.mantissa >> distance;
    const bool lost = distance > 63 || moved << distance != y.mantissa;
    x.sticky = lost;
    if (x.negative == y.negative)
        x.mantissa += moved;
    else
        x.mantissa -= moved + (lost ? 1 : 0); /* and what is over is a part */
    return x;
}

/* The bits of the float nearest to x, ties to even; x is not 0 and its first bit at LEAD - 1, LEAD
 * or one above. */
static uint32_t rounded(exact x)
{
    const uint32_t sign = x.negative ? 0x80000000 : 0;
    const int lead = x.mantissa >> LEAD == 0 ? LEAD - 1 : LEAD + (int)(x.mantissa >> (LEAD + 1));
    const int drop = lead - 23 > LEAST - x.exponent ? lead - 23 : LEAST - x.exponent;
    if (drop > 63)
        return sign; /* below half of the smallest subnormal */
    const uint64_t kept = x.mantissa >> drop, half = (uint64_t)1 << (drop - 1);
    const uint64_t rest = x.mantissa & (2 * half - 1);
    const bool up = rest > half || (rest == half && (x.sticky || (kept & 1) != 0));
    /* a carry out of kept moves into the exponent field, and so does the first bit of a normal */
    const uint64_t field = (uint64_t)(x.exponent + drop - LEAST);
    const uint64_t magnitude = (field << 23) + kept + (up ? 1 : 0);
    return sign | (magnitude < 0x7f800000 ? (uint32_t)magnitude : 0x7f800000);
}

static bool is_special(float x)
{
    return (nn_float_bits(x) & 0x7f800000) == 0x7f800000;
}

/* a, b or c is infinite or NaN: IEEE 754, clause 7.2. */
static uint32_t special_sum(float a, float b, float c)
{
    const uint32_t sign = (nn_float_bits(a) ^ nn_float_bits(b)) & 0x80000000;
    const bool infinite = is_special(a) || is_special(b);
    const bool against = isinf(c) && (nn_float_bits(c) & 0x80000000) != sign;
    if (a != a || b != b || c != c || (infinite && (a == 0 || b == 0 || against)))
        return 0x7fc00000;
    return infinite ? sign | 0x7f800000 : nn_float_bits(c);
}

uint32_t oracle_fma_bits(float a, float b, float c)
{
    if (is_special(a) || is_special(b) || is_special(c))
        return special_sum(a, b, c);
    const exact left = exact_from(a), right = exact_from(b);
    exact product = {left.negative != right.negative, false, left.mantissa * right.mantissa,
                     left.exponent + right.exponent};
    exact other = exact_from(c);
    if (product.mantissa == 0 && other.mantissa == 0)
        return product.negative && other.negative ? 0x80000000 : 0;
    if (product.mantissa == 0)
        return nn_float_bits(c);
    product = normalised(product);
    if (other.mantissa == 0)
        return rounded(product);
    other = normalised(other);
    const bool larger = product.exponent != other.exponent ? product.exponent > other.exponent
                                                           : product.mantissa >= other.mantissa;
    const exact sum = larger ? sum_of(product, other) : sum_of(other, product);
    if (sum.mantissa == 0)
        return 0;
    return rounded(sum.sticky ? sum : normalised(sum)); /* what lost bits has its first bit */
}

float oracle_fma(float a, float b, float c)
{
    return nn_float_from_bits(oracle_fma_bits(a, b, c));
}

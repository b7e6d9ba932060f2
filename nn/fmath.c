/* SPDX-License-Identifier: MIT */
/* exp and log, correctly rounded for every binary32: a short computation in double, and where that
 * cannot tell which of two floats is nearer, an exact comparison in integers. SPEC 3.1 to 3.5.
 *
 * No libm but sqrt, no tables, no fma; each statement rounds once. The computations in double are
 * within 2^-50 of exp and log, relatively; SLACK allows 16 times that. tools/fmath_exhaustive
 * measures that bound, checks the constants and compares all 2^32 results with MPFR. */
#include "fmath.h"

#include <math.h>
#include <string.h>

static const double SLACK = 0x1p-46;
static const double INV_LN2 = 0x1.71547652b82fep0;

/* ln 2 = LN2_HI + LN2_LO within 2^-102. LN2_HI has 44 bits, so that its product with |n| < 2^9 is
 * exact. */
static const double LN2_HI = 0x1.62e42fefa38p-1;
static const double LN2_LO = 0x1.ef35793c7673p-45;

/* The largest x with exp(x) < 2^128 - 2^103 (finite after rounding), and the smallest x with
 * exp(x) > 2^-150 (not zero after rounding). */
static const float EXP_LAST = 0x1.62e42ep6f;
static const float EXP_FIRST = -0x1.9fe368p6f;

static float not_a_number(void)
{
    return nn_float_from_bits(0x7fc00000);
}

static float infinity(void)
{
    return nn_float_from_bits(0x7f800000);
}

/* 2^n for a normal result, -1022 <= n <= 1023. */
static double power_of_two(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- The exact comparison: numbers of 160 bits, 32 before the point and 128 behind it ---- */

enum { LIMBS = 5, WHOLE = 4, TERMS = 44 };

/* limb[WHOLE] is the integer part, limb[0] the last 32 bits; arithmetic wraps like uint32_t's. */
typedef struct fixed {
    uint32_t limb[LIMBS];
} fixed;

/* floor(ln 2 * 2^128). */
static const fixed FIXED_LN2 = {{0x03f2f6af, 0xc9e3b398, 0xd1cf79ab, 0xb17217f7, 0}};

/* Exact for 0 <= value < 2^32 that are multiples of 2^-128. */
static fixed fixed_from(double value)
{
    fixed out;
    for (size_t i = LIMBS; i-- > 0;) {
        out.limb[i] = (uint32_t)value;
        double rest = value - (double)out.limb[i];
        value = rest * 0x1p32;
    }
    return out;
}

static fixed fixed_add(fixed a, fixed b)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        carry += (uint64_t)a.limb[i] + b.limb[i];
        a.limb[i] = (uint32_t)(carry & 0xffffffff);
        carry >>= 32;
    }
    return a;
}

static fixed fixed_negate(fixed a)
{
    static const fixed last = {{1, 0, 0, 0, 0}};
    for (size_t i = 0; i < LIMBS; i++)
        a.limb[i] = ~a.limb[i];
    return fixed_add(a, last);
}

static fixed fixed_times(fixed a, uint32_t factor)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        carry += (uint64_t)a.limb[i] * factor;
        a.limb[i] = (uint32_t)(carry & 0xffffffff);
        carry >>= 32;
    }
    return a;
}

/* floor(a * b * 2^128) / 2^128 for a * b < 2^32. */
static fixed fixed_multiply(fixed a, fixed b)
{
    uint32_t product[2 * LIMBS] = {0};
    for (size_t i = 0; i < LIMBS; i++) {
        uint64_t carry = 0;
        for (size_t j = 0; j < LIMBS; j++) {
            carry += (uint64_t)a.limb[i] * b.limb[j] + product[i + j];
            product[i + j] = (uint32_t)(carry & 0xffffffff);
            carry >>= 32;
        }
        product[i + LIMBS] = (uint32_t)carry;
    }
    memcpy(a.limb, product + WHOLE, sizeof a.limb);
    return a;
}

static fixed fixed_divide(fixed a, uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = LIMBS; i-- > 0;) {
        rest = rest << 32 | a.limb[i];
        a.limb[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    return a;
}

static bool fixed_greater(fixed a, fixed b)
{
    size_t i = LIMBS - 1;
    while (i > 0 && a.limb[i] == b.limb[i])
        i--;
    return a.limb[i] > b.limb[i];
}

/* x - n ln 2; the caller sees to it that this is not negative. */
static fixed fixed_reduce(double x, int n)
{
    fixed size = fixed_from(x < 0 ? -x : x);
    fixed multiple = fixed_times(FIXED_LN2, (uint32_t)(n < 0 ? -n : n));
    fixed signed_x = x < 0 ? fixed_negate(size) : size;
    return fixed_add(signed_x, n < 0 ? multiple : fixed_negate(multiple));
}

/* 1 + f/1 (1 + f/2 (1 + f/3 (...))) for 0 <= f < 2.1: 44 terms leave 2^-134. */
static fixed fixed_exp(fixed f)
{
    static const fixed one = {{0, 0, 0, 0, 1}};
    fixed sum = one;
    for (uint32_t i = TERMS; i > 0; i--)
        sum = fixed_add(one, fixed_divide(fixed_multiply(sum, f), i));
    return sum;
}

/* exp(x) > y for y > 0 close to exp(x), both of at most 25 significant bits and 2^-26 < |x| < 105.
 * f = x - n ln 2 lies in (0.69, 2.08) and is wrong by less than 2^-120, exp(f) by less than 2^-116.
 * No exp(x) comes as near to its y as 2^-82 (SPEC 3.5), so the comparison is right. */
static bool exp_is_above(double x, double y)
{
    double quotient = x * INV_LN2;
    int n = (int)quotient - 2;
    fixed left = fixed_exp(fixed_reduce(x, n));
    double right = y * power_of_two(-n);
    return fixed_greater(left, fixed_from(right));
}

/* ---- The computations in double ---- */

/* c[0] + q (c[1] + q (c[2] + ...)), innermost first. */
static double polynomial(const double *c, size_t count, double q)
{
    double sum = c[count - 1];
    for (size_t i = count - 1; i-- > 0;) {
        double product = sum * q;
        sum = product + c[i];
    }
    return sum;
}

/* r coth(r/2) = 2 + q/6 - q^2/360 + ..., q = r^2; coefficient k is 2 B(2k) / (2k)! with Bernoulli's
 * numbers B. For |r| <= 0.347 the first term left out is below 2^-57. */
static const double COTH[] = {2.0,
                              1.0 / 6.0,
                              -1.0 / 360.0,
                              1.0 / 15120.0,
                              -1.0 / 604800.0,
                              1.0 / 23950080.0,
                              -691.0 / 653837184000.0};

/* exp(x) within 2^-50 for EXP_FIRST <= x <= EXP_LAST: x = n ln 2 + r with |r| <= 0.347 and
 * exp(r) = 1 + 2r / (r coth(r/2) - r). */
static double exp_near(double x)
{
    double quotient = x * INV_LN2;
    double shifted = quotient < 0 ? quotient - 0.5 : quotient + 0.5;
    int n = (int)shifted;
    double high = (double)n * LN2_HI;
    double low = (double)n * LN2_LO;
    double r = x - high; /* exact: n = 0, or both are multiples of 2^-44 and close */
    r = r - low;
    double q = r * r;
    double coth = polynomial(COTH, sizeof COTH / sizeof *COTH, q);
    double divisor = coth - r;
    double twice = r + r;
    double fraction = twice / divisor;
    double value = 1.0 + fraction;
    return value * power_of_two(n);
}

/* (artanh(s) / s - 1) / q = 1/3 + q/5 + q^2/7 + ..., q = s^2. For |s| <= 0.172 the first term left
 * out is below 2^-55. */
static const double ARTANH[] = {1.0 / 3.0,  1.0 / 5.0,  1.0 / 7.0,  1.0 / 9.0, 1.0 / 11.0,
                                1.0 / 13.0, 1.0 / 15.0, 1.0 / 17.0, 1.0 / 19.0};

/* log(x) within 2^-50 for finite x > 0: x = 2^n m with 0.7 < m < 1.42, s = (m - 1) / (m + 1) and
 * log m = 2 artanh(s). Near x = 1 n is 0, so nothing cancels. */
static double log_near(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int n = (int)(bits >> 52) - 1023;
    double m = x * power_of_two(-n);
    if (m > 0x1.6ap0) {
        m = m * 0.5;
        n++;
    }
    double difference = m - 1.0; /* exact, and so is the sum: m has 24 bits */
    double sum = m + 1.0;
    double s = difference / sum;
    double q = s * s;
    double rest = polynomial(ARTANH, sizeof ARTANH / sizeof *ARTANH, q) * q;
    double twice = s + s;
    double tail = twice * rest;
    double low = (double)n * LN2_LO;
    tail = tail + low;
    double log_m = twice + tail;
    double high = (double)n * LN2_HI; /* exact */
    double value = high + log_m;
    return value;
}

/* ---- Rounding ---- */

/* The floats between which the exact value lies; equal when the rounding is certain. The slack also
 * covers the rounding of the sums. */
static void enclose(float *low, float *high, double value)
{
    double slack = (value < 0 ? -value : value) * SLACK;
    double below = value - slack;
    double above = value + slack;
    *low = (float)below;
    *high = (float)above;
}

/* Exact: neighbouring floats have 24 bits. */
static double middle_of(float low, float high)
{
    double sum = (double)low + (double)high;
    return sum * 0.5;
}

float nn_expf(float x)
{
    if (x != x)
        return not_a_number();
    if (x > EXP_LAST)
        return infinity();
    if (x < EXP_FIRST)
        return 0.0f;
    float low, high;
    enclose(&low, &high, exp_near(x));
    if (low == high)
        return low;
    return exp_is_above(x, middle_of(low, high)) ? high : low;
}

/* log(x) < middle exactly when exp(middle) > x. */
float nn_logf(float x)
{
    if (x == 0.0f)
        return -infinity();
    if (!(x > 0.0f))
        return not_a_number();
    if (x == infinity())
        return x;
    float low, high;
    enclose(&low, &high, log_near(x));
    if (low == high)
        return low;
    return exp_is_above(middle_of(low, high), x) ? low : high;
}

/* SPEC 3.3: in double, because 1.0f / sqrtf(x) is not correctly rounded. */
float nn_rsqrtf(float x)
{
    if (x != x || x < 0.0f)
        return not_a_number();
    double root = sqrt((double)x);
    double inverse = 1.0 / root;
    return (float)inverse;
}

float nn_sqrtf(float x)
{
    if (x != x || x < 0.0f)
        return not_a_number();
    return (float)sqrt((double)x);
}

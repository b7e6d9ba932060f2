/* SPDX-License-Identifier: MIT */
/* Witnesses: small computations that come out different where a rule of SPEC 2 is broken. SPEC 3.7.
 * All inputs are volatile, so the machine computes them and not the compiler. */
#include "selftest.h"

#include <string.h>

#include "fma.h"
#include "fmath.h"
#include "hash.h"
#include "rng.h"

typedef struct witness {
    bool (*holds)(void);
    const char *rule, *mend;
} witness;

/* 1 + 2^-24 is a tie and goes to 1; 1 + 3 * 2^-24 is a tie and goes up to 1 + 2^-22. Directed modes
 * move one of them or their negatives. */
static bool rounds_to_even(void)
{
    volatile float one = 1.0f, low = 0x1p-24f, high = 0x3p-24f;
    volatile float a = one + low;
    volatile float b = one + high;
    volatile float c = -one - low;
    volatile float d = -one - high;
    return a == 1.0f && b == 0x1.000004p0f && c == -1.0f && d == -0x1.000004p0f;
}

static bool doubles_round_to_even(void)
{
    volatile double one = 1.0, low = 0x1p-53, high = 0x3p-53;
    volatile double a = one + low;
    volatile double b = one + high;
    volatile double c = -one - low;
    return a == 1.0 && b == 0x1.0000000000002p0 && c == -1.0;
}

/* A subnormal result (flush to zero) and a subnormal operand (denormals are zero). */
static bool keeps_subnormals(void)
{
    volatile float smallest = 0x1p-126f, half = 0.5f, scale = 0x1p23f;
    volatile float below = smallest * half;
    uint32_t bits = nn_float_bits(below);
    volatile float above = nn_float_from_bits(bits) * scale;
    return bits == 0x00400000 && above == 0x1p-104f;
}

/* The same in loops that a compiler may vectorise: AltiVec's vectors, and NEON's on 32-bit ARM,
 * flush where the scalars of the same processor do not. Some compilers leave loops of unknown
 * length alone and others unroll those of known length, so there is one of each. */
static bool keeps_subnormals_in_loops(void)
{
    volatile float smallest = 0x1p-126f, half = 0.5f;
    volatile size_t length = 64;
    const float scale = half;
    const size_t count = length;
    float below[64], above[64];
    bool kept = true;
    for (size_t i = 0; i < count; i++)
        below[i] = smallest;
    for (size_t i = 0; i < count; i++)
        below[i] = below[i] * scale;
    for (size_t i = 0; i < 64; i++)
        above[i] = below[i] + below[i];
    for (size_t i = 0; i < 64; i++)
        kept = kept && nn_float_bits(below[i]) == 0x00400000 && above[i] == 0x1p-126f;
    return kept;
}

/* (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24 is a tie: rounded it loses 2^-24, fused with the sum it does
 * not. Once as one expression, once as two statements; the cast is for FLT_EVAL_METHOD 1. */
static bool does_not_contract(void)
{
    volatile float input = 0x1.001p0f, minus = -0x1.002p0f;
    float a = input, c = minus;
    float expression = (float)(a * a) + c;
    float product = a * a;
    float statements = product + c;
    volatile float first = expression, second = statements;
    return first == 0.0f && second == 0.0f;
}

static bool does_not_contract_doubles(void)
{
    volatile double input = 0x1.0000002p0, minus = -0x1.0000004p0;
    double a = input, c = minus;
    double expression = a * a + c;
    double product = a * a;
    double statements = product + c;
    volatile double first = expression, second = statements;
    return first == 0.0 && second == 0.0;
}

typedef struct sum_of_product {
    uint32_t a, b, c, fused;
} sum_of_product;

/* The known answers of SPEC 2.5.4: the tie of does_not_contract, now fused; sums next to a tie by
 * 2^-70, normal and subnormal, that a double rounds onto it; a product that is rounded to -0. */
static bool fuses(void)
{
    static const sum_of_product sums[] = {
        {0x3f800800, 0x3f800800, 0xbf801000, 0x33800000},
        {0x33800001, 0x3f7ffffe, 0x3f800001, 0x3f800001},
        {0x1a000001, 0x19fffffe, 0x00400001, 0x00400001},
        {0x8d800000, 0x0d800000, 0x00000000, 0x80000000},
    };
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        volatile float a = nn_float_from_bits(sums[i].a), b = nn_float_from_bits(sums[i].b);
        volatile float c = nn_float_from_bits(sums[i].c);
        volatile float chosen = nn_fmaf(a, b, c), exact = nn_fmaf_exact(a, b, c);
        if (nn_float_bits(chosen) != sums[i].fused || nn_float_bits(exact) != sums[i].fused)
            return false;
    }
    return true;
}

/* (big + 1) - big is 0; in any other order it is 1. A chain over an array shows a compiler that
 * vectorises a sum. */
static bool does_not_reassociate(void)
{
    volatile float input = 0x1p24f, unit = 1.0f;
    float big = input, one = unit, sum = 0.0f;
    float difference = (float)(big + one) - big;
    float terms[32];
    for (size_t i = 0; i < 32; i++)
        terms[i] = i == 0 ? big : one;
    for (size_t i = 0; i < 32; i++)
        sum = sum + terms[i];
    volatile float first = difference, second = sum;
    return first == 0.0f && second == 0x1p24f;
}

/* The same in double, where chains of floats are doubles, too (FLT_EVAL_METHOD 1). */
static bool does_not_reassociate_doubles(void)
{
    volatile double input = 0x1p53, unit = 1.0;
    double big = input, one = unit;
    volatile double difference = (big + one) - big;
    return difference == 0.0;
}

/* 9 / 10 and 5 / 3 differ from products with the rounded reciprocals of 10 (a constant) and of 3
 * (shared by quotients). SPEC 2.6. */
static bool divides(void)
{
    volatile float nine = 9.0f, five = 5.0f, seven = 7.0f, three = 3.0f;
    float divisor = three;
    volatile float first = nine / 10.0f;
    volatile float second = five / divisor;
    volatile float third = seven / divisor;
    return nn_float_bits(first) == 0x3f666666 && nn_float_bits(second) == 0x3fd55555 &&
           nn_float_bits(third) == 0x40155555;
}

/* 3 / 10, 5 / 3, 7 / 3 and 14 / 3 do in double. Where FLT_EVAL_METHOD is 1 this is how a quotient
 * of floats is lost, and hardly ever seen in the float. */
static bool divides_doubles(void)
{
    volatile double small = 3.0, five = 5.0, seven = 7.0, fourteen = 14.0, three = 3.0;
    double divisor = three;
    volatile double first = small / 10.0;
    volatile double second = five / divisor;
    volatile double third = seven / divisor;
    volatile double fourth = fourteen / divisor;
    return first == 0x1.3333333333333p-2 && second == 0x1.aaaaaaaaaaaabp+0 &&
           third == 0x1.2aaaaaaaaaaabp+1 && fourth == 0x1.2aaaaaaaaaaabp+2;
}

/* A quotient that kept more than 24 bits differs from itself once stored. Neither contraction nor
 * reassociation makes that difference, so the reason that is told is the right one. */
static bool floats_have_24_bits(void)
{
    volatile float seven = 7.0f, three = 3.0f;
    float a = seven, b = three;
    volatile float stored = a / b;
    float quotient = a / b;
    volatile float statement = quotient - stored;
    volatile float expression = (float)(a / b) - stored;
    return statement == 0.0f && expression == 0.0f;
}

/* The same with 53 bits; and a double that was rounded to 64 bits first rounds a second time:
 * 1 + (2^-53 + 2^-65) must go up. */
static bool doubles_have_53_bits(void)
{
    volatile double seven = 7.0, three = 3.0, unit = 1.0, odd = 0x1.001p-53;
    double a = seven, b = three, one = unit, above = odd;
    volatile double stored = a / b;
    double quotient = a / b;
    volatile double statement = quotient - stored;
    volatile double expression = a / b - stored;
    volatile double once = one + above;
    return statement == 0.0 && expression == 0.0 && once == 0x1.0000000000001p0;
}

/* -5 * -3 of floats in registers, where some processors have one instruction for both steps. */
static bool widens_products(void)
{
    volatile float four = -4.0f, two = -2.0f, one = -1.0f;
    const float a = four + one, b = two + one;
    const double product = (double)a * (double)b;
    volatile double stored = product;
    return stored == 15.0;
}

/* Decimal and hexadecimal literals have the nearest value. Doubles by bits: a literal to compare
 * with could have lost the same. */
static bool reads_literals(void)
{
    volatile float tenth = 0.1f, epsilon = 1e-5f, largest = 3.40282347e38f, hex = 0x1.99999ap-4f;
    double tenths[2] = {0.1, 0x1.999999999999ap-4};
    uint64_t bits[2];
    memcpy(bits, tenths, sizeof bits);
    return nn_float_bits(tenth) == 0x3dcccccd && nn_float_bits(epsilon) == 0x3727c5ac &&
           nn_float_bits(largest) == 0x7f7fffff && nn_float_bits(hex) == 0x3dcccccd &&
           bits[0] == UINT64_C(0x3fb999999999999a) && bits[1] == bits[0];
}

/* A float becomes a double exactly and a double becomes the nearest float; integers truncate. */
static bool converts(void)
{
    volatile double tie = 0x1.000001p0, above = 0x1.0000010000001p0, negative = -1.75;
    volatile float down = (float)tie;
    volatile float up = (float)above;
    volatile int whole = (int)negative;
    volatile float from_integer = (float)(uint32_t)0x01000001;
    return down == 1.0f && up == 0x1.000002p0f && whole == -1 && from_integer == 0x1p24f;
}

static bool keeps_signed_zero_and_nan(void)
{
    volatile float zero = 0.0f, one = 1.0f;
    volatile float minus_zero = -zero;
    volatile float sum = minus_zero + 0.0f; /* +0; -fno-signed-zeros leaves out the addition */
    volatile float infinite = one / minus_zero;
    volatile float nan = zero / zero;
    return nn_float_bits(minus_zero) == 0x80000000 && nn_float_bits(sum) == 0 &&
           nn_float_bits(infinite) == 0xff800000 && nan != nan;
}

static bool integers_wrap_and_shift(void)
{
    volatile uint32_t largest = UINT32_MAX;
    volatile int32_t negative = -5;
    volatile uint64_t wide = UINT64_MAX;
    uint32_t wrapped = largest + 2;
    return wrapped == 1 && (uint32_t)negative == 0xfffffffb && (negative & 3) == 3 &&
           negative / 2 == -2 && negative % 2 == -1 && wide >> 63 == 1 && sizeof(int) >= 4 &&
           (uint64_t)largest * largest == UINT64_C(0xfffffffe00000001);
}

/* Subtraction, division and root in double as nn/fmath.c uses them. */
static bool takes_roots(void)
{
    static const uint32_t of_two = 0x3fb504f3, inverse_of_three = 0x3f13cd3a;
    volatile float two = 2.0f, three = 3.0f, tiny = 0x1p-149f;
    return nn_float_bits(nn_sqrtf(two)) == of_two &&
           nn_float_bits(nn_rsqrtf(three)) == inverse_of_three &&
           nn_float_bits(nn_sqrtf(tiny)) == 0x1a3504f3;
}

typedef struct pair {
    uint32_t x, y;
} pair;

static bool maps(float (*function)(float), const pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        volatile float x = nn_float_from_bits(pairs[i].x);
        if (nn_float_bits(function(x)) != pairs[i].y)
            return false;
    }
    return true;
}

/* Six of the hardest inputs (tests/golden/hard_expf.txt, hard_logf.txt), then special values. */
static bool maps_exp(void)
{
    static const pair pairs[] = {
        {0xc16912cd, 0x34fd331b}, {0xbbf0edf1, 0x3f7e1fe9}, {0xbae0e25c, 0x3f7f8fa7},
        {0xb3000000, 0x3f800000}, {0x377eff81, 0x3f800080}, {0x40315b33, 0x417fa47d},
        {0x00000000, 0x3f800000}, {0xc2d00000, 0x00000000}, {0x42b20000, 0x7f800000},
    };
    return maps(nn_expf, pairs, sizeof pairs / sizeof *pairs);
}

static bool maps_log(void)
{
    static const pair pairs[] = {
        {0x65d890d3, 0x4254d1f9}, {0x4c5d65a5, 0x418f034b}, {0x4d604ebe, 0x419a352c},
        {0x66a8c860, 0x42595e46}, {0x1f116ab8, 0xc233b53e}, {0x41178feb, 0x400fe5e7},
        {0x3f800000, 0x00000000}, {0x00000000, 0xff800000}, {0xbf800000, 0x7fc00000},
    };
    return maps(nn_logf, pairs, sizeof pairs / sizeof *pairs);
}

static bool hashes(void)
{
    nn_digest digest = nn_sha256_of("abc", 3);
    char hex[NN_HEX_BYTES];
    nn_digest_hex(hex, &digest);
    return strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0;
}

/* The first known answer of SPEC 4.1. */
static bool draws(void)
{
    static const uint32_t zero[4] = {0, 0, 0, 0};
    static const uint32_t want[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    uint32_t out[4];
    nn_philox4x32_10(out, zero, zero);
    return memcmp(out, want, sizeof out) == 0;
}

static const char FAST[] = "compile without -ffast-math, -Ofast and all that they contain";
static const char CONTRACT[] = "compile with -ffp-contract=off";
static const char SSE[] = "on 32-bit x86 compile with -msse2 -mfpmath=sse";
static const char FLUSH[] = "link without -ffast-math and -Ofast; load no library with FTZ/DAZ";
static const char MODE[] = "leave the rounding mode at nearest: no fesetround, no such library";
static const char VECTORS[] = "on PowerPC compile with -mno-altivec, on 32-bit ARM without NEON";
static const char LITERALS[] = "compile without -fsingle-precision-constant";
static const char PRODUCT[] = "use another processor, emulator or compiler, or a lower -O";
static const char PORT[] = "this compiler breaks C99: use another version or a lower -O";

/* In an order that tells the cause: flags that break a witness here break none before it. */
static const witness witnesses[] = {
    {integers_wrap_and_shift, "integers are two's complement", PORT},
    {reads_literals, "literals have the nearest value", LITERALS},
    {rounds_to_even, "floats round to nearest even", MODE},
    {doubles_round_to_even, "doubles round to nearest even", MODE},
    {floats_have_24_bits, "floats have no excess precision", SSE},
    {doubles_have_53_bits, "doubles have no excess precision", SSE},
    {keeps_subnormals, "subnormals are kept", FLUSH},
    {keeps_subnormals_in_loops, "subnormals are kept in loops", VECTORS},
    {does_not_reassociate, "sums keep their order", FAST},
    {does_not_reassociate_doubles, "sums of doubles keep their order", FAST},
    {divides, "a quotient is divided, not multiplied", FAST},
    {divides_doubles, "a quotient of doubles is divided, not multiplied", FAST},
    {does_not_contract, "a*b+c rounds twice in float", CONTRACT},
    {does_not_contract_doubles, "a*b+c rounds twice in double", CONTRACT},
    {fuses, "a fused a*b+c rounds once", FAST},
    {converts, "conversions round to nearest even", PORT},
    {keeps_signed_zero_and_nan, "signed zeros and NaN are kept", FAST},
    {widens_products, "the product of two floats is exact in double", PRODUCT},
    {takes_roots, "sqrt is correctly rounded", FAST},
    {maps_exp, "exp is correctly rounded", FAST},
    {maps_log, "log is correctly rounded", FAST},
    {hashes, "SHA-256 of abc", PORT},
    {draws, "Philox of zeros", PORT},
};

ddome_status nn_selftest(ddome_error *error)
{
    for (size_t i = 0; i < sizeof witnesses / sizeof *witnesses; i++) {
        if (!witnesses[i].holds())
            return nn_fail(error, DDOME_ERR_VERIFY, "self-test: \"%s\" does not hold here; %s",
                           witnesses[i].rule, witnesses[i].mend);
    }
    return DDOME_OK;
}

/* SPDX-License-Identifier: MIT */
/* Growing text: six-place decimals against exact values and a digit-by-digit oracle, growth, the
 * sticky failure, the distance of words. SPEC 2.8. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fl/text.h"
#include "../nn/rng.h"
#include "test.h"

void t_text(void);

/* ---- hexadecimal floats ---- */

static bool same_hex(uint32_t bits, const char *want)
{
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    fl_text_hex_float(&text, nn_float_from_bits(bits));
    const bool ok = test_same_text("a float", text.data, want);
    nn_arena_free(&arena);
    return ok;
}

static void hex_floats(void)
{
    static const struct {
        uint32_t bits;
        const char *text;
    } cases[] = {
        {0x00000000, "0x0p+0"},    {0x80000000, "-0x0p+0"},       {0x3f800000, "0x1p+0"},
        {0xc0400000, "-0x1.8p+1"}, {0x3dcccccd, "0x1.99999ap-4"}, {0x7f7fffff, "0x1.fffffep+127"},
        {0x00800000, "0x1p-126"},  {0x00000001, "0x1p-149"},      {0x007fffff, "0x1.fffffcp-127"},
        {0x00400000, "0x1p-127"},  {0x80600000, "-0x1.8p-127"},   {0x3f8000f0, "0x1.0001ep+0"},
        {0x7f800000, "inf"},       {0xff800000, "-inf"},          {0x7fc00000, "nan"},
        {0xffc00001, "nan"},
    };
    test_case("text: floats in hexadecimal, with every kind of value");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        same_hex(cases[i].bits, cases[i].text);
}

/* The C library reads the same float, at every exponent and a walk through the fractions. */
static void hex_floats_read(void)
{
    test_case("text: a float in hexadecimal is read back as it was");
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    for (uint32_t step = 0, bits = 0; step < 20000; step++, bits += 0x20003u * 1021u) {
        if ((bits & 0x7f800000u) == 0x7f800000u)
            continue;
        text.length = 0;
        fl_text_hex_float(&text, nn_float_from_bits(bits));
        if (!test_same_u64(text.data, nn_float_bits(strtof(text.data, NULL)), bits))
            break;
    }
    nn_arena_free(&arena);
}

/* ---- fixed6 ---- */

static bool same_fixed6(double value, const char *want)
{
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    fl_text_fixed6(&text, value);
    bool ok = test_check(strcmp(text.data, want) == 0, __FILE__, __LINE__, "%a gives %s, want %s",
                         value, text.data, want);
    nn_arena_free(&arena);
    return ok;
}

typedef struct exact {
    double value;
    const char *text;
} exact;

/* Only odd multiples of 1/128 lie halfway between two millionths; decimals such as 0.0000005 are
 * not halves once they are binary: the double of 5e-7 is below, that of 1.5e-6 above. */
static const exact exact_cases[] = {
    {0.0, "0.000000"},
    {-0.0, "0.000000"},
    {1.0, "1.000000"},
    {0x1.0p-7, "0.007812"}, /* 7812.5 goes down to even */
    {0x1.8p-6, "0.023438"}, /* 23437.5 goes up to even */
    {0x1.4p-5, "0.039062"}, /* 39062.5 */
    {0x1.cp-5, "0.054688"}, /* 54687.5 */
    {0x1.0000000000001p-7, "0.007813"},
    {0x1.7ffffffffffffp-6, "0.023437"},
    {0x1.0c6f7a0b5ed8dp-21, "0.000000"}, /* 5e-7 */
    {0x1.92a737110e454p-20, "0.000002"}, /* 1.5e-6 */
    {0x1.4f8b588e368f1p-19, "0.000003"}, /* 2.5e-6 */
    {0x1.0c6f7a0b5ed8dp-22, "0.000000"}, /* 2.5e-7 */
    {0x1.0c6f7a0b5ed8ep-21, "0.000001"}, /* one step above 5e-7 */
    {0x0.0000000000001p-1022, "0.000000"},
    {0x1.999999999999ap-4, "0.100000"},
    {0x1.5555555555555p-1, "0.666667"},
    {0x1.ffffef39085f5p-1, "1.000000"}, /* 0.9999995 carries into the whole part */
    {0x1.ffffef38f261dp-1, "0.999999"}, /* 0.99999949999 */
    {0x1.d6f34547e6b75p+26, "123456789.123457"},
    {0x1.fffffffffffc0p+39, "1099511627775.992188"},
    {0x1.fffffffffffffp+39, "1099511627775.999878"},
    {0x1.0p+40, "nan"},
    {-0x1.0p-30, "nan"},
};

/* An exact decimal expansion by long multiplication: no shortcut of the code under test. value is
 * an integer times 2^-96 below 2^16, so 112 bits in limbs of 16 hold it. */
enum { LIMBS = 7 };

static void oracle_fixed6(char out[32], double value)
{
    uint32_t limb[LIMBS]; /* limb[0] the whole part, then the fraction downwards */
    for (int i = 0; i < LIMBS; i++) {
        limb[i] = (uint32_t)value;
        value = (value - (double)limb[i]) * 65536.0;
    }
    uint64_t micros = limb[0];
    for (int digit = 0; digit < 6; digit++) {
        uint32_t carry = 0;
        for (int i = LIMBS - 1; i > 0; i--) {
            carry += limb[i] * 10;
            limb[i] = carry & 0xffff;
            carry >>= 16;
        }
        micros = 10 * micros + carry;
    }
    uint32_t below = 0;
    for (int i = 2; i < LIMBS; i++)
        below |= limb[i];
    bool up = limb[1] > 0x8000 || (limb[1] == 0x8000 && (below != 0 || micros % 2 == 1));
    micros += up ? 1 : 0;
    char digits[24];
    int count = 0;
    for (; micros != 0 || count < 7; micros /= 10)
        digits[count++] = (char)('0' + micros % 10);
    while (count > 0) {
        *out++ = digits[--count];
        if (count == 6)
            *out++ = '.';
    }
    *out = '\0';
}

static void random_fixed6(void)
{
    test_case("text fixed6 equals long multiplication");
    nn_rng rng = nn_rng_at(test_seed(), NN_STREAM_TEST, 0, 0, 61);
    for (int i = 0; i < 20000; i++) {
        /* 53 random bits whose lowest is at least 2^-96 */
        int exponent = (int)nn_rng_below(&rng, 58) - 96;
        double high = (double)nn_rng_u32(&rng) * 2097152.0;
        double value = ldexp(high + (double)nn_rng_below(&rng, 1u << 21), exponent);
        if (i % 8 == 0) /* a tie */
            value = (double)(2 * nn_rng_below(&rng, 100000) + 1) / 128.0;
        char want[32];
        oracle_fixed6(want, value);
        if (!same_fixed6(value, want))
            break;
    }
}

static void fixed6(void)
{
    test_case("text fixed6 exact cases");
    for (size_t i = 0; i < sizeof exact_cases / sizeof *exact_cases; i++)
        same_fixed6(exact_cases[i].value, exact_cases[i].text);
    test_case("text fixed6 of what is no number");
    same_fixed6((double)NAN, "nan");
    same_fixed6((double)INFINITY, "nan");
    same_fixed6(-1.0, "nan");
    random_fixed6();
}

/* ---- growth ---- */

static void grows(void)
{
    test_case("text grows and keeps what it holds");
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    for (unsigned i = 0; i < 5000; i++)
        fl_text_add(&text, "%u,", i);
    CHECK(text.length == strlen(text.data) && text.length < text.capacity);
    const char *at = text.data;
    char want[16];
    for (unsigned i = 0; i < 5000; i++) {
        size_t length = (size_t)snprintf(want, sizeof want, "%u,", i);
        if (!CHECK(memcmp(at, want, length) == 0))
            break;
        at += length;
    }
    ddome_error error = {DDOME_OK, ""};
    test_status("status", fl_text_status(&error, &text), DDOME_OK, &error, NULL);
    nn_arena_free(&arena);
}

static void long_addition(void)
{
    test_case("text takes an addition longer than its room");
    static char letters[3001];
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    memset(letters, 'x', sizeof letters - 1);
    fl_text_add(&text, "%s", "");
    CHECK(text.length == 0 && text.data[0] == '\0');
    fl_text_add(&text, "<%s>", letters);
    CHECK(text.length == sizeof letters + 1 && text.data[sizeof letters] == '>');
    nn_arena_free(&arena);
}

static void other_forms(void)
{
    test_case("text writes floats as bits and digests as hex");
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    nn_digest digest = nn_sha256_of("abc", 3);
    fl_text_float(&text, 1.0f);
    fl_text_add(&text, " ");
    fl_text_float(&text, -0.0f);
    fl_text_add(&text, " ");
    fl_text_digest(&text, &digest);
    test_same_text("forms", text.data,
                   "3f800000 80000000 "
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    nn_arena_free(&arena);
}

static void sticks(void)
{
    test_case("text keeps a failure");
    nn_arena arena = {.fail_after = 2};
    fl_text text = {.arena = &arena};
    ddome_error error = {DDOME_OK, ""};
    fl_text_add(&text, "first");
    CHECK(!text.failed);
    fl_text_add(&text, "%300s", "too much");
    arena.fail_after = 0;
    fl_text_add(&text, "third");
    CHECK(text.length == 5);
    test_same_text("kept", text.data, "first");
    test_status("status", fl_text_status(&error, &text), DDOME_ERR_MEMORY, &error, "out of memory");
    nn_arena_free(&arena);
}

static void distances(void)
{
    test_case("text distance of words");
    test_same_u64("equal", fl_text_distance("rounds", "rounds"), 0);
    test_same_u64("empty", fl_text_distance("", "abc"), 3);
    test_same_u64("left out", fl_text_distance("rouns", "rounds"), 1);
    test_same_u64("swapped", fl_text_distance("trian", "train"), 2);
    test_same_u64("classic", fl_text_distance("kitten", "sitting"), 3);
    test_same_u64("reversed", fl_text_distance("sitting", "kitten"), 3);
    char endless[200];
    memset(endless, 'a', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    test_same_u64("too long", fl_text_distance(endless, "a"), sizeof endless - 1);
}

void t_text(void)
{
    hex_floats();
    hex_floats_read();
    fixed6();
    grows();
    long_addition();
    other_forms();
    sticks();
    distances();
}

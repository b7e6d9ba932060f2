/* SPDX-License-Identifier: MIT */
/* Decimals of the configuration: what is taken, the canonical text, the bits. SPEC 16.2. */
#include <stdio.h>
#include <stdlib.h>

#include "../nn/rng.h"
#include "config_help.h"

void t_config_decimal(void);

typedef struct decimal_case {
    const char *text, *canonical; /* canonical NULL: refused */
} decimal_case;

static const decimal_case decimal_cases[] = {
    {"0", "0"},
    {"0.0", "0"},
    {"0e5", "0"},
    {"0.000e-99", "0"},
    {"1", "1"},
    {"0.1", "0.1"},
    {"0.10", "0.1"},
    {"1e-1", "0.1"},
    {"1E-1", "0.1"},
    {"10e-2", "0.1"},
    {"0.01e+1", "0.1"},
    {"100", "100"},
    {"1e2", "100"},
    {"1.5e2", "150"},
    {"12.340", "12.34"},
    {"123.456789012345", "123.456789012345"},
    {"0.000000000000000000000000000000e9", "0"},
    {"1e-22", "0.0000000000000000000001"},
    {"123456789012345e-22", "0.0000000123456789012345"},
    {"1.000000000000000000", "1"},
    {"100.000", "100"},
    {"1e-23", NULL},
    {"1234567890123456", NULL},
    {"0.1234567890123456", NULL},
    {"1e15", NULL},
    {"1e100", NULL},
    {"1e-100", NULL},
    {"", NULL},
    {".", NULL},
    {".5", NULL},
    {"5.", NULL},
    {"00.1", NULL},
    {"-1", NULL},
    {"+1", NULL},
    {"-0", NULL},
    {"1e", NULL},
    {"1e+", NULL},
    {"1.e1", NULL},
    {"1_0", NULL},
    {"1,5", NULL},
    {"0x1p3", NULL},
    {"nan", NULL},
    {"inf", NULL},
    {" 1", NULL},
    {"1 ", NULL},
    {"0.10000000000000000000000000000000000000000000000000000000000000", "0.1"}, /* 64 characters */
    {"0.100000000000000000000000000000000000000000000000000000000000000", NULL}, /* 65 characters */
    {"1.00000000000000000000000000000000000000000000000000000000000e+2", "100"}, /* 64 characters */
    {"1.000000000000000000000000000000000000000000000000000000000000e+2", NULL}, /* 65 characters */
};

static const fl_key *weight_key(void)
{
    return fl_config_find("anchor_gate_weight", NULL); /* 0..1000: the widest decimal */
}

/* SPEC 16.2.1, 16.2.3. */
static void decimals(void)
{
    test_case("config decimals have one canonical text");
    for (size_t i = 0; i < sizeof decimal_cases / sizeof *decimal_cases; i++) {
        const decimal_case *c = &decimal_cases[i];
        fl_config config;
        fl_config_defaults(&config);
        bool taken = fl_key_parse(&config, weight_key(), c->text, FL_BARE);
        if (taken && c->canonical != NULL)
            test_same_text(c->text, config.anchor_gate_weight.text, c->canonical);
        test_check(taken == (c->canonical != NULL), __FILE__, __LINE__, "\"%s\" is %s", c->text,
                   taken ? "taken" : "refused");
    }
}

/* Writes digits with the point somewhere, in the range of the key. */
static void random_decimal(char text[64], nn_rng *rng)
{
    unsigned places = nn_rng_below(rng, 16);
    unsigned whole = nn_rng_below(rng, places > 12 ? 2 : 1000);
    int length = snprintf(text, 64, "%u%s", whole, places > 0 ? "." : "");
    for (unsigned i = 0; i < places && i < 12; i++)
        text[length++] = (char)('0' + nn_rng_below(rng, 10));
    snprintf(text + length, (size_t)(64 - length), "e-%u", nn_rng_below(rng, 8));
}

/* One division in binary64 and one rounding to binary32 differ from a correctly rounded strtof only
 * when the quotient falls on the middle of two floats: once in 2^29 random cases, never among these
 * (double_rounding has one). This leg trusts the C library's strtof. */
static void random_decimals(void)
{
    test_case("config decimals equal strtof of their canonical text");
    nn_rng rng = nn_rng_at(test_seed(), NN_STREAM_TEST, 0, 0, 62);
    fl_config config;
    fl_config_defaults(&config);
    unsigned taken = 0;
    for (int i = 0; i < 20000; i++) {
        char text[64];
        random_decimal(text, &rng);
        if (!fl_key_parse(&config, weight_key(), text, FL_BARE))
            continue;
        taken++;
        float want = strtof(config.anchor_gate_weight.text, NULL);
        if (!test_same_floats(text, &config.anchor_gate_weight.value, &want, 1))
            break;
    }
    CHECK(taken > 10000);
}

static void decimal_bits(const char *text, uint32_t want)
{
    fl_config config;
    fl_config_defaults(&config);
    CHECK(fl_key_parse(&config, weight_key(), text, FL_BARE));
    test_same_u64(text, nn_float_bits(config.anchor_gate_weight.value), want);
}

/* SPEC 16.2.2 fixes two roundings: these decimals lie so close to the middle of two floats that the
 * quotient is the middle, and the tie goes to even; a correctly rounded strtof gives ...699,
 * ...967. */
static void double_rounding(void)
{
    test_case("config decimals round twice, as specified");
    decimal_bits("0.881204217672348", 0x3f61969a);
    decimal_bits("0.937887579202652", 0x3f701966);
    decimal_bits("0.1", 0x3dcccccd);
    decimal_bits("0.001", 0x3a83126f);
    decimal_bits("0.0005", 0x3a03126f);
    decimal_bits("0.9", 0x3f666666);
}

void t_config_decimal(void)
{
    decimals();
    random_decimals();
    double_rounding();
}

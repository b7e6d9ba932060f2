/* SPDX-License-Identifier: MIT */
/* exp, log and the roots: the hard cases made with MPFR, special values, and properties that every
 * correctly rounded function has. All 2^32 inputs: tools/fmath_exhaustive. SPEC 3.1 to 3.5. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../nn/fmath.h"
#include "../nn/rng.h"
#include "test.h"

void t_fmath(void);

typedef float function(float);

static bool maps(const char *what, function *f, uint32_t x, uint32_t want)
{
    float got = f(nn_float_from_bits(x)), wanted = nn_float_from_bits(want);
    char name[80];
    snprintf(name, sizeof name, "%s of %08lx", what, (unsigned long)x);
    return test_same_floats(name, &got, &wanted, 1);
}

/* Lines "input expected" in hex; lines with # are comments. */
static void hard_cases(const char *what, function *f, const char *file)
{
    test_case("fmath hard cases of %s", what);
    const char *line = test_golden(file);
    size_t count = 0;
    for (; line != NULL && *line != '\0'; line += strcspn(line, "\n") + 1) {
        unsigned long x, y;
        if (*line != '#' && sscanf(line, "%lx %lx", &x, &y) == 2) {
            count++;
            if (!maps(what, f, (uint32_t)x, (uint32_t)y))
                return;
        }
    }
    CHECK(count >= 1000);
}

static const uint32_t NAN_BITS = 0x7fc00000, INF = 0x7f800000, MINUS_INF = 0xff800000;

static void nan_cases(const char *what, function *f)
{
    static const uint32_t nans[] = {0x7f800001, 0x7fffffff, 0xff800001, 0xffc00000, 0x7fc00000};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++)
        maps(what, f, nans[i], NAN_BITS);
}

/* The limits: exp overflows above 42b17217, gives the smallest subnormal down to c2cff1b4. */
static void exp_special(void)
{
    test_case("fmath exp of special values");
    nan_cases("exp", nn_expf);
    maps("exp", nn_expf, INF, INF);
    maps("exp", nn_expf, MINUS_INF, 0);
    maps("exp", nn_expf, 0x00000000, 0x3f800000);
    maps("exp", nn_expf, 0x80000000, 0x3f800000);
    maps("exp", nn_expf, 0x00000001, 0x3f800000);
    maps("exp", nn_expf, 0x42b17217, 0x7f7fff84);
    maps("exp", nn_expf, 0x42b17218, INF);
    maps("exp", nn_expf, 0x7f7fffff, INF);
    maps("exp", nn_expf, 0xc2cff1b4, 0x00000001);
    maps("exp", nn_expf, 0xc2cff1b5, 0);
    maps("exp", nn_expf, 0xff7fffff, 0);
}

static void log_special(void)
{
    test_case("fmath log of special values");
    nan_cases("log", nn_logf);
    maps("log", nn_logf, INF, INF);
    maps("log", nn_logf, MINUS_INF, NAN_BITS);
    maps("log", nn_logf, 0x00000000, MINUS_INF);
    maps("log", nn_logf, 0x80000000, MINUS_INF);
    maps("log", nn_logf, 0x80000001, NAN_BITS);
    maps("log", nn_logf, 0xbf800000, NAN_BITS);
    maps("log", nn_logf, 0x3f800000, 0);
    maps("log", nn_logf, 0x3f800001, 0x33ffffff);
    maps("log", nn_logf, 0x3f7fffff, 0xb3800000);
    maps("log", nn_logf, 0x00000001, 0xc2ce8ed0);
    maps("log", nn_logf, 0x7f7fffff, 0x42b17218);
}

static void root_special(void)
{
    test_case("fmath roots of special values");
    nan_cases("sqrt", nn_sqrtf);
    nan_cases("rsqrt", nn_rsqrtf);
    maps("sqrt", nn_sqrtf, 0x80000000, 0x80000000);
    maps("sqrt", nn_sqrtf, 0xbf800000, NAN_BITS);
    maps("sqrt", nn_sqrtf, INF, INF);
    maps("sqrt", nn_sqrtf, 0x40800000, 0x40000000);
    maps("rsqrt", nn_rsqrtf, 0x00000000, INF);
    maps("rsqrt", nn_rsqrtf, 0x80000000, MINUS_INF);
    maps("rsqrt", nn_rsqrtf, 0xbf800000, NAN_BITS);
    maps("rsqrt", nn_rsqrtf, INF, 0);
    maps("rsqrt", nn_rsqrtf, 0x40800000, 0x3f000000);
}

/* Correctly rounded functions rise where the exact ones do; a prime stride visits 2^20 inputs. */
static void rising(const char *what, function *f, uint32_t last)
{
    test_case("fmath %s never falls", what);
    float before = f(0.0f);
    for (uint32_t x = 0; x <= last - 2039; x += 2039) {
        float value = f(nn_float_from_bits(x));
        if (!test_check(value >= before, __FILE__, __LINE__, "%s falls at %08lx", what,
                        (unsigned long)x))
            return;
        before = value;
    }
}

/* libm's double functions, wherever they are good to 2^-40, allow at most half a unit and 2^-15. */
static void against_double(const char *what, function *f, double (*reference)(double), float scale)
{
    test_case("fmath %s against libm in double, up to %g", what, (double)scale);
    nn_rng rng = nn_rng_at(test_seed(), NN_STREAM_TEST, 0, 0, 0);
    for (int i = 0; i < 20000; i++) {
        float x = scale * nn_rng_uniform_positive(&rng);
        float got = f(x);
        double want = reference(x);
        double half_unit = ldexp(0.5 + 0x1p-15, ilogb(want == 0 ? 1 : want) - 23);
        if (!test_close(what, &got, &want, 1, &half_unit))
            return;
    }
}

void t_fmath(void)
{
    hard_cases("exp", nn_expf, "hard_expf.txt");
    hard_cases("log", nn_logf, "hard_logf.txt");
    exp_special();
    log_special();
    root_special();
    rising("exp", nn_expf, 0x42b17217);
    rising("log", nn_logf, 0x7f800000);
    rising("sqrt", nn_sqrtf, 0x7f800000);
    against_double("exp", nn_expf, exp, 88.0f);
    against_double("exp", nn_expf, exp, -87.0f);
    against_double("log", nn_logf, log, 2.0f);
    against_double("log", nn_logf, log, 1e30f);
}

/* SPDX-License-Identifier: MIT */
/* Compares nn_expf, nn_logf, nn_rsqrtf and nn_sqrtf with MPFR for all 2^32 inputs. SPEC 3.5.
 *
 *   cc -std=c99 -O2 -ffp-contract=off tools/fmath_exhaustive.c nn/base.c -lmpfr -lgmp -lm
 *   fmath_exhaustive 00000000 80000000 & fmath_exhaustive 80000000 100000000
 *   fmath_exhaustive proof
 *
 * The range counts inputs; two halves can share two cores. `proof` checks what the comments of
 * nn/fmath.c state: its constants, and the error of the computations in double. To see its static
 * functions this file includes it. */
#include "../nn/fmath.c"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <mpfr.h>

enum { WIDE = 160, EXPONENTS = 255, BIAS = 127 };

/* What MPFR knows about the current mantissa m = 1.f: only sign and exponent change meanwhile. */
static struct {
    mpfr_t x, narrow, log_m, multiple[EXPONENTS]; /* multiple[e] = (e - 127) ln 2 */
    double rsqrt_m[2], sqrt_m[2];                 /* of m and of 2 m */
    uint32_t fraction;
} now;

static void open_mpfr(void)
{
    mpfr_init2(now.x, 25);
    mpfr_init2(now.narrow, 24);
    mpfr_init2(now.log_m, WIDE);
    for (int e = 0; e < EXPONENTS; e++) {
        mpfr_init2(now.multiple[e], WIDE);
        mpfr_const_log2(now.multiple[e], MPFR_RNDN);
        mpfr_mul_si(now.multiple[e], now.multiple[e], e - BIAS, MPFR_RNDN);
    }
    now.fraction = UINT32_MAX;
}

static void close_mpfr(void)
{
    for (int e = 0; e < EXPONENTS; e++)
        mpfr_clear(now.multiple[e]);
    mpfr_clears(now.x, now.narrow, now.log_m, (mpfr_ptr)0);
    mpfr_free_cache();
}

static void take_mantissa(uint32_t fraction)
{
    if (now.fraction == fraction)
        return;
    now.fraction = fraction;
    mpfr_set_flt(now.x, nn_float_from_bits(0x3f800000 | fraction), MPFR_RNDN);
    mpfr_log(now.log_m, now.x, MPFR_RNDN);
    for (int i = 0; i < 2; i++) {
        mpfr_rec_sqrt(now.narrow, now.x, MPFR_RNDN);
        now.rsqrt_m[i] = mpfr_get_d(now.narrow, MPFR_RNDN);
        mpfr_sqrt(now.narrow, now.x, MPFR_RNDN);
        now.sqrt_m[i] = mpfr_get_d(now.narrow, MPFR_RNDN);
        mpfr_mul_2ui(now.x, now.x, 1, MPFR_RNDN);
    }
}

/* The exponent range of binary32, so that mpfr_subnormalize rounds to its subnormals. */
static float want_exp(float x)
{
    mpfr_set_flt(now.x, x, MPFR_RNDN);
    mpfr_set_emin(-148);
    mpfr_set_emax(128);
    int direction = mpfr_exp(now.narrow, now.x, MPFR_RNDN);
    mpfr_subnormalize(now.narrow, direction, MPFR_RNDN);
    float want = mpfr_get_flt(now.narrow, MPFR_RNDN);
    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
    return want;
}

/* log x = n ln 2 + log m to 160 bits, rounded once; results are never subnormal. */
static float want_log(float x, int exponent)
{
    if (exponent == 0) {
        mpfr_set_flt(now.x, x, MPFR_RNDN);
        mpfr_log(now.narrow, now.x, MPFR_RNDN);
    } else {
        mpfr_add(now.narrow, now.log_m, now.multiple[exponent], MPFR_RNDN);
    }
    float want = mpfr_get_flt(now.narrow, MPFR_RNDN);
    return want == 0.0f ? 0.0f : want;
}

/* n = 2 h + odd: sqrt(2^n m) = 2^h sqrt(2^odd m), and powers of two do not change a rounding. */
static float want_root(float x, int exponent, bool inverse)
{
    if (exponent == 0) {
        mpfr_set_flt(now.x, x, MPFR_RNDN);
        if (inverse)
            mpfr_rec_sqrt(now.narrow, now.x, MPFR_RNDN);
        else
            mpfr_sqrt(now.narrow, now.x, MPFR_RNDN);
        return mpfr_get_flt(now.narrow, MPFR_RNDN);
    }
    int n = exponent - BIAS;
    int odd = n & 1;
    int half = (n - odd) / 2;
    const double *root = inverse ? now.rsqrt_m : now.sqrt_m;
    return (float)(root[odd] * power_of_two(inverse ? -half : half));
}

enum { EXP, LOG, RSQRT, SQRT, FUNCTIONS };
static const char *const names[FUNCTIONS] = {"expf", "logf", "rsqrtf", "sqrtf"};

/* 0, negative, infinite and NaN inputs: the values that nn/fmath.h promises. */
static void want_special(uint32_t want[FUNCTIONS], uint32_t bits)
{
    const uint32_t nan = 0x7fc00000, inf = 0x7f800000, minus = 0x80000000;
    for (int f = 0; f < FUNCTIONS; f++)
        want[f] = nan;
    if (bits << 1 == 0) {
        want[EXP] = 0x3f800000;
        want[LOG] = minus | inf;
        want[RSQRT] = (bits & minus) | inf;
        want[SQRT] = bits;
    } else if (bits == inf) {
        want[EXP] = want[LOG] = want[SQRT] = inf;
        want[RSQRT] = 0;
    } else if (bits == (minus | inf)) {
        want[EXP] = 0;
    } else if ((bits & 0x7fffffff) < inf) {
        want[EXP] = nn_float_bits(want_exp(nn_float_from_bits(bits)));
    }
}

static void want_all(uint32_t want[FUNCTIONS], uint32_t bits)
{
    if (bits == 0 || bits >= 0x7f800000) {
        want_special(want, bits);
        return;
    }
    float x = nn_float_from_bits(bits);
    int exponent = (int)(bits >> 23);
    take_mantissa(bits & 0x7fffff);
    want[EXP] = nn_float_bits(want_exp(x));
    want[LOG] = nn_float_bits(want_log(x, exponent));
    want[RSQRT] = nn_float_bits(want_root(x, exponent, true));
    want[SQRT] = nn_float_bits(want_root(x, exponent, false));
}

static void got_all(uint32_t got[FUNCTIONS], uint32_t bits)
{
    float x = nn_float_from_bits(bits);
    got[EXP] = nn_float_bits(nn_expf(x));
    got[LOG] = nn_float_bits(nn_logf(x));
    got[RSQRT] = nn_float_bits(nn_rsqrtf(x));
    got[SQRT] = nn_float_bits(nn_sqrtf(x));
}

/* Input number i has its sign and exponent in the low bits, so that a mantissa's work is shared. */
static int check_range(uint64_t low, uint64_t high)
{
    uint64_t wrong[FUNCTIONS] = {0};
    for (uint64_t i = low; i < high; i++) {
        uint32_t bits = (uint32_t)((i & 0x1ff) << 23 | i >> 9);
        uint32_t want[FUNCTIONS], got[FUNCTIONS];
        want_all(want, bits);
        got_all(got, bits);
        for (int f = 0; f < FUNCTIONS; f++) {
            if (got[f] != want[f] && wrong[f]++ < 10)
                printf("%s(%08" PRIx32 "): got %08" PRIx32 ", want %08" PRIx32 "\n", names[f], bits,
                       got[f], want[f]);
        }
    }
    uint64_t total = 0;
    for (int f = 0; f < FUNCTIONS; f++) {
        printf("%s: %" PRIu64 " inputs, %" PRIu64 " wrong\n", names[f], high - low, wrong[f]);
        total += wrong[f];
    }
    return total == 0 ? 0 : 1;
}

/* ---- proof ---- */

static bool report(bool ok, const char *what)
{
    printf("%s %s\n", ok ? "ok  " : "FAIL", what);
    return ok;
}

/* |value of MPFR - (high + low)| < 2^exponent */
static bool is_near(mpfr_t exact, double high, double low, int exponent)
{
    mpfr_t rest;
    mpfr_init2(rest, 300);
    mpfr_sub_d(rest, exact, high, MPFR_RNDN);
    mpfr_sub_d(rest, rest, low, MPFR_RNDN);
    bool near = mpfr_cmpabs_ui(rest, 0) == 0 || mpfr_get_exp(rest) <= exponent;
    mpfr_clear(rest);
    return near;
}

static bool check_constants(void)
{
    bool ok = true;
    mpfr_t ln2, inverse, part;
    mpfr_inits2(300, ln2, inverse, part, (mpfr_ptr)0);
    mpfr_const_log2(ln2, MPFR_RNDN);
    mpfr_ui_div(inverse, 1, ln2, MPFR_RNDN);
    ok &= report(is_near(ln2, LN2_HI, LN2_LO, -102), "LN2_HI + LN2_LO");
    ok &= report(LN2_HI * 0x1p44 == (double)(int64_t)(LN2_HI * 0x1p44), "LN2_HI has 44 bits");
    ok &= report(INV_LN2 == mpfr_get_d(inverse, MPFR_RNDN), "INV_LN2");
    mpfr_set(part, ln2, MPFR_RNDN);
    for (size_t i = WHOLE; i-- > 0;) {
        mpfr_mul_2ui(part, part, 32, MPFR_RNDN);
        uint32_t limb = (uint32_t)mpfr_get_ui(part, MPFR_RNDZ);
        mpfr_sub_ui(part, part, limb, MPFR_RNDN);
        ok &= report(FIXED_LN2.limb[i] == limb, "limb of FIXED_LN2");
    }
    mpfr_clears(ln2, inverse, part, (mpfr_ptr)0);
    return ok;
}

static float next_float(float x)
{
    return nn_float_from_bits(nn_float_bits(x) + 1); /* away from zero */
}

/* EXP_LAST gives a finite float and the next one does not; EXP_FIRST gives one above zero. */
static bool check_limits(void)
{
    const float inf = infinity();
    bool ok = report(want_exp(EXP_LAST) < inf && want_exp(next_float(EXP_LAST)) == inf, "EXP_LAST");
    ok &= report(want_exp(EXP_FIRST) > 0 && want_exp(next_float(EXP_FIRST)) == 0, "EXP_FIRST");
    return ok;
}

/* The larger of worst and |approximate / exact - 1|. */
static double worse(double worst, double approximate, mpfr_t exact)
{
    if (mpfr_zero_p(exact))
        return worst;
    mpfr_t ratio;
    mpfr_init2(ratio, WIDE);
    mpfr_d_div(ratio, approximate, exact, MPFR_RNDN);
    mpfr_sub_ui(ratio, ratio, 1, MPFR_RNDN);
    double error = mpfr_get_d(ratio, MPFR_RNDA);
    mpfr_clear(ratio);
    error = error < 0 ? -error : error;
    return error > worst ? error : worst;
}

/* A prime stride visits about 2^21 inputs, all exponents among them. */
static bool check_bounds(void)
{
    double worst_exp = 0, worst_log = 0;
    mpfr_t exact;
    mpfr_init2(exact, WIDE);
    for (uint64_t bits = 1; bits < 0x100000000; bits += 2039) {
        float x = nn_float_from_bits((uint32_t)bits);
        mpfr_set_flt(now.x, x, MPFR_RNDN);
        if (x >= EXP_FIRST && x <= EXP_LAST) {
            mpfr_exp(exact, now.x, MPFR_RNDN);
            worst_exp = worse(worst_exp, exp_near(x), exact);
        }
        if (x > 0 && x < infinity()) {
            mpfr_log(exact, now.x, MPFR_RNDN);
            worst_log = worse(worst_log, log_near(x), exact);
        }
    }
    mpfr_clear(exact);
    printf("error of exp_near %.3g * 2^-50, of log_near %.3g * 2^-50\n", worst_exp * 0x1p50,
           worst_log * 0x1p50);
    return report(worst_exp < 0x1p-50 && worst_log < 0x1p-50, "both are within 2^-50");
}

int main(int argc, char **argv)
{
    int result = 2;
    open_mpfr();
    if (argc == 3)
        result = check_range(strtoull(argv[1], NULL, 16), strtoull(argv[2], NULL, 16));
    else if (argc == 2 && strcmp(argv[1], "proof") == 0)
        result = check_constants() && check_limits() && check_bounds() ? 0 : 1;
    else
        fprintf(stderr, "usage: fmath_exhaustive LOW HIGH | fmath_exhaustive proof\n");
    close_mpfr();
    return result;
}

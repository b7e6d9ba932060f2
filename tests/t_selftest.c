/* SPDX-License-Identifier: MIT */
/* The self-test passes on a platform that passes the rest, and fails where arithmetic is set
 * otherwise at run time. That it fails where a compiler's flags break a rule is shown by building
 * it with the flags it names, not here. SPEC 3.7. */
#include <fenv.h>

#include "../nn/selftest.h"
#include "test.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

void t_selftest(void);

/* A mode that fenv.h does not name is one that fesetround refuses. */
enum {
#if defined(FE_UPWARD)
    UPWARD = FE_UPWARD,
#else
    UPWARD = -1,
#endif
#if defined(FE_DOWNWARD)
    DOWNWARD = FE_DOWNWARD,
#else
    DOWNWARD = -1,
#endif
#if defined(FE_TOWARDZERO)
    TOWARD_ZERO = FE_TOWARDZERO
#else
    TOWARD_ZERO = -1
#endif
};

static void fails_in_mode(const char *name, int mode)
{
    ddome_error error = {DDOME_OK, ""};
    const int usual = fegetround();
    test_case("selftest: fails in the rounding mode %s", name);
    if (fesetround(mode) != 0) {
        test_skip("there is no such mode here");
        return;
    }
    const ddome_status status = nn_selftest(&error);
    CHECK(fesetround(usual) == 0);
    test_status(name, status, DDOME_ERR_VERIFY, &error, "rounding mode");
    test_status("afterwards", nn_selftest(&error), DDOME_OK, &error, NULL);
}

static void rounding_modes(void)
{
    fails_in_mode("FE_UPWARD", UPWARD);
    fails_in_mode("FE_DOWNWARD", DOWNWARD);
    fails_in_mode("FE_TOWARDZERO", TOWARD_ZERO);
}

#if defined(__SSE2__)
/* Bits of MXCSR: results that are subnormal become 0; operands that are subnormal count as 0. */
enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 };

static void fails_flushing(const char *name, unsigned bit)
{
    ddome_error error = {DDOME_OK, ""};
    const unsigned usual = _mm_getcsr();
    test_case("selftest: fails with %s", name);
    _mm_setcsr(usual | bit);
    const ddome_status status = nn_selftest(&error);
    _mm_setcsr(usual);
    test_status(name, status, DDOME_ERR_VERIFY, &error, "FTZ/DAZ");
    test_status("afterwards", nn_selftest(&error), DDOME_OK, &error, NULL);
}

static void flushing(void)
{
    fails_flushing("FTZ", FLUSH_TO_ZERO);
    fails_flushing("DAZ", DENORMALS_ARE_ZERO);
}
#else
static void flushing(void)
{
    test_case("selftest: fails with FTZ and DAZ");
    test_skip("this machine has no MXCSR");
}
#endif

void t_selftest(void)
{
    test_case("selftest passes");
    ddome_error error = {DDOME_OK, ""};
    test_status("selftest", nn_selftest(&error), DDOME_OK, &error, NULL);
    rounding_modes();
    flushing();
}

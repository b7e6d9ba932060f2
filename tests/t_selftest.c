/* SPDX-License-Identifier: MIT */
/* The self-test passes on a platform that passes the rest, and fails where arithmetic is set
 * otherwise at run time. That it fails where a compiler's flags break a rule is shown by building
 * it with the flags it names in tests/platforms.sh, not here. SPEC 2, 3.7. */
#include <fenv.h>

#include "../nn/fma.h"
#include "../nn/selftest.h"
#include "flush.h"
#include "test.h"

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

/* Rules of SPEC 2.1 that a library may break at run time; the answer is that of SPEC 2.2. */
static void rounding_modes(void)
{
    fails_in_mode("FE_UPWARD", UPWARD);
    fails_in_mode("FE_DOWNWARD", DOWNWARD);
    fails_in_mode("FE_TOWARDZERO", TOWARD_ZERO);
}

#if defined(TEST_FLUSH_NONE)
static void flushing(void)
{
    test_case("selftest: fails where subnormals are flushed");
    test_skip("no register for it is known here");
}
#else
/* SPEC 2.1, 2.2. */
static void fails_flushing(const test_flush_mode *mode)
{
    ddome_error error = {DDOME_OK, ""};
    const unsigned usual = test_flush_control();
    test_case("selftest: fails with %s", mode->name);
    test_flush_set(usual | mode->bit);
    const ddome_status status = nn_selftest(&error);
    test_flush_set(usual);
    test_status(mode->name, status, DDOME_ERR_VERIFY, &error, "FTZ/DAZ");
    test_status("afterwards", nn_selftest(&error), DDOME_OK, &error, NULL);
}

static void flushing(void)
{
    for (size_t i = 0; i < sizeof test_flush_modes / sizeof *test_flush_modes; i++)
        fails_flushing(&test_flush_modes[i]);
}
#endif

/* ---- kernels: SPEC 3.7, 18.4.1 ---- */

typedef enum fault_kind {
    FAULT_NONE, /* the definition written down again: shows that the rest is what is found */
    FAULT_DESCENDING,
    FAULT_TWO_CHAINS, /* even and odd products, added at the end */
    FAULT_OTHER_PROFILE,
    FAULT_FLUSHES, /* products below 2^-126 are 0, as in AltiVec's vectors */
    FAULTS
} fault_kind;

/* What the blocks below do wrong, in tiles of which width: they have no context. */
static struct fault {
    const nn_kernels *table;
    fault_kind kind;
    bool wide;
} fault;

/* Product k of all runs into a chain. */
static float add_product(float chain, const float *a, const float *b, const nn_tile *tile,
                         const nn_run *run, size_t k, nn_arith arith)
{
    for (; k >= run->count; run++)
        k -= run->count;
    const float left = a[run->a + k * tile->a_step], right = b[(run->b + k) * tile->b_step];
    const float product = left * right;
    const float magnitude = product < 0.0f ? -product : product;
    if (fault.kind == FAULT_FLUSHES && magnitude < FLT_MIN)
        return chain;
    return arith == NN_ARITH_FMA ? nn_fmaf_exact(left, right, chain) : chain + product;
}

static void add_faulty(float *total, const float *a, const float *b, const nn_tile *tile,
                       const nn_run *runs, size_t run_count, nn_arith arith)
{
    size_t count = 0;
    for (size_t i = 0; i < run_count; i++)
        count += runs[i].count;
    for (size_t i = 0; i < tile->rows; i++)
        for (size_t j = 0; j < tile->cols; j++) {
            float chain[2] = {0, 0}, *to = &total[i * tile->total_row + j];
            for (size_t k = 0; k < count; k++) {
                const size_t next = fault.kind == FAULT_DESCENDING ? count - 1 - k : k;
                float *into = &chain[fault.kind == FAULT_TWO_CHAINS ? k % 2 : 0];
                *into = add_product(*into, a + i * tile->a_row, b + j, tile, runs, next, arith);
            }
            const float sum = chain[0] + chain[1];
            *to = (tile->fresh ? 0.0f : *to) + sum;
        }
}

static void faulty(float *total, const float *a, const float *b, const nn_tile *tile,
                   const nn_run *runs, size_t run_count, nn_arith arith)
{
    const bool wide = tile->cols > fault.table->panel / 2;
    const nn_arith other = arith == NN_ARITH_MA ? NN_ARITH_FMA : NN_ARITH_MA;
    if (wide != fault.wide)
        fault.table->block[arith](total, a, b, tile, runs, run_count);
    else if (fault.kind == FAULT_OTHER_PROFILE)
        fault.table->block[other](total, a, b, tile, runs, run_count);
    else
        add_faulty(total, a, b, tile, runs, run_count, arith);
}

static void faulty_ma(float *total, const float *a, const float *b, const nn_tile *tile,
                      const nn_run *runs, size_t run_count)
{
    faulty(total, a, b, tile, runs, run_count, NN_ARITH_MA);
}

static void faulty_fma(float *total, const float *a, const float *b, const nn_tile *tile,
                       const nn_run *runs, size_t run_count)
{
    faulty(total, a, b, tile, runs, run_count, NN_ARITH_FMA);
}

static void check_fault(const nn_kernels *table, fault_kind kind, nn_arith arith, bool wide)
{
    static const char *const names[FAULTS] = {"none", "descending", "two chains", "other profile",
                                              "flushes"};
    nn_kernels copy = *table;
    ddome_error error = {DDOME_OK, ""};
    const ddome_status want = kind == FAULT_NONE ? DDOME_OK : DDOME_ERR_VERIFY;
    fault = (struct fault){table, kind, wide};
    copy.block[arith] = arith == NN_ARITH_MA ? faulty_ma : faulty_fma;
    const bool good = test_status(names[kind], nn_selftest_kernels(&error, &copy), want, &error,
                                  want == DDOME_OK ? NULL : table->name);
    test_check(good, __FILE__, __LINE__, "profile %d, %s tiles", (int)arith,
               wide ? "wide" : "narrow");
}

static void check_kernels(const nn_kernels *table)
{
    ddome_error error = {DDOME_OK, ""};
    test_case("selftest of the kernels %s: passes, and finds faults", table->name);
    test_status("selftest", nn_selftest_kernels(&error, table), DDOME_OK, &error, NULL);
    for (int kind = 0; kind < FAULTS; kind++)
        for (int i = 0; i < 2 * NN_ARITH_COUNT; i++)
            check_fault(table, (fault_kind)kind, (nn_arith)(i / 2), i % 2 == 1);
}

static void kernels(void)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    for (size_t i = 0; i < count; i++)
        check_kernels(list[i]);
}

void t_selftest(void)
{
    test_case("selftest passes");
    ddome_error error = {DDOME_OK, ""};
    test_status("selftest", nn_selftest(&error), DDOME_OK, &error, NULL);
    rounding_modes();
    flushing();
    kernels();
}

/* SPDX-License-Identifier: MIT */
/* The register of this machine that makes arithmetic flush subnormals; TEST_FLUSH_NONE where none
 * is known. No function of C99 reaches it, hence __asm__. SPEC 3.7. */
#ifndef TESTS_FLUSH_H
#define TESTS_FLUSH_H

#include <stdint.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* The register that says whether subnormals are kept, and its bits that say no. */
typedef struct test_flush_mode {
    const char *name;
    unsigned bit;
} test_flush_mode;

#if defined(__SSE2__)
static const test_flush_mode test_flush_modes[] = {{"FTZ of MXCSR", 0x8000},
                                                   {"DAZ of MXCSR", 0x0040}};

static inline unsigned test_flush_control(void)
{
    return _mm_getcsr();
}

static inline void test_flush_set(unsigned bits)
{
    _mm_setcsr(bits);
}
#elif defined(__GNUC__) && defined(__aarch64__)
static const test_flush_mode test_flush_modes[] = {{"FZ of FPCR", 1u << 24}};

static inline unsigned test_flush_control(void)
{
    uint64_t bits;
    __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
    return (unsigned)bits;
}

static inline void test_flush_set(unsigned bits)
{
    const uint64_t wide = bits;
    __asm__ volatile("msr fpcr, %0" : : "r"(wide));
}
#elif defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP)
static const test_flush_mode test_flush_modes[] = {{"FZ of FPSCR", 1u << 24}};

static inline unsigned test_flush_control(void)
{
    unsigned bits;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(bits));
    return bits;
}

static inline void test_flush_set(unsigned bits)
{
    __asm__ volatile("vmsr fpscr, %0" : : "r"(bits));
}
#elif defined(__GNUC__) && defined(__mips_hard_float)
static const test_flush_mode test_flush_modes[] = {{"FS of FCSR", 1u << 24}};

static inline unsigned test_flush_control(void)
{
    unsigned bits;
    __asm__ volatile("cfc1 %0, $31" : "=r"(bits));
    return bits;
}

static inline void test_flush_set(unsigned bits)
{
    __asm__ volatile("ctc1 %0, $31" : : "r"(bits));
}
#else
#define TEST_FLUSH_NONE
#endif

#endif

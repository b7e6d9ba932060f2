/* SPDX-License-Identifier: MIT */
/* One mapping a slot, made at its first use: a page without access, GUARD_FLOATS floats, a page
 * without access. */
#if (defined(__unix__) || defined(__APPLE__)) && !defined(TEST_GUARD_NONE)
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS is not POSIX */
#define _DARWIN_C_SOURCE
#define PAGES 1
#else
#define PAGES 0
#endif
#include "guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if PAGES
#include <sys/mman.h>
#include <unistd.h>
#endif

static float *slots[GUARD_SLOTS];

#if PAGES
static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* NULL when there is no memory or a page is larger than the floats. */
static float *take(void)
{
    const size_t page = page_bytes(), bytes = GUARD_FLOATS * sizeof(float);
    if (bytes % page != 0)
        return NULL;
    unsigned char *start =
        mmap(NULL, bytes + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    if (mprotect(start, page, PROT_NONE) != 0 ||
        mprotect(start + page + bytes, page, PROT_NONE) != 0)
        return NULL;
    return (float *)(void *)(start + page);
}

static void give_back(float *slot)
{
    const size_t page = page_bytes();
    munmap((unsigned char *)slot - page, GUARD_FLOATS * sizeof *slot + 2 * page);
}
#else
static float *take(void)
{
    return malloc(GUARD_FLOATS * sizeof(float));
}

static void give_back(float *slot)
{
    free(slot);
}
#endif

bool test_guard_present(void)
{
    return PAGES;
}

float *test_guard_floats(size_t slot, size_t count, guard_side side)
{
    if (slots[slot] == NULL)
        slots[slot] = take();
    if (slots[slot] == NULL || count > GUARD_FLOATS) {
        fprintf(stderr, "runner: no guarded memory for %lu floats\n", (unsigned long)count);
        exit(DDOME_ERR_MEMORY);
    }
    float *x = slots[slot] + (side == GUARD_BEHIND ? GUARD_FLOATS - count : 0);
    memset(x, 0xff, count * sizeof *x);
    return x;
}

void test_guard_release(void)
{
    for (size_t i = 0; i < GUARD_SLOTS; i++)
        if (slots[i] != NULL)
            give_back(slots[i]);
    memset(slots, 0, sizeof slots);
}

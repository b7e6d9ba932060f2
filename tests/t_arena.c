/* SPDX-License-Identifier: MIT */
/* The arena: alignment, marks, reuse, failure on demand, overflow. */
#include <string.h>

#include "../nn/arena.h"
#include "test.h"

void t_arena(void);

enum { ALIGN = 64, BIG = 3 << 20 };

static void alignment(void)
{
    test_case("arena aligns to 64 and does not overlap");
    nn_arena arena = {0};
    unsigned char *before = NULL;
    for (size_t size = 0; size < 300; size++) {
        unsigned char *p = nn_arena_alloc(&arena, size, 1);
        if (!CHECK(p != NULL && (uintptr_t)p % ALIGN == 0))
            break;
        memset(p, (int)(size & 255), size);
        if (size > 1)
            CHECK(before[0] == (size - 1) % 256 && before[size - 2] == (size - 1) % 256);
        before = p;
    }
    CHECK((uintptr_t)nn_arena_alloc(&arena, BIG, 1) % ALIGN == 0);
    nn_arena_free(&arena);
    CHECK(arena.small.first == NULL && arena.large.first == NULL && arena.used == 0 &&
          arena.peak == 0);
}

static void marks(void)
{
    test_case("arena marks nest and memory is reused");
    nn_arena arena = {0};
    nn_arena_mark empty = nn_arena_get_mark(&arena);
    char *outer = nn_arena_string(&arena, "outer");
    nn_arena_mark mark = nn_arena_get_mark(&arena);
    void *first = nn_arena_alloc(&arena, 100, 4);
    nn_arena_mark inner = nn_arena_get_mark(&arena);
    size_t used = arena.used;
    CHECK(nn_arena_alloc(&arena, BIG, 1) != NULL);
    nn_arena_rewind(&arena, inner);
    CHECK(arena.used == used && arena.peak > used);
    nn_arena_rewind(&arena, mark);
    CHECK(nn_arena_alloc(&arena, 100, 4) == first);
    CHECK(strcmp(outer, "outer") == 0);
    nn_arena_rewind(&arena, empty);
    CHECK(arena.used == 0 && nn_arena_alloc(&arena, 1, 1) == outer);
    nn_arena_free(&arena);
}

/* What lay before the mark stays, in a large block, too. */
static void mark_behind_a_large_block(void)
{
    test_case("arena goes back to a mark behind a large block");
    nn_arena arena = {0};
    unsigned char *large = nn_arena_alloc(&arena, BIG, 1);
    memset(large, 7, BIG);
    const nn_arena_mark mark = nn_arena_get_mark(&arena);
    void *small = nn_arena_alloc(&arena, 10, 1);
    void *other = nn_arena_alloc(&arena, BIG, 1);
    nn_arena_rewind(&arena, mark);
    CHECK(arena.used == BIG && large[0] == 7 && large[BIG - 1] == 7);
    CHECK(nn_arena_alloc(&arena, 10, 1) == small && nn_arena_alloc(&arena, BIG, 1) == other);
    nn_arena_free(&arena);
}

/* The same allocations after a rewind get the same memory: nothing is asked of malloc twice. */
static void steady_state(void)
{
    test_case("arena steady state");
    static const size_t sizes[] = {1, BIG, 70000, BIG / 2, 1 << 20, 5};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    nn_arena arena = {0};
    nn_arena_mark mark = nn_arena_get_mark(&arena);
    void *first[COUNT];
    for (int pass = 0; pass < 4; pass++) {
        for (size_t i = 0; i < COUNT; i++) {
            void *p = nn_arena_zero(&arena, sizes[i], 1);
            CHECK(p != NULL && (pass == 0 || p == first[i]));
            first[i] = p;
        }
        nn_arena_rewind(&arena, mark);
    }
    nn_arena_free(&arena);
}

/* Of the large blocks that are free, the smallest that has room, wherever it stands. */
static void best_fit(void)
{
    enum { MIB = 1 << 20 };
    static const size_t sizes[] = {5 * MIB, 3 * MIB, 7 * MIB, 2 * MIB, 6 * MIB};
    static const struct {
        size_t asked, block;
    } cases[] = {{2 * MIB, 3}, {2 * MIB, 1}, {6 * MIB, 4}, {2 * MIB, 0}, {2 * MIB, 2}};
    test_case("arena takes the smallest free block that has room");
    nn_arena arena = {0};
    const nn_arena_mark mark = nn_arena_get_mark(&arena);
    void *block[5];
    for (size_t i = 0; i < 5; i++)
        block[i] = nn_arena_alloc(&arena, sizes[i], 1);
    nn_arena_rewind(&arena, mark);
    for (size_t i = 0; i < 5; i++)
        CHECK(nn_arena_alloc(&arena, cases[i].asked, 1) == block[cases[i].block]);
    nn_arena_free(&arena);
}

static void contents(void)
{
    test_case("arena zeroes what was used before");
    static const unsigned char zeros[1000] = {0};
    nn_arena arena = {0};
    nn_arena_mark mark = nn_arena_get_mark(&arena);
    unsigned char *p = nn_arena_alloc(&arena, sizeof zeros, 1);
    memset(p, 0xff, sizeof zeros);
    nn_arena_rewind(&arena, mark);
    test_same_bytes("zeros", nn_arena_zero(&arena, sizeof zeros, 1), zeros, sizeof zeros);
    test_same_text("copy", nn_arena_string(&arena, ""), "");
    nn_arena_free(&arena);
}

static void failures(void)
{
    test_case("arena refuses products that overflow");
    nn_arena arena = {0};
    CHECK(nn_arena_alloc(&arena, SIZE_MAX, 2) == NULL);
    CHECK(nn_arena_alloc(&arena, SIZE_MAX / 4 + 1, 4) == NULL);
    CHECK(nn_arena_alloc(&arena, SIZE_MAX, 1) == NULL);
    CHECK(nn_arena_zero(&arena, SIZE_MAX - 64, 1) == NULL);
    CHECK(arena.used == 0 && nn_arena_alloc(&arena, 1, 1) != NULL);
    nn_arena_free(&arena);

    test_case("arena fails on demand");
    arena.fail_after = 3;
    CHECK(nn_arena_alloc(&arena, 1, 1) != NULL);
    CHECK(nn_arena_string(&arena, "two") != NULL);
    CHECK(nn_arena_zero(&arena, 1, 1) == NULL);
    ddome_error error = {DDOME_OK, ""};
    ddome_status status = nn_arena_fail(&error, &arena, "activations");
    test_status("arena", status, DDOME_ERR_MEMORY, &error, "out of memory: activations");
    nn_arena_free(&arena);
}

void t_arena(void)
{
    alignment();
    marks();
    mark_behind_a_large_block();
    steady_state();
    best_fit();
    contents();
    failures();
}

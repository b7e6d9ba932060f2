/* SPDX-License-Identifier: MIT */
/* k-means on points whose clusters are known: starts, means, ties, clusters without points, one
 * point a centre. SPEC 10.4. */
#include "../fl/cluster.h"

#include <string.h>

#include "../nn/rng.h"
#include "fixture.h"
#include "guard.h"
#include "test.h"

void t_cluster(void);

enum { MOST = 12 };

static void cluster(uint32_t *chosen, const float *rows, size_t count, size_t width, size_t k,
                    size_t iterations, uint64_t seed)
{
    float *guarded = test_guard_floats(0, count * width, GUARD_BEHIND);
    memcpy(guarded, rows, count * width * sizeof *guarded);
    const fl_points points = {guarded, count, width};
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    test_status("cluster", fl_cluster(&error, &arena, chosen, &points, k, iterations, seed),
                DDOME_OK, &error, NULL);
    test_same_u64("scratch in use", arena.used, 0);
    nn_arena_free(&arena);
    test_guard_release();
}

static size_t first_of(uint64_t seed, uint32_t count)
{
    nn_rng rng = nn_rng_at(seed, NN_STREAM_CLUSTER, 0, 0, 0);
    return nn_rng_below(&rng, count);
}

/* Three groups of a plane, far from one another, the middle one of each its mean. */
static void three_groups(void)
{
    static const float rows[] = {0,   0,   1,   0,   2,   0, /* mean 1 */
                                 100, 0,   101, 0,   102, 0, /* mean 101 */
                                 0,   100, 0,   101, 0,   102};
    test_case("cluster: the middle of each of three groups, whatever the seed");
    for (uint64_t seed = 0; seed < 20; seed++) {
        uint32_t chosen[3];
        size_t groups = 0;
        cluster(chosen, rows, 9, 2, 3, 100, seed);
        for (size_t q = 0; q < 3; q++) {
            CHECK(chosen[q] % 3 == 1);
            groups += (size_t)1 << (3 * (chosen[q] / 3));
        }
        test_same_u64("one of each", groups, 1 + 8 + 64);
        test_same_u64("the first centre's group", chosen[0] / 3, first_of(seed, 9) / 3);
    }
}

/* On the line 0, 1, 4, 10: from 0 the farthest is 10, from 10 it is 0; then by hand. */
static void by_hand(void)
{
    static const float rows[] = {0, 1, 4, 10};
    test_case("cluster: start, means and choice by hand");
    for (uint64_t seed = 0; seed < 16; seed++) {
        uint32_t chosen[2];
        cluster(chosen, rows, 4, 1, 2, 1, seed);
        /* Centres first and farthest; clusters {0, 1, 4} and {10} but from 4, where they start as 4
         * and 10 and are {0, 1, 4} and {10} as well; means 5/3 and 10: the nearest are 1 and 10. */
        const bool swapped = first_of(seed, 4) == 3;
        test_same_u64("anchor 0", chosen[swapped], 1);
        test_same_u64("anchor 1", chosen[!swapped], 3);
    }
}

/* All points the same: every centre there, all points in cluster 0, the others empty; then the
 * lowest that are not taken. */
static void all_equal(void)
{
    static const float rows[MOST] = {3, 3, 3, 3, 3, 3};
    uint32_t chosen[6];
    test_case("cluster: equal points, empty clusters, as many centres as points");
    cluster(chosen, rows, 6, 1, 6, 100, 1);
    for (uint32_t q = 0; q < 6; q++)
        test_same_u64("anchor", chosen[q], q);
    cluster(chosen, rows, 3, 2, 2, 100, 2);
    test_same_u64("anchor 0", chosen[0], 0);
    test_same_u64("anchor 1", chosen[1], 1);
}

/* 0 and 2 are equally far from 1. */
static void ties(void)
{
    static const float rows[] = {0, 2};
    uint32_t chosen[1];
    test_case("cluster: the lowest client of those that are equally near");
    cluster(chosen, rows, 2, 1, 1, 100, 1);
    test_same_u64("anchor", chosen[0], 0);
}

static void no_memory(void)
{
    static const float rows[] = {0, 2, 5};
    test_case("cluster: running out of memory");
    for (size_t after = 1; after <= 4; after++) {
        const fl_points points = {rows, 3, 1};
        uint32_t chosen[2];
        ddome_error error = {DDOME_OK, ""};
        nn_arena arena = {.fail_after = after};
        test_status("cluster", fl_cluster(&error, &arena, chosen, &points, 2, 9, 1),
                    DDOME_ERR_MEMORY, &error, "out of memory");
        nn_arena_free(&arena);
    }
}

void t_cluster(void)
{
    three_groups();
    by_hand();
    all_equal();
    ties();
    no_memory();
}

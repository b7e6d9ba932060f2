/* SPDX-License-Identifier: MIT */
/* Who takes part: strata, uniform, and that every round draws anew. SPEC 11.1. */
#include <string.h>

#include "../fl/sample.h"
#include "../nn/rng.h"
#include "test.h"

void t_sample(void);

enum { CLIENTS = 9, ANCHORS = 3, ACTIVE = 4, ROUNDS = 40 };

static fl_config keys_of(int sampling, uint64_t seed)
{
    fl_config config;
    fl_config_defaults(&config);
    config.sampling = sampling;
    config.seed = seed;
    config.active_anchors = 1;
    config.active_normal = ACTIVE - 1;
    return config;
}

static void draw(uint32_t ids[ACTIVE], const fl_config *config, uint32_t round)
{
    const fl_field field = {CLIENTS, ANCHORS, NULL, NULL};
    size_t count = 0;
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    test_status("draw", fl_sample_participants(&error, &arena, ids, &count, config, &field, round),
                DDOME_OK, &error, NULL);
    test_same_u64("participants", count, ACTIVE);
    nn_arena_free(&arena);
}

static bool same_ids(const uint32_t *a, const uint32_t *b)
{
    return memcmp(a, b, ACTIVE * sizeof *a) == 0;
}

/* What both kinds promise: ascending, in range, everyone has a turn, rounds and seeds differ, a
 * repeated draw does not. */
static void check_draws(int sampling)
{
    const fl_config config = keys_of(sampling, 1), other = keys_of(sampling, 2);
    uint32_t ids[ACTIVE], again[ACTIVE], next[ACTIVE], seeded[ACTIVE];
    size_t turns[CLIENTS] = {0}, rounds_differ = 0, seeds_differ = 0;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        draw(ids, &config, round);
        draw(again, &config, round);
        draw(next, &config, round + 1);
        draw(seeded, &other, round);
        CHECK(same_ids(ids, again));
        rounds_differ += !same_ids(ids, next);
        seeds_differ += !same_ids(ids, seeded);
        for (size_t i = 0; i < ACTIVE; i++)
            if (CHECK(ids[i] < CLIENTS && (i == 0 || ids[i - 1] < ids[i])))
                turns[ids[i]]++;
    }
    CHECK(rounds_differ > ROUNDS / 2 && seeds_differ > ROUNDS / 2);
    for (size_t k = 0; k < CLIENTS; k++)
        CHECK(turns[k] > 0);
}

/* How many of the participants of all rounds are anchors; *always tells whether each round has
 * exactly one. */
static size_t anchors_drawn(int sampling, bool *always)
{
    const fl_config config = keys_of(sampling, 1);
    uint32_t ids[ACTIVE];
    size_t drawn = 0;
    *always = true;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        size_t anchors = 0;
        draw(ids, &config, round);
        for (size_t i = 0; i < ACTIVE; i++)
            anchors += ids[i] < ANCHORS;
        drawn += anchors;
        *always = *always && anchors == 1;
    }
    return drawn;
}

/* The first ids of a shuffle of the stratum's own ids, by the stream and its draw number. */
static void check_first(const fl_config *config, uint32_t first, size_t size, size_t take,
                        uint32_t number)
{
    uint32_t all[CLIENTS], ids[ACTIVE];
    nn_rng rng = nn_rng_at(config->seed, NN_STREAM_PARTICIPANTS, 0, 3, number);
    for (size_t i = 0; i < size; i++)
        all[i] = first + (uint32_t)i;
    nn_rng_shuffle(&rng, all, size);
    draw(ids, config, 3);
    for (size_t i = 0; i < take; i++) {
        bool found = false;
        for (size_t j = 0; j < ACTIVE; j++)
            found = found || ids[j] == all[i];
        test_check(found, __FILE__, __LINE__, "client %lu takes part", (unsigned long)all[i]);
    }
}

void t_sample(void)
{
    const fl_config strata = keys_of(FL_SAMPLING_STRATA, 5),
                    uniform = keys_of(FL_SAMPLING_UNIFORM, 5);
    bool always;
    test_case("sample: strata differ from round to round, everyone has a turn");
    check_draws(FL_SAMPLING_STRATA);
    test_case("sample: uniform draws differ from round to round, everyone has a turn");
    check_draws(FL_SAMPLING_UNIFORM);
    test_case("sample: strata have their number of anchors in every round");
    test_same_u64("anchors", anchors_drawn(FL_SAMPLING_STRATA, &always), ROUNDS);
    CHECK(always);
    test_case("sample: uniform draws anchors by chance");
    /* 40 * 4 / 3 are expected, with a deviation of 4.7 */
    const size_t drawn = anchors_drawn(FL_SAMPLING_UNIFORM, &always);
    test_check(!always && drawn > 39 && drawn < 68, __FILE__, __LINE__, "%lu anchors in all",
               (unsigned long)drawn);
    test_case("sample: the first of a shuffle of the stratum's stream");
    check_first(&strata, 0, ANCHORS, 1, 0);
    check_first(&strata, ANCHORS, CLIENTS - ANCHORS, ACTIVE - 1, 1);
    check_first(&uniform, 0, CLIENTS, ACTIVE, 2);
}

/* SPDX-License-Identifier: MIT */
/* SGD: bits of the written formula with and without momentum and weight decay, first and later
 * steps; statistics and what the flags exclude stay untouched. SPEC 6.7. */
#include "fixture.h"

#include "../nn/optim.h"

#include <string.h>

enum { FIRST = 5, STATISTICS = 3, LAST = 9, TOTAL = FIRST + STATISTICS + LAST };

static nn_slice slices[3] = {
    {.kind = NN_SLICE_TRAINED, .offset = 0, .count = FIRST},
    {.kind = NN_SLICE_STATISTIC, .offset = FIRST, .count = STATISTICS},
    {.kind = NN_SLICE_TRAINED, .offset = FIRST + STATISTICS, .count = LAST},
};

static const nn_layout layout = {slices, 3, 3, TOTAL, FIRST + LAST, 0};

static bool trained(size_t i)
{
    return i < FIRST || i >= FIRST + STATISTICS;
}

/* One element by the formula. */
static void naive_step(float *w, float *v, float g, const nn_sgd *sgd, bool first)
{
    if (sgd->weight_decay != 0.0f) {
        float decay = sgd->weight_decay * *w;
        g = g + decay;
    }
    if (first) {
        *v = g;
    } else {
        float kept = sgd->momentum * *v;
        *v = kept + g;
    }
    float move = sgd->lr * *v;
    *w = *w - move;
}

static void check_steps(const char *name, const nn_sgd *sgd, bool with_velocity)
{
    test_random random = test_random_start(141);
    float w[TOTAL], v[TOTAL], g[TOTAL], want_w[TOTAL], want_v[TOTAL];
    test_case("sgd: %s", name);
    test_fill(w, TOTAL, FILL_RANDOM, &random);
    memcpy(want_w, w, sizeof w);
    for (size_t i = 0; i < TOTAL; i++) /* the first step must not read what is here */
        v[i] = want_v[i] = nn_float_from_bits(0x7fc00000u);
    for (int step = 0; step < 4; step++) {
        test_fill(g, TOTAL, step == 2 ? FILL_SUBNORMAL : FILL_RANDOM, &random);
        for (size_t i = 0; i < TOTAL; i++)
            if (trained(i))
                naive_step(&want_w[i], &want_v[i], g[i], sgd, step == 0 || !with_velocity);
        nn_sgd_step(w, with_velocity ? v : NULL, g, &layout, sgd, step == 0);
        test_same_floats("weights", w, want_w, TOTAL);
        if (with_velocity)
            test_same_floats("velocity", v, want_v, TOTAL);
    }
}

/* With weight decay 0 a gradient of -0 stays -0: nothing is added to it. */
static void check_no_decay(void)
{
    const nn_sgd sgd = {0.5f, 0.9f, 0.0f};
    float w[TOTAL] = {0}, v[TOTAL], g[TOTAL];
    test_case("sgd: weight decay 0 adds nothing");
    for (size_t i = 0; i < TOTAL; i++)
        g[i] = -0.0f;
    nn_sgd_step(w, v, g, &layout, &sgd, true);
    for (size_t i = 0; i < TOTAL; i++)
        CHECK(!trained(i) || nn_float_bits(v[i]) == 0x80000000u);
}

/* Two steps with exact numbers: g + w/4 = 4, w = 8 - 4/2; 4/2 + (2 + 6/4) = 5.5, w = 6 - 5.5/2. */
static void check_by_hand(void)
{
    const nn_sgd sgd = {0.5f, 0.5f, 0.25f};
    float w[TOTAL] = {8}, v[TOTAL], g[TOTAL] = {2};
    test_case("sgd: by hand");
    nn_sgd_step(w, v, g, &layout, &sgd, true);
    CHECK(v[0] == 4 && w[0] == 6);
    nn_sgd_step(w, v, g, &layout, &sgd, false);
    CHECK(v[0] == 5.5f && w[0] == 3.25f);
}

void t_optim(void);

void t_optim(void)
{
    const nn_sgd plain = {0.01f, 0.0f, 0.0f}, momentum = {0.01f, 0.9f, 0.0f};
    const nn_sgd decay = {0.1f, 0.0f, 5e-4f}, both = {0.1f, 0.9f, 5e-4f};
    check_steps("plain", &plain, false);
    check_steps("momentum", &momentum, true);
    check_steps("weight decay", &decay, false);
    check_steps("momentum and weight decay", &both, true);
    check_no_decay();
    check_by_hand();
}

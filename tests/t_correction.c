/* SPDX-License-Identifier: MIT */
/* FedProx and SCAFFOLD on models of one weight whose every number is worked out by hand, through
 * the functions that runs use: send, correct, SGD, new variates, take, average.
 * SPEC 12.6.2, 12.6.3. */
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_correction(void);

/* One weight and one running statistic. */
static nn_slice slices[] = {
    {.name = "w", .kind = NN_SLICE_TRAINED, .rank = 1, .shape = {1}, .offset = 0, .count = 1},
    {.name = "s", .kind = NN_SLICE_STATISTIC, .rank = 1, .shape = {1}, .offset = 1, .count = 1}};
static const fl_model model = {
    .layout = {.slices = slices, .count = 2, .total = 2, .trained = 1, .batch_norms = 1}};

/* The client's loss is (w - b)^2 / 2, so its gradient w - b; the statistic becomes b. */
static void two_steps(nn_arena *arena, fl_visit *visit, const fl_config *config, float b)
{
    ddome_error error;
    fl_trainee trainee;
    const nn_sgd sgd = {config->lr.value, config->momentum.value, config->weight_decay.value};
    CHECK(fl_trainee_init(&error, arena, &trainee, &model, visit->expert[0], &sgd) == DDOME_OK);
    trainee.correction = &visit->correction;
    for (int step = 0; step < 2; step++) {
        trainee.grads[0] = visit->expert[0][0] - b;
        trainee.grads[1] = 77; /* of a statistic: nobody may look */
        fl_trainee_step(&trainee);
        CHECK(trainee.grads[1] == 77);
    }
    visit->expert[0][1] = b;
    fl_correction_renew(&visit->correction, visit->expert[0], &model.layout, 2, sgd.lr);
}

static fl_config keys_of(const char *words)
{
    fl_config config;
    ddome_error error = {DDOME_OK, ""};
    CHECK(test_federation_keys(&config, words));
    test_status(words, fl_config_check(&error, &config), DDOME_OK, &error, NULL);
    return config;
}

static void same(const char *what, float got, float want)
{
    test_same_floats(what, &got, &want, 1);
}

/* ---- FedProx ---- */

/* lr 0.5, mu 0.5, from w = 1, b = 3.
 * Step 1: g = 1 - 3 = -2; + 0.5 * (1 - 1) = -2; w = 1 + 0.5 * 2 = 2.
 * Step 2: g = 2 - 3 = -1; + 0.5 * (2 - 1) = -0.5; w = 2 + 0.5 * 0.5 = 2.25.
 * With mu = 0: 2, then 2.5. With weight decay 0.25 behind the correction: step 1: -2 + 0.25 * 1 =
 * -1.75, w = 1.875; step 2: -1.125 + 0.5 * 0.875 = -0.6875, + 0.25 * 1.875 = -0.21875,
 * w = 1.984375. */
static void proximal(const char *words, float want)
{
    nn_arena arena = {0};
    ddome_error error;
    fl_server server;
    const data_client client = {0, DATA_NORMAL, 1, NULL};
    fl_visit visit = {.client = &client, .k = 1};
    const fl_config config = keys_of(words);
    CHECK(fl_server_init(&error, &arena, &server, &config, &model, NULL, NULL, 1) == DDOME_OK);
    server.expert[0].values[0] = 1;
    CHECK(fl_server_send(&error, &arena, &visit, &server) == DDOME_OK);
    two_steps(&arena, &visit, &config, 3);
    same(words, visit.expert[0][0], want);
    nn_arena_free(&arena);
}

/* ---- SCAFFOLD ---- */

enum { CLIENTS = 3 };

/* What a round must make of client k and of the server. */
typedef struct expected {
    float y[CLIENTS], own[CLIENTS], x, c;
} expected;

static void one_round(nn_arena *arena, fl_server *server, const fl_config *config,
                      const expected *want)
{
    static const float b[CLIENTS] = {4, 8, 12};
    ddome_error error;
    float own[2];
    fl_server_open_round(server);
    for (uint32_t k = 0; k < CLIENTS; k++) {
        /* sizes differ, and do not count */
        const data_client client = {k, DATA_NORMAL, 1 + k, NULL};
        fl_visit visit = {.client = &client, .k = 1};
        CHECK(fl_server_send(&error, arena, &visit, server) == DDOME_OK);
        two_steps(arena, &visit, config, b[k]);
        CHECK(fl_server_take(&error, server, &visit) == DDOME_OK);
        CHECK(fl_store_read(&error, &server->variates.client, k, 0, own, 2) == DDOME_OK);
        same("y", visit.expert[0][0], want->y[k]);
        same("c_k", own[0], want->own[k]);
        same("c_k of the statistic", own[1], 0);
    }
    test_status("average", fl_server_average(&error, server), DDOME_OK, &error, NULL);
    same("x", server->expert[0].values[0], want->x);
    same("c", server->variates.server[0], want->c);
    same("c of the statistic", server->variates.server[1], 0);
    same("the mean statistic", server->expert[0].values[1], 8); /* (4 + 8 + 12) / 3 */
}

/* lr 0.5 and 2 steps, so tau * eta = 1; eta_g = 0.5; |S| = 3 of N = 4 clients; x = 0, c = 0.
 *
 * Round 1, all variates 0: y = 0 + 0.5 b = 0.5 b, then 0.5 b + 0.5 * 0.5 b = 0.75 b: 3, 6, 9.
 * c_k = (0 - 0) + (0 - y) / 1 = -3, -6, -9. x = 0 + 0.5 * 18 / 3 = 3. c = 0 + -18 / 4 = -4.5.
 *
 * Round 2, x = 3, c = -4.5; g - c_k + c:
 * k = 0: g = 3 - 4 = -1, -1 + 3 - 4.5 = -2.5, y = 4.25; g = 0.25, 0.25 + 3 - 4.5 = -1.25,
 *   y = 4.875. c_0 = (-3 + 4.5) + (3 - 4.875) = -0.375, change 2.625.
 * k = 1: g = -5, -5 + 6 - 4.5 = -3.5, y = 4.75; g = -3.25, -3.25 + 6 - 4.5 = -1.75, y = 5.625.
 *   c_1 = (-6 + 4.5) + (3 - 5.625) = -4.125, change 1.875.
 * k = 2: g = -9, -9 + 9 - 4.5 = -4.5, y = 5.25; g = -6.75, -6.75 + 9 - 4.5 = -2.25, y = 6.375.
 *   c_2 = (-9 + 4.5) + (3 - 6.375) = -7.875, change 1.125.
 * x = 3 + 0.5 * (1.875 + 2.625 + 3.375) / 3 = 3 + 1.3125. c = -4.5 + 5.625 / 4 = -3.09375. */
static void scaffold(void)
{
    static const expected rounds[] = {
        {{3, 6, 9}, {-3, -6, -9}, 3, -4.5f},
        {{4.875f, 5.625f, 6.375f}, {-0.375f, -4.125f, -7.875f}, 4.3125f, -3.09375f}};
    nn_arena arena = {0};
    ddome_error error;
    fl_server server;
    test_case("correction: SCAFFOLD by hand, 3 of 4 clients, 2 steps, 2 rounds");
    const fl_config config = keys_of("algo=scaffold lr=0.5 server_lr=0.5 clients=4");
    CHECK(fl_server_init(&error, &arena, &server, &config, &model, NULL, NULL, 1) == DDOME_OK);
    CHECK(fl_server_init_stores(&error, &arena, &server, NULL) == DDOME_OK);
    for (size_t i = 0; i < 2; i++)
        one_round(&arena, &server, &config, &rounds[i]);
    CHECK(!fl_store_has(&server.variates.client, 3));
    fl_server_close_stores(&server);
    nn_arena_free(&arena);
}

/* Each operation is rounded and in this order: (g - c_k) + c, not g - (c_k - c). */
static void order(void)
{
    float g[2] = {1, 0}, own[2] = {0x1p25f, 0}, server[2] = {0x1p25f, 0};
    const fl_correction c = {.kind = FL_CORRECTION_VARIATES, .own = own, .server = server};
    test_case("correction: g loses its bits to c_k first");
    fl_correct(g, NULL, &model.layout, &c);
    same("(1 - 2^25) + 2^25", g[0], 0);
}

void t_correction(void)
{
    test_case("correction: FedProx by hand");
    proximal("algo=fedprox lr=0.5 momentum=0 mu=0.5", 2.25f);
    proximal("algo=fedprox lr=0.5 momentum=0 mu=0", 2.5f);
    proximal("algo=fedprox lr=0.5 momentum=0 mu=0.5 weight_decay=0.25", 1.984375f);
    scaffold();
    order();
}

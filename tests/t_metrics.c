/* SPDX-License-Identifier: MIT */
/* Percentiles, the worst tenth, both deviations and the means of hand-made evaluations. SPEC 14. */
#include "../fl/metrics.h"
#include "test.h"

void t_metrics(void);

enum { CLIENTS = 32, SAMPLES = 32 };

static void same_double(const char *what, double got, double want)
{
    test_check(got == want, __FILE__, __LINE__, "%s: got %a, want %a", what, got, want);
}

static fl_metrics metrics_of(fl_client_result *results, size_t count)
{
    const fl_evaluation evaluation = {.clients = count, .client = results};
    fl_metrics metrics = {0};
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    test_status("metrics", fl_metrics_of(&error, &arena, &metrics, &evaluation), DDOME_OK, &error,
                NULL);
    nn_arena_free(&arena);
    return metrics;
}

/* ---- ranks: SPEC 14.1 ---- */

/* Ranks from 1 of the three percentiles, and how many clients are the worst tenth. */
typedef struct ranks {
    size_t clients, p10, p50, p90, worst;
} ranks;

/* Accuracies 0/32, 1/32, ... out of order, so that the r-th smallest is (r - 1) / 32. */
static void check_ranks(const ranks *r)
{
    fl_client_result results[CLIENTS] = {{0}};
    for (size_t i = 0; i < r->clients; i++) {
        results[i].count = SAMPLES;
        results[(i * 7 + 3) % r->clients].correct = i;
    }
    const fl_metrics m = metrics_of(results, r->clients);
    test_case("metrics: ranks of %lu clients", (unsigned long)r->clients);
    same_double("min", m.min, 0);
    same_double("p10", m.p10, (double)(r->p10 - 1) / SAMPLES);
    same_double("p50", m.p50, (double)(r->p50 - 1) / SAMPLES);
    same_double("p90", m.p90, (double)(r->p90 - 1) / SAMPLES);
    same_double("max", m.max, (double)(r->clients - 1) / SAMPLES);
    same_double("worst10", m.worst10, (double)(r->worst - 1) / (2 * SAMPLES));
}

/* ceil(p * n / 100) and ceil(n / 10): around multiples of 10 and far from them. No count is a
 * multiple of 7, so that i * 7 + 3 meets every client. */
static void check_all_ranks(void)
{
    static const ranks all[] = {{1, 1, 1, 1, 1},    {2, 1, 1, 2, 1},    {9, 1, 5, 9, 1},
                                {10, 1, 5, 9, 1},   {11, 2, 6, 10, 2},  {12, 2, 6, 11, 2},
                                {20, 2, 10, 18, 2}, {31, 4, 16, 28, 4}, {30, 3, 15, 27, 3}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_ranks(&all[i]);
}

/* ---- deviations and means: SPEC 14.1 to 14.3 ---- */

/* One of 1 sample, right; one of 3 samples, none right. accuracy = 1/4, mean = 1/2; about the
 * accuracy (1*(3/4)^2 + 3*(1/4)^2) / 4 = 3/16, about the mean (1/4 + 1/4) / 2. */
static void check_means(void)
{
    fl_client_result results[] = {
        {.count = 1, .correct = 1, .loss = 2.0f, .score_entropy = 0.5f, .mean_entropy = 0.25f},
        {.count = 3, .correct = 0, .loss = 0.5f, .score_entropy = 1.0f, .mean_entropy = 0.5f}};
    const fl_metrics m = metrics_of(results, 2);
    test_case("metrics: means and deviations of two clients");
    test_same_u64("correct", m.correct, 1);
    test_same_u64("total", m.total, 4);
    same_double("accuracy", m.accuracy, 0.25);
    same_double("mean", m.mean, 0.5);
    same_double("std", m.std, 0.5);
    same_double("weighted_std is sqrt(3/16)", m.weighted_std, 0x1.bb67ae8584caap-2);
    same_double("loss by samples", m.loss, 0.875);
    same_double("entropy of the mean score by clients", m.score_entropy, 0.75);
    same_double("mean entropy by clients", m.mean_entropy, 0.375);
}

static void out_of_memory(void)
{
    fl_client_result result = {.count = 1};
    const fl_evaluation evaluation = {.clients = 1, .client = &result};
    fl_metrics metrics;
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {.fail_after = 1};
    test_case("metrics: out of memory");
    test_status("metrics", fl_metrics_of(&error, &arena, &metrics, &evaluation), DDOME_ERR_MEMORY,
                &error, "out of memory");
    nn_arena_free(&arena);
}

void t_metrics(void)
{
    check_all_ranks();
    check_means();
    out_of_memory();
}

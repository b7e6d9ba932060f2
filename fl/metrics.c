/* SPDX-License-Identifier: MIT */
/* Means, population deviations, nearest-rank percentiles. SPEC 14.1 to 14.3, D25. */
#include "metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double ratio(uint64_t part, uint64_t whole)
{
    return (double)part / (double)whole;
}

/* Equal values look alike, so any sort gives the same order. */
static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nearest rank: the ceil(percent * n / 100)-th smallest, counted from 1. */
static double percentile(const double *sorted, size_t count, size_t percent)
{
    const size_t rank = (percent * count + 99) / 100;
    return sorted[nn_max(rank, 1) - 1];
}

static double mean_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum = sum + values[i];
    return sum / (double)count;
}

/* Sum over clients of samples * (accuracy - centre)^2 / total, or of plain squares / clients. */
static double deviation(const fl_evaluation *e, const double *accuracy, double centre,
                        bool weighted)
{
    double sum = 0, weight = 0;
    for (size_t i = 0; i < e->clients; i++) {
        double w = weighted ? (double)e->client[i].count : 1.0;
        double d = accuracy[i] - centre;
        double square = d * d;
        double term = w * square;
        sum = sum + term;
        weight = weight + w;
    }
    double variance = sum / weight;
    return sqrt(variance);
}

static void add_up(fl_metrics *m, const fl_evaluation *e)
{
    double score = 0, mean = 0, loss = 0;
    for (size_t i = 0; i < e->clients; i++) {
        const fl_client_result *r = &e->client[i];
        double term = (double)r->count * (double)r->loss;
        loss = loss + term;
        score = score + (double)r->score_entropy;
        mean = mean + (double)r->mean_entropy;
        m->correct += r->correct;
        m->total += r->count;
    }
    m->loss = loss / (double)m->total;
    m->score_entropy = score / (double)e->clients;
    m->mean_entropy = mean / (double)e->clients;
}

ddome_status fl_metrics_of(ddome_error *error, nn_arena *scratch, fl_metrics *m,
                           const fl_evaluation *e)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    double *accuracy = nn_arena_alloc(scratch, e->clients, sizeof *accuracy);
    if (accuracy == NULL)
        return nn_arena_fail(error, scratch, "the accuracies of the clients");
    memset(m, 0, sizeof *m);
    add_up(m, e);
    for (size_t i = 0; i < e->clients; i++)
        accuracy[i] = ratio(e->client[i].correct, e->client[i].count);
    m->accuracy = ratio(m->correct, m->total);
    m->mean = mean_of(accuracy, e->clients);
    m->weighted_std = deviation(e, accuracy, m->accuracy, true);
    m->std = deviation(e, accuracy, m->mean, false);
    qsort(accuracy, e->clients, sizeof *accuracy, by_value);
    m->min = accuracy[0];
    m->p10 = percentile(accuracy, e->clients, 10);
    m->p50 = percentile(accuracy, e->clients, 50);
    m->p90 = percentile(accuracy, e->clients, 90);
    m->max = accuracy[e->clients - 1];
    m->worst10 = mean_of(accuracy, (e->clients + 9) / 10);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

/* SPDX-License-Identifier: MIT */
/* Dirichlet label skew: dialects, test clients' own proportions. SPEC 8.4.2, 8.5. */
#include "partition_private.h"

#include <string.h>

enum { FIRST_LABEL_ROUND = 1000 };

/* SPEC 8.5.3: clients that already have their share get nothing; if that is everyone, p stays. */
static void balance(double *p, const size_t *size, size_t clients, size_t total)
{
    double sum = 0.0;
    for (size_t j = 0; j < clients; j++)
        if ((uint64_t)size[j] * clients < total)
            sum = sum + p[j];
    if (!(sum > 0.0))
        return;
    for (size_t j = 0; j < clients; j++)
        p[j] = (uint64_t)size[j] * clients < total ? p[j] / sum : 0.0;
}

/* SPEC 8.5.2. */
static void draw_once(const data_division *division, data_skew *s, size_t draw)
{
    const data_partition_source *source = division->source;
    const data_stock *pool = &division->pool;
    memset(s->size, 0, source->clients * sizeof *s->size);
    for (size_t k = 0; k < division->set->classes; k++) {
        nn_rng rng = nn_rng_at(source->seed, NN_STREAM_DIRICHLET, (uint32_t)draw, (uint32_t)k, 0);
        size_t count = data_stock_of_label(pool, k);
        memcpy(s->order, pool->by_label + pool->start[k], count * sizeof *s->order);
        nn_rng_shuffle(&rng, s->order, count);
        nn_rng_dirichlet(&rng, s->p, source->clients, source->alpha);
        if (source->dialect == DATA_DIRICHLET_BALANCED)
            balance(s->p, s->size, source->clients, pool->count);
        data_skew_cut(s, count);
    }
}

ddome_status data_dirichlet_training(data_division *division)
{
    const data_group group = data_training_group(division, NN_STREAM_DIRICHLET);
    data_skew s;
    ddome_status status = data_skew_check(division, "alpha", division->source->alpha);
    if (status == DDOME_OK)
        status = data_skew_start(division, &s, &group, division->source->min_size);
    if (status != DDOME_OK)
        return status;
    division->out.draws = data_skew_fill(division, &s, draw_once, &division->out.repaired);
    return data_skew_hand_out(division, &s, SIZE_MAX);
}

/* SPEC 8.4.2: how many samples of each label a client takes. */
typedef struct taste {
    double p[DATA_LABELS];
    size_t take[DATA_LABELS], total;
} taste;

/* The label with the largest p among those that have samples, the lowest of equals. */
static size_t favourite(const taste *t, const data_stock *stock, size_t classes)
{
    size_t best = classes;
    for (size_t k = 0; k < classes; k++)
        if (data_stock_of_label(stock, k) != 0 && (best == classes || t->p[k] > t->p[best]))
            best = k;
    return best;
}

static void draw_taste(taste *t, data_division *division, const data_group *group, size_t j)
{
    const data_partition_source *source = division->source;
    size_t asked = source->unseen_samples, classes = division->set->classes;
    size_t wanted = asked != 0 ? asked : group->stock->count / group->count;
    nn_rng rng = nn_rng_at(source->seed, group->stream, 0, 0, (uint32_t)j);
    nn_rng_dirichlet(&rng, t->p, classes, source->alpha);
    t->total = 0;
    for (size_t k = 0; k < classes; k++) {
        double share = t->p[k] * (double)wanted;
        t->take[k] = nn_min((size_t)share, data_stock_of_label(group->stock, k));
        t->total += t->take[k];
    }
    if (t->total != 0)
        return;
    t->take[favourite(t, group->stock, classes)] = 1;
    t->total = 1;
}

/* The first `take` of a shuffle of one label's samples. */
static void take_label(uint32_t *samples, uint32_t *order, data_division *division,
                       const data_group *group, size_t j, size_t k, size_t take)
{
    const data_stock *stock = group->stock;
    size_t count = data_stock_of_label(stock, k);
    nn_rng rng = nn_rng_at(division->source->seed, group->stream, 0,
                           (uint32_t)(FIRST_LABEL_ROUND + k), (uint32_t)j);
    memcpy(order, stock->by_label + stock->start[k], count * sizeof *order);
    nn_rng_shuffle(&rng, order, count);
    memcpy(samples, order, take * sizeof *samples);
}

static ddome_status draw_client(data_division *division, const data_group *group, size_t j,
                                uint32_t *order)
{
    taste t;
    draw_taste(&t, division, group, j);
    uint32_t *samples = data_division_client(division, group->first + j, group->role, t.total);
    if (samples == NULL)
        return data_division_no_memory(division);
    size_t from = 0;
    for (size_t k = 0; k < division->set->classes; k++) {
        take_label(samples + from, order, division, group, j, k, t.take[k]);
        from += t.take[k];
    }
    data_sort_u32(samples, t.total);
    return DDOME_OK;
}

ddome_status data_dirichlet_group(data_division *division, const data_group *group)
{
    uint32_t *order = nn_arena_alloc(division->arena, group->stock->count, sizeof *order);
    if (order == NULL)
        return data_division_no_memory(division);
    ddome_status status = DDOME_OK;
    for (size_t j = 0; status == DDOME_OK && j < group->count; j++)
        status = draw_client(division, group, j, order);
    return status;
}

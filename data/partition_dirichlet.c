/* SPDX-License-Identifier: MIT */
/* Dirichlet label skew: dialects, redraws, the repair, test clients' own proportions. SPEC 8.5. */
#include "partition_private.h"

#include <string.h>

enum { FIRST_LABEL_ROUND = 1000 };

/* One draw in the making; owner is indexed by sample, only samples of the pool are owned. */
typedef struct skew {
    uint32_t *owner, *order;
    size_t *size;
    double *p;
} skew;

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

/* Where client j's run ends; the last client takes the rest, so no sample is lost to rounding. */
static size_t cut_at(double cumulated, size_t count, size_t from, bool last)
{
    if (last)
        return count;
    double position = cumulated * (double)count;
    size_t cut = position < (double)count ? (size_t)position : count;
    return nn_max(cut, from);
}

static void cut_label(skew *s, size_t clients, size_t count)
{
    double cumulated = 0.0;
    size_t from = 0;
    for (size_t j = 0; j < clients; j++) {
        cumulated = cumulated + s->p[j];
        size_t to = cut_at(cumulated, count, from, j == clients - 1);
        s->size[j] += to - from;
        for (; from < to; from++)
            s->owner[s->order[from]] = (uint32_t)j;
    }
}

/* SPEC 8.5.2. */
static void draw_once(data_division *division, skew *s, size_t draw)
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
        cut_label(s, source->clients, count);
    }
}

/* The first client below the minimum, or `clients`. */
static size_t first_poor(const skew *s, size_t clients, size_t min_size)
{
    size_t j = 0;
    while (j < clients && s->size[j] >= min_size)
        j++;
    return j;
}

static size_t first_largest(const skew *s, size_t clients)
{
    size_t largest = 0;
    for (size_t j = 1; j < clients; j++)
        if (s->size[j] > s->size[largest])
            largest = j;
    return largest;
}

/* D24. It ends: the pool has clients * min_size samples, so a largest client has some to give. */
static void repair(data_division *division, skew *s)
{
    const data_partition_source *source = division->source;
    size_t poor;
    while ((poor = first_poor(s, source->clients, source->min_size)) < source->clients) {
        size_t largest = first_largest(s, source->clients), i = 0;
        while (s->owner[division->pool.index[i]] != largest)
            i++;
        s->owner[division->pool.index[i]] = (uint32_t)poor;
        s->size[poor]++;
        s->size[largest]--;
    }
}

/* SPEC 8.5.4. */
static void draw_until_filled(data_division *division, skew *s)
{
    const data_partition_source *source = division->source;
    bool filled = false;
    size_t draw = 0;
    while (!filled && draw < source->max_draws) {
        draw_once(division, s, draw++);
        filled = first_poor(s, source->clients, source->min_size) == source->clients;
    }
    if (!filled)
        repair(division, s);
    division->out.draws = draw;
    division->out.repaired = !filled;
}

/* Walking the pool upwards leaves every client's samples ascending (SPEC 8.5.5). */
static ddome_status hand_out(data_division *division, const skew *s)
{
    const data_partition *out = &division->out;
    const data_stock *pool = &division->pool;
    uint32_t **next = nn_arena_alloc(division->arena, out->training, sizeof *next);
    if (next == NULL)
        return data_division_no_memory(division);
    for (size_t j = 0; j < out->training; j++) {
        data_role role = j < out->anchors ? DATA_ANCHOR : DATA_NORMAL;
        next[j] = data_division_client(division, j, role, s->size[j]);
        if (next[j] == NULL)
            return data_division_no_memory(division);
    }
    for (size_t i = 0; i < pool->count; i++)
        *next[s->owner[pool->index[i]]]++ = pool->index[i];
    return DDOME_OK;
}

/* Inside these bounds no log-gamma leaves the range of a float. */
static ddome_status check_alpha(data_division *division)
{
    const float low = 0x1p-10f, high = 0x1p20f;
    float alpha = division->source->alpha;
    if (alpha >= low && alpha <= high)
        return DDOME_OK;
    return nn_fail(division->error, DDOME_ERR_USAGE,
                   "alpha: expected 0.0009765625 (2^-10) .. 1048576 (2^20)");
}

/* SPEC 8.5.1. */
static ddome_status check_training(data_division *division)
{
    const data_partition_source *source = division->source;
    if (source->max_draws < 1)
        return nn_fail(division->error, DDOME_ERR_USAGE, "max_draws = 0: expected at least 1");
    if (source->min_size < 1 || source->min_size > division->pool.count / source->clients)
        return nn_fail(division->error, DDOME_ERR_USAGE,
                       "min_size = %lu: expected 1..%lu, the %lu training samples over %lu clients",
                       (unsigned long)source->min_size,
                       (unsigned long)(division->pool.count / source->clients),
                       (unsigned long)division->pool.count, (unsigned long)source->clients);
    return check_alpha(division);
}

ddome_status data_dirichlet_training(data_division *division)
{
    ddome_status status = check_training(division);
    if (status != DDOME_OK)
        return status;
    nn_arena *arena = division->arena;
    size_t clients = division->source->clients;
    skew s;
    s.owner = nn_arena_alloc(arena, division->set->train.count, sizeof *s.owner);
    s.order = nn_arena_alloc(arena, division->pool.count, sizeof *s.order);
    s.size = nn_arena_alloc(arena, clients, sizeof *s.size);
    s.p = nn_arena_alloc(arena, clients, sizeof *s.p);
    if (s.owner == NULL || s.order == NULL || s.size == NULL || s.p == NULL)
        return data_division_no_memory(division);
    draw_until_filled(division, &s);
    return hand_out(division, &s);
}

/* SPEC 8.4.2: how many samples of each label a client takes. */
typedef struct taste {
    double p[256];
    size_t take[256], total;
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

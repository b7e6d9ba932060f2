/* SPDX-License-Identifier: MIT */
/* Farthest-point start, Lloyd's iterations in binary64, then one point a centre. SPEC 10.4. */
#include "cluster.h"

#include <string.h>

#include "../nn/rng.h"

typedef struct clustering {
    const fl_points *points;
    size_t k;
    double *centre;   /* [k, width] */
    double *distance; /* [count], to the nearest centre so far */
    uint32_t *of;     /* [count], the cluster of each point */
    bool *taken;      /* [count] */
} clustering;

static void set_centre(clustering *c, size_t q, size_t point)
{
    const size_t width = c->points->width;
    for (size_t j = 0; j < width; j++)
        c->centre[q * width + j] = (double)c->points->rows[point * width + j];
}

/* SPEC 10.4.2: the sum of squares from +0, ascending. */
static double distance(const clustering *c, size_t point, size_t q)
{
    const size_t width = c->points->width;
    double sum = 0;
    for (size_t j = 0; j < width; j++) {
        double d = (double)c->points->rows[point * width + j] - c->centre[q * width + j];
        double square = d * d;
        sum = sum + square;
    }
    return sum;
}

/* SPEC 10.4.3. */
static void start(clustering *c, uint64_t seed)
{
    const size_t count = c->points->count;
    nn_rng rng = nn_rng_at(seed, NN_STREAM_CLUSTER, 0, 0, 0);
    size_t next = nn_rng_below(&rng, (uint32_t)count);
    for (size_t q = 0; q < c->k; q++) {
        set_centre(c, q, next);
        next = 0;
        for (size_t i = 0; i < count; i++) {
            const double d = distance(c, i, q);
            c->distance[i] = q == 0 || d < c->distance[i] ? d : c->distance[i];
            next = c->distance[i] > c->distance[next] ? i : next;
        }
    }
}

/* Each point to its nearest centre, the lowest among equals; did any change? */
static bool assign(clustering *c)
{
    bool changed = false;
    for (size_t i = 0; i < c->points->count; i++) {
        size_t best = 0;
        double least = distance(c, i, 0);
        for (size_t q = 1; q < c->k; q++) {
            const double d = distance(c, i, q);
            best = d < least ? q : best;
            least = d < least ? d : least;
        }
        changed = changed || c->of[i] != best;
        c->of[i] = (uint32_t)best;
    }
    return changed;
}

/* The means of the clusters; an empty one keeps its centre. SPEC 10.4.4. */
static void move(clustering *c)
{
    const size_t width = c->points->width;
    for (size_t q = 0; q < c->k; q++) {
        size_t size = 0;
        for (size_t i = 0; i < c->points->count; i++)
            size += c->of[i] == q;
        for (size_t j = 0; j < width && size != 0; j++) {
            double sum = 0;
            for (size_t i = 0; i < c->points->count; i++)
                if (c->of[i] == q)
                    sum = sum + (double)c->points->rows[i * width + j];
            c->centre[q * width + j] = sum / (double)size;
        }
    }
}

/* SPEC 10.4.5. */
static void pick(clustering *c, uint32_t *chosen)
{
    const size_t count = c->points->count;
    for (size_t q = 0; q < c->k; q++) {
        size_t best = count;
        double least = 0;
        for (size_t i = 0; i < count; i++) {
            const double d = distance(c, i, q);
            if (c->taken[i] || (best != count && !(d < least)))
                continue;
            best = i;
            least = d;
        }
        c->taken[best] = true;
        chosen[q] = (uint32_t)best;
    }
}

ddome_status fl_cluster(ddome_error *error, nn_arena *scratch, uint32_t *chosen,
                        const fl_points *points, size_t k, size_t iterations, uint64_t seed)
{
    const nn_arena_mark mark = nn_arena_get_mark(scratch);
    clustering c = {.points = points, .k = k};
    c.centre = nn_arena_alloc(scratch, k, points->width * sizeof *c.centre);
    c.distance = nn_arena_alloc(scratch, points->count, sizeof *c.distance);
    c.of = nn_arena_alloc(scratch, points->count, sizeof *c.of);
    c.taken = nn_arena_zero(scratch, points->count, sizeof *c.taken);
    if (c.centre == NULL || c.distance == NULL || c.of == NULL || c.taken == NULL)
        return nn_arena_fail(error, scratch, "the clusters of the clients");
    memset(c.of, 0xff, points->count * sizeof *c.of);
    start(&c, seed);
    for (size_t i = 0; i < iterations && assign(&c); i++)
        move(&c);
    pick(&c, chosen);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

/* SPDX-License-Identifier: MIT */
/* Lists cut by Dirichlet proportions: cuts, redraws, the repair. SPEC 8.5.1, 8.5.2, 8.5.4. */
#include "partition_private.h"

#include <string.h>

ddome_status data_skew_start(data_division *division, data_skew *skew, const data_group *group,
                             size_t min_size)
{
    nn_arena *arena = division->arena;
    const data_stock *stock = group->stock;
    data_skew s = {.group = group, .min_size = min_size};
    s.owner = nn_arena_alloc(arena, stock->split->count, sizeof *s.owner);
    s.order = nn_arena_alloc(arena, stock->count, sizeof *s.order);
    s.size = nn_arena_zero(arena, group->count, sizeof *s.size);
    s.searched = nn_arena_zero(arena, group->count, sizeof *s.searched);
    s.p = nn_arena_alloc(arena, group->count, sizeof *s.p);
    if (s.owner == NULL || s.order == NULL || s.size == NULL || s.searched == NULL || s.p == NULL)
        return data_division_no_memory(division);
    memcpy(s.order, stock->index, stock->count * sizeof *s.order);
    *skew = s;
    return DDOME_OK;
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

void data_skew_cut(data_skew *skew, size_t count)
{
    const size_t clients = skew->group->count;
    double cumulated = 0.0;
    size_t from = 0;
    for (size_t j = 0; j < clients; j++) {
        cumulated = cumulated + skew->p[j];
        size_t to = cut_at(cumulated, count, from, j == clients - 1);
        skew->size[j] += to - from;
        for (; from < to; from++)
            skew->owner[skew->order[from]] = (uint32_t)j;
    }
}

/* The first client from j on that is below the minimum, or their number. */
static size_t next_poor(const data_skew *s, size_t j)
{
    while (j < s->group->count && s->size[j] >= s->min_size)
        j++;
    return j;
}

static size_t first_largest(const data_skew *s)
{
    size_t largest = 0;
    for (size_t j = 1; j < s->group->count; j++)
        if (s->size[j] > s->size[largest])
            largest = j;
    return largest;
}

/* D24. It ends: the stock has clients * min_size samples, so while one client has fewer another has
 * more than min_size, and gives. Who gives keeps min_size and so never takes: the search for the
 * lowest sample goes on where it stopped, and no client before `poor` becomes poor. */
static void repair(data_skew *s)
{
    const uint32_t *index = s->group->stock->index;
    for (size_t poor = next_poor(s, 0); poor < s->group->count; poor = next_poor(s, poor)) {
        size_t largest = first_largest(s), *i = &s->searched[largest];
        while (s->owner[index[*i]] != largest)
            ++*i;
        s->owner[index[*i]] = (uint32_t)poor;
        s->size[poor]++;
        s->size[largest]--;
    }
}

size_t data_skew_fill(const data_division *division, data_skew *skew, data_skew_draw *draw,
                      bool *repaired)
{
    bool filled = false;
    size_t draws = 0;
    while (!filled && draws < division->source->max_draws) {
        draw(division, skew, draws++);
        filled = next_poor(skew, 0) == skew->group->count;
    }
    if (!filled)
        repair(skew);
    *repaired = !filled;
    return draws;
}

/* Walking the stock upwards leaves every client's samples ascending (SPEC 8.5.5). */
ddome_status data_skew_hand_out(data_division *division, const data_skew *skew, size_t most)
{
    const data_group *group = skew->group;
    const data_stock *stock = group->stock;
    uint32_t **next = nn_arena_alloc(division->arena, group->count, sizeof *next);
    size_t *left = nn_arena_alloc(division->arena, group->count, sizeof *left);
    if (next == NULL || left == NULL)
        return data_division_no_memory(division);
    for (size_t j = 0; j < group->count; j++) {
        left[j] = nn_min(skew->size[j], most);
        next[j] = data_division_client(division, group->first + j,
                                       data_group_role(division, group, j), left[j]);
        if (next[j] == NULL)
            return data_division_no_memory(division);
    }
    for (size_t i = 0; i < stock->count; i++) {
        const uint32_t sample = stock->index[i], j = skew->owner[sample];
        if (left[j] != 0) {
            *next[j]++ = sample;
            left[j]--;
        }
    }
    return DDOME_OK;
}

/* Inside these bounds no log-gamma leaves the range of a float. */
static ddome_status check_parameter(const data_division *division, const char *key, float value)
{
    const float low = 0x1p-10f, high = 0x1p20f;
    if (value >= low && value <= high)
        return DDOME_OK;
    return nn_fail(division->error, DDOME_ERR_USAGE,
                   "%s: expected 0.0009765625 (2^-10) .. 1048576 (2^20), found a %s", key,
                   value > high ? "larger value; lower it" : "smaller value; raise it");
}

ddome_status data_skew_check(const data_division *division, const char *key, float value)
{
    const data_partition_source *source = division->source;
    if (source->max_draws < 1)
        return nn_fail(division->error, DDOME_ERR_USAGE,
                       "max_draws = 0: expected at least 1; raise it");
    if (source->min_size < 1 || source->min_size > division->pool.count / source->clients)
        return nn_fail(
            division->error, DDOME_ERR_USAGE,
            "min_size = %lu: expected 1..%lu, the %lu training samples over %lu clients; "
            "move it inside or ask for fewer clients",
            (unsigned long)source->min_size,
            (unsigned long)(division->pool.count / source->clients),
            (unsigned long)division->pool.count, (unsigned long)source->clients);
    return check_parameter(division, key, value);
}

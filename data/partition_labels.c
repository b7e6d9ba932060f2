/* SPDX-License-Identifier: MIT */
/* The paper's partition: few labels a client, disjoint anchors, unseen sets. SPEC 8.2 to 8.4. */
#include "partition_private.h"

#include <string.h>

/* Distinct labels, ascending. */
typedef struct label_list {
    size_t count;
    uint32_t label[DATA_LABELS];
} label_list;

/* Labels are drawn in units of label_group consecutive ones: unit u is labels u*group .. u*group +
 * group - 1 (SPEC 8.2.1). */
static label_list expand(const uint32_t *units, size_t count, size_t group)
{
    label_list list = {0};
    for (size_t u = 0; u < count; u++)
        for (size_t i = 0; i < group; i++)
            list.label[list.count++] = units[u] * (uint32_t)group + (uint32_t)i;
    data_sort_u32(list.label, list.count);
    return list;
}

/* Run number `run` of `count` labels of the shuffled units, ascending (SPEC 8.2.1, 8.3). */
static label_list draw_labels(nn_rng rng, const data_division *division, size_t run, size_t count)
{
    const size_t group = division->source->label_group, units = division->set->classes / group;
    uint32_t shuffled[DATA_LABELS];
    for (size_t u = 0; u < units; u++)
        shuffled[u] = (uint32_t)u;
    nn_rng_shuffle(&rng, shuffled, units);
    return expand(shuffled + run * (count / group), count / group, group);
}

static ddome_status check_samples(data_division *division, const data_stock *stock,
                                  const label_list *list, const char *what, size_t client)
{
    for (size_t k = 0; k < list->count; k++)
        if (data_stock_of_label(stock, list->label[k]) == 0)
            return nn_fail(division->error, DDOME_ERR_USAGE,
                           "label %lu of %s client %lu has no samples there; use more data or "
                           "exclude fewer records",
                           (unsigned long)list->label[k], what, (unsigned long)client);
    return DDOME_OK;
}

/* With replacement, label by label from one generator (SPEC 8.2.2). */
static ddome_status draw_samples(data_division *division, nn_rng rng, size_t id, data_role role,
                                 const label_list *list)
{
    const data_stock *pool = &division->pool;
    size_t asked = division->source->samples_per_client;
    size_t total = asked != 0 ? asked : pool->count / division->out.training;
    ddome_status status = check_samples(division, pool, list, "training", id);
    if (status != DDOME_OK)
        return status;
    if (total < list->count)
        return nn_fail(division->error, DDOME_ERR_USAGE,
                       "%lu samples cannot hold the %lu labels of client %lu; set "
                       "samples_per_client higher or ask for fewer clients",
                       (unsigned long)total, (unsigned long)list->count, (unsigned long)id);
    uint32_t *samples = data_division_client(division, id, role, total);
    if (samples == NULL)
        return data_division_no_memory(division);
    for (size_t k = 0; k < list->count; k++) {
        const uint32_t *stock = pool->by_label + pool->start[list->label[k]];
        uint32_t bound = (uint32_t)data_stock_of_label(pool, list->label[k]);
        for (size_t i = data_share(total, list->count, k); i > 0; i--)
            *samples++ = stock[nn_rng_below(&rng, bound)];
    }
    return DDOME_OK;
}

/* SPEC 8.2.1, 8.3. */
static ddome_status check_labels(data_division *division, size_t anchor_labels)
{
    const data_partition_source *source = division->source;
    size_t classes = division->set->classes, each = source->labels_per_client;
    if (each < 1 || each > classes)
        return nn_fail(division->error, DDOME_ERR_USAGE, "labels_per_client = %lu: expected 1..%lu",
                       (unsigned long)each, (unsigned long)classes);
    if (source->label_group == 0 || classes % source->label_group != 0 ||
        each % source->label_group != 0 || anchor_labels % source->label_group != 0)
        return nn_fail(division->error, DDOME_ERR_USAGE,
                       "label_group = %lu: expected a divisor of the %lu classes, of "
                       "labels_per_client and of anchor_labels",
                       (unsigned long)source->label_group, (unsigned long)classes);
    if (source->anchors == 0)
        return DDOME_OK;
    if (anchor_labels < 1 || anchor_labels > classes / source->anchors)
        return nn_fail(division->error, DDOME_ERR_USAGE,
                       "%lu anchors with %lu disjoint labels each need more than the %lu classes; "
                       "lower anchor_clients, anchor_labels or label_group",
                       (unsigned long)source->anchors,
                       (unsigned long)nn_max(anchor_labels, source->label_group),
                       (unsigned long)classes);
    return DDOME_OK;
}

static ddome_status draw_anchor(data_division *division, size_t q, size_t anchor_labels)
{
    uint64_t seed = division->source->seed;
    nn_rng labels = nn_rng_at(seed, NN_STREAM_ANCHOR, 0, 0, 0);
    nn_rng samples = nn_rng_at(seed, NN_STREAM_ANCHOR, 0, 1, (uint32_t)q);
    label_list list = draw_labels(labels, division, q, anchor_labels);
    return draw_samples(division, samples, q, DATA_ANCHOR, &list);
}

static ddome_status draw_normal(data_division *division, size_t id)
{
    const data_partition_source *source = division->source;
    nn_rng labels = nn_rng_at(source->seed, NN_STREAM_NORMAL, 0, 0, (uint32_t)id);
    nn_rng samples = nn_rng_at(source->seed, NN_STREAM_NORMAL, 0, 1, (uint32_t)id);
    label_list list = draw_labels(labels, division, 0, source->labels_per_client);
    return draw_samples(division, samples, id, DATA_NORMAL, &list);
}

ddome_status data_labels_training(data_division *division)
{
    const data_partition_source *source = division->source;
    size_t anchor_labels = source->anchor_labels;
    if (anchor_labels == 0 && source->anchors != 0)
        anchor_labels = division->set->classes / source->anchors / nn_max(1, source->label_group) *
                        source->label_group;
    ddome_status status = check_labels(division, anchor_labels);
    for (size_t id = 0; status == DDOME_OK && id < source->clients; id++)
        status = id < source->anchors ? draw_anchor(division, id, anchor_labels)
                                      : draw_normal(division, id);
    return status;
}

static data_label_set set_of(const label_list *list)
{
    data_label_set set = {{0}};
    for (size_t k = 0; k < list->count; k++)
        set.word[list->label[k] / 32] |= (uint32_t)1 << list->label[k] % 32;
    return set;
}

static bool is_free(const label_list *list, const data_label_set *used, size_t used_count)
{
    data_label_set set = set_of(list);
    for (size_t i = 0; i < used_count; i++)
        if (data_label_set_same(&set, &used[i]))
            return false;
    return true;
}

/* The next combination of `count` out of `units` in lexicographic order; false after the last. */
static bool next_combination(uint32_t *unit, size_t count, size_t units)
{
    size_t k = count;
    while (k > 0 && unit[k - 1] == units - count + k - 1)
        k--;
    if (k == 0)
        return false;
    unit[k - 1]++;
    for (; k < count; k++)
        unit[k] = unit[k - 1] + 1;
    return true;
}

/* Ends after at most used_count + 1 lists. */
static ddome_status first_free_list(data_division *division, label_list *list,
                                    const data_label_set *used, size_t used_count)
{
    const size_t group = division->source->label_group, units = division->set->classes / group;
    const size_t count = division->source->labels_per_client / group;
    uint32_t unit[DATA_LABELS];
    for (size_t k = 0; k < count; k++)
        unit[k] = (uint32_t)k;
    *list = expand(unit, count, group);
    while (!is_free(list, used, used_count)) {
        if (!next_combination(unit, count, units))
            return nn_fail(division->error, DDOME_ERR_USAGE,
                           "no label set is left: the training clients have every set of %lu out "
                           "of %lu labels; lower clients or change labels_per_client",
                           (unsigned long)list->count, (unsigned long)division->set->classes);
        *list = expand(unit, count, group);
    }
    return DDOME_OK;
}

/* SPEC 8.4.1: up to max_draws shuffles, then the first set that is free. */
static ddome_status draw_free_list(data_division *division, label_list *list,
                                   const data_group *group, size_t j, const data_label_set *used)
{
    const data_partition_source *source = division->source;
    for (size_t draw = 0; draw < source->max_draws; draw++) {
        nn_rng rng = nn_rng_at(source->seed, group->stream, 0, (uint32_t)draw, (uint32_t)j);
        *list = draw_labels(rng, division, 0, source->labels_per_client);
        if (is_free(list, used, source->clients))
            return DDOME_OK;
    }
    return first_free_list(division, list, used, source->clients);
}

/* How many samples of the k-th label: all, or an even share of unseen_samples if that binds. */
static size_t take_of_label(data_division *division, const data_stock *stock,
                            const label_list *list, size_t k)
{
    size_t limit = division->source->unseen_samples, all = 0;
    for (size_t i = 0; i < list->count; i++)
        all += data_stock_of_label(stock, list->label[i]);
    size_t there = data_stock_of_label(stock, list->label[k]);
    return limit == 0 || limit >= all ? there : nn_min(there, data_share(limit, list->count, k));
}

static ddome_status take_samples(data_division *division, const data_group *group, size_t j,
                                 const label_list *list)
{
    const data_stock *stock = group->stock;
    ddome_status status = check_samples(division, stock, list, group->what, j);
    if (status != DDOME_OK)
        return status;
    size_t total = 0;
    for (size_t k = 0; k < list->count; k++)
        total += take_of_label(division, stock, list, k);
    uint32_t *samples = data_division_client(division, group->first + j, group->role, total);
    if (samples == NULL)
        return data_division_no_memory(division);
    uint32_t *next = samples;
    for (size_t k = 0; k < list->count; k++) {
        size_t take = take_of_label(division, stock, list, k);
        memcpy(next, stock->by_label + stock->start[list->label[k]], take * sizeof *next);
        next += take;
    }
    data_sort_u32(samples, total);
    return DDOME_OK;
}

static ddome_status check_group(data_division *division)
{
    const data_partition_source *source = division->source;
    if (source->unseen_samples != 0 && source->unseen_samples < source->labels_per_client)
        return nn_fail(division->error, DDOME_ERR_USAGE,
                       "unseen_samples = %lu: expected 0 or at least labels_per_client = %lu",
                       (unsigned long)source->unseen_samples,
                       (unsigned long)source->labels_per_client);
    return DDOME_OK;
}

ddome_status data_labels_group(data_division *division, const data_group *group)
{
    size_t training = division->out.training;
    data_label_set *used = nn_arena_alloc(division->arena, training, sizeof *used);
    if (used == NULL)
        return data_division_no_memory(division);
    for (size_t i = 0; i < training; i++)
        used[i] = data_client_labels(&division->clients[i], &division->set->train);
    ddome_status status = check_group(division);
    for (size_t j = 0; status == DDOME_OK && j < group->count; j++) {
        label_list list = {0};
        status = draw_free_list(division, &list, group, j, used);
        if (status == DDOME_OK)
            status = take_samples(division, group, j, &list);
    }
    return status;
}

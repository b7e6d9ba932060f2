/* SPDX-License-Identifier: MIT */
/* Groups of clients, lost answers, batches, slow clients. SPEC 7.7.2, 11.9 to 11.12. */
#include "schedule.h"

#include <string.h>

#include "../nn/rng.h"

/* ---- groups ---- */

/* In which of `groups` even shares (SPEC 8) does element j of n lie? */
static size_t share_of(size_t j, size_t n, size_t groups)
{
    const size_t size = n / groups, longer = n % groups, head = longer * (size + 1);
    return j < head ? j / (size + 1) : longer + (j - head) / size;
}

/* The most frequent label, the lowest among equals. */
static size_t main_label(const data_client *client, const data_split *split)
{
    size_t count[DATA_LABELS] = {0}, best = 0;
    for (size_t i = 0; i < client->count; i++)
        count[split->labels[client->samples[i]]]++;
    for (size_t label = 1; label < DATA_LABELS; label++)
        if (count[label] > count[best])
            best = label;
    return best;
}

/* SPEC 11.9.2. */
static size_t group_of(const fl_config *config, const fl_task *task, size_t id)
{
    const data_partition *p = &task->partition;
    const size_t groups = config->schedule_groups;
    if (config->schedule_by == FL_SCHEDULE_BY_LABEL)
        return main_label(&p->clients[id], &task->set.train) * groups / task->set.classes;
    return id < p->anchors ? share_of(id, p->anchors, groups)
                           : share_of(id - p->anchors, p->training - p->anchors, groups);
}

static ddome_status check_groups(ddome_error *error, nn_arena *arena, const uint32_t *group,
                                 size_t training, size_t groups)
{
    bool *some = nn_arena_zero(arena, groups, sizeof *some);
    if (some == NULL)
        return nn_arena_fail(error, arena, "the groups of clients");
    for (size_t i = 0; i < training; i++)
        some[group[i]] = true;
    for (size_t g = 0; g < groups; g++)
        if (!some[g])
            return nn_fail(error, DDOME_ERR_USAGE,
                           "schedule_groups = %lu: group %lu has no client, expected at least one; "
                           "lower schedule_groups or choose another schedule_by",
                           (unsigned long)groups, (unsigned long)g);
    return DDOME_OK;
}

/* SPEC 11.9.1. */
ddome_status fl_schedule_groups(ddome_error *error, nn_arena *arena, uint32_t **group,
                                const fl_config *config, const fl_task *task)
{
    const size_t training = task->partition.training;
    *group = NULL;
    if (config->schedule == FL_SCHEDULE_ALL)
        return DDOME_OK;
    *group = nn_arena_alloc(arena, training, sizeof **group);
    if (*group == NULL)
        return nn_arena_fail(error, arena, "the groups of clients");
    for (size_t i = 0; i < training; i++)
        (*group)[i] = (uint32_t)group_of(config, task, i);
    return check_groups(error, arena, *group, training, config->schedule_groups);
}

/* SPEC 11.9.3. */
bool fl_schedule_active(const fl_config *config, uint32_t group, uint32_t round)
{
    const size_t step = (round - 1) / config->schedule_rounds;
    if (config->schedule == FL_SCHEDULE_GROW)
        return group <= step;
    return config->schedule == FL_SCHEDULE_ALL || group == step % config->schedule_groups;
}

/* ---- answers and batches ---- */

/* A draw below the probability; nothing is drawn at 0 (SPEC 11.10.1). */
static bool happens(const fl_decimal *probability, const fl_config *config, nn_stream stream,
                    uint32_t round, uint32_t client)
{
    nn_rng rng = nn_rng_at(config->seed, stream, 0, round, client);
    return probability->value > 0 && nn_rng_uniform(&rng) < probability->value;
}

bool fl_schedule_lost(const fl_config *config, uint32_t round, uint32_t client)
{
    return happens(&config->dropout, config, NN_STREAM_DROPOUT, round, client);
}

bool fl_schedule_slow(const fl_config *config, uint32_t round, uint32_t client)
{
    return happens(&config->straggler, config, NN_STREAM_STRAGGLER, round, client);
}

/* A partial batch that is all there is stays, so that a visit has a step (D55). */
size_t fl_schedule_epoch(const fl_config *config, size_t samples)
{
    const size_t whole = samples / config->batch, partial = samples % config->batch != 0;
    return config->last_batch == FL_LAST_BATCH_DROP && whole != 0 ? whole : whole + partial;
}

size_t fl_schedule_epoch_samples(const fl_config *config, size_t samples)
{
    return nn_min(samples, fl_schedule_epoch(config, samples) * config->batch);
}

/* SPEC 11.11.1. */
size_t fl_schedule_batches(const fl_config *config, size_t samples, bool slow)
{
    const size_t all = config->epochs * fl_schedule_epoch(config, samples);
    const float part = config->straggler_share.value * (float)all;
    return slow ? nn_max(1, nn_min(all, (size_t)part)) : all;
}

uint64_t fl_schedule_samples(const fl_config *config, size_t samples, bool slow)
{
    const size_t an_epoch = fl_schedule_epoch(config, samples);
    const size_t batches = fl_schedule_batches(config, samples, slow);
    const uint64_t part = (uint64_t)(batches % an_epoch) * config->batch;
    return (uint64_t)(batches / an_epoch) * fl_schedule_epoch_samples(config, samples) + part;
}

/* SPEC 11.12. */
bool fl_schedule_common(const fl_config *config, uint32_t round)
{
    return config->common_every != 0 && round > 1 && (round - 1) % config->common_every == 0;
}

uint32_t fl_schedule_renewals(const fl_config *config, uint32_t rounds)
{
    if (config->common_every == 0 || rounds == 0)
        return 0;
    return (uint32_t)((rounds - 1) / config->common_every);
}

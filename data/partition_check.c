/* SPDX-License-Identifier: MIT */
/* The guard: no sample of a tuning or test client is one that trains. SPEC 8.9. */
#include "partition_private.h"

#include <string.h>

data_label_set data_client_labels(const data_client *client, const data_split *split)
{
    data_label_set set = {{0}};
    for (size_t i = 0; i < client->count; i++) {
        unsigned label = split->labels[client->samples[i]];
        set.word[label / 32] |= (uint32_t)1 << label % 32;
    }
    return set;
}

bool data_label_set_same(const data_label_set *a, const data_label_set *b)
{
    return memcmp(a->word, b->word, sizeof a->word) == 0;
}

static data_role role_at(const data_partition *partition, size_t id)
{
    if (id < partition->anchors)
        return DATA_ANCHOR;
    if (id < partition->training)
        return DATA_NORMAL;
    return id < partition->training + partition->holdout ? DATA_HOLDOUT : DATA_UNSEEN;
}

static ddome_status mark_list(ddome_error *error, uint8_t *mark, size_t marks, const uint32_t *list,
                              size_t count, uint8_t where)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] >= marks || mark[list[i]] != DATA_MARK_NONE)
            return nn_fail(error, DDOME_ERR_RUNTIME,
                           "partition: sample %lu is listed twice or outside the %lu of the train "
                           "split",
                           (unsigned long)list[i], (unsigned long)marks);
        mark[list[i]] = where;
    }
    return DDOME_OK;
}

static ddome_status check_client(ddome_error *error, const data_client *client, data_role role,
                                 size_t id)
{
    if (client->id != id || client->role != role)
        return nn_fail(error, DDOME_ERR_RUNTIME,
                       "partition: entry %lu is client %lu with role %s; expected role %s",
                       (unsigned long)id, (unsigned long)client->id, data_role_name(client->role),
                       data_role_name(role));
    if (client->count == 0)
        return nn_fail(error, DDOME_ERR_RUNTIME, "partition: client %lu has no samples",
                       (unsigned long)id);
    return DDOME_OK;
}

/* Training clients hold pool samples, held-out clients held samples, unseen ones test samples. */
static ddome_status check_samples(ddome_error *error, const data_client *client,
                                  const uint8_t *mark, const data_set *set)
{
    bool test = client->role == DATA_UNSEEN;
    size_t split = test ? set->test.count : set->train.count;
    uint8_t wanted = client->role == DATA_HOLDOUT ? DATA_MARK_HELD : DATA_MARK_POOL;
    for (size_t i = 0; i < client->count; i++) {
        uint32_t sample = client->samples[i];
        if (sample >= split)
            return nn_fail(error, DDOME_ERR_RUNTIME,
                           "partition: sample %lu of client %lu is outside its split of %lu",
                           (unsigned long)sample, (unsigned long)client->id, (unsigned long)split);
        if (!test && mark[sample] != wanted)
            return nn_fail(error, DDOME_ERR_RUNTIME,
                           "partition: sample %lu of %s client %lu leaks across the hold-out",
                           (unsigned long)sample, data_role_name(client->role),
                           (unsigned long)client->id);
    }
    return DDOME_OK;
}

static ddome_status check_clients(ddome_error *error, const data_partition *partition,
                                  const uint8_t *mark, const data_set *set)
{
    size_t clients = partition->training + partition->holdout + partition->unseen;
    ddome_status status = DDOME_OK;
    for (size_t id = 0; status == DDOME_OK && id < clients; id++) {
        const data_client *client = &partition->clients[id];
        status = check_client(error, client, role_at(partition, id), id);
        if (status == DDOME_OK)
            status = check_samples(error, client, mark, set);
    }
    return status;
}

/* One tuning or test client against all training clients. */
static ddome_status check_label_set(ddome_error *error, const data_client *client,
                                    const data_label_set *used, size_t training,
                                    const data_set *set)
{
    const data_split *split = client->role == DATA_UNSEEN ? &set->test : &set->train;
    data_label_set own = data_client_labels(client, split);
    for (size_t i = 0; i < training; i++)
        if (data_label_set_same(&own, &used[i]))
            return nn_fail(error, DDOME_ERR_RUNTIME,
                           "partition: %s client %lu has the label set of training client %lu",
                           data_role_name(client->role), (unsigned long)client->id,
                           (unsigned long)i);
    return DDOME_OK;
}

static ddome_status check_label_sets(ddome_error *error, nn_arena *scratch,
                                     const data_partition *partition, const data_set *set)
{
    size_t training = partition->training;
    size_t clients = training + partition->holdout + partition->unseen;
    data_label_set *used = nn_arena_alloc(scratch, training, sizeof *used);
    if (used == NULL)
        return nn_arena_fail(error, scratch, "partition check");
    for (size_t i = 0; i < training; i++)
        used[i] = data_client_labels(&partition->clients[i], &set->train);
    ddome_status status = DDOME_OK;
    for (size_t id = training; status == DDOME_OK && id < clients; id++)
        status = check_label_set(error, &partition->clients[id], used, training, set);
    return status;
}

static ddome_status check_all(ddome_error *error, nn_arena *scratch,
                              const data_partition *partition, const data_set *set)
{
    size_t marks = set->train.count;
    uint8_t *mark = nn_arena_zero(scratch, marks, 1);
    if (mark == NULL)
        return nn_arena_fail(error, scratch, "partition check");
    ddome_status status =
        mark_list(error, mark, marks, partition->pool, partition->pool_count, DATA_MARK_POOL);
    if (status == DDOME_OK)
        status =
            mark_list(error, mark, marks, partition->held, partition->held_count, DATA_MARK_HELD);
    if (status == DDOME_OK)
        status = check_clients(error, partition, mark, set);
    if (status == DDOME_OK && partition->kind == DATA_PARTITION_LABELS)
        status = check_label_sets(error, scratch, partition, set);
    return status;
}

ddome_status data_partition_check(ddome_error *error, nn_arena *scratch,
                                  const data_partition *partition, const data_set *set)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    ddome_status status = check_all(error, scratch, partition, set);
    nn_arena_rewind(scratch, mark);
    return status;
}

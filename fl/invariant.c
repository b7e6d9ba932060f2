/* SPDX-License-Identifier: MIT */
/* The rules of fl/. */
#include "invariant.h"

#ifdef DDOME_INVARIANTS

#include <string.h>

bool fl_invariant_ids(const uint32_t *ids, size_t count, size_t bound)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= bound || (i > 0 && ids[i] <= ids[i - 1]))
            return false;
    return true;
}

static bool has(const uint32_t *ids, size_t count, uint32_t id)
{
    size_t i = 0;
    while (i < count && ids[i] != id)
        i++;
    return i < count;
}

bool fl_invariant_top_k(const uint32_t *chosen, size_t k, const float *score, size_t experts)
{
    if (!fl_invariant_ids(chosen, k, experts))
        return false;
    for (uint32_t out = 0; out < experts; out++)
        for (size_t i = 0; i < k && !has(chosen, k, out); i++)
            if (score[out] > score[chosen[i]] ||
                (score[out] == score[chosen[i]] && out < chosen[i]))
                return false;
    return true;
}

/* By the partition, whatever samples the client at hand says are its own. */
bool fl_invariant_batch(const uint32_t *samples, size_t count, const data_client *client,
                        const data_partition *partition)
{
    if (client->id >= partition->training)
        return false;
    const data_client *own = &partition->clients[client->id];
    for (size_t i = 0; i < count; i++)
        if (!has(own->samples, own->count, samples[i]))
            return false;
    return own->role == DATA_ANCHOR || own->role == DATA_NORMAL;
}

/* expert SIZE_MAX: the gate. */
static bool returned(const fl_visit *visit, size_t expert)
{
    if (visit->lost)
        return false;
    if (expert == SIZE_MAX)
        return visit->gate != NULL && !visit->gate_held;
    return !visit->experts_held && has(visit->chosen, visit->k, (uint32_t)expert);
}

/* Numbers of samples add up without rounding, so the divisor is exact. */
static bool same_weight(const fl_server *server, const fl_slot *slot, size_t expert,
                        const fl_visit *visits, size_t count)
{
    const bool uniform = server->config->aggregate == FL_AGGREGATE_UNIFORM;
    double sum = 0;
    size_t copies = 0;
    for (size_t i = 0; i < count; i++)
        if (returned(&visits[i], expert)) {
            sum += uniform ? 1.0 : (double)visits[i].client->count;
            copies++;
        }
    return slot->weight == sum && slot->returned == copies;
}

bool fl_invariant_weights(const fl_server *server, const fl_visit *visits, size_t count)
{
    bool same = true;
    if (server->own != NULL) /* nothing is averaged (SPEC 12.6.6) */
        return true;
    if (server->gate.model != NULL)
        same = same_weight(server, &server->gate, SIZE_MAX, visits, count);
    for (size_t i = 0; i < server->experts && same; i++)
        same = same_weight(server, &server->expert[i], i, visits, count);
    return same;
}

nn_digest fl_invariant_embeddings(const fl_embeddings *embeddings, const data_split *split)
{
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    for (size_t i = 0; embeddings->rows != NULL && i < split->count; i++)
        if (embeddings->slot[i] != UINT32_MAX)
            nn_sha256_floats(&sha, embeddings->rows + embeddings->slot[i] * embeddings->features,
                             embeddings->features);
    return nn_sha256_end(&sha);
}

bool fl_invariant_same(const nn_digest *a, const nn_digest *b)
{
    return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Loading the data set and partition that the configuration names. SPEC 7, 8. */
#include "task.h"

#include "../data/cifar.h"
#include "../data/synth.h"

static ddome_status load_synth(ddome_error *error, nn_arena *arena, data_set *set,
                               const fl_config *config)
{
    const data_synth_source source = {
        config->synth_train,  config->synth_test,  config->synth_size, config->synth_domains,
        config->synth_shapes, config->synth_noise, config->seed};
    return data_synth_load(error, arena, set, &source);
}

static ddome_status load_cifar(ddome_error *error, nn_arena *arena, data_set *set,
                               const fl_config *config)
{
    const data_cifar_source source = {
        config->data_dir, config->exclude[0] == '\0' ? NULL : config->exclude,
        config->cifar10_batches, config->cifar100_labels == FL_LABELS_COARSE};
    if (config->data == FL_DATA_CIFAR10)
        return data_cifar10_load(error, arena, set, &source);
    return data_cifar100_load(error, arena, set, &source);
}

static ddome_status load_idx(ddome_error *error, nn_arena *arena, data_set *set,
                             const fl_config *config)
{
    const data_idx_source source = {config->data_dir,
                                    config->exclude[0] == '\0' ? NULL : config->exclude,
                                    (data_emnist_split)config->emnist_split};
    if (config->data == FL_DATA_MNIST)
        return data_mnist_load(error, arena, set, &source);
    return data_emnist_load(error, arena, set, &source);
}

/* A data set in files, or a generated one. */
static ddome_status load_set(ddome_error *error, nn_arena *arena, data_set *set,
                             const fl_config *config)
{
    if (config->data == FL_DATA_SYNTH)
        return load_synth(error, arena, set, config);
    if (config->data_dir[0] == '\0')
        return nn_fail(
            error, DDOME_ERR_DATA,
            "no data folder: expected data_dir=DIR or the environment variable DDOME_DATA "
            "to name the folder that holds the files of the data set");
    if (config->data == FL_DATA_CIFAR10 || config->data == FL_DATA_CIFAR100)
        return load_cifar(error, arena, set, config);
    return load_idx(error, arena, set, config);
}

ddome_status fl_task_load_data(ddome_error *error, nn_arena *arena, data_set *set,
                               const fl_config *config)
{
    static const float zero[DATA_MAX_CHANNELS] = {0, 0, 0}, one[DATA_MAX_CHANNELS] = {1, 1, 1};
    ddome_status status = load_set(error, arena, set, config);
    if (status == DDOME_OK && config->normalize == FL_NORMALIZE_NONE)
        data_set_normalize(set, zero, one);
    return status;
}

ddome_status fl_task_load(ddome_error *error, nn_arena *arena, fl_task *task,
                          const fl_config *config)
{
    const data_partition_source source = fl_config_partition(config);
    ddome_status status = fl_task_load_data(error, arena, &task->set, config);
    if (status != DDOME_OK)
        return status;
    return data_partition_make(error, arena, &task->partition, &task->set, &source);
}

const data_split *fl_task_split(const fl_task *task, const data_client *client)
{
    return client->role == DATA_UNSEEN ? &task->set.test : &task->set.train;
}

const data_split *fl_task_scope_split(const fl_task *task, int scope)
{
    return scope == FL_SCOPE_HOLDOUT ? &task->set.train : &task->set.test;
}

static ddome_status whole_test(ddome_error *error, nn_arena *arena, data_client *whole,
                               const data_split *test)
{
    uint32_t *samples = nn_arena_alloc(arena, test->count, sizeof *samples);
    if (samples == NULL)
        return nn_arena_fail(error, arena, "the indices of the test split");
    for (size_t i = 0; i < test->count; i++)
        samples[i] = (uint32_t)i;
    *whole = (data_client){0, DATA_UNSEEN, test->count, samples};
    return DDOME_OK;
}

/* ---- seen clients: SPEC 13.5 ---- */

/* How many test samples of each of its labels a client is given. */
typedef struct allowance {
    size_t of_label[DATA_LABELS];
    size_t total;
} allowance;

static void allow(allowance *a, const data_label_set *held, const data_split *test, size_t limit)
{
    size_t count[DATA_LABELS] = {0}, labels = 0, all = 0, k = 0;
    for (size_t i = 0; i < test->count; i++)
        count[test->labels[i]]++;
    for (unsigned label = 0; label < DATA_LABELS; label++) {
        labels += data_label_set_has(held, label);
        all += data_label_set_has(held, label) ? count[label] : 0;
    }
    *a = (allowance){.total = 0};
    for (unsigned label = 0; label < DATA_LABELS; label++) {
        if (!data_label_set_has(held, label))
            continue;
        const size_t share = limit / labels + (k++ < limit % labels);
        a->of_label[label] =
            limit == 0 || limit >= all ? count[label] : nn_min(share, count[label]);
        a->total += a->of_label[label];
    }
}

/* Clients with the same labels see the same samples, so there is one list for each set of labels,
 * not for each client: thousands of clients would need as many times the test split. */
typedef struct sight {
    data_label_set labels;
    uint32_t *samples; /* NULL: a free place of the table */
    size_t count;
} sight;

typedef struct sights {
    sight *place;
    size_t places; /* a power of two above the number of clients */
} sights;

static sight *find_sight(const sights *s, const data_label_set *labels)
{
    size_t at = 0;
    for (size_t w = 0; w < sizeof labels->word / sizeof *labels->word; w++)
        at = (at ^ labels->word[w]) *
             2654435761u; /* Fibonacci hashing: 2^32 over the golden ratio */
    at = (at >> 7) & (s->places - 1);
    while (s->place[at].samples != NULL && !data_label_set_same(&s->place[at].labels, labels))
        at = (at + 1) & (s->places - 1);
    return &s->place[at];
}

static ddome_status see(ddome_error *error, nn_arena *arena, sight *seen, const data_client *client,
                        const data_split *test, size_t limit)
{
    allowance a;
    allow(&a, &seen->labels, test, limit);
    if (a.total == 0)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "seen clients are evaluated and client %lu has no sample of its labels in "
                       "the test split; choose another eval_scope, eval_also or seen_samples",
                       (unsigned long)client->id);
    seen->samples = nn_arena_alloc(arena, a.total, sizeof *seen->samples);
    if (seen->samples == NULL)
        return nn_arena_fail(error, arena, "the test samples of a client");
    for (size_t i = 0; i < test->count; i++)
        if (a.of_label[test->labels[i]] != 0) {
            a.of_label[test->labels[i]]--;
            seen->samples[seen->count++] = (uint32_t)i;
        }
    return DDOME_OK;
}

static ddome_status see_all(ddome_error *error, nn_arena *arena, const data_client **clients,
                            const fl_task *task, size_t limit)
{
    const data_partition *p = &task->partition;
    sights s = {.places = 2};
    while (s.places <= p->training)
        s.places *= 2;
    data_client *seen = nn_arena_alloc(arena, p->training, sizeof *seen);
    s.place = nn_arena_zero(arena, s.places, sizeof *s.place);
    if (seen == NULL || s.place == NULL)
        return nn_arena_fail(error, arena, "the seen clients");
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < p->training && status == DDOME_OK; i++) {
        const data_client *client = &p->clients[i];
        const data_label_set labels = data_client_labels(client, &task->set.train);
        sight *found = find_sight(&s, &labels);
        found->labels = labels;
        if (found->samples == NULL)
            status = see(error, arena, found, client, &task->set.test, limit);
        seen[i] = (data_client){client->id, client->role, found->count, found->samples};
    }
    *clients = seen;
    return status;
}

/* SPEC 13.1. */
ddome_status fl_task_scope(ddome_error *error, nn_arena *arena, const data_client **clients,
                           size_t *count, data_client *whole, const fl_task *task,
                           const fl_config *config, int scope)
{
    const data_partition *p = &task->partition;
    if (scope == FL_SCOPE_SEEN) {
        *count = p->training;
        return see_all(error, arena, clients, task, config->seen_samples);
    }
    if (scope == FL_SCOPE_GLOBAL) {
        *clients = whole;
        *count = 1;
        return whole_test(error, arena, whole, &task->set.test);
    }
    *clients = p->clients + p->training + (scope == FL_SCOPE_UNSEEN ? p->holdout : 0);
    *count = scope == FL_SCOPE_UNSEEN ? p->unseen : p->holdout;
    if (*count == 0)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "eval_scope or eval_also has no client: set %s to at least 1",
                       scope == FL_SCOPE_UNSEEN ? "unseen_clients" : "holdout_clients");
    return DDOME_OK;
}

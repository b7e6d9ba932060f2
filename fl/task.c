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

/* SPEC 13.1. */
ddome_status fl_task_scope(ddome_error *error, nn_arena *arena, const data_client **clients,
                           size_t *count, data_client *whole, const fl_task *task, int scope)
{
    const data_partition *p = &task->partition;
    if (scope == FL_SCOPE_GLOBAL) {
        *clients = whole;
        *count = 1;
        return whole_test(error, arena, whole, &task->set.test);
    }
    *clients = p->clients + p->training + (scope == FL_SCOPE_UNSEEN ? p->holdout : 0);
    *count = scope == FL_SCOPE_UNSEEN ? p->unseen : p->holdout;
    if (*count == 0)
        return nn_fail(error, DDOME_ERR_USAGE, "eval_scope has no client: set %s to at least 1",
                       scope == FL_SCOPE_UNSEEN ? "unseen_clients" : "holdout_clients");
    return DDOME_OK;
}

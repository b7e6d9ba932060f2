/* SPDX-License-Identifier: MIT */
/* What a run works on: the data set and who holds which of its samples. SPEC 7, 8. */
#ifndef FL_TASK_H
#define FL_TASK_H

#include "config.h"

typedef struct fl_task {
    data_set set;
    data_partition partition;
} fl_task;

DDOME_MUST_CHECK ddome_status fl_task_load_data(ddome_error *error, nn_arena *arena, data_set *set,
                                                const fl_config *config);

/* Data set and partition. */
DDOME_MUST_CHECK ddome_status fl_task_load(ddome_error *error, nn_arena *arena, fl_task *task,
                                           const fl_config *config);

/* The split that a client's sample indices point into. */
const data_split *fl_task_split(const fl_task *task, const data_client *client);

/* The same for the clients of an evaluation scope (SPEC 13.1). */
const data_split *fl_task_scope_split(const fl_task *task, int scope);

/* The clients of an evaluation scope (SPEC 13.1); `whole` is room for the one client of the global
 * scope. Samples of its, and of the clients of the seen scope, are allocated; those have at most
 * config->seen_samples, 0: all of their labels. */
DDOME_MUST_CHECK ddome_status fl_task_scope(ddome_error *error, nn_arena *arena,
                                            const data_client **clients, size_t *count,
                                            data_client *whole, const fl_task *task,
                                            const fl_config *config, int scope);

#endif

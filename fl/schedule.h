/* SPDX-License-Identifier: MIT */
/* Clients that come in groups, answers that are lost, batches, clients that are slow.
 * SPEC 7.7.2, 11.9 to 11.11. */
#ifndef FL_SCHEDULE_H
#define FL_SCHEDULE_H

#include "task.h"

/* *group[training]: the group of each training client; NULL with schedule = all. A group without a
 * client is DDOME_ERR_USAGE. */
DDOME_MUST_CHECK ddome_status fl_schedule_groups(ddome_error *error, nn_arena *arena,
                                                 uint32_t **group, const fl_config *config,
                                                 const fl_task *task);

/* Does the group take part in the round? */
bool fl_schedule_active(const fl_config *config, uint32_t group, uint32_t round);

/* Is the client's answer of this round lost (SPEC 11.10)? Is it slow (SPEC 11.11)? */
bool fl_schedule_lost(const fl_config *config, uint32_t round, uint32_t client);
bool fl_schedule_slow(const fl_config *config, uint32_t round, uint32_t client);

/* Batches of one epoch over so many samples, and the samples in them (SPEC 7.7.2). */
size_t fl_schedule_epoch(const fl_config *config, size_t samples);
size_t fl_schedule_epoch_samples(const fl_config *config, size_t samples);

/* Batches that a client with so many samples trains in a visit. */
size_t fl_schedule_batches(const fl_config *config, size_t samples, bool slow);

/* The samples in them. */
uint64_t fl_schedule_samples(const fl_config *config, size_t samples, bool slow);

/* Is the common expert trained on, and are the clients' samples embedded again, before this round
 * (SPEC 11.12)? */
bool fl_schedule_common(const fl_config *config, uint32_t round);

/* How often in the first so many rounds? */
uint32_t fl_schedule_renewals(const fl_config *config, uint32_t rounds);

#endif

/* SPDX-License-Identifier: MIT */
/* All that a run is between two rounds, as one safetensors file, and back. SPEC 17.6. */
#ifndef FL_STATE_H
#define FL_STATE_H

#include "../data/safetensors.h"
#include "run.h"

/* Writes the state after `round` rounds to a file of the run directory, piece by piece: the memory
 * it takes does not grow with the models. The tables of the run are on the disk. */
DDOME_MUST_CHECK ddome_status fl_state_write(fl_run *run, nn_digest *digest, const char *name,
                                             uint32_t round, const char *identity);

/* The parts of it, DDOME_ERR_RESUME when one is missing or does not fit. First its round and
 * whether its identity is this one (fl/identity.h). `name` is for errors. */
DDOME_MUST_CHECK ddome_status fl_state_check(ddome_error *error, nn_arena *arena, uint32_t *round,
                                             const data_safetensors *file, const char *name,
                                             const char *identity);

/* Do the hashed tables in the run directory have the first bytes that it knows? Nothing is taken.
 */
DDOME_MUST_CHECK ddome_status fl_state_tables(fl_run *run, const data_safetensors *file);

/* The common expert, before anything is embedded. */
DDOME_MUST_CHECK ddome_status fl_state_common(fl_run *run, const data_safetensors *file);

/* The clients tied to experts (SPEC 10.4): as found at the start. */
DDOME_MUST_CHECK ddome_status fl_state_anchors(fl_run *run, const data_safetensors *file);

/* All of it, into a run that has been set up; the tables are cut. The file may hold nothing
 * else. */
DDOME_MUST_CHECK ddome_status fl_state_take(fl_run *run, const data_safetensors *file);

#endif

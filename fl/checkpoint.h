/* SPDX-License-Identifier: MIT */
/* A model as a safetensors file with torch's names, and back. SPEC 17.4. */
#ifndef FL_CHECKPOINT_H
#define FL_CHECKPOINT_H

#include "model.h"

/* The bytes of the file, in the arena. `batches` becomes num_batches_tracked (I64) of every
 * batch-norm. */
DDOME_MUST_CHECK ddome_status fl_checkpoint_format(ddome_error *error, nn_arena *arena,
                                                   unsigned char **bytes, size_t *size,
                                                   const fl_model *model, const float *values,
                                                   uint64_t batches);

/* Reads a file that has exactly the model's tensors. DDOME_ERR_DATA names file and tensor; values
 * are untouched on error. */
DDOME_MUST_CHECK ddome_status fl_checkpoint_load(ddome_error *error, nn_arena *scratch,
                                                 float *values, uint64_t *batches,
                                                 const fl_model *model, const char *path);

#endif

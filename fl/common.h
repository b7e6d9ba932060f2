/* SPDX-License-Identifier: MIT */
/* The common expert: pretrained centrally, frozen, embeds every sample once. SPEC 9. */
#ifndef FL_COMMON_H
#define FL_COMMON_H

#include "model.h"
#include "task.h"
#include "trace.h"

typedef struct fl_common {
    float *values;         /* flat vector of the experts' architecture */
    size_t floats;         /* of values */
    uint64_t batches;      /* num_batches_tracked */
    uint64_t given;        /* the same of the file that it was loaded from; 0 when trained here */
    size_t epochs;         /* trained here; 0 when loaded */
    size_t correct, total; /* on the held-out part after the last epoch; 0, 0 when loaded */
} fl_common;

/* Embeddings of the samples of one split that some client holds. */
typedef struct fl_embeddings {
    size_t features;
    uint32_t *slot; /* [split count]; UINT32_MAX: not embedded */
    float *rows;    /* [slots, features] */
} fl_embeddings;

/* Batches of one epoch. */
size_t fl_common_steps(const fl_config *config, const fl_task *task);

/* SGD with linear decay on the training pool until the held-out accuracy reaches pretrain_target or
 * pretrain_epochs are over. trace may be NULL. DDOME_STOPPED, without a line in error: the caller
 * wants to stop after an epoch. */
DDOME_MUST_CHECK ddome_status fl_common_pretrain(const nn_engine *engine, ddome_error *error,
                                                 nn_arena *arena, nn_arena *scratch,
                                                 fl_common *common, const fl_model *model,
                                                 const fl_config *config, const fl_task *task,
                                                 const ddome_progress *progress, fl_trace *trace);

/* One epoch more, before round `round`, from the server's own data (SPEC 11.12). */
DDOME_MUST_CHECK ddome_status fl_common_again(const nn_engine *engine, ddome_error *error,
                                              nn_arena *scratch, fl_common *common,
                                              const fl_model *model, const fl_config *config,
                                              const fl_task *task, uint32_t round, fl_trace *trace);

/* Embeds once every sample of `split` that one of the clients holds; all hold samples of it. */
DDOME_MUST_CHECK ddome_status fl_common_embed(const nn_engine *engine, ddome_error *error,
                                              nn_arena *arena, nn_arena *scratch,
                                              fl_embeddings *embeddings, const fl_common *common,
                                              const fl_model *model, const fl_task *task,
                                              const data_split *split, const data_client *clients,
                                              size_t count);

/* The same samples once more, by the common expert as it is now. */
DDOME_MUST_CHECK ddome_status fl_common_embed_again(const nn_engine *engine, ddome_error *error,
                                                    nn_arena *scratch, fl_embeddings *embeddings,
                                                    const fl_common *common, const fl_model *model,
                                                    const fl_task *task, const data_split *split);

/* x[i] = embedding of samples[i]. */
void fl_embeddings_fill(nn_tensor *x, const fl_embeddings *embeddings, const uint32_t *samples,
                        size_t count);

/* Tells the caller, if it wants to know. */
void fl_report(const ddome_progress *progress, ddome_phase phase, uint64_t done, uint64_t of,
               double value);

/* Tells it a line, likewise. */
void fl_tell(const ddome_progress *progress, const char *line);

/* Does it want to stop? */
bool fl_wants_stop(const ddome_progress *progress);

#endif

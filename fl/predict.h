/* SPDX-License-Identifier: MIT */
/* Predictions that several models make together, or a model of embeddings alone; and the model that
 * suits a client. SPEC 12.6.4, 12.6.5, 12.6.7, 12.6.8. */
#ifndef FL_PREDICT_H
#define FL_PREDICT_H

#include "eval.h"

/* logits[count, classes] of one model over samples of the evaluated split: from images, or with a
 * head from embeddings. */
DDOME_MUST_CHECK ddome_status fl_predict_logits(ddome_error *error, nn_arena *scratch,
                                                float *logits, const fl_evaluator *e,
                                                const float *values, const uint32_t *samples,
                                                size_t count);

/* Of all samples of a client by all models: label[count], and logits[count, classes] whose
 * cross-entropy is the loss. gate_logits[count, M]; not read without a gate. */
DDOME_MUST_CHECK ddome_status fl_predict_together(ddome_error *error, nn_arena *scratch,
                                                  uint32_t *label, float *logits,
                                                  const fl_evaluator *e, const fl_server *server,
                                                  const data_client *client,
                                                  const float *gate_logits);

/* The model that ifca_test picks for a client. */
DDOME_MUST_CHECK ddome_status fl_predict_cluster(ddome_error *error, nn_arena *scratch,
                                                 uint32_t *chosen, const fl_evaluator *e,
                                                 const fl_server *server,
                                                 const data_client *client);

#endif

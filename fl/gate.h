/* SPDX-License-Identifier: MIT */
/* The gate: from embeddings to scores to the top K experts. SPEC 10. */
#ifndef FL_GATE_H
#define FL_GATE_H

#include "common.h"

/* logits[count, M] of the gate over the embeddings of samples; trace may be NULL. */
DDOME_MUST_CHECK ddome_status fl_gate_logits(const nn_engine *engine, ddome_error *error,
                                             nn_arena *scratch, float *logits, const fl_model *gate,
                                             const float *values, const fl_embeddings *embeddings,
                                             const uint32_t *samples, size_t count,
                                             fl_trace *trace);

/* score[M] = mean over the rows, in order, of softmax(logits row). */
DDOME_MUST_CHECK ddome_status fl_gate_score(ddome_error *error, nn_arena *scratch, float *score,
                                            const float *logits, size_t count, size_t experts);

/* The k best-scored experts, ties to the lowest index, written in ascending order. k <= experts <=
 * NN_MAX_EXPERTS. */
void fl_gate_top_k(uint32_t *chosen, const float *score, size_t experts, size_t k);

#endif

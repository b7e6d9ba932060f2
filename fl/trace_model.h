/* SPDX-License-Identifier: MIT */
/* What a trace records of whole models: their start, their update, their averages. SPEC 19.3.3. */
#ifndef FL_TRACE_MODEL_H
#define FL_TRACE_MODEL_H

#include "server.h"
#include "trace.h"

/* The scopes of names; for fl_trainee.scope. */
void fl_trace_scope_gate(char scope[FL_TRACE_SCOPE]);
void fl_trace_scope_common(char scope[FL_TRACE_SCOPE]);
void fl_trace_scope_expert(char scope[FL_TRACE_SCOPE], size_t expert);

/* The data of a step; for a perceptron an image is a row. */
void fl_trace_images(fl_trace *trace, const fl_model *model, const nn_tensor *images,
                     const uint32_t *labels);
void fl_trace_embeddings(fl_trace *trace, const nn_tensor *embeddings);

/* Every slice as a value that is given: at the start of a step, or where nothing trains. */
void fl_trace_start(fl_trace *trace, const fl_trainee *trainee);
void fl_trace_model(fl_trace *trace, const char *scope, const nn_layout *layout,
                    const float *values);

/* Every slice behind SGD, and its velocity. */
void fl_trace_update(fl_trace *trace, const fl_trainee *trainee);

/* Every slice of the server's models behind the averages of a round, of these visits in ascending
 * client id. */
void fl_trace_average(fl_trace *trace, uint32_t round, const fl_server *server,
                      const fl_visit *visits, size_t count);

/* The score of a client and its choice; the logits are the gate's, or those of fl_trace_stand_in.
 */
void fl_trace_choice(fl_trace *trace, bool stand_in, const float *score, size_t experts,
                     const uint32_t *chosen, size_t k);

/* Logits of what stands for a gate; a choice that is drawn. */
void fl_trace_stand_in(fl_trace *trace, const float *logits, size_t count, size_t experts);
void fl_trace_drawn(fl_trace *trace, const uint32_t *chosen, size_t k);

/* Figures of every model, and the one that was chosen by them (SPEC 12.6.7). */
void fl_trace_figures(fl_trace *trace, const char *name, const float *figures, size_t count,
                      uint32_t chosen);

/* Logits of one expert, which are given. */
void fl_trace_logits(fl_trace *trace, size_t expert, const float *logits, size_t count,
                     size_t classes);

/* Logits and predictions of the samples that one expert was given; none: nothing. */
void fl_trace_predictions(fl_trace *trace, size_t expert, const float *logits,
                          const uint32_t *predicted, size_t count, size_t classes);

/* Predictions of all samples of a client from the mixture (SPEC 13.6). */
void fl_trace_mixed_predictions(fl_trace *trace, const uint32_t *predicted, size_t count);

#endif

/* SPDX-License-Identifier: MIT */
/* One architecture with its layout: the expert (also that of the common expert) and the gate.
 * SPEC 6.2 to 6.5. */
#ifndef FL_MODEL_H
#define FL_MODEL_H

#include "../data/batch.h"
#include "../nn/mlp.h"
#include "../nn/resnet.h"
#include "config.h"

typedef struct fl_model {
    int arch; /* fl_arch */
    nn_resnet resnet;
    nn_mlp mlp;
    size_t h, w, c;           /* one input sample; gate and head have 1, 1, features */
    size_t features, outputs; /* width of the last layer's input, number of logits */
    nn_layout layout;
} fl_model;

/* The expert of a configuration for a data set; the layout lives in the arena. */
DDOME_MUST_CHECK ddome_status fl_model_expert(ddome_error *error, nn_arena *arena, fl_model *model,
                                              const fl_config *config, const data_set *set);

/* The gate: linear(features, hidden), ReLU, linear(hidden, experts). */
DDOME_MUST_CHECK ddome_status fl_model_gate(ddome_error *error, nn_arena *arena, fl_model *model,
                                            size_t features, size_t hidden, size_t experts);

/* One linear layer on embeddings (SPEC 12.6.8). */
DDOME_MUST_CHECK ddome_status fl_model_head(ddome_error *error, nn_arena *arena, fl_model *model,
                                            size_t features, size_t classes);

/* Appends the model to the net's tape: logits, and *features if not NULL. */
nn_node *fl_model_build(nn_net *net, nn_node **features, nn_node *x, const fl_model *model);

/* Evaluation mode over samples of a split: logits[count, outputs] and features[count, features],
 * either may be NULL. A sample's bits do not depend on the others (SPEC 5.7). */
DDOME_MUST_CHECK ddome_status fl_model_predict(const nn_engine *engine, ddome_error *error,
                                               nn_arena *scratch, float *logits, float *features,
                                               const fl_model *model, const float *values,
                                               const data_set *set, const data_split *split,
                                               const uint32_t *samples, size_t count);

/* The same for a model whose inputs are the embeddings of samples: the gate, a head. */
DDOME_MUST_CHECK ddome_status fl_model_predict_rows(const nn_engine *engine, ddome_error *error,
                                                    nn_arena *scratch, float *logits,
                                                    const fl_model *model, const float *values,
                                                    const nn_tensor *rows);

/* -sum p log p over the entries ascending, in nats; an entry of 0 adds +0 (SPEC 14.3). At most 256
 * entries: one block. */
float fl_entropy(const float *p, size_t count);

/* Index of the largest entry, the lowest among equals (SPEC 2.7). */
size_t fl_argmax(const float *values, size_t count);

#endif

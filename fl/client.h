/* SPDX-License-Identifier: MIT */
/* One client's part of a round: a pure function of what it was sent, its samples, the configuration
 * and the seed. SPEC 11.3, 11.4. */
#ifndef FL_CLIENT_H
#define FL_CLIENT_H

#include "common.h"
#include "control.h"
#include "nonfinite.h"

/* What stays the same for every client of a run. */
typedef struct fl_client_world {
    const nn_engine *engine;
    const fl_config *config;
    const fl_task *task;
    const fl_model *expert, *gate;   /* gate NULL: there is no network */
    const fl_embeddings *embeddings; /* of the train split; NULL: the algorithm has none */
    const fl_control *control;
    fl_trace *trace; /* NULL: none */
} fl_client_world;

/* The client's working copies, trained in place; they are what it returns. */
typedef struct fl_visit {
    const data_client *client;
    uint32_t round;
    size_t k;                         /* experts it works on */
    uint32_t chosen[NN_MAX_EXPERTS];  /* ascending */
    float *gate;                      /* NULL: none */
    float *expert[NN_MAX_EXPERTS];    /* expert[i] is a copy of expert chosen[i] */
    uint64_t batches[NN_MAX_EXPERTS]; /* num_batches_tracked of each */
    float loss;                       /* mean over its batches of the loss of the predictions */
    size_t steps;                     /* taken */
    fl_correction correction;         /* of its one model; kind NONE: none */
    bool apart;                       /* its models trained one after the other (SPEC 12.6.4) */
    bool anchor;                      /* it did not choose: its expert is its own */
    bool gate_held, experts_held;     /* not trained in this round, not returned */
    bool slow;                        /* trains only a part of its batches (SPEC 11.11) */
    bool lost;                        /* its answer does not arrive, so it is not worked out */
    fl_search *search;                /* NULL: nobody looks at every value (SPEC 11.13) */
} fl_visit;

/* The last step in which expert[i] moved: models without a gate train one after the other
 * (SPEC 12.6.4). */
size_t fl_visit_last_step(const fl_visit *visit, size_t i);

/* Is this client trained as an anchor: its expert alone, the gate towards its index? */
bool fl_client_is_anchor(const fl_client_world *world, const data_client *client);

/* config->epochs epochs over the client's samples. Normal clients: cross-entropy of the mixture,
 * jointly through the gate and the chosen experts. Anchors: the expert's own cross-entropy, and the
 * gate's towards the one-hot of the anchor. Without a gate: each model's own cross-entropy, one
 * after the other; a new control variate at the end. */
DDOME_MUST_CHECK ddome_status fl_client_train(ddome_error *error, nn_arena *scratch,
                                              fl_visit *visit, const fl_client_world *world);

#endif

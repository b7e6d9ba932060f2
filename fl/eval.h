/* SPDX-License-Identifier: MIT */
/* Zero-shot evaluation: the gate picks K experts from unlabelled samples, each sample goes to its
 * best-scored one. SPEC 13. */
#ifndef FL_EVAL_H
#define FL_EVAL_H

#include "crew.h"
#include "gate.h"
#include "server.h"

typedef struct fl_client_result {
    uint32_t client;
    data_role role;
    size_t count, correct;
    size_t tied, own; /* samples with a label that an anchor's expert has, and those sent to that
                         expert (SPEC 14.10) */
    float loss;       /* mean cross-entropy of the predicting expert */
    size_t k;
    uint32_t chosen[NN_MAX_EXPERTS]; /* ascending */
    float score_entropy,
        mean_entropy; /* of the mean score; mean over the samples; in nats; 0 without a gate */
} fl_client_result;

typedef struct fl_evaluation {
    size_t clients, experts, classes;
    fl_client_result *client;   /* [clients] */
    uint64_t *routed, *correct; /* [experts * classes]: samples of that label sent to that expert,
                                   and right ones */
    uint64_t anchor_total,
        anchor_own; /* anchor samples, and those whose best of all experts is their own */
} fl_evaluation;

/* What is evaluated, and with what. */
typedef struct fl_evaluator {
    const nn_engine *engine;
    const fl_config *config;
    const fl_task *task;
    const fl_model *expert, *gate;     /* gate NULL: something stands for it (SPEC 10.3), or expert
                                          0 predicts all */
    const fl_embeddings *train, *test; /* NULL without gate */
    const fl_control *control;
    int scope;                  /* fl_scope */
    const data_client *clients; /* those of the scope */
    size_t client_count;
    fl_trace *trace; /* NULL: none; its place has round and pass */
} fl_evaluator;

/* The embeddings of the samples of its clients. */
const fl_embeddings *fl_evaluator_embeddings(const fl_evaluator *evaluator);

/* Results in the arena, which may be that of the crew. */
DDOME_MUST_CHECK ddome_status fl_evaluate(ddome_error *error, nn_arena *arena, const fl_crew *crew,
                                          fl_evaluation *evaluation, const fl_evaluator *evaluator,
                                          const fl_server *server);

#endif

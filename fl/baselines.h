/* SPDX-License-Identifier: MIT */
/* What each algorithm has and does: DDOME and its baselines run in one engine, an algorithm is a
 * row of properties. SPEC 12. */
#ifndef FL_BASELINES_H
#define FL_BASELINES_H

#include "config.h"

/* How many models the server has. */
typedef enum fl_models { FL_MODELS_ONE, FL_MODELS_PAIR, FL_MODELS_EXPERTS } fl_models;

/* Which of them a normal participant works on. */
typedef enum fl_choice {
    FL_CHOICE_ALL,
    FL_CHOICE_GATE, /* the top K of its mean score (SPEC 10) */
    FL_CHOICE_LOSS  /* the one of least loss on its samples (SPEC 12.6.7) */
} fl_choice;

/* What predicts a sample (SPEC 13.2, 13.3). */
typedef enum fl_prediction {
    FL_PREDICTION_BEST,    /* the chosen model that its gate logits put first; without a gate the
                              chosen one */
    FL_PREDICTION_MIXTURE, /* the mixture of training */
    FL_PREDICTION_MEAN     /* the mean of the softmax outputs of all models */
} fl_prediction;

/* What is added to a gradient before SGD (fl/correction.h). */
typedef enum fl_correction_kind {
    FL_CORRECTION_NONE,
    FL_CORRECTION_PROXIMAL, /* SPEC 12.6.2 */
    FL_CORRECTION_VARIATES  /* SPEC 12.6.3 */
} fl_correction_kind;

typedef struct fl_algorithm {
    const char *name;
    fl_models models;
    fl_choice choice;
    fl_prediction prediction;
    fl_correction_kind correction;
    bool rounds;      /* false: evaluated as it starts */
    bool from_common; /* starts from the common expert whatever `init` says */
    bool embeds;      /* clients have the common expert and the embeddings of their samples */
    bool gate;        /* a gate weighs or routes */
    bool pinned;      /* an anchor trains its own expert alone (SPEC 11.4) */
    bool uniform;     /* averages count clients, not samples */
    bool own;         /* a client keeps its model; nothing is averaged and nothing moves */
    bool head;        /* what is trained is a linear layer on the embeddings */
} fl_algorithm;

const fl_algorithm *fl_algorithm_of(const fl_config *config);

/* Models on the server. */
size_t fl_algorithm_experts(const fl_config *config);

/* Models that a normal participant trains. */
size_t fl_algorithm_trained(const fl_config *config);

/* Is the common expert needed at all (SPEC 9.0)? */
bool fl_algorithm_needs_common(const fl_config *config);

/* Is it, or another model that clients start from and keep, sent to every training client, once
 * (SPEC 15.2)? */
bool fl_algorithm_sends_common(const fl_config *config);

/* Every training client takes part in every round, whatever is drawn (SPEC 12.6.6). */
bool fl_algorithm_takes_all(const fl_config *config);

/* Resolves the keys that an algorithm fixes and refuses those it cannot have (SPEC 16.4.9). */
DDOME_MUST_CHECK ddome_status fl_algorithm_check(ddome_error *error, fl_config *config);

#endif

/* SPDX-License-Identifier: MIT */
/* What a run does otherwise than the method, on purpose: who answers for the gate, who is an anchor
 * of what, and when gate and experts train. Everything at its default is the method itself.
 * SPEC 10.3, 11.7, 11.8. */
#ifndef FL_CONTROL_H
#define FL_CONTROL_H

#include "gate.h"

#define FL_UNTIED UINT32_MAX

/* Made before the rounds, constant in them. */
typedef struct fl_control {
    const fl_config *config;
    bool routes;        /* a gate, or what stands for it, chooses or weighs experts */
    size_t experts;     /* M */
    size_t training;    /* clients */
    size_t anchors;     /* tied clients: M, or 0 */
    uint32_t *anchor;   /* [anchors], of each expert the client */
    uint32_t *tie;      /* [training], of each client the expert, or FL_UNTIED */
    uint32_t *of_label; /* [classes], the expert of a label, or FL_UNTIED; NULL: no anchors */
    uint32_t *oracle;   /* [classes], the same and label mod M where it has none; NULL: no oracle */
    uint32_t *group;    /* [training], of the schedule; NULL: all take part in all rounds */
    bool cluster;       /* anchor[] was found by cluster.c */
} fl_control;

/* Is there a network as gate, learned or frozen? */
bool fl_control_has_gate(const fl_config *config);

/* Are samples embedded: for the gate, to find anchors, for a head? */
bool fl_control_embeds(const fl_config *config);

/* Anchors as the partition has them, unless they are none or will be clusters; groups. */
DDOME_MUST_CHECK ddome_status fl_control_init(ddome_error *error, nn_arena *arena,
                                              fl_control *control, const fl_config *config,
                                              const fl_task *task);

/* Client anchor[q] is tied to expert q. */
void fl_control_tie(fl_control *control);

/* Experts of labels, by the samples of their anchors. Call it once the anchors are known. */
DDOME_MUST_CHECK ddome_status fl_control_labels(ddome_error *error, nn_arena *arena,
                                                fl_control *control, const fl_task *task);

bool fl_control_is_anchor(const fl_control *control, uint32_t client);

/* The expert that an anchor trains in a round: its own, or with anchors = wrong another one. */
uint32_t fl_control_expert_of(const fl_control *control, uint32_t client, uint32_t round);

/* Which of gate and experts a round leaves as they are (SPEC 11.8). */
void fl_control_held(const fl_control *control, uint32_t round, bool *gate, bool *experts);

/* How many of the rounds up to this one train experts. */
uint32_t fl_control_expert_rounds(const fl_control *control, uint32_t round);

/* Who asks for the logits that a gate gives to samples of one split, and what he has for it. */
typedef struct fl_query {
    const nn_engine *engine;
    const fl_model *model; /* NULL: no network */
    const float *values;   /* of it */
    const fl_embeddings *embeddings;
    const data_split *split; /* gate = oracle looks at its labels */
    const uint32_t *samples;
    size_t count;
    fl_trace *trace; /* may be NULL */
} fl_query;

/* logits[count, M] of the network, or what stands for it (SPEC 10.3). */
DDOME_MUST_CHECK ddome_status fl_control_logits(const fl_control *control, ddome_error *error,
                                                nn_arena *scratch, float *logits,
                                                const fl_query *query);

/* Score and K experts of a client in a round (0: evaluation) from those logits, or drawn; traced.
 * score[M]. */
DDOME_MUST_CHECK ddome_status fl_control_choose(const fl_control *control, ddome_error *error,
                                                nn_arena *scratch, float *score, uint32_t *chosen,
                                                size_t k, const float *logits, uint32_t client,
                                                uint32_t round, const fl_query *query);

/* The expert of each sample among the chosen, in evaluation; of_anchor: for SPEC 14.4. */
void fl_control_route(const fl_control *control, uint32_t *route, const uint32_t *chosen, size_t k,
                      const float *logits, size_t count, uint32_t client, bool of_anchor);

#endif

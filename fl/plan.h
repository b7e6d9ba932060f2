/* SPDX-License-Identifier: MIT */
/* What a run will take, before it begins: bytes, work, memory, time. SPEC 18.3.5. */
#ifndef FL_PLAN_H
#define FL_PLAN_H

#include "run.h"

/* Clients that are trained alike; without a gate all are normal. */
enum { FL_PLAN_ANCHOR, FL_PLAN_NORMAL, FL_PLAN_KINDS };

/* Multiply-adds of one sample through a model, padded taps counted. */
typedef struct fl_plan_work {
    uint64_t forward, training; /* training: forward and both backwards */
} fl_plan_work;

/* A training step that was done. */
typedef struct fl_plan_step {
    size_t samples; /* 0: none was needed */
    uint64_t bytes; /* high-water mark of an arena of its own */
    double seconds; /* rough */
} fl_plan_step;

typedef struct fl_plan_kind {
    const data_client *largest; /* of those that ever take part; NULL: none does */
    fl_traffic visit;           /* of the first of them that takes part */
    fl_plan_step step;
} fl_plan_kind;

/* What some rounds move and train. */
typedef struct fl_plan_tally {
    fl_traffic traffic;
    uint64_t samples[FL_PLAN_KINDS]; /* all epochs */
    uint64_t work;                   /* multiply-adds */
} fl_plan_tally;

typedef struct fl_plan {
    fl_run *run;
    fl_config keys;           /* those of a step: one epoch, rates 0 */
    fl_embeddings embeddings; /* zeros */
    fl_variates variates;     /* zeros, where the algorithm has some */
    uint64_t data_bytes;      /* of data set and partition in memory */
    fl_plan_work expert, gate;
    fl_plan_kind kinds[FL_PLAN_KINDS];
    fl_plan_step pretraining;
    fl_traffic set_up;
    fl_plan_tally first, all; /* round 1, all rounds */
} fl_plan;

/* Draws the participants of all rounds and does one step of each kind on made-up models. The run
 * comes from fl_run_init, must live as long as the plan, and is good for nothing else. */
DDOME_MUST_CHECK ddome_status fl_plan_make(fl_plan *plan, fl_run *run);

/* Multiply-adds of a sample that a client trains in a round. */
uint64_t fl_plan_sample_work(const fl_plan *plan, const data_client *client, uint32_t round);

/* Which kind of training client it is. */
int fl_plan_kind_of(const fl_plan *plan, const data_client *client);

/* plan_text.c: one "name: value" line each. */
void fl_plan_write(fl_text *text, const fl_plan *plan);

#endif

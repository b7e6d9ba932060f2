/* SPDX-License-Identifier: MIT */
/* Failure signatures and the gate's accuracy, watched while a run goes and written outside the
 * hashes: nothing here moves a bit of the run. SPEC 14.6 to 14.10. */
#ifndef FL_WATCH_H
#define FL_WATCH_H

#include "metrics.h"
#include "table.h"

/* D53: rounds in a row without training. D54: at most so many parameters of an expert are followed.
 */
enum { FL_WATCH_ROUNDS = 20, FL_WATCH_VALUES = 65536 };

/* D52: standard deviation of the clients' accuracies. */
#define FL_WATCH_STD 0.15

/* In the order of SPEC 14.7: of the run or of one expert. */
typedef enum fl_sign {
    FL_SIGN_ONE_CHOICE,
    FL_SIGN_ONE_EXPERT,
    FL_SIGN_BELOW_COMMON,
    FL_SIGN_CLIENT_VARIANCE,
    FL_SIGN_UNTRAINED,
    FL_SIGN_DRIFT,
    FL_SIGNS
} fl_sign;

bool fl_sign_of_expert(fl_sign sign);

/* One expert, since the start of the run. */
typedef struct fl_watched {
    float *start, *now;             /* [values] its followed parameters */
    uint32_t trained;               /* rounds in which a client trained it */
    uint32_t last;                  /* the last of them, 0 before the first */
    double cosines;                 /* sum of those of the updates since the last evaluation ... */
    size_t updates;                 /* ... and how many they are */
    bool shared;                    /* all participants train it: all held samples are its own */
    size_t total;                   /* its anchor samples (SPEC 14.7 c); 0: none are looked at */
    uint32_t *held;                 /* [total] */
    uint64_t correct, best, common; /* of them: now; at most so far; of the common expert */
} fl_watched;

/* The choices of several clients. */
typedef struct fl_watched_choice {
    size_t clients, k; /* the first one's k */
    bool alike;        /* all have the set of the first */
    uint32_t chosen[FL_MAX_EXPERTS];
} fl_watched_choice;

enum { FL_WATCH_TABLES = 3 };

typedef struct fl_watch {
    const fl_task *task;
    const fl_model *model;
    const fl_common *common; /* values NULL: none */
    const fl_server *server;
    const fl_control *control;
    size_t values;            /* followed parameters of an expert ... */
    uint32_t *place;          /* [values] ... and their places in the flat vector */
    fl_watched *expert;       /* [server->experts] */
    bool begun;               /* the common expert, as it is now, was evaluated */
    fl_watched_choice choice; /* of the last round's participants that chose and answered */
    bool seen[FL_SIGNS][FL_MAX_EXPERTS];
    fl_table signatures, drift, gate; /* all outside the hashes */
} fl_watch;

/* The server stands at its start. An expert has an anchor when the client of its number trains as
 * one; with none, unless all train it, or without a common expert, no labels are looked at. */
DDOME_MUST_CHECK ddome_status fl_watch_begin(ddome_error *error, nn_arena *arena, fl_watch *watch,
                                             const fl_client_world *world, const fl_common *common,
                                             const fl_server *server);

/* One client's more; `to` starts with all members 0. */
void fl_watch_choice(fl_watched_choice *to, const uint32_t *chosen, size_t k);

/* After the averages of a round. */
void fl_watch_round(fl_watch *watch, uint32_t round, const fl_visit *visits, size_t count);

/* After an evaluation: judges, and tells `progress` what is seen for the first time. */
DDOME_MUST_CHECK ddome_status fl_watch_evaluation(ddome_error *error, nn_arena *scratch,
                                                  fl_watch *watch, const nn_engine *engine,
                                                  uint32_t round, const fl_evaluation *evaluation,
                                                  const fl_metrics *metrics,
                                                  const ddome_progress *progress);

void fl_watch_tables(fl_table *tables[FL_WATCH_TABLES], fl_watch *watch);

/* watch_signs.c: the lines of one evaluation, once the experts are counted. */
DDOME_MUST_CHECK ddome_status fl_watch_judge(ddome_error *error, nn_arena *scratch, fl_watch *watch,
                                             uint32_t round, const fl_evaluation *evaluation,
                                             const fl_metrics *metrics,
                                             const ddome_progress *progress);

#endif

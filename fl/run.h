/* SPDX-License-Identifier: MIT */
/* One run: everything Algorithm 1 works on, how it is set up, and how it is written down. */
#ifndef FL_RUN_H
#define FL_RUN_H

#include "baselines.h"
#include "crew.h"
#include "record.h"
#include "saved.h"
#include "watch.h"

typedef struct fl_run {
    ddome_error *error;
    const ddome_progress *progress;
    fl_config config; /* resolved */
    const fl_algorithm *algorithm;
    nn_engine engine, solo;  /* solo: for work that is itself a part of a team's */
    nn_arena arena, scratch; /* for the whole run; for one step at a time */
    fl_crew crew;            /* its first member works in scratch */
    fl_config_hashes hashes; /* of the files the configuration names */
    fl_task task;
    fl_model expert, gate; /* what rounds train: a head instead of whole experts (SPEC 12.6.8) */
    fl_model common_model; /* the architecture of the common expert */
    fl_common common;
    fl_common start; /* init = file: what experts start from; else without values */
    fl_embeddings train, test;
    fl_server server;
    fl_control control;
    fl_client_world world;
    fl_evaluator evaluator[FL_SCOPES]; /* of eval_scope, then those of eval_also (SPEC 13.8) */
    size_t evaluators;
    data_client whole; /* the client of the scope global */
    fl_rundir dir;
    fl_saved saved; /* its checkpoints, and the one it goes on from */
    fl_record record;
    fl_watch watch;
    bool resumed;           /* it goes on from a checkpoint ... */
    uint32_t done;          /* ... of this round; else 0 */
    size_t most_active;     /* participants a round, at most */
    size_t active;          /* of the round at hand */
    uint32_t *participants; /* [active], ascending */
    fl_visit *visits;       /* [active], what each did */
    fl_traffic traffic;     /* of the round at hand */
    fl_trace *trace;        /* NULL: none */
    double started;
} fl_run;

/* The keys behind the public handle, what ddome_config_set_threads and ddome_config_set_trace
 * have set, and the rounds that its algorithm has. */
const fl_config *fl_config_of(const ddome_config *config);
size_t fl_threads_of(const ddome_config *config);
size_t fl_rounds_of(const ddome_config *config);
const fl_trace_wish *fl_trace_wish_of(const ddome_config *config);

/* The whole self-test (SPEC 3.7) with the kernels that DDOME_ISA names, or the fastest. */
DDOME_MUST_CHECK ddome_status fl_run_selftest(ddome_error *error, const nn_kernels **kernels);

/* Checks configuration and platform, loads data and partition, declares the models. Nothing is
 * written or trained yet. */
DDOME_MUST_CHECK ddome_status fl_run_init(ddome_error *error, fl_run *run, const fl_config *config,
                                          size_t threads, const ddome_progress *progress);

/* Its last step: data and partition, the clients that are evaluated, the models, room for a round.
 */
DDOME_MUST_CHECK ddome_status fl_run_load(fl_run *run);

/* Records the run from now on, if the wish has a path; the run must have one thread. The wish stays
 * the caller's. */
DDOME_MUST_CHECK ddome_status fl_run_trace(fl_run *run, const fl_trace_wish *wish);

/* Writes the trace of a run that ended with `status`; see fl_trace_end. */
DDOME_MUST_CHECK ddome_status fl_run_end_trace(fl_run *run, ddome_status status);

void fl_run_free(fl_run *run);

/* Reads the common expert that the key `common` names and checks its origin (SPEC 9.4); nothing
 * when the key is empty. */
DDOME_MUST_CHECK ddome_status fl_run_take_common(fl_run *run);

/* The same for the model that the key `init_file` names, and its origin (SPEC 12.4). */
DDOME_MUST_CHECK ddome_status fl_run_take_start(fl_run *run);

/* The run directory; empty but for a proof that it can be written. The trace likewise. */
DDOME_MUST_CHECK ddome_status fl_run_open(fl_run *run, const char *out_dir, bool force);

/* The same for a run with rounds, which writes down what `resume` reads (SPEC 17.6.1). */
DDOME_MUST_CHECK ddome_status fl_run_open_kept(fl_run *run, const char *out_dir, bool force);

/* The directory of a run that was broken off, to go on from its newest checkpoint that is whole; of
 * one that has none, to start anew. DDOME_ERR_RESUME: it is of another run. */
DDOME_MUST_CHECK ddome_status fl_run_reopen(fl_run *run, const char *out_dir);

/* The state of the checkpoint is taken: from now on the run is not finished, and what is behind the
 * checkpoint is removed. Until then nothing of the directory has been changed. */
DDOME_MUST_CHECK ddome_status fl_run_go_on(fl_run *run);

/* The directory of a finished run, to compare what this program makes with what is there. The
 * rounds go on from the newest checkpoint of at most `most` rounds; 0 is from the start. */
DDOME_MUST_CHECK ddome_status fl_run_view(fl_run *run, const char *out_dir, uint32_t most);

/* The common expert: the one of the checkpoint, the given one, or pretrained (SPEC 9). */
DDOME_MUST_CHECK ddome_status fl_run_common(fl_run *run);

/* Pretrains it, whatever the key `common` says. */
DDOME_MUST_CHECK ddome_status fl_run_pretrain(fl_run *run);

/* Adds what its distribution moves (SPEC 15.2): nothing without a gate. */
void fl_run_count_common(fl_traffic *traffic, const fl_run *run);

/* Adds the mean embeddings that come up with anchors = cluster (SPEC 15.5). */
void fl_run_count_means(fl_traffic *traffic, const fl_run *run);

/* Sends the common expert to every training client, which embeds its samples once (SPEC 9.3). */
DDOME_MUST_CHECK ddome_status fl_run_embed(fl_run *run);

/* Whether the anchors are found by their embeddings (SPEC 10.4), and which experts an oracle names.
 */
DDOME_MUST_CHECK ddome_status fl_run_anchors(fl_run *run);

/* What experts start from (SPEC 12.4): the common expert, the given file, or NULL: drawn values. */
const fl_common *fl_run_start(const fl_run *run);

/* Experts and gate at their start. */
DDOME_MUST_CHECK ddome_status fl_run_server(fl_run *run);

/* The common expert if the algorithm has one, the embeddings, the server: ready for round 1, or for
 * the one after run->done. */
DDOME_MUST_CHECK ddome_status fl_run_set_up(fl_run *run);

/* Trains the common expert on, sends it to all training clients, and embeds anew (SPEC 11.12). */
DDOME_MUST_CHECK ddome_status fl_run_renew_common(fl_run *run, uint32_t round);

/* participants[active] of a round, ascending. */
DDOME_MUST_CHECK ddome_status fl_run_participants(fl_run *run, uint32_t round);

/* A client's visit before anything has happened to it. */
fl_visit fl_run_visit(const fl_run *run, const data_client *client, uint32_t round);

/* Step 1 of a round: the common expert is trained on if it is due (SPEC 11.12); who takes part; the
 * sums are empty. */
DDOME_MUST_CHECK ddome_status fl_run_open_round(fl_run *run, uint32_t round);

/* A participant's own part of a round: it reads the run and writes its visit. */
typedef ddome_status fl_client_fn(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                                  const fl_run *run);

/* What comes back from it. */
typedef ddome_status fl_take_fn(fl_run *run, const fl_visit *visit);

/* `one` for every participant, run->crew at a time; `take` one by one in ascending client id.
 * SPEC 11.6. */
DDOME_MUST_CHECK ddome_status fl_run_clients(fl_run *run, fl_client_fn *one, fl_take_fn *take);

/* Step 2: the gate goes down, the client's choice comes up (an anchor's is fixed). */
DDOME_MUST_CHECK ddome_status fl_run_choose(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                                            const fl_run *run);

/* Adds what a visit moves, by its client and k and the models' sizes alone (SPEC 11.2). */
void fl_run_count_visit(fl_traffic *traffic, const fl_run *run, const fl_visit *visit);

/* Step 5, its first half: what travelled is counted, the copies go into the sums. */
DDOME_MUST_CHECK ddome_status fl_run_take(fl_run *run, const fl_visit *visit);

/* Its second half: averages, record of the round. */
DDOME_MUST_CHECK ddome_status fl_run_close_round(fl_run *run, uint32_t round);

/* What the tables, all of them, have in memory goes to their files; with close for the last time:
 * those that are hashed belong to the run's files from then on. SPEC 17.1.3. */
DDOME_MUST_CHECK ddome_status fl_run_write_tables(fl_run *run);
DDOME_MUST_CHECK ddome_status fl_run_close_tables(fl_run *run);

/* Its last step: the tables go to their files, a checkpoint is written when it is due or when the
 * caller wants to stop, which is DDOME_STOPPED (SPEC 17.6). */
DDOME_MUST_CHECK ddome_status fl_run_keep_round(fl_run *run, uint32_t round);

/* Rounds of the algorithm: 0 when it has none. */
size_t fl_run_rounds(const fl_run *run);

/* Is round evaluated? Every eval_every-th and the last. */
bool fl_run_evaluates(const fl_run *run, uint32_t round);

/* Zero-shot evaluation, recorded and written to disk. */
DDOME_MUST_CHECK ddome_status fl_run_evaluate(fl_run *run, uint32_t round);

/* Final models, configuration, manifest, SHA256SUMS. */
DDOME_MUST_CHECK ddome_status fl_run_finish(fl_run *run, ddome_summary *summary);

/* The same for a run that only pretrained. */
DDOME_MUST_CHECK ddome_status fl_run_finish_common(fl_run *run, ddome_summary *summary);

#endif

/* SPDX-License-Identifier: MIT */
/* The server: experts, gate, and the averages of a round. SPEC 11.5. */
#ifndef FL_SERVER_H
#define FL_SERVER_H

#include "client.h"
#include "variates.h"

/* A model on the server and the average that is being formed of its copies. */
typedef struct fl_slot {
    const fl_model *model;
    float *values;
    uint64_t batches; /* num_batches_tracked */
    double *sum;      /* sum of n_k * w_k */
    double weight;    /* sum of n_k */
    uint64_t most;    /* highest counter returned */
    size_t returned;  /* copies so far this round */
    nn_digest hash;   /* of values */
} fl_slot;

/* Of a client's own model, once it has one. */
typedef struct fl_own {
    uint64_t batches;
    nn_digest hash; /* after its last visit in this program */
} fl_own;

typedef struct fl_server {
    const fl_config *config;
    uint32_t round; /* at hand or done last, 0 before the first */
    size_t experts;
    fl_slot *expert;      /* [experts] */
    fl_slot gate;         /* model NULL: none */
    fl_store local;       /* bn_stats = local: [clients * experts] running statistics of a client,
                            one slice behind the other ... */
    float *packed;        /* ... and the room for one client's */
    fl_own *own;          /* [clients], NULL unless clients keep their models (SPEC 12.6.6) ... */
    fl_store models;      /* [clients] ... which are here */
    fl_variates variates; /* server NULL: none */
} fl_server;

/* Experts from `start` or, where it is NULL, drawn (`init`); the gate drawn. gate NULL: none. */
DDOME_MUST_CHECK ddome_status fl_server_init(ddome_error *error, nn_arena *arena, fl_server *server,
                                             const fl_config *config, const fl_model *expert,
                                             const fl_model *gate, const fl_common *start,
                                             size_t experts);

/* Room for what stays with clients, if anything does; path: see nn_os_spill_open. Until then
 * nothing of it can be taken. */
DDOME_MUST_CHECK ddome_status fl_server_init_stores(ddome_error *error, nn_arena *arena,
                                                    fl_server *server, const char *path);

/* Closes them; a zeroed server is fine. */
void fl_server_close_stores(fl_server *server);

void fl_server_open_round(fl_server *server);

/* The values that predict for a client: those of the server's expert, or its own, in `scratch`. */
DDOME_MUST_CHECK ddome_status fl_server_values(ddome_error *error, nn_arena *scratch,
                                               const float **values, const fl_server *server,
                                               uint32_t client, size_t expert);

/* The client's own model is this one from now on. */
DDOME_MUST_CHECK ddome_status fl_server_keep_model(ddome_error *error, fl_server *server,
                                                   uint32_t client, const float *values,
                                                   uint64_t batches);

/* Copies what the visit works on into its arrays (allocated here), its own statistics included when
 * they are local. */
DDOME_MUST_CHECK ddome_status fl_server_send(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                                             const fl_server *server);

/* Adds a returned visit to the sums. Call in ascending client id. */
DDOME_MUST_CHECK ddome_status fl_server_take(ddome_error *error, fl_server *server,
                                             const fl_visit *visit);

/* Forms the averages; an expert nobody trained stays. DDOME_ERR_NONFINITE names round and the first
 * parameter that is not finite. */
DDOME_MUST_CHECK ddome_status fl_server_average(ddome_error *error, fl_server *server);

#endif

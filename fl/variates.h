/* SPDX-License-Identifier: MIT */
/* SCAFFOLD's control variates: c and the sum of a round's changes on the server, and each client's
 * c_k, which stays with it. SPEC 12.6.3, 12.6.9. */
#ifndef FL_VARIATES_H
#define FL_VARIATES_H

#include "correction.h"
#include "store.h"

typedef struct fl_variates {
    size_t total, clients; /* floats of a vector; N */
    float *server;         /* c */
    double *sum;           /* of the changes of the round */
    fl_store client;       /* [clients]; none before its first visit: zeros */
    size_t returned;       /* changes so far this round */
} fl_variates;

/* `client` stays closed: nothing can be taken yet. */
DDOME_MUST_CHECK ddome_status fl_variates_init(ddome_error *error, nn_arena *arena,
                                               fl_variates *variates, const nn_layout *layout,
                                               size_t clients);

/* A client's copies for one visit; start stays the caller's. */
DDOME_MUST_CHECK ddome_status fl_variates_send(ddome_error *error, nn_arena *scratch,
                                               fl_correction *correction,
                                               const fl_variates *variates, size_t client);

/* Adds the change and keeps the client's variate. Call in ascending client id. */
DDOME_MUST_CHECK ddome_status fl_variates_take(ddome_error *error, fl_variates *variates,
                                               const fl_correction *correction, size_t client);

/* c = (float)((double)c + (sum / (double)N)), trained values only. */
void fl_variates_move(fl_variates *variates, const nn_layout *layout);

#endif

/* SPDX-License-Identifier: MIT */
/* What the levels on a whole federation share. */
#ifndef VECTORS_FEDERATION_H
#define VECTORS_FEDERATION_H

#include "../fl/run.h"
#include "vectors.h"

/* Those of tools/presets/three_rounds.toml, and those that another vector changes. */
enum { VECTORS_KEYS = 48, VECTORS_MORE_KEYS = 12 };

/* A run and the keys of its vectors. */
typedef struct vectors_federation {
    fl_run run;
    ddome_error error;
    data_vector_key keys[VECTORS_KEYS];
    size_t key_count;
    nn_arith arith;
} vectors_federation;

/* vectors_must for what the run says in its own error. */
void vectors_run_must(vectors_maker *m, const vectors_federation *f, ddome_status status);

vectors_case vectors_federation_begin(const vectors_federation *f, const char *op);

/* The id ends in the profile. */
void vectors_federation_add(vectors_maker *m, const vectors_federation *f, const vectors_case *c,
                            const char *id, const char *clause, const char *comment);

void vectors_u32_scalar(vectors_maker *m, vectors_list *list, const char *name, uint64_t value);

/* The client's score by the server's gate. */
void vectors_score(vectors_maker *m, vectors_case *c, vectors_federation *f, const char *name,
                   const data_client *client, const fl_embeddings *embeddings);

/* A vector of what the run's scope is evaluated to now. */
void vectors_evaluation(vectors_maker *m, vectors_federation *f, unsigned round, const char *id,
                        const char *comment);

#endif

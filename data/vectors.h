/* SPDX-License-Identifier: MIT */
/* Vectors and answers to them as JSON with safetensors beside it, read and written. SPEC 19.2. */
#ifndef DATA_VECTORS_H
#define DATA_VECTORS_H

#include "../nn/case.h"
#include "json.h"

typedef enum data_profile { DATA_PROFILE_MA, DATA_PROFILE_FMA, DATA_PROFILE_ANY } data_profile;

/* A key of the configuration of a larger computation. */
typedef struct data_vector_key {
    const char *key, *value;
} data_vector_key;

typedef struct data_vector {
    const char *id, *clause, *comment;
    data_profile profile;
    bool any_order; /* `exact` */
    const char **flags;
    size_t flag_count;
    const data_vector_key *config;
    size_t config_count;
    nn_case work; /* its outputs are the expected values; arith by profile, ma for any */
} data_vector;

typedef struct data_vectors {
    const char *level; /* "" in an answer that names none */
    const data_vector *vector;
    size_t count;
} data_vectors;

/* Reads a level file or an answer and the safetensors files it names, which stand in its folder.
 * Members that an answer need not have may be missing; they are then empty. DDOME_ERR_DATA names
 * file, vector and member; a "file" with / or \ or that begins with a dot is refused. Memory is
 * bounded by the sizes of the files. */
DDOME_MUST_CHECK ddome_status data_vectors_read(ddome_error *error, nn_arena *arena,
                                                data_vectors *out, const char *path);

#endif

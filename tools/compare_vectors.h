/* SPDX-License-Identifier: MIT */
/* Vectors and answers to them, level by level. SPEC 19.2, 19.4. */
#ifndef TOOLS_COMPARE_VECTORS_H
#define TOOLS_COMPARE_VECTORS_H

#include "../data/vectors.h"
#include "compare_explain.h"

typedef struct vector_level {
    const char *name, *a, *b; /* level; paths; b NULL: no answers */
    data_vectors vectors, answers;
    bool *asked; /* [answers.count] its id is one of A's; levels of one file of answers share it */
    size_t differing, missing, compared, missing_values;
} vector_level;

/* A vector of A and its answer. */
typedef struct vector_pair {
    const vector_level *level;
    const data_vector *vector, *answer;  /* NULL: missing */
    size_t compared, differing, missing; /* values */
    const nn_value *lacks, *has; /* the first that B has not; one of another name that it has */
    const nn_value *a, *b;       /* the first that differs */
    compare_result result;
} vector_pair;

typedef struct vector_set {
    compare_call *call;
    vector_level *level;
    size_t levels;
    vector_pair *pair;
    size_t pairs;
    size_t unknown; /* ids of B that no level has, */
    const char *first_unknown;
} vector_set;

/* compare_levels.c: which files, in the order of A's manifest; DDOME_ERR_DATA where that is none.
 */
DDOME_MUST_CHECK ddome_status vectors_list(ddome_error *error, vector_set *set, bool a_folder,
                                           bool b_folder);

#endif

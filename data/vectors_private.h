/* SPDX-License-Identifier: MIT */
/* What the files of the reader of vectors share. SPEC 19.1, 19.2. */
#ifndef DATA_VECTORS_PRIVATE_H
#define DATA_VECTORS_PRIVATE_H

#include "safetensors.h"
#include "vectors.h"

/* A safetensors file beside the level file, read once; each of its tensors is decoded once, so that
 * memory stays within the sizes of the files however often a tensor is named. */
typedef struct data_companion {
    struct data_companion *next;
    const char *name;
    data_safetensors tensors;
    const void **elements; /* [tensors.count], NULL until decoded */
} data_companion;

typedef struct data_vectors_reader {
    ddome_error *error;
    nn_arena *arena;
    const char *path;
    size_t folder;  /* bytes of path up to its last slash, that included */
    const char *id; /* of the vector at hand, or NULL */
    data_companion *companions;
} data_vectors_reader;

/* "PATH: vector ID: MEMBER: expected EXPECTED, found FOUND"; found may be NULL: a member that is
 * missing. */
ddome_status data_vectors_refuse(const data_vectors_reader *r, const char *member,
                                 const char *expected, const data_json_value *found);

/* True for a string without NUL. */
bool data_vectors_text(const char **out, const data_json_value *value);

/* Does the object have members of the list only? The first other one is refused. */
DDOME_MUST_CHECK ddome_status data_vectors_known(const data_vectors_reader *r, const char *what,
                                                 const data_json_value *object,
                                                 const char *const *names, size_t count);

/* One value of `inputs` or `expected` (SPEC 19.1.1); its name is the member's. */
DDOME_MUST_CHECK ddome_status data_vectors_value(data_vectors_reader *r, nn_value *out,
                                                 const data_json_value *member);

#endif

/* SPDX-License-Identifier: MIT */
/* A walk over the parts of a state: the same calls list them, to be written, or read them from a
 * file. A walk that has failed does nothing more; its status says why. SPEC 17.6.3. */
#ifndef FL_STATE_WALK_H
#define FL_STATE_WALK_H

#include "../data/safetensors.h"
#include "../nn/hash.h"
#include "bounds.h"
#include "store.h"

struct fl_run;

enum { FL_WALK_NAME = 64 /* bytes of a name, its end included */ };

typedef enum fl_walk_type {
    FL_WALK_F32,
    FL_WALK_F64,
    FL_WALK_U64,
    FL_WALK_U32,
    FL_WALK_U8
} fl_walk_type;

/* A part that is to be written: data, or an array of `store`. */
typedef struct fl_walk_part {
    const void *data;
    fl_walk_type type;
    const fl_store *store; /* NULL: data */
    size_t index;          /* of the array */
} fl_walk_part;

typedef struct fl_walk {
    struct fl_run *run;
    ddome_error *error;
    nn_arena *arena; /* of lists and copies: they live as long as the walk */
    ddome_status status;
    const data_safetensors *file; /* to read; NULL: tensors and parts are listed */
    fl_bounds bounds;             /* of what is read */
    size_t next, found;           /* where the next one is looked for first; how many were there */
    data_safetensor *tensor;      /* [count] */
    fl_walk_part *part;           /* [count] */
    size_t count, capacity;
} fl_walk;

/* data[count] is listed or read; floats and doubles that are read are finite. Listed data stays the
 * caller's and has to last until it is written. */
void fl_walk_values(fl_walk *w, fl_walk_type type, const char *name, void *data, size_t count);

/* data[count] of a walk that lists, as it is: what is read by other means. */
void fl_walk_list(fl_walk *w, fl_walk_type type, const char *name, const void *data, size_t count);

/* One number; read, it is of least to most. */
void fl_walk_size(fl_walk *w, const char *name, size_t *value, size_t least, size_t most);
void fl_walk_u64(fl_walk *w, const char *name, uint64_t *value, uint64_t least, uint64_t most);
void fl_walk_u32(fl_walk *w, const char *name, uint32_t *value, uint32_t least, uint32_t most);

/* values[count]; read, each is of least to most, which `expected` says in words. */
void fl_walk_reals(fl_walk *w, const char *name, double *values, size_t count, double least,
                   double most, const char *expected);

/* flags[count], a byte each in the file. */
void fl_walk_flags(fl_walk *w, const char *name, bool *flags, size_t count);

/* Which of the arrays are there; NULL where the walk has failed. The arrays are left alone. */
const bool *fl_walk_present(fl_walk *w, const char *name, const fl_store *store);

/* One of them, which is there, or is to be, as that says. */
void fl_walk_array(fl_walk *w, const char *name, fl_store *store, size_t index);

/* count * size zeroed bytes that live as long as the walk, for what is no array of such numbers;
 * NULL where the walk fails for want of them, or has failed. */
void *fl_walk_room(fl_walk *w, size_t count, size_t size);

/* "PREFIX_INDEX.SUFFIX"; indices of one width, so that the alphabet keeps their order. */
const char *fl_walk_indexed(char name[FL_WALK_NAME], const char *prefix, size_t index,
                            const char *suffix);

/* The walk fails: a tensor is not what is expected. */
void fl_walk_misfit(fl_walk *w, const char *name, const char *expected, uint64_t count);

/* It fails so unless what was read holds. One that lists, or has failed, asks nothing. */
void fl_walk_need(fl_walk *w, bool holds, const char *name, const char *expected, uint64_t count);

/* Writes what was listed to a file of the run directory, piece by piece, and hashes it. On error
 * there is no such file. */
DDOME_MUST_CHECK ddome_status fl_walk_write(const fl_walk *w, nn_digest *digest, const char *name);

#endif

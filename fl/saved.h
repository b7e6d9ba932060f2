/* SPDX-License-Identifier: MIT */
/* The checkpoints of a run: RUN/ckpt, which of its files are whole, and the newest that is.
 * SPEC 17.6. */
#ifndef FL_SAVED_H
#define FL_SAVED_H

#include "../data/safetensors.h"
#include "rundir.h"

/* At most so many are kept (SPEC 16.3). */
enum { FL_SAVED_MOST = 100 };

typedef struct fl_saved_file {
    uint32_t round;
    nn_digest digest;
} fl_saved_file;

typedef struct fl_saved {
    const char *identity;              /* of this run, fl/identity.h */
    size_t every;                      /* 0: none before the run is stopped (SPEC 17.6.2) */
    fl_saved_file file[FL_SAVED_MOST]; /* those that ckpt/DONE names, oldest first */
    size_t count;
    nn_arena arena;         /* of `state` */
    bool found;             /* a checkpoint was found ... */
    uint32_t round;         /* ... after this round ... */
    data_safetensors state; /* ... with this in it */
} fl_saved;

enum { FL_SAVED_NAME = 48 };

/* "ckpt/00000010.safetensors". */
const char *fl_saved_name(char name[FL_SAVED_NAME], uint32_t round);

/* DDOME_ERR_RESUME when more is there than the first checkpoint, but not ckpt/DONE: no work that it
 * stood for may go unnoticed. */
DDOME_MUST_CHECK ddome_status fl_saved_lost(ddome_error *error, const fl_saved *saved,
                                            const fl_rundir *dir);

/* Reads ckpt/DONE; without that file there are none, but see fl_saved_lost. A damaged one is
 * DDOME_ERR_RESUME. */
DDOME_MUST_CHECK ddome_status fl_saved_open(ddome_error *error, fl_saved *saved,
                                            const fl_rundir *dir);

/* Removes what a run that was killed has left in ckpt, and checkpoints after `round`. */
DDOME_MUST_CHECK ddome_status fl_saved_tidy(ddome_error *error, fl_saved *saved,
                                            const fl_rundir *dir);

/* Reads the newest checkpoint of at most `most` rounds whose hash is that of ckpt/DONE; `notice` is
 * told of newer ones that are damaged. found stays false when there is none at all; when all are
 * damaged DDOME_ERR_RESUME. */
DDOME_MUST_CHECK ddome_status fl_saved_find(ddome_error *error, fl_saved *saved,
                                            const fl_rundir *dir, uint32_t most,
                                            const ddome_progress *progress);

/* The checkpoint that was found will not do, for `reason`: true when ckpt/DONE has an older one;
 * `notice` is told then, and the memory of the state given back. */
bool fl_saved_older(fl_saved *saved, const ddome_error *reason, const ddome_progress *progress);

/* A checkpoint has been written to its name with .tmp behind it: it gets its name, ckpt/DONE names
 * it, and all but the newest `keep` are removed. */
DDOME_MUST_CHECK ddome_status fl_saved_add(ddome_error *error, fl_saved *saved,
                                           const fl_rundir *dir, uint32_t round,
                                           const nn_digest *digest, size_t keep);

/* Gives the memory of the state back. */
void fl_saved_free(fl_saved *saved);

#endif

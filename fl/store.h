/* SPDX-License-Identifier: MIT */
/* Arrays that stay with clients between their visits: control variates, models, running statistics.
 * They are in a file, so that memory does not grow with the number of clients. SPEC 12.6.9. */
#ifndef FL_STORE_H
#define FL_STORE_H

#include "../nn/os.h"

/* The name that it has for a moment in ckpt of a run directory. */
#define FL_STORE_NAME "clients.tmp"
#define FL_STORE_FILE "ckpt/" FL_STORE_NAME

typedef struct fl_store {
    size_t count, floats; /* arrays; values of each */
    size_t *place;        /* [count], in the file, from 1 on; 0: it is not there; NULL: no store */
    size_t used;          /* places */
    nn_os_spill spill;    /* open from the first write on */
    const char *path;     /* where it is opened: see nn_os_spill_open */
} fl_store;

/* `count` arrays of `floats` values, none of them there. The path lives as long as the store.
 * *store is untouched on error. */
DDOME_MUST_CHECK ddome_status fl_store_init(ddome_error *error, nn_arena *arena, fl_store *store,
                                            size_t count, size_t floats, const char *path);

/* Gives the file back; a zeroed store is fine, and what it is afterwards. */
void fl_store_close(fl_store *store);

/* Is something to be kept at all? */
bool fl_store_is_set(const fl_store *store);

/* Is that array there? In a zeroed store none is. */
bool fl_store_has(const fl_store *store, size_t index);

/* values[count] of an array that is there, from its value `first` on; several threads may read. */
DDOME_MUST_CHECK ddome_status fl_store_read(ddome_error *error, const fl_store *store, size_t index,
                                            size_t first, float *values, size_t count);

/* The same the other way: an array is there from its first write on, and is written from its
 * beginning on. Others may be read meanwhile. */
DDOME_MUST_CHECK ddome_status fl_store_write(ddome_error *error, fl_store *store, size_t index,
                                             size_t first, const float *values, size_t count);

#endif

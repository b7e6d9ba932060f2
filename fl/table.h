/* SPDX-License-Identifier: MIT */
/* A table of a run that grows by lines: what is complete goes to the end of its file, only the hash
 * of it stays in memory. SPEC 17.1.3. */
#ifndef FL_TABLE_H
#define FL_TABLE_H

#include "rundir.h"

typedef struct fl_table {
    const char *name; /* in the run directory */
    bool hashed;      /* listed in SHA256SUMS */
    fl_text text;     /* lines that are not yet in the file */
    uint64_t size;    /* bytes that are ... */
    nn_sha256 sha;    /* ... and their hash so far */
} fl_table;

/* Empty, its file not touched before the first write. `name` stays the caller's. */
void fl_table_init(fl_table *table, nn_arena *arena, const char *name, bool hashed);

/* What is in memory goes to the file, which is made or cut as it needs to be. */
DDOME_MUST_CHECK ddome_status fl_table_write(ddome_error *error, fl_rundir *dir, fl_table *table);

/* Flushes the file to the disk. */
DDOME_MUST_CHECK ddome_status fl_table_flush(ddome_error *error, const fl_rundir *dir,
                                             const fl_table *table);

/* Of the bytes in the file. */
nn_digest fl_table_digest(const fl_table *table);

/* Goes on behind the first `size` bytes of the file, which must hash to `digest`:
 * DDOME_ERR_RESUME, or DDOME_ERR_VERIFY where dir->verify. What is in memory is forgotten; what
 * follows in the file is cut by the next write. */
DDOME_MUST_CHECK ddome_status fl_table_resume(ddome_error *error, const fl_rundir *dir,
                                              fl_table *table, uint64_t size,
                                              const nn_digest *digest);

/* The last write; the table is one of the run's files from then on. */
DDOME_MUST_CHECK ddome_status fl_table_close(ddome_error *error, fl_rundir *dir, fl_table *table);

#endif

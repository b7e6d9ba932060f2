/* SPDX-License-Identifier: MIT */
/* A run that is being read for the table: what report_read.c and report_rounds.c share. */
#ifndef TOOLS_REPORT_READER_H
#define TOOLS_REPORT_READER_H

#include "../fl/config.h"
#include "report.h"

typedef struct report_reader {
    tool *t;
    report_run *run;
    const char *sums; /* SHA256SUMS */
    fl_config keys;   /* those of the run that say what a visit trains (SPEC 18.3.9) */
    uint64_t *size;   /* [clients] samples of each client of the partition */
    size_t clients;
} report_reader;

/* The text of a file of SHA256SUMS, and its hash. */
DDOME_MUST_CHECK ddome_status report_read_hashed(ddome_error *error, report_reader *r,
                                                 const char *name, char **text, nn_digest *digest);

/* The same as a table. */
DDOME_MUST_CHECK ddome_status report_read_table(ddome_error *error, report_reader *r,
                                                report_table *table, const char *name);

size_t report_count_lines(const char *text);

/* report_rounds.c, in this order: what a visit trains, samples of the clients, visits. */
DDOME_MUST_CHECK ddome_status report_read_keys(ddome_error *error, report_reader *r);
DDOME_MUST_CHECK ddome_status report_read_sizes(ddome_error *error, report_reader *r);
DDOME_MUST_CHECK ddome_status report_read_rounds(ddome_error *error, report_reader *r);

#endif

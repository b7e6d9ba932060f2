/* SPDX-License-Identifier: MIT */
/* The table of several runs: what is read of a run, and the rows made of it. SPEC 18.3.6
 * to 18.3.10.
 */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include "tool.h"

enum { REPORT_SCOPES = 8, REPORT_COLUMNS = 64, REPORT_SIGNS = 512, REPORT_SETS = 4096 };

/* One kind of clients that were evaluated; accuracies in millionths, as the table has them. */
typedef struct report_scope {
    const char *name;
    uint64_t evaluations;
    uint64_t last, worst10, maximum;
    uint64_t ten[10]; /* the last ten, evaluation e at e % 10 */
} report_scope;

typedef struct report_setting {
    const char *key, *value; /* without quotes */
} report_setting;

/* A failure signature that was seen, with its first round. */
typedef struct report_sign {
    const char *name, *experts;
    uint64_t round, evaluations;
} report_sign;

/* A set of experts and the clients that chose it in the last evaluation. */
typedef struct report_set {
    const char *scope, *experts;
    uint64_t clients;
} report_set;

typedef struct report_run {
    const char *path, *algo;
    report_setting *settings;
    size_t setting_count;
    report_scope scope[REPORT_SCOPES];
    size_t scopes;
    uint64_t once, moved; /* bytes of round 0, and of all rounds, both ways */
    uint64_t messages, round_trips;
    uint64_t visits, answers;         /* SPEC 18.3.8 */
    uint64_t samples, expert_samples; /* SPEC 18.3.9 */
    uint64_t expert_bytes;            /* P */
    uint64_t experts, clients;        /* M and S, as the configuration has them */
    nn_digest rounds;                 /* of rounds.jsonl */
    bool watched;                     /* it has signatures.csv */
    bool repaired;                    /* the partition is that of no draw (SPEC 8.5.4) */
    report_sign *sign;
    size_t signs;
    report_set *set;
    size_t sets;
} report_run;

/* Lines of comma-separated fields; cut up in place. */
typedef struct report_table {
    const char *run, *file;
    char *at;
    size_t line, columns;
    const char *field[REPORT_COLUMNS];
} report_table;

/* report_read.c: one run, its files checked against SHA256SUMS. DDOME_ERR_DATA: no finished run, or
 * a damaged one. */
DDOME_MUST_CHECK ddome_status report_read(ddome_error *error, tool *t, report_run *run,
                                          const char *path);

/* The value of a key, or NULL. */
const char *report_setting_of(const report_run *run, const char *key);

/* report_csv.c. Text is cut up and must outlive the table. DDOME_ERR_DATA: an empty text, a line
 * with other fields than the header. */
DDOME_MUST_CHECK ddome_status report_table_open(ddome_error *error, report_table *table,
                                                const char *run, const char *file, char *text);

/* The header's column of this name. */
DDOME_MUST_CHECK ddome_status report_table_find(ddome_error *error, size_t *column,
                                                const report_table *table, const char *name);

/* The next line into field[]; *more is false behind the last. */
DDOME_MUST_CHECK ddome_status report_table_next(ddome_error *error, report_table *table,
                                                bool *more);

/* A whole number; a decimal of SPEC 2.8 below 10^6, in millionths. */
DDOME_MUST_CHECK ddome_status report_table_u64(ddome_error *error, uint64_t *value,
                                               const report_table *table, size_t column);
DDOME_MUST_CHECK ddome_status report_table_micros(ddome_error *error, uint64_t *value,
                                                  const report_table *table, size_t column);
DDOME_MUST_CHECK ddome_status report_damaged(ddome_error *error, const report_table *table,
                                             const char *expected);

/* The runs that a word names: itself, or the seed-N in it. */
typedef struct report_group {
    const char *path;
    const char **run; /* paths */
    size_t runs;
} report_group;

/* report_rows.c. */
DDOME_MUST_CHECK ddome_status report_expand(ddome_error *error, tool *t, report_group **groups);

/* A method: the runs of one word, or of several that are one training
 * looked at on several kinds of clients. */
typedef struct report_row {
    const report_group *group;
    report_run *run; /* [group->runs]; the scopes of the merged ones are added */
    bool merged;     /* into an earlier row */
    const char *method;
    const char *shown; /* what stands for it in text and Markdown: itself or, of a long one, less */
} report_row;

DDOME_MUST_CHECK ddome_status report_rows(ddome_error *error, tool *t, report_row **rows,
                                          const report_group *groups, size_t count);

/* report_count.c: numbers of a row. */
enum { REPORT_LAST, REPORT_LAST10, REPORT_MAXIMUM, REPORT_WORST10, REPORT_ACCURACIES };

/* Over the seeds of a row, in their order (SPEC 18.3.7); -1 where one of them lacks it. */
typedef struct report_figure {
    double mean, std;
} report_figure;

const report_scope *report_find_scope(const report_run *run, const char *name);
report_figure report_accuracy(const report_row *row, const char *scope, int which);

typedef uint64_t report_count(const report_run *run);
report_count report_once, report_moved, report_fedavg, report_all_experts, report_messages,
    report_round_trips, report_samples, report_expert_samples;
uint64_t report_sum(const report_row *row, report_count *count);

/* Four places, for people: the six of SPEC 2.8 rounded, halves up. */
void report_add_fixed4(fl_text *text, double value);

/* The mean over the seeds: whole where it is whole. */
void report_add_mean(fl_text *text, const report_row *row, report_count *count);

/* Bytes of the rounds over those of another way to send; nothing, or a dash for people, where that
 * way moves none. */
void report_add_ratio(fl_text *text, const report_row *row, report_count *other, bool people);

/* "below-common:0 one-choice:1+2", each once. */
void report_add_signs(fl_text *text, const report_row *row);
bool report_watched(const report_row *row);

/* A line of the table: a method on one kind of clients. */
enum { REPORT_CELLS = 15 };
typedef struct report_line {
    const report_row *row;
    const char *scope;
    fl_text cell[REPORT_CELLS];
} report_line;

/* report_export.c */
extern const char report_csv_header[];
void report_add_csv(fl_text *text, const report_line *line);
void report_add_json(tool *t, const report_line *line);

/* report_html.c: a page of its own; `below` is text for people that stands below the table. */
void report_add_html(fl_text *text, const char *const heading[REPORT_CELLS],
                     const report_line *lines, size_t count, const char *below);

/* report_text.c: the table in t->form, and all of it as members of t->json. */
DDOME_MUST_CHECK ddome_status report_print(ddome_error *error, tool *t, const report_row *rows,
                                           size_t count);

#endif

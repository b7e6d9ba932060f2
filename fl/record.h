/* SPDX-License-Identifier: MIT */
/* What a run writes down: rounds, evaluations, traffic, manifest. Formats are SPEC 17. */
#ifndef FL_RECORD_H
#define FL_RECORD_H

#include "metrics.h"
#include "table.h"
#include "wire.h"

/* timing.csv is outside the hashes. */
enum { FL_RECORD_TABLES = 6 };

typedef struct fl_record {
    fl_table metrics, clients, experts, comm, rounds, timing;
    fl_traffic total; /* of all rounds so far, the common expert's distribution included */
    double *means;    /* mean accuracy of each evaluation */
    size_t evaluations, most_evaluations;
    fl_metrics last;
    bool names_lost, names_slow; /* rounds.jsonl says who was (SPEC 17.2.3) */
} fl_record;

/* Header lines. evaluations: how many there will be at most. */
DDOME_MUST_CHECK ddome_status fl_record_init(ddome_error *error, nn_arena *arena, fl_record *record,
                                             size_t evaluations);

/* One round: who took part with which experts, what it weighed, what the models hash to. */
void fl_record_round(fl_record *record, uint32_t round, const fl_visit *visits, size_t count,
                     const fl_traffic *traffic, const fl_server *server);

/* The distribution of the common expert, or any traffic outside the rounds: a line of comm.csv with
 * round 0. */
void fl_record_setup_traffic(fl_record *record, const fl_traffic *traffic);

DDOME_MUST_CHECK ddome_status fl_record_evaluation(ddome_error *error, nn_arena *scratch,
                                                   fl_record *record, uint32_t round,
                                                   const fl_evaluation *evaluation,
                                                   const fl_evaluator *evaluator);

/* The same models on other clients (SPEC 13.8): a line of metrics.csv alone. */
DDOME_MUST_CHECK ddome_status fl_record_also(ddome_error *error, nn_arena *scratch,
                                             fl_record *record, uint32_t round,
                                             const fl_evaluation *evaluation,
                                             const fl_evaluator *evaluator);

/* The lines of clients.csv for one evaluation, header excluded. */
void fl_record_clients(fl_text *text, uint32_t round, const fl_evaluation *evaluation,
                       const fl_evaluator *evaluator);

extern const char fl_record_clients_header[];

/* All tables, those of SHA256SUMS first. */
void fl_record_tables(fl_table *tables[FL_RECORD_TABLES], fl_record *record);

/* Mean over the last ten evaluations, and the maximum, of the mean accuracy (D16). */
double fl_record_last_ten(const fl_record *record);
double fl_record_maximum(const fl_record *record);

#endif

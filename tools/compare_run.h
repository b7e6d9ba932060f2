/* SPDX-License-Identifier: MIT */
/* Two run directories, file by file. SPEC 17, 19.4.2. */
#ifndef TOOLS_COMPARE_RUN_H
#define TOOLS_COMPARE_RUN_H

#include "../fl/config.h"
#include "compare.h"

/* What a run computes, in order; what is known of the first difference says how to look closer. */
typedef enum run_stage {
    RUN_SETTINGS,
    RUN_DATA,
    RUN_PARTITION,
    RUN_COMMON,
    RUN_ROUND,
    RUN_RESULTS,
    RUN_MODELS,
    RUN_STAGES
} run_stage;

typedef struct run_finding {
    run_stage stage;
    const char *file, *where; /* "metrics.csv", "line 3, column accuracy" */
    const char *a, *b;
    uint64_t ulp, round, client; /* COMPARE_NO_ULP, NO_PLACE where there is none */
} run_finding;

#define RUN_NO_PLACE UINT64_MAX

/* One file, or one of the two sides without it. */
typedef struct run_part {
    struct run_part *next;
    const char *file, *unit; /* "lines", "members", "tensors" */
    bool in_a, in_b;
    size_t units, differing, missing, extra; /* compared; unequal; that only A has; that only B */
} run_part;

typedef struct run_pair {
    compare_call *call;
    run_part *parts, *last;      /* in the order of comparing */
    run_finding first, computed; /* of all, and behind the settings; where found */
    bool found, found_computed;
    bool kinds_differ;   /* eval_also: one of them evaluated clients that the other did not */
    size_t later_rounds; /* behind the first line of rounds.jsonl that differs: those that do */
    const compare_tensor *tensor; /* of the first computed difference, when it is one in a model */
} run_pair;

/* Enters a difference; only the first one stays. Texts live in the arena. */
void run_found(run_pair *pair, const run_finding *finding);

/* The part of a file, with in_a and in_b set, and its paths. */
DDOME_MUST_CHECK ddome_status run_add_part(ddome_error *error, run_pair *pair, run_part **part,
                                           const char *file, const char *unit, const char **a,
                                           const char **b);

/* The same; both texts when both sides have it. DDOME_ERR_DATA
 * when there is a NUL in one, or the part cannot be read. */
DDOME_MUST_CHECK ddome_status run_open(ddome_error *error, run_pair *pair, run_part **part,
                                       const char *file, const char *unit, char **a, char **b);

/* compare_run_models.c: one model; then all of final/. */
DDOME_MUST_CHECK ddome_status run_model(ddome_error *error, run_pair *pair, const char *file,
                                        run_stage stage);
DDOME_MUST_CHECK ddome_status run_finals(ddome_error *error, run_pair *pair);

/* The same value of JSON: kinds, texts, members in any order; numbers as they are written. */
bool run_same_json(const data_json_value *a, const data_json_value *b);

/* A value as it may stand in a line, "nothing" for NULL. */
const char *run_json_text(tool *t, const data_json_value *value);

/* compare_run_report.c: adds all that was found to text and json, and counts the files. */
void run_report(run_pair *pair);

/* compare_config.c */
DDOME_MUST_CHECK ddome_status run_config(ddome_error *error, run_pair *pair);

/* compare_table.c: files of lines */
DDOME_MUST_CHECK ddome_status run_table(ddome_error *error, run_pair *pair, const char *file,
                                        run_stage stage);
DDOME_MUST_CHECK ddome_status run_rounds(ddome_error *error, run_pair *pair);

#endif

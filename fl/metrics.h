/* SPDX-License-Identifier: MIT */
/* From counts to the numbers of metrics.csv. SPEC 14. */
#ifndef FL_METRICS_H
#define FL_METRICS_H

#include "eval.h"

typedef struct fl_metrics {
    uint64_t correct, total;
    double accuracy;          /* correct / total */
    double mean;              /* plain mean over the clients */
    double weighted_std, std; /* population deviations about accuracy and mean */
    double min, p10, p50, p90, max;
    double worst10;                     /* mean of the worst tenth of the clients, at least one */
    double loss;                        /* weighted by samples */
    double score_entropy, mean_entropy; /* plain means over the clients */
} fl_metrics;

/* All sums in double, clients in order. */
DDOME_MUST_CHECK ddome_status fl_metrics_of(ddome_error *error, nn_arena *scratch,
                                            fl_metrics *metrics, const fl_evaluation *evaluation);

#endif

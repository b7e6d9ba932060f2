/* SPDX-License-Identifier: MIT */
/* The numbers of a row: over its seeds, beside FedAvg, and as text. SPEC 18.3.7 to 18.3.10. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "report.h"

/* ---- numbers of a row ---- */

const report_scope *report_find_scope(const report_run *run, const char *name)
{
    for (size_t i = 0; i < run->scopes; i++)
        if (strcmp(run->scope[i].name, name) == 0)
            return &run->scope[i];
    return NULL;
}

/* -1 when the run has no such scope. */
static double accuracy_of(const report_run *run, const char *scope, int which)
{
    const double millionth = 1e6;
    const report_scope *s = report_find_scope(run, scope);
    if (s == NULL)
        return -1;
    uint64_t sum = 0, count = s->evaluations < 10 ? s->evaluations : 10;
    if (which == REPORT_LAST10) {
        for (uint64_t e = 0; e < count; e++)
            sum += s->ten[e];
        return (double)sum / millionth / (double)count;
    }
    return (double)(which == REPORT_LAST      ? s->last
                    : which == REPORT_MAXIMUM ? s->maximum
                                              : s->worst10) /
           millionth;
}

/* Population deviation (D25). */
report_figure report_accuracy(const report_row *row, const char *scope, int which)
{
    const double n = (double)row->group->runs;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < row->group->runs; i++) {
        const double accuracy = accuracy_of(&row->run[i], scope, which);
        if (accuracy < 0)
            return (report_figure){-1, -1};
        sum = sum + accuracy;
    }
    const double mean = sum / n;
    for (size_t i = 0; i < row->group->runs; i++) {
        const double d = accuracy_of(&row->run[i], scope, which) - mean;
        squares = squares + d * d;
    }
    return (report_figure){mean, sqrt(squares / n)};
}

uint64_t report_once(const report_run *run)
{
    return run->once;
}
uint64_t report_moved(const report_run *run)
{
    return run->moved;
}
/* What FedAvg moves with the same participants and answers (SPEC 18.3.8). */
uint64_t report_fedavg(const report_run *run)
{
    return run->expert_bytes * (run->visits + run->answers);
}
/* The same with all M experts in each message. */
uint64_t report_all_experts(const report_run *run)
{
    return run->experts * report_fedavg(run);
}
uint64_t report_messages(const report_run *run)
{
    return run->messages;
}
uint64_t report_round_trips(const report_run *run)
{
    return run->round_trips;
}
uint64_t report_samples(const report_run *run)
{
    return run->samples;
}
uint64_t report_expert_samples(const report_run *run)
{
    return run->expert_samples;
}

uint64_t report_sum(const report_row *row, report_count *count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < row->group->runs; i++)
        sum += count(&row->run[i]);
    return sum;
}

/* ---- texts of numbers ---- */

/* Four places, for people: the six of SPEC 2.8 rounded, halves up. */
void report_add_fixed4(fl_text *text, double value)
{
    const uint64_t parts = (uint64_t)(value * 1e4 + 0.5);
    fl_text_add(text, "%" PRIu64 ".%04" PRIu64, parts / 10000, parts % 10000);
}

/* The mean over the seeds: whole where it is whole. */
void report_add_mean(fl_text *text, const report_row *row, report_count *count)
{
    const uint64_t sum = report_sum(row, count), n = row->group->runs;
    if (sum % n == 0)
        fl_text_add(text, "%" PRIu64, sum / n);
    else
        fl_text_fixed6(text, (double)sum / (double)n);
}

/* Bytes of the rounds over those of another way to send; nothing where that way moves none. */
void report_add_ratio(fl_text *text, const report_row *row, report_count *other, bool people)
{
    const uint64_t of = report_sum(row, other);
    const double ratio = of == 0 ? 0 : (double)report_sum(row, report_moved) / (double)of;
    if (of == 0)
        fl_text_add(text, "%s", people ? "-" : "");
    else if (people)
        report_add_fixed4(text, ratio);
    else
        fl_text_fixed6(text, ratio);
}

static bool listed_before(const report_row *row, size_t run, size_t sign)
{
    const report_sign *s = &row->run[run].sign[sign];
    for (size_t i = 0; i <= run; i++)
        for (size_t j = 0; j < (i == run ? sign : row->run[i].signs); j++)
            if (strcmp(row->run[i].sign[j].name, s->name) == 0 &&
                strcmp(row->run[i].sign[j].experts, s->experts) == 0)
                return true;
    return false;
}

/* "below-common:0 drift:0 one-choice:1+2", each once. */
void report_add_signs(fl_text *text, const report_row *row)
{
    const char *before = "";
    for (size_t i = 0; i < row->group->runs; i++)
        for (size_t j = 0; j < row->run[i].signs; j++) {
            const report_sign *s = &row->run[i].sign[j];
            if (listed_before(row, i, j))
                continue;
            fl_text_add(text, "%s%s%s", before, s->name, s->experts[0] == '\0' ? "" : ":");
            for (const char *at = s->experts; *at != '\0'; at++)
                fl_text_add(text, "%c", *at == ' ' ? '+' : *at);
            before = " ";
        }
}

bool report_watched(const report_row *row)
{
    bool all = true;
    for (size_t i = 0; i < row->group->runs; i++)
        all = all && row->run[i].watched;
    return all;
}

/* SPDX-License-Identifier: MIT */
/* The table of methods for people, as text, Markdown and HTML. SPEC 18.3.6, 18.3.10. */
#include <inttypes.h>
#include <string.h>

#include "report.h"

/* ---- cells ---- */

static const char *const HEADING[REPORT_CELLS] = {
    "method",           "clients",     "seeds",   "accuracy",  "mean of ten",
    "max (optimistic)", "worst tenth", "MB once", "MB moved",  "x FedAvg",
    "x all experts",    "round trips", "trained", "x experts", "signatures"};

/* Units, and which mean and deviation: metrics.csv has a pooled `accuracy`, too (SPEC 18.3.7). */
static const char LEGEND[] =
    "\nAccuracies are means over the clients, each counting once; +- is the population standard "
    "deviation over the seeds.\n"
    "mean of ten: of the last ten evaluations, or of all if fewer; max selects on test data; worst "
    "tenth: the mean of these clients.\n"
    "MB once: before the first round; MB moved: all rounds, down and up, 10^6 bytes each; x "
    "FedAvg, x all experts: these over what FedAvg, or sending all experts, moves.\n"
    "trained: samples; x experts: each for every expert that it trains; over seeds, traffic and "
    "samples are means.\n";

static void add_accuracy(fl_text *text, const report_row *row, const char *scope, int which)
{
    const report_figure f = report_accuracy(row, scope, which);
    if (f.mean < 0) {
        fl_text_add(text, "-");
        return;
    }
    report_add_fixed4(text, f.mean);
    if (row->group->runs > 1) {
        fl_text_add(text, " +- ");
        report_add_fixed4(text, f.std);
    }
}

static void add_megabytes(fl_text *text, const report_row *row, report_count *count)
{
    const uint64_t bytes = report_sum(row, count) / row->group->runs;
    fl_text_add(text, "%" PRIu64 ".%02" PRIu64, bytes / 1000000, bytes % 1000000 / 10000);
}

static void fill_line(report_line *l)
{
    const report_row *row = l->row;
    fl_text *cell = l->cell;
    fl_text_add(&cell[0], "%s", row->shown);
    fl_text_add(&cell[1], "%s", l->scope);
    fl_text_add(&cell[2], "%lu", (unsigned long)row->group->runs);
    for (int i = 0; i < REPORT_ACCURACIES; i++)
        add_accuracy(&cell[3 + i], row, l->scope, i);
    add_megabytes(&cell[7], row, report_once);
    add_megabytes(&cell[8], row, report_moved);
    report_add_ratio(&cell[9], row, report_fedavg, true);
    report_add_ratio(&cell[10], row, report_all_experts, true);
    report_add_mean(&cell[11], row, report_round_trips);
    report_add_mean(&cell[12], row, report_samples);
    report_add_mean(&cell[13], row, report_expert_samples);
    report_add_signs(&cell[14], row);
    if (cell[14].length == 0)
        fl_text_add(&cell[14], "%s", report_watched(row) ? "none" : "not watched");
}

/* Known kinds of clients first, in the order of a paper's columns; others as they come. */
static size_t scopes_of(const char *out[REPORT_SCOPES + 4], const report_row *row)
{
    static const char *const order[] = {"seen", "unseen", "holdout", "global"};
    enum { ORDER = sizeof order / sizeof *order };
    const report_run *run = row->run;
    size_t count = 0;
    for (size_t i = 0; i < ORDER; i++)
        if (report_find_scope(run, order[i]) != NULL)
            out[count++] = order[i];
    for (size_t s = 0; s < run->scopes; s++) {
        size_t i = 0;
        while (i < ORDER && strcmp(order[i], run->scope[s].name) != 0)
            i++;
        if (i == ORDER)
            out[count++] = run->scope[s].name;
    }
    return count;
}

static ddome_status fill_lines(ddome_error *error, tool *t, report_line **lines, size_t *made,
                               const report_row *rows, size_t count)
{
    *made = 0;
    *lines = nn_arena_zero(&t->arena, count, REPORT_SCOPES * sizeof **lines);
    if (*lines == NULL)
        return nn_arena_fail(error, &t->arena, "lines of the table");
    for (size_t i = 0; i < count; i++) {
        const char *scope[REPORT_SCOPES + 4];
        const size_t scopes = rows[i].merged ? 0 : scopes_of(scope, &rows[i]);
        for (size_t s = 0; s < scopes; s++) {
            report_line *l = &(*lines)[(*made)++];
            l->row = &rows[i];
            l->scope = scope[s];
            for (size_t c = 0; c < REPORT_CELLS; c++)
                l->cell[c].arena = &t->arena;
            fill_line(l);
            for (size_t c = 0; c < REPORT_CELLS; c++)
                if (l->cell[c].failed)
                    return nn_arena_fail(error, &t->arena, "lines of the table");
        }
    }
    return DDOME_OK;
}

/* ---- text and Markdown ---- */

static size_t width_of(const report_line *lines, size_t count, size_t cell)
{
    size_t width = strlen(HEADING[cell]);
    for (size_t i = 0; i < count; i++)
        width = nn_max(width, lines[i].cell[cell].length);
    return width;
}

/* Words to the left, numbers to the right; the last one ends the line. */
static void add_padded(fl_text *text, const char *cell, size_t width, size_t column)
{
    if (column + 1 == REPORT_CELLS)
        fl_text_add(text, "%s\n", cell);
    else if (column < 2)
        fl_text_add(text, "%-*s  ", (int)width, cell);
    else
        fl_text_add(text, "%*s  ", (int)width, cell);
}

static void add_text(fl_text *text, const report_line *lines, size_t count)
{
    for (size_t row = 0; row <= count; row++)
        for (size_t c = 0; c < REPORT_CELLS; c++)
            add_padded(text, row == 0 ? HEADING[c] : lines[row - 1].cell[c].data,
                       width_of(lines, count, c), c);
}

static void add_markdown(fl_text *text, const report_line *lines, size_t count)
{
    for (size_t c = 0; c < REPORT_CELLS; c++)
        fl_text_add(text, "| %s %s", HEADING[c], c + 1 == REPORT_CELLS ? "|\n" : "");
    for (size_t c = 0; c < REPORT_CELLS; c++)
        fl_text_add(text, "|%s%s", c < 2 || c + 1 == REPORT_CELLS ? "---" : "---:",
                    c + 1 == REPORT_CELLS ? "|\n" : "");
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < REPORT_CELLS; c++)
            fl_text_add(text, "| %s %s", lines[i].cell[c].data, c + 1 == REPORT_CELLS ? "|\n" : "");
}

/* How often each set was chosen in the last evaluation, in the order of the clients; runs that were
 * merged have sets of several kinds of clients. */
static void add_sets(fl_text *text, const report_run *run)
{
    const char *scope = run->sets == 0 ? "" : run->set[0].scope; /* told where there are others */
    const bool several = run->sets != 0 && strcmp(scope, run->set[run->sets - 1].scope) != 0;
    fl_text_add(text, "\n%s: chosen experts (clients) in the last evaluation:", run->path);
    for (size_t i = 0; i < run->sets; i++) {
        const report_set *set = &run->set[i];
        const bool first = i == 0 || strcmp(set->scope, set[-1].scope) != 0;
        fl_text_add(text, "%s", i == 0 ? "" : first ? ";" : ",");
        if (several && first)
            fl_text_add(text, " %s", set->scope);
        fl_text_add(text, " %s (%" PRIu64 ")", set->experts, set->clients);
    }
    fl_text_add(text, "\n");
    if (run->repaired)
        fl_text_add(text,
                    "  the partition is repaired: no draw gave every client min_size samples\n");
}

static void add_run_signs(fl_text *text, const report_run *run)
{
    for (size_t i = 0; i < run->signs; i++) {
        const report_sign *s = &run->sign[i];
        fl_text_add(text, "  %s", s->name);
        if (s->experts[0] != '\0')
            fl_text_add(text, ", experts %s", s->experts);
        fl_text_add(text, ": %" PRIu64 " evaluation%s, the first after round %" PRIu64 "\n",
                    s->evaluations, s->evaluations == 1 ? "" : "s", s->round);
    }
}

/* Those that the table has by number. */
static void add_methods(fl_text *text, const report_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!rows[i].merged && rows[i].shown != rows[i].method)
            fl_text_add(text, "\n%s #%lu: %s\n", rows[i].run->algo, (unsigned long)i + 1,
                        rows[i].method);
}

static void add_details(fl_text *text, const report_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t r = 0; !rows[i].merged && r < rows[i].group->runs; r++) {
            add_sets(text, &rows[i].run[r]);
            add_run_signs(text, &rows[i].run[r]);
        }
}

ddome_status report_print(ddome_error *error, tool *t, const report_row *rows, size_t count)
{
    report_line *lines;
    size_t made;
    ddome_status status = fill_lines(error, t, &lines, &made, rows, count);
    if (status != DDOME_OK)
        return status;
    if (strcmp(t->form, "csv") == 0) {
        fl_text_add(&t->text, "%s", report_csv_header);
        for (size_t i = 0; i < made; i++)
            report_add_csv(&t->text, &lines[i]);
    } else if (strcmp(t->form, "markdown") == 0) {
        add_markdown(&t->text, lines, made);
        fl_text_add(&t->text, "%s", LEGEND);
        add_methods(&t->text, rows, count);
    } else if (strcmp(t->form, "html") == 0) {
        fl_text below = {.arena = &t->arena};
        fl_text_add(&below, "%s", LEGEND);
        add_methods(&below, rows, count);
        add_details(&below, rows, count);
        if (below.failed)
            return fl_text_status(error, &below);
        report_add_html(&t->text, HEADING, lines, made, below.data);
    } else {
        add_text(&t->text, lines, made);
        fl_text_add(&t->text, "%s", LEGEND);
        add_methods(&t->text, rows, count);
        add_details(&t->text, rows, count);
    }
    fl_text_add(&t->json, ", \"rows\": [");
    for (size_t i = 0; i < made; i++) {
        fl_text_add(&t->json, "%s", i == 0 ? "" : ", ");
        report_add_json(t, &lines[i]);
    }
    fl_text_add(&t->json, "]");
    return DDOME_OK;
}

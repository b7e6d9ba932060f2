/* SPDX-License-Identifier: MIT */
/* The table of methods for programs: CSV and JSON. SPEC 18.3.6. */
#include <inttypes.h>
#include <string.h>

#include "report.h"

/* ---- CSV ---- */

const char report_csv_header[] =
    "method,algo,clients,seeds,accuracy,accuracy_std,last10,last10_std,maximum_optimistic,"
    "maximum_optimistic_std,worst10,worst10_std,bytes_once,bytes_moved,bytes_fedavg,"
    "bytes_all_experts,ratio_fedavg,ratio_all_experts,messages,round_trips,trained_samples,"
    "trained_expert_samples,signatures,run\n";

/* A field in quotes, those inside doubled (RFC 4180), where it needs them. */
static void add_field(fl_text *text, const char *value)
{
    if (strpbrk(value, ",\"\n\r") == NULL) {
        fl_text_add(text, "%s", value);
        return;
    }
    fl_text_add(text, "\"");
    for (; *value != '\0'; value++)
        fl_text_add(text, "%s%c", *value == '"' ? "\"" : "", *value);
    fl_text_add(text, "\"");
}

void report_add_csv(fl_text *text, const report_line *l)
{
    static report_count *const bytes[] = {report_once, report_moved, report_fedavg,
                                          report_all_experts};
    static report_count *const counts[] = {report_messages, report_round_trips, report_samples,
                                           report_expert_samples};
    const report_row *row = l->row;
    add_field(text, row->method);
    fl_text_add(text, ",%s,%s,%lu", row->run->algo, l->scope, (unsigned long)row->group->runs);
    for (int i = 0; i < REPORT_ACCURACIES; i++) {
        const report_figure f = report_accuracy(row, l->scope, i);
        fl_text_add(text, ",");
        if (f.mean >= 0)
            fl_text_fixed6(text, f.mean);
        fl_text_add(text, ",");
        if (f.mean >= 0)
            fl_text_fixed6(text, f.std);
    }
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        fl_text_add(text, ",");
        report_add_mean(text, row, bytes[i]);
    }
    fl_text_add(text, ",");
    report_add_ratio(text, row, report_fedavg, false);
    fl_text_add(text, ",");
    report_add_ratio(text, row, report_all_experts, false);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        fl_text_add(text, ",");
        report_add_mean(text, row, counts[i]);
    }
    fl_text_add(text, ",");
    report_add_signs(text, row);
    fl_text_add(text, ",");
    add_field(text, row->group->path);
    fl_text_add(text, "\n");
}

/* ---- JSON ---- */

/* A number, or null for what is none. */
static void add_json_figure(tool *t, const char *name, report_figure f)
{
    tool_json_fixed6(t, name, f.mean);
    fl_text_add(&t->json, ", \"%s_std\": ", name);
    if (f.mean < 0)
        fl_text_add(&t->json, "null");
    else
        fl_text_fixed6(&t->json, f.std);
}

static void add_json_counts(tool *t, const report_row *row)
{
    static const struct {
        const char *name;
        report_count *count;
    } counts[] = {
        {"bytes_once", report_once},         {"bytes_moved", report_moved},
        {"bytes_fedavg", report_fedavg},     {"bytes_all_experts", report_all_experts},
        {"messages", report_messages},       {"round_trips", report_round_trips},
        {"trained_samples", report_samples}, {"trained_expert_samples", report_expert_samples}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        fl_text_add(&t->json, ", \"%s\": ", counts[i].name);
        report_add_mean(&t->json, row, counts[i].count);
    }
}

void report_add_json(tool *t, const report_line *l)
{
    static const char *const names[REPORT_ACCURACIES] = {"accuracy", "last10", "maximum_optimistic",
                                                         "worst10"};
    const report_row *row = l->row;
    fl_text_add(&t->json, "{\"seeds\": %lu", (unsigned long)row->group->runs);
    tool_json_string(t, "run", row->group->path);
    tool_json_string(t, "method", row->method);
    tool_json_string(t, "algo", row->run->algo);
    tool_json_string(t, "clients", l->scope);
    for (int i = 0; i < REPORT_ACCURACIES; i++)
        add_json_figure(t, names[i], report_accuracy(row, l->scope, i));
    add_json_counts(t, row);
    fl_text signs = {.arena = &t->arena};
    report_add_signs(&signs, row);
    tool_json_string(t, "signatures", signs.length == 0 ? "" : signs.data);
    t->json.failed = t->json.failed || signs.failed;
    fl_text_add(&t->json, ", \"watched\": %s, \"sets\": [", report_watched(row) ? "true" : "false");
    const char *before = "";
    for (size_t i = 0; i < row->group->runs; i++)
        for (size_t s = 0; s < row->run[i].sets; s++) {
            const report_set *set = &row->run[i].set[s];
            if (strcmp(set->scope, l->scope) != 0)
                continue;
            fl_text_add(&t->json, "%s{\"run\": %lu, \"experts\": \"%s\", \"clients\": %" PRIu64 "}",
                        before, (unsigned long)i + 1, set->experts, set->clients);
            before = ", ";
        }
    fl_text_add(&t->json, "]}");
}

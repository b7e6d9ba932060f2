/* SPDX-License-Identifier: MIT */
/* ddome report: one line a run, which expert serves which labels, the root hashes.
 * SPEC 17, 18.3. */
#include <inttypes.h>
#include <string.h>

#include "../fl/origin.h"
#include "../nn/os.h"
#include "report.h"

/* One run as its files tell it. Texts are in the tool's arena. */
typedef struct run_files {
    const char *path, *algo;
    const char *scope, *mean, *worst; /* NULL for what a pretraining has not */
    uint64_t rounds, bytes_down, bytes_up;
    uint64_t correct, total; /* of the held list; total 0: not a pretraining */
    char root_hash[NN_HEX_BYTES];
    const char *experts_csv; /* NULL when the run has none */
} run_files;

static ddome_status read_member(ddome_error *error, tool *t, unsigned char **bytes, size_t *size,
                                const char *run, const char *name)
{
    fl_text path = {.arena = &t->arena};
    fl_text_add(&path, "%s/%s", run, name);
    ddome_status status = fl_text_status(error, &path);
    if (status != DDOME_OK)
        return status;
    return nn_os_read_file(error, &t->arena, bytes, size, path.data, DDOME_ERR_DATA);
}

/* ---- manifest.json ---- */

/* A string member, or otherwise. A number keeps its text. */
static const char *text_of(const data_json_value *manifest, const char *name, const char *otherwise)
{
    const data_json_value *value = data_json_member(manifest, name);
    bool usable =
        value != NULL && (value->kind == DATA_JSON_STRING || value->kind == DATA_JSON_NUMBER);
    return usable ? value->text : otherwise;
}

static uint64_t number_of(const data_json_value *manifest, const char *name)
{
    uint64_t number = 0;
    const data_json_value *value = data_json_member(manifest, name);
    if (value != NULL && !data_json_u64(&number, value))
        number = 0;
    return number;
}

static ddome_status read_manifest(ddome_error *error, tool *t, run_files *run)
{
    const data_json_value *manifest;
    fl_text path = {.arena = &t->arena};
    fl_text_add(&path, "%s/manifest.json", run->path);
    ddome_status status = fl_text_status(error, &path);
    if (status == DDOME_OK)
        status = fl_manifest_read(error, &t->arena, &manifest, path.data);
    if (status != DDOME_OK)
        return status;
    run->algo = text_of(manifest, "algo", "?");
    run->mean = text_of(manifest, "accuracy_mean", NULL);
    run->worst = text_of(manifest, "accuracy_worst", NULL);
    run->rounds = number_of(manifest, "rounds");
    run->bytes_down = number_of(manifest, "bytes_down");
    run->bytes_up = number_of(manifest, "bytes_up");
    if (strcmp(run->algo, "pretrain") != 0)
        return DDOME_OK;
    run->correct = number_of(manifest, "common_holdout_correct");
    run->total = number_of(manifest, "common_holdout_total");
    return DDOME_OK;
}

/* ---- SHA256SUMS and the tables ---- */

static ddome_status read_hash(ddome_error *error, tool *t, run_files *run)
{
    unsigned char *bytes;
    size_t size;
    ddome_status status = read_member(error, t, &bytes, &size, run->path, "SHA256SUMS");
    if (status != DDOME_OK)
        return status;
    nn_digest root = nn_sha256_of(bytes, size);
    nn_digest_hex(run->root_hash, &root);
    return DDOME_OK;
}

/* The second field of the first evaluation in metrics.csv: the clients of eval_scope (SPEC 13.8).
 */
static ddome_status read_scope(ddome_error *error, tool *t, run_files *run)
{
    unsigned char *bytes;
    size_t size;
    ddome_status status = read_member(error, t, &bytes, &size, run->path, "metrics.csv");
    if (status != DDOME_OK)
        return status;
    char *line = strchr((char *)bytes, '\n');
    char *scope = line == NULL ? NULL : strchr(line, ',');
    if (scope == NULL || strchr(scope + 1, ',') == NULL)
        return nn_fail(error, DDOME_ERR_DATA,
                       "%.200s/metrics.csv: the line of the first evaluation is cut", run->path);
    *strchr(scope + 1, ',') = '\0';
    run->scope = scope + 1;
    return DDOME_OK;
}

static ddome_status read_run(ddome_error *error, tool *t, run_files *run, const char *path)
{
    unsigned char *bytes = NULL;
    size_t size;
    memset(run, 0, sizeof *run);
    run->path = path;
    ddome_status status = read_manifest(error, t, run);
    if (status == DDOME_OK)
        status = read_hash(error, t, run);
    if (status != DDOME_OK || strcmp(run->algo, "pretrain") == 0)
        return status;
    status = read_scope(error, t, run);
    if (status == DDOME_OK && strcmp(run->algo, "ddome") == 0)
        status = read_member(error, t, &bytes, &size, path, "experts.csv");
    run->experts_csv = (const char *)bytes;
    return status;
}

/* ---- which expert serves which labels ---- */

enum { LABELS = 256, EXPERTS = FL_MAX_EXPERTS, FIELDS = 5 };

/* Samples of each label that went to each expert in the last evaluation. */
typedef struct routing {
    uint64_t round, routed[EXPERTS][LABELS], correct[EXPERTS][LABELS];
    size_t experts, labels;
} routing;

/* Five integers and the line's end; NULL when the line is none of that. */
static const char *take_row(uint64_t field[FIELDS], const char *at)
{
    for (int i = 0; i < FIELDS; i++) {
        const char *start = at;
        for (field[i] = 0; *at >= '0' && *at <= '9' && at - start < 19; at++)
            field[i] = 10 * field[i] + (uint64_t)(*at - '0');
        if (at == start || *at++ != (i == FIELDS - 1 ? '\n' : ','))
            return NULL;
    }
    return at;
}

/* A later round clears what the one before it counted. */
static bool enter_row(routing *r, const uint64_t field[FIELDS])
{
    if (field[1] >= EXPERTS || field[2] >= LABELS)
        return false;
    if (field[0] != r->round)
        memset(r, 0, sizeof *r);
    r->round = field[0];
    r->experts = nn_max(r->experts, (size_t)field[1] + 1);
    r->labels = nn_max(r->labels, (size_t)field[2] + 1);
    r->routed[field[1]][field[2]] = field[3];
    r->correct[field[1]][field[2]] = field[4];
    return true;
}

static ddome_status read_routing(ddome_error *error, tool *t, routing **out, const run_files *run)
{
    uint64_t field[FIELDS];
    const char *at = strchr(run->experts_csv, '\n');
    routing *r = nn_arena_zero(&t->arena, 1, sizeof *r);
    if (r == NULL)
        return nn_arena_fail(error, &t->arena, "expert table");
    for (at = at == NULL ? NULL : at + 1; at != NULL && *at != '\0';) {
        at = take_row(field, at);
        if (at != NULL && !enter_row(r, field))
            at = NULL;
    }
    if (at == NULL)
        return nn_fail(error, DDOME_ERR_DATA,
                       "%.200s/experts.csv: expected round,expert,label,routed,correct as integers",
                       run->path);
    *out = r;
    return DDOME_OK;
}

static uint64_t label_total(const routing *r, size_t label)
{
    uint64_t total = 0;
    for (size_t i = 0; i < r->experts; i++)
        total += r->routed[i][label];
    return total;
}

/* The expert that got most samples of the label, the lowest of equals. */
static size_t main_expert(const routing *r, size_t label)
{
    size_t best = 0;
    for (size_t i = 1; i < r->experts; i++)
        if (r->routed[i][label] > r->routed[best][label])
            best = i;
    return best;
}

static void add_expert(tool *t, const routing *r, size_t expert)
{
    const char *before = "";
    fl_text_add(&t->text, "  expert %lu serves ", (unsigned long)expert);
    fl_text_add(&t->json, "%s[", expert == 0 ? "" : ", ");
    for (size_t label = 0; label < r->labels; label++) {
        uint64_t total = label_total(r, label);
        if (total == 0 || main_expert(r, label) != expert)
            continue;
        fl_text_add(&t->text, "%s%lu (%" PRIu64 " %%)", before, (unsigned long)label,
                    100 * r->routed[expert][label] / total);
        fl_text_add(&t->json, "%s%lu", before, (unsigned long)label);
        before = ", ";
    }
    fl_text_add(&t->text, "%s\n", before[0] == '\0' ? "no label" : "");
    fl_text_add(&t->json, "]");
}

static ddome_status add_routing(ddome_error *error, tool *t, const run_files *run)
{
    routing *r = NULL;
    ddome_status status = read_routing(error, t, &r, run);
    if (status != DDOME_OK)
        return status;
    fl_text_add(
        &t->text,
        "\n%s: label (share of its samples), each under the expert that most of them went to\n",
        run->path);
    fl_text_add(&t->json, ", \"labels_of_expert\": [");
    for (size_t i = 0; i < r->experts; i++)
        add_expert(t, r, i);
    fl_text_add(&t->json, "]");
    return DDOME_OK;
}

/* ---- the report ---- */

static const char *or_dash(const char *text)
{
    return text == NULL ? "-" : text;
}

static void add_line(tool *t, const run_files *run)
{
    fl_text_add(&t->text, "%-9s %-8s %7" PRIu64 "  %9s  %9s  ", run->algo, or_dash(run->scope),
                run->rounds, or_dash(run->mean), or_dash(run->worst));
    fl_text moved = {.arena = &t->arena};
    tool_megabytes(&moved, run->bytes_down + run->bytes_up);
    fl_text_add(&t->text, "%14s  %s\n", moved.failed ? "" : moved.data, run->path);
    t->text.failed = t->text.failed || moved.failed;
}

/* A decimal of a manifest (SPEC 2.8): no leading zero, six places. */
static bool is_decimal(const char *text)
{
    static const char digits[] = "0123456789";
    const size_t whole = text == NULL ? 0 : strspn(text, digits);
    return whole != 0 && (whole == 1 || text[0] != '0') && text[whole] == '.' &&
           strspn(text + whole + 1, digits) == 6 && text[whole + 7] == '\0';
}

/* As a number; null for what is none (SPEC 18.2.3). */
static void add_decimal_json(tool *t, const char *name, const char *text)
{
    fl_text_add(&t->json, ", \"%s\": %s", name, is_decimal(text) ? text : "null");
}

/* The accuracy of a common expert alone, as `ddome pretrain` gives it. */
static void add_pretraining(tool *t, const run_files *run)
{
    const double accuracy = (double)run->correct / (double)run->total;
    fl_text_add(&t->text, "\n%s: accuracy ", run->path);
    fl_text_fixed6(&t->text, accuracy);
    fl_text_add(&t->text, " on the held-out part (%" PRIu64 " of %" PRIu64 ")\n", run->correct,
                run->total);
    tool_json_fixed6(t, "accuracy", accuracy);
}

static void add_run_json(tool *t, const run_files *run)
{
    tool_json_string(t, "run", run->path);
    tool_json_string(t, "algo", run->algo);
    if (run->scope == NULL)
        fl_text_add(&t->json, ", \"scope\": null");
    else
        tool_json_string(t, "scope", run->scope);
    add_decimal_json(t, "accuracy_mean", run->mean);
    add_decimal_json(t, "accuracy_worst", run->worst);
    tool_json_u64(t, "rounds", run->rounds);
    tool_json_u64(t, "bytes_down", run->bytes_down);
    tool_json_u64(t, "bytes_up", run->bytes_up);
    tool_json_string(t, "root_hash", run->root_hash);
}

static ddome_status add_details(ddome_error *error, tool *t, const run_files *runs)
{
    ddome_status status = DDOME_OK;
    fl_text_add(&t->json, ", \"runs\": [");
    for (size_t i = 0; status == DDOME_OK && i < t->word_count; i++) {
        fl_text_add(&t->json, "%s{\"number\": %lu", i == 0 ? "" : ", ", (unsigned long)i + 1);
        add_run_json(t, &runs[i]);
        if (runs[i].experts_csv != NULL)
            status = add_routing(error, t, &runs[i]);
        if (runs[i].total != 0)
            add_pretraining(t, &runs[i]);
        fl_text_add(&t->json, "}");
    }
    fl_text_add(&t->json, "]");
    return status;
}

/* SPEC 17.3.2: over the lines "ROOTHASH LF" of the runs in the order given. */
static void add_hashes(tool *t, const run_files *runs)
{
    nn_sha256 sha;
    char all[NN_HEX_BYTES];
    nn_sha256_begin(&sha);
    fl_text_add(&t->text, "\n");
    for (size_t i = 0; i < t->word_count; i++) {
        nn_sha256_bytes(&sha, runs[i].root_hash, NN_HEX_BYTES - 1);
        nn_sha256_bytes(&sha, "\n", 1);
        fl_text_add(&t->text, "%s  %s\n", runs[i].root_hash, runs[i].path);
    }
    nn_digest digest = nn_sha256_end(&sha);
    nn_digest_hex(all, &digest);
    fl_text_add(&t->text, "%s  root hash of all\n", all);
    tool_json_string(t, "root_hash", all);
}

static ddome_status report_runs(ddome_error *error, tool *t)
{
    run_files *runs = nn_arena_zero(&t->arena, t->word_count, sizeof *runs);
    if (runs == NULL)
        return nn_arena_fail(error, &t->arena, "runs");
    ddome_status status = DDOME_OK;
    fl_text_add(&t->text, "%-9s %-8s %7s  %9s  %9s  %14s  %s\n", "algorithm", "clients", "rounds",
                "accuracy", "worst", "moved", "run");
    for (size_t i = 0; status == DDOME_OK && i < t->word_count; i++) {
        status = read_run(error, t, &runs[i], t->words[i]);
        if (status == DDOME_OK)
            add_line(t, &runs[i]);
    }
    if (status == DDOME_OK)
        status = add_details(error, t, runs);
    if (status == DDOME_OK)
        add_hashes(t, runs);
    return status;
}

/* ---- the table of several runs (SPEC 18.3.6) ---- */

static ddome_status compare_methods(ddome_error *error, tool *t, const report_group *groups)
{
    report_row *rows = NULL;
    if (t->form == NULL)
        t->form = "text";
    if (t->html != NULL && t->out != NULL)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--html %.200s names the file of the table: expected no --out, found --out "
                       "%.200s",
                       t->html, t->out);
    t->out = t->html != NULL ? t->html : t->out;
    ddome_status status = report_rows(error, t, &rows, groups, t->word_count);
    if (status == DDOME_OK)
        status = report_print(error, t, rows, t->word_count);
    if (status == DDOME_OK && t->out != NULL) {
        status = fl_text_status(error, &t->text);
        if (status == DDOME_OK)
            status = nn_os_write_file(error, t->out, t->text.data, t->text.length);
        t->text.length = 0;
    }
    return status;
}

/* The words become the runs that they stand for. */
static ddome_status spread_words(ddome_error *error, tool *t, const report_group *groups)
{
    size_t count = 0;
    for (size_t i = 0; i < t->word_count; i++)
        count += groups[i].runs;
    const char **words = nn_arena_zero(&t->arena, count, sizeof *words);
    if (words == NULL)
        return nn_arena_fail(error, &t->arena, "runs");
    count = 0;
    for (size_t i = 0; i < t->word_count; i++)
        for (size_t r = 0; r < groups[i].runs; r++)
            words[count++] = groups[i].run[r];
    t->words = words;
    t->word_count = count;
    return DDOME_OK;
}

ddome_status tool_report(ddome_error *error, tool *t)
{
    report_group *groups = NULL;
    ddome_status status = report_expand(error, t, &groups);
    if (status != DDOME_OK)
        return status;
    if (t->form != NULL || t->out != NULL)
        return compare_methods(error, t, groups);
    status = spread_words(error, t, groups);
    return status == DDOME_OK ? report_runs(error, t) : status;
}

/* SPDX-License-Identifier: MIT */
/* One finished run: manifest, settings, tables and rounds, each checked against SHA256SUMS.
 * SPEC 18.3.6 to 18.3.10. */
#include <string.h>

#include "../fl/origin.h"
#include "../nn/os.h"
#include "report_reader.h"

/* ---- files ---- */

static ddome_status read_text(ddome_error *error, report_reader *r, const char *name, char **text,
                              size_t *size)
{
    unsigned char *bytes;
    fl_text path = {.arena = &r->t->arena};
    fl_text_add(&path, "%s/%s", r->run->path, name);
    ddome_status status = fl_text_status(error, &path);
    if (status == DDOME_OK)
        status = nn_os_read_file(error, &r->t->arena, &bytes, size, path.data, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    *text = (char *)bytes;
    if (memchr(bytes, '\0', *size) != NULL)
        return nn_fail(error, DDOME_ERR_DATA, "%.200s/%s: expected text, found a NUL byte",
                       r->run->path, name);
    return DDOME_OK;
}

/* The line "HASH  NAME" of these bytes (SPEC 17.3.1). */
static ddome_status check_sum(ddome_error *error, const report_reader *r, const char *name,
                              const nn_digest *digest)
{
    fl_text line = {.arena = &r->t->arena};
    fl_text_digest(&line, digest);
    fl_text_add(&line, "  %s\n", name);
    ddome_status status = fl_text_status(error, &line);
    if (status != DDOME_OK)
        return status;
    for (const char *at = r->sums; (at = strstr(at, line.data)) != NULL; at++)
        if (at == r->sums || at[-1] == '\n')
            return DDOME_OK;
    return nn_fail(error, DDOME_ERR_DATA,
                   "%.200s/%s is not the file of SHA256SUMS; the run is damaged, make it anew",
                   r->run->path, name);
}

ddome_status report_read_hashed(ddome_error *error, report_reader *r, const char *name, char **text,
                                nn_digest *digest)
{
    size_t size;
    ddome_status status = read_text(error, r, name, text, &size);
    if (status != DDOME_OK)
        return status;
    *digest = nn_sha256_of(*text, size);
    return check_sum(error, r, name, digest);
}

ddome_status report_read_table(ddome_error *error, report_reader *r, report_table *table,
                               const char *name)
{
    char *text;
    nn_digest digest;
    ddome_status status = report_read_hashed(error, r, name, &text, &digest);
    return status == DDOME_OK ? report_table_open(error, table, r->run->path, name, text) : status;
}

/* ---- manifest.json ---- */

static ddome_status member(ddome_error *error, const report_reader *r,
                           const data_json_value **value, const data_json_value *manifest,
                           const char *name, data_json_kind kind)
{
    *value = data_json_member(manifest, name);
    if (*value != NULL && (*value)->kind == kind)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_DATA, "%.200s/manifest.json: expected a member %s",
                   r->run->path, name);
}

static ddome_status read_manifest(ddome_error *error, report_reader *r)
{
    char *text;
    nn_digest digest;
    const data_json_value *manifest, *algo, *bytes;
    ddome_status status = report_read_hashed(error, r, "manifest.json", &text, &digest);
    if (status == DDOME_OK)
        status = data_json_parse(error, &r->t->arena, &manifest, text, strlen(text));
    if (status == DDOME_OK)
        status = member(error, r, &algo, manifest, "algo", DATA_JSON_STRING);
    if (status != DDOME_OK)
        return status;
    r->run->algo = algo->text;
    if (strcmp(algo->text, "pretrain") == 0)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "%.200s is a pretraining: it has no clients to compare; leave it out",
                       r->run->path);
    status = member(error, r, &bytes, manifest, "expert_bytes", DATA_JSON_NUMBER);
    if (status == DDOME_OK && !data_json_u64(&r->run->expert_bytes, bytes))
        status = nn_fail(error, DDOME_ERR_DATA, "%.200s/manifest.json: expected whole expert_bytes",
                         r->run->path);
    const data_json_value *repaired = data_json_member(manifest, "dirichlet_repaired");
    r->run->repaired = repaired != NULL && repaired->kind == DATA_JSON_BOOL && repaired->boolean;
    return status;
}

/* ---- config.toml ---- */

size_t report_count_lines(const char *text)
{
    size_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    return lines;
}

/* "key = value" without the quotes of a string; no value of a resolved file holds one inside. */
static bool cut_setting(report_setting *setting, char *line)
{
    char *equals = strstr(line, " = ");
    if (equals == NULL)
        return false;
    *equals = '\0';
    char *value = equals + 3;
    const size_t length = strlen(value);
    if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        value[length - 1] = '\0';
        value++;
    }
    *setting = (report_setting){line, value};
    return true;
}

const char *report_setting_of(const report_run *run, const char *key)
{
    for (size_t i = 0; i < run->setting_count; i++)
        if (strcmp(run->settings[i].key, key) == 0)
            return run->settings[i].value;
    return NULL;
}

static ddome_status whole_setting(ddome_error *error, uint64_t *value, const report_run *run,
                                  const char *key)
{
    const char *text = report_setting_of(run, key);
    const report_table line = {
        .run = run->path, .file = "config.toml", .columns = 1, .field = {text == NULL ? "" : text}};
    return report_table_u64(error, value, &line, 0);
}

static ddome_status read_settings(ddome_error *error, report_reader *r)
{
    char *text;
    nn_digest digest;
    report_run *run = r->run;
    static const char *const whole[] = {"experts", "clients", "epochs", "batch", "rounds"};
    uint64_t value[sizeof whole / sizeof *whole];
    ddome_status status = report_read_hashed(error, r, "config.toml", &text, &digest);
    if (status != DDOME_OK)
        return status;
    run->settings =
        nn_arena_zero(&r->t->arena, report_count_lines(text) + 1, sizeof *run->settings);
    if (run->settings == NULL)
        return nn_arena_fail(error, &r->t->arena, "settings");
    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = '\0';
        if (!cut_setting(&run->settings[run->setting_count++], text))
            return nn_fail(error, DDOME_ERR_DATA, "%.200s/config.toml: expected key = value lines",
                           run->path);
    }
    for (size_t i = 0; i < sizeof whole / sizeof *whole && status == DDOME_OK; i++)
        status = whole_setting(error, &value[i], run, whole[i]);
    if (status != DDOME_OK)
        return status;
    run->experts = value[0];
    run->clients = value[1];
    return report_read_keys(error, r);
}

/* ---- metrics.csv, clients.csv ---- */

static report_scope *scope_of(report_run *run, const char *name)
{
    for (size_t i = 0; i < run->scopes; i++)
        if (strcmp(run->scope[i].name, name) == 0)
            return &run->scope[i];
    if (run->scopes == REPORT_SCOPES)
        return NULL;
    run->scope[run->scopes].name = name;
    return &run->scope[run->scopes++];
}

static ddome_status read_metrics(ddome_error *error, report_reader *r)
{
    report_table table;
    size_t scope, mean, worst;
    bool more = true;
    ddome_status status = report_read_table(error, r, &table, "metrics.csv");
    if (status == DDOME_OK)
        status = report_table_find(error, &scope, &table, "scope");
    if (status == DDOME_OK)
        status = report_table_find(error, &mean, &table, "mean");
    if (status == DDOME_OK)
        status = report_table_find(error, &worst, &table, "worst10");
    while (status == DDOME_OK && (status = report_table_next(error, &table, &more)) == DDOME_OK &&
           more) {
        report_scope *s = scope_of(r->run, table.field[scope]);
        if (s == NULL)
            return report_damaged(error, &table, "fewer kinds of clients");
        status = report_table_micros(error, &s->last, &table, mean);
        if (status == DDOME_OK)
            status = report_table_micros(error, &s->worst10, &table, worst);
        s->ten[s->evaluations++ % 10] = s->last;
        s->maximum = s->last > s->maximum ? s->last : s->maximum;
    }
    if (status == DDOME_OK && r->run->scopes == 0)
        status = report_damaged(error, &table, "an evaluation");
    return status;
}

static ddome_status add_choice(ddome_error *error, report_reader *r, const report_table *table,
                               const char *experts)
{
    report_run *run = r->run;
    const char *scope = report_setting_of(run, "eval_scope");
    for (size_t i = 0; i < run->sets; i++)
        if (strcmp(run->set[i].experts, experts) == 0) {
            run->set[i].clients++;
            return DDOME_OK;
        }
    if (run->sets == REPORT_SETS)
        return report_damaged(error, table, "fewer different sets of experts");
    run->set[run->sets++] = (report_set){scope == NULL ? "" : scope, experts, 1};
    return DDOME_OK;
}

/* Those of the last round alone: a later one clears what the one before it counted. */
static ddome_status read_choices(ddome_error *error, report_reader *r)
{
    report_table table;
    size_t round, experts;
    uint64_t at = 0, last = 0;
    bool more = true;
    r->run->set = nn_arena_zero(&r->t->arena, REPORT_SETS, sizeof *r->run->set);
    if (r->run->set == NULL)
        return nn_arena_fail(error, &r->t->arena, "sets of experts");
    ddome_status status = report_read_table(error, r, &table, "clients.csv");
    if (status == DDOME_OK)
        status = report_table_find(error, &round, &table, "round");
    if (status == DDOME_OK)
        status = report_table_find(error, &experts, &table, "experts");
    while (status == DDOME_OK && (status = report_table_next(error, &table, &more)) == DDOME_OK &&
           more) {
        status = report_table_u64(error, &at, &table, round);
        if (at != last)
            r->run->sets = 0;
        last = at;
        if (status == DDOME_OK)
            status = add_choice(error, r, &table, table.field[experts]);
    }
    return status;
}

/* ---- comm.csv ---- */

static ddome_status read_traffic(ddome_error *error, report_reader *r)
{
    static const char *const names[] = {"round", "messages", "round_trips", "bytes_down",
                                        "bytes_up"};
    enum { NAMES = sizeof names / sizeof *names };
    report_table table;
    size_t column[NAMES];
    uint64_t value[NAMES];
    bool more = true;
    ddome_status status = report_read_table(error, r, &table, "comm.csv");
    for (size_t i = 0; i < NAMES && status == DDOME_OK; i++)
        status = report_table_find(error, &column[i], &table, names[i]);
    while (status == DDOME_OK && (status = report_table_next(error, &table, &more)) == DDOME_OK &&
           more) {
        for (size_t i = 0; i < NAMES && status == DDOME_OK; i++)
            status = report_table_u64(error, &value[i], &table, column[i]);
        if (status != DDOME_OK)
            break;
        *(value[0] == 0 ? &r->run->once : &r->run->moved) += value[3] + value[4];
        r->run->messages += value[1];
        r->run->round_trips += value[2];
    }
    if (strcmp(r->run->algo, "head") == 0 && r->run->clients != 0)
        r->run->expert_bytes = r->run->once / r->run->clients; /* SPEC 18.3.8 */
    return status;
}

/* ---- signatures.csv ---- */

static ddome_status add_sign(ddome_error *error, report_reader *r, const report_table *table,
                             uint64_t round, const char *name, const char *experts)
{
    report_run *run = r->run;
    for (size_t i = 0; i < run->signs; i++)
        if (strcmp(run->sign[i].name, name) == 0 && strcmp(run->sign[i].experts, experts) == 0) {
            run->sign[i].evaluations++;
            return DDOME_OK;
        }
    if (run->signs == REPORT_SIGNS)
        return report_damaged(error, table, "fewer different signatures");
    run->sign[run->signs++] = (report_sign){name, experts, round, 1};
    return DDOME_OK;
}

/* It stands outside the hashes, and a run of an earlier version has none. */
static ddome_status read_signs(ddome_error *error, report_reader *r)
{
    report_table table;
    char *text;
    size_t size, round, name, experts;
    uint64_t at = 0;
    bool more = true;
    fl_text path = {.arena = &r->t->arena};
    fl_text_add(&path, "%s/signatures.csv", r->run->path);
    r->run->sign = nn_arena_zero(&r->t->arena, REPORT_SIGNS, sizeof *r->run->sign);
    if (path.failed || r->run->sign == NULL)
        return nn_arena_fail(error, &r->t->arena, "signatures");
    r->run->watched = nn_os_exists(path.data);
    if (!r->run->watched)
        return DDOME_OK;
    ddome_status status = read_text(error, r, "signatures.csv", &text, &size);
    if (status == DDOME_OK)
        status = report_table_open(error, &table, r->run->path, "signatures.csv", text);
    if (status == DDOME_OK)
        status = report_table_find(error, &round, &table, "round");
    if (status == DDOME_OK)
        status = report_table_find(error, &name, &table, "signature");
    if (status == DDOME_OK)
        status = report_table_find(error, &experts, &table, "experts");
    while (status == DDOME_OK && (status = report_table_next(error, &table, &more)) == DDOME_OK &&
           more) {
        status = report_table_u64(error, &at, &table, round);
        if (status == DDOME_OK)
            status = add_sign(error, r, &table, at, table.field[name], table.field[experts]);
    }
    return status;
}

ddome_status report_read(ddome_error *error, tool *t, report_run *run, const char *path)
{
    typedef ddome_status read_fn(ddome_error * error, report_reader * r);
    static read_fn *const parts[] = {read_manifest,      read_settings, read_metrics,
                                     read_choices,       read_traffic,  report_read_sizes,
                                     report_read_rounds, read_signs};
    char *sums = NULL;
    size_t size;
    report_reader r = {.t = t, .run = run};
    memset(run, 0, sizeof *run);
    run->path = path;
    ddome_status status = read_text(error, &r, "SHA256SUMS", &sums, &size);
    r.sums = sums;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == DDOME_OK; i++)
        status = parts[i](error, &r);
    return status;
}

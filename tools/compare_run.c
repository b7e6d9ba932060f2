/* SPDX-License-Identifier: MIT */
/* Two run directories: the first difference in the order in which a run computes. SPEC 17, 19.4.2.
 */
#include "compare_run.h"

#include <string.h>

#include "../fl/files.h"
#include "../fl/origin.h"
#include "../nn/os.h"

void run_found(run_pair *pair, const run_finding *finding)
{
    if (!pair->found)
        pair->first = *finding;
    pair->found = true;
    if (finding->stage == RUN_SETTINGS)
        return;
    if (!pair->found_computed)
        pair->computed = *finding;
    pair->found_computed = true;
}

static ddome_status read_text(ddome_error *error, tool *t, char **text, const char *path)
{
    unsigned char *bytes;
    size_t size;
    ddome_status status = nn_os_read_file(error, &t->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    if (memchr(bytes, 0, size) != NULL)
        return nn_fail(error, DDOME_ERR_DATA, "%.300s: expected text, found a NUL at byte %lu",
                       path, (unsigned long)strlen((char *)bytes));
    *text = (char *)bytes;
    return DDOME_OK;
}

/* ---- files ---- */

ddome_status run_add_part(ddome_error *error, run_pair *pair, run_part **out, const char *file,
                          const char *unit, const char **a, const char **b)
{
    tool *t = pair->call->t;
    run_part *part = nn_arena_zero(&t->arena, 1, sizeof *part);
    *a = compare_path(t, pair->call->a, file);
    *b = compare_path(t, pair->call->b, file);
    if (part == NULL || *a == NULL || *b == NULL)
        return nn_arena_fail(error, &t->arena, "paths");
    *part =
        (run_part){.file = file, .unit = unit, .in_a = nn_os_exists(*a), .in_b = nn_os_exists(*b)};
    if (pair->last == NULL)
        pair->parts = part;
    else
        pair->last->next = part;
    pair->last = part;
    *out = part;
    return DDOME_OK;
}

ddome_status run_open(ddome_error *error, run_pair *pair, run_part **part, const char *file,
                      const char *unit, char **a, char **b)
{
    const char *path_a, *path_b;
    ddome_status status = run_add_part(error, pair, part, file, unit, &path_a, &path_b);
    if (status == DDOME_OK && (*part)->in_a && (*part)->in_b) {
        status = read_text(error, pair->call->t, a, path_a);
        if (status == DDOME_OK)
            status = read_text(error, pair->call->t, b, path_b);
    }
    return status;
}

/* ---- manifest.json ---- */

/* What the members of SPEC 17.2.4 tell of, by the beginnings of their names. */
static run_stage stage_of(const char *member)
{
    static const struct {
        const char *beginning;
        run_stage stage;
    } rows[] = {
        {"data", RUN_DATA},       {"train_", RUN_DATA},          {"test_", RUN_DATA},
        {"pool_", RUN_PARTITION}, {"partition_", RUN_PARTITION}, {"dirichlet_", RUN_PARTITION},
        {"common_", RUN_COMMON},  {"accuracy_", RUN_RESULTS},    {"bytes_", RUN_RESULTS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(member, rows[i].beginning, strlen(rows[i].beginning)) == 0)
            return rows[i].stage;
    return RUN_SETTINGS;
}

typedef struct manifests {
    run_part *part;
    const data_json_value *a, *b;
} manifests;

static ddome_status open_manifests(ddome_error *error, run_pair *pair, manifests *m)
{
    const char *a, *b;
    nn_arena *arena = &pair->call->t->arena;
    memset(m, 0, sizeof *m);
    ddome_status status = run_add_part(error, pair, &m->part, FL_FILE_MANIFEST, "members", &a, &b);
    if (status != DDOME_OK || !m->part->in_a || !m->part->in_b)
        return status;
    status = fl_manifest_read(error, arena, &m->a, a);
    if (status == DDOME_OK)
        status = fl_manifest_read(error, arena, &m->b, b);
    return status;
}

static void manifest_stage(run_pair *pair, const manifests *m, run_stage stage)
{
    tool *t = pair->call->t;
    const data_json_value *a = m->a == NULL ? NULL : m->a->child;
    for (; a != NULL; a = a->next) {
        const data_json_value *b = data_json_member(m->b, a->name);
        if (stage_of(a->name) != stage)
            continue;
        m->part->missing += b == NULL;
        m->part->units += b != NULL;
        if (b == NULL || run_same_json(a, b))
            continue;
        m->part->differing++;
        run_finding found = {stage, m->part->file,  NULL,         NULL,
                             NULL,  COMPARE_NO_ULP, RUN_NO_PLACE, RUN_NO_PLACE};
        found.where = compare_format(t, "member %s", a->name);
        found.a = run_json_text(t, a);
        found.b = run_json_text(t, b);
        run_found(pair, &found);
    }
}

/* Members that only B has. */
static void count_extra(const manifests *m)
{
    const data_json_value *b = m->b == NULL ? NULL : m->b->child;
    for (; b != NULL; b = b->next)
        m->part->extra += data_json_member(m->a, b->name) == NULL;
}

/* ---- all of a run ---- */

static ddome_status compare_given(ddome_error *error, run_pair *pair, manifests *m)
{
    ddome_status status = run_config(error, pair);
    if (status == DDOME_OK)
        status = open_manifests(error, pair, m);
    if (status != DDOME_OK)
        return status;
    count_extra(m);
    manifest_stage(pair, m, RUN_SETTINGS);
    manifest_stage(pair, m, RUN_DATA);
    manifest_stage(pair, m, RUN_PARTITION);
    status = run_table(error, pair, FL_FILE_PARTITION, RUN_PARTITION);
    if (status == DDOME_OK)
        status = run_model(error, pair, FL_FILE_PRETRAINED, RUN_COMMON);
    if (status == DDOME_OK)
        status = run_model(error, pair, FL_FILE_COMMON, RUN_COMMON);
    manifest_stage(pair, m, RUN_COMMON);
    return status;
}

static ddome_status compare_all(ddome_error *error, run_pair *pair)
{
    static const char *const tables[] = {"metrics.csv", "clients.csv", "experts.csv", "comm.csv"};
    manifests m;
    ddome_status status = compare_given(error, pair, &m);
    if (status == DDOME_OK)
        status = run_rounds(error, pair);
    for (size_t i = 0; status == DDOME_OK && i < 4; i++)
        status = run_table(error, pair, tables[i], RUN_RESULTS);
    if (status != DDOME_OK)
        return status;
    manifest_stage(pair, &m, RUN_RESULTS);
    return run_finals(error, pair);
}

ddome_status compare_runs(ddome_error *error, compare_call *call)
{
    tool *t = call->t;
    run_pair *pair = nn_arena_zero(&t->arena, 1, sizeof *pair);
    if (pair == NULL)
        return nn_arena_fail(error, &t->arena, "comparison");
    pair->call = call;
    ddome_status status = compare_all(error, pair);
    if (status == DDOME_OK)
        status = fl_text_status(error, &t->text); /* a place without its text */
    if (status != DDOME_OK)
        return status;
    if (pair->found)
        call->first = compare_format(t, "%s, %s", pair->first.file, pair->first.where);
    run_report(pair);
    return DDOME_OK;
}

/* SPDX-License-Identifier: MIT */
/* ddome compare: what A and B are, how near is near enough, and the last line. SPEC 19.4. */
#include "compare.h"

#include <string.h>

#include "../fl/files.h"
#include "../fl/origin.h"
#include "../nn/os.h"
#include "../nn/selftest.h"

typedef enum kind { KIND_RUN, KIND_FOLDER, KIND_MODEL, KIND_TRACE, KIND_VECTORS } kind;

static const char *const kind_names[] = {"a run", "a folder of vectors", "a model (safetensors)",
                                         "a trace", "vectors"};

/* ---- what it is ---- */

static uint64_t little_u64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 8; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* SPEC 17.4.1; a text as that number would be larger than any file. */
static bool is_model(const unsigned char *bytes, size_t size)
{
    return size >= 8 && little_u64(bytes) <= size - 8;
}

static bool is_trace(const char *text)
{
    const char *at = text + strspn(text, " \t\r\n");
    if (*at != '{')
        return false;
    at++;
    return strncmp(at + strspn(at, " \t"), "\"trace\"", 7) == 0;
}

static ddome_status file_kind(ddome_error *error, kind *out, tool *t, const char *path)
{
    unsigned char *bytes;
    size_t size;
    const nn_arena_mark mark = nn_arena_get_mark(&t->arena);
    ddome_status status = nn_os_read_file(error, &t->arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    const char *text = (const char *)bytes;
    if (is_model(bytes, size))
        *out = KIND_MODEL;
    else if (is_trace(text))
        *out = KIND_TRACE;
    else if (text[strspn(text, " \t\r\n")] == '{')
        *out = KIND_VECTORS;
    else
        status = nn_fail(error, DDOME_ERR_DATA,
                         "%.300s: expected a run folder, safetensors, a trace or vectors, found "
                         "none of these",
                         path);
    nn_arena_rewind(&t->arena, mark);
    return status;
}

/* Folders of vectors have a manifest.json, too; with a schema and a list of files (SPEC
 * 19.2.3). One that cannot be read is for those who read it in earnest. */
static ddome_status has_run_manifest(ddome_error *error, bool *out, tool *t, const char *path)
{
    ddome_error inner = {DDOME_OK, ""};
    const data_json_value *manifest = NULL;
    const nn_arena_mark mark = nn_arena_get_mark(&t->arena);
    const char *file = compare_path(t, path, "manifest.json");
    if (file == NULL)
        return nn_arena_fail(error, &t->arena, "paths");
    if (!nn_os_exists(file))
        return DDOME_OK;
    ddome_status status = fl_manifest_read(&inner, &t->arena, &manifest, file);
    *out = status == DDOME_OK && data_json_member(manifest, "schema") == NULL &&
           data_json_member(manifest, "files") == NULL;
    nn_arena_rewind(&t->arena, mark);
    return status == DDOME_ERR_MEMORY ? nn_fail(error, status, "%s", inner.text) : DDOME_OK;
}

/* Another program need not write all that a run has: one of its files is enough. */
static ddome_status is_run(ddome_error *error, bool *out, tool *t, const char *path)
{
    static const char *const files[] = {FL_FILE_CONFIG,    FL_FILE_ROUNDS,     "metrics.csv",
                                        "clients.csv",     "experts.csv",      "comm.csv",
                                        FL_FILE_PARTITION, FL_FILE_PRETRAINED, "final/."};
    *out = false;
    for (size_t i = 0; !*out && i < sizeof files / sizeof *files; i++) {
        const char *file = compare_path(t, path, files[i]);
        if (file == NULL)
            return nn_arena_fail(error, &t->arena, "paths");
        *out = nn_os_exists(file);
    }
    return *out ? DDOME_OK : has_run_manifest(error, out, t, path);
}

/* A name below a path is there only where the path is a folder. */
static ddome_status find_kind(ddome_error *error, kind *out, tool *t, const char *path)
{
    const char *dot = compare_path(t, path, ".");
    bool run = false;
    if (dot == NULL)
        return nn_arena_fail(error, &t->arena, "paths");
    if (!nn_os_exists(dot))
        return file_kind(error, out, t, path);
    ddome_status status = is_run(error, &run, t, path);
    *out = run ? KIND_RUN : KIND_FOLDER;
    return status;
}

/* Vectors in a file or a folder are of one kind. */
static bool one_kind(kind a, kind b)
{
    return a == b ||
           ((a == KIND_FOLDER || a == KIND_VECTORS) && (b == KIND_FOLDER || b == KIND_VECTORS));
}

static ddome_status find_kinds(ddome_error *error, compare_call *call, kind *a, kind *b)
{
    ddome_status status = find_kind(error, a, call->t, call->a);
    if (status == DDOME_OK)
        status = find_kind(error, b, call->t, call->b);
    if (status != DDOME_OK || one_kind(*a, *b))
        return status;
    return nn_fail(error, DDOME_ERR_USAGE,
                   "compare: expected two of one kind, found %s (%.150s) and %s (%.150s)",
                   kind_names[*a], call->a, kind_names[*b], call->b);
}

/* ---- how near ---- */

static ddome_status read_tolerances(ddome_error *error, compare_call *call, const char *path)
{
    unsigned char *bytes;
    size_t size;
    ddome_status status =
        nn_os_read_file(error, &call->t->arena, &bytes, &size, path, DDOME_ERR_USAGE);
    if (status != DDOME_OK)
        return status;
    if (memchr(bytes, 0, size) != NULL)
        return nn_fail(error, DDOME_ERR_USAGE, "%.300s: expected text, found a NUL", path);
    return compare_tolerances_parse(error, &call->t->arena, &call->tolerances, (const char *)bytes,
                                    path);
}

static ddome_status take_rule(ddome_error *error, compare_call *call)
{
    const tool *t = call->t;
    compare_rule *rule = &call->tolerances.otherwise;
    rule->by_ulp = t->ulp != NULL;
    rule->by_relative = t->relative != NULL;
    if (t->tolerances != NULL && (rule->by_ulp || rule->by_relative))
        return nn_fail(error, DDOME_ERR_USAGE,
                       "compare: expected --tolerances or --ulp and --relative, found both");
    if (rule->by_ulp && !compare_parse_ulp(&rule->ulp, t->ulp))
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--ulp: expected a whole number below 10^18, found %.60s", t->ulp);
    if (rule->by_relative && !compare_parse_relative(&rule->relative, t->relative))
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--relative: expected a decimal from 0 on, found %.60s", t->relative);
    return t->tolerances != NULL ? read_tolerances(error, call, t->tolerances) : DDOME_OK;
}

ddome_status compare_levels_known(ddome_error *error, const compare_call *call,
                                  const char *const *levels, size_t count)
{
    const compare_tolerance *item = call->tolerances.item;
    for (size_t i = 0; i < call->tolerances.count; i++) {
        const char *nearest = compare_level_nearest(item[i].level, levels, count);
        if (nearest != NULL)
            return nn_fail(error, DDOME_ERR_USAGE,
                           "%.200s:%lu: expected the level of a vector file, the pass of a trace, "
                           "model or *, found %.40s; nearest is %.40s",
                           call->t->tolerances, (unsigned long)item[i].line, item[i].level,
                           nearest);
    }
    return DDOME_OK;
}

/* ---- the command ---- */

/* Bits are compared as they are; causes and relative bounds are computed (SPEC 3.7). */
static ddome_status check_platform(ddome_error *error, const tool *t)
{
    const bool computes = t->explain || t->relative != NULL || t->tolerances != NULL;
    return computes ? nn_selftest(error) : DDOME_OK;
}

static ddome_status dispatch(ddome_error *error, compare_call *call)
{
    static const char *const names[] = {"runs", "vectors", "models", "traces", "vectors"};
    kind a = KIND_RUN, b = KIND_RUN;
    ddome_status status = find_kinds(error, call, &a, &b);
    if (status != DDOME_OK)
        return status;
    tool_json_string(call->t, "kind", names[a]);
    if (a != KIND_FOLDER && a != KIND_VECTORS)
        status = compare_levels_known(error, call, NULL, 0);
    if (status != DDOME_OK)
        return status;
    if (a == KIND_RUN)
        return compare_runs(error, call);
    if (a == KIND_MODEL)
        return compare_models(error, call);
    if (a == KIND_TRACE)
        return compare_traces(error, call);
    return compare_vectors(error, call, a == KIND_FOLDER, b == KIND_FOLDER);
}

static void add_totals(const compare_call *call)
{
    tool *t = call->t;
    tool_json_u64(t, "compared", call->compared);
    tool_json_u64(t, "differing", call->differing);
    tool_json_u64(t, "missing", call->missing);
    tool_json_u64(t, "missing_parts", call->missing_parts);
    const bool whole = call->missing == 0 && call->missing_parts == 0;
    if (call->first == NULL && call->compared != 0)
        fl_text_add(&t->text, "equal%s\n", whole ? "" : " as far as B has what A has");
}

ddome_status tool_compare(ddome_error *error, tool *t)
{
    compare_call call = {.t = t, .a = t->words[0], .b = t->words[1], .explain = t->explain};
    ddome_status status = take_rule(error, &call);
    if (status == DDOME_OK)
        status = check_platform(error, t);
    if (status == DDOME_OK)
        status = dispatch(error, &call);
    if (status == DDOME_OK)
        status = fl_text_status(error, &t->text);
    if (status != DDOME_OK)
        return status;
    add_totals(&call);
    t->results_stand = true;
    if (call.first != NULL)
        return nn_fail(error, DDOME_ERR_VERIFY, "%.150s and %.150s differ, first in %.150s", call.a,
                       call.b, call.first);
    if (call.compared == 0)
        return nn_fail(error, DDOME_ERR_VERIFY, "%.200s has nothing that %.200s has%s%.100s",
                       call.b, call.a, call.expected == NULL ? "" : "; expected a file named ",
                       call.expected == NULL ? "" : call.expected);
    return DDOME_OK;
}

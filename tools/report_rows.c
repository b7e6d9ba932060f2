/* SPDX-License-Identifier: MIT */
/* From the words of the call to the rows of the table: seeds together, scopes together, and what
 * tells the methods apart. SPEC 18.3.6. */
#include <stdlib.h>
#include <string.h>

#include "../fl/config_table.h"
#include "../fl/files.h"
#include "../nn/os.h"
#include "report.h"

/* ---- words ---- */

static ddome_status join(ddome_error *error, tool *t, const char **out, const char *path,
                         const char *name)
{
    fl_text text = {.arena = &t->arena};
    fl_text_add(&text, "%s/%s", path, name);
    *out = text.data;
    return fl_text_status(error, &text);
}

/* SHA256SUMS is written last (SPEC 17.3.1). */
static ddome_status check_finished(ddome_error *error, tool *t, const char *path)
{
    const char *sums;
    ddome_status status = join(error, t, &sums, path, "SHA256SUMS");
    if (status == DDOME_OK && !nn_os_exists(sums))
        status = nn_fail(error, DDOME_ERR_DATA,
                         "%.200s: expected SHA256SUMS of a finished run, found none; go on with it "
                         "by ddome resume %.200s, or leave it out",
                         path, path);
    return status;
}

static const char SEED[] = "seed-";
enum { SEED_PREFIX = sizeof SEED - 1, SEED_DIGITS = 20 };

/* "seed-" and a number as --seeds writes it. */
static bool is_seed(const char *name)
{
    const char *digits = name + SEED_PREFIX;
    const size_t length = strlen(digits);
    return length != 0 && length <= SEED_DIGITS && strspn(digits, "0123456789") == length &&
           (length == 1 || digits[0] != '0');
}

/* By number: a shorter one is smaller. */
static int by_seed(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    const size_t m = strlen(x), n = strlen(y);
    return m != n ? (m < n ? -1 : 1) : strcmp(x, y);
}

static ddome_status list_seeds(ddome_error *error, tool *t, report_group *group)
{
    const char **names;
    size_t count, seeds = 0;
    ddome_error own = {DDOME_OK, ""}; /* that there is no such folder is told as no such run */
    ddome_status status = nn_os_list(&own, &t->arena, &names, &count, group->path, SEED);
    if (status == DDOME_ERR_MEMORY || status == DDOME_ERR_IO) {
        *error = own;
        return status;
    }
    for (size_t i = 0; status == DDOME_OK && i < count; i++)
        if (is_seed(names[i]))
            names[seeds++] = names[i];
    if (seeds == 0)
        return nn_fail(error, DDOME_ERR_DATA,
                       "%.300s: expected manifest.json of a run, or the folders seed-N of --seeds",
                       group->path);
    qsort(names, seeds, sizeof *names, by_seed);
    for (size_t i = 0; i < seeds && status == DDOME_OK; i++) {
        status = join(error, t, &names[i], group->path, names[i]);
        if (status == DDOME_OK)
            status = check_finished(error, t, names[i]);
    }
    group->run = names;
    group->runs = seeds;
    return status;
}

/* A run is known by the first file of a round, or by those that end it. */
static ddome_status is_run(ddome_error *error, tool *t, bool *is, const char *path)
{
    static const char *const signs[] = {FL_FILE_MANIFEST, "SHA256SUMS", FL_FILE_ROUNDS};
    ddome_status status = DDOME_OK;
    *is = false;
    for (size_t i = 0; i < sizeof signs / sizeof *signs && status == DDOME_OK && !*is; i++) {
        const char *file;
        status = join(error, t, &file, path, signs[i]);
        *is = status == DDOME_OK && nn_os_exists(file);
    }
    return status;
}

static ddome_status expand_word(ddome_error *error, tool *t, report_group *group)
{
    bool is;
    ddome_status status = is_run(error, t, &is, group->path);
    if (status != DDOME_OK)
        return status;
    group->run = &group->path;
    group->runs = 1;
    return is ? check_finished(error, t, group->path) : list_seeds(error, t, group);
}

ddome_status report_expand(ddome_error *error, tool *t, report_group **groups)
{
    ddome_status status = DDOME_OK;
    *groups = nn_arena_zero(&t->arena, t->word_count, sizeof **groups);
    if (*groups == NULL)
        return nn_arena_fail(error, &t->arena, "runs");
    for (size_t i = 0; i < t->word_count && status == DDOME_OK; i++) {
        (*groups)[i].path = t->words[i];
        status = expand_word(error, t, &(*groups)[i]);
    }
    return status;
}

/* ---- settings ---- */

/* A key that a resolved file leaves out is at its default (SPEC 16.1.6). */
static const char *value_of(const report_run *run, const char *key)
{
    const char *value = report_setting_of(run, key);
    const fl_key *known = value == NULL ? fl_config_find(key, NULL) : NULL;
    if (known != NULL)
        value = known->type == FL_KEY_CHOICE ? known->choice[0] : known->otherwise;
    return value == NULL ? "" : value;
}

/* The first key, but for those of the list, in which b differs from a; NULL: none. */
static const char *differing_key(const report_run *a, const report_run *b,
                                 const char *const *except)
{
    for (size_t side = 0; side < 2; side++) {
        const report_run *run = side == 0 ? a : b;
        for (size_t i = 0; i < run->setting_count; i++) {
            const char *key = run->settings[i].key;
            size_t e = 0;
            while (except[e] != NULL && strcmp(except[e], key) != 0)
                e++;
            if (except[e] == NULL && strcmp(value_of(a, key), value_of(b, key)) != 0)
                return key;
        }
    }
    return NULL;
}

/* ---- rows ---- */

static ddome_status read_row(ddome_error *error, tool *t, report_row *row,
                             const report_group *group)
{
    static const char *const own[] = {"seed", "common", NULL};
    ddome_status status = DDOME_OK;
    row->group = group;
    row->run = nn_arena_zero(&t->arena, group->runs, sizeof *row->run);
    if (row->run == NULL)
        return nn_arena_fail(error, &t->arena, "runs");
    for (size_t i = 0; i < group->runs && status == DDOME_OK; i++) {
        status = report_read(error, t, &row->run[i], group->run[i]);
        const char *key = status != DDOME_OK ? NULL : differing_key(row->run, &row->run[i], own);
        if (key != NULL)
            status = nn_fail(error, DDOME_ERR_DATA,
                             "%.200s and %.200s: expected runs that differ in seed alone, found "
                             "another %s; name the runs one by one",
                             row->run[0].path, row->run[i].path, key);
    }
    return status;
}

static bool has_scope(const report_run *run, const report_scope *scope)
{
    for (size_t i = 0; i < run->scopes; i++)
        if (strcmp(run->scope[i].name, scope->name) == 0)
            return true;
    return false;
}

/* The same training, looked at on other clients: settings equal but for eval_scope and eval_also,
 * rounds equal to the byte. */
static bool same_training(const report_run *a, const report_run *b)
{
    static const char *const scope[] = {"eval_scope", "eval_also", NULL};
    return differing_key(a, b, scope) == NULL &&
           memcmp(&a->rounds, &b->rounds, sizeof a->rounds) == 0;
}

static bool can_merge(const report_row *into, const report_row *from)
{
    bool can = into->group->runs == from->group->runs;
    for (size_t i = 0; can && i < into->group->runs; i++) {
        const report_run *a = &into->run[i], *b = &from->run[i];
        size_t fresh = 0;
        for (size_t s = 0; s < b->scopes; s++)
            fresh += !has_scope(a, &b->scope[s]);
        can = fresh != 0 && a->scopes + fresh <= REPORT_SCOPES && same_training(a, b);
    }
    return can;
}

/* What was seen of the experts is the same in both; of the clients it may not be. */
static bool has_sign(const report_run *run, const report_sign *sign)
{
    for (size_t i = 0; i < run->signs; i++)
        if (strcmp(run->sign[i].name, sign->name) == 0 &&
            strcmp(run->sign[i].experts, sign->experts) == 0)
            return true;
    return false;
}

/* The sets of a run are those of its eval_scope, which the other one may have looked at, too. */
static bool has_sets(const report_run *run, const report_run *other)
{
    for (size_t i = 0; i < run->sets; i++)
        if (other->sets != 0 && strcmp(run->set[i].scope, other->set[0].scope) == 0)
            return true;
    return false;
}

static ddome_status merge_run(ddome_error *error, tool *t, report_run *a, const report_run *b)
{
    const size_t sets = has_sets(a, b) ? 0 : b->sets;
    report_set *set = nn_arena_zero(&t->arena, a->sets + sets, sizeof *set);
    if (set == NULL)
        return nn_arena_fail(error, &t->arena, "sets of experts");
    memcpy(set, a->set, a->sets * sizeof *set);
    memcpy(set + a->sets, b->set, sets * sizeof *set);
    a->set = set;
    a->sets += sets;
    for (size_t s = 0; s < b->scopes; s++)
        if (!has_scope(a, &b->scope[s]))
            a->scope[a->scopes++] = b->scope[s];
    for (size_t s = 0; s < b->signs && a->signs < REPORT_SIGNS; s++)
        if (!has_sign(a, &b->sign[s]))
            a->sign[a->signs++] = b->sign[s];
    a->watched = a->watched && b->watched;
    return DDOME_OK;
}

static ddome_status merge_rows(ddome_error *error, tool *t, report_row *rows, size_t count)
{
    ddome_status status = DDOME_OK;
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i && status == DDOME_OK && !rows[i].merged; j++) {
            rows[i].merged = !rows[j].merged && can_merge(&rows[j], &rows[i]);
            for (size_t k = 0; rows[i].merged && status == DDOME_OK && k < rows[i].group->runs; k++)
                status = merge_run(error, t, &rows[j].run[k], &rows[i].run[k]);
        }
    return status;
}

/* ---- methods ---- */

/* Do the rows that stay differ in this key? A row of several seeds has no seed of its own. */
static bool tells_apart(const report_row *rows, size_t count, const char *key)
{
    if (strcmp(key, "algo") == 0 || strcmp(key, "eval_scope") == 0 || strcmp(key, "eval_also") == 0)
        return false;
    const char *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].merged || (rows[i].group->runs > 1 && strcmp(key, "seed") == 0))
            continue;
        const char *value = value_of(rows[i].run, key);
        if (first != NULL && strcmp(first, value) != 0)
            return true;
        first = value;
    }
    return false;
}

/* The hash of a file is told by its first eight digits. */
static void add_key(fl_text *text, const report_row *row, const char *key)
{
    const char *value = value_of(row->run, key);
    if (row->group->runs > 1 && strcmp(key, "seed") == 0)
        return;
    if (strncmp(value, "sha256:", 7) == 0)
        fl_text_add(text, " %s=%.8s", key, value + 7);
    else
        fl_text_add(text, " %s=%s", key, value[0] == '\0' ? "-" : value);
}

/* Was the key in an earlier row? Each is told once. */
static bool known_before(const report_row *rows, size_t row, const char *key)
{
    for (size_t i = 0; i < row; i++)
        if (!rows[i].merged && report_setting_of(rows[i].run, key) != NULL)
            return true;
    return false;
}

/* Do no more than half of the rows have this row's value? */
static bool is_rare(const report_row *rows, size_t count, const report_row *row, const char *key)
{
    size_t all = 0, same = 0;
    for (size_t i = 0; i < count; i++)
        if (!rows[i].merged) {
            all++;
            same += strcmp(value_of(rows[i].run, key), value_of(row->run, key)) == 0;
        }
    return 2 * same <= all;
}

/* Keys in the order of the configuration of the first row that has them. */
static void add_keys(fl_text *full, fl_text *rare, const report_row *row, const report_row *rows,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; !rows[i].merged && k < rows[i].run->setting_count; k++) {
            const char *key = rows[i].run->settings[k].key;
            if (known_before(rows, i, key) || !tells_apart(rows, count, key))
                continue;
            add_key(full, row, key);
            if (is_rare(rows, count, row, key))
                add_key(rare, row, key);
        }
}

/* A result that labels of test clients helped to is marked wherever it stands (SPEC 10.3.3). */
static const char *mark_of(const report_run *run)
{
    const bool gate = strcmp(value_of(run, "gate"), "oracle") == 0;
    const bool ifca =
        strcmp(run->algo, "ifca") == 0 && strcmp(value_of(run, "ifca_test"), "oracle") == 0;
    return gate || ifca ? " (uses labels)" : "";
}

/* A method that many keys tell apart would push the numbers off the page: SPEC 18.3.6. */
static ddome_status name_method(ddome_error *error, tool *t, report_row *row, size_t number,
                                const report_row *rows, size_t count)
{
    enum { LONGEST = 60 };
    const char *algo = row->run->algo, *mark = mark_of(row->run);
    fl_text full = {.arena = &t->arena}, rare = {.arena = &t->arena}, bare = {.arena = &t->arena};
    fl_text_add(&full, "%s", algo);
    fl_text_add(&rare, "%s #%lu", algo, (unsigned long)number);
    fl_text_add(&bare, "%s #%lu%s", algo, (unsigned long)number, mark);
    add_keys(&full, &rare, row, rows, count);
    fl_text_add(&full, "%s", mark);
    fl_text_add(&rare, "%s", mark);
    row->method = full.data;
    row->shown = full.length <= LONGEST   ? full.data
                 : rare.length <= LONGEST ? rare.data
                                          : bare.data;
    full.failed = full.failed || rare.failed || bare.failed;
    return fl_text_status(error, &full);
}

ddome_status report_rows(ddome_error *error, tool *t, report_row **rows, const report_group *groups,
                         size_t count)
{
    ddome_status status = DDOME_OK;
    report_row *made = nn_arena_zero(&t->arena, count, sizeof *made);
    if (made == NULL)
        return nn_arena_fail(error, &t->arena, "rows");
    for (size_t i = 0; i < count && status == DDOME_OK; i++)
        status = read_row(error, t, &made[i], &groups[i]);
    if (status == DDOME_OK)
        status = merge_rows(error, t, made, count);
    for (size_t i = 0; i < count && status == DDOME_OK; i++)
        status = name_method(error, t, &made[i], i + 1, made, count);
    *rows = made;
    return status;
}

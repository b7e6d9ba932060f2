/* SPDX-License-Identifier: MIT */
/* Vectors against answers: a level file or the folder of them. SPEC 19.2, 19.4. */
#include <string.h>

#include "compare_vectors.h"

/* One file of answers to all levels is read once. */
static ddome_status read_level(ddome_error *error, vector_set *set, size_t i)
{
    vector_level *level = &set->level[i];
    nn_arena *arena = &set->call->t->arena;
    ddome_status status = data_vectors_read(error, arena, &level->vectors, level->a);
    level->name = level->vectors.level;
    if (status != DDOME_OK || level->b == NULL)
        return status;
    if (i != 0 && level->b == set->level[0].b) {
        level->answers = set->level[0].answers;
        level->asked = set->level[0].asked;
        return DDOME_OK;
    }
    status = data_vectors_read(error, arena, &level->answers, level->b);
    if (status != DDOME_OK)
        return status;
    level->asked = nn_arena_zero(arena, level->answers.count, sizeof *level->asked);
    return level->asked != NULL ? DDOME_OK : nn_arena_fail(error, arena, "answers");
}

/* ---- one vector ---- */

/* An "any-order" vector comes out to the bit in every order, so a file of tolerances for other
 * orders does not loosen it; a bound given for this call does (SPEC 19.4.3). */
static compare_rule rule_of(const compare_call *call, const vector_pair *pair)
{
    const compare_rule exact = {false, false, 0, 0.0};
    if (call->t->tolerances != NULL && pair->vector->any_order)
        return exact;
    return compare_rule_of(&call->tolerances, pair->level->name);
}

static void compare_value(vector_pair *pair, const nn_value *a, const nn_value *b,
                          const compare_rule *rule)
{
    const compare_result result = compare_values(a, b, rule);
    pair->compared++;
    if (result.verdict == COMPARE_SAME || pair->differing++ != 0)
        return;
    pair->a = a;
    pair->b = b;
    pair->result = result;
}

static void compare_pair(const compare_call *call, vector_pair *pair)
{
    const compare_rule rule = rule_of(call, pair);
    const nn_case *work = &pair->vector->work;
    if (pair->answer == NULL)
        return;
    const nn_case *answer = &pair->answer->work;
    for (size_t i = 0; i < work->output_count; i++) {
        const nn_value *b = nn_case_output(answer, work->outputs[i].name);
        if (b != NULL)
            compare_value(pair, &work->outputs[i], b, &rule);
        else if (pair->missing++ == 0)
            pair->lacks = &work->outputs[i];
    }
    for (size_t i = 0; pair->has == NULL && i < answer->output_count; i++)
        if (nn_case_output(work, answer->outputs[i].name) == NULL)
            pair->has = &answer->outputs[i];
    if (pair->compared == 0)
        pair->answer = NULL;
}

static compare_name *index_answers(nn_arena *arena, const data_vectors *answers)
{
    compare_name *names = nn_arena_alloc(arena, answers->count, sizeof *names);
    for (size_t i = 0; names != NULL && i < answers->count; i++) {
        names[i].name = answers->vector[i].id;
        names[i].position = i;
    }
    if (names != NULL)
        (void)compare_names_sort(names, answers->count); /* the reader refuses equal ids */
    return names;
}

static ddome_status pair_level(ddome_error *error, vector_set *set, vector_level *level)
{
    const compare_name *names = index_answers(&set->call->t->arena, &level->answers);
    if (names == NULL)
        return nn_arena_fail(error, &set->call->t->arena, "answers");
    for (size_t i = 0; i < level->vectors.count; i++) {
        vector_pair *pair = &set->pair[set->pairs++];
        pair->level = level;
        pair->vector = &level->vectors.vector[i];
        const size_t at = compare_names_find(names, level->answers.count, pair->vector->id);
        if (at != SIZE_MAX) {
            pair->answer = &level->answers.vector[at];
            level->asked[at] = true;
        }
        compare_pair(set->call, pair);
        level->missing += pair->answer == NULL;
        level->missing_values += pair->answer == NULL ? 0 : pair->missing;
        level->compared += pair->answer != NULL;
        level->differing += pair->differing != 0;
    }
    return DDOME_OK;
}

/* A mistyped id would else pass for one that was left out. */
static void count_unknown(vector_set *set)
{
    for (size_t i = 0; i < set->levels; i++) {
        const vector_level *level = &set->level[i];
        if (i != 0 && level->asked == set->level[0].asked)
            continue; /* the same file */
        for (size_t k = 0; k < level->answers.count; k++)
            if (!level->asked[k] && set->unknown++ == 0)
                set->first_unknown = level->answers.vector[k].id;
    }
}

static ddome_status check_levels(ddome_error *error, const vector_set *set)
{
    nn_arena *arena = &set->call->t->arena;
    const char **names = nn_arena_alloc(arena, set->levels, sizeof *names);
    if (names == NULL)
        return nn_arena_fail(error, arena, "levels");
    for (size_t i = 0; i < set->levels; i++)
        names[i] = set->level[i].name;
    return compare_levels_known(error, set->call, names, set->levels);
}

static ddome_status pair_all(ddome_error *error, vector_set *set)
{
    size_t count = 0;
    ddome_status status = DDOME_OK;
    for (size_t i = 0; status == DDOME_OK && i < set->levels; i++) {
        status = read_level(error, set, i);
        count += status == DDOME_OK ? set->level[i].vectors.count : 0;
    }
    if (status == DDOME_OK)
        status = check_levels(error, set);
    if (status != DDOME_OK)
        return status;
    set->pair = nn_arena_zero(&set->call->t->arena, count, sizeof *set->pair);
    if (set->pair == NULL)
        return nn_arena_fail(error, &set->call->t->arena, "vectors");
    for (size_t i = 0; status == DDOME_OK && i < set->levels; i++)
        status = pair_level(error, set, &set->level[i]);
    if (status == DDOME_OK)
        count_unknown(set);
    return status;
}

/* ---- the report ---- */

static void add_pair_json(tool *t, const vector_pair *pair, bool first)
{
    const char *state = pair->answer == NULL ? "missing" : pair->differing != 0 ? "differs" : "ok";
    fl_text_add(&t->json, "%s{\"id\": ", first ? "" : ", ");
    tool_json_quoted(&t->json, pair->vector->id);
    tool_json_string(t, "level", pair->level->name);
    tool_json_string(t, "op", pair->vector->work.op);
    tool_json_string(t, "state", state);
    if (pair->answer != NULL)
        tool_json_u64(t, "missing", pair->missing);
    if (pair->differing != 0) {
        const compare_array a = compare_array_of(pair->a), b = compare_array_of(pair->b);
        tool_json_u64(t, "values", pair->compared);
        tool_json_u64(t, "differing_values", pair->differing);
        tool_json_string(t, "name", pair->a->name);
        compare_add_json(t, &a, &b, &pair->result);
    }
    fl_text_add(&t->json, "}");
}

static void add_first(tool *t, const vector_pair *pair)
{
    const compare_array a = compare_array_of(pair->a), b = compare_array_of(pair->b);
    fl_text_add(&t->text, "first difference: vector %s, %s of %s (SPEC %s), %s\n",
                tool_shown(t, pair->vector->id), tool_shown(t, pair->a->name),
                tool_shown(t, pair->vector->work.op), tool_shown(t, pair->vector->clause), a.dtype);
    compare_add_text(t, &a, &b, &pair->result);
    fl_text_add(&t->text, "\n");
}

static void add_pair_line(tool *t, const vector_pair *pair)
{
    const compare_array a = compare_array_of(pair->a), b = compare_array_of(pair->b);
    fl_text_add(&t->text, "differs  %s: %s: ", tool_shown(t, pair->vector->id),
                tool_shown(t, pair->a->name));
    compare_add_line(t, &a, &b, &pair->result);
    if (pair->differing > 1)
        fl_text_add(&t->text, "; %lu values more", (unsigned long)pair->differing - 1);
    fl_text_add(&t->text, "\n");
}

/* "missing  ID: B has out; expected y", where B answered but not with all of A's values. */
static void add_lacking_line(tool *t, const vector_pair *pair)
{
    if (pair->lacks == NULL)
        return;
    fl_text_add(&t->text, "missing  %s: ", tool_shown(t, pair->vector->id));
    if (pair->has != NULL)
        fl_text_add(&t->text, "B has %s; ", tool_shown(t, pair->has->name));
    fl_text_add(&t->text, "expected %s", tool_shown(t, pair->lacks->name));
    if (pair->missing > 1)
        fl_text_add(&t->text, " and %lu more", (unsigned long)pair->missing - 1);
    fl_text_add(&t->text, "\n");
}

static void add_levels(tool *t, const vector_set *set)
{
    fl_text_add(&t->text, "%-20s %9s %9s %9s\n", "level", "ok", "differ", "missing");
    for (size_t i = 0; i < set->levels; i++) {
        const vector_level *level = &set->level[i];
        fl_text_add(&t->text, "%-20s %9lu %9lu %9lu", tool_shown(t, level->name),
                    (unsigned long)(level->compared - level->differing),
                    (unsigned long)level->differing, (unsigned long)level->missing);
        if (level->missing_values != 0)
            fl_text_add(&t->text, ", and values of others: %lu",
                        (unsigned long)level->missing_values);
        fl_text_add(&t->text, "\n");
    }
}

/* Answers in a folder are found by the names of A's files alone. */
static void find_expected(const vector_set *set)
{
    for (size_t i = 0; i < set->levels; i++)
        if (set->level[i].b != NULL)
            return;
    if (set->levels == 0)
        return;
    const char *path = set->level[0].a, *slash = strrchr(path, '/');
    set->call->expected = slash == NULL ? path : slash + 1;
}

static void add_unknown(tool *t, const vector_set *set)
{
    tool_json_u64(t, "unknown", set->unknown);
    if (set->unknown == 0)
        return;
    fl_text_add(&t->text, "%lu id%s of B %s unknown, first %s\n", (unsigned long)set->unknown,
                set->unknown == 1 ? "" : "s", set->unknown == 1 ? "is" : "are",
                tool_shown(t, set->first_unknown));
    tool_json_string(t, "first_unknown", set->first_unknown);
}

static void add_report(vector_set *set)
{
    compare_call *call = set->call;
    tool *t = call->t;
    size_t lines = 0;
    fl_text_add(&t->json, ", \"vectors\": [");
    for (size_t i = 0; i < set->pairs; i++) {
        const vector_pair *pair = &set->pair[i];
        add_pair_json(t, pair, i == 0);
        call->compared += pair->answer != NULL;
        call->missing += pair->answer == NULL;
        call->missing_parts += pair->answer == NULL ? 0 : pair->missing;
        if (pair->differing != 0 && call->differing++ == 0) {
            add_first(t, pair);
            call->first = compare_format(t, "vector %s, %s", pair->vector->id, pair->a->name);
        }
        if (pair->differing != 0)
            add_pair_line(t, pair);
        add_lacking_line(t, pair);
        lines += pair->differing != 0 || pair->lacks != NULL;
    }
    fl_text_add(&t->json, "]");
    fl_text_add(&t->text, "%s", lines != 0 ? "\n" : "");
    add_levels(t, set);
    add_unknown(t, set);
    find_expected(set);
}

/* ---- --explain ---- */

static void fill_explain(const vector_set *set, explain_call *explain, explain_agreeing *agreeing)
{
    for (size_t i = 0; i < set->pairs; i++) {
        const vector_pair *pair = &set->pair[i];
        if (pair->answer == NULL)
            continue;
        if (pair->differing == 0) {
            const explain_agreeing one = {pair->vector->work.op, pair->vector->flags,
                                          pair->vector->flag_count};
            agreeing[explain->agreeing_count++] = one;
            continue;
        }
        explain_item *item = &explain->item[explain->count++];
        item->id = pair->vector->id;
        item->work = &pair->vector->work;
        item->got = pair->answer->work.outputs;
        item->got_count = pair->answer->work.output_count;
    }
}

static ddome_status explain(ddome_error *error, const vector_set *set)
{
    nn_arena *arena = &set->call->t->arena;
    explain_call explain = {.t = set->call->t, .noun = "vector"};
    explain_agreeing *agreeing = nn_arena_zero(arena, set->pairs, sizeof *agreeing);
    explain.item = nn_arena_zero(arena, set->pairs, sizeof *explain.item);
    if (agreeing == NULL || explain.item == NULL)
        return nn_arena_fail(error, arena, "variants");
    fill_explain(set, &explain, agreeing);
    explain.agreeing = agreeing;
    ddome_status status = explain_try(error, &explain);
    return status == DDOME_OK ? explain_report(error, &explain) : status;
}

ddome_status compare_vectors(ddome_error *error, compare_call *call, bool a_folder, bool b_folder)
{
    vector_set set = {.call = call};
    ddome_status status = vectors_list(error, &set, a_folder, b_folder);
    if (status == DDOME_OK)
        status = pair_all(error, &set);
    if (status != DDOME_OK)
        return status;
    add_report(&set);
    return call->explain && call->differing != 0 ? explain(error, &set) : DDOME_OK;
}

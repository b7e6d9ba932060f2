/* SPDX-License-Identifier: MIT */
/* Does a computation again with each deviation, then with each pair. SPEC 19.4.4.
 *
 * A pair is tried only where both of its deviations move the outputs by themselves: one that does
 * not would only repeat the other's bits under a longer name. */
#include "compare_explain.h"

#include <string.h>

enum { NAME_BYTES = 128 };

/* Products a computation may have in all its pairs together: some seconds. */
static const double pair_products = 5e8;

static ddome_status make_room(ddome_error *error, explain_call *call)
{
    nn_arena *arena = &call->t->arena;
    size_t room = EXPLAIN_PAIRS;
    for (int i = 0; i < NN_DEVIATE_COUNT; i++)
        room += nn_deviation_table[i].choices;
    call->variant = nn_arena_alloc(arena, room, sizeof *call->variant);
    call->name = nn_arena_alloc(arena, room, sizeof *call->name);
    call->part = nn_arena_alloc(arena, room, sizeof *call->part);
    return call->variant == NULL || call->name == NULL || call->part == NULL
               ? nn_arena_fail(error, arena, "variants")
               : DDOME_OK;
}

/* The place of a variant's deviation `kind` among the singles. */
static size_t place_of(const explain_call *call, const nn_variant *variant, int kind)
{
    for (size_t k = 0; k < call->singles; k++)
        if (call->variant[k].choice[kind] == variant->choice[kind])
            return k;
    return SIZE_MAX;
}

/* Behind the singles that its deviations are, or as one itself. */
static ddome_status add_variant(ddome_error *error, explain_call *call, const nn_variant *variant,
                                bool single)
{
    char name[NAME_BYTES];
    const size_t k = call->variants;
    size_t parts = 0;
    nn_variant_text(name, sizeof name, variant);
    call->variant[k] = *variant;
    call->part[k][0] = call->part[k][1] = k;
    for (int kind = 0; !single && kind < NN_DEVIATE_COUNT && parts < 2; kind++)
        if (variant->choice[kind] != 0)
            call->part[k][parts++] = place_of(call, variant, kind);
    call->name[k] = nn_arena_string(&call->t->arena, name);
    call->singles += single;
    call->variants++;
    return call->name[k] == NULL ? nn_arena_fail(error, &call->t->arena, "variants") : DDOME_OK;
}

static ddome_status list_singles(ddome_error *error, explain_call *call)
{
    nn_variant variant;
    size_t deviations = 0;
    ddome_status status = make_room(error, call);
    while (status == DDOME_OK && nn_variant_next(&variant, &deviations) && deviations == 1)
        status = add_variant(error, call, &variant, true);
    return status;
}

/* ---- one variant on one item ---- */

/* Elements of B's that the outputs do not have; a hash that is not theirs is SIZE_MAX. */
static size_t gap(const nn_value *outputs, size_t count, const nn_value *got, size_t got_count)
{
    const compare_rule exact = {false, false, 0, 0.0};
    const nn_case own = {.outputs = outputs, .output_count = count};
    size_t sum = 0;
    for (size_t i = 0; i < got_count; i++) {
        const nn_value *output = nn_case_output(&own, got[i].name);
        if (output == NULL)
            return SIZE_MAX;
        const compare_result result = compare_values(output, &got[i], &exact);
        if (result.verdict != COMPARE_SAME && result.verdict != COMPARE_ELEMENTS)
            return SIZE_MAX;
        sum += result.differing;
    }
    return got_count == 0 ? SIZE_MAX : sum;
}

/* *outputs NULL: the computation cannot be done again, which is not an error: a step of training
 * has its vectors, too. */
static ddome_status run(ddome_error *error, explain_call *call, const nn_value **outputs,
                        size_t *count, const nn_case *work, const nn_variant *variant)
{
    ddome_error inner = {DDOME_OK, ""};
    *outputs = NULL;
    ddome_status status = nn_variant_run(&inner, &call->t->arena, outputs, count, work, variant);
    if (status == DDOME_OK)
        return DDOME_OK;
    *outputs = NULL;
    return status == DDOME_ERR_DATA ? DDOME_OK : nn_fail(error, status, "%s", inner.text);
}

/* ---- singles ---- */

static ddome_status try_single(ddome_error *error, explain_call *call, explain_item *item,
                               const nn_value *rules, size_t rule_count, size_t k)
{
    const nn_value *outputs;
    size_t count = 0;
    const nn_arena_mark mark = nn_arena_get_mark(&call->t->arena);
    if (!nn_variant_concerns(item->work->op, &call->variant[k]))
        return DDOME_OK;
    ddome_status status = run(error, call, &outputs, &count, item->work, &call->variant[k]);
    if (status == DDOME_OK && outputs != NULL) {
        const size_t difference = gap(outputs, count, item->got, item->got_count);
        item->by[k] = difference == 0;
        item->moves[k] = gap(outputs, count, rules, rule_count) != 0;
        if (item->moves[k] && difference < item->nearest_gap) {
            item->nearest = k;
            item->nearest_gap = difference;
        }
    }
    nn_arena_rewind(&call->t->arena, mark);
    return status;
}

static ddome_status try_singles(ddome_error *error, explain_call *call, explain_item *item)
{
    const nn_variant rules = {{0}};
    const nn_value *outputs;
    size_t count = 0;
    const nn_arena_mark mark = nn_arena_get_mark(&call->t->arena);
    ddome_status status = run(error, call, &outputs, &count, item->work, &rules);
    item->able = status == DDOME_OK && outputs != NULL;
    if (item->able)
        item->rules_gap = gap(outputs, count, item->got, item->got_count);
    item->as_specified = item->able && item->rules_gap == 0;
    for (size_t k = 0; item->able && status == DDOME_OK && k < call->singles; k++)
        status = try_single(error, call, item, outputs, count, k);
    nn_arena_rewind(&call->t->arena, mark);
    return status;
}

static ddome_status try_item(ddome_error *error, explain_call *call, explain_item *item)
{
    nn_arena *arena = &call->t->arena;
    item->nearest_gap = SIZE_MAX;
    item->by = nn_arena_zero(arena, call->singles + EXPLAIN_PAIRS, sizeof *item->by);
    item->moves = nn_arena_zero(arena, call->singles, sizeof *item->moves);
    if (item->by == NULL || item->moves == NULL)
        return nn_arena_fail(error, arena, "variants");
    return nn_variant_knows(item->work->op) ? try_singles(error, call, item) : DDOME_OK;
}

bool explain_done(const explain_call *call, const explain_item *item)
{
    bool any = item->as_specified || item->pair_count != 0;
    for (size_t k = 0; !any && k < call->singles; k++)
        any = item->by[k];
    return any;
}

/* ---- pairs ---- */

static bool worth_trying(const explain_call *call, const explain_item *item,
                         const nn_variant *variant)
{
    for (int kind = 0; kind < NN_DEVIATE_COUNT; kind++) {
        if (variant->choice[kind] == 0)
            continue;
        const size_t k = place_of(call, variant, kind);
        if (k == SIZE_MAX || !item->moves[k])
            return false;
    }
    return true;
}

/* About: each element of the largest input or output times a row of the largest of the others. */
static double products_of(const nn_case *work)
{
    double most = 1.0, row = 1.0;
    size_t largest = 0;
    for (size_t i = 0; i < work->input_count; i++)
        if (work->inputs[i].count > work->inputs[largest].count)
            largest = i;
    for (size_t i = 0; i < work->input_count; i++) {
        const nn_value *value = &work->inputs[i];
        const double count = (double)value->count;
        const double rows = value->rank > 1 ? (double)value->shape[0] : count;
        if (i == largest)
            most = count + 1.0;
        else if (count > row * rows && rows > 0.0)
            row = count / rows;
    }
    for (size_t i = 0; i < work->output_count; i++)
        most = (double)work->outputs[i].count > most ? (double)work->outputs[i].count : most;
    return most * row;
}

/* Keeps a pair that gives B's bits, as far as there is room. */
static ddome_status try_pair(ddome_error *error, explain_call *call, explain_item *item,
                             const nn_variant *variant)
{
    const nn_value *outputs;
    size_t count = 0;
    const nn_arena_mark mark = nn_arena_get_mark(&call->t->arena);
    ddome_status status = run(error, call, &outputs, &count, item->work, variant);
    if (status == DDOME_OK && outputs != NULL && item->pair_count < EXPLAIN_PAIRS &&
        gap(outputs, count, item->got, item->got_count) == 0)
        item->pair[item->pair_count++] = *variant;
    nn_arena_rewind(&call->t->arena, mark);
    return status;
}

static ddome_status try_pairs(ddome_error *error, explain_call *call, explain_item *item)
{
    nn_variant variant;
    size_t deviations = 0;
    double tried = 0.0;
    const double each = products_of(item->work);
    ddome_status status = DDOME_OK;
    while (status == DDOME_OK && tried < pair_products && nn_variant_next(&variant, &deviations))
        if (deviations == 2 && worth_trying(call, item, &variant)) {
            tried += each;
            status = try_pair(error, call, item, &variant);
        }
    item->cut_short = tried >= pair_products;
    return status;
}

/* The pairs of `from` on the others of its operation. */
static ddome_status spread_pairs(ddome_error *error, explain_call *call, const explain_item *from)
{
    ddome_status status = DDOME_OK;
    for (size_t i = 0; status == DDOME_OK && i < call->count; i++) {
        explain_item *item = &call->item[i];
        if (item == from || !item->able || explain_done(call, item) ||
            strcmp(item->work->op, from->work->op) != 0)
            continue;
        for (size_t k = 0; status == DDOME_OK && k < from->pair_count; k++)
            status = try_pair(error, call, item, &from->pair[k]);
    }
    return status;
}

/* The first of its operation that no single explains; only it is worth the time of all pairs. */
static bool leads(const explain_call *call, const bool *left, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (left[i] && strcmp(call->item[i].work->op, call->item[index].work->op) == 0)
            return false;
    return left[index];
}

/* ---- pairs on every item ---- */

static bool has_pair(const explain_item *item, const nn_variant *pair)
{
    for (size_t i = 0; i < item->pair_count; i++)
        if (memcmp(&item->pair[i], pair, sizeof *pair) == 0)
            return true;
    return false;
}

static bool is_listed(const explain_call *call, const nn_variant *pair)
{
    for (size_t k = call->singles; k < call->variants; k++)
        if (memcmp(&call->variant[k], pair, sizeof *pair) == 0)
            return true;
    return false;
}

/* The pair that most items have, of those that are not listed; NULL: none. */
static const nn_variant *commonest_pair(const explain_call *call)
{
    const nn_variant *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < call->count; i++)
        for (size_t j = 0; j < call->item[i].pair_count; j++) {
            const nn_variant *pair = &call->item[i].pair[j];
            size_t count = 0;
            for (size_t l = i; l < call->count; l++)
                count += has_pair(&call->item[l], pair);
            if (count > most && !is_listed(call, pair)) {
                best = pair;
                most = count;
            }
        }
    return best;
}

/* Where one of the two has no say it is the other's work. One that moves nothing by itself may do
 * so beside the other. */
static ddome_status try_both(ddome_error *error, explain_call *call, explain_item *item, size_t k)
{
    const size_t a = call->part[k][0], b = call->part[k][1];
    const nn_value *outputs;
    size_t count = 0;
    if (!item->able || !nn_variant_concerns(item->work->op, &call->variant[k])) {
        item->by[k] = item->by[a] || item->by[b];
        return DDOME_OK;
    }
    const nn_arena_mark mark = nn_arena_get_mark(&call->t->arena);
    ddome_status status = run(error, call, &outputs, &count, item->work, &call->variant[k]);
    item->by[k] = status == DDOME_OK && outputs != NULL &&
                  gap(outputs, count, item->got, item->got_count) == 0;
    nn_arena_rewind(&call->t->arena, mark);
    return status;
}

static ddome_status list_pairs(ddome_error *error, explain_call *call)
{
    ddome_status status = DDOME_OK;
    while (status == DDOME_OK && call->variants < call->singles + EXPLAIN_PAIRS) {
        const nn_variant *pair = commonest_pair(call);
        if (pair == NULL)
            return DDOME_OK;
        status = add_variant(error, call, pair, false);
        for (size_t i = 0; status == DDOME_OK && i < call->count; i++)
            status = try_both(error, call, &call->item[i], call->variants - 1);
    }
    return status;
}

/* ---- all of it ---- */

ddome_status explain_try(ddome_error *error, explain_call *call)
{
    nn_arena *arena = &call->t->arena;
    bool *left = nn_arena_zero(arena, call->count, sizeof *left);
    if (left == NULL)
        return nn_arena_fail(error, arena, "variants");
    ddome_status status = list_singles(error, call);
    for (size_t i = 0; status == DDOME_OK && i < call->count; i++) {
        status = try_item(error, call, &call->item[i]);
        left[i] = call->item[i].able && !explain_done(call, &call->item[i]);
    }
    for (size_t i = 0; status == DDOME_OK && !call->singles_only && i < call->count; i++) {
        if (!leads(call, left, i))
            continue;
        status = try_pairs(error, call, &call->item[i]);
        if (status == DDOME_OK)
            status = spread_pairs(error, call, &call->item[i]);
    }
    return status == DDOME_OK ? list_pairs(error, call) : status;
}

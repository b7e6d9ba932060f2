/* SPDX-License-Identifier: MIT */
/* Names the causes: the smallest set of deviations, found greedily, and what each operation has.
 * SPEC 19.4.4. */
#include <inttypes.h>
#include <string.h>

#include "compare_explain.h"

enum { NAME_BYTES = 128 };

/* ---- what a variant explains ---- */

/* By one of its deviations. */
static bool is_flagged(const explain_call *call, const explain_agreeing *agrees, size_t k)
{
    for (size_t i = 0; i < agrees->flag_count; i++)
        if (strcmp(agrees->flags[i], call->name[call->part[k][0]]) == 0 ||
            strcmp(agrees->flags[i], call->name[call->part[k][1]]) == 0)
            return true;
    return false;
}

static bool is_pair(const explain_call *call, size_t k)
{
    return k >= call->singles;
}

/* Does k explain an open item of this operation? */
static bool concerns(const explain_call *call, const bool *open, const char *op, size_t k)
{
    for (size_t i = 0; i < call->count; i++)
        if (open[i] && call->item[i].by[k] && strcmp(call->item[i].work->op, op) == 0)
            return true;
    return false;
}

/* Agreeing computations that k would have moved: of the operations that it explains (only of `op`
 * unless it is NULL), or of all. */
static size_t against(const explain_call *call, const bool *open, const char *op, size_t k,
                      bool of_all)
{
    size_t count = 0;
    for (size_t i = 0; i < call->agreeing_count; i++) {
        const explain_agreeing *agrees = &call->agreeing[i];
        const bool asked = of_all || (concerns(call, open, agrees->op, k) &&
                                      (op == NULL || strcmp(op, agrees->op) == 0));
        count += asked && is_flagged(call, agrees, k);
    }
    return count;
}

/* A program may deviate in one operation alone, so what others say comes second. */
static bool less_against(const explain_call *call, const bool *open, const char *op, size_t k,
                         size_t l)
{
    const size_t near_k = against(call, open, op, k, false);
    const size_t near_l = against(call, open, op, l, false);
    if (near_k != near_l || op != NULL)
        return near_k < near_l;
    return against(call, open, op, k, true) < against(call, open, op, l, true);
}

/* Open items (of `op` unless it is NULL) that k explains. */
static size_t covers(const explain_call *call, const bool *open, const char *op, size_t k)
{
    size_t count = 0;
    for (size_t i = 0; i < call->count; i++)
        count += open[i] && call->item[i].by[k] &&
                 (op == NULL || strcmp(op, call->item[i].work->op) == 0);
    return count;
}

static bool same_cover(const explain_call *call, const bool *open, const char *op, size_t k,
                       size_t l)
{
    for (size_t i = 0; i < call->count; i++)
        if (open[i] && (op == NULL || strcmp(op, call->item[i].work->op) == 0) &&
            call->item[i].by[k] != call->item[i].by[l])
            return false;
    return true;
}

/* The variant that covers most, of equals a single and the one with least against it; SIZE_MAX:
 * none covers any. */
static size_t best_variant(const explain_call *call, const bool *open, const char *op)
{
    size_t best = SIZE_MAX, most = 0;
    for (size_t k = 0; k < call->variants; k++) {
        const size_t count = covers(call, open, op, k);
        if (count > most ||
            (count == most && count != 0 && is_pair(call, k) == is_pair(call, best) &&
             less_against(call, open, op, k, best))) {
            best = k;
            most = count;
        }
    }
    return best;
}

/* `best` and all that cannot be told from it. */
static void add_names(const explain_call *call, const bool *open, const char *op, size_t best)
{
    const size_t least = against(call, open, op, best, false);
    fl_text *text = &call->t->text, *json = &call->t->json;
    bool first = true;
    fl_text_add(json, "\"names\": [");
    for (size_t k = 0; k < call->variants; k++) {
        if (is_pair(call, k) != is_pair(call, best) || !same_cover(call, open, op, best, k) ||
            less_against(call, open, op, best, k))
            continue;
        fl_text_add(text, "%s%s", first ? "" : " or ", call->name[k]);
        fl_text_add(json, "%s\"%s\"", first ? "" : ", ", call->name[k]);
        first = false;
    }
    fl_text_add(json, "]");
    if (is_pair(call, best)) { /* flags are of singles: the other one may have moved it back */
        fl_text_add(json, ", \"against\": null");
        return;
    }
    if (least != 0)
        fl_text_add(text, " (but it would also have moved %lu that agree)", (unsigned long)least);
    fl_text_add(json, ", \"against\": %lu", (unsigned long)least);
}

/* ---- the smallest set ---- */

static size_t open_count(const explain_call *call, const bool *open)
{
    size_t count = 0;
    for (size_t i = 0; i < call->count; i++)
        count += open[i];
    return count;
}

static void close_covered(const explain_call *call, bool *open, size_t k)
{
    for (size_t i = 0; i < call->count; i++)
        open[i] = open[i] && !call->item[i].by[k];
}

static void add_covered_ids(const explain_call *call, const bool *open, size_t k)
{
    bool first = true;
    fl_text_add(&call->t->json, ", \"explains\": [");
    for (size_t i = 0; i < call->count; i++)
        if (open[i] && call->item[i].by[k]) {
            fl_text_add(&call->t->json, "%s", first ? "" : ", ");
            tool_json_quoted(&call->t->json, call->item[i].id);
            first = false;
        }
    fl_text_add(&call->t->json, "]");
}

/* "5 of 7 differing vectors: " */
static void add_count(const explain_call *call, size_t part, size_t all)
{
    fl_text_add(&call->t->text, "%lu of %lu differing %s%s: ", (unsigned long)part,
                (unsigned long)all, call->noun, all == 1 ? "" : "s");
}

/* What the deviation is, for people. */
static void add_meaning(const explain_call *call, size_t k)
{
    for (int kind = 0; kind < NN_DEVIATE_COUNT; kind++) {
        const unsigned char choice = call->variant[k].choice[kind];
        if (choice != 0)
            fl_text_add(&call->t->text, "    %s: %s\n", nn_deviation_table[kind].word[choice],
                        nn_deviation_table[kind].meaning[choice]);
    }
}

/* "one deviation explains all 7 differences: " */
static void add_whole(const explain_call *call, size_t k, size_t all)
{
    fl_text *text = &call->t->text;
    fl_text_add(text,
                is_pair(call, k) ? "two deviations together explain " : "one deviation explains ");
    if (all == 1)
        fl_text_add(text, "it: ");
    else
        fl_text_add(text, "all %lu differences: ", (unsigned long)all);
}

static void add_set(const explain_call *call, bool *open)
{
    const size_t all = open_count(call, open);
    bool first = true;
    fl_text_add(&call->t->json, ", \"deviations\": [");
    for (size_t k; (k = best_variant(call, open, NULL)) != SIZE_MAX;) {
        const size_t part = covers(call, open, NULL, k);
        fl_text_add(&call->t->text, "  ");
        if (first && part == all)
            add_whole(call, k, all);
        else
            add_count(call, part, all);
        fl_text_add(&call->t->json, "%s{", first ? "" : ", ");
        add_names(call, open, NULL, k);
        fl_text_add(&call->t->text, "\n");
        add_meaning(call, k);
        add_covered_ids(call, open, k);
        fl_text_add(&call->t->json, "}");
        close_covered(call, open, k);
        first = false;
    }
    fl_text_add(&call->t->json, "]");
}

/* ---- operation by operation ---- */

static bool first_of_op(const explain_call *call, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(call->item[i].work->op, call->item[index].work->op) == 0)
            return false;
    return true;
}

static size_t open_of_op(const explain_call *call, const bool *open, const char *op)
{
    size_t count = 0;
    for (size_t i = 0; i < call->count; i++)
        count += open[i] && strcmp(call->item[i].work->op, op) == 0;
    return count;
}

static void add_operations(const explain_call *call, const bool *open)
{
    bool first = true;
    fl_text_add(&call->t->json, ", \"operations\": [");
    for (size_t i = 0; i < call->count; i++) {
        const char *op = call->item[i].work->op;
        const size_t all = open_of_op(call, open, op), k = best_variant(call, open, op);
        if (all == 0 || k == SIZE_MAX || !first_of_op(call, i))
            continue;
        fl_text_add(&call->t->json, "%s{\"op\": ", first ? "" : ", ");
        tool_json_quoted(&call->t->json, op);
        fl_text_add(&call->t->json, ", \"differing\": %lu, \"explained\": %lu, ",
                    (unsigned long)all, (unsigned long)covers(call, open, op, k));
        fl_text_add(&call->t->text, "  %s, ", tool_shown(call->t, op));
        add_count(call, covers(call, open, op, k), all);
        add_names(call, open, op, k);
        fl_text_add(&call->t->text, "\n");
        fl_text_add(&call->t->json, "}");
        first = false;
    }
    fl_text_add(&call->t->json, "]");
}

/* ---- the rest ---- */

static void add_pairs(const explain_call *call, const explain_item *item)
{
    fl_text_add(&call->t->text, "  %s: ", tool_shown(call->t, item->id));
    for (size_t i = 0; i < item->pair_count; i++) {
        char name[NAME_BYTES];
        nn_variant_text(name, sizeof name, &item->pair[i]);
        fl_text_add(&call->t->text, "%s%s", i == 0 ? "" : " or ", name);
        fl_text_add(&call->t->json, "%s\"%s\"", i == 0 ? "" : ", ", name);
    }
    fl_text_add(&call->t->text, "\n");
}

/* What is no nearer than the rules themselves is near nothing. */
static bool has_nearest(const explain_item *item)
{
    return item->nearest_gap < item->rules_gap;
}

static void add_nearest(const explain_call *call, const explain_item *item)
{
    if (item->rules_gap == SIZE_MAX)
        fl_text_add(&call->t->text, "; B's elements would tell which comes nearest");
    else if (has_nearest(item))
        fl_text_add(&call->t->text, "; %s comes nearest, %lu elements differ",
                    call->name[item->nearest], (unsigned long)item->nearest_gap);
    if (item->cut_short)
        fl_text_add(&call->t->text, "; too large to try all pairs");
    fl_text_add(&call->t->text, "\n");
}

static void add_item(const explain_call *call, const explain_item *item, bool first)
{
    tool *t = call->t;
    fl_text_add(&t->json, "%s{\"id\": ", first ? "" : ", ");
    tool_json_quoted(&t->json, item->id);
    if (item->as_specified)
        tool_json_string(t, "cause", "B has what the rules give: A deviates");
    else if (!item->able)
        tool_json_string(t, "cause", "not one operation, or its inputs are not at hand");
    else if (has_nearest(item) && item->pair_count == 0) {
        tool_json_string(t, "nearest", call->name[item->nearest]);
        tool_json_u64(t, "nearest_differing", item->nearest_gap);
    }
    fl_text_add(&t->json, ", \"pairs\": [");
    if (item->pair_count != 0)
        add_pairs(call, item);
    else if (item->as_specified)
        fl_text_add(&t->text, "  %s: B has what the rules give, A deviates\n",
                    tool_shown(t, item->id));
    else if (item->able) {
        fl_text_add(&t->text, "  %s: nothing explains it", tool_shown(t, item->id));
        add_nearest(call, item);
    }
    fl_text_add(&t->json, "]}");
}

/* Those that no single explains. */
static void add_rest(const explain_call *call, const bool *open)
{
    bool first = true;
    size_t larger = 0;
    fl_text_add(&call->t->json, ", \"others\": [");
    for (size_t i = 0; i < call->count; i++) {
        const explain_item *item = &call->item[i];
        if (!open[i] && item->able && !item->as_specified)
            continue;
        add_item(call, item, first);
        larger += !item->able;
        first = false;
    }
    fl_text_add(&call->t->json, "]");
    if (larger != 0)
        fl_text_add(&call->t->text,
                    "  %lu differing %s%s of larger computations: mend the operations first, then "
                    "compare traces\n",
                    (unsigned long)larger, call->noun, larger == 1 ? "" : "s");
}

static bool *open_items(const explain_call *call)
{
    bool *open = nn_arena_zero(&call->t->arena, call->count, sizeof *open);
    for (size_t i = 0; open != NULL && i < call->count; i++)
        open[i] = call->item[i].able && !call->item[i].as_specified;
    return open;
}

ddome_status explain_report(ddome_error *error, explain_call *call)
{
    bool *all = open_items(call), *open = open_items(call);
    if (all == NULL || open == NULL)
        return nn_arena_fail(error, &call->t->arena, "causes");
    fl_text_add(&call->t->text, "\ncauses (SPEC 19.5):\n");
    fl_text_add(&call->t->json, ", \"explain\": {\"differing\": %lu", (unsigned long)call->count);
    add_set(call, open);
    if (call->count > 1)
        add_operations(call, all);
    add_rest(call, open);
    fl_text_add(&call->t->json, "}");
    return DDOME_OK;
}

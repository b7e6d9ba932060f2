/* SPDX-License-Identifier: MIT */
/* ddome probe read: from answers to the tree of an order, its name, deviations, fusing.
 * SPEC 19.6.3.
 */
#include <string.h>

#include "../data/vectors.h"
#include "compare_explain.h"
#include "probe_set.h"

static const data_vector *find_vector(const data_vectors *vectors, const char *id)
{
    for (size_t i = 0; i < vectors->count; i++)
        if (strcmp(vectors->vector[i].id, id) == 0)
            return &vectors->vector[i];
    return NULL;
}

/* The reader of answers looks at leaves that only these inputs have. */
static ddome_status check_file(ddome_error *error, const probe_set *set,
                               const data_vectors *vectors, const char *path)
{
    for (size_t i = 0; i < PROBE_CASES; i++) {
        const data_vector *vector = find_vector(vectors, set->one[i].id);
        for (size_t k = 0; k < 2; k++) {
            const nn_value *input =
                vector == NULL ? NULL : nn_case_input(&vector->work, set->one[i].input[k].name);
            if (input == NULL || !nn_value_same(input, &set->one[i].input[k]))
                return nn_fail(error, DDOME_ERR_DATA,
                               "%.200s: expected what `ddome probe write` of this version writes, "
                               "found another %s; write it again",
                               path, set->one[i].id);
        }
    }
    return DDOME_OK;
}

/* *out stays NULL without an answer. */
static ddome_status find_answer(ddome_error *error, const nn_value **out, const probe_set *set,
                                const data_vectors *answers, const char *path, size_t i)
{
    const data_vector *vector = find_vector(answers, set->one[i].id);
    const nn_value *c = vector == NULL ? NULL : nn_case_output(&vector->work, "c");
    if (c == NULL)
        return DDOME_OK;
    const nn_value *expected = set->one[i].expected;
    if (c->type != NN_VALUE_F32 || c->f32 == NULL || c->rank != 2 ||
        c->shape[0] != expected->shape[0] || c->shape[1] != expected->shape[1])
        return nn_fail(error, DDOME_ERR_DATA,
                       "%.200s: %s: expected c as F32 [%lu,%lu] with its elements", path,
                       set->one[i].id, (unsigned long)expected->shape[0],
                       (unsigned long)expected->shape[1]);
    *out = c;
    return DDOME_OK;
}

static ddome_status add_tree(ddome_error *error, tool *t, const probe_order *order)
{
    probe_tree tree;
    bool is_tree = false;
    size_t odd = 0;
    fl_text line = {.arena = &t->arena};
    ddome_status status = probe_tree_new(error, &t->arena, &tree, &is_tree, &odd, order);
    if (status != DDOME_OK)
        return status;
    if (is_tree)
        probe_tree_text(&line, &tree);
    else
        fl_text_add(&line, "no tree: leaves %lu and %lu contradict the others",
                    (unsigned long)order->pair[odd].i, (unsigned long)order->pair[odd].j);
    if (fl_text_status(error, &line) != DDOME_OK)
        return DDOME_ERR_MEMORY;
    fl_text_add(&t->text, "k = %-6lu %s\n", (unsigned long)order->leaves, line.data);
    fl_text_add(&t->json, ", \"tree_%lu\": ", (unsigned long)order->leaves);
    tool_json_quoted(&t->json, line.data);
    return DDOME_OK;
}

typedef struct reading {
    const nn_value *answer[PROBE_CASES];
    const probe_order *fit[PROBE_ORDERS]; /* those that a tree may give */
    size_t fits, exact;
    bool strange;
} reading;

static ddome_status read_order(ddome_error *error, tool *t, probe_set *set, reading *r, size_t i)
{
    probe_order *order = &set->order[i];
    size_t row;
    if (r->answer[i] == NULL) {
        fl_text_add(&t->text, "k = %-6lu no answer\n", (unsigned long)order->leaves);
        return DDOME_OK;
    }
    switch (probe_order_take(order, &row, r->answer[i]->f32)) {
    case PROBE_EXACT:
        r->exact++;
        fl_text_add(&t->text, "k = %-6lu nothing is absorbed\n", (unsigned long)order->leaves);
        return DDOME_OK;
    case PROBE_NEITHER:
        r->strange = true;
        fl_text_add(&t->text, "k = %-6lu row %lu: expected a whole number of 0..%lu\n",
                    (unsigned long)order->leaves, (unsigned long)row,
                    (unsigned long)order->leaves - 2);
        return DDOME_OK;
    default:
        r->fit[r->fits++] = order;
        return add_tree(error, t, order);
    }
}

/* The words of SPEC 19.5 for all answers together. */
static ddome_status add_deviations(ddome_error *error, tool *t, const probe_set *set,
                                   const reading *r)
{
    explain_item item[PROBE_ORDERS];
    nn_value got[PROBE_ORDERS];
    explain_call call = {.t = t, .noun = "vector", .item = item, .singles_only = true};
    const char *before = "";
    memset(item, 0, sizeof item);
    for (size_t i = 0; i < PROBE_ORDERS; i++) {
        if (r->answer[i] == NULL)
            continue;
        got[call.count] = *r->answer[i];
        item[call.count].id = set->one[i].id;
        item[call.count].work = &set->one[i].work;
        item[call.count].got = &got[call.count];
        item[call.count++].got_count = 1;
    }
    ddome_status status = explain_try(error, &call);
    fl_text_add(&t->json, ", \"deviations\": [");
    for (size_t k = 0; status == DDOME_OK && k < call.singles; k++) {
        bool all = true, moves = false;
        for (size_t i = 0; i < call.count; i++) {
            all = all && item[i].by[k];
            moves = moves || item[i].moves[k];
        }
        if (!all || !moves)
            continue;
        fl_text_add(&t->text, "%s%s", before[0] == '\0' ? "deviation  " : before, call.name[k]);
        fl_text_add(&t->json, "%s\"%s\"", before[0] == '\0' ? "" : ", ", call.name[k]);
        before = " or ";
    }
    fl_text_add(&t->json, "]");
    fl_text_add(&t->text, "%s", before[0] == '\0' ? "" : "\n");
    return status;
}

static ddome_status add_name(ddome_error *error, tool *t, const reading *r)
{
    fl_text names = {.arena = &t->arena};
    ddome_status status = DDOME_OK;
    const char *name = "a tree of its own";
    if (r->strange)
        name = "none: the answers are no counts";
    else if (r->exact != 0 && r->fits == 0)
        name = "exact: the accumulator is wider than binary32";
    else if (r->fits == 0)
        name = "none: no answers";
    else {
        status = probe_names(error, &t->arena, &names, r->fit, r->fits);
        name = names.length != 0 ? names.data : name;
    }
    fl_text_add(&t->text, "order      %s\n", name);
    tool_json_string(t, "order", name);
    return status;
}

static void add_fusion(tool *t, const reading *r)
{
    static const char *const lines[] = {"rounded before they are added", "fused with the sum (fma)",
                                        "exact: binary64", "neither 0 nor 2^-24 came out"};
    static const char *const words[] = {"no", "yes", "wide", "unknown"};
    if (r->answer[PROBE_CASES - 1] == NULL)
        return;
    const probe_fusion fusion = probe_fused_take(r->answer[PROBE_CASES - 1]->f32);
    fl_text_add(&t->text, "products   %s\n", lines[fusion]);
    tool_json_string(t, "fma", words[fusion]);
}

ddome_status tool_probe_read(ddome_error *error, tool *t)
{
    probe_set set;
    reading r;
    data_vectors vectors, answers;
    memset(&r, 0, sizeof r);
    ddome_status status = probe_set_new(error, &t->arena, &set);
    if (status == DDOME_OK)
        status = data_vectors_read(error, &t->arena, &vectors, t->words[0]);
    if (status == DDOME_OK)
        status = check_file(error, &set, &vectors, t->words[0]);
    if (status == DDOME_OK)
        status = data_vectors_read(error, &t->arena, &answers, t->words[1]);
    for (size_t i = 0; status == DDOME_OK && i < PROBE_CASES; i++)
        status = find_answer(error, &r.answer[i], &set, &answers, t->words[1], i);
    for (size_t i = 0; status == DDOME_OK && i < PROBE_ORDERS; i++)
        status = read_order(error, t, &set, &r, i);
    if (status == DDOME_OK)
        status = add_name(error, t, &r);
    if (status == DDOME_OK)
        status = add_deviations(error, t, &set, &r);
    if (status == DDOME_OK)
        add_fusion(t, &r);
    return status;
}

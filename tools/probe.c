/* SPDX-License-Identifier: MIT */
/* ddome probe: writes vectors that reveal the order of a sum, and reads the answers. SPEC 19.6,
 * 19.6.1, 19.6.2. */
#include "probe.h"

#include <string.h>

#include "../data/safetensors.h"
#include "../data/vectors.h"
#include "../nn/os.h"
#include "compare_explain.h"

enum { ORDERS = 2, CASES = 3, TENSORS = 2 * CASES };

static const char *const ids[CASES] = {"probe/order-32", "probe/order-600", "probe/fused"};

/* One product a[m,k] b[k,n] and what the rules give for it. */
typedef struct probe_case {
    const char *id;
    nn_value input[2]; /* a, b */
    nn_case work;
    const nn_value *expected;
} probe_case;

typedef struct probe_set {
    probe_order order[ORDERS];
    probe_case one[CASES];
} probe_set;

static nn_value matrix(const char *name, const float *data, size_t rows, size_t cols)
{
    const nn_value value = {.name = name,
                            .type = NN_VALUE_F32,
                            .rank = 2,
                            .shape = {rows, cols},
                            .count = rows * cols,
                            .f32 = data};
    return value;
}

/* ---- the vectors ---- */

static ddome_status finish_case(ddome_error *error, nn_arena *arena, probe_case *one)
{
    const nn_variant rules = {{0}};
    size_t count;
    one->work.op = "matmul";
    one->work.arith = NN_ARITH_MA;
    one->work.inputs = one->input;
    one->work.input_count = 2;
    return nn_variant_run(error, arena, &one->expected, &count, &one->work, &rules);
}

static ddome_status make_order(ddome_error *error, nn_arena *arena, probe_set *set, size_t i,
                               size_t leaves)
{
    probe_case *one = &set->one[i];
    probe_order *order = &set->order[i];
    ddome_status status = probe_order_new(error, arena, order, leaves);
    if (status != DDOME_OK)
        return status;
    float *a = nn_arena_alloc(arena, order->count * leaves, sizeof *a);
    float *b = nn_arena_alloc(arena, leaves, sizeof *b);
    if (a == NULL || b == NULL)
        return nn_arena_fail(error, arena, "probe");
    probe_order_rows(a, order);
    for (size_t k = 0; k < leaves; k++)
        b[k] = 1.0f;
    one->input[0] = matrix("a", a, order->count, leaves);
    one->input[1] = matrix("b", b, leaves, 1);
    return finish_case(error, arena, one);
}

static ddome_status make_fused(ddome_error *error, nn_arena *arena, probe_case *one)
{
    const size_t columns = 2 * (PROBE_FUSED - 1);
    float *a = nn_arena_alloc(arena, 2 * PROBE_FUSED, sizeof *a);
    float *b = nn_arena_alloc(arena, PROBE_FUSED * columns, sizeof *b);
    if (a == NULL || b == NULL)
        return nn_arena_fail(error, arena, "probe");
    probe_fused_rows(a, b);
    one->input[0] = matrix("a", a, 2, PROBE_FUSED);
    one->input[1] = matrix("b", b, PROBE_FUSED, columns);
    return finish_case(error, arena, one);
}

static ddome_status make_set(ddome_error *error, nn_arena *arena, probe_set *set)
{
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < CASES; i++)
        set->one[i].id = ids[i];
    ddome_status status = make_order(error, arena, set, 0, PROBE_SMALL);
    if (status == DDOME_OK)
        status = make_order(error, arena, set, 1, PROBE_LARGE);
    return status == DDOME_OK ? make_fused(error, arena, &set->one[2]) : status;
}

/* ---- write ---- */

static ddome_status add_tensor(ddome_error *error, tool *t, data_safetensor *out, const char *id,
                               const nn_value *value)
{
    unsigned char *bytes = nn_arena_alloc(&t->arena, value->count, 4);
    uint64_t *shape = nn_arena_alloc(&t->arena, value->rank, sizeof *shape);
    out->name = compare_format(t, "%s/%s", id, value->name);
    if (bytes == NULL || shape == NULL || out->name == NULL)
        return nn_arena_fail(error, &t->arena, "probe");
    for (size_t i = 0; i < value->count; i++) {
        const uint32_t bits = nn_float_bits(value->f32[i]);
        for (int b = 0; b < 4; b++)
            bytes[4 * i + (size_t)b] = (unsigned char)(bits >> 8 * b & 0xff);
    }
    out->dtype = "F32";
    out->rank = value->rank;
    for (size_t i = 0; i < value->rank; i++)
        shape[i] = value->shape[i];
    out->shape = shape;
    out->bytes = bytes;
    out->byte_count = 4 * value->count;
    return DDOME_OK;
}

static ddome_status write_tensors(ddome_error *error, tool *t, const probe_set *set,
                                  const char *path)
{
    data_safetensor tensor[TENSORS];
    unsigned char *bytes = NULL;
    size_t size = 0;
    ddome_status status = DDOME_OK;
    memset(tensor, 0, sizeof tensor);
    for (size_t i = 0; status == DDOME_OK && i < TENSORS; i++)
        status =
            add_tensor(error, t, &tensor[i], set->one[i / 2].id, &set->one[i / 2].input[i % 2]);
    if (status == DDOME_OK)
        status = data_safetensors_format(error, &t->arena, &bytes, &size, tensor, TENSORS);
    return status == DDOME_OK ? nn_os_write_file(error, path, bytes, size) : status;
}

static void add_form(fl_text *json, const nn_value *value)
{
    fl_text_add(json, "\"%s\":{\"dtype\":\"F32\",\"shape\":[%lu,%lu],", value->name,
                (unsigned long)value->shape[0], (unsigned long)value->shape[1]);
}

static void add_case(fl_text *json, const probe_case *one, const char *file)
{
    static const char *const comments[] = {
        "2^40 at leaf i, -2^40 at leaf j, else 1: the result counts what is added after both met",
        "the square of 1 + 2^-12 beside -(1 + 2^-11): 2^-24 where products are not rounded, else "
        "0"};
    const bool order = one->input[1].shape[1] == 1;
    fl_text_add(json, "{\"id\":\"%s\",\"op\":\"matmul\",\"clause\":\"%s\",\"profile\":\"%s\",",
                one->id, order ? "2.3" : "2.5", order ? "any" : "ma");
    fl_text_add(json, "\"exact\":\"this-order\",\"comment\":\"%s\",\"flags\":[],\"inputs\":{",
                comments[!order]);
    for (size_t i = 0; i < 2; i++) {
        fl_text_add(json, "%s", i == 0 ? "" : ",");
        add_form(json, &one->input[i]);
        fl_text_add(json, "\"file\":");
        tool_json_quoted(json, file);
        fl_text_add(json, ",\"tensor\":\"%s/%s\"}", one->id, one->input[i].name);
    }
    fl_text_add(json, "},\"expected\":{");
    add_form(json, one->expected);
    fl_text_add(json, "\"words\":\"");
    for (size_t i = 0; i < one->expected->count; i++) {
        fl_text_add(json, "%s", i == 0 ? "" : " ");
        fl_text_float(json, one->expected->f32[i]);
    }
    fl_text_add(json, "\"}}}");
}

static ddome_status write_json(ddome_error *error, tool *t, const probe_set *set, const char *path,
                               const char *file)
{
    fl_text json = {.arena = &t->arena};
    fl_text_add(&json,
                "{\"schema\":\"ddome-vectors-1\",\"specification\":%d,\"level\":\"probe\","
                "\"vectors\":[\n",
                DDOME_SPEC_VERSION);
    for (size_t i = 0; i < CASES; i++) {
        add_case(&json, &set->one[i], file);
        fl_text_add(&json, "%s\n", i + 1 < CASES ? "," : "");
    }
    fl_text_add(&json, "]}\n");
    ddome_status status = fl_text_status(error, &json);
    return status == DDOME_OK ? nn_os_write_file(error, path, json.data, json.length) : status;
}

/* A vector names a file beside it by a plain name (SPEC 19.1.1), so FILE must be one. */
static ddome_status check_name(ddome_error *error, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    if (name[0] != '\0' && name[0] != '.' && strchr(name, '\\') == NULL)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_USAGE,
                   "probe write: expected FILE with a name that begins with no dot and has no \\, "
                   "found %.200s",
                   path);
}

ddome_status tool_probe_write(ddome_error *error, tool *t)
{
    const char *path = t->words[0], *slash = strrchr(path, '/');
    const char *tensors = compare_format(t, "%s.safetensors", path);
    probe_set set;
    if (tensors == NULL)
        return nn_arena_fail(error, &t->arena, "paths");
    ddome_status status = check_name(error, path);
    if (status == DDOME_OK)
        status = make_set(error, &t->arena, &set);
    if (status == DDOME_OK)
        status = write_tensors(error, t, &set, tensors);
    if (status == DDOME_OK)
        status = write_json(error, t, &set, path,
                            slash == NULL ? tensors : tensors + (slash - path) + 1);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->text, "vectors    %s\ntensors    %s\n", path, tensors);
    tool_json_string(t, "vectors", path);
    tool_json_string(t, "tensors", tensors);
    return DDOME_OK;
}

/* ---- read ---- */

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
    for (size_t i = 0; i < CASES; i++) {
        const data_vector *vector = find_vector(vectors, ids[i]);
        for (size_t k = 0; k < 2; k++) {
            const nn_value *input =
                vector == NULL ? NULL : nn_case_input(&vector->work, set->one[i].input[k].name);
            if (input == NULL || !nn_value_same(input, &set->one[i].input[k]))
                return nn_fail(error, DDOME_ERR_DATA,
                               "%.200s: expected what `ddome probe write` of this version writes, "
                               "found another %s; write it again",
                               path, ids[i]);
        }
    }
    return DDOME_OK;
}

/* *out stays NULL without an answer. */
static ddome_status find_answer(ddome_error *error, const nn_value **out, const probe_set *set,
                                const data_vectors *answers, const char *path, size_t i)
{
    const data_vector *vector = find_vector(answers, ids[i]);
    const nn_value *c = vector == NULL ? NULL : nn_case_output(&vector->work, "c");
    if (c == NULL)
        return DDOME_OK;
    const nn_value *expected = set->one[i].expected;
    if (c->type != NN_VALUE_F32 || c->f32 == NULL || c->rank != 2 ||
        c->shape[0] != expected->shape[0] || c->shape[1] != expected->shape[1])
        return nn_fail(error, DDOME_ERR_DATA,
                       "%.200s: %s: expected c as F32 [%lu,%lu] with its elements", path, ids[i],
                       (unsigned long)expected->shape[0], (unsigned long)expected->shape[1]);
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
    const nn_value *answer[CASES];
    const probe_order *fit[ORDERS]; /* those that a tree may give */
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
    explain_item item[ORDERS];
    nn_value got[ORDERS];
    explain_call call = {.t = t, .noun = "vector", .item = item, .singles_only = true};
    const char *before = "";
    memset(item, 0, sizeof item);
    for (size_t i = 0; i < ORDERS; i++) {
        if (r->answer[i] == NULL)
            continue;
        got[call.count] = *r->answer[i];
        item[call.count].id = ids[i];
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
    if (r->answer[CASES - 1] == NULL)
        return;
    const probe_fusion fusion = probe_fused_take(r->answer[CASES - 1]->f32);
    fl_text_add(&t->text, "products   %s\n", lines[fusion]);
    tool_json_string(t, "fma", words[fusion]);
}

ddome_status tool_probe_read(ddome_error *error, tool *t)
{
    probe_set set;
    reading r;
    data_vectors vectors, answers;
    memset(&r, 0, sizeof r);
    ddome_status status = make_set(error, &t->arena, &set);
    if (status == DDOME_OK)
        status = data_vectors_read(error, &t->arena, &vectors, t->words[0]);
    if (status == DDOME_OK)
        status = check_file(error, &set, &vectors, t->words[0]);
    if (status == DDOME_OK)
        status = data_vectors_read(error, &t->arena, &answers, t->words[1]);
    for (size_t i = 0; status == DDOME_OK && i < CASES; i++)
        status = find_answer(error, &r.answer[i], &set, &answers, t->words[1], i);
    for (size_t i = 0; status == DDOME_OK && i < ORDERS; i++)
        status = read_order(error, t, &set, &r, i);
    if (status == DDOME_OK)
        status = add_name(error, t, &r);
    if (status == DDOME_OK)
        status = add_deviations(error, t, &set, &r);
    if (status == DDOME_OK)
        add_fusion(t, &r);
    return status;
}

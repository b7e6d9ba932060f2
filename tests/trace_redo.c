/* SPDX-License-Identifier: MIT */
/* Operations of a trace once more from their traced inputs, on tapes of one operation that nobody
 * watches, by the optimiser, and for averages by hand. */
#include <stdlib.h>
#include <string.h>

#include "../fl/gate.h"
#include "../nn/hash.h"
#include "../nn/optim.h"
#include "fixture.h"
#include "trace_fixture.h"

typedef struct redo {
    const trace_file *file;
    const trace_event *event;
    nn_engine engine;
    nn_arena arena;
    ddome_error error;
    nn_graph graph;
} redo;

/* ---- values ---- */

/* The elements of a value and, as far as it has four sizes or two, its shape as a tensor. */
static float *value_of(redo *r, nn_tensor *x, const char *key)
{
    const trace_event *event = trace_file_find(r->file, key);
    const size_t none = r->file->tensors.count;
    size_t at = 0;
    while (at < none && strcmp(r->file->tensors.tensor[at].name, key) != 0)
        at++;
    if (!test_check(event != NULL && at < none, __FILE__, __LINE__, "%s has no tensor", key))
        return NULL;
    const data_safetensor *tensor = &r->file->tensors.tensor[at];
    float *data = nn_arena_alloc(&r->arena, tensor->byte_count, 1);
    for (size_t i = 0; i < tensor->byte_count / 4; i++) {
        const unsigned char *b = tensor->bytes + 4 * i;
        data[i] = nn_float_from_bits((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                                     (uint32_t)b[3] << 24);
    }
    const size_t n = tensor->rank == 0 ? 1 : (size_t)tensor->shape[0];
    *x = (nn_tensor){data, n, 1, 1, n == 0 ? 0 : tensor->byte_count / 4 / n};
    if (tensor->rank == 4) {
        x->h = (size_t)tensor->shape[1];
        x->w = (size_t)tensor->shape[2];
        x->c = (size_t)tensor->shape[3];
    }
    return data;
}

static float *input(redo *r, nn_tensor *x, const char *name)
{
    return value_of(r, x, trace_event_input(r->event, name));
}

static uint32_t *integers(redo *r, const char *name)
{
    nn_tensor x;
    float *data = input(r, &x, name);
    uint32_t *out = nn_arena_alloc(&r->arena, nn_tensor_count(&x), sizeof *out);
    for (size_t i = 0; i < nn_tensor_count(&x); i++)
        out[i] = nn_float_bits(data[i]);
    return out;
}

static size_t attribute(const redo *r, const char *name)
{
    uint64_t value = 0;
    const data_json_value *all = data_json_member(r->event->json, "attributes");
    CHECK(all != NULL && data_json_u64(&value, data_json_member(all, name)));
    return (size_t)value;
}

/* A scalar that stands in the line itself. */
static float scalar(const redo *r, const char *name)
{
    const data_json_value *value =
        data_json_member(data_json_member(r->event->json, "inputs"), name);
    uint32_t bits = 0;
    for (const char *digit = data_json_member(value, "words")->text; *digit != '\0'; digit++)
        bits = bits << 4 | (uint32_t)(*digit <= '9' ? *digit - '0' : *digit - 'a' + 10);
    return nn_float_from_bits(bits);
}

static bool is(const redo *r, const char *op, const char *tensor)
{
    return strcmp(trace_event_text(r->event, "op"), op) == 0 &&
           (tensor == NULL || strcmp(trace_event_text(r->event, "tensor"), tensor) == 0);
}

static void same(const redo *r, const float *values, size_t count)
{
    char hex[NN_HEX_BYTES];
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    nn_sha256_floats(&sha, values, count);
    const nn_digest digest = nn_sha256_end(&sha);
    nn_digest_hex(hex, &digest);
    test_same_text(r->event->key, trace_event_text(r->event, "sha256"), hex);
}

/* ---- operations ---- */

/* Inputs by name, all of them, and the same operation; the outputs of batch-norm's statistics too.
 */
static void redo_forward(redo *r, nn_op op, const char *const *names, nn_attr *attr)
{
    nn_node *inputs[4];
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        nn_tensor x;
        if (input(r, &x, names[count]) == NULL)
            return;
        inputs[count] = nn_graph_leaf(&r->graph, &x, NULL);
    }
    const nn_node *y = nn_graph_apply(&r->graph, op, inputs, count, attr);
    if (!test_status(r->event->key, r->graph.status, DDOME_OK, &r->error, NULL))
        return;
    const char *tensor = trace_event_text(r->event, "tensor");
    if (strcmp(tensor, "running_mean") == 0)
        same(r, attr->running_mean, y->value.c);
    else if (strcmp(tensor, "running_var") == 0)
        same(r, attr->running_var, y->value.c);
    else
        same(r, y->value.data, nn_tensor_count(&y->value));
}

static void redo_mixture(redo *r, nn_op op)
{
    nn_node *inputs[3];
    static const char *const names[] = {"gate", "z0", "z1"};
    size_t count = 0;
    for (; count < 3 && trace_event_input(r->event, names[count])[0] != '\0'; count++) {
        nn_tensor x;
        input(r, &x, names[count]);
        inputs[count] = nn_graph_leaf(&r->graph, &x, NULL);
    }
    const nn_node *y = nn_graph_mixture(&r->graph, inputs[0], inputs + 1, integers(r, "chosen"),
                                        count - 1, op == NN_OP_MIXTURE_PROBS);
    if (test_status(r->event->key, r->graph.status, DDOME_OK, &r->error, NULL))
        same(r, y->value.data, nn_tensor_count(&y->value));
}

static void redo_conv_gradient(redo *r, bool weight)
{
    nn_tensor dy, other;
    const float *d = input(r, &dy, "dy"), *o = input(r, &other, weight ? "x" : "w");
    nn_conv_shape s = {.n = dy.n, .oc = dy.c, .oh = dy.h, .ow = dy.w};
    s.stride = attribute(r, "stride");
    s.pad = attribute(r, "pad");
    s.h = weight ? other.h : attribute(r, "h");
    s.w = weight ? other.w : attribute(r, "w");
    s.c = weight ? other.c : other.h; /* OIHW */
    s.kh = weight ? attribute(r, "kh") : other.w;
    s.kw = weight ? attribute(r, "kw") : other.c;
    const size_t count = weight ? s.oc * s.c * s.kh * s.kw : s.n * s.h * s.w * s.c;
    float *out = nn_arena_alloc(&r->arena, count, sizeof *out);
    const ddome_status status =
        weight ? nn_conv_backward_weight(&r->engine, &r->error, &r->arena, out, d, o, &s)
               : nn_conv_backward_input(&r->engine, &r->error, &r->arena, out, d, o, &s);
    if (test_status(r->event->key, status, DDOME_OK, &r->error, NULL))
        same(r, out, count);
}

/* One slice is a whole layout. */
static void redo_sgd(redo *r)
{
    nn_tensor w, g, v = {.data = NULL};
    const nn_sgd sgd = {scalar(r, "lr"), scalar(r, "momentum"), scalar(r, "weight_decay")};
    const bool first = attribute(r, "first") == 1;
    float *values = input(r, &w, "w");
    const float *grads = input(r, &g, "g");
    const size_t count = nn_tensor_count(&w);
    nn_slice slice = {.kind = NN_SLICE_TRAINED, .count = count};
    const nn_layout layout = {.slices = &slice, .count = 1, .total = count};
    float *velocity = first ? nn_arena_zero(&r->arena, count, sizeof *velocity) : NULL;
    if (trace_event_input(r->event, "v")[0] != '\0')
        velocity = input(r, &v, "v");
    nn_sgd_step(values, sgd.momentum == 0 ? NULL : velocity, grads, &layout, &sgd, first);
    same(r, is(r, "sgd", "v") ? velocity : values, count);
}

static void redo_average(redo *r)
{
    const data_json_value *inputs = data_json_member(r->event->json, "inputs");
    const data_json_value *copy = data_json_member(inputs, "copies")->child;
    char *words = nn_arena_string(
        &r->arena, data_json_member(data_json_member(inputs, "samples"), "words")->text);
    double sum[4096] = {0}, total = 0;
    float mean[4096];
    size_t count = 0;
    for (char *word = strtok(words, " "); word != NULL && copy != NULL;
         word = strtok(NULL, " "), copy = copy->next) {
        nn_tensor x;
        const float *values = value_of(r, &x, copy->text);
        const double n = attribute(r, "uniform") == 1 ? 1 : (double)strtoul(word, NULL, 10);
        count = nn_min(4096, nn_tensor_count(&x));
        for (size_t i = 0; i < count; i++) {
            const double product = n * (double)values[i];
            sum[i] = sum[i] + product;
        }
        total = total + n;
    }
    CHECK(copy == NULL);
    for (size_t i = 0; i < count; i++)
        mean[i] = (float)(sum[i] / total);
    if (count < 4096)
        same(r, mean, count);
}

static void redo_choice(redo *r)
{
    nn_tensor x;
    if (is(r, "score", NULL)) {
        const float *logits = input(r, &x, "logits");
        float score[NN_MAX_EXPERTS];
        CHECK(fl_gate_score(&r->error, &r->arena, score, logits, x.n, x.c) == DDOME_OK);
        same(r, score, x.c);
    } else {
        uint32_t chosen[NN_MAX_EXPERTS];
        float bits[NN_MAX_EXPERTS];
        const float *score = input(r, &x, "score");
        const size_t k = attribute(r, "k");
        fl_gate_top_k(chosen, score, x.n, k);
        for (size_t i = 0; i < k; i++)
            bits[i] = nn_float_from_bits(chosen[i]);
        same(r, bits, k);
    }
}

static void set_window(redo *r, nn_attr *attr, size_t kernel)
{
    attr->window.kh = attr->window.kw = kernel;
    attr->window.stride = attribute(r, "stride");
    attr->window.pad = attribute(r, "pad");
}

static void redo_batch_norm(redo *r)
{
    static const char *const names[] = {"x", "gamma", "beta", NULL};
    nn_tensor statistics;
    nn_attr attr = {.running_mean = input(r, &statistics, "running_mean"),
                    .running_var = input(r, &statistics, "running_var")};
    redo_forward(r, NN_OP_BATCH_NORM, names, &attr);
}

static void redo_windowed(redo *r)
{
    static const char *const conv[] = {"x", "w", NULL}, *const pool[] = {"x", NULL};
    nn_attr attr = {.groups = 0};
    nn_tensor w;
    if (is(r, "conv", NULL)) {
        input(r, &w, "w");
        set_window(r, &attr, w.c);
        redo_forward(r, NN_OP_CONV, conv, &attr);
    } else {
        set_window(r, &attr, attribute(r, "kernel"));
        redo_forward(r, NN_OP_MAX_POOL, pool, &attr);
    }
}

static void redo_loss(redo *r)
{
    static const char *const names[] = {"z", NULL};
    nn_attr attr = {.labels = integers(r, "labels")};
    redo_forward(r, NN_OP_CROSS_ENTROPY, names, &attr);
}

static void redo_group_norm(redo *r)
{
    static const char *const names[] = {"x", "gamma", "beta", NULL};
    nn_attr attr = {.groups = attribute(r, "groups")};
    redo_forward(r, NN_OP_GROUP_NORM, names, &attr);
}

/* Backward operations but those of convolution need what their forward pass keeps; they are left to
 * nn_variant_run. */
static void redo_event(redo *r)
{
    static const char *const one[] = {"x", NULL}, *const linear[] = {"x", "w", "b", NULL},
                             *const add[] = {"a", "b", NULL};
    if (is(r, "conv", NULL) || is(r, "max_pool", NULL))
        redo_windowed(r);
    else if (is(r, "conv.backward_weight", NULL) || is(r, "conv.backward_input", NULL))
        redo_conv_gradient(r, is(r, "conv.backward_weight", NULL));
    else if (is(r, "batch_norm", NULL))
        redo_batch_norm(r);
    else if (is(r, "group_norm", NULL))
        redo_group_norm(r);
    else if (is(r, "linear", NULL))
        redo_forward(r, NN_OP_LINEAR, linear, NULL);
    else if (is(r, "relu", NULL))
        redo_forward(r, NN_OP_RELU, one, NULL);
    else if (is(r, "avg_pool", NULL))
        redo_forward(r, NN_OP_AVG_POOL, one, NULL);
    else if (is(r, "add", NULL))
        redo_forward(r, NN_OP_ADD, add, NULL);
    else if (is(r, "mixture", NULL) || is(r, "mixture_probs", NULL))
        redo_mixture(r, is(r, "mixture", NULL) ? NN_OP_MIXTURE : NN_OP_MIXTURE_PROBS);
    else if (is(r, "cross_entropy", NULL))
        redo_loss(r);
    else if (is(r, "sgd", NULL))
        redo_sgd(r);
    else if (is(r, "average", NULL))
        redo_average(r);
    else if (is(r, "score", NULL) || is(r, "top_k", NULL))
        redo_choice(r);
}

void trace_file_redo(const trace_file *file)
{
    redo r = {.file = file, .engine = *test_engine()};
    r.engine.arith = file->arith;
    for (size_t i = 0; i < file->count; i++) {
        const nn_arena_mark mark = nn_arena_get_mark(&r.arena);
        r.event = &file->event[i];
        r.graph =
            (nn_graph){.engine = &r.engine, .arena = &r.arena, .error = &r.error, .training = true};
        redo_event(&r);
        nn_arena_rewind(&r.arena, mark);
    }
    nn_arena_free(&r.arena);
}

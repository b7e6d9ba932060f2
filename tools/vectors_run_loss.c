/* SPDX-License-Identifier: MIT */
/* Losses, mixtures, the optimiser step, the gate's choices, averages. SPEC 2.7, 5.14, 5.15, 6.7,
 * 10, 11.5. */
#include <stdio.h>
#include <string.h>

#include "../fl/gate.h"
#include "../fl/server.h"
#include "../nn/optim.h"
#include "vectors_run.h"

/* ---- softmax and its cross-entropy ---- */

static void run_softmax(vectors_work *w)
{
    const nn_value *z = vectors_in_f32(w, "z", 2);
    if (!vectors_need(w, z->shape[1] != 0, "a class"))
        return;
    float *p = vectors_out_as(w, "p", z);
    for (size_t i = 0; p != NULL && i < z->shape[0]; i++)
        nn_softmax(p + i * z->shape[1], z->f32 + i * z->shape[1], z->shape[1]);
}

static const nn_value *labels_of(vectors_work *w, const nn_value *z)
{
    const nn_value *labels = vectors_in(w, "labels", NN_VALUE_U32, 1, 1);
    vectors_need(w, labels->count == z->shape[0] && z->count != 0, "z[n,c] and labels[n]");
    for (size_t i = 0; w->status == DDOME_OK && i < labels->count; i++)
        vectors_need(w, labels->u32[i] < z->shape[1], "labels below c");
    return labels;
}

static void run_cross_entropy(vectors_work *w)
{
    const nn_value *z = vectors_in_f32(w, "z", 2), *labels = labels_of(w, z);
    float *loss = vectors_out_f32(w, "loss", 0, NULL), *rows = vectors_floats(w, z->shape[0]);
    if (w->status == DDOME_OK)
        *loss = nn_cross_entropy_forward(rows, z->f32, labels->u32, z->shape[0], z->shape[1]);
}

static void run_cross_entropy_backward(vectors_work *w)
{
    const nn_value *z = vectors_in_f32(w, "z", 2), *labels = labels_of(w, z);
    const float scale = vectors_in_scalar(w, "scale");
    float *dz = vectors_out_as(w, "dz", z);
    if (dz != NULL)
        nn_cross_entropy_backward(dz, z->f32, labels->u32, z->shape[0], z->shape[1], scale);
}

/* ---- mixture ---- */

typedef struct mixture {
    nn_mixture_shape shape;
    const nn_value *gate, *z[NN_MAX_EXPERTS];
    const float *logits[NN_MAX_EXPERTS];
} mixture;

static void take_logits(vectors_work *w, mixture *m, size_t i)
{
    char name[16];
    snprintf(name, sizeof name, "z%u", (unsigned)i);
    m->z[i] = vectors_in_f32(w, name, 2);
    m->logits[i] = m->z[i]->f32;
    vectors_need(w, m->z[i]->shape[0] == m->shape.n && m->z[i]->shape[1] == m->z[0]->shape[1],
                 "all z[n,c] of one shape");
    vectors_need(w,
                 m->shape.chosen != NULL && m->shape.chosen[i] < m->shape.experts &&
                     (i == 0 || m->shape.chosen[i - 1] < m->shape.chosen[i]),
                 "chosen ascending and below M");
}

static bool take_mixture(vectors_work *w, mixture *m)
{
    memset(m, 0, sizeof *m);
    m->gate = vectors_in_f32(w, "gate", 2);
    const nn_value *chosen = vectors_in(w, "chosen", NN_VALUE_U32, 1, 1);
    m->shape =
        (nn_mixture_shape){m->gate->shape[0], m->gate->shape[1], chosen->count, 0, chosen->u32};
    vectors_need(w, chosen->count >= 1 && m->shape.experts <= NN_MAX_EXPERTS && m->shape.n != 0,
                 "gate[n,M], 1 to M chosen, M at most 64");
    for (size_t i = 0; i < chosen->count && w->status == DDOME_OK; i++)
        take_logits(w, m, i);
    if (w->status == DDOME_OK)
        m->shape.classes = m->z[0]->shape[1];
    return vectors_need(w, m->shape.classes != 0, "a class");
}

typedef void forward_fn(float *z, const float *gate, const float *const *logits,
                        const nn_mixture_shape *shape);

static void run_forward(vectors_work *w, forward_fn *forward)
{
    mixture m;
    if (!take_mixture(w, &m))
        return;
    float *y = vectors_out_as(w, "y", m.z[0]);
    if (y != NULL)
        forward(y, m.gate->f32, m.logits, &m.shape);
}

static void run_mixture(vectors_work *w)
{
    run_forward(w, nn_mixture_forward);
}

static void run_mixture_probs(vectors_work *w)
{
    run_forward(w, nn_mixture_probs_forward);
}

/* dgate and dz0 .. dz(K-1); what the outputs are called lives in the arena. */
static bool new_gradients(vectors_work *w, const mixture *m, float **dgate, float **dz)
{
    *dgate = vectors_out_as(w, "dgate", m->gate);
    for (size_t i = 0; i < m->shape.k && w->status == DDOME_OK; i++) {
        char name[16];
        snprintf(name, sizeof name, "dz%u", (unsigned)i);
        char *kept = nn_arena_string(w->arena, name);
        if (kept == NULL)
            vectors_took(w, nn_arena_fail(w->error, w->arena, "a name"));
        dz[i] = vectors_out_as(w, kept, m->z[i]);
    }
    return w->status == DDOME_OK;
}

static void run_backward(vectors_work *w, bool probs)
{
    mixture m;
    float *dgate, *dz[NN_MAX_EXPERTS];
    const nn_value *dy = vectors_in_f32(w, "dy", 2);
    if (!take_mixture(w, &m) ||
        !vectors_need(w, dy->count == m.z[0]->count, "dy of the shape of z0") ||
        !new_gradients(w, &m, &dgate, dz))
        return;
    float *z = vectors_floats(w, dy->count);
    if (z == NULL)
        return;
    if (!probs) {
        nn_mixture_backward(dgate, dz, dy->f32, m.gate->f32, m.logits, &m.shape);
        return;
    }
    nn_mixture_probs_forward(z, m.gate->f32, m.logits, &m.shape);
    nn_mixture_probs_backward(dgate, dz, dy->f32, z, m.gate->f32, m.logits, &m.shape);
}

static void run_mixture_backward(vectors_work *w)
{
    run_backward(w, false);
}

static void run_mixture_probs_backward(vectors_work *w)
{
    run_backward(w, true);
}

/* ---- the optimiser ---- */

static void run_sgd(vectors_work *w)
{
    const nn_value *start = vectors_in_f32(w, "w", 1), *g = vectors_in_f32(w, "g", 1);
    const nn_value *velocity = vectors_in_f32(w, "v", 1);
    const bool first = vectors_attribute(w, "first", 0, 1) == 1;
    const float lr = vectors_in_scalar(w, "lr"), momentum = vectors_in_scalar(w, "momentum");
    const nn_sgd sgd = {lr, momentum, vectors_in_scalar(w, "weight_decay")};
    if (!vectors_need(w, start->count == g->count && start->count == velocity->count,
                      "w, g and v of one length"))
        return;
    float *values = vectors_out_as(w, "w", start), *v = vectors_out_as(w, "v", velocity);
    if (w->status != DDOME_OK)
        return;
    memcpy(values, start->f32, start->count * sizeof *values);
    memcpy(v, velocity->f32, start->count * sizeof *v);
    nn_slice slice = {.name = "w", .kind = NN_SLICE_TRAINED, .count = start->count};
    const nn_layout layout = {
        .slices = &slice, .count = 1, .total = start->count, .trained = start->count};
    /* without momentum a run keeps no velocity */
    nn_sgd_step(values, momentum == 0 ? NULL : v, g->f32, &layout, &sgd, first);
}

/* ---- the gate's choices ---- */

static void run_score(vectors_work *w)
{
    const nn_value *logits = vectors_in_f32(w, "logits", 2);
    const size_t experts = logits->shape[1];
    if (!vectors_need(w, logits->count != 0 && experts <= NN_MAX_EXPERTS,
                      "logits[n,M], M at most 64"))
        return;
    float *score = vectors_out_f32(w, "score", 1, &experts);
    if (score != NULL)
        vectors_took(
            w, fl_gate_score(w->error, w->arena, score, logits->f32, logits->shape[0], experts));
}

static void run_top_k(vectors_work *w)
{
    const nn_value *score = vectors_in_f32(w, "score", 1);
    const size_t k = (size_t)vectors_attribute(w, "k", 1, NN_MAX_EXPERTS);
    if (!vectors_need(w, k <= score->count && score->count <= NN_MAX_EXPERTS, "k of at most M"))
        return;
    uint32_t *chosen = vectors_out_u32(w, "chosen", 1, &k);
    if (chosen != NULL)
        fl_gate_top_k(chosen, score->f32, score->count, k);
}

static void run_argmax(vectors_work *w)
{
    const nn_value *z = vectors_in_f32(w, "z", 2);
    if (!vectors_need(w, z->shape[1] != 0, "a class"))
        return;
    uint32_t *index = vectors_out_u32(w, "index", 1, z->shape);
    for (size_t i = 0; index != NULL && i < z->shape[0]; i++)
        index[i] = (uint32_t)fl_argmax(z->f32 + i * z->shape[1], z->shape[1]);
}

/* ---- averages ---- */

/* A server of one expert that is one slice. */
static void run_average(vectors_work *w)
{
    const nn_value *copies = vectors_in_f32(w, "copies", 2);
    const nn_value *samples = vectors_in(w, "samples", NN_VALUE_U32, 1, 1);
    const bool uniform = vectors_attribute(w, "uniform", 0, 1) == 1;
    const size_t k = copies->shape[0], n = copies->shape[1];
    if (!vectors_need(w, k == samples->count && k != 0, "copies[k,n] and samples[k]"))
        return;
    fl_config config;
    fl_server server;
    fl_config_defaults(&config);
    config.aggregate = uniform ? FL_AGGREGATE_UNIFORM : FL_AGGREGATE_SAMPLES;
    nn_slice slice = {.name = "w", .kind = NN_SLICE_TRAINED, .init = NN_INIT_ZERO, .count = n};
    const fl_model model = {.layout = {.slices = &slice, .count = 1, .total = n, .trained = n}};
    float *out = vectors_out_f32(w, "w", 1, &n);
    float *copy = vectors_floats(w, n);
    if (w->status != DDOME_OK)
        return;
    vectors_took(w, fl_server_init(w->error, w->arena, &server, &config, &model, NULL, NULL, 1));
    if (w->status == DDOME_OK)
        fl_server_open_round(&server);
    for (size_t i = 0; i < k && w->status == DDOME_OK; i++) {
        const data_client client = {(uint32_t)i, DATA_NORMAL, samples->u32[i], NULL};
        const fl_visit visit = {.client = &client, .k = 1, .expert = {copy}};
        memcpy(copy, copies->f32 + i * n, n * sizeof *copy);
        vectors_took(w, fl_server_take(w->error, &server, &visit));
    }
    if (w->status == DDOME_OK)
        vectors_took(w, fl_server_average(w->error, &server));
    if (w->status == DDOME_OK)
        memcpy(out, server.expert[0].values, n * sizeof *out);
}

const vectors_op vectors_ops_loss[] = {{"softmax", run_softmax},
                                       {"cross_entropy", run_cross_entropy},
                                       {"cross_entropy.backward", run_cross_entropy_backward},
                                       {"mixture", run_mixture},
                                       {"mixture_probs", run_mixture_probs},
                                       {"mixture.backward", run_mixture_backward},
                                       {"mixture_probs.backward", run_mixture_probs_backward},
                                       {"sgd", run_sgd},
                                       {"score", run_score},
                                       {"top_k", run_top_k},
                                       {"argmax", run_argmax},
                                       {"average", run_average},
                                       {NULL, NULL}};

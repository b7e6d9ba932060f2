/* SPDX-License-Identifier: MIT */
/* Normalisations, ReLU, addition, pools. SPEC 5.6 to 5.13. */
#include <string.h>

#include "../nn/act.h"
#include "../nn/norm.h"
#include "../nn/pool.h"
#include "vectors_run.h"

/* The functions take a tensor they may not write to but through other names. */
static nn_tensor tensor_of(vectors_work *w, const nn_value *x)
{
    nn_tensor t = {vectors_floats(w, x->count), x->shape[0], x->shape[1], x->shape[2], x->shape[3]};
    vectors_need(w, x->count != 0, "no size of 0");
    if (w->status == DDOME_OK)
        memcpy(t.data, x->f32, x->count * sizeof *t.data);
    return t;
}

static float *copy_of(vectors_work *w, const nn_value *x)
{
    float *copy = vectors_floats(w, x->count);
    if (w->status == DDOME_OK)
        memcpy(copy, x->f32, x->count * sizeof *copy);
    return copy;
}

/* One entry a channel. */
static const nn_value *channels(vectors_work *w, const char *name, const nn_value *x)
{
    const nn_value *value = vectors_in_f32(w, name, 1);
    vectors_need(w, value->count == x->shape[3], "one entry a channel");
    return value;
}

static nn_norm_saved room(vectors_work *w, size_t count)
{
    nn_norm_saved saved = {vectors_floats(w, count), vectors_floats(w, count)};
    return saved;
}

/* ---- batch-norm ---- */

static void run_batch_norm(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4), *gamma = channels(w, "gamma", x);
    const nn_value *beta = channels(w, "beta", x), *mean = channels(w, "running_mean", x);
    const nn_value *var = channels(w, "running_var", x);
    const nn_tensor t = tensor_of(w, x);
    nn_norm_saved saved = room(w, x->shape[3]);
    float *y = vectors_out_as(w, "y", x);
    float *new_mean = vectors_out_as(w, "running_mean", mean);
    float *new_var = vectors_out_as(w, "running_var", var);
    if (w->status != DDOME_OK)
        return;
    const nn_batch_norm norm = {gamma->f32, beta->f32, NULL, false};
    memcpy(new_mean, mean->f32, mean->count * sizeof *new_mean);
    memcpy(new_var, var->f32, var->count * sizeof *new_var);
    vectors_took(w, nn_batch_norm_train(&w->engine, w->error, w->arena, y, &saved, new_mean,
                                        new_var, &t, &norm));
}

static void run_batch_norm_evaluate(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4), *gamma = channels(w, "gamma", x);
    const nn_value *beta = channels(w, "beta", x), *mean = channels(w, "running_mean", x);
    const nn_value *var = channels(w, "running_var", x);
    const nn_tensor t = tensor_of(w, x);
    float *y = vectors_out_as(w, "y", x);
    if (w->status != DDOME_OK)
        return;
    const nn_batch_norm norm = {gamma->f32, beta->f32, NULL, false};
    vectors_took(
        w, nn_batch_norm_eval(&w->engine, w->error, w->arena, y, &t, &norm, mean->f32, var->f32));
}

/* The statistics come from a forward pass. */
static void run_batch_norm_backward(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4), *gamma = channels(w, "gamma", x);
    const nn_value *dy = vectors_in_f32(w, "dy", 4);
    if (!vectors_need(w, dy->count == x->count, "x and dy of one shape"))
        return;
    const nn_tensor t = tensor_of(w, x);
    nn_norm_saved saved = room(w, x->shape[3]), running = room(w, x->shape[3]);
    float *y = vectors_floats(w, x->count), *gradient = copy_of(w, dy);
    float *dx = vectors_out_as(w, "dx", x);
    float *dgamma = vectors_out_as(w, "dgamma", gamma), *dbeta = vectors_out_as(w, "dbeta", gamma);
    if (w->status != DDOME_OK)
        return;
    const nn_batch_norm norm = {gamma->f32, gamma->f32, NULL, false};
    vectors_took(w, nn_batch_norm_train(&w->engine, w->error, w->arena, y, &saved, running.mean,
                                        running.rstd, &t, &norm));
    vectors_took(w, nn_batch_norm_backward(&w->engine, w->error, w->arena, dx, dgamma, dbeta,
                                           gradient, NULL, &t, gamma->f32, &saved));
}

/* ---- group-norm ---- */

static size_t groups_of(vectors_work *w, const nn_value *x)
{
    const size_t groups = (size_t)vectors_attribute(w, "groups", 1, VECTORS_MOST);
    vectors_need(w, x->shape[3] % groups == 0, "groups that divide the channels");
    return groups;
}

static void run_group_norm(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4), *gamma = channels(w, "gamma", x);
    const nn_value *beta = channels(w, "beta", x);
    const size_t groups = groups_of(w, x);
    const nn_tensor t = tensor_of(w, x);
    nn_norm_saved saved = room(w, x->shape[0] * groups);
    float *y = vectors_out_as(w, "y", x);
    if (w->status == DDOME_OK)
        nn_group_norm_forward(y, &saved, &t, gamma->f32, beta->f32, groups);
}

static void run_group_norm_backward(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4), *gamma = channels(w, "gamma", x);
    const nn_value *dy = vectors_in_f32(w, "dy", 4);
    const size_t groups = groups_of(w, x);
    if (!vectors_need(w, dy->count == x->count, "x and dy of one shape"))
        return;
    const nn_tensor t = tensor_of(w, x);
    nn_norm_saved saved = room(w, x->shape[0] * groups);
    float *y = vectors_floats(w, x->count), *dx = vectors_out_as(w, "dx", x);
    float *dgamma = vectors_out_as(w, "dgamma", gamma), *dbeta = vectors_out_as(w, "dbeta", gamma);
    if (w->status != DDOME_OK)
        return;
    nn_group_norm_forward(y, &saved, &t, gamma->f32, gamma->f32, groups);
    vectors_took(w, nn_group_norm_backward(w->error, w->arena, dx, dgamma, dbeta, dy->f32, &t,
                                           gamma->f32, &saved, groups));
}

/* ---- ReLU, addition ---- */

/* Any shape. */
static const nn_value *any(vectors_work *w, const char *name)
{
    return vectors_in(w, name, NN_VALUE_F32, 0, NN_VALUE_RANK);
}

static void run_relu(vectors_work *w)
{
    const nn_value *x = any(w, "x");
    float *y = vectors_out_as(w, "y", x);
    if (y != NULL)
        nn_relu_forward(&w->engine, y, x->f32, x->count);
}

static void run_relu_backward(vectors_work *w)
{
    const nn_value *y = any(w, "y"), *dy = any(w, "dy");
    if (!vectors_need(w, y->count == dy->count, "y and dy of one shape"))
        return;
    float *dx = vectors_out_as(w, "dx", y);
    if (dx != NULL)
        nn_relu_backward(&w->engine, dx, dy->f32, y->f32, y->count);
}

static void run_add(vectors_work *w)
{
    const nn_value *a = any(w, "a"), *b = any(w, "b");
    if (!vectors_need(w, a->count == b->count, "a and b of one shape"))
        return;
    float *y = vectors_out_as(w, "y", a);
    if (y != NULL)
        nn_add(&w->engine, y, a->f32, b->f32, a->count);
}

/* ---- pools ---- */

static nn_conv_shape pool_window(vectors_work *w, const nn_value *x)
{
    nn_conv_shape s = {.n = x->shape[0],
                       .h = x->shape[1],
                       .w = x->shape[2],
                       .c = x->shape[3],
                       .oc = x->shape[3],
                       .stride = (size_t)vectors_attribute(w, "stride", 1, 4096),
                       .pad = (size_t)vectors_attribute(w, "pad", 0, 4096)};
    s.kh = s.kw = (size_t)vectors_attribute(w, "kernel", 1, 4096);
    vectors_need(w, s.pad < s.kh && nn_conv_output(&s), "a window that fits");
    return s;
}

static void run_max_pool(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4);
    const nn_conv_shape s = pool_window(w, x);
    const size_t shape[] = {s.n, s.oh, s.ow, s.c};
    float *y = vectors_out_f32(w, "y", 4, shape);
    uint32_t *choice = nn_arena_alloc(w->arena, s.n * s.oh * s.ow * s.c, sizeof *choice);
    if (choice == NULL)
        vectors_took(w, nn_arena_fail(w->error, w->arena, "positions"));
    if (w->status == DDOME_OK)
        nn_max_pool_forward(y, choice, x->f32, &s);
}

static void run_max_pool_backward(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4), *dy = vectors_in_f32(w, "dy", 4);
    const nn_conv_shape s = pool_window(w, x);
    if (!vectors_need(w,
                      dy->shape[0] == s.n && dy->shape[1] == s.oh && dy->shape[2] == s.ow &&
                          dy->shape[3] == s.c,
                      "dy of the output's shape"))
        return;
    float *dx = vectors_out_as(w, "dx", x), *y = vectors_floats(w, dy->count);
    uint32_t *choice = nn_arena_alloc(w->arena, dy->count, sizeof *choice);
    if (choice == NULL)
        vectors_took(w, nn_arena_fail(w->error, w->arena, "positions"));
    if (w->status != DDOME_OK)
        return;
    nn_max_pool_forward(y, choice, x->f32, &s);
    nn_max_pool_backward(dx, dy->f32, choice, &s);
}

static void run_avg_pool(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4);
    const nn_tensor t = tensor_of(w, x);
    const size_t shape[] = {t.n, t.c};
    float *y = vectors_out_f32(w, "y", 2, shape), *block = vectors_floats(w, t.c);
    if (w->status == DDOME_OK)
        nn_avg_pool_forward(y, block, &t);
}

static void run_avg_pool_backward(vectors_work *w)
{
    const nn_value *dy = vectors_in_f32(w, "dy", 2);
    const size_t shape[] = {dy->shape[0], (size_t)vectors_attribute(w, "h", 1, VECTORS_MOST),
                            (size_t)vectors_attribute(w, "w", 1, VECTORS_MOST), dy->shape[1]};
    nn_tensor dx = {NULL, shape[0], shape[1], shape[2], shape[3]};
    dx.data = vectors_out_f32(w, "dx", 4, shape);
    if (dx.data != NULL)
        nn_avg_pool_backward(&dx, dy->f32);
}

const vectors_op vectors_ops_layers[] = {{"batch_norm", run_batch_norm},
                                         {"batch_norm.evaluate", run_batch_norm_evaluate},
                                         {"batch_norm.backward", run_batch_norm_backward},
                                         {"group_norm", run_group_norm},
                                         {"group_norm.backward", run_group_norm_backward},
                                         {"relu", run_relu},
                                         {"relu.backward", run_relu_backward},
                                         {"add", run_add},
                                         {"max_pool", run_max_pool},
                                         {"max_pool.backward", run_max_pool_backward},
                                         {"avg_pool", run_avg_pool},
                                         {"avg_pool.backward", run_avg_pool_backward},
                                         {NULL, NULL}};

/* SPDX-License-Identifier: MIT */
/* Sums, matrix products, linear layers, convolutions. SPEC 2.4, 5.1 to 5.5. */
#include "../nn/conv.h"
#include "../nn/linear.h"
#include "../nn/sum.h"
#include "vectors_run.h"

static void run_sum(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 1);
    float *total = vectors_out_f32(w, "total", 0, NULL);
    if (total != NULL)
        *total = nn_sum(x->f32, x->count);
}

static void run_matmul(vectors_work *w)
{
    const nn_value *a = vectors_in_f32(w, "a", 2), *b = vectors_in_f32(w, "b", 2);
    const nn_gemm_shape s = {a->shape[0], b->shape[1], a->shape[1]};
    const size_t shape[] = {s.m, s.n};
    if (!vectors_need(w, s.k == b->shape[0] && s.m != 0 && s.n != 0 && s.k != 0,
                      "a[m,k] and b[k,n], none of them 0"))
        return;
    float *c = vectors_out_f32(w, "c", 2, shape);
    if (c != NULL)
        vectors_took(w, nn_gemm(&w->engine, w->error, w->arena, c, a->f32, b->f32, &s, NN_GEMM_NN));
}

/* ---- linear ---- */

static nn_linear_shape linear_shape(vectors_work *w, const nn_value *x, const nn_value *weight)
{
    const nn_linear_shape s = {x->shape[0], x->shape[1], weight->shape[0]};
    vectors_need(w, s.in == weight->shape[1] && s.n != 0 && s.in != 0 && s.out != 0,
                 "x[n,i] and w[o,i], none of them 0");
    return s;
}

static void run_linear(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 2), *weight = vectors_in_f32(w, "w", 2);
    const nn_value *b = vectors_in_f32(w, "b", 1);
    const nn_linear_shape s = linear_shape(w, x, weight);
    const size_t shape[] = {s.n, s.out};
    if (!vectors_need(w, b->count == s.out, "b[o]"))
        return;
    float *y = vectors_out_f32(w, "y", 2, shape);
    if (y != NULL)
        vectors_took(w, nn_linear_forward(&w->engine, w->error, w->arena, y, x->f32, weight->f32,
                                          b->f32, &s));
}

static void run_linear_backward(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 2), *weight = vectors_in_f32(w, "w", 2);
    const nn_value *dy = vectors_in_f32(w, "dy", 2);
    const nn_linear_shape s = linear_shape(w, x, weight);
    if (!vectors_need(w, dy->shape[0] == s.n && dy->shape[1] == s.out, "dy[n,o]"))
        return;
    float *dx = vectors_out_as(w, "dx", x), *dw = vectors_out_as(w, "dw", weight);
    float *db = vectors_out_f32(w, "db", 1, &s.out), *block = vectors_floats(w, s.out);
    if (w->status != DDOME_OK)
        return;
    vectors_took(
        w, nn_linear_backward_input(&w->engine, w->error, w->arena, dx, dy->f32, weight->f32, &s));
    vectors_took(
        w, nn_linear_backward_weight(&w->engine, w->error, w->arena, dw, dy->f32, x->f32, &s));
    nn_linear_backward_bias(db, block, dy->f32, &s);
}

/* ---- convolution ---- */

/* What all three directions know by attributes. */
static nn_conv_shape window(vectors_work *w)
{
    const nn_conv_shape s = {.stride = (size_t)vectors_attribute(w, "stride", 1, 4096),
                             .pad = (size_t)vectors_attribute(w, "pad", 0, 4096)};
    return s;
}

static void take_weight(nn_conv_shape *s, const nn_value *weight)
{
    s->oc = weight->shape[0];
    s->c = weight->shape[1];
    s->kh = weight->shape[2];
    s->kw = weight->shape[3];
}

static void take_image(nn_conv_shape *s, const nn_value *x)
{
    s->n = x->shape[0];
    s->h = x->shape[1];
    s->w = x->shape[2];
    s->c = x->shape[3];
}

static bool has_output(nn_conv_shape *s, const nn_value *dy)
{
    return nn_conv_output(s) && dy->shape[0] == s->n && dy->shape[1] == s->oh &&
           dy->shape[2] == s->ow && dy->shape[3] == s->oc;
}

static void run_conv(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4), *weight = vectors_in_f32(w, "w", 4);
    nn_conv_shape s = window(w);
    take_weight(&s, weight);
    take_image(&s, x);
    if (!vectors_need(w, s.c == weight->shape[1] && nn_conv_output(&s),
                      "x[n,h,w,c] and w[oc,c,kh,kw] that fit"))
        return;
    const size_t shape[] = {s.n, s.oh, s.ow, s.oc};
    float *y = vectors_out_f32(w, "y", 4, shape);
    if (y != NULL)
        vectors_took(w,
                     nn_conv_forward(&w->engine, w->error, w->arena, y, x->f32, weight->f32, &s));
}

static void run_conv_input(vectors_work *w)
{
    const nn_value *weight = vectors_in_f32(w, "w", 4), *dy = vectors_in_f32(w, "dy", 4);
    nn_conv_shape s = window(w);
    take_weight(&s, weight);
    s.n = dy->shape[0];
    s.h = (size_t)vectors_attribute(w, "h", 1, VECTORS_MOST);
    s.w = (size_t)vectors_attribute(w, "w", 1, VECTORS_MOST);
    if (!vectors_need(w, has_output(&s, dy), "w[oc,c,kh,kw] and dy[n,oh,ow,oc] that fit"))
        return;
    const size_t shape[] = {s.n, s.h, s.w, s.c};
    float *dx = vectors_out_f32(w, "dx", 4, shape);
    if (dx != NULL)
        vectors_took(w, nn_conv_backward_input(&w->engine, w->error, w->arena, dx, dy->f32,
                                               weight->f32, &s));
}

static void run_conv_weight(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 4), *dy = vectors_in_f32(w, "dy", 4);
    nn_conv_shape s = window(w);
    take_image(&s, x);
    s.oc = dy->shape[3];
    s.kh = (size_t)vectors_attribute(w, "kh", 1, 4096);
    s.kw = (size_t)vectors_attribute(w, "kw", 1, 4096);
    if (!vectors_need(w, has_output(&s, dy), "x[n,h,w,c] and dy[n,oh,ow,oc] that fit"))
        return;
    const size_t shape[] = {s.oc, s.c, s.kh, s.kw};
    float *dw = vectors_out_f32(w, "dw", 4, shape);
    if (dw != NULL)
        vectors_took(
            w, nn_conv_backward_weight(&w->engine, w->error, w->arena, dw, dy->f32, x->f32, &s));
}

const vectors_op vectors_ops_sums[] = {{"sum", run_sum},
                                       {"matmul", run_matmul},
                                       {"linear", run_linear},
                                       {"linear.backward", run_linear_backward},
                                       {"conv", run_conv},
                                       {"conv.backward_input", run_conv_input},
                                       {"conv.backward_weight", run_conv_weight},
                                       {NULL, NULL}};

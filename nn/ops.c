/* SPDX-License-Identifier: MIT */
/* The op table: name, formula, shape rule, forward and backward of every operation of a tape. The
 * arithmetic stands in the files of the operations; here is only what connects it to nodes. SPEC 5.
 */
#include "graph.h"

#include <string.h>

#include "act.h"
#include "linear.h"
#include "pool.h"

static ddome_status no_memory(nn_graph *graph, const char *what)
{
    return nn_arena_fail(graph->error, graph->arena, what);
}

static void set_shape(nn_node *node, size_t n, size_t h, size_t w, size_t c)
{
    node->value = (nn_tensor){NULL, n, h, w, c};
}

static bool same_shape(const nn_tensor *a, const nn_tensor *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
}

static bool shape_as_input(nn_node *node)
{
    const nn_tensor *x = &node->inputs[0]->value;
    set_shape(node, x->n, x->h, x->w, x->c);
    return true;
}

static size_t per_sample(const nn_tensor *x)
{
    return x->h * x->w * x->c;
}

/* Delivers what `gradient` writes for input i, when that input wants it. */
static ddome_status pass_down(nn_graph *graph, nn_node *node, size_t i,
                              void (*gradient)(const nn_graph *graph, float *dx,
                                               const nn_node *node))
{
    nn_node *input = node->inputs[i];
    if (!input->wants_grad)
        return DDOME_OK;
    float *dx = nn_graph_grad_buffer(graph, input);
    if (dx == NULL)
        return no_memory(graph, "a gradient");
    gradient(graph, dx, node);
    nn_graph_grad_deliver(graph, input, dx);
    return DDOME_OK;
}

/* ---- conv ---- */

static bool conv_shape(nn_node *node)
{
    const nn_tensor *x = &node->inputs[0]->value, *w = &node->inputs[1]->value;
    nn_conv_shape *s = &node->attr.window;
    s->n = x->n;
    s->h = x->h;
    s->w = x->w;
    s->c = x->c;
    s->oc = w->n;
    if (per_sample(w) != s->c * s->kh * s->kw || !nn_conv_output(s))
        return false;
    set_shape(node, s->n, s->oh, s->ow, s->oc);
    return true;
}

static ddome_status conv_forward(nn_graph *graph, nn_node *node)
{
    return nn_conv_forward(graph->engine, graph->error, graph->arena, node->value.data,
                           node->inputs[0]->value.data, node->inputs[1]->value.data,
                           &node->attr.window);
}

static ddome_status conv_backward(nn_graph *graph, nn_node *node)
{
    nn_node *x = node->inputs[0], *w = node->inputs[1];
    ddome_status status = DDOME_OK;
    if (w->wants_grad) {
        float *dw = nn_graph_grad_buffer(graph, w);
        if (dw == NULL)
            return no_memory(graph, "a gradient");
        status = nn_conv_backward_weight(graph->engine, graph->error, graph->arena, dw, node->grad,
                                         x->value.data, &node->attr.window);
        if (status == DDOME_OK)
            nn_graph_grad_deliver(graph, w, dw);
    }
    if (status == DDOME_OK && x->wants_grad) {
        float *dx = nn_graph_grad_buffer(graph, x);
        if (dx == NULL)
            return no_memory(graph, "a gradient");
        status = nn_conv_backward_input(graph->engine, graph->error, graph->arena, dx, node->grad,
                                        w->value.data, &node->attr.window);
        if (status == DDOME_OK)
            nn_graph_grad_deliver(graph, x, dx);
    }
    return status;
}

/* ---- linear ---- */

static bool linear_shape(nn_node *node)
{
    const nn_tensor *x = &node->inputs[0]->value, *w = &node->inputs[1]->value,
                    *b = &node->inputs[2]->value;
    set_shape(node, x->n, 1, 1, w->n);
    return per_sample(w) == per_sample(x) && nn_tensor_count(b) == w->n;
}

static nn_linear_shape linear_sizes(const nn_node *node)
{
    const nn_linear_shape s = {node->value.n, per_sample(&node->inputs[0]->value), node->value.c};
    return s;
}

static ddome_status linear_forward(nn_graph *graph, nn_node *node)
{
    const nn_linear_shape s = linear_sizes(node);
    return nn_linear_forward(graph->engine, graph->error, graph->arena, node->value.data,
                             node->inputs[0]->value.data, node->inputs[1]->value.data,
                             node->inputs[2]->value.data, &s);
}

static ddome_status linear_backward_params(nn_graph *graph, nn_node *node)
{
    nn_node *x = node->inputs[0], *w = node->inputs[1], *b = node->inputs[2];
    const nn_linear_shape s = linear_sizes(node);
    float *dw = nn_graph_grad_buffer(graph, w), *db = nn_graph_grad_buffer(graph, b);
    float *block = nn_arena_alloc(graph->arena, s.out, sizeof *block);
    if (dw == NULL || db == NULL || block == NULL)
        return no_memory(graph, "a gradient");
    ddome_status status = nn_linear_backward_weight(graph->engine, graph->error, graph->arena, dw,
                                                    node->grad, x->value.data, &s);
    if (status != DDOME_OK)
        return status;
    nn_linear_backward_bias(db, block, node->grad, &s);
    nn_graph_grad_deliver(graph, w, dw);
    nn_graph_grad_deliver(graph, b, db);
    return DDOME_OK;
}

static ddome_status linear_backward_input(nn_graph *graph, nn_node *node)
{
    nn_node *x = node->inputs[0];
    const nn_linear_shape s = linear_sizes(node);
    float *dx = nn_graph_grad_buffer(graph, x);
    if (dx == NULL)
        return no_memory(graph, "a gradient");
    ddome_status status = nn_linear_backward_input(graph->engine, graph->error, graph->arena, dx,
                                                   node->grad, node->inputs[1]->value.data, &s);
    if (status == DDOME_OK)
        nn_graph_grad_deliver(graph, x, dx);
    return status;
}

static ddome_status linear_backward(nn_graph *graph, nn_node *node)
{
    ddome_status status = DDOME_OK;
    if (node->inputs[1]->wants_grad || node->inputs[2]->wants_grad)
        status = linear_backward_params(graph, node);
    if (status == DDOME_OK && node->inputs[0]->wants_grad)
        status = linear_backward_input(graph, node);
    return status;
}

/* ---- normalisation ---- */

static bool save_statistics(nn_graph *graph, nn_node *node, size_t count)
{
    node->saved.mean = nn_arena_alloc(graph->arena, count, sizeof(float));
    node->saved.rstd = nn_arena_alloc(graph->arena, count, sizeof(float));
    return node->saved.mean != NULL && node->saved.rstd != NULL;
}

static bool norm_shape(nn_node *node)
{
    const size_t c = node->inputs[0]->value.c;
    return shape_as_input(node) && nn_tensor_count(&node->inputs[1]->value) == c &&
           nn_tensor_count(&node->inputs[2]->value) == c;
}

static bool batch_norm_shape(nn_node *node)
{
    if (node->input_count == 3)
        return norm_shape(node);
    return norm_shape(node) && same_shape(&node->inputs[0]->value, &node->inputs[3]->value);
}

static nn_batch_norm batch_norm_of(const nn_node *node)
{
    const nn_batch_norm norm = {node->inputs[1]->value.data, node->inputs[2]->value.data,
                                node->input_count == 4 ? node->inputs[3]->value.data : NULL,
                                node->attr.relu};
    return norm;
}

static ddome_status batch_norm_forward(nn_graph *graph, nn_node *node)
{
    const nn_tensor *x = &node->inputs[0]->value;
    const nn_batch_norm norm = batch_norm_of(node);
    const nn_attr *attr = &node->attr;
    if (!graph->training)
        return nn_batch_norm_eval(graph->engine, graph->error, graph->arena, node->value.data, x,
                                  &norm, attr->fixed_mean, attr->fixed_var);
    if (attr->running_mean == NULL || attr->running_var == NULL)
        return nn_fail(graph->error, DDOME_ERR_RUNTIME,
                       "batch-norm: training needs running statistics to move");
    if (!save_statistics(graph, node, x->c))
        return no_memory(graph, "batch-norm statistics");
    return nn_batch_norm_train(graph->engine, graph->error, graph->arena, node->value.data,
                               &node->saved, attr->running_mean, attr->running_var, x, &norm);
}

static void batch_norm_again(nn_graph *graph, nn_node *node)
{
    const nn_batch_norm norm = batch_norm_of(node);
    nn_batch_norm_again(graph->engine, node->value.data, &node->inputs[0]->value, &norm,
                        &node->saved);
}

static bool group_norm_shape(nn_node *node)
{
    return norm_shape(node) && node->attr.groups != 0 && node->value.c % node->attr.groups == 0;
}

static ddome_status group_norm_forward(nn_graph *graph, nn_node *node)
{
    const nn_tensor *x = &node->inputs[0]->value;
    if (!save_statistics(graph, node, x->n * node->attr.groups))
        return no_memory(graph, "group-norm statistics");
    nn_group_norm_forward(node->value.data, &node->saved, x, node->inputs[1]->value.data,
                          node->inputs[2]->value.data, node->attr.groups);
    return DDOME_OK;
}

/* Both norms give all three gradients in one call; a model trains gamma and beta whenever it trains
 * at all. */
static ddome_status norm_backward(nn_graph *graph, nn_node *node)
{
    nn_node *x = node->inputs[0], *gamma = node->inputs[1], *beta = node->inputs[2];
    if (node->saved.mean == NULL)
        return nn_fail(graph->error, DDOME_ERR_RUNTIME,
                       "batch_norm: no gradient through an evaluation");
    float *dx = nn_graph_grad_buffer(graph, x);
    float *dgamma = nn_graph_grad_buffer(graph, gamma), *dbeta = nn_graph_grad_buffer(graph, beta);
    if (dx == NULL || dgamma == NULL || dbeta == NULL)
        return no_memory(graph, "a gradient");
    ddome_status status;
    if (node->op == NN_OP_BATCH_NORM)
        status = nn_batch_norm_backward(
            graph->engine, graph->error, graph->arena, dx, dgamma, dbeta, node->grad,
            node->attr.relu ? node->value.data : NULL, &x->value, gamma->value.data, &node->saved);
    else
        status =
            nn_group_norm_backward(graph->error, graph->arena, dx, dgamma, dbeta, node->grad,
                                   &x->value, gamma->value.data, &node->saved, node->attr.groups);
    if (status != DDOME_OK)
        return status;
    nn_graph_grad_deliver(graph, x, dx);
    nn_graph_grad_deliver(graph, gamma, dgamma);
    nn_graph_grad_deliver(graph, beta, dbeta);
    if (node->input_count == 4)
        nn_graph_grad_hand_down(graph, node, node->inputs[3]);
    return DDOME_OK;
}

/* ---- relu, add ---- */

static ddome_status relu_forward(nn_graph *graph, nn_node *node)
{
    nn_relu_forward(graph->engine, node->value.data, node->inputs[0]->value.data,
                    nn_tensor_count(&node->value));
    return DDOME_OK;
}

static void relu_gradient(const nn_graph *graph, float *dx, const nn_node *node)
{
    nn_relu_backward(graph->engine, dx, node->grad, node->value.data,
                     nn_tensor_count(&node->value));
}

static ddome_status relu_backward(nn_graph *graph, nn_node *node)
{
    return pass_down(graph, node, 0, relu_gradient);
}

static bool add_shape(nn_node *node)
{
    return shape_as_input(node) && same_shape(&node->inputs[0]->value, &node->inputs[1]->value);
}

static ddome_status add_forward(nn_graph *graph, nn_node *node)
{
    nn_add(graph->engine, node->value.data, node->inputs[0]->value.data,
           node->inputs[1]->value.data, nn_tensor_count(&node->value));
    return DDOME_OK;
}

static void add_gradient(const nn_graph *graph, float *dx, const nn_node *node)
{
    (void)graph;
    memcpy(dx, node->grad, nn_tensor_count(&node->value) * sizeof *dx);
}

static ddome_status add_backward(nn_graph *graph, nn_node *node)
{
    ddome_status status = pass_down(graph, node, 0, add_gradient);
    return status == DDOME_OK ? pass_down(graph, node, 1, add_gradient) : status;
}

/* ---- pooling ---- */

static bool max_pool_shape(nn_node *node)
{
    const nn_tensor *x = &node->inputs[0]->value;
    nn_conv_shape *s = &node->attr.window;
    s->n = x->n;
    s->h = x->h;
    s->w = x->w;
    s->c = s->oc = x->c;
    if (!nn_conv_output(s) || s->pad >= s->kh || s->pad >= s->kw)
        return false;
    set_shape(node, s->n, s->oh, s->ow, s->c);
    return true;
}

static ddome_status max_pool_forward(nn_graph *graph, nn_node *node)
{
    node->choice =
        nn_arena_alloc(graph->arena, nn_tensor_count(&node->value), sizeof *node->choice);
    if (node->choice == NULL)
        return no_memory(graph, "max-pool positions");
    nn_max_pool_forward(node->value.data, node->choice, node->inputs[0]->value.data,
                        &node->attr.window);
    return DDOME_OK;
}

static void max_pool_gradient(const nn_graph *graph, float *dx, const nn_node *node)
{
    (void)graph;
    nn_max_pool_backward(dx, node->grad, node->choice, &node->attr.window);
}

static ddome_status max_pool_backward(nn_graph *graph, nn_node *node)
{
    return pass_down(graph, node, 0, max_pool_gradient);
}

static bool avg_pool_shape(nn_node *node)
{
    const nn_tensor *x = &node->inputs[0]->value;
    set_shape(node, x->n, 1, 1, x->c);
    return true;
}

static ddome_status avg_pool_forward(nn_graph *graph, nn_node *node)
{
    float *block = nn_arena_alloc(graph->arena, node->value.c, sizeof *block);
    if (block == NULL)
        return no_memory(graph, "average-pool sums");
    nn_avg_pool_forward(node->value.data, block, &node->inputs[0]->value);
    return DDOME_OK;
}

static void avg_pool_gradient(const nn_graph *graph, float *dx, const nn_node *node)
{
    (void)graph;
    nn_tensor out = node->inputs[0]->value;
    out.data = dx;
    nn_avg_pool_backward(&out, node->grad);
}

static ddome_status avg_pool_backward(nn_graph *graph, nn_node *node)
{
    return pass_down(graph, node, 0, avg_pool_gradient);
}

/* ---- mixture ---- */

static bool mixture_shape(nn_node *node)
{
    const nn_tensor *gate = &node->inputs[0]->value;
    nn_mixture_shape *s = &node->attr.mixture;
    if (s->k == 0)
        return false;
    const nn_tensor *first = &node->inputs[1]->value;
    s->n = gate->n;
    s->experts = per_sample(gate);
    s->classes = per_sample(first);
    set_shape(node, s->n, 1, 1, s->classes);
    for (size_t i = 0; i < s->k; i++)
        if (!same_shape(first, &node->inputs[i + 1]->value) || s->chosen[i] >= s->experts ||
            (i > 0 && s->chosen[i] <= s->chosen[i - 1]))
            return false;
    return first->n == s->n;
}

static void gather_logits(const float **logits, const nn_node *node)
{
    for (size_t i = 0; i < node->attr.mixture.k; i++)
        logits[i] = node->inputs[i + 1]->value.data;
}

static ddome_status mixture_forward(nn_graph *graph, nn_node *node)
{
    const float *logits[NN_MAX_EXPERTS];
    (void)graph;
    gather_logits(logits, node);
    (node->op == NN_OP_MIXTURE ? nn_mixture_forward : nn_mixture_probs_forward)(
        node->value.data, node->inputs[0]->value.data, logits, &node->attr.mixture);
    return DDOME_OK;
}

/* All inputs of a mixture are trained together, so all gradients are computed. */
static ddome_status mixture_backward(nn_graph *graph, nn_node *node)
{
    const nn_mixture_shape *s = &node->attr.mixture;
    const float *gate = node->inputs[0]->value.data, *logits[NN_MAX_EXPERTS];
    float *d[NN_MAX_INPUTS];
    gather_logits(logits, node);
    for (size_t i = 0; i <= s->k; i++) {
        d[i] = nn_graph_grad_buffer(graph, node->inputs[i]);
        if (d[i] == NULL)
            return no_memory(graph, "a gradient");
    }
    if (node->op == NN_OP_MIXTURE)
        nn_mixture_backward(d[0], d + 1, node->grad, gate, logits, s);
    else
        nn_mixture_probs_backward(d[0], d + 1, node->grad, node->value.data, gate, logits, s);
    for (size_t i = 0; i <= s->k; i++)
        nn_graph_grad_deliver(graph, node->inputs[i], d[i]);
    return DDOME_OK;
}

/* ---- cross-entropy ---- */

static bool loss_shape(nn_node *node)
{
    set_shape(node, 1, 1, 1, 1);
    return node->inputs[0]->value.n != 0;
}

static ddome_status check_labels(nn_graph *graph, const nn_node *node)
{
    const nn_tensor *z = &node->inputs[0]->value;
    for (size_t i = 0; i < z->n; i++)
        if (node->attr.labels[i] >= per_sample(z))
            return nn_fail(graph->error, DDOME_ERR_RUNTIME,
                           "cross-entropy: label %lu of row %lu: expected less than %lu",
                           (unsigned long)node->attr.labels[i], (unsigned long)i,
                           (unsigned long)per_sample(z));
    return DDOME_OK;
}

static ddome_status loss_forward(nn_graph *graph, nn_node *node)
{
    const nn_tensor *z = &node->inputs[0]->value;
    float *rows = nn_arena_alloc(graph->arena, z->n, sizeof *rows);
    if (rows == NULL)
        return no_memory(graph, "row losses");
    ddome_status status = check_labels(graph, node);
    if (status != DDOME_OK)
        return status;
    *node->value.data =
        nn_cross_entropy_forward(rows, z->data, node->attr.labels, z->n, per_sample(z));
    return DDOME_OK;
}

static void loss_gradient(const nn_graph *graph, float *dz, const nn_node *node)
{
    (void)graph;
    const nn_tensor *z = &node->inputs[0]->value;
    nn_cross_entropy_backward(dz, z->data, node->attr.labels, z->n, per_sample(z), *node->grad);
}

static ddome_status loss_backward(nn_graph *graph, nn_node *node)
{
    return pass_down(graph, node, 0, loss_gradient);
}

const nn_op_entry nn_op_table[NN_OP_COUNT] = {
    [NN_OP_LEAF] = {"leaf", "an input or a parameter", NULL, NULL, NULL, NULL},
    [NN_OP_CONV] = {"conv", "y[n,oh,ow,oc] = sum over (kh,kw,ic) of x*w", conv_shape, conv_forward,
                    conv_backward, NULL},
    [NN_OP_LINEAR] = {"linear", "y[n,o] = sum over i of x[n,i]*w[o,i], + b[o]", linear_shape,
                      linear_forward, linear_backward, NULL},
    [NN_OP_BATCH_NORM] = {"batch_norm",
                          "y = gamma*((x-mean)*rsqrt(var+eps)) + beta, + residual, max(y,0)",
                          batch_norm_shape, batch_norm_forward, norm_backward, batch_norm_again},
    [NN_OP_GROUP_NORM] = {"group_norm", "y = gamma*((x-mean)*rsqrt(var+eps)) + beta",
                          group_norm_shape, group_norm_forward, norm_backward, NULL},
    [NN_OP_RELU] = {"relu", "y = x > 0 ? x : 0", shape_as_input, relu_forward, relu_backward, NULL},
    [NN_OP_MAX_POOL] = {"max_pool", "y = first max over (kh,kw)", max_pool_shape, max_pool_forward,
                        max_pool_backward, NULL},
    [NN_OP_AVG_POOL] = {"avg_pool", "y[n,c] = sum over (h,w) of x / (h*w)", avg_pool_shape,
                        avg_pool_forward, avg_pool_backward, NULL},
    [NN_OP_ADD] = {"add", "y = a + b", add_shape, add_forward, add_backward, NULL},
    [NN_OP_MIXTURE] = {"mixture", "z = sum over chosen i of softmax(gate)_i * z_i", mixture_shape,
                       mixture_forward, mixture_backward, NULL},
    [NN_OP_MIXTURE_PROBS] = {"mixture_probs",
                             "z = log sum over chosen i of softmax(gate)_i * softmax(z_i)",
                             mixture_shape, mixture_forward, mixture_backward, NULL},
    [NN_OP_CROSS_ENTROPY] = {"cross_entropy", "mean over n of log sum exp(z) - z[label]",
                             loss_shape, loss_forward, loss_backward, NULL},
};

/* SPDX-License-Identifier: MIT */
/* The tape: append and compute, then walk backwards. SPEC 5.16. */
#include "graph.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "act.h"
#include "finite.h"
#include "poison.h"

static nn_node *fail(nn_graph *graph, ddome_status status)
{
    graph->status = status;
    return NULL;
}

static nn_node *no_memory(nn_graph *graph, const char *what)
{
    return fail(graph, nn_arena_fail(graph->error, graph->arena, what));
}

static nn_node *new_node(nn_graph *graph, nn_op op, size_t input_count)
{
    nn_node *node = nn_arena_zero(graph->arena, 1, sizeof *node);
    nn_node **inputs = nn_arena_zero(graph->arena, input_count, sizeof *inputs);
    if (node == NULL || inputs == NULL)
        return no_memory(graph, "a node of the tape");
    node->op = op;
    node->inputs = inputs;
    node->input_count = input_count;
    node->previous = graph->last;
    graph->last = node;
    if (graph->watch != NULL)
        node->name = graph->naming != NULL ? graph->naming : nn_op_table[op].name;
    graph->naming = NULL;
    return node;
}

void nn_graph_name_next(nn_graph *graph, const char *scope, const char *name, const char *suffix)
{
    if (graph->watch == NULL || graph->status != DDOME_OK)
        return;
    const bool scoped = scope != NULL && scope[0] != '\0';
    const size_t room = (scoped ? strlen(scope) : 0) + strlen(name) + strlen(suffix) + 2;
    char *text = nn_arena_alloc(graph->arena, room, 1);
    if (text == NULL)
        no_memory(graph, "a name on the tape");
    else
        snprintf(text, room, "%s%s%s%s", scoped ? scope : "", scoped ? "/" : "", name, suffix);
    graph->naming = text;
}

nn_node *nn_graph_leaf(nn_graph *graph, const nn_tensor *value, float *grad)
{
    if (graph->status != DDOME_OK)
        return NULL;
    nn_node *node = new_node(graph, NN_OP_LEAF, 0);
    if (node == NULL)
        return NULL;
    node->value = *value;
    node->grad = grad;
    node->wants_grad = grad != NULL;
    graph->learning = graph->learning || node->wants_grad;
    return node;
}

/* ---- memory that comes back ---- */

/* The smallest spare that is large enough, else new memory, with room for the entry of a spare. */
static float *take_floats(nn_graph *graph, size_t count)
{
    const size_t entry = (sizeof(nn_spare) + sizeof(float) - 1) / sizeof(float);
    nn_spare **best = NULL;
    for (nn_spare **link = &graph->spares; *link != NULL; link = &(*link)->next)
        if ((*link)->count >= count && (best == NULL || (*link)->count < (*best)->count))
            best = link;
    if (best == NULL)
        return nn_arena_alloc(graph->arena, nn_max(count, entry), sizeof(float));
    nn_spare *spare = *best;
    *best = spare->next;
    nn_poison_give(spare, nn_max(count, entry) * sizeof(float));
    return (float *)(void *)spare;
}

/* What take_floats gave. */
static void give_floats(nn_graph *graph, float *data, size_t count)
{
    if (data == NULL || count == 0)
        return;
    nn_spare *spare = (nn_spare *)(void *)data;
    *spare = (nn_spare){graph->spares, count};
    graph->spares = spare;
    if (count * sizeof *data > sizeof *spare)
        nn_poison_take(spare + 1, count * sizeof *data - sizeof *spare);
}

/* Batch-norm with a residual would need that again, too. */
static bool can_repeat(const nn_node *node)
{
    return node->wants_grad && nn_op_table[node->op].again != NULL && node->input_count == 3 &&
           node->saved.mean != NULL;
}

void nn_graph_drop(nn_graph *graph, nn_node *node)
{
    if (node == NULL || graph->planning || node->op == NN_OP_LEAF || node->value.data == NULL)
        return;
    if (graph->watch != NULL)
        return;
    if (graph->learning && !can_repeat(node))
        return;
    give_floats(graph, node->value.data, nn_tensor_count(&node->value));
    node->value.data = NULL;
    node->dropped = true;
}

/* A dropped value, computed again. */
static bool restore(nn_graph *graph, nn_node *node)
{
    if (!node->dropped)
        return true;
    for (size_t i = 0; i < node->input_count; i++)
        if (!restore(graph, node->inputs[i]))
            return false;
    node->value.data = take_floats(graph, nn_tensor_count(&node->value));
    if (node->value.data == NULL)
        return false;
    nn_op_table[node->op].again(graph, node);
    node->dropped = false;
    return true;
}

/* ---- forward ---- */

/* Only these add up many values, so that infinities can meet; to look at a sum costs little beside
 * making it. */
static ddome_status check_sums(nn_graph *graph, const nn_node *node)
{
    const size_t count = nn_tensor_count(&node->value);
    if (!graph->checked || (node->op != NN_OP_CONV && node->op != NN_OP_LINEAR))
        return DDOME_OK;
    const size_t at = nn_first_nan(node->value.data, count);
    if (at == count)
        return DDOME_OK;
    return nn_fail(graph->error, DDOME_ERR_NONFINITE, "forward, %s: element %lu of y is NaN",
                   nn_op_table[node->op].name, (unsigned long)at);
}

static nn_node *compute(nn_graph *graph, nn_node *node)
{
    node->value.data = take_floats(graph, nn_tensor_count(&node->value));
    if (node->value.data == NULL)
        return no_memory(graph, "an activation");
    ddome_status status = nn_op_table[node->op].forward(graph, node);
    if (status != DDOME_OK)
        return fail(graph, status);
    if (graph->watch != NULL)
        graph->watch->computed(graph->watch->user, graph, node);
    if (graph->status == DDOME_OK)
        graph->status = check_sums(graph, node);
    return graph->status == DDOME_OK ? node : NULL;
}

/* Backward functions ask for all gradients before they deliver the first, so an input that came
 * twice would get one buffer for both. (Addition delivers one after the other.) */
static bool has_twice(nn_node *const *inputs, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (inputs[i] == inputs[j])
                return true;
    return false;
}

nn_node *nn_graph_apply(nn_graph *graph, nn_op op, nn_node *const *inputs, size_t input_count,
                        const nn_attr *attr)
{
    if (graph->status != DDOME_OK)
        return NULL;
    nn_node *node = new_node(graph, op, input_count);
    if (node == NULL)
        return NULL;
    for (size_t i = 0; i < input_count; i++) {
        assert(!inputs[i]->dropped);
        node->inputs[i] = inputs[i];
        node->wants_grad = node->wants_grad || inputs[i]->wants_grad;
    }
    if (attr != NULL)
        node->attr = *attr;
    if (op != NN_OP_ADD && has_twice(inputs, input_count))
        return fail(graph, nn_fail(graph->error, DDOME_ERR_RUNTIME,
                                   "%s: expected different inputs, found the same input twice",
                                   nn_op_table[op].name));
    if (!nn_op_table[op].shape(node))
        return fail(graph, nn_fail(graph->error, DDOME_ERR_RUNTIME,
                                   "%s: the shapes of its inputs do not fit (%s)",
                                   nn_op_table[op].name, nn_op_table[op].formula));
    if (!nn_tensor_fits(&node->value))
        return no_memory(graph, "an activation whose size does not fit this machine");
    return graph->planning ? node : compute(graph, node);
}

nn_node *nn_graph_conv(nn_graph *graph, nn_node *x, nn_node *weight, size_t stride, size_t pad,
                       size_t kernel)
{
    nn_attr attr = {0};
    attr.window.kh = attr.window.kw = kernel;
    attr.window.stride = stride;
    attr.window.pad = pad;
    nn_node *inputs[] = {x, weight};
    return nn_graph_apply(graph, NN_OP_CONV, inputs, 2, &attr);
}

nn_node *nn_graph_linear(nn_graph *graph, nn_node *x, nn_node *weight, nn_node *bias)
{
    nn_node *inputs[] = {x, weight, bias};
    return nn_graph_apply(graph, NN_OP_LINEAR, inputs, 3, NULL);
}

nn_node *nn_graph_relu(nn_graph *graph, nn_node *x)
{
    if (graph->status == DDOME_OK && graph->naming == NULL && x->name != NULL)
        nn_graph_name_next(graph, NULL, x->name, ".relu");
    return nn_graph_apply(graph, NN_OP_RELU, &x, 1, NULL);
}

nn_node *nn_graph_max_pool(nn_graph *graph, nn_node *x, size_t kernel, size_t stride, size_t pad)
{
    nn_attr attr = {0};
    attr.window.kh = attr.window.kw = kernel;
    attr.window.stride = stride;
    attr.window.pad = pad;
    return nn_graph_apply(graph, NN_OP_MAX_POOL, &x, 1, &attr);
}

nn_node *nn_graph_avg_pool(nn_graph *graph, nn_node *x)
{
    return nn_graph_apply(graph, NN_OP_AVG_POOL, &x, 1, NULL);
}

nn_node *nn_graph_add(nn_graph *graph, nn_node *a, nn_node *b)
{
    nn_node *inputs[] = {a, b};
    return nn_graph_apply(graph, NN_OP_ADD, inputs, 2, NULL);
}

nn_node *nn_graph_mixture(nn_graph *graph, nn_node *gate, nn_node *const *logits,
                          const uint32_t *chosen, size_t k, bool probs)
{
    nn_node *inputs[NN_MAX_INPUTS] = {gate};
    nn_attr attr = {0};
    if (graph->status != DDOME_OK)
        return NULL;
    attr.mixture.k = k;
    attr.mixture.chosen = chosen;
    if (k > NN_MAX_EXPERTS)
        return fail(graph,
                    nn_fail(graph->error, DDOME_ERR_RUNTIME, "mixture of %lu experts: at most %d",
                            (unsigned long)k, NN_MAX_EXPERTS));
    for (size_t i = 0; i < k; i++)
        inputs[i + 1] = logits[i];
    return nn_graph_apply(graph, probs ? NN_OP_MIXTURE_PROBS : NN_OP_MIXTURE, inputs, k + 1, &attr);
}

nn_node *nn_graph_cross_entropy(nn_graph *graph, nn_node *z, const uint32_t *labels)
{
    nn_attr attr = {0};
    attr.labels = labels;
    return nn_graph_apply(graph, NN_OP_CROSS_ENTROPY, &z, 1, &attr);
}

/* ---- backward ---- */

float *nn_graph_grad_buffer(nn_graph *graph, nn_node *input)
{
    const size_t count = nn_tensor_count(&input->value);
    if (input->has_grad)
        return take_floats(graph, count);
    if (input->grad == NULL)
        input->grad = take_floats(graph, count);
    return input->grad;
}

/* Before it is added to what is there. */
static void show_delivery(nn_graph *graph, nn_node *input, const float *gradient)
{
    if (graph->watch != NULL)
        graph->watch->delivered(graph->watch->user, graph, graph->walking, input, gradient);
}

void nn_graph_grad_deliver(nn_graph *graph, nn_node *input, float *buffer)
{
    const size_t count = nn_tensor_count(&input->value);
    show_delivery(graph, input, buffer);
    if (input->has_grad) {
        nn_add(graph->engine, input->grad, input->grad, buffer, count);
        give_floats(graph, buffer, count);
    }
    input->has_grad = true;
}

void nn_graph_grad_hand_down(nn_graph *graph, nn_node *node, nn_node *input)
{
    const size_t count = nn_tensor_count(&input->value);
    if (!input->wants_grad)
        return;
    show_delivery(graph, input, node->grad);
    if (input->has_grad) {
        nn_add(graph->engine, input->grad, input->grad, node->grad, count);
    } else if (input->grad != NULL) {
        memcpy(input->grad, node->grad, count * sizeof *input->grad);
    } else {
        input->grad = node->grad;
        node->grad = NULL;
    }
    input->has_grad = true;
}

/* The gradients of a node's inputs; its value and gradient have no use afterwards. */
static ddome_status backward_node(nn_graph *graph, nn_node *node, const nn_node *loss)
{
    const bool norm = node->op == NN_OP_BATCH_NORM; /* reads x and, for the ReLU, itself */
    bool restored = (norm && !node->attr.relu) || restore(graph, node);
    for (size_t i = 0; i < (norm ? 1 : node->input_count) && restored; i++)
        restored = restore(graph, node->inputs[i]);
    if (!restored)
        return nn_arena_fail(graph->error, graph->arena, "an activation");
    if (graph->watch != NULL) {
        graph->walking = node;
        graph->watch->entered(graph->watch->user, graph, node);
    }
    ddome_status status = nn_op_table[node->op].backward(graph, node);
    if (status == DDOME_OK)
        status = graph->status; /* the watcher's */
    if (status == DDOME_OK && node != loss) {
        give_floats(graph, node->value.data, nn_tensor_count(&node->value));
        give_floats(graph, node->grad, nn_tensor_count(&node->value));
        node->value.data = node->grad = NULL;
    }
    return status;
}

ddome_status nn_graph_backward(nn_graph *graph, nn_node *loss, float scale)
{
    if (graph->status != DDOME_OK)
        return graph->status;
    if (nn_tensor_count(&loss->value) != 1) {
        fail(graph, nn_fail(graph->error, DDOME_ERR_RUNTIME,
                            "backward: expected a loss of one value, found %lu",
                            (unsigned long)nn_tensor_count(&loss->value)));
        return graph->status;
    }
    float *seed = nn_graph_grad_buffer(graph, loss);
    if (seed == NULL) {
        no_memory(graph, "a gradient");
        return graph->status;
    }
    *seed = scale;
    nn_graph_grad_deliver(graph, loss, seed);
    for (nn_node *node = graph->last; node != NULL; node = node->previous) {
        if (!node->has_grad || node->op == NN_OP_LEAF)
            continue;
        ddome_status status = backward_node(graph, node, loss);
        if (status != DDOME_OK) {
            fail(graph, status);
            return status;
        }
    }
    return DDOME_OK;
}

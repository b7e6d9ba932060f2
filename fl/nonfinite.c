/* SPDX-License-Identifier: MIT */
/* The first value that is not finite, in the order and the words of a trace. SPEC 11.13. */
#include "nonfinite.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../nn/finite.h"

/* ---- the line: SPEC 11.13.3 ---- */

ddome_status fl_nonfinite_at(ddome_error *error, const char *pass, const char *op, const char *name,
                             const char *tensor, size_t element, float value)
{
    return nn_fail(error, DDOME_ERR_NONFINITE, "%s, %s %s: element %lu of %s is %s", pass, op, name,
                   (unsigned long)element, tensor, nn_nonfinite_name(value));
}

ddome_status fl_nonfinite_check(ddome_error *error, const char *pass, const char *op,
                                const char *name, const char *tensor, const float *values,
                                size_t count)
{
    const size_t at = nn_nonfinite(values, count);
    if (at == count)
        return DDOME_OK;
    return fl_nonfinite_at(error, pass, op, name, tensor, at, values[at]);
}

/* Statistics move in the forward pass; here they are what they are. */
static ddome_status check_slice(ddome_error *error, const char *pass, const char *op,
                                const char *scope, const char *tensor, const nn_slice *slice,
                                const float *values)
{
    char name[FL_TRACE_NAME];
    const bool trained = slice->kind == NN_SLICE_TRAINED;
    snprintf(name, sizeof name, "%s/%s", scope, slice->name);
    return fl_nonfinite_check(error, pass, trained ? op : "given", name, trained ? tensor : "value",
                              values + slice->offset, slice->count);
}

ddome_status fl_nonfinite_model(ddome_error *error, const char *pass, const char *op,
                                const char *scope, const nn_layout *layout, const float *values)
{
    const size_t at = nn_layout_nonfinite(layout, values);
    if (at == layout->total)
        return DDOME_OK;
    return check_slice(error, pass, op, scope, "w", nn_layout_slice_at(layout, at), values);
}

ddome_status fl_nonfinite_trainee(ddome_error *error, const fl_trainee *trainee)
{
    return fl_nonfinite_model(error, "update", "sgd", trainee->scope, &trainee->model->layout,
                              trainee->values);
}

ddome_status fl_nonfinite_in(ddome_error *error, ddome_status status, const char *mend,
                             const char *where, ...)
{
    char place[sizeof error->text], what[sizeof error->text];
    va_list arguments;
    if (status != DDOME_ERR_NONFINITE || error == NULL)
        return status;
    va_start(arguments, where);
    vsnprintf(place, sizeof place, where, arguments);
    va_end(arguments);
    memcpy(what, error->text, sizeof what);
    const bool last = mend != NULL;
    const int length = snprintf(error->text, sizeof error->text, "%s%s: %s%s%s",
                                last ? "a value is not finite: " : "", place, what,
                                last ? "; " : "", last ? mend : "");
    if ((size_t)length >= sizeof error->text)
        memcpy(error->text + sizeof error->text - 4, "...", 4);
    return status;
}

/* ---- the search ---- */

/* Keeps the row for those who know which sample that is. */
static void look(fl_search *search, nn_graph *graph, const char *pass, const char *op,
                 const char *name, const char *tensor, const float *values, const nn_tensor *shape)
{
    const size_t count = nn_tensor_count(shape);
    if (graph->status != DDOME_OK)
        return;
    const size_t at = nn_nonfinite(values, count);
    if (at == count)
        return;
    search->row = at / (count / shape->n);
    graph->status = fl_nonfinite_at(graph->error, pass, op, name, tensor, at, values[at]);
}

/* A layer's weight and bias, or its norm's, stand behind what flows through it. */
static bool is_parameter(const nn_node *node, size_t i)
{
    return i > 0 && (node->op == NN_OP_CONV || node->op == NN_OP_LINEAR ||
                     node->op == NN_OP_BATCH_NORM || node->op == NN_OP_GROUP_NORM);
}

/* Leaves are looked at where they are used; the rows of a parameter are no samples. */
static void look_at_input(fl_search *search, nn_graph *graph, const nn_node *node, size_t i)
{
    const nn_node *input = node->inputs[i];
    const bool parameter = is_parameter(node, i);
    const nn_tensor flat = {NULL, 1, 1, 1, nn_tensor_count(&input->value)};
    if (input->op == NN_OP_LEAF)
        look(search, graph, parameter ? "start" : "data", "given", input->name, "value",
             input->value.data, parameter ? &flat : &input->value);
}

static void computed(void *user, nn_graph *graph, nn_node *node)
{
    for (size_t i = 0; i < node->input_count; i++)
        look_at_input(user, graph, node, i);
    look(user, graph, "forward", nn_op_table[node->op].name, node->name,
         node->op == NN_OP_CROSS_ENTROPY ? "loss" : "y", node->value.data, &node->value);
    if (node->attr.running_mean == NULL)
        return;
    const nn_tensor channels = {NULL, 1, 1, 1, node->value.c};
    look(user, graph, "forward", "batch_norm", node->name, "running_mean", node->attr.running_mean,
         &channels);
    look(user, graph, "forward", "batch_norm", node->name, "running_var", node->attr.running_var,
         &channels);
}

/* Of one gradient it is what was delivered; of two their sum. */
static void entered(void *user, nn_graph *graph, nn_node *node)
{
    look(user, graph, "backward", "add", node->name, "dy", node->grad, &node->value);
}

static void delivered(void *user, nn_graph *graph, nn_node *node, nn_node *input,
                      const float *gradient)
{
    char op[FL_TRACE_OP], word[FL_TRACE_WORD];
    size_t i = 0;
    if (node == NULL) /* the scale of the loss */
        return;
    while (node->inputs[i] != input)
        i++;
    fl_trace_backward_op(op, node, i);
    fl_trace_input_word(word, node, i, true);
    look(user, graph, "backward", op, node->name, word, gradient, &input->value);
}

const nn_watch *fl_search_watch(fl_search *search, fl_trace *trace)
{
    if (search == NULL)
        return fl_trace_watch(trace);
    search->watch = (nn_watch){search, computed, entered, delivered};
    return &search->watch;
}

ddome_status fl_search_update(ddome_error *error, const fl_search *search, const fl_trainee *t)
{
    const nn_layout *layout = &t->model->layout;
    ddome_status status = DDOME_OK;
    for (size_t s = 0; search != NULL && s < layout->count && status == DDOME_OK; s++) {
        const nn_slice *slice = &layout->slices[s];
        if (t->correction != NULL && slice->kind == NN_SLICE_TRAINED)
            status = check_slice(error, "correct", "given", t->scope, "g", slice, t->grads);
        if (status == DDOME_OK)
            status = check_slice(error, "update", "sgd", t->scope, "w", slice, t->values);
    }
    return status;
}

void fl_search_end(ddome_error *error, const ddome_error *found)
{
    if (error == NULL)
        return;
    if (found->status == DDOME_ERR_NONFINITE)
        *error = *found;
    else if (found->status == DDOME_OK)
        fl_nonfinite_in(error, DDOME_ERR_NONFINITE, NULL,
                        "finite when it was done once more, so suspect memory or processor");
}

/* SPDX-License-Identifier: MIT */
/* Declaring slices, handing them out in the same order, initialising and hashing flat vectors.
 * SPEC 6.1, 6.6. */
#include "param.h"

#include <stdio.h>
#include <string.h>

#include "finite.h"
#include "fmath.h"

/* ---- declaring ---- */

static bool grow(nn_graph *graph, nn_layout *layout)
{
    if (layout->count < layout->capacity)
        return true;
    const size_t capacity = nn_max(64, 2 * layout->capacity);
    nn_slice *slices = nn_arena_alloc(graph->arena, capacity, sizeof *slices);
    if (slices == NULL) {
        graph->status = nn_arena_fail(graph->error, graph->arena, "a parameter layout");
        return false;
    }
    if (layout->count != 0)
        memcpy(slices, layout->slices, layout->count * sizeof *slices);
    layout->slices = slices;
    layout->capacity = capacity;
    return true;
}

/* Sets slice->count; false when the flat vector's bytes, in binary64, would not fit a size_t. */
static bool count_slice(nn_slice *slice, const nn_layout *layout)
{
    slice->count = 1;
    for (size_t i = 0; i < slice->rank; i++)
        if (!nn_size_mul(&slice->count, slice->count, slice->shape[i]))
            return false;
    return slice->count < SIZE_MAX / sizeof(double) - layout->total;
}

static const nn_slice *declare(nn_net *net, const nn_slice *slice)
{
    nn_layout *layout = net->declare;
    if (!grow(net->graph, layout))
        return NULL;
    nn_slice *added = &layout->slices[layout->count++];
    *added = *slice;
    added->offset = layout->total;
    if (!count_slice(added, layout)) {
        net->graph->status =
            nn_fail(net->graph->error, DDOME_ERR_MEMORY,
                    "out of memory: the parameters of %s do not fit this machine's "
                    "addresses; use a smaller width",
                    added->name);
        return NULL;
    }
    layout->total += added->count;
    if (slice->kind == NN_SLICE_TRAINED)
        layout->trained += added->count;
    return added;
}

/* The next slice: declared now or, when computing, the one declared at this place. */
static const nn_slice *next_slice(nn_net *net, const nn_slice *wanted)
{
    if (net->graph->status != DDOME_OK)
        return NULL;
    if (net->declare != NULL)
        return declare(net, wanted);
    const nn_slice *slice = net->next < net->layout->count ? &net->layout->slices[net->next] : NULL;
    net->next++;
    if (slice == NULL || memcmp(slice->shape, wanted->shape, sizeof slice->shape) != 0) {
        net->graph->status =
            nn_fail(net->graph->error, DDOME_ERR_RUNTIME,
                    "parameter slice %lu does not fit the model: the layout is of another model",
                    (unsigned long)net->next);
        return NULL;
    }
    return slice;
}

static void set_name(nn_net *net, nn_slice *slice, const char *prefix, const char *suffix)
{
    if (net->declare != NULL)
        snprintf(slice->name, sizeof slice->name, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".",
                 suffix);
}

/* A trained slice as a leaf of the tape; the first dimension is n, the rest is flat. */
static nn_node *parameter(nn_net *net, const char *name, const char *suffix, const nn_slice *like)
{
    nn_slice wanted = *like;
    wanted.kind = NN_SLICE_TRAINED;
    set_name(net, &wanted, name, suffix);
    const nn_slice *slice = next_slice(net, &wanted);
    if (slice == NULL)
        return NULL;
    nn_tensor value = {NULL, slice->shape[0], 1, 1, slice->count / slice->shape[0]};
    if (net->declare == NULL)
        value.data = (float *)net->values +
                     slice->offset; /* read only: the tape never writes a leaf's value */
    nn_graph_name_next(net->graph, net->scope, slice->name, "");
    return nn_graph_leaf(net->graph, &value,
                         net->grads == NULL ? NULL : net->grads + slice->offset);
}

nn_node *nn_net_conv(nn_net *net, nn_node *x, const char *name, size_t oc, size_t k, size_t stride,
                     size_t pad)
{
    if (net->graph->status != DDOME_OK)
        return NULL;
    nn_slice like = {
        .init = NN_INIT_KAIMING, .fan = oc * k * k, .rank = 4, .shape = {oc, x->value.c, k, k}};
    nn_node *weight = parameter(net, name, "weight", &like);
    nn_graph_name_next(net->graph, net->scope, name, "");
    return weight == NULL ? NULL : nn_graph_conv(net->graph, x, weight, stride, pad, k);
}

nn_node *nn_net_linear(nn_net *net, nn_node *x, const char *name, size_t out)
{
    if (net->graph->status != DDOME_OK)
        return NULL;
    const size_t in = x->value.h * x->value.w * x->value.c;
    nn_slice matrix = {.init = NN_INIT_UNIFORM, .fan = in, .rank = 2, .shape = {out, in}};
    nn_slice vector = {.init = NN_INIT_UNIFORM, .fan = in, .rank = 1, .shape = {out}};
    nn_node *weight = parameter(net, name, "weight", &matrix);
    nn_node *bias = parameter(net, name, "bias", &vector);
    nn_graph_name_next(net->graph, net->scope, name, "");
    return bias == NULL ? NULL : nn_graph_linear(net->graph, x, weight, bias);
}

/* ---- normalisation ---- */

static const nn_slice *statistic(nn_net *net, const char *name, const char *suffix,
                                 nn_init_rule init, size_t c)
{
    nn_slice wanted = {.kind = NN_SLICE_STATISTIC, .init = init, .rank = 1, .shape = {c}};
    set_name(net, &wanted, name, suffix);
    return next_slice(net, &wanted);
}

static void take_statistics(nn_net *net, nn_attr *attr, const char *name, size_t c)
{
    /* copied: declaring the second slice may move the first */
    const nn_slice *slice = statistic(net, name, "running_mean", NN_INIT_ZERO, c);
    const size_t mean = slice == NULL ? 0 : slice->offset;
    slice = statistic(net, name, "running_var", NN_INIT_ONE, c);
    if (slice == NULL)
        return;
    if (net->declare != NULL) {
        net->declare->batch_norms++;
    } else {
        attr->fixed_mean = net->values + mean;
        attr->fixed_var = net->values + slice->offset;
    }
    if (net->statistics != NULL) {
        attr->running_mean = net->statistics + mean;
        attr->running_var = net->statistics + slice->offset;
    }
}

nn_norm_layer nn_net_norm(nn_net *net, size_t c, const char *name, const nn_norm_choice *choice)
{
    nn_norm_layer layer = {.op = choice->group ? NN_OP_GROUP_NORM : NN_OP_BATCH_NORM,
                           .scope = net->scope};
    snprintf(layer.name, sizeof layer.name, "%s", name);
    nn_slice one = {.init = NN_INIT_ONE, .rank = 1, .shape = {c}},
             zero = {.init = NN_INIT_ZERO, .rank = 1, .shape = {c}};
    layer.gamma = parameter(net, name, "weight", &one);
    layer.beta = parameter(net, name, "bias", &zero);
    if (choice->group)
        layer.attr.groups = nn_max(1, c / nn_max(1, choice->channels));
    else
        take_statistics(net, &layer.attr, name, c);
    return layer;
}

nn_node *nn_norm_apply(nn_graph *graph, const nn_norm_layer *layer, nn_node *x, bool relu,
                       nn_node *residual)
{
    nn_node *inputs[4] = {x, layer->gamma, layer->beta, residual};
    nn_attr attr = layer->attr;
    nn_graph_name_next(graph, layer->scope, layer->name, "");
    if (layer->op == NN_OP_BATCH_NORM && graph->watch == NULL) {
        attr.relu = relu;
        return nn_graph_apply(graph, layer->op, inputs, residual == NULL ? 3 : 4, &attr);
    }
    nn_node *y = nn_graph_apply(graph, layer->op, inputs, 3, &attr);
    if (residual != NULL) {
        nn_node *sum = nn_graph_add(graph, y, residual);
        nn_graph_drop(graph, y);
        y = sum;
    }
    if (!relu)
        return y;
    nn_node *out = nn_graph_relu(graph, y);
    nn_graph_drop(graph, y);
    return out;
}

/* ---- flat vectors ---- */

static void init_kaiming(float *values, const nn_slice *slice, nn_rng *rng)
{
    const float variance = 2.0f / (float)slice->fan;
    const float deviation = nn_sqrtf(variance);
    for (size_t i = 0; i < slice->count; i++)
        values[i] = deviation * nn_rng_normal(rng);
}

/* u*(2*bound) - bound, each step rounded. */
static void init_uniform(float *values, const nn_slice *slice, nn_rng *rng)
{
    const float root = nn_sqrtf((float)slice->fan);
    const float bound = 1.0f / root;
    const float span = bound + bound;
    for (size_t i = 0; i < slice->count; i++) {
        float scaled = nn_rng_uniform(rng) * span;
        values[i] = scaled - bound;
    }
}

void nn_layout_init(float *values, const nn_layout *layout, uint64_t seed, nn_stream stream,
                    uint32_t client)
{
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        nn_rng rng = nn_rng_at(seed, stream, 0, (uint32_t)s, client);
        if (slice->init == NN_INIT_KAIMING)
            init_kaiming(values + slice->offset, slice, &rng);
        else if (slice->init == NN_INIT_UNIFORM)
            init_uniform(values + slice->offset, slice, &rng);
        else
            for (size_t i = 0; i < slice->count; i++)
                values[slice->offset + i] = slice->init == NN_INIT_ONE ? 1.0f : 0.0f;
    }
}

nn_digest nn_layout_hash(const nn_layout *layout, const float *values)
{
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    nn_sha256_floats(&sha, values, layout->total);
    return nn_sha256_end(&sha);
}

size_t nn_layout_nonfinite(const nn_layout *layout, const float *values)
{
    return nn_nonfinite(values, layout->total);
}

const nn_slice *nn_layout_slice_at(const nn_layout *layout, size_t index)
{
    for (size_t s = 0; s < layout->count; s++)
        if (index - layout->slices[s].offset < layout->slices[s].count)
            return &layout->slices[s];
    return NULL;
}

uint64_t nn_layout_bytes(const nn_layout *layout)
{
    return 4 * (uint64_t)layout->total + 8 * (uint64_t)layout->batch_norms;
}

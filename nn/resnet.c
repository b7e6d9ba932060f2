/* SPDX-License-Identifier: MIT */
/* ResNet-34 (He et al. 2015) from a table of stages of basic blocks. SPEC 6.2. */
#include "resnet.h"

#include <stdio.h>

static const struct stage {
    size_t blocks, multiple,
        stride; /* basic blocks, channels in units of width, stride of the first block */
} STAGES[] = {{3, 1, 1}, {4, 2, 2}, {6, 4, 2}, {3, 8, 2}};

enum { STAGE_COUNT = sizeof STAGES / sizeof *STAGES };

/* One basic block while it is built. */
typedef struct block {
    nn_net *net;
    const nn_norm_choice *norm;
    char prefix[24];
    size_t channels, stride;
} block;

static const char *child(char *name, size_t size, const block *b, const char *suffix)
{
    snprintf(name, size, "%s.%s", b->prefix, suffix);
    return name;
}

static nn_node *conv(const block *b, nn_node *x, const char *suffix, size_t k, size_t stride)
{
    char name[NN_SLICE_NAME];
    return nn_net_conv(b->net, x, child(name, sizeof name, b, suffix), b->channels, k, stride,
                       k / 2);
}

static nn_norm_layer norm(const block *b, const char *suffix)
{
    char name[NN_SLICE_NAME];
    return nn_net_norm(b->net, b->channels, child(name, sizeof name, b, suffix), b->norm);
}

/* relu(norm(y) + residual); y has no further use. */
static nn_node *norm_relu(const block *b, nn_node *y, const nn_norm_layer *layer, nn_node *residual)
{
    nn_node *out = nn_norm_apply(b->net->graph, layer, y, true, residual);
    nn_graph_drop(b->net->graph, y);
    return out;
}

/* x itself, or where the shape changes a strided 1x1 convolution of it. */
static nn_node *shortcut(const block *b, nn_node *x)
{
    if (b->stride == 1 && x->value.c == b->channels)
        return x;
    nn_node *y = conv(b, x, "downsample.0", 1, b->stride);
    const nn_norm_layer bn = norm(b, "downsample.1");
    nn_node *out = nn_norm_apply(b->net->graph, &bn, y, false, NULL);
    nn_graph_drop(b->net->graph, y);
    return out;
}

/* relu(bn(y) + shortcut(x)), where batch-norm adds the shortcut and so comes last; operation by
 * operation in the order of SPEC 6.2 when the tape is watched. */
static nn_node *join(const block *b, nn_node *y, const nn_norm_layer *bn, nn_node *x)
{
    nn_graph *graph = b->net->graph;
    nn_node *residual;
    if (graph->watch == NULL) {
        residual = shortcut(b, x);
        y = norm_relu(b, y, bn, residual);
    } else {
        y = nn_norm_apply(graph, bn, y, false, NULL);
        residual = shortcut(b, x);
        nn_graph_name_next(graph, b->net->scope, b->prefix, ".add");
        y = nn_graph_relu(graph, nn_graph_add(graph, y, residual));
    }
    nn_graph_drop(graph, residual);
    return y;
}

/* relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)). */
static nn_node *basic_block(const block *b, nn_node *x)
{
    nn_graph *graph = b->net->graph;
    if (graph->status != DDOME_OK)
        return NULL;
    nn_node *y = conv(b, x, "conv1", 3, b->stride);
    const nn_norm_layer bn1 = norm(b, "bn1");
    nn_node *inner = norm_relu(b, y, &bn1, NULL);
    y = conv(b, inner, "conv2", 3, 1);
    nn_graph_drop(graph, inner);
    const nn_norm_layer bn2 = norm(b, "bn2");
    nn_node *out = join(b, y, &bn2, x);
    nn_graph_drop(graph, x);
    return out;
}

static nn_node *stem(nn_net *net, nn_node *x, const nn_resnet *resnet)
{
    const size_t k = resnet->big_stem ? 7 : 3, stride = resnet->big_stem ? 2 : 1;
    nn_node *y = nn_net_conv(net, x, "conv1", resnet->width, k, stride, k / 2);
    const nn_norm_layer bn = nn_net_norm(net, resnet->width, "bn1", &resnet->norm);
    nn_node *out = nn_norm_apply(net->graph, &bn, y, true, NULL);
    nn_graph_drop(net->graph, y);
    if (!resnet->big_stem)
        return out;
    nn_graph_name_next(net->graph, net->scope, "maxpool", "");
    nn_node *pooled = nn_graph_max_pool(net->graph, out, 3, 2, 1);
    nn_graph_drop(net->graph, out);
    return pooled;
}

nn_node *nn_resnet_build(nn_net *net, nn_node **features, nn_node *x, const nn_resnet *resnet)
{
    nn_node *y = stem(net, x, resnet);
    for (unsigned s = 0; s < STAGE_COUNT; s++)
        for (unsigned i = 0; i < STAGES[s].blocks; i++) {
            block b = {net, &resnet->norm, "", STAGES[s].multiple * resnet->width,
                       i == 0 ? STAGES[s].stride : 1};
            snprintf(b.prefix, sizeof b.prefix, "layer%u.%u", s + 1, i);
            y = basic_block(&b, y);
        }
    nn_graph_name_next(net->graph, net->scope, "avgpool", "");
    y = nn_graph_avg_pool(net->graph, y);
    if (features != NULL)
        *features = y;
    return nn_net_linear(net, y, "fc", resnet->classes);
}

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

static nn_node *conv_norm(const block *b, nn_node *x, const char *conv, const char *norm, size_t k,
                          size_t stride)
{
    char name[NN_SLICE_NAME];
    nn_node *y =
        nn_net_conv(b->net, x, child(name, sizeof name, b, conv), b->channels, k, stride, k / 2);
    return nn_net_norm(b->net, y, child(name, sizeof name, b, norm), b->norm);
}

/* y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)); the shortcut is a strided 1x1
 * convolution where the shape changes. */
static nn_node *basic_block(const block *b, nn_node *x)
{
    nn_graph *graph = b->net->graph;
    if (graph->status != DDOME_OK)
        return NULL;
    const bool reshape = b->stride != 1 || x->value.c != b->channels;
    nn_node *y = conv_norm(b, x, "conv1", "bn1", 3, b->stride);
    y = conv_norm(b, nn_graph_relu(graph, y), "conv2", "bn2", 3, 1);
    nn_node *shortcut = reshape ? conv_norm(b, x, "downsample.0", "downsample.1", 1, b->stride) : x;
    return nn_graph_relu(graph, nn_graph_add(graph, y, shortcut));
}

static nn_node *stem(nn_net *net, nn_node *x, const nn_resnet *resnet)
{
    const size_t k = resnet->big_stem ? 7 : 3, stride = resnet->big_stem ? 2 : 1;
    nn_node *y = nn_net_conv(net, x, "conv1", resnet->width, k, stride, k / 2);
    y = nn_graph_relu(net->graph, nn_net_norm(net, y, "bn1", &resnet->norm));
    return resnet->big_stem ? nn_graph_max_pool(net->graph, y, 3, 2, 1) : y;
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
    y = nn_graph_avg_pool(net->graph, y);
    if (features != NULL)
        *features = y;
    return nn_net_linear(net, y, "fc", resnet->classes);
}

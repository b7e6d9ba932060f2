/* SPDX-License-Identifier: MIT */
/* Flat parameter vectors with named slices, and the builder that declares them and later reads them
 * in the same order. SPEC 6.1. A model is ONE function over nn_net: run on a planning graph it
 * declares the layout, run on a real one it computes. */
#ifndef NN_PARAM_H
#define NN_PARAM_H

#include "graph.h"
#include "hash.h"
#include "rng.h"

enum { NN_SLICE_NAME = 48 };

typedef enum nn_slice_kind {
    NN_SLICE_TRAINED,  /* moved by the optimiser */
    NN_SLICE_STATISTIC /* running mean or variance of a batch-norm */
} nn_slice_kind;

typedef enum nn_init_rule {
    NN_INIT_ZERO,
    NN_INIT_ONE,
    NN_INIT_KAIMING, /* normal, deviation sqrt(2 / fan) with fan = out * kh * kw */
    NN_INIT_UNIFORM  /* +-1/sqrt(fan) with fan = inputs */
} nn_init_rule;

typedef struct nn_slice {
    char name[NN_SLICE_NAME]; /* torch's name */
    nn_slice_kind kind;
    nn_init_rule init;
    size_t fan;
    size_t rank, shape[4]; /* torch's order: OIHW, [out, in], [c] */
    size_t offset, count;  /* floats in the flat vector */
} nn_slice;

typedef struct nn_layout {
    nn_slice *slices;
    size_t count, capacity;
    size_t total;       /* floats of a flat vector */
    size_t trained;     /* floats of its trained slices */
    size_t batch_norms; /* layers with running statistics; each also has a counter
                           num_batches_tracked */
} nn_layout;

/* One use of a model in a graph. Exactly one of declare (planning) and layout (computing) is set.
 */
typedef struct nn_net {
    nn_graph *graph;
    nn_layout *declare;
    const nn_layout *layout;
    const float *values; /* flat vector [layout->total] */
    float *grads;        /* the same shape, or NULL: no gradients wanted */
    float *statistics;   /* == values when training (batch-norm moves it), else NULL */
    size_t next;         /* slice that comes next */
    const char *scope;   /* before the names of a watched tape; may be NULL */
} nn_net;

/* Names are built as PREFIX.SUFFIX; an empty prefix gives SUFFIX. */
nn_node *nn_net_conv(nn_net *net, nn_node *x, const char *name, size_t oc, size_t k, size_t stride,
                     size_t pad);
nn_node *nn_net_linear(nn_net *net, nn_node *x, const char *name, size_t out);

/* Normalisation of a model. */
typedef struct nn_norm_choice {
    bool group;      /* group-norm instead of batch-norm */
    size_t channels; /* channels per group, at least one group (D20) */
} nn_norm_choice;

/* The slices of a normalisation of c channels, taken before it is applied, so that their order does
 * not depend on the tape's. */
typedef struct nn_norm_layer {
    nn_node *gamma, *beta;
    nn_op op;
    nn_attr attr;
    const char *scope;
    char name[NN_SLICE_NAME];
} nn_norm_layer;

nn_norm_layer nn_net_norm(nn_net *net, size_t c, const char *name, const nn_norm_choice *choice);

/* norm(x), + residual unless NULL, max(y, +0) if relu; one operation where batch-norm can do all
 * and nobody watches. */
nn_node *nn_norm_apply(nn_graph *graph, const nn_norm_layer *layer, nn_node *x, bool relu,
                       nn_node *residual);

/* Fills a flat vector by each slice's rule: stream, counter round = slice number, client as given
 * (SPEC 6.6). */
void nn_layout_init(float *values, const nn_layout *layout, uint64_t seed, nn_stream stream,
                    uint32_t client);

/* SHA-256 of the flat vector in slice order, torch's element order. */
nn_digest nn_layout_hash(const nn_layout *layout, const float *values);

/* Index of the first element that is infinite or NaN; layout->total when there is none. */
size_t nn_layout_nonfinite(const nn_layout *layout, const float *values);

/* The slice that holds element `index`; NULL beyond the last. */
const nn_slice *nn_layout_slice_at(const nn_layout *layout, size_t index);

/* Payload of a message that carries such a vector: 4 bytes a float, 8 a batch-norm counter. */
uint64_t nn_layout_bytes(const nn_layout *layout);

#endif

/* SPDX-License-Identifier: MIT */
/* The two-layer perceptron: the gate, and an expert for small problems. SPEC 6.4. */
#ifndef NN_MLP_H
#define NN_MLP_H

#include "param.h"

typedef struct nn_mlp {
    size_t hidden, out;
} nn_mlp;

/* x[n,...] (flattened NHWC) -> linear "fc1", ReLU, linear "fc2"; *features (if not NULL) is the
 * hidden layer. */
nn_node *nn_mlp_build(nn_net *net, nn_node **features, nn_node *x, const nn_mlp *mlp);

#endif

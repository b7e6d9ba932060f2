/* SPDX-License-Identifier: MIT */
/* ResNet-34 of any width, with torchvision's names. SPEC 6.2, 6.3. */
#ifndef NN_RESNET_H
#define NN_RESNET_H

#include "param.h"

typedef struct nn_resnet {
    size_t width; /* channels of the first stage: 64 is the full network */
    size_t classes;
    bool big_stem; /* 7x7 stride 2 and 3x3 max-pool stride 2 instead of 3x3 stride 1 */
    nn_norm_choice norm;
} nn_resnet;

/* x[n,h,w,c] -> logits [n,classes]; *features (if not NULL) is the input of the last layer, [n,
 * 8*width]. */
nn_node *nn_resnet_build(nn_net *net, nn_node **features, nn_node *x, const nn_resnet *resnet);

#endif

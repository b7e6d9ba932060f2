/* SPDX-License-Identifier: MIT */
/* y = fc2(relu(fc1(x))). SPEC 6.4. */
#include "mlp.h"

nn_node *nn_mlp_build(nn_net *net, nn_node **features, nn_node *x, const nn_mlp *mlp)
{
    nn_node *hidden = nn_graph_relu(net->graph, nn_net_linear(net, x, "fc1", mlp->hidden));
    if (features != NULL)
        *features = hidden;
    return nn_net_linear(net, hidden, "fc2", mlp->out);
}

/* SPDX-License-Identifier: MIT */
/* The perceptron: names, sizes, values and all gradients against the double oracle. SPEC 6.4. */
#include "fixture.h"
#include "oracle.h"

#include "../nn/mlp.h"

#include <math.h>

enum { N = 3, IN = 2 * 2 * 3, HIDDEN = 6, OUT = 4, TOTAL = HIDDEN * (IN + 1) + OUT * (HIDDEN + 1) };

static const nn_mlp mlp = {HIDDEN, OUT};
static const uint32_t labels[N] = {3, 0, 1};

static void check_layout(nn_layout *layout, nn_graph *graph)
{
    static const char *const names[4] = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"};
    const nn_tensor x = {NULL, N, 2, 2, 3};
    nn_net net = {.graph = graph, .declare = layout};
    test_case("mlp: names and sizes");
    graph->planning = true;
    nn_node *features = NULL;
    const nn_node *z = nn_mlp_build(&net, &features, nn_graph_leaf(graph, &x, NULL), &mlp);
    CHECK(z->value.n == N && z->value.c == OUT && features->value.c == HIDDEN);
    test_same_u64("slices", layout->count, 4);
    for (size_t i = 0; i < 4; i++)
        test_same_text("name", layout->slices[i].name, names[i]);
    test_same_u64("total", layout->total, TOTAL);
    test_same_u64("trained", layout->trained, TOTAL);
    graph->planning = false;
}

/* Input and parameters; the parameters are one vector in the order of the slices. */
typedef struct problem {
    float x[N * IN], values[TOTAL], grads[TOTAL];
} problem;

static double objective(const double *v, void *context)
{
    const problem *p = context;
    const double *w1 = v, *b1 = w1 + HIDDEN * IN, *w2 = b1 + HIDDEN, *b2 = w2 + OUT * HIDDEN;
    double hidden[N * HIDDEN], z[N * OUT];
    oracle_linear(hidden, test_widened(p->x, N * IN), w1, b1, N, IN, HIDDEN);
    oracle_relu(hidden, hidden, N * HIDDEN);
    oracle_linear(z, hidden, w2, b2, N, HIDDEN, OUT);
    return oracle_cross_entropy(z, labels, N, OUT);
}

/* Steps of 2e-4 cross no kink with the seed of the golden run; 2^-17 of the largest gradient is 128
 * roundings, and the stencil adds about 1e-11. */
static void check_gradients(const nn_layout *layout, nn_graph *graph)
{
    problem p;
    test_random random = {151};
    const nn_tensor x = {p.x, N, 2, 2, 3};
    nn_net net = {.graph = graph, .layout = layout, .values = p.values, .grads = p.grads};
    double want[TOTAL], bound[TOTAL], most = 0;
    test_case("mlp: loss and gradients against double");
    test_fill(p.x, N * IN, FILL_RANDOM, &random);
    nn_layout_init(p.values, layout, 1, NN_STREAM_TEST, 0);
    nn_node *z = nn_mlp_build(&net, NULL, nn_graph_leaf(graph, &x, NULL), &mlp);
    nn_node *loss = nn_graph_cross_entropy(graph, z, labels);
    if (!CHECK(loss != NULL) || !CHECK(nn_graph_backward(graph, loss, 1) == DDOME_OK))
        return;
    double *v = test_widened(p.values, TOTAL);
    const double exact = objective(v, &p), near = 0x1p-20 * exact;
    test_close("loss", loss->value.data, &exact, 1, &near);
    for (size_t i = 0; i < TOTAL; i++) {
        want[i] = oracle_difference(objective, &p, v, i, 1e-4);
        most = fmax(most, fabs(want[i]));
    }
    for (size_t i = 0; i < TOTAL; i++)
        bound[i] = 0x1p-17 * most + 1e-9;
    test_close("gradients", p.grads, want, TOTAL, bound);
}

void t_mlp(void);

void t_mlp(void)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    nn_graph graph = {.engine = test_engine(), .arena = &arena, .error = &error, .training = true};
    nn_layout layout = {0};
    check_layout(&layout, &graph);
    check_gradients(&layout, &graph);
    nn_arena_free(&arena);
    test_release();
}

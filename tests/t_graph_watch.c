/* SPDX-License-Identifier: MIT */
/* A watcher sees no value that was not computed: a backward pass that runs out of memory delivers
 * the first gradients of one that does not, bit by bit, and no other. SPEC 19.3. */
#include "fixture.h"

#include "../nn/graph.h"
#include "../nn/hash.h"

void t_graph_watch(void);

enum { N = 2, H = 5, W = 4, C = 3, CLASSES = 4, LEAVES = 7, MOST = 32, GROUPS = 1 };

static const size_t SIZES[LEAVES][4] = {
    {N, H, W, C},       {C, 1, 1, 9 * C},   {C, 1, 1, 1}, {C, 1, 1, 1}, /* x, conv, norm */
    {CLASSES, 1, 1, C}, {CLASSES, 1, 1, 1},                             /* head */
    {N, H, W, C},                                                       /* a residual */
};

typedef struct problem {
    nn_op norm;
    nn_tensor value[LEAVES];
    float *grad[LEAVES], mean[C], var[C];
    uint32_t labels[N];
    size_t delivered;
    nn_digest seen[MOST]; /* of each delivery, in order */
} problem;

static void computed(void *user, nn_graph *graph, nn_node *node)
{
    (void)user, (void)graph, (void)node;
}

static void delivered(void *user, nn_graph *graph, nn_node *node, nn_node *input,
                      const float *gradient)
{
    problem *p = user;
    (void)graph, (void)node;
    if (CHECK(p->delivered < MOST))
        p->seen[p->delivered++] =
            nn_sha256_of(gradient, nn_tensor_count(&input->value) * sizeof *gradient);
}

static nn_node *build(nn_graph *graph, problem *p)
{
    const nn_attr attr = {.running_mean = p->mean, .running_var = p->var, .groups = GROUPS};
    nn_node *leaf[LEAVES];
    for (size_t i = 0; i < LEAVES; i++)
        leaf[i] = nn_graph_leaf(graph, &p->value[i], p->grad[i]);
    nn_node *y = nn_graph_conv(graph, leaf[0], leaf[1], 1, 1, 3);
    nn_node *inputs[3] = {y, leaf[2], leaf[3]};
    y = nn_graph_relu(graph, nn_graph_apply(graph, p->norm, inputs, 3, &attr));
    y = nn_graph_avg_pool(graph, nn_graph_add(graph, y, leaf[6]));
    return nn_graph_cross_entropy(graph, nn_graph_linear(graph, y, leaf[4], leaf[5]), p->labels);
}

/* fail_after counts from the start of the backward pass. */
static ddome_status run(problem *p, size_t fail_after)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const nn_watch watch = {p, computed, computed, delivered};
    nn_graph graph = {.engine = test_engine(),
                      .arena = &arena,
                      .error = &error,
                      .training = true,
                      .watch = &watch};
    p->delivered = 0;
    nn_node *loss = build(&graph, p);
    if (fail_after != 0)
        arena.fail_after = arena.allocations + fail_after;
    ddome_status status = loss == NULL ? graph.status : nn_graph_backward(&graph, loss, 1.0f);
    if (status != DDOME_OK)
        test_status("backward", status, DDOME_ERR_MEMORY, &error, "out of memory");
    nn_arena_free(&arena);
    return status;
}

static void try_norm(nn_op norm, const char *name)
{
    test_random random = test_random_start(17);
    problem whole = {.norm = norm, .labels = {3, 1}};
    for (size_t i = 0; i < LEAVES; i++) {
        whole.value[i] = (nn_tensor){NULL, SIZES[i][0], SIZES[i][1], SIZES[i][2], SIZES[i][3]};
        const size_t count = nn_tensor_count(&whole.value[i]);
        whole.value[i].data = test_floats(count);
        whole.grad[i] = test_floats(count);
        test_fill_uniform(whole.value[i].data, count, 1.0f, &random);
    }
    test_case("graph_watch: %s, no memory: only gradients that were computed are shown", name);
    CHECK(run(&whole, 0) == DDOME_OK);
    problem poor = whole;
    size_t failures = 0;
    while (failures < 1000 && run(&poor, failures + 1) != DDOME_OK) {
        failures++;
        if (!CHECK(poor.delivered < whole.delivered) ||
            !test_same_bytes("the gradients shown", poor.seen, whole.seen,
                             poor.delivered * sizeof *poor.seen))
            break;
    }
    CHECK(failures > 5 && poor.delivered == whole.delivered);
}

void t_graph_watch(void)
{
    try_norm(NN_OP_BATCH_NORM, "batch_norm");
    try_norm(NN_OP_GROUP_NORM, "group_norm");
}

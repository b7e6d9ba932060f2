/* SPDX-License-Identifier: MIT */
/* Memory of the tape: dropped values and their second computation, reuse of what no node needs,
 * gradients handed down to a residual. What must not move is every bit of values and gradients;
 * what must shrink is the arena's peak. SPEC 5.16. */
#include "fixture.h"

#include "../nn/resnet.h"

#include <string.h>

/* A graph over its own arena and error. */
typedef struct bench {
    nn_arena arena;
    ddome_error error;
    nn_graph graph;
} bench;

static void start(bench *b, const nn_engine *engine)
{
    memset(b, 0, sizeof *b);
    b->graph.engine = engine;
    b->graph.arena = &b->arena;
    b->graph.error = &b->error;
    b->graph.training = true;
}

/* ---- a residual block in all its forms ---- */

enum { N = 2, H = 4, W = 5, C = 3, CLASSES = 4, IMAGE = N * H * W * C, TENSORS = 13 };

/* What is built otherwise, with the same gradients: drops or none; a batch-norm that does all or
 * its operations one by one; and where the residual comes from. */
typedef struct form {
    bool drops, separate;
    enum source {
        FROM_LEAF,   /* a leaf with a gradient */
        FROM_FROZEN, /* a leaf without */
        FROM_NODE,   /* a node that nothing else uses */
        FROM_SHARED, /* a node with a later consumer too: an earlier contribution */
        SOURCES
    } source;
} form;

/* Leaves with their gradients. */
typedef struct block {
    size_t count;
    nn_tensor value[TENSORS];
    float *grad[TENSORS], mean[C], var[C], loss;
    uint32_t labels[N];
} block;

static const size_t SIZES[TENSORS][4] = {
    {N, H, W, C},                                         /* x */
    {C, 1, 1, 9 * C},   {C, 1, 1, 1},       {C, 1, 1, 1}, /* conv1, norm1 */
    {C, 1, 1, 9 * C},   {C, 1, 1, 1},       {C, 1, 1, 1}, /* conv2, norm2 */
    {C, 1, 1, C},       {C, 1, 1, 1},       {C, 1, 1, 1}, /* conv, norm of the shortcut */
    {N, H, W, C},                                         /* a residual that is a leaf */
    {CLASSES, 1, 1, C}, {CLASSES, 1, 1, 1},               /* head */
};

static block make_block(void)
{
    test_random random = test_random_start(121);
    block b = {.count = TENSORS, .labels = {3, 1}};
    for (size_t i = 0; i < TENSORS; i++) {
        b.value[i] = (nn_tensor){NULL, SIZES[i][0], SIZES[i][1], SIZES[i][2], SIZES[i][3]};
        const size_t count = nn_tensor_count(&b.value[i]);
        b.value[i].data = test_floats(count);
        b.grad[i] = test_floats(count);
        test_fill_uniform(b.value[i].data, count, 1.0f, &random);
    }
    return b;
}

static nn_node *batch_norm(nn_graph *graph, block *b, nn_node *const *leaves, nn_node *x, bool relu,
                           nn_node *residual)
{
    nn_node *inputs[4] = {x, leaves[0], leaves[1], residual};
    const nn_attr attr = {.running_mean = b->mean, .running_var = b->var, .relu = relu};
    return nn_graph_apply(graph, NN_OP_BATCH_NORM, inputs, residual == NULL ? 3 : 4, &attr);
}

/* relu(norm(x) + residual) in one operation or three. */
static nn_node *norm_relu(nn_graph *graph, block *b, const form *f, nn_node *const *leaves,
                          nn_node *x, nn_node *residual)
{
    if (!f->separate)
        return batch_norm(graph, b, leaves, x, true, residual);
    nn_node *y = batch_norm(graph, b, leaves, x, false, NULL);
    if (residual != NULL)
        y = nn_graph_add(graph, y, residual);
    return nn_graph_relu(graph, y);
}

static void drop(nn_graph *graph, const form *f, nn_node *node)
{
    if (f->drops)
        nn_graph_drop(graph, node);
}

static nn_node *residual_of(nn_graph *graph, block *b, const form *f, nn_node *const *leaves)
{
    if (f->source == FROM_LEAF || f->source == FROM_FROZEN)
        return leaves[10];
    nn_node *y = nn_graph_conv(graph, leaves[0], leaves[7], 1, 0, 1);
    nn_node *out = batch_norm(graph, b, leaves + 8, y, false, NULL);
    drop(graph, f, y);
    return out;
}

/* The loss; *inner is a value that can be dropped and computed again. */
static nn_node *build(nn_graph *graph, block *b, const form *f, nn_node **inner)
{
    nn_node *leaves[TENSORS];
    for (size_t i = 0; i < TENSORS; i++) {
        const bool frozen = i == 10 && f->source == FROM_FROZEN;
        leaves[i] = nn_graph_leaf(graph, &b->value[i], frozen ? NULL : b->grad[i]);
    }
    nn_node *y = nn_graph_conv(graph, leaves[0], leaves[1], 1, 1, 3);
    *inner = norm_relu(graph, b, f, leaves + 2, y, NULL);
    drop(graph, f, y);
    y = nn_graph_conv(graph, *inner, leaves[4], 1, 1, 3);
    drop(graph, f, *inner);
    nn_node *residual = residual_of(graph, b, f, leaves);
    nn_node *out = norm_relu(graph, b, f, leaves + 5, y, residual);
    drop(graph, f, y);
    if (f->source == FROM_SHARED)
        out = nn_graph_add(graph, out, residual);
    drop(graph, f, residual);
    nn_node *mean = nn_graph_avg_pool(graph, out);
    drop(graph, f, out);
    return nn_graph_cross_entropy(graph, nn_graph_linear(graph, mean, leaves[11], leaves[12]),
                                  b->labels);
}

static ddome_status run(block *b, const form *f, const nn_engine *engine, size_t fail_after)
{
    bench at;
    nn_node *inner = NULL;
    start(&at, engine);
    at.arena.fail_after = fail_after;
    nn_node *loss = build(&at.graph, b, f, &inner);
    ddome_status status = at.graph.status;
    if (status == DDOME_OK) {
        test_check(inner->dropped == (f->drops && !f->separate), __FILE__, __LINE__, "dropped");
        status = nn_graph_backward(&at.graph, loss, 1.0f);
    }
    if (status == DDOME_OK)
        b->loss = *loss->value.data;
    else
        test_status("block", status, DDOME_ERR_MEMORY, &at.error, "out of memory");
    nn_arena_free(&at.arena);
    return status;
}

static bool same_block(const block *got, const block *want)
{
    bool good = test_same_floats("loss", &got->loss, &want->loss, 1);
    for (size_t i = 0; i < TENSORS && good; i++)
        good = test_same_floats("gradient", got->grad[i], want->grad[i],
                                nn_tensor_count(&want->value[i])) ||
               test_check(false, __FILE__, __LINE__, "leaf %d", (int)i);
    return good;
}

static void check_forms(enum source source, const char *name)
{
    nn_engine engines[TEST_ENGINES];
    const size_t count = test_engines(engines);
    test_case("graph memory: drops and one operation for three move no bit, residual from %s",
              name);
    for (size_t i = 0; i < count; i++) {
        const form plain = {false, true, source};
        block want = make_block();
        CHECK(run(&want, &plain, &engines[i], 0) == DDOME_OK);
        for (int other = 0; other < 3; other++) {
            const form f = {other != 0, other == 2, source};
            block got = make_block();
            CHECK(run(&got, &f, &engines[i], 0) == DDOME_OK);
            test_check(same_block(&got, &want), __FILE__, __LINE__, "kernels %s, drops %d, one %d",
                       test_engine_name(&engines[i]), (int)f.drops, (int)!f.separate);
        }
        test_release();
    }
}

static void check_block_memory(void)
{
    static const form f = {true, false, FROM_SHARED};
    ddome_status status = DDOME_ERR_MEMORY;
    block b = make_block();
    test_case("graph memory: a block with drops without memory, at each allocation");
    for (size_t after = 1; status != DDOME_OK && after < 400; after++)
        status = run(&b, &f, test_engine(), after);
    CHECK(status == DDOME_OK);
    test_release();
}

/* The value before the drop, and the same once more. */
static void check_again(void)
{
    nn_engine engines[TEST_ENGINES];
    const size_t count = test_engines(engines);
    test_case("graph memory: a dropped value is computed again with the same bits");
    for (size_t i = 0; i < 2 * count; i++) {
        const form f = {false, false, FROM_LEAF};
        bench at;
        block b = make_block();
        nn_node *inner = NULL;
        float *kept = test_floats(IMAGE), *again = test_floats(IMAGE);
        start(&at, &engines[i / 2]);
        CHECK(build(&at.graph, &b, &f, &inner) != NULL);
        if (i % 2 == 1) /* the running statistics have moved since; the saved ones count */
            b.mean[0] = b.var[0] = 5;
        memcpy(kept, inner->value.data, IMAGE * sizeof *kept);
        nn_graph_drop(&at.graph, inner);
        CHECK(inner->dropped && inner->value.data == NULL);
        inner->value.data = again;
        nn_op_table[inner->op].again(&at.graph, inner);
        test_same_floats("again", again, kept, IMAGE);
        nn_arena_free(&at.arena);
        test_release();
    }
}

/* ---- values that cannot be dropped ---- */

/* NULL, a leaf, a plan; what was dropped before. */
static void check_no_drop(void)
{
    bench at;
    float x[4] = {1, 2, 3, 4}, dx[4];
    const nn_tensor value = {x, 1, 1, 1, 4}, planned = {NULL, 1, 1, 1, 4};
    test_case("graph memory: what a drop leaves alone");
    start(&at, test_engine());
    nn_node *leaf = nn_graph_leaf(&at.graph, &value, NULL);
    nn_graph_drop(&at.graph, NULL);
    nn_graph_drop(&at.graph, leaf);
    CHECK(leaf->value.data == x && at.graph.spares == NULL);
    nn_node *y = nn_graph_relu(&at.graph, leaf);
    nn_graph_drop(&at.graph, y);
    nn_graph_drop(&at.graph, y);
    CHECK(y->value.data == NULL && at.graph.spares != NULL && at.graph.spares->next == NULL);
    y = nn_graph_relu(&at.graph, nn_graph_leaf(&at.graph, &value, dx));
    CHECK(at.graph.spares == NULL);
    nn_graph_drop(&at.graph, y); /* its gradient needs it, and a ReLU has no second way to it */
    CHECK(y->value.data != NULL && !y->dropped);
    at.graph.planning = true;
    y = nn_graph_relu(&at.graph, nn_graph_leaf(&at.graph, &planned, NULL));
    nn_graph_drop(&at.graph, y);
    CHECK(!y->dropped && at.graph.spares == NULL);
    nn_arena_free(&at.arena);
}

/* Values without a gradient of their own that a trained operation needs: a frozen trunk. */
static nn_node *build_frozen(nn_graph *graph, block *b, bool drops, bool training)
{
    static const float zero[C] = {0, 0, 0}, one[C] = {1, 1, 1};
    nn_node *leaves[TENSORS];
    for (size_t i = 0; i < TENSORS; i++)
        leaves[i] = nn_graph_leaf(graph, &b->value[i], i >= 4 ? b->grad[i] : NULL);
    nn_node *inputs[3], *y = nn_graph_conv(graph, leaves[0], leaves[1], 1, 1, 3);
    const nn_attr attr = {.running_mean = training ? b->mean : NULL,
                          .running_var = training ? b->var : NULL,
                          .fixed_mean = zero,
                          .fixed_var = one,
                          .relu = true};
    inputs[0] = y;
    inputs[1] = leaves[2];
    inputs[2] = leaves[3];
    nn_node *a = nn_graph_apply(graph, NN_OP_BATCH_NORM, inputs, 3, &attr);
    const form f = {drops, false, FROM_LEAF};
    drop(graph, &f, y);
    nn_node *z = nn_graph_conv(graph, a, leaves[4], 1, 1, 3);
    drop(graph, &f, a);
    y = nn_graph_avg_pool(graph, z);
    drop(graph, &f, z);
    return nn_graph_cross_entropy(graph, nn_graph_linear(graph, y, leaves[11], leaves[12]),
                                  b->labels);
}

static void check_frozen(bool training)
{
    block b[2];
    test_case("graph memory: drops below trained operations, %s",
              training ? "training" : "evaluation");
    for (int drops = 0; drops < 2; drops++) {
        bench at;
        start(&at, test_engine());
        at.graph.training = training;
        b[drops] = make_block();
        nn_node *loss = build_frozen(&at.graph, &b[drops], drops == 1, training);
        if (CHECK(loss != NULL) && CHECK(nn_graph_backward(&at.graph, loss, 1) == DDOME_OK))
            b[drops].loss = *loss->value.data;
        nn_arena_free(&at.arena);
    }
    same_block(&b[1], &b[0]);
    test_release();
}

/* A dropped value that is computed again from a dropped one. */
static void check_drops_in_a_row(void)
{
    block b[2];
    test_case("graph memory: a dropped value computed again from another");
    for (int drops = 0; drops < 2; drops++) {
        bench at;
        nn_node *leaves[TENSORS];
        const form f = {drops == 1, false, FROM_LEAF};
        start(&at, test_engine());
        b[drops] = make_block();
        for (size_t i = 0; i < TENSORS; i++)
            leaves[i] = nn_graph_leaf(&at.graph, &b[drops].value[i], b[drops].grad[i]);
        nn_node *y = leaves[0];
        for (size_t i = 2; i < 9; i += 3) { /* leaves 2, 5, 8: three norms */
            nn_node *next = batch_norm(&at.graph, &b[drops], leaves + i, y, i == 5, NULL);
            drop(&at.graph, &f, y);
            y = next;
        }
        nn_node *mean = nn_graph_avg_pool(&at.graph, y);
        drop(&at.graph, &f, y);
        nn_node *loss = nn_graph_cross_entropy(
            &at.graph, nn_graph_linear(&at.graph, mean, leaves[11], leaves[12]), b[drops].labels);
        CHECK(y->dropped == f.drops);
        if (CHECK(loss != NULL) && CHECK(nn_graph_backward(&at.graph, loss, 1) == DDOME_OK))
            b[drops].loss = *loss->value.data;
        nn_arena_free(&at.arena);
    }
    same_block(&b[1], &b[0]);
    test_release();
}

/* No statistics to compute an evaluation again from: an error of the gradient, not a crash. */
static void check_evaluation(void)
{
    bench at;
    block b = make_block();
    nn_node *inner = NULL;
    const form f = {true, false, FROM_LEAF};
    test_case("graph memory: drops in an evaluation whose gradient is refused");
    start(&at, test_engine());
    at.graph.training = false;
    nn_node *leaves[3];
    const float zero[C] = {0, 0, 0}, one[C] = {1, 1, 1};
    const nn_attr attr = {.fixed_mean = zero, .fixed_var = one};
    leaves[0] = nn_graph_leaf(&at.graph, &b.value[0], b.grad[0]);
    leaves[1] = nn_graph_leaf(&at.graph, &b.value[2], b.grad[2]);
    leaves[2] = nn_graph_leaf(&at.graph, &b.value[3], b.grad[3]);
    inner = nn_graph_apply(&at.graph, NN_OP_BATCH_NORM, leaves, 3, &attr);
    nn_node *mean = nn_graph_avg_pool(&at.graph, inner);
    drop(&at.graph, &f, inner);
    nn_node *loss = nn_graph_cross_entropy(&at.graph, mean, (const uint32_t[]){0, 1});
    test_status("backward", nn_graph_backward(&at.graph, loss, 1), DDOME_ERR_RUNTIME, &at.error,
                "evaluation");
    nn_arena_free(&at.arena);
    test_release();
}

/* ---- residuals that do not fit ---- */

static void refuse_residual(const char *what, nn_node *(*residual)(bench *at, nn_node *x))
{
    bench at;
    block b = make_block();
    nn_node *leaves[3];
    start(&at, test_engine());
    leaves[0] = nn_graph_leaf(&at.graph, &b.value[0], NULL);
    leaves[1] = nn_graph_leaf(&at.graph, &b.value[2], NULL);
    leaves[2] = nn_graph_leaf(&at.graph, &b.value[3], NULL);
    CHECK(batch_norm(&at.graph, &b, leaves + 1, leaves[0], true, residual(&at, leaves[0])) == NULL);
    test_status(what, at.graph.status, DDOME_ERR_RUNTIME, &at.error, "batch_norm");
    nn_arena_free(&at.arena);
    test_release();
}

static nn_node *itself(bench *at, nn_node *x)
{
    (void)at;
    return x;
}

static nn_node *smaller(bench *at, nn_node *x)
{
    return nn_graph_avg_pool(&at->graph, x);
}

static void check_refused_residuals(void)
{
    test_case("graph memory: residuals that a batch-norm refuses");
    refuse_residual("the normalised input", itself);
    refuse_residual("another shape", smaller);
}

/* ---- reuse ---- */

static size_t count_spares(const nn_graph *graph)
{
    size_t count = 0;
    for (const nn_spare *spare = graph->spares; spare != NULL; spare = spare->next)
        count++;
    return count;
}

/* Every value dropped is a spare, and every spare is used again. */
static void check_many_spares(void)
{
    enum { MANY = 40 };
    bench at;
    float x[1] = {2};
    nn_node *nodes[MANY];
    const nn_tensor value = {x, 1, 1, 1, 1};
    test_case("graph memory: all spares are used again");
    start(&at, test_engine());
    nodes[0] = nn_graph_leaf(&at.graph, &value, NULL);
    for (int i = 1; i < MANY; i++)
        nodes[i] = nn_graph_relu(&at.graph, nodes[i - 1]);
    for (int i = 1; i < MANY - 1; i++)
        nn_graph_drop(&at.graph, nodes[i]);
    test_same_u64("spares", count_spares(&at.graph), MANY - 2);
    nn_node *y = nodes[MANY - 1];
    for (int i = 0; i < 2 * MANY; i++)
        y = nn_graph_relu(&at.graph, y);
    test_same_u64("spares left", count_spares(&at.graph), 0);
    test_same_floats("value", y->value.data, x, 1);
    nn_arena_free(&at.arena);
}

/* A value without samples has no floats that an entry could stand in: what the arena hands out next
 * begins where they would. */
static void check_no_samples(void)
{
    bench at;
    float x = 1, weight[6] = {1, 2, 3, 4, 5, 6}, bias[2] = {0, 0};
    const nn_tensor none = {&x, 0, 1, 1, 3}, w = {weight, 2, 1, 1, 3}, b = {bias, 2, 1, 1, 1};
    test_case("graph memory: a dropped value without samples");
    start(&at, test_engine());
    nn_node *in = nn_graph_leaf(&at.graph, &none, NULL);
    nn_node *matrix = nn_graph_leaf(&at.graph, &w, NULL);
    nn_node *y = nn_graph_linear(&at.graph, in, matrix, nn_graph_leaf(&at.graph, &b, NULL));
    for (int i = 0; i < 3; i++) {
        nn_node *next = nn_graph_relu(&at.graph, y);
        if (!CHECK(next != NULL && next->op == NN_OP_RELU))
            break;
        nn_node before;
        memcpy(&before, next, sizeof before);
        nn_graph_drop(&at.graph, y);
        test_same_bytes("the node behind it", next, &before, sizeof before);
        CHECK(next->value.n == 0 && next->value.c == 2 && at.graph.spares == NULL);
        y = next;
    }
    CHECK(at.graph.status == DDOME_OK);
    nn_arena_free(&at.arena);
}

static const nn_resnet MODEL = {4, 10, false, {false, 0}};

enum { IMAGES = 8, SIDE = 32 };

/* Bytes of all activations of a tape. */
static size_t activation_bytes(const nn_graph *graph)
{
    size_t bytes = 0;
    for (const nn_node *node = graph->last; node != NULL; node = node->previous)
        if (node->op != NN_OP_LEAF)
            bytes += nn_tensor_count(&node->value) * sizeof(float);
    return bytes;
}

/* Arena peak of a ResNet-34 of width 4 on 8 images of 32 x 32, and the bytes of its activations. */
static size_t resnet_peak(size_t *activations, bool training)
{
    test_random random = test_random_start(122);
    bench plan, at;
    nn_layout layout = {0};
    nn_tensor x = {NULL, IMAGES, SIDE, SIDE, 3};
    static const uint32_t labels[IMAGES] = {1, 2, 3, 4, 5, 6, 7, 8};
    start(&plan, test_engine());
    plan.graph.planning = true;
    nn_net net = {.graph = &plan.graph, .declare = &layout};
    CHECK(nn_resnet_build(&net, NULL, nn_graph_leaf(&plan.graph, &x, NULL), &MODEL) != NULL);
    float *values = test_floats(layout.total), *grads = test_floats(layout.total);
    nn_layout_init(values, &layout, 1, NN_STREAM_TEST, 0);
    x.data = test_floats(nn_tensor_count(&x));
    test_fill_uniform(x.data, nn_tensor_count(&x), 1.0f, &random);
    start(&at, test_engine());
    at.graph.training = training;
    net = (nn_net){.graph = &at.graph, .layout = &layout, .values = values};
    net.grads = training ? grads : NULL;
    net.statistics = training ? values : NULL;
    nn_node *z = nn_resnet_build(&net, NULL, nn_graph_leaf(&at.graph, &x, NULL), &MODEL);
    nn_node *loss = nn_graph_cross_entropy(&at.graph, z, labels);
    *activations = activation_bytes(&at.graph);
    if (training && CHECK(loss != NULL))
        CHECK(nn_graph_backward(&at.graph, loss, 1.0f) == DDOME_OK);
    const size_t peak = at.arena.peak;
    nn_arena_free(&at.arena);
    nn_arena_free(&plan.arena);
    test_release();
    return peak;
}

/* Found: activations of 4,097,348 bytes, gradients of as many; peaks of 3.80 MB in training and
 * 0.56 MB in evaluation. */
static void check_peaks(void)
{
    size_t activations;
    test_case("graph memory: a ResNet-34's peak in training and evaluation");
    size_t peak = resnet_peak(&activations, true);
    test_check(peak < activations / 10 * 12, __FILE__, __LINE__, "training: %lu bytes of 2 x %lu",
               (unsigned long)peak, (unsigned long)activations);
    peak = resnet_peak(&activations, false);
    test_check(peak < activations / 4, __FILE__, __LINE__, "evaluation: %lu bytes of %lu",
               (unsigned long)peak, (unsigned long)activations);
}

void t_graph_memory(void);

void t_graph_memory(void)
{
    static const char *const sources[SOURCES] = {"a leaf", "a frozen leaf", "a node",
                                                 "a node with another consumer"};
    for (int i = 0; i < SOURCES; i++)
        check_forms((enum source)i, sources[i]);
    check_block_memory();
    check_again();
    check_no_drop();
    check_refused_residuals();
    check_many_spares();
    check_no_samples();
    check_peaks();
    check_frozen(true);
    check_frozen(false);
    check_drops_in_a_row();
    check_evaluation();
}

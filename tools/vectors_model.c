/* SPDX-License-Identifier: MIT */
/* Levels of a basic block and of whole training steps of ResNet-34. SPEC 5.16, 6. */
#include <stdio.h>
#include <string.h>

#include "../nn/optim.h"
#include "../nn/resnet.h"
#include "vectors.h"

enum { CLASSES = 10, SEED = 19 };

/* A model in training, all in the arena of the level. */
typedef struct trainer {
    nn_resnet model;
    bool block; /* one basic block, pooled, with the last layer behind it */
    nn_layout layout;
    float *values, *grads, *velocity;
    nn_tensor x;
    float *dx; /* NULL: no gradient of the images */
    uint32_t *labels;
    float *y, *logits, loss; /* of the last forward pass; y: the block's output */
} trainer;

/* ---- models ---- */

/* Block layer2.0 as nn/resnet.c has it: stride 2, twice the channels. */
static nn_node *build_block(nn_net *net, nn_node **y, nn_node *x, const nn_resnet *model)
{
    nn_graph *graph = net->graph;
    const size_t channels = 2 * model->width;
    nn_node *a = nn_net_conv(net, x, "conv1", channels, 3, 2, 1);
    const nn_norm_layer bn1 = nn_net_norm(net, channels, "bn1", &model->norm);
    nn_node *inner = nn_norm_apply(graph, &bn1, a, true, NULL);
    nn_node *b = nn_net_conv(net, inner, "conv2", channels, 3, 1, 1);
    const nn_norm_layer bn2 = nn_net_norm(net, channels, "bn2", &model->norm);
    nn_node *s = nn_net_conv(net, x, "downsample.0", channels, 1, 2, 0);
    const nn_norm_layer bn = nn_net_norm(net, channels, "downsample.1", &model->norm);
    nn_node *shortcut = nn_norm_apply(graph, &bn, s, false, NULL);
    *y = nn_norm_apply(graph, &bn2, b, true, shortcut);
    return nn_net_linear(net, nn_graph_avg_pool(graph, *y), "fc", model->classes);
}

static nn_node *build(nn_net *net, nn_node **y, nn_node *x, const trainer *t)
{
    return t->block ? build_block(net, y, x, &t->model) : nn_resnet_build(net, NULL, x, &t->model);
}

static void declare(vectors_maker *m, trainer *t)
{
    nn_node *y;
    nn_graph graph = {.arena = &m->arena, .error = &m->error, .planning = true};
    nn_net net = {.graph = &graph, .declare = &t->layout};
    nn_tensor x = t->x;
    x.data = NULL;
    (void)build(&net, &y, nn_graph_leaf(&graph, &x, NULL), t);
    vectors_must(m, graph.status);
    t->values = vectors_alloc(m, t->layout.total, sizeof *t->values);
    t->grads = vectors_alloc(m, t->layout.total, sizeof *t->grads);
    t->velocity = vectors_alloc(m, t->layout.total, sizeof *t->velocity);
    nn_layout_init(t->values, &t->layout, SEED, NN_STREAM_INIT_EXPERT, 0);
}

static float *copied(vectors_maker *m, const float *from, size_t count)
{
    float *copy = vectors_alloc(m, count, sizeof *copy);
    memcpy(copy, from, count * sizeof *copy);
    return copy;
}

/* Forward and backward; activations are the arena's. */
static void learn(vectors_maker *m, trainer *t, nn_arith arith)
{
    const nn_engine engine = {m->kernels, arith, NULL};
    nn_node *y = NULL;
    nn_graph graph = {.engine = &engine, .arena = &m->arena, .error = &m->error, .training = true};
    nn_net net = {.graph = &graph,
                  .layout = &t->layout,
                  .values = t->values,
                  .grads = t->grads,
                  .statistics = t->values};
    nn_node *z = build(&net, &y, nn_graph_leaf(&graph, &t->x, t->dx), t);
    nn_node *loss = nn_graph_cross_entropy(&graph, z, t->labels);
    vectors_must(m, graph.status);
    t->loss = *loss->value.data;
    t->logits = copied(m, z->value.data, nn_tensor_count(&z->value));
    if (t->block)
        t->y = copied(m, y->value.data, nn_tensor_count(&y->value));
    vectors_must(m, nn_graph_backward(&graph, loss, 1.0f));
}

/* ---- values by slice ---- */

static vectors_shape slice_shape(const nn_slice *slice)
{
    vectors_shape shape = {slice->rank, {0}};
    memcpy(shape.size, slice->shape, slice->rank * sizeof *slice->shape);
    return shape;
}

static void add_slices(vectors_maker *m, vectors_list *list, const char *prefix,
                       const nn_layout *layout, const float *values, bool statistics, bool hashes)
{
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        char *name = vectors_name(m, "%s.%s", prefix, slice->name);
        if (slice->kind == NN_SLICE_STATISTIC && !statistics)
            continue;
        if (hashes)
            vectors_hash_only(m, list, name, slice_shape(slice), values + slice->offset);
        else
            vectors_f32(m, list, name, slice_shape(slice), values + slice->offset);
    }
}

static void draw_batch(vectors_maker *m, trainer *t, const char *x, const char *labels,
                       vectors_case *c)
{
    const vectors_shape shape = vectors_4(t->x.n, t->x.h, t->x.w, t->x.c);
    t->x.data = vectors_draw(m, VECTORS_SIGNED, vectors_count(shape));
    t->labels = vectors_alloc(m, t->x.n, sizeof *t->labels);
    for (size_t i = 0; i < t->x.n; i++)
        t->labels[i] = (uint32_t)((i * 3 + m->draws) % CLASSES);
    vectors_f32(m, &c->inputs, x, shape, t->x.data);
    vectors_u32(m, &c->inputs, labels, vectors_1(t->x.n), t->labels);
}

/* ---- one basic block ---- */

static void block(vectors_maker *m, nn_arith arith)
{
    const vectors_about about = {
        arith == NN_ARITH_MA ? "block.ma" : "block.fma", "6.2",
        "a basic block with downsample, pooled, with a last layer and the loss; x.gradient and all "
        "others; no class but three has a label",
        false};
    trainer t = {.model = {.width = 4, .classes = CLASSES}, .block = true};
    vectors_case c = vectors_begin("block");
    t.x = (nn_tensor){NULL, 3, 7, 6, 4};
    declare(m, &t);
    m->draws = 0; /* the same batch in both profiles */
    draw_batch(m, &t, "x", "labels", &c);
    t.dx = vectors_alloc(m, nn_tensor_count(&t.x), sizeof *t.dx);
    add_slices(m, &c.inputs, "start", &t.layout, copied(m, t.values, t.layout.total), true, false);
    learn(m, &t, arith);
    vectors_f32(m, &c.outputs, "y", vectors_4(3, 4, 3, 8), t.y);
    vectors_f32(m, &c.outputs, "logits", vectors_2(3, CLASSES), t.logits);
    vectors_number(m, &c.outputs, "loss", t.loss);
    vectors_f32(m, &c.outputs, "x.gradient", vectors_4(3, 7, 6, 4), t.dx);
    add_slices(m, &c.outputs, "gradient", &t.layout, t.grads, false, false);
    add_slices(m, &c.outputs, "after", &t.layout, t.values, true, false);
    vectors_add(m, &c, &about, arith == NN_ARITH_MA ? DATA_PROFILE_MA : DATA_PROFILE_FMA);
}

/* ---- one training step in full ---- */

static const nn_sgd sgd = {0.01f, 0.9f, 5e-4f};

static void train_step(vectors_maker *m, nn_arith arith)
{
    static const data_vector_key config[] = {{"width", "4"}, {"weight_decay", "0.0005"}};
    const vectors_about about = {arith == NN_ARITH_MA ? "train_step.ma" : "train_step.fma", "6.2",
                                 "ResNet-34, the first step of SGD on a batch of 4", false};
    trainer t = {.model = {.width = 4, .classes = CLASSES}};
    vectors_case c = vectors_begin("train_step");
    c.config = config;
    c.config_count = 2;
    t.x = (nn_tensor){NULL, 4, 16, 16, 3};
    declare(m, &t);
    m->draws = 0;
    draw_batch(m, &t, "x", "labels", &c);
    add_slices(m, &c.inputs, "start", &t.layout, copied(m, t.values, t.layout.total), true, false);
    learn(m, &t, arith);
    nn_sgd_step(t.values, t.velocity, t.grads, &t.layout, &sgd, true);
    vectors_number(m, &c.outputs, "loss", t.loss);
    vectors_f32(m, &c.outputs, "logits", vectors_2(4, CLASSES), t.logits);
    add_slices(m, &c.outputs, "gradient", &t.layout, t.grads, false, false);
    add_slices(m, &c.outputs, "after", &t.layout, t.values, true, false);
    add_slices(m, &c.outputs, "velocity", &t.layout, t.velocity, false, true);
    vectors_add(m, &c, &about, arith == NN_ARITH_MA ? DATA_PROFILE_MA : DATA_PROFILE_FMA);
}

/* ---- several steps by their hashes ---- */

typedef struct steps_row {
    const char *id, *comment;
    nn_resnet model;
    size_t images, size, steps;
    data_vector_key config[4];
    size_t config_count;
} steps_row;

static void add_step(vectors_maker *m, vectors_case *c, trainer *t, nn_arith arith, unsigned s)
{
    draw_batch(m, t, vectors_name(m, "s%u.x", s), vectors_name(m, "s%u.labels", s), c);
    learn(m, t, arith);
    nn_sgd_step(t->values, t->velocity, t->grads, &t->layout, &sgd, s == 0);
    vectors_number(m, &c->outputs, vectors_name(m, "s%u.loss", s), t->loss);
    vectors_f32(m, &c->outputs, vectors_name(m, "s%u.logits", s), vectors_2(t->x.n, CLASSES),
                t->logits);
    add_slices(m, &c->outputs, vectors_name(m, "s%u.gradient", s), &t->layout, t->grads, false,
               true);
    add_slices(m, &c->outputs, vectors_name(m, "s%u.after", s), &t->layout, t->values, true, true);
}

static void train_steps(vectors_maker *m, const steps_row *r, nn_arith arith)
{
    const bool ma = arith == NN_ARITH_MA;
    const vectors_about about = {vectors_name(m, "train_steps.%s.%s", r->id, ma ? "ma" : "fma"),
                                 "6.2", r->comment, false};
    trainer t = {.model = r->model};
    vectors_case c = vectors_begin("train_steps");
    vectors_attribute_set(&c, "steps", r->steps);
    vectors_attribute_set(&c, "classes", CLASSES);
    c.config = r->config;
    c.config_count = r->config_count;
    t.x = (nn_tensor){NULL, r->images, r->size, r->size, 3};
    declare(m, &t);
    m->draws = 0;
    vectors_hash_only(m, &c.outputs, "start", vectors_1(t.layout.total), t.values);
    for (unsigned s = 0; s < r->steps; s++)
        add_step(m, &c, &t, arith, s);
    vectors_add(m, &c, &about, ma ? DATA_PROFILE_MA : DATA_PROFILE_FMA);
}

/* seed: of stream INIT_EXPERT, client 0 (SPEC 6.6). */
static const steps_row rows[] = {
    {"3x3",
     "start of stream INIT_EXPERT, client 0; two steps, so that momentum shows",
     {4, CLASSES, false, {false, 8}},
     4,
     16,
     2,
     {{"seed", "19"}, {"width", "4"}, {"weight_decay", "0.0005"}},
     3},
    {"7x7",
     "the 7x7 stem with its max-pool; start of stream INIT_EXPERT, client 0",
     {4, CLASSES, true, {false, 8}},
     3,
     18,
     2,
     {{"seed", "19"}, {"width", "4"}, {"weight_decay", "0.0005"}, {"stem", "7x7"}},
     4},
    {"group",
     "group-norm; start of stream INIT_EXPERT, client 0",
     {8, CLASSES, false, {true, 8}},
     2,
     8,
     2,
     {{"seed", "19"}, {"width", "8"}, {"weight_decay", "0.0005"}, {"norm", "group"}},
     4},
    {"one_image",
     "a batch of one of 8x8: the last stage has N = 1, its running variances stay",
     {4, CLASSES, false, {false, 8}},
     1,
     8,
     2,
     {{"seed", "19"}, {"width", "4"}, {"weight_decay", "0.0005"}},
     3}};

static const steps_row large_row = {"large",
                                    "width 8 on 32x32: not kept, made by --large",
                                    {8, CLASSES, false, {false, 8}},
                                    8,
                                    32,
                                    3,
                                    {{"seed", "19"}, {"width", "8"}, {"weight_decay", "0.0005"}},
                                    3};

void vectors_levels_model(vectors_maker *m, bool large)
{
    vectors_open(m, "block");
    block(m, NN_ARITH_MA);
    block(m, NN_ARITH_FMA);
    vectors_close(m);
    vectors_open(m, "train_step");
    train_step(m, NN_ARITH_MA);
    train_step(m, NN_ARITH_FMA);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        train_steps(m, &rows[i], NN_ARITH_MA);
        train_steps(m, &rows[i], NN_ARITH_FMA);
    }
    if (large) {
        train_steps(m, &large_row, NN_ARITH_MA);
        train_steps(m, &large_row, NN_ARITH_FMA);
    }
    vectors_close(m);
}

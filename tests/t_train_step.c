/* SPDX-License-Identifier: MIT */
/* Golden train steps: three SGD steps of a ResNet-34 of width 4 as text: losses in hex, the SHA-256
 * of every gradient slice, of the flat gradients, parameters and velocities. The first line that
 * differs names the operation to look at. One text for each profile, the same from every kernel
 * table and every team. With DDOME_WRITE_GOLDEN=1 in the environment, `runner train_step` rewrites
 * golden/train_step.txt and golden/train_step_fma.txt.
 * SPEC 2.5, SPEC 5, SPEC 6. */
#include "fixture.h"

#include "../nn/optim.h"
#include "../nn/resnet.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { IMAGES = 4, SIDE = 16, CLASSES = 10, STEPS = 3, TEXT_BYTES = 65536, SEED = 2306 };

/* The text of a run. */
typedef struct record {
    char text[TEXT_BYTES];
    size_t length;
} record;

static void add(record *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int added = vsnprintf(r->text + r->length, sizeof r->text - r->length, format, arguments);
    va_end(arguments);
    if (CHECK(added >= 0 && (size_t)added < sizeof r->text - r->length))
        r->length += (size_t)added;
}

static void add_hash(record *r, const char *what, const float *values, size_t count)
{
    char hex[NN_HEX_BYTES];
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    nn_sha256_floats(&sha, values, count);
    const nn_digest digest = nn_sha256_end(&sha);
    nn_digest_hex(hex, &digest);
    add(r, "%s %s\n", what, hex);
}

/* A model with all that training moves. */
typedef struct trainer {
    nn_resnet model;
    nn_arena arena; /* of the layout */
    nn_layout layout;
    float *values, *grads, *velocity;
} trainer;

static void make(trainer *t, const nn_resnet *model)
{
    const nn_tensor x = {NULL, IMAGES, SIDE, SIDE, 3};
    memset(t, 0, sizeof *t);
    t->model = *model;
    nn_graph graph = {.arena = &t->arena, .planning = true};
    nn_net net = {.graph = &graph, .declare = &t->layout};
    CHECK(nn_resnet_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), model) != NULL);
    t->values = test_floats(t->layout.total);
    t->grads = test_floats(t->layout.total);
    t->velocity = test_floats(t->layout.total);
    for (size_t i = 0; i < t->layout.total; i++) /* statistics have neither and count as +0 */
        t->grads[i] = t->velocity[i] = 0;
    nn_layout_init(t->values, &t->layout, SEED, NN_STREAM_TEST, 0);
}

/* Pixels and labels of a step, from SplitMix64 alone. */
static void make_batch(float *x, uint32_t *labels, int step)
{
    test_random random = {SEED + (uint64_t)step};
    test_fill_uniform(x, (size_t)IMAGES * SIDE * SIDE * 3, 2.0f, &random);
    for (size_t i = 0; i < IMAGES; i++)
        labels[i] = (uint32_t)test_random_below(&random, CLASSES);
}

static void add_slices(record *r, const trainer *t)
{
    for (size_t s = 0; s < t->layout.count; s++) {
        const nn_slice *slice = &t->layout.slices[s];
        char name[NN_SLICE_NAME + 16];
        const bool trained = slice->kind == NN_SLICE_TRAINED;
        snprintf(name, sizeof name, "%s %s", trained ? "gradient" : "statistic", slice->name);
        add_hash(r, name, (trained ? t->grads : t->values) + slice->offset, slice->count);
    }
}

static void train(record *r, trainer *t, const nn_engine *engine, int step)
{
    const nn_sgd sgd = {0.01f, 0.9f, 5e-4f};
    const nn_tensor x = {test_floats((size_t)IMAGES * SIDE * SIDE * 3), IMAGES, SIDE, SIDE, 3};
    uint32_t labels[IMAGES];
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    nn_graph graph = {.engine = engine, .arena = &arena, .error = &error, .training = true};
    nn_net net = {.graph = &graph,
                  .layout = &t->layout,
                  .values = t->values,
                  .grads = t->grads,
                  .statistics = t->values};
    make_batch(x.data, labels, step);
    nn_node *z = nn_resnet_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), &t->model);
    nn_node *loss = nn_graph_cross_entropy(&graph, z, labels);
    if (CHECK(loss != NULL)) { /* the backward pass gives the logits up */
        add(r, "step %d loss %08" PRIx32 "\n", step, nn_float_bits(*loss->value.data));
        add_hash(r, "logits", z->value.data, IMAGES * CLASSES);
    }
    if (loss != NULL && CHECK(nn_graph_backward(&graph, loss, 1.0f) == DDOME_OK)) {
        if (step == 0)
            add_slices(r, t);
        nn_sgd_step(t->values, t->velocity, t->grads, &t->layout, &sgd, step == 0);
        add_hash(r, "gradients", t->grads, t->layout.total);
        add_hash(r, "velocities", t->velocity, t->layout.total);
        add_hash(r, "parameters", t->values, t->layout.total);
    }
    nn_arena_free(&arena);
}

static void train_model(record *r, const char *name, const nn_resnet *model,
                        const nn_engine *engine)
{
    trainer t;
    add(r, "model %s\n", name);
    make(&t, model);
    add_hash(r, "initial parameters", t.values, t.layout.total);
    for (int step = 0; step < STEPS; step++)
        train(r, &t, engine, step);
    nn_arena_free(&t.arena);
    test_release();
}

static const record *run(record *r, const nn_engine *engine)
{
    static const nn_resnet batch = {4, CLASSES, false, {false, 0}};
    static const nn_resnet group = {4, CLASSES, true, {true, 8}};
    r->length = 0;
    train_model(r, "resnet34 width 4, 3x3 stem, batch-norm", &batch, engine);
    train_model(r, "resnet34 width 4, 7x7 stem, group-norm", &group, engine);
    return r;
}

/* The portable kernels' texts. */
static record texts[NN_ARITH_COUNT];

static void check_golden(const nn_engine engines[NN_ARITH_COUNT])
{
    static const char *const names[NN_ARITH_COUNT] = {"train_step.txt", "train_step_fma.txt"};
    for (int i = 0; i < NN_ARITH_COUNT; i++) {
        test_case("golden train steps of ResNet-34 at width 4: kernels %s",
                  test_engine_name(&engines[i]));
        test_golden_text(names[i], run(&texts[i], &engines[i])->text);
    }
    CHECK(strcmp(texts[NN_ARITH_MA].text, texts[NN_ARITH_FMA].text) != 0);
}

static void check_same(const nn_engine *engine)
{
    static record r;
    test_same_text("train steps", run(&r, engine)->text, texts[engine->arith].text);
}

static void check_teams(void)
{
    static const size_t workers[] = {1, 2, 3, 7};
    nn_engine engines[NN_ARITH_COUNT];
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        test_case("the same train steps from a team of %d", (int)workers[i]);
        if (!test_team_engines(engines, workers[i]))
            break;
        test_same_u64("workers", nn_team_size(engines[0].team), workers[i]);
        for (int j = 0; j < NN_ARITH_COUNT; j++)
            check_same(&engines[j]);
        test_team_close(engines);
    }
}

void t_train_step(void);

void t_train_step(void)
{
    nn_engine engines[TEST_ENGINES];
    const size_t count = test_engines(engines);
    check_golden(engines);
    for (size_t i = NN_ARITH_COUNT; i < count; i++) {
        test_case("the same train steps from kernels %s", test_engine_name(&engines[i]));
        check_same(&engines[i]);
    }
    check_teams();
}

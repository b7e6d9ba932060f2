/* SPDX-License-Identifier: MIT */
/* ResNet-34: torchvision's names and counts; gradients of a whole train step against a double
 * ResNet; evaluation that does not depend on the batches; single values per channel; memory running
 * out. golden/resnet34_names.txt was written from torchvision's naming rule, not by this program,
 * and is never rewritten. The golden train step is t_train_step's. SPEC 6.2, 6.3. */
#include "fixture.h"
#include "oracle.h"

#include "../nn/resnet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CLASSES = 10, TEXT_BYTES = 16384 };

static const nn_resnet small = {4, CLASSES, false, {false, 0}};

/* A layout lives in the arena of its bench. */
typedef struct bench {
    nn_arena arena;
    ddome_error error;
    nn_graph graph;
    nn_layout layout;
} bench;

static void start(bench *b)
{
    memset(b, 0, sizeof *b);
    b->graph.engine = test_engine();
    b->graph.arena = &b->arena;
    b->graph.error = &b->error;
}

/* Plans the model for n images of side x side x 3. */
static nn_node *plan(bench *b, nn_node **features, const nn_resnet *model, size_t n, size_t side)
{
    const nn_tensor x = {NULL, n, side, side, 3};
    nn_net net = {.graph = &b->graph, .declare = &b->layout};
    start(b);
    b->graph.planning = true;
    return nn_resnet_build(&net, features, nn_graph_leaf(&b->graph, &x, NULL), model);
}

/* ---- names and counts ---- */

static void print_slice(char *text, const nn_slice *slice)
{
    char *end = text + strlen(text);
    end += sprintf(end, "%s ", slice->name);
    for (size_t i = 0; i < slice->rank; i++)
        end +=
            sprintf(end, "%lu%s", (unsigned long)slice->shape[i], i + 1 < slice->rank ? "," : "\n");
}

static void check_names(void)
{
    const nn_resnet full = {64, CLASSES, false, {false, 0}};
    static char text[TEXT_BYTES];
    bench b;
    test_case("resnet: names, shapes and order of torchvision");
    CHECK(plan(&b, NULL, &full, 1, 32) != NULL);
    text[0] = '\0';
    for (size_t i = 0; i < b.layout.count; i++)
        print_slice(text, &b.layout.slices[i]);
    const char *golden = test_golden("resnet34_names.txt");
    if (golden != NULL)
        test_same_text("slices", text, golden);
    nn_arena_free(&b.arena);
}

static void count_trained(const char *what, const nn_resnet *model, size_t want)
{
    bench b;
    nn_node *features = NULL;
    test_case("resnet: trained floats, %s", what);
    const nn_node *z = plan(&b, &features, model, 2, 32);
    test_same_u64("trained", b.layout.trained, want);
    CHECK(z->value.n == 2 && z->value.h == 1 && z->value.w == 1 && z->value.c == model->classes);
    test_same_u64("features", features->value.c, 8 * model->width);
    size_t offset = 0, statistics = 0;
    for (size_t i = 0; i < b.layout.count; i++) {
        const nn_slice *slice = &b.layout.slices[i];
        test_same_u64("offset", slice->offset, offset);
        offset += slice->count;
        statistics += slice->kind == NN_SLICE_STATISTIC ? slice->count : 0;
    }
    test_same_u64("total", b.layout.total, offset);
    test_same_u64("statistics", b.layout.total - b.layout.trained, statistics);
    test_same_u64("batch norms", b.layout.batch_norms, model->norm.group ? 0 : 36);
    /* torchvision's buffers: 2 * 8512 floats in the 36 layers */
    test_same_u64("buffers", statistics, model->norm.group ? 0 : 17024 * model->width / 64);
    nn_arena_free(&b.arena);
}

static void check_counts(void)
{
    const nn_resnet cifar = {64, CLASSES, false, {false, 0}}, big = {64, CLASSES, true, {false, 0}};
    const nn_resnet group = {64, CLASSES, false, {true, 8}}, hundred = {64, 100, false, {false, 0}};
    count_trained("3x3 stem", &cifar, 21282122);
    count_trained("7x7 stem", &big, 21289802);
    count_trained("group-norm", &group, 21282122);
    count_trained("100 classes", &hundred, 21282122 + 90 * 513);
}

/* ---- a double ResNet ---- */

/* An activation, and the parameters that come next in the flat vector. */
typedef struct wide {
    double *data;
    size_t n, h, w, c;
} wide;

typedef struct reader {
    const double *next;
} reader;

static const double *take(reader *r, size_t count)
{
    const double *taken = r->next;
    r->next += count;
    return taken;
}

static wide wide_conv(reader *r, wide x, size_t oc, size_t k, size_t stride, size_t pad)
{
    oracle_window o = {x.n, x.h, x.w, x.c, oc, k, k, stride, pad, 0, 0};
    oracle_place(&o);
    const wide y = {test_doubles(o.n * o.oh * o.ow * oc), o.n, o.oh, o.ow, oc};
    oracle_conv(y.data, x.data, take(r, oc * x.c * k * k), &o);
    return y;
}

/* Batch-norm in training, in place; passes over the running statistics. */
static void wide_norm(reader *r, wide x)
{
    const double *gamma = take(r, x.c), *beta = take(r, x.c);
    oracle_batch_norm(x.data, x.data, gamma, beta, x.n * x.h * x.w, x.c);
    take(r, 2 * x.c);
}

static void wide_relu(wide x)
{
    oracle_relu(x.data, x.data, x.n * x.h * x.w * x.c);
}

static wide wide_block(reader *r, wide x, size_t oc, size_t stride)
{
    wide y = wide_conv(r, x, oc, 3, stride, 1);
    wide_norm(r, y);
    wide_relu(y);
    y = wide_conv(r, y, oc, 3, 1, 1);
    wide_norm(r, y);
    if (stride != 1 || x.c != oc) {
        x = wide_conv(r, x, oc, 1, stride, 0);
        wide_norm(r, x);
    }
    oracle_add(y.data, y.data, x.data, y.n * y.h * y.w * y.c);
    wide_relu(y);
    return y;
}

static wide wide_stem(reader *r, wide x, const nn_resnet *model)
{
    wide y = wide_conv(r, x, model->width, model->big_stem ? 7 : 3, model->big_stem ? 2 : 1,
                       model->big_stem ? 3 : 1);
    wide_norm(r, y);
    wide_relu(y);
    if (!model->big_stem)
        return y;
    oracle_window o = {y.n, y.h, y.w, y.c, y.c, 3, 3, 2, 1, 0, 0};
    oracle_place(&o);
    const wide z = {test_doubles(o.n * o.oh * o.ow * o.c), o.n, o.oh, o.ow, o.c};
    oracle_max_pool(z.data, y.data, &o);
    return z;
}

static double wide_loss(const double *values, wide x, const nn_resnet *model,
                        const uint32_t *labels)
{
    static const size_t blocks[4] = {3, 4, 6, 3};
    reader r = {values};
    wide y = wide_stem(&r, x, model);
    for (size_t stage = 0; stage < 4; stage++)
        for (size_t i = 0; i < blocks[stage]; i++)
            y = wide_block(&r, y, model->width << stage, stage > 0 && i == 0 ? 2 : 1);
    double *mean = test_doubles(y.n * y.c), *z = test_doubles(y.n * CLASSES);
    oracle_avg_pool(mean, y.data, y.n, y.h * y.w, y.c);
    const double *w = take(&r, CLASSES * y.c), *b = take(&r, CLASSES);
    oracle_linear(z, mean, w, b, y.n, y.c, CLASSES);
    return oracle_cross_entropy(z, labels, y.n, CLASSES);
}

/* ---- one step in float ---- */

/* A model with values, gradients and a batch. */
typedef struct problem {
    const nn_resnet *model;
    bench planned;
    size_t n, side;
    float *values, *grads, *x;
    uint32_t labels[8];
} problem;

static void make(problem *p, const nn_resnet *model, size_t n, size_t side, uint64_t seed)
{
    test_random random = {seed};
    p->model = model;
    p->n = n;
    p->side = side;
    CHECK(plan(&p->planned, NULL, model, n, side) != NULL);
    p->values = test_floats(p->planned.layout.total);
    p->grads = test_floats(p->planned.layout.total);
    p->x = test_floats(n * side * side * 3);
    nn_layout_init(p->values, &p->planned.layout, seed, NN_STREAM_TEST, 0);
    test_fill_uniform(p->x, n * side * side * 3, 2.0f, &random);
    for (size_t i = 0; i < n && i < 8; i++)
        p->labels[i] = (uint32_t)test_random_below(&random, CLASSES);
}

static void drop(problem *p)
{
    nn_arena_free(&p->planned.arena);
    test_release();
}

/* The logits of images first..first+n-1. */
static nn_node *forward(bench *b, const problem *p, size_t first, size_t n, bool training)
{
    nn_net net = {.graph = &b->graph, .layout = &p->planned.layout, .values = p->values};
    const nn_tensor x = {p->x + first * p->side * p->side * 3, n, p->side, p->side, 3};
    b->graph.training = training;
    net.grads = training ? p->grads : NULL;
    net.statistics = training ? p->values : NULL;
    return nn_resnet_build(&net, NULL, nn_graph_leaf(&b->graph, &x, NULL), p->model);
}

static float train(problem *p)
{
    bench b;
    float value = NAN;
    start(&b);
    nn_node *loss = nn_graph_cross_entropy(&b.graph, forward(&b, p, 0, p->n, true), p->labels);
    if (loss != NULL && nn_graph_backward(&b.graph, loss, 1.0f) == DDOME_OK)
        value = *loss->value.data;
    test_status("train step", b.graph.status, DDOME_OK, &b.error, NULL);
    nn_arena_free(&b.arena);
    return value;
}

static double objective(const double *values, void *context)
{
    const problem *p = context;
    const size_t mark = test_mark();
    const wide x = {test_widened(p->x, p->n * p->side * p->side * 3), p->n, p->side, p->side, 3};
    const double loss = wide_loss(values, x, p->model, p->labels);
    test_rewind(mark);
    return loss;
}

/* Element of a slice with the largest gradient: where a difference says most. */
static size_t steepest(const problem *p, const nn_slice *slice)
{
    size_t at = slice->offset;
    for (size_t i = slice->offset; i < slice->offset + slice->count; i++)
        at = fabsf(p->grads[i]) > fabsf(p->grads[at]) ? i : at;
    return at;
}

/* Steps of 1e-6 rarely cross a kink of the ReLUs and cost 1e-9 in rounding. A path of 34 layers has
 * some 500 roundings on float's side, 2^-15 of the result if all conspired at condition 1; 2^-12
 * leaves a factor 8 for batch-norm's amplification, and 2^-15.9 is what was seen. */
static void check_gradients(const char *what, const nn_resnet *model, size_t side)
{
    problem p;
    test_case("resnet: gradients of a train step against a double network, %s", what);
    make(&p, model, 3, side, 5);
    double *values = test_widened(p.values, p.planned.layout.total);
    const float loss = train(&p);
    const double want = objective(values, &p), near = 0x1p-16 * want;
    test_close("loss", &loss, &want, 1, &near);
    size_t checked = 0;
    for (size_t s = 0; s < p.planned.layout.count; s += 3) {
        const nn_slice *slice = &p.planned.layout.slices[s];
        if (slice->kind != NN_SLICE_TRAINED)
            continue;
        const size_t at = steepest(&p, slice);
        const double difference = oracle_difference(objective, &p, values, at, 1e-6);
        const double bound = 0x1p-12 * fabs(difference) + 1e-7;
        checked++;
        if (!test_close(slice->name, &p.grads[at], &difference, 1, &bound))
            break;
    }
    CHECK(checked >= 20);
    drop(&p);
}

/* ---- evaluation ---- */

/* One batch of five, or 2 + 3, or one by one: the same logits, bit for bit. */
static void check_grouping(void)
{
    static const size_t groups[][5] = {{5}, {2, 3}, {1, 1, 1, 1, 1}, {4, 1}};
    float logits[4][5 * CLASSES];
    problem p;
    test_case("resnet: evaluation does not depend on the batches");
    make(&p, &small, 5, 16, 6);
    train(&p); /* running statistics that are not 0 and 1 */
    for (size_t g = 0; g < 4; g++)
        for (size_t first = 0, i = 0; first < 5; first += groups[g][i], i++) {
            bench b;
            start(&b);
            const nn_node *z = forward(&b, &p, first, groups[g][i], false);
            if (CHECK(z != NULL))
                memcpy(logits[g] + first * CLASSES, z->value.data,
                       groups[g][i] * CLASSES * sizeof(float));
            nn_arena_free(&b.arena);
        }
    for (size_t g = 1; g < 4; g++)
        test_same_floats("logits", logits[g], logits[0], 5 * CLASSES);
    drop(&p);
}

/* One 8x8 image leaves one value a channel in the last stage: its running variances stay 1. */
static void check_single(void)
{
    problem p;
    test_case("resnet: one value a channel");
    make(&p, &small, 1, 8, 7);
    CHECK(isfinite(train(&p)));
    for (size_t s = 0; s < p.planned.layout.count; s++) {
        const nn_slice *slice = &p.planned.layout.slices[s];
        const bool last = strncmp(slice->name, "layer4.", 7) == 0;
        if (strstr(slice->name, "running_var") != NULL)
            for (size_t i = 0; i < slice->count; i++)
                CHECK((p.values[slice->offset + i] == 1.0f) == last);
    }
    test_same_u64("non-finite gradients", nn_layout_nonfinite(&p.planned.layout, p.values),
                  p.planned.layout.total);
    drop(&p);
}

/* Memory that ends at any allocation is a status, in planning and in computing. */
static void check_memory(void)
{
    problem p;
    test_case("resnet: out of memory");
    make(&p, &small, 1, 8, 8);
    for (size_t after = 1; after < 400; after += 7) {
        bench b;
        start(&b);
        b.arena.fail_after = after;
        CHECK(forward(&b, &p, 0, 1, true) == NULL);
        test_status("computing", b.graph.status, DDOME_ERR_MEMORY, &b.error, "out of memory");
        nn_arena_free(&b.arena);
        start(&b);
        b.arena.fail_after = nn_min(after, 300);
        b.graph.planning = true;
        const nn_tensor x = {NULL, 1, 8, 8, 3};
        nn_net net = {.graph = &b.graph, .declare = &b.layout};
        CHECK(nn_resnet_build(&net, NULL, nn_graph_leaf(&b.graph, &x, NULL), &small) == NULL);
        test_status("planning", b.graph.status, DDOME_ERR_MEMORY, &b.error, "out of memory");
        nn_arena_free(&b.arena);
    }
    drop(&p);
}

void t_resnet(void);

void t_resnet(void)
{
    static const nn_resnet big = {4, CLASSES, true, {false, 0}};
    check_names();
    check_counts();
    check_gradients("3x3 stem", &small, 16);
    check_gradients("7x7 stem", &big, 48);
    check_grouping();
    check_single();
    check_memory();
}

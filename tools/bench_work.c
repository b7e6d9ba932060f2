/* SPDX-License-Identifier: MIT */
/* The works of the benchmarks: convolutions and ResNet-34. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "../nn/os.h"

ddome_error bench_error;

void bench_must(ddome_status status)
{
    if (status == DDOME_OK)
        return;
    fprintf(stderr, "bench: %s\n", bench_error.text);
    exit((int)status);
}

float *bench_floats(nn_arena *arena, size_t count)
{
    float *x = nn_arena_alloc(arena, count, sizeof *x);
    if (x == NULL)
        bench_must(nn_arena_fail(&bench_error, arena, "a benchmark"));
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((i * 2654435761u >> 8) % 1024) * 0x1p-10f - 0.5f;
    return x;
}

static void run_conv(bench_work *w)
{
    const nn_engine *e = &w->engine;
    if (w->direction == 0)
        bench_must(nn_conv_forward(e, &bench_error, &w->arena, w->y, w->x, w->weight, &w->conv));
    else if (w->direction == 1)
        bench_must(
            nn_conv_backward_input(e, &bench_error, &w->arena, w->x, w->y, w->weight, &w->conv));
    else
        bench_must(
            nn_conv_backward_weight(e, &bench_error, &w->arena, w->weight, w->y, w->x, &w->conv));
}

void bench_set_conv(bench_work *w, size_t size, size_t c, size_t oc, size_t k, size_t stride)
{
    w->conv = (nn_conv_shape){.n = BENCH_BATCH,
                              .h = size,
                              .w = size,
                              .c = c,
                              .oc = oc,
                              .kh = k,
                              .kw = k,
                              .stride = stride,
                              .pad = k / 2};
    nn_conv_output(&w->conv);
    w->x = bench_floats(&w->arena, BENCH_BATCH * size * size * c);
    w->y = bench_floats(&w->arena, BENCH_BATCH * w->conv.oh * w->conv.ow * oc);
    w->weight = bench_floats(&w->arena, oc * c * k * k);
    w->run = run_conv;
}

static void run_resnet(bench_work *w)
{
    nn_arena_mark mark = nn_arena_get_mark(&w->arena);
    nn_graph graph = {
        .engine = &w->engine, .arena = &w->arena, .error = &bench_error, .training = w->train};
    nn_net net = {.graph = &graph, .layout = &w->layout, .values = w->values};
    const nn_tensor x = {w->x, BENCH_BATCH, BENCH_SIZE, BENCH_SIZE, 3};
    if (w->train) {
        net.grads = w->grads;
        net.statistics = w->values;
    }
    nn_node *logits = nn_resnet_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), &w->resnet);
    bench_must(graph.status);
    if (w->train) {
        const nn_sgd sgd = {0x1p-10f, 0.9f, 0x1p-13f};
        bench_must(
            nn_graph_backward(&graph, nn_graph_cross_entropy(&graph, logits, w->labels), 1.0f));
        nn_sgd_step(w->values, w->velocity, w->grads, &w->layout, &sgd, false);
    }
    nn_arena_rewind(&w->arena, mark);
}

void bench_set_resnet(bench_work *w, size_t width, bool train)
{
    nn_graph graph = {.arena = &w->arena, .error = &bench_error, .planning = true};
    nn_net net = {.graph = &graph, .declare = &w->layout};
    const nn_tensor x = {NULL, BENCH_BATCH, BENCH_SIZE, BENCH_SIZE, 3};
    w->resnet = (nn_resnet){.width = width, .classes = BENCH_CLASSES};
    w->train = train;
    nn_resnet_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), &w->resnet);
    bench_must(graph.status);
    w->x = bench_floats(&w->arena, (size_t)BENCH_BATCH * BENCH_SIZE * BENCH_SIZE * 3);
    w->values = bench_floats(&w->arena, w->layout.total);
    nn_layout_init(w->values, &w->layout, 1, NN_STREAM_INIT_COMMON, 0);
    if (train) {
        w->grads = bench_floats(&w->arena, w->layout.total);
        w->velocity = nn_arena_zero(&w->arena, w->layout.total, sizeof(float));
        if (w->velocity == NULL)
            bench_must(nn_arena_fail(&bench_error, &w->arena, "velocity"));
    }
    for (uint32_t i = 0; i < BENCH_BATCH; i++)
        w->labels[i] = i % BENCH_CLASSES;
    w->run = run_resnet;
}

double bench_seconds_of(bench_work *w)
{
    const double start = nn_os_seconds();
    w->run(w);
    return nn_os_seconds() - start;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

double bench_median_of(bench_work *w)
{
    double times[BENCH_REPEATS];
    w->run(w);
    for (int i = 0; i < BENCH_REPEATS; i++)
        times[i] = bench_seconds_of(w);
    return bench_median(times, BENCH_REPEATS);
}

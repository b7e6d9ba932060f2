/* SPDX-License-Identifier: MIT */
/* Speed on this machine: the peak first, then layers and whole training steps as part of it.
 * Nothing here is a test. bench_torch.py drives `bench work ...` beside PyTorch in one run.
 *
 *   bench peak                     multiply-adds a second of one core, per kernel table
 *   bench kernels                  sums, normalisation and activations over rows
 *   bench layers [WIDTH]           every convolution of ResNet-34, all tables, both profiles
 *   bench steps                    ResNet-34 training step and forward pass, with peak memory
 *   bench clients                  two clients on two threads against one after the other
 *   bench work SPEC...             waits for lines on standard input; runs the work once for each
 * and prints its seconds; at the end the peak memory in MiB */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../nn/optim.h"
#include "../nn/os.h"
#include "../nn/resnet.h"

enum { BATCH = 32, SIZE = 32, CLASSES = 10, REPEATS = 9 };

static ddome_error error;

static void must(ddome_status status)
{
    if (status == DDOME_OK)
        return;
    fprintf(stderr, "bench: %s\n", error.text);
    exit((int)status);
}

static float *floats(nn_arena *arena, size_t count)
{
    float *x = nn_arena_alloc(arena, count, sizeof *x);
    if (x == NULL)
        must(nn_arena_fail(&error, arena, "a benchmark"));
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((i * 2654435761u >> 8) % 1024) * 0x1p-10f - 0.5f;
    return x;
}

static double peak_mebibytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- works ---- */

/* Something to be timed. */
typedef struct work {
    nn_engine engine;
    nn_arena arena;
    void (*run)(struct work *w);
    /* a convolution */
    nn_conv_shape conv;
    int direction; /* 0 forward, 1 gradient of the input, 2 of the weights */
    float *x, *y, *weight;
    /* a model */
    bool train;
    nn_resnet resnet;
    nn_layout layout;
    float *values, *grads, *velocity;
    uint32_t labels[BATCH];
} work;

static double flops_of(const nn_conv_shape *s)
{
    return 2.0 * (double)(s->n * s->oh * s->ow) * (double)(s->oc * s->c * s->kh * s->kw);
}

static void run_conv(work *w)
{
    const nn_engine *e = &w->engine;
    if (w->direction == 0)
        must(nn_conv_forward(e, &error, &w->arena, w->y, w->x, w->weight, &w->conv));
    else if (w->direction == 1)
        must(nn_conv_backward_input(e, &error, &w->arena, w->x, w->y, w->weight, &w->conv));
    else
        must(nn_conv_backward_weight(e, &error, &w->arena, w->weight, w->y, w->x, &w->conv));
}

static void set_conv(work *w, size_t size, size_t c, size_t oc, size_t k, size_t stride)
{
    w->conv = (nn_conv_shape){.n = BATCH,
                              .h = size,
                              .w = size,
                              .c = c,
                              .oc = oc,
                              .kh = k,
                              .kw = k,
                              .stride = stride,
                              .pad = k / 2};
    nn_conv_output(&w->conv);
    w->x = floats(&w->arena, BATCH * size * size * c);
    w->y = floats(&w->arena, BATCH * w->conv.oh * w->conv.ow * oc);
    w->weight = floats(&w->arena, oc * c * k * k);
    w->run = run_conv;
}

static void run_resnet(work *w)
{
    nn_arena_mark mark = nn_arena_get_mark(&w->arena);
    nn_graph graph = {
        .engine = &w->engine, .arena = &w->arena, .error = &error, .training = w->train};
    nn_net net = {.graph = &graph, .layout = &w->layout, .values = w->values};
    const nn_tensor x = {w->x, BATCH, SIZE, SIZE, 3};
    if (w->train) {
        net.grads = w->grads;
        net.statistics = w->values;
    }
    nn_node *logits = nn_resnet_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), &w->resnet);
    must(graph.status);
    if (w->train) {
        const nn_sgd sgd = {0x1p-10f, 0.9f, 0x1p-13f};
        must(nn_graph_backward(&graph, nn_graph_cross_entropy(&graph, logits, w->labels), 1.0f));
        nn_sgd_step(w->values, w->velocity, w->grads, &w->layout, &sgd, false);
    }
    nn_arena_rewind(&w->arena, mark);
}

static void set_resnet(work *w, size_t width, bool train)
{
    nn_graph graph = {.arena = &w->arena, .error = &error, .planning = true};
    nn_net net = {.graph = &graph, .declare = &w->layout};
    const nn_tensor x = {NULL, BATCH, SIZE, SIZE, 3};
    w->resnet = (nn_resnet){.width = width, .classes = CLASSES};
    w->train = train;
    nn_resnet_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), &w->resnet);
    must(graph.status);
    w->x = floats(&w->arena, BATCH * SIZE * SIZE * 3);
    w->values = floats(&w->arena, w->layout.total);
    nn_layout_init(w->values, &w->layout, 1, NN_STREAM_INIT_COMMON, 0);
    if (train) {
        w->grads = floats(&w->arena, w->layout.total);
        w->velocity = nn_arena_zero(&w->arena, w->layout.total, sizeof(float));
        if (w->velocity == NULL)
            must(nn_arena_fail(&error, &w->arena, "velocity"));
    }
    for (uint32_t i = 0; i < BATCH; i++)
        w->labels[i] = i % CLASSES;
    w->run = run_resnet;
}

static double seconds_of(work *w)
{
    const double start = nn_os_seconds();
    w->run(w);
    return nn_os_seconds() - start;
}

/* Median of REPEATS runs after one that warms up. */
static double median_of(work *w)
{
    double times[REPEATS];
    w->run(w);
    for (int i = 0; i < REPEATS; i++)
        times[i] = seconds_of(w);
    qsort(times, REPEATS, sizeof *times, by_value);
    return times[REPEATS / 2];
}

/* ---- peak ---- */

/* Multiply-adds a second of the block kernel on one tile whose factors stay in first-level cache:
 * no convolution can be faster, and it reaches about 95 % of what the instructions allow. */
static double peak_of(const nn_kernels *kernels, nn_arith arith)
{
    enum { LOOPS = 2000, TRIES = 9 };
    nn_arena arena = {0};
    const nn_run run = {0, 0, NN_BLOCK};
    const nn_tile tile = {.rows = nn_min(kernels->wide_rows, 16),
                          .cols = kernels->panel,
                          .total_row = kernels->panel,
                          .a_row = NN_BLOCK,
                          .a_step = 1,
                          .b_step = kernels->panel,
                          .fresh = true};
    float *a = floats(&arena, tile.rows * NN_BLOCK), *b = floats(&arena, NN_BLOCK * tile.cols);
    float *total = floats(&arena, tile.rows * tile.cols);
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        const double start = nn_os_seconds();
        for (int j = 0; j < LOOPS; j++)
            kernels->block[arith](total, a, b, &tile, &run, 1);
        const double speed =
            2.0 * LOOPS * NN_BLOCK * (double)(tile.rows * tile.cols) / (nn_os_seconds() - start);
        best = speed > best ? speed : best;
    }
    nn_arena_free(&arena);
    return best;
}

static void print_peaks(void)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    printf("block kernel, one tile in first-level cache, best of 9 [GFLOP/s]\n%8s %8s %8s\n",
           "table", "ma", "fma");
    for (size_t i = 0; i < count; i++)
        printf("%8s %8.1f %8.1f\n", list[i]->name, 1e-9 * peak_of(list[i], NN_ARITH_MA),
               1e-9 * peak_of(list[i], NN_ARITH_FMA));
}

/* ---- kernels over rows ---- */

enum { ROWS = NN_BLOCK, MOST_COLS = 512, ROW_LOOPS = 64 };

/* The arguments of all of them. */
typedef struct rows {
    const nn_kernels *kernels;
    size_t cols;
    float *x, *y, *dy, *sum, *more;
    nn_channels channels;
    nn_slopes slopes;
} rows;

static void column_sum(const rows *r)
{
    r->kernels->column_sum(r->sum, r->x, ROWS, r->cols);
}

static void column_squares(const rows *r)
{
    r->kernels->column_squares(r->sum, r->x, r->channels.mean, ROWS, r->cols);
}

static void column_slopes(const rows *r)
{
    r->kernels->column_slopes(r->sum, r->more, r->dy, r->y, r->x, r->channels.mean,
                              r->channels.rstd, ROWS, r->cols);
}

static void normalise(const rows *r)
{
    r->kernels->normalise(r->y, r->x, r->dy, &r->channels, true, ROWS, r->cols);
}

static void normalise_back(const rows *r)
{
    r->kernels->normalise_back(r->dy, r->dy, r->x, &r->slopes, ROWS, r->cols);
}

static void relu_back(const rows *r)
{
    r->kernels->relu_back(r->dy, r->dy, r->y, ROWS * r->cols);
}

static void add(const rows *r)
{
    r->kernels->add(r->y, r->x, r->y, ROWS * r->cols);
}

static const struct row_kernel {
    const char *name;
    void (*run)(const rows *r);
} ROW_KERNELS[] = {{"column_sum", column_sum},
                   {"column_squares", column_squares},
                   {"column_slopes", column_slopes},
                   {"normalise", normalise},
                   {"normalise_back", normalise_back},
                   {"relu_back", relu_back},
                   {"add", add}};

/* Floats a second, the median of REPEATS; values are 0, so that they stay what they are. */
static double row_speed(const rows *r, const struct row_kernel *kernel)
{
    double times[REPEATS];
    for (int i = 0; i < REPEATS; i++) {
        const double start = nn_os_seconds();
        for (int loop = 0; loop < ROW_LOOPS; loop++)
            kernel->run(r);
        times[i] = nn_os_seconds() - start;
    }
    qsort(times, REPEATS, sizeof *times, by_value);
    return (double)(ROW_LOOPS * ROWS) * (double)r->cols / times[REPEATS / 2];
}

static void print_rows(const nn_kernels *kernels, nn_arena *arena)
{
    static const size_t widths[] = {8, 16, 64, MOST_COLS};
    const size_t most = ROWS * MOST_COLS;
    float *zero = nn_arena_zero(arena, 5 * most, sizeof *zero);
    if (zero == NULL)
        must(nn_arena_fail(&error, arena, "rows"));
    rows r = {kernels,
              0,
              zero,
              zero + most,
              zero + 2 * most,
              zero + 3 * most,
              zero + 4 * most,
              {zero, zero, zero, zero},
              {zero, zero, zero, zero, zero}};
    for (size_t k = 0; k < sizeof ROW_KERNELS / sizeof *ROW_KERNELS; k++) {
        printf("%8s %-15s", kernels->name, ROW_KERNELS[k].name);
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            r.cols = widths[i];
            printf(" %7.2f", 1e-9 * row_speed(&r, &ROW_KERNELS[k]));
        }
        printf("\n");
    }
}

static void print_kernels(void)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    printf("\nkernels over %d rows [Gfloat/s]\n%8s %-15s %7d %7d %7d %7d columns\n", ROWS, "table",
           "kernel", 8, 16, 64, MOST_COLS);
    for (size_t i = 0; i < count; i++) {
        nn_arena arena = {0};
        print_rows(list[i], &arena);
        nn_arena_free(&arena);
    }
}

/* ---- layers ---- */

/* The kinds of convolution of ResNet-34; channels in units of the width, 0: the 3 of the image. */
static const struct layer {
    size_t size, c, oc, k, stride;
} LAYERS[] = {{32, 0, 1, 3, 1}, {32, 1, 1, 3, 1}, {32, 1, 2, 3, 2}, {32, 1, 2, 1, 2},
              {16, 2, 2, 3, 1}, {16, 2, 4, 3, 2}, {16, 2, 4, 1, 2}, {8, 4, 4, 3, 1},
              {8, 4, 8, 3, 2},  {8, 4, 8, 1, 2},  {4, 8, 8, 3, 1}};

static void print_layer(const nn_engine *engine, const struct layer *l, size_t width, double peak)
{
    work w = {.engine = *engine};
    set_conv(&w, l->size, l->c == 0 ? 3 : l->c * width, l->oc * width, l->k, l->stride);
    printf("%2lu^2 %3lu>%-3lu %lux%lu/%lu", (unsigned long)l->size, (unsigned long)w.conv.c,
           (unsigned long)w.conv.oc, (unsigned long)l->k, (unsigned long)l->k,
           (unsigned long)l->stride);
    for (w.direction = 0; w.direction < 3; w.direction++) {
        const double speed = flops_of(&w.conv) / median_of(&w);
        printf("   %6.1f %3.0f %%", 1e-9 * speed, 100 * speed / peak);
    }
    printf("\n");
    nn_arena_free(&w.arena);
}

/* Exact fused steps in software: known from the peak, not worth minutes. */
static const double SLOW = 5e9;

static void print_table(const nn_engine *engine, size_t width)
{
    const double peak = peak_of(engine->kernels, engine->arith);
    printf("\n%s, %s: ", engine->kernels->name, engine->arith == NN_ARITH_MA ? "ma" : "fma");
    if (peak < SLOW) {
        printf("no hardware instruction, %.1f GFLOP/s at most\n", 1e-9 * peak);
        return;
    }
    printf("width %lu, batch %d, medians of %d; GFLOP/s with padded taps counted, and part of the "
           "peak %.1f\n%-15s %12s %13s %13s\n",
           (unsigned long)width, BATCH, REPEATS, 1e-9 * peak, "layer", "forward", "input grad",
           "weight grad");
    for (size_t l = 0; l < sizeof LAYERS / sizeof *LAYERS; l++)
        print_layer(engine, &LAYERS[l], width, peak);
}

static void print_layers(size_t width)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    for (size_t i = 0; i < count; i++)
        for (unsigned arith = 0; arith < NN_ARITH_COUNT; arith++) {
            const nn_engine engine = {list[i], (nn_arith)arith, NULL};
            print_table(&engine, width);
        }
}

/* ---- steps ---- */

static void print_steps(const nn_engine *engine)
{
    static const size_t widths[] = {64, 16, 8};
    printf("ResNet-34, %dx%d, batch %d, kernels %s, medians of %d [images/s]\n%8s %6s %8s %8s\n",
           SIZE, SIZE, BATCH, engine->kernels->name, REPEATS, "width", "arith", "train", "forward");
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (unsigned arith = 0; arith < NN_ARITH_COUNT; arith++) {
            printf("%8lu %6s", (unsigned long)widths[i], arith == NN_ARITH_MA ? "ma" : "fma");
            for (int train = 1; train >= 0; train--) {
                work w = {.engine = *engine};
                w.engine.arith = (nn_arith)arith;
                set_resnet(&w, widths[i], train);
                printf(" %8.1f", BATCH / median_of(&w));
                nn_arena_free(&w.arena);
            }
            printf("\n");
        }
}

/* ---- two clients ---- */

enum { CLIENTS = 2, CLIENT_STEPS = 4 };

static void client_part(void *context, size_t part, size_t worker)
{
    work *clients = context;
    (void)worker;
    for (int i = 0; i < CLIENT_STEPS; i++)
        clients[part].run(&clients[part]);
}

/* Two clients with a network each, one after the other and on two threads, in turns. */
static void print_clients(const nn_engine *engine, size_t width)
{
    work clients[CLIENTS] = {{.engine = *engine}, {.engine = *engine}};
    nn_arena arena = {0};
    nn_team *team;
    double ratios[REPEATS];
    must(nn_team_open(&error, &arena, &team, CLIENTS));
    for (size_t i = 0; i < CLIENTS; i++) {
        set_resnet(&clients[i], width, true);
        clients[i].run(&clients[i]);
    }
    for (int i = 0; i < REPEATS; i++) {
        const double start = nn_os_seconds();
        nn_team_run(NULL, client_part, clients, CLIENTS);
        const double middle = nn_os_seconds();
        nn_team_run(team, client_part, clients, CLIENTS);
        ratios[i] = (middle - start) / (nn_os_seconds() - middle);
    }
    qsort(ratios, REPEATS, sizeof *ratios, by_value);
    printf("two clients on two threads, width %lu: %.2f times as fast as one after the other "
           "(%.2f..%.2f)\n",
           (unsigned long)width, ratios[REPEATS / 2], ratios[0], ratios[REPEATS - 1]);
    nn_team_close(team);
    nn_arena_free(&arena);
    for (size_t i = 0; i < CLIENTS; i++)
        nn_arena_free(&clients[i].arena);
}

/* ---- for bench_torch.py ---- */

static size_t number(const char *text)
{
    const long value = strtol(text, NULL, 10);
    if (value < 1 || value > 100000) {
        fprintf(stderr, "bench: expected a number from 1, found %s\n", text);
        exit(DDOME_ERR_USAGE);
    }
    return (size_t)value;
}

static int usage(void)
{
    fprintf(stderr,
            "bench peak | kernels | layers [WIDTH] | steps | clients | work THREADS ma|fma resnet "
            "WIDTH train|forward |\n"
            "    work THREADS ma|fma conv SIZE C OC K STRIDE forward|input|weight\n");
    return DDOME_ERR_USAGE;
}

static bool parse_work(work *w, int count, char **words)
{
    if (count < 5)
        return false;
    w->engine.arith = strcmp(words[1], "fma") == 0 ? NN_ARITH_FMA : NN_ARITH_MA;
    must(nn_kernels_find(&error, &w->engine.kernels, getenv("DDOME_ISA")));
    must(nn_team_open(&error, &w->arena, &w->engine.team, number(words[0])));
    if (strcmp(words[2], "resnet") == 0) {
        set_resnet(w, number(words[3]), strcmp(words[4], "train") == 0);
        return true;
    }
    if (count < 9)
        return false;
    set_conv(w, number(words[3]), number(words[4]), number(words[5]), number(words[6]),
             number(words[7]));
    w->direction = words[8][0] == 'f' ? 0 : words[8][0] == 'i' ? 1 : 2;
    return true;
}

static int serve(int count, char **words)
{
    work w = {.run = NULL};
    char line[16];
    if (!parse_work(&w, count, words))
        return usage();
    w.run(&w);
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%.9f\n", seconds_of(&w));
        fflush(stdout);
    }
    printf("%.1f\n", peak_mebibytes());
    nn_team_close(w.engine.team);
    nn_arena_free(&w.arena);
    return 0;
}

int main(int count, char **words)
{
    nn_engine engine = {NULL, NN_ARITH_MA, NULL};
    must(nn_kernels_find(&error, &engine.kernels, getenv("DDOME_ISA")));
    if (count >= 2 && strcmp(words[1], "peak") == 0)
        print_peaks();
    else if (count >= 2 && strcmp(words[1], "kernels") == 0)
        print_kernels();
    else if (count >= 2 && strcmp(words[1], "layers") == 0)
        print_layers(count > 2 ? number(words[2]) : 64);
    else if (count >= 2 && strcmp(words[1], "steps") == 0)
        print_steps(&engine);
    else if (count >= 2 && strcmp(words[1], "clients") == 0)
        for (size_t width = 8; width <= 64; width *= 2)
            print_clients(&engine, width);
    else if (count >= 3 && strcmp(words[1], "work") == 0)
        return serve(count - 2, words + 2);
    else
        return usage();
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Speed on this machine: the peak first, then layers and whole training steps as part of it.
 * Nothing here is a test. bench_torch.py drives `bench work ...` beside PyTorch in one run.
 *
 *   bench peak                     multiply-adds a second of one core, per kernel table
 *   bench kernels                  sums, normalisation and activations over rows
 *   bench layers [WIDTH]           every convolution of ResNet-34, all tables, both profiles
 *   bench steps                    ResNet-34 training step and forward pass
 *   bench clients                  two clients on two threads against one after the other
 *   bench work SPEC...             waits for lines on standard input; runs the work once for each
 * and prints its seconds; at the end the peak memory in MiB */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../nn/os.h"

static double flops_of(const nn_conv_shape *s)
{
    return 2.0 * (double)(s->n * s->oh * s->ow) * (double)(s->oc * s->c * s->kh * s->kw);
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
    bench_work w = {.engine = *engine};
    bench_set_conv(&w, l->size, l->c == 0 ? 3 : l->c * width, l->oc * width, l->k, l->stride);
    printf("%2lu^2 %3lu>%-3lu %lux%lu/%lu", (unsigned long)l->size, (unsigned long)w.conv.c,
           (unsigned long)w.conv.oc, (unsigned long)l->k, (unsigned long)l->k,
           (unsigned long)l->stride);
    for (w.direction = 0; w.direction < 3; w.direction++) {
        const double speed = flops_of(&w.conv) / bench_median_of(&w);
        printf("   %6.1f %3.0f %%", 1e-9 * speed, 100 * speed / peak);
    }
    printf("\n");
    nn_arena_free(&w.arena);
}

/* Exact fused steps in software: known from the peak, not worth minutes. */
static const double SLOW = 5e9;

static void print_table(const nn_engine *engine, size_t width)
{
    const double peak = bench_peak(engine->kernels, engine->arith);
    printf("\n%s, %s: ", engine->kernels->name, engine->arith == NN_ARITH_MA ? "ma" : "fma");
    if (peak < SLOW) {
        printf("no hardware instruction, %.1f GFLOP/s at most\n", 1e-9 * peak);
        return;
    }
    printf("width %lu, batch %d, medians of %d; GFLOP/s with padded taps counted, and part of the "
           "peak %.1f\n%-15s %12s %13s %13s\n",
           (unsigned long)width, BENCH_BATCH, BENCH_REPEATS, 1e-9 * peak, "layer", "forward",
           "input grad", "weight grad");
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
           BENCH_SIZE, BENCH_SIZE, BENCH_BATCH, engine->kernels->name, BENCH_REPEATS, "width",
           "arith", "train", "forward");
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (unsigned arith = 0; arith < NN_ARITH_COUNT; arith++) {
            printf("%8lu %6s", (unsigned long)widths[i], arith == NN_ARITH_MA ? "ma" : "fma");
            for (int train = 1; train >= 0; train--) {
                bench_work w = {.engine = *engine};
                w.engine.arith = (nn_arith)arith;
                bench_set_resnet(&w, widths[i], train);
                printf(" %8.1f", BENCH_BATCH / bench_median_of(&w));
                nn_arena_free(&w.arena);
            }
            printf("\n");
        }
}

/* ---- two clients ---- */

enum { CLIENTS = 2, CLIENT_STEPS = 4 };

static void client_part(void *context, size_t part, size_t worker)
{
    bench_work *clients = context;
    (void)worker;
    for (int i = 0; i < CLIENT_STEPS; i++)
        clients[part].run(&clients[part]);
}

/* Two clients with a network each, one after the other and on two threads, in turns. */
static void print_clients(const nn_engine *engine, size_t width)
{
    bench_work clients[CLIENTS] = {{.engine = *engine}, {.engine = *engine}};
    nn_arena arena = {0};
    nn_team *team;
    double ratios[BENCH_REPEATS];
    if (nn_team_open(&bench_error, &arena, &team, CLIENTS) != DDOME_OK) {
        printf("skipped two clients on two threads: %s\n", bench_error.text);
        return;
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        bench_set_resnet(&clients[i], width, true);
        clients[i].run(&clients[i]);
    }
    for (int i = 0; i < BENCH_REPEATS; i++) {
        const double start = nn_os_seconds();
        nn_team_run(NULL, client_part, clients, CLIENTS);
        const double middle = nn_os_seconds();
        nn_team_run(team, client_part, clients, CLIENTS);
        ratios[i] = (middle - start) / (nn_os_seconds() - middle);
    }
    const double median = bench_median(ratios, BENCH_REPEATS);
    printf("two clients on two threads, width %lu: %.2f times as fast as one after the other "
           "(%.2f..%.2f)\n",
           (unsigned long)width, median, ratios[0], ratios[BENCH_REPEATS - 1]);
    nn_team_close(team);
    nn_arena_free(&arena);
    for (size_t i = 0; i < CLIENTS; i++)
        nn_arena_free(&clients[i].arena);
}

/* ---- for bench_torch.py ---- */

static double peak_mebibytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

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

/* The place of a word in a list that ends with NULL; any other word ends the program. */
static int word(const char *text, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    fprintf(stderr, "bench: unknown word %s\n", text);
    exit(DDOME_ERR_USAGE);
}

static bool parse_work(bench_work *w, int count, char **words)
{
    static const char *const ariths[] = {"ma", "fma", NULL}, *const kinds[] = {"resnet", "conv",
                                                                               NULL};
    static const char *const modes[] = {"forward", "train", NULL};
    static const char *const directions[] = {"forward", "input", "weight", NULL};
    if (count < 5)
        return false;
    w->engine.arith = (nn_arith)word(words[1], ariths);
    bench_must(nn_kernels_find(&bench_error, &w->engine.kernels, getenv("DDOME_ISA")));
    bench_must(nn_team_open(&bench_error, &w->arena, &w->engine.team, number(words[0])));
    if (word(words[2], kinds) == 0) {
        bench_set_resnet(w, number(words[3]), word(words[4], modes) == 1);
        return true;
    }
    if (count < 9)
        return false;
    bench_set_conv(w, number(words[3]), number(words[4]), number(words[5]), number(words[6]),
                   number(words[7]));
    w->direction = word(words[8], directions);
    return true;
}

static int serve(int count, char **words)
{
    bench_work w = {.run = NULL};
    char line[16];
    if (!parse_work(&w, count, words))
        return usage();
    w.run(&w);
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%.9f\n", bench_seconds_of(&w));
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
    bench_must(nn_kernels_find(&bench_error, &engine.kernels, getenv("DDOME_ISA")));
    if (count >= 2 && strcmp(words[1], "peak") == 0)
        bench_print_peaks();
    else if (count >= 2 && strcmp(words[1], "kernels") == 0)
        bench_print_kernels();
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

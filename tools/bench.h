/* SPDX-License-Identifier: MIT */
/* What the benchmarks share: something to be timed, and what times it. Nothing here is a test. */
#ifndef BENCH_H
#define BENCH_H

#include "../nn/optim.h"
#include "../nn/resnet.h"

enum { BENCH_BATCH = 32, BENCH_SIZE = 32, BENCH_CLASSES = 10, BENCH_REPEATS = 9 };

/* A convolution or a model; run does it once. */
typedef struct bench_work {
    nn_engine engine;
    nn_arena arena;
    void (*run)(struct bench_work *w);
    /* a convolution */
    nn_conv_shape conv;
    int direction; /* 0 forward, 1 gradient of the input, 2 of the weights */
    float *x, *y, *weight;
    /* a model */
    bool train;
    nn_resnet resnet;
    nn_layout layout;
    float *values, *grads, *velocity;
    uint32_t labels[BENCH_BATCH];
} bench_work;

/* Ends the program with the message and the status as exit code unless that is DDOME_OK. */
extern ddome_error bench_error;
void bench_must(ddome_status status);

/* Numbers of ordinary size, never subnormal. */
float *bench_floats(nn_arena *arena, size_t count);

void bench_set_conv(bench_work *w, size_t size, size_t c, size_t oc, size_t k, size_t stride);
void bench_set_resnet(bench_work *w, size_t width, bool train);

double bench_seconds_of(bench_work *w);

/* Median of BENCH_REPEATS runs after one that warms up. */
double bench_median_of(bench_work *w);

/* Sorts and returns the one in the middle. */
double bench_median(double *values, size_t count);

/* Multiply-adds a second, counted as two operations, of the block kernel on one tile. */
double bench_peak(const nn_kernels *kernels, nn_arith arith);
void bench_print_peaks(void);
void bench_print_kernels(void);

#endif

/* SPDX-License-Identifier: MIT */
/* The kernels by themselves: the block kernel at its best, and those over rows. */
#include "bench.h"

#include <stdio.h>

#include "../nn/os.h"

/* ---- peak ---- */

/* Multiply-adds a second of the block kernel on one tile whose factors stay in first-level cache:
 * no convolution can be faster, and it reaches about 95 % of what the instructions allow. */
double bench_peak(const nn_kernels *kernels, nn_arith arith)
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
    float *a = bench_floats(&arena, tile.rows * NN_BLOCK),
          *b = bench_floats(&arena, NN_BLOCK * tile.cols);
    float *total = bench_floats(&arena, tile.rows * tile.cols);
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

void bench_print_peaks(void)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    printf("block kernel, one tile in first-level cache, best of 9 [GFLOP/s]\n%8s %8s %8s\n",
           "table", "ma", "fma");
    for (size_t i = 0; i < count; i++)
        printf("%8s %8.1f %8.1f\n", list[i]->name, 1e-9 * bench_peak(list[i], NN_ARITH_MA),
               1e-9 * bench_peak(list[i], NN_ARITH_FMA));
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

/* Floats a second, the median of BENCH_REPEATS; values are 0, so that they stay what they are. */
static double row_speed(const rows *r, const struct row_kernel *kernel)
{
    double times[BENCH_REPEATS];
    for (int i = 0; i < BENCH_REPEATS; i++) {
        const double start = nn_os_seconds();
        for (int loop = 0; loop < ROW_LOOPS; loop++)
            kernel->run(r);
        times[i] = nn_os_seconds() - start;
    }
    return (double)(ROW_LOOPS * ROWS) * (double)r->cols / bench_median(times, BENCH_REPEATS);
}

static void print_rows(const nn_kernels *kernels, nn_arena *arena)
{
    static const size_t widths[] = {8, 16, 64, MOST_COLS};
    const size_t most = (size_t)ROWS * MOST_COLS;
    float *zero = nn_arena_zero(arena, 5 * most, sizeof *zero);
    if (zero == NULL) {
        bench_must(nn_arena_fail(&bench_error, arena, "rows"));
        return;
    }
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

void bench_print_kernels(void)
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

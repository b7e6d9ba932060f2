/* SPDX-License-Identifier: MIT */
/* The blocks of every kernel table give the bits of the contract in kernels.h, written down here
 * product by product, and touch nothing beyond it: a crash in this suite is such an access.
 * SPEC 2.3, 2.5. */
#include <string.h>

#include "fixture.h"
#include "guard.h"
#include "oracle_fma.h"

#include "../nn/kernels.h"

enum { MOST_RUNS = 12, SLOT_A = 0, SLOT_B, SLOT_TOTAL };

/* What is asked for. */
typedef struct shape {
    size_t rows, cols;
    size_t counts[MOST_RUNS]; /* of the runs */
    size_t run_count;
    bool rows_adjacent; /* a_row is 1, else a_step is */
    size_t most_stride; /* of the other one */
    bool fresh;
    fill_pattern of_a, of_b;
    guard_side side;
} shape;

/* The operands of one call; total before it, and how it must be after it. */
typedef struct problem {
    nn_tile tile;
    nn_run runs[MOST_RUNS];
    size_t run_count;
    float *a, *b, *before, *want;
    size_t total_count;
} problem;

/* Runs in growing places with gaps; the first starts where the operands do. */
static void place_runs(problem *p, const shape *s, test_random *random)
{
    size_t a = 0, b = 0;
    p->run_count = s->run_count;
    for (size_t r = 0; r < s->run_count; r++) {
        p->runs[r].a = a;
        p->runs[r].b = b;
        p->runs[r].count = s->counts[r];
        a += s->counts[r] * p->tile.a_step + test_random_below(random, 20);
        b += s->counts[r] + test_random_below(random, 3);
    }
}

/* Floats of a up to the last one that is used. */
static size_t extent_a(const problem *p)
{
    const nn_tile *t = &p->tile;
    size_t extent = 0;
    for (size_t r = 0; r < p->run_count; r++)
        if (p->runs[r].count > 0)
            extent = nn_max(extent, p->runs[r].a + (t->rows - 1) * t->a_row +
                                        (p->runs[r].count - 1) * t->a_step + 1);
    return extent;
}

static size_t extent_b(const problem *p, size_t panel)
{
    size_t rows = 0;
    for (size_t r = 0; r < p->run_count; r++)
        if (p->runs[r].count > 0)
            rows = nn_max(rows, p->runs[r].b + p->runs[r].count);
    return rows == 0 ? 0 : (rows - 1) * p->tile.b_step + panel;
}

/* The columns of b beyond the tile may be read, but a NaN in them must not show. */
static void fill_b(problem *p, const shape *s, size_t count, test_random *random)
{
    test_fill(p->b, count, s->of_b, random);
    for (size_t k = 0; k < count; k++)
        if (k % p->tile.b_step >= p->tile.cols)
            p->b[k] = nn_float_from_bits(0x7fc00000u);
}

static float naive_chain(const problem *p, nn_arith arith, size_t i, size_t j)
{
    const nn_tile *t = &p->tile;
    float chain = 0.0f;
    for (size_t r = 0; r < p->run_count; r++)
        for (size_t k = 0; k < p->runs[r].count; k++) {
            const float a = p->a[p->runs[r].a + i * t->a_row + k * t->a_step];
            const float b = p->b[(p->runs[r].b + k) * t->b_step + j];
            float product = a * b;
            float sum = chain + product;
            chain = arith == NN_ARITH_FMA ? oracle_fma(a, b, chain) : sum;
        }
    return chain;
}

/* Each profile by its own rule (SPEC 2.5.1). */
static void set_want(problem *p, nn_arith arith)
{
    const nn_tile *t = &p->tile;
    memcpy(p->want, p->before, p->total_count * sizeof *p->want);
    for (size_t i = 0; i < t->rows; i++)
        for (size_t j = 0; j < t->cols; j++) {
            float *total = &p->want[i * t->total_row + j];
            *total = (t->fresh ? 0.0f : *total) + naive_chain(p, arith, i, j);
        }
}

static nn_tile make_tile(const nn_kernels *kernels, const shape *s, test_random *random)
{
    const size_t b_steps[] = {s->cols, kernels->panel, kernels->panel + 3};
    const size_t stride = 1 + test_random_below(random, s->most_stride);
    nn_tile tile = {.rows = s->rows, .cols = s->cols, .fresh = s->fresh};
    tile.total_row = s->cols + test_random_below(random, 4);
    tile.a_row = s->rows_adjacent ? 1 : stride;
    tile.a_step = s->rows_adjacent ? stride : 1;
    tile.b_step = b_steps[test_random_below(random, 3)];
    return tile;
}

static problem make_problem(const nn_kernels *kernels, const shape *s, test_random *random)
{
    problem p = {.tile = make_tile(kernels, s, random)};
    place_runs(&p, s, random);
    const size_t count_a = extent_a(&p), count_b = extent_b(&p, kernels->panel);
    p.total_count = (s->rows - 1) * p.tile.total_row + s->cols;
    p.a = test_guard_floats(SLOT_A, count_a, s->side);
    p.b = test_guard_floats(SLOT_B, count_b, s->side);
    p.before = test_floats(p.total_count);
    p.want = test_floats(p.total_count);
    test_fill(p.a, count_a, s->of_a, random);
    fill_b(&p, s, count_b, random);
    for (size_t i = 0; i < s->rows && !s->fresh; i++)
        test_fill(p.before + i * p.tile.total_row, s->cols, s->of_a, random);
    return p;
}

static bool check_arith(const nn_kernels *kernels, const shape *s, problem *p, nn_arith arith)
{
    float *got = test_guard_floats(SLOT_TOTAL, p->total_count, s->side);
    memcpy(got, p->before, p->total_count * sizeof *got);
    set_want(p, arith);
    kernels->block[arith](got, p->a, p->b, &p->tile, p->runs, p->run_count);
    if (memcmp(got, p->want, p->total_count * sizeof *got) == 0)
        return true;
    test_same_floats("totals", got, p->want, p->total_count);
    return test_check(false, __FILE__, __LINE__,
                      "table %s, profile %d, %lu rows of %lu, rows of a %lu apart, steps %lu, rows "
                      "of b %lu, %lu runs, the first of %lu; a is %s, b is %s",
                      kernels->name, (int)arith, (unsigned long)s->rows, (unsigned long)s->cols,
                      (unsigned long)p->tile.a_row, (unsigned long)p->tile.a_step,
                      (unsigned long)p->tile.b_step, (unsigned long)s->run_count,
                      (unsigned long)s->counts[0], test_fill_name(s->of_a),
                      test_fill_name(s->of_b));
}

static bool check_shape(const nn_kernels *kernels, const shape *s, test_random *random)
{
    bool good = true;
    const size_t mark = test_mark();
    problem p = make_problem(kernels, s, random);
    for (int arith = 0; arith < NN_ARITH_COUNT && good; arith++)
        good = check_arith(kernels, s, &p, (nn_arith)arith);
    test_rewind(mark);
    return good;
}

static bool random_bool(test_random *random)
{
    return test_random_below(random, 2) == 1;
}

static fill_pattern random_pattern(test_random *random)
{
    return (fill_pattern)test_random_below(random, FILL_COUNT);
}

/* Every size of tile, in both layouts of a, with two short runs. */
static void check_sizes(const nn_kernels *kernels, test_random *random)
{
    test_case("kernels %s: every size of tile", kernels->name);
    for (size_t cols = 1; cols <= kernels->panel; cols++)
        for (size_t rows = 1; rows <= nn_tile_rows(kernels, cols); rows++)
            for (int adjacent = 0; adjacent < 2; adjacent++) {
                const shape s = {
                    .rows = rows,
                    .cols = cols,
                    .counts = {1 + test_random_below(random, 11), test_random_below(random, 5)},
                    .run_count = 2,
                    .rows_adjacent = adjacent != 0,
                    .most_stride = 20,
                    .fresh = random_bool(random),
                    .of_a = FILL_CANCEL,
                    .of_b = FILL_RANDOM,
                    .side = (guard_side)((rows + cols) % GUARD_SIDES)};
                if (!check_shape(kernels, &s, random))
                    return;
            }
}

static const struct run_list {
    size_t counts[MOST_RUNS], count;
} run_lists[] = {
    {{0}, 0},
    {{0}, 1},
    {{1}, 1},
    {{2}, 1},
    {{3}, 1},
    {{7}, 1},
    {{8}, 1},
    {{9}, 1},
    {{255}, 1},
    {{256}, 1},
    {{255, 1}, 2},
    {{0, 5, 0, 0, 2, 0}, 6},
    {{1, 1, 1, 2, 2, 3, 3, 7, 7, 8, 9, 1}, 12},
    {{24, 24, 24, 16, 24, 24, 24, 24, 24, 24, 24}, 11},
    {{100, 0, 28, 128}, 4},
    {{512}, 1}, /* longer than SPEC 2.3 makes them: the kernels do not count */
};

enum { RUN_LISTS = sizeof run_lists / sizeof *run_lists };

static shape random_shape(const nn_kernels *kernels, const struct run_list *list,
                          test_random *random)
{
    const size_t cols = 1 + test_random_below(random, kernels->panel);
    shape s = {.rows = 1 + test_random_below(random, nn_tile_rows(kernels, cols)),
               .cols = cols,
               .run_count = list->count,
               .rows_adjacent = random_bool(random),
               .most_stride = 300,
               .fresh = random_bool(random),
               .of_a = random_pattern(random),
               .of_b = random_pattern(random)};
    memcpy(s.counts, list->counts, sizeof s.counts);
    return s;
}

/* Lists of runs: none, empty ones, around the steps in which kernels go, a whole block. */
static void check_runs(const nn_kernels *kernels, test_random *random)
{
    test_case("kernels %s: lists of runs", kernels->name);
    for (size_t l = 0; l < RUN_LISTS; l++)
        for (int bits = 0; bits < 8; bits++) {
            shape s = random_shape(kernels, &run_lists[l], random);
            s.fresh = (bits & 1) != 0;
            s.rows_adjacent = (bits & 2) != 0;
            s.side = (bits & 4) != 0 ? GUARD_BEFORE : GUARD_BEHIND;
            if (!check_shape(kernels, &s, random))
                return;
        }
}

/* Every pair of patterns, on whole tiles. A single product shows what a longer chain hides: a fused
 * one that underflows from below makes the chain -0. */
static void check_patterns(const nn_kernels *kernels, test_random *random)
{
    static const struct run_list lists[] = {{{37, 0, 24, 3}, 4}, {{1}, 1}};
    test_case("kernels %s: extreme values", kernels->name);
    for (int i = 0; i < 2 * FILL_COUNT * FILL_COUNT; i++) {
        shape s = random_shape(kernels, &lists[i % 2], random);
        s.cols = i % 4 < 2 ? kernels->panel : nn_max(1, kernels->panel / 2);
        s.rows = nn_tile_rows(kernels, s.cols);
        s.of_a = (fill_pattern)(i / 2 / FILL_COUNT);
        s.of_b = (fill_pattern)(i / 2 % FILL_COUNT);
        if (!check_shape(kernels, &s, random))
            return;
    }
}

static void check_guard(void)
{
    test_case("kernels: guard pages");
    if (!test_guard_present())
        test_skip("plain C99 cannot protect memory");
}

static void check_table(const nn_kernels *kernels)
{
    const nn_kernels *found = NULL;
    ddome_error error = {DDOME_OK, ""};
    test_case("kernels %s: the table", kernels->name);
    CHECK(kernels->panel >= 1 && kernels->panel <= NN_PANEL_MAX);
    CHECK(kernels->wide_rows >= 1 && kernels->wide_rows <= NN_TILE_ROWS_MAX);
    CHECK(kernels->narrow_rows >= 1 && kernels->narrow_rows <= NN_TILE_ROWS_MAX);
    test_status("find", nn_kernels_find(&error, &found, kernels->name), DDOME_OK, &error, NULL);
    CHECK(found == kernels);
}

/* SPEC 18.4.1. */
static void check_find(void)
{
    const nn_kernels *list[NN_KERNELS_MAX], *found = NULL;
    const size_t count = nn_kernels_all(list);
    ddome_error error = {DDOME_OK, ""};
    test_case("kernels: tables by name");
    CHECK(count >= 1 && count <= NN_KERNELS_MAX && list[0] == &nn_kernels_c);
    test_status("none", nn_kernels_find(&error, &found, NULL), DDOME_OK, &error, NULL);
    CHECK(found == list[count - 1]);
    test_status("empty", nn_kernels_find(&error, &found, ""), DDOME_OK, &error, NULL);
    CHECK(found == list[count - 1]);
    const nn_kernels kept = {.name = "kept"};
    found = &kept;
    test_status("other", nn_kernels_find(&error, &found, "sse9"), DDOME_ERR_USAGE, &error, "sse9");
    CHECK(found == &kept);
}

static void check_all(const nn_kernels *kernels, test_random *random)
{
    check_table(kernels);
    check_sizes(kernels, random);
    check_runs(kernels, random);
    check_patterns(kernels, random);
}

void t_kernels(void);

void t_kernels(void)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    test_random random = test_random_start(43);
    check_guard();
    check_find();
    for (size_t i = 0; i < count; i++)
        check_all(list[i], &random);
    test_guard_release();
    test_release();
}

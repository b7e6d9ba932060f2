/* SPDX-License-Identifier: MIT */
/* Batch-norm and group-norm, forward, running statistics and backward: bits of the written formula,
 * and norm_problem's comparison with double. SPEC 5.6 to 5.9. */
#include "norm_problem.h"
#include "oracle_bits.h"

#include <math.h>

static const float EPSILON = 1e-5f;

/* ---- bits ---- */

/* What the formulas give, in naive float code. */
typedef struct bits_result {
    float *y, *dx, *xhat, *dgamma, *dbeta, *mean, *rstd, *squares;
} bits_result;

static void bits_statistics(bits_result *r, const norm_problem *p, size_t set)
{
    bits_sum sum = bits_start(), squares = bits_start();
    for (size_t i = 0; i < p->members; i++)
        bits_add(&sum, p->x.data[norm_member(p, set, i)]);
    r->mean[set] = bits_end(&sum) / (float)p->members;
    for (size_t i = 0; i < p->members; i++) {
        float d = p->x.data[norm_member(p, set, i)] - r->mean[set];
        bits_add_product(&squares, d, d);
    }
    r->squares[set] = bits_end(&squares);
    float var = r->squares[set] / (float)p->members;
    float shifted = var + EPSILON;
    r->rstd[set] = (float)(1.0 / sqrt((double)shifted));
}

static void bits_forward(bits_result *r, const norm_problem *p, size_t set)
{
    bits_statistics(r, p, set);
    for (size_t i = 0; i < p->members; i++) {
        const size_t at = norm_member(p, set, i);
        float d = p->x.data[at] - r->mean[set];
        r->xhat[at] = d * r->rstd[set];
        float scaled = p->gamma[at % p->x.c] * r->xhat[at];
        r->y[at] = scaled + p->beta[at % p->x.c];
    }
}

static void bits_parameters(bits_result *r, const norm_problem *p)
{
    for (size_t c = 0; c < p->x.c; c++) {
        bits_sum scaled = bits_start();
        for (size_t i = c; i < p->count; i += p->x.c)
            bits_add_product(&scaled, p->dy[i], r->xhat[i]);
        r->dgamma[c] = bits_end(&scaled);
        r->dbeta[c] = bits_sum_of(p->dy + c, p->count / p->x.c, p->x.c);
    }
}

/* dx = scale * ((g - shift) - xhat * slope) */
static float bits_slope(float g, float shift, float xhat, float slope, float scale)
{
    float centred = g - shift;
    float tilted = xhat * slope;
    float inner = centred - tilted;
    return scale * inner;
}

static void bits_batch_input(bits_result *r, const norm_problem *p)
{
    const float n = (float)p->members;
    for (size_t i = 0; i < p->count; i++) {
        const size_t c = i % p->x.c;
        float scale = p->gamma[c] * r->rstd[c];
        float shift = r->dbeta[c] / n, slope = r->dgamma[c] / n;
        r->dx[i] = bits_slope(p->dy[i], shift, r->xhat[i], slope, scale);
    }
}

static void bits_group_input(bits_result *r, const norm_problem *p, size_t set)
{
    bits_sum plain = bits_start(), scaled = bits_start();
    for (size_t i = 0; i < p->members; i++) {
        const size_t at = norm_member(p, set, i);
        float g = p->dy[at] * p->gamma[at % p->x.c];
        bits_add(&plain, g);
        bits_add_product(&scaled, g, r->xhat[at]);
    }
    const float shift = bits_end(&plain) / (float)p->members;
    const float slope = bits_end(&scaled) / (float)p->members;
    for (size_t i = 0; i < p->members; i++) {
        const size_t at = norm_member(p, set, i);
        float g = p->dy[at] * p->gamma[at % p->x.c];
        r->dx[at] = bits_slope(g, shift, r->xhat[at], slope, r->rstd[set]);
    }
}

static bits_result bits_all(const norm_problem *p)
{
    bits_result r = {test_floats(p->count), test_floats(p->count), test_floats(p->count),
                     test_floats(p->x.c),   test_floats(p->x.c),   test_floats(p->sets),
                     test_floats(p->sets),  test_floats(p->sets)};
    for (size_t set = 0; set < p->sets; set++)
        bits_forward(&r, p, set);
    bits_parameters(&r, p);
    if (p->groups == 0)
        bits_batch_input(&r, p);
    for (size_t set = 0; set < p->sets && p->groups != 0; set++)
        bits_group_input(&r, p, set);
    return r;
}

static bool same_bits(const norm_problem *p, const bits_result *r)
{
    return test_same_floats("mean", p->saved.mean, r->mean, p->sets) &&
           test_same_floats("rstd", p->saved.rstd, r->rstd, p->sets) &&
           test_same_floats("y", p->y, r->y, p->count) &&
           test_same_floats("dbeta", p->dbeta, r->dbeta, p->x.c) &&
           test_same_floats("dgamma", p->dgamma, r->dgamma, p->x.c) &&
           test_same_floats("dx", p->dx, r->dx, p->count);
}

/* ---- cases ---- */

static bool check_problem(size_t n, size_t h, size_t w, size_t c, size_t groups, bool differences,
                          float centre, test_random *random)
{
    norm_problem p = norm_make(n, h, w, c, groups);
    norm_fill(&p, centre, random);
    float *mean = test_floats(c), *var = test_floats(c);
    test_fill(mean, c, FILL_ZERO, random);
    test_fill(var, c, FILL_ZERO, random);
    bool good = norm_run(&p, mean, var);
    const bits_result r = bits_all(&p);
    good = good && same_bits(&p, &r) && norm_near_double(&p, differences);
    test_release();
    return test_check(good, __FILE__, __LINE__, "n %lu h %lu w %lu c %lu groups %lu around %g",
                      (unsigned long)n, (unsigned long)h, (unsigned long)w, (unsigned long)c,
                      (unsigned long)groups, (double)centre);
}

static void check_batch(void)
{
    static const size_t shapes[][4] = {{2, 1, 1, 3},  {4, 1, 1, 5},   {2, 3, 3, 4},  {3, 2, 5, 17},
                                       {1, 5, 51, 2}, {1, 16, 16, 2}, {257, 1, 1, 2}};
    static const size_t longer[][4] = {
        {1, 7, 73, 9}, {2, 16, 16, 16}, {3, 19, 9, 8}, {5, 15, 15, 3}};
    test_random random = test_random_start(81);
    test_case("batch-norm: small shapes with differences");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_problem(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], 0, true, 0.25f,
                      &random);
    test_case("batch-norm: sums around blocks of 256, far from 0");
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        check_problem(longer[i][0], longer[i][1], longer[i][2], longer[i][3], 0, false, 100.0f,
                      &random);
}

static void check_group(void)
{
    static const size_t shapes[][5] = {{1, 1, 1, 4, 2},  {2, 3, 3, 8, 1}, {2, 3, 2, 8, 4},
                                       {3, 2, 2, 6, 6},  {1, 8, 8, 8, 2}, {2, 16, 8, 4, 2},
                                       {1, 1, 257, 2, 1}};
    static const size_t longer[][5] = {{2, 16, 16, 16, 2}, {2, 9, 19, 6, 2}, {1, 16, 32, 3, 3}};
    test_random random = test_random_start(82);
    test_case("group-norm: small shapes with differences");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_problem(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], shapes[i][4],
                      shapes[i][1] * shapes[i][2] > 1, 0.25f, &random);
    test_case("group-norm: sums around blocks of 256, far from 0");
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        check_problem(longer[i][0], longer[i][1], longer[i][2], longer[i][3], longer[i][4], false,
                      100.0f, &random);
}

/* running = (1 - 0.1f)*running + 0.1f*stat; the variance takes squares/(n-1). */
static void check_running(void)
{
    enum { C = 5 };
    test_random random = test_random_start(83);
    float mean[C], var[C], want_mean[C], want_var[C];
    norm_problem p = norm_make(3, 4, 5, C, 0);
    test_case("batch-norm: running statistics");
    norm_fill(&p, 0.5f, &random);
    test_fill_uniform(mean, C, 1.0f, &random);
    test_fill_uniform(var, C, 1.0f, &random);
    const bits_result r = bits_all(&p);
    const float tenth = 0.1f, rest = 1.0f - tenth, fewer = 59.0f;
    for (size_t c = 0; c < C; c++) {
        float kept = rest * mean[c], taken = tenth * r.mean[c];
        want_mean[c] = kept + taken;
        float unbiased = r.squares[c] / fewer;
        kept = rest * var[c];
        taken = tenth * unbiased;
        want_var[c] = kept + taken;
    }
    norm_run(&p, mean, var);
    test_same_floats("running mean", mean, want_mean, C);
    test_same_floats("running variance", var, want_var, C);
    test_release();
}

/* One value a channel: variance 0, so y is beta; the running variance keeps its bits. */
static void check_single(void)
{
    enum { C = 3 };
    const float kept[C] = {0.7f, 1.0f, 0.0f};
    float mean[C] = {1, 2, 3}, var[C] = {0.7f, 1.0f, 0.0f}, want[C];
    test_random random = test_random_start(84);
    norm_problem p = norm_make(1, 1, 1, C, 0);
    test_case("batch-norm: one value a channel");
    norm_fill(&p, 3.0f, &random);
    const float tenth = 0.1f, rest = 1.0f - tenth;
    for (size_t c = 0; c < C; c++) {
        float old = rest * mean[c], taken = tenth * p.x.data[c];
        want[c] = old + taken;
    }
    norm_run(&p, mean, var);
    test_same_floats("y", p.y, p.beta, C);
    test_same_floats("running variance", var, kept, C);
    test_same_floats("running mean", mean, want, C);
    for (size_t c = 0; c < C; c++)
        CHECK(p.dx[c] == 0 && p.dgamma[c] == 0 && p.dbeta[c] == p.dy[c]);
    test_release();
}

/* Equal values: xhat is 0 and what is left of rstd is eps alone. */
static void check_constant(size_t groups)
{
    test_random random = test_random_start(87);
    norm_problem p = norm_make(2, 2, 2, 4, groups);
    float mean[4] = {0}, var[4] = {0};
    test_case("%s-norm: equal values", groups == 0 ? "batch" : "group");
    norm_fill(&p, 0, &random);
    for (size_t i = 0; i < p.count; i++)
        p.x.data[i] = 0.5f;
    norm_run(&p, mean, var);
    const float rstd = (float)(1.0 / sqrt((double)EPSILON));
    for (size_t i = 0; i < p.sets; i++)
        test_same_floats("rstd", &p.saved.rstd[i], &rstd, 1);
    for (size_t i = 0; i < p.count; i++)
        CHECK(p.y[i] == p.beta[i % 4]);
    test_release();
}

static void check_eval(void)
{
    enum { C = 7, ROWS = 2 * 3 * 4 };
    test_random random = test_random_start(85);
    norm_problem p = norm_make(2, 3, 4, C, 0);
    float mean[C], var[C], *want = test_floats(ROWS * C);
    nn_arena scratch = {0};
    test_case("batch-norm: evaluation");
    norm_fill(&p, 0.0f, &random);
    test_fill_uniform(mean, C, 1.0f, &random);
    for (size_t c = 0; c < C; c++)
        var[c] = c == 0 ? 0.0f : 1.0f + test_random_float(&random);
    CHECK(nn_batch_norm_eval(NULL, &scratch, p.y, &p.x, p.gamma, p.beta, mean, var) == DDOME_OK);
    for (size_t i = 0; i < ROWS * C; i++) {
        float shifted = var[i % C] + EPSILON;
        float r = (float)(1.0 / sqrt((double)shifted));
        float d = p.x.data[i] - mean[i % C];
        float xhat = d * r;
        float scaled = p.gamma[i % C] * xhat;
        want[i] = scaled + p.beta[i % C];
    }
    test_same_floats("y", p.y, want, ROWS * C);
    nn_arena_free(&scratch);
    test_release();
}

static void check_memory(void)
{
    ddome_error error = {DDOME_OK, ""};
    norm_problem p = norm_make(2, 1, 1, 2, 0);
    float mean[2] = {1, 2}, var[2] = {3, 4};
    const float kept[4] = {1, 2, 3, 4};
    nn_arena scratch = {0};
    test_random random = test_random_start(86);
    test_case("batch-norm without memory");
    norm_fill(&p, 0.0f, &random);
    scratch.fail_after = 1;
    test_status(
        "training",
        nn_batch_norm_train(&error, &scratch, p.y, &p.saved, mean, var, &p.x, p.gamma, p.beta),
        DDOME_ERR_MEMORY, &error, "out of memory");
    test_same_floats("running mean", mean, kept, 2);
    test_same_floats("running variance", var, kept + 2, 2);
    nn_arena_free(&scratch);
    test_release();
}

void t_norm(void);

void t_norm(void)
{
    check_batch();
    check_group();
    check_running();
    check_single();
    check_constant(0);
    check_constant(2);
    check_eval();
    check_memory();
}

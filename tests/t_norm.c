/* SPDX-License-Identifier: MIT */
/* Batch-norm by every engine and group-norm, forward, running statistics and backward: bits of the
 * written formula, and norm_problem's comparison with double; batch-norm with residual and ReLU:
 * bits of the separate operations. SPEC 5.6 to 5.10, 5.13. */
#include "guard.h"
#include "norm_problem.h"
#include "oracle_bits.h"

#include <math.h>
#include <string.h>

static const float EPSILON = 1e-5f;

static nn_engine engines[TEST_ENGINES];
static size_t engine_count;

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
        bits_add_product(&squares, d, d, BITS_MA);
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
            bits_add_product(&scaled, p->dy[i], r->xhat[i], BITS_MA);
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
        bits_add_product(&scaled, g, r->xhat[at], BITS_MA);
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

/* No engine moves a bit, whatever its profile. */
static bool check_engine(norm_problem *p, const bits_result *r, const nn_engine *engine)
{
    float *mean = test_floats(p->x.c), *var = test_floats(p->x.c);
    memset(mean, 0, p->x.c * sizeof *mean);
    memset(var, 0, p->x.c * sizeof *var);
    const bool good = norm_run(p, engine, mean, var) && same_bits(p, r);
    return test_check(good, __FILE__, __LINE__, "kernels %s", test_engine_name(engine));
}

static bool check_problem(size_t n, size_t h, size_t w, size_t c, size_t groups, bool differences,
                          float centre, test_random *random)
{
    norm_problem p = norm_make(n, h, w, c, groups);
    norm_fill(&p, centre, random);
    const bits_result r = bits_all(&p);
    bool good = true;
    for (size_t i = 0; i < (groups == 0 ? engine_count : 1) && good; i++)
        good = check_engine(&p, &r, &engines[i]);
    good = good && norm_near_double(&p, differences);
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

/* Channels around every table's vectors, rows around blocks. */
static void check_lanes(void)
{
    static const size_t channels[] = {1, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65};
    static const size_t rows[] = {2, 255, 256, 257, 513};
    test_random random = test_random_start(88);
    test_case("batch-norm: channels around lanes, rows around blocks");
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++)
            if (!check_problem(1, rows[j], 1, channels[i], 0, false, 1.0f, &random))
                return;
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
    norm_run(&p, test_engine(), mean, var);
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
    norm_run(&p, test_engine(), mean, var);
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
    norm_run(&p, test_engine(), mean, var);
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
    for (size_t i = 0; i < ROWS * C; i++) {
        float shifted = var[i % C] + EPSILON;
        float r = (float)(1.0 / sqrt((double)shifted));
        float d = p.x.data[i] - mean[i % C];
        float xhat = d * r;
        float scaled = p.gamma[i % C] * xhat;
        want[i] = scaled + p.beta[i % C];
    }
    for (size_t i = 0; i < engine_count; i++) {
        const nn_batch_norm norm = {p.gamma, p.beta, NULL, false};
        CHECK(nn_batch_norm_eval(&engines[i], NULL, &scratch, p.y, &p.x, &norm, mean, var) ==
              DDOME_OK);
        if (!test_same_floats("y", p.y, want, ROWS * C))
            test_check(false, __FILE__, __LINE__, "kernels %s", test_engine_name(&engines[i]));
    }
    CHECK(scratch.used == 0);
    nn_arena_free(&scratch);
    test_release();
}

static void check_memory(void)
{
    const float kept[4] = {1, 2, 3, 4};
    test_random random = test_random_start(86);
    test_case("batch-norm without memory, at each allocation");
    norm_problem p = norm_make(2, 1, 1, 2, 0);
    const nn_batch_norm norm = {p.gamma, p.beta, NULL, false};
    norm_fill(&p, 0.0f, &random);
    for (size_t after = 1; after < 3; after++) {
        float mean[2] = {1, 2}, var[2] = {3, 4};
        ddome_error error = {DDOME_OK, ""};
        nn_arena poor = {.fail_after = after};
        test_status("training",
                    nn_batch_norm_train(test_engine(), &error, &poor, p.y, &p.saved, mean, var,
                                        &p.x, &norm),
                    DDOME_ERR_MEMORY, &error, "out of memory");
        test_same_floats("running mean", mean, kept, 2);
        test_same_floats("running variance", var, kept + 2, 2);
        nn_arena_free(&poor);
        poor.fail_after = after;
        test_status("gradients",
                    nn_batch_norm_backward(test_engine(), &error, &poor, p.dx, p.dgamma, p.dbeta,
                                           p.dy, NULL, &p.x, p.gamma, &p.saved),
                    DDOME_ERR_MEMORY, &error, "out of memory");
        nn_arena_free(&poor);
    }
    test_release();
}

/* ---- with residual and ReLU ---- */

/* A batch-norm that does more than normalise, and what the operations give one after the other. */
typedef struct fused {
    norm_problem p;
    nn_batch_norm norm;
    bits_result r; /* of the normalisation alone; its gradients are those of `masked` */
    float *y, *masked;
} fused;

/* Every fifth residual takes its value back to 0, where the ReLU is shut. */
static fused make_fused(size_t n, size_t h, size_t w, size_t c, bool residual, bool relu,
                        test_random *random)
{
    fused f = {.p = norm_make(n, h, w, c, 0)};
    float *added = test_floats(f.p.count), *given = f.p.dy;
    norm_fill(&f.p, 0.25f, random);
    test_fill(added, f.p.count, FILL_RANDOM, random);
    f.norm = (nn_batch_norm){f.p.gamma, f.p.beta, residual ? added : NULL, relu};
    f.r = bits_all(&f.p);
    f.y = test_floats(f.p.count);
    f.masked = test_floats(f.p.count);
    for (size_t i = 0; i < f.p.count; i++) {
        if (i % 5 == 0)
            added[i] = -f.r.y[i];
        f.y[i] = residual ? f.r.y[i] + added[i] : f.r.y[i];
        if (relu && !(f.y[i] > 0))
            f.y[i] = 0.0f;
        f.masked[i] = !relu || f.y[i] > 0 ? given[i] : 0.0f;
    }
    f.p.dy = f.masked;
    f.r = bits_all(&f.p);
    f.p.dy = given;
    return f;
}

static bool check_fused_forward(fused *f, const nn_engine *engine, nn_arena *scratch)
{
    norm_problem *p = &f->p;
    const size_t c = p->x.c;
    float *mean = test_floats(c), *var = test_floats(c), *again = test_floats(p->count);
    memset(mean, 0, c * sizeof *mean);
    memset(var, 0, c * sizeof *var);
    const bool good = CHECK(nn_batch_norm_train(engine, NULL, scratch, p->y, &p->saved, mean, var,
                                                &p->x, &f->norm) == DDOME_OK) &&
                      test_same_floats("mean", p->saved.mean, f->r.mean, c) &&
                      test_same_floats("rstd", p->saved.rstd, f->r.rstd, c) &&
                      test_same_floats("y", p->y, f->y, p->count);
    nn_batch_norm_again(engine, again, &p->x, &f->norm, &p->saved);
    return good && test_same_floats("again", again, f->y, p->count);
}

/* Evaluation with the variances that give the batch's rstd: only the statistics' source differs. */
static bool check_fused_eval(fused *f, const nn_engine *engine, nn_arena *scratch)
{
    norm_problem *p = &f->p;
    float *var = test_floats(p->x.c), *y = test_floats(p->count);
    for (size_t j = 0; j < p->x.c; j++)
        var[j] = f->r.squares[j] / (float)p->members;
    return CHECK(nn_batch_norm_eval(engine, NULL, scratch, y, &p->x, &f->norm, f->r.mean, var) ==
                 DDOME_OK) &&
           test_same_floats("evaluation", y, f->y, p->count);
}

enum { PLACES = 3 }; /* dx: a place of its own, dy, x */

static bool check_fused_backward(fused *f, const nn_engine *engine, nn_arena *scratch, int place)
{
    const norm_problem *p = &f->p;
    const size_t bytes = p->count * sizeof(float);
    nn_tensor x = p->x;
    float *dy = test_floats(p->count), *own = test_floats(p->count);
    x.data = test_floats(p->count);
    memcpy(x.data, p->x.data, bytes);
    memcpy(dy, p->dy, bytes);
    float *dx = place == 0 ? own : place == 1 ? dy : x.data;
    return CHECK(nn_batch_norm_backward(engine, NULL, scratch, dx, p->dgamma, p->dbeta, dy,
                                        f->norm.relu ? f->y : NULL, &x, p->gamma,
                                        &p->saved) == DDOME_OK) &&
           test_same_floats("dbeta", p->dbeta, f->r.dbeta, x.c) &&
           test_same_floats("dgamma", p->dgamma, f->r.dgamma, x.c) &&
           test_same_floats("dx", dx, f->r.dx, p->count) &&
           (place == 1 || test_same_floats("dy", dy, f->masked, p->count)) &&
           (place == 2 || test_same_floats("x untouched", x.data, p->x.data, p->count));
}

static bool check_fused_engine(fused *f, const nn_engine *engine)
{
    const size_t mark = test_mark();
    nn_arena scratch = {0};
    bool good = check_fused_forward(f, engine, &scratch) && check_fused_eval(f, engine, &scratch);
    for (int place = 0; place < PLACES && good; place++)
        good = test_check(check_fused_backward(f, engine, &scratch, place), __FILE__, __LINE__,
                          "dx in place %d", place);
    good = CHECK(scratch.used == 0) && good;
    nn_arena_free(&scratch);
    test_rewind(mark);
    return test_check(good, __FILE__, __LINE__, "kernels %s", test_engine_name(engine));
}

static bool check_fused_shape(size_t n, size_t h, size_t w, size_t c, test_random *random)
{
    bool good = true;
    for (int form = 0; form < 4 && good; form++) {
        fused f = make_fused(n, h, w, c, form % 2 == 1, form / 2 == 1, random);
        for (size_t i = 0; i < engine_count && good; i++)
            good = check_fused_engine(&f, &engines[i]);
        test_release();
        test_check(good, __FILE__, __LINE__, "n %lu h %lu w %lu c %lu%s%s", (unsigned long)n,
                   (unsigned long)h, (unsigned long)w, (unsigned long)c,
                   form % 2 == 1 ? ", residual" : "", form / 2 == 1 ? ", ReLU" : "");
    }
    return good;
}

static const size_t fused_shapes[][4] = {{2, 1, 1, 3},  {2, 3, 3, 4},   {1, 5, 51, 7},
                                         {1, 8, 32, 8}, {1, 1, 257, 9}, {2, 4, 4, 15},
                                         {3, 4, 4, 16}, {3, 2, 5, 17},  {2, 19, 27, 33}};

static void check_fused(void)
{
    test_random random = test_random_start(89);
    test_case("batch-norm with residual and ReLU: the bits of the separate operations");
    for (size_t i = 0; i < sizeof fused_shapes / sizeof *fused_shapes; i++) {
        const size_t *s = fused_shapes[i];
        if (!check_fused_shape(s[0], s[1], s[2], s[3], &random))
            return;
    }
}

/* Workers share out blocks of 256 rows. */
static void check_teams(void)
{
    static const size_t workers[] = {2, 3, 7};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        test_random random = test_random_start(90);
        test_case("batch-norm: a team of %d", (int)workers[i]);
        if (!test_team_engines(engines, workers[i]))
            break;
        engine_count = NN_ARITH_COUNT;
        check_fused_shape(2, 19, 27, 33, &random);
        check_fused_shape(3, 37, 73, 5, &random); /* 32 blocks */
        check_fused_shape(1, 4, 4, 3, &random);
        test_team_close(engines);
    }
    engine_count = test_engines(engines);
}

static void guard(norm_problem *p, guard_side side)
{
    const size_t c = p->x.c;
    float **const arrays[] = {&p->x.data, &p->dy,     &p->y,     &p->dx,         &p->gamma,
                              &p->beta,   &p->dgamma, &p->dbeta, &p->saved.mean, &p->saved.rstd};
    const size_t counts[] = {p->count, p->count, p->count, p->count, c, c, c, c, p->sets, p->sets};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = test_guard_floats(i, counts[i], side);
}

/* Every array ends at a page that nobody may touch, then begins at one. */
static void check_guarded(void)
{
    test_random random = test_random_start(89);
    test_case("norm: nothing beyond the arrays");
    for (size_t groups = 0; groups < 4; groups++)
        for (int side = 0; side < GUARD_SIDES; side++) {
            norm_problem p = norm_make(3, 3, 5, 6, groups);
            float *mean = test_floats(p.x.c), *var = test_floats(p.x.c);
            guard(&p, (guard_side)side);
            norm_fill(&p, 0.25f, &random);
            memset(mean, 0, p.x.c * sizeof *mean);
            memset(var, 0, p.x.c * sizeof *var);
            const bits_result r = bits_all(&p);
            CHECK(norm_run(&p, &engines[0], mean, var) && same_bits(&p, &r));
            test_guard_release();
            test_release();
        }
}

void t_norm(void);

void t_norm(void)
{
    engine_count = test_engines(engines);
    check_batch();
    check_lanes();
    check_group();
    check_running();
    check_single();
    check_constant(0);
    check_constant(2);
    check_eval();
    check_memory();
    check_guarded();
    check_fused();
    check_teams();
}

/* SPDX-License-Identifier: MIT */
/* Softmax and cross-entropy: bits of the written formula; values and gradients of the double oracle
 * within the error analysis of the formula. The mixtures are t_mixture's. SPEC 5.14. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/fmath.h"
#include "../nn/loss.h"

#include <math.h>

typedef struct problem {
    size_t n, classes, count;
    float *z, *dz, *rows;
    uint32_t *labels;
    float scale;
} problem;

static problem make(size_t n, size_t classes, float spread, test_random *random)
{
    problem p = {n,
                 classes,
                 n * classes,
                 test_floats(n * classes),
                 test_floats(n * classes),
                 test_floats(n),
                 test_bytes(n, sizeof(uint32_t)),
                 0.75f};
    test_fill_uniform(p.z, p.count, spread, random);
    for (size_t i = 0; i < n; i++)
        p.labels[i] = (uint32_t)test_random_below(random, classes);
    return p;
}

/* ---- bits ---- */

static float largest(const float *z, size_t count)
{
    float most = -HUGE_VALF;
    for (size_t j = 0; j < count; j++)
        most = fmaxf(most, z[j]);
    return most;
}

/* e[j] = exp(z_j - max); returns their sum. */
static float bits_exponentials(float *e, const float *z, size_t count)
{
    const float most = largest(z, count);
    for (size_t j = 0; j < count; j++) {
        float shifted = z[j] - most;
        e[j] = nn_expf(shifted);
    }
    return bits_sum_of(e, count, 1);
}

static bool same_softmax(const problem *p)
{
    float *e = test_floats(p->classes), *got = test_floats(p->classes);
    for (size_t i = 0; i < p->n; i++) {
        float *row = p->z + i * p->classes;
        const float sum = bits_exponentials(e, row, p->classes);
        for (size_t j = 0; j < p->classes; j++)
            e[j] = e[j] / sum;
        nn_softmax(got, row, p->classes);
        if (!test_same_floats("softmax", got, e, p->classes))
            return false;
    }
    return true;
}

static bool same_loss(const problem *p, float loss)
{
    float *e = test_floats(p->classes), *rows = test_floats(p->n);
    for (size_t i = 0; i < p->n; i++) {
        const float *row = p->z + i * p->classes;
        const float sum = bits_exponentials(e, row, p->classes);
        const float chosen = row[p->labels[i]] - largest(row, p->classes);
        const float log_sum = nn_logf(sum);
        rows[i] = log_sum - chosen;
    }
    const float want = bits_sum_of(rows, p->n, 1) / (float)p->n;
    return test_same_floats("row losses", p->rows, rows, p->n) &&
           test_same_floats("loss", &loss, &want, 1);
}

static bool same_gradient(const problem *p)
{
    float *want = test_floats(p->count);
    for (size_t i = 0; i < p->n; i++) {
        float *row = want + i * p->classes;
        const float sum = bits_exponentials(row, p->z + i * p->classes, p->classes);
        for (size_t j = 0; j < p->classes; j++) {
            float share = row[j] / sum;
            float centred = share - (j == p->labels[i] ? 1.0f : 0.0f);
            float mean = centred / (float)p->n;
            row[j] = p->scale * mean;
        }
    }
    return test_same_floats("dz", p->dz, want, p->count);
}

/* ---- double ---- */

/* The maximum is exact; the rest follows the formula. Returns log sum - (z_label - max). */
static approx analyse_row(double *dz_bound, const problem *p, size_t i)
{
    const float *row = p->z + i * p->classes;
    const approx most = approx_exact((double)largest(row, p->classes));
    approx *e = test_bytes(p->classes, sizeof *e);
    for (size_t j = 0; j < p->classes; j++)
        e[j] = approx_exp(approx_sub(approx_exact((double)row[j]), most));
    const approx sum = approx_sum(e, p->classes);
    for (size_t j = 0; j < p->classes; j++) {
        const approx one = approx_exact(j == p->labels[i] ? 1 : 0);
        const approx centred = approx_sub(approx_div(e[j], sum), one);
        const approx mean = approx_div(centred, approx_exact((double)p->n));
        dz_bound[i * p->classes + j] = approx_mul(approx_exact((double)p->scale), mean).e;
    }
    const approx label = approx_exact((double)row[p->labels[i]]);
    return approx_sub(approx_log(sum), approx_sub(label, most));
}

static double objective(const double *z, void *context)
{
    const problem *p = context;
    return (double)p->scale * oracle_cross_entropy(z, p->labels, p->n, p->classes);
}

/* The stencil at step 1e-3 errs by about 1e-12 of the loss's fifth derivative (at most 1 in size)
 * and 1e-13 of the loss over the step: 1e-9 covers both. */
static bool near_double(problem *p, float loss)
{
    double *z = test_widened(p->z, p->count), *want = test_doubles(p->count);
    double *bound = test_doubles(p->count);
    approx *rows = test_bytes(p->n, sizeof *rows);
    for (size_t i = 0; i < p->n; i++)
        rows[i] = analyse_row(bound, p, i);
    const approx mean = approx_div(approx_sum(rows, p->n), approx_exact((double)p->n));
    const double exact = oracle_cross_entropy(z, p->labels, p->n, p->classes);
    for (size_t i = 0; i < p->count; i++) {
        want[i] = oracle_difference(objective, p, z, i, 1e-3);
        bound[i] += 1e-9;
    }
    return test_close("loss against double", &loss, &exact, 1, &mean.e) &&
           test_close("dz against differences", p->dz, want, p->count, bound);
}

static bool check_problem(size_t n, size_t classes, float spread, bool wide, test_random *random)
{
    problem p = make(n, classes, spread, random);
    const float loss = nn_cross_entropy_forward(p.rows, p.z, p.labels, n, classes);
    nn_cross_entropy_backward(p.dz, p.z, p.labels, n, classes, p.scale);
    bool good = same_softmax(&p) && same_loss(&p, loss) && same_gradient(&p);
    good = good && (!wide || near_double(&p, loss));
    test_release();
    return test_check(good, __FILE__, __LINE__, "n %lu classes %lu spread %g", (unsigned long)n,
                      (unsigned long)classes, (double)spread);
}

static void check_sizes(void)
{
    static const size_t sizes[][2] = {{1, 1},   {1, 2},   {3, 10},  {5, 7},   {7, 100}, {2, 255},
                                      {2, 256}, {2, 257}, {1, 513}, {255, 3}, {257, 2}, {513, 2}};
    static const float spreads[] = {1, 20, 100, 0};
    test_random random = test_random_start(111);
    test_case("cross-entropy: sizes around blocks, spreads of logits");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof spreads / sizeof *spreads; j++)
            check_problem(sizes[i][0], sizes[i][1], spreads[j], sizes[i][0] * sizes[i][1] < 300,
                          &random);
}

/* exp of a huge logit would overflow without the shift by the maximum. */
static void check_extremes(void)
{
    const float z[4] = {3e38f, -3e38f, 0, 1}, want_p[4] = {1, 0, 0, 0};
    float p[4];
    test_case("cross-entropy: extreme logits");
    nn_softmax(p, z, 4);
    test_same_floats("softmax", p, want_p, 4);
    CHECK(nn_float_bits(nn_cross_entropy_row(z, 4, 0)) == 0);
    const float far = nn_cross_entropy_row(z, 4, 2), expected = 3e38f;
    test_same_floats("loss of a logit far below", &far, &expected, 1);
}

static void check_in_place(void)
{
    float z[3] = {1, 2, 3}, p[3];
    test_case("softmax: in place");
    nn_softmax(p, z, 3);
    nn_softmax(z, z, 3);
    test_same_floats("softmax", z, p, 3);
}

void t_loss(void);

void t_loss(void)
{
    check_sizes();
    check_extremes();
    check_in_place();
}

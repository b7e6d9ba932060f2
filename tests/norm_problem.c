/* SPDX-License-Identifier: MIT */
/* A normalisation against the double oracle: gradients are central differences of its values,
 * bounds the error analysis of the written formulas. SPEC 5.6 to 5.9. */
#include "norm_problem.h"

#include "oracle.h"

#include <math.h>
#include <string.h>

static const float EPSILON = 1e-5f;

size_t norm_member(const norm_problem *p, size_t set, size_t i)
{
    if (p->groups == 0)
        return i * p->x.c + set;
    const size_t width = p->x.c / p->groups, positions = p->x.h * p->x.w;
    const size_t image = set / p->groups, group = set % p->groups;
    return (image * positions + i / width) * p->x.c + group * width + i % width;
}

norm_problem norm_make(size_t n, size_t h, size_t w, size_t c, size_t groups)
{
    norm_problem p = {
        {NULL, n, h, w, c}, groups, n * h * w * c, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        {NULL, NULL}};
    p.sets = groups == 0 ? c : n * groups;
    p.members = p.count / p.sets;
    p.x.data = test_floats(p.count);
    p.gamma = test_floats(c);
    p.beta = test_floats(c);
    p.dy = test_floats(p.count);
    p.y = test_floats(p.count);
    p.dx = test_floats(p.count);
    p.dgamma = test_floats(c);
    p.dbeta = test_floats(c);
    p.saved.mean = test_floats(p.sets);
    p.saved.rstd = test_floats(p.sets);
    return p;
}

void norm_fill(norm_problem *p, float centre, test_random *random)
{
    test_fill_uniform(p->x.data, p->count, 1.0f, random);
    for (size_t i = 0; i < p->count; i++)
        p->x.data[i] = p->x.data[i] + centre;
    test_fill_uniform(p->gamma, p->x.c, 2.0f, random);
    test_fill_uniform(p->beta, p->x.c, 1.0f, random);
    test_fill_uniform(p->dy, p->count, 1.0f, random);
}

bool norm_run(norm_problem *p, const nn_engine *engine, float *mean, float *var)
{
    const size_t mark = test_mark();
    float *kept = test_floats(p->count);
    nn_arena scratch = {0};
    ddome_status forward = DDOME_OK, backward;
    memcpy(kept, p->dy, p->count * sizeof *kept);
    if (p->groups == 0) {
        const nn_batch_norm norm = {p->gamma, p->beta, NULL, false};
        forward =
            nn_batch_norm_train(engine, NULL, &scratch, p->y, &p->saved, mean, var, &p->x, &norm);
        backward = nn_batch_norm_backward(engine, NULL, &scratch, p->dx, p->dgamma, p->dbeta, p->dy,
                                          NULL, &p->x, p->gamma, &p->saved);
    } else {
        nn_group_norm_forward(p->y, &p->saved, &p->x, p->gamma, p->beta, p->groups);
        backward = nn_group_norm_backward(NULL, &scratch, p->dx, p->dgamma, p->dbeta, p->dy, &p->x,
                                          p->gamma, &p->saved, p->groups);
    }
    bool good =
        CHECK(forward == DDOME_OK) && CHECK(backward == DDOME_OK) && CHECK(scratch.used == 0);
    good = good && test_same_floats("dy untouched", p->dy, kept, p->count);
    nn_arena_free(&scratch);
    test_rewind(mark);
    return good;
}

/* ---- double ---- */

/* Truth by the double oracle; bounds by the error analysis of the formulas. */
typedef struct analysis {
    double *y, *y_bound, *dx_bound, *dgamma_bound, *dbeta_bound;
    approx *scaled; /* dy * xhat */
} analysis;

static approx scale_of(const norm_problem *p, approx *d, size_t set)
{
    approx *x = test_bytes(p->members, sizeof *x);
    const approx n = approx_exact((double)p->members);
    for (size_t i = 0; i < p->members; i++)
        x[i] = approx_exact((double)p->x.data[norm_member(p, set, i)]);
    const approx mean = approx_div(approx_sum(x, p->members), n);
    for (size_t i = 0; i < p->members; i++) {
        d[i] = approx_sub(x[i], mean);
        x[i] = approx_mul(d[i], d[i]);
    }
    const approx var = approx_div(approx_sum(x, p->members), n);
    return approx_rsqrt(approx_add(var, approx_exact((double)EPSILON)));
}

/* dx in the group form r * ((g - mean g) - xhat * mean(g*xhat)), g = dy*gamma. The batch form
 * rounds gamma*r instead of dy*gamma and otherwise as often; twice the bound covers both. */
static void analyse_input(analysis *a, const norm_problem *p, size_t set, const approx *xhat,
                          approx r)
{
    const approx n = approx_exact((double)p->members);
    approx *g = test_bytes(p->members, sizeof *g), *product = test_bytes(p->members, sizeof *g);
    for (size_t i = 0; i < p->members; i++) {
        const size_t at = norm_member(p, set, i);
        const approx dy = approx_exact((double)p->dy[at]);
        g[i] = approx_mul(dy, approx_exact((double)p->gamma[at % p->x.c]));
        product[i] = approx_mul(g[i], xhat[i]);
        a->scaled[at] = approx_mul(dy, xhat[i]);
    }
    const approx shift = approx_div(approx_sum(g, p->members), n);
    const approx slope = approx_div(approx_sum(product, p->members), n);
    for (size_t i = 0; i < p->members; i++) {
        const approx centred = approx_sub(g[i], shift), tilted = approx_mul(xhat[i], slope);
        a->dx_bound[norm_member(p, set, i)] = 2 * approx_mul(r, approx_sub(centred, tilted)).e;
    }
}

static void analyse_set(analysis *a, const norm_problem *p, size_t set)
{
    approx *xhat = test_bytes(p->members, sizeof *xhat);
    const approx r = scale_of(p, xhat, set);
    for (size_t i = 0; i < p->members; i++) {
        const size_t at = norm_member(p, set, i), c = at % p->x.c;
        xhat[i] = approx_mul(xhat[i], r);
        const approx scaled = approx_mul(approx_exact((double)p->gamma[c]), xhat[i]);
        a->y_bound[at] = approx_add(scaled, approx_exact((double)p->beta[c])).e;
    }
    analyse_input(a, p, set, xhat, r);
}

static void analyse_parameters(analysis *a, const norm_problem *p)
{
    const size_t rows = p->count / p->x.c;
    approx *scaled = test_bytes(rows, sizeof *scaled), *plain = test_bytes(rows, sizeof *plain);
    for (size_t c = 0; c < p->x.c; c++) {
        for (size_t i = 0; i < rows; i++) {
            scaled[i] = a->scaled[i * p->x.c + c];
            plain[i] = approx_exact((double)p->dy[i * p->x.c + c]);
        }
        a->dgamma_bound[c] = approx_sum(scaled, rows).e;
        a->dbeta_bound[c] = approx_sum(plain, rows).e;
    }
}

/* The scalar sum of dy*y as a function of (x, gamma, beta) in one vector. */
static double objective(const double *v, void *context)
{
    const norm_problem *p = context;
    const double *gamma = v + p->count, *beta = gamma + p->x.c;
    const size_t mark = test_mark();
    double *y = test_doubles(p->count), sum = 0;
    if (p->groups == 0)
        oracle_batch_norm(y, v, gamma, beta, p->count / p->x.c, p->x.c);
    else
        oracle_group_norm(y, v, gamma, beta, p->x.n, p->x.h * p->x.w, p->x.c, p->groups);
    for (size_t i = 0; i < p->count; i++)
        sum += (double)p->dy[i] * y[i];
    test_rewind(mark);
    return sum;
}

static double *joined(const norm_problem *p)
{
    double *v = test_doubles(p->count + 2 * p->x.c);
    for (size_t i = 0; i < p->count; i++)
        v[i] = (double)p->x.data[i];
    for (size_t c = 0; c < p->x.c; c++) {
        v[p->count + c] = (double)p->gamma[c];
        v[p->count + p->x.c + c] = (double)p->beta[c];
    }
    return v;
}

/* Adds what the stencil itself may miss at step 1e-3 (deviations are about 0.6): 1e-8 of sum |dy|
 * is 30 times what was seen. */
static bool near_difference(const char *what, norm_problem *p, double *v, size_t first,
                            const float *got, size_t count, double *bound)
{
    double *want = test_doubles(count);
    for (size_t i = 0; i < count; i++) {
        want[i] = oracle_difference(objective, p, v, first + i, 1e-3);
        bound[i] += 1e-8;
    }
    return test_close(what, got, want, count, bound);
}

static analysis analyse(const norm_problem *p)
{
    analysis a = {test_doubles(p->count), test_doubles(p->count), test_doubles(p->count),
                  test_doubles(p->x.c),   test_doubles(p->x.c),   NULL};
    a.scaled = test_bytes(p->count, sizeof *a.scaled);
    for (size_t set = 0; set < p->sets; set++)
        analyse_set(&a, p, set);
    analyse_parameters(&a, p);
    return a;
}

static bool near_forward(const norm_problem *p, analysis *a)
{
    const double *v = joined(p), *gamma = v + p->count, *beta = gamma + p->x.c;
    if (p->groups == 0)
        oracle_batch_norm(a->y, v, gamma, beta, p->count / p->x.c, p->x.c);
    else
        oracle_group_norm(a->y, v, gamma, beta, p->x.n, p->x.h * p->x.w, p->x.c, p->groups);
    return test_close("y against double", p->y, a->y, p->count, a->y_bound);
}

static bool near_backward(norm_problem *p, analysis *a)
{
    const size_t c = p->x.c;
    double *v = joined(p);
    return near_difference("dx", p, v, 0, p->dx, p->count, a->dx_bound) &&
           near_difference("dgamma", p, v, p->count, p->dgamma, c, a->dgamma_bound) &&
           near_difference("dbeta", p, v, p->count + c, p->dbeta, c, a->dbeta_bound);
}

bool norm_near_double(norm_problem *p, bool differences)
{
    analysis a = analyse(p);
    return near_forward(p, &a) && (!differences || near_backward(p, &a));
}

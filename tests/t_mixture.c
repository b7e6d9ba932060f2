/* SPDX-License-Identifier: MIT */
/* Mixtures of expert outputs (of logits and of probabilities): values and gradients of the double
 * oracle within the error analysis of the formulas; bits of the logit mixture. SPEC 5.15. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/loss.h"

enum { MOST_CHOSEN = 8 };

/* The gate and the logits in one vector: [n,experts], then [n,classes] of each chosen expert. */
typedef struct problem {
    nn_mixture_shape s;
    bool probs;
    size_t gate_count, logit_count, count;
    uint32_t chosen[MOST_CHOSEN];
    float *inputs, *gradients, *z, *dz;
    const float *logits[MOST_CHOSEN];
    float *dlogits[MOST_CHOSEN];
} problem;

static void choose(problem *p, test_random *random)
{
    uint32_t expert = 0;
    for (size_t i = 0; i < p->s.k; i++) { /* ascending, leaving enough for those that follow */
        const size_t spare = p->s.experts - expert - (p->s.k - i);
        expert += (uint32_t)test_random_below(random, spare + 1);
        p->chosen[i] = expert++;
    }
}

static problem *make(nn_mixture_shape s, bool probs, float spread, test_random *random)
{
    problem *p = test_bytes(1, sizeof *p);
    p->s = s;
    p->probs = probs;
    p->s.chosen = p->chosen;
    p->gate_count = s.n * s.experts;
    p->logit_count = s.n * s.classes;
    p->count = p->gate_count + s.k * p->logit_count;
    p->inputs = test_floats(p->count);
    p->gradients = test_floats(p->count);
    p->z = test_floats(p->logit_count);
    p->dz = test_floats(p->logit_count);
    for (size_t i = 0; i < s.k; i++) {
        p->logits[i] = p->inputs + p->gate_count + i * p->logit_count;
        p->dlogits[i] = p->gradients + p->gate_count + i * p->logit_count;
    }
    choose(p, random);
    test_fill_uniform(p->inputs, p->count, spread, random);
    test_fill_uniform(p->dz, p->logit_count, 1.0f, random);
    return p;
}

static void run(problem *p)
{
    if (p->probs) {
        nn_mixture_probs_forward(p->z, p->inputs, p->logits, &p->s);
        nn_mixture_probs_backward(p->gradients, p->dlogits, p->dz, p->z, p->inputs, p->logits,
                                  &p->s);
    } else {
        nn_mixture_forward(p->z, p->inputs, p->logits, &p->s);
        nn_mixture_backward(p->gradients, p->dlogits, p->dz, p->inputs, p->logits, &p->s);
    }
}

/* ---- double: truth ---- */

static void oracle_values(double *z, const problem *p, const double *inputs)
{
    const oracle_mix mix = {p->s.n, p->s.experts, p->s.k, p->s.classes, p->chosen, p->probs};
    const double *logits[MOST_CHOSEN];
    for (size_t i = 0; i < p->s.k; i++)
        logits[i] = inputs + p->gate_count + i * p->logit_count;
    oracle_mixture(z, inputs, logits, &mix);
}

static double objective(const double *inputs, void *context)
{
    const problem *p = context;
    const size_t mark = test_mark();
    double *z = test_doubles(p->logit_count), sum = 0;
    oracle_values(z, p, inputs);
    for (size_t i = 0; i < p->logit_count; i++)
        sum += (double)p->dz[i] * z[i];
    test_rewind(mark);
    return sum;
}

/* ---- double: bounds ---- */

/* Bounds of one sample's results, laid out as problem.z and problem.gradients. */
typedef struct analysis {
    double *z, *gradients;
} analysis;

static approx exact(float x)
{
    return approx_exact((double)x);
}

static approx largest(const approx *x, size_t count)
{
    approx most = x[0];
    for (size_t i = 1; i < count; i++) {
        most.e = x[i].e > most.e ? x[i].e : most.e; /* rounding may have picked a near tie */
        most.v = x[i].v > most.v ? x[i].v : most.v;
    }
    return most;
}

static approx exponentials(approx *e, const approx *x, size_t count)
{
    const approx most = largest(x, count);
    for (size_t i = 0; i < count; i++) {
        /* the shift is common to all: its own error cancels, unlike one of a single term */
        const approx shift = {most.v, 0};
        e[i] = approx_exp(approx_sub(x[i], shift));
    }
    return approx_sum(e, count);
}

/* log sum exp = log sum exp(x - max) + max. An error in one term only scales that term. */
static approx normaliser(const approx *x, size_t count)
{
    approx *e = test_bytes(count, sizeof *e);
    const approx sum = exponentials(e, x, count), shift = {largest(x, count).v, 0};
    return approx_add(approx_log(sum), shift);
}

static void load(approx *out, const float *x, const uint32_t *index, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = exact(x[index != NULL ? index[i] : i]);
}

/* w = softmax of the chosen gate logits. */
static void weights(approx *w, const problem *p, size_t n)
{
    approx u[MOST_CHOSEN];
    load(u, p->inputs + n * p->s.experts, p->chosen, p->s.k);
    const approx sum = exponentials(w, u, p->s.k);
    for (size_t i = 0; i < p->s.k; i++)
        w[i] = approx_div(w[i], sum);
}

static double *gradient_bound(const analysis *a, const problem *p, size_t i, size_t at)
{
    return &a->gradients[p->gate_count + i * p->logit_count + at];
}

static void analyse_logits(analysis *a, const problem *p, size_t n)
{
    approx w[MOST_CHOSEN], dw[MOST_CHOSEN], product[MOST_CHOSEN];
    approx *terms = test_bytes(p->s.classes, sizeof *terms);
    weights(w, p, n);
    for (size_t j = 0; j < p->s.classes; j++) {
        const size_t at = n * p->s.classes + j;
        for (size_t i = 0; i < p->s.k; i++) {
            product[i] = approx_mul(w[i], exact(p->logits[i][at]));
            *gradient_bound(a, p, i, at) = approx_mul(w[i], exact(p->dz[at])).e;
        }
        a->z[at] = approx_sum(product, p->s.k).e;
    }
    for (size_t i = 0; i < p->s.k; i++) {
        for (size_t j = 0; j < p->s.classes; j++) {
            const size_t at = n * p->s.classes + j;
            terms[j] = approx_mul(exact(p->dz[at]), exact(p->logits[i][at]));
        }
        dw[i] = approx_sum(terms, p->s.classes);
        product[i] = approx_mul(w[i], dw[i]);
    }
    const approx mean = approx_sum(product, p->s.k);
    for (size_t i = 0; i < p->s.k; i++)
        a->gradients[n * p->s.experts + p->chosen[i]] = approx_mul(w[i], approx_sub(dw[i], mean)).e;
}

/* offset_i = (u_i - normaliser of u) - normaliser of expert i's logits. */
static void offsets(approx *offset, approx *normal, const problem *p, size_t n)
{
    approx u[MOST_CHOSEN], *row = test_bytes(p->s.classes, sizeof *row);
    load(u, p->inputs + n * p->s.experts, p->chosen, p->s.k);
    const approx gate = normaliser(u, p->s.k);
    for (size_t i = 0; i < p->s.k; i++) {
        load(row, p->logits[i] + n * p->s.classes, NULL, p->s.classes);
        normal[i] = normaliser(row, p->s.classes);
        offset[i] = approx_sub(approx_sub(u[i], gate), normal[i]);
    }
}

static void analyse_values(approx *z, const problem *p, const approx *offset, size_t n)
{
    approx t[MOST_CHOSEN];
    for (size_t j = 0; j < p->s.classes; j++) {
        for (size_t i = 0; i < p->s.k; i++)
            t[i] = approx_add(exact(p->logits[i][n * p->s.classes + j]), offset[i]);
        z[j] = normaliser(t, p->s.k);
    }
}

/* dt = dz * exp(t - z), summed over classes; dlogits = dt - p * sum. Returns the sum. */
static approx analyse_expert(analysis *a, const problem *p, const approx *z, approx offset,
                             approx normal, size_t n, size_t i)
{
    approx *dt = test_bytes(p->s.classes, sizeof *dt);
    const size_t row = n * p->s.classes;
    for (size_t j = 0; j < p->s.classes; j++) {
        const approx t = approx_add(exact(p->logits[i][row + j]), offset);
        dt[j] = approx_mul(exact(p->dz[row + j]), approx_exp(approx_sub(t, z[j])));
    }
    const approx sum = approx_sum(dt, p->s.classes);
    for (size_t j = 0; j < p->s.classes; j++) {
        const approx share = approx_exp(approx_sub(exact(p->logits[i][row + j]), normal));
        *gradient_bound(a, p, i, row + j) = approx_sub(dt[j], approx_mul(share, sum)).e;
    }
    return sum;
}

static void analyse_probs(analysis *a, const problem *p, size_t n)
{
    approx offset[MOST_CHOSEN], normal[MOST_CHOSEN], w[MOST_CHOSEN], du[MOST_CHOSEN];
    approx *z = test_bytes(p->s.classes, sizeof *z);
    offsets(offset, normal, p, n);
    weights(w, p, n);
    analyse_values(z, p, offset, n);
    for (size_t j = 0; j < p->s.classes; j++)
        a->z[n * p->s.classes + j] = z[j].e;
    for (size_t i = 0; i < p->s.k; i++)
        du[i] = analyse_expert(a, p, z, offset[i], normal[i], n, i);
    const approx all = approx_sum(du, p->s.k);
    for (size_t i = 0; i < p->s.k; i++)
        a->gradients[n * p->s.experts + p->chosen[i]] = approx_sub(du[i], approx_mul(w[i], all)).e;
}

/* ---- cases ---- */

/* The stencil errs by less than 1e-9 here: inputs of unit scale, step 1e-3. */
static bool near_double(problem *p)
{
    analysis a = {test_doubles(p->logit_count), test_doubles(p->count)};
    double *inputs = test_widened(p->inputs, p->count), *want = test_doubles(p->count);
    double *z = test_doubles(p->logit_count);
    for (size_t n = 0; n < p->s.n; n++)
        p->probs ? analyse_probs(&a, p, n) : analyse_logits(&a, p, n);
    oracle_values(z, p, inputs);
    for (size_t i = 0; i < p->count; i++) {
        want[i] = oracle_difference(objective, p, inputs, i, 1e-3);
        a.gradients[i] += 1e-9;
    }
    return test_close("z", p->z, z, p->logit_count, a.z) &&
           test_close("gradients", p->gradients, want, p->count, a.gradients);
}

/* The profile of products and sums here is ma in every run (SPEC 2.5.2). */
static bool same_bits(const problem *p)
{
    float *want = test_floats(p->logit_count), u[MOST_CHOSEN], w[MOST_CHOSEN];
    for (size_t at = 0; at < p->logit_count; at++) {
        bits_sum sum = bits_start();
        for (size_t i = 0; i < p->s.k; i++)
            u[i] = p->inputs[at / p->s.classes * p->s.experts + p->chosen[i]];
        nn_softmax(w, u, p->s.k);
        for (size_t i = 0; i < p->s.k; i++)
            bits_add_product(&sum, w[i], p->logits[i][at], BITS_MA);
        want[at] = bits_end(&sum);
    }
    return test_same_floats("z", p->z, want, p->logit_count);
}

/* du_i = w_i * (dw_i - sum_l w_l dw_l), dlogits_i = w_i * dz. */
static bool same_gradient_bits(const problem *p)
{
    float *want = test_floats(p->count), u[MOST_CHOSEN], w[MOST_CHOSEN], dw[MOST_CHOSEN];
    for (size_t i = 0; i < p->gate_count; i++)
        want[i] = 0;
    for (size_t n = 0; n < p->s.n; n++) {
        const size_t row = n * p->s.classes;
        bits_sum mean = bits_start();
        for (size_t i = 0; i < p->s.k; i++)
            u[i] = p->inputs[n * p->s.experts + p->chosen[i]];
        nn_softmax(w, u, p->s.k);
        for (size_t i = 0; i < p->s.k; i++) {
            bits_sum dot = bits_start();
            for (size_t j = 0; j < p->s.classes; j++) {
                bits_add_product(&dot, p->dz[row + j], p->logits[i][row + j], BITS_MA);
                want[p->gate_count + i * p->logit_count + row + j] = w[i] * p->dz[row + j];
            }
            dw[i] = bits_end(&dot);
            bits_add_product(&mean, w[i], dw[i], BITS_MA);
        }
        for (size_t i = 0; i < p->s.k; i++) {
            float centred = dw[i] - bits_end(&mean);
            want[n * p->s.experts + p->chosen[i]] = w[i] * centred;
        }
    }
    return test_same_floats("gradients", p->gradients, want, p->count);
}

static bool check_problem(nn_mixture_shape s, bool probs, float spread, test_random *random)
{
    problem *p = make(s, probs, spread, random);
    run(p);
    bool good = near_double(p);
    good = good && (probs || (same_bits(p) && same_gradient_bits(p)));
    test_release();
    return test_check(good, __FILE__, __LINE__, "n %lu experts %lu k %lu classes %lu",
                      (unsigned long)s.n, (unsigned long)s.experts, (unsigned long)s.k,
                      (unsigned long)s.classes);
}

static void check_sizes(bool probs)
{
    static const nn_mixture_shape shapes[] = {
        {1, 1, 1, 2, NULL}, {2, 5, 2, 10, NULL}, {3, 5, 5, 3, NULL},  {2, 12, 8, 4, NULL},
        {1, 3, 2, 1, NULL}, {1, 4, 1, 7, NULL},  {1, 2, 2, 257, NULL}};
    test_random random = test_random_start(probs ? 122 : 121);
    test_case("mixture of %s: sizes", probs ? "probabilities" : "logits");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int spread = 1; spread <= (shapes[i].classes < 256 ? 9 : 1); spread += 4)
            check_problem(shapes[i], probs, (float)spread, &random);
}

/* One chosen expert: weight 1, and the gate learns nothing. */
static void check_single(void)
{
    const float gate[3] = {5, -2, 1}, logits[2] = {0.3f, -0.0f}, dz[2] = {1, -3};
    const float zeros[3] = {0, 0, 0}, want[2] = {0.3f, 0.0f};
    const uint32_t chosen = 1;
    const nn_mixture_shape s = {1, 3, 1, 2, &chosen};
    const float *experts[1] = {logits};
    float z[2], dgate[3], dlogits[2], *gradients[1] = {dlogits};
    test_case("mixture of one expert");
    nn_mixture_forward(z, gate, experts, &s);
    nn_mixture_backward(dgate, gradients, dz, gate, experts, &s);
    test_same_floats("z", z, want, 2);
    test_same_floats("dgate", dgate, zeros, 3);
    test_same_floats("dlogits", dlogits, dz, 2);
}

/* Probabilities far apart: the naive logarithm of a product of softmaxes would be log 0. */
static void check_extremes(void)
{
    const float gate[2] = {0, 0}, near_logits[2] = {0, -200}, far_logits[2] = {-300, 0};
    const uint32_t chosen[2] = {0, 1};
    const nn_mixture_shape s = {1, 2, 2, 2, chosen};
    const float *experts[2] = {near_logits, far_logits};
    float z[2];
    const double want[2] = {-0.6931471805599453, -0.6931471805599453}, bound[2] = {3e-7, 3e-7};
    test_case("mixture of probabilities: far logits");
    nn_mixture_probs_forward(z, gate, experts, &s);
    test_close("z", z, want, 2, bound);
}

void t_mixture(void);

void t_mixture(void)
{
    check_sizes(false);
    check_sizes(true);
    check_single();
    check_extremes();
}

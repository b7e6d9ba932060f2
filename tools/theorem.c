/* SPDX-License-Identifier: MIT */
/* The paper's Theorem 1 by numbers (docs/theorem.md): experts trained first, under a random gate,
 * and then the gate, keep a loss. Beside it joint training, and the gate first.
 *
 * x[D] is standard normal; v*_1 .. v*_M orthonormal: x belongs to cell j where v*_j.x is largest;
 * w*_1 .. w*_M orthonormal: y = w*_j.x there. Gate and experts are linear, without a bias:
 * z_j = v_j.x, f_j = w_j.x. Trained is (sum_j softmax(z)_j f_j - y)^2, the mixture of SPEC 5.15
 * with K = M, on fresh samples in every step; tested is f_j of the largest z_j, as in SPEC 13.2.
 *
 *     theorem [D M STEPS SEEDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fl/model.h"
#include "../nn/fmath.h"
#include "../nn/hash.h"
#include "../nn/loss.h"
#include "../nn/rng.h"
#include "../nn/selftest.h"

enum { MOST = NN_MAX_EXPERTS, BATCH = 64, TEST = 20000, MOST_SEEDS = 100 };

/* What is drawn, each by a `round` of its own. */
enum { CELLS, TARGETS, GATE, EXPERTS, SAMPLES, TESTS };

/* The first that were tried; nothing is tuned. */
static const float EXPERT_RATE = 0.1f, GATE_RATE = 0.5f;

typedef enum training { JOINT, EXPERTS_FIRST, GATE_FIRST, NEVER, ORDERS } training;

static const char *const names[ORDERS] = {"joint", "experts-first", "gate-first", "untrained"};

/* m vectors of d values. */
typedef struct vectors {
    size_t m, d;
    float row[MOST][MOST];
} vectors;

typedef struct problem {
    vectors cells, targets; /* v*, w* */
} problem;

typedef struct moe {
    vectors gate, experts; /* v, w */
} moe;

/* Of n <= BATCH samples. */
typedef struct batch {
    size_t n;
    float x[BATCH][MOST], y[BATCH];
} batch;

/* What a model makes of a batch. */
typedef struct outputs {
    float gate[BATCH * MOST], expert[MOST][BATCH], mixture[BATCH];
} outputs;

/* Mean squared errors. */
typedef struct errors {
    double routed, mixture, best, zero;
} errors;

/* ---- problem ---- */

/* Each operation is rounded, in a statement of its own (SPEC 2.1); sums are in binary64. */
static double dot(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const float product = a[i] * b[i];
        sum = sum + (double)product;
    }
    return sum;
}

static void draw(vectors *v, uint64_t seed, uint32_t what)
{
    nn_rng rng = nn_rng_at(seed, NN_STREAM_THEOREM, 0, what, 0);
    for (size_t j = 0; j < v->m; j++)
        for (size_t i = 0; i < v->d; i++)
            v->row[j][i] = nn_rng_normal(&rng);
}

/* Gram and Schmidt, twice, which makes up for what the first pass rounds away. */
static void make_orthonormal(vectors *v)
{
    for (size_t j = 0; j < v->m; j++) {
        for (size_t other = 0; other < 2 * j; other++) {
            const float part = (float)dot(v->row[j], v->row[other % j], v->d);
            for (size_t i = 0; i < v->d; i++) {
                const float along = part * v->row[other % j][i];
                v->row[j][i] = v->row[j][i] - along;
            }
        }
        const float length = nn_sqrtf((float)dot(v->row[j], v->row[j], v->d));
        for (size_t i = 0; i < v->d; i++)
            v->row[j][i] = v->row[j][i] / length;
    }
}

static void draw_batch(batch *b, size_t n, const problem *p, uint64_t seed, uint32_t what,
                       uint32_t number)
{
    nn_rng rng = nn_rng_at(seed, NN_STREAM_THEOREM, 0, what, number);
    float score[MOST];
    b->n = n;
    for (size_t s = 0; s < n; s++) {
        for (size_t i = 0; i < p->cells.d; i++)
            b->x[s][i] = nn_rng_normal(&rng);
        for (size_t j = 0; j < p->cells.m; j++)
            score[j] = (float)dot(p->cells.row[j], b->x[s], p->cells.d);
        const size_t cell = fl_argmax(score, p->cells.m);
        b->y[s] = (float)dot(p->targets.row[cell], b->x[s], p->cells.d);
    }
}

/* ---- model ---- */

/* The gate is Gaussian, as in the theorem; experts start small. */
static void start(moe *model, size_t m, size_t d, uint64_t seed)
{
    const float scale = 0.1f / nn_sqrtf((float)d);
    model->gate = model->experts = (vectors){.m = m, .d = d};
    draw(&model->gate, seed, GATE);
    draw(&model->experts, seed, EXPERTS);
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < d; i++)
            model->experts.row[j][i] = model->experts.row[j][i] * scale;
}

static nn_mixture_shape shape_of(const moe *model, const batch *b)
{
    static uint32_t all[MOST];
    for (uint32_t j = 0; j < MOST; j++)
        all[j] = j;
    const size_t m = model->gate.m;
    return (nn_mixture_shape){.n = b->n, .experts = m, .k = m, .classes = 1, .chosen = all};
}

static void forward(outputs *out, const moe *model, const batch *b)
{
    const size_t m = model->gate.m, d = model->gate.d;
    const nn_mixture_shape shape = shape_of(model, b);
    const float *expert[MOST];
    for (size_t j = 0; j < m; j++) {
        expert[j] = out->expert[j];
        for (size_t s = 0; s < b->n; s++) {
            out->gate[s * m + j] = (float)dot(model->gate.row[j], b->x[s], d);
            out->expert[j][s] = (float)dot(model->experts.row[j], b->x[s], d);
        }
    }
    nn_mixture_forward(out->mixture, out->gate, expert, &shape);
}

/* w -= rate * sum over the batch of dz[s] * x[s]. */
static void descend(float *w, const float *dz, size_t stride, const batch *b, size_t d, float rate)
{
    for (size_t i = 0; i < d; i++) {
        double sum = 0;
        for (size_t s = 0; s < b->n; s++) {
            const float product = dz[s * stride] * b->x[s][i];
            sum = sum + (double)product;
        }
        const float change = rate * (float)sum;
        w[i] = w[i] - change;
    }
}

/* One step; `left` falls from 1 to 0 over a phase, and the rates with it. */
static void step(moe *model, const batch *b, bool experts, bool gate, float left)
{
    static outputs out;
    static float dgate[BATCH * MOST], dexpert[MOST][BATCH], dz[BATCH];
    const size_t m = model->gate.m, d = model->gate.d;
    const nn_mixture_shape shape = shape_of(model, b);
    const float *expert[MOST];
    float *grads[MOST];
    forward(&out, model, b);
    for (size_t j = 0; j < m; j++) {
        expert[j] = out.expert[j];
        grads[j] = dexpert[j];
    }
    for (size_t s = 0; s < b->n; s++) {
        const float away = out.mixture[s] - b->y[s], twice = 2.0f * away;
        dz[s] = twice / (float)b->n;
    }
    nn_mixture_backward(dgate, grads, dz, out.gate, expert, &shape);
    for (size_t j = 0; j < m; j++) {
        if (experts)
            descend(model->experts.row[j], dexpert[j], 1, b, d, EXPERT_RATE * left);
        if (gate)
            descend(model->gate.row[j], dgate + j, m, b, d, GATE_RATE * left);
    }
}

/* Jointly, or each part for as many steps, one after the other. */
static void train(moe *model, const problem *p, training order, size_t steps, uint64_t seed)
{
    static batch b;
    const size_t phases = order == NEVER ? 0 : order == JOINT ? 1 : 2;
    for (size_t t = 0; t < phases * steps; t++) {
        const bool first = t < steps;
        const float left = (float)(steps - t % steps) / (float)steps;
        draw_batch(&b, BATCH, p, seed, SAMPLES, (uint32_t)t);
        step(model, &b, order == JOINT || (order == EXPERTS_FIRST) == first,
             order == JOINT || (order == GATE_FIRST) == first, left);
    }
}

/* ---- errors ---- */

static double squared(float value, float y)
{
    const double away = (double)value - (double)y;
    return away * away;
}

/* best: of the expert that is nearest to y, to which no gate may send x. */
static void add_errors(errors *sum, const outputs *out, const batch *b, size_t m)
{
    for (size_t s = 0; s < b->n; s++) {
        double best = squared(out->expert[0][s], b->y[s]);
        for (size_t j = 1; j < m; j++) {
            const double other = squared(out->expert[j][s], b->y[s]);
            best = other < best ? other : best;
        }
        sum->routed += squared(out->expert[fl_argmax(out->gate + s * m, m)][s], b->y[s]);
        sum->mixture += squared(out->mixture[s], b->y[s]);
        sum->best += best;
        sum->zero += squared(0, b->y[s]);
    }
}

/* Over those of predicting 0. */
static errors test(const moe *model, const problem *p, uint64_t seed)
{
    static outputs out;
    static batch b;
    errors sum = {0, 0, 0, 0};
    for (uint32_t part = 0; part * BATCH < TEST; part++) {
        const size_t rest = TEST - (size_t)part * BATCH;
        draw_batch(&b, rest < BATCH ? rest : BATCH, p, seed, TESTS, part);
        forward(&out, model, &b);
        add_errors(&sum, &out, &b, model->gate.m);
    }
    return (errors){sum.routed / sum.zero, sum.mixture / sum.zero, sum.best / sum.zero, 1};
}

/* ---- the table ---- */

typedef struct column {
    double value[MOST_SEEDS];
} column;

static void print_column(const column *c, size_t seeds)
{
    double least = c->value[0], most = c->value[0], sum = 0;
    for (size_t i = 0; i < seeds; i++) {
        least = c->value[i] < least ? c->value[i] : least;
        most = c->value[i] > most ? c->value[i] : most;
        sum = sum + c->value[i];
    }
    printf(" %10.4f (%.4f to %.4f)", sum / (double)seeds, least, most);
}

static void add_model(nn_sha256 *sha, const moe *model)
{
    for (size_t j = 0; j < model->gate.m; j++) {
        nn_sha256_floats(sha, model->gate.row[j], model->gate.d);
        nn_sha256_floats(sha, model->experts.row[j], model->experts.d);
    }
}

static void print_order(nn_sha256 *sha, training order, size_t d, size_t m, size_t steps,
                        size_t seeds)
{
    static column columns[3];
    static moe model;
    static problem p;
    for (size_t i = 0; i < seeds; i++) {
        const uint64_t seed = i + 1;
        p.cells = p.targets = (vectors){.m = m, .d = d};
        draw(&p.cells, seed, CELLS);
        draw(&p.targets, seed, TARGETS);
        make_orthonormal(&p.cells);
        make_orthonormal(&p.targets);
        start(&model, m, d, seed);
        train(&model, &p, order, steps, seed);
        add_model(sha, &model);
        const errors e = test(&model, &p, seed);
        columns[0].value[i] = e.routed;
        columns[1].value[i] = e.mixture;
        columns[2].value[i] = e.best;
    }
    printf("%-14s", names[order]);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        print_column(&columns[i], seeds);
    printf("\n");
}

/* A whole number of least to most; ends the program. */
static size_t number(const char *text, size_t least, size_t most)
{
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && value >= least && value <= most)
        return value;
    fprintf(stderr, "theorem: expected a whole number of %lu to %lu, found %s\n",
            (unsigned long)least, (unsigned long)most, text);
    exit(2);
}

int main(int argc, char **argv)
{
    char hash[NN_HEX_BYTES];
    nn_sha256 sha;
    ddome_error error = {DDOME_OK, ""};
    if (argc != 1 && argc != 5) {
        fprintf(stderr, "usage: theorem [D M STEPS SEEDS]\n");
        return 2;
    }
    const size_t d = argc == 1 ? 16 : number(argv[1], 1, MOST),
                 m = argc == 1 ? 8 : number(argv[2], 1, d),
                 steps = argc == 1 ? 20000 : number(argv[3], 2, 10000000),
                 seeds = argc == 1 ? 5 : number(argv[4], 1, MOST_SEEDS);
    if (nn_selftest(&error) != DDOME_OK) {
        fprintf(stderr, "theorem: %s\n", error.text);
        return (int)error.status;
    }
    printf("Theorem 1: D = %lu, M = %lu, %lu steps of %d samples, seeds 1 to %lu\n"
           "squared error over that of predicting 0: mean (least to most)\n"
           "%-14s %30s %30s %30s\n",
           (unsigned long)d, (unsigned long)m, (unsigned long)steps, BATCH, (unsigned long)seeds,
           "order", "routed", "mixture", "best routing there can be");
    nn_sha256_begin(&sha);
    for (training order = JOINT; order < ORDERS; order++)
        print_order(&sha, order, d, m, steps, seeds);
    const nn_digest digest = nn_sha256_end(&sha);
    nn_digest_hex(hash, &digest);
    printf("%s  hash of the models\n", hash);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "theorem: the table cannot be written\n");
    return DDOME_ERR_IO;
}

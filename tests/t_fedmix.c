/* SPDX-License-Identifier: MIT */
/* FedMix once more, in plain loops that share nothing with nn/ but exp and log, and nothing with
 * fl/ but data, embeddings, participants and the start: the same bits. SPEC 12.6.5. */
#include <string.h>

#include "../nn/fmath.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_fedmix(void);

enum { IN = 192, HIDDEN = 6, CLASSES = 4, GATE_HIDDEN = 5, M = 2, BATCH = 4, WIDE = IN };

/* ---- a perceptron ---- */

/* The flat vector is w1[hidden,in], b1, w2[out,hidden], b2. */
typedef struct net {
    size_t in, hidden, out;
    float *w, *g, *v; /* values, gradients, velocity */
} net;

static size_t length(const net *n)
{
    return n->hidden * n->in + n->hidden + n->out * n->hidden + n->out;
}

typedef struct activations {
    float x[BATCH][WIDE], h[BATCH][HIDDEN], z[BATCH][CLASSES], dz[BATCH][CLASSES];
} activations;

/* Every sum here is of one block (SPEC 2.3); adding it to +0 leaves no -0. */
static float dot(const float *a, size_t step_a, const float *b, size_t step_b, size_t count)
{
    float s = 0;
    for (size_t k = 0; k < count; k++) {
        float p = a[k * step_a] * b[k * step_b];
        s = s + p;
    }
    return 0.0f + s;
}

static float total(const float *a, size_t step, size_t count)
{
    float s = 0;
    for (size_t k = 0; k < count; k++)
        s = s + a[k * step];
    return 0.0f + s;
}

static void forward(const net *n, activations *a, size_t count)
{
    const float *b1 = n->w + n->hidden * n->in, *w2 = b1 + n->hidden, *b2 = w2 + n->out * n->hidden;
    for (size_t s = 0; s < count; s++) {
        for (size_t j = 0; j < n->hidden; j++) {
            float y = dot(a->x[s], 1, n->w + j * n->in, 1, n->in) + b1[j];
            a->h[s][j] = y > 0 ? y : 0;
        }
        for (size_t o = 0; o < n->out; o++)
            a->z[s][o] = dot(a->h[s], 1, w2 + o * n->hidden, 1, n->hidden) + b2[o];
    }
}

static void backward(net *n, const activations *a, size_t count)
{
    float dh[BATCH][HIDDEN];
    float *g1 = n->g, *gb1 = g1 + n->hidden * n->in, *g2 = gb1 + n->hidden,
          *gb2 = g2 + n->out * n->hidden;
    const float *w2 = n->w + (g2 - n->g);
    for (size_t s = 0; s < count; s++)
        for (size_t j = 0; j < n->hidden; j++)
            dh[s][j] = a->h[s][j] > 0 ? dot(a->dz[s], 1, w2 + j, n->hidden, n->out) : 0;
    for (size_t o = 0; o < n->out; o++) {
        for (size_t j = 0; j < n->hidden; j++)
            g2[o * n->hidden + j] = dot(&a->dz[0][o], CLASSES, &a->h[0][j], HIDDEN, count);
        gb2[o] = total(&a->dz[0][o], CLASSES, count);
    }
    for (size_t j = 0; j < n->hidden; j++) {
        for (size_t i = 0; i < n->in; i++)
            g1[j * n->in + i] = dot(&dh[0][j], HIDDEN, &a->x[0][i], WIDE, count);
        gb1[j] = total(&dh[0][j], HIDDEN, count);
    }
}

static void descend(net *n, float lr, float momentum, bool first)
{
    for (size_t i = 0; i < length(n); i++) {
        float kept = momentum * n->v[i];
        n->v[i] = first || momentum == 0 ? n->g[i] : kept + n->g[i];
        float move = lr * n->v[i];
        n->w[i] = n->w[i] - move;
    }
}

/* ---- mixture and loss: SPEC 5.14, 5.15 ---- */

static void softmax(float *p, const float *z, size_t count)
{
    float most = z[0], sum = 0;
    for (size_t j = 1; j < count; j++)
        most = z[j] > most ? z[j] : most;
    for (size_t j = 0; j < count; j++) {
        p[j] = nn_expf(z[j] - most);
        sum = sum + p[j];
    }
    for (size_t j = 0; j < count; j++)
        p[j] = p[j] / sum;
}

typedef struct federation {
    const fl_run *run;
    net gate, expert[M];
    activations of_gate, of[M];
} federation;

static void mixed(float *z, float *weight, const federation *f, size_t sample)
{
    softmax(weight, f->of_gate.z[sample], M);
    for (size_t j = 0; j < CLASSES; j++) {
        const float outputs[M] = {f->of[0].z[sample][j], f->of[1].z[sample][j]};
        z[j] = dot(weight, 1, outputs, 1, M);
    }
}

static void learn_sample(federation *f, size_t sample, uint32_t label, size_t count)
{
    float w[M], dw[M], z[CLASSES], p[CLASSES], dz[CLASSES];
    mixed(z, w, f, sample);
    softmax(p, z, CLASSES);
    for (size_t j = 0; j < CLASSES; j++)
        dz[j] = (j == label ? p[j] - 1.0f : p[j]) / (float)count;
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < CLASSES; j++)
            f->of[i].dz[sample][j] = w[i] * dz[j];
        dw[i] = dot(dz, 1, f->of[i].z[sample], 1, CLASSES);
    }
    const float q = dot(w, 1, dw, 1, M);
    for (size_t i = 0; i < M; i++) {
        float less = dw[i] - q;
        f->of_gate.dz[sample][i] = w[i] * less;
    }
}

/* ---- a visit ---- */

static void look(federation *f, const data_split *split, const fl_embeddings *embeddings,
                 const uint32_t *samples, size_t count)
{
    const data_set *set = &f->run->task.set;
    uint32_t labels[BATCH];
    float images[BATCH * IN], rows[BATCH * HIDDEN];
    nn_tensor x = {images, count, set->h, set->w, set->c}, e = {rows, count, 1, 1, HIDDEN};
    data_batch_fill(&x, labels, set, split, samples, count);
    fl_embeddings_fill(&e, embeddings, samples, count);
    for (size_t s = 0; s < count; s++) {
        memcpy(f->of_gate.x[s], rows + s * HIDDEN, HIDDEN * sizeof(float));
        for (size_t i = 0; i < M; i++)
            memcpy(f->of[i].x[s], images + s * IN, IN * sizeof(float));
    }
    forward(&f->gate, &f->of_gate, count);
    for (size_t i = 0; i < M; i++)
        forward(&f->expert[i], &f->of[i], count);
}

static void visit(federation *f, const data_client *client, uint32_t round)
{
    const fl_config *config = &f->run->config;
    const data_split *train = &f->run->task.set.train;
    uint32_t *order = test_bytes(client->count, sizeof *order);
    nn_rng rng = nn_rng_at(config->seed, NN_STREAM_SHUFFLE, 0, round, client->id);
    memcpy(order, client->samples, client->count * sizeof *order);
    nn_rng_shuffle(&rng, order, client->count);
    for (size_t at = 0; at < client->count; at += BATCH) {
        const size_t count = nn_min(BATCH, client->count - at);
        look(f, train, &f->run->train, order + at, count);
        for (size_t s = 0; s < count; s++)
            learn_sample(f, s, train->labels[order[at + s]], count);
        backward(&f->gate, &f->of_gate, count);
        descend(&f->gate, config->gate_lr.value, 0, at == 0);
        for (size_t i = 0; i < M; i++) {
            backward(&f->expert[i], &f->of[i], count);
            descend(&f->expert[i], config->lr.value, config->momentum.value, at == 0);
        }
    }
}

/* ---- rounds ---- */

static net new_net(size_t in, size_t hidden, size_t out, const float *start)
{
    net n = {in, hidden, out, NULL, NULL, NULL};
    n.w = test_floats(length(&n));
    n.g = test_floats(length(&n));
    n.v = test_floats(length(&n));
    memset(n.v, 0, length(&n) * sizeof *n.v);
    memcpy(n.w, start, length(&n) * sizeof *n.w);
    return n;
}

/* Every participant, anchors too, starts from the server's values and trains all of them; then the
 * averages, weighted by samples. */
static void one_round(federation *f, uint32_t round)
{
    net *nets[M + 1] = {&f->gate, &f->expert[0], &f->expert[1]};
    float *server[M + 1];
    double *sum[M + 1], weight = 0;
    for (size_t i = 0; i <= M; i++) {
        server[i] = test_floats(length(nets[i]));
        sum[i] = test_bytes(length(nets[i]), sizeof(double));
        memset(sum[i], 0, length(nets[i]) * sizeof(double));
        memcpy(server[i], nets[i]->w, length(nets[i]) * sizeof(float));
    }
    for (size_t k = 0; k < f->run->active; k++) {
        const data_client *client = &f->run->task.partition.clients[f->run->participants[k]];
        for (size_t i = 0; i <= M; i++)
            memcpy(nets[i]->w, server[i], length(nets[i]) * sizeof(float));
        visit(f, client, round);
        for (size_t i = 0; i <= M; i++)
            for (size_t j = 0; j < length(nets[i]); j++) {
                double product = (double)client->count * (double)nets[i]->w[j];
                sum[i][j] = sum[i][j] + product;
            }
        weight += (double)client->count;
    }
    for (size_t i = 0; i <= M; i++)
        for (size_t j = 0; j < length(nets[i]); j++)
            nets[i]->w[j] = (float)(sum[i][j] / weight);
}

static float row_loss(const float *z, uint32_t label)
{
    float most = z[0], sum = 0;
    for (size_t j = 1; j < CLASSES; j++)
        most = z[j] > most ? z[j] : most;
    for (size_t j = 0; j < CLASSES; j++)
        sum = sum + nn_expf(z[j] - most);
    float less = z[label] - most;
    return nn_logf(sum) - less;
}

/* Right ones of an unseen client, by the mixture, and its mean loss. */
static uint64_t count_right(federation *f, float *loss, const data_client *client)
{
    float z[CLASSES], w[M];
    uint64_t right = 0;
    float *losses = test_floats(client->count);
    const data_split *test = &f->run->task.set.test;
    CHECK(client->count <= 256);
    for (size_t at = 0; at < client->count; at++) {
        size_t best = 0;
        look(f, test, &f->run->test, client->samples + at, 1);
        mixed(z, w, f, 0);
        for (size_t j = 1; j < CLASSES; j++)
            best = z[j] > z[best] ? j : best;
        right += best == test->labels[client->samples[at]];
        losses[at] = row_loss(z, test->labels[client->samples[at]]);
    }
    *loss = total(losses, 1, client->count) / (float)client->count;
    return right;
}

static void compare(federation *f, fl_run *run)
{
    fl_evaluation e;
    test_same_floats("gate", run->server.gate.values, f->gate.w, length(&f->gate));
    test_same_floats("expert 0", run->server.expert[0].values, f->expert[0].w,
                     length(&f->expert[0]));
    test_same_floats("expert 1", run->server.expert[1].values, f->expert[1].w,
                     length(&f->expert[1]));
    CHECK(fl_evaluate(run->error, &run->arena, &run->crew, &e, run->evaluator, &run->server) ==
          DDOME_OK);
    for (size_t i = 0; i < e.clients; i++) {
        float loss;
        const uint64_t right = count_right(f, &loss, &run->evaluator->clients[i]);
        test_same_u64("right", e.client[i].correct, right);
        test_same_floats("loss", &e.client[i].loss, &loss, 1);
    }
}

void t_fedmix(void)
{
    fl_run run;
    ddome_error error;
    test_case("fedmix: three rounds in plain loops give the same bits");
    if (test_federation(&run, &error, "algo=fedmix gate_lr=0.5")) {
        federation *f = test_bytes(1, sizeof *f);
        f->run = &run;
        f->gate = new_net(HIDDEN, GATE_HIDDEN, M, run.server.gate.values);
        for (size_t i = 0; i < M; i++)
            f->expert[i] = new_net(IN, HIDDEN, CLASSES, run.server.expert[i].values);
        for (uint32_t round = 1; round <= 3; round++) {
            test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL);
            one_round(f, round);
        }
        compare(f, &run);
        test_release();
    }
    fl_run_free(&run);
}

/* SPDX-License-Identifier: MIT */
/* Softmax, cross-entropy, mixtures, and what a gate decides. SPEC 2.7, 5.14, 5.15, 10. */
#include "variant_private.h"

/* ---- softmax ---- */

static float maximum(const nn_try *t, const float *z, size_t count)
{
    float best = z[0];
    for (size_t j = 1; j < count; j++)
        best = nn_try_greater(t, z[j], best) ? z[j] : best;
    return best;
}

/* e_j = exp(z_j - m) and their sum; m is 0 when no maximum is subtracted. */
typedef struct exponentials {
    float m, sum;
} exponentials;

/* e may be z. */
static exponentials exponentials_of(const nn_try *t, float *e, const float *z, size_t count)
{
    const bool none = t->choice[NN_DEVIATE_SOFTMAX] == SOFTMAX_NO_MAXIMUM;
    exponentials x = {none ? 0.0f : maximum(t, z, count), 0.0f};
    for (size_t j = 0; j < count; j++)
        e[j] = nn_try_exp(t, nn_try_sub(t, z[j], x.m));
    x.sum = nn_try_sum(t, e, count);
    return x;
}

/* p is not z. */
static void softmax_row(nn_try *t, float *p, const float *z, size_t count)
{
    const unsigned char rule = t->choice[NN_DEVIATE_SOFTMAX];
    const exponentials x = exponentials_of(t, p, z, count);
    const float factor = nn_try_div(t, 1.0f, x.sum), log_sum = nn_try_log(t, x.sum);
    for (size_t j = 0; j < count; j++)
        if (rule == SOFTMAX_RECIPROCAL)
            p[j] = nn_try_mul(t, p[j], factor);
        else if (rule == SOFTMAX_LOGARITHM)
            p[j] = nn_try_exp(t, nn_try_sub(t, nn_try_sub(t, z[j], x.m), log_sum));
        else
            p[j] = nn_try_div(t, p[j], x.sum);
}

static void softmax(nn_try *t)
{
    const size_t c = t->size['c'];
    for (size_t n = 0; n < t->size['n']; n++)
        softmax_row(t, t->y[0] + n * c, nn_try_in(t, 0) + n * c, c);
}

/* ---- cross-entropy ---- */

static float row_loss(nn_try *t, const float *z, uint32_t label)
{
    const unsigned char rule = t->choice[NN_DEVIATE_LOSS];
    if (rule == LOSS_PROBABILITY) {
        softmax_row(t, t->spare[0], z, t->size['c']);
        return -nn_try_log(t, t->spare[0][label]);
    }
    const exponentials x = exponentials_of(t, t->spare[0], z, t->size['c']);
    const float log_sum = nn_try_log(t, x.sum);
    if (rule == LOSS_NORMALISER)
        return nn_try_sub(t, nn_try_add(t, log_sum, x.m), z[label]);
    return nn_try_sub(t, log_sum, nn_try_sub(t, z[label], x.m));
}

static void cross_entropy(nn_try *t)
{
    const size_t count = t->size['n'];
    for (size_t n = 0; n < count; n++)
        t->a[n] = row_loss(t, nn_try_in(t, 0) + n * t->size['c'], t->in[1]->u32[n]);
    const float sum = nn_try_sum(t, t->a, count);
    t->y[0][0] = t->choice[NN_DEVIATE_LOSS] == LOSS_SUM ? sum : nn_try_mean(t, sum, count);
}

static void cross_entropy_backward(nn_try *t)
{
    const unsigned char rule = t->choice[NN_DEVIATE_LOSS];
    const size_t c = t->size['c'], count = t->size['n'];
    const float scale = nn_try_in(t, 2)[0], share = nn_try_mean(t, scale, count);
    for (size_t n = 0; n < count; n++) {
        float *p = t->y[0] + n * c;
        const uint32_t label = t->in[1]->u32[n];
        softmax_row(t, p, nn_try_in(t, 0) + n * c, c);
        p[label] = nn_try_sub(t, p[label], 1.0f);
        for (size_t j = 0; j < c; j++)
            if (rule == LOSS_SCALE_FIRST)
                p[j] = nn_try_mul(t, share, p[j]);
            else
                p[j] = nn_try_mul(t, scale, rule == LOSS_SUM ? p[j] : nn_try_mean(t, p[j], count));
    }
}

/* ---- mixture of logits ---- */

static const float *expert_row(const nn_try *t, size_t i, size_t n)
{
    return nn_try_in(t, 2 + i) + n * t->size['c'];
}

/* The chosen gate logits of a sample. */
static void gate_row(const nn_try *t, float *u, size_t n)
{
    for (size_t i = 0; i < t->size['k']; i++)
        u[i] = nn_try_in(t, 0)[n * t->size['M'] + t->in[1]->u32[i]];
}

/* w = softmax of them, in spare[1]. */
static const float *gate_weights(nn_try *t, size_t n)
{
    gate_row(t, t->spare[0], n);
    softmax_row(t, t->spare[1], t->spare[0], t->size['k']);
    return t->spare[1];
}

static void mixture(nn_try *t)
{
    const size_t c = t->size['c'], k = t->size['k'];
    for (size_t n = 0; n < t->size['n']; n++) {
        const float *w = gate_weights(t, n);
        for (size_t j = 0; j < c; j++) {
            for (size_t i = 0; i < k; i++)
                t->a[i] = expert_row(t, i, n)[j];
            t->y[0][n * c + j] = nn_try_dot(t, w, t->a, k);
        }
    }
}

/* The row of dgate, all +0. */
static float *fresh_gate_gradient(nn_try *t, size_t n)
{
    float *row = t->y[0] + n * t->size['M'];
    for (size_t i = 0; i < t->size['M']; i++)
        row[i] = 0;
    return row;
}

static void mixture_backward(nn_try *t)
{
    const size_t c = t->size['c'], k = t->size['k'];
    const uint32_t *chosen = t->in[1]->u32;
    for (size_t n = 0; n < t->size['n']; n++) {
        const float *dy = nn_try_in(t, 2 + k) + n * c, *w = gate_weights(t, n);
        float *dgate = fresh_gate_gradient(t, n), *dw = t->spare[2];
        for (size_t i = 0; i < k; i++) {
            for (size_t j = 0; j < c; j++)
                t->y[1 + i][n * c + j] = nn_try_mul(t, w[i], dy[j]);
            dw[i] = nn_try_dot(t, dy, expert_row(t, i, n), c);
        }
        const float q = nn_try_dot(t, w, dw, k);
        for (size_t i = 0; i < k; i++)
            dgate[chosen[i]] = nn_try_mul(t, w[i], nn_try_sub(t, dw[i], q));
    }
}

/* ---- mixture of probabilities ---- */

/* L(v) = log(s) + m. */
static float log_normaliser(nn_try *t, const float *v, size_t count)
{
    const exponentials x = exponentials_of(t, t->a, v, count);
    return nn_try_add(t, nn_try_log(t, x.sum), x.m);
}

/* offset_i = (u_i - L(u)) - L(z_i). */
static void offsets_of(nn_try *t, float *offset, size_t n)
{
    gate_row(t, offset, n);
    const float normaliser = log_normaliser(t, offset, t->size['k']);
    for (size_t i = 0; i < t->size['k']; i++) {
        const float own = log_normaliser(t, expert_row(t, i, n), t->size['c']);
        offset[i] = nn_try_sub(t, nn_try_sub(t, offset[i], normaliser), own);
    }
}

/* z_j = L over i of t_ij = z_ij + offset_i. */
static float mixed(nn_try *t, const float *offset, size_t n, size_t j)
{
    for (size_t i = 0; i < t->size['k']; i++)
        t->b[i] = nn_try_add(t, expert_row(t, i, n)[j], offset[i]);
    return log_normaliser(t, t->b, t->size['k']);
}

static void mixture_probs(nn_try *t)
{
    float *offset = t->spare[2];
    for (size_t n = 0; n < t->size['n']; n++) {
        offsets_of(t, offset, n);
        for (size_t j = 0; j < t->size['c']; j++)
            t->y[0][n * t->size['c'] + j] = mixed(t, offset, n, j);
    }
}

/* dt_ij = dz_j * exp(t_ij - z_j) into dz; returns f_i, their sum. */
static float responsibilities(nn_try *t, float *dz, const float *dy, const float *z,
                              const float *logits, float offset)
{
    for (size_t j = 0; j < t->size['c']; j++) {
        const float relative = nn_try_sub(t, nn_try_add(t, logits[j], offset), z[j]);
        dz[j] = nn_try_mul(t, dy[j], nn_try_exp(t, relative));
    }
    return nn_try_sum(t, dz, t->size['c']);
}

/* dz_ij = dt_ij - (exp(z_ij - L(z_i)) * f_i). */
static void pull_back(nn_try *t, float *dz, const float *logits, float f)
{
    const float normaliser = log_normaliser(t, logits, t->size['c']);
    for (size_t j = 0; j < t->size['c']; j++) {
        const float p = nn_try_exp(t, nn_try_sub(t, logits[j], normaliser));
        dz[j] = nn_try_ma(t, -p, f, dz[j]);
    }
}

static void mixture_probs_backward(nn_try *t)
{
    const size_t c = t->size['c'], k = t->size['k'];
    const uint32_t *chosen = t->in[1]->u32;
    float *offset = t->spare[2], *z = t->spare[3], *f = t->b;
    for (size_t n = 0; n < t->size['n']; n++) {
        const float *dy = nn_try_in(t, 2 + k) + n * c;
        float *dgate = fresh_gate_gradient(t, n);
        offsets_of(t, offset, n);
        for (size_t j = 0; j < c; j++)
            z[j] = mixed(t, offset, n, j);
        for (size_t i = 0; i < k; i++) {
            float *dz = t->y[1 + i] + n * c;
            f[i] = responsibilities(t, dz, dy, z, expert_row(t, i, n), offset[i]);
            pull_back(t, dz, expert_row(t, i, n), f[i]);
        }
        const float all = nn_try_sum(t, f, k), *w = gate_weights(t, n);
        for (size_t i = 0; i < k; i++)
            dgate[chosen[i]] = nn_try_ma(t, -w[i], all, f[i]);
    }
}

/* ---- decisions ---- */

static void score(nn_try *t)
{
    const size_t experts = t->size['M'], count = t->size['n'];
    float *p = t->spare[0];
    for (size_t n = 0; n < count; n++)
        softmax_row(t, p + n * experts, nn_try_in(t, 0) + n * experts, experts);
    for (size_t j = 0; j < experts; j++) {
        for (size_t n = 0; n < count; n++)
            t->a[n] = p[n * experts + j];
        t->y[0][j] = nn_try_mean(t, nn_try_sum(t, t->a, count), count);
    }
}

/* The largest of z by 2.7, without those in `skip` unless it is NULL; count when there is none. */
static size_t largest(const nn_try *t, const float *z, const bool *skip, size_t count)
{
    size_t best = count;
    for (size_t j = 0; j < count; j++)
        if ((skip == NULL || !skip[j]) && (best == count || nn_try_wins(t, z[j], z[best])))
            best = j;
    return best;
}

/* Takes the best of those that are left, k times. */
static void top_k(nn_try *t)
{
    const size_t experts = t->size['M'];
    uint32_t *chosen = t->index;
    for (size_t i = 0; i < experts; i++)
        t->skip[i] = false;
    for (size_t i = 0; i < t->size['k']; i++)
        t->skip[largest(t, nn_try_in(t, 0), t->skip, experts)] = true;
    for (size_t i = 0; i < experts; i++)
        if (t->skip[i])
            *chosen++ = (uint32_t)i;
}

static void argmax(nn_try *t)
{
    const size_t c = t->size['c'];
    for (size_t n = 0; n < t->size['n']; n++)
        t->index[n] = (uint32_t)largest(t, nn_try_in(t, 0) + n * c, NULL, c);
}

enum {
    SOFTMAX = NN_TRY_SUM | NN_DEVIATES(ELEMENTARY) | NN_DEVIATES(SOFTMAX),
    LOSS = SOFTMAX | NN_DEVIATES(MEAN) | NN_DEVIATES(LOSS),
    MIXTURE = SOFTMAX | NN_DEVIATES(ARITH),
    CHOICE = NN_DEVIATES(SUBNORMALS) | NN_DEVIATES(TIES)
};

const nn_try_op nn_try_losses[] = {
    {"softmax", "z[nc]", "p[nc]", "c", softmax, SOFTMAX},
    {"cross_entropy", "z[nc] labels#[n]<c", "loss[]", "nc", cross_entropy, LOSS},
    {"cross_entropy.backward", "z[nc] labels#[n]<c scale[]", "dz[nc]", "c", cross_entropy_backward,
     LOSS},
    {"mixture", "gate[nM] chosen#[k]<M^ z%[nc]", "y[nc]", "ck", mixture, MIXTURE},
    {"mixture.backward", "gate[nM] chosen#[k]<M^ z%[nc] dy[nc]", "dgate[nM] dz%[nc]", "ck",
     mixture_backward, MIXTURE},
    {"mixture_probs", "gate[nM] chosen#[k]<M^ z%[nc]", "y[nc]", "ck", mixture_probs, MIXTURE},
    {"mixture_probs.backward", "gate[nM] chosen#[k]<M^ z%[nc] dy[nc]", "dgate[nM] dz%[nc]", "ck",
     mixture_probs_backward, MIXTURE},
    {"score", "logits[nM]", "score[M]", "nM", score, SOFTMAX | NN_DEVIATES(MEAN)},
    {"top_k", "k=k score[M] ?k~M", "chosen#[k]", "M", top_k, CHOICE},
    {"argmax", "z[nc]", "index#[n]", "", argmax, CHOICE},
    {.name = NULL},
};

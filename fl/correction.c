/* SPDX-License-Identifier: MIT */
/* Element by element, each operation rounded. SPEC 12.6.2, 12.6.3. */
#include "correction.h"

static void proximal(float *g, const float *w, const float *start, size_t count, float mu)
{
    for (size_t i = 0; i < count; i++) {
        float away = w[i] - start[i];
        float pull = mu * away;
        g[i] = g[i] + pull;
    }
}

static void by_variates(float *g, const float *own, const float *server, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float less = g[i] - own[i];
        g[i] = less + server[i];
    }
}

/* mu = 0 adds nothing, not even +0 to a -0, so that FedAvg's bits stay (SPEC 12.6.2). */
void fl_correct(float *grads, const float *values, const nn_layout *layout,
                const fl_correction *correction)
{
    const fl_correction *c = correction;
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        const size_t at = slice->offset;
        if (slice->kind != NN_SLICE_TRAINED)
            continue;
        if (c->kind == FL_CORRECTION_PROXIMAL && c->mu != 0)
            proximal(grads + at, values + at, c->start + at, slice->count, c->mu);
        else if (c->kind == FL_CORRECTION_VARIATES)
            by_variates(grads + at, c->own + at, c->server + at, slice->count);
    }
}

static void renew_slice(fl_correction *c, const float *values, size_t at, size_t count, float span)
{
    for (size_t i = at; i < at + count; i++) {
        float moved = c->start[i] - values[i];
        float mean = moved / span;
        float rest = c->own[i] - c->server[i];
        float next = rest + mean;
        c->change[i] = next - c->own[i];
        c->own[i] = next;
    }
}

void fl_correction_renew(fl_correction *correction, const float *values, const nn_layout *layout,
                         size_t steps, float lr)
{
    const float span = (float)steps * lr;
    if (correction->kind != FL_CORRECTION_VARIATES)
        return;
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        if (slice->kind == NN_SLICE_TRAINED)
            renew_slice(correction, values, slice->offset, slice->count, span);
    }
}

/* SPDX-License-Identifier: MIT */
/* Random draws, elementary functions, hashes. SPEC 3, 4. */
#include <string.h>

#include "../nn/fmath.h"
#include "../nn/rng.h"
#include "vectors_run.h"

/* ---- random draws ---- */

static void run_philox(vectors_work *w)
{
    const nn_value *counter = vectors_in(w, "counter", NN_VALUE_U32, 1, 1);
    const nn_value *key = vectors_in(w, "key", NN_VALUE_U32, 1, 1);
    const size_t four = 4;
    if (!vectors_need(w, counter->count == 4 && key->count == 2, "4 and 2 words"))
        return;
    uint32_t *words = vectors_out_u32(w, "words", 1, &four);
    if (words != NULL)
        nn_philox4x32_10(words, counter->u32, key->u32);
}

static nn_rng generator(vectors_work *w)
{
    const uint64_t seed = vectors_attribute(w, "seed", 0, UINT64_MAX);
    const uint64_t stream = vectors_attribute(w, "stream", 1, UINT16_MAX);
    const uint64_t epoch = vectors_attribute(w, "epoch", 0, UINT16_MAX);
    const uint64_t round = vectors_attribute(w, "round", 0, UINT32_MAX);
    const uint64_t client = vectors_attribute(w, "client", 0, UINT32_MAX);
    return nn_rng_at(seed, (nn_stream)stream, (uint32_t)epoch, (uint32_t)round, (uint32_t)client);
}

static size_t draw_count(vectors_work *w)
{
    return (size_t)vectors_attribute(w, "count", 0, VECTORS_MOST);
}

static void run_words(vectors_work *w)
{
    nn_rng rng = generator(w);
    const size_t count = draw_count(w);
    uint32_t *draws = vectors_out_u32(w, "draws", 1, &count);
    for (size_t i = 0; draws != NULL && i < count; i++)
        draws[i] = nn_rng_u32(&rng);
}

static void run_below(vectors_work *w)
{
    nn_rng rng = generator(w);
    const size_t count = draw_count(w);
    const uint32_t bound = (uint32_t)vectors_attribute(w, "bound", 1, UINT32_MAX);
    uint32_t *draws = vectors_out_u32(w, "draws", 1, &count);
    for (size_t i = 0; draws != NULL && i < count; i++)
        draws[i] = nn_rng_below(&rng, bound);
}

static void run_floats(vectors_work *w, float (*draw)(nn_rng *))
{
    nn_rng rng = generator(w);
    const size_t count = draw_count(w);
    float *draws = vectors_out_f32(w, "draws", 1, &count);
    for (size_t i = 0; draws != NULL && i < count; i++)
        draws[i] = draw(&rng);
}

static void run_uniform(vectors_work *w)
{
    run_floats(w, nn_rng_uniform);
}

static void run_uniform_positive(vectors_work *w)
{
    run_floats(w, nn_rng_uniform_positive);
}

static void run_normal(vectors_work *w)
{
    run_floats(w, nn_rng_normal);
}

static void run_shuffle(vectors_work *w)
{
    nn_rng rng = generator(w);
    const size_t count = draw_count(w);
    uint32_t *items = vectors_out_u32(w, "draws", 1, &count);
    if (items == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        items[i] = (uint32_t)i;
    nn_rng_shuffle(&rng, items, count);
}

/* The range of SPEC 4.7. */
static float alpha_of(vectors_work *w)
{
    const float alpha = vectors_in_scalar(w, "alpha");
    vectors_need(w, alpha >= 0x1p-100f && alpha <= 0x1p20f, "alpha of 2^-100..2^20");
    return alpha;
}

static void run_log_gamma(vectors_work *w)
{
    nn_rng rng = generator(w);
    const size_t count = draw_count(w);
    const float alpha = alpha_of(w);
    float *draws = vectors_out_f32(w, "draws", 1, &count);
    for (size_t i = 0; draws != NULL && i < count; i++)
        draws[i] = nn_rng_log_gamma(&rng, alpha);
}

static void run_dirichlet(vectors_work *w)
{
    nn_rng rng = generator(w);
    const size_t count = draw_count(w);
    const float alpha = alpha_of(w);
    if (!vectors_need(w, count >= 1, "count of at least 1"))
        return;
    double *p = vectors_out_f64(w, "p", 1, &count);
    if (p != NULL)
        nn_rng_dirichlet(&rng, p, count, alpha);
}

/* ---- elementary functions ---- */

static void run_each(vectors_work *w, float (*function)(float))
{
    const nn_value *x = vectors_in_f32(w, "x", 1);
    float *y = vectors_out_as(w, "y", x);
    for (size_t i = 0; y != NULL && i < x->count; i++)
        y[i] = function(x->f32[i]);
}

static void run_exp(vectors_work *w)
{
    run_each(w, nn_expf);
}

static void run_log(vectors_work *w)
{
    run_each(w, nn_logf);
}

static void run_rsqrt(vectors_work *w)
{
    run_each(w, nn_rsqrtf);
}

static void run_sqrt(vectors_work *w)
{
    run_each(w, nn_sqrtf);
}

/* ---- hashes ---- */

static void run_hash(vectors_work *w)
{
    const nn_value *x = vectors_in_f32(w, "x", 1);
    const size_t eight = 8;
    nn_sha256 sha;
    uint32_t *words = vectors_out_u32(w, "digest", 1, &eight);
    if (words == NULL)
        return;
    nn_sha256_begin(&sha);
    nn_sha256_floats(&sha, x->f32, x->count);
    const nn_digest digest = nn_sha256_end(&sha);
    for (size_t i = 0; i < sizeof digest.byte; i++)
        words[i / 4] = words[i / 4] << 8 | digest.byte[i];
}

const vectors_op vectors_ops_draw[] = {{"philox", run_philox},
                                       {"draw.words", run_words},
                                       {"draw.below", run_below},
                                       {"draw.uniform", run_uniform},
                                       {"draw.uniform_positive", run_uniform_positive},
                                       {"draw.normal", run_normal},
                                       {"draw.shuffle", run_shuffle},
                                       {"draw.log_gamma", run_log_gamma},
                                       {"draw.dirichlet", run_dirichlet},
                                       {"exp", run_exp},
                                       {"log", run_log},
                                       {"rsqrt", run_rsqrt},
                                       {"sqrt", run_sqrt},
                                       {"hash", run_hash},
                                       {NULL, NULL}};

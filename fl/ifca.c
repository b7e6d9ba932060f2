/* SPDX-License-Identifier: MIT */
/* The model of least mean loss, or of least mean entropy. SPEC 12.6.7. */
#include "ifca.h"

#include "../nn/sum.h"
#include "nonfinite.h"

void fl_ifca_perturb(float *values, const nn_layout *layout, const fl_config *config,
                     uint32_t index)
{
    for (size_t s = 0; s < layout->count && config->ifca_noise.value != 0; s++) {
        const nn_slice *slice = &layout->slices[s];
        nn_rng rng = nn_rng_at(config->seed, NN_STREAM_INIT_EXPERT, 0, (uint32_t)s, index);
        for (size_t i = slice->offset; i < slice->offset + slice->count; i++) {
            if (slice->kind != NN_SLICE_TRAINED)
                continue;
            float scale = config->ifca_noise.value * values[i];
            float noise = scale * nn_rng_normal(&rng);
            values[i] = values[i] + noise;
        }
    }
}

/* As the largest of SPEC 2.7. */
size_t fl_ifca_least(const float *figures, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (figures[i] < figures[best])
            best = i;
    return best;
}

static float figure_of(float *row, const float *logits, size_t classes, bool labels, uint32_t label)
{
    if (labels)
        return nn_cross_entropy_row(logits, classes, label);
    nn_softmax(row, logits, classes);
    return fl_entropy(row, classes);
}

ddome_status fl_ifca_figure(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                            float *figure, bool labels, const fl_model *model, const float *values,
                            const data_set *set, const data_split *split, const uint32_t *samples,
                            size_t count)
{
    float row[DATA_LABELS];
    const size_t classes = model->outputs;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *logits = nn_arena_alloc(scratch, count, classes * sizeof *logits);
    float *each = nn_arena_alloc(scratch, count, sizeof *each);
    if (logits == NULL || each == NULL)
        return nn_arena_fail(error, scratch, "the figures of a cluster");
    ddome_status status = fl_model_predict(engine, error, scratch, logits, NULL, model, values, set,
                                           split, samples, count);
    for (size_t i = 0; i < count && status == DDOME_OK; i++)
        each[i] = figure_of(row, logits + i * classes, classes, labels, split->labels[samples[i]]);
    if (status == DDOME_OK) {
        *figure = nn_sum(each, count) / (float)count;
        status = fl_nonfinite_check(error, "choose", "given", labels ? "losses" : "entropies",
                                    "value", figure, 1);
    }
    nn_arena_rewind(scratch, mark);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* The mixture of training, the mean of softmax outputs, IFCA's cluster.
 * SPEC 12.6.4, 12.6.5, 12.6.7, 12.6.8. */
#include "predict.h"

#include "ifca.h"
#include "trace_model.h"

static ddome_status from_embeddings(ddome_error *error, nn_arena *scratch, float *logits,
                                    const fl_evaluator *e, const float *values,
                                    const uint32_t *samples, size_t count)
{
    const fl_embeddings *embeddings = fl_evaluator_embeddings(e);
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    nn_tensor x = {NULL, count, 1, 1, embeddings->features};
    x.data = nn_arena_alloc(scratch, count, embeddings->features * sizeof *x.data);
    if (x.data == NULL)
        return nn_arena_fail(error, scratch, "a client's embeddings");
    fl_embeddings_fill(&x, embeddings, samples, count);
    ddome_status status =
        fl_model_predict_rows(e->engine, error, scratch, logits, e->expert, values, &x);
    nn_arena_rewind(scratch, mark);
    return status;
}

ddome_status fl_predict_logits(ddome_error *error, nn_arena *scratch, float *logits,
                               const fl_evaluator *e, const float *values, const uint32_t *samples,
                               size_t count)
{
    if (fl_algorithm_of(e->config)->head)
        return from_embeddings(error, scratch, logits, e, values, samples, count);
    return fl_model_predict(e->engine, error, scratch, logits, NULL, e->expert, values,
                            &e->task->set, fl_task_scope_split(e->task, e->scope), samples, count);
}

/* ---- several models at once ---- */

/* Outputs of all models of all samples of one client. */
typedef struct outputs {
    float *of[NN_MAX_EXPERTS];
    uint32_t all[NN_MAX_EXPERTS]; /* 0 .. M - 1 */
    nn_mixture_shape shape;
} outputs;

static ddome_status compute(ddome_error *error, nn_arena *scratch, outputs *o,
                            const fl_evaluator *e, const fl_server *server,
                            const data_client *client)
{
    const size_t classes = e->expert->outputs;
    ddome_status status = DDOME_OK;
    o->shape = (nn_mixture_shape){client->count, server->experts, server->experts, classes, o->all};
    for (size_t i = 0; i < server->experts && status == DDOME_OK; i++) {
        o->all[i] = (uint32_t)i;
        o->of[i] = nn_arena_alloc(scratch, client->count, classes * sizeof(float));
        if (o->of[i] == NULL)
            return nn_arena_fail(error, scratch, "the outputs of an expert");
        status = fl_predict_logits(error, scratch, o->of[i], e, server->expert[i].values,
                                   client->samples, client->count);
        status = fl_nonfinite_in(error, status, NULL, "expert %lu", (unsigned long)i);
        if (status == DDOME_OK)
            fl_trace_logits(e->trace, i, o->of[i], client->count, classes);
    }
    return status;
}

/* SPEC 12.6.5. */
static void mix(uint32_t *label, float *logits, const outputs *o, const float *gate, bool probs)
{
    const size_t classes = o->shape.classes;
    if (probs)
        nn_mixture_probs_forward(logits, gate, (const float *const *)o->of, &o->shape);
    else
        nn_mixture_forward(logits, gate, (const float *const *)o->of, &o->shape);
    for (size_t i = 0; i < o->shape.n; i++)
        label[i] = (uint32_t)fl_argmax(logits + i * classes, classes);
}

/* The mean of the softmax outputs, models ascending. */
static void mean_of(float *mean, const outputs *o, size_t sample)
{
    const size_t classes = o->shape.classes;
    float row[DATA_LABELS];
    for (size_t j = 0; j < classes; j++)
        mean[j] = 0;
    for (size_t i = 0; i < o->shape.k; i++) {
        nn_softmax(row, o->of[i] + sample * classes, classes);
        for (size_t j = 0; j < classes; j++)
            mean[j] = mean[j] + row[j];
    }
    for (size_t j = 0; j < classes; j++)
        mean[j] = mean[j] / (float)o->shape.k;
}

/* SPEC 12.6.4. The loss is that of the mixture of probabilities under a gate that prefers none: it
 * is finite where a mean rounds to 0. */
static ddome_status average(ddome_error *error, nn_arena *scratch, uint32_t *label, float *logits,
                            const outputs *o)
{
    float mean[DATA_LABELS];
    float *even = nn_arena_zero(scratch, o->shape.n, o->shape.experts * sizeof *even);
    if (even == NULL)
        return nn_arena_fail(error, scratch, "an even gate");
    nn_mixture_probs_forward(logits, even, (const float *const *)o->of, &o->shape);
    for (size_t i = 0; i < o->shape.n; i++) {
        mean_of(mean, o, i);
        label[i] = (uint32_t)fl_argmax(mean, o->shape.classes);
    }
    return DDOME_OK;
}

ddome_status fl_predict_together(ddome_error *error, nn_arena *scratch, uint32_t *label,
                                 float *logits, const fl_evaluator *e, const fl_server *server,
                                 const data_client *client, const float *gate_logits)
{
    outputs o;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    ddome_status status = compute(error, scratch, &o, e, server, client);
    if (status != DDOME_OK)
        return status;
    if (fl_algorithm_of(e->config)->prediction == FL_PREDICTION_MEAN)
        status = average(error, scratch, label, logits, &o);
    else
        mix(label, logits, &o, gate_logits, e->config->mix == FL_MIX_PROBS);
    const nn_value index = fl_trace_integers("index", label, client->count);
    fl_trace_given(e->trace, "", "predictions", &index);
    nn_arena_rewind(scratch, mark);
    return status;
}

/* ---- IFCA ---- */

ddome_status fl_predict_cluster(ddome_error *error, nn_arena *scratch, uint32_t *chosen,
                                const fl_evaluator *e, const fl_server *server,
                                const data_client *client)
{
    const bool labels = e->config->ifca_test == FL_IFCA_ORACLE;
    float figures[NN_MAX_EXPERTS];
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < server->experts && status == DDOME_OK; i++) {
        status = fl_ifca_figure(
            e->engine, error, scratch, &figures[i], labels, e->expert, server->expert[i].values,
            &e->task->set, fl_task_scope_split(e->task, e->scope), client->samples, client->count);
        status = fl_nonfinite_in(error, status, NULL, "expert %lu", (unsigned long)i);
    }
    if (status != DDOME_OK)
        return status;
    *chosen = (uint32_t)fl_ifca_least(figures, server->experts);
    fl_trace_figures(e->trace, labels ? "losses" : "entropies", figures, server->experts, *chosen);
    return DDOME_OK;
}

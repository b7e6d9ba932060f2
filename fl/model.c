/* SPDX-License-Identifier: MIT */
/* Architectures: declared once on a planning tape, then built on real ones. SPEC 6.1. */
#include "model.h"

#include <string.h>

#include "../nn/fmath.h"
#include "nonfinite.h"

enum { PREDICT_BATCH = 64 }; /* bounds memory only: bits do not depend on it */

static nn_node *build_linear(nn_net *net, nn_node **features, nn_node *x, const fl_model *model)
{
    if (features != NULL)
        *features = x;
    return nn_net_linear(net, x, "fc", model->mlp.out);
}

nn_node *fl_model_build(nn_net *net, nn_node **features, nn_node *x, const fl_model *model)
{
    if (model->arch == FL_ARCH_LINEAR)
        return build_linear(net, features, x, model);
    if (model->arch == FL_ARCH_MLP)
        return nn_mlp_build(net, features, x, &model->mlp);
    return nn_resnet_build(net, features, x, &model->resnet);
}

static ddome_status declare(ddome_error *error, nn_arena *arena, fl_model *model)
{
    nn_graph graph = {.arena = arena, .error = error, .planning = true};
    nn_net net = {.graph = &graph, .declare = &model->layout};
    const nn_tensor input = {NULL, 1, model->h, model->w, model->c};
    nn_node *features = NULL;
    nn_node *logits = fl_model_build(&net, &features, nn_graph_leaf(&graph, &input, NULL), model);
    if (graph.status != DDOME_OK)
        return graph.status;
    model->features = features->value.c;
    model->outputs = logits->value.c;
    return DDOME_OK;
}

ddome_status fl_model_expert(ddome_error *error, nn_arena *arena, fl_model *model,
                             const fl_config *config, const data_set *set)
{
    memset(model, 0, sizeof *model);
    model->arch = config->arch;
    model->h = set->h;
    model->w = set->w;
    model->c = set->c;
    model->mlp = (nn_mlp){config->hidden, set->classes};
    model->resnet = (nn_resnet){config->width,
                                set->classes,
                                config->stem == FL_STEM_7X7,
                                {config->norm == FL_NORM_GROUP, config->gn_channels}};
    return declare(error, arena, model);
}

ddome_status fl_model_gate(ddome_error *error, nn_arena *arena, fl_model *model, size_t features,
                           size_t hidden, size_t experts)
{
    memset(model, 0, sizeof *model);
    model->arch = FL_ARCH_MLP;
    model->h = model->w = 1;
    model->c = features;
    model->mlp = (nn_mlp){hidden, experts};
    return declare(error, arena, model);
}

ddome_status fl_model_head(ddome_error *error, nn_arena *arena, fl_model *model, size_t features,
                           size_t classes)
{
    memset(model, 0, sizeof *model);
    model->arch = FL_ARCH_LINEAR;
    model->h = model->w = 1;
    model->c = features;
    model->mlp = (nn_mlp){0, classes};
    return declare(error, arena, model);
}

/* What a batch is predicted by. */
typedef struct predictor {
    const nn_engine *engine;
    ddome_error *error;
    nn_arena *scratch;
    const fl_model *model;
    const float *values;
} predictor;

static nn_node *build(nn_graph *graph, nn_node **features, const predictor *p, const nn_tensor *x)
{
    nn_net net = {.graph = graph, .layout = &p->model->layout, .values = p->values};
    nn_graph_name_next(graph, NULL, "inputs", "");
    return fl_model_build(&net, features, nn_graph_leaf(graph, x, NULL), p->model);
}

/* Every value of a batch looked at; *row is that of the first one. SPEC 11.13.2. */
static void search_batch(const predictor *p, size_t *row, const nn_tensor *x)
{
    ddome_error found = {DDOME_OK, ""};
    fl_search search = {.row = 0};
    nn_graph graph = {.engine = p->engine,
                      .arena = p->scratch,
                      .error = &found,
                      .watch = fl_search_watch(&search, NULL)};
    build(&graph, NULL, p, x);
    *row = search.row;
    fl_search_end(p->error, &found);
}

/* A feature that is not finite leaves no finite logit. */
static ddome_status predict_batch(const predictor *p, size_t *row, float *logits, float *features,
                                  const nn_tensor *x)
{
    const fl_model *model = p->model;
    nn_graph graph = {.engine = p->engine, .arena = p->scratch, .error = p->error, .checked = true};
    nn_node *hidden = NULL;
    const nn_node *out = build(&graph, &hidden, p, x);
    ddome_status status = graph.status;
    *row = 0;
    if (status == DDOME_OK)
        status = fl_nonfinite_check(p->error, "forward", "given", "logits", "y", out->value.data,
                                    x->n * model->outputs);
    if (status == DDOME_ERR_NONFINITE)
        search_batch(p, row, x);
    if (status != DDOME_OK)
        return status;
    if (logits != NULL)
        memcpy(logits, out->value.data, x->n * model->outputs * sizeof *logits);
    if (features != NULL)
        memcpy(features, hidden->value.data, x->n * model->features * sizeof *features);
    return DDOME_OK;
}

ddome_status fl_model_predict(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                              float *logits, float *features, const fl_model *model,
                              const float *values, const data_set *set, const data_split *split,
                              const uint32_t *samples, size_t count)
{
    const predictor p = {engine, error, scratch, model, values};
    ddome_status status = DDOME_OK;
    for (size_t start = 0; start < count && status == DDOME_OK; start += PREDICT_BATCH) {
        size_t row;
        nn_arena_mark mark = nn_arena_get_mark(scratch);
        nn_tensor x = {NULL, nn_min(PREDICT_BATCH, count - start), set->h, set->w, set->c};
        uint32_t labels[PREDICT_BATCH];
        x.data = nn_arena_alloc(scratch, nn_tensor_count(&x), sizeof *x.data);
        if (x.data == NULL)
            return nn_arena_fail(error, scratch, "a batch of images");
        data_batch_fill(&x, labels, set, split, samples + start, x.n);
        status = predict_batch(&p, &row, logits == NULL ? NULL : logits + start * model->outputs,
                               features == NULL ? NULL : features + start * model->features, &x);
        nn_arena_rewind(scratch, mark);
        status =
            fl_nonfinite_in(error, status, NULL, "sample %lu", (unsigned long)samples[start + row]);
    }
    return status;
}

ddome_status fl_model_predict_rows(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                                   float *logits, const fl_model *model, const float *values,
                                   const nn_tensor *rows)
{
    const predictor p = {engine, error, scratch, model, values};
    size_t row;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    ddome_status status = predict_batch(&p, &row, logits, NULL, rows);
    nn_arena_rewind(scratch, mark);
    return fl_nonfinite_in(error, status, NULL, "row %lu", (unsigned long)row);
}

float fl_entropy(const float *p, size_t count)
{
    float sum = 0;
    for (size_t i = 0; i < count; i++) {
        float term = p[i] > 0 ? p[i] * nn_logf(p[i]) : 0;
        sum = sum + term;
    }
    const float negated = 0.0f - sum;
    return negated;
}

size_t fl_argmax(const float *values, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

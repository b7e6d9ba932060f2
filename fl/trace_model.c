/* SPDX-License-Identifier: MIT */
/* Models slice by slice; choice and predictions. SPEC 19.3.3. */
#include "trace_model.h"

#include <stdio.h>
#include <string.h>

void fl_trace_scope_gate(char scope[FL_TRACE_SCOPE])
{
    snprintf(scope, FL_TRACE_SCOPE, "gate");
}

void fl_trace_scope_common(char scope[FL_TRACE_SCOPE])
{
    snprintf(scope, FL_TRACE_SCOPE, "common");
}

void fl_trace_scope_expert(char scope[FL_TRACE_SCOPE], size_t expert)
{
    snprintf(scope, FL_TRACE_SCOPE, "expert%u", (unsigned)expert);
}

/* ---- data ---- */

void fl_trace_images(fl_trace *trace, const fl_model *model, const nn_tensor *images,
                     const uint32_t *labels)
{
    if (!fl_trace_on(trace))
        return;
    nn_value x =
        fl_trace_floats("value", images->data, images->n, images->h * images->w * images->c);
    if (model->arch != FL_ARCH_MLP) {
        const size_t shape[NN_VALUE_RANK] = {images->n, images->h, images->w, images->c};
        memcpy(x.shape, shape, sizeof shape);
        x.rank = NN_VALUE_RANK;
    }
    const nn_value y = fl_trace_integers("value", labels, images->n);
    if (images->data != NULL)
        fl_trace_given(trace, "data", "images", &x);
    fl_trace_given(trace, "data", "labels", &y);
}

void fl_trace_embeddings(fl_trace *trace, const nn_tensor *embeddings)
{
    const nn_value x = fl_trace_floats("value", embeddings->data, embeddings->n, embeddings->c);
    fl_trace_given(trace, "data", "embeddings", &x);
}

/* ---- slices ---- */

static nn_value slice_value(const char *tensor, const nn_slice *slice, const float *values)
{
    nn_value value = {
        .name = tensor, .rank = slice->rank, .count = slice->count, .f32 = values + slice->offset};
    memcpy(value.shape, slice->shape, sizeof value.shape);
    return value;
}

static const char *slice_name(char name[FL_TRACE_NAME], const char *scope, const nn_slice *slice)
{
    snprintf(name, FL_TRACE_NAME, "%s/%s", scope, slice->name);
    return name;
}

static void give_slice(fl_trace *trace, const char *pass, const char *scope, const nn_slice *slice,
                       const float *values)
{
    char name[FL_TRACE_NAME];
    const nn_value value = slice_value("value", slice, values);
    fl_trace_given(trace, pass, slice_name(name, scope, slice), &value);
}

void fl_trace_model(fl_trace *trace, const char *scope, const nn_layout *layout,
                    const float *values)
{
    for (size_t s = 0; fl_trace_on(trace) && s < layout->count; s++)
        give_slice(trace, "start", scope, &layout->slices[s], values);
}

void fl_trace_start(fl_trace *trace, const fl_trainee *trainee)
{
    fl_trace_model(trace, trainee->scope, &trainee->model->layout, trainee->values);
}

/* ---- update ---- */

static const fl_trace_grad *gradient_of(const fl_trace *trace, const char *parameter)
{
    const fl_trace_grad *grad = trace->grads;
    while (grad != NULL && strcmp(grad->parameter, parameter) != 0)
        grad = grad->next;
    return grad;
}

static void update_slice(fl_trace *trace, const fl_trainee *trainee, const nn_slice *slice)
{
    char name[FL_TRACE_NAME];
    const bool first = trainee->steps == 1; /* it has just been taken */
    const fl_trace_grad *g = gradient_of(trace, slice_name(name, trainee->scope, slice));
    if (trainee->correction != NULL) {
        const nn_value corrected = slice_value("g", slice, trainee->grads);
        fl_trace_given(trace, "correct", name, &corrected);
    }
    fl_trace_op(trace, "sgd");
    fl_trace_attribute(trace, "first", first);
    fl_trace_input(trace, "w", "start", name, "value");
    if (trainee->correction != NULL)
        fl_trace_input(trace, "g", "correct", name, "g");
    else if (g != NULL)
        fl_trace_input(trace, "g", "backward", g->from, g->tensor);
    if (!first && trainee->velocity != NULL) {
        fl_trace_place before = trace->at;
        before.step--;
        fl_trace_input_from(trace, "v", &before, "update", name, "v");
    }
    fl_trace_scalar(trace, "lr", trainee->sgd.lr);
    fl_trace_scalar(trace, "momentum", trainee->sgd.momentum);
    fl_trace_scalar(trace, "weight_decay", trainee->sgd.weight_decay);
    const nn_value w = slice_value("w", slice, trainee->values);
    fl_trace_output(trace, "update", name, &w);
    if (trainee->velocity != NULL) {
        const nn_value v = slice_value("v", slice, trainee->velocity);
        fl_trace_output(trace, "update", name, &v);
    }
}

void fl_trace_update(fl_trace *trace, const fl_trainee *trainee)
{
    const nn_layout *layout = &trainee->model->layout;
    for (size_t s = 0; fl_trace_on(trace) && s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        if (slice->kind == NN_SLICE_TRAINED)
            update_slice(trace, trainee, slice);
        else
            give_slice(trace, "update", trainee->scope, slice, trainee->values);
    }
}

/* ---- averages ---- */

/* The copies of one model: those of the gate, or of one expert. */
typedef struct copies {
    const fl_visit *visits;
    size_t count;
    size_t expert; /* SIZE_MAX: the gate */
    char scope[FL_TRACE_SCOPE];
} copies;

/* In a round that averages the gate every visit had it (SPEC 11.8). */
static bool returned(const copies *c, const fl_visit *visit)
{
    bool has = c->expert == SIZE_MAX;
    if (visit->lost)
        return false;
    for (size_t i = 0; i < visit->k && !has; i++)
        has = visit->chosen[i] == c->expert;
    return has;
}

/* The last update of each visit, and its number of samples. */
static size_t place_of(const copies *c, const fl_visit *visit)
{
    size_t i = 0;
    while (c->expert != SIZE_MAX && visit->chosen[i] != c->expert)
        i++;
    return i;
}

static void add_copies(fl_trace *trace, const copies *c, uint32_t round, const nn_slice *slice)
{
    char name[FL_TRACE_NAME];
    const char *tensor = slice->kind == NN_SLICE_TRAINED ? "w" : "value";
    slice_name(name, c->scope, slice);
    size_t number = 0;
    fl_trace_stack_open(trace, "copies");
    for (size_t i = 0; i < c->count; i++) {
        const fl_visit *visit = &c->visits[i];
        if (!returned(c, visit))
            continue;
        const size_t step = fl_visit_last_step(visit, place_of(c, visit));
        const fl_trace_place last = {round, visit->client->id, step, NULL};
        fl_trace_stack_add(trace, &last, "update", name, tensor);
        number++;
    }
    fl_trace_stack_close(trace);
    fl_trace_list_open(trace, "samples", number);
    for (size_t i = 0; i < c->count; i++)
        if (returned(c, &c->visits[i]))
            fl_trace_list_add(trace, c->visits[i].client->count);
    fl_trace_list_close(trace);
}

/* Statistics that are not averaged (D11), models that nobody trained, and those that the server
 * moves by its own rate (SPEC 12.6.3) are what they are. */
static void average_slice(fl_trace *trace, const copies *c, uint32_t round, const fl_server *server,
                          const fl_slot *slot, const nn_slice *slice)
{
    char name[FL_TRACE_NAME];
    const fl_config *config = server->config;
    const bool moved = fl_algorithm_of(config)->correction == FL_CORRECTION_VARIATES;
    if (slot->returned == 0 || moved ||
        (slice->kind != NN_SLICE_TRAINED && config->bn_stats != FL_BN_AVERAGE)) {
        give_slice(trace, "average", c->scope, slice, slot->values);
        return;
    }
    fl_trace_op(trace, "average");
    fl_trace_attribute(trace, "uniform", config->aggregate == FL_AGGREGATE_UNIFORM);
    add_copies(trace, c, round, slice);
    const nn_value w = slice_value("w", slice, slot->values);
    fl_trace_output(trace, "average", slice_name(name, c->scope, slice), &w);
}

static void average_slot(fl_trace *trace, const copies *c, uint32_t round, const fl_server *server,
                         const fl_slot *slot)
{
    const nn_layout *layout = &slot->model->layout;
    for (size_t s = 0; fl_trace_on(trace) && s < layout->count; s++)
        average_slice(trace, c, round, server, slot, &layout->slices[s]);
}

void fl_trace_average(fl_trace *trace, uint32_t round, const fl_server *server,
                      const fl_visit *visits, size_t count)
{
    copies c = {visits, count, SIZE_MAX, ""};
    fl_trace_at_pass(trace, round, FL_TRACE_NONE, "average");
    if (server->gate.model != NULL) {
        fl_trace_scope_gate(c.scope);
        average_slot(trace, &c, round, server, &server->gate);
    }
    for (c.expert = 0; c.expert < server->experts; c.expert++) {
        fl_trace_scope_expert(c.scope, c.expert);
        average_slot(trace, &c, round, server, &server->expert[c.expert]);
    }
}

/* ---- choice and predictions ---- */

void fl_trace_stand_in(fl_trace *trace, const float *logits, size_t count, size_t experts)
{
    const nn_value z = fl_trace_floats("value", logits, count, experts);
    fl_trace_given(trace, "", "gate_logits", &z);
}

void fl_trace_drawn(fl_trace *trace, const uint32_t *chosen, size_t k)
{
    const nn_value c = fl_trace_integers("chosen", chosen, k);
    fl_trace_given(trace, "", "chosen", &c);
}

void fl_trace_choice(fl_trace *trace, bool stand_in, const float *score, size_t experts,
                     const uint32_t *chosen, size_t k)
{
    const nn_value s = fl_trace_floats("score", score, experts, 0);
    const nn_value c = fl_trace_integers("chosen", chosen, k);
    fl_trace_op(trace, "score");
    fl_trace_input(trace, "logits", "", stand_in ? "gate_logits" : "gate/fc2",
                   stand_in ? "value" : "y");
    fl_trace_output(trace, "", "score", &s);
    fl_trace_op(trace, "top_k");
    fl_trace_attribute(trace, "k", k);
    fl_trace_input(trace, "score", "", "score", "score");
    fl_trace_output(trace, "", "chosen", &c);
}

void fl_trace_figures(fl_trace *trace, const char *name, const float *figures, size_t count,
                      uint32_t chosen)
{
    const nn_value f = fl_trace_floats("value", figures, count, 0);
    const nn_value c = fl_trace_integers("chosen", &chosen, 1);
    fl_trace_given(trace, "", name, &f);
    fl_trace_given(trace, "", "chosen", &c);
}

void fl_trace_logits(fl_trace *trace, size_t expert, const float *logits, size_t count,
                     size_t classes)
{
    char scope[FL_TRACE_SCOPE], name[FL_TRACE_NAME];
    fl_trace_scope_expert(scope, expert);
    snprintf(name, sizeof name, "%s/logits", scope);
    const nn_value z = fl_trace_floats("z", logits, count, classes);
    fl_trace_given(trace, "", name, &z);
}

void fl_trace_predictions(fl_trace *trace, size_t expert, const float *logits,
                          const uint32_t *predicted, size_t count, size_t classes)
{
    char scope[FL_TRACE_SCOPE], name[FL_TRACE_NAME], logits_name[FL_TRACE_NAME];
    if (!fl_trace_on(trace) || count == 0)
        return;
    fl_trace_logits(trace, expert, logits, count, classes);
    fl_trace_scope_expert(scope, expert);
    snprintf(logits_name, sizeof logits_name, "%s/logits", scope);
    snprintf(name, sizeof name, "%s/predictions", scope);
    const nn_value index = fl_trace_integers("index", predicted, count);
    fl_trace_op(trace, "argmax");
    fl_trace_input(trace, "z", "", logits_name, "z");
    fl_trace_output(trace, "", name, &index);
}

void fl_trace_mixed_predictions(fl_trace *trace, const uint32_t *predicted, size_t count)
{
    const nn_value index = fl_trace_integers("index", predicted, count);
    fl_trace_op(trace, "argmax");
    fl_trace_input(trace, "z", "", "mixture", "y");
    fl_trace_output(trace, "", "predictions", &index);
}

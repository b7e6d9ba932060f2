/* SPDX-License-Identifier: MIT */
/* Local training: normal clients train gate and chosen experts jointly, anchors train both apart.
 * SPEC 11.3, 11.4. */
#include "client.h"

#include <stdio.h>
#include <string.h>

#include "../nn/sum.h"
#include "invariant.h"
#include "schedule.h"
#include "trace_model.h"

/* One client at work. */
typedef struct work {
    ddome_error *error;
    nn_arena *scratch;
    const fl_client_world *world;
    fl_visit *visit;
    fl_trainee gate, expert[NN_MAX_EXPERTS];
    size_t first, end; /* experts that are trained now; without a gate one after the other */
    size_t batches;    /* of each model, at most (SPEC 11.11) */
    nn_rng augment;
    float *losses;       /* one a batch */
    size_t steps, limit; /* taken; at most, of the models so far */
    uint32_t epoch;
} work;

/* The data of one step. */
typedef struct batch {
    size_t count;
    nn_tensor images, embeddings; /* data NULL: not needed */
    uint32_t *labels, *anchor;    /* anchor: the index of its expert, once a sample */
    nn_tensor gate_logits;        /* where no gate is trained but something weighs the experts */
} batch;

bool fl_client_is_anchor(const fl_client_world *world, const data_client *client)
{
    return fl_control_is_anchor(world->control, client->id);
}

size_t fl_visit_last_step(const fl_visit *visit, size_t i)
{
    return visit->apart ? (i + 1) * (visit->steps / visit->k) - 1 : visit->steps - 1;
}

static bool trains_gate(const work *w)
{
    return w->visit->gate != NULL && !w->visit->gate_held;
}

/* Models of the visit that are trained. */
static size_t trained_experts(const work *w)
{
    return w->visit->experts_held ? 0 : w->visit->k;
}

/* ---- batches ---- */

/* SPEC 11.8.2, 11.8.3. */
static ddome_status fetch_weights(const work *w, batch *b, const uint32_t *samples, size_t count)
{
    const fl_client_world *world = w->world;
    const size_t experts = world->control->experts;
    const fl_query query = {.engine = world->engine,
                            .model = world->gate,
                            .values = w->visit->gate,
                            .embeddings = world->embeddings,
                            .split = &world->task->set.train,
                            .samples = samples,
                            .count = count};
    if (!world->control->routes || fl_client_is_anchor(world, w->visit->client))
        return DDOME_OK;
    b->gate_logits = (nn_tensor){NULL, count, 1, 1, experts};
    b->gate_logits.data = nn_arena_alloc(w->scratch, count, experts * sizeof(float));
    if (b->gate_logits.data == NULL)
        return nn_arena_fail(w->error, w->scratch, "the weights of the experts");
    return fl_control_logits(world->control, w->error, w->scratch, b->gate_logits.data, &query);
}

static ddome_status fetch_embeddings(const work *w, batch *b, const uint32_t *samples, size_t count)
{
    const fl_embeddings *embeddings = w->world->embeddings;
    if (!trains_gate(w) && !fl_algorithm_of(w->world->config)->head)
        return fetch_weights(w, b, samples, count);
    b->embeddings = (nn_tensor){NULL, count, 1, 1, embeddings->features};
    b->embeddings.data = nn_arena_alloc(w->scratch, count, embeddings->features * sizeof(float));
    b->anchor = nn_arena_alloc(w->scratch, count, sizeof *b->anchor);
    if (b->embeddings.data == NULL || b->anchor == NULL)
        return nn_arena_fail(w->error, w->scratch, "a batch of embeddings");
    fl_embeddings_fill(&b->embeddings, embeddings, samples, count);
    for (size_t i = 0; i < count; i++)
        b->anchor[i] = w->visit->chosen[0];
    return DDOME_OK;
}

static ddome_status fetch_images(work *w, batch *b, const uint32_t *samples, size_t count)
{
    const data_set *set = &w->world->task->set;
    const size_t image = set->h * set->w * set->c;
    b->images.data = nn_arena_alloc(w->scratch, count, image * sizeof(float));
    b->labels = nn_arena_alloc(w->scratch, count, sizeof *b->labels);
    float *one = nn_arena_alloc(w->scratch, image, sizeof *one);
    if (b->images.data == NULL || b->labels == NULL || one == NULL)
        return nn_arena_fail(w->error, w->scratch, "a batch of images");
    data_batch_fill(&b->images, b->labels, set, &set->train, samples, count);
    if (w->world->config->augment)
        data_batch_augment(&b->images, one, &w->augment, set, count);
    return DDOME_OK;
}

static ddome_status fetch_labels(work *w, batch *b, const uint32_t *samples, size_t count)
{
    const data_split *split = &w->world->task->set.train;
    b->labels = nn_arena_alloc(w->scratch, count, sizeof *b->labels);
    if (b->labels == NULL)
        return nn_arena_fail(w->error, w->scratch, "a batch of labels");
    for (size_t i = 0; i < count; i++)
        b->labels[i] = split->labels[samples[i]];
    return DDOME_OK;
}

/* A head needs no image (SPEC 12.6.8). */
static ddome_status fetch(work *w, batch *b, const uint32_t *samples, size_t count)
{
    const data_set *set = &w->world->task->set;
    const bool head = fl_algorithm_of(w->world->config)->head;
    b->count = count;
    b->images = (nn_tensor){NULL, count, set->h, set->w, set->c};
    ddome_status status =
        head ? fetch_labels(w, b, samples, count) : fetch_images(w, b, samples, count);
    return status == DDOME_OK ? fetch_embeddings(w, b, samples, count) : status;
}

/* ---- one step ---- */

static nn_graph new_tape(const work *w)
{
    const nn_graph graph = {.engine = w->world->engine,
                            .arena = w->scratch,
                            .error = w->error,
                            .training = true,
                            .watch = fl_search_watch(w->visit->search, w->world->trace)};
    return graph;
}

static nn_node *leaf(nn_graph *graph, const char *name, const nn_tensor *value)
{
    nn_graph_name_next(graph, NULL, name, "");
    return nn_graph_leaf(graph, value, NULL);
}

static nn_node *loss_of(nn_graph *graph, const char *name, nn_node *logits, const uint32_t *labels)
{
    nn_graph_name_next(graph, NULL, name, "");
    return nn_graph_cross_entropy(graph, logits, labels);
}

/* The expert's own cross-entropy. */
static ddome_status learn_alone(work *w, const batch *b)
{
    nn_graph graph = new_tape(w);
    nn_node *x = b->images.data == NULL ? leaf(&graph, "embeddings", &b->embeddings)
                                        : leaf(&graph, "images", &b->images);
    nn_node *logits = fl_trainee_build(&w->expert[w->first], &graph, x);
    return fl_trainee_backward(&w->losses[w->steps], &graph,
                               loss_of(&graph, "loss", logits, b->labels), 1.0f);
}

/* The gate's cross-entropy towards the anchor's expert, weighted. */
static ddome_status learn_anchor_gate(work *w, const batch *b)
{
    float loss = 0;
    nn_graph graph = new_tape(w);
    nn_node *logits =
        fl_trainee_build(&w->gate, &graph, leaf(&graph, "embeddings", &b->embeddings));
    ddome_status status =
        fl_trainee_backward(&loss, &graph, loss_of(&graph, "gate_loss", logits, b->anchor),
                            w->world->config->anchor_gate_weight.value);
    if (w->visit->experts_held) /* the only loss there is (SPEC 11.8.3) */
        w->losses[w->steps] = loss;
    return status;
}

/* An expert that is not trained, in evaluation mode: its logits come with the batch. */
static nn_node *held_expert(const work *w, nn_graph *tape, const batch *b, size_t i)
{
    const fl_model *model = w->world->expert;
    char name[FL_TRACE_NAME], scope[FL_TRACE_SCOPE];
    nn_graph graph = {.engine = tape->engine,
                      .arena = w->scratch,
                      .error = w->error,
                      .watch = fl_search_watch(w->visit->search, NULL),
                      .checked = true};
    fl_trace_scope_expert(scope, w->visit->chosen[i]);
    nn_net net = {
        .graph = &graph, .layout = &model->layout, .values = w->visit->expert[i], .scope = scope};
    nn_node *z = fl_model_build(&net, NULL, nn_graph_leaf(&graph, &b->images, NULL), model);
    if (graph.status == DDOME_OK)
        graph.status = fl_nonfinite_check(w->error, "data", "given", scope, "logits", z->value.data,
                                          b->count * model->outputs);
    if (graph.status != DDOME_OK) {
        tape->status = graph.status;
        return NULL;
    }
    snprintf(name, sizeof name, "logits%u", (unsigned)w->visit->chosen[i]);
    const nn_value value = fl_trace_floats("value", z->value.data, b->count, model->outputs);
    fl_trace_given(w->world->trace, "data", name, &value);
    return leaf(tape, name, &z->value);
}

/* Cross-entropy of the mixture: one tape through the gate and every chosen expert. */
static ddome_status learn_jointly(work *w, const batch *b)
{
    const fl_visit *visit = w->visit;
    nn_node *outputs[NN_MAX_EXPERTS];
    nn_graph graph = new_tape(w);
    nn_node *gate = trains_gate(w) ? fl_trainee_build(&w->gate, &graph,
                                                      leaf(&graph, "embeddings", &b->embeddings))
                                   : leaf(&graph, "gate_logits", &b->gate_logits);
    nn_node *images = visit->experts_held ? NULL : leaf(&graph, "images", &b->images);
    for (size_t i = 0; i < visit->k; i++)
        outputs[i] = visit->experts_held ? held_expert(w, &graph, b, i)
                                         : fl_trainee_build(&w->expert[i], &graph, images);
    nn_graph_name_next(&graph, NULL, "mixture", "");
    nn_node *mixed = nn_graph_mixture(&graph, gate, outputs, visit->chosen, visit->k,
                                      w->world->config->mix == FL_MIX_PROBS);
    return fl_trainee_backward(&w->losses[w->steps], &graph,
                               loss_of(&graph, "loss", mixed, b->labels), 1.0f);
}

static ddome_status learn(work *w, const batch *b)
{
    if (!w->world->control->routes)
        return learn_alone(w, b);
    if (!fl_client_is_anchor(w->world, w->visit->client))
        return learn_jointly(w, b);
    ddome_status status = w->visit->experts_held ? DDOME_OK : learn_alone(w, b);
    return status == DDOME_OK && trains_gate(w) ? learn_anchor_gate(w, b) : status;
}

/* ---- what a trace records beside the tapes ---- */

static void trace_start(const work *w, const batch *b)
{
    fl_trace *trace = w->world->trace;
    const bool gate = trains_gate(w);
    fl_trace_at_step(trace, w->visit->round, w->visit->client->id, w->steps);
    if (!fl_trace_on(trace))
        return;
    fl_trace_images(trace, w->world->expert, &b->images, b->labels);
    if (b->embeddings.data != NULL)
        fl_trace_embeddings(trace, &b->embeddings);
    if (gate && fl_client_is_anchor(w->world, w->visit->client)) {
        const nn_value anchor = fl_trace_integers("value", b->anchor, b->count);
        fl_trace_given(trace, "data", "gate_labels", &anchor);
    }
    if (b->gate_logits.data != NULL) {
        const nn_value weights =
            fl_trace_floats("value", b->gate_logits.data, b->count, b->gate_logits.c);
        fl_trace_given(trace, "data", "gate_logits", &weights);
    }
    if (gate)
        fl_trace_start(trace, &w->gate);
    for (size_t i = w->first; i < w->end; i++)
        fl_trace_start(trace, &w->expert[i]);
}

static ddome_status move(const work *w, fl_trainee *trainee)
{
    fl_trainee_step(trainee);
    fl_trace_update(w->world->trace, trainee);
    return fl_search_update(w->error, w->visit->search, trainee);
}

static ddome_status move_all(work *w)
{
    ddome_status status = trains_gate(w) ? move(w, &w->gate) : DDOME_OK;
    for (size_t i = w->first; i < w->end && status == DDOME_OK; i++)
        status = move(w, &w->expert[i]);
    return status == DDOME_OK ? fl_trace_status(w->error, w->world->trace) : status;
}

static ddome_status step(work *w, const uint32_t *samples, size_t count)
{
    batch b;
    NN_INVARIANT(fl_invariant_batch(samples, count, w->visit->client, &w->world->task->partition));
    memset(&b, 0, sizeof b);
    nn_arena_mark mark = nn_arena_get_mark(w->scratch);
    ddome_status status = fetch(w, &b, samples, count);
    if (status == DDOME_OK) {
        trace_start(w, &b);
        status = learn(w, &b);
    }
    if (status == DDOME_OK)
        status = move_all(w);
    nn_arena_rewind(w->scratch, mark);
    status = fl_nonfinite_in(w->error, status, NULL, "epoch %u, step %lu", (unsigned)w->epoch,
                             (unsigned long)w->steps);
    w->steps++;
    return status;
}

/* ---- the visit ---- */

/* SPEC 7.7.2; each further model has the next seed (SPEC 12.6.4). */
static ddome_status epoch(work *w, uint32_t *order)
{
    const fl_config *config = w->world->config;
    const data_client *client = w->visit->client;
    const uint64_t seed = config->seed + w->first;
    nn_rng shuffle = nn_rng_at(seed, NN_STREAM_SHUFFLE, w->epoch, w->visit->round, client->id);
    w->augment = nn_rng_at(seed, NN_STREAM_AUGMENT, w->epoch, w->visit->round, client->id);
    memcpy(order, client->samples, client->count * sizeof *order);
    nn_rng_shuffle(&shuffle, order, client->count);
    ddome_status status = DDOME_OK;
    const size_t end = fl_schedule_epoch_samples(config, client->count);
    for (size_t start = 0; start < end && w->steps < w->limit && status == DDOME_OK;
         start += config->batch)
        status = step(w, order + start, nn_min(config->batch, end - start));
    return status;
}

static ddome_status prepare(work *w)
{
    const fl_config *config = w->world->config;
    const fl_visit *visit = w->visit;
    const nn_sgd expert_sgd = {config->lr.value, config->momentum.value,
                               config->weight_decay.value};
    const nn_sgd gate_sgd = {config->gate_lr.value, config->gate_momentum.value, 0};
    ddome_status status = DDOME_OK;
    w->batches = fl_schedule_batches(config, visit->client->count, visit->slow);
    if (trains_gate(w))
        status =
            fl_trainee_init(w->error, w->scratch, &w->gate, w->world->gate, visit->gate, &gate_sgd);
    fl_trace_scope_gate(w->gate.scope);
    for (size_t i = 0; i < trained_experts(w) && status == DDOME_OK; i++) {
        status = fl_trainee_init(w->error, w->scratch, &w->expert[i], w->world->expert,
                                 visit->expert[i], &expert_sgd);
        fl_trace_scope_expert(w->expert[i].scope, visit->chosen[i]);
    }
    if (visit->correction.kind != FL_CORRECTION_NONE)
        w->expert[0].correction = &visit->correction;
    w->losses =
        nn_arena_alloc(w->scratch, visit->apart ? visit->k : 1, w->batches * sizeof *w->losses);
    if (status == DDOME_OK && w->losses == NULL)
        status = nn_arena_fail(w->error, w->scratch, "losses");
    return status;
}

/* With a gate, or what stands for it, all models at once, else one after the other. */
static ddome_status all_epochs(work *w, uint32_t *order)
{
    const fl_visit *visit = w->visit;
    const size_t together = visit->apart ? 1 : visit->k;
    ddome_status status = DDOME_OK;
    for (; w->first < visit->k && status == DDOME_OK; w->first += together) {
        w->end = nn_min(w->first + together, trained_experts(w));
        w->limit = w->steps + w->batches; /* SPEC 12.7.3 */
        for (w->epoch = 0; w->epoch < w->world->config->epochs && status == DDOME_OK; w->epoch++)
            status = epoch(w, order);
    }
    return status;
}

/* A NaN can hide behind a ReLU and never reach a loss, but no weight comes back from one, so to
 * look once is enough. SPEC 11.13.1. */
static ddome_status check_models(const work *w)
{
    ddome_status status = DDOME_OK;
    if (trains_gate(w))
        status = fl_nonfinite_trainee(w->error, &w->gate);
    for (size_t i = 0; i < trained_experts(w) && status == DDOME_OK; i++)
        status = fl_nonfinite_trainee(w->error, &w->expert[i]);
    return status;
}

/* What the visit gives back besides its models. */
static void close_visit(work *w)
{
    fl_visit *visit = w->visit;
    visit->steps = w->steps;
    visit->loss = w->steps == 0 ? 0 : nn_sum(w->losses, w->steps) / (float)w->steps;
    for (size_t i = 0; i < trained_experts(w); i++)
        visit->batches[i] += visit->apart ? w->steps / visit->k : w->steps;
    fl_correction_renew(&visit->correction, visit->expert[0], &w->world->expert->layout, w->steps,
                        w->world->config->lr.value);
}

ddome_status fl_client_train(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                             const fl_client_world *world)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    if (visit->lost) /* SPEC 11.10.2 */
        return DDOME_OK;
    work *w = nn_arena_zero(scratch, 1, sizeof *w);
    uint32_t *order = nn_arena_alloc(scratch, visit->client->count, sizeof *order);
    if (w == NULL || order == NULL)
        return nn_arena_fail(error, scratch, "a client at work");
    w->error = error;
    w->scratch = scratch;
    w->world = world;
    w->visit = visit;
    visit->apart = !world->control->routes && visit->k > 1;
    ddome_status status = prepare(w);
    if (status == DDOME_OK)
        status = all_epochs(w, order);
    if (status == DDOME_OK)
        status = check_models(w);
    if (status == DDOME_OK)
        close_visit(w);
    nn_arena_rewind(scratch, mark);
    return status;
}

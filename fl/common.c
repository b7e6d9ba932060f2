/* SPDX-License-Identifier: MIT */
/* Pretraining with a held-out stop, and embeddings. SPEC 9. */
#include "common.h"

#include <assert.h>
#include <string.h>

#include "nonfinite.h"
#include "trace_model.h"

void fl_report(const ddome_progress *progress, ddome_phase phase, uint64_t done, uint64_t of,
               double value)
{
    if (progress != NULL && progress->report != NULL)
        progress->report(progress->user, phase, done, of, value);
}

void fl_tell(const ddome_progress *progress, const char *line)
{
    if (progress != NULL && progress->notice != NULL)
        progress->notice(progress->user, line);
}

bool fl_wants_stop(const ddome_progress *progress)
{
    return progress != NULL && progress->stop != NULL && progress->stop(progress->user) != 0;
}

/* ---- pretraining ---- */

/* Everything one pretraining needs. */
typedef struct pretraining {
    const nn_engine *engine;
    ddome_error *error;
    nn_arena *scratch;
    const fl_config *config;
    const fl_task *task;
    fl_trainee trainee;
    uint32_t *order;
    size_t step, steps; /* done and planned */
    uint32_t round;     /* 0: before the first */
    fl_trace *trace;
    fl_search *search;                    /* NULL: nobody looks at every value */
    float *start_values, *start_velocity; /* as the epoch found them, for a search */
} pretraining;

/* lr * ((steps - step) / steps): linear decay to zero over the planned steps (SPEC 9.1). */
static float decayed(float lr, size_t step, size_t steps)
{
    const float left = (float)(steps - step) / (float)steps;
    const float rate = lr * left;
    return rate;
}

static ddome_status pretrain_batch(pretraining *p, const uint32_t *samples, size_t count)
{
    const data_set *set = &p->task->set;
    nn_arena_mark mark = nn_arena_get_mark(p->scratch);
    fl_trace_at_step(p->trace, p->round, FL_TRACE_NONE, p->step);
    nn_graph graph = {.engine = p->engine,
                      .arena = p->scratch,
                      .error = p->error,
                      .training = true,
                      .watch = fl_search_watch(p->search, p->trace)};
    nn_tensor x = {NULL, count, set->h, set->w, set->c};
    x.data = nn_arena_alloc(p->scratch, nn_tensor_count(&x), sizeof *x.data);
    uint32_t *labels = nn_arena_alloc(p->scratch, count, sizeof *labels);
    if (x.data == NULL || labels == NULL)
        return nn_arena_fail(p->error, p->scratch, "a batch of images");
    data_batch_fill(&x, labels, set, &set->train, samples, count);
    fl_trace_images(p->trace, p->trainee.model, &x, labels);
    fl_trace_start(p->trace, &p->trainee);
    nn_graph_name_next(&graph, NULL, "images", "");
    nn_node *logits = fl_trainee_build(&p->trainee, &graph, nn_graph_leaf(&graph, &x, NULL));
    nn_graph_name_next(&graph, NULL, "loss", "");
    float loss;
    ddome_status status =
        fl_trainee_backward(&loss, &graph, nn_graph_cross_entropy(&graph, logits, labels), 1.0f);
    p->trainee.sgd.lr = decayed(p->config->pretrain_lr.value, p->step, p->steps);
    if (status == DDOME_OK) {
        fl_trainee_step(&p->trainee);
        fl_trace_update(p->trace, &p->trainee);
        status = fl_trace_status(p->error, p->trace);
    }
    if (status == DDOME_OK)
        status = fl_search_update(p->error, p->search, &p->trainee);
    status = fl_nonfinite_in(p->error, status, NULL, "step %lu", (unsigned long)p->step);
    p->step++;
    nn_arena_rewind(p->scratch, mark);
    return status;
}

static ddome_status pretrain_epoch(pretraining *p, uint32_t epoch)
{
    const data_partition *partition = &p->task->partition;
    const nn_stream stream = p->round == 0 ? NN_STREAM_PRETRAIN : NN_STREAM_COMMON_AGAIN;
    nn_rng rng = nn_rng_at(p->config->seed, stream, epoch, p->round, 0);
    memcpy(p->order, partition->pool, partition->pool_count * sizeof *p->order);
    nn_rng_shuffle(&rng, p->order, partition->pool_count);
    ddome_status status = DDOME_OK;
    const size_t batch = p->config->pretrain_batch;
    for (size_t start = 0; start < partition->pool_count && status == DDOME_OK; start += batch)
        status = pretrain_batch(p, p->order + start, nn_min(batch, partition->pool_count - start));
    return status == DDOME_OK ? fl_nonfinite_trainee(p->error, &p->trainee) : status;
}

/* An epoch in which something was not finite, from its beginning. SPEC 11.13.2. */
static void search(pretraining *p, uint32_t epoch, uint64_t taken, size_t step)
{
    const size_t bytes = p->trainee.model->layout.total * sizeof(float);
    ddome_error found = {DDOME_OK, ""}, *error = p->error;
    fl_search looking;
    fl_trace_stop(p->trace);
    memcpy(p->trainee.values, p->start_values, bytes);
    if (taken != 0 && p->trainee.velocity != NULL)
        memcpy(p->trainee.velocity, p->start_velocity, bytes);
    p->trainee.steps = taken;
    p->step = step;
    p->search = &looking;
    p->error = &found;
    found.status = pretrain_epoch(p, epoch);
    p->error = error;
    p->search = NULL;
    fl_search_end(error, &found);
}

static ddome_status checked_epoch(pretraining *p, uint32_t epoch)
{
    const size_t bytes = p->trainee.model->layout.total * sizeof(float), step = p->step;
    const uint64_t taken = p->trainee.steps;
    const nn_arena_mark mark = nn_arena_get_mark(p->scratch);
    memcpy(p->start_values, p->trainee.values, bytes);
    if (taken != 0 && p->trainee.velocity != NULL) /* the first step sets it */
        memcpy(p->start_velocity, p->trainee.velocity, bytes);
    const ddome_status status = pretrain_epoch(p, epoch);
    if (status != DDOME_ERR_NONFINITE)
        return status;
    nn_arena_rewind(p->scratch, mark);
    search(p, epoch, taken, step);
    return fl_nonfinite_in(p->error, status, "lower pretrain_lr",
                           "common expert, round %u, epoch %u", (unsigned)p->round,
                           (unsigned)epoch);
}

static ddome_status held_out_accuracy(pretraining *p, fl_common *common)
{
    const data_partition *partition = &p->task->partition;
    const data_split *train = &p->task->set.train;
    const fl_model *model = p->trainee.model;
    nn_arena_mark mark = nn_arena_get_mark(p->scratch);
    float *logits =
        nn_arena_alloc(p->scratch, partition->held_count, model->outputs * sizeof *logits);
    if (logits == NULL)
        return nn_arena_fail(p->error, p->scratch, "logits of the held-out part");
    ddome_status status =
        fl_model_predict(p->engine, p->error, p->scratch, logits, NULL, model, p->trainee.values,
                         &p->task->set, train, partition->held, partition->held_count);
    common->correct = 0;
    common->total = partition->held_count;
    for (size_t i = 0; i < partition->held_count && status == DDOME_OK; i++)
        common->correct += fl_argmax(logits + i * model->outputs, model->outputs) ==
                           train->labels[partition->held[i]];
    nn_arena_rewind(p->scratch, mark);
    return fl_nonfinite_in(p->error, status, "lower pretrain_lr", "common expert, held-out part");
}

/* correct / total >= target, as binary32 values (SPEC 9.2). */
static bool reached(const fl_common *common, float target)
{
    const float accuracy = (float)common->correct / (float)common->total;
    return accuracy >= target;
}

static ddome_status pretrain_epochs(pretraining *p, fl_common *common,
                                    const ddome_progress *progress)
{
    const size_t epochs = p->config->pretrain_epochs;
    ddome_status status = DDOME_OK;
    for (size_t epoch = 0; epoch < epochs; epoch++) {
        status = checked_epoch(p, (uint32_t)epoch);
        if (status == DDOME_OK)
            status = held_out_accuracy(p, common);
        if (status != DDOME_OK)
            break;
        common->epochs = epoch + 1;
        fl_report(progress, DDOME_PHASE_PRETRAIN, epoch + 1, epochs,
                  (double)common->correct / (double)common->total);
        if (reached(common, p->config->pretrain_target.value))
            break;
        if (epoch + 1 < epochs && fl_wants_stop(progress))
            return DDOME_STOPPED;
    }
    common->batches = p->step;
    return status;
}

size_t fl_common_steps(const fl_config *config, const fl_task *task)
{
    const size_t batch = config->pretrain_batch;
    return (task->partition.pool_count + batch - 1) / batch;
}

/* The trainee and the order of the samples; scratch is the caller's to rewind. */
static ddome_status open_pretraining(pretraining *p, const fl_common *common, const fl_model *model,
                                     size_t epochs)
{
    const fl_config *config = p->config;
    const nn_sgd sgd = {config->pretrain_lr.value, config->pretrain_momentum.value,
                        config->pretrain_weight_decay.value};
    const size_t pool = p->task->partition.pool_count;
    ddome_status status =
        fl_trainee_init(p->error, p->scratch, &p->trainee, model, common->values, &sgd);
    fl_trace_scope_common(p->trainee.scope);
    p->order = nn_arena_alloc(p->scratch, pool, sizeof *p->order);
    p->start_values = nn_arena_alloc(p->scratch, model->layout.total, sizeof(float));
    if (sgd.momentum != 0)
        p->start_velocity = nn_arena_alloc(p->scratch, model->layout.total, sizeof(float));
    const bool made = p->order != NULL && p->start_values != NULL &&
                      (sgd.momentum == 0 || p->start_velocity != NULL);
    if (status == DDOME_OK && !made)
        status = nn_arena_fail(p->error, p->scratch, "the pretraining");
    p->steps = epochs * fl_common_steps(config, p->task);
    return status;
}

ddome_status fl_common_pretrain(const nn_engine *engine, ddome_error *error, nn_arena *arena,
                                nn_arena *scratch, fl_common *common, const fl_model *model,
                                const fl_config *config, const fl_task *task,
                                const ddome_progress *progress, fl_trace *trace)
{
    pretraining p = {.engine = engine,
                     .error = error,
                     .scratch = scratch,
                     .config = config,
                     .task = task,
                     .trace = trace};
    memset(common, 0, sizeof *common);
    common->floats = model->layout.total;
    common->values = nn_arena_alloc(arena, model->layout.total, sizeof *common->values);
    if (common->values == NULL)
        return nn_arena_fail(error, arena, "the common expert");
    nn_layout_init(common->values, &model->layout, config->seed, NN_STREAM_INIT_COMMON, 0);
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    ddome_status status = open_pretraining(&p, common, model, config->pretrain_epochs);
    if (status == DDOME_OK)
        status = pretrain_epochs(&p, common, progress);
    nn_arena_rewind(scratch, mark);
    return status;
}

ddome_status fl_common_again(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                             fl_common *common, const fl_model *model, const fl_config *config,
                             const fl_task *task, uint32_t round, fl_trace *trace)
{
    pretraining p = {.engine = engine,
                     .error = error,
                     .scratch = scratch,
                     .config = config,
                     .task = task,
                     .round = round,
                     .trace = trace};
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    ddome_status status = open_pretraining(&p, common, model, 1);
    if (status == DDOME_OK)
        status = checked_epoch(&p, 0);
    common->batches += p.step;
    nn_arena_rewind(scratch, mark);
    return status;
}

/* ---- embeddings ---- */

/* Where embeddings that are not finite were made. */
static ddome_status end_embedding(ddome_error *error, ddome_status status, const fl_task *task,
                                  const data_split *split)
{
    return fl_nonfinite_in(error, status, "lower pretrain_lr, or give another file as common",
                           "common expert, embeddings of the %s split",
                           split == &task->set.train ? "train" : "test");
}

/* Gives each sample some client holds a slot, in order of first use; fills samples[slot]. */
static size_t assign_slots(fl_embeddings *embeddings, uint32_t *samples, const data_split *split,
                           const data_client *clients, size_t count)
{
    size_t used = 0;
    memset(embeddings->slot, 0xff, split->count * sizeof *embeddings->slot);
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < clients[k].count; i++) {
            uint32_t sample = clients[k].samples[i];
            if (embeddings->slot[sample] != UINT32_MAX)
                continue;
            embeddings->slot[sample] = (uint32_t)used;
            samples[used++] = sample;
        }
    return used;
}

/* SPEC 9.3. */
ddome_status fl_common_embed(const nn_engine *engine, ddome_error *error, nn_arena *arena,
                             nn_arena *scratch, fl_embeddings *embeddings, const fl_common *common,
                             const fl_model *model, const fl_task *task, const data_split *split,
                             const data_client *clients, size_t count)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    uint32_t *samples = nn_arena_alloc(scratch, split->count, sizeof *samples);
    embeddings->slot = nn_arena_alloc(arena, split->count, sizeof *embeddings->slot);
    if (samples == NULL || embeddings->slot == NULL)
        return nn_arena_fail(error, arena, "the table of embeddings");
    const size_t used = assign_slots(embeddings, samples, split, clients, count);
    embeddings->features = model->features;
    embeddings->rows = nn_arena_alloc(arena, used, model->features * sizeof *embeddings->rows);
    if (embeddings->rows == NULL)
        return nn_arena_fail(error, arena, "embeddings");
    ddome_status status = fl_model_predict(engine, error, scratch, NULL, embeddings->rows, model,
                                           common->values, &task->set, split, samples, used);
    nn_arena_rewind(scratch, mark);
    return end_embedding(error, status, task, split);
}

ddome_status fl_common_embed_again(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                                   fl_embeddings *embeddings, const fl_common *common,
                                   const fl_model *model, const fl_task *task,
                                   const data_split *split)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    uint32_t *samples = nn_arena_alloc(scratch, split->count, sizeof *samples);
    size_t used = 0;
    if (samples == NULL)
        return nn_arena_fail(error, scratch, "the table of embeddings");
    for (size_t i = 0; i < split->count; i++)
        if (embeddings->slot[i] != UINT32_MAX) {
            samples[embeddings->slot[i]] = (uint32_t)i;
            used++;
        }
    ddome_status status = fl_model_predict(engine, error, scratch, NULL, embeddings->rows, model,
                                           common->values, &task->set, split, samples, used);
    nn_arena_rewind(scratch, mark);
    return end_embedding(error, status, task, split);
}

void fl_embeddings_fill(nn_tensor *x, const fl_embeddings *embeddings, const uint32_t *samples,
                        size_t count)
{
    const size_t width = embeddings->features;
    for (size_t i = 0; i < count; i++) {
        assert(embeddings->slot[samples[i]] != UINT32_MAX); /* all clients' samples were embedded */
        memcpy(x->data + i * width, embeddings->rows + embeddings->slot[samples[i]] * width,
               width * sizeof *x->data);
    }
}

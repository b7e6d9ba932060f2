/* SPDX-License-Identifier: MIT */
/* What the signatures are judged by: the followed parameters of every expert, and its accuracy on
 * its anchor samples among the held ones. SPEC 14.6, 14.8. */
#include "watch.h"

#include <math.h>
#include <string.h>

#include "baselines.h"

/* ---- set-up ---- */

/* Every s-th trained parameter, s the least that gives at most FL_WATCH_VALUES (D54). */
static ddome_status choose_places(ddome_error *error, nn_arena *arena, fl_watch *watch)
{
    const nn_layout *layout = &watch->model->layout;
    const size_t stride = (layout->trained + FL_WATCH_VALUES - 1) / FL_WATCH_VALUES;
    size_t number = 0;
    watch->place = nn_arena_alloc(arena, FL_WATCH_VALUES, sizeof *watch->place);
    if (watch->place == NULL)
        return nn_arena_fail(error, arena, "the parameters to follow");
    for (size_t s = 0; s < layout->count; s++)
        for (size_t i = 0;
             layout->slices[s].kind == NN_SLICE_TRAINED && i < layout->slices[s].count; i++)
            if (number++ % stride == 0)
                watch->place[watch->values++] = (uint32_t)(layout->slices[s].offset + i);
    return DDOME_OK;
}

static ddome_status start_expert(ddome_error *error, nn_arena *arena, const fl_watch *watch,
                                 size_t i)
{
    fl_watched *w = &watch->expert[i];
    w->start = nn_arena_alloc(arena, watch->values, sizeof *w->start);
    w->now = nn_arena_alloc(arena, watch->values, sizeof *w->now);
    if (w->start == NULL || w->now == NULL)
        return nn_arena_fail(error, arena, "the followed parameters of an expert");
    for (size_t j = 0; j < watch->values; j++)
        w->start[j] = w->now[j] = watch->server->expert[i].values[watch->place[j]];
    return DDOME_OK;
}

/* Do all participants train it, so that it is to know every label? A head takes no image. */
static bool is_shared(const fl_server *server)
{
    const fl_algorithm *a = fl_algorithm_of(server->config);
    const bool alone = server->experts == 1 || a->models == FL_MODELS_PAIR;
    return alone && a->rounds && !a->own && !a->head;
}

/* The held samples that have a label of the anchor, ascending; all of them where that is NULL. */
static ddome_status choose_held(ddome_error *error, nn_arena *arena, const fl_watch *watch,
                                const data_client *anchor, fl_watched *w)
{
    const data_partition *partition = &watch->task->partition;
    const data_split *train = &watch->task->set.train;
    data_label_set labels = {.word = {0}};
    if (anchor != NULL)
        labels = data_client_labels(anchor, train);
    w->shared = anchor == NULL;
    w->held = nn_arena_alloc(arena, partition->held_count, sizeof *w->held);
    if (w->held == NULL)
        return nn_arena_fail(error, arena, "the held samples of an expert");
    for (size_t i = 0; i < partition->held_count; i++)
        if (w->shared || data_label_set_has(&labels, train->labels[partition->held[i]]))
            w->held[w->total++] = partition->held[i];
    return DDOME_OK;
}

/* The client that is tied to the expert for the whole run, or NULL. */
static const data_client *anchor_of(const fl_client_world *world, size_t expert)
{
    const fl_control *control = world->control;
    if (expert >= control->anchors || control->config->anchors == FL_ANCHORS_WRONG)
        return NULL;
    return &world->task->partition.clients[control->anchor[expert]];
}

ddome_status fl_watch_begin(ddome_error *error, nn_arena *arena, fl_watch *watch,
                            const fl_client_world *world, const fl_common *common,
                            const fl_server *server)
{
    memset(watch, 0, sizeof *watch);
    watch->task = world->task;
    watch->model = world->expert;
    watch->common = common;
    watch->server = server;
    watch->control = world->control;
    fl_table_init(&watch->signatures, arena, "signatures.csv", false);
    fl_table_init(&watch->drift, arena, "drift.csv", false);
    fl_table_init(&watch->gate, arena, "gate.csv", false);
    fl_text_add(&watch->gate.text, "round,client,own,tied\n");
    fl_text_add(&watch->signatures.text, "round,signature,experts,value\n");
    fl_text_add(&watch->drift.text,
                "round,expert,trained_rounds,last_trained,cosine,anchor_correct,"
                "anchor_total,common_correct\n");
    watch->expert = nn_arena_zero(arena, server->experts, sizeof *watch->expert);
    if (watch->expert == NULL)
        return nn_arena_fail(error, arena, "the watch over the experts");
    ddome_status status = choose_places(error, arena, watch);
    for (size_t i = 0; i < server->experts && status == DDOME_OK; i++) {
        status = start_expert(error, arena, watch, i);
        const data_client *anchor = anchor_of(world, i);
        if (status == DDOME_OK && common->values != NULL && (anchor != NULL || is_shared(server)))
            status = choose_held(error, arena, watch, anchor, &watch->expert[i]);
    }
    return status;
}

/* ---- rounds ---- */

/* Cosine of this update and of the way from the start to before it, which is the sum of all earlier
 * updates and so has the direction of their mean. SPEC 14.8. */
static void follow(fl_watched *w, const fl_watch *watch, const float *values)
{
    double product = 0, update = 0, way = 0;
    for (size_t j = 0; j < watch->values; j++) {
        const float value = values[watch->place[j]];
        const double u = (double)value - (double)w->now[j];
        const double v = (double)w->now[j] - (double)w->start[j];
        product = product + u * v;
        update = update + u * u;
        way = way + v * v;
        w->now[j] = value;
    }
    if (update > 0 && way > 0) {
        w->cosines = w->cosines + product / (sqrt(update) * sqrt(way));
        w->updates++;
    }
}

void fl_watch_choice(fl_watched_choice *to, const uint32_t *chosen, size_t k)
{
    if (to->clients++ == 0) {
        to->k = k;
        to->alike = true;
        memcpy(to->chosen, chosen, k * sizeof *chosen);
    } else if (to->k != k || memcmp(to->chosen, chosen, k * sizeof *chosen) != 0) {
        to->alike = false;
    }
}

void fl_watch_round(fl_watch *watch, uint32_t round, const fl_visit *visits, size_t count)
{
    const bool chooses = fl_algorithm_of(watch->server->config)->choice != FL_CHOICE_ALL;
    watch->choice = (fl_watched_choice){.clients = 0};
    for (size_t i = 0; i < count && chooses; i++)
        if (!visits[i].anchor && !visits[i].lost)
            fl_watch_choice(&watch->choice, visits[i].chosen, visits[i].k);
    for (size_t i = 0; i < watch->server->experts; i++) {
        const fl_slot *slot = &watch->server->expert[i];
        if (slot->returned == 0)
            continue;
        follow(&watch->expert[i], watch, slot->values);
        watch->expert[i].trained++;
        watch->expert[i].last = round;
    }
}

/* ---- evaluations ---- */

/* Logits that are not finite end no run from here: the model has none right (SPEC 14.7 c). */
static ddome_status count_right(ddome_error *error, nn_arena *scratch, uint64_t *correct,
                                const fl_watch *watch, const nn_engine *engine, const fl_watched *w,
                                const float *values)
{
    const size_t classes = watch->model->outputs;
    const data_split *train = &watch->task->set.train;
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *logits = nn_arena_alloc(scratch, w->total, classes * sizeof *logits);
    if (logits == NULL)
        return nn_arena_fail(error, scratch, "logits of an anchor's labels");
    ddome_status status = fl_model_predict(engine, error, scratch, logits, NULL, watch->model,
                                           values, &watch->task->set, train, w->held, w->total);
    *correct = 0;
    for (size_t i = 0; i < w->total && status == DDOME_OK; i++)
        *correct += fl_argmax(logits + i * classes, classes) == train->labels[w->held[i]];
    nn_arena_rewind(scratch, mark);
    if (status != DDOME_ERR_NONFINITE)
        return status;
    nn_error_clear(error);
    return DDOME_OK;
}

static ddome_status count_expert(ddome_error *error, nn_arena *scratch, fl_watch *watch,
                                 const nn_engine *engine, size_t i)
{
    fl_watched *w = &watch->expert[i];
    ddome_status status = DDOME_OK;
    if (w->total == 0)
        return status;
    if (!watch->begun)
        status = count_right(error, scratch, &w->common, watch, engine, w, watch->common->values);
    if (status == DDOME_OK)
        status = count_right(error, scratch, &w->correct, watch, engine, w,
                             watch->server->expert[i].values);
    return status;
}

ddome_status fl_watch_evaluation(ddome_error *error, nn_arena *scratch, fl_watch *watch,
                                 const nn_engine *engine, uint32_t round,
                                 const fl_evaluation *evaluation, const fl_metrics *metrics,
                                 const ddome_progress *progress)
{
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < watch->server->experts && status == DDOME_OK; i++)
        status = count_expert(error, scratch, watch, engine, i);
    watch->begun = true;
    return status == DDOME_OK
               ? fl_watch_judge(error, scratch, watch, round, evaluation, metrics, progress)
               : status;
}

void fl_watch_tables(fl_table *tables[FL_WATCH_TABLES], fl_watch *watch)
{
    fl_table *const all[FL_WATCH_TABLES] = {&watch->signatures, &watch->drift, &watch->gate};
    memcpy(tables, all, sizeof all);
}

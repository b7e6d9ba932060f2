/* SPDX-License-Identifier: MIT */
/* One walk over all that a run is, in which every part says its name, type and place: to write it,
 * or to read it back, so that neither can forget what the other has. SPEC 17.6.3, 17.6.5,
 * 17.6.7. */
#include "state.h"

#include <stdio.h>
#include <string.h>

#include "identity.h"
#include "state_walk.h"

/* ---- the parts of a run ---- */

/* One that was given was neither trained nor looked at before the rounds; one that is trained here
 * has an epoch at least (SPEC 9.2). Renewals are no such epochs and have no held-out part. */
static void walk_common(fl_walk *w)
{
    fl_common *common = &w->run->common;
    const bool given = w->run->config.common[0] != '\0';
    const size_t held = given ? 0 : w->run->task.partition.held_count;
    if (common->values == NULL)
        return;
    fl_walk_size(w, "common.epochs", &common->epochs, given ? 0 : 1,
                 given ? 0 : w->run->config.pretrain_epochs);
    const uint64_t batches = fl_bounds_common(w->run);
    fl_walk_u64(w, "common.batches", &common->batches, batches, batches);
    fl_walk_size(w, "common.correct", &common->correct, 0, held);
    fl_walk_size(w, "common.total", &common->total, held, held);
    fl_walk_values(w, FL_WALK_F32, "common.values", common->values, common->floats);
}

/* As clusters found them; otherwise the partition tells (SPEC 10.4). */
static void walk_anchors(fl_walk *w)
{
    fl_control *control = &w->run->control;
    if (!control->cluster)
        return;
    fl_walk_values(w, FL_WALK_U32, "anchors", control->anchor, control->anchors);
    for (size_t q = 0; q < control->anchors; q++)
        for (size_t other = 0; other <= q; other++)
            fl_walk_need(w,
                         control->anchor[q] < control->training &&
                             (other == q || control->anchor[q] != control->anchor[other]),
                         "anchors", "distinct clients below", control->training);
}

/* A counter of batches: no less than at the start, modulo 2^64. */
static void walk_batches(fl_walk *w, const char *name, uint64_t *batches, uint64_t start,
                         uint64_t most)
{
    fl_walk_values(w, FL_WALK_U64, name, batches, 1);
    fl_walk_need(w, *batches - start <= most, name, "since the start of the run at most", most);
}

static void walk_slot(fl_walk *w, const char *prefix, size_t index, fl_slot *slot, uint64_t start,
                      uint64_t most)
{
    char name[FL_WALK_NAME];
    walk_batches(w, fl_walk_indexed(name, prefix, index, "batches"), &slot->batches, start, most);
    fl_walk_values(w, FL_WALK_F32, fl_walk_indexed(name, prefix, index, "values"), slot->values,
                   slot->model->layout.total);
    if (w->file != NULL && w->status == DDOME_OK)
        slot->hash = nn_layout_hash(&slot->model->layout, slot->values);
}

/* Which arrays, `each` a client, are there: of no client that has not trained. */
static const bool *walk_present(fl_walk *w, const char *prefix, const fl_store *store, size_t each)
{
    const bool *there = fl_walk_present(w, prefix, store);
    for (size_t i = w->bounds.clients * each; i < store->count && there != NULL; i++)
        fl_walk_need(w, !there[i], prefix, "none but of training clients", w->bounds.clients);
    return w->status == DDOME_OK ? there : NULL;
}

static void walk_own(fl_walk *w, fl_server *server)
{
    const uint64_t start = fl_bounds_start(w->run);
    char name[FL_WALK_NAME];
    const bool *there = walk_present(w, "own", &server->models, 1);
    for (size_t i = 0; i < server->models.count && w->status == DDOME_OK; i++) {
        if (!there[i])
            continue;
        walk_batches(w, fl_walk_indexed(name, "own", i, "batches"), &server->own[i].batches, start,
                     w->bounds.batches);
        fl_walk_array(w, fl_walk_indexed(name, "own", i, "values"), &server->models, i);
    }
}

static void walk_arrays(fl_walk *w, const char *prefix, fl_store *store, size_t each)
{
    char name[FL_WALK_NAME];
    const bool *there = walk_present(w, prefix, store, each);
    for (size_t i = 0; i < store->count && w->status == DDOME_OK; i++)
        if (there[i])
            fl_walk_array(w, fl_walk_indexed(name, prefix, i, "values"), store, i);
}

static void walk_server(fl_walk *w)
{
    fl_server *server = &w->run->server;
    const size_t floats = w->run->expert.layout.total;
    for (size_t i = 0; i < server->experts; i++)
        walk_slot(w, "expert", i, &server->expert[i], fl_bounds_start(w->run), w->bounds.batches);
    if (server->gate.model != NULL) /* it has nothing that counts */
        walk_slot(w, "gate", 0, &server->gate, 0, 0);
    if (fl_store_is_set(&server->local))
        walk_arrays(w, "local", &server->local, server->experts);
    if (server->own != NULL)
        walk_own(w, server);
    if (server->variates.server != NULL) {
        fl_walk_values(w, FL_WALK_F32, "variate.server", server->variates.server, floats);
        walk_arrays(w, "variate", &server->variates.client, 1);
    }
}

/* One outside the hashes that does not fit begins anew: no run is lost by it (SPEC 17.6.5). */
static void resume_table(fl_walk *w, fl_table *table, uint64_t size, const nn_digest *digest)
{
    ddome_error reason = {DDOME_OK, ""};
    char line[sizeof reason.text];
    const ddome_status status = fl_table_resume(&reason, &w->run->dir, table, size, digest);
    if (status == DDOME_OK)
        return;
    if (table->hashed || status != DDOME_ERR_RESUME) {
        w->status = nn_fail(w->error, status, "%s", reason.text);
        return;
    }
    snprintf(line, sizeof line, "%.440s; it begins anew", reason.text);
    fl_tell(w->run->progress, line);
}

static void walk_table(fl_walk *w, fl_table *table)
{
    char name[FL_WALK_NAME];
    uint64_t *size = fl_walk_room(w, 1, sizeof *size);
    nn_digest *digest = fl_walk_room(w, 1, sizeof *digest);
    if (size == NULL || digest == NULL)
        return;
    *digest = fl_table_digest(table);
    *size = table->size;
    snprintf(name, sizeof name, "table.%s.bytes", table->name);
    fl_walk_values(w, FL_WALK_U64, name, size, 1);
    snprintf(name, sizeof name, "table.%s.sha256", table->name);
    fl_walk_values(w, FL_WALK_U8, name, digest->byte, sizeof digest->byte);
    if (w->file != NULL && w->status == DDOME_OK && (table->hashed || !w->run->dir.verify))
        resume_table(w, table, *size, digest);
}

static void walk_hashed_tables(fl_walk *w)
{
    fl_table *tables[FL_RECORD_TABLES];
    fl_record_tables(tables, &w->run->record);
    for (size_t i = 0; i < FL_RECORD_TABLES; i++) {
        fl_table copy = *tables[i];
        if (copy.hashed)
            walk_table(w, &copy);
    }
}

static void walk_traffic(fl_walk *w, fl_traffic *total, const fl_traffic *most)
{
    fl_walk_u64(w, "traffic.down", &total->down, 0, most->down);
    fl_walk_u64(w, "traffic.messages", &total->messages, 0, most->messages);
    fl_walk_u64(w, "traffic.round_trips", &total->round_trips, 0, most->round_trips);
    fl_walk_u64(w, "traffic.up", &total->up, 0, most->up);
}

/* Accuracies; that of the last evaluation is the last of all (SPEC 14.1, 14.5). */
static void walk_evaluations(fl_walk *w, fl_record *record)
{
    const size_t evaluations = fl_bounds_evaluations(w->run);
    fl_walk_size(w, "evaluations", &record->evaluations, evaluations, evaluations);
    if (w->status != DDOME_OK)
        return;
    const size_t count = record->evaluations;
    fl_walk_reals(w, "evaluation.means", record->means, count, 0, 1, "accuracies of 0 to 1");
    const double last = count == 0 ? 0 : record->means[count - 1];
    fl_walk_reals(w, "evaluation.last_mean", &record->last.mean, 1, last, last,
                  "the last of the means");
    fl_walk_reals(w, "evaluation.last_least", &record->last.min, 1, 0, count == 0 ? 0 : 1,
                  "an accuracy of 0 to 1, or 0 without evaluations");
}

static void walk_record(fl_walk *w)
{
    fl_record *record = &w->run->record;
    fl_table *tables[FL_RECORD_TABLES];
    fl_record_tables(tables, record);
    walk_traffic(w, &record->total, &w->bounds.traffic);
    walk_evaluations(w, record);
    for (size_t i = 0; i < FL_RECORD_TABLES; i++)
        walk_table(w, tables[i]);
}

/* Its anchor samples: none are looked at before the first evaluation (SPEC 14.6). */
static void walk_right(fl_walk *w, fl_watched *expert, size_t i)
{
    char name[FL_WALK_NAME];
    const uint64_t most = fl_bounds_evaluated(w->run) == 0 ? 0 : expert->total;
    fl_walk_u64(w, fl_walk_indexed(name, "watch", i, "best"), &expert->best, 0, most);
    fl_walk_u64(w, fl_walk_indexed(name, "watch", i, "common"), &expert->common, 0, most);
    fl_walk_u64(w, fl_walk_indexed(name, "watch", i, "correct"), &expert->correct, 0, expert->best);
}

/* Rounds; updates and their cosines begin anew with each evaluation (SPEC 14.8). */
static void walk_rounds(fl_walk *w, fl_watched *expert, size_t i)
{
    char name[FL_WALK_NAME];
    const uint32_t done = w->run->done, since = done - fl_bounds_evaluated(w->run);
    fl_walk_u32(w, fl_walk_indexed(name, "watch", i, "last"), &expert->last, 0, done);
    fl_walk_u32(w, fl_walk_indexed(name, "watch", i, "trained"), &expert->trained,
                expert->last != 0, expert->last);
    fl_walk_size(w, fl_walk_indexed(name, "watch", i, "updates"), &expert->updates, 0,
                 nn_min(since, expert->trained));
    const double most = (double)expert->updates * FL_BOUNDS_COSINE;
    fl_walk_reals(w, fl_walk_indexed(name, "watch", i, "cosines"), &expert->cosines, 1, -most, most,
                  "no more in size than updates");
}

static void walk_watched(fl_walk *w, fl_watch *watch, size_t i)
{
    fl_watched *expert = &watch->expert[i];
    char name[FL_WALK_NAME];
    walk_right(w, expert, i);
    walk_rounds(w, expert, i);
    fl_walk_values(w, FL_WALK_F32, fl_walk_indexed(name, "watch", i, "now"), expert->now,
                   watch->values);
    fl_walk_values(w, FL_WALK_F32, fl_walk_indexed(name, "watch", i, "start"), expert->start,
                   watch->values);
}

/* Signatures are seen in evaluations, of an expert or of the run, which is number 0 (SPEC 14.7). */
static void walk_seen(fl_walk *w, fl_watch *watch)
{
    const bool none = fl_bounds_evaluated(w->run) == 0;
    fl_walk_flags(w, "watch.seen", (bool *)watch->seen, (size_t)FL_SIGNS * FL_MAX_EXPERTS);
    for (size_t sign = 0; sign < FL_SIGNS; sign++) {
        const size_t count = none                               ? 0
                             : fl_sign_of_expert((fl_sign)sign) ? watch->server->experts
                                                                : 1;
        for (size_t i = count; i < FL_MAX_EXPERTS; i++)
            fl_walk_need(w, !watch->seen[sign][i], "watch.seen",
                         "flags of a signature at most of the first", count);
    }
}

static void walk_watch(fl_walk *w)
{
    fl_watch *watch = &w->run->watch;
    const bool begun = fl_bounds_begun(w->run);
    fl_walk_flags(w, "watch.begun", &watch->begun, 1);
    fl_walk_need(w, watch->begun == begun, "watch.begun", "that of its rounds", begun);
    walk_seen(w, watch);
    for (size_t i = 0; i < watch->server->experts; i++)
        walk_watched(w, watch, i);
    fl_table *tables[FL_WATCH_TABLES];
    fl_watch_tables(tables, watch);
    for (size_t i = 0; i < FL_WATCH_TABLES; i++)
        walk_table(w, tables[i]);
}

static void walk_all(fl_walk *w)
{
    walk_common(w);
    walk_anchors(w);
    walk_server(w);
    walk_record(w);
    walk_watch(w);
}

/* ---- the whole ---- */

ddome_status fl_state_write(fl_run *run, nn_digest *digest, const char *name, uint32_t round,
                            const char *identity)
{
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_walk w = {.run = run, .error = run->error, .arena = &run->scratch};
    fl_walk_list(&w, FL_WALK_U8, "identity", identity, strlen(identity));
    fl_walk_values(&w, FL_WALK_U32, "round", &round, 1);
    walk_all(&w);
    ddome_status status = w.status == DDOME_OK ? fl_walk_write(&w, digest, name) : w.status;
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

ddome_status fl_state_check(ddome_error *error, nn_arena *arena, uint32_t *round,
                            const data_safetensors *file, const char *name, const char *identity)
{
    const data_safetensor *saved = data_safetensors_find(file, "identity");
    fl_walk w = {.error = error, .arena = arena, .file = file};
    if (saved == NULL || strcmp(saved->dtype, "U8") != 0 || saved->rank != 1) {
        fl_walk_misfit(&w, "identity", "U8", 1);
        return w.status;
    }
    fl_walk_values(&w, FL_WALK_U32, "round", round, 1);
    char *text = fl_walk_room(&w, saved->byte_count + 1, 1);
    if (text == NULL)
        return w.status;
    ddome_status status =
        data_safetensors_read(error, file, saved, 0, (unsigned char *)text, saved->byte_count);
    if (status != DDOME_OK)
        return status;
    if (strlen(text) != saved->byte_count) {
        fl_walk_misfit(&w, "identity", "text", saved->byte_count);
        return w.status;
    }
    return fl_identity_compare(error, arena, text, identity, name);
}

/* For parts that no bound of a whole run is needed for. */
static const fl_bounds unbound = {.batches = 0};

static ddome_status read_by(fl_run *run, const data_safetensors *file, size_t *found,
                            fl_bounds bounds, void (*parts)(fl_walk *w))
{
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_walk w = {
        .run = run, .error = run->error, .arena = &run->scratch, .file = file, .bounds = bounds};
    parts(&w);
    *found = w.found;
    nn_arena_rewind(&run->scratch, mark);
    return w.status;
}

ddome_status fl_state_tables(fl_run *run, const data_safetensors *file)
{
    size_t found;
    return read_by(run, file, &found, unbound, walk_hashed_tables);
}

ddome_status fl_state_common(fl_run *run, const data_safetensors *file)
{
    size_t found;
    return read_by(run, file, &found, unbound, walk_common);
}

ddome_status fl_state_anchors(fl_run *run, const data_safetensors *file)
{
    size_t found;
    return read_by(run, file, &found, unbound, walk_anchors);
}

ddome_status fl_state_take(fl_run *run, const data_safetensors *file)
{
    size_t found;
    ddome_status status = read_by(run, file, &found, fl_bounds_of(run), walk_all);
    const size_t expected = found + 2; /* identity and round */
    if (status == DDOME_OK && expected != file->count)
        return nn_fail(run->error, DDOME_ERR_RESUME,
                       "the checkpoint does not fit the run: expected %lu tensors, found %lu",
                       (unsigned long)expected, (unsigned long)file->count);
    return status;
}

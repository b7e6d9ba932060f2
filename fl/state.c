/* SPDX-License-Identifier: MIT */
/* One walk over all that a run is, in which every part says its name, type and place: to write it,
 * or to read it back, so that neither can forget what the other has. SPEC 17.6.3, 17.6.5. */
#include "state.h"

#include <stdio.h>
#include <string.h>

#include "identity.h"
#include "state_walk.h"

/* ---- the parts of a run ---- */

static void walk_common(fl_walk *w)
{
    fl_common *common = &w->run->common;
    if (common->values == NULL)
        return;
    fl_walk_values(w, FL_WALK_U64, "common.batches", &common->batches, 1);
    fl_walk_size(w, "common.correct", &common->correct, SIZE_MAX);
    fl_walk_size(w, "common.epochs", &common->epochs, SIZE_MAX);
    fl_walk_size(w, "common.total", &common->total, SIZE_MAX);
    fl_walk_values(w, FL_WALK_F32, "common.values", common->values, common->floats);
}

/* As clusters found them; otherwise the partition tells (SPEC 10.4). */
static void walk_anchors(fl_walk *w)
{
    fl_control *control = &w->run->control;
    if (!control->cluster)
        return;
    fl_walk_values(w, FL_WALK_U32, "anchors", control->anchor, control->anchors);
    for (size_t q = 0; q < control->anchors && w->status == DDOME_OK; q++)
        for (size_t other = 0; other <= q; other++)
            if (control->anchor[q] >= control->training ||
                (other < q && control->anchor[q] == control->anchor[other]))
                fl_walk_misfit(w, "anchors", "distinct clients below", control->training);
}

static void walk_slot(fl_walk *w, const char *prefix, size_t index, fl_slot *slot)
{
    char name[FL_WALK_NAME];
    fl_walk_values(w, FL_WALK_U64, fl_walk_indexed(name, prefix, index, "batches"), &slot->batches,
                   1);
    fl_walk_values(w, FL_WALK_F32, fl_walk_indexed(name, prefix, index, "values"), slot->values,
                   slot->model->layout.total);
    if (w->file != NULL && w->status == DDOME_OK)
        slot->hash = nn_layout_hash(&slot->model->layout, slot->values);
}

static void walk_own(fl_walk *w, fl_server *server)
{
    const size_t clients = server->config->clients, floats = w->run->expert.layout.total;
    char name[FL_WALK_NAME];
    float **values = fl_walk_room(w, clients, sizeof *values);
    if (values == NULL)
        return;
    for (size_t i = 0; i < clients; i++)
        values[i] = server->own[i].values;
    const bool *there = fl_walk_present(w, "own", values, clients);
    for (size_t i = 0; i < clients && w->status == DDOME_OK; i++) {
        if (!there[i])
            continue;
        fl_walk_values(w, FL_WALK_U64, fl_walk_indexed(name, "own", i, "batches"),
                       &server->own[i].batches, 1);
        fl_walk_array(w, fl_walk_indexed(name, "own", i, "values"), &server->own[i].values, floats);
    }
}

static void walk_arrays(fl_walk *w, const char *prefix, float **values, size_t count, size_t floats)
{
    char name[FL_WALK_NAME];
    const bool *there = fl_walk_present(w, prefix, values, count);
    for (size_t i = 0; i < count && w->status == DDOME_OK; i++)
        if (there[i])
            fl_walk_array(w, fl_walk_indexed(name, prefix, i, "values"), &values[i], floats);
}

static void walk_server(fl_walk *w)
{
    fl_server *server = &w->run->server;
    const size_t floats = w->run->expert.layout.total, clients = server->config->clients;
    for (size_t i = 0; i < server->experts; i++)
        walk_slot(w, "expert", i, &server->expert[i]);
    if (server->gate.model != NULL)
        walk_slot(w, "gate", 0, &server->gate);
    if (server->local != NULL)
        walk_arrays(w, "local", server->local, clients * server->experts, floats);
    if (server->own != NULL)
        walk_own(w, server);
    if (server->variates.server != NULL) {
        fl_walk_values(w, FL_WALK_F32, "variate.server", server->variates.server, floats);
        walk_arrays(w, "variate", server->variates.client, clients, floats);
    }
}

/* One outside the hashes that does not fit begins anew: no run is lost by it (SPEC 17.6.5). */
static void resume_table(fl_walk *w, fl_table *table, uint64_t size, const nn_digest *digest)
{
    ddome_error reason = {DDOME_OK, ""};
    char line[sizeof reason.text];
    const ddome_progress *progress = w->run->progress;
    const ddome_status status = fl_table_resume(&reason, &w->run->dir, table, size, digest);
    if (status == DDOME_OK)
        return;
    if (table->hashed || status != DDOME_ERR_RESUME) {
        w->status = nn_fail(w->error, status, "%s", reason.text);
        return;
    }
    snprintf(line, sizeof line, "%.440s; it begins anew", reason.text);
    if (progress != NULL && progress->notice != NULL)
        progress->notice(progress->user, line);
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

/* Of the rounds that a state has (SPEC 13.4). */
static size_t evaluations_of(const fl_run *run)
{
    const size_t every = run->config.eval_every, rounds = fl_run_rounds(run);
    return run->done / every + (run->done == rounds && rounds % every != 0);
}

static void walk_record(fl_walk *w)
{
    fl_record *record = &w->run->record;
    fl_table *tables[FL_RECORD_TABLES];
    fl_record_tables(tables, record);
    fl_walk_values(w, FL_WALK_U64, "traffic.down", &record->total.down, 1);
    fl_walk_values(w, FL_WALK_U64, "traffic.messages", &record->total.messages, 1);
    fl_walk_values(w, FL_WALK_U64, "traffic.round_trips", &record->total.round_trips, 1);
    fl_walk_values(w, FL_WALK_U64, "traffic.up", &record->total.up, 1);
    fl_walk_size(w, "evaluations", &record->evaluations, record->most_evaluations);
    if (w->file != NULL && w->status == DDOME_OK && record->evaluations != evaluations_of(w->run))
        fl_walk_misfit(w, "evaluations", "those of its rounds", evaluations_of(w->run));
    if (w->status != DDOME_OK)
        return;
    fl_walk_values(w, FL_WALK_F64, "evaluation.means", record->means, record->evaluations);
    fl_walk_values(w, FL_WALK_F64, "evaluation.last_mean", &record->last.mean, 1);
    fl_walk_values(w, FL_WALK_F64, "evaluation.last_least", &record->last.min, 1);
    for (size_t i = 0; i < FL_RECORD_TABLES; i++)
        walk_table(w, tables[i]);
}

static void walk_watched(fl_walk *w, fl_watch *watch, size_t i)
{
    fl_watched *expert = &watch->expert[i];
    char name[FL_WALK_NAME];
    fl_walk_values(w, FL_WALK_U64, fl_walk_indexed(name, "watch", i, "best"), &expert->best, 1);
    fl_walk_values(w, FL_WALK_U64, fl_walk_indexed(name, "watch", i, "common"), &expert->common, 1);
    fl_walk_values(w, FL_WALK_U64, fl_walk_indexed(name, "watch", i, "correct"), &expert->correct,
                   1);
    fl_walk_values(w, FL_WALK_F64, fl_walk_indexed(name, "watch", i, "cosines"), &expert->cosines,
                   1);
    fl_walk_values(w, FL_WALK_U32, fl_walk_indexed(name, "watch", i, "last"), &expert->last, 1);
    fl_walk_values(w, FL_WALK_F32, fl_walk_indexed(name, "watch", i, "now"), expert->now,
                   watch->values);
    fl_walk_values(w, FL_WALK_F32, fl_walk_indexed(name, "watch", i, "start"), expert->start,
                   watch->values);
    fl_walk_values(w, FL_WALK_U32, fl_walk_indexed(name, "watch", i, "trained"), &expert->trained,
                   1);
    fl_walk_size(w, fl_walk_indexed(name, "watch", i, "updates"), &expert->updates, w->run->done);
}

static void walk_watch(fl_walk *w)
{
    fl_watch *watch = &w->run->watch;
    fl_walk_flags(w, "watch.begun", &watch->begun, 1);
    fl_walk_flags(w, "watch.seen", (bool *)watch->seen, (size_t)FL_SIGNS * FL_MAX_EXPERTS);
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
    if (saved->byte_count != 0)
        memcpy(text, saved->bytes, saved->byte_count);
    if (strlen(text) != saved->byte_count) {
        fl_walk_misfit(&w, "identity", "text", saved->byte_count);
        return w.status;
    }
    return fl_identity_compare(error, arena, text, identity, name);
}

static ddome_status read_by(fl_run *run, const data_safetensors *file, size_t *found,
                            void (*parts)(fl_walk *w))
{
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_walk w = {.run = run, .error = run->error, .arena = &run->scratch, .file = file};
    parts(&w);
    *found = w.found;
    nn_arena_rewind(&run->scratch, mark);
    return w.status;
}

ddome_status fl_state_tables(fl_run *run, const data_safetensors *file)
{
    size_t found;
    return read_by(run, file, &found, walk_hashed_tables);
}

ddome_status fl_state_common(fl_run *run, const data_safetensors *file)
{
    size_t found;
    return read_by(run, file, &found, walk_common);
}

ddome_status fl_state_anchors(fl_run *run, const data_safetensors *file)
{
    size_t found;
    return read_by(run, file, &found, walk_anchors);
}

ddome_status fl_state_take(fl_run *run, const data_safetensors *file)
{
    size_t found;
    ddome_status status = read_by(run, file, &found, walk_all);
    const size_t expected = found + 2; /* identity and round */
    if (status == DDOME_OK && expected != file->count)
        return nn_fail(run->error, DDOME_ERR_RESUME,
                       "the checkpoint does not fit the run: expected %lu tensors, found %lu",
                       (unsigned long)expected, (unsigned long)file->count);
    return status;
}

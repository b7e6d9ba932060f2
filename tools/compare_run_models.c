/* SPDX-License-Identifier: MIT */
/* The models of two run directories. SPEC 17.1.1, 19.4.2. */
#include <string.h>

#include "../fl/config_table.h"
#include "../fl/files.h"
#include "../nn/os.h"
#include "compare_run.h"

static void take_model(run_pair *pair, run_part *part, const compare_model *model, run_stage stage)
{
    part->units = model->tensors - model->missing;
    part->differing = model->differing_count;
    part->missing = model->missing;
    part->extra = model->extra;
    if (model->differing_count == 0)
        return;
    if (!pair->found_computed)
        pair->tensor = &model->differing[0];
    const run_finding found = {stage,        part->file,  model->differing[0].name,
                               NULL,         NULL,        COMPARE_NO_ULP,
                               RUN_NO_PLACE, RUN_NO_PLACE};
    run_found(pair, &found);
}

/* Only the first that differs is looked at again: the others' memory is given back. */
ddome_status run_model(ddome_error *error, run_pair *pair, const char *file, run_stage stage)
{
    const char *a, *b;
    compare_model model;
    run_part *part;
    nn_arena *arena = &pair->call->t->arena;
    ddome_status status = run_add_part(error, pair, &part, file, "tensors", &a, &b);
    if (status != DDOME_OK || !part->in_a || !part->in_b)
        return status;
    const nn_arena_mark mark = nn_arena_get_mark(arena);
    status = compare_model_files(error, pair->call, &model, a, b);
    if (status != DDOME_OK)
        return status;
    const bool kept = model.differing_count != 0 && !pair->found_computed;
    take_model(pair, part, &model, stage);
    if (!kept)
        nn_arena_rewind(arena, mark);
    return DDOME_OK;
}

/* A model of final/; *there: one of the runs has it. */
static ddome_status final_model(ddome_error *error, run_pair *pair, const char *file, bool *there)
{
    nn_arena *arena = &pair->call->t->arena;
    const char *name = nn_arena_string(arena, file);
    if (name == NULL)
        return nn_arena_fail(error, arena, "paths");
    ddome_status status = run_model(error, pair, name, RUN_MODELS);
    *there = pair->last->in_a || pair->last->in_b;
    return status;
}

/* ---- models that stay with their clients ---- */

/* *clients becomes at least one more than each id among the participants of a line; a line that is
 * none has no participants. */
static ddome_status count_line(ddome_error *error, nn_arena *arena, size_t *clients,
                               const char *line, size_t length)
{
    ddome_error inner = {DDOME_OK, ""};
    const uint64_t most = fl_config_find("clients", NULL)->high;
    const data_json_value *round;
    uint64_t id;
    const ddome_status status = data_json_parse(&inner, arena, &round, line, length);
    if (status == DDOME_ERR_MEMORY)
        return nn_fail(error, status, "%s", inner.text);
    const data_json_value *ids =
        status == DDOME_OK ? data_json_member(round, "participants") : NULL;
    for (const data_json_value *at = ids == NULL ? NULL : ids->child; at != NULL; at = at->next)
        if (data_json_u64(&id, at) && id < most)
            *clients = nn_max(*clients, (size_t)id + 1);
    return DDOME_OK;
}

/* The same of all lines of a run. */
static ddome_status count_clients(ddome_error *error, tool *t, size_t *clients, const char *run)
{
    unsigned char *bytes;
    size_t size;
    const char *path = compare_path(t, run, FL_FILE_ROUNDS);
    if (path == NULL)
        return nn_arena_fail(error, &t->arena, "paths");
    if (!nn_os_exists(path))
        return DDOME_OK;
    ddome_status status = nn_os_read_file(error, &t->arena, &bytes, &size, path, DDOME_ERR_DATA);
    for (size_t at = 0, length; status == DDOME_OK && at < size; at += length + 1) {
        const nn_arena_mark mark = nn_arena_get_mark(&t->arena);
        const unsigned char *end = memchr(bytes + at, '\n', size - at);
        length = end == NULL ? size - at : (size_t)(end - (bytes + at));
        status = count_line(error, &t->arena, clients, (const char *)bytes + at, length);
        nn_arena_rewind(&t->arena, mark);
    }
    return status;
}

/* Those of SPEC 12.6.6 are of the clients that took part. */
static ddome_status client_models(ddome_error *error, run_pair *pair)
{
    char file[FL_FILE_NAME];
    bool there;
    size_t clients = 0;
    ddome_status status = count_clients(error, pair->call->t, &clients, pair->call->a);
    if (status == DDOME_OK)
        status = count_clients(error, pair->call->t, &clients, pair->call->b);
    for (size_t i = 0; status == DDOME_OK && i < clients; i++)
        status = final_model(error, pair, fl_file_client(file, i), &there);
    return status;
}

/* ---- all of them ---- */

/* A run has models of its experts or of its clients. */
ddome_status run_finals(ddome_error *error, run_pair *pair)
{
    char file[FL_FILE_NAME];
    bool there = true;
    size_t experts = 0;
    ddome_status status = run_model(error, pair, FL_FILE_GATE, RUN_MODELS);
    for (; status == DDOME_OK && there && experts < FL_MAX_EXPERTS; experts++)
        status = final_model(error, pair, fl_file_expert(file, experts), &there);
    if (status == DDOME_OK && experts == 1 && !there)
        status = client_models(error, pair);
    return status;
}

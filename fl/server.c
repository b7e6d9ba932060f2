/* SPDX-License-Identifier: MIT */
/* acc += (double)n_k * (double)w_k in ascending client id; w = (float)(acc / sum of n_k). With
 * control variates a step along the mean of the moves. Clients may keep their models.
 * SPEC 11.5, 12.6. */
#include "server.h"

#include <string.h>

#include "ifca.h"
#include "trace_model.h"

/* ---- start ---- */

static ddome_status init_slot(ddome_error *error, nn_arena *arena, fl_slot *slot,
                              const fl_model *model)
{
    memset(slot, 0, sizeof *slot);
    slot->model = model;
    slot->values = nn_arena_alloc(arena, model->layout.total, sizeof *slot->values);
    slot->sum = nn_arena_alloc(arena, model->layout.total, sizeof *slot->sum);
    if (slot->values == NULL || slot->sum == NULL)
        return nn_arena_fail(error, arena, "a model of the server");
    return DDOME_OK;
}

/* SPEC 12.4; a head is the end of the common expert's vector, its last layer (SPEC 12.6.8). */
static void start_expert(fl_slot *slot, const fl_common *start, const fl_config *config,
                         uint32_t index)
{
    const nn_layout *layout = &slot->model->layout;
    if (start != NULL) {
        const float *from = start->values + (start->floats - layout->total);
        memcpy(slot->values, from, layout->total * sizeof *slot->values);
        slot->batches = start->batches;
    } else {
        nn_layout_init(slot->values, layout, config->seed, NN_STREAM_INIT_EXPERT, index);
    }
    if (start != NULL && fl_algorithm_of(config)->choice == FL_CHOICE_LOSS)
        fl_ifca_perturb(slot->values, layout, config, index);
    slot->hash = nn_layout_hash(layout, slot->values);
}

static ddome_status init_gate(ddome_error *error, nn_arena *arena, fl_server *server,
                              const fl_model *gate)
{
    if (gate == NULL)
        return DDOME_OK;
    ddome_status status = init_slot(error, arena, &server->gate, gate);
    if (status != DDOME_OK)
        return status;
    nn_layout_init(server->gate.values, &gate->layout, server->config->seed, NN_STREAM_INIT_GATE,
                   0);
    server->gate.hash = nn_layout_hash(&gate->layout, server->gate.values);
    return DDOME_OK;
}

static ddome_status init_states(ddome_error *error, nn_arena *arena, fl_server *server,
                                const fl_model *expert)
{
    const fl_config *config = server->config;
    const fl_algorithm *algorithm = fl_algorithm_of(config);
    if (algorithm->own) {
        server->own = nn_arena_zero(arena, config->clients, sizeof *server->own);
        if (server->own == NULL)
            return nn_arena_fail(error, arena, "the clients' models");
    }
    if (algorithm->correction != FL_CORRECTION_VARIATES)
        return DDOME_OK;
    return fl_variates_init(error, arena, &server->variates, &expert->layout, config->clients);
}

ddome_status fl_server_init(ddome_error *error, nn_arena *arena, fl_server *server,
                            const fl_config *config, const fl_model *expert, const fl_model *gate,
                            const fl_common *start, size_t experts)
{
    memset(server, 0, sizeof *server);
    server->config = config;
    server->experts = experts;
    server->expert = nn_arena_zero(arena, experts, sizeof *server->expert);
    if (server->expert == NULL)
        return nn_arena_fail(error, arena, "the server");
    ddome_status status = init_gate(error, arena, server, gate);
    if (status == DDOME_OK)
        status = init_states(error, arena, server, expert);
    for (size_t i = 0; i < experts && status == DDOME_OK; i++) {
        status = init_slot(error, arena, &server->expert[i], expert);
        if (status == DDOME_OK)
            start_expert(&server->expert[i], start, config, (uint32_t)i);
    }
    return status;
}

/* ---- what stays with clients: SPEC 12.6.9 ---- */

/* Clients times experts is no large number (SPEC 16.3). */
static ddome_status init_local(ddome_error *error, nn_arena *arena, fl_server *server,
                               const char *path)
{
    const nn_layout *layout = &server->expert[0].model->layout;
    const size_t floats = layout->total - layout->trained;
    server->packed = nn_arena_alloc(arena, floats, sizeof *server->packed);
    if (server->packed == NULL)
        return nn_arena_fail(error, arena, "a client's batch-norm statistics");
    return fl_store_init(error, arena, &server->local, server->config->clients * server->experts,
                         floats, path);
}

ddome_status fl_server_init_stores(ddome_error *error, nn_arena *arena, fl_server *server,
                                   const char *path)
{
    const size_t clients = server->config->clients, floats = server->expert[0].model->layout.total;
    ddome_status status = DDOME_OK;
    if (server->own != NULL)
        return fl_store_init(error, arena, &server->models, clients, floats, path);
    if (server->config->bn_stats == FL_BN_LOCAL && fl_algorithm_of(server->config)->rounds)
        status = init_local(error, arena, server, path);
    if (status == DDOME_OK && server->variates.server != NULL)
        status = fl_store_init(error, arena, &server->variates.client, clients, floats, path);
    return status;
}

void fl_server_close_stores(fl_server *server)
{
    fl_store_close(&server->local);
    fl_store_close(&server->models);
    fl_store_close(&server->variates.client);
}

/* Running statistics (D11). */
static size_t local_of(const fl_server *server, const fl_visit *visit, size_t i)
{
    return visit->client->id * server->experts + visit->chosen[i];
}

/* One slice behind the other. */
static void pack_statistics(float *packed, const float *values, const nn_layout *layout)
{
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        if (slice->kind != NN_SLICE_STATISTIC)
            continue;
        memcpy(packed, values + slice->offset, slice->count * sizeof *packed);
        packed += slice->count;
    }
}

static void unpack_statistics(float *values, const float *packed, const nn_layout *layout)
{
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        if (slice->kind != NN_SLICE_STATISTIC)
            continue;
        memcpy(values + slice->offset, packed, slice->count * sizeof *packed);
        packed += slice->count;
    }
}

static ddome_status send_statistics(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                                    size_t i, const fl_server *server)
{
    const size_t floats = server->local.floats;
    float *packed = nn_arena_alloc(scratch, floats, sizeof *packed);
    if (packed == NULL)
        return nn_arena_fail(error, scratch, "a client's batch-norm statistics");
    const ddome_status status =
        fl_store_read(error, &server->local, local_of(server, visit, i), 0, packed, floats);
    if (status == DDOME_OK)
        unpack_statistics(visit->expert[i], packed, &server->expert[0].model->layout);
    return status;
}

static ddome_status keep_statistics(ddome_error *error, fl_server *server, const fl_visit *visit,
                                    size_t i)
{
    pack_statistics(server->packed, visit->expert[i], &server->expert[0].model->layout);
    return fl_store_write(error, &server->local, local_of(server, visit, i), 0, server->packed,
                          server->local.floats);
}

/* Models (SPEC 12.6.6). */
ddome_status fl_server_values(ddome_error *error, nn_arena *scratch, const float **values,
                              const fl_server *server, uint32_t client, size_t expert)
{
    *values = server->expert[expert].values;
    if (!fl_store_has(&server->models, client))
        return DDOME_OK;
    float *own = nn_arena_alloc(scratch, server->models.floats, sizeof *own);
    if (own == NULL)
        return nn_arena_fail(error, scratch, "a client's model");
    *values = own;
    return fl_store_read(error, &server->models, client, 0, own, server->models.floats);
}

ddome_status fl_server_keep_model(ddome_error *error, fl_server *server, uint32_t client,
                                  const float *values, uint64_t batches)
{
    server->own[client].batches = batches;
    return fl_store_write(error, &server->models, client, 0, values, server->models.floats);
}

/* ---- the round ---- */

static void open_slot(fl_slot *slot)
{
    slot->weight = 0;
    slot->most = 0;
    slot->returned = 0;
}

void fl_server_open_round(fl_server *server)
{
    for (size_t i = 0; i < server->experts; i++)
        open_slot(&server->expert[i]);
    if (server->gate.model != NULL)
        open_slot(&server->gate);
    server->variates.returned = 0;
}

static float *copy_of(nn_arena *scratch, const fl_slot *slot)
{
    const size_t total = slot->model->layout.total;
    float *copy = nn_arena_alloc(scratch, total, sizeof *copy);
    if (copy != NULL)
        memcpy(copy, slot->values, total * sizeof *copy);
    return copy;
}

/* The server's values stay as they are while clients work, so they are no copy. */
static ddome_status send_correction(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                                    const fl_server *server)
{
    fl_correction *c = &visit->correction;
    *c = (fl_correction){.kind = fl_algorithm_of(server->config)->correction,
                         .mu = server->config->mu.value,
                         .start = server->expert[visit->chosen[0]].values};
    if (c->kind != FL_CORRECTION_VARIATES)
        return DDOME_OK;
    return fl_variates_send(error, scratch, c, &server->variates, visit->client->id);
}

/* A client that has a model goes on with it, as one with statistics of its own does with those. */
static ddome_status send_kept(ddome_error *error, nn_arena *scratch, fl_visit *visit, size_t i,
                              const fl_server *server)
{
    const uint32_t id = visit->client->id;
    if (fl_store_has(&server->local, local_of(server, visit, i)))
        return send_statistics(error, scratch, visit, i, server);
    if (!fl_store_has(&server->models, id))
        return DDOME_OK;
    visit->batches[i] = server->own[id].batches;
    return fl_store_read(error, &server->models, id, 0, visit->expert[i], server->models.floats);
}

ddome_status fl_server_send(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                            const fl_server *server)
{
    const bool gate = server->gate.model != NULL && !(visit->anchor && visit->gate_held);
    visit->gate = gate ? copy_of(scratch, &server->gate) : NULL;
    if (gate && visit->gate == NULL)
        return nn_arena_fail(error, scratch, "a client's copy of the gate");
    for (size_t i = 0; i < visit->k && !(visit->anchor && visit->experts_held); i++) {
        const fl_slot *slot = &server->expert[visit->chosen[i]];
        visit->expert[i] = copy_of(scratch, slot);
        visit->batches[i] = slot->batches;
        if (visit->expert[i] == NULL)
            return nn_arena_fail(error, scratch, "a client's copy of an expert");
        const ddome_status status = send_kept(error, scratch, visit, i, server);
        if (status != DDOME_OK)
            return status;
    }
    return send_correction(error, scratch, visit, server);
}

/* Which rule forms the average of a slice. */
typedef enum merge { MERGE_AVERAGE, MERGE_FIRST, MERGE_KEEP, MERGE_MOVE } merge;

static merge merge_of(const fl_config *config, const nn_slice *slice)
{
    if (slice->kind == NN_SLICE_TRAINED &&
        fl_algorithm_of(config)->correction == FL_CORRECTION_VARIATES)
        return MERGE_MOVE;
    if (slice->kind == NN_SLICE_TRAINED || config->bn_stats == FL_BN_AVERAGE)
        return MERGE_AVERAGE;
    return config->bn_stats == FL_BN_FIRST ? MERGE_FIRST : MERGE_KEEP;
}

/* The first copy of a round starts the sum from +0. */
static void add_slice(double *sum, const float *values, size_t count, double weight, bool first)
{
    for (size_t i = 0; i < count; i++) {
        double product = weight * (double)values[i];
        double before = first ? 0 : sum[i];
        sum[i] = before + product;
    }
}

/* MERGE_MOVE: how far each copy has come from the server's values. */
static void add_moves(double *sum, const float *values, const float *start, size_t count,
                      bool first)
{
    for (size_t i = 0; i < count; i++) {
        double moved = (double)values[i] - (double)start[i];
        double before = first ? 0 : sum[i];
        sum[i] = before + moved;
    }
}

/* Exactly, -0 included. */
static void widen_slice(double *sum, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] = (double)values[i];
}

/* Its quotient by the steps times lr (SPEC 12.6.3) may be too large where the model is not. */
static ddome_status check_variate(ddome_error *error, const fl_server *server,
                                  const fl_visit *visit)
{
    const fl_correction *c = &visit->correction;
    const size_t count = server->variates.total;
    ddome_status status =
        fl_nonfinite_check(error, "update", "given", "variate", "c_k", c->own, count);
    if (status == DDOME_OK)
        status = fl_nonfinite_check(error, "update", "given", "variate", "d", c->change, count);
    return fl_nonfinite_in(error, status, "raise lr", "round %u, client %u", (unsigned)visit->round,
                           (unsigned)visit->client->id);
}

static void take_slot(fl_slot *slot, const float *values, uint64_t batches, double weight,
                      const fl_config *config)
{
    const nn_layout *layout = &slot->model->layout;
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        const size_t at = slice->offset;
        if (merge_of(config, slice) == MERGE_AVERAGE)
            add_slice(slot->sum + at, values + at, slice->count, weight, slot->returned == 0);
        else if (merge_of(config, slice) == MERGE_MOVE)
            add_moves(slot->sum + at, values + at, slot->values + at, slice->count,
                      slot->returned == 0);
        else if (merge_of(config, slice) == MERGE_FIRST && slot->returned == 0)
            widen_slice(slot->sum + at, values + at, slice->count);
    }
    slot->weight = slot->weight + weight;
    slot->most = batches > slot->most ? batches : slot->most;
    slot->returned++;
}

ddome_status fl_server_take(ddome_error *error, fl_server *server, const fl_visit *visit)
{
    const fl_config *config = server->config;
    const double weight =
        config->aggregate == FL_AGGREGATE_UNIFORM ? 1.0 : (double)visit->client->count;
    if (server->own != NULL) {
        server->own[visit->client->id].hash =
            nn_layout_hash(&server->expert[0].model->layout, visit->expert[0]);
        return fl_server_keep_model(error, server, visit->client->id, visit->expert[0],
                                    visit->batches[0]);
    }
    if (visit->gate != NULL && !visit->gate_held)
        take_slot(&server->gate, visit->gate, 0, weight, config);
    if (visit->experts_held)
        return DDOME_OK;
    for (size_t i = 0; i < visit->k; i++)
        take_slot(&server->expert[visit->chosen[i]], visit->expert[i], visit->batches[i], weight,
                  config);
    ddome_status status = DDOME_OK;
    if (visit->correction.kind == FL_CORRECTION_VARIATES)
        status = check_variate(error, server, visit);
    if (status == DDOME_OK && visit->correction.kind == FL_CORRECTION_VARIATES)
        status = fl_variates_take(error, &server->variates, &visit->correction, visit->client->id);
    for (size_t i = 0; fl_store_is_set(&server->local) && i < visit->k && status == DDOME_OK; i++)
        status = keep_statistics(error, server, visit, i);
    return status;
}

/* x = (float)((double)x + ((eta_g * sum) / |S|)), SPEC 12.6.3. */
static void move_slice(fl_slot *slot, const nn_slice *slice, const fl_config *config)
{
    const double rate = (double)config->server_lr.value;
    for (size_t i = slice->offset; i < slice->offset + slice->count; i++) {
        double scaled = rate * slot->sum[i];
        double mean = scaled / slot->weight;
        double moved = (double)slot->values[i] + mean;
        slot->values[i] = (float)moved;
    }
}

static void average_slot(fl_slot *slot, const fl_config *config)
{
    const nn_layout *layout = &slot->model->layout;
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        const merge rule = merge_of(config, slice);
        const double weight = rule == MERGE_FIRST ? 1.0 : slot->weight;
        if (rule == MERGE_MOVE)
            move_slice(slot, slice, config);
        if (rule == MERGE_KEEP || rule == MERGE_MOVE)
            continue;
        for (size_t i = slice->offset; i < slice->offset + slice->count; i++) {
            double mean = slot->sum[i] / weight;
            slot->values[i] = (float)mean;
        }
    }
    slot->batches = slot->most;
    slot->hash = nn_layout_hash(layout, slot->values);
}

/* Copies that are finite have a finite mean; a step along it need not be (SPEC 12.6.3). */
static ddome_status check_finite(ddome_error *error, const fl_server *server, const fl_slot *slot,
                                 const char *scope)
{
    const ddome_status status =
        fl_nonfinite_model(error, "average", "average", scope, &slot->model->layout, slot->values);
    return fl_nonfinite_in(error, status, "lower lr, gate_lr or server_lr", "round %u",
                           (unsigned)server->round);
}

static ddome_status move_variates(ddome_error *error, fl_server *server)
{
    fl_variates *v = &server->variates;
    fl_variates_move(v, &server->expert[0].model->layout);
    const ddome_status status =
        fl_nonfinite_check(error, "average", "given", "variate", "c", v->server, v->total);
    return fl_nonfinite_in(error, status, "lower lr", "round %u", (unsigned)server->round);
}

ddome_status fl_server_average(ddome_error *error, fl_server *server)
{
    char scope[FL_TRACE_SCOPE] = "gate";
    ddome_status status = DDOME_OK;
    if (server->gate.model != NULL && server->gate.returned != 0) {
        average_slot(&server->gate, server->config);
        status = check_finite(error, server, &server->gate, scope);
    }
    for (size_t i = 0; i < server->experts && status == DDOME_OK; i++) {
        if (server->expert[i].returned == 0)
            continue;
        fl_trace_scope_expert(scope, i);
        average_slot(&server->expert[i], server->config);
        status = check_finite(error, server, &server->expert[i], scope);
    }
    if (status == DDOME_OK && server->variates.server != NULL)
        status = move_variates(error, server);
    return status;
}

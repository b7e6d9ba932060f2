/* SPDX-License-Identifier: MIT */
/* c += (1/N) sum of the changes, in binary64 and ascending client id. SPEC 12.6.3. */
#include "variates.h"

#include <string.h>

ddome_status fl_variates_init(ddome_error *error, nn_arena *arena, fl_variates *variates,
                              const nn_layout *layout, size_t clients)
{
    *variates = (fl_variates){.total = layout->total, .clients = clients};
    variates->server = nn_arena_zero(arena, layout->total, sizeof *variates->server);
    variates->sum = nn_arena_zero(arena, layout->total, sizeof *variates->sum);
    variates->client = nn_arena_zero(arena, clients, sizeof *variates->client);
    if (variates->server == NULL || variates->sum == NULL || variates->client == NULL)
        return nn_arena_fail(error, arena, "control variates");
    return DDOME_OK;
}

ddome_status fl_variates_send(ddome_error *error, nn_arena *scratch, fl_correction *correction,
                              const fl_variates *variates, size_t client)
{
    const float *kept = variates->client[client];
    correction->own = nn_arena_zero(scratch, variates->total, sizeof *correction->own);
    correction->change = nn_arena_zero(scratch, variates->total, sizeof *correction->change);
    if (correction->own == NULL || correction->change == NULL)
        return nn_arena_fail(error, scratch, "a client's control variate");
    if (kept != NULL)
        memcpy(correction->own, kept, variates->total * sizeof *kept);
    correction->server = variates->server;
    return DDOME_OK;
}

ddome_status fl_variates_take(ddome_error *error, nn_arena *arena, fl_variates *variates,
                              const fl_correction *correction, size_t client)
{
    float **kept = &variates->client[client];
    if (*kept == NULL)
        *kept = nn_arena_alloc(arena, variates->total, sizeof **kept);
    if (*kept == NULL)
        return nn_arena_fail(error, arena, "a client's control variate");
    memcpy(*kept, correction->own, variates->total * sizeof **kept);
    for (size_t i = 0; i < variates->total; i++) {
        double before = variates->returned == 0 ? 0 : variates->sum[i];
        variates->sum[i] = before + (double)correction->change[i];
    }
    variates->returned++;
    return DDOME_OK;
}

void fl_variates_move(fl_variates *variates, const nn_layout *layout)
{
    for (size_t s = 0; s < layout->count && variates->returned != 0; s++) {
        const nn_slice *slice = &layout->slices[s];
        for (size_t i = slice->offset; i < slice->offset + slice->count; i++) {
            if (slice->kind != NN_SLICE_TRAINED)
                continue;
            double mean = variates->sum[i] / (double)variates->clients;
            double moved = (double)variates->server[i] + mean;
            variates->server[i] = (float)moved;
        }
    }
}

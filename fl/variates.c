/* SPDX-License-Identifier: MIT */
/* c += (1/N) sum of the changes, in binary64 and ascending client id. SPEC 12.6.3. */
#include "variates.h"

ddome_status fl_variates_init(ddome_error *error, nn_arena *arena, fl_variates *variates,
                              const nn_layout *layout, size_t clients)
{
    *variates = (fl_variates){.total = layout->total, .clients = clients};
    variates->server = nn_arena_zero(arena, layout->total, sizeof *variates->server);
    variates->sum = nn_arena_zero(arena, layout->total, sizeof *variates->sum);
    if (variates->server == NULL || variates->sum == NULL)
        return nn_arena_fail(error, arena, "control variates");
    return DDOME_OK;
}

ddome_status fl_variates_send(ddome_error *error, nn_arena *scratch, fl_correction *correction,
                              const fl_variates *variates, size_t client)
{
    correction->own = nn_arena_zero(scratch, variates->total, sizeof *correction->own);
    correction->change = nn_arena_zero(scratch, variates->total, sizeof *correction->change);
    if (correction->own == NULL || correction->change == NULL)
        return nn_arena_fail(error, scratch, "a client's control variate");
    correction->server = variates->server;
    if (!fl_store_has(&variates->client, client))
        return DDOME_OK;
    return fl_store_read(error, &variates->client, client, 0, correction->own, variates->total);
}

ddome_status fl_variates_take(ddome_error *error, fl_variates *variates,
                              const fl_correction *correction, size_t client)
{
    for (size_t i = 0; i < variates->total; i++) {
        double before = variates->returned == 0 ? 0 : variates->sum[i];
        variates->sum[i] = before + (double)correction->change[i];
    }
    variates->returned++;
    return fl_store_write(error, &variates->client, client, 0, correction->own, variates->total);
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

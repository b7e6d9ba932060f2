/* SPDX-License-Identifier: MIT */
/* One place a client in a file without a name, given in the order of the first visits. */
#include "store.h"

ddome_status fl_store_init(ddome_error *error, nn_arena *arena, fl_store *store, size_t count,
                           size_t floats, const char *path)
{
    size_t *place = nn_arena_zero(arena, count, sizeof *place);
    if (place == NULL)
        return nn_arena_fail(error, arena, "what stays with clients");
    *store = (fl_store){.count = count, .floats = floats, .place = place, .path = path};
    return DDOME_OK;
}

void fl_store_close(fl_store *store)
{
    nn_os_spill_close(&store->spill);
    *store = (fl_store){.count = 0};
}

bool fl_store_is_set(const fl_store *store)
{
    return store->place != NULL;
}

bool fl_store_has(const fl_store *store, size_t index)
{
    return index < store->count && store->place[index] != 0;
}

/* Of the value `first` of the array in a place. */
static uint64_t byte_of(const fl_store *store, size_t place, size_t first)
{
    return ((uint64_t)(place - 1) * store->floats + first) * sizeof(float);
}

ddome_status fl_store_read(ddome_error *error, const fl_store *store, size_t index, size_t first,
                           float *values, size_t count)
{
    return nn_os_spill_read(error, &store->spill, byte_of(store, store->place[index], first),
                            values, count * sizeof *values);
}

ddome_status fl_store_write(ddome_error *error, fl_store *store, size_t index, size_t first,
                            const float *values, size_t count)
{
    const bool new = store->place[index] == 0;
    const size_t place = new ? store->used + 1 : store->place[index];
    ddome_status status = DDOME_OK;
    if (!nn_os_spill_is_open(&store->spill))
        status = nn_os_spill_open(error, &store->spill, store->path);
    if (status != DDOME_OK)
        return status;
    status = nn_os_spill_write(error, &store->spill, byte_of(store, place, first), values,
                               count * sizeof *values);
    if (status == DDOME_OK && new)
        store->place[index] = store->used = place;
    return status;
}

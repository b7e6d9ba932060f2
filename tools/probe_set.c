/* SPDX-License-Identifier: MIT */
/* The vectors of a probe: two orders and one of fused products, with what the rules give.
 * SPEC 19.6. */
#include "probe_set.h"

#include <string.h>

#include "../nn/selftest.h"

static const char *const ids[PROBE_CASES] = {"probe.order_32", "probe.order_600", "probe.fused"};

static nn_value matrix(const char *name, const float *data, size_t rows, size_t cols)
{
    const nn_value value = {.name = name,
                            .type = NN_VALUE_F32,
                            .rank = 2,
                            .shape = {rows, cols},
                            .count = rows * cols,
                            .f32 = data};
    return value;
}

static ddome_status finish_case(ddome_error *error, nn_arena *arena, probe_case *one)
{
    const nn_variant rules = {{0}};
    size_t count;
    one->work.op = "matmul";
    one->work.arith = NN_ARITH_MA;
    one->work.inputs = one->input;
    one->work.input_count = 2;
    return nn_variant_run(error, arena, &one->expected, &count, &one->work, &rules);
}

static ddome_status make_order(ddome_error *error, nn_arena *arena, probe_set *set, size_t i,
                               size_t leaves)
{
    probe_case *one = &set->one[i];
    probe_order *order = &set->order[i];
    ddome_status status = probe_order_new(error, arena, order, leaves);
    if (status != DDOME_OK)
        return status;
    float *a = nn_arena_alloc(arena, order->count * leaves, sizeof *a);
    float *b = nn_arena_alloc(arena, leaves, sizeof *b);
    if (a == NULL || b == NULL)
        return nn_arena_fail(error, arena, "probe");
    probe_order_rows(a, order);
    for (size_t k = 0; k < leaves; k++)
        b[k] = 1.0f;
    one->input[0] = matrix("a", a, order->count, leaves);
    one->input[1] = matrix("b", b, leaves, 1);
    return finish_case(error, arena, one);
}

static ddome_status make_fused(ddome_error *error, nn_arena *arena, probe_case *one)
{
    const size_t leaves = PROBE_FUSED, columns = 2 * (leaves - 1);
    float *a = nn_arena_alloc(arena, 2 * leaves, sizeof *a);
    float *b = nn_arena_alloc(arena, leaves * columns, sizeof *b);
    if (a == NULL || b == NULL)
        return nn_arena_fail(error, arena, "probe");
    probe_fused_rows(a, b);
    one->input[0] = matrix("a", a, 2, leaves);
    one->input[1] = matrix("b", b, leaves, columns);
    return finish_case(error, arena, one);
}

ddome_status probe_set_new(ddome_error *error, nn_arena *arena, probe_set *set)
{
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < PROBE_CASES; i++)
        set->one[i].id = ids[i];
    ddome_status status = nn_selftest(error); /* what the rules give is computed (SPEC 3.7) */
    if (status == DDOME_OK)
        status = make_order(error, arena, set, 0, PROBE_SMALL);
    if (status == DDOME_OK)
        status = make_order(error, arena, set, 1, PROBE_LARGE);
    return status == DDOME_OK ? make_fused(error, arena, &set->one[2]) : status;
}

/* SPDX-License-Identifier: MIT */
/* Answers to the probe of an order: whatever counts another implementation gives, a tree is made
 * whose text and name can be written, or there is none. SPEC 19.6. */
#include <math.h>
#include <string.h>

#include "../../tools/probe.h"
#include "fuzz.h"

/* Byte 0 is the number of leaves, each of the others an answer; high ones are no counts. */
static float answer_of(unsigned char byte)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, -1.0f, -0.0f, 0.5f, 1e30f, 1e-45f};
    return byte < 256 - 8 ? (float)byte : odd[byte % 8];
}

/* Each leaf stands below the root once. */
static void check_tree(const probe_tree *tree)
{
    size_t leaves = 0, visited = 0, at = tree->root;
    size_t rest[2 * 64], depth = 0;
    for (bool more = true; more; more = depth > 0, at = more ? rest[--depth] : at) {
        FUZZ_CHECK(at < tree->count && ++visited <= tree->count);
        leaves += at < tree->leaves;
        for (size_t c = tree->node[at].child; c != SIZE_MAX; c = tree->node[c].next) {
            FUZZ_CHECK(depth < sizeof rest / sizeof *rest);
            rest[depth++] = c;
        }
    }
    FUZZ_CHECK(leaves == tree->leaves);
}

static ddome_status check_order(fuzz_call *call, const probe_order *order)
{
    probe_tree tree;
    bool is_tree = false;
    size_t odd = 0;
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    ddome_status status = probe_tree_new(&call->error, &call->arena, &tree, &is_tree, &odd, order);
    if (status == DDOME_OK && is_tree) {
        check_tree(&tree);
        probe_tree_text(&text, &tree);
        status = probe_names(&call->error, &arena, &text, &order, 1);
        FUZZ_CHECK(!text.failed);
    } else
        status = nn_fail(&call->error, DDOME_ERR_DATA, "no tree, at pair %lu", (unsigned long)odd);
    FUZZ_CHECK(odd < order->count);
    nn_arena_free(&arena);
    return status;
}

ddome_status fuzz_probe(fuzz_call *call)
{
    nn_arena arena = {0};
    probe_order order;
    size_t row;
    const size_t leaves = 2 + (call->size == 0 ? 0 : call->bytes[0] % (PROBE_SMALL - 1));
    ddome_status status = probe_order_new(&call->error, &arena, &order, leaves);
    float *answers = nn_arena_zero(&arena, order.count, sizeof *answers);
    FUZZ_CHECK(status == DDOME_OK && answers != NULL);
    for (size_t i = 0; i < order.count && i + 1 < call->size; i++)
        answers[i] = answer_of(call->bytes[i + 1]);
    if (probe_order_take(&order, &row, answers) == PROBE_TREE) {
        for (size_t i = 0; i < order.count; i++)
            FUZZ_CHECK(order.pair[i].meet >= 2 && order.pair[i].meet <= leaves);
        status = check_order(call, &order);
    } else
        status = nn_fail(&call->error, DDOME_ERR_DATA, "no counts");
    nn_arena_free(&arena);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* From the sizes at which leaves meet to the tree of the sum. SPEC 19.6.
 *
 * Leaf i holds 2^40 and leaf j its opposite: a number below 2^15 that is added to either is lost
 * (half an ULP below 2^40 is 2^15), and once both have met, the ones that follow are counted. So
 * the result is leaves - meet(i, j), where meet is the size of the smallest part that has both. */
#include "probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

NN_ASSUME(probe_ones_are_absorbed, (int)PROBE_LARGE < 1 << 15);

static const float huge = 1099511627776.0f; /* 2^40 */

/* ---- what is asked ---- */

static size_t pairs_of(size_t leaves, bool all)
{
    return all ? leaves * (leaves - 1) / 2 : 2 * leaves - 3; /* (0, 1) is in both families */
}

ddome_status probe_order_new(ddome_error *error, nn_arena *arena, probe_order *out, size_t leaves)
{
    const bool all = leaves <= PROBE_SMALL;
    const size_t count = pairs_of(leaves, all);
    probe_pair *pair = nn_arena_zero(arena, count, sizeof *pair), *at = pair;
    if (pair == NULL)
        return nn_arena_fail(error, arena, "pairs");
    for (size_t i = 0; i + 1 < leaves; i++)
        for (size_t j = i + 1; j < leaves; j++)
            if (all || i == 0 || j == i + 1) {
                at->i = i;
                at++->j = j;
            }
    const probe_order order = {leaves, count, pair, all};
    *out = order;
    return DDOME_OK;
}

void probe_order_rows(float *a, const probe_order *order)
{
    for (size_t row = 0; row < order->count; row++, a += order->leaves) {
        for (size_t k = 0; k < order->leaves; k++)
            a[k] = 1.0f;
        a[order->pair[row].i] = huge;
        a[order->pair[row].j] = -huge;
    }
}

probe_answer probe_order_take(probe_order *order, size_t *row, const float *result)
{
    const float most = (float)(order->leaves - 2);
    bool exact = true;
    for (*row = 0; *row < order->count; ++*row) {
        const float value = result[*row];
        if (!(value >= 0.0f && value <= most) || floorf(value) != value)
            return PROBE_NEITHER;
        order->pair[*row].meet = order->leaves - (size_t)value;
        exact = exact && value == most;
    }
    return exact ? PROBE_EXACT : PROBE_TREE;
}

/* ---- the tree ---- */

typedef struct growth {
    probe_tree *tree;
    size_t *top; /* [2 * leaves] above a node, itself where nothing is; paths are halved */
} growth;

static size_t top_of(const growth *g, size_t node)
{
    while (g->top[node] != node) {
        g->top[node] = g->top[g->top[node]];
        node = g->top[node];
    }
    return node;
}

static void adopt(growth *g, size_t parent, size_t child)
{
    probe_node *p = &g->tree->node[parent], *c = &g->tree->node[child];
    c->next = p->child;
    p->child = child;
    p->children++;
    p->known += c->known;
    p->least = nn_min(p->least, c->least);
    g->top[child] = parent;
}

static size_t new_node(growth *g, size_t size)
{
    const probe_node fresh = {size, size == 1, SIZE_MAX, SIZE_MAX, SIZE_MAX, 0};
    const size_t at = g->tree->count++;
    g->tree->node[at] = fresh;
    g->top[at] = at;
    return at;
}

/* Two parts of the same size that turn out to be one. */
static void merge(growth *g, size_t into, size_t from)
{
    for (size_t child = g->tree->node[from].child; child != SIZE_MAX;) {
        const size_t next = g->tree->node[child].next;
        adopt(g, into, child);
        child = next;
    }
    g->top[from] = into;
    g->tree->node[from].children = 0;
    g->tree->node[from].known = 0;
}

/* Pairs come by ascending size. False: the two are together in a smaller part. */
static bool join(growth *g, const probe_pair *pair)
{
    const probe_node *node = g->tree->node;
    size_t a = top_of(g, pair->i), b = top_of(g, pair->j);
    if (a == b)
        return node[a].size == pair->meet;
    const bool open_a = node[a].size == pair->meet, open_b = node[b].size == pair->meet;
    if (open_a && open_b) {
        merge(g, a, b);
        return true;
    }
    if (open_a || open_b) {
        adopt(g, open_a ? a : b, open_a ? b : a);
        return true;
    }
    const size_t parent = new_node(g, pair->meet);
    adopt(g, parent, a);
    adopt(g, parent, b);
    return true;
}

/* A part never has more leaves than its size says, and just as many where all pairs are known. */
static bool sizes_fit(const probe_tree *tree, bool all)
{
    for (size_t i = tree->leaves; i < tree->count; i++) {
        const probe_node *node = &tree->node[i];
        if (node->known > node->size || (all && node->children != 0 && node->known < node->size))
            return false;
    }
    return true;
}

static int by_meet(const void *a, const void *b)
{
    const probe_pair *x = a, *y = b;
    if (x->meet != y->meet)
        return x->meet < y->meet ? -1 : 1;
    if (x->i != y->i)
        return x->i < y->i ? -1 : 1;
    return x->j < y->j ? -1 : x->j > y->j;
}

static bool grow(growth *g, size_t *odd, const probe_pair *sorted, const probe_order *order)
{
    size_t at = 0;
    for (size_t i = 0; i < order->leaves; i++)
        g->tree->node[new_node(g, 1)].least = i;
    while (at < order->count && join(g, &sorted[at]))
        at++;
    g->tree->root = top_of(g, 0);
    for (*odd = 0; at < order->count && *odd + 1 < order->count; ++*odd)
        if (order->pair[*odd].i == sorted[at].i && order->pair[*odd].j == sorted[at].j)
            break;
    return at == order->count && g->tree->node[g->tree->root].size == order->leaves &&
           sizes_fit(g->tree, order->all);
}

ddome_status probe_tree_new(ddome_error *error, nn_arena *arena, probe_tree *out, bool *is_tree,
                            size_t *odd, const probe_order *order)
{
    growth g = {out, nn_arena_alloc(arena, 2 * order->leaves, sizeof *g.top)};
    probe_pair *sorted = nn_arena_alloc(arena, order->count, sizeof *sorted);
    out->leaves = order->leaves;
    out->count = 0;
    out->node = nn_arena_alloc(arena, 2 * order->leaves, sizeof *out->node);
    if (g.top == NULL || sorted == NULL || out->node == NULL)
        return nn_arena_fail(error, arena, "tree");
    memcpy(sorted, order->pair, order->count * sizeof *sorted);
    qsort(sorted, order->count, sizeof *sorted, by_meet);
    *is_tree = grow(&g, odd, sorted, order);
    return DDOME_OK;
}

/* ---- fused or not ---- */

void probe_fused_rows(float *a, float *b)
{
    const size_t leaves = PROBE_FUSED, columns = 2 * (leaves - 1);
    const float c = -1.00048828125f, root = 1.000244140625f; /* -(1 + 2^-11), 1 + 2^-12 */
    memset(b, 0, leaves * columns * sizeof *b);
    for (size_t k = 0; k < PROBE_FUSED; k++) {
        a[k] = k == 0 ? c : root;
        a[PROBE_FUSED + k] = k == 0 ? root : c;
    }
    for (size_t j = 1; j < PROBE_FUSED; j++) {
        const size_t first = j - 1, second = PROBE_FUSED - 1 + j - 1;
        b[first] = 1.0f;
        b[j * columns + first] = root;
        b[second] = root;
        b[j * columns + second] = 1.0f;
    }
}

probe_fusion probe_fused_take(const float *result)
{
    const size_t half = PROBE_FUSED - 1;
    size_t exact = 0, rounded = 0;
    for (size_t j = 0; j < half; j++) {
        const float pair[2] = {result[j], result[2 * half + half + j]};
        for (int i = 0; i < 2; i++) {
            exact += pair[i] == 5.9604644775390625e-08f; /* 2^-24 */
            rounded += pair[i] == 0.0f;
        }
    }
    if (exact + rounded != 2 * half)
        return PROBE_STRANGE;
    return exact == 2 * half ? PROBE_WIDE : exact != 0 ? PROBE_FMA : PROBE_ROUNDED;
}

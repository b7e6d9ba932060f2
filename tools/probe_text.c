/* SPDX-License-Identifier: MIT */
/* A tree of a sum as one line. SPEC 19.6. */
#include "probe.h"

enum { SHOWN = 600 }; /* bytes of a line, about */

/* Nodes that are added one by one, the last one on top. */
typedef struct spine {
    const probe_tree *tree;
    size_t node[PROBE_LARGE];
    size_t count;
} spine;

static bool is_leaf(const probe_tree *tree, size_t node)
{
    return node < tree->leaves;
}

/* Parts of equal size, the left one first: the lower one, unless what was added on top lies below
 * both. */
static void order_equals(const probe_tree *tree, size_t *left, size_t *right, size_t above)
{
    const size_t a = tree->node[*left].least, b = tree->node[*right].least;
    const bool descending = above != SIZE_MAX && tree->node[above].least < nn_min(a, b);
    if ((a > b) != descending) {
        const size_t other = *left;
        *left = *right;
        *right = other;
    }
}

/* Neither of more than two parts added at once, nor with leaves that the answers do not place. */
static bool is_sum_of_two(const probe_tree *tree, size_t node)
{
    const probe_node *n = &tree->node[node];
    return n->children == 2 && n->known == n->size;
}

/* Halves of an odd number count as equal. */
static bool alike(size_t a, size_t b)
{
    return a == b || (a > 1 && b > 1 && (a == b + 1 || b == a + 1));
}

/* Walks down along the larger child while there are two; what hangs off is collected from the top.
 */
static void collect(spine *s, size_t node)
{
    const probe_tree *tree = s->tree;
    size_t above = SIZE_MAX;
    for (bool equal = false; !equal && is_sum_of_two(tree, node);) {
        size_t left = tree->node[node].child, right = tree->node[left].next;
        equal = alike(tree->node[left].size, tree->node[right].size);
        if (equal)
            order_equals(tree, &left, &right, above);
        else if (tree->node[left].size < tree->node[right].size) {
            const size_t other = left;
            left = right;
            right = other;
        }
        s->node[s->count++] = right;
        above = right;
        node = left;
    }
    s->node[s->count++] = node;
}

/* Leaves from the end of the list that follow each other at one distance; at least 1. */
static size_t run_length(const spine *s, size_t end)
{
    size_t count = 1;
    if (!is_leaf(s->tree, s->node[end - 1]))
        return 1;
    while (count < end && is_leaf(s->tree, s->node[end - 1 - count])) {
        const size_t at = s->node[end - 1 - count], before = s->node[end - count];
        if (count > 1 && at - before != before - s->node[end - count + 1])
            break;
        count++;
    }
    return count;
}

static void add_run(fl_text *text, size_t first, size_t second, size_t last, size_t count)
{
    const bool near = second == first + 1 || first == second + 1;
    if (count == 1)
        fl_text_add(text, "%lu", (unsigned long)first);
    else if (count == 2 && !near)
        fl_text_add(text, "%lu + %lu", (unsigned long)first, (unsigned long)last);
    else if (near)
        fl_text_add(text, "%lu..%lu", (unsigned long)first, (unsigned long)last);
    else
        fl_text_add(text, "%lu,%lu..%lu", (unsigned long)first, (unsigned long)second,
                    (unsigned long)last);
}

/* The leaves, from the last to the first. */
static void add_runs(fl_text *text, const spine *leaves, const char *before)
{
    for (size_t end = leaves->count; end != 0;) {
        const size_t count = run_length(leaves, end);
        fl_text_add(text, "%s", before);
        add_run(text, leaves->node[end - 1], count > 1 ? leaves->node[end - 2] : 0,
                leaves->node[end - count], count);
        end -= count;
        before = ", ";
    }
}

static void add_node(fl_text *text, const probe_tree *tree, size_t node, unsigned depth);

/* Leaves that stand in the part itself or in a part of it that is as open, by descending number. */
static void loose_leaves(spine *out, size_t node)
{
    const probe_tree *tree = out->tree;
    for (size_t c = tree->node[node].child; c != SIZE_MAX; c = tree->node[c].next) {
        if (!is_leaf(tree, c) && tree->node[c].known < tree->node[c].size)
            loose_leaves(out, c);
        if (!is_leaf(tree, c))
            continue;
        size_t at = out->count++;
        for (; at > 0 && out->node[at - 1] < c; at--)
            out->node[at] = out->node[at - 1];
        out->node[at] = c;
    }
}

static void firm_parts(spine *out, size_t node)
{
    const probe_tree *tree = out->tree;
    for (size_t c = tree->node[node].child; c != SIZE_MAX; c = tree->node[c].next)
        if (!is_leaf(tree, c) && tree->node[c].known < tree->node[c].size)
            firm_parts(out, c);
        else if (!is_leaf(tree, c))
            out->node[out->count++] = c;
}

/* A part whose order is open: parts that are known, then leaves. */
static void add_open(fl_text *text, const probe_tree *tree, size_t node, unsigned depth)
{
    spine leaves = {.tree = tree}, parts = {.tree = tree};
    loose_leaves(&leaves, node);
    firm_parts(&parts, node);
    fl_text_add(text, "{");
    for (size_t i = 0; i < parts.count; i++) {
        const bool bracket = is_sum_of_two(tree, parts.node[i]);
        fl_text_add(text, "%s%s", i == 0 ? "" : ", ", bracket ? "(" : "");
        add_node(text, tree, parts.node[i], depth + 1);
        fl_text_add(text, "%s", bracket ? ")" : "");
    }
    add_runs(text, &leaves, parts.count == 0 ? "" : ", ");
    fl_text_add(text, "}");
}

/* A line that is too long, or too deep, ends in dots. */
static bool full(fl_text *text, unsigned depth)
{
    if (text->length < SHOWN && depth < 40)
        return false;
    if (text->length >= 3 && text->data[text->length - 1] != '.')
        fl_text_add(text, "...");
    return true;
}

/* A part of the sum, in brackets where it is more than one leaf and not the whole of the line. */
static void add_part(fl_text *text, const spine *s, size_t end, size_t count, unsigned depth)
{
    const size_t node = s->node[end - 1];
    const bool leaf = is_leaf(s->tree, node), first = end == s->count;
    const bool bracket =
        leaf ? first && count > 1 && count < s->count : is_sum_of_two(s->tree, node);
    fl_text_add(text, "%s%s", first ? "" : " + ", bracket ? "(" : "");
    if (leaf)
        add_run(text, node, count > 1 ? s->node[end - 2] : 0, s->node[end - count], count);
    else
        add_node(text, s->tree, node, depth + 1);
    fl_text_add(text, "%s", bracket ? ")" : "");
}

static void add_node(fl_text *text, const probe_tree *tree, size_t node, unsigned depth)
{
    spine s = {.tree = tree};
    if (full(text, depth))
        return;
    if (!is_leaf(tree, node) && !is_sum_of_two(tree, node)) {
        add_open(text, tree, node, depth);
        return;
    }
    collect(&s, node);
    for (size_t end = s.count; end != 0 && text->length < SHOWN;) {
        const size_t count = run_length(&s, end);
        add_part(text, &s, end, count, depth);
        end -= count;
    }
    (void)full(text, depth);
}

void probe_tree_text(fl_text *text, const probe_tree *tree)
{
    fl_text line = {.arena = text->arena};
    add_node(&line, tree, tree->root, 0);
    fl_text_add(text, "%s", line.failed ? "" : line.data);
    text->failed = text->failed || line.failed;
}

/* SPDX-License-Identifier: MIT */
/* The order of a sum from the outside: what its answers reveal, as a tree and by name. Pure: the
 * test runner links it. SPEC 19.6. */
#ifndef TOOLS_PROBE_H
#define TOOLS_PROBE_H

#include "../fl/text.h"

/* All pairs of a small sum tell its whole tree; of a large one, which has several blocks, the pairs
 * (0, j) and (i, i + 1) do where its parts are intervals. */
enum { PROBE_SMALL = 32, PROBE_LARGE = 600 };

typedef struct probe_pair {
    size_t i, j; /* i < j */
    size_t meet; /* leaves of the smallest part of the sum that has both */
} probe_pair;

/* One vector: a[count, leaves] with a large number at leaf i, its opposite at j, 1 elsewhere; b
 * ones. */
typedef struct probe_order {
    size_t leaves, count;
    probe_pair *pair;
    bool all; /* every pair was asked */
} probe_order;

DDOME_MUST_CHECK ddome_status probe_order_new(ddome_error *error, nn_arena *arena, probe_order *out,
                                              size_t leaves);

/* a[count * leaves] */
void probe_order_rows(float *a, const probe_order *order);

typedef enum probe_answer {
    PROBE_TREE,   /* numbers that a tree can give; `meet` is set */
    PROBE_EXACT,  /* nothing was absorbed: the sums are wider than binary32 */
    PROBE_NEITHER /* `*row` is the first that is no whole number of 0 .. leaves - 2 */
} probe_answer;

probe_answer probe_order_take(probe_order *order, size_t *row, const float *result);

/* ---- the tree ---- */

typedef struct probe_node {
    size_t size;        /* leaves */
    size_t known;       /* those that the answers have put below it; fewer leave it open */
    size_t least;       /* lowest leaf */
    size_t child, next; /* first child, next sibling; SIZE_MAX: none */
    size_t children;
} probe_node;

typedef struct probe_tree {
    size_t leaves, count, root; /* nodes 0 .. leaves - 1 are the leaves */
    probe_node *node;
} probe_tree;

/* False in *is_tree: pair *odd contradicts the others. */
DDOME_MUST_CHECK ddome_status probe_tree_new(ddome_error *error, nn_arena *arena, probe_tree *out,
                                             bool *is_tree, size_t *odd, const probe_order *order);

/* "(0..255) + (256..511) + (512..599)": a..b is a chain over these leaves in this order, a,c..b one
 * with a stride, + adds from left to right, {} leaves the order open. */
void probe_tree_text(fl_text *text, const probe_tree *tree);

/* ---- names ---- */

/* The simplest known order that gives all answers; empty: none. Sums of at most one block cannot
 * tell one level from the rule of SPEC 2.3: then both, with " or " between. */
DDOME_MUST_CHECK ddome_status probe_names(ddome_error *error, nn_arena *arena, fl_text *names,
                                          const probe_order *const *orders, size_t count);

/* ---- fused or not ---- */

/* a[2, leaves], b[leaves, 2 (leaves - 1)]: row 0 of column j - 1 has the product c = -(1 + 2^-11)
 * at leaf 0 and (1 + 2^-12)^2 at leaf j, row 1 of the columns behind has them the other way round.
 * The sum is 2^-24 when the square is not rounded, else 0. */
enum { PROBE_FUSED = 256 };
typedef enum probe_fusion {
    PROBE_ROUNDED, /* products are rounded before they are added */
    PROBE_FMA,     /* some are fused with the sum */
    PROBE_WIDE,    /* all products are exact: binary64 */
    PROBE_STRANGE  /* other values than 0 and 2^-24 */
} probe_fusion;

void probe_fused_rows(float *a, float *b);
probe_fusion probe_fused_take(const float *result);

#endif

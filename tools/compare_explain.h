/* SPDX-License-Identifier: MIT */
/* Which deviation of SPEC 19.5 turns A's inputs into B's outputs? SPEC 19.4.4. */
#ifndef TOOLS_COMPARE_EXPLAIN_H
#define TOOLS_COMPARE_EXPLAIN_H

#include "../nn/variant.h"
#include "compare.h"

enum { EXPLAIN_PAIRS = 8 }; /* kept of an item; tried on all items */

/* A computation that differs. */
typedef struct explain_item {
    const char *id;
    const nn_case *work; /* A's, the elements of its inputs known */
    const nn_value *got; /* B's outputs, named as in SPEC 19.1.2; all that there are must fit */
    size_t got_count;
    /* what was found */
    bool able;                      /* it could be done again */
    bool as_specified;              /* B has what the rules give: A deviates */
    bool *by;                       /* [variants]: gives B's bits */
    bool *moves;                    /* [singles]: gives others than the rules */
    size_t rules_gap;               /* elements of the rules' that differ from B's */
    size_t nearest;                 /* single with the fewest elements that differ from B's, */
    size_t nearest_gap;             /* so many; SIZE_MAX: not known */
    nn_variant pair[EXPLAIN_PAIRS]; /* when no single does it */
    size_t pair_count;
    bool cut_short; /* too large to try all pairs */
} explain_item;

/* One that agrees: a deviation that would have moved it is not what B does. */
typedef struct explain_agreeing {
    const char *op;
    const char *const *flags;
    size_t flag_count;
} explain_agreeing;

typedef struct explain_call {
    tool *t;
    const char *noun; /* "vector", "value" */
    explain_item *item;
    size_t count;
    const explain_agreeing *agreeing;
    size_t agreeing_count;
    bool singles_only;
    /* all variants with one deviation, then the pairs that explain most of what these leave */
    nn_variant *variant;
    const char **name;
    size_t (*part)[2]; /* the singles of a variant, twice the same of a single */
    size_t singles, variants;
} explain_call;

/* Tries the singles on each item, pairs on the first of each operation that they leave, and those
 * that do most of these on every item. */
DDOME_MUST_CHECK ddome_status explain_try(ddome_error *error, explain_call *call);

/* Do the rules, a single or a pair give B's bits? */
bool explain_done(const explain_call *call, const explain_item *item);

/* Adds what was found to text and, as the member "explain", to json. compare_causes.c */
DDOME_MUST_CHECK ddome_status explain_report(ddome_error *error, explain_call *call);

#endif

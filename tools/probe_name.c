/* SPDX-License-Identifier: MIT */
/* Orders that programs are known to add in, built as trees and held against the answers.
 * SPEC 19.6, 19.6.3. */
#include "probe.h"

#include <stdio.h>
#include <string.h>

/* ---- building a tree from below ---- */

enum { NONE = PROBE_LARGE * 2, LANES_MAX = 64, NAME_BYTES = 96, SCHEME_BYTES = 2 * NAME_BYTES };

typedef struct builder {
    size_t above[NONE], size[NONE];
    size_t count;
    size_t list[PROBE_LARGE]; /* what is added, leaves of a block or blocks */
    size_t length;
} builder;

static size_t plus(builder *b, size_t x, size_t y)
{
    if (x == NONE || y == NONE)
        return x == NONE ? y : x;
    const size_t at = b->count++;
    b->size[at] = b->size[x] + b->size[y];
    b->above[at] = NONE;
    b->above[x] = b->above[y] = at;
    return at;
}

static size_t chain(builder *b, const size_t *list, size_t count)
{
    size_t sum = NONE;
    for (size_t i = 0; i < count; i++)
        sum = plus(b, sum, list[i]);
    return sum;
}

static size_t backwards(builder *b, const size_t *list, size_t count)
{
    size_t sum = NONE;
    while (count-- > 0)
        sum = plus(b, sum, list[count]);
    return sum;
}

static size_t halves(builder *b, const size_t *list, size_t count)
{
    if (count < 2)
        return count == 0 ? NONE : list[0];
    const size_t left = halves(b, list, count / 2);
    return plus(b, left, halves(b, list + count / 2, count - count / 2));
}

/* The lower part is the largest power of two below the whole: what neighbours give, too. */
static size_t powers(builder *b, const size_t *list, size_t count)
{
    size_t half = 1;
    if (count < 2)
        return count == 0 ? NONE : list[0];
    while (2 * half < count)
        half *= 2;
    const size_t left = powers(b, list, half);
    return plus(b, left, powers(b, list + half, count - half));
}

/* Upper half upon lower half; `count` is a power of two, or the rest goes unpaired. */
static size_t folded(builder *b, size_t *lane, size_t count)
{
    while (count > 1) {
        const size_t half = (count + 1) / 2;
        for (size_t i = 0; i + half < count; i++)
            lane[i] = plus(b, lane[i], lane[i + half]);
        count = half;
    }
    return lane[0];
}

typedef enum ending { IN_ORDER, BY_HALVES, BY_NEIGHBOURS, ENDINGS } ending;

static const char *const ending_words[ENDINGS] = {"combined in order", "combined by halves",
                                                  "combined by neighbours"};

/* `tail`: what does not fill all lanes is added to their sum, one by one. */
static size_t in_lanes(builder *b, const size_t *list, size_t count, size_t lanes, ending how,
                       bool tail)
{
    size_t lane[LANES_MAX], sum;
    const size_t even = tail ? count - count % lanes : count;
    for (size_t i = 0; i < lanes; i++)
        lane[i] = NONE;
    for (size_t i = 0; i < even; i++)
        lane[i % lanes] = plus(b, lane[i % lanes], list[i]);
    if (how == IN_ORDER)
        sum = chain(b, lane, lanes);
    else
        sum = how == BY_HALVES ? folded(b, lane, lanes) : powers(b, lane, lanes);
    for (size_t i = even; i < count; i++)
        sum = plus(b, sum, list[i]);
    return sum;
}

/* numpy.sum of a contiguous array: halves at multiples of 8 down to 128, those in 8 lanes. */
static size_t as_numpy(builder *b, const size_t *list, size_t count)
{
    const size_t half = count / 2 - count / 2 % 8;
    if (count <= 128)
        return in_lanes(b, list, count, 8, BY_NEIGHBOURS, true);
    const size_t left = as_numpy(b, list, half);
    return plus(b, left, as_numpy(b, list + half, count - half));
}

/* ---- an order ---- */

typedef enum inner { ASCENDING, DESCENDING, PAIRWISE, POWERS, NUMPY, LANES, INNERS } inner;
typedef enum outer { TOTALS_ASCENDING, TOTALS_DESCENDING, TOTALS_PAIRWISE, OUTERS } outer;

typedef struct scheme {
    inner inside;
    size_t lanes;
    ending how;
    bool tail;
    size_t block; /* 0: one level */
    outer totals;
} scheme;

static size_t inside(builder *b, const size_t *list, size_t count, const scheme *s)
{
    switch (s->inside) {
    case DESCENDING:
        return backwards(b, list, count);
    case PAIRWISE:
        return halves(b, list, count);
    case POWERS:
        return powers(b, list, count);
    case NUMPY:
        return as_numpy(b, list, count);
    case LANES:
        return in_lanes(b, list, count, s->lanes, s->how, s->tail);
    default:
        return chain(b, list, count);
    }
}

static void build(builder *b, size_t leaves, const scheme *s)
{
    size_t leaf[PROBE_LARGE];
    const size_t block = s->block == 0 ? leaves : s->block;
    b->length = 0;
    for (b->count = 0; b->count < leaves; b->count++) {
        leaf[b->count] = b->count;
        b->size[b->count] = 1;
        b->above[b->count] = NONE;
    }
    for (size_t at = 0; at < leaves; at += block)
        b->list[b->length++] = inside(b, leaf + at, nn_min(block, leaves - at), s);
    if (s->totals == TOTALS_ASCENDING)
        (void)chain(b, b->list, b->length);
    else if (s->totals == TOTALS_DESCENDING)
        (void)backwards(b, b->list, b->length);
    else
        (void)halves(b, b->list, b->length);
}

/* Sizes grow upwards, so the smaller of two is the one to move. */
static size_t meet(const builder *b, size_t i, size_t j)
{
    while (i != j)
        if (b->size[i] < b->size[j] || (b->size[i] == b->size[j] && i < j))
            i = b->above[i];
        else
            j = b->above[j];
    return b->size[i];
}

static bool fits(builder *b, const scheme *s, const probe_order *const *orders, size_t count)
{
    for (size_t o = 0; o < count; o++) {
        build(b, orders[o]->leaves, s);
        for (size_t i = 0; i < orders[o]->count; i++) {
            const probe_pair *pair = &orders[o]->pair[i];
            if (meet(b, pair->i, pair->j) != pair->meet)
                return false;
        }
    }
    return true;
}

/* ---- its name ---- */

static void name_inside(char name[NAME_BYTES], const scheme *s)
{
    static const char *const words[INNERS] = {
        "ascending", "reversed", "pairwise", "pairwise at powers of two", "numpy's sum", ""};
    if (s->inside == LANES)
        snprintf(name, NAME_BYTES, "lanes-%lu %s%s", (unsigned long)s->lanes, ending_words[s->how],
                 s->tail ? ", rest one by one" : "");
    else
        snprintf(name, NAME_BYTES, "%s", words[s->inside]);
}

static void name_scheme(char name[SCHEME_BYTES], const scheme *s)
{
    static const char *const totals[OUTERS] = {"totals ascending", "totals descending",
                                               "totals pairwise"};
    char first[NAME_BYTES];
    name_inside(first, s);
    if (s->inside == ASCENDING && s->block == NN_BLOCK && s->totals == TOTALS_ASCENDING)
        snprintf(name, SCHEME_BYTES, "as specified (chains of 256, totals ascending)");
    else if (s->inside == ASCENDING && s->block == 0)
        snprintf(name, SCHEME_BYTES, "one-level ascending");
    else if (s->block == 0)
        snprintf(name, SCHEME_BYTES, "%s", first);
    else if (s->inside == DESCENDING && s->totals == TOTALS_DESCENDING)
        snprintf(name, SCHEME_BYTES, "reversed, in blocks of %lu", (unsigned long)s->block);
    else
        snprintf(name, SCHEME_BYTES, "blocks-%lu, %s inside, %s", (unsigned long)s->block, first,
                 totals[s->totals]);
}

/* ---- all of them ---- */

typedef struct search {
    builder *b;
    fl_text *names;
    const probe_order *const *orders;
    size_t count, most; /* leaves of the largest order */
    bool found;         /* the first one that fits is the simplest */
} search;

static void try_scheme(search *at, const scheme *s)
{
    char name[SCHEME_BYTES];
    if (at->found || !fits(at->b, s, at->orders, at->count))
        return;
    name_scheme(name, s);
    fl_text_add(at->names, "%s%s", at->names->length == 0 ? "" : " or ", name);
    at->found = true;
}

static void try_lanes(search *at, scheme *s)
{
    const size_t addends = s->block == 0 ? at->most : nn_min(s->block, at->most);
    s->inside = LANES;
    for (s->lanes = 2; s->lanes <= LANES_MAX; s->lanes++)
        for (int how = 0; how < ENDINGS; how++)
            for (int tail = 0; tail < 2; tail++) {
                s->how = (ending)how;
                s->tail = tail == 1;
                /* two lanes have one ending, and no rest is no tail */
                const bool other =
                    (s->lanes == 2 && how != 0) ||
                    (tail == 1 && addends % s->lanes == 0 && at->most % s->lanes == 0);
                if (!other && s->lanes <= at->most / 2)
                    try_scheme(at, s);
            }
}

static void try_block(search *at, size_t block)
{
    scheme s = {ASCENDING, 0, IN_ORDER, false, block, TOTALS_ASCENDING};
    const size_t blocks = block == 0 ? 1 : (at->most + block - 1) / block;
    for (int totals = 0; totals < OUTERS; totals++) {
        s.totals = (outer)totals;
        /* two totals have one order, and three no halves of their own */
        if ((totals == TOTALS_DESCENDING && blocks < 3) ||
            (totals == TOTALS_PAIRWISE && blocks < 4))
            continue;
        for (int i = 0; i < LANES; i++) {
            s.inside = (inner)i;
            try_scheme(at, &s);
        }
        try_lanes(at, &s);
    }
}

/* Any length of block is tried with plain chains, the usual ones with all orders. */
static void try_chains(search *at)
{
    for (size_t block = 2; block < at->most; block++) {
        const scheme s = {ASCENDING, 0, IN_ORDER, false, block, TOTALS_ASCENDING};
        if ((block & (block - 1)) != 0)
            try_scheme(at, &s);
    }
}

ddome_status probe_names(ddome_error *error, nn_arena *arena, fl_text *names,
                         const probe_order *const *orders, size_t count)
{
    static const size_t blocks[] = {0, 8, 16, 32, 64, 128, 512};
    const scheme rule = {ASCENDING, 0, IN_ORDER, false, NN_BLOCK, TOTALS_ASCENDING};
    search at = {nn_arena_alloc(arena, 1, sizeof(builder)), names, orders, count, 0, false};
    if (at.b == NULL)
        return nn_arena_fail(error, arena, "known orders");
    for (size_t i = 0; i < count; i++)
        at.most = nn_max(at.most, orders[i]->leaves);
    if (at.most <= NN_BLOCK) { /* too short to tell the two */
        try_scheme(&at, &rule);
        at.found = false;
    }
    try_block(&at, 0);
    if (at.most > NN_BLOCK)
        try_block(&at, NN_BLOCK);
    for (size_t i = 1; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i] < at.most)
            try_block(&at, blocks[i]);
    try_chains(&at);
    return fl_text_status(error, names);
}

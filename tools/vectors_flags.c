/* SPDX-License-Identifier: MIT */
/* Which mistakes a vector catches: every single deviation is tried on it. SPEC 19.5. */
#include <stdio.h>
#include <string.h>

#include "vectors.h"

/* Is each output of `work` among those a variant gave, with the same bits? */
static bool same_outputs(const nn_case *work, const nn_value *outputs, size_t count)
{
    bool same = count == work->output_count;
    for (size_t i = 0; same && i < count; i++)
        same = strcmp(outputs[i].name, work->outputs[i].name) == 0 &&
               nn_value_same(&outputs[i], &work->outputs[i]);
    return same;
}

static bool changes(vectors_maker *m, const nn_case *work, const nn_variant *variant)
{
    const nn_value *outputs;
    size_t count;
    nn_arena_mark mark = nn_arena_get_mark(&m->scratch);
    vectors_must(m, nn_variant_run(&m->error, &m->scratch, &outputs, &count, work, variant));
    const bool same = same_outputs(work, outputs, count);
    nn_arena_rewind(&m->scratch, mark);
    return !same;
}

/* Must not move a sum all of whose partial sums are exact. */
static bool is_order(nn_deviation kind)
{
    return kind == NN_DEVIATE_ORDER || kind == NN_DEVIATE_BLOCKS || kind == NN_DEVIATE_ARITH ||
           kind == NN_DEVIATE_AXES || kind == NN_DEVIATE_WIDTH;
}

/* The kind in which a single deviation deviates. */
static nn_deviation kind_of(const nn_variant *variant)
{
    unsigned kind = 0;
    while (kind < NN_DEVIATE_COUNT - 1 && variant->choice[kind] == 0)
        kind++;
    return (nn_deviation)kind;
}

/* Integers, or floats that come from them by rules of their own: nothing of SPEC 19.5 happens. */
static bool draws_or_hashes(const char *op)
{
    return strncmp(op, "draw.", 5) == 0 || strcmp(op, "philox") == 0 || strcmp(op, "hash") == 0;
}

/* Deviations of NN_DEVIATE_ELEMENTARY are not tried: what a C library does is not the same
 * everywhere. */
size_t vectors_flags(vectors_maker *m, const char *words[VECTORS_FLAGS], const nn_case *work,
                     const vectors_about *about)
{
    nn_variant variant = {{0}};
    size_t deviations = 0, count = 0;
    if (!nn_variant_knows(work->op)) {
        vectors_check(m, draws_or_hashes(work->op), "nn/variant.c lacks its operation", about->id);
        return 0;
    }
    vectors_check(m, !changes(m, work, &variant), "nn/variant.c gives other bits", about->id);
    while (nn_variant_next(&variant, &deviations) && deviations == 1) {
        const nn_deviation kind = kind_of(&variant);
        const unsigned choice = variant.choice[kind];
        if (kind == NN_DEVIATE_ELEMENTARY || !nn_variant_concerns(work->op, &variant) ||
            !changes(m, work, &variant))
            continue;
        words[count++] = nn_deviation_table[kind].word[choice];
        vectors_check(m, !(about->any_order && is_order(kind)), words[count - 1], about->id);
        vectors_check(m, count < VECTORS_FLAGS, "more flags than there is room for", about->id);
        m->caught[kind][choice]++;
    }
    return count;
}

void vectors_report(vectors_maker *m)
{
    size_t missed = 0;
    for (size_t kind = 0; kind < NN_DEVIATE_COUNT; kind++)
        for (size_t choice = 1; choice < nn_deviation_table[kind].choices; choice++)
            if (m->caught[kind][choice] == 0 && kind != NN_DEVIATE_ELEMENTARY) {
                fprintf(stderr, "no vector catches %s\n", nn_deviation_table[kind].word[choice]);
                missed++;
            }
    vectors_check(m, missed == 0, "deviations that no vector catches", "all levels");
}

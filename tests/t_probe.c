/* SPDX-License-Identifier: MIT */
/* The probe of an order: every order that has a name is found under it, and the engine's is the one
 * specified. SPEC 19.6. */
#include <stdio.h>
#include <string.h>

#include "../nn/gemm.h"
#include "../nn/variant.h"
#include "../tools/probe.h"
#include "test.h"

typedef struct probe_run {
    nn_arena arena;
    probe_order order[2];
    float *a[2], *ones;
    ddome_error error;
} probe_run;

static bool begin(probe_run *run)
{
    static const size_t leaves[] = {PROBE_SMALL, PROBE_LARGE};
    bool fine = true;
    memset(run, 0, sizeof *run);
    run->ones = nn_arena_alloc(&run->arena, PROBE_LARGE, sizeof *run->ones);
    for (size_t k = 0; run->ones != NULL && k < PROBE_LARGE; k++)
        run->ones[k] = 1.0f;
    for (int i = 0; i < 2; i++) {
        fine = fine &&
               probe_order_new(&run->error, &run->arena, &run->order[i], leaves[i]) == DDOME_OK;
        run->a[i] =
            fine ? nn_arena_alloc(&run->arena, run->order[i].count * leaves[i], sizeof(float))
                 : NULL;
        fine = fine && run->a[i] != NULL;
        if (fine)
            probe_order_rows(run->a[i], &run->order[i]);
    }
    return CHECK(fine && run->ones != NULL);
}

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

static const float *product(probe_run *run, int i, const nn_variant *variant)
{
    const probe_order *order = &run->order[i];
    const nn_value inputs[2] = {matrix("a", run->a[i], order->count, order->leaves),
                                matrix("b", run->ones, order->leaves, 1)};
    const nn_case work = {.op = "matmul", .inputs = inputs, .input_count = 2};
    const nn_value *outputs = NULL;
    size_t count = 0;
    const ddome_status status =
        nn_variant_run(&run->error, &run->arena, &outputs, &count, &work, variant);
    return CHECK(status == DDOME_OK) ? outputs[0].f32 : NULL;
}

/* The name by the answers to one or both vectors, and the tree of the last. */
static void look(probe_run *run, const float *const answer[2], const char *name, const char *text)
{
    const probe_order *orders[2];
    fl_text names = {.arena = &run->arena}, line = {.arena = &run->arena};
    size_t count = 0, row, odd;
    probe_tree tree;
    bool is_tree = false;
    for (int i = 0; i < 2; i++) {
        if (answer[i] == NULL)
            continue;
        CHECK(probe_order_take(&run->order[i], &row, answer[i]) == PROBE_TREE);
        orders[count++] = &run->order[i];
        CHECK(probe_tree_new(&run->error, &run->arena, &tree, &is_tree, &odd, &run->order[i]) ==
                  DDOME_OK &&
              is_tree);
    }
    probe_tree_text(&line, &tree);
    CHECK(probe_names(&run->error, &run->arena, &names, orders, count) == DDOME_OK);
    test_same_text("name", names.data == NULL ? "" : names.data, name);
    if (text != NULL)
        test_same_text("tree", line.data == NULL ? "" : line.data, text);
}

static nn_variant variant_of(const char *word)
{
    nn_variant variant = {{0}};
    for (int kind = 0; word != NULL && kind < NN_DEVIATE_COUNT; kind++)
        for (size_t i = 1; i < nn_deviation_table[kind].choices; i++)
            if (strcmp(nn_deviation_table[kind].word[i], word) == 0)
                variant.choice[kind] = (unsigned char)i;
    return variant;
}

static nn_variant both_of(const char *a, const char *b)
{
    nn_variant variant = variant_of(a);
    const nn_variant other = variant_of(b);
    for (int kind = 0; kind < NN_DEVIATE_COUNT; kind++)
        if (other.choice[kind] != 0)
            variant.choice[kind] = other.choice[kind];
    return variant;
}

typedef struct known {
    const char *a, *b; /* deviations; NULL: none */
    const char *name, *tree;
} known;

static void named(probe_run *run)
{
    static const known rows[] = {
        {NULL, NULL, "as specified (chains of 256, totals ascending)",
         "(0..255) + (256..511) + (512..599)"},
        {"one-level-sums", NULL, "one-level ascending", "0..599"},
        {"reversed-blocks", NULL, "reversed, in blocks of 256",
         "(511..256) + (599..512) + (255..0)"},
        {"reversed-order", "one-level-sums", "reversed", "599..0"},
        {"pairwise-order", "one-level-sums", "pairwise", NULL},
        {"pairwise-order", NULL, "blocks-256, pairwise inside, totals ascending", NULL},
        {"numpy-order", "one-level-sums", "numpy's sum", NULL},
        {"lanes-4", "one-level-sums", "lanes-4 combined in order",
         "{{{(0,4..596), 1,5..597}, 2,6..598}, 3,7..599}"},
        {"lanes-8-tree", "one-level-sums", "lanes-8 combined by halves", NULL},
        {"lanes-16", NULL, "blocks-256, lanes-16 combined in order inside, totals ascending", NULL},
        {"blocks-32", NULL, "blocks-32, ascending inside, totals ascending", NULL},
        {"blocks-512", NULL, "blocks-512, ascending inside, totals ascending",
         "(0..511) + (512..599)"},
        {"fused", NULL, "as specified (chains of 256, totals ascending)", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const nn_variant variant = both_of(rows[i].a, rows[i].b);
        test_case("probe: %s", rows[i].name);
        const float *const answer[2] = {product(run, 0, &variant), product(run, 1, &variant)};
        if (answer[0] != NULL && answer[1] != NULL)
            look(run, answer, rows[i].name, rows[i].tree);
    }
}

/* One block cannot tell the rule from a single level; a small tree is known whole. */
static void small(probe_run *run)
{
    const nn_variant rules = {{0}}, lanes = variant_of("lanes-4-tree");
    test_case("probe: a small sum alone");
    const float *const plain[2] = {product(run, 0, &rules), NULL};
    const float *const folded[2] = {product(run, 0, &lanes), NULL};
    if (plain[0] == NULL || folded[0] == NULL)
        return;
    look(run, plain, "as specified (chains of 256, totals ascending) or one-level ascending",
         "0..31");
    look(run, folded, "lanes-4 combined by halves",
         "((0,4..28) + (2,6..30)) + ((1,5..29) + (3,7..31))");
}

/* Three addends at once, as some accelerators add: no sum of two. */
static void many_at_once(probe_run *run)
{
    fl_text line = {.arena = &run->arena}, names = {.arena = &run->arena};
    probe_order *order = &run->order[0];
    const probe_order *orders[] = {order};
    probe_tree tree;
    bool is_tree = false;
    size_t odd;
    test_case("probe: several addends with one rounding");
    for (size_t i = 0; i < order->count; i++) {
        probe_pair *pair = &order->pair[i];
        pair->meet = pair->i / 4 == pair->j / 4 ? 4 : 4 * (pair->j / 4 + 1);
    }
    CHECK(probe_tree_new(&run->error, &run->arena, &tree, &is_tree, &odd, order) == DDOME_OK &&
          is_tree);
    probe_tree_text(&line, &tree);
    test_same_text("tree", line.data,
                   "{0..3} + {4..7} + {8..11} + {12..15} + {16..19} + {20..23} + {24..27} + "
                   "{28..31}");
    CHECK(probe_names(&run->error, &run->arena, &names, orders, 1) == DDOME_OK);
    test_same_u64("no name", names.length, 0);
}

static void no_tree(probe_run *run)
{
    const nn_variant rules = {{0}}, wide = variant_of("double-accumulator");
    float changed[PROBE_SMALL * PROBE_SMALL];
    probe_order *order = &run->order[0];
    probe_tree tree;
    bool is_tree = true;
    size_t row, odd;
    const float *right = product(run, 0, &rules), *exact = product(run, 0, &wide);
    test_case("probe: answers that no tree gives");
    if (right == NULL || exact == NULL)
        return;
    CHECK(probe_order_take(order, &row, exact) == PROBE_EXACT);
    memcpy(changed, right, order->count * sizeof *changed);
    changed[7] = 3.0f;
    CHECK(probe_order_take(order, &row, changed) == PROBE_TREE);
    CHECK(probe_tree_new(&run->error, &run->arena, &tree, &is_tree, &odd, order) == DDOME_OK);
    CHECK(!is_tree && odd < order->count);
    changed[9] = 2.5f;
    CHECK(probe_order_take(order, &row, changed) == PROBE_NEITHER);
    test_same_u64("row", row, 9);
}

static void try_engine(probe_run *run, const nn_engine *own)
{
    float *answer[2];
    test_case("probe: the engine adds as specified (%s, %s)", own->kernels->name,
              own->arith == NN_ARITH_FMA ? "fma" : "ma");
    for (int i = 0; i < 2; i++) {
        const probe_order *order = &run->order[i];
        const nn_gemm_shape shape = {order->count, 1, order->leaves};
        answer[i] = nn_arena_alloc(&run->arena, order->count, sizeof **answer);
        if (!CHECK(answer[i] != NULL) ||
            !CHECK(nn_gemm(own, &run->error, &run->arena, answer[i], run->a[i], run->ones, &shape,
                           NN_GEMM_NN) == DDOME_OK))
            return;
    }
    const float *const both[2] = {answer[0], answer[1]};
    look(run, both, "as specified (chains of 256, totals ascending)",
         "(0..255) + (256..511) + (512..599)");
}

static void engine(probe_run *run)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    for (size_t i = 0; i < count; i++)
        for (int arith = 0; arith < NN_ARITH_COUNT; arith++) {
            const nn_engine own = {.kernels = list[i], .arith = (nn_arith)arith};
            try_engine(run, &own);
        }
}

static void fusion(probe_run *run)
{
    static const struct {
        const char *word;
        probe_fusion want;
    } rows[] = {{NULL, PROBE_ROUNDED},
                {"fused", PROBE_FMA},
                {"double-accumulator", PROBE_WIDE},
                {"double-sum-of-rounded-products", PROBE_ROUNDED},
                {"lanes-16", PROBE_ROUNDED}};
    const size_t columns = 2 * (PROBE_FUSED - 1);
    float *a = nn_arena_alloc(&run->arena, 2 * PROBE_FUSED, sizeof *a);
    float *b = nn_arena_alloc(&run->arena, PROBE_FUSED * columns, sizeof *b);
    test_case("probe: fused or not");
    if (!CHECK(a != NULL && b != NULL))
        return;
    probe_fused_rows(a, b);
    const nn_value inputs[2] = {matrix("a", a, 2, PROBE_FUSED),
                                matrix("b", b, PROBE_FUSED, columns)};
    const nn_case work = {.op = "matmul", .inputs = inputs, .input_count = 2};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const nn_value *outputs = NULL;
        size_t count = 0;
        const nn_variant variant = variant_of(rows[i].word);
        if (CHECK(nn_variant_run(&run->error, &run->arena, &outputs, &count, &work, &variant) ==
                  DDOME_OK))
            CHECK(probe_fused_take(outputs[0].f32) == rows[i].want);
    }
    const nn_variant lanes = both_of("lanes-16", "fused");
    const nn_value *outputs = NULL;
    size_t count = 0;
    if (CHECK(nn_variant_run(&run->error, &run->arena, &outputs, &count, &work, &lanes) ==
              DDOME_OK))
        CHECK(probe_fused_take(outputs[0].f32) == PROBE_FMA);
}

static ddome_status all_of_it(ddome_error *error, nn_arena *arena, const float *answer)
{
    probe_order order;
    probe_tree tree;
    bool is_tree;
    size_t row, odd;
    const probe_order *orders[] = {&order};
    fl_text names = {.arena = arena};
    ddome_status status = probe_order_new(error, arena, &order, PROBE_SMALL);
    if (status != DDOME_OK)
        return status;
    (void)probe_order_take(&order, &row, answer);
    status = probe_tree_new(error, arena, &tree, &is_tree, &odd, &order);
    return status == DDOME_OK ? probe_names(error, arena, &names, orders, 1) : status;
}

/* Whichever allocation fails, the call says so. */
static void no_memory(probe_run *run)
{
    const nn_variant rules = {{0}};
    const float *answer = product(run, 0, &rules);
    ddome_status status = DDOME_ERR_MEMORY;
    test_case("probe: out of memory");
    for (size_t n = 1; status != DDOME_OK && answer != NULL && n < 50; n++) {
        nn_arena arena;
        ddome_error error = {DDOME_OK, ""};
        memset(&arena, 0, sizeof arena);
        arena.fail_after = n;
        status = all_of_it(&error, &arena, answer);
        CHECK(status == DDOME_OK || (status == DDOME_ERR_MEMORY && error.text[0] != '\0'));
        nn_arena_free(&arena);
    }
    CHECK(status == DDOME_OK);
}

void t_probe(void)
{
    probe_run run;
    test_case("probe: inputs");
    if (!begin(&run))
        return;
    named(&run);
    small(&run);
    many_at_once(&run);
    no_tree(&run);
    engine(&run);
    fusion(&run);
    no_memory(&run);
    nn_arena_free(&run.arena);
}

/* SPDX-License-Identifier: MIT */
/* Deviations: each one moves the outputs it says and no others, small ones by hand; the walk over
 * all variants; refusals; running out of memory. SPEC 19.5. */
#include "case_fixture.h"

#include <stdio.h>
#include <string.h>

static const nn_variant rules;

/* ---- words ---- */

static nn_variant by_word(const char *word)
{
    nn_variant variant = rules;
    size_t found = 0;
    for (size_t i = 0; i < NN_DEVIATE_COUNT; i++)
        for (size_t c = 1; c < nn_deviation_table[i].choices; c++)
            if (strcmp(nn_deviation_table[i].word[c], word) == 0) {
                variant.choice[i] = (unsigned char)c;
                found++;
            }
    test_check(found == 1, __FILE__, __LINE__, "%s stands %lu times in the table", word,
               (unsigned long)found);
    return variant;
}

static void table(void)
{
    test_case("variant: every choice has a word of its own and a meaning");
    for (size_t i = 0; i < NN_DEVIATE_COUNT; i++) {
        const nn_deviation_entry *entry = &nn_deviation_table[i];
        CHECK(entry->choices >= 2 && entry->word[0] == NULL);
        for (size_t c = 1; c < entry->choices; c++)
            if (CHECK(entry->word[c] != NULL && entry->meaning[c] != NULL))
                by_word(entry->word[c]);
    }
}

static void texts(void)
{
    char text[64], small[12];
    nn_variant both = by_word("fused");
    both.choice[NN_DEVIATE_ORDER] = by_word("reversed-order").choice[NN_DEVIATE_ORDER];
    test_case("variant: text");
    nn_variant_text(text, sizeof text, &rules);
    test_same_text("none", text, "as specified");
    nn_variant_text(text, sizeof text, &both);
    test_same_text("two", text, "reversed-order + fused");
    nn_variant_text(small, sizeof small, &both);
    test_same_text("cut", small, "reversed-or");
}

/* Slot of a choice among all of them. */
static size_t slot_of(size_t kind, size_t choice)
{
    return kind * NN_DEVIATION_CHOICES + choice;
}

static void walk(void)
{
    enum { SLOTS = NN_DEVIATE_COUNT * NN_DEVIATION_CHOICES };
    unsigned char *seen = test_bytes((size_t)SLOTS * SLOTS, 1);
    nn_variant variant = rules;
    size_t deviations = 0, steps = 0, singles = 0, pairs = 0, before = 1;
    test_case("variant: the walk meets each deviation once, then each pair of kinds once");
    memset(seen, 0, (size_t)SLOTS * SLOTS);
    for (size_t i = 0; i < NN_DEVIATE_COUNT; i++) {
        const size_t choices = nn_deviation_table[i].choices - 1;
        pairs += singles * choices;
        singles += choices;
    }
    for (; nn_variant_next(&variant, &deviations); steps++) {
        size_t slots[NN_DEVIATE_COUNT + 1] = {0}, count = 0;
        for (size_t i = 0; i < NN_DEVIATE_COUNT; i++)
            if (variant.choice[i] != 0 && CHECK(variant.choice[i] < nn_deviation_table[i].choices))
                slots[count++] = slot_of(i, variant.choice[i]);
        if (!CHECK(count == deviations && deviations >= before && steps < singles + pairs))
            break;
        before = deviations;
        CHECK(seen[slots[0] * SLOTS + slots[1]]++ == 0);
    }
    test_same_u64("variants", steps, singles + pairs);
    test_release();
}

/* ---- effects ---- */

typedef struct results {
    const nn_value *value;
    size_t count;
} results;

static bool run(results *out, nn_arena *arena, const nn_case *work, const nn_variant *variant)
{
    ddome_error error = {DDOME_OK, ""};
    return test_status(work->op,
                       nn_variant_run(&error, arena, &out->value, &out->count, work, variant),
                       DDOME_OK, &error, NULL);
}

static bool same(const results *a, const results *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = nn_value_same(&a->value[i], &b->value[i]);
    return equal;
}

/* Which deviations moved something so far. */
typedef struct effects {
    bool moved[NN_DEVIATE_COUNT][NN_DEVIATION_CHOICES];
} effects;

static void try_all(effects *e, const nn_case *work)
{
    nn_arena arena = {0};
    results plain, other;
    if (!run(&plain, &arena, work, &rules))
        return;
    for (size_t i = 0; i < NN_DEVIATE_COUNT; i++)
        for (size_t c = 1; c < nn_deviation_table[i].choices; c++) {
            const nn_arena_mark mark = nn_arena_get_mark(&arena);
            nn_variant variant = rules;
            variant.choice[i] = (unsigned char)c;
            const bool moved = run(&other, &arena, work, &variant) && !same(&plain, &other);
            e->moved[i][c] = e->moved[i][c] || moved;
            test_check(!moved || nn_variant_concerns(work->op, &variant), __FILE__, __LINE__,
                       "%s moves %s, which it does not concern", nn_deviation_table[i].word[c],
                       work->op);
            nn_arena_rewind(&arena, mark);
        }
    nn_arena_free(&arena);
}

/* Copies whose mean is 0, while 1/6 and 5/6 are not exact. */
static void try_cancelling_copies(effects *e)
{
    const float copies[] = {5, 15, 35, -1, -3, -7};
    const uint32_t samples[] = {1, 5};
    const nn_attribute weighted = {"uniform", 0};
    const nn_value inputs[] = {
        {.name = "copies", .rank = 2, .shape = {2, 3}, .count = 6, .f32 = copies},
        {.name = "samples",
         .type = NN_VALUE_U32,
         .rank = 1,
         .shape = {2},
         .count = 2,
         .u32 = samples}};
    const nn_case work = {.op = "average",
                          .attributes = &weighted,
                          .attribute_count = 1,
                          .inputs = inputs,
                          .input_count = 2};
    try_all(e, &work);
}

/* A NaN behind a number, and a product that is fused to -0. */
static void try_special(effects *e)
{
    const float x[] = {1.0f, nn_float_from_bits(0x7fc00000u)}, tiny[] = {-0x1p-100f, 0x1p-100f};
    const nn_value z = {.name = "z", .rank = 2, .shape = {1, 2}, .count = 2, .f32 = x};
    const nn_value factors[] = {
        {.name = "a", .rank = 2, .shape = {1, 1}, .count = 1, .f32 = tiny},
        {.name = "b", .rank = 2, .shape = {1, 1}, .count = 1, .f32 = tiny + 1}};
    const nn_case argmax = {.op = "argmax", .inputs = &z, .input_count = 1};
    const nn_case product = {
        .op = "matmul", .arith = NN_ARITH_FMA, .inputs = factors, .input_count = 2};
    try_all(e, &argmax);
    try_all(e, &product);
}

/* The first deviation that moved nothing; NULL: none. The C library may be as exact as ours. */
static const char *unmoved(const effects *e)
{
    const char *word = NULL;
    for (size_t i = 0; i < NN_DEVIATE_COUNT && word == NULL; i++)
        for (size_t c = 1; c < nn_deviation_table[i].choices && word == NULL; c++)
            if (!e->moved[i][c] && i != NN_DEVIATE_ELEMENTARY)
                word = nn_deviation_table[i].word[c];
    return word;
}

static void each_moves(void)
{
    enum { LEAST = 12, MOST = 200 };
    static const fill_pattern patterns[] = {FILL_RANDOM, FILL_SUBNORMAL, FILL_CANCEL};
    static effects e;
    const size_t libm = by_word("libm-base-2").choice[NN_DEVIATE_ELEMENTARY];
    test_random random = test_random_start(1950);
    test_case("variant: each deviation moves an output, and only of operations that it concerns");
    try_special(&e);
    try_cancelling_copies(&e);
    for (size_t round = 0; round < LEAST || (round < MOST && unmoved(&e) != NULL); round++)
        for (size_t i = 0; test_case_texts[i] != NULL; i++) {
            const nn_case work = test_case_from(test_case_texts[i], (nn_arith)(round % 2),
                                                patterns[round / 2 % 3], &random);
            try_all(&e, &work);
            test_release();
        }
    const char *word = unmoved(&e);
    test_check(word == NULL, __FILE__, __LINE__, "%s moves nothing", word == NULL ? "" : word);
    CHECK(e.moved[NN_DEVIATE_ELEMENTARY][libm]);
}

/* The profile of the other case is what `fused` and `unfused` give. */
static void other_profile(void)
{
    test_random random = test_random_start(1951);
    const nn_variant fused = by_word("fused"), unfused = by_word("unfused");
    nn_arena arena = {0};
    results a, b;
    test_case("variant: fused in ma is fma, unfused in fma is ma");
    for (size_t i = 0; test_case_texts[i] != NULL; i++) {
        nn_case ma = test_case_from(test_case_texts[i], NN_ARITH_MA, FILL_RANDOM, &random);
        nn_case fma = ma;
        fma.arith = NN_ARITH_FMA;
        CHECK(run(&a, &arena, &ma, &fused) && run(&b, &arena, &fma, &rules) && same(&a, &b));
        CHECK(run(&a, &arena, &fma, &unfused) && run(&b, &arena, &ma, &rules) && same(&a, &b));
        test_release();
    }
    nn_arena_free(&arena);
}

/* ---- by hand ---- */

/* The first element of each of the first two outputs; a word NULL: the rules. */
static void by_hand(const nn_case *work, const char *word, float first, float second)
{
    const nn_variant variant = word == NULL ? rules : by_word(word);
    const char *what = word == NULL ? "as specified" : word;
    nn_arena arena = {0};
    results out;
    if (run(&out, &arena, work, &variant)) {
        test_same_floats(what, out.value[0].f32, &first, 1);
        if (out.count > 1)
            test_same_floats(what, out.value[1].f32, &second, 1);
    }
    nn_arena_free(&arena);
}

static void sums_by_hand(void)
{
    /* 2^24 + 1 = 2^24, but 1 - 2^24 is exact */
    const float x[8] = {0x1p24f, 1, -0x1p24f, 1};
    const nn_value input = test_value("x", x, 8);
    const nn_case work = {.op = "sum", .inputs = &input, .input_count = 1};
    static const struct {
        const char *word;
        float total;
    } rows[] = {{NULL, 1},
                {"reversed-order", 2},
                {"reversed-blocks", 2},
                {"pairwise-order", 1},
                {"numpy-order", 1},
                {"lanes-2", 2},
                {"lanes-4", 1},
                {"lanes-8", 1},
                {"lanes-16", 1},
                {"lanes-4-tree", 2},
                {"lanes-8-tree", 2},
                {"lanes-16-tree", 2},
                {"double-accumulator", 2},
                {"blocks-32", 1},
                {"one-level-sums", 1}};
    const nn_value nothing = test_value("x", NULL, 0);
    const nn_case empty = {.op = "sum", .inputs = &nothing, .input_count = 1};
    test_case("variant: 2^24 + 1 - 2^24 + 1 in all orders, and the sum of nothing");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        by_hand(&work, rows[i].word, rows[i].total, 0);
        by_hand(&empty, rows[i].word, 0, 0);
    }
}

/* The smallest normal number is kept; half of it is flushed, as an operand or only as a result. */
static void subnormals_by_hand(void)
{
    static const struct {
        float a, b, kept, flushed, results;
    } rows[] = {{0x1p-126f, 0, 0x1p-126f, 0x1p-126f, 0x1p-126f},
                {-0x1p-126f, 0, -0x1p-126f, -0x1p-126f, -0x1p-126f},
                {0x1p-127f, 0x1p-127f, 0x1p-126f, 0, 0x1p-126f},
                {0x1p-126f, -0x1p-127f, 0x1p-127f, 0x1p-126f, 0}};
    test_case("variant: subnormals flushed, by hand");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const nn_value inputs[] = {test_value("a", &rows[i].a, 1), test_value("b", &rows[i].b, 1)};
        const nn_case work = {.op = "add", .inputs = inputs, .input_count = 2};
        by_hand(&work, NULL, rows[i].kept, 0);
        by_hand(&work, "flush-to-zero", rows[i].flushed, 0);
        by_hand(&work, "flush-results", rows[i].results, 0);
    }
}

/* w = 8, g = 2, v = 4 at rate, momentum and decay 1/2, 1/2, 1/4. */
static void steps_by_hand(void)
{
    static const float numbers[] = {8, 2, 4, 0.5f, 0.5f, 0.25f};
    static const char *const names[] = {"w", "g", "v", "lr", "momentum", "weight_decay"};
    const nn_attribute later = {"first", 0};
    nn_value inputs[6];
    nn_case work = {.op = "sgd",
                    .attributes = &later,
                    .attribute_count = 1,
                    .inputs = inputs,
                    .input_count = 6};
    for (size_t i = 0; i < 6; i++) {
        inputs[i] = test_value(names[i], &numbers[i], 1);
        inputs[i].rank = i < 3;
    }
    test_case("variant: a step of SGD by hand");
    by_hand(&work, NULL, 5, 6);                   /* g = 2 + 2, v = 2 + 4 */
    by_hand(&work, "dampening", 6, 4);            /* v = 2 + 2 */
    by_hand(&work, "velocity-as-mean", 6, 4);     /* v = 2 + 2 */
    by_hand(&work, "nesterov", 4.5f, 6);          /* 8 - (4 + 3)/2 */
    by_hand(&work, "rate-in-velocity", 4, 4);     /* v = 2 + 2 */
    by_hand(&work, "decoupled-decay", 5, 4);      /* 8 * 7/8 - 4/2 */
    by_hand(&work, "decay-after-momentum", 5, 4); /* 8 - (4 + 2)/2 */
}

/* ---- refusals ---- */

/* One word of a good computation is replaced; `part` stands in the refusal. */
typedef struct refusal {
    const char *text;
    const char *attribute;
    uint64_t value;
    const char *part;
} refusal;

static void refused(const nn_case *work, const char *part)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const nn_value *outputs = NULL;
    size_t count = 0;
    test_status(work->op, nn_variant_run(&error, &arena, &outputs, &count, work, &rules),
                DDOME_ERR_DATA, &error, part);
    CHECK(outputs == NULL && count == 0);
    nn_arena_free(&arena);
}

static void refuse_attributes(void)
{
    static const char conv[] = "conv stride=s pad=p x:nhwc w:ocuv";
    static const char pool[] = "max_pool kernel=u stride=s pad=p x:nhwc";
    static const refusal rows[] = {
        {conv, "stride", 0, "attribute stride: expected 1 to"},
        {conv, "stride", UINT64_MAX - 1, "attribute stride: expected 1 to"},
        {conv, "stride", UINT64_MAX, "attribute stride: it is missing"},
        {conv, "pad", (uint64_t)1 << 27, "attribute pad: expected at most"},
        {conv, "pad", 4097, "attribute pad: expected at most 4096"},
        {conv, "pad", 4096, "output y: it would have more than"},
        {pool, "kernel", 4097, "attribute kernel: expected 1 to 4096"},
        {pool, "kernel", 60, "does not fit the padded input"},
        {pool, "pad", 4, "smaller than the kernel"},
        {"conv.backward_weight stride=s pad=p kh=u kw=v x:nhwc dy:nYXo", "kh", 60, "not fit"},
        {"conv.backward_input stride=s pad=p h=h w=w w:ocuv dy:nYXo", "h", 80, "input dy"},
        {"avg_pool.backward h=h w=w dy:nc", "h", 4097, "attribute h: expected 1 to 4096"},
        {"group_norm groups=g x:nhwC gamma:C beta:C", "groups", 400, "divide the channels"},
        {"top_k k=k score:M", "k", 8, "at most the number of experts"},
        {"average uniform=f copies:kL samples#k<B", "uniform", 2, "expected 0 or 1"},
    };
    test_random random = test_random_start(1952);
    test_case("variant: attributes that are refused");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nn_case work = test_case_from(rows[i].text, NN_ARITH_MA, FILL_RANDOM, &random);
        nn_attribute *attributes = test_bytes(work.attribute_count, sizeof *attributes);
        for (size_t a = 0; a < work.attribute_count; a++) {
            attributes[a] = work.attributes[a];
            if (strcmp(attributes[a].name, rows[i].attribute) == 0)
                attributes[a].value = rows[i].value;
        }
        work.attributes = attributes;
        refused(&work, rows[i].part);
        test_release();
    }
}

/* Each input of each operation: missing, without elements, of other types and shapes. */
static void refuse_inputs(const nn_case *good)
{
    static const uint32_t many[1] = {UINT32_MAX};
    nn_value *inputs = test_bytes(good->input_count, sizeof *inputs);
    nn_case work = *good;
    work.inputs = inputs;
    for (size_t i = 0; i < good->input_count; i++) {
        memcpy(inputs, good->inputs, good->input_count * sizeof *inputs);
        inputs[i].name = "other";
        refused(&work, "it is missing");
        inputs[i] = good->inputs[i];
        inputs[i].f32 = NULL;
        inputs[i].u32 = NULL;
        refused(&work, "its elements are not given");
        inputs[i].type = NN_VALUE_F64;
        refused(&work, "expected dtype");
        inputs[i] = good->inputs[i];
        inputs[i].count++;
        refused(&work, "its shape does not fit its elements");
        inputs[i] = good->inputs[i];
        inputs[i].rank = 5;
        refused(&work, "its shape does not fit its elements");
        if (inputs[i].type != NN_VALUE_U32 || strcmp(inputs[i].name, "samples") == 0)
            continue;
        inputs[i] = good->inputs[i];
        inputs[i].rank = inputs[i].shape[0] = inputs[i].count = 1;
        inputs[i].u32 = many;
        if (good->inputs[i].count == 1)
            refused(&work, strcmp(inputs[i].name, "chosen") == 0
                               ? "expected ascending indices below the number of experts"
                               : "expected labels below the number of classes");
        else
            refused(&work, NULL);
    }
}

static void refuse_shapes(void)
{
    const float x[12] = {0};
    const uint32_t down[] = {1, 0};
    nn_value inputs[3] = {
        {.name = "a", .rank = 2, .shape = {2, 3}, .count = 6, .f32 = x},
        {.name = "b", .rank = 2, .shape = {4, 3}, .count = 12, .f32 = x},
    };
    nn_case work = {.op = "matmul", .inputs = inputs, .input_count = 2};
    test_case("variant: shapes and indices that are refused");
    refused(&work, "input b: expected shape [3,n] with sizes of at least 1, found [4,3]");
    work.op = "add";
    refused(&work, "input b: expected shape [2,3] with sizes of at least 1, found [4,3]");
    work.op = "fft";
    refused(&work, "operation fft: it is none of SPEC 19.1.2");
    inputs[0].shape[1] = inputs[0].count = 0;
    work.op = "matmul";
    refused(&work, "input a: expected shape [2,k]");
    inputs[0].shape[0] = inputs[0].shape[1] = SIZE_MAX / 2 + 2;
    refused(&work, "input a: its shape does not fit");
    inputs[0] = (nn_value){.name = "gate", .rank = 2, .shape = {1, 2}, .count = 2, .f32 = x};
    inputs[1] = (nn_value){
        .name = "chosen", .type = NN_VALUE_U32, .rank = 1, .shape = {2}, .count = 2, .u32 = down};
    work.op = "mixture";
    refused(&work, "expected ascending indices");
}

/* ---- memory ---- */

static void out_of_memory(const nn_case *work)
{
    const nn_variant variant = by_word("pairwise-order");
    ddome_status status = DDOME_ERR_MEMORY;
    for (size_t step = 1; status != DDOME_OK && step < 100; step++) {
        nn_arena arena = {.fail_after = step};
        ddome_error error = {DDOME_OK, ""};
        const nn_value *outputs;
        size_t count;
        status = nn_variant_run(&error, &arena, &outputs, &count, work, &variant);
        if (status != DDOME_OK)
            test_status("without memory", status, DDOME_ERR_MEMORY, &error, "out of memory");
        else
            CHECK(arena.allocations < step && step > 5);
        nn_arena_free(&arena);
    }
    CHECK(status == DDOME_OK);
}

static void of_each_operation(const char *what, void (*check)(const nn_case *work))
{
    test_random random = test_random_start(1953);
    test_case("variant: %s", what);
    for (size_t i = 0; test_case_texts[i] != NULL; i++) {
        const nn_case work = test_case_from(test_case_texts[i], NN_ARITH_MA, FILL_RANDOM, &random);
        check(&work);
        test_release();
    }
}

void t_variant_deviations(void);

void t_variant_deviations(void)
{
    table();
    texts();
    walk();
    each_moves();
    other_profile();
    sums_by_hand();
    subnormals_by_hand();
    steps_by_hand();
    refuse_attributes();
    of_each_operation("inputs that are refused", refuse_inputs);
    refuse_shapes();
    of_each_operation("no memory, wherever it ends", out_of_memory);
}

/* SPDX-License-Identifier: MIT */
/* Variants at their edges: pairs of deviations that meet in one line, by hand; inputs that are
 * nearly right; values of which little is known. SPEC 19.1, 19.5. */
#include "fixture.h"

#include "../nn/variant.h"

#include <math.h>
#include <string.h>

void t_variant_edges(void);

static const nn_variant rules;

static nn_variant both(const char *first, const char *second)
{
    nn_variant variant = rules;
    size_t found = 0;
    for (size_t i = 0; i < NN_DEVIATE_COUNT; i++)
        for (size_t c = 1; c < nn_deviation_table[i].choices; c++)
            if (strcmp(nn_deviation_table[i].word[c], first) == 0 ||
                strcmp(nn_deviation_table[i].word[c], second) == 0) {
                variant.choice[i] = (unsigned char)c;
                found++;
            }
    test_check(found == 2, __FILE__, __LINE__, "%s and %s stand in the table", first, second);
    return variant;
}

static nn_value floats(const char *name, const float *x, size_t rows, size_t cols)
{
    return (nn_value){
        .name = name, .rank = 2, .shape = {rows, cols}, .count = rows * cols, .f32 = x};
}

static nn_value column(const char *name, const float *x, size_t count)
{
    return (nn_value){.name = name, .rank = 1, .shape = {count}, .count = count, .f32 = x};
}

static nn_value whole(const char *name, const uint32_t *x, size_t count)
{
    return (nn_value){
        .name = name, .type = NN_VALUE_U32, .rank = 1, .shape = {count}, .count = count, .u32 = x};
}

/* The first element of the first output is `want`. */
static void gives(const nn_case *work, const nn_variant *variant, float want)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const nn_value *outputs = NULL;
    size_t count = 0;
    char text[100];
    nn_variant_text(text, sizeof text, variant);
    if (test_status(text, nn_variant_run(&error, &arena, &outputs, &count, work, variant), DDOME_OK,
                    &error, NULL))
        test_same_floats(text, outputs[0].f32, &want, 1);
    nn_arena_free(&arena);
}

/* ---- pairs ---- */

/* y = (x - mean) * r of one value, r rounded once from binary64. */
static void roots(void)
{
    static const float x = 3, one = 1, zero = 0, var = 0.25f;
    const nn_value inputs[] = {
        {.name = "x", .rank = 4, .shape = {1, 1, 1, 1}, .count = 1, .f32 = &x},
        column("gamma", &one, 1),
        column("beta", &zero, 1),
        column("running_mean", &one, 1),
        column("running_var", &var, 1)};
    const nn_case work = {.op = "batch_norm.evaluate", .inputs = inputs, .input_count = 5};
    nn_variant variant = both("rsqrt-in-double", "eps-1e-3");
    test_case("variant: roots in binary64 with another eps, by hand");
    gives(&work, &variant, 2 * (float)(1.0 / sqrt(0.25 + 1e-3)));
    variant = both("rsqrt-in-double", "eps-outside-root");
    gives(&work, &variant, 2 * (float)(1.0 / (0.5 + 1e-5)));
}

/* (1*3 + 2*4) / 3 in binary32. */
static void averages(void)
{
    static const float copies[] = {3, 4};
    static const uint32_t samples[] = {1, 2};
    const nn_value inputs[] = {floats("copies", copies, 2, 1), whole("samples", samples, 2)};
    const nn_attribute uniform = {"uniform", 0};
    const nn_case work = {.op = "average",
                          .attributes = &uniform,
                          .attribute_count = 1,
                          .inputs = inputs,
                          .input_count = 2};
    const float third = 1.0f / 3.0f;
    nn_variant variant = both("average-in-float", "mean-by-reciprocal");
    test_case("variant: averages in binary32 by the reciprocal of the weights, by hand");
    gives(&work, &variant, 11.0f * third);
    variant = both("average-of-float-shares", "mean-by-reciprocal");
    gives(&work, &variant, third * 3 + 2.0f / 3.0f * 4);
}

/* x w + b: the sum of one block, then b; a total that starts at b is never bare. */
static void totals(void)
{
    static const float x = -0.0f, w = 1, b = 2, zero = -0.0f;
    const nn_value inputs[] = {floats("x", &x, 1, 1), floats("w", &w, 1, 1), column("b", &b, 1)};
    const nn_value bare[] = {floats("x", &x, 1, 1), floats("w", &w, 1, 1), column("b", &zero, 1)};
    const nn_value nothing = column("x", &x, 0);
    const nn_case work = {.op = "linear", .inputs = inputs, .input_count = 3};
    const nn_case of_zeros = {.op = "linear", .inputs = bare, .input_count = 3};
    const nn_case empty = {.op = "sum", .inputs = &nothing, .input_count = 1};
    nn_variant variant = both("bias-before-blocks", "bare-first-block");
    test_case("variant: totals that start at a bias, and the halves of nothing, by hand");
    gives(&work, &variant, 2);
    gives(&of_zeros, &variant, 0); /* a block starts at +0, and +0 + -0 = +0 */
    variant = both("pairwise-order", "one-level-sums");
    gives(&empty, &variant, 0);
}

/* ---- inputs that are nearly right ---- */

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

static void shapes(void)
{
    static const float x[12] = {0};
    nn_value inputs[3] = {column("x", x, 4), floats("w", x, 3, 4), column("b", x, 3)};
    nn_case work = {.op = "linear", .inputs = inputs, .input_count = 3};
    test_case("variant: shapes that are refused by their number of sizes");
    refused(&work, "input x: expected shape [n,i] with sizes of at least 1, found [4]");
    inputs[0] = (nn_value){.name = "x", .rank = 3, .shape = {2, 3, 0}, .f32 = x};
    refused(&work, "found [2,3,0]");
    inputs[0] = floats("a", x, 2, 2);
    inputs[1] = column("b", x, 4);
    work = (nn_case){.op = "add", .inputs = inputs, .input_count = 2};
    refused(&work, "input b: expected shape [2,2] with sizes of at least 1, found [4]");
}

/* One index that is out of range, in each place of three. */
static void indices(void)
{
    static const float z[6] = {0};
    static const uint32_t labels[][3] = {{2, 0, 1}, {0, 2, 1}, {0, 1, 2}, {2, 2, 2}};
    test_case("variant: labels that are no class");
    for (size_t i = 0; i < 4; i++) {
        const nn_value inputs[] = {floats("z", z, 3, 2), whole("labels", labels[i], 3)};
        const nn_case work = {.op = "cross_entropy", .inputs = inputs, .input_count = 2};
        refused(&work, "input labels: expected labels below the number of classes");
    }
}

/* A kernel that fits in one direction only, and outputs that no memory can hold. */
static void windows(void)
{
    static const float x[9] = {0};
    const nn_value image = {.name = "x", .rank = 4, .shape = {1, 3, 3, 1}, .count = 9, .f32 = x};
    static const size_t kernels[2][2] = {{1, 4}, {4, 1}};
    test_case("variant: kernels wider or higher than the image");
    for (size_t i = 0; i < 2; i++) {
        const nn_value inputs[] = {image,
                                   {.name = "w",
                                    .rank = 4,
                                    .shape = {1, 1, kernels[i][0], kernels[i][1]},
                                    .count = 4,
                                    .f32 = x}};
        static const nn_attribute attributes[] = {{"stride", 1}, {"pad", 0}};
        const nn_case work = {.op = "conv",
                              .attributes = attributes,
                              .attribute_count = 2,
                              .inputs = inputs,
                              .input_count = 2};
        refused(&work, "does not fit the padded input of 3 x 3");
    }

    test_case("variant: an output whose number of elements does not fit a size_t");
    static const nn_attribute sizes[] = {{"h", 4}, {"w", 1}};
    const nn_value dy = floats("dy", x, 2, SIZE_MAX / 4 + 1);
    const nn_case work = {.op = "avg_pool.backward",
                          .attributes = sizes,
                          .attribute_count = 2,
                          .inputs = &dy,
                          .input_count = 1};
    refused(&work, "it would have more than 67108864 elements");
}

/* ---- values ---- */

static void values(void)
{
    static const float x[6] = {0};
    const nn_value two = floats("x", x, 2, 3), other = floats("x", x, 2, 2),
                   flat = column("x", x, 6), unknown = floats("x", NULL, 2, 3);
    nn_value hashed = unknown;
    hashed.hashed = true;
    hashed.hash = nn_value_hash(&two);
    test_case("case: values of other shapes, of known hash, of which nothing is known");
    CHECK(nn_value_same(&two, &two) && nn_value_same(&two, &hashed) &&
          nn_value_same(&hashed, &two));
    CHECK(!nn_value_same(&two, &other) && !nn_value_same(&other, &two));
    CHECK(!nn_value_same(&two, &flat) && !nn_value_same(&flat, &two));
    CHECK(!nn_value_same(&unknown, &two) && !nn_value_same(&two, &unknown));
    CHECK(!nn_value_same(&unknown, &unknown) && !nn_value_same(&unknown, &hashed));
    const nn_digest of_unknown = nn_value_hash(&unknown), of_nothing = nn_sha256_of("", 0);
    test_same_bytes("hash", of_unknown.byte, of_nothing.byte, sizeof of_nothing.byte);
}

void t_variant_edges(void)
{
    roots();
    averages();
    totals();
    shapes();
    indices();
    windows();
    values();
}

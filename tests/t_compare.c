/* SPDX-License-Identifier: MIT */
/* When two arrays are equal: distances, modes, tolerance files. SPEC 19.4.2, 19.4.3. */
#include <math.h>
#include <string.h>

#include "../fl/trace.h"
#include "../tools/compare_run.h"
#include "test.h"

static void distances(void)
{
    test_case("compare: distance of floats");
    test_same_u64("itself", compare_ulp32(0x3f800000, 0x3f800000), 0);
    test_same_u64("zeros", compare_ulp32(0x80000000, 0x00000000), 0);
    test_same_u64("next", compare_ulp32(0x3f800000, 0x3f800001), 1);
    test_same_u64("across a power of two", compare_ulp32(0x3f7fffff, 0x3f800000), 1);
    test_same_u64("across zero", compare_ulp32(0x80000001, 0x00000002), 3);
    test_same_u64("largest and infinity", compare_ulp32(0x7f7fffff, 0x7f800000), 1);
    test_same_u64("both infinities", compare_ulp32(0xff800000, 0x7f800000), 0xff000000);
    test_case("compare: distance of doubles");
    test_same_u64("next", compare_ulp64(UINT64_C(0x3ff0000000000001), UINT64_C(0x3ff0000000000000)),
                  1);
    test_same_u64("all", compare_ulp64(UINT64_MAX, UINT64_MAX >> 1), UINT64_MAX - 1);
}

static nn_value floats(const float *data, size_t rows, size_t cols)
{
    const nn_value value = {.name = "x",
                            .type = NN_VALUE_F32,
                            .rank = 2,
                            .shape = {rows, cols},
                            .count = rows * cols,
                            .f32 = data};
    return value;
}

/* How many of four elements differ by a rule. */
static size_t differing(const float *a, const float *b, const compare_rule *rule)
{
    const nn_value x = floats(a, 2, 2), y = floats(b, 2, 2);
    const compare_result result = compare_values(&x, &y, rule);
    CHECK((result.verdict == COMPARE_SAME) == (result.differing == 0));
    return result.differing;
}

static void modes(void)
{
    const compare_rule exact = {false, false, 0, 0.0}, zero = {true, false, 0, 0.0};
    const compare_rule two = {true, false, 2, 0.0}, near = {false, true, 0, 1e-6};
    const compare_rule both = {true, true, 2, 1e-6};
    const float nan_a = nn_float_from_bits(0x7fc00000), nan_b = nn_float_from_bits(0xffc00001);
    const float a[4] = {0.0f, nan_a, 1.0f, 1e-30f};
    const float b[4] = {-0.0f, nan_b, nn_float_from_bits(0x3f800003),
                        nn_float_from_bits(nn_float_bits(1e-30f) + 2)};
    test_case("compare: exact, ULP and relative");
    test_same_u64("exact: -0, the last two", differing(a, b, &exact), 3);
    test_same_u64("0 ULP: the last two", differing(a, b, &zero), 2);
    test_same_u64("2 ULP: 3 ULP of 1", differing(a, b, &two), 1);
    test_same_u64("relative: nothing", differing(a, b, &near), 0);
    test_same_u64("either is enough", differing(a, b, &both), 0);
    const float c[4] = {INFINITY, nan_a, -INFINITY, 3e38f};
    const float d[4] = {3e38f, 1.0f, INFINITY, 3e38f};
    const compare_rule wide = {true, true, 8, 0.5};
    test_case("compare: infinity and NaN are near nothing");
    test_same_u64("three differ", differing(c, d, &wide), 3);
}

static void places(void)
{
    const compare_rule exact = {false, false, 0, 0.0};
    const float a[4] = {1.0f, 2.0f, 3.0f, nn_float_from_bits(0x7fc00000)};
    const float b[4] = {1.0f, nn_float_from_bits(0x40000001), nn_float_from_bits(0x40400005), 4.0f};
    nn_value x = floats(a, 2, 2), y = floats(b, 2, 2);
    char text[COMPARE_TEXT];
    test_case("compare: first and largest difference");
    const compare_result result = compare_values(&x, &y, &exact);
    test_same_u64("first", result.first, 1);
    test_same_u64("its distance", result.first_ulp, 1);
    test_same_u64("worst", result.worst, 2);
    test_same_u64("its distance", result.worst_ulp, 5);
    test_same_u64("differing", result.differing, 3);
    const compare_array array = compare_array_of(&y);
    compare_hex(text, &array, 1);
    test_same_text("hex", text, "40000001");
    compare_decimal(text, &array, 1);
    test_same_text("decimal", text, "2.00000024");
    test_case("compare: shapes, hashes");
    y = floats(b, 4, 1);
    CHECK(compare_values(&x, &y, &exact).verdict == COMPARE_SHAPE);
    y = floats(b, 2, 2);
    y.f32 = NULL;
    y.hashed = true;
    y.hash = nn_value_hash(&x);
    CHECK(compare_values(&x, &y, &exact).verdict == COMPARE_SAME);
    y.hash.byte[31] ^= 1;
    CHECK(compare_values(&x, &y, &exact).verdict == COMPARE_HASH);
}

/* Elements of a file stand at any address, low byte first. */
static void tensors(void)
{
    static const unsigned char bytes[] = {0, 0x00, 0x00, 0x80, 0x3f, 0xfe, 0xff, 0xff, 0xff,
                                          0, 0,    0,    0,    0,    0,    0xf0, 0xbf};
    static const uint64_t one = 1, two = 2;
    const data_safetensor f32 = {"f", "F32", 1, &one, bytes + 1, 4, 0};
    const data_safetensor i32 = {"i", "I32", 1, &one, bytes + 5, 4, 0};
    const data_safetensor f64 = {"d", "F64", 0, NULL, bytes + 9, 8, 0};
    const data_safetensor bf16 = {"b", "BF16", 1, &two, bytes + 1, 4, 0};
    char text[COMPARE_TEXT];
    compare_array array = compare_tensor_of(&f32);
    test_case("compare: elements of safetensors");
    test_same_u64("F32", compare_bits(&array, 0), 0x3f800000);
    array = compare_tensor_of(&i32);
    compare_decimal(text, &array, 0);
    test_same_text("I32", text, "-2");
    array = compare_tensor_of(&f64);
    compare_decimal(text, &array, 0);
    test_same_text("F64", text, "-1");
    array = compare_tensor_of(&bf16);
    test_same_u64("BF16 count", array.count, 2);
    compare_hex(text, &array, 1);
    test_same_text("BF16", text, "3f80");
}

static void refuse(nn_arena *arena, const char *text, const char *part)
{
    compare_tolerances tolerances = {NULL, 77, {false, false, 0, 0.0}};
    ddome_error error = {DDOME_OK, ""};
    test_status(text, compare_tolerances_parse(&error, arena, &tolerances, text, "file"),
                DDOME_ERR_USAGE, &error, part);
    test_same_u64("untouched", tolerances.count, 77);
}

static void tolerances(void)
{
    nn_arena arena;
    compare_tolerances read;
    ddome_error error = {DDOME_OK, ""};
    memset(&arena, 0, sizeof arena);
    test_case("compare: tolerance file");
    test_status("lines",
                compare_tolerances_parse(&error, &arena, &read,
                                         "# comment\n\nconv ulp 3 # more\r\n"
                                         "  loss\trelative 1e-5\nrng exact\n* ulp 7",
                                         "file"),
                DDOME_OK, &error, NULL);
    const compare_rule conv = compare_rule_of(&read, "conv"), loss = compare_rule_of(&read, "loss");
    const compare_rule rng = compare_rule_of(&read, "rng"), norm = compare_rule_of(&read, "norm");
    CHECK(conv.by_ulp && conv.ulp == 3 && !conv.by_relative);
    CHECK(loss.by_relative && loss.relative == 1e-5 && !loss.by_ulp);
    CHECK(!rng.by_ulp && !rng.by_relative);
    CHECK(norm.by_ulp && norm.ulp == 7);
    test_case("compare: damaged tolerance files");
    refuse(&arena, "conv ulp\n", "file:1: expected LEVEL ulp N");
    refuse(&arena, "\nconv ulp -1\n", "file:2:");
    refuse(&arena, "conv ulp 1000000000000000000\n", "found conv ulp");
    refuse(&arena, "conv relative nan\n", "found conv relative nan");
    refuse(&arena, "conv relative 0x1p-3\n", "file:1:");
    refuse(&arena, "conv relative -1\n", "file:1:");
    refuse(&arena, "conv exact 3\n", "file:1:");
    refuse(&arena, "conv ulp 3 4\n", "file:1:");
    refuse(&arena, "conv\n", "file:1:");
    refuse(&arena, "conv exact\nconv ulp 3\n", "file:2: level conv has a line already");
    nn_arena_free(&arena);
}

static void levels(void)
{
    static const char *const own[] = {"mixed"};
    test_case("compare: levels of tolerances and the nearest of another");
    CHECK(compare_level_nearest("conv", NULL, 0) == NULL);
    for (size_t i = 0; i < FL_TRACE_PASSES; i++)
        test_check(compare_level_nearest(fl_trace_passes[i], NULL, 0) == NULL, __FILE__, __LINE__,
                   "pass %s", fl_trace_passes[i]);
    CHECK(compare_level_nearest("model", NULL, 0) == NULL);
    CHECK(compare_level_nearest("*", NULL, 0) == NULL);
    CHECK(compare_level_nearest("mixed", own, 1) == NULL);
    test_same_text("of the files", compare_level_nearest("mixes", own, 1), "mixed");
    test_same_text("of all", compare_level_nearest("trainstep", own, 1), "train_step");
}

/* What a manifest or a round says: kinds, names, members and all elements. */
static void json_values(void)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"{\"a\":[1,{\"b\":null}]}", "{\"a\":[1,{\"b\":null}]}", true},
        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true},
        {"[true]", "[false]", false},
        {"[null]", "[false]", false},
        {"[1]", "[\"1\"]", false},
        {"[1]", "[1,1]", false},
        {"[1,2]", "[2,1]", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"{\"a\":{\"x\":true}}", "{\"a\":{\"x\":false}}", false},
        {"\"a\\u0000b\"", "\"a\\u0000c\"", false},
        {"1", "1.0", false},
    };
    test_case("compare: values of JSON");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        const data_json_value *a = NULL, *b = NULL;
        if (CHECK(data_json_parse(&error, &arena, &a, rows[i].a, strlen(rows[i].a)) == DDOME_OK &&
                  data_json_parse(&error, &arena, &b, rows[i].b, strlen(rows[i].b)) == DDOME_OK))
            test_check(run_same_json(a, b) == rows[i].same, __FILE__, __LINE__, "%s and %s",
                       rows[i].a, rows[i].b);
        nn_arena_free(&arena);
    }
}

/* Whichever allocation fails, the call says so and leaves nothing behind. */
static void no_memory(void)
{
    ddome_status status = DDOME_ERR_MEMORY;
    test_case("compare: out of memory");
    for (size_t n = 1; status != DDOME_OK && n < 20; n++) {
        nn_arena arena;
        compare_tolerances read;
        ddome_error error = {DDOME_OK, ""};
        memset(&arena, 0, sizeof arena);
        arena.fail_after = n;
        status = compare_tolerances_parse(&error, &arena, &read, "conv ulp 1\n", "file");
        CHECK(status == DDOME_OK || status == DDOME_ERR_MEMORY);
        nn_arena_free(&arena);
    }
    CHECK(status == DDOME_OK);
}

void t_compare(void)
{
    distances();
    modes();
    places();
    tensors();
    tolerances();
    levels();
    json_values();
    no_memory();
}

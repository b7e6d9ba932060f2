/* SPDX-License-Identifier: MIT */
/* Values of computations: hashes by the text of SPEC 19.1.1, equality, look-ups. */
#include "case_fixture.h"

#include <math.h>
#include <string.h>

static void same_hash(const char *what, const nn_value *value, const char *bytes, size_t count)
{
    char got[NN_HEX_BYTES], want[NN_HEX_BYTES];
    const nn_digest of_value = nn_value_hash(value), of_bytes = nn_sha256_of(bytes, count);
    nn_digest_hex(got, &of_value);
    nn_digest_hex(want, &of_bytes);
    test_same_text(what, got, want);
}

static void hashes(void)
{
    const float floats[] = {1.0f, -0.0f, nn_float_from_bits(0xffc00001u), 0x1p-149f};
    const double doubles[] = {1.0, -0.0, -(double)NAN};
    const uint32_t whole[] = {1, 0xdeadbeef};
    const nn_value f32 = test_value("x", floats, 4), nothing = test_value("x", NULL, 0);
    const nn_value f64 = {
        .name = "p", .type = NN_VALUE_F64, .rank = 1, .shape = {3}, .count = 3, .f64 = doubles};
    const nn_value u32 = {
        .name = "k", .type = NN_VALUE_U32, .rank = 1, .shape = {2}, .count = 2, .u32 = whole};
    char hex[NN_HEX_BYTES];
    test_case("case: hashes of values");
    const nn_digest known = nn_value_hash(&f32);
    nn_digest_hex(hex, &known);
    test_same_text("SPEC 3.6", hex,
                   "a21dc11f5c40f8710aafd930029f12295c5dfef1f3b397f24ba0ec7d47025558");
    same_hash("F64", &f64, "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\xf8\x7f", 24);
    same_hash("U32", &u32, "\x01\0\0\0\xef\xbe\xad\xde", 8);
    same_hash("no elements", &nothing, "", 0);
    const nn_value stored = {
        .name = "x", .rank = 1, .shape = {4}, .count = 4, .hashed = true, .hash = known};
    const nn_digest again = nn_value_hash(&stored);
    CHECK(memcmp(&again, &known, sizeof known) == 0);
    CHECK(nn_value_known(&f32) && nn_value_known(&nothing) && !nn_value_known(&stored));
    CHECK(nn_value_same(&f32, &stored) && nn_value_same(&stored, &f32));
}

static void sameness(void)
{
    const float a[] = {1.0f, nn_float_from_bits(0x7fc00000u)}, zero[] = {0.0f, 0.0f};
    const float b[] = {1.0f, nn_float_from_bits(0xff812345u)}, minus[] = {0.0f, -0.0f};
    const nn_value of_a = test_value("a", a, 2), of_b = test_value("b", b, 2);
    const nn_value plus = test_value("a", zero, 2), negative = test_value("a", minus, 2);
    nn_value row = of_a, unknown = of_a,
             whole = {.type = NN_VALUE_U32,
                      .rank = 1,
                      .shape = {2},
                      .count = 2,
                      .u32 = (const uint32_t[]){0, 0}};
    test_case("case: the same bits, NaN like NaN, -0 unlike +0, shapes");
    row.rank = 2;
    row.shape[0] = 1;
    row.shape[1] = 2;
    unknown.f32 = NULL;
    CHECK(nn_value_same(&of_a, &of_b));
    CHECK(!nn_value_same(&of_a, &plus) && !nn_value_same(&plus, &negative));
    CHECK(!nn_value_same(&of_a, &row) && !nn_value_same(&plus, &whole));
    CHECK(!nn_value_same(&of_a, &unknown) && !nn_value_same(&unknown, &unknown));
}

static void look_up(void)
{
    const nn_value values[] = {test_value("x", NULL, 0), test_value("y", NULL, 0)};
    const nn_attribute attributes[] = {{"stride", 2}, {"pad", 0}};
    const nn_case work = {.op = "conv",
                          .attributes = attributes,
                          .attribute_count = 2,
                          .inputs = values,
                          .input_count = 1,
                          .outputs = values + 1,
                          .output_count = 1};
    test_case("case: inputs, outputs and attributes by name");
    CHECK(nn_case_input(&work, "x") == &values[0] && nn_case_input(&work, "y") == NULL);
    CHECK(nn_case_output(&work, "y") == &values[1] && nn_case_output(&work, "x") == NULL);
    test_same_u64("stride", nn_case_attribute(&work, "stride", 7), 2);
    test_same_u64("pad", nn_case_attribute(&work, "pad", 7), 0);
    test_same_u64("none", nn_case_attribute(&work, "groups", 7), 7);
}

void t_case(void);

void t_case(void)
{
    hashes();
    sameness();
    look_up();
}

/* SPDX-License-Identifier: MIT */
/* Errors keep their first cause; sizes never overflow; float bits survive. */
#include <string.h>

#include "test.h"

void t_base(void);

static void sizes(void)
{
    test_case("base size product");
    size_t out = 7;
    CHECK(nn_size_mul(&out, 6, 7) && out == 42);
    CHECK(nn_size_mul(&out, 0, SIZE_MAX) && out == 0);
    CHECK(nn_size_mul(&out, SIZE_MAX, 0) && out == 0);
    CHECK(nn_size_mul(&out, SIZE_MAX, 1) && out == SIZE_MAX);
    out = 7;
    CHECK(!nn_size_mul(&out, SIZE_MAX, 2) && out == 7);
    CHECK(!nn_size_mul(&out, SIZE_MAX / 2 + 1, 2) && out == 7);
    CHECK(nn_min(2, 3) == 2 && nn_max(2, 3) == 3);
}

static void errors(void)
{
    test_case("base first error wins");
    ddome_error error = {DDOME_OK, ""};
    ddome_status status = nn_fail(&error, DDOME_ERR_DATA, "%s %d", "first", 1);
    test_status("first", status, DDOME_ERR_DATA, &error, "first 1");
    status = nn_fail(&error, DDOME_ERR_IO, "second");
    test_status("second", status, DDOME_ERR_IO, &error, "first 1");
    CHECK(error.status == DDOME_ERR_DATA);
    CHECK(nn_fail(NULL, DDOME_ERR_IO, "nowhere") == DDOME_ERR_IO);
    nn_error_clear(NULL);
    nn_error_clear(&error);
    CHECK(nn_fail(&error, DDOME_ERR_IO, "second") == DDOME_ERR_IO);
    test_status("cleared", error.status, DDOME_ERR_IO, &error, "second");

    test_case("base long error is cut");
    char text[2 * sizeof error.text];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    error.status = DDOME_OK;
    CHECK(nn_fail(&error, DDOME_ERR_DATA, "%s", text) == DDOME_ERR_DATA);
    CHECK(strlen(error.text) == sizeof error.text - 1);
}

static void bits(void)
{
    static const uint32_t some[] = {0, 1, 0x80000000, 0x3f800000, 0x7f800000, 0x7fc00000};
    test_case("base float bits");
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        test_same_u64("there and back", nn_float_bits(nn_float_from_bits(some[i])), some[i]);
    CHECK(nn_float_bits(-2.5f) == 0xc0200000);
}

void t_base(void)
{
    sizes();
    errors();
    bits();
}

/* SPDX-License-Identifier: MIT */
/* The byte-to-float table against golden bits, and the hash of a split. SPEC 7.3, 7.5. */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../data/dataset.h"

void t_dataset(void);

enum { TEXT_BYTES = 4096 };

/* SPEC 7.3.2. */
static const struct constants {
    const char *name;
    float mean[3], deviation[3];
} sets[] = {{"cifar10", {0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}},
            {"cifar100", {0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}},
            {"synth", {0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}}};

/* One line a set and channel: the bits of the values of a few bytes. SPEC 2.6, 7.3.1. */
static void test_table(void)
{
    const unsigned bytes[] = {0, 1, 2, 63, 127, 128, 200, 254, 255};
    char text[TEXT_BYTES];
    size_t used = 0;
    test_case("dataset: normalised bytes");
    for (size_t s = 0; s < 3; s++) {
        data_set set = {0};
        set.c = 3;
        data_set_normalize(&set, sets[s].mean, sets[s].deviation);
        for (size_t c = 0; c < 3; c++) {
            used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%s %u", sets[s].name,
                                     (unsigned)c);
            for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
                used += (size_t)snprintf(text + used, TEXT_BYTES - used, " %08" PRIx32,
                                         nn_float_bits(set.value[c][bytes[i]]));
            used += (size_t)snprintf(text + used, TEXT_BYTES - used, "\n");
        }
    }
    const char *golden = test_golden("normalize.txt");
    if (golden != NULL)
        test_same_text("normalize.txt", text, golden);
}

/* Values rise with the byte, one step being about 1 / (255 * deviation). */
static void test_monotone(void)
{
    test_case("dataset: the table rises");
    for (size_t s = 0; s < 3; s++) {
        data_set set = {0};
        set.c = 3;
        data_set_normalize(&set, sets[s].mean, sets[s].deviation);
        bool rises = true;
        for (size_t c = 0; c < 3; c++)
            for (size_t b = 1; b < 256; b++)
                rises = rises && set.value[c][b] > set.value[c][b - 1];
        CHECK(rises);
    }
}

static void test_hash(void)
{
    const uint8_t pixels[] = {10, 11, 12, 20, 21, 22}, labels[] = {7, 9};
    const uint8_t flat[] = {7, 10, 11, 12, 9, 20, 21, 22};
    test_case("dataset: hash of a split");
    data_split split = {2, pixels, labels, {{0}}};
    nn_digest got = data_split_hash(&split, 3), want = nn_sha256_of(flat, sizeof flat);
    test_same_bytes("two records", got.byte, want.byte, sizeof got.byte);
    split.count = 0;
    got = data_split_hash(&split, 3);
    want = nn_sha256_of("", 0);
    test_same_bytes("no record", got.byte, want.byte, sizeof got.byte);
}

void t_dataset(void)
{
    test_table();
    test_monotone();
    test_hash();
}

/* SPDX-License-Identifier: MIT */
/* The safetensors writer: its bytes, the way back through the reader, and that reader under damaged
 * files and without memory. SPEC 17.4.6. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/safetensors.h"

void t_safetensors_write(void);

enum { FILE_BYTES = 1024 }; /* more than the samples take */

#define SHAPE(...)                                                                                 \
    (const uint64_t[])                                                                             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* The tensors of the writer tests, not in the order of their names. */
static const unsigned char payload[24] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                          13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
static const data_safetensor samples[] = {
    {"fc.weight", "F32", 2, SHAPE(2, 3), payload, 24, 0},
    {"\xc3\xa9", "U8", 1, SHAPE(3), payload, 3, 0},
    {"B", "BF16", 1, SHAPE(1), payload + 3, 2, 0},
    {"a\"\\\x01\n/\x7f", "I64", 0, NULL, payload + 8, 8, 0},
    {"r", "I8", 10, SHAPE(1, 1, 2, 1, 1, 1, 1, 1, 1, 2), payload, 4, 0},
    {"", "F64", 3, SHAPE(4, 0, 2), NULL, 0, 0},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static void test_write_bytes(void)
{
    static const char header[] =
        "{\"\":{\"dtype\":\"F64\",\"shape\":[4,0,2],\"data_offsets\":[0,0]},"
        "\"B\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]},"
        "\"a\\\"\\\\\\u0001\\u000a/\x7f\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[2,10]},"
        "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[10,34]},"
        "\"r\":{\"dtype\":\"I8\",\"shape\":[1,1,2,1,1,1,1,1,1,2],\"data_offsets\":[34,38]},"
        "\"\xc3\xa9\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[38,41]}}";
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *file = NULL;
    size_t count = 0, used = (sizeof header - 1 + 7) / 8 * 8;
    test_case("safetensors: the bytes of a file (SPEC 17.4.6)");
    if (test_status("format",
                    data_safetensors_format(&error, &arena, &file, &count, samples, SAMPLES),
                    DDOME_OK, &error, NULL)) {
        test_same_u64("bytes", count, 8 + used + 41);
        test_same_u64("length", file[0] + 256u * file[1], used);
        test_same_bytes("header", file + 8, header, sizeof header - 1);
        test_same_bytes("padding", file + 8 + sizeof header - 1, "       ",
                        used - (sizeof header - 1));
        test_same_bytes("first", file + 8 + used, payload + 3, 2);
        test_same_bytes("last", file + count - 3, payload, 3);
    }
    CHECK(data_safetensors_format(&error, &arena, &file, &count, NULL, 0) == DDOME_OK);
    test_same_u64("an empty file", count, 16);
    test_same_bytes("an empty file", file, "\x08\0\0\0\0\0\0\0{}      ", 16);
    nn_arena_free(&arena);
}

static void check_same_tensor(const data_safetensor *got, const data_safetensor *want)
{
    if (!CHECK(got != NULL))
        return;
    test_same_text("dtype", got->dtype, want->dtype);
    CHECK(got->rank == want->rank && got->byte_count == want->byte_count);
    test_same_bytes("shape", got->shape, want->shape, want->rank * sizeof *want->shape);
    test_same_bytes("data", got->bytes, want->bytes, want->byte_count);
}

static void test_round_trip(void)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out = {0};
    unsigned char *once = NULL, *twice = NULL;
    size_t count = 0, again = 0;
    test_case("safetensors: write, read, write");
    CHECK(data_safetensors_format(&error, &arena, &once, &count, samples, SAMPLES) == DDOME_OK);
    CHECK(data_safetensors_parse(&error, &arena, &out, once, count) == DDOME_OK);
    test_same_u64("tensors", out.count, SAMPLES);
    for (size_t i = 0; i < SAMPLES && out.count == SAMPLES; i++)
        check_same_tensor(data_safetensors_find(&out, samples[i].name), &samples[i]);
    CHECK(data_safetensors_format(&error, &arena, &twice, &again, out.tensor, out.count) ==
          DDOME_OK);
    if (CHECK(count == again))
        test_same_bytes("file", twice, once, count);
    nn_arena_free(&arena);
}

static void test_write_refuses(void)
{
    const data_safetensor bad[] = {
        {"__metadata__", "F32", 2, SHAPE(2, 3), payload, 24, 0},
        {"\xff", "F32", 2, SHAPE(2, 3), payload, 24, 0},
        {"t", "F99", 2, SHAPE(2, 3), payload, 24, 0},
        {"t", "F32", 2, SHAPE(2, 2), payload, 24, 0},
        {"t", "F4", 1, SHAPE(3), payload, 1, 0},
        {"fc.weight", "U8", 0, NULL, payload, 1, 0},
    };
    test_case("safetensors: the writer refuses");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        unsigned char *file = NULL;
        size_t count = 77;
        const data_safetensor pair[] = {samples[0], bad[i]};
        test_status(bad[i].name, data_safetensors_format(&error, &arena, &file, &count, pair, 2),
                    DDOME_ERR_DATA, &error, "safetensors: ");
        CHECK(file == NULL && count == 77 && arena.used == 0);
        nn_arena_free(&arena);
    }
}

/* The sum of the sizes wraps; nothing may be allocated or copied before that is seen. */
static void test_write_too_large(void)
{
    const data_safetensor huge[] = {{"a", "U8", 1, SHAPE(SIZE_MAX), payload, SIZE_MAX, 0},
                                    samples[0]};
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *file = NULL;
    size_t count = 77;
    test_case("safetensors: the writer refuses a file beyond size_t");
    test_status("huge", data_safetensors_format(&error, &arena, &file, &count, huge, 2),
                DDOME_ERR_MEMORY, &error, "a safetensors file");
    CHECK(file == NULL && count == 77 && arena.used == 0);
    nn_arena_free(&arena);
}

/* Tensors of one shape, 21 bytes of text a number. */
static ddome_status head_of(ddome_error *error, nn_arena *arena, size_t count, size_t *bytes)
{
    enum { RANK = 10000, MOST = 480 };
    static uint64_t shape[RANK];
    static char names[MOST][4];
    static data_safetensor tensors[MOST];
    const data_safetensor *const *order = NULL;
    unsigned char *head = NULL;
    for (size_t i = 0; i < RANK; i++)
        shape[i] = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%03u", (unsigned)i % 1000);
        tensors[i] = (data_safetensor){names[i], "U8", RANK, shape, payload, 1, 0};
    }
    return data_safetensors_head(error, arena, &head, bytes, &order, tensors, count);
}

/* What a reader would refuse is not written (SPEC 17.4.6, 17.4.7). */
static void test_head_refuses(void)
{
    const data_safetensor huge[] = {{"a", "U8", 1, SHAPE(SIZE_MAX), payload, SIZE_MAX, 0},
                                    samples[0]};
    const data_safetensor *const *order = NULL;
    unsigned char *head = NULL;
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    size_t count = 77;
    test_case("safetensors: a head of more than 100,000,000 bytes, or of a file beyond size_t");
    test_status("long", head_of(&error, &arena, 480, &count), DDOME_ERR_RUNTIME, &error,
                "480 tensors: its header would have 1008");
    error = (ddome_error){DDOME_OK, ""};
    test_status("huge", data_safetensors_head(&error, &arena, &head, &count, &order, huge, 2),
                DDOME_ERR_MEMORY, &error, "the head of a safetensors file");
    CHECK(head == NULL && order == NULL && count == 77);
    test_status("few", head_of(&error, &arena, 7, &count), DDOME_OK, &error, NULL);
    CHECK(count > 7 * 210000 && count < 7 * 210100);
    nn_arena_free(&arena);
}

/* Its allocations: the order and the bytes. */
static void test_head_memory(void)
{
    test_case("safetensors: a head without memory, at each allocation");
    for (size_t limit = 1; limit < 4; limit++) {
        const data_safetensor *const *order = NULL;
        unsigned char *head = NULL;
        size_t count = 77;
        nn_arena arena = {.fail_after = limit};
        ddome_error error = {DDOME_OK, ""};
        const ddome_status status =
            data_safetensors_head(&error, &arena, &head, &count, &order, samples, SAMPLES);
        CHECK(status == (limit < 3 ? DDOME_ERR_MEMORY : DDOME_OK));
        CHECK(status == DDOME_OK || (head == NULL && order == NULL && count == 77));
        nn_arena_free(&arena);
    }
}

/* Writes and reads with the allocation `limit` failing. */
static ddome_status write_and_read(size_t limit)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out = {.count = 77};
    unsigned char *file = NULL;
    size_t count = 77;
    arena.fail_after = limit;
    ddome_status status = data_safetensors_format(&error, &arena, &file, &count, samples, SAMPLES);
    CHECK(status == DDOME_OK || (file == NULL && count == 77 && arena.used == 0));
    if (status == DDOME_OK) {
        status = data_safetensors_parse(&error, &arena, &out, file, count);
        CHECK(status == DDOME_OK || (out.tensor == NULL && out.count == 77));
    }
    CHECK(error.status == status);
    nn_arena_free(&arena);
    return status;
}

static void test_memory(void)
{
    size_t limit = 1;
    test_case("safetensors: every allocation fails once");
    while (limit < 1000 && write_and_read(limit) == DDOME_ERR_MEMORY)
        limit++;
    CHECK(limit > 20 && write_and_read(limit) == DDOME_OK);
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Adds up what a parsed file points to, so that a sanitizer sees a pointer that is off. A size
 * counts as 0 or 1. */
static size_t sum_bytes(const data_safetensors *file)
{
    size_t sum = 0;
    for (size_t i = 0; i < file->count; i++) {
        const data_safetensor *tensor = &file->tensor[i];
        for (size_t k = 0; k < tensor->rank; k++)
            sum += tensor->shape[k] > 0;
        for (size_t k = 0; k < tensor->byte_count; k++)
            sum += tensor->bytes[k];
    }
    return sum;
}

static void check_survives(nn_arena *arena, const unsigned char *file, size_t count)
{
    const nn_arena_mark start = nn_arena_get_mark(arena);
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out = {0};
    unsigned char *copy = malloc(count + 1);
    if (!CHECK(copy != NULL))
        return;
    memcpy(copy + 1, file, count); /* an odd address, and no byte behind it */
    ddome_status status = data_safetensors_parse(&error, arena, &out, copy + 1, count);
    CHECK(status == DDOME_OK || (status == DDOME_ERR_DATA && error.status == status));
    CHECK(sum_bytes(&out) <= 255u * count);
    nn_arena_rewind(arena, start);
    free(copy);
}

static void test_fuzz(void)
{
    static const char alphabet[] = "{}[]\",:\\0123456789-.e \xff";
    nn_arena arena = {0}, scratch = {0};
    unsigned char *file = NULL, bytes[FILE_BYTES];
    size_t count = 0;
    uint64_t state = test_seed();
    test_case("safetensors: cuts and random mutations");
    if (CHECK(data_safetensors_format(NULL, &arena, &file, &count, samples, SAMPLES) == DDOME_OK &&
              count <= FILE_BYTES)) {
        for (size_t cut = 0; cut < count; cut++)
            check_survives(&scratch, file, cut);
        for (int round = 0; round < 50000; round++) {
            memcpy(bytes, file, count);
            for (size_t edits = 1 + next_random(&state) % 3; edits > 0; edits--)
                bytes[next_random(&state) % count] =
                    (unsigned char)alphabet[next_random(&state) % sizeof alphabet];
            check_survives(&scratch, bytes, count);
        }
    }
    nn_arena_free(&arena);
    nn_arena_free(&scratch);
}

void t_safetensors_write(void)
{
    test_write_bytes();
    test_round_trip();
    test_write_refuses();
    test_write_too_large();
    test_head_refuses();
    test_head_memory();
    test_memory();
    test_fuzz();
}

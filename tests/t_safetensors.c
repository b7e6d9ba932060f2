/* SPDX-License-Identifier: MIT */
/* The safetensors reader: the rules of SPEC 17.4 one by one. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/safetensors.h"
#include "../nn/os.h"

void t_safetensors(void);

enum { FILE_BYTES = 4096 };

/* The entry of the plain F32 tensor of shape [2,2]; MEMBERS without braces. */
#define MEMBERS "\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]"
#define ENTRY "{" MEMBERS "}"

/* The length as eight little-endian bytes, the header, data_bytes bytes 0, 1, 2, ... */
static size_t make_file(unsigned char *file, const char *header, size_t data_bytes)
{
    size_t n = strlen(header);
    for (unsigned i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)n >> 8 * i & 0xFF);
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < data_bytes; i++)
        file[8 + n + i] = (unsigned char)(i & 0xFF);
    return 8 + n + data_bytes;
}

/* The data of the tensors in the file on the disk and in memory are the same. */
static void same_data(const data_safetensors *disk, const unsigned char *bytes)
{
    for (size_t i = 0; i < disk->count; i++) {
        const data_safetensor *tensor = &disk->tensor[i];
        const size_t first = tensor->byte_count / 3, count = tensor->byte_count - first;
        unsigned char got[FILE_BYTES];
        ddome_error error = {DDOME_OK, ""};
        CHECK(tensor->bytes == NULL && count <= sizeof got);
        test_status("data", data_safetensors_read(&error, disk, tensor, first, got, count),
                    DDOME_OK, &error, NULL);
        test_same_bytes("data", got, bytes + tensor->at + first, count);
    }
}

/* The same verdict, tensors and data where the data stay on the disk. */
static void same_on_disk(ddome_status expected, const char *reason, const data_safetensors *memory,
                         const unsigned char *bytes, size_t count)
{
    char path[1024];
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors disk = {.count = 77};
    snprintf(path, sizeof path, "%s/opened.safetensors", test_dir());
    CHECK(nn_os_write_file(&error, path, bytes, count) == DDOME_OK);
    const ddome_status status = data_safetensors_open_file(&error, &arena, &disk, path);
    if (test_status("on the disk", status, expected, &error, reason) && status == DDOME_OK) {
        test_same_u64("tensors", disk.count, memory->count);
        for (size_t i = 0; i < disk.count && i < memory->count; i++)
            CHECK(strcmp(disk.tensor[i].name, memory->tensor[i].name) == 0 &&
                  disk.tensor[i].byte_count == memory->tensor[i].byte_count &&
                  disk.tensor[i].at == memory->tensor[i].at);
        same_data(&disk, bytes);
    } else {
        CHECK(disk.count == 77 && arena.used == 0);
    }
    nn_os_remove(path);
    nn_arena_free(&arena);
}

/* Parses a copy that ends where its allocation ends, so that a sanitizer sees one byte too many.
 * The tensors of *out point into the freed copy: only their sizes and names may be looked at. */
static ddome_status parse(ddome_error *error, nn_arena *arena, data_safetensors *out,
                          const unsigned char *bytes, size_t count)
{
    unsigned char none = 0, *copy = count > 0 ? malloc(count) : &none;
    if (copy == NULL)
        return DDOME_ERR_MEMORY;
    memcpy(copy, bytes, count);
    error->status = DDOME_OK;
    error->text[0] = '\0';
    ddome_status status = data_safetensors_parse(error, arena, out, copy, count);
    same_on_disk(status, error->text, out, copy, count);
    if (count > 0)
        free(copy);
    return status;
}

static void check_accepts(const char *header, size_t data_bytes)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out = {0};
    unsigned char file[FILE_BYTES];
    size_t count = make_file(file, header, data_bytes), sum = 0;
    test_status(header, parse(&error, &arena, &out, file, count), DDOME_OK, &error, NULL);
    for (size_t i = 0; i < out.count; i++)
        sum += out.tensor[i].byte_count;
    test_same_u64(header, sum, data_bytes);
    nn_arena_free(&arena);
}

static void check_refuses_bytes(const char *what, const unsigned char *file, size_t count,
                                const char *part)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out = {.count = 77};
    test_status(what, parse(&error, &arena, &out, file, count), DDOME_ERR_DATA, &error, part);
    CHECK(out.count == 77 && arena.used == 0);
    CHECK(strchr(error.text, '\n') == NULL && strncmp(error.text, "safetensors: ", 13) == 0);
    nn_arena_free(&arena);
}

static void check_refuses(const char *header, size_t data_bytes, const char *part)
{
    unsigned char file[FILE_BYTES];
    check_refuses_bytes(header, file, make_file(file, header, data_bytes), part);
}

static void test_frame(void)
{
    static const unsigned char lengths[][8] = {
        {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, /* 8 + n wraps to 7 */
        {0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, /* 8 + n wraps to 0 */
        {0, 0, 0, 0, 0, 0, 0, 0x80},
        {0x01, 0xE1, 0xF5, 0x05, 0, 0, 0, 0}, /* 100000001 */
        {0, 0, 0, 0, 0, 0, 0, 2},             /* 2 in the wrong byte order */
        {3, 0, 0, 0, 0, 0, 0, 0},
    };
    unsigned char file[FILE_BYTES];
    test_case("safetensors: frame (SPEC 17.4.1)");
    size_t count = make_file(file, "{}", 0);
    for (size_t i = 0; i < 8; i++)
        check_refuses_bytes("short file", file, i, "17.4.1");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(file, lengths[i], 8);
        check_refuses_bytes("length", file, count, "17.4.1");
    }
    check_refuses("", 0, "17.4.2");
    check_refuses("{\"t\":" ENTRY "}", 15, "expected 16 bytes of data, found 15 (SPEC 17.4.5)");
    check_refuses("{\"t\":" ENTRY "}", 17, "expected 16 bytes of data, found 17 (SPEC 17.4.5)");
    check_refuses("{}", 1, "17.4.5");
}

/* One byte over the limit in a file that has room for it; refused before the header is looked at.
 */
static void test_header_limit(void)
{
    const size_t n = 100000001, count = 8 + n;
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    data_safetensors out;
    test_case("safetensors: a header over 100000000 bytes (SPEC 17.4.1)");
    unsigned char *file = calloc(count, 1);
    if (file == NULL) {
        test_skip("needs 100 MB");
        return;
    }
    memcpy(file, "\x01\xe1\xf5\x05", 4);
    test_status("limit", data_safetensors_parse(&error, &arena, &out, file, count), DDOME_ERR_DATA,
                &error, "expected a header of at most 100000000 bytes, found 100000001");
    CHECK(arena.allocations == 0);
    free(file);
    nn_arena_free(&arena);
}

static void test_valid(void)
{
    test_case("safetensors: valid headers");
    check_accepts("{}", 0);
    check_accepts("{}      ", 0);
    check_accepts("\t\n{}\r ", 0);
    check_accepts("{\"t\":" ENTRY "}", 16);
    check_accepts("{ \"t\" : { \"data_offsets\" : [ 0 , 16 ] , \"shape\" : [ 2 , 2 ] , "
                  "\"dtype\" : \"F32\" } } ",
                  16);
    check_accepts("{\"\":" ENTRY "}", 16);
    check_accepts("{\"../../etc/passwd\":" ENTRY "}", 16);
    check_accepts("{\"__metadata__\":{},\"t\":" ENTRY "}", 16);
    check_accepts("{\"t\":" ENTRY ",\"\\u005f_metadata__\":{\"a\":\"\",\"b\":\"c\"}}", 16);
    check_accepts("{\"t\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4);
    check_accepts(
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8);
    check_accepts("{\"t\":{\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[0,0]}}", 0);
    check_accepts("{\"t\":{\"dtype\":\"F32\",\"shape\":[0,18446744073709551615,2],"
                  "\"data_offsets\":[0,0]}}",
                  0);
}

static void test_members(void)
{
    static const char *const headers[] = {
        "{\"t\":null}",
        "{\"t\":{}}",
        "{\"t\":[\"F32\",[2,2],[0,16]]}",
        "{\"t\":{" MEMBERS ",\"x\":1}}",
        "{\"t\":{\"shape\":[2,2],\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2]}}",
        "{\"t\":{\"dtype\":\"f32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\\u0000\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":32,\"shape\":[2,2],\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[[2,2]],\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[-2,-2],\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2.0,2],\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2,null],\"data_offsets\":[0,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16,16]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":{\"begin\":0,\"end\":16}}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,1.6e1]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,18446744073709551616]}}",
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[-0,16]}}",
        "{\"a\\u0000b\":" ENTRY "}",
        "{\"__metadata__\":null,\"t\":" ENTRY "}",
        "{\"__metadata__\":{\"a\":1},\"t\":" ENTRY "}",
        "{\"__metadata__\":" ENTRY "}",
    };
    test_case("safetensors: members (SPEC 17.4.3)");
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        check_refuses(headers[i], 16, "17.4.3");
    check_refuses(headers[18], 16, "found 1.6e1 (SPEC 17.4.3)");
    check_refuses("{\"a\\nb\":{\"dtype\":\"no\\n\"}}", 0,
                  "\"a?b\": expected a dtype of SPEC 17.4.4, found \"no?\" (SPEC 17.4.3)");
}

static void test_json(void)
{
    static const char *const headers[] = {
        "[]",
        "null",
        "{}{}",
        "\xef\xbb\xbf{}",
        "{\"t\":" ENTRY ",}",
        "{\"t\":" ENTRY ",\"t\":" ENTRY "}",
        "{\"t\":" ENTRY ",\"\\u0074\":" ENTRY "}",
        "{\"t\":{" MEMBERS ",\"dtype\":\"F32\"}}",
        "{\"__metadata__\":{\"a\":\"b\",\"a\":\"b\"},\"t\":" ENTRY "}",
        "{\"\xff\":" ENTRY "}",
        "{\"\\ud800\":" ENTRY "}",
    };
    test_case("safetensors: header (SPEC 17.4.2)");
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        check_refuses(headers[i], 16, "17.4.2");
}

/* 100000 '[' and nothing else: refused by SPEC 17.4.2, and the stack is none the deeper for it. */
static void test_depth(void)
{
    enum { DEPTH = 100000 };
    static char header[DEPTH + 1];
    static unsigned char file[8 + DEPTH];
    test_case("safetensors: a header of %d open arrays (SPEC 17.4.2)", (int)DEPTH);
    memset(header, '[', DEPTH);
    check_refuses_bytes("depth", file, make_file(file, header, 0), "at most 64 nested values");
}

/* The rank has no limit of its own: RANK sizes 1, and the file with its last size spoilt. */
static void test_rank(void)
{
    enum { RANK = 1000000, ROOM = 8 + 2 * RANK + 100 };
    static const char head[] = "{\"t\":{\"dtype\":\"U8\",\"shape\":[1",
                      tail[] = "],\"data_offsets\":[0,1]}}";
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out = {0};
    char *header = nn_arena_alloc(&arena, ROOM, 1), *at = header;
    unsigned char *file = nn_arena_alloc(&arena, ROOM, 1);
    test_case("safetensors: rank %d (SPEC 17.4.3)", (int)RANK);
    if (!CHECK(header != NULL && file != NULL))
        return;
    memcpy(at, head, sizeof head - 1);
    at += sizeof head - 1;
    for (size_t i = 1; i < RANK; i++, at += 2)
        memcpy(at, ",1", 2);
    memcpy(at, tail, sizeof tail);
    size_t count = make_file(file, header, 1), ones = 0;
    if (test_status("ones", data_safetensors_parse(&error, &arena, &out, file, count), DDOME_OK,
                    &error, NULL)) {
        for (size_t i = 0; i < out.tensor[0].rank; i++)
            ones += out.tensor[0].shape[i] == 1;
        test_same_u64("rank", out.tensor[0].rank, RANK);
        test_same_u64("ones", ones, RANK);
    }
    at[-1] = '-';
    check_refuses_bytes("minus", file, make_file(file, header, 1), "17.4.2");
    nn_arena_free(&arena);
}

static void test_sizes(void)
{
    static const char *const refused[][2] = {
        {"[2,18446744073709551614]", "below 2^64 bits"},
        {"[2,9223372036854775807]", "below 2^64 bits"},
        {"[4294967296,4294967296]", "below 2^64 bits"},
        {"[18446744073709551615,18446744073709551615,0]", "below 2^64 bits"},
        {"[4611686018427387905,4]", "below 2^64 bits"},
        {"[2,3]", "expected 24 bytes, found data_offsets [0,16]"},
        {"[0]", "expected 0 bytes, found data_offsets [0,16]"},
    };
    char header[256];
    test_case("safetensors: sizes (SPEC 17.4.4)");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(header, sizeof header,
                 "{\"t\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[0,16]}}", refused[i][0]);
        check_refuses(header, 16, refused[i][1]);
    }
    check_refuses("{\"t\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "12 bits");
    check_refuses("{\"t\":{\"dtype\":\"F6_E2M3\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3,
                  "18 bits");
}

/* Four elements of each dtype: whole bytes for all, and half a byte of difference shows. */
static void test_dtypes(void)
{
    static const struct {
        const char *name;
        unsigned bits;
    } list[] = {
        {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
        {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
        {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
        {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
        {"I64", 64},        {"U64", 64},
    };
    char header[256];
    test_case("safetensors: dtypes (SPEC 17.4.4)");
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        unsigned bytes = list[i].bits * 4 / 8;
        for (unsigned end = bytes - 1; end <= bytes + 1; end++) {
            snprintf(header, sizeof header,
                     "{\"t\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%u]}}",
                     list[i].name, end);
            if (end == bytes)
                check_accepts(header, end);
            else
                check_refuses(header, end, "17.4.5");
        }
    }
}

/* Two tensors of 8 bytes at [a,b) and [c,d). */
static void make_pair(char header[256], const char *first, const char *second)
{
    snprintf(header, 256,
             "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%s]},"
             "\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[%s]}}",
             first, second);
}

static void test_layout(void)
{
    static const char *const refused[][2] = {
        {"0,8", "0,8"},
        {"0,8", "4,12"},
        {"0,8", "9,17"},
        {"8,16", "16,24"},
        {"0,8", "16,8"},
        {"16,24", "0,8"},
        {"8,0", "0,8"},
        {"8,16", "18446744073709551608,0"},
        {"0,8", "8,18446744073709551615"},
    };
    char header[256];
    test_case("safetensors: layout (SPEC 17.4.5)");
    make_pair(header, "0,8", "8,16");
    check_accepts(header, 16);
    make_pair(header, "8,16", "0,8");
    check_accepts(header, 16);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        make_pair(header, refused[i][0], refused[i][1]);
        for (size_t bytes = 0; bytes <= 24; bytes += 8)
            check_refuses(header, bytes, "17.4.5");
    }
    check_refuses("{\"t\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[5,5]}}", 0, "17.4.5");
}

/* An odd offset, an empty tensor between two others, and the order of the file, not of the text. */
static void test_contents(void)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out = {0};
    unsigned char file[FILE_BYTES];
    size_t count = make_file(file,
                             "{\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]},"
                             "\"e\":{\"dtype\":\"I64\",\"shape\":[3,0],\"data_offsets\":[1,1]},"
                             "\"\\u00e9\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
                             5);
    test_case("safetensors: contents");
    if (test_status("file", data_safetensors_parse(&error, &arena, &out, file, count), DDOME_OK,
                    &error, NULL)) {
        const data_safetensor *z = data_safetensors_find(&out, "z"), *t = out.tensor;
        CHECK(out.count == 3 && z == &t[2] && data_safetensors_find(&out, "y") == NULL);
        test_same_text("first", t[0].name, "\xc3\xa9");
        test_same_text("second", t[1].name, "e");
        CHECK(t[1].rank == 2 && t[1].shape[0] == 3 && t[1].shape[1] == 0 && t[1].byte_count == 0);
        test_same_text("dtype", z->dtype, "F32");
        CHECK(z->rank == 1 && z->shape[0] == 1 && z->byte_count == 4);
        CHECK(z->bytes == file + count - 4);
    }
    nn_arena_free(&arena);
}

static void test_no_file(void)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out = {.count = 77};
    test_case("safetensors: a file that is not there");
    test_status("missing", data_safetensors_open_file(&error, &arena, &out, "no such file"),
                DDOME_ERR_DATA, &error, "no such file");
    CHECK(out.count == 77 && arena.used == 0);
    nn_arena_free(&arena);
}

void t_safetensors(void)
{
    test_no_file();
    test_frame();
    test_header_limit();
    test_json();
    test_depth();
    test_valid();
    test_members();
    test_rank();
    test_sizes();
    test_dtypes();
    test_layout();
    test_contents();
}

/* SPDX-License-Identifier: MIT */
/* `ddome compare` on damaged and hostile traces and vectors, and without memory: a status and one
 * line, never a crash. SPEC 19.3, 19.4. */
#include <stdio.h>
#include <string.h>

#include "../data/safetensors.h"
#include "../data/value.h"
#include "../nn/os.h"
#include "../tools/compare.h"
#include "test.h"

enum { PATH_BYTES = 512, TEXT_BYTES = 4096, HEX = NN_HEX_BYTES };

typedef struct files {
    char a[PATH_BYTES], b[PATH_BYTES];
    char text_a[TEXT_BYTES], text_b[TEXT_BYTES];
    bool written;
} files;

static void name_files(files *f, const char *stem)
{
    snprintf(f->a, sizeof f->a, "%s/%s-a.json", test_dir(), stem);
    snprintf(f->b, sizeof f->b, "%s/%s-b.json", test_dir(), stem);
}

/* Without the flush to disk of nn_os_write_file: thousands are written. */
static bool write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    bool good = file != NULL && fwrite(bytes, 1, size, file) == size;
    if (file != NULL)
        good = fclose(file) == 0 && good;
    return good;
}

/* ---- a small trace with the tensors of an average ---- */

static void digest_of(char hex[HEX], const float *values, size_t count)
{
    nn_value value = {.type = NN_VALUE_F32, .rank = 1, .shape = {count}, .count = count};
    value.f32 = values;
    const nn_digest digest = nn_value_hash(&value);
    nn_digest_hex(hex, &digest);
}

static const float copies[3][2] = {{1.0f, 2.0f}, {3.0f, 5.0f}, {2.0f, 3.5f}};
static const char *const keys[3] = {"r1/c0/g/w", "r1/c1/g/w", "r1/average/g/w"};

static void trace_text(char text[TEXT_BYTES], const float *average)
{
    size_t at = (size_t)snprintf(
        text, TEXT_BYTES, "{\"trace\":\"ddome-trace-1\",\"specification\":1,\"arith\":\"ma\"}\n");
    for (int i = 0; i < 3; i++) {
        char hex[HEX];
        digest_of(hex, i < 2 ? copies[i] : average, 2);
        at += (size_t)snprintf(
            text + at, TEXT_BYTES - at,
            "{\"key\":\"%s\",\"pass\":\"average\",\"op\":\"%s\",\"name\":\"g\",\"tensor\":\"w\","
            "\"dtype\":\"F32\",\"shape\":[2],\"sha256\":\"%s\"%s}\n",
            keys[i], i < 2 ? "given" : "average", hex,
            i < 2 ? ""
                  : ",\"first\":[\"0x1p+1\"],\"attributes\":{\"uniform\":1},\"inputs\":{\"copies\":"
                    "[\"r1/c0/g/w\",\"r1/c1/g/w\"],\"samples\":{\"dtype\":\"U32\",\"shape\":[2],"
                    "\"words\":\"7 9\"}}");
    }
}

static void add_bytes(unsigned char *bytes, const float *values)
{
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < 4; b++)
            bytes[4 * i + b] = (unsigned char)(nn_float_bits(values[i]) >> 8 * b & 0xff);
}

static bool write_tensors(const char *path, const float *average)
{
    static const uint64_t two = 2;
    unsigned char data[3][8], *bytes = NULL;
    char name[PATH_BYTES + 16];
    data_safetensor tensors[3];
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    size_t size = 0;
    memset(tensors, 0, sizeof tensors);
    for (int i = 0; i < 3; i++) {
        add_bytes(data[i], i < 2 ? copies[i] : average);
        tensors[i] = (data_safetensor){keys[i], "F32", 1, &two, data[i], 8, 0};
    }
    snprintf(name, sizeof name, "%s.safetensors", path);
    const bool good =
        data_safetensors_format(&error, &arena, &bytes, &size, tensors, 3) == DDOME_OK &&
        write_file(name, bytes, size);
    nn_arena_free(&arena);
    return good;
}

static void make_traces(files *f)
{
    static const float other[2] = {2.0f, 3.25f};
    name_files(f, "damage-trace");
    trace_text(f->text_a, copies[2]);
    trace_text(f->text_b, other);
    f->written = write_tensors(f->a, copies[2]) && write_tensors(f->b, other) &&
                 write_file(f->a, f->text_a, strlen(f->text_a)) &&
                 write_file(f->b, f->text_b, strlen(f->text_b));
}

static void make_vectors(files *f)
{
    static const char form[] =
        "{\"schema\":\"ddome-vectors-1\",\"specification\":1,\"level\":\"sum\",\"vectors\":["
        "{\"id\":\"s\",\"op\":\"sum\",\"clause\":\"2.4\",\"profile\":\"any\",\"flags\":[\"fused\"],"
        "\"inputs\":{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"words\":\"3f800000 33800000\"}},"
        "\"expected\":{\"total\":{\"dtype\":\"F32\",\"shape\":[],\"words\":\"%s\"}}},"
        "{\"id\":\"t\",\"op\":\"top_k\",\"attributes\":{\"k\":1},\"inputs\":{\"score\":{\"dtype\":"
        "\"F32\",\"shape\":[2],\"words\":\"3f800000 3f800000\"}},"
        "\"expected\":{\"chosen\":{\"dtype\":\"U32\",\"shape\":[1],\"words\":\"%s\"}}}]}";
    name_files(f, "damage-vectors");
    snprintf(f->text_a, sizeof f->text_a, form, "3f800000", "0");
    snprintf(f->text_b, sizeof f->text_b, form, "3f800001", "1");
    f->written = write_file(f->a, f->text_a, strlen(f->text_a)) &&
                 write_file(f->b, f->text_b, strlen(f->text_b));
}

/* ---- calls ---- */

typedef struct result {
    ddome_status status;
    ddome_error error;
    bool has_causes, has_text;
    size_t allocations;
} result;

static result compare(const files *f, size_t fail_after)
{
    result r = {DDOME_OK, {DDOME_OK, ""}, false, false, 0};
    const char *words[2] = {f->a, f->b};
    tool t;
    memset(&t, 0, sizeof t);
    t.words = words;
    t.word_count = 2;
    t.explain = true;
    t.arena.fail_after = fail_after;
    t.text.arena = t.json.arena = &t.arena;
    r.status = tool_compare(&r.error, &t);
    r.has_text = t.text.data != NULL && !t.text.failed && !t.json.failed;
    r.has_causes = r.has_text && strstr(t.text.data, "explain") != NULL;
    r.allocations = t.arena.allocations;
    nn_arena_free(&t.arena);
    return r;
}

static void check_whole(const files *f, const char *what)
{
    CHECK(f->written);
    const result r = compare(f, 0);
    test_status(what, r.status, DDOME_ERR_VERIFY, &r.error, "differ, first in");
    CHECK(r.has_causes);
}

/* Whatever one byte becomes: equal, different, or damaged. */
static void check_bytes(const files *f, const char *path, const char *text)
{
    static const char values[] = {'\0', '"', ']', (char)0xff};
    char damaged[TEXT_BYTES];
    const size_t length = strlen(text);
    bool good = true;
    for (size_t i = 0; good && i < length; i++)
        for (size_t k = 0; good && k < sizeof values; k++) {
            memcpy(damaged, text, length);
            damaged[i] = values[k];
            good = write_file(path, damaged, length);
            const result r = compare(f, 0);
            good = good && (r.status == DDOME_OK || r.status == DDOME_ERR_VERIFY ||
                            r.status == DDOME_ERR_DATA || r.status == DDOME_ERR_USAGE);
            if (!CHECK(good))
                fprintf(stderr, "  byte %lu as %d: %s\n", (unsigned long)i, values[k],
                        r.error.text);
        }
    CHECK(write_file(path, text, length));
}

static void check_cuts(const files *f, const char *path, const char *text)
{
    const size_t length = strlen(text);
    bool good = true;
    for (size_t i = 0; good && i < length; i++) {
        good = write_file(path, text, i);
        const ddome_status status = compare(f, 0).status;
        good = good && status != DDOME_ERR_MEMORY && status != DDOME_ERR_IO;
        CHECK(good);
    }
    CHECK(write_file(path, text, length));
}

static void check_memory(const files *f)
{
    const size_t allocations = compare(f, 0).allocations;
    for (size_t n = 1; n <= allocations; n++) {
        const result r = compare(f, n);
        /* a text that failed is told by tool_finish, for the status here is the difference */
        if (!CHECK(r.status == DDOME_ERR_MEMORY || (r.status == DDOME_ERR_VERIFY && !r.has_text)))
            fprintf(stderr, "  allocation %lu: %s\n", (unsigned long)n, r.error.text);
    }
}

static void check_all(const files *f, const char *what)
{
    test_case("compare: %s with their causes", what);
    check_whole(f, what);
    test_case("compare: %s with one byte damaged", what);
    check_bytes(f, f->a, f->text_a);
    check_bytes(f, f->b, f->text_b);
    test_case("compare: %s cut short", what);
    check_cuts(f, f->a, f->text_a);
    check_cuts(f, f->b, f->text_b);
    test_case("compare: %s with each allocation failing", what);
    check_memory(f);
}

/* ---- what is shown ---- */

static void shown(const char *text, const char *want)
{
    tool t;
    memset(&t, 0, sizeof t);
    test_same_text("shown", tool_shown(&t, text), want);
    nn_arena_free(&t.arena);
}

static void test_shown(void)
{
    test_case("compare: control characters and bytes that are no UTF-8");
    shown("", "");
    shown("r1/c0/x", "r1/c0/x");
    shown("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    shown("a\x1b[31m\n\r\t\x7f", "a\\x1b[31m\\x0a\\x0d\\x09\\x7f");
    shown("\xff\xc3", "\\xff\\xc3");
    shown("\xc2\x9b!", "\\xc2\\x9b!");
    shown("\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6", "\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa6");
    shown("\xe2\x80\xa7\xe2\x80\xaf", "\xe2\x80\xa7\xe2\x80\xaf");
}

/* ---- words of values ---- */

static bool takes(nn_value_type type, size_t count, const char *words)
{
    uint64_t elements[4] = {0, 0, 0, 0};
    const nn_value form = {.type = type, .rank = 1, .shape = {count}, .count = count};
    return data_value_read_words(elements, &form, words);
}

static void test_words(void)
{
    test_case("compare: words of a value are read strictly (SPEC 19.1.1)");
    CHECK(takes(NN_VALUE_F32, 2, "3f800000 7fc00000"));
    CHECK(takes(NN_VALUE_U32, 2, "0 4294967295"));
    CHECK(!takes(NN_VALUE_F32, 1, "0x3f8000"));
    CHECK(!takes(NN_VALUE_F32, 1, "3f800000 3f800000"));
    CHECK(!takes(NN_VALUE_F32, 2, "3f800000"));
    CHECK(!takes(NN_VALUE_F32, 1, "3f80000"));
    CHECK(!takes(NN_VALUE_U32, 1, "4294967296"));
    CHECK(!takes(NN_VALUE_U32, 1, "18446744073709551617"));
    CHECK(!takes(NN_VALUE_U32, 1, "01"));
    CHECK(!takes(NN_VALUE_F64, 1, "3ff000000000000 "));
}

void t_compare_damage(void)
{
    static files f; /* two paths, two texts: much for a stack */
    make_traces(&f);
    check_all(&f, "traces");
    make_vectors(&f);
    check_all(&f, "vectors");
    test_shown();
    test_words();
}

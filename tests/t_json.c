/* SPDX-License-Identifier: MIT */
/* The JSON reader: what it takes, what it refuses and where, and that no input can hurt it.
 * SPEC 17.4.2. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/json.h"

void t_json(void);

/* Uses every construct of the grammar; truncated and mutated below. */
static const char sample[] =
    " { \"a\" : [ 0, -1, 2.5, 1e3, -0.25E-7, 10 ],\t\"b\\u0041\\n\\\"\\\\\\/\\b\\f\\r\\t\" : "
    "true,\r\n"
    "\"\" : { \"x\" : null , \"y\" : false , \"z\" : [ ] , \"w\" : { } } ,"
    "\"\\ud83d\\ude00\" : \"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\\u00e9\\u4E2D\" } ";

/* Parses a copy that ends where its allocation ends, so that a sanitizer sees one byte too many. */
static ddome_status parse(ddome_error *error, nn_arena *arena, const data_json_value **value,
                          const char *bytes, size_t count)
{
    static char none;
    char *copy = count > 0 ? malloc(count) : &none;
    if (copy == NULL)
        return DDOME_ERR_MEMORY;
    memcpy(copy, bytes, count);
    error->status = DDOME_OK;
    error->text[0] = '\0';
    ddome_status status = data_json_parse(error, arena, value, copy, count);
    if (count > 0) {
        memset(copy, '?', count); /* nothing of the tree may point into the input */
        free(copy);
    }
    return status;
}

/* A tree written without white space, for comparison; texts are shown raw. */
typedef struct dump {
    char *text;
    size_t room, length;
} dump;

static void show(dump *d, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && d->length + 1 < d->room; i++)
        d->text[d->length++] = bytes[i];
    d->text[d->length] = '\0';
}

/* The opposite of the reader for strings: only what must be escaped is. */
static void show_string(dump *d, const char *bytes, size_t count)
{
    show(d, "\"", 1);
    for (size_t i = 0; i < count; i++) {
        char code[8];
        snprintf(code, sizeof code, "\\u%04x", (unsigned)(unsigned char)bytes[i]);
        bool escape = (unsigned char)bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\';
        show(d, escape ? code : &bytes[i], escape ? 6 : 1);
    }
    show(d, "\"", 1);
}

static void show_value(dump *d, const data_json_value *value)
{
    const char *brackets = value->kind == DATA_JSON_ARRAY ? "[]" : "{}";
    if (value->kind == DATA_JSON_NULL || value->kind == DATA_JSON_BOOL) {
        const char *word = value->kind == DATA_JSON_NULL ? "null"
                           : value->boolean              ? "true"
                                                         : "false";
        show(d, word, strlen(word));
    } else if (value->kind == DATA_JSON_NUMBER) {
        show(d, value->text, value->length);
    } else if (value->kind == DATA_JSON_STRING) {
        show_string(d, value->text, value->length);
    } else {
        show(d, brackets, 1);
        for (const data_json_value *v = value->child; v != NULL; v = v->next) {
            show(d, ",", v == value->child ? 0 : 1);
            if (value->kind == DATA_JSON_OBJECT) {
                show_string(d, v->name, v->name_length);
                show(d, ":", 1);
            }
            show_value(d, v);
        }
        show(d, brackets + 1, 1);
    }
}

static void check_reads(const char *text, const char *want)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_json_value *value = NULL;
    char shown[1024] = "";
    dump d = {shown, sizeof shown, 0};
    if (test_status(text, parse(&error, &arena, &value, text, strlen(text)), DDOME_OK, &error,
                    NULL)) {
        show_value(&d, value);
        test_same_text(text, shown, want);
    }
    nn_arena_free(&arena);
}

static void check_refuses_bytes(const char *text, size_t count, const char *part)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_json_value untouched = {0}, *value = &untouched;
    test_status(text, parse(&error, &arena, &value, text, count), DDOME_ERR_DATA, &error, part);
    CHECK(value == &untouched && arena.used == 0);
    CHECK(strchr(error.text, '\n') == NULL);
    nn_arena_free(&arena);
}

static void test_valid(void)
{
    static const char *const pairs[][2] = {
        {"null", "null"},
        {"true", "true"},
        {" \t\r\nfalse \t\r\n", "false"},
        {"0", "0"},
        {"-0", "-0"},
        {"-0.0e-00", "-0.0e-00"},
        {"1E+2", "1E+2"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"\"\"", "\"\""},
        {"\"\x7f\"", "\"\x7f\""},
        {"\"\\u0000\"", "\"\\u0000\""},
        {"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
         "\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\""},
        {"\"\\ud800\\udc00\\uDBFF\\uDFFF\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
        {"\"\xc2\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
         "\"\xc2\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
        {"\"\\/\\b\\f\\n\\r\\t\"", "\"/\\u0008\\u000c\\u000a\\u000d\\u0009\""},
        {"[]", "[]"},
        {"[ ]", "[]"},
        {"{}", "{}"},
        {"[[],{},[[1]]]", "[[],{},[[1]]]"},
        {"{\"a\":1,\"b\":{\"a\":1},\"A\":2,\"aa\":3,\"\":4}",
         "{\"a\":1,\"b\":{\"a\":1},\"A\":2,\"aa\":3,\"\":4}"},
        {"{\"a\\u0000\":1,\"a\":2,\"a\\u0000b\":3}", "{\"a\\u0000\":1,\"a\":2,\"a\\u0000b\":3}"},
    };
    test_case("json: valid texts");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        check_reads(pairs[i][0], pairs[i][1]);
    test_case("json: the sample");
    check_reads(
        sample,
        "{\"a\":[0,-1,2.5,1e3,-0.25E-7,10],"
        "\"bA\\u000a\\u0022\\u005c/\\u0008\\u000c\\u000d\\u0009\":true,"
        "\"\":{\"x\":null,\"y\":false,\"z\":[],\"w\":{}},"
        "\"\xf0\x9f\x98\x80\":\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xc3\xa9\xe4\xb8\xad\"}");
}

static void test_invalid_grammar(void)
{
    static const char *const pairs[][2] = {
        {"", "byte 0: expected a value, found the end"},
        {"  ", "byte 2: expected a value, found the end"},
        {"\xef\xbb\xbf{}", "byte 0: expected a value, found byte 0xEF"},
        {"nul", "byte 3: expected null, found the end"},
        {"True", "byte 0: expected a value, found 'T'"},
        {"truee", "byte 4: expected the end, found 'e'"},
        {"NaN", "byte 0"},
        {"Infinity", "byte 0"},
        {"-", "byte 1: expected a digit, found the end"},
        {"+1", "byte 0: expected a value, found '+'"},
        {"01", "byte 1: expected the end, found '1'"},
        {"-01", "byte 2"},
        {".5", "byte 0"},
        {"1.", "byte 2: expected a digit behind the decimal point, found the end"},
        {"1.e1", "byte 2"},
        {"1e", "byte 2: expected a digit of the exponent, found the end"},
        {"1e+-1", "byte 3"},
        {"0x10", "byte 1"},
        {"[1,]", "byte 3: expected a value, found ']'"},
        {"[,1]", "byte 1"},
        {"[1 2]", "byte 3: expected ',' or ']', found '2'"},
        {"[1}", "byte 2"},
        {"]", "byte 0"},
        {"{\"a\":1,}", "byte 7: expected a member name in '\"', found '}'"},
        {"{\"a\" 1}", "byte 5: expected ':', found '1'"},
        {"{\"a\":}", "byte 5"},
        {"{a:1}", "byte 1"},
        {"{1:1}", "byte 1"},
        {"{'a':1}", "byte 1: expected a member name in '\"', found '''"},
        {"{\"a\":1]", "byte 6: expected ',' or '}', found ']'"},
        {"{}{}", "byte 2: expected the end, found '{'"},
        {"{}/*x*/", "byte 2"},
        {"\v1", "byte 0: expected a value, found byte 0x0B"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "byte 13: expected a new member name"},
        {"{\"b\":1,\"b\":2,\"a\":3,\"a\":4}", "byte 7: expected a new member name"},
        {"{\"t\":1,\"\\u0074\":2}", "byte 7: expected a new member name"},
        {"[{\"\":1,\"\":2}]", "byte 7: expected a new member name"},
    };
    test_case("json: broken grammar");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        check_refuses_bytes(pairs[i][0], strlen(pairs[i][0]), pairs[i][1]);
    check_refuses_bytes("1\0", 2, "byte 1: expected the end, found byte 0x00");
    check_refuses_bytes("{\0}\0", 4, "byte 1");
}

static void test_invalid_strings(void)
{
    static const char *const pairs[][2] = {
        {"\"a", "byte 2: expected '\"' or a character that is no control character, found the end"},
        {"\"a\nb\"", "byte 2"},
        {"\"\x1f\"", "byte 1"},
        {"\"\\\"", "byte 3"},
        {"\"\\", "byte 2: expected one of \"\\/bfnrtu after a backslash, found the end"},
        {"\"\\x41\"", "byte 2"},
        {"\"\\a\"", "byte 2"},
        {"\"\\u12\"", "byte 5: expected four hexadecimal digits after \\u, found '\"'"},
        {"\"\\u12g4\"", "byte 5"},
        {"\"\\ud800\"", "byte 7: expected the low surrogate of a pair"},
        {"\"\\ud800\\n\"", "byte 8"},
        {"\"\\ud800\\u0041\"", "byte 9: expected a low surrogate"},
        {"\"\\ud800\\ud800\"", "byte 9: expected a low surrogate"},
        {"\"\\ud800\\u00\"", "byte 11"},
        {"\"\\udc00\"", "byte 3: expected a high surrogate before this low one"},
        {"\"\x80\"", "byte 1: expected UTF-8, found byte 0x80"},
        {"\"\xff\"", "byte 1"},
        {"\"\xc0\xaf\"", "byte 1"},
        {"\"\xc1\xbf\"", "byte 1"},
        {"\"\xe0\x9f\xbf\"", "byte 2: expected a continuation byte of UTF-8, found byte 0x9F"},
        {"\"\xed\xa0\x80\"", "byte 2"},
        {"\"\xf0\x8f\xbf\xbf\"", "byte 2"},
        {"\"\xf4\x90\x80\x80\"", "byte 2"},
        {"\"\xf5\x80\x80\x80\"", "byte 1"},
        {"\"\xe4\xb8\"", "byte 3"},
        {"\"\xe4\xb8", "byte 3: expected a continuation byte of UTF-8, found the end"},
        {"{\"\xc3\":1}", "byte 3"},
    };
    test_case("json: broken strings");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        check_refuses_bytes(pairs[i][0], strlen(pairs[i][0]), pairs[i][1]);
}

static void test_depth(void)
{
    enum { MANY = 100000 };
    static char text[2 * MANY];
    test_case("json: depth");
    memset(text, '[', DATA_JSON_MAX_DEPTH);
    memset(text + DATA_JSON_MAX_DEPTH, ']', DATA_JSON_MAX_DEPTH);
    text[2 * DATA_JSON_MAX_DEPTH] = '\0';
    check_reads(text, text);
    memset(text, '[', MANY);
    check_refuses_bytes(text, DATA_JSON_MAX_DEPTH + 1,
                        "byte 64: expected at most 64 nested values");
    check_refuses_bytes(text, MANY, "byte 64: expected at most 64 nested values");
    for (size_t i = 0; i + 5 <= sizeof text; i += 5)
        memcpy(text + i, "{\"\":", 5);
    check_refuses_bytes(text, 4, "found the end");
}

static void test_truncation(void)
{
    size_t last = strlen(sample) - 2; /* the closing brace, before one space */
    test_case("json: the sample cut at every byte");
    for (size_t count = 0; count <= last; count++)
        check_refuses_bytes(sample, count, "found the end");
}

/* What the reader takes it must take again, with the same meaning, once written anew. */
static void check_stable(nn_arena *arena, const char *bytes, size_t count)
{
    const nn_arena_mark start = nn_arena_get_mark(arena);
    ddome_error error = {DDOME_OK, ""};
    const data_json_value *value = NULL;
    char once[1024] = "", twice[1024] = "";
    dump first = {once, sizeof once, 0}, second = {twice, sizeof twice, 0};
    ddome_status status = parse(&error, arena, &value, bytes, count);
    if (status == DDOME_OK) {
        show_value(&first, value);
        if (test_status("again", parse(&error, arena, &value, once, first.length), DDOME_OK, &error,
                        NULL)) {
            show_value(&second, value);
            test_same_text("again", twice, once);
        }
    } else {
        test_status("refusal", status, DDOME_ERR_DATA, &error, "JSON: byte ");
    }
    nn_arena_rewind(arena, start);
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void test_fuzz(void)
{
    static const char alphabet[] = "{}[]\",:\\u0d8c1eE+-. tfn\x80\xc3\xed\xf4";
    nn_arena arena = {0};
    char bytes[sizeof sample];
    test_case("json: every byte of the sample replaced");
    for (size_t i = 0; i < sizeof sample - 1; i++) {
        memcpy(bytes, sample, sizeof sample);
        for (int c = 0; c < 256; c++) {
            bytes[i] = (char)(unsigned char)c;
            check_stable(&arena, bytes, sizeof sample - 1);
        }
    }
    test_case("json: random mutations");
    uint64_t state = test_seed();
    for (int round = 0; round < 100000; round++) {
        size_t from = next_random(&state) % sizeof sample, edits = 1 + next_random(&state) % 4;
        size_t count = next_random(&state) % (sizeof sample - from);
        memcpy(bytes, sample + from, count);
        for (; edits > 0 && count > 0; edits--)
            bytes[next_random(&state) % count] = alphabet[next_random(&state) % sizeof alphabet];
        check_stable(&arena, bytes, count);
    }
    nn_arena_free(&arena);
}

void t_json(void)
{
    test_valid();
    test_invalid_grammar();
    test_invalid_strings();
    test_depth();
    test_truncation();
    test_fuzz();
}

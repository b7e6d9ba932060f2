/* SPDX-License-Identifier: MIT */
/* The JSON reader at its edges: all of UTF-8, integers, member look-up, no memory, large objects.
 * SPEC 17.4.2. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "../data/json.h"

void t_json_limits(void);

/* Every two and three bytes in quotes: the verdict must be that of a decoder written otherwise. */
static bool is_utf8(const unsigned char *s, size_t count)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < count;) {
        size_t more = s[i] < 0x80 ? 0 : (s[i] & 0xE0) == 0xC0 ? 1 : (s[i] & 0xF0) == 0xE0 ? 2 : 3;
        uint32_t code = more == 0 ? s[i] : s[i] & (0x3Fu >> more);
        if (s[i] >= 0xF8 || (s[i] & 0xC0) == 0x80 || i + more >= count)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((s[i + k] & 0xC0) != 0x80)
                return false;
            code = code << 6 | (s[i + k] & 0x3Fu);
        }
        if (code < least[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
            return false;
        i += more + 1;
    }
    return true;
}

static void check_utf8(nn_arena *arena, uint32_t bits, size_t count)
{
    const nn_arena_mark start = nn_arena_get_mark(arena);
    const data_json_value *value = NULL;
    unsigned char text[6] = {'"', 0, 0, 0, 0, '"'};
    for (size_t i = 0; i < count; i++)
        text[1 + i] = (unsigned char)(bits >> 8 * (count - 1 - i) & 0xFF);
    text[1 + count] = '"';
    ddome_status status = data_json_parse(NULL, arena, &value, (const char *)text, count + 2);
    bool want = is_utf8(text + 1, count);
    if ((status == DDOME_OK) != want)
        test_check(false, __FILE__, __LINE__, "bytes %08lx: want %d", (unsigned long)bits, want);
    else if (want)
        test_same_bytes("decoded", value->text, text + 1, count);
    nn_arena_rewind(arena, start);
}

static void test_utf8(void)
{
    nn_arena arena = {0};
    test_case("json: UTF-8, exhaustive to 2 bytes, by edges to 4");
    for (uint32_t bits = 0x8000; bits < 0x10000; bits++)
        check_utf8(&arena, bits, 2);
    static const unsigned char edges[] = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0};
    const size_t n = sizeof edges;
    for (uint32_t lead = 0xC0; lead <= 0xFF; lead++) {
        for (size_t i = 0; i < n * n * n; i++) {
            uint32_t second = edges[i % n], third = edges[i / n % n], fourth = edges[i / n / n];
            check_utf8(&arena, lead << 16 | second << 8 | third, 3);
            check_utf8(&arena, lead << 24 | second << 16 | third << 8 | fourth, 4);
        }
    }
    nn_arena_free(&arena);
}

static void test_u64(void)
{
    static const char *const bad[] = {"-0",    "-1",   "1.0",  "1e1", "18446744073709551616",
                                      "\"1\"", "null", "true", "[1]", "99999999999999999999999"};
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_json_value *value = NULL;
    uint64_t number = 7;
    test_case("json: data_json_u64");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(data_json_parse(&error, &arena, &value, bad[i], strlen(bad[i])) == DDOME_OK);
        CHECK(!data_json_u64(&number, value) && number == 7);
    }
    CHECK(data_json_parse(&error, &arena, &value, "18446744073709551615", 20) == DDOME_OK);
    CHECK(data_json_u64(&number, value) && number == UINT64_MAX);
    CHECK(data_json_parse(&error, &arena, &value, "0", 1) == DDOME_OK);
    CHECK(data_json_u64(&number, value) && number == 0);
    nn_arena_free(&arena);
}

static void test_member(void)
{
    static const char text[] = "{\"a\":1,\"b\\u0000\":2,\"c\":[3,4]}";
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_json_value *value = NULL;
    test_case("json: data_json_member");
    if (CHECK(data_json_parse(&error, &arena, &value, text, sizeof text - 1) == DDOME_OK)) {
        const data_json_value *c = data_json_member(value, "c");
        CHECK(value->length == 3 && c != NULL && c->length == 2);
        CHECK(data_json_member(value, "b") == NULL); /* its name has a NUL behind the b */
        CHECK(data_json_member(value, "") == NULL);
        CHECK(data_json_member(c, "a") == NULL); /* no object */
    }
    nn_arena_free(&arena);
}

static void test_memory(void)
{
    static const char text[] = "{\"a\":[0,\"b\",{\"c\":null,\"d\":{\"e\":[],\"f\":true}}],\"g\":1}";
    const data_json_value untouched = {0}, *value = &untouched;
    ddome_status status = DDOME_ERR_MEMORY;
    size_t limit = 0;
    test_case("json: every allocation fails once");
    while (status == DDOME_ERR_MEMORY && ++limit < 1000) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        arena.fail_after = limit;
        status = data_json_parse(&error, &arena, &value, text, sizeof text - 1);
        if (status == DDOME_ERR_MEMORY)
            CHECK(value == &untouched && arena.used == 0 && error.status == status);
        nn_arena_free(&arena);
    }
    CHECK(status == DDOME_OK && limit > 10);
}

/* Member names that differ only at their ends, in a bad order; one is there twice on demand. */
static size_t make_object(char *text, size_t room, unsigned members, bool repeat)
{
    size_t n = 0;
    for (unsigned i = 0; i < members; i++) {
        unsigned name = repeat && i == members - 1 ? members / 2 : members - 1 - i;
        n += (size_t)snprintf(text + n, room - n, "%c\"name%08u\":0", i == 0 ? '{' : ',', name);
    }
    n += (size_t)snprintf(text + n, room - n, "}");
    return n;
}

static void test_large(void)
{
    enum { MEMBERS = 200000, ROOM = MEMBERS * 20 };
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_json_value *value = NULL;
    char *text = nn_arena_alloc(&arena, ROOM, 1);
    test_case("json: %d members", (int)MEMBERS);
    if (CHECK(text != NULL)) {
        size_t count = make_object(text, ROOM, MEMBERS, false);
        CHECK(data_json_parse(&error, &arena, &value, text, count) == DDOME_OK);
        test_same_u64("members", value->length, MEMBERS);
        count = make_object(text, ROOM, MEMBERS, true);
        test_status("equal names", data_json_parse(&error, &arena, &value, text, count),
                    DDOME_ERR_DATA, &error, "expected a new member name");
    }
    nn_arena_free(&arena);
}

void t_json_limits(void)
{
    test_utf8();
    test_u64();
    test_member();
    test_memory();
    test_large();
}

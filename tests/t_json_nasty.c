/* SPDX-License-Identifier: MIT */
/* The JSON reader against the inputs on which JSON readers are known to differ: what it takes, what
 * it refuses, and every single byte where only a few may stand. SPEC 17.4.2. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/json.h"

/* Parses a copy that ends where its allocation ends. True when it is taken; a refusal names a place
 * in the text. */
static bool is_taken(const char *bytes, size_t count)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_json_value *value = NULL;
    char *copy = malloc(count + (count == 0));
    unsigned long place = 0;
    if (!CHECK(copy != NULL))
        return false;
    memcpy(copy, bytes, count);
    ddome_status status = data_json_parse(&error, &arena, &value, copy, count);
    if (status != DDOME_OK)
        CHECK(status == DDOME_ERR_DATA && value == NULL && arena.used == 0 &&
              sscanf(error.text, "JSON: byte %lu: expected ", &place) == 1 && place <= count);
    free(copy);
    nn_arena_free(&arena);
    return status == DDOME_OK;
}

static void check_text(const char *bytes, size_t count, bool want)
{
    if (is_taken(bytes, count) != want)
        test_check(false, __FILE__, __LINE__, "\"%.*s\": want %s", (int)count, bytes,
                   want ? "taken" : "refused");
}

static void check_texts(const char *const *list, size_t count, bool want)
{
    for (size_t i = 0; i < count; i++)
        check_text(list[i], strlen(list[i]), want);
}

/* Words parted by one blank each, all refused. */
static void check_words(const char *words)
{
    for (size_t count; *words != '\0'; words += count + (words[count] == ' ')) {
        count = strcspn(words, " ");
        check_text(words, count, false);
    }
}

#define CHECK_TAKEN(list) check_texts(list, sizeof list / sizeof *list, true)
#define CHECK_REFUSED(list) check_texts(list, sizeof list / sizeof *list, false)

static void test_taken(void)
{
    static const char *const numbers[] = {
        "1e999",
        "-1E+999",
        "1e-999",
        "0e1",
        "[0E+00]",
        "-0.0",
        "[-0]",
        "1.5e99999999999999999999999999",
        "0.000000000000000000000000000000000000000000000000000000000000000000001",
        "-9223372036854775809",
    };
    static const char *const strings[] = {
        "\"\xe2\x80\xa8\xe2\x80\xa9\"",        /* U+2028, U+2029 as they are */
        "\"\\u2028\\u2029\"",                  /* and escaped */
        "\"\xef\xbb\xbf\"",                    /* a byte order mark inside is a character */
        "\"\xef\xb7\x90\xef\xbf\xbe\"",        /* U+FDD0, U+FFFE: no characters, yet UTF-8 */
        "\"\xf4\x8f\xbf\xbe\\uDBFF\\uDFFE\"",  /* U+10FFFE both ways */
        "\"\xc2\xa0\xc2\x85\xe2\x80\x8b\"",    /* blanks of other kinds */
        "\"\\uaBcD\\u0022\\u005C\\u002f\"",    /* digits of both cases */
        "\"\\\\u0000\\\\ud800\\\\\\\\\"",      /* escaped backslashes, no \u */
        "\"/* ' */ // # <!-- ` \\\" [{,:}]\"", /* comments are text in here */
        "\"\\ud83d\\ude00\\ud83d\\ude00a\"",   /* pairs side by side */
        "\"a\\u0000b\"",                       /* an escaped NUL */
    };
    static const char *const structures[] = {
        "\n[\r\n]\t",
        "[null, 1, \"1\", {} , []]",
        "{\"a\":[{\"a\":{\"a\":{}}}],\"b\":{\"a\":[]}}",
        "{\"A\":1,\"a\":2,\"a \":3,\" a\":4}",
        "{\"\xc3\xa9\":1,\"e\xcc\x81\":2}", /* equal to the eye, two names in bytes */
        "{\"\\u0000\":1,\"\\u0000\\u0000\":2,\"\":3}",
        "{\"__proto__\":{},\"constructor\":[]}",
    };
    test_case("json: unusual texts that are taken");
    CHECK_TAKEN(numbers);
    CHECK_TAKEN(strings);
    CHECK_TAKEN(structures);
}

static void test_numbers(void)
{
    static const char words[] =
        "--1 -+1 ++1 00 -00 -012 00.5 [1,02] 0.e1 2.e+3 -2. -.5 0.1.2 0e 0E 0e+ 1.0e- 1eE2 "
        "1ea 1e1.5 1e+-1 [1.2a-3] 1_000 1,000 0b1 0o7 0x 1f 1L 1+2 -1x -a inf Inf "
        "+Infinity -Infinity -NaN nan [NaN] 1#INF {\"a\":Infinity} \xd9\xa1 \xef\xbc\x91 "
        "1\xcc\x81 \xe2\x88\x92\x31";
    static const char *const list[] = {"- 1", "1 .5", "1e 1", "1 000"};
    test_case("json: what looks like a number");
    check_words(words);
    CHECK_REFUSED(list);
}

static void test_structure(void)
{
    static const char words[] =
        "[ [[ [1 [1, [, [,] [1,,2] [1,,] [\"\",] [1], ,[1] [1]] [1][2] [1:2] [\"a\":1] "
        "[3[4]] [1;2] [*] [a (1) { {\" {\"a {\"a\" {\"a\": {\"a\":1 {\"a\":1, {\"a\":1,\"b "
        "} {{}} {,} {,\"a\":1} {:1} {\"a\"} {\"a\",1} {\"a\":1,,\"b\":2} {\"a\"::1} "
        "{\"a\"=1} {\"a\":1}} {\"a\":b} {null:1} {[1]:1} {\"a\":1;\"b\":2} {\"a\":1:2} {}x "
        "{\"a\":1,\"b\"} 'a' ['a'] [`a`] {\"a\":'b'} \"a\"\"b\" \"a\",\"b\" /**/1 1//x 1#x "
        "//x\n1 [1/**/] {/**/} {\"a\":/**/1} <!--x-->1 nulll NULL [nul] tru truE TRUE fals falsee "
        "False t undefined None \\u0031 [\\n] $ <null> ...[1] \x1e{}\n";
    static const char *const list[] = {"{\"a\":1 \"b\":2}", "{\"a\" b}",  "\"a\" \"b\"",
                                       "[\"a\" \"b\"]",     "true false", "n ull"};
    test_case("json: broken structures, comments, quotes, words");
    check_words(words);
    CHECK_REFUSED(list);
}

static void test_strings(void)
{
    static const char *const list[] = {
        "\"",
        "[\"a]",
        "\"\\",
        "\"\\u",
        "\"\\u004",
        "\"\\u0041",
        "\"\\ud800\\",
        "\"\\ud800\\u",
        "\"\\ud800\\udc0",
        "\"\\U00000041\"",
        "\"\\u{41}\"",
        "\"\\u+041\"",
        "\"\\u 041\"",
        "\"\\u-001\"",
        "\"\\u0x41\"",
        "\"\\\xc3\xa9\"",
        "\"\\u00\xc3\xa9\"",
        "\"\\udc00\\ud800\"", /* the wrong way round */
        "\"\\ud800\\ud800\\udc00\"",
        "\"\\ud83d\\ude00\\ude00\"",
        "\"\\ud800a\\udc00\"",
        "\"\\ud800\\\\udc00\"",
        "\"\\ud800\\Udc00\"",
        "\"\\ud800\xed\xb0\x80\"", /* one half escaped, one not */
        "{\"\\udbff\":1}",
        "\"\xe9\"",                     /* Latin 1 */
        "\"\xc0\x80\"",                 /* NUL in two bytes */
        "\"\xc0\xa2",                   /* a quote in two */
        "\"\xe0\x80\xaf\"",             /* a slash in three */
        "\"\xf0\x80\x80\xaf\"",         /* in four */
        "\"\xf8\x80\x80\x80\xaf\"",     /* in five */
        "\"\xfc\x80\x80\x80\x80\xaf\"", /* in six */
        "\"\xed\xa0\x81\xed\xb0\x80\"", /* a pair of surrogates, three bytes each */
        "\"\xf4\x90\x80\x80\"",         /* U+110000 */
        "\"\xfe\xff\"",
        "{\"\xc0\x80\":1}",
    };
    test_case("json: broken escapes and UTF-8");
    CHECK_REFUSED(list);
}

/* A literal that may hold NUL. */
#define REFUSES(literal) check_text(literal, sizeof literal - 1, false)

/* Between tokens there are four kinds of blank; marks and encodings are none of them. */
static void test_outside(void)
{
    test_case("json: NUL, marks, other encodings, other blanks");
    REFUSES("\0");
    REFUSES("\"\0\"");
    REFUSES("{\"a\0\":1}");
    REFUSES("\0null");
    REFUSES("[1\0]");
    REFUSES("nu\0ll");
    REFUSES("{\"a\":1}\0");
    REFUSES("\xef\xbb\xbf");
    REFUSES("\xef\xbb");
    REFUSES("[\xef\xbb\xbf]");
    REFUSES("1\xef\xbb\xbf");
    REFUSES("\xff\xfe[\0]\0"); /* UTF-16 with its mark */
    REFUSES("[\0]\0");         /* and without */
    REFUSES("\xfe\xff\0[\0]");
    REFUSES("\0[\0]");
    REFUSES("[\0\0\0]\0\0\0"); /* UTF-32 */
    REFUSES("+AFsAXQ-");       /* UTF-7 */
    REFUSES("[\xc2\xa0]");     /* U+00A0 */
    REFUSES("[\xc2\x85]");     /* U+0085 */
    REFUSES("[\xe1\x9a\x80]"); /* U+1680 */
    REFUSES("[\xe2\x80\xa8]"); /* U+2028 */
    REFUSES("{\xe2\x80\x83}"); /* U+2003 */
    REFUSES("{\xe3\x80\x80}"); /* U+3000 */
    REFUSES("{}\xe2\x80\x8b"); /* U+200B */
    REFUSES("\xc3\xa9");
    REFUSES("{\xc3\xa9:1}");
}

static void test_equal_names(void)
{
    static const char *const list[] = {
        "{\"a\":1,\"a\":1}",
        "{\"\\u00e9\":1,\"\xc3\xa9\":2}",
        "{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}",
        "{\"\\n\":1,\"\\u000A\":2}",
        "{\"\\/\":1,\"/\":2}",
        "{\"\\u0000\":1,\"\\u0000\":2}",
        "{\"a\\u0000b\":1,\"b\":2,\"\\u0061\\u0000\\u0062\":3}",
        "{\"x\":{\"a\":1,\"b\":{},\"a\":[]}}",
    };
    test_case("json: member names that are equal once decoded");
    CHECK_REFUSED(list);
}

/* The one byte c at the place of the '?' of a pattern: taken when it is one of `good`. */
static void check_bytes(const char *pattern, const char *good)
{
    char bytes[32];
    size_t count = strlen(pattern), place = strcspn(pattern, "?");
    memcpy(bytes, pattern, count);
    for (int c = 0; c < 256; c++) {
        bytes[place] = (char)(unsigned char)c;
        bool want = c != 0 && strchr(good, c) != NULL;
        if (is_taken(bytes, count) != want)
            test_check(false, __FILE__, __LINE__, "%s, byte 0x%02X: want %s", pattern, (unsigned)c,
                       want ? "taken" : "refused");
    }
}

static void test_every_byte(void)
{
    static const char blanks[] = " \t\n\r", hex[] = "0123456789abcdefABCDEF";
    char plain[128], *end = plain;
    test_case("json: every byte at places where few are right");
    for (char c = ' '; c < 0x7F; c++)
        if (c != '"' && c != '\\')
            *end++ = c;
    *end++ = 0x7F;
    *end = '\0';
    check_bytes("\"?\"", plain);
    check_bytes("{\"?\":0}", plain);
    check_bytes("\"\\?\"", "\"\\/bfnrt");
    check_bytes("\"\\u?841\"", "0123456789abcefABCEF"); /* \ud841 is half a pair */
    check_bytes("\"\\u0?41\"", hex);
    check_bytes("\"\\u00?1\"", hex);
    check_bytes("\"\\u004?\"", hex);
    check_bytes("\"\\ud?3d\\ude00\"", "89abAB"); /* the others are no high half */
    check_bytes("?{}", blanks);
    check_bytes("{}?", blanks);
    check_bytes("{?}", blanks);
    check_bytes("{\"a\"?:1}", blanks);
    check_bytes("{\"a\":1?,\"b\":2}", " \t\n\r0123456789");
    check_bytes("[?]", " \t\n\r0123456789");
    check_bytes("?", "0123456789");
    check_bytes("-?", "0123456789");
    check_bytes("0?", blanks);
    check_bytes("0?0", ".eE");
    check_bytes("1e?1", "+-0123456789");
    check_bytes("[1?2]", ".,eE0123456789");
}

/* Brackets alone, of both kinds, closed and not; and many side by side, which are not deep. */
static void test_nesting(void)
{
    enum { MANY = 100000 };
    static char bytes[5 * MANY + 2];
    test_case("json: nesting");
    memset(bytes, ']', MANY);
    CHECK(!is_taken(bytes, MANY));
    for (size_t i = 0; i < MANY; i++)
        memcpy(bytes + 5 * i, "[{\"\":", 5);
    CHECK(!is_taken(bytes, 5 * MANY));
    const size_t half = DATA_JSON_MAX_DEPTH / 2;
    bytes[5 * half] = '0';
    for (size_t i = 0; i < half; i++)
        memcpy(bytes + 5 * half + 1 + 2 * i, "}]", 2);
    CHECK(is_taken(bytes, 7 * half + 1));
    memmove(bytes + 1, bytes, 7 * half + 1);
    bytes[0] = '[';
    bytes[7 * half + 2] = ']';
    CHECK(!is_taken(bytes, 7 * half + 3));
    for (size_t i = 0; i < MANY; i++)
        memcpy(bytes + 5 * i, "[{}],", 5);
    memmove(bytes + 1, bytes, 5 * MANY);
    bytes[0] = '[';
    bytes[5 * MANY] = ']';
    CHECK(is_taken(bytes, 5 * MANY + 1));
}

/* One string, one number, far longer than any buffer of a reader that had one. */
static void test_long(void)
{
    enum { LONG = 1000000 };
    static char bytes[LONG];
    test_case("json: a string and numbers of %d bytes", (int)LONG);
    memset(bytes, 'a', LONG);
    bytes[0] = '"';
    CHECK(!is_taken(bytes, LONG));
    bytes[LONG - 1] = '"';
    CHECK(is_taken(bytes, LONG));
    memset(bytes, '7', LONG);
    CHECK(is_taken(bytes, LONG));
    bytes[1] = '.';
    CHECK(is_taken(bytes, LONG));
    bytes[1] = 'e';
    CHECK(is_taken(bytes, LONG));
    bytes[LONG - 1] = '-';
    CHECK(!is_taken(bytes, LONG));
}

void t_json_nasty(void)
{
    test_taken();
    test_numbers();
    test_structure();
    test_strings();
    test_outside();
    test_equal_names();
    test_every_byte();
    test_nesting();
    test_long();
}

/* SPDX-License-Identifier: MIT */
/* A descent over RFC 8259 that refuses what the RFC leaves to the reader. SPEC 17.4.2.
 *
 * Every decoded text, NUL included, lives in one buffer of count + 1 bytes, which is enough: a
 * string of k decoded bytes took at least k + 2 bytes of input (no escape is shorter than what it
 * decodes to), and a number of k bytes is followed by a delimiter of its own or by the end.
 *
 * The time is linear in count but for the sort that finds equal member names. The descent nests at
 * most DATA_JSON_MAX_DEPTH deep, whatever the input.
 */
#include "json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A member or element, and where it began: the place to point at when its name is there twice. */
typedef struct node {
    data_json_value value;
    size_t at;
} node;

typedef struct reader {
    ddome_error *error;
    nn_arena *arena;
    const unsigned char *bytes;
    size_t count, at; /* at <= count */
    char *text;       /* the next free byte of the text buffer */
    unsigned depth;   /* arrays and objects open now */
} reader;

/* The byte at hand, or -1 at the end. */
static int peek(const reader *r)
{
    return r->at < r->count ? r->bytes[r->at] : -1;
}

static ddome_status refuse(const reader *r, const char *expected)
{
    char found[16] = "the end";
    int c = peek(r);
    if (c > ' ' && c < 0x7F)
        snprintf(found, sizeof found, "'%c'", c);
    else if (c >= 0)
        snprintf(found, sizeof found, "byte 0x%02X", (unsigned)c);
    return nn_fail(r->error, DDOME_ERR_DATA, "JSON: byte %zu: expected %s, found %s", r->at,
                   expected, found);
}

static bool accept(reader *r, char wanted)
{
    bool same = peek(r) == wanted;
    r->at += same;
    return same;
}

static void skip_space(reader *r)
{
    while (accept(r, ' ') || accept(r, '\t') || accept(r, '\n') || accept(r, '\r'))
        continue;
}

/* True when there was at least one. */
static bool skip_digits(reader *r)
{
    size_t start = r->at;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    return r->at > start;
}

static void put(reader *r, uint32_t byte)
{
    *r->text++ = (char)(unsigned char)byte;
}

static void put_code_point(reader *r, uint32_t code)
{
    static const uint32_t lead[4] = {0, 0xC0, 0xE0, 0xF0};
    unsigned more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    put(r, lead[more] | code >> 6 * more);
    while (more-- > 0)
        put(r, 0x80 | (code >> 6 * more & 0x3F));
}

/* One character beyond ASCII. The ranges of the second byte (Unicode 15, table 3-7) are what keeps
 * out overlong forms, surrogates and all above U+10FFFF. */
static ddome_status read_utf8(reader *r)
{
    int lead = peek(r);
    int more = lead < 0xC2 || lead > 0xF4 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    int low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    int high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (more == 0)
        return refuse(r, "UTF-8");
    put(r, r->bytes[r->at++]);
    for (; more > 0; more--) {
        if (peek(r) < low || peek(r) > high)
            return refuse(r, "a continuation byte of UTF-8");
        put(r, r->bytes[r->at++]);
        low = 0x80;
        high = 0xBF;
    }
    return DDOME_OK;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static ddome_status read_hex4(reader *r, uint32_t *out)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(peek(r));
        if (digit < 0)
            return refuse(r, "four hexadecimal digits after \\u");
        code = code << 4 | (uint32_t)digit;
        r->at++;
    }
    *out = code;
    return DDOME_OK;
}

/* The part behind \u. Half a surrogate pair is no character: a high one (0x36 in the upper bits)
 * needs a low one (0x37) behind it, and a low one needs to be that. */
static ddome_status read_unicode_escape(reader *r)
{
    uint32_t code = 0, low = 0;
    ddome_status status = read_hex4(r, &code);
    bool pair = code >> 10 == 0x36;
    if (pair && !(accept(r, '\\') && accept(r, 'u')))
        return refuse(r, "the low surrogate of a pair");
    if (pair)
        status = read_hex4(r, &low);
    if (status != DDOME_OK)
        return status;
    if (((pair ? low : code) >> 10 == 0x37) != pair) {
        r->at -= 4;
        return refuse(r, pair ? "a low surrogate" : "a high surrogate before this low one");
    }
    put_code_point(r, pair ? 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF)) : code);
    return DDOME_OK;
}

static ddome_status read_escape(reader *r)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (accept(r, 'u'))
        return read_unicode_escape(r);
    const char *letter = peek(r) > 0 ? strchr(letters, peek(r)) : NULL;
    if (letter == NULL)
        return refuse(r, "one of \"\\/bfnrtu after a backslash");
    put(r, (unsigned char)meanings[letter - letters]);
    r->at++;
    return DDOME_OK;
}

static ddome_status read_string(reader *r, const char **text, size_t *length)
{
    const char *start = r->text;
    if (!accept(r, '"'))
        return refuse(r, "a member name in '\"'");
    ddome_status status = DDOME_OK;
    while (status == DDOME_OK && !accept(r, '"')) {
        if (accept(r, '\\'))
            status = read_escape(r);
        else if (peek(r) >= 0x80)
            status = read_utf8(r);
        else if (peek(r) >= 0x20)
            put(r, r->bytes[r->at++]);
        else
            status = refuse(r, "'\"' or a character that is no control character");
    }
    *text = start;
    *length = (size_t)(r->text - start);
    put(r, 0);
    return status;
}

static ddome_status read_number(reader *r, data_json_value *value)
{
    size_t start = r->at;
    (void)accept(r, '-');
    if (!accept(r, '0') && !skip_digits(r))
        return refuse(r, r->at > start ? "a digit" : "a value");
    if (accept(r, '.') && !skip_digits(r))
        return refuse(r, "a digit behind the decimal point");
    if (accept(r, 'e') || accept(r, 'E')) {
        if (!accept(r, '+'))
            (void)accept(r, '-');
        if (!skip_digits(r))
            return refuse(r, "a digit of the exponent");
    }
    value->kind = DATA_JSON_NUMBER;
    value->text = r->text;
    value->length = r->at - start;
    memcpy(r->text, r->bytes + start, value->length);
    r->text += value->length;
    put(r, 0);
    return DDOME_OK;
}

static ddome_status read_word(reader *r, data_json_value *value, data_json_kind kind,
                              const char *word)
{
    for (const char *c = word; *c != 0; c++)
        if (!accept(r, *c))
            return refuse(r, word);
    value->kind = kind;
    value->boolean = word[0] == 't';
    return DDOME_OK;
}

/* By length first: most names then differ without a look at their bytes. */
static int compare_names(const data_json_value *x, const data_json_value *y)
{
    if (x->name_length != y->name_length)
        return x->name_length < y->name_length ? -1 : 1;
    return memcmp(x->name, y->name, x->name_length);
}

static int compare_nodes(const void *a, const void *b)
{
    const node *x = *(const node *const *)a, *y = *(const node *const *)b;
    int order = compare_names(&x->value, &y->value);
    return order != 0 ? order : x->at < y->at ? -1 : x->at > y->at;
}

/* The least place of a name that its left neighbour has too; SIZE_MAX when all differ. */
static size_t first_repeat(const node *const *sorted, size_t count)
{
    size_t place = SIZE_MAX;
    for (size_t i = 1; i < count; i++)
        if (compare_names(&sorted[i - 1]->value, &sorted[i]->value) == 0)
            place = nn_min(place, sorted[i]->at);
    return place;
}

static ddome_status refuse_equal_names(const reader *r, const data_json_value *object)
{
    if (object->length < 2)
        return DDOME_OK;
    nn_arena_mark mark = nn_arena_get_mark(r->arena);
    const node **member = nn_arena_alloc(r->arena, object->length, sizeof *member);
    if (member == NULL)
        return nn_arena_fail(r->error, r->arena, "member names of a JSON object");
    size_t count = 0;
    for (const data_json_value *m = object->child; m != NULL; m = m->next)
        member[count++] = (const node *)m; /* read_item makes nodes only */
    qsort(member, count, sizeof *member, compare_nodes);
    size_t repeat = first_repeat(member, count);
    nn_arena_rewind(r->arena, mark);
    if (repeat == SIZE_MAX)
        return DDOME_OK;
    return nn_fail(r->error, DDOME_ERR_DATA,
                   "JSON: byte %zu: expected a new member name, found one this object has already",
                   repeat);
}

static ddome_status read_value(reader *r, data_json_value *value);

static ddome_status read_name(reader *r, data_json_value *member)
{
    ddome_status status = read_string(r, &member->name, &member->name_length);
    skip_space(r);
    if (status == DDOME_OK && !accept(r, ':'))
        status = refuse(r, "':'");
    skip_space(r);
    return status;
}

/* One element, or one member with its name, appended to parent at *link. */
static ddome_status read_item(reader *r, data_json_value *parent, const data_json_value ***link)
{
    node *item = nn_arena_zero(r->arena, 1, sizeof *item);
    if (item == NULL)
        return nn_arena_fail(r->error, r->arena, "a JSON value");
    skip_space(r);
    item->at = r->at;
    ddome_status status = DDOME_OK;
    if (parent->kind == DATA_JSON_OBJECT)
        status = read_name(r, &item->value);
    if (status == DDOME_OK)
        status = read_value(r, &item->value);
    skip_space(r);
    **link = &item->value;
    *link = &item->value.next;
    parent->length++;
    return status;
}

static ddome_status read_items(reader *r, data_json_value *parent, data_json_kind kind)
{
    char close = kind == DATA_JSON_ARRAY ? ']' : '}';
    const data_json_value **link = &parent->child;
    ddome_status status = DDOME_OK;
    if (r->depth == DATA_JSON_MAX_DEPTH)
        return nn_fail(r->error, DDOME_ERR_DATA,
                       "JSON: byte %zu: expected at most %d nested values, found more", r->at,
                       (int)DATA_JSON_MAX_DEPTH);
    r->depth++;
    r->at++;
    parent->kind = kind;
    skip_space(r);
    if (peek(r) != close) {
        do
            status = read_item(r, parent, &link);
        while (status == DDOME_OK && accept(r, ','));
    }
    if (status == DDOME_OK && !accept(r, close))
        status = refuse(r, kind == DATA_JSON_ARRAY ? "',' or ']'" : "',' or '}'");
    if (status == DDOME_OK && kind == DATA_JSON_OBJECT)
        status = refuse_equal_names(r, parent);
    r->depth--;
    return status;
}

static ddome_status read_value(reader *r, data_json_value *value)
{
    switch (peek(r)) {
    case '{':
        return read_items(r, value, DATA_JSON_OBJECT);
    case '[':
        return read_items(r, value, DATA_JSON_ARRAY);
    case '"':
        value->kind = DATA_JSON_STRING;
        return read_string(r, &value->text, &value->length);
    case 't':
        return read_word(r, value, DATA_JSON_BOOL, "true");
    case 'f':
        return read_word(r, value, DATA_JSON_BOOL, "false");
    case 'n':
        return read_word(r, value, DATA_JSON_NULL, "null");
    default:
        return read_number(r, value);
    }
}

ddome_status data_json_parse(ddome_error *error, nn_arena *arena, const data_json_value **value,
                             const char *bytes, size_t count)
{
    nn_arena_mark mark = nn_arena_get_mark(arena);
    data_json_value *root = nn_arena_zero(arena, 1, sizeof *root);
    char *text = root == NULL ? NULL : nn_arena_alloc(arena, count + 1, 1);
    reader r = {error, arena, (const unsigned char *)bytes, count, 0, text, 0};
    ddome_status status = DDOME_OK;
    if (text == NULL)
        status = nn_arena_fail(error, arena, "a JSON text");
    if (status == DDOME_OK) {
        skip_space(&r);
        status = read_value(&r, root);
        skip_space(&r);
    }
    if (status == DDOME_OK && r.at < count)
        status = refuse(&r, "the end");
    assert(text == NULL || r.text <= text + count + 1);
    if (status == DDOME_OK)
        *value = root;
    else
        nn_arena_rewind(arena, mark);
    return status;
}

const data_json_value *data_json_member(const data_json_value *object, const char *name)
{
    size_t length = strlen(name);
    if (object->kind != DATA_JSON_OBJECT)
        return NULL;
    const data_json_value *member = object->child;
    while (member != NULL &&
           !(member->name_length == length && memcmp(member->name, name, length) == 0))
        member = member->next;
    return member;
}

bool data_json_u64(uint64_t *out, const data_json_value *value)
{
    uint64_t sum = 0;
    if (value->kind != DATA_JSON_NUMBER)
        return false;
    for (size_t i = 0; i < value->length; i++) {
        if (value->text[i] < '0' || value->text[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(value->text[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *out = sum;
    return true;
}

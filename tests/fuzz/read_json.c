/* SPDX-License-Identifier: MIT */
/* JSON texts and single values: what is taken, written and read again is the same tree, the same
 * words. SPEC 17.4.2, 19.1.1. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../data/value.h"
#include "../../tools/compare_run.h"
#include "fuzz.h"

/* ---- JSON ---- */

static void add_string(fl_text *out, const char *text, size_t length)
{
    fl_text_add(out, "\"");
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == '"' || c == '\\')
            fl_text_add(out, "\\u%04x", (unsigned)c);
        else
            fl_text_add(out, "%c", c);
    }
    fl_text_add(out, "\"");
}

/* As deep as the reader goes. */
static void add_value(fl_text *out, const data_json_value *value)
{
    const bool object = value->kind == DATA_JSON_OBJECT;
    if (value->kind == DATA_JSON_NULL)
        fl_text_add(out, "null");
    else if (value->kind == DATA_JSON_BOOL)
        fl_text_add(out, "%s", value->boolean ? "true" : "false");
    else if (value->kind == DATA_JSON_NUMBER)
        fl_text_add(out, "%s", value->text);
    else if (value->kind == DATA_JSON_STRING)
        add_string(out, value->text, value->length);
    if (value->kind != DATA_JSON_ARRAY && !object)
        return;
    size_t children = 0;
    fl_text_add(out, object ? "{" : "[");
    for (const data_json_value *at = value->child; at != NULL; at = at->next, children++) {
        fl_text_add(out, at == value->child ? "" : ",");
        if (object) {
            add_string(out, at->name, at->name_length);
            fl_text_add(out, ":");
        }
        add_value(out, at);
    }
    fl_text_add(out, object ? "}" : "]");
    FUZZ_CHECK(children == value->length);
}

static void check_tree(const data_json_value *value)
{
    nn_arena arena = {0};
    const data_json_value *again;
    fl_text text = {.arena = &arena};
    add_value(&text, value);
    FUZZ_CHECK(!text.failed);
    FUZZ_CHECK(data_json_parse(NULL, &arena, &again, text.data, text.length) == DDOME_OK);
    FUZZ_CHECK(run_same_json(value, again));
    nn_arena_free(&arena);
}

/* A number that is an integer has the digits of that integer. */
static void check_numbers(const data_json_value *value)
{
    uint64_t number;
    char digits[24];
    for (const data_json_value *at = value->child; at != NULL; at = at->next)
        check_numbers(at);
    if (!data_json_u64(&number, value))
        return;
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    FUZZ_CHECK(strcmp(digits, value->text) == 0);
}

ddome_status fuzz_json(fuzz_call *call)
{
    const data_json_value *value;
    ddome_status status =
        data_json_parse(&call->error, &call->arena, &value, (const char *)call->bytes, call->size);
    if (status == DDOME_OK) {
        check_tree(value);
        check_numbers(value);
    } else
        FUZZ_CHECK(call->arena.used == 0);
    return status;
}

/* ---- one value ---- */

static void add_words(fl_text *out, const nn_value *value)
{
    for (size_t i = 0; i < value->count; i++) {
        uint64_t bits = 0;
        fl_text_add(out, i == 0 ? "" : " ");
        if (value->type == NN_VALUE_F64)
            memcpy(&bits, value->f64 + i, 8);
        if (value->type == NN_VALUE_F64)
            fl_text_add(out, "%016" PRIx64, bits);
        else if (value->type == NN_VALUE_F32)
            fl_text_add(out, "%08" PRIx32, nn_float_bits(value->f32[i]));
        else
            fl_text_add(out, "%" PRIu32, value->u32[i]);
    }
}

static bool take_words(fuzz_call *call, nn_value *value, const data_json_value *words)
{
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    if (!data_value_words_fit(value, words))
        return false;
    void *elements = nn_arena_alloc(&call->arena, value->count, data_value_width(value->type));
    FUZZ_CHECK(elements != NULL);
    if (!data_value_read_words(elements, value, words->text))
        return false;
    data_value_set(value, elements);
    add_words(&text, value);
    FUZZ_CHECK(!text.failed && strcmp(text.length == 0 ? "" : text.data, words->text) == 0);
    nn_arena_free(&arena);
    return true;
}

static bool take_value(fuzz_call *call, const data_json_value *object)
{
    nn_value value;
    nn_digest digest;
    char hex[NN_HEX_BYTES];
    const data_json_value *sha256 = data_json_member(object, "sha256");
    memset(&value, 0, sizeof value);
    if (!data_value_read_type(&value.type, data_json_member(object, "dtype")) ||
        !data_value_read_shape(&value, data_json_member(object, "shape")) ||
        !take_words(call, &value, data_json_member(object, "words")))
        return false;
    if (sha256 == NULL)
        return true;
    if (!data_value_read_digest(&digest, sha256))
        return false;
    nn_digest_hex(hex, &digest);
    FUZZ_CHECK(strcmp(hex, sha256->text) == 0);
    return true;
}

ddome_status fuzz_value(fuzz_call *call)
{
    const data_json_value *object;
    ddome_status status =
        data_json_parse(&call->error, &call->arena, &object, (const char *)call->bytes, call->size);
    if (status == DDOME_OK && !take_value(call, object))
        status = nn_fail(&call->error, DDOME_ERR_DATA, "no value of SPEC 19.1.1");
    return status;
}

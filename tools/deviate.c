/* SPDX-License-Identifier: MIT */
/* Answers vectors as a program with deviations would: deviate VECTORS OUT [WORD...]. Without words
 * OUT has what the rules give. What is no operation of SPEC 19.1.2 is left out. For tests of
 * `ddome compare --explain` and of vectors. SPEC 19.2, 19.5. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../data/value.h"
#include "../data/vectors.h"
#include "../fl/text.h"
#include "../nn/os.h"
#include "../nn/variant.h"

/* ---- writing ---- */

static void add_word(fl_text *text, const nn_value *value, size_t i)
{
    uint64_t bits;
    if (value->type == NN_VALUE_F32)
        fl_text_float(text, value->f32[i]);
    else if (value->type == NN_VALUE_U32)
        fl_text_add(text, "%" PRIu32, value->u32[i]);
    else {
        memcpy(&bits, &value->f64[i], sizeof bits);
        fl_text_add(text, "%016" PRIx64, bits);
    }
}

static void add_value(fl_text *text, const nn_value *value)
{
    fl_text_add(text, "\"%s\":{\"dtype\":\"%s\",\"shape\":[", value->name,
                data_value_dtype(value->type));
    for (size_t i = 0; i < value->rank; i++)
        fl_text_add(text, "%s%lu", i == 0 ? "" : ",", (unsigned long)value->shape[i]);
    fl_text_add(text, "],\"words\":\"");
    for (size_t i = 0; i < value->count; i++) {
        fl_text_add(text, "%s", i == 0 ? "" : " ");
        add_word(text, value, i);
    }
    fl_text_add(text, "\"}");
}

static void add_values(fl_text *text, const char *name, const nn_value *values, size_t count)
{
    fl_text_add(text, ",\"%s\":{", name);
    for (size_t i = 0; i < count; i++) {
        fl_text_add(text, "%s", i == 0 ? "" : ",");
        add_value(text, &values[i]);
    }
    fl_text_add(text, "}");
}

static void add_vector(fl_text *text, const data_vector *vector, const nn_value *outputs,
                       size_t count, bool first)
{
    static const char *const profiles[] = {"ma", "fma", "any"};
    const nn_case *work = &vector->work;
    fl_text_add(text, "%s\n{\"id\":\"%s\",\"op\":\"%s\",\"clause\":\"%s\",\"profile\":\"%s\"",
                first ? "" : ",", vector->id, work->op, vector->clause, profiles[vector->profile]);
    fl_text_add(text, ",\"attributes\":{");
    for (size_t i = 0; i < work->attribute_count; i++)
        fl_text_add(text, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", work->attributes[i].name,
                    work->attributes[i].value);
    fl_text_add(text, "}");
    add_values(text, "inputs", work->inputs, work->input_count);
    add_values(text, "expected", outputs, count);
    fl_text_add(text, "}");
}

/* ---- the variant ---- */

static ddome_status take_word(ddome_error *error, nn_variant *variant, const char *word)
{
    for (int kind = 0; kind < NN_DEVIATE_COUNT; kind++)
        for (size_t i = 1; i < nn_deviation_table[kind].choices; i++)
            if (strcmp(nn_deviation_table[kind].word[i], word) == 0) {
                variant->choice[kind] = (unsigned char)i;
                return DDOME_OK;
            }
    return nn_fail(error, DDOME_ERR_USAGE, "expected a word of SPEC 19.5, found %.80s", word);
}

/* A deviation that an operation does not have leaves it as it is. */
static void keep_concerning(nn_variant *variant, const char *op)
{
    for (int kind = 0; kind < NN_DEVIATE_COUNT; kind++) {
        nn_variant one = {{0}};
        one.choice[kind] = variant->choice[kind];
        if (!nn_variant_concerns(op, &one))
            variant->choice[kind] = 0;
    }
}

static ddome_status answer(ddome_error *error, nn_arena *arena, fl_text *text,
                           const data_vector *vector, const nn_variant *variant, bool *first)
{
    const nn_value *outputs = NULL;
    size_t count = 0;
    nn_variant own = *variant;
    if (!nn_variant_knows(vector->work.op))
        return DDOME_OK;
    keep_concerning(&own, vector->work.op);
    ddome_status status = nn_variant_run(error, arena, &outputs, &count, &vector->work, &own);
    if (status != DDOME_OK)
        return status;
    add_vector(text, vector, outputs, count, *first);
    *first = false;
    return DDOME_OK;
}

static ddome_status run(ddome_error *error, nn_arena *arena, int argc, char **argv)
{
    nn_variant variant = {{0}};
    data_vectors vectors;
    fl_text text = {.arena = arena};
    bool first = true;
    ddome_status status = DDOME_OK;
    if (argc < 3)
        return nn_fail(error, DDOME_ERR_USAGE, "usage: deviate VECTORS OUT [WORD...]");
    for (int i = 3; status == DDOME_OK && i < argc; i++)
        status = take_word(error, &variant, argv[i]);
    if (status == DDOME_OK)
        status = data_vectors_read(error, arena, &vectors, argv[1]);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&text,
                "{\"schema\":\"ddome-vectors-1\",\"specification\":%d,\"level\":\"%s\","
                "\"vectors\":[",
                DDOME_SPEC_VERSION, vectors.level);
    for (size_t i = 0; status == DDOME_OK && i < vectors.count; i++)
        status = answer(error, arena, &text, &vectors.vector[i], &variant, &first);
    fl_text_add(&text, "\n]}\n");
    if (status == DDOME_OK)
        status = fl_text_status(error, &text);
    return status == DDOME_OK ? nn_os_write_file(error, argv[2], text.data, text.length) : status;
}

int main(int argc, char **argv)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena;
    memset(&arena, 0, sizeof arena);
    const ddome_status status = run(&error, &arena, argc, argv);
    if (status != DDOME_OK)
        fprintf(stderr, "deviate: %s\n", error.text);
    nn_arena_free(&arena);
    return (int)status;
}

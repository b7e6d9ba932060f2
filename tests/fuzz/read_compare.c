/* SPDX-License-Identifier: MIT */
/* `ddome compare --explain` of models, vectors, answers and traces, one of the two being the input:
 * whatever stands in it, the results are one JSON object and lines without control characters.
 * SPEC 18.2, 19.4. */
#include "read_compare.h"

#include <string.h>

#include "../../data/vectors.h"
#include "../../tools/compare.h"

/* ---- the call ---- */

static void check_results(const tool *t)
{
    nn_arena arena = {0};
    const data_json_value *value;
    fl_text json = {.arena = &arena};
    FUZZ_CHECK(!t->text.failed && !t->json.failed && t->text.length != 0);
    fl_text_add(&json, "{\"success\": true%s}", t->json.data == NULL ? "" : t->json.data);
    FUZZ_CHECK(data_json_parse(NULL, &arena, &value, json.data, json.length) == DDOME_OK);
    for (size_t i = 0; i < t->text.length; i++)
        FUZZ_CHECK(t->text.data[i] == '\n' ||
                   ((unsigned char)t->text.data[i] >= ' ' && t->text.data[i] != 0x7f));
    nn_arena_free(&arena);
}

ddome_status fuzz_compare(fuzz_call *call, const char *a, const char *b)
{
    char path_a[FUZZ_PATH], path_b[FUZZ_PATH];
    const char *words[2] = {path_a, path_b};
    tool t;
    memset(&t, 0, sizeof t);
    fuzz_path(path_a, a);
    fuzz_path(path_b, b);
    t.words = words;
    t.word_count = 2;
    t.explain = true;
    t.text.arena = t.json.arena = &t.arena;
    ddome_status status = tool_compare(&call->error, &t);
    if (t.results_stand) {
        FUZZ_CHECK(status == DDOME_OK || status == DDOME_ERR_VERIFY);
        check_results(&t);
        status = DDOME_OK;
    }
    call->arena = t.arena;
    return status;
}

/* ---- models ---- */

static const char model[] = "\x70\0\0\0\0\0\0\0"
                            "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                            "\"u\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[8,12]}}   "
                            "\0\0\x80\x3f\0\0\0\x40\x07\0\0\0";

ddome_status fuzz_compare_model(fuzz_call *call)
{
    static bool done;
    if (!done)
        fuzz_put("fuzz-model-a", model, sizeof model - 1);
    done = true;
    fuzz_put("fuzz-model-b", call->bytes, call->size);
    return fuzz_compare(call, "fuzz-model-a", "fuzz-model-b");
}

/* ---- vectors ---- */

#define HEAD "{\"schema\":\"ddome-vectors-1\",\"specification\":1,\"level\":\"sum\",\"vectors\":["
#define ONE(name)                                                                                  \
    "{\"id\":\"" name "\",\"expected\":{\"" name                                                   \
    "\":{\"dtype\":\"F32\",\"shape\":[1],\"words\":\"3f800001\"}}}"
#define MORE(name) "," ONE(name)

/* The input is the answer of another implementation. */
ddome_status fuzz_compare_answers(fuzz_call *call)
{
    static const char level[] =
        HEAD "{\"id\":\"s\",\"op\":\"sum\",\"clause\":\"2.4\",\"profile\":\"any\",\"flags\":"
             "[\"fused\"],\"inputs\":{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"words\":"
             "\"3f800000 33800000\"}},\"expected\":{\"total\":{\"dtype\":\"F32\",\"shape\":[],"
             "\"words\":\"3f800000\"}}},{\"id\":\"t\",\"op\":\"top_k\",\"attributes\":{\"k\":1},"
             "\"inputs\":{\"score\":{\"dtype\":\"F32\",\"shape\":[2],\"words\":\"3f800000 "
             "3f800000\"}},\"expected\":{\"chosen\":{\"dtype\":\"U32\",\"shape\":[1],\"words\":"
             "\"0\"}}}]}";
    static bool done;
    if (!done)
        fuzz_put_text("fuzz-level.json", level);
    done = true;
    fuzz_put("fuzz-answers.json", call->bytes, call->size);
    return fuzz_compare(call, "fuzz-level.json", "fuzz-answers.json");
}

/* What a computation may ask for is bounded (nn/variant_call.c), yet by seconds and megabytes: a
 * fuzzer wants microseconds. */
static bool is_small(const data_vectors *vectors)
{
    enum { MOST_ATTRIBUTE = 6, MOST_ELEMENTS = 256 };
    bool small = vectors->count <= 2;
    for (size_t i = 0; small && i < vectors->count; i++) {
        const nn_case *work = &vectors->vector[i].work;
        for (size_t k = 0; k < work->attribute_count; k++)
            small = small && work->attributes[k].value <= MOST_ATTRIBUTE;
        for (size_t k = 0; k < work->input_count; k++)
            small = small && work->inputs[k].count <= MOST_ELEMENTS;
    }
    return small;
}

/* The input is the level file: its computations are done again with every deviation. The answers
 * are wrong, one a name of an output. */
ddome_status fuzz_compare_vectors(fuzz_call *call)
{
    static const char answers[] =
        HEAD ONE("y") MORE("total") MORE("c") MORE("dx") MORE("chosen") MORE("p") MORE("loss")
            MORE("w") MORE("score") MORE("index") MORE("dz") MORE("dw") MORE("dgate") "]}";
    static bool done;
    char path[FUZZ_PATH];
    nn_arena arena = {0};
    data_vectors vectors;
    if (!done)
        fuzz_put_text("fuzz-answers-y.json", answers);
    done = true;
    fuzz_put("fuzz-level-y.json", call->bytes, call->size);
    fuzz_path(path, "fuzz-level-y.json");
    ddome_status status = data_vectors_read(&call->error, &arena, &vectors, path);
    if (status == DDOME_OK && !is_small(&vectors))
        status = nn_fail(&call->error, DDOME_ERR_DATA, "too large for a fuzzer");
    nn_arena_free(&arena);
    return status == DDOME_OK ? fuzz_compare(call, "fuzz-level-y.json", "fuzz-answers-y.json")
                              : status;
}

/* ---- traces ---- */

/* The input is A's trace. B's has the same keys with other hashes, and elements. */
ddome_status fuzz_compare_trace(fuzz_call *call)
{
    static const char b[] =
        "{\"trace\":\"ddome-trace-1\",\"specification\":1,\"arith\":\"ma\"}\n"
        "{\"key\":\"r1/x\",\"sha256\":"
        "\"b9c80b5adeca450753a16950c3cc655d271f7bef7a485bc83f112b72fef21d37\"}\n"
        "{\"key\":\"r1/y\",\"sha256\":"
        "\"b9c80b5adeca450753a16950c3cc655d271f7bef7a485bc83f112b72fef21d37\"}\n";
    static const char tensors[] = "\x78\0\0\0\0\0\0\0"
                                  "{\"r1/x\":{\"dtype\":\"F32\",\"shape\":[2],"
                                  "\"data_offsets\":[0,8]},"
                                  "\"r1/y\":{\"dtype\":\"F32\",\"shape\":[2],"
                                  "\"data_offsets\":[8,16]}}      "
                                  "\0\0\x80\x3f\0\0\0\x40\0\0\x80\x3f\0\0\0\x40";
    static bool done;
    if (!done) {
        fuzz_put("fuzz-trace-a.jsonl.safetensors", tensors, sizeof tensors - 1);
        fuzz_put("fuzz-trace-b.jsonl.safetensors", tensors, sizeof tensors - 1);
        fuzz_put_text("fuzz-trace-b.jsonl", b);
    }
    done = true;
    fuzz_put("fuzz-trace-a.jsonl", call->bytes, call->size);
    return fuzz_compare(call, "fuzz-trace-a.jsonl", "fuzz-trace-b.jsonl");
}

/* SPDX-License-Identifier: MIT */
/* The reader of vectors: every member taken, every damage refused with its place, each allocation
 * failing. SPEC 19.1, 19.2. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "../data/safetensors.h"
#include "../data/vectors.h"
#include "../nn/os.h"

void t_vectors(void);

enum { PATH_BYTES = 1024 };

/* SHA-256 of nothing. */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char *path_of(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

static void write_bytes(const char *name, const void *bytes, size_t size)
{
    ddome_error error = {DDOME_OK, ""};
    test_status(name, nn_os_write_file(&error, path_of(name), bytes, size), DDOME_OK, &error, NULL);
}

/* side.safetensors: a = 2x2 floats 1, 2, 3, 4; u = U32 7; d = F64 1. */
static void write_companion(void)
{
    static const unsigned char a[] = {0, 0, 0x80, 0x3f, 0, 0, 0,    0x40,
                                      0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40};
    static const uint64_t two_by_two[] = {2, 2};
    static const unsigned char u[] = {7, 0, 0, 0}, d[] = {0, 0, 0, 0, 0, 0, 0xf0, 0x3f};
    data_safetensor tensors[] = {
        {.name = "a",
         .dtype = "F32",
         .rank = 2,
         .shape = two_by_two,
         .bytes = a,
         .byte_count = sizeof a},
        {.name = "u", .dtype = "U32", .rank = 0, .bytes = u, .byte_count = sizeof u},
        {.name = "d", .dtype = "F64", .rank = 0, .bytes = d, .byte_count = sizeof d}};
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes = NULL;
    size_t size = 0;
    if (test_status("companion", data_safetensors_format(&error, &arena, &bytes, &size, tensors, 3),
                    DDOME_OK, &error, NULL))
        write_bytes("side.safetensors", bytes, size);
    write_bytes("broken.safetensors", "\1", 1);
    nn_arena_free(&arena);
}

static ddome_status read_text(ddome_error *error, nn_arena *arena, data_vectors *out,
                              const char *text)
{
    memset(error, 0, sizeof *error);
    write_bytes("vectors.json", text, strlen(text));
    return data_vectors_read(error, arena, out, path_of("vectors.json"));
}

/* ---- what is taken ---- */

#define HEAD "{\"schema\":\"ddome-vectors-1\",\"specification\":1,\"level\":\"conv\",\"vectors\":["
#define TEN "0123456789"
#define VECTOR(members) HEAD "{\"id\":\"v\",\"expected\":{}" members "}]}"
#define VALUE(members) HEAD "{\"id\":\"v\",\"expected\":{\"y\":{" members "}}}]}"
#define FLOATS(members) VALUE("\"dtype\":\"F32\",\"shape\":[2]," members)

static const char full[] =
    HEAD "{\"id\":\"one\",\"op\":\"conv\",\"clause\":\"5.3\",\"profile\":\"fma\","
         "\"exact\":\"any-order\",\"comment\":\"c\",\"flags\":[\"fused\",\"blocks-32\"],"
         "\"config\":{\"width\":\"4\"},\"attributes\":{\"stride\":2,\"pad\":18446744073709551615},"
         "\"inputs\":{\"x\":{\"dtype\":\"F32\",\"shape\":[2,1],\"words\":\"3f800000 80000000\"},"
         "\"n\":{\"dtype\":\"U32\",\"shape\":[3],\"words\":\"0 4294967295 17\"},"
         "\"e\":{\"dtype\":\"F32\",\"shape\":[0,5],\"words\":\"\",\"sha256\":\"" EMPTY "\"},"
         "\"d\":{\"dtype\":\"F64\",\"shape\":[],\"words\":\"3ff0000000000000\"}},"
         "\"expected\":{\"y\":{\"dtype\":\"F32\",\"shape\":[2,2],\"file\":\"side.safetensors\","
         "\"tensor\":\"a\"},"
         "\"z\":{\"dtype\":\"F32\",\"shape\":[2,2],\"file\":\"side.safetensors\","
         "\"tensor\":\"a\"},"
         "\"u\":{\"dtype\":\"U32\",\"shape\":[],\"file\":\"side.safetensors\",\"tensor\":\"u\"},"
         "\"f\":{\"dtype\":\"F64\",\"shape\":[],\"file\":\"side.safetensors\",\"tensor\":\"d\"},"
         "\"h\":{\"dtype\":\"F32\",\"shape\":[1000000],\"sha256\":\"" EMPTY "\"}}},"
         "{\"id\":\"two\",\"expected\":{}}]}";

static void check_words(const data_vector *v)
{
    const nn_value *x = nn_case_input(&v->work, "x"), *n = nn_case_input(&v->work, "n");
    const nn_value *e = nn_case_input(&v->work, "e"), *d = nn_case_input(&v->work, "d");
    if (!CHECK(x != NULL && n != NULL && e != NULL && d != NULL))
        return;
    CHECK(x->rank == 2 && x->shape[0] == 2 && x->shape[1] == 1 && x->count == 2);
    CHECK(nn_float_bits(x->f32[0]) == 0x3f800000 && nn_float_bits(x->f32[1]) == 0x80000000);
    CHECK(n->type == NN_VALUE_U32 && n->u32[0] == 0 && n->u32[1] == UINT32_MAX && n->u32[2] == 17);
    CHECK(e->count == 0 && e->f32 != NULL && e->hashed);
    CHECK(d->rank == 0 && d->count == 1 && d->f64[0] == 1.0);
}

static void check_tensors(const data_vector *v)
{
    const nn_value *y = nn_case_output(&v->work, "y"), *z = nn_case_output(&v->work, "z");
    const nn_value *u = nn_case_output(&v->work, "u"), *f = nn_case_output(&v->work, "f");
    const nn_value *h = nn_case_output(&v->work, "h");
    if (!CHECK(y != NULL && z != NULL && u != NULL && f != NULL && h != NULL))
        return;
    CHECK(y->f32[0] == 1 && y->f32[3] == 4 && z->f32 == y->f32); /* decoded once */
    CHECK(u->u32[0] == 7 && f->f64[0] == 1.0);
    CHECK(!nn_value_known(h) && h->hashed && h->count == 1000000 && h->hash.byte[0] == 0xe3);
}

static void test_good(void)
{
    nn_arena arena = {0};
    ddome_error error;
    data_vectors out = {NULL, NULL, 0};
    test_case("vectors: every member of a level file (SPEC 19.2.2)");
    if (test_status("full", read_text(&error, &arena, &out, full), DDOME_OK, &error, NULL)) {
        const data_vector *v = &out.vector[0];
        test_same_text("level", out.level, "conv");
        test_same_u64("vectors", out.count, 2);
        test_same_text("id", v->id, "one");
        test_same_text("op", v->work.op, "conv");
        test_same_text("clause", v->clause, "5.3");
        test_same_text("comment", v->comment, "c");
        CHECK(v->profile == DATA_PROFILE_FMA && v->work.arith == NN_ARITH_FMA && v->any_order);
        CHECK(v->flag_count == 2 && strcmp(v->flags[1], "blocks-32") == 0);
        CHECK(v->config_count == 1 && strcmp(v->config[0].value, "4") == 0);
        CHECK(nn_case_attribute(&v->work, "pad", 0) == UINT64_MAX);
        check_words(v);
        check_tensors(v);
    }
    nn_arena_free(&arena);
}

static void test_answer(void)
{
    nn_arena arena = {0};
    ddome_error error;
    data_vectors out = {NULL, NULL, 0};
    test_case("vectors: an answer may lack most members (SPEC 19.2.4)");
    if (test_status("answer",
                    read_text(&error, &arena, &out,
                              "{\"schema\":\"ddome-vectors-1\",\"vectors\":[{\"id\":\"a\","
                              "\"expected\":{\"y\":{\"dtype\":\"F32\",\"shape\":[9],"
                              "\"sha256\":\"" EMPTY "\"}}}]}"),
                    DDOME_OK, &error, NULL)) {
        const data_vector *v = &out.vector[0];
        CHECK(out.level[0] == '\0' && v->work.op[0] == '\0' && v->comment[0] == '\0');
        CHECK(v->profile == DATA_PROFILE_ANY && !v->any_order && v->work.arith == NN_ARITH_MA);
        CHECK(v->flag_count == 0 && v->config_count == 0 && v->work.input_count == 0);
    }
    nn_arena_free(&arena);
}

/* ---- what is refused ---- */

typedef struct damage {
    const char *text, *part;
} damage;

static void refuse_all(const damage *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nn_arena arena = {0};
        ddome_error error;
        data_vectors out = {NULL, NULL, 77};
        test_status(list[i].text, read_text(&error, &arena, &out, list[i].text), DDOME_ERR_DATA,
                    &error, list[i].part);
        CHECK(out.count == 77 && arena.used == 0 && strchr(error.text, '\n') == NULL);
        CHECK(strstr(error.text, ".json") != NULL || strstr(error.text, ".safetensors") != NULL);
        nn_arena_free(&arena);
    }
}

static void test_members(void)
{
    static const damage list[] = {
        {"{", "JSON: byte 1"},
        {"[]", "the file: expected an object"},
        {"{\"vectors\":[]}", "schema: expected ddome-vectors-1, found nothing"},
        {"{\"schema\":\"ddome-vectors-2\",\"vectors\":[]}", "found ddome-vectors-2"},
        {"{\"schema\":\"ddome-vectors-1\"}", "vectors: expected an array"},
        {"{\"schema\":\"ddome-vectors-1\",\"vectors\":{}}", "vectors: expected an array"},
        {"{\"schema\":\"ddome-vectors-1\",\"specification\":2,\"vectors\":[]}", "specification"},
        {"{\"schema\":\"ddome-vectors-1\",\"level\":3,\"vectors\":[]}", "level: expected a text"},
        {"{\"schema\":\"ddome-vectors-1\",\"vectors\":[],\"more\":1}", "none called \"more\""},
        {HEAD "7]}", "vectors: expected objects"},
        {HEAD "{\"expected\":{}}]}", "an id in each"},
        {HEAD "{\"id\":\"\",\"expected\":{}}]}", "an id in each"},
        {HEAD "{\"id\":\"v\"}]}", "vector v: expected: expected an object"},
        {HEAD "{\"id\":\"v\",\"expected\":[]}]}", "vector v: expected: expected an object"},
        {HEAD "{\"id\":\"v\",\"expected\":{}},{\"id\":\"v\",\"expected\":{}}]}", "found it twice"},
        {HEAD "{\"id\":\"b\",\"expected\":{}},{\"id\":\"a\",\"expected\":{}},"
              "{\"id\":\"a\",\"expected\":{}},{\"id\":\"b\",\"expected\":{}}]}",
         "vector a: expected each id once"},
        {"{\"schema\":\"ddome-vectors-1\",\"specification\":\"1\",\"vectors\":[]}",
         "specification"},
        {"{\"schema\":7,\"vectors\":[]}", "schema: expected ddome-vectors-1, found 7"},
        {VECTOR(",\"ops\":\"conv\""), "none called \"ops\""},
        {VECTOR(",\"op\":\"a\\u0000b\""), "op: expected a text without NUL"},
        {VECTOR(",\"profile\":\"both\""), "expected ma, fma or any, found both"},
        {VECTOR(",\"profile\":7"), "expected ma, fma or any, found 7"},
        {VECTOR(",\"exact\":\"yes\""), "expected any-order or this-order, found yes"},
        {VECTOR(",\"exact\":null"), "expected any-order or this-order, found null"},
        {VECTOR(",\"exact\":\"a\\n\\u007f\\u00e9b\""), "found a????b"},
        {VECTOR(",\"" TEN TEN TEN TEN TEN TEN TEN TEN TEN "\":0"),
         "none called \"" TEN TEN TEN TEN TEN TEN TEN "012345678\""},
        {VECTOR(",\"flags\":\"fused\""), "flags: expected an array"},
        {VECTOR(",\"flags\":[1]"), "flags: expected words, found 1"},
        {VECTOR(",\"flags\":[\"a\",null,\"b\"]"), "flags: expected words, found null"},
        {VECTOR(",\"config\":{\"width\":4}"), "config: expected keys with texts, found 4"},
        {VECTOR(",\"config\":{\"a\":true,\"b\":\"c\"}"), "keys with texts, found a boolean"},
        {VECTOR(",\"config\":{\"a\\u0000b\":\"c\"}"), "keys with texts, found c"},
        {VECTOR(",\"attributes\":{\"pad\":-1}"), "attributes: expected whole numbers"},
        {VECTOR(",\"attributes\":{\"pad\":1.0}"), "attributes: expected whole numbers"},
        {VECTOR(",\"attributes\":{\"pad\":{},\"k\":1}"),
         "whole numbers of 0..2^64-1, found an object"},
        {VECTOR(",\"attributes\":{\"pad\\u0000\":1}"), "whole numbers of 0..2^64-1, found 1"},
        {VECTOR(",\"attributes\":{\"pad\":18446744073709551616}"), "attributes"},
        {VECTOR(",\"inputs\":[]"), "inputs: expected an object"},
        {VECTOR(",\"inputs\":{\"x\":1}"), "x: expected an object"},
        {VECTOR(",\"inputs\":{\"x\":[],\"y\":{}}"), "under a name without NUL, found an array"},
        {VECTOR(",\"inputs\":{\"x\\u0000\":{}}"), "a name without NUL"}};
    test_case("vectors: damaged members (SPEC 19.2.2)");
    refuse_all(list, sizeof list / sizeof *list);
}

static void test_values(void)
{
    static const damage list[] = {
        {VALUE("\"shape\":[],\"words\":\"0\""), "as dtype F32, F64 or U32, found nothing"},
        {VALUE("\"dtype\":\"F16\",\"shape\":[],\"words\":\"0\""), "found F16"},
        {VALUE("\"dtype\":\"U32\",\"words\":\"0\""), "as shape at most 4"},
        {VALUE("\"dtype\":\"U32\",\"shape\":\"2\",\"words\":\"0 0\""), "as shape at most 4"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[1,1,1,1,1],\"words\":\"0\""), "as shape at most 4"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[1.0],\"words\":\"0\""), "as shape at most 4"},
        {VALUE("\"dtype\":\"F64\",\"shape\":[4294967296,4294967296],\"sha256\":\"" EMPTY "\""),
         "as shape at most 4"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[4000000000],\"words\":\"1 2\""), "as words as many"},
        {FLOATS("\"words\":\"3f800000\""), "words of its dtype"},
        {FLOATS("\"words\":\"3f800000 3f800000 3f800000\""), "words of its dtype"},
        {FLOATS("\"words\":\"3f800000  3f800000\""), "words of its dtype"},
        {FLOATS("\"words\":\"3f800000 3f800000 \""), "words of its dtype"},
        {FLOATS("\"words\":\" 3f800000 3f800000\""), "words of its dtype"},
        {FLOATS("\"words\":\"3F800000 3f800000\""), "words of its dtype"},
        {FLOATS("\"words\":\"3g800000 3f800000\""), "words of its dtype"},
        {FLOATS("\"words\":\"3f80000 3f8000000\""), "words of its dtype"},
        {FLOATS("\"words\":\"3f800000,3f800000\""), "words of its dtype"},
        {FLOATS("\"words\":[1,2]"), "as words as many"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[1],\"words\":\"01\""), "words of its dtype"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[1],\"words\":\"4294967296\""), "words of its dtype"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[1],\"words\":\"-1\""), "words of its dtype"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[1],\"words\":\"\""), "words of its dtype"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[0],\"words\":\" \""), "words of its dtype"},
        {FLOATS("\"more\":0"), "none called \"more\""},
        {VALUE("\"dtype\":\"F32\",\"shape\":[2]"), "words, or file and tensor, or sha256"},
        {FLOATS("\"words\":\"\",\"file\":\"side.safetensors\",\"tensor\":\"a\""),
         "words, or file and tensor"},
        {FLOATS("\"sha256\":\"E3\""), "as sha256 64 lower-case"},
        {FLOATS("\"words\":\"3f800000 3f800000\",\"sha256\":\"" EMPTY "\""),
         "elements with this sha256"}};
    test_case("vectors: damaged values (SPEC 19.1.1)");
    refuse_all(list, sizeof list / sizeof *list);
}

static void test_files(void)
{
    static const damage list[] = {
        {FLOATS("\"file\":\"side.safetensors\""), "as tensor a name"},
        {FLOATS("\"tensor\":\"a\""), "as file a name in the same folder"},
        {FLOATS("\"file\":\"../side.safetensors\",\"tensor\":\"a\""), "in the same folder"},
        {FLOATS("\"file\":\"x/side.safetensors\",\"tensor\":\"a\""), "in the same folder"},
        {FLOATS("\"file\":\"x\\\\side.safetensors\",\"tensor\":\"a\""), "in the same folder"},
        {FLOATS("\"file\":\".side\",\"tensor\":\"a\""), "in the same folder"},
        {FLOATS("\"file\":\"\",\"tensor\":\"a\""), "in the same folder"},
        {FLOATS("\"file\":\"none.safetensors\",\"tensor\":\"a\""), "cannot open"},
        {FLOATS("\"file\":\"broken.safetensors\",\"tensor\":\"a\""), "broken.safetensors: safet"},
        {FLOATS("\"file\":\"side.safetensors\",\"tensor\":\"b\""), "a tensor of this dtype"},
        {FLOATS("\"file\":\"side.safetensors\",\"tensor\":\"a\""), "a tensor of this dtype"},
        {VALUE("\"dtype\":\"U32\",\"shape\":[2,2],\"file\":\"side.safetensors\",\"tensor\":\"a\""),
         "a tensor of this dtype"},
        {VALUE("\"dtype\":\"F32\",\"shape\":[2,3],\"file\":\"side.safetensors\",\"tensor\":\"a\""),
         "a tensor of this dtype"},
        {VALUE("\"dtype\":\"F32\",\"shape\":[2,2],\"file\":\"side.safetensors\",\"tensor\":\"a\"},"
               "\"z\":{\"dtype\":\"U32\",\"shape\":[],\"file\":\"none.safetensors\",\"tensor\":"
               "\"a\""),
         "none.safetensors"},
        {VALUE("\"dtype\":\"F32\",\"shape\":[2,2],\"file\":\"side.safetensors\",\"tensor\":\"a\","
               "\"sha256\":\"" EMPTY "\""),
         "elements with this sha256"}};
    test_case("vectors: damaged references to tensors (SPEC 19.1.1)");
    refuse_all(list, sizeof list / sizeof *list);
}

/* The name of a file without a folder. */
static void test_bare_name(void)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_vectors out = {NULL, NULL, 77};
    test_case("vectors: a file in no folder");
    test_status("bare", data_vectors_read(&error, &arena, &out, "no_such_vectors.json"),
                DDOME_ERR_DATA, &error, "cannot open no_such_vectors.json");
    CHECK(out.count == 77 && arena.used == 0);
    nn_arena_free(&arena);
}

/* ---- no memory ---- */

static void test_memory(void)
{
    size_t allocations = 0;
    ddome_error error;
    data_vectors out = {NULL, NULL, 77};
    nn_arena arena = {0};
    test_case("vectors: each allocation failing");
    CHECK(read_text(&error, &arena, &out, full) == DDOME_OK);
    allocations = arena.allocations;
    nn_arena_free(&arena);
    for (size_t i = 1; i <= allocations; i++) {
        nn_arena small = {.fail_after = i};
        out.count = 77;
        test_status("an allocation", read_text(&error, &small, &out, full), DDOME_ERR_MEMORY,
                    &error, "out of memory");
        CHECK(out.count == 77 && small.used == 0);
        nn_arena_free(&small);
    }
}

/* Every third cut of a good file: none is taken, whatever stands at the end. */
static void test_cuts(void)
{
    char text[sizeof full];
    test_case("vectors: a file cut short");
    for (size_t length = 0; length + 1 < sizeof full; length += 3) {
        nn_arena arena = {0};
        ddome_error error;
        data_vectors out = {NULL, NULL, 77};
        memcpy(text, full, length);
        text[length] = '\0';
        if (!test_status("a cut", read_text(&error, &arena, &out, text), DDOME_ERR_DATA, &error,
                         NULL))
            length = sizeof full;
        nn_arena_free(&arena);
    }
}

void t_vectors(void)
{
    test_case("vectors: the files of these tests");
    write_companion();
    test_good();
    test_answer();
    test_members();
    test_values();
    test_files();
    test_bare_name();
    test_memory();
    test_cuts();
}

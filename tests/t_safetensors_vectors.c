/* SPDX-License-Identifier: MIT */
/* The safetensors reader against the verdicts of another project, when its file is given.
 * SPEC 17.4.7. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/safetensors.h"
#include "../nn/os.h"

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The file in an allocation of its very size, so that a sanitizer sees one byte too many. One
 * vector is too long for hexadecimal, a header of nothing but '['. */
static unsigned char *make_file(size_t *count, const char *name, const data_json_value *hex)
{
    enum { DEPTH = 100000 };
    const bool spelt = hex != NULL;
    if (!CHECK(spelt ? hex->length % 2 == 0 : strcmp(name, "depth_100000") == 0))
        return NULL;
    *count = spelt ? hex->length / 2 : 8 + DEPTH;
    unsigned char *file = malloc(*count + (*count == 0));
    if (!CHECK(file != NULL))
        return NULL;
    for (size_t i = 0; i < *count; i++)
        file[i] = (unsigned char)(spelt ? hex_digit(hex->text[2 * i]) << 4 |
                                              hex_digit(hex->text[2 * i + 1])
                                  : i < 8 ? (uint64_t)DEPTH >> 8 * i & 0xFF
                                          : '[');
    return file;
}

/* The same verdict where the data stay on the disk. */
static void check_on_disk(const char *name, ddome_status expected, const unsigned char *bytes,
                          size_t count)
{
    char path[1024];
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out;
    snprintf(path, sizeof path, "%s/vector.safetensors", test_dir());
    CHECK(nn_os_write_file(&error, path, bytes, count) == DDOME_OK);
    test_status(name, data_safetensors_open_file(&error, &arena, &out, path), expected, &error,
                NULL);
    nn_os_remove(path);
    nn_arena_free(&arena);
}

/* Only a "valid" file may be taken: what the official library lets pass against the format's own
 * text is "acceptable" and refused. Returns whether the file was taken. */
static bool check_vector(nn_arena *arena, const data_json_value *vector)
{
    const data_json_value *name = data_json_member(vector, "name");
    const data_json_value *result = data_json_member(vector, "result");
    ddome_error error = {DDOME_OK, ""};
    data_safetensors out;
    size_t count = 0;
    if (!CHECK(name != NULL && result != NULL))
        return false;
    unsigned char *file = make_file(&count, name->text, data_json_member(vector, "hex"));
    if (file == NULL)
        return false;
    ddome_status status = data_safetensors_parse(&error, arena, &out, file, count);
    bool want = strcmp(result->text, "valid") == 0;
    test_status(name->text, status, want ? DDOME_OK : DDOME_ERR_DATA, &error, NULL);
    check_on_disk(name->text, status, file, count);
    free(file);
    return status == DDOME_OK;
}

/* {"numberOfTests":N,"tests":[{"name","result","hex"},...]}. */
static void test_vectors(const char *path)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_json_value *root = NULL, *list = NULL;
    unsigned char *bytes = NULL;
    size_t size = 0, taken = 0;
    uint64_t number = 0;
    ddome_status status = nn_os_read_file(&error, &arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK)
        status = data_json_parse(&error, &arena, &root, (const char *)bytes, size);
    if (test_status(path, status, DDOME_OK, &error, NULL))
        list = data_json_member(root, "tests");
    if (CHECK(list != NULL && data_json_member(root, "numberOfTests") != NULL)) {
        CHECK(data_json_u64(&number, data_json_member(root, "numberOfTests")));
        test_same_u64("vectors", list->length, number);
        for (const data_json_value *v = list->child; v != NULL; v = v->next)
            taken += check_vector(&arena, v);
        CHECK(taken > 0 && taken < list->length);
    }
    nn_arena_free(&arena);
}

void t_safetensors_vectors(void)
{
    const char *path = getenv("DDOME_SAFETENSORS_VECTORS");
    test_case("safetensors: outside vectors");
    if (path == NULL)
        test_skip("DDOME_SAFETENSORS_VECTORS does not name a file");
    else
        test_vectors(path);
}

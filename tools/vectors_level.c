/* SPDX-License-Identifier: MIT */
/* The files of a level, and the manifest of all. SPEC 19.2. */
#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "vectors.h"

enum { PATH_BYTES = 4096 };

/* ---- files ---- */

static void write_file(vectors_maker *m, const char *name, const void *bytes, size_t size)
{
    char path[PATH_BYTES];
    const int length = snprintf(path, sizeof path, "%s/%s", m->dir, name);
    vectors_check(m, length > 0 && (size_t)length < sizeof path, "the path is too long", name);
    vectors_must(m, nn_os_write_file(&m->error, path, bytes, size));
}

/* A file that the manifest lists. */
static void write_listed(vectors_maker *m, const char *name, const void *bytes, size_t size)
{
    vectors_check(m, m->files < VECTORS_FILES, "more files than there is room for", name);
    vectors_file *file = &m->file[m->files++];
    file->name = nn_arena_string(&m->kept, name);
    file->bytes = size;
    file->sha256 = nn_sha256_of(bytes, size);
    vectors_check(m, file->name != NULL, "out of memory", name);
    write_file(m, name, bytes, size);
}

/* ---- levels ---- */

void vectors_open(vectors_maker *m, const char *level)
{
    nn_arena_free(&m->arena);
    m->level = level;
    m->levels++;
    m->vectors = m->tensor_count = m->tensor_capacity = 0;
    m->draws = 0;
    snprintf(m->stem, sizeof m->stem, "%02u_%s", (unsigned)m->levels, level);
    m->text = (fl_text){.arena = &m->arena};
    fl_text_add(&m->text,
                "{\n\"schema\": \"ddome-vectors-1\",\n\"specification\": %d,\n"
                "\"level\": \"%s\",\n\"vectors\": [",
                DDOME_SPEC_VERSION, level);
}

static void write_tensors(vectors_maker *m)
{
    unsigned char *bytes;
    size_t size;
    char name[96];
    if (m->tensor_count == 0)
        return;
    snprintf(name, sizeof name, "%s.safetensors", m->stem);
    vectors_must(m, data_safetensors_format(&m->error, &m->arena, &bytes, &size, m->tensor,
                                            m->tensor_count));
    write_listed(m, name, bytes, size);
}

/* What was written must be what the reader takes. */
static void read_back(vectors_maker *m, const char *name)
{
    data_vectors back;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", m->dir, name);
    vectors_must(m, data_vectors_read(&m->error, &m->arena, &back, path));
    vectors_check(m, back.count == m->vectors, "read back another number of vectors", name);
}

void vectors_close(vectors_maker *m)
{
    char name[96];
    snprintf(name, sizeof name, "%s.json", m->stem);
    fl_text_add(&m->text, "\n]\n}\n");
    vectors_must(m, fl_text_status(&m->error, &m->text));
    write_listed(m, name, m->text.data, m->text.length);
    write_tensors(m);
    read_back(m, name);
    fprintf(stderr, "%-20s %4lu vectors\n", m->stem, (unsigned long)m->vectors);
}

/* ---- the manifest ---- */

/* Insertion sort by bytes: some dozen names. */
static void sort_files(vectors_file *file, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && strcmp(file[j].name, file[j - 1].name) < 0; j--) {
            const vectors_file swap = file[j];
            file[j] = file[j - 1];
            file[j - 1] = swap;
        }
}

void vectors_manifest(vectors_maker *m, char hex[NN_HEX_BYTES])
{
    fl_text sums = {.arena = &m->kept}, text = {.arena = &m->kept};
    sort_files(m->file, m->files);
    fl_text_add(&text, "{\n\"schema\": \"ddome-manifest-1\",\n\"specification\": %d,\n\"files\": [",
                DDOME_SPEC_VERSION);
    for (size_t i = 0; i < m->files; i++) {
        fl_text_add(&text, "%s\n {\"name\": \"%s\", \"bytes\": %lu, \"sha256\": \"",
                    i == 0 ? "" : ",", m->file[i].name, (unsigned long)m->file[i].bytes);
        fl_text_digest(&text, &m->file[i].sha256);
        fl_text_add(&text, "\"}");
        fl_text_digest(&sums, &m->file[i].sha256);
        fl_text_add(&sums, "  %s\n", m->file[i].name);
    }
    vectors_must(m, fl_text_status(&m->error, &sums));
    const nn_digest root = nn_sha256_of(sums.data, sums.length);
    nn_digest_hex(hex, &root);
    fl_text_add(&text, "\n],\n\"root\": \"%s\"\n}\n", hex);
    vectors_must(m, fl_text_status(&m->error, &text));
    write_file(m, "manifest.json", text.data, text.length);
}

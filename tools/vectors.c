/* SPDX-License-Identifier: MIT */
/* build/vectors DIR makes tests/vectors anew, schema and README apart; --large adds what is too
 * large to be kept. build/vectors answer IN.json OUT.json does the operations of vectors from
 * anywhere. SPEC 19.2, 19.2.1. */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nn/os.h"
#include "../nn/selftest.h"
#include "vectors_run.h"

void vectors_must(vectors_maker *m, ddome_status status)
{
    if (status == DDOME_OK)
        return;
    fprintf(stderr, "vectors: %s%s%s\n", m->level == NULL ? "" : m->level,
            m->level == NULL ? "" : ": ", m->error.text);
    exit((int)status);
}

void vectors_check(vectors_maker *m, bool ok, const char *what, const char *id)
{
    if (!ok)
        vectors_must(m, nn_fail(&m->error, DDOME_ERR_VERIFY, "%s: %s", id, what));
}

void *vectors_alloc(vectors_maker *m, size_t count, size_t size)
{
    void *pointer = nn_arena_zero(&m->arena, count, size);
    if (pointer == NULL)
        vectors_must(m, nn_arena_fail(&m->error, &m->arena, "a vector"));
    return pointer;
}

/* The kernels that DDOME_ISA names, as in a run. */
static void start(vectors_maker *m)
{
    vectors_must(m, nn_selftest(&m->error));
    vectors_must(m, nn_kernels_find(&m->error, &m->kernels, getenv("DDOME_ISA")));
    vectors_must(m, nn_selftest_kernels(&m->error, m->kernels));
}

static int make_all(vectors_maker *m, const char *dir, bool large)
{
    char root[NN_HEX_BYTES];
    m->dir = dir;
    vectors_must(m, nn_os_make_dir(&m->error, dir));
    start(m);
    vectors_levels_draw(m);
    vectors_levels_elementary(m);
    vectors_levels_sums(m);
    vectors_levels_conv(m);
    vectors_levels_layers(m);
    vectors_levels_loss(m);
    vectors_levels_gate(m);
    vectors_levels_data(m);
    vectors_levels_model(m, large);
    vectors_levels_federation(m);
    m->level = NULL;
    vectors_report(m);
    vectors_manifest(m, root);
    printf("%s  root hash of the vectors\n", root);
    return 0;
}

/* ---- answers ---- */

static void answer_one(vectors_maker *m, const data_vector *vector)
{
    const nn_value *outputs;
    size_t count;
    vectors_must(m,
                 vectors_run(&m->error, &m->scratch, &outputs, &count, &vector->work, m->kernels));
    fl_text_add(&m->text, "%s\n{\"id\": \"%s\", \"expected\": {\n", m->vectors++ == 0 ? "" : ",",
                vector->id);
    for (size_t i = 0; i < count; i++) {
        vectors_words(&m->text, &outputs[i]);
        fl_text_add(&m->text, "%s", i + 1 < count ? ",\n" : "}}");
    }
    nn_arena_free(&m->scratch);
}

/* Ids become text again without escapes. */
static bool plain(const char *id)
{
    while (*id >= ' ' && *id != '"' && *id != '\\')
        id++;
    return *id == '\0';
}

static int answer(vectors_maker *m, const char *in, const char *out)
{
    data_vectors vectors;
    size_t others = 0;
    start(m);
    vectors_must(m, data_vectors_read(&m->error, &m->kept, &vectors, in));
    m->text.arena = &m->arena;
    fl_text_add(&m->text, "{\n\"schema\": \"ddome-vectors-1\",\n\"specification\": %d,\n",
                DDOME_SPEC_VERSION);
    fl_text_add(&m->text, "\"vectors\": [");
    for (size_t i = 0; i < vectors.count; i++) {
        vectors_check(m, plain(vectors.vector[i].id), "expected an id without quotes", in);
        if (vectors_runs(vectors.vector[i].work.op))
            answer_one(m, &vectors.vector[i]);
        else
            others++;
    }
    fl_text_add(&m->text, "\n]\n}\n");
    vectors_must(m, fl_text_status(&m->error, &m->text));
    vectors_must(m, nn_os_write_file(&m->error, out, m->text.data, m->text.length));
    fprintf(stderr, "%lu answered, %lu of other operations left out\n", (unsigned long)m->vectors,
            (unsigned long)others);
    return 0;
}

int main(int argc, char **argv)
{
    static vectors_maker maker; /* too large for a small stack */
    const bool large = argc == 3 && strcmp(argv[2], "--large") == 0;
    if (argc == 4 && strcmp(argv[1], "answer") == 0)
        return answer(&maker, argv[2], argv[3]);
    if ((argc == 2 || large) && argv[1][0] != '-')
        return make_all(&maker, argv[1], large);
    fprintf(stderr, "usage: vectors DIR [--large] | vectors answer IN.json OUT.json\n");
    return 2;
}

/* SPDX-License-Identifier: MIT */
/* Every reader of files from outside on the inputs of tests/fuzz/corpus: what is called ok- is
 * taken, what is called bad- is refused; those that are taken with every byte changed, cut at every
 * byte, and one byte longer. SPEC 20.2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nn/os.h"
#include "fuzz/fuzz.h"
#include "test.h"

void t_fuzz(void);

/* A reader whose inputs have more bytes together has one change a byte and not all of them; an
 * input of more than MOST, which is pixels, none. */
enum { FEW = 4096, MOST = 4096, PATH_BYTES = 512, SHOWN = 4 };

typedef struct input {
    const char *name;
    bool taken; /* by its name */
    unsigned char *bytes;
    size_t size;
} input;

/* What is read now, for the line of a broken check. */
static struct {
    const fuzz_reader *reader;
    const char *file, *change;
    size_t at, broken; /* the byte that was changed; broken checks of this reader */
} now;

void fuzz_broken(const char *file, int line, const char *condition)
{
    if (now.broken++ < SHOWN)
        test_check(false, file, line, "%s, %s, %s at byte %lu: %s", now.reader->name, now.file,
                   now.change, (unsigned long)now.at, condition);
}

/* A copy that ends where its allocation ends, so that a sanitizer sees one byte too many. */
static ddome_status read_exactly(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size + (size == 0));
    ddome_status status = DDOME_ERR_MEMORY;
    if (!CHECK(copy != NULL))
        return status;
    if (size != 0)
        memcpy(copy, bytes, size);
    status = fuzz_run(now.reader, copy, size);
    free(copy);
    return status;
}

static void read_whole(const input *in)
{
    now.change = "as it is";
    now.at = 0;
    const ddome_status status = read_exactly(in->bytes, in->size);
    test_check((status == DDOME_OK) == in->taken, __FILE__, __LINE__, "%s/%s ends with status %d",
               now.reader->name, in->name, (int)status);
}

enum { CHANGES = 10 }; /* each bit turned, then the whole byte low and high */

static unsigned char changed(unsigned char byte, size_t change)
{
    const unsigned turned = byte ^ 1u << change % 8;
    return (unsigned char)(change < 8 ? turned : change == 8 ? 0u : 0xffu);
}

static void read_changed(const input *in, bool all)
{
    now.change = "changed";
    for (now.at = 0; now.at < in->size; now.at++) {
        const unsigned char kept = in->bytes[now.at];
        const size_t first = all ? 0 : now.at % CHANGES;
        for (size_t change = first; change < (all ? CHANGES : first + 1); change++) {
            in->bytes[now.at] = changed(kept, change);
            (void)read_exactly(in->bytes, in->size);
        }
        in->bytes[now.at] = kept;
    }
}

static void read_cut(const input *in)
{
    now.change = "cut";
    for (now.at = 0; now.at < in->size; now.at++)
        (void)read_exactly(in->bytes, now.at);
}

static void read_longer(const input *in)
{
    static const unsigned char behind[] = {0, '\n', ' ', '0', 0xff};
    unsigned char *longer = malloc(in->size + 1);
    if (!CHECK(longer != NULL))
        return;
    if (in->size != 0)
        memcpy(longer, in->bytes, in->size);
    now.change = "one byte longer";
    for (now.at = 0; now.at < sizeof behind; now.at++) {
        longer[in->size] = behind[now.at];
        (void)read_exactly(longer, in->size + 1);
    }
    free(longer);
}

/* ---- the stored inputs ---- */

static int compare_inputs(const void *a, const void *b)
{
    return strcmp(((const input *)a)->name, ((const input *)b)->name);
}

static bool load(nn_arena *arena, input *in, const char *folder, const char *name)
{
    char path[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    snprintf(path, sizeof path, "%.200s/%.200s", folder, name);
    in->name = name;
    in->taken = strncmp(name, "ok-", 3) == 0;
    return CHECK(in->taken || strncmp(name, "bad-", 4) == 0) &&
           test_status(path,
                       nn_os_read_file(&error, arena, &in->bytes, &in->size, path, DDOME_ERR_DATA),
                       DDOME_OK, &error, NULL);
}

static void replay(const input *in, size_t count)
{
    size_t total = 0, taken = 0;
    for (size_t i = 0; i < count; i++) {
        taken += in[i].taken;
        total += in[i].taken ? in[i].size : 0;
    }
    CHECK(taken != 0 && taken < count);
    for (size_t i = 0; i < count; i++) {
        now.file = in[i].name;
        read_whole(&in[i]);
        if (!in[i].taken || in[i].size > MOST)
            continue;
        read_changed(&in[i], total <= FEW);
        read_cut(&in[i]);
        read_longer(&in[i]);
    }
}

static void replay_reader(nn_arena *arena)
{
    char folder[PATH_BYTES];
    const char **names;
    size_t listed, count = 0;
    ddome_error error = {DDOME_OK, ""};
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", now.reader->name);
    test_case("fuzz: inputs of %s, changed at every byte, cut at every byte", now.reader->name);
    ddome_status status = nn_os_list(&error, arena, &names, &listed, folder, "");
    if (status == DDOME_ERR_USAGE) {
        test_skip("plain C99 cannot look into a folder");
        return;
    }
    if (!test_status(folder, status, DDOME_OK, &error, NULL))
        return;
    input *in = nn_arena_zero(arena, listed, sizeof *in);
    for (size_t i = 0; CHECK(in != NULL) && i < listed; i++)
        if (names[i][0] != '.')
            count += load(arena, &in[count], folder, names[i]);
    if (count != 0)
        qsort(in, count, sizeof *in, compare_inputs);
    replay(in, count);
}

void t_fuzz(void)
{
    size_t count;
    const fuzz_reader *readers = fuzz_readers(&count);
    for (size_t i = 0; i < count; i++) {
        nn_arena arena = {0};
        now.reader = &readers[i];
        now.broken = 0;
        replay_reader(&arena);
        nn_arena_free(&arena);
    }
}

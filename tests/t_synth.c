/* SPDX-License-Identifier: MIT */
/* The generated set: golden hashes, what an image depends on, refused parameters. SPEC 7.4. */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../data/synth.h"
#include "../nn/os.h"

void t_synth(void);

enum { TEXT_BYTES = 4096 };

static const data_synth_source small = {60, 20, 16, 5, 2, 20, 1};

static data_set load(nn_arena *arena, const data_synth_source *source)
{
    ddome_error error = {DDOME_OK, ""};
    data_set set = {0};
    test_status("load", data_synth_load(&error, arena, &set, source), DDOME_OK, &error, NULL);
    return set;
}

static bool same_split(const data_split *a, const data_split *b)
{
    return memcmp(&a->hash, &b->hash, sizeof a->hash) == 0;
}

/* One line a set: parameters, both hashes, the first pixel of the first images. */
static size_t print_set(char *text, size_t room, const data_synth_source *source)
{
    char train[NN_HEX_BYTES], test[NN_HEX_BYTES];
    nn_arena arena = {0};
    data_set set = load(&arena, source);
    nn_digest_hex(train, &set.train.hash);
    nn_digest_hex(test, &set.test.hash);
    size_t used = (size_t)snprintf(
        text, room, "%lu %lu %lu %lu %lu %lu %" PRIu64 "\ntrain %s\ntest %s\nfirst",
        (unsigned long)source->train, (unsigned long)source->test, (unsigned long)source->size,
        (unsigned long)source->domains, (unsigned long)source->shapes, (unsigned long)source->noise,
        source->seed, train, test);
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *pixel = set.train.pixels + i * set.h * set.w * set.c;
        used +=
            (size_t)snprintf(text + used, room - used, " %u,%u,%u", pixel[0], pixel[1], pixel[2]);
    }
    nn_arena_free(&arena);
    return used + (size_t)snprintf(text + used, room - used, "\n");
}

/* Leaves what was got in the scratch folder: to accept it, copy it over the old. */
static void compare_golden(const char *name, const char *text)
{
    char path[1024];
    const char *want = test_golden(name);
    if (want != NULL && test_same_text(name, text, want))
        return;
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    CHECK(nn_os_write_file(NULL, path, text, strlen(text)) == DDOME_OK);
}

/* All shapes, textures and colours, and all draws: SPEC 7.4.2 to 7.4.7. */
static void test_golden_sets(void)
{
    const data_synth_source sources[] = {{60, 20, 16, 5, 2, 20, 1},
                                         {50, 24, 8, 3, 8, 0, 2},
                                         {300, 10, 12, 127, 2, 255, 3},
                                         {40, 10, 32, 10, 4, 40, UINT64_C(0x123456789abcdef0)}};
    char text[TEXT_BYTES];
    size_t used = 0;
    test_case("synth: golden sets");
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
        used += print_set(text + used, TEXT_BYTES - used, &sources[i]);
    compare_golden("synth.txt", text);
}

/* SPEC 7.4.2. */
static void test_shape(void)
{
    nn_arena arena = {0};
    test_case("synth: sizes and labels");
    data_set set = load(&arena, &small);
    test_same_u64("classes", set.classes, 10);
    test_same_u64("height", set.h, 16);
    test_same_u64("width", set.w, 16);
    test_same_u64("channels", set.c, 3);
    test_same_u64("train", set.train.count, 60);
    test_same_u64("test", set.test.count, 20);
    for (size_t i = 0; i < set.train.count; i++)
        test_same_u64("label", set.train.labels[i], i % 10);
    nn_arena_free(&arena);
}

/* SPEC 7.4.2. */
static void test_dependence(void)
{
    nn_arena arena = {0};
    data_synth_source other = small;
    test_case("synth: what an image depends on");
    data_set set = load(&arena, &small), again = load(&arena, &small);
    CHECK(same_split(&set.train, &again.train) && same_split(&set.test, &again.test));
    CHECK(memcmp(set.train.pixels, set.test.pixels, 16 * 16 * 3) != 0);
    other.train = 30;
    data_set fewer = load(&arena, &other);
    test_same_bytes("fewer images", fewer.train.pixels, set.train.pixels, 30 * 16 * 16 * 3);
    other = small;
    other.seed = small.seed + (UINT64_C(1) << 32);
    data_set reseeded = load(&arena, &other);
    CHECK(!same_split(&set.train, &reseeded.train) && !same_split(&set.test, &reseeded.test));
    nn_arena_free(&arena);
}

static bool known(uint32_t seen[4], size_t *count, uint32_t colour)
{
    for (size_t i = 0; i < *count; i++)
        if (seen[i] == colour)
            return true;
    if (*count == 4)
        return false;
    seen[(*count)++] = colour;
    return true;
}

/* Without noise a domain with a two-tone texture has two tones, an ink and a distractor.
 * SPEC 7.4.7. */
static void test_colours(void)
{
    nn_arena arena = {0};
    data_synth_source source = {40, 1, 16, 4, 2, 0, 1};
    test_case("synth: four colours without noise");
    data_set set = load(&arena, &source);
    for (size_t i = 0; i < set.train.count; i++) {
        uint32_t seen[4];
        size_t count = 0;
        bool few = true;
        const uint8_t *pixel = set.train.pixels + i * 16 * 16 * 3;
        for (size_t p = 0; p < 16 * 16; p++, pixel += 3)
            few = few && known(seen, &count, (uint32_t)(pixel[0] << 16 | pixel[1] << 8 | pixel[2]));
        CHECK(few && count >= 3);
    }
    nn_arena_free(&arena);
}

/* SPEC 7.4.1. */
static void test_refused(void)
{
    static const struct {
        data_synth_source source;
        const char *part;
    } cases[] = {{{9, 20, 16, 5, 2, 20, 1}, "synth_train = 9: expected 10"},
                 {{60, 0, 16, 5, 2, 20, 1}, "synth_test = 0: expected 1"},
                 {{60, 20, 7, 5, 2, 20, 1}, "synth_size = 7: expected 8..256"},
                 {{60, 20, 257, 5, 2, 20, 1}, "synth_size"},
                 {{60, 20, 16, 0, 2, 20, 1}, "synth_domains = 0: expected 1..127"},
                 {{60, 20, 16, 128, 2, 20, 1}, "synth_domains"},
                 {{60, 20, 16, 32, 8, 20, 1}, "synth_domains = 32: expected 1..31"},
                 {{60, 20, 16, 5, 1, 20, 1}, "synth_shapes = 1: expected 2..8"},
                 {{60, 20, 16, 5, 9, 20, 1}, "synth_shapes"},
                 {{60, 20, 16, 5, 0, 20, 1}, "synth_shapes"},
                 {{60, 20, 16, 5, 2, 256, 1}, "synth_noise = 256: expected 0..255"}};
    test_case("synth: refused parameters");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        data_set set = {0};
        ddome_status status = data_synth_load(&error, &arena, &set, &cases[i].source);
        test_status(cases[i].part, status, DDOME_ERR_USAGE, &error, cases[i].part);
        CHECK(set.name == NULL);
        nn_arena_free(&arena);
    }
}

static void test_memory(void)
{
    ddome_status status = DDOME_ERR_MEMORY;
    size_t failures = 0;
    test_case("synth: out of memory");
    while (status == DDOME_ERR_MEMORY) {
        nn_arena arena = {0};
        data_set set = {0};
        arena.fail_after = failures + 1;
        status = data_synth_load(NULL, &arena, &set, &small);
        CHECK((set.name != NULL) == (status == DDOME_OK));
        failures += status == DDOME_ERR_MEMORY;
        nn_arena_free(&arena);
    }
    CHECK(status == DDOME_OK && failures == 4);
}

void t_synth(void)
{
    test_golden_sets();
    test_shape();
    test_dependence();
    test_colours();
    test_refused();
    test_memory();
}

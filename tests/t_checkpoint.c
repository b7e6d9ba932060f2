/* SPDX-License-Identifier: MIT */
/* Model files: what is written is read back to the bit, and what is not this model is refused
 * whole. SPEC 9.4, 17.4.8. */
#include <stdio.h>
#include <string.h>

#include "../data/safetensors.h"
#include "../fl/checkpoint.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"

/* A width-1 ResNet-34 with random values, its file, and the file's tensors for tampering. */
typedef struct subject {
    nn_arena arena;
    ddome_error error;
    fl_model model;
    float *values;
    data_safetensors file;
    data_safetensor tensors[256];
    char path[256];
} subject;

static bool start(subject *s, const char *keys)
{
    static data_set set; /* only its sizes matter here */
    fl_config config;
    unsigned char *bytes;
    size_t size;
    memset(s, 0, sizeof *s);
    set.h = set.w = 8;
    set.c = 3;
    set.classes = 4;
    snprintf(s->path, sizeof s->path, "%s/model.safetensors", test_dir());
    bool ok = test_federation_keys(&config, keys) &&
              CHECK(fl_model_expert(&s->error, &s->arena, &s->model, &config, &set) == DDOME_OK);
    s->values = ok ? test_floats(s->model.layout.total) : NULL;
    if (ok)
        nn_layout_init(s->values, &s->model.layout, 3, NN_STREAM_TEST, 0);
    ok = ok && CHECK(fl_checkpoint_format(&s->error, &s->arena, &bytes, &size, &s->model, s->values,
                                          77) == DDOME_OK);
    ok = ok &&
         CHECK(data_safetensors_parse(&s->error, &s->arena, &s->file, bytes, size) == DDOME_OK);
    if (ok)
        memcpy(s->tensors, s->file.tensor, s->file.count * sizeof s->tensors[0]);
    return ok;
}

/* Writes the (tampered) tensors and loads them. */
static ddome_status reload(subject *s, float *values, uint64_t *batches, size_t count)
{
    unsigned char *bytes;
    size_t size;
    memset(&s->error, 0, sizeof s->error);
    CHECK(data_safetensors_format(&s->error, &s->arena, &bytes, &size, s->tensors, count) ==
          DDOME_OK);
    CHECK(nn_os_write_file(&s->error, s->path, bytes, size) == DDOME_OK);
    return fl_checkpoint_load(&s->error, &s->arena, values, batches, &s->model, s->path);
}

static void round_trip(const char *keys)
{
    subject s;
    uint64_t batches = 0;
    if (start(&s, keys)) {
        float *values = test_floats(s.model.layout.total);
        test_status("load", reload(&s, values, &batches, s.file.count), DDOME_OK, &s.error, NULL);
        test_same_floats("values", values, s.values, s.model.layout.total);
        test_same_u64("counter", batches, s.model.layout.batch_norms == 0 ? 0 : 77);
        test_same_u64("tensors", s.file.count, s.model.layout.count + s.model.layout.batch_norms);
    }
    nn_arena_free(&s.arena);
    test_release();
}

static data_safetensor *tensor_named(subject *s, const char *name)
{
    for (size_t i = 0; i < s->file.count; i++)
        if (strcmp(s->tensors[i].name, name) == 0)
            return &s->tensors[i];
    return NULL;
}

/* What a damaged file is refused for; values and counter stay as they were. */
static void refuses(const char *what, void (*damage)(subject *s, size_t *count), const char *part)
{
    subject s;
    uint64_t batches = 5;
    if (start(&s, "arch=resnet34 width=1")) {
        float *values = test_floats(s.model.layout.total),
              *before = test_floats(s.model.layout.total);
        size_t count = s.file.count;
        damage(&s, &count);
        test_status(what, reload(&s, values, &batches, count), DDOME_ERR_DATA, &s.error, part);
        test_same_floats("untouched values", values, before, s.model.layout.total);
        test_same_u64("untouched counter", batches, 5);
    }
    nn_arena_free(&s.arena);
    test_release();
}

static void drop_last(subject *s, size_t *count)
{
    (void)s;
    (*count)--;
}

static void rename_one(subject *s, size_t *count)
{
    (void)count;
    tensor_named(s, "fc.bias")->name = "fc.bios";
}

static void reshape_one(subject *s, size_t *count)
{
    static uint64_t swapped[2];
    data_safetensor *tensor = tensor_named(s, "fc.weight");
    (void)count;
    swapped[0] = tensor->shape[1];
    swapped[1] = tensor->shape[0];
    tensor->shape = swapped;
}

static void other_counter(subject *s, size_t *count)
{
    static const unsigned char other[8] = {78};
    (void)count;
    tensor_named(s, "layer4.0.bn2.num_batches_tracked")->bytes = other;
}

/* A tensor that stands for the one of this name: another dtype or rank, with as many bytes. */
static void retype(subject *s, const char *name, const char *dtype, const uint64_t *shape,
                   size_t rank)
{
    data_safetensor *tensor = tensor_named(s, name);
    tensor->dtype = dtype;
    tensor->shape = shape;
    tensor->rank = rank;
}

static const uint64_t ONE_AND_FOUR[] = {1, 4};

static void weights_as_integers(subject *s, size_t *count)
{
    (void)count;
    retype(s, "fc.bias", "I32", ONE_AND_FOUR + 1, 1);
}

static void more_rank(subject *s, size_t *count)
{
    (void)count;
    retype(s, "fc.bias", "F32", ONE_AND_FOUR, 2);
}

/* More sizes than a line shows, and none. */
static void many_sizes(subject *s, size_t *count)
{
    static const uint64_t sizes[] = {1, 1, 1, 1, 4};
    (void)count;
    retype(s, "fc.bias", "F32", sizes, 5);
}

static void one_value(subject *s, size_t *count)
{
    (void)count;
    retype(s, "fc.bias", "F32", NULL, 0);
    tensor_named(s, "fc.bias")->byte_count = 4;
}

static void counter_renamed(subject *s, size_t *count)
{
    (void)count;
    tensor_named(s, "bn1.num_batches_tracked")->name = "bn1.number_of_batches";
}

static void counter_unsigned(subject *s, size_t *count)
{
    (void)count;
    retype(s, "bn1.num_batches_tracked", "U64", NULL, 0);
}

static void counter_as_list(subject *s, size_t *count)
{
    (void)count;
    retype(s, "layer4.2.bn2.num_batches_tracked", "I64", ONE_AND_FOUR, 1);
}

static void not_a_number(subject *s, size_t *count)
{
    static const unsigned char infinite[16] = {0, 0, 0x80, 0x7f};
    (void)count;
    tensor_named(s, "fc.bias")->bytes = infinite;
}

void t_checkpoint(void)
{
    test_case("checkpoint: a model comes back to the bit");
    round_trip("arch=resnet34 width=1");
    round_trip("arch=resnet34 width=2 stem=7x7");
    round_trip("arch=resnet34 width=1 norm=group");
    round_trip("arch=mlp");
    test_case("checkpoint: what is not this model is refused and changes nothing");
    refuses("a tensor less", drop_last, "tensors, found");
    refuses("another name", rename_one, "fc.bias is missing");
    refuses("another shape", reshape_one,
            "fc.weight: expected F32 of shape [4, 8], found F32 of shape [8, 4]");
    refuses("counters that differ", other_counter, "expected 77 as before, found 78");
    refuses("another dtype", weights_as_integers,
            "fc.bias: expected F32 of shape [4], found I32 of shape [4]");
    refuses("another rank", more_rank,
            "fc.bias: expected F32 of shape [4], found F32 of shape [1, 4]");
    refuses("five sizes", many_sizes, "found F32 of shape [1, 1, 1, 1..]");
    refuses("no size", one_value, "found F32 of shape []");
    refuses("no counter", counter_renamed, "bn1.num_batches_tracked: expected one I64");
    refuses("another kind of counter", counter_unsigned, "of shape [], found U64");
    refuses("a list of counters", counter_as_list, "bn2.num_batches_tracked: expected one I64");
    refuses("a value that is not finite", not_a_number, "fc.bias holds a value that is not finite");
}

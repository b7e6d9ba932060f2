/* SPDX-License-Identifier: MIT */
/* Levels of data and partitions. SPEC 7, 8. */
#include <string.h>

#include "../data/batch.h"
#include "../fl/task.h"
#include "vectors.h"

/* 6 classes of 3 domains, 8x8. */
/* clang-format off */
#define SMALL {"synth_train", "300"}, {"synth_test", "60"}, {"synth_size", "8"}, \
    {"synth_domains", "3"}, {"synth_shapes", "2"}
/* clang-format on */

static void configure(vectors_maker *m, vectors_case *c, fl_config *config,
                      const data_vector_key *keys, size_t count)
{
    fl_config_defaults(config);
    for (size_t i = 0; i < count; i++)
        vectors_must(m, fl_config_set(&m->error, config, keys[i].key, keys[i].value));
    vectors_must(m, fl_config_check(&m->error, config));
    c->config = keys;
    c->config_count = count;
}

/* A digest as SPEC 19.1.2 has it. */
static void add_digest(vectors_maker *m, vectors_case *c, const char *name, const nn_digest *digest)
{
    uint32_t *words = vectors_alloc(m, 8, sizeof *words);
    for (size_t i = 0; i < sizeof digest->byte; i++)
        words[i / 4] = words[i / 4] << 8 | digest->byte[i];
    vectors_u32(m, &c->outputs, name, vectors_1(8), words);
}

static void add_bytes(vectors_maker *m, vectors_case *c, const char *name, vectors_shape shape,
                      const uint8_t *bytes)
{
    const size_t count = vectors_count(shape);
    uint32_t *wide = vectors_alloc(m, count, sizeof *wide);
    for (size_t i = 0; i < count; i++)
        wide[i] = bytes[i];
    vectors_u32(m, &c->outputs, name, shape, wide);
}

/* ---- data ---- */

static void synth(vectors_maker *m, const char *id, const char *comment,
                  const data_vector_key *keys, size_t count)
{
    fl_config config;
    data_set set;
    vectors_case c = vectors_begin("synth");
    const vectors_about about = {id, "7.4", comment, false};
    configure(m, &c, &config, keys, count);
    vectors_must(m, fl_task_load_data(&m->error, &m->arena, &set, &config));
    const vectors_shape image = vectors_4(1, set.h, set.w, set.c);
    const size_t last = set.train.count - 1, bytes = vectors_count(image);
    add_bytes(m, &c, "first", image, set.train.pixels);
    add_bytes(m, &c, "last", image, set.train.pixels + last * bytes);
    add_bytes(m, &c, "first_test", image, set.test.pixels);
    add_digest(m, &c, "train_digest", &set.train.hash);
    add_digest(m, &c, "test_digest", &set.test.hash);
    vectors_add(m, &c, &about, DATA_PROFILE_ANY);
}

static void normalise(vectors_maker *m, const char *id, const float mean[3],
                      const float deviation[3])
{
    data_set set;
    vectors_case c = vectors_begin("normalise");
    const vectors_about about = {id, "7.3", "the value of each byte of each channel", false};
    memset(&set, 0, sizeof set);
    set.c = DATA_MAX_CHANNELS;
    data_set_normalize(&set, mean, deviation);
    vectors_f32(m, &c.inputs, "mean", vectors_1(3), mean);
    vectors_f32(m, &c.inputs, "deviation", vectors_1(3), deviation);
    vectors_f32(m, &c.outputs, "value", vectors_2(3, 256), set.value[0]);
    vectors_add(m, &c, &about, DATA_PROFILE_ANY);
}

/* Of the first images of the train split. */
static void augment(vectors_maker *m, const data_vector_key *keys, size_t count)
{
    enum { IMAGES = 6, ROUND = 2, CLIENT = 3, EPOCH = 1 };
    static const uint32_t samples[IMAGES] = {0, 1, 2, 3, 4, 5};
    uint32_t labels[IMAGES];
    fl_config config;
    data_set set;
    vectors_case c = vectors_begin("augment");
    const vectors_about about = {
        "augment", "7.6", "images of the train split, shifted and mirrored by stream AUGMENT",
        false};
    configure(m, &c, &config, keys, count);
    vectors_must(m, fl_task_load_data(&m->error, &m->arena, &set, &config));
    const vectors_shape shape = vectors_4(IMAGES, set.h, set.w, set.c);
    nn_tensor x = {NULL, IMAGES, set.h, set.w, set.c};
    float *before = vectors_alloc(m, vectors_count(shape), sizeof *before);
    float *scratch = vectors_alloc(m, set.h * set.w * set.c, sizeof *scratch);
    x.data = vectors_alloc(m, vectors_count(shape), sizeof *x.data);
    data_batch_fill(&x, labels, &set, &set.train, samples, IMAGES);
    memcpy(before, x.data, vectors_count(shape) * sizeof *before);
    nn_rng rng = nn_rng_at(config.seed, NN_STREAM_AUGMENT, EPOCH, ROUND, CLIENT);
    data_batch_augment(&x, scratch, &rng, &set, IMAGES);
    vectors_attribute_set(&c, "round", ROUND);
    vectors_attribute_set(&c, "client", CLIENT);
    vectors_attribute_set(&c, "epoch", EPOCH);
    vectors_f32(m, &c.inputs, "x", shape, before);
    vectors_f32(m, &c.outputs, "y", shape, x.data);
    vectors_u32(m, &c.outputs, "labels", vectors_1(IMAGES), labels);
    vectors_add(m, &c, &about, DATA_PROFILE_ANY);
}

static void all_data(vectors_maker *m)
{
    static const data_vector_key small[] = {SMALL},
                                 large[] = {{"seed", "4294967303"}, {"synth_train", "90"},
                                            {"synth_test", "31"},   {"synth_size", "17"},
                                            {"synth_domains", "9"}, {"synth_shapes", "8"},
                                            {"synth_noise", "255"}},
                                 quiet[] = {{"synth_train", "12"},
                                            {"synth_test", "2"},
                                            {"synth_size", "12"},
                                            {"synth_noise", "0"}};
    static const float cifar10[2][3] = {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}},
                       cifar100[2][3] = {{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}},
                       plain[2][3] = {{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}},
                       none[2][3] = {{0, 0, 0}, {1, 1, 1}};
    synth(m, "synth.small", "8x8, three domains, two shapes", small, 5);
    synth(m, "synth.large", "an odd size, all shapes, noise that clamps, a seed above 2^32", large,
          7);
    synth(m, "synth.quiet", "without noise", quiet, 4);
    normalise(m, "normalise.cifar10", cifar10[0], cifar10[1]);
    normalise(m, "normalise.cifar100", cifar100[0], cifar100[1]);
    normalise(m, "normalise.synth", plain[0], plain[1]);
    normalise(m, "normalise.none", none[0], none[1]);
    augment(m, small, 5);
}

/* ---- partitions ---- */

typedef struct partition_row {
    const char *id, *comment;
    data_vector_key keys[16];
} partition_row;

#define LABELS                                                                                     \
    {"clients", "6"}, {"experts", "3"}, {"holdout_clients", "2"},                                  \
    {                                                                                              \
        "unseen_clients", "2"                                                                      \
    }
#define DRAWN                                                                                      \
    {"clients", "8"}, {"experts", "2"}, {"holdout_clients", "2"},                                  \
    {                                                                                              \
        "unseen_clients", "2"                                                                      \
    }
#define STRATA                                                                                     \
    {"active_anchors", "1"},                                                                       \
    {                                                                                              \
        "active_normal", "1"                                                                       \
    }

static const partition_row partitions[] = {
    {"labels",
     "label sets with their shares",
     {SMALL, LABELS, STRATA, {"labels_per_client", "3"}, {"samples_per_client", "10"}}},
    {"labels.groups",
     "labels in runs of two, unseen samples bounded",
     {SMALL,
      LABELS,
      STRATA,
      {"labels_per_client", "4"},
      {"label_group", "2"},
      {"samples_per_client", "9"},
      {"unseen_samples", "7"}}},
    {"one_sample",
     "clients with one sample each",
     {SMALL,
      LABELS,
      STRATA,
      {"labels_per_client", "1"},
      {"anchor_labels", "1"},
      {"samples_per_client", "1"},
      {"seed", "5"}}},
    {"dirichlet",
     "the first draw that gives every client its least counts",
     {SMALL, DRAWN, STRATA, {"partition", "dirichlet"}, {"alpha", "0.5"}, {"min_size", "4"}}},
    {"dirichlet.balanced",
     "the dialect that skips clients which are full",
     {SMALL,
      DRAWN,
      STRATA,
      {"partition", "dirichlet"},
      {"alpha", "0.5"},
      {"min_size", "4"},
      {"dialect", "balanced"}}},
    {"dirichlet.repaired",
     "strong skew, two draws, then the repair",
     {SMALL,
      DRAWN,
      STRATA,
      {"partition", "dirichlet"},
      {"alpha", "0.02"},
      {"min_size", "3"},
      {"max_draws", "2"}}},
    {"iid", "even shares of a shuffle", {SMALL, DRAWN, STRATA, {"partition", "iid"}}},
    {"empty_class",
     "ten of fifty classes have no sample to train on",
     {{"synth_train", "40"},
      {"synth_test", "60"},
      {"synth_size", "8"},
      {"synth_domains", "10"},
      {"synth_shapes", "5"},
      {"synth_noise", "0"},
      DRAWN,
      STRATA,
      {"partition", "dirichlet"},
      {"alpha", "0.5"},
      {"min_size", "1"}}},
    {"shards",
     "three runs of the labels each",
     {SMALL, DRAWN, STRATA, {"partition", "shards"}, {"shards_per_client", "3"}}},
    {"quantity",
     "sizes drawn, labels mixed",
     {SMALL, DRAWN, STRATA, {"partition", "quantity"}, {"beta", "0.5"}, {"min_size", "4"}}}};

static size_t key_count(const partition_row *r)
{
    size_t count = 0;
    while (count < sizeof r->keys / sizeof *r->keys && r->keys[count].key != NULL)
        count++;
    return count;
}

/* The three columns of partition.csv. */
static void add_columns(vectors_maker *m, vectors_case *c, const data_partition *p)
{
    const size_t clients = p->training + p->holdout + p->unseen;
    size_t count = 0, at = 0;
    for (size_t i = 0; i < clients; i++)
        count += p->clients[i].count;
    uint32_t *index = vectors_alloc(m, count, sizeof *index);
    uint32_t *client = vectors_alloc(m, count, sizeof *client);
    uint32_t *role = vectors_alloc(m, count, sizeof *role);
    for (size_t i = 0; i < clients; i++)
        for (size_t s = 0; s < p->clients[i].count; s++, at++) {
            index[at] = p->clients[i].samples[s];
            client[at] = p->clients[i].id;
            role[at] = (uint32_t)p->clients[i].role;
        }
    vectors_u32(m, &c->outputs, "index", vectors_1(count), index);
    vectors_u32(m, &c->outputs, "client", vectors_1(count), client);
    vectors_u32(m, &c->outputs, "role", vectors_1(count), role);
}

static void partition(vectors_maker *m, const partition_row *r)
{
    fl_config config;
    fl_task task;
    char *text;
    size_t length;
    uint32_t *draws = vectors_alloc(m, 2, sizeof *draws);
    vectors_case c = vectors_begin("partition");
    const vectors_about about = {vectors_name(m, "partition.%s", r->id), "8", r->comment, false};
    configure(m, &c, &config, r->keys, key_count(r));
    vectors_must(m, fl_task_load(&m->error, &m->arena, &task, &config));
    const data_partition *p = &task.partition;
    vectors_must(m, data_partition_text(&m->error, &m->arena, &text, &length, p));
    const nn_digest digest = nn_sha256_of(text, length);
    draws[0] = (uint32_t)p->draws;
    draws[1] = p->repaired;
    vectors_u32(m, &c.outputs, "pool", vectors_1(p->pool_count), p->pool);
    vectors_u32(m, &c.outputs, "held", vectors_1(p->held_count), p->held);
    add_columns(m, &c, p);
    vectors_u32(m, &c.outputs, "draws", vectors_0(), draws);
    vectors_u32(m, &c.outputs, "repaired", vectors_0(), draws + 1);
    add_digest(m, &c, "csv_digest", &digest);
    vectors_add(m, &c, &about, DATA_PROFILE_ANY);
}

void vectors_levels_data(vectors_maker *m)
{
    vectors_open(m, "data");
    all_data(m);
    vectors_close(m);
    vectors_open(m, "partition");
    for (size_t i = 0; i < sizeof partitions / sizeof *partitions; i++)
        partition(m, &partitions[i]);
    vectors_close(m);
}

/* SPDX-License-Identifier: MIT */
/* One row a key: name, field, default, range, words; the order is that of config.toml. SPEC 16.3.
 */
#include "config_table.h"

#include <string.h>

#define FIELD(name) offsetof(fl_config, name)
#define NO_CHOICE NULL
#define SIZE(section, name, otherwise, low, high)                                                  \
    {                                                                                              \
#name, section, FL_KEY_SIZE, FIELD(name), otherwise, low, high, FL_RANGE_CLOSED,           \
            NO_CHOICE, true, 0                                                                     \
    }
#define AUTO(section, name, low, high)                                                             \
    {                                                                                              \
#name, section, FL_KEY_AUTO, FIELD(name), "auto", low, high, FL_RANGE_CLOSED, NO_CHOICE,   \
            true, 0                                                                                \
    }
#define SEED(section, name, otherwise)                                                             \
    {                                                                                              \
#name, section, FL_KEY_SEED, FIELD(name), otherwise, 0, UINT64_MAX, FL_RANGE_CLOSED,       \
            NO_CHOICE, true, 0                                                                     \
    }
#define DECIMAL(section, name, otherwise, low, high, range)                                        \
    {                                                                                              \
#name, section, FL_KEY_DECIMAL, FIELD(name), otherwise, low, high, range, NO_CHOICE, true, \
            0                                                                                      \
    }
#define AUTO_DECIMAL(section, name, low, high, range)                                              \
    {                                                                                              \
#name, section, FL_KEY_AUTO_DECIMAL, FIELD(name), "auto", low, high, range, NO_CHOICE,     \
            true, 0                                                                                \
    }
#define CHOICE(section, name, words)                                                               \
    {                                                                                              \
#name, section, FL_KEY_CHOICE, FIELD(name), NULL, 0, 0, FL_RANGE_CLOSED, words, true, 0    \
    }
#define CHOICES(section, name, words)                                                              \
    {                                                                                              \
#name, section, FL_KEY_CHOICES, FIELD(name), "none", 0, 0, FL_RANGE_CLOSED, words, true, 0 \
    }
#define SWITCH(section, name, otherwise)                                                           \
    {                                                                                              \
#name, section, FL_KEY_BOOL, FIELD(name), otherwise, 0, 0, FL_RANGE_CLOSED, NO_CHOICE,     \
            true, 0                                                                                \
    }
#define BATCHES(section, name, otherwise, high)                                                    \
    {                                                                                              \
#name, section, FL_KEY_BATCHES, FIELD(name), otherwise, 1, high, FL_RANGE_CLOSED,          \
            NO_CHOICE, true, 0                                                                     \
    }
#define PATH_HASHED(section, name)                                                                 \
    {                                                                                              \
#name, section, FL_KEY_PATH, FIELD(name), "", 0, 0, FL_RANGE_CLOSED, NO_CHOICE, true,      \
            offsetof(fl_config_hashes, name)                                                       \
    }
#define SIZE_LOCAL(section, name, otherwise, low, high)                                            \
    {                                                                                              \
#name, section, FL_KEY_SIZE, FIELD(name), otherwise, low, high, FL_RANGE_CLOSED,           \
            NO_CHOICE, false, 0                                                                    \
    }
#define PATH_LOCAL(section, name)                                                                  \
    {                                                                                              \
#name, section, FL_KEY_PATH, FIELD(name), "", 0, 0, FL_RANGE_CLOSED, NO_CHOICE, false, 0   \
    }

/* Words in the order of the enums of config.h, data/partition.h, data/idx.h and nn/kernels.h
 * (arith). */
static const char *const algo[] = {"ddome",  "fedavg", "common", "fedprox", "scaffold", "ensemble",
                                   "fedmix", "local",  "ifca",   "head",    NULL};
static const char *const arith[] = {"ma", "fma", NULL};
static const char *const data[] = {"synth", "cifar10", "cifar100", "mnist", "emnist", NULL};
static const char *const cifar100_labels[] = {"fine", "coarse", NULL};
static const char *const emnist_split[] = {"byclass", "bymerge", "balanced", "letters",
                                           "digits",  "mnist",   NULL};
static const char *const normalize[] = {"dataset", "none", NULL};
static const char *const partition[] = {"labels", "dirichlet", "iid", "file",
                                        "shards", "quantity",  NULL};
static const char *const dialect[] = {"plain", "balanced", NULL};
static const char *const arch[] = {"resnet34", "mlp", NULL};
static const char *const stem[] = {"3x3", "7x7", NULL};
static const char *const norm[] = {"batch", "group", NULL};
static const char *const init[] = {"random", "common", "file", NULL};
static const char *const mix[] = {"logits", "probs", NULL};
static const char *const sampling[] = {"strata", "uniform", NULL};
static const char *const aggregate[] = {"samples", "uniform", NULL};
static const char *const last_batch[] = {"keep", "drop", NULL};
static const char *const bn_stats[] = {"average", "local", "first", NULL};
static const char *const gate[] = {"learned", "random", "frozen", "oracle", NULL};
static const char *const anchors[] = {"label", "cluster", "wrong", "none", NULL};
static const char *const test[] = {"argmax", "mixture", NULL};
static const char *const order[] = {"joint", "experts-first", "gate-first", NULL};
static const char *const schedule[] = {"all", "grow", "switch", NULL};
static const char *const schedule_by[] = {"id", "label", NULL};
static const char *const eval_scope[] = {"unseen", "holdout", "global", "seen", NULL};
static const char *const local_budget[] = {"participation", "full", NULL};
static const char *const ifca_test[] = {"entropy", "oracle", NULL};

enum {
    MOST_CLIENTS = 1000000,  /* SPEC 8 */
    MOST_SAMPLES = 10000000, /* SPEC 7.4.1 */
    MOST_KEPT = 100,         /* room of fl/saved.h */
    MOST_EPOCHS = 65535,     /* 16 bits of the generator's counter (SPEC 4.2) */
    MOST_ROUNDS = 1000000,
    MOST_BATCH = 65536,
    MOST_HIDDEN = 65536,
    MOST_WIDTH = 1024,
    MOST_FACTOR = 1000
};

static const fl_key keys[] = {
    SEED("run", seed, "1"),
    CHOICE("run", algo, algo),
    CHOICE("run", arith, arith),

    CHOICE("data", data, data),
    PATH_LOCAL("data", data_dir),
    PATH_HASHED("data", exclude),
    CHOICE("data", normalize, normalize),
    BATCHES("data", cifar10_batches, "1,2,3,4,5", 5),
    CHOICE("data", cifar100_labels, cifar100_labels),
    CHOICE("data", emnist_split, emnist_split),
    SIZE("data", synth_train, "2000", 10, MOST_SAMPLES),
    SIZE("data", synth_test, "1000", 1, MOST_SAMPLES),
    SIZE("data", synth_size, "16", 8, 256),
    SIZE("data", synth_domains, "4", 1, 127),
    SIZE("data", synth_shapes, "3", 2, 8),
    SIZE("data", synth_noise, "24", 0, 255),

    CHOICE("partition", partition, partition),
    PATH_HASHED("partition", partition_file),
    SIZE("partition", clients, "100", 1, MOST_CLIENTS),
    AUTO("partition", anchor_clients, 0, FL_MAX_EXPERTS),
    SIZE("partition", unseen_clients, "5", 0, MOST_CLIENTS),
    SIZE("partition", holdout_clients, "5", 0, MOST_CLIENTS),
    SIZE("partition", labels_per_client, "4", 1, 255),
    SIZE("partition", label_group, "1", 1, 255),
    SIZE("partition", anchor_labels, "0", 0, 255),
    SIZE("partition", samples_per_client, "0", 0, MOST_SAMPLES),
    SIZE("partition", unseen_samples, "0", 0, MOST_SAMPLES),
    DECIMAL("partition", alpha, "0.1", 0, MOST_FACTOR, FL_RANGE_ABOVE),
    CHOICE("partition", dialect, dialect),
    SIZE("partition", min_size, "10", 0, MOST_SAMPLES),
    SIZE("partition", max_draws, "1000", 1, MOST_EPOCHS),
    SIZE("partition", shards_per_client, "2", 1, MOST_SAMPLES),
    DECIMAL("partition", beta, "0.5", 0, MOST_FACTOR, FL_RANGE_ABOVE),

    CHOICE("model", arch, arch),
    CHOICE("model", stem, stem),
    CHOICE("model", norm, norm),
    SIZE("model", width, "64", 1, MOST_WIDTH),
    SIZE("model", hidden, "64", 1, MOST_HIDDEN),
    SIZE("model", gn_channels, "8", 1, MOST_WIDTH),

    PATH_HASHED("common", common),
    DECIMAL("common", pretrain_target, "0.7", 0, 1, FL_RANGE_CLOSED),
    DECIMAL("common", pretrain_lr, "0.1", 0, MOST_FACTOR, FL_RANGE_ABOVE),
    DECIMAL("common", pretrain_momentum, "0.9", 0, 1, FL_RANGE_BELOW),
    DECIMAL("common", pretrain_weight_decay, "0.0005", 0, 1, FL_RANGE_CLOSED),
    SIZE("common", pretrain_epochs, "20", 1, MOST_EPOCHS),
    SIZE("common", pretrain_batch, "128", 1, MOST_BATCH),

    SIZE("experts", experts, "5", 1, FL_MAX_EXPERTS),
    SIZE("experts", top_k, "2", 1, FL_MAX_EXPERTS),
    CHOICE("experts", init, init),
    PATH_HASHED("experts", init_file),
    SIZE("experts", gate_hidden, "256", 1, MOST_HIDDEN),
    DECIMAL("experts", gate_lr, "0.001", 0, MOST_FACTOR, FL_RANGE_ABOVE),
    DECIMAL("experts", gate_momentum, "0", 0, 1, FL_RANGE_BELOW),
    DECIMAL("experts", anchor_gate_weight, "1", 0, MOST_FACTOR, FL_RANGE_CLOSED),
    CHOICE("experts", mix, mix),

    SIZE("rounds", rounds, "10", 1, MOST_ROUNDS),
    SIZE("rounds", epochs, "1", 1, MOST_EPOCHS),
    SIZE("rounds", batch, "256", 1, MOST_BATCH),
    CHOICE("rounds", last_batch, last_batch),
    CHOICE("rounds", sampling, sampling),
    SIZE("rounds", active_anchors, "5", 0, FL_MAX_EXPERTS),
    SIZE("rounds", active_normal, "5", 0, MOST_CLIENTS),
    DECIMAL("rounds", lr, "0.01", 0, MOST_FACTOR, FL_RANGE_ABOVE),
    AUTO_DECIMAL("rounds", momentum, 0, 1, FL_RANGE_BELOW),
    DECIMAL("rounds", weight_decay, "0", 0, 1, FL_RANGE_CLOSED),
    SWITCH("rounds", augment, "false"),
    CHOICE("rounds", aggregate, aggregate),
    CHOICE("rounds", bn_stats, bn_stats),

    SIZE("evaluation", eval_every, "10", 1, MOST_ROUNDS),
    CHOICE("evaluation", eval_scope, eval_scope),
    CHOICES("evaluation", eval_also, eval_scope),

    DECIMAL("baselines", mu, "0.01", 0, MOST_FACTOR, FL_RANGE_CLOSED),
    DECIMAL("baselines", server_lr, "1", 0, MOST_FACTOR, FL_RANGE_ABOVE),
    CHOICE("baselines", local_budget, local_budget),
    DECIMAL("baselines", ifca_noise, "0.01", 0, 1, FL_RANGE_CLOSED),
    CHOICE("baselines", ifca_test, ifca_test),
    SIZE("baselines", seen_samples, "0", 0, MOST_SAMPLES),

    CHOICE("controls", gate, gate),
    CHOICE("controls", anchors, anchors),
    SIZE("controls", cluster_iterations, "100", 1, 10000),
    CHOICE("controls", test, test),
    CHOICE("controls", order, order),
    SIZE("controls", order_rounds, "0", 0, MOST_ROUNDS),
    DECIMAL("controls", dropout, "0", 0, 1, FL_RANGE_CLOSED),
    DECIMAL("controls", straggler, "0", 0, 1, FL_RANGE_CLOSED),
    DECIMAL("controls", straggler_share, "0.5", 0, 1, FL_RANGE_ABOVE),
    CHOICE("controls", schedule, schedule),
    CHOICE("controls", schedule_by, schedule_by),
    SIZE("controls", schedule_groups, "5", 1, MOST_CLIENTS),
    SIZE("controls", schedule_rounds, "200", 1, MOST_ROUNDS),
    SIZE("controls", common_every, "0", 0, MOST_ROUNDS),

    SIZE_LOCAL("checkpoints", checkpoint_every, "10", 0, MOST_ROUNDS),
    SIZE_LOCAL("checkpoints", checkpoint_keep, "2", 1, MOST_KEPT),
};

/* Keys younger than the first published hashes: config.toml leaves them out at their defaults, so
 * that a new key moves no root hash (SPEC 16.1.6). */
static const char *const implied[] = {"eval_also",
                                      "init_file",
                                      "cifar100_labels",
                                      "emnist_split",
                                      "shards_per_client",
                                      "beta",
                                      "last_batch",
                                      "mu",
                                      "server_lr",
                                      "local_budget",
                                      "ifca_noise",
                                      "ifca_test",
                                      "seen_samples",
                                      "gate",
                                      "anchors",
                                      "cluster_iterations",
                                      "test",
                                      "order",
                                      "order_rounds",
                                      "dropout",
                                      "straggler",
                                      "straggler_share",
                                      "schedule",
                                      "schedule_by",
                                      "schedule_groups",
                                      "schedule_rounds",
                                      "common_every",
                                      NULL};

#define KEYS (sizeof keys / sizeof *keys)

NN_ASSUME(keys_fit, KEYS <= FL_MAX_KEYS);
NN_ASSUME(algo_words, sizeof algo / sizeof *algo == FL_ALGO_HEAD + 2);
NN_ASSUME(arith_words, sizeof arith / sizeof *arith == NN_ARITH_COUNT + 1);
NN_ASSUME(data_words, sizeof data / sizeof *data == FL_DATA_EMNIST + 2);
NN_ASSUME(emnist_words, sizeof emnist_split / sizeof *emnist_split == DATA_EMNIST_COUNT + 1);
NN_ASSUME(partition_words, sizeof partition / sizeof *partition == DATA_PARTITION_QUANTITY + 2);
NN_ASSUME(dialect_words, sizeof dialect / sizeof *dialect == DATA_DIRICHLET_BALANCED + 2);
NN_ASSUME(init_words, sizeof init / sizeof *init == FL_INIT_FILE + 2);
NN_ASSUME(bn_words, sizeof bn_stats / sizeof *bn_stats == FL_BN_FIRST + 2);
NN_ASSUME(last_batch_words, sizeof last_batch / sizeof *last_batch == FL_LAST_BATCH_DROP + 2);
NN_ASSUME(budget_words, sizeof local_budget / sizeof *local_budget == FL_BUDGET_FULL + 2);
NN_ASSUME(ifca_words, sizeof ifca_test / sizeof *ifca_test == FL_IFCA_ORACLE + 2);
NN_ASSUME(scope_words, sizeof eval_scope / sizeof *eval_scope == FL_SCOPES + 1);
NN_ASSUME(gate_words, sizeof gate / sizeof *gate == FL_GATE_ORACLE + 2);
NN_ASSUME(anchors_words, sizeof anchors / sizeof *anchors == FL_ANCHORS_NONE + 2);
NN_ASSUME(order_words, sizeof order / sizeof *order == FL_ORDER_GATE_FIRST + 2);
NN_ASSUME(schedule_words, sizeof schedule / sizeof *schedule == FL_SCHEDULE_SWITCH + 2);

const fl_key *fl_config_keys(size_t *count)
{
    *count = KEYS;
    return keys;
}

bool fl_key_implied(const fl_key *key)
{
    for (size_t i = 0; implied[i] != NULL; i++)
        if (strcmp(implied[i], key->name) == 0)
            return true;
    return false;
}

const char *fl_config_arith(const fl_config *config)
{
    return arith[config->arith];
}

const fl_key *fl_config_find(const char *name, const char **nearest)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    const fl_key *best = keys;
    for (size_t i = 1; i < KEYS && nearest != NULL; i++)
        if (fl_text_distance(name, keys[i].name) < fl_text_distance(name, best->name))
            best = &keys[i];
    if (nearest != NULL)
        *nearest = best->name;
    return NULL;
}

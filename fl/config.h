/* SPDX-License-Identifier: MIT */
/* Every key of a run, validated once and constant afterwards. The table of keys with defaults and
 * ranges is SPEC 16. */
#ifndef FL_CONFIG_H
#define FL_CONFIG_H

#include "../data/idx.h"
#include "../data/partition.h"
#include "../nn/kernels.h"
#include "../nn/loss.h"
#include "text.h"

/* FL_DECIMAL: "0.", 22 places, NUL (SPEC 16.2). FL_MAX_EXPERTS: arrays of nn/ and fl/. */
enum { FL_PATH = 1024, FL_DECIMAL = 25, FL_MAX_EXPERTS = NN_MAX_EXPERTS };

/* anchor_clients before fl_config_check has put the number of experts in its place. */
#define FL_AUTO SIZE_MAX

typedef enum fl_algo {
    FL_ALGO_DDOME,
    FL_ALGO_FEDAVG,
    FL_ALGO_COMMON,
    FL_ALGO_FEDPROX,
    FL_ALGO_SCAFFOLD,
    FL_ALGO_ENSEMBLE,
    FL_ALGO_FEDMIX,
    FL_ALGO_LOCAL,
    FL_ALGO_IFCA,
    FL_ALGO_HEAD
} fl_algo;
typedef enum fl_data_kind {
    FL_DATA_SYNTH,
    FL_DATA_CIFAR10,
    FL_DATA_CIFAR100,
    FL_DATA_MNIST,
    FL_DATA_EMNIST
} fl_data_kind;
typedef enum fl_labels { FL_LABELS_FINE, FL_LABELS_COARSE } fl_labels;
typedef enum fl_normalize { FL_NORMALIZE_DATASET, FL_NORMALIZE_NONE } fl_normalize;
typedef enum fl_arch {
    FL_ARCH_RESNET34,
    FL_ARCH_MLP,
    FL_ARCH_LINEAR /* of a head; no word of the key */
} fl_arch;
typedef enum fl_stem { FL_STEM_3X3, FL_STEM_7X7 } fl_stem;
typedef enum fl_norm { FL_NORM_BATCH, FL_NORM_GROUP } fl_norm;
typedef enum fl_init { FL_INIT_RANDOM, FL_INIT_COMMON, FL_INIT_FILE } fl_init;
typedef enum fl_mix { FL_MIX_LOGITS, FL_MIX_PROBS } fl_mix;
typedef enum fl_aggregate { FL_AGGREGATE_SAMPLES, FL_AGGREGATE_UNIFORM } fl_aggregate;
typedef enum fl_last_batch { FL_LAST_BATCH_KEEP, FL_LAST_BATCH_DROP } fl_last_batch;
typedef enum fl_bn_stats { FL_BN_AVERAGE, FL_BN_LOCAL, FL_BN_FIRST } fl_bn_stats;
typedef enum fl_sampling { FL_SAMPLING_STRATA, FL_SAMPLING_UNIFORM } fl_sampling;
typedef enum fl_scope {
    FL_SCOPE_UNSEEN,
    FL_SCOPE_HOLDOUT,
    FL_SCOPE_GLOBAL,
    FL_SCOPE_SEEN,
    FL_SCOPES /* how many */
} fl_scope;
typedef enum fl_budget { FL_BUDGET_PARTICIPATION, FL_BUDGET_FULL } fl_budget;
typedef enum fl_ifca_test { FL_IFCA_ENTROPY, FL_IFCA_ORACLE } fl_ifca_test;
typedef enum fl_gating {
    FL_GATE_LEARNED,
    FL_GATE_RANDOM,
    FL_GATE_FROZEN,
    FL_GATE_ORACLE
} fl_gating;
typedef enum fl_anchors {
    FL_ANCHORS_LABEL,
    FL_ANCHORS_CLUSTER,
    FL_ANCHORS_WRONG,
    FL_ANCHORS_NONE
} fl_anchors;
typedef enum fl_test { FL_TEST_ARGMAX, FL_TEST_MIXTURE } fl_test;
typedef enum fl_order { FL_ORDER_JOINT, FL_ORDER_EXPERTS_FIRST, FL_ORDER_GATE_FIRST } fl_order;
typedef enum fl_schedule { FL_SCHEDULE_ALL, FL_SCHEDULE_GROW, FL_SCHEDULE_SWITCH } fl_schedule;
typedef enum fl_schedule_by { FL_SCHEDULE_BY_ID, FL_SCHEDULE_BY_LABEL } fl_schedule_by;

/* A decimal as it was written, canonical (no trailing zeros, no exponent), and its float
 * (SPEC 16.2); "auto" and -1 before fl_config_check has put a number in its place. */
typedef struct fl_decimal {
    float value;
    char text[FL_DECIMAL];
} fl_decimal;

/* Choices are kept as int so that the table can set them; each holds a value of the enum named
 * beside it. */
typedef struct fl_config {
    uint64_t seed;
    int algo;  /* fl_algo */
    int arith; /* nn_arith */

    int data; /* fl_data_kind */
    char data_dir[FL_PATH], exclude[FL_PATH];
    int normalize;            /* fl_normalize */
    unsigned cifar10_batches; /* bit i = batch i + 1 */
    int cifar100_labels;      /* fl_labels */
    int emnist_split;         /* data_emnist_split */
    size_t synth_train, synth_test, synth_size, synth_domains, synth_shapes, synth_noise;

    int partition; /* data_partition_kind */
    char partition_file[FL_PATH];
    size_t clients, anchor_clients, unseen_clients, holdout_clients;
    size_t labels_per_client, label_group, anchor_labels, samples_per_client, unseen_samples;
    fl_decimal alpha;
    int dialect; /* data_dirichlet_dialect */
    size_t min_size, max_draws, shards_per_client;
    fl_decimal beta;

    int arch, stem, norm; /* fl_arch, fl_stem, fl_norm */
    size_t width, hidden, gn_channels;

    char common[FL_PATH]; /* checkpoint of the common expert; empty: pretrain it in the run */
    fl_decimal pretrain_target, pretrain_lr, pretrain_momentum, pretrain_weight_decay;
    size_t pretrain_epochs, pretrain_batch;

    size_t experts, top_k;
    int init;                /* fl_init: where experts and FedAvg's model start */
    char init_file[FL_PATH]; /* init = file: a model of what rounds train */
    size_t gate_hidden;
    fl_decimal gate_lr, gate_momentum, anchor_gate_weight;
    int mix; /* fl_mix */

    size_t rounds, epochs, batch;
    int last_batch; /* fl_last_batch */
    int sampling;   /* fl_sampling */
    size_t active_anchors, active_normal;
    fl_decimal lr, momentum, weight_decay;
    int augment;             /* 0 or 1 */
    int aggregate, bn_stats; /* fl_aggregate, fl_bn_stats */

    size_t eval_every;
    int eval_scope;     /* fl_scope */
    unsigned eval_also; /* a bit an fl_scope */

    fl_decimal mu, server_lr;
    int local_budget; /* fl_budget */
    fl_decimal ifca_noise;
    int ifca_test; /* fl_ifca_test */
    size_t seen_samples;

    int gate, anchors; /* fl_gating, fl_anchors */
    size_t cluster_iterations;
    int test;  /* fl_test */
    int order; /* fl_order */
    size_t order_rounds;
    fl_decimal dropout, straggler, straggler_share;
    int schedule, schedule_by; /* fl_schedule, fl_schedule_by */
    size_t schedule_groups, schedule_rounds;
    size_t common_every;

    size_t checkpoint_every, checkpoint_keep; /* move no bit */
} fl_config;

/* Every default; data_dir from the environment variable DDOME_DATA is the caller's (tools/)
 * business. */
void fl_config_defaults(fl_config *config);

/* Reads a file over what is there; sets one key. DDOME_ERR_USAGE with file and line, expected and
 * found, nearest key. */
DDOME_MUST_CHECK ddome_status fl_config_load(ddome_error *error, fl_config *config,
                                             const char *path);
DDOME_MUST_CHECK ddome_status fl_config_set(ddome_error *error, fl_config *config, const char *key,
                                            const char *value);

/* Resolves `auto` values and checks all keys against one another. Call it once, before use. */
DDOME_MUST_CHECK ddome_status fl_config_check(ddome_error *error, fl_config *config);

/* Are these clients (fl_scope) evaluated: by eval_scope or eval_also? */
bool fl_config_evaluates(const fl_config *config, int scope);

/* Its part for the controls of SPEC 16.4.10 to 16.4.14; anchor_clients is resolved.
 * config_controls.c
 */
DDOME_MUST_CHECK ddome_status fl_config_check_controls(ddome_error *error, const fl_config *config);

/* What stands in place of each path in the text: content hashes, or "" where unused. */
typedef struct fl_config_hashes {
    char data[NN_HEX_BYTES], exclude[NN_HEX_BYTES], partition_file[NN_HEX_BYTES],
        common[NN_HEX_BYTES], init_file[NN_HEX_BYTES];
} fl_config_hashes;

/* config.toml: one `key = value` line a key in table order; only keys that affect bits. hashes
 * NULL: paths as given. SPEC 16.1.6. */
void fl_config_write(fl_text *text, const fl_config *config, const fl_config_hashes *hashes);

/* The word of the profile, as config.toml and manifest.json have it. */
const char *fl_config_arith(const fl_config *config);

/* The partition the keys ask for. */
data_partition_source fl_config_partition(const fl_config *config);

#endif

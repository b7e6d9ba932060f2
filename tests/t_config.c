/* SPDX-License-Identifier: MIT */
/* The configuration: values of keys, the table, checks of keys together. SPEC 16.3, 16.4. */
#include <stdio.h>
#include <string.h>

#include "config_help.h"

void t_config(void);

/* ---- one key ---- */

static void set_fails(const char *key, const char *value, const char *part)
{
    fl_config config, before;
    ddome_error error = {DDOME_OK, ""};
    fl_config_defaults(&config);
    before = config;
    ddome_status status = fl_config_set(&error, &config, key, value);
    test_status(value, status, DDOME_ERR_USAGE, &error, part);
    same_config("untouched", &config, &before);
}

static void set_gives(const char *key, const char *value, const char *line)
{
    fl_config config;
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    fl_config_defaults(&config);
    test_status(key, fl_config_set(&error, &config, key, value), DDOME_OK, &error, NULL);
    const char *text = text_of(&arena, &config, NULL);
    test_check(strstr(text, line) != NULL, __FILE__, __LINE__, "%s = %s lacks the line %s", key,
               value, line);
    nn_arena_free(&arena);
}

/* SPEC 16.1.3, 16.1.4. */
static void values(void)
{
    test_case("config takes values as on the command line");
    set_gives("seed", "18446744073709551615", "seed = 18446744073709551615\n");
    set_gives("algo", "fedavg", "\nalgo = \"fedavg\"\n");
    set_gives("algo", "\"common\"", "\nalgo = \"common\"\n");
    set_gives("arith", "ma", "\narith = \"ma\"\n");
    set_gives("arith", "fma", "\narith = \"fma\"\n");
    set_gives("anchor_clients", "auto", "\nanchor_clients = \"auto\"\n");
    set_gives("anchor_clients", "0", "\nanchor_clients = 0\n");
    set_gives("momentum", "auto", "\nmomentum = \"auto\"\n");
    set_gives("momentum", "0", "\nmomentum = 0\n");
    set_gives("augment", "true", "\naugment = true\n");
    set_gives("lr", "1e-2", "\nlr = 0.01\n");
    set_gives("cifar10_batches", "2,5", "\ncifar10_batches = \"2,5\"\n");
    set_gives("data_dir", "a \"b\" \\c", "\ndata_dir = \"a \\\"b\\\" \\\\c\"\n");
    set_gives("data_dir", "", "\ndata_dir = \"\"\n");
    set_gives("eval_also", "none", "\neval_also = \"none\"\n");
    set_gives("eval_also", "seen", "\neval_also = \"seen\"\n");
    set_gives("eval_also", "unseen,holdout,global,seen",
              "\neval_also = \"unseen,holdout,global,seen\"\n");
    set_gives("stem", "7x7", "\nstem = \"7x7\"\n");
}

/* SPEC 16.1.4, 16.1.5. */
static void refused_values(void)
{
    test_case("config refuses values");
    set_fails("rouns", "3", "unknown key \"rouns\"; the nearest is rounds");
    set_fails("top-k", "3", "unknown key \"top-k\"; the nearest is top_k");
    set_fails("", "3", "unknown key");
    set_fails("seed", "18446744073709551616", "seed: expected a whole number");
    set_fails("rounds", "", "found \"\"");
    set_fails("rounds", "01", "found \"01\"");
    set_fails("rounds", "+1", "found \"+1\"");
    set_fails("rounds", "-1", "found \"-1\"");
    set_fails("rounds", "1 ", "found \"1 \"");
    set_fails("rounds", "1.0", "expected a whole number 1..1000000");
    set_fails("rounds", "99999999999999999999999", "expected a whole number");
    set_fails("rounds", "1\n2", "found \"1?2\"");
    set_fails("algo", "ddom", "ifca or head, found \"ddom\"");
    set_fails("arith", "mad", "expected ma or fma, found \"mad\"");
    set_fails("augment", "yes", "expected false or true");
    set_fails("augment", "1", "expected false or true");
    set_fails("momentum", "1", "auto or a decimal from 0, below 1");
    set_fails("lr", "auto", "lr: expected a decimal");
    set_fails("lr", "0", "above 0");
    set_fails("alpha", "0.0", "above 0");
    set_fails("pretrain_target", "1.1", "at most 1");
    set_fails("data_dir", "a\tb", "a path");
    set_fails("cifar10_batches", "", "batches 1..5");
    set_fails("cifar10_batches", "6", "batches 1..5");
    set_fails("cifar10_batches", "2,1", "ascending");
    set_fails("cifar10_batches", "1,1", "ascending");
    set_fails("cifar10_batches", "1,", "ascending");
    set_fails("cifar10_batches", "1, 2", "ascending");
    set_fails("eval_also", "",
              "eval_also: expected none or some, in this order and with commas, of unseen,");
    set_fails("eval_also", "seen,unseen", "in this order");
    set_fails("eval_also", "seen,seen", "in this order");
    set_fails("eval_also", "seen,", "in this order");
    set_fails("eval_also", "none,seen", "in this order");
    set_fails("eval_also", "unseen,none", "in this order");
    set_fails("eval_also", "glob", "in this order");
    set_fails("eval_also", "globally", "in this order");
}

/* SPEC 16.1.3. */
static void long_paths(void)
{
    test_case("config bounds the length of a path");
    char path[FL_PATH + 1];
    memset(path, 'p', sizeof path);
    path[FL_PATH] = '\0';
    set_fails("common", path, "less than 1024 bytes");
    path[FL_PATH - 1] = '\0';
    fl_config config;
    ddome_error error = {DDOME_OK, ""};
    fl_config_defaults(&config);
    CHECK(fl_config_set(&error, &config, "common", path) == DDOME_OK);
    test_same_text("path", config.common, path);
}

/* ---- the table ---- */

static void table_defaults(void)
{
    size_t count;
    const fl_key *keys = fl_config_keys(&count);
    fl_config config;
    fl_config_defaults(&config);
    test_case("config defaults are values of their keys");
    for (size_t i = 0; i < count; i++) {
        const char *text = keys[i].otherwise != NULL ? keys[i].otherwise : keys[i].choice[0];
        test_check(fl_key_parse(&config, &keys[i], text, FL_EITHER), __FILE__, __LINE__, "%s = %s",
                   keys[i].name, text);
    }
    fl_config defaults;
    fl_config_defaults(&defaults);
    same_config("defaults", &config, &defaults);
    CHECK(config.anchor_clients == FL_AUTO && config.cifar10_batches == 31);
}

static void one_past(const fl_key *key)
{
    fl_config config;
    char text[32];
    fl_config_defaults(&config);
    snprintf(text, sizeof text, "%llu", (unsigned long long)key->high);
    CHECK(fl_key_parse(&config, key, text, FL_BARE));
    snprintf(text, sizeof text, "%llu", (unsigned long long)key->low);
    CHECK(fl_key_parse(&config, key, text, FL_BARE));
    if (key->low > 0) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)(key->low - 1));
        CHECK(!fl_key_parse(&config, key, text, FL_BARE));
    }
    if (key->high < UINT64_MAX) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)(key->high + 1));
        CHECK(!fl_key_parse(&config, key, text, FL_BARE));
    }
}

static void table_ranges(void)
{
    size_t count;
    const fl_key *keys = fl_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        bool whole = keys[i].type == FL_KEY_SIZE || keys[i].type == FL_KEY_AUTO ||
                     keys[i].type == FL_KEY_SEED;
        if (!whole)
            continue;
        test_case("config range of %s", keys[i].name);
        one_past(&keys[i]);
    }
}

/* ---- keys against keys ---- */

/* settings: "key=value key=value"; part NULL: accepted, and auto is resolved (SPEC 16.4.1). */
static void check(const char *settings, const char *part)
{
    fl_config config, before;
    ddome_error error = {DDOME_OK, ""};
    char copy[256];
    snprintf(copy, sizeof copy, "%s", settings);
    fl_config_defaults(&config);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        char *equals = strchr(word, '=');
        *equals = '\0';
        CHECK(fl_config_set(&error, &config, word, equals + 1) == DDOME_OK);
    }
    before = config;
    ddome_status status = fl_config_check(&error, &config);
    test_status(settings, status, part == NULL ? DDOME_OK : DDOME_ERR_USAGE, &error, part);
    if (part != NULL)
        same_config("untouched", &config, &before);
    else
        CHECK(config.anchor_clients != FL_AUTO);
}

/* In the order of SPEC 16.4.2 to 16.4.9, 16.4.14 beside 16.4.5. */
static void checks(void)
{
    test_case("config keys that contradict one another");
    check("top_k=6", "top_k = 6: expected at most experts = 5");
    check("anchor_clients=4", "anchor_clients = 4: expected 0 or experts = 5");
    check("clients=4", "anchor_clients = 5: expected at most clients = 4");
    check("active_anchors=6", "active_anchors = 6: expected at most anchor_clients = 5");
    check("anchor_clients=0", "active_anchors = 5: expected at most anchor_clients = 0");
    check("active_normal=96", "active_normal = 96: expected at most clients - anchor_clients = 95");
    check("active_anchors=0 active_normal=0", "expected at least = 1");
    check("sampling=uniform active_normal=96", "active_anchors + active_normal = 101");
    check("synth_domains=127", "synth_domains * synth_shapes = 381: expected at most = 255");
    check("unseen_clients=0", "unseen_clients = 0");
    check("eval_scope=holdout holdout_clients=0", "holdout_clients = 0");
    check("norm=group width=28", "gn_channels = 8");
    check("norm=group width=28 arch=mlp", "norm = group: expected arch = resnet34");
    check("bn_stats=local arch=mlp",
          "bn_stats = local: expected arch = resnet34 with norm = batch");
    check("algo=head bn_stats=local", "bn_stats = local: expected average with algo = head");
    check("bn_stats=first norm=group", "bn_stats = first: expected arch = resnet34 with norm");
    check("partition=file", "expected partition_file, found none");
    check("partition_file=x", "expected partition = file");
    check("init=file", "init = file: expected init_file, found none");
    check("init_file=x", "expected init = file");
    check("algo=common init=file init_file=x",
          "init = file: expected random or common with algo = common");
    check("exclude=x", "expected data = cifar10, cifar100, mnist or emnist");
    check("algo=scaffold momentum=0.9", "momentum = 0.9: expected 0 with algo = scaffold");
    check("algo=fedmix", "top_k = 2: expected experts = 5 with algo = fedmix");
    check("algo=local", "algo = local: expected eval_scope = seen");
    check("algo=local eval_scope=global", "algo = local: expected eval_scope = seen");
    check("algo=local eval_scope=seen eval_also=global", "algo = local: expected eval_also = none");
    check("eval_also=unseen", "eval_also names unseen: expected clients other than those of");
    check("eval_scope=global eval_also=unseen,global", "eval_also names global");
    check("eval_scope=global unseen_clients=0 eval_also=unseen", "unseen_clients = 0");
    check("eval_also=holdout holdout_clients=0", "holdout_clients = 0");
    check("algo=head augment=true", "augment = true: expected false with algo = head");
}

static void accepted_checks(void)
{
    test_case("config keys that fit one another");
    check("", NULL);
    check("anchor_clients=0 active_anchors=0", NULL);
    check("algo=fedavg anchor_clients=4 active_anchors=4", NULL);
    check("sampling=uniform active_anchors=7 active_normal=93", NULL);
    check("eval_scope=global unseen_clients=0 holdout_clients=0", NULL);
    check("eval_also=holdout,global,seen", NULL);
    check("norm=group width=4", NULL);
    check("bn_stats=first norm=batch", NULL);
    check("partition=file partition_file=x", NULL);
    check("data=cifar10 exclude=x synth_domains=127", NULL);
    check("init=file init_file=x", NULL);
    check("top_k=5", NULL);
    check("algo=scaffold", NULL);
    check("algo=scaffold momentum=0", NULL);
    check("algo=fedmix top_k=5", NULL);
    check("algo=local eval_scope=seen", NULL);
    check("algo=ifca anchor_clients=3 active_anchors=3", NULL);
    check("experts=64 top_k=64 clients=64 active_normal=0", NULL);
}

/* What an algorithm fixes stands in the resolved text (SPEC 16.4.9). */
static void resolved(const char *algo, const char *momentum, const char *aggregate)
{
    fl_config config;
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    test_case("config: momentum and aggregate of %s", algo);
    fl_config_defaults(&config);
    CHECK(fl_config_set(&error, &config, "algo", algo) == DDOME_OK);
    CHECK(fl_config_set(&error, &config, "top_k", "5") == DDOME_OK);
    CHECK(fl_config_set(&error, &config, "eval_scope", "seen") == DDOME_OK);
    test_status(algo, fl_config_check(&error, &config), DDOME_OK, &error, NULL);
    const char *text = text_of(&arena, &config, NULL);
    CHECK(strstr(text, momentum) != NULL && strstr(text, aggregate) != NULL);
    nn_arena_free(&arena);
}

static void profile(void)
{
    test_case("config gives the profile as nn_arith and as a word");
    fl_config config;
    ddome_error error = {DDOME_OK, ""};
    fl_config_defaults(&config);
    CHECK(config.arith == NN_ARITH_MA);
    test_same_text("default", fl_config_arith(&config), "ma");
    CHECK(fl_config_set(&error, &config, "arith", "fma") == DDOME_OK);
    CHECK(config.arith == NN_ARITH_FMA);
    test_same_text("set", fl_config_arith(&config), "fma");
}

static void partition_source(void)
{
    test_case("config gives the partition its keys");
    fl_config config;
    ddome_error error = {DDOME_OK, ""};
    fl_config_defaults(&config);
    CHECK(fl_config_check(&error, &config) == DDOME_OK);
    data_partition_source source = fl_config_partition(&config);
    CHECK(source.kind == DATA_PARTITION_LABELS && source.clients == 100 && source.anchors == 5);
    CHECK(source.unseen == 5 && source.holdout == 5 && source.labels_per_client == 4);
    CHECK(source.min_size == 10 && source.max_draws == 1000 && source.file == NULL);
    CHECK(nn_float_bits(source.alpha) == 0x3dcccccd && source.seed == 1);
}

void t_config(void)
{
    values();
    refused_values();
    long_paths();
    table_defaults();
    table_ranges();
    checks();
    accepted_checks();
    resolved("ddome", "\nmomentum = 0.9\n", "\naggregate = \"samples\"\n");
    resolved("scaffold", "\nmomentum = 0\n", "\naggregate = \"uniform\"\n");
    resolved("ifca", "\nmomentum = 0.9\n", "\naggregate = \"uniform\"\n");
    profile();
    partition_source();
}

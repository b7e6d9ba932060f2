/* SPDX-License-Identifier: MIT */
/* The controls' keys against the other keys. SPEC 16.4.10 to 16.4.14. */
#include "baselines.h"
#include "config_table.h"

static const char *word_of(const char *key, int value)
{
    return fl_config_find(key, NULL)->choice[value];
}

static ddome_status refuse(ddome_error *error, const char *key, const char *value,
                           const char *expected, const char *mend)
{
    return nn_fail(error, DDOME_ERR_USAGE, "%s = %s: expected %s; %s", key, value, expected, mend);
}

/* Choices that need more than every algorithm has. */
typedef struct choice {
    const char *key;
    int value; /* 0: the default */
    bool anchored;
} choice;

static ddome_status check_choice(ddome_error *error, const choice *c, const fl_algorithm *algorithm)
{
    const char *word = word_of(c->key, c->value);
    if (c->value == 0 || (algorithm->gate && (algorithm->pinned || !c->anchored)))
        return DDOME_OK;
    if (!algorithm->gate)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "%s = %s: expected an algorithm with a gate, found algo = %s; use algo = "
                       "ddome or leave %s out",
                       c->key, word, algorithm->name, c->key);
    return nn_fail(
        error, DDOME_ERR_USAGE,
        "%s = %s: expected algo = ddome, found algo = %s, which has no anchors and always "
        "predicts by its mixture; leave %s out",
        c->key, word, algorithm->name, c->key);
}

/* A control of what the algorithm does not have. SPEC 16.4.10. */
static ddome_status check_algorithm(ddome_error *error, const fl_config *c)
{
    const choice choices[] = {{"gate", c->gate, false},
                              {"anchors", c->anchors, true},
                              {"test", c->test, true},
                              {"order", c->order, false}};
    const fl_algorithm *algorithm = fl_algorithm_of(c);
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < sizeof choices / sizeof *choices && status == DDOME_OK; i++)
        status = check_choice(error, &choices[i], algorithm);
    if (status != DDOME_OK)
        return status;
    if (c->common_every != 0 && !algorithm->gate)
        return nn_fail(
            error, DDOME_ERR_USAGE,
            "common_every = %lu: expected an algorithm with a gate, found algo = %s; use "
            "algo = ddome or leave common_every out",
            (unsigned long)c->common_every, algorithm->name);
    if (c->dropout.value > 0 && algorithm->own)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "dropout = %s: expected 0 with algo = %s, whose clients send no answers; "
                       "leave dropout out",
                       c->dropout.text, algorithm->name);
    return DDOME_OK;
}

/* Another expert than its own for an anchor at work. SPEC 16.4.11. */
static ddome_status check_wrong(ddome_error *error, const fl_config *c)
{
    const bool strata = c->sampling == FL_SAMPLING_STRATA;
    if (c->anchors == FL_ANCHORS_WRONG && c->anchor_clients == 0)
        return refuse(error, "anchors", "wrong", "anchor_clients = experts, found 0",
                      "raise anchor_clients or leave anchors out");
    if (c->anchors == FL_ANCHORS_WRONG && strata && c->active_anchors == 0)
        return refuse(error, "anchors", "wrong", "active_anchors of at least 1, found 0",
                      "raise active_anchors or leave anchors out");
    if (c->anchors == FL_ANCHORS_WRONG && c->experts == 1)
        return refuse(error, "anchors", "wrong", "at least 2 experts, found experts = 1",
                      "raise experts or leave anchors out");
    return DDOME_OK;
}

/* SPEC 16.4.11. */
static ddome_status check_anchors(ddome_error *error, const fl_config *c)
{
    if (c->anchors == FL_ANCHORS_CLUSTER && c->experts > c->clients)
        return nn_fail(
            error, DDOME_ERR_USAGE,
            "experts = %lu: expected at most clients = %lu with anchors = cluster; raise "
            "clients or lower experts",
            (unsigned long)c->experts, (unsigned long)c->clients);
    return check_wrong(error, c);
}

/* SPEC 16.4.12. */
static ddome_status check_order(ddome_error *error, const fl_config *c)
{
    if (c->order == FL_ORDER_JOINT)
        return DDOME_OK;
    if (c->gate != FL_GATE_LEARNED)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "order = %s: expected gate = learned, found gate = %s; leave gate or order "
                       "out",
                       word_of("order", c->order), word_of("gate", c->gate));
    if (c->rounds < 2 || c->order_rounds >= c->rounds)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "order_rounds = %lu: expected less than rounds = %lu, for both parts have "
                       "rounds; lower order_rounds or raise rounds",
                       (unsigned long)c->order_rounds, (unsigned long)c->rounds);
    return DDOME_OK;
}

/* SPEC 16.4.13. */
static ddome_status check_others(ddome_error *error, const fl_config *c)
{
    if (c->common_every != 0 && c->gate != FL_GATE_LEARNED && c->gate != FL_GATE_FROZEN)
        return refuse(error, "gate", word_of("gate", c->gate),
                      "learned or frozen with common_every, as nothing else uses embeddings",
                      "leave common_every out");
    if (c->common_every >= c->rounds)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "common_every = %lu: expected less than rounds = %lu, or the common expert "
                       "is never trained on; lower common_every or leave it out",
                       (unsigned long)c->common_every, (unsigned long)c->rounds);
    return DDOME_OK;
}

/* A perceptron has no norms, and group-norm no running statistics. SPEC 16.4.14. */
static ddome_status check_norms(ddome_error *error, const fl_config *c)
{
    const bool resnet = c->arch == FL_ARCH_RESNET34, group = c->norm == FL_NORM_GROUP;
    if (!resnet && group)
        return refuse(error, "norm", "group",
                      "arch = resnet34, found arch = mlp, which has no norms", "set norm=batch");
    if (c->bn_stats != FL_BN_AVERAGE && fl_algorithm_of(c)->head)
        return refuse(error, "bn_stats", word_of("bn_stats", c->bn_stats),
                      "average with algo = head, as a linear layer has no running statistics",
                      "set bn_stats=average");
    if (c->bn_stats == FL_BN_AVERAGE || (resnet && !group))
        return DDOME_OK;
    return refuse(error, "bn_stats", word_of("bn_stats", c->bn_stats),
                  "arch = resnet34 with norm = batch, as nothing else has running statistics",
                  "set bn_stats=average");
}

/* SPEC 16.4.13. */
static ddome_status check_schedule(ddome_error *error, const fl_config *c)
{
    const unsigned long groups = (unsigned long)c->schedule_groups;
    if (c->schedule == FL_SCHEDULE_ALL)
        return DDOME_OK;
    if (c->schedule_groups > c->clients)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "schedule_groups = %lu: expected at most clients = %lu; lower it", groups,
                       (unsigned long)c->clients);
    if (c->schedule_groups < 2)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "schedule_groups = %lu: expected at least 2 with schedule = %s; raise it or "
                       "leave schedule out",
                       groups, word_of("schedule", c->schedule));
    if (c->schedule_rounds >= c->rounds)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "schedule_rounds = %lu: expected less than rounds = %lu, or no group but "
                       "the first takes part; lower schedule_rounds or leave schedule out",
                       (unsigned long)c->schedule_rounds, (unsigned long)c->rounds);
    return DDOME_OK;
}

ddome_status fl_config_check_controls(ddome_error *error, const fl_config *config)
{
    ddome_status status = check_algorithm(error, config);
    if (status == DDOME_OK)
        status = check_anchors(error, config);
    if (status == DDOME_OK)
        status = check_order(error, config);
    if (status == DDOME_OK)
        status = check_others(error, config);
    if (status == DDOME_OK)
        status = check_norms(error, config);
    return status == DDOME_OK ? check_schedule(error, config) : status;
}

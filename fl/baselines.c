/* SPDX-License-Identifier: MIT */
/* The table of algorithms, and which keys go with each. SPEC 12, 12.6.1, 16.4.9. */
#include "baselines.h"

#include <string.h>

#include "config_table.h"
#include "control.h"

static const fl_algorithm ALGORITHMS[] = {
    [FL_ALGO_DDOME] = {.name = "ddome",
                       .models = FL_MODELS_EXPERTS,
                       .choice = FL_CHOICE_GATE,
                       .rounds = true,
                       .embeds = true,
                       .gate = true,
                       .pinned = true},
    /* the clients and the participants of all others are the same (SPEC 12.6.1) */
    [FL_ALGO_FEDAVG] = {.name = "fedavg", .rounds = true},
    [FL_ALGO_COMMON] = {.name = "common", .from_common = true},
    [FL_ALGO_FEDPROX] = {.name = "fedprox", .correction = FL_CORRECTION_PROXIMAL, .rounds = true},
    [FL_ALGO_SCAFFOLD] = {.name = "scaffold",
                          .correction = FL_CORRECTION_VARIATES,
                          .rounds = true,
                          .uniform = true},
    [FL_ALGO_ENSEMBLE] = {.name = "ensemble",
                          .models = FL_MODELS_PAIR,
                          .prediction = FL_PREDICTION_MEAN,
                          .rounds = true},
    [FL_ALGO_FEDMIX] = {.name = "fedmix",
                        .models = FL_MODELS_EXPERTS,
                        .prediction = FL_PREDICTION_MIXTURE,
                        .rounds = true,
                        .embeds = true,
                        .gate = true},
    [FL_ALGO_LOCAL] = {.name = "local", .rounds = true, .own = true},
    [FL_ALGO_IFCA] = {.name = "ifca",
                      .models = FL_MODELS_EXPERTS,
                      .choice = FL_CHOICE_LOSS,
                      .rounds = true,
                      .uniform = true},
    [FL_ALGO_HEAD] = {.name = "head", .rounds = true, .embeds = true, .head = true},
};

const fl_algorithm *fl_algorithm_of(const fl_config *config)
{
    return &ALGORITHMS[config->algo];
}

size_t fl_algorithm_experts(const fl_config *config)
{
    switch (fl_algorithm_of(config)->models) {
    case FL_MODELS_ONE:
        return 1;
    case FL_MODELS_PAIR:
        return 2;
    case FL_MODELS_EXPERTS:
        break;
    }
    return config->experts;
}

size_t fl_algorithm_trained(const fl_config *config)
{
    switch (fl_algorithm_of(config)->choice) {
    case FL_CHOICE_GATE:
        return config->top_k;
    case FL_CHOICE_LOSS:
        return 1;
    case FL_CHOICE_ALL:
        break;
    }
    return fl_algorithm_experts(config);
}

bool fl_algorithm_needs_common(const fl_config *config)
{
    const fl_algorithm *algorithm = fl_algorithm_of(config);
    return fl_control_embeds(config) || algorithm->from_common || config->init == FL_INIT_COMMON;
}

bool fl_algorithm_sends_common(const fl_config *config)
{
    const fl_algorithm *algorithm = fl_algorithm_of(config);
    return fl_control_embeds(config) || (algorithm->own && config->init != FL_INIT_RANDOM);
}

bool fl_algorithm_takes_all(const fl_config *config)
{
    return fl_algorithm_of(config)->own && config->local_budget == FL_BUDGET_FULL;
}

/* ---- keys: SPEC 16.4.9 ---- */

static const float MOMENTUM = 0.9f; /* D10 */

static void set_decimal(fl_decimal *out, float value, const char *text)
{
    out->value = value;
    strcpy(out->text, text);
}

static ddome_status refuse_momentum(ddome_error *error, const fl_config *config)
{
    if (fl_algorithm_of(config)->correction != FL_CORRECTION_VARIATES ||
        config->momentum.value == 0)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_USAGE,
                   "momentum = %s: expected 0 with algo = scaffold, whose local steps are plain "
                   "SGD; leave momentum out",
                   config->momentum.text);
}

ddome_status fl_algorithm_check(ddome_error *error, fl_config *config)
{
    const fl_algorithm *a = fl_algorithm_of(config);
    if (config->momentum.value < 0 && a->correction == FL_CORRECTION_VARIATES)
        set_decimal(&config->momentum, 0, "0");
    else if (config->momentum.value < 0)
        set_decimal(&config->momentum, MOMENTUM, "0.9");
    if (a->uniform)
        config->aggregate = FL_AGGREGATE_UNIFORM;
    if (a->prediction == FL_PREDICTION_MIXTURE && config->top_k != config->experts)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "top_k = %lu: expected experts = %lu with algo = %s, which sends all "
                       "experts; set top_k to it",
                       (unsigned long)config->top_k, (unsigned long)config->experts, a->name);
    if (!a->rounds && config->init == FL_INIT_FILE)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "init = file: expected random or common with algo = %s, which trains "
                       "nothing; leave init and init_file out",
                       a->name);
    if (a->own && config->eval_scope != FL_SCOPE_SEEN)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "algo = %s: expected eval_scope = seen, found eval_scope = %s: only clients "
                       "that train have a model; set eval_scope=seen",
                       a->name, fl_config_find("eval_scope", NULL)->choice[config->eval_scope]);
    if (a->own && config->eval_also != 0)
        return nn_fail(
            error, DDOME_ERR_USAGE,
            "algo = %s: expected eval_also = none: only clients that train have a model; "
            "leave eval_also out",
            a->name);
    if (a->head && config->augment != 0)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "augment = true: expected false with algo = %s, which trains on stored "
                       "embeddings; leave augment out",
                       a->name);
    return refuse_momentum(error, config);
}

/* SPDX-License-Identifier: MIT */
/* The table of algorithms. SPEC 12.1 to 12.3. */
#include "baselines.h"

static const fl_algorithm ALGORITHMS[] = {
    [FL_ALGO_DDOME] = {"ddome", true, false, true, false},
    [FL_ALGO_FEDAVG] = {"fedavg", false, true, true, false},
    [FL_ALGO_COMMON] = {"common", false, true, false, true},
};

const fl_algorithm *fl_algorithm_of(const fl_config *config)
{
    return &ALGORITHMS[config->algo];
}

size_t fl_algorithm_experts(const fl_config *config)
{
    return fl_algorithm_of(config)->one_model ? 1 : config->experts;
}

bool fl_algorithm_needs_common(const fl_config *config)
{
    const fl_algorithm *algorithm = fl_algorithm_of(config);
    return algorithm->gate || algorithm->from_common || config->init == FL_INIT_COMMON;
}

/* SPDX-License-Identifier: MIT */
/* What writing and reading a probe share: its vectors. SPEC 19.6. */
#ifndef TOOLS_PROBE_SET_H
#define TOOLS_PROBE_SET_H

#include "../nn/variant.h"
#include "probe.h"

enum { PROBE_ORDERS = 2, PROBE_CASES = 3 };

/* One product a[m,k] b[k,n] and what the rules give for it. */
typedef struct probe_case {
    const char *id;
    nn_value input[2]; /* a, b */
    nn_case work;
    const nn_value *expected;
} probe_case;

/* The orders first, then whether products are fused. */
typedef struct probe_set {
    probe_order order[PROBE_ORDERS];
    probe_case one[PROBE_CASES];
} probe_set;

DDOME_MUST_CHECK ddome_status probe_set_new(ddome_error *error, nn_arena *arena, probe_set *set);

#endif

/* SPDX-License-Identifier: MIT */
/* Rules that this program keeps by itself, whatever its input. Builds with -DDDOME_INVARIANTS, the
 * test runner's among them, look: a broken one is a mistake in the program and ends it there and
 * then, with file, line and rule. Other builds have none of it. SPEC 20.2. */
#ifndef NN_INVARIANT_H
#define NN_INVARIANT_H

#include "base.h"

#ifdef DDOME_INVARIANTS

#include <stdio.h>
#include <stdlib.h>

#define NN_INVARIANT(condition)                                                                    \
    ((condition)                                                                                   \
         ? (void)0                                                                                 \
         : (fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #condition),      \
            abort()))

/* A declaration that only an invariant needs. */
#define NN_INVARIANT_NEEDS(declaration) declaration

/* Weights w[K] of the experts of one sample sum to one within rounding, unless a gate logit is no
 * number. */
struct nn_mixture_shape;
bool nn_invariant_mixture(const float *w, const float *gate_row,
                          const struct nn_mixture_shape *shape);

#else

#define NN_INVARIANT(condition) ((void)0)
#define NN_INVARIANT_NEEDS(declaration)

#endif

#endif

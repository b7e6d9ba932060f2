/* SPDX-License-Identifier: MIT */
/* How the arithmetic is carried out: with which kernels, in which profile, by how many threads.
 * Only the profile moves bits. */
#ifndef NN_ENGINE_H
#define NN_ENGINE_H

#include "kernels.h"
#include "team.h"

typedef struct nn_engine {
    const nn_kernels *kernels;
    nn_arith arith;
    nn_team *team; /* NULL: the calling thread alone */
} nn_engine;

#endif

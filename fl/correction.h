/* SPDX-License-Identifier: MIT */
/* What FedProx and SCAFFOLD add to a gradient before SGD, and a client's new control variate.
 * Vectors have the model's layout; only its trained slices are read and written.
 * SPEC 12.6.2, 12.6.3. */
#ifndef FL_CORRECTION_H
#define FL_CORRECTION_H

#include "../nn/param.h"
#include "baselines.h"

typedef struct fl_correction {
    fl_correction_kind kind;
    float mu;            /* PROXIMAL */
    const float *start;  /* the model as it was sent */
    float *own;          /* VARIATES: c_k, then its next value */
    const float *server; /* VARIATES: c */
    float *change;       /* VARIATES: what goes up, the next c_k less c_k */
} fl_correction;

/* PROXIMAL: g = g + (mu * (w - start)). VARIATES: g = (g - own) + server. NONE: nothing. */
void fl_correct(float *grads, const float *values, const nn_layout *layout,
                const fl_correction *correction);

/* After a visit of `steps` > 0 steps that ended in `values`; VARIATES only:
 * own = (own - server) + ((start - values) / ((float)steps * lr)), change = own - what it was. */
void fl_correction_renew(fl_correction *correction, const float *values, const nn_layout *layout,
                         size_t steps, float lr);

#endif

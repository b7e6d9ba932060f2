/* SPDX-License-Identifier: MIT */
/* One axis of a window: which positions of the result read which positions of the source through
 * which taps. Positions that see the same taps form a class; all of a class are computed alike.
 * SPEC 5.3, 5.4. */
#ifndef NN_CONV_AXIS_H
#define NN_CONV_AXIS_H

#include "conv.h"

typedef struct nn_axis {
    size_t results, sources, kernel, stride, pad;
    bool backward; /* the result is the convolution's input, gathered from its output */
} nn_axis;

typedef struct nn_axis_class {
    size_t first, step, count;  /* results first, first + step, ... */
    size_t tap, tap_step, taps; /* they see taps tap, tap + tap_step, ... */
    size_t source;              /* what `first` reads through `tap`; */
    size_t source_step;         /* the next result of the class reads this much further on, */
    bool descending;            /* the next tap one less, else one more */
} nn_axis_class;

/* The classes of one phase after the other, each phase in ascending order; at most axis->results of
 * them. They cover each result once. */
size_t nn_axis_classes(nn_axis_class *classes, const nn_axis *axis);

/* The lowest source position that the first result of the class reads. */
size_t nn_axis_lowest(const nn_axis_class *class);

#endif

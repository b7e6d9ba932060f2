/* SPDX-License-Identifier: MIT */
/* The operations of SPEC 19.1.2 once more, in the plainest loops, by the rules of SPEC.md or with
 * deviations from them: what another implementation may do. It names the cause of a difference and
 * says which mistakes a vector catches; runs never use it. SPEC 19.5. */
#ifndef NN_VARIANT_H
#define NN_VARIANT_H

#include "arena.h"
#include "case.h"

/* What can deviate; each has choices, 0 is always the rule of SPEC.md. The list and its words are
 * nn_deviation_table. */
typedef enum nn_deviation {
    NN_DEVIATE_ORDER,      /* of the products or addends of a block */
    NN_DEVIATE_BLOCKS,     /* of a sum */
    NN_DEVIATE_ARITH,      /* where products fuse with sums (SPEC 2.5) */
    NN_DEVIATE_AXES,       /* which index of a convolution's or group's sum runs fastest */
    NN_DEVIATE_WIDTH,      /* of the accumulator */
    NN_DEVIATE_SUBNORMALS, /* flushed to zero */
    NN_DEVIATE_PADDING,    /* taps outside the input */
    NN_DEVIATE_ELEMENTARY, /* exp and log of the C library: the one kind whose bits depend on where
                              it runs, so no vector's flags name it */
    NN_DEVIATE_RSQRT,
    NN_DEVIATE_MEAN,     /* sum / n, or times 1/n */
    NN_DEVIATE_VARIANCE, /* which count divides it, how it is summed */
    NN_DEVIATE_RUNNING,  /* how running statistics move */
    NN_DEVIATE_EPS,
    NN_DEVIATE_BIAS, /* of linear: added last or first */
    NN_DEVIATE_SOFTMAX,
    NN_DEVIATE_LOSS,
    NN_DEVIATE_TIES, /* among equals, and NaN */
    NN_DEVIATE_RELU,
    NN_DEVIATE_MOMENTUM,
    NN_DEVIATE_DECAY,
    NN_DEVIATE_AVERAGE,
    NN_DEVIATE_COUNT
} nn_deviation;

enum { NN_DEVIATION_CHOICES = 12 };

typedef struct nn_deviation_entry {
    size_t choices;                            /* with the rule itself */
    const char *word[NN_DEVIATION_CHOICES];    /* "reversed-order"; word[0] is NULL */
    const char *meaning[NN_DEVIATION_CHOICES]; /* one clause of a sentence each, for people */
} nn_deviation_entry;

extern const nn_deviation_entry nn_deviation_table[NN_DEVIATE_COUNT];

/* All 0: the rules. */
typedef struct nn_variant {
    unsigned char choice[NN_DEVIATE_COUNT];
} nn_variant;

/* Does nn_variant_run know the operation? */
bool nn_variant_knows(const char *op);

/* Can each deviation of the variant move an output of the operation? When not, the outputs are
 * those of a variant without it, and need not be tried. */
bool nn_variant_concerns(const char *op, const nn_variant *variant);

/* The outputs of work->op for work->inputs, in the arena, in the order of SPEC 19.1.2. outputs of
 * `work` are not read. DDOME_ERR_DATA: an unknown operation, an input or attribute missing, of the
 * wrong type or shape, without its elements, or with an index out of range; an attribute above
 * 4096, an output of more than 2^26 elements. The time is that of the plainest loops. */
DDOME_MUST_CHECK ddome_status nn_variant_run(ddome_error *error, nn_arena *arena,
                                             const nn_value **outputs, size_t *output_count,
                                             const nn_case *work, const nn_variant *variant);

/* Walks all variants with one deviation, then all with two of different kinds; false after the
 * last. Begins when *deviations is 0, which it sets to 1 or 2. */
bool nn_variant_next(nn_variant *variant, size_t *deviations);

/* "reversed-order + fused" into text; the rules themselves are "as specified". */
void nn_variant_text(char *text, size_t size, const nn_variant *variant);

#endif

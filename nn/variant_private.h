/* SPDX-License-Identifier: MIT */
/* What the files of the variants share: the choices, one operation under way, arithmetic and sums
 * with deviations. Nothing here is used by a run. SPEC 19.5. */
#ifndef NN_VARIANT_PRIVATE_H
#define NN_VARIANT_PRIVATE_H

#include "variant.h"

/* Choices of each deviation in the order of nn_deviation_table; 0 is the rule. */
enum {
    ORDER_REVERSED = 1,
    ORDER_REVERSED_BLOCKS,
    ORDER_PAIRWISE,
    ORDER_NUMPY,
    ORDER_LANES_2,
    ORDER_LANES_4,
    ORDER_LANES_8,
    ORDER_LANES_16,
    ORDER_LANES_4_TREE,
    ORDER_LANES_8_TREE,
    ORDER_LANES_16_TREE,
    ORDER_CHOICES
};
enum {
    BLOCKS_ONE = 1,
    BLOCKS_32,
    BLOCKS_64,
    BLOCKS_128,
    BLOCKS_512,
    BLOCKS_1024,
    BLOCKS_BARE,
    BLOCKS_CHOICES
};
enum { ARITH_FUSED = 1, ARITH_UNFUSED, ARITH_EVERYWHERE, ARITH_CHOICES };
enum { AXES_CHANNELS_OUTER = 1, AXES_IMAGES_INNER, AXES_IMAGES_APART, AXES_CHOICES };
enum { WIDTH_DOUBLE = 1, WIDTH_ROUNDED, WIDTH_CHOICES };
enum { SUBNORMALS_FLUSHED = 1, SUBNORMALS_RESULTS, SUBNORMALS_CHOICES };
enum { PADDING_ZEROS = 1, PADDING_UNCOUNTED, PADDING_CHOICES };
enum { ELEMENTARY_FLOAT = 1, ELEMENTARY_DOUBLE, ELEMENTARY_BASE_2, ELEMENTARY_CHOICES };
enum { RSQRT_FLOAT = 1, RSQRT_DIVIDED, RSQRT_DOUBLE, RSQRT_CHOICES };
enum { MEAN_RECIPROCAL = 1, MEAN_CHOICES };
enum { VARIANCE_BIASED = 1, VARIANCE_UNBIASED, VARIANCE_ONE_PASS, VARIANCE_CHOICES };
enum { RUNNING_DIFFERENCE = 1, RUNNING_SWAPPED, RUNNING_CHOICES };
enum { EPS_OUTSIDE = 1, EPS_1E_3, EPS_CHOICES };
enum { BIAS_FIRST = 1, BIAS_TOTAL, BIAS_CHOICES };
enum { SOFTMAX_NO_MAXIMUM = 1, SOFTMAX_RECIPROCAL, SOFTMAX_LOGARITHM, SOFTMAX_CHOICES };
enum { LOSS_PROBABILITY = 1, LOSS_NORMALISER, LOSS_SUM, LOSS_SCALE_FIRST, LOSS_CHOICES };
enum { TIES_HIGHER = 1, TIES_NAN, TIES_CHOICES };
enum { RELU_AT_ZERO = 1, RELU_NAN, RELU_MASK, RELU_CHOICES };
enum {
    MOMENTUM_DAMPENED = 1,
    MOMENTUM_MEAN,
    MOMENTUM_NESTEROV,
    MOMENTUM_RATE,
    MOMENTUM_KEPT,
    MOMENTUM_CHOICES
};
enum { DECAY_DECOUPLED = 1, DECAY_AFTER, DECAY_CHOICES };
enum { AVERAGE_FLOAT = 1, AVERAGE_SHARES, AVERAGE_FLOAT_SHARES, AVERAGE_OTHER, AVERAGE_CHOICES };

/* One operation under way. What a letter of nn_try_op stands for is size['n']. */
typedef struct nn_try {
    const nn_case *work;
    const unsigned char *choice; /* [NN_DEVIATE_COUNT] */
    ddome_error *error;
    nn_arena *arena;
    const nn_value **in; /* in the order of nn_try_op.inputs */
    size_t in_count;
    nn_value *out; /* and of .outputs */
    size_t out_count;
    float **y;                 /* elements of each output that is of floats */
    uint32_t *index;           /* and of the one of whole numbers */
    size_t size[UCHAR_MAX];    /* 0: not known yet */
    const nn_value *any, *row; /* whose shapes * and / stand for */
    float *a, *b, *spare[4];   /* scratch, see nn_try_op.room */
    bool *skip;
} nn_try;

/* An operation in words that the call of nn_variant_run reads, separated by a space:
 *   stride=s    an attribute
 *   x[nhwc]     an input, a letter a size; the same letter is the same size, and at least 1
 *   x[n/i]      the sizes behind the first are multiplied
 *   x*          of any shape, the same for all such
 *   chosen#[k]  U32; behind it <c: all below size c, ^: ascending
 *   z%[nc]      z0, z1, ... as many as size k
 *   @           Y and X become the output sizes of a window
 *   ?p<u ?k~M ?g|c   p < u, k <= M, g divides c
 * The attributes p (padding) and f (a flag, at most 1) may be 0. */
typedef struct nn_try_op {
    const char *name;
    const char *inputs, *outputs;
    const char *room; /* sizes whose product is the length of a, b, skip and spare */
    void (*run)(nn_try *t);
    unsigned long deviations; /* those that can move its outputs */
} nn_try_op;

#define NN_DEVIATES(kind) (1ul << NN_DEVIATE_##kind)

enum {
    NN_TRY_SUM =
        NN_DEVIATES(ORDER) | NN_DEVIATES(BLOCKS) | NN_DEVIATES(WIDTH) | NN_DEVIATES(SUBNORMALS)
};

/* Each table ends with a name that is NULL. */
extern const nn_try_op nn_try_products[], nn_try_norms[], nn_try_losses[], nn_try_points[];

static inline const float *nn_try_in(const nn_try *t, size_t i)
{
    return t->in[i]->f32;
}

/* ---- arithmetic: each rounded once, subnormals by the variant ---- */

float nn_try_result(const nn_try *t, float x); /* of an operation done elsewhere */
float nn_try_add(const nn_try *t, float a, float b);
float nn_try_sub(const nn_try *t, float a, float b);
float nn_try_mul(const nn_try *t, float a, float b);
float nn_try_div(const nn_try *t, float a, float b);
float nn_try_ma(const nn_try *t, float a, float b, float c); /* (a * b) + c */
float nn_try_exp(const nn_try *t, float x);
float nn_try_log(const nn_try *t, float x);
float nn_try_sqrt(const nn_try *t, float x);
float nn_try_rsqrt(const nn_try *t, float x);
float nn_try_mean(const nn_try *t, float total, size_t count);
bool nn_try_greater(const nn_try *t, float a, float b);

/* Does `value`, which comes later, take the place of the largest so far? SPEC 2.7. */
bool nn_try_wins(const nn_try *t, float value, float best);

/* ---- sums ---- */

typedef struct nn_terms {
    const float *a, *b; /* products a[k] * b[k]; b NULL: addends a[k] */
    const bool *skip;   /* NULL: none */
    size_t count;
    bool fuses;                     /* in profile fma (SPEC 2.5.1) */
    float chain_start, total_start; /* of the first chain and of the total */
} nn_terms;

float nn_try_total(const nn_try *t, const nn_terms *terms);

/* Of addends, and of products that never fuse (SPEC 2.5.2). */
float nn_try_sum(const nn_try *t, const float *x, size_t count);
float nn_try_dot(const nn_try *t, const float *a, const float *b, size_t count);

#endif

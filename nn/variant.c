/* SPDX-License-Identifier: MIT */
/* The deviations by name, and all variants with one or two of them. SPEC 19.5, 19.5.2. */
#include "variant_private.h"

#include <stdio.h>
#include <string.h>

#define CHOICE(number, name, text) .word[number] = name, .meaning[number] = text

NN_ASSUME(choices_fit, (int)ORDER_CHOICES <= (int)NN_DEVIATION_CHOICES);
NN_ASSUME(deviations_fit_a_mask, (int)NN_DEVIATE_COUNT < 31);

const nn_deviation_entry nn_deviation_table[NN_DEVIATE_COUNT] = {
    [NN_DEVIATE_ORDER] =
        {ORDER_CHOICES,
         CHOICE(ORDER_REVERSED, "reversed-order",
                "sums run from the last addend to the first and are cut into blocks from there"),
         CHOICE(ORDER_REVERSED_BLOCKS, "reversed-blocks",
                "the blocks are those of 2.3, but the last and in it the last addend comes first"),
         CHOICE(ORDER_PAIRWISE, "pairwise-order", "blocks are halved until one addend is left"),
         CHOICE(ORDER_NUMPY, "numpy-order", "blocks are added as numpy.sum does"),
         CHOICE(ORDER_LANES_2, "lanes-2", "blocks have 2 accumulators, added in order"),
         CHOICE(ORDER_LANES_4, "lanes-4", "blocks have 4 accumulators, added in order"),
         CHOICE(ORDER_LANES_8, "lanes-8", "blocks have 8 accumulators, added in order"),
         CHOICE(ORDER_LANES_16, "lanes-16", "blocks have 16 accumulators, added in order"),
         CHOICE(ORDER_LANES_4_TREE, "lanes-4-tree", "blocks have 4 accumulators, added by halves"),
         CHOICE(ORDER_LANES_8_TREE, "lanes-8-tree", "blocks have 8 accumulators, added by halves"),
         CHOICE(ORDER_LANES_16_TREE, "lanes-16-tree",
                "blocks have 16 accumulators, added by halves")},
    [NN_DEVIATE_BLOCKS] =
        {BLOCKS_CHOICES, CHOICE(BLOCKS_ONE, "one-level-sums", "a sum is one chain without blocks"),
         CHOICE(BLOCKS_32, "blocks-32", "blocks of 32"),
         CHOICE(BLOCKS_64, "blocks-64", "blocks of 64"),
         CHOICE(BLOCKS_128, "blocks-128", "blocks of 128"),
         CHOICE(BLOCKS_512, "blocks-512", "blocks of 512"),
         CHOICE(BLOCKS_1024, "blocks-1024", "blocks of 1024"),
         CHOICE(BLOCKS_BARE, "bare-first-block",
                "the total starts as the first block and not at +0, so that a -0 (2.5.3) stays")},
    [NN_DEVIATE_ARITH] = {ARITH_CHOICES,
                          CHOICE(ARITH_FUSED, "fused", "the sums of 5.1 to 5.5 fuse in profile ma"),
                          CHOICE(ARITH_UNFUSED, "unfused",
                                 "the sums of 5.1 to 5.5 do not fuse in profile fma"),
                          CHOICE(ARITH_EVERYWHERE, "fused-everywhere",
                                 "each product that is added fuses, in all operations")},
    [NN_DEVIATE_AXES] =
        {AXES_CHOICES,
         CHOICE(AXES_CHANNELS_OUTER, "channels-outermost",
                "channels run slowest: k = (ic * KH + kh) * KW + kw"),
         CHOICE(AXES_IMAGES_INNER, "images-innermost",
                "images run fastest in gradients of weights: k = (oh * OW + ow) * N + n"),
         CHOICE(AXES_IMAGES_APART, "images-apart",
                "gradients of weights are summed image by image, then added")},
    [NN_DEVIATE_WIDTH] = {WIDTH_CHOICES,
                          CHOICE(WIDTH_DOUBLE, "double-accumulator",
                                 "sums and products in binary64, rounded at the end"),
                          CHOICE(WIDTH_ROUNDED, "double-sum-of-rounded-products",
                                 "products in binary32, sums in binary64, rounded at the end")},
    [NN_DEVIATE_SUBNORMALS] = {SUBNORMALS_CHOICES,
                               CHOICE(SUBNORMALS_FLUSHED, "flush-to-zero",
                                      "subnormal operands and results become zeros"),
                               CHOICE(SUBNORMALS_RESULTS, "flush-results",
                                      "subnormal results become zeros")},
    [NN_DEVIATE_PADDING] =
        {PADDING_CHOICES,
         CHOICE(PADDING_ZEROS, "padding-as-zeros",
                "taps outside the input are zeros that are multiplied, or win a maximum"),
         CHOICE(PADDING_UNCOUNTED, "padding-uncounted",
                "skipped products do not count for the block borders")},
    [NN_DEVIATE_ELEMENTARY] = {ELEMENTARY_CHOICES,
                               CHOICE(ELEMENTARY_FLOAT, "libm", "expf and logf of the C library"),
                               CHOICE(ELEMENTARY_DOUBLE, "libm-double",
                                      "exp and log of the C library in binary64, rounded"),
                               CHOICE(ELEMENTARY_BASE_2, "libm-base-2",
                                      "exp2f(x * log2(e)) and log2f(x) * log(2)")},
    [NN_DEVIATE_RSQRT] =
        {RSQRT_CHOICES,
         CHOICE(RSQRT_FLOAT, "rsqrt-in-float", "1 / sqrt(x), each rounded to binary32"),
         CHOICE(RSQRT_DIVIDED, "divided-by-root", "norms divide by sqrt(var + eps)"),
         CHOICE(RSQRT_DOUBLE, "rsqrt-in-double",
                "norms compute 1 / sqrt(var + eps) in binary64 with eps = 1e-5 in binary64")},
    [NN_DEVIATE_MEAN] = {MEAN_CHOICES, CHOICE(MEAN_RECIPROCAL, "mean-by-reciprocal",
                                              "sums are multiplied by 1 / n")},
    [NN_DEVIATE_VARIANCE] =
        {VARIANCE_CHOICES,
         CHOICE(VARIANCE_BIASED, "biased-running-variance", "the running variance takes Q / N"),
         CHOICE(VARIANCE_UNBIASED, "unbiased-variance", "normalisation takes Q / (N - 1)"),
         CHOICE(VARIANCE_ONE_PASS, "one-pass-variance",
                "the variance is the mean of squares less the square of the mean")},
    [NN_DEVIATE_RUNNING] = {RUNNING_CHOICES,
                            CHOICE(RUNNING_DIFFERENCE, "running-by-difference",
                                   "running + m * (stat - running)"),
                            CHOICE(RUNNING_SWAPPED, "running-swapped",
                                   "m * running + (1 - m) * stat")},
    [NN_DEVIATE_EPS] = {EPS_CHOICES,
                        CHOICE(EPS_OUTSIDE, "eps-outside-root", "1 / (sqrt(var) + eps)"),
                        CHOICE(EPS_1E_3, "eps-1e-3", "eps is 1e-3")},
    [NN_DEVIATE_BIAS] = {BIAS_CHOICES,
                         CHOICE(BIAS_FIRST, "bias-first", "the first chain starts at the bias"),
                         CHOICE(BIAS_TOTAL, "bias-before-blocks", "the total starts at the bias")},
    [NN_DEVIATE_SOFTMAX] =
        {SOFTMAX_CHOICES, CHOICE(SOFTMAX_NO_MAXIMUM, "no-maximum-subtracted", "exp(z_j) as it is"),
         CHOICE(SOFTMAX_RECIPROCAL, "softmax-by-reciprocal", "e_j is multiplied by 1 / s"),
         CHOICE(SOFTMAX_LOGARITHM, "softmax-by-logarithm", "p_j = exp((z_j - m) - log(s))")},
    [NN_DEVIATE_LOSS] =
        {LOSS_CHOICES, CHOICE(LOSS_PROBABILITY, "loss-from-softmax", "the loss is -log(p_y)"),
         CHOICE(LOSS_NORMALISER, "loss-from-normaliser", "the loss is (log(s) + m) - z_y"),
         CHOICE(LOSS_SUM, "summed-loss", "loss and gradient are not divided by n"),
         CHOICE(LOSS_SCALE_FIRST, "scale-divided-first", "the gradient is (scale / n) * p")},
    [NN_DEVIATE_TIES] = {TIES_CHOICES,
                         CHOICE(TIES_HIGHER, "ties-to-higher-index",
                                "the last of equals is the largest"),
                         CHOICE(TIES_NAN, "nan-wins", "NaN is larger than all else")},
    [NN_DEVIATE_RELU] = {RELU_CHOICES,
                         CHOICE(RELU_AT_ZERO, "relu-gradient-at-zero",
                                "the gradient passes where the output is 0"),
                         CHOICE(RELU_NAN, "relu-keeps-nan", "y = +0 if x < 0, else x"),
                         CHOICE(RELU_MASK, "relu-gradient-by-mask",
                                "the gradient is multiplied by 1 or 0, so that -0 arises")},
    [NN_DEVIATE_MOMENTUM] =
        {MOMENTUM_CHOICES,
         CHOICE(MOMENTUM_DAMPENED, "dampening",
                "v = mom * v + (1 - mom) * g, but v = g at the first step"),
         CHOICE(MOMENTUM_MEAN, "velocity-as-mean", "v = mom * v + (1 - mom) * g, from v = 0"),
         CHOICE(MOMENTUM_NESTEROV, "nesterov", "w moves by g + mom * v"),
         CHOICE(MOMENTUM_RATE, "rate-in-velocity", "v = mom * v + lr * g; w = w - v"),
         CHOICE(MOMENTUM_KEPT, "velocity-not-reset", "the first step uses the velocity it finds")},
    [NN_DEVIATE_DECAY] = {DECAY_CHOICES,
                          CHOICE(DECAY_DECOUPLED, "decoupled-decay",
                                 "w is first multiplied by 1 - lr * wd"),
                          CHOICE(DECAY_AFTER, "decay-after-momentum",
                                 "wd * w is added to the velocity's step")},
    [NN_DEVIATE_AVERAGE] =
        {AVERAGE_CHOICES,
         CHOICE(AVERAGE_FLOAT, "average-in-float", "sum, weights and division in binary32"),
         CHOICE(AVERAGE_SHARES, "average-of-shares", "copies are multiplied by n_k / W first"),
         CHOICE(AVERAGE_FLOAT_SHARES, "average-of-float-shares", "the same in binary32"),
         CHOICE(AVERAGE_OTHER, "other-weights",
                "weighted by samples where uniform is asked, uniform where it is not")},
};

/* ---- all variants ---- */

/* Moves on to the next choice of `kind`, or to the first one of the next kind; false behind the
 * last kind. */
static bool advance(nn_variant *variant, size_t *kind)
{
    unsigned char *choice = variant->choice;
    if (++choice[*kind] < nn_deviation_table[*kind].choices)
        return true;
    choice[*kind] = 0;
    if (++*kind == NN_DEVIATE_COUNT)
        return false;
    choice[*kind] = 1;
    return true;
}

/* The lowest kind that deviates at or behind `kind`; NN_DEVIATE_COUNT when there is none. */
static size_t deviating(const nn_variant *variant, size_t kind)
{
    while (kind < NN_DEVIATE_COUNT && variant->choice[kind] == 0)
        kind++;
    return kind;
}

bool nn_variant_next(nn_variant *variant, size_t *deviations)
{
    if (*deviations == 0) {
        memset(variant, 0, sizeof *variant);
        variant->choice[0] = 1;
        *deviations = 1;
        return true;
    }
    size_t first = deviating(variant, 0), second = deviating(variant, first + 1);
    if (*deviations == 1) {
        if (advance(variant, &first))
            return true;
        *deviations = 2;
        first = 0;
        variant->choice[0] = 1;
    } else if (advance(variant, &second)) {
        return true;
    } else {
        advance(variant, &first); /* not behind the last kind: the walk ends before */
    }
    if (first + 1 == NN_DEVIATE_COUNT) {
        memset(variant, 0, sizeof *variant);
        return false;
    }
    variant->choice[first + 1] = 1;
    return true;
}

void nn_variant_text(char *text, size_t size, const nn_variant *variant)
{
    size_t at = 0;
    snprintf(text, size, "as specified");
    for (size_t i = 0; i < NN_DEVIATE_COUNT; i++) {
        const char *word = nn_deviation_table[i].word[variant->choice[i]];
        if (word == NULL || at >= size)
            continue;
        at += (size_t)snprintf(text + at, size - at, "%s%s", at == 0 ? "" : " + ", word);
    }
}

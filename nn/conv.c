/* SPDX-License-Identifier: MIT */
/* Direct convolution: for each run of outputs that see the same taps, one nn_chain over the taps in
 * order. SPEC 5.3 to 5.5. */
#include "conv.h"

#include "chain.h"

bool nn_conv_output(nn_conv_shape *s)
{
    if (s->n == 0 || s->h == 0 || s->w == 0 || s->c == 0 || s->oc == 0)
        return false;
    if (s->stride == 0 || s->kh == 0 || s->kw == 0)
        return false;
    if (s->h + 2 * s->pad < s->kh || s->w + 2 * s->pad < s->kw)
        return false;
    s->oh = (s->h + 2 * s->pad - s->kh) / s->stride + 1;
    s->ow = (s->w + 2 * s->pad - s->kw) / s->stride + 1;
    return true;
}

/* Columns are cut so that a tile has at least eight rows to share its weights. */
static size_t tile_cols(size_t cols)
{
    return nn_min(cols, NN_CHAIN_FLOATS / 8);
}

/* ---- forward ---- */

/* packed[kh][kw][ic][oc] from OIHW. */
static void pack_forward(float *packed, const float *weight, const nn_conv_shape *s)
{
    size_t taps = s->kh * s->kw;
    for (size_t oc = 0; oc < s->oc; oc++)
        for (size_t ic = 0; ic < s->c; ic++)
            for (size_t tap = 0; tap < taps; tap++)
                packed[(tap * s->c + ic) * s->oc + oc] = weight[(oc * s->c + ic) * taps + tap];
}

/* Taps [first, end) of a window that starts at `start` (padding counted) and meets an input of
 * `size` positions. */
typedef struct tap_range {
    size_t first, end;
} tap_range;

static tap_range taps_inside(size_t start, size_t taps, size_t pad, size_t size)
{
    tap_range range = {start < pad ? nn_min(pad - start, taps) : 0, taps};
    if (start + taps > pad + size)
        range.end = nn_max(range.first, start > pad + size ? range.first : pad + size - start);
    return range;
}

/* Outputs ow, ow+1, ... that see all taps: they share one tile. An output at the border stands
 * alone. */
static size_t run_length(const nn_conv_shape *s, size_t ow, size_t limit)
{
    size_t run = 0;
    while (run < limit && ow + run < s->ow) {
        tap_range range = taps_inside((ow + run) * s->stride, s->kw, s->pad, s->w);
        if (range.first != 0 || range.end != s->kw)
            break;
        run++;
    }
    return nn_max(run, 1);
}

/* `rows` outputs of one image row, `cols` output channels from `oc`. */
static void forward_run(float *y, const float *image, const float *packed, const nn_conv_shape *s,
                        size_t oh, size_t ow, size_t rows, size_t oc)
{
    const tap_range down = taps_inside(oh * s->stride, s->kh, s->pad, s->h);
    const tap_range right = taps_inside(ow * s->stride, s->kw, s->pad, s->w);
    const size_t cols = nn_min(tile_cols(s->oc), s->oc - oc);
    nn_chain chain;
    nn_chain_begin(&chain, y + ow * s->oc + oc, s->oc, rows, cols);
    nn_chain_skip(&chain, down.first * s->kw * s->c);
    for (size_t kh = down.first; kh < down.end; kh++) {
        if (right.first < right.end) {
            size_t ih = oh * s->stride + kh - s->pad, iw = ow * s->stride + right.first - s->pad;
            size_t k = (kh * s->kw + right.first) * s->c;
            nn_chain_skip(&chain, right.first * s->c);
            nn_chain_add(&chain, image + (ih * s->w + iw) * s->c, s->stride * s->c, 1,
                         packed + k * s->oc + oc, s->oc, (right.end - right.first) * s->c);
            nn_chain_skip(&chain, (s->kw - right.end) * s->c);
        } else {
            nn_chain_skip(&chain, s->kw * s->c);
        }
    }
    nn_chain_end(&chain);
}

ddome_status nn_conv_forward(ddome_error *error, nn_arena *scratch, float *y, const float *x,
                             const float *weight, const nn_conv_shape *s)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *packed = nn_arena_alloc(scratch, s->kh * s->kw * s->c * s->oc, sizeof *packed);
    if (packed == NULL)
        return nn_arena_fail(error, scratch, "packed convolution weights");
    pack_forward(packed, weight, s);
    for (size_t oc = 0; oc < s->oc; oc += tile_cols(s->oc)) {
        size_t limit = nn_chain_rows(s->ow, nn_min(tile_cols(s->oc), s->oc - oc));
        for (size_t n = 0; n < s->n; n++)
            for (size_t oh = 0; oh < s->oh; oh++)
                for (size_t ow = 0, rows; ow < s->ow; ow += rows) {
                    rows = run_length(s, ow, limit);
                    forward_run(y + (n * s->oh + oh) * s->ow * s->oc, x + n * s->h * s->w * s->c,
                                packed, s, oh, ow, rows, oc);
                }
    }
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

/* ---- gradient of the input ---- */

/* packed[kh][kw][oc][ic] from OIHW. */
static void pack_backward(float *packed, const float *weight, const nn_conv_shape *s)
{
    size_t taps = s->kh * s->kw;
    for (size_t oc = 0; oc < s->oc; oc++)
        for (size_t ic = 0; ic < s->c; ic++)
            for (size_t tap = 0; tap < taps; tap++)
                packed[(tap * s->oc + oc) * s->c + ic] = weight[(oc * s->c + ic) * taps + tap];
}

/* The output position that reads input position i through tap k; false when there is none. */
static bool output_of(size_t *out, size_t i, size_t k, size_t stride, size_t pad, size_t size)
{
    if (i + pad < k || (i + pad - k) % stride != 0)
        return false;
    *out = (i + pad - k) / stride;
    return *out < size;
}

/* Do two input columns see the same horizontal taps? */
static bool same_taps(const nn_conv_shape *s, size_t iw, size_t other)
{
    for (size_t kw = 0; kw < s->kw; kw++) {
        size_t ow;
        if (output_of(&ow, iw, kw, s->stride, s->pad, s->ow) !=
            output_of(&ow, other, kw, s->stride, s->pad, s->ow))
            return false;
    }
    return true;
}

/* Input columns iw, iw + stride, ... with the taps of iw: each step to the right moves every tap by
 * one output. */
static size_t gather_length(const nn_conv_shape *s, size_t iw, size_t limit)
{
    size_t run = 1;
    while (run < limit && iw + run * s->stride < s->w && same_taps(s, iw, iw + run * s->stride))
        run++;
    return run;
}

static void gather_run(float *dx, const float *dy, const float *packed, const nn_conv_shape *s,
                       size_t ih, size_t iw, size_t rows, size_t ic)
{
    nn_chain chain;
    nn_chain_begin(&chain, dx + (ih * s->w + iw) * s->c + ic, s->stride * s->c, rows,
                   nn_min(tile_cols(s->c), s->c - ic));
    for (size_t kh = 0; kh < s->kh; kh++)
        for (size_t kw = 0; kw < s->kw; kw++) {
            size_t oh, ow;
            if (output_of(&oh, ih, kh, s->stride, s->pad, s->oh) &&
                output_of(&ow, iw, kw, s->stride, s->pad, s->ow))
                nn_chain_add(&chain, dy + (oh * s->ow + ow) * s->oc, s->oc, 1,
                             packed + (kh * s->kw + kw) * s->oc * s->c + ic, s->c, s->oc);
            else
                nn_chain_skip(&chain, s->oc);
        }
    nn_chain_end(&chain);
}

/* One input row: columns in `stride` interleaved phases. */
static void gather_row(float *dx, const float *dy, const float *packed, const nn_conv_shape *s,
                       size_t ih, size_t ic)
{
    const size_t limit = nn_chain_rows(s->w, nn_min(tile_cols(s->c), s->c - ic));
    for (size_t phase = 0; phase < nn_min(s->stride, s->w); phase++)
        for (size_t iw = phase, rows; iw < s->w; iw += rows * s->stride) {
            rows = gather_length(s, iw, limit);
            gather_run(dx, dy, packed, s, ih, iw, rows, ic);
        }
}

ddome_status nn_conv_backward_input(ddome_error *error, nn_arena *scratch, float *dx,
                                    const float *dy, const float *weight, const nn_conv_shape *s)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *packed = nn_arena_alloc(scratch, s->kh * s->kw * s->c * s->oc, sizeof *packed);
    if (packed == NULL)
        return nn_arena_fail(error, scratch, "packed convolution weights");
    pack_backward(packed, weight, s);
    for (size_t ic = 0; ic < s->c; ic += tile_cols(s->c))
        for (size_t n = 0; n < s->n; n++)
            for (size_t ih = 0; ih < s->h; ih++)
                gather_row(dx + n * s->h * s->w * s->c, dy + n * s->oh * s->ow * s->oc, packed, s,
                           ih, ic);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

/* ---- gradient of the weights ---- */

/* Outputs [first, end) whose tap k lies inside an input of `size` positions. */
static tap_range outputs_inside(size_t k, size_t stride, size_t pad, size_t size, size_t outputs)
{
    tap_range range = {k < pad ? (pad - k + stride - 1) / stride : 0, outputs};
    size_t beyond = size + pad > k ? (size + pad - k + stride - 1) / stride
                                   : 0; /* first output past the input */
    range.first = nn_min(range.first, outputs);
    range.end = nn_max(range.first, nn_min(outputs, beyond));
    return range;
}

/* The tile [rows x cols] of one tap: input channels from ic, output channels from oc. */
static void weight_tile(float *tap, const float *dy, const float *x, const nn_conv_shape *s,
                        size_t kh, size_t kw, size_t ic, size_t rows, size_t oc, size_t cols)
{
    const tap_range down = outputs_inside(kh, s->stride, s->pad, s->h, s->oh);
    const tap_range right = outputs_inside(kw, s->stride, s->pad, s->w, s->ow);
    nn_chain chain;
    nn_chain_begin(&chain, tap + ic * s->oc + oc, s->oc, rows, cols);
    for (size_t n = 0; n < s->n; n++)
        for (size_t oh = 0; oh < s->oh; oh++) {
            if (oh < down.first || oh >= down.end || right.first == right.end) {
                nn_chain_skip(&chain, s->ow);
                continue;
            }
            size_t ih = oh * s->stride + kh - s->pad, iw = right.first * s->stride + kw - s->pad;
            nn_chain_skip(&chain, right.first);
            nn_chain_add(&chain, x + ((n * s->h + ih) * s->w + iw) * s->c + ic, 1, s->stride * s->c,
                         dy + ((n * s->oh + oh) * s->ow + right.first) * s->oc + oc, s->oc,
                         right.end - right.first);
            nn_chain_skip(&chain, s->ow - right.end);
        }
    nn_chain_end(&chain);
}

static void weight_tap(float *tap, const float *dy, const float *x, const nn_conv_shape *s,
                       size_t kh, size_t kw)
{
    for (size_t oc = 0; oc < s->oc; oc += tile_cols(s->oc)) {
        size_t cols = nn_min(tile_cols(s->oc), s->oc - oc), rows;
        for (size_t ic = 0; ic < s->c; ic += rows) {
            rows = nn_chain_rows(s->c - ic, cols);
            weight_tile(tap, dy, x, s, kh, kw, ic, rows, oc, cols);
        }
    }
}

ddome_status nn_conv_backward_weight(ddome_error *error, nn_arena *scratch, float *dw,
                                     const float *dy, const float *x, const nn_conv_shape *s)
{
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    float *tap = nn_arena_alloc(scratch, s->c * s->oc, sizeof *tap); /* [ic][oc] of one tap */
    if (tap == NULL)
        return nn_arena_fail(error, scratch, "a tap of a weight gradient");
    const size_t taps = s->kh * s->kw;
    for (size_t kh = 0; kh < s->kh; kh++)
        for (size_t kw = 0; kw < s->kw; kw++) {
            weight_tap(tap, dy, x, s, kh, kw);
            for (size_t oc = 0; oc < s->oc; oc++)
                for (size_t ic = 0; ic < s->c; ic++)
                    dw[(oc * s->c + ic) * taps + kh * s->kw + kw] = tap[ic * s->oc + oc];
        }
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

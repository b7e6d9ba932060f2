/* SPDX-License-Identifier: MIT */
/* Gradient of the weights: for each tap a sum over all output positions, in blocks of NN_BLOCK of
 * them that run across images; rows are input channels, columns output channels. SPEC 5.5. */
#include "conv.h"

#include <string.h>

#include "chain.h"

typedef struct weights {
    const nn_engine *engine;
    const nn_conv_shape *shape;
    const float *x, *dy;
    float *dw;
    float *work; /* [workers]: a block of dy, then the gradients of the part */
    size_t work_floats;
    nn_chain *chains;      /* [lists][taps]: the products of a block */
    size_t blocks, period; /* a block sees the same taps as the one `period` before */
    size_t slices;         /* parts of the input channels */
} weights;

/* A part: output channels first .. first + cols, input channels low .. high. */
typedef struct part_range {
    size_t first, cols, low, high;
} part_range;

/* Outputs [first, end) whose tap k lies inside an input of `size` positions. */
typedef struct output_range {
    size_t first, end;
} output_range;

static output_range outputs_inside(size_t k, size_t stride, size_t pad, size_t size, size_t outputs)
{
    output_range range = {k < pad ? (pad - k + stride - 1) / stride : 0, outputs};
    const size_t beyond = size + pad > k ? (size + pad - k + stride - 1) / stride
                                         : 0; /* first output past the input */
    range.first = nn_min(range.first, outputs);
    range.end = nn_max(range.first, nn_min(outputs, beyond));
    return range;
}

/* A panel of dy. */
typedef struct panel_rows {
    const float *rows;
    size_t step;
} panel_rows;

static bool many_products(const nn_conv_shape *s)
{
    return s->kh * s->kw * s->c >= NN_CHAIN_LONG;
}

enum { COPIED = 8 }; /* floats at a time, so that no row is copied by a call */

/* Rows p .. end of dy, columns of the part: packed close together, or where they stand when they
 * are used little and are as wide as a tile reads them. */
static panel_rows block_rows(float *packed, const weights *w, const part_range *part, size_t p,
                             size_t end)
{
    const nn_kernels *kernels = w->engine->kernels;
    const size_t step = w->shape->oc;
    const float *from = w->dy + p * step + part->first;
    if (part->cols == nn_tile_width(kernels, part->cols) && !many_products(w->shape))
        return (panel_rows){from, step};
    float *to = packed;
    for (; p < end; p++, to += kernels->panel, from += step) {
        size_t j = 0;
        for (; j + COPIED <= part->cols; j += COPIED)
            memcpy(to + j, from + j, COPIED * sizeof *to);
        for (; j < part->cols; j++)
            to[j] = from[j];
    }
    return (panel_rows){packed, kernels->panel};
}

/* ---- products of a block ---- */

static size_t output_count(const nn_conv_shape *s)
{
    return s->n * s->oh * s->ow;
}

/* The image that the first block of a period starts in. */
static size_t first_image(const weights *w, size_t block)
{
    return block / w->period * w->period * NN_BLOCK / (w->shape->oh * w->shape->ow);
}

/* The products of tap (kh, kw) in a block, offsets counted from its first_image. */
static void list_block(nn_chain *chain, const weights *w, size_t kh, size_t kw, size_t block)
{
    const nn_conv_shape *s = w->shape;
    const output_range down = outputs_inside(kh, s->stride, s->pad, s->h, s->oh);
    const output_range right = outputs_inside(kw, s->stride, s->pad, s->w, s->ow);
    const size_t start = block * NN_BLOCK, end = nn_min(start + NN_BLOCK, output_count(s));
    for (size_t p = start, stop; p < end; p = stop) {
        const size_t line = p / s->ow, oh = line % s->oh, n = line / s->oh - first_image(w, block);
        const size_t first = line * s->ow;
        stop = nn_min(end, first + s->ow);
        const size_t from = nn_max(p, first + right.first), to = nn_min(stop, first + right.end);
        if (oh >= down.first && oh < down.end && from < to) {
            const size_t ih = oh * s->stride + kh - s->pad;
            const size_t iw = (from - first) * s->stride + kw - s->pad;
            nn_chain_add(chain, ((n * s->h + ih) * s->w + iw) * s->c, from - start, to - from);
        }
    }
}

/* One list for each block of a period, and one for a last block that is cut short. */
static size_t list_of(const weights *w, size_t block)
{
    const bool cut = block + 1 == w->blocks && output_count(w->shape) % NN_BLOCK != 0;
    return cut ? nn_min(w->period, w->blocks - 1) : block % w->period;
}

static bool list_products(weights *w, nn_arena *scratch)
{
    const nn_conv_shape *s = w->shape;
    const size_t taps = s->kh * s->kw, lists = nn_min(w->period + 1, w->blocks);
    w->chains = nn_arena_zero(scratch, lists, taps * sizeof *w->chains);
    for (size_t block = 0; w->chains != NULL && block < w->blocks; block++)
        for (size_t tap = 0; tap < taps; tap++) {
            nn_chain *chain = &w->chains[list_of(w, block) * taps + tap];
            if (chain->runs != NULL)
                continue; /* that of an earlier period */
            if (!nn_chain_begin(chain, scratch, NN_BLOCK / s->ow + 2, NN_BLOCK, s->stride * s->c))
                return false;
            list_block(chain, w, tap / s->kw, tap % s->kw, block);
        }
    return w->chains != NULL;
}

/* Blocks until block borders and image borders meet again. */
static size_t period_of(const nn_conv_shape *s)
{
    size_t common = NN_BLOCK; /* greatest common divisor: a power of two */
    while (s->oh * s->ow % common != 0)
        common /= 2;
    return s->oh * s->ow / common;
}

/* ---- sums ---- */

/* Adds one block of one tap to the part's gradients [ic][panel]. */
static void add_tap(const weights *w, const part_range *part, const nn_chain *chain, float *tap,
                    const float *x, const panel_rows *b, bool fresh)
{
    const size_t panel = w->engine->kernels->panel;
    const size_t most = nn_tile_rows(w->engine->kernels, part->cols);
    const size_t channels = part->high - part->low, tiles = (channels + most - 1) / most;
    nn_tile tile = {.cols = part->cols, .total_row = panel, .a_row = 1, .b_step = b->step};
    for (size_t t = 0, at = 0; t < tiles; t++, at += tile.rows) {
        tile.rows = (channels - at) / (tiles - t);
        tile.fresh = fresh;
        nn_chain_total(chain, w->engine, tap + at * panel, x + at, b->rows, &tile);
    }
}

enum { UNPACK_CHANNELS = 16 };

/* dw[oc][ic][kh][kw] from grads[kh][kw][ic][oc]. */
static void unpack(const weights *w, const part_range *part, const float *grads)
{
    const size_t panel = w->engine->kernels->panel, taps = w->shape->kh * w->shape->kw;
    const size_t channels = part->high - part->low;
    for (size_t low = 0; low < channels; low += UNPACK_CHANNELS)
        for (size_t j = 0; j < part->cols; j++)
            for (size_t i = low; i < nn_min(channels, low + UNPACK_CHANNELS); i++) {
                float *to = w->dw + ((part->first + j) * w->shape->c + part->low + i) * taps;
                for (size_t tap = 0; tap < taps; tap++)
                    to[tap] = grads[(tap * channels + i) * panel + j];
            }
}

/* While a block is computed, the next one is on its way: a share of it with each tap. */
static void fetch_share(const weights *w, const part_range *part, size_t next, size_t tap)
{
    const nn_conv_shape *s = w->shape;
    const size_t outputs = output_count(s), taps = s->kh * s->kw;
    const uint64_t inputs = s->n * s->h * s->w; /* products with it may pass 32 bits */
    const size_t count = nn_min(NN_BLOCK, outputs - next);
    const size_t first = next + count * tap / taps, end = next + count * (tap + 1) / taps;
    for (size_t p = first; p < end; p++)
        w->engine->kernels->fetch(w->dy + p * s->oc + part->first, part->cols);
    const size_t from = (size_t)(first * inputs / outputs), to = (size_t)(end * inputs / outputs);
    w->engine->kernels->fetch(w->x + from * s->c, (to - from) * s->c);
}

static void weights_part(void *context, size_t index, size_t worker)
{
    const weights *w = context;
    const nn_conv_shape *s = w->shape;
    const size_t panel = w->engine->kernels->panel, slice = index % w->slices;
    const size_t taps = s->kh * s->kw;
    part_range part = {.first = index / w->slices * panel,
                       .low = s->c * slice / w->slices,
                       .high = s->c * (slice + 1) / w->slices};
    part.cols = nn_min(panel, s->oc - part.first);
    float *packed = w->work + worker * w->work_floats, *grads = packed + NN_BLOCK * panel;
    const size_t outputs = output_count(s), tap_floats = (part.high - part.low) * panel;
    for (size_t block = 0; block < w->blocks; block++) {
        const size_t p = block * NN_BLOCK, end = nn_min(outputs, p + NN_BLOCK);
        const panel_rows b = block_rows(packed, w, &part, p, end);
        const nn_chain *chains = w->chains + list_of(w, block) * taps;
        const float *x = w->x + first_image(w, block) * s->h * s->w * s->c + part.low;
        for (size_t tap = 0; tap < taps; tap++) {
            if (many_products(s))
                fetch_share(w, &part, end, tap);
            add_tap(w, &part, &chains[tap], grads + tap * tap_floats, x, &b, block == 0);
        }
    }
    unpack(w, &part, grads);
}

ddome_status nn_conv_backward_weight(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                                     float *dw, const float *dy, const float *x,
                                     const nn_conv_shape *s)
{
    const size_t panel = engine->kernels->panel, panels = (s->oc + panel - 1) / panel;
    const size_t workers = nn_team_size(engine->team);
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    weights w = {.engine = engine, .shape = s, .x = x, .dy = dy, .dw = dw};
    w.slices = workers == 1 ? 1 : nn_min(s->c, (2 * workers + panels - 1) / panels);
    w.blocks = (output_count(s) + NN_BLOCK - 1) / NN_BLOCK;
    w.period = period_of(s);
    const size_t work_rows = NN_BLOCK + s->kh * s->kw * ((s->c + w.slices - 1) / w.slices);
    w.work_floats = work_rows * panel;
    w.work = nn_arena_zero(scratch, work_rows, workers * panel * sizeof *w.work);
    if (w.work == NULL || !list_products(&w, scratch))
        return nn_arena_fail(error, scratch, "a weight gradient");
    nn_team_run(engine->team, weights_part, &w, panels * w.slices);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

/* SPDX-License-Identifier: MIT */
/* Direct convolution and the gradient of its input: both gather, for every result, the taps it sees
 * in order; results that see the same taps fill the rows of one tile, channels its columns.
 * SPEC 5.3, 5.4. */
#include "conv.h"

#include "chain.h"
#include "conv_axis.h"

bool nn_conv_output(nn_conv_shape *s)
{
    if (s->n == 0 || s->h == 0 || s->w == 0 || s->c == 0 || s->oc == 0)
        return false;
    if (s->stride == 0 || s->kh == 0 || s->kw == 0)
        return false;
    if (s->pad > (SIZE_MAX - nn_max(s->h, s->w)) / 2)
        return false;
    if (s->h + 2 * s->pad < s->kh || s->w + 2 * s->pad < s->kw)
        return false;
    s->oh = (s->h + 2 * s->pad - s->kh) / s->stride + 1;
    s->ow = (s->w + 2 * s->pad - s->kw) / s->stride + 1;
    return true;
}

/* One side of the gather. */
typedef struct plane {
    size_t h, w, c;
} plane;

/* Results of one class down and one class right, and the chain they share. */
typedef struct region {
    const nn_axis_class *down, *right;
    size_t base; /* lowest source position of its first result, in floats */
    nn_chain chain;
} region;

typedef struct gather {
    const nn_engine *engine;
    const nn_conv_shape *shape;
    bool backward;
    plane result, source;
    region *regions;
    size_t region_count;
    const float *weight, *in;
    size_t in_floats;
    bool fetches; /* a tile takes long enough to be worth it */
    float *out;
    float *packed;        /* [workers][taps * source.c][panel] */
    size_t packed_floats; /* of one worker */
    size_t slices;        /* parts of the batch */
} gather;

/* ---- packed weights ---- */

enum { PACK_CHANNELS = 16 }; /* a slab of 9 taps and these channels stays in first-level cache */

/* packed[(kh*KW + kw)*C + ic][oc] of output channels first .. first + cols. */
static void pack_forward(float *packed, const gather *g, size_t first, size_t cols)
{
    const size_t taps = g->shape->kh * g->shape->kw;
    const size_t panel = g->engine->kernels->panel, c = g->shape->c;
    for (size_t low = 0; low < c; low += PACK_CHANNELS)
        for (size_t j = 0; j < cols; j++) {
            const size_t end = nn_min(c, low + PACK_CHANNELS);
            const float *row = g->weight + (first + j) * c * taps;
            g->engine->kernels->fetch(row + end * taps, nn_min(c - end, PACK_CHANNELS) * taps);
            for (size_t ic = low; ic < end; ic++)
                for (size_t tap = 0; tap < taps; tap++)
                    packed[(tap * c + ic) * panel + j] = row[ic * taps + tap];
        }
}

/* packed[(kh*KW + kw)*OC + oc][ic] of input channels first .. first + cols. */
static void pack_backward(float *packed, const gather *g, size_t first, size_t cols)
{
    const size_t taps = g->shape->kh * g->shape->kw;
    const size_t panel = g->engine->kernels->panel, c = g->shape->c, oc = g->shape->oc;
    for (size_t i = 0; i < oc; i++) {
        if (i + 2 < oc)
            g->engine->kernels->fetch(g->weight + ((i + 2) * c + first) * taps, cols * taps);
        for (size_t j = 0; j < cols; j++) {
            const float *from = g->weight + (i * c + first + j) * taps;
            for (size_t tap = 0; tap < taps; tap++)
                packed[(tap * oc + i) * panel + j] = from[tap];
        }
    }
}

/* ---- chains ---- */

/* The products of one tap row, from column `right` on: whole runs of source channels. */
static void list_taps(region *r, const gather *g, size_t kh, size_t line)
{
    const size_t c = g->source.c, lowest = nn_axis_lowest(r->right);
    size_t next = 0; /* column of the window */
    for (size_t t = 0; t < r->right->taps; t++) {
        const size_t kw = r->right->tap + t * r->right->tap_step;
        const size_t column = r->right->descending ? r->right->source - t : r->right->source + t;
        nn_chain_skip(&r->chain, (kw - next) * c);
        nn_chain_add(&r->chain, line + (column - lowest) * c, (kh * g->shape->kw + kw) * c, c);
        next = kw + 1;
    }
    nn_chain_skip(&r->chain, (g->shape->kw - next) * c);
}

static void list_products(region *r, const gather *g)
{
    const size_t row = g->shape->kw * g->source.c, lowest = nn_axis_lowest(r->down);
    size_t next = 0; /* row of the window */
    for (size_t t = 0; t < r->down->taps; t++) {
        const size_t kh = r->down->tap + t * r->down->tap_step;
        const size_t line = r->down->descending ? r->down->source - t : r->down->source + t;
        nn_chain_skip(&r->chain, (kh - next) * row);
        list_taps(r, g, kh, (line - lowest) * g->source.w * g->source.c);
        next = kh + 1;
    }
    r->base = (lowest * g->source.w + nn_axis_lowest(r->right)) * g->source.c;
}

static bool plan_regions(gather *g, nn_arena *scratch, const nn_axis *down, const nn_axis *right)
{
    nn_axis_class *downs = nn_arena_alloc(scratch, down->results, sizeof *downs);
    nn_axis_class *rights = nn_arena_alloc(scratch, right->results, sizeof *rights);
    if (downs == NULL || rights == NULL)
        return false;
    const size_t rows = nn_axis_classes(downs, down), cols = nn_axis_classes(rights, right);
    const size_t taps = down->kernel * right->kernel;
    g->regions = nn_arena_alloc(scratch, rows * cols, sizeof *g->regions);
    for (size_t i = 0; g->regions != NULL && i < rows * cols; i++) {
        region *r = &g->regions[i];
        r->down = &downs[i / cols];
        r->right = &rights[i % cols];
        if (!nn_chain_begin(&r->chain, scratch, taps, taps * g->source.c, 1))
            return false;
        list_products(r, g);
    }
    g->region_count = rows * cols;
    return g->regions != NULL;
}

/* ---- tiles ---- */

/* Results along one direction: how many, and how far apart on both sides. */
typedef struct line {
    size_t count, out, in;
    bool touching; /* what they read lies together */
} line;

/* While a tile is computed, what the same columns of the next line will read for the first time is
 * on its way: the source row behind the last one. */
static void fetch_next(const gather *g, const region *r, const float *in, size_t count)
{
    const size_t row = g->source.w * g->source.c, ahead = r->down->taps * row;
    const size_t left = g->in_floats - (size_t)(in - g->in);
    if (ahead < left)
        g->engine->kernels->fetch(in + ahead, nn_min(count, left - ahead));
}

/* Splits a line of results evenly into tiles. */
static void tile_line(const gather *g, const region *r, float *out, const float *in,
                      const float *packed, const line *along, size_t cols)
{
    const size_t most = nn_tile_rows(g->engine->kernels, cols);
    const size_t tiles = (along->count + most - 1) / most;
    nn_tile tile = {.cols = cols,
                    .total_row = along->out,
                    .a_row = along->in,
                    .b_step = g->engine->kernels->panel};
    for (size_t t = 0, at = 0; t < tiles; t++, at += tile.rows) {
        tile.rows = (along->count - at) / (tiles - t);
        tile.fresh = true;
        if (along->touching && g->fetches && r->chain.block_count != 0)
            fetch_next(g, r, in + at * along->in, tile.rows * along->in);
        nn_chain_total(&r->chain, g->engine, out + at * along->out, in + at * along->in, packed,
                       &tile);
    }
}

enum { ROWS_ENOUGH = 6 }; /* chains of that many rows keep the multipliers busy */

/* The first direction with enough results, else the longest. */
static void order_lines(line lines[3])
{
    size_t best = 0;
    for (size_t i = 1; i < 3; i++)
        if (lines[best].count < ROWS_ENOUGH && lines[i].count > lines[best].count)
            best = i;
    const line along = lines[best];
    lines[best] = lines[0];
    lines[0] = along;
}

/* All results of a region in `images` images; columns from `first`. */
static void gather_region(const gather *g, const region *r, float *out, const float *in,
                          const float *packed, size_t images, size_t cols)
{
    const plane *to = &g->result, *from = &g->source;
    line lines[3] = {
        {r->right->count, r->right->step * to->c, r->right->source_step * from->c, true},
        {r->down->count, r->down->step * to->w * to->c, r->down->source_step * from->w * from->c,
         false},
        {images, to->h * to->w * to->c, from->h * from->w * from->c, false}};
    order_lines(lines);
    out += (r->down->first * to->w + r->right->first) * to->c;
    in += r->base;
    for (size_t i = 0; i < lines[1].count; i++)
        for (size_t j = 0; j < lines[2].count; j++)
            tile_line(g, r, out + i * lines[1].out + j * lines[2].out,
                      in + i * lines[1].in + j * lines[2].in, packed, &lines[0], cols);
}

/* Source and result of the images taken at a time: about a second-level cache, and enough images of
 * the smallest size to fill the rows of a tile. */
enum { GROUP_BYTES = 1024 * 1024 };

/* One panel of channels for one slice of the batch. */
static void gather_part(void *context, size_t part, size_t worker)
{
    const gather *g = context;
    const size_t panel = g->engine->kernels->panel, first = part / g->slices * panel;
    const size_t cols = nn_min(panel, g->result.c - first), slice = part % g->slices;
    const size_t begin = g->shape->n * slice / g->slices,
                 end = g->shape->n * (slice + 1) / g->slices;
    const size_t in_image = g->source.h * g->source.w * g->source.c;
    const size_t out_image = g->result.h * g->result.w * g->result.c;
    const size_t group = nn_max(1, GROUP_BYTES / sizeof(float) / (in_image + out_image));
    float *packed = g->packed + worker * g->packed_floats;
    (g->backward ? pack_backward : pack_forward)(packed, g, first, cols);
    for (size_t n = begin; n < end; n += group)
        for (size_t i = 0; i < g->region_count; i++)
            gather_region(g, &g->regions[i], g->out + n * out_image + first, g->in + n * in_image,
                          packed, nn_min(group, end - n), cols);
}

/* Fewest slices that give every worker a part or two. */
static size_t slices_of(size_t panels, size_t images, const nn_team *team)
{
    const size_t workers = nn_team_size(team), parts = workers == 1 ? 1 : 2 * workers;
    return nn_min(images, (parts + panels - 1) / panels);
}

static ddome_status run_gather(gather *g, ddome_error *error, nn_arena *scratch,
                               const nn_axis *down, const nn_axis *right)
{
    const size_t panel = g->engine->kernels->panel, panels = (g->result.c + panel - 1) / panel;
    const size_t workers = nn_team_size(g->engine->team);
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    g->packed_floats = down->kernel * right->kernel * g->source.c * panel;
    g->packed = nn_arena_zero(scratch, down->kernel * right->kernel * g->source.c,
                              workers * panel * sizeof *g->packed);
    g->in_floats = g->shape->n * g->source.h * g->source.w * g->source.c;
    g->fetches = down->kernel * right->kernel * g->source.c >= NN_CHAIN_LONG;
    g->slices = slices_of(panels, g->shape->n, g->engine->team);
    if (g->packed == NULL || !plan_regions(g, scratch, down, right))
        return nn_arena_fail(error, scratch, "packed convolution weights");
    nn_team_run(g->engine->team, gather_part, g, panels * g->slices);
    nn_arena_rewind(scratch, mark);
    return DDOME_OK;
}

ddome_status nn_conv_forward(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                             float *y, const float *x, const float *weight, const nn_conv_shape *s)
{
    const nn_axis down = {s->oh, s->h, s->kh, s->stride, s->pad, false};
    const nn_axis right = {s->ow, s->w, s->kw, s->stride, s->pad, false};
    gather g = {.engine = engine, .shape = s, .weight = weight, .in = x, .out = y};
    g.result = (plane){s->oh, s->ow, s->oc};
    g.source = (plane){s->h, s->w, s->c};
    return run_gather(&g, error, scratch, &down, &right);
}

ddome_status nn_conv_backward_input(const nn_engine *engine, ddome_error *error, nn_arena *scratch,
                                    float *dx, const float *dy, const float *weight,
                                    const nn_conv_shape *s)
{
    const nn_axis down = {s->h, s->oh, s->kh, s->stride, s->pad, true};
    const nn_axis right = {s->w, s->ow, s->kw, s->stride, s->pad, true};
    gather g = {
        .engine = engine, .shape = s, .backward = true, .weight = weight, .in = dy, .out = dx};
    g.result = (plane){s->h, s->w, s->c};
    g.source = (plane){s->oh, s->ow, s->oc};
    return run_gather(&g, error, scratch, &down, &right);
}

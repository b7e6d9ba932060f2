/* SPDX-License-Identifier: MIT */
/* Draws the generated set: a shape on a domain's texture, a distractor, noise. SPEC 7.4. */
#include "synth.h"

#include <stdlib.h>

#include "../nn/rng.h"

enum {
    CHANNELS = 3,
    SHAPES = 8,
    TEXTURES = 5,
    COLOURS = 8,
    FULL_LEVEL = 8, /* a texture's darkest tone */
    LEVEL_STEP = 6, /* bytes of one texture level */
    JITTER = 24     /* a colour moves by -24..24 in each channel, image by image */
};

/* SPEC 7.4.4: dx to the right, dy down from the centre, r >= 2 the radius. */
typedef bool inside_fn(int dx, int dy, int r);

static bool in_box(int dx, int dy, int r)
{
    return abs(dx) <= r && abs(dy) <= r;
}

static bool disc(int dx, int dy, int r)
{
    return dx * dx + dy * dy <= r * r;
}

static bool cross(int dx, int dy, int r)
{
    return in_box(dx, dy, r) && (3 * abs(dx) <= r || 3 * abs(dy) <= r);
}

static bool square(int dx, int dy, int r)
{
    return in_box(dx, dy, r - r / 4);
}

static bool bar(int dx, int dy, int r)
{
    return in_box(dx, dy, r) && 3 * abs(dy) <= r;
}

static bool triangle(int dx, int dy, int r)
{
    return in_box(dx, dy, r) && 2 * abs(dx) <= dy + r;
}

static bool ring(int dx, int dy, int r)
{
    return disc(dx, dy, r) && 2 * (dx * dx + dy * dy) > r * r;
}

static bool diagonal(int dx, int dy, int r)
{
    return in_box(dx, dy, r) && 2 * abs(dx - dy) <= r;
}

static bool corner(int dx, int dy, int r)
{
    return in_box(dx, dy, r) && (3 * dx < -r || 3 * dy > r);
}

static inside_fn *const shape_table[SHAPES] = {disc,     cross, square,   bar,
                                               triangle, ring,  diagonal, corner};

/* SPEC 7.4.3. Entries 4 apart are ground and ink of one domain and change places in another. */
static const uint8_t colour_table[COLOURS][CHANNELS] = {
    {190, 80, 70},  {80, 165, 90},  {80, 95, 190}, {190, 180, 85},
    {80, 180, 185}, {180, 85, 175}, {85, 85, 85},  {185, 185, 185}};

typedef struct colour {
    int channel[CHANNELS];
} colour;

typedef struct brush {
    inside_fn *inside;
    colour ink;
    int x, y, r;
} brush;

typedef struct scene {
    int size, period, phase;
    size_t texture;
    colour ground;
    brush shape, distractor;
} scene;

static size_t ground_of(size_t domain)
{
    return domain % COLOURS;
}

/* The offset from the ground is 4..7 as domain < 128: ink and ground never agree. */
static size_t ink_of(size_t domain)
{
    return (domain + 4 + domain / COLOURS / TEXTURES) % COLOURS;
}

static size_t texture_of(size_t domain)
{
    return (domain + domain / COLOURS) % TEXTURES;
}

static int draw(nn_rng *rng, int bound)
{
    return (int)nn_rng_below(rng, (uint32_t)bound);
}

static colour draw_colour(nn_rng *rng, size_t entry)
{
    colour drawn;
    for (size_t c = 0; c < CHANNELS; c++)
        drawn.channel[c] = colour_table[entry][c] + draw(rng, 2 * JITTER + 1) - JITTER;
    return drawn;
}

/* Shape s of domain d is drawn as shape s + d: no drawn shape has one meaning (SPEC 7.4.2). */
static brush draw_shape(nn_rng *rng, const data_synth_source *source, size_t domain, size_t shape)
{
    int size = (int)source->size, least = size * 3 / 16 < 2 ? 2 : size * 3 / 16;
    brush b;
    b.inside = shape_table[(shape + domain) % source->shapes];
    b.ink = draw_colour(rng, ink_of(domain));
    b.r = least + draw(rng, size / 8 + 1);
    b.x = b.r + draw(rng, size - 2 * b.r);
    b.y = b.r + draw(rng, size - 2 * b.r);
    return b;
}

/* A small piece of another shape in another domain's ink; it may leave the image. */
static brush draw_distractor(nn_rng *rng, const data_synth_source *source, size_t domain,
                             size_t shape)
{
    int size = (int)source->size;
    size_t shape_step = 1 + nn_rng_below(rng, (uint32_t)source->shapes - 1);
    size_t domain_step = 1 + nn_rng_below(rng, COLOURS - 1);
    brush b;
    b.inside = shape_table[(shape + domain + shape_step) % source->shapes];
    b.ink = draw_colour(rng, (ink_of(domain) + domain_step) % COLOURS);
    b.r = size / 8;
    b.x = draw(rng, size);
    b.y = draw(rng, size);
    return b;
}

/* SPEC 7.4.6: the order of the statements is the order of the draws. */
static scene draw_scene(nn_rng *rng, const data_synth_source *source, size_t label)
{
    size_t domain = label / source->shapes, shape = label % source->shapes;
    scene s;
    s.size = (int)source->size;
    s.period = s.size / 8;
    s.texture = texture_of(domain);
    s.ground = draw_colour(rng, ground_of(domain));
    s.phase = draw(rng, 2 * s.period);
    s.shape = draw_shape(rng, source, domain, shape);
    s.distractor = draw_distractor(rng, source, domain, shape);
    return s;
}

/* 0 (the ground's own tone) .. FULL_LEVEL; SPEC 7.4.5. */
static int texture_level(const scene *s, int x, int y)
{
    int across = (x + s->phase) / s->period, down = (y + s->phase) / s->period;
    switch (s->texture) {
    case 0:
        return down % 2 * FULL_LEVEL;
    case 1:
        return across % 2 * FULL_LEVEL;
    case 2:
        return (across + down) % 2 * FULL_LEVEL;
    case 3:
        return (x + y + s->phase) / s->period % 2 * FULL_LEVEL;
    default:
        return y * (FULL_LEVEL + 1) / s->size;
    }
}

static bool covers(const brush *b, int x, int y)
{
    return b->inside(x - b->x, y - b->y, b->r);
}

/* SPEC 7.4.7. */
static colour colour_at(const scene *s, int x, int y)
{
    if (covers(&s->shape, x, y))
        return s->shape.ink;
    if (covers(&s->distractor, x, y))
        return s->distractor.ink;
    colour seen = s->ground;
    for (size_t c = 0; c < CHANNELS; c++)
        seen.channel[c] -= LEVEL_STEP * texture_level(s, x, y);
    return seen;
}

static uint8_t clamp(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* The noise comes last, pixel by pixel (SPEC 7.4.6), and only its sum is clamped (SPEC 7.4.7). */
static void draw_image(uint8_t *pixels, nn_rng *rng, const data_synth_source *source, size_t label)
{
    scene s = draw_scene(rng, source, label);
    int noise = (int)source->noise;
    for (int y = 0; y < s.size; y++)
        for (int x = 0; x < s.size; x++) {
            colour seen = colour_at(&s, x, y);
            for (size_t c = 0; c < CHANNELS; c++)
                *pixels++ = clamp(seen.channel[c] + draw(rng, 2 * noise + 1) - noise);
        }
}

static ddome_status draw_split(ddome_error *error, nn_arena *arena, data_split *split,
                               const data_synth_source *source, nn_stream stream, size_t count)
{
    size_t bytes = source->size * source->size * CHANNELS;
    uint8_t *pixels = nn_arena_alloc(arena, count, bytes);
    uint8_t *labels = nn_arena_alloc(arena, count, 1);
    if (pixels == NULL || labels == NULL)
        return nn_arena_fail(error, arena, "generated images");
    for (size_t i = 0; i < count; i++) {
        nn_rng rng = nn_rng_at(source->seed, stream, 0, 0, (uint32_t)i);
        labels[i] = (uint8_t)(i % (source->domains * source->shapes));
        draw_image(pixels + i * bytes, &rng, source, labels[i]);
    }
    split->count = count;
    split->pixels = pixels;
    split->labels = labels;
    split->hash = data_split_hash(split, bytes);
    return DDOME_OK;
}

typedef struct limit {
    const char *key;
    size_t value, low, high;
} limit;

/* SPEC 7.4.1. */
static ddome_status check_source(ddome_error *error, const data_synth_source *source)
{
    const limit limits[] = {{"synth_train", source->train, 10, 10000000},
                            {"synth_test", source->test, 1, 10000000},
                            {"synth_size", source->size, 8, 256},
                            {"synth_shapes", source->shapes, 2, SHAPES},
                            {"synth_domains", source->domains, 1, 255 / nn_max(source->shapes, 2)},
                            {"synth_noise", source->noise, 0, 255}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value < limits[i].low || limits[i].value > limits[i].high)
            return nn_fail(error, DDOME_ERR_USAGE, "%s = %lu: expected %lu..%lu", limits[i].key,
                           (unsigned long)limits[i].value, (unsigned long)limits[i].low,
                           (unsigned long)limits[i].high);
    return DDOME_OK;
}

/* The constants of SPEC 7.3.2. */
ddome_status data_synth_load(ddome_error *error, nn_arena *arena, data_set *set,
                             const data_synth_source *source)
{
    const float mean[CHANNELS] = {0.5f, 0.5f, 0.5f}, deviation[CHANNELS] = {0.25f, 0.25f, 0.25f};
    ddome_status status = check_source(error, source);
    if (status != DDOME_OK)
        return status;
    data_set drawn = {0};
    drawn.name = "synth";
    drawn.h = drawn.w = source->size;
    drawn.c = CHANNELS;
    drawn.classes = source->domains * source->shapes;
    data_set_normalize(&drawn, mean, deviation);
    status = draw_split(error, arena, &drawn.train, source, NN_STREAM_SYNTH_TRAIN, source->train);
    if (status == DDOME_OK)
        status = draw_split(error, arena, &drawn.test, source, NN_STREAM_SYNTH_TEST, source->test);
    if (status == DDOME_OK)
        *set = drawn;
    return status;
}

/* SPDX-License-Identifier: MIT */
/* Convolution in three directions by every engine against both oracles: real layer shapes, block
 * and tile borders, patterns, teams. Small shapes are t_exhaustive's. SPEC 5.3 to 5.5. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/conv.h"

static nn_engine engines[TEST_ENGINES];
static size_t engine_count;
static nn_arena scratch;

typedef struct tensors {
    size_t x_count, w_count, y_count;
    float *x, *w, *dy;
    nn_conv_shape s;
    oracle_window o;
} tensors;

static tensors make(const oracle_window *o, fill_pattern pattern, test_random *random)
{
    tensors t = {o->n * o->h * o->w * o->c,
                 o->oc * o->c * o->kh * o->kw,
                 o->n * o->oh * o->ow * o->oc,
                 NULL,
                 NULL,
                 NULL,
                 {o->n, o->h, o->w, o->c, o->oc, o->kh, o->kw, o->stride, o->pad, 0, 0},
                 *o};
    t.x = test_floats(t.x_count);
    t.w = test_floats(t.w_count);
    t.dy = test_floats(t.y_count);
    test_fill(t.x, t.x_count, pattern, random);
    test_fill(t.w, t.w_count, pattern, random);
    test_fill(t.dy, t.y_count, pattern, random);
    return t;
}

typedef ddome_status (*conv_direction)(const nn_engine *engine, ddome_error *error, nn_arena *arena,
                                       float *out, const float *a, const float *b,
                                       const nn_conv_shape *s);
typedef void (*bits_direction)(float *out, const float *a, const float *b, const oracle_window *s,
                               bits_profile profile);
typedef void (*double_direction)(double *out, const double *a, const double *b,
                                 const oracle_window *s);

/* One direction: out = f(a, b); `terms` bounds the products of one sum. */
typedef struct direction {
    const char *name;
    conv_direction nn;
    bits_direction bits;
    double_direction wide;
} direction;

static const direction directions[3] = {
    {"forward", nn_conv_forward, bits_conv_forward, oracle_conv},
    {"input gradient", nn_conv_backward_input, bits_conv_backward_input, oracle_conv_input},
    {"weight gradient", nn_conv_backward_weight, bits_conv_backward_weight, oracle_conv_weight},
};

typedef struct call {
    const float *a, *b;
    size_t a_count, b_count, out_count, terms;
} call;

static call call_of(const tensors *t, int which)
{
    const call forward = {t->x, t->w, t->x_count, t->w_count, t->y_count, t->w_count / t->o.oc};
    const call input = {t->dy, t->w, t->y_count, t->w_count, t->x_count, t->w_count / t->o.c};
    const call weight = {t->dy, t->x, t->y_count, t->x_count, t->w_count, t->y_count / t->o.oc};
    return which == 0 ? forward : which == 1 ? input : weight;
}

static bool near_double(const direction *d, const call *c, const oracle_window *o, const float *got)
{
    double *want = test_doubles(c->out_count), *bound = test_doubles(c->out_count);
    d->wide(want, test_widened(c->a, c->a_count), test_widened(c->b, c->b_count), o);
    d->wide(bound, test_magnitudes(c->a, c->a_count), test_magnitudes(c->b, c->b_count), o);
    for (size_t i = 0; i < c->out_count; i++)
        bound[i] = oracle_sum_bound(c->terms, bound[i]);
    return test_close("against double", got, want, c->out_count, bound);
}

static bool same_bits(const direction *d, const call *c, const tensors *t, const nn_engine *engine,
                      const float *want)
{
    const size_t mark = test_mark();
    float *got = test_floats(c->out_count);
    ddome_error error = {DDOME_OK, ""};
    bool good = test_status(d->name, d->nn(engine, &error, &scratch, got, c->a, c->b, &t->s),
                            DDOME_OK, &error, NULL);
    good = CHECK(scratch.used == 0) && good && test_same_floats(d->name, got, want, c->out_count);
    test_rewind(mark);
    return test_check(good, __FILE__, __LINE__, "kernels %s", test_engine_name(engine));
}

static bool check_direction(const tensors *t, int which)
{
    const direction *d = &directions[which];
    const call c = call_of(t, which);
    float *want[BITS_PROFILES];
    bool good = true;
    for (int i = 0; i < BITS_PROFILES; i++) {
        want[i] = test_floats(c.out_count);
        d->bits(want[i], c.a, c.b, &t->o, (bits_profile)i);
        good = good && near_double(d, &c, &t->o, want[i]);
    }
    for (size_t i = 0; i < engine_count && good; i++)
        good = same_bits(d, &c, t, &engines[i], want[test_profile(&engines[i])]);
    return good;
}

static bool check_window(oracle_window o, fill_pattern pattern, test_random *random)
{
    oracle_place(&o);
    tensors t = make(&o, pattern, random);
    bool good = CHECK(nn_conv_output(&t.s)) && test_same_u64("oh", t.s.oh, o.oh) &&
                test_same_u64("ow", t.s.ow, o.ow) && check_direction(&t, 0) &&
                check_direction(&t, 1) && check_direction(&t, 2);
    test_release();
    return test_check(good, __FILE__, __LINE__,
                      "n %lu, %lux%lux%lu -> %lu, window %lux%lu stride %lu pad %lu, %s",
                      (unsigned long)o.n, (unsigned long)o.h, (unsigned long)o.w,
                      (unsigned long)o.c, (unsigned long)o.oc, (unsigned long)o.kh,
                      (unsigned long)o.kw, (unsigned long)o.stride, (unsigned long)o.pad,
                      test_fill_name(pattern));
}

static void check_windows(const char *name, const oracle_window *windows, size_t count)
{
    test_random random = test_random_start(61);
    test_case("conv: %s", name);
    for (size_t i = 0; i < count; i++)
        if (!check_window(windows[i], FILL_RANDOM, &random))
            return;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const oracle_window layers[] = {
    {2, 12, 12, 3, 16, 3, 3, 1, 1, 0, 0}, {1, 17, 17, 3, 8, 7, 7, 2, 3, 0, 0},
    {2, 8, 8, 16, 17, 3, 3, 2, 1, 0, 0},  {2, 8, 8, 16, 32, 1, 1, 2, 0, 0, 0},
    {3, 5, 7, 9, 15, 3, 3, 1, 1, 0, 0},   {2, 1, 1, 64, 64, 3, 3, 1, 1, 0, 0},
    {2, 2, 2, 33, 31, 3, 3, 1, 1, 0, 0},  {1, 6, 9, 5, 4, 2, 5, 1, 2, 0, 0},
    {1, 9, 6, 4, 5, 5, 1, 3, 0, 0, 0},
};

static void check_layers(void)
{
    check_windows("shapes of layers", layers, COUNT(layers));
}

/* 9 taps of 28, 29, 57 channels reach 252, 261, 513 products; a skipped tap may end a block. */
static void check_block_borders(void)
{
    static const oracle_window borders[] = {
        {1, 3, 3, 28, 2, 3, 3, 1, 1, 0, 0},  {1, 3, 3, 29, 3, 3, 3, 1, 1, 0, 0},
        {1, 2, 3, 57, 2, 3, 3, 1, 1, 0, 0},  {1, 3, 3, 128, 2, 3, 3, 1, 1, 0, 0},
        {1, 3, 3, 2, 128, 3, 3, 1, 1, 0, 0}, {1, 3, 3, 3, 57, 3, 3, 2, 1, 0, 0},
        {1, 2, 2, 256, 2, 3, 3, 1, 1, 0, 0}, {1, 2, 2, 2, 256, 3, 3, 1, 1, 0, 0},
        {1, 2, 1, 255, 3, 1, 1, 1, 0, 0, 0}, {1, 1, 2, 257, 3, 1, 1, 1, 0, 0, 0},
        {1, 1, 1, 511, 2, 1, 1, 1, 0, 0, 0}, {1, 1, 1, 512, 2, 1, 1, 1, 0, 0, 0},
        {1, 1, 1, 513, 2, 1, 1, 1, 0, 0, 0}, {1, 1, 1, 2, 513, 1, 1, 1, 0, 0, 0},
        {1, 16, 16, 2, 3, 3, 3, 1, 1, 0, 0}, {2, 16, 16, 2, 3, 3, 3, 1, 1, 0, 0},
        {1, 15, 17, 2, 3, 3, 3, 1, 1, 0, 0}, {257, 1, 1, 2, 3, 3, 3, 1, 1, 0, 0},
        {3, 1, 171, 1, 2, 1, 3, 1, 1, 0, 0}, {2, 23, 23, 2, 2, 3, 3, 2, 1, 0, 0},
    };
    check_windows("sums that end around blocks of 256", borders, COUNT(borders));
}

/* The middle of a line, where all three taps lie inside, has two positions less than the line. */
static bool check_table(const nn_kernels *kernels, test_random *random)
{
    for (size_t i = 0; i < TEST_TILES; i++) {
        size_t count, cols;
        test_tile(&count, &cols, kernels, i);
        const oracle_window windows[] = {
            {1, 1, count + 2, 2, cols, 1, 3, 1, 1, 0, 0}, /* tiles across */
            {1, 1, count + 2, cols, 2, 1, 3, 1, 1, 0, 0},
            {1, count + 2, 1, 2, cols, 3, 1, 1, 1, 0, 0}, /* down */
            {count, 1, 2, 1, cols, 1, 2, 1, 0, 0, 0},     /* through the batch */
            {1, 2, 3, count, cols, 1, 1, 1, 0, 0, 0},     /* over the channels: weight gradient */
        };
        for (size_t j = 0; j < COUNT(windows); j++)
            if (!check_window(windows[j], FILL_RANDOM, random))
                return false;
    }
    return true;
}

static void check_tables(void)
{
    test_random random = test_random_start(63);
    test_case("conv: sizes around the tiles of every table");
    for (size_t i = 0; i < engine_count; i += NN_ARITH_COUNT)
        if (!check_table(engines[i].kernels, &random))
            return;
}

/* Source and result of more than 256 KiB: images are taken a few, or one, at a time. */
static void check_groups(void)
{
    static const oracle_window windows[] = {{5, 1, 4096, 2, 3, 1, 2, 1, 0, 0, 0},
                                            {2, 1, 40000, 1, 1, 1, 3, 2, 1, 0, 0}};
    test_random random = test_random_start(64);
    test_case("conv: images of more than a group's bytes");
    for (size_t i = 0; i < COUNT(windows); i++) {
        oracle_window o = windows[i];
        oracle_place(&o);
        tensors t = make(&o, FILL_RANDOM, &random);
        CHECK(nn_conv_output(&t.s));
        check_direction(&t, 0);
        test_release();
    }
}

/* Workers share out panels, images and channels: more of them, as many and fewer. */
static void check_teams(void)
{
    static const size_t workers[] = {2, 3, 7};
    for (size_t i = 0; i < COUNT(workers); i++) {
        test_random random = test_random_start(65);
        test_case("conv: a team of %d", (int)workers[i]);
        if (!test_team_engines(engines, workers[i]))
            break;
        engine_count = NN_ARITH_COUNT;
        for (size_t j = 0; j < COUNT(layers); j++)
            check_window(layers[j], FILL_RANDOM, &random);
        test_team_close(engines);
    }
    engine_count = test_engines(engines);
}

static void check_patterns(void)
{
    static const oracle_window windows[] = {{2, 5, 5, 33, 17, 3, 3, 1, 1, 0, 0},
                                            {3, 9, 9, 5, 29, 3, 3, 2, 1, 0, 0}};
    test_random random = test_random_start(62);
    test_case("conv: patterns");
    for (int p = 0; p < FILL_COUNT; p++)
        for (size_t i = 0; i < COUNT(windows); i++)
            check_window(windows[i], (fill_pattern)p, &random);
}

/* ---- fetches ---- */

enum { OPERANDS = 2 };

/* The arrays handed to the operation that runs, and what it fetched of them: fetch has no context.
 */
static struct watch {
    const float *from[OPERANDS];
    size_t size[OPERANDS], fetched[OPERANDS];
    bool outside;
} watch;

static bool lies_inside(const float *from, size_t count, const float *array, size_t size)
{
    const uintptr_t at = (uintptr_t)from, begin = (uintptr_t)array;
    const uintptr_t end = begin + size * sizeof *array;
    return count <= size && at >= begin && at <= end && count * sizeof *from <= end - at;
}

static void watched_fetch(const float *from, size_t count)
{
    bool inside = false;
    for (size_t i = 0; i < OPERANDS && !inside; i++) {
        inside = lies_inside(from, count, watch.from[i], watch.size[i]);
        if (inside)
            watch.fetched[i] += count;
    }
    watch.outside = watch.outside || !inside;
}

/* The operation with the table as it is, and with the watched one. */
static bool check_fetch(const tensors *t, int which, const nn_kernels *kernels)
{
    nn_kernels watched = *kernels;
    watched.fetch = watched_fetch;
    const nn_engine engine = {&watched, NN_ARITH_MA, NULL}, plain = {kernels, NN_ARITH_MA, NULL};
    const direction *d = &directions[which];
    const call c = call_of(t, which);
    float *want = test_floats(c.out_count);
    ddome_error error = {DDOME_OK, ""};
    watch.from[0] = c.a, watch.size[0] = c.a_count;
    watch.from[1] = c.b, watch.size[1] = c.b_count;
    watch.outside = false;
    bool good = test_status(d->name, d->nn(&plain, &error, &scratch, want, c.a, c.b, &t->s),
                            DDOME_OK, &error, NULL) &&
                same_bits(d, &c, t, &engine, want) && CHECK(!watch.outside);
    return test_check(good, __FILE__, __LINE__, "%s", d->name);
}

static bool check_window_fetches(oracle_window o, const nn_kernels *kernels, int which,
                                 test_random *random)
{
    oracle_place(&o);
    tensors t = make(&o, FILL_RANDOM, random);
    const bool good = CHECK(nn_conv_output(&t.s)) && check_fetch(&t, which, kernels);
    test_release();
    return test_check(good, __FILE__, __LINE__,
                      "n %lu, %lux%lux%lu -> %lu, window %lux%lu stride %lu pad %lu",
                      (unsigned long)o.n, (unsigned long)o.h, (unsigned long)o.w,
                      (unsigned long)o.c, (unsigned long)o.oc, (unsigned long)o.kh,
                      (unsigned long)o.kw, (unsigned long)o.stride, (unsigned long)o.pad);
}

/* Long chains, so that something is fetched. Where the pad is not below the kernel some results see
 * no tap at all; in the gradient of the input that is so where the stride is above it. */
static bool check_direction_fetches(const nn_kernels *kernels, int which, test_random *random)
{
    static const oracle_window windows[] = {
        {1, 1, 1, 256, 0, 1, 1, 1, 3, 0, 0}, {2, 1, 1, 257, 0, 1, 1, 2, 3, 0, 0},
        {3, 2, 5, 256, 0, 1, 1, 1, 9, 0, 0}, {2, 5, 4, 300, 0, 1, 1, 3, 2, 0, 0},
        {1, 1, 9, 260, 0, 1, 1, 2, 0, 0, 0}, {2, 1, 2, 29, 0, 3, 3, 1, 5, 0, 0},
        {3, 5, 6, 29, 0, 3, 3, 1, 1, 0, 0},  {2, 7, 7, 29, 0, 3, 3, 2, 1, 0, 0},
        {7, 2, 2, 64, 0, 2, 2, 1, 1, 0, 0},  {2, 19, 17, 11, 0, 5, 5, 2, 2, 0, 0},
    };
    const size_t others[] = {1, kernels->panel, kernels->panel + 1};
    for (size_t i = 0; i < COUNT(windows); i++)
        for (size_t j = 0; j < COUNT(others); j++) {
            oracle_window o = windows[i], back = windows[i];
            o.oc = others[j];
            back.oc = o.c, back.c = others[j];
            if (!check_window_fetches(o, kernels, which, random) ||
                !check_window_fetches(back, kernels, which, random))
                return false;
        }
    return CHECK(watch.fetched[0] != 0) && CHECK(watch.fetched[1] != 0);
}

static void check_fetches(void)
{
    test_random random = test_random_start(66);
    for (size_t i = 0; i < engine_count; i += NN_ARITH_COUNT) {
        const nn_kernels *kernels = engines[i].kernels;
        test_case("conv: fetches of %s stay inside the operands", kernels->name);
        for (int which = 0; which < 3; which++) {
            watch = (struct watch){.outside = false};
            if (!check_direction_fetches(kernels, which, &random))
                break;
        }
    }
}

static void refuse(const char *what, nn_conv_shape s)
{
    test_check(!nn_conv_output(&s), __FILE__, __LINE__, "%s is accepted", what);
}

static void check_refusals(void)
{
    test_case("conv: windows that do not fit");
    refuse("no image", (nn_conv_shape){0, 4, 4, 1, 1, 3, 3, 1, 1, 0, 0});
    refuse("height 0", (nn_conv_shape){1, 0, 4, 1, 1, 2, 2, 1, 1, 0, 0});
    refuse("width 0", (nn_conv_shape){1, 4, 0, 1, 1, 2, 2, 1, 1, 0, 0});
    refuse("no channel", (nn_conv_shape){1, 4, 4, 0, 1, 3, 3, 1, 1, 0, 0});
    refuse("no output channel", (nn_conv_shape){1, 4, 4, 1, 0, 3, 3, 1, 1, 0, 0});
    refuse("kernel height 0", (nn_conv_shape){1, 4, 4, 1, 1, 0, 3, 1, 1, 0, 0});
    refuse("kernel width 0", (nn_conv_shape){1, 4, 4, 1, 1, 3, 0, 1, 1, 0, 0});
    refuse("stride 0", (nn_conv_shape){1, 4, 4, 1, 1, 3, 3, 0, 1, 0, 0});
    refuse("window too high", (nn_conv_shape){1, 2, 4, 1, 1, 3, 3, 1, 0, 0, 0});
    refuse("window too wide", (nn_conv_shape){1, 4, 2, 1, 1, 3, 3, 1, 0, 0, 0});
}

/* h + 2*pad or w + 2*pad just past SIZE_MAX: what is left of it would hold the window. */
static void check_wide_pads(void)
{
    const size_t half = SIZE_MAX / 2;
    test_case("conv: a pad that does not fit a size_t");
    refuse("2*pad", (nn_conv_shape){1, 4, 4, 1, 1, 3, 3, 1, half + 1, 0, 0});
    refuse("h + 2*pad", (nn_conv_shape){1, 4, 1, 1, 1, 1, 1, 1, half, 0, 0});
    refuse("w + 2*pad", (nn_conv_shape){1, 1, 4, 1, 1, 1, 1, 1, half, 0, 0});
    refuse("the largest pad", (nn_conv_shape){1, 4, 4, 1, 1, 1, 1, 1, SIZE_MAX, 0, 0});
    nn_conv_shape fits = {1, 1, 1, 1, 1, 1, 1, SIZE_MAX, half, 0, 0};
    CHECK(nn_conv_output(&fits) && fits.oh == 1 && fits.ow == 1);
}

static void check_memory(void)
{
    const float one[1] = {1}, kept = 7;
    const nn_conv_shape s = {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1};
    test_case("conv without memory, at each allocation");
    for (int i = 0; i < 3; i++) {
        ddome_status status = DDOME_ERR_MEMORY;
        size_t after = 1;
        for (; status != DDOME_OK && after < 20; after++) {
            float out = 7;
            nn_arena poor = {.fail_after = after};
            ddome_error error = {DDOME_OK, ""};
            status = directions[i].nn(test_engine(), &error, &poor, &out, one, one, &s);
            if (status != DDOME_OK) {
                test_status(directions[i].name, status, DDOME_ERR_MEMORY, &error, "out of memory");
                test_same_floats("output untouched", &out, &kept, 1);
            }
            nn_arena_free(&poor);
        }
        CHECK(status == DDOME_OK && after > 4);
    }
}

void t_conv(void);

void t_conv(void)
{
    engine_count = test_engines(engines);
    check_layers();
    check_block_borders();
    check_tables();
    check_groups();
    check_patterns();
    check_teams();
    check_fetches();
    check_refusals();
    check_wide_pads();
    check_memory();
    nn_arena_free(&scratch);
}

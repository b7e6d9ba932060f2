/* SPDX-License-Identifier: MIT */
/* Every small shape: convolution in three directions and max-pooling with height and width 1 to 5,
 * kernels 1 to 3 (all pairs), strides 1 to 3, channels 1 and 2, one and two images, and all
 * paddings below the kernel's longer side: every engine gives the bits of the bit oracle.
 * SPEC 5.3 to 5.5, 5.11. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/pool.h"

#include <string.h>

enum { MOST_X = 2 * 5 * 5 * 2, MOST_Y = 2 * 9 * 9 * 2, MOST_W = 2 * 2 * 3 * 3 };

/* Inputs of all shapes: a shape takes as many as it needs. */
static float x_pool[MOST_X], w_pool[MOST_W], dy_pool[MOST_Y];

typedef bool (*window_check)(const oracle_window *o);

/* Digit `which` of a number written in mixed radix: all combinations with one loop. */
static size_t digit(size_t *number, size_t radix)
{
    const size_t d = *number % radix;
    *number /= radix;
    return d;
}

/* Shape number i; false when its padding is as long as its kernel or its window does not fit. */
static bool window_at(oracle_window *o, size_t i)
{
    *o = (oracle_window){0};
    o->h = 1 + digit(&i, 5);
    o->w = 1 + digit(&i, 5);
    o->c = 1 + digit(&i, 2);
    o->oc = 1 + digit(&i, 2);
    o->kh = 1 + digit(&i, 3);
    o->kw = 1 + digit(&i, 3);
    o->stride = 1 + digit(&i, 3);
    o->pad = digit(&i, 3);
    o->n = 1 + digit(&i, 2);
    if (o->pad >= nn_max(o->kh, o->kw))
        return false;
    oracle_place(o);
    return o->oh > 0 && o->ow > 0;
}

enum { NUMBERS = 5 * 5 * 2 * 2 * 3 * 3 * 3 * 3 * 2 };

static nn_conv_shape shape_of(const oracle_window *o)
{
    const nn_conv_shape s = {o->n,  o->h,      o->w,   o->c,  o->oc, o->kh,
                             o->kw, o->stride, o->pad, o->oh, o->ow};
    return s;
}

static size_t walk(window_check check)
{
    oracle_window o;
    size_t seen = 0;
    for (size_t i = 0; i < NUMBERS; i++) {
        if (!window_at(&o, i))
            continue;
        seen++;
        if (!test_check(check(&o), __FILE__, __LINE__, "n %d %dx%dx%d -> %d, %dx%d /%d pad %d",
                        (int)o.n, (int)o.h, (int)o.w, (int)o.c, (int)o.oc, (int)o.kh, (int)o.kw,
                        (int)o.stride, (int)o.pad))
            break;
    }
    return seen;
}

static nn_arena scratch;
static nn_engine engines[TEST_ENGINES];
static size_t engine_count;

typedef ddome_status conv_fn(const nn_engine *engine, ddome_error *error, nn_arena *arena,
                             float *out, const float *a, const float *b, const nn_conv_shape *s);

/* The convolution by every engine against what the oracle gave for its profile. */
static bool same_bits(conv_fn *conv, float *const want[BITS_PROFILES], const float *a,
                      const float *b, const oracle_window *o, size_t count)
{
    const nn_conv_shape s = shape_of(o);
    float got[MOST_X + MOST_Y];
    for (size_t i = 0; i < engine_count; i++)
        if (!CHECK(conv(&engines[i], NULL, &scratch, got, a, b, &s) == DDOME_OK) ||
            !test_same_floats("result", got, want[test_profile(&engines[i])], count))
            return test_check(false, __FILE__, __LINE__, "kernels %s",
                              test_engine_name(&engines[i]));
    return true;
}

static bool check_output(const oracle_window *o)
{
    nn_conv_shape s = shape_of(o);
    s.oh = s.ow = 99;
    return CHECK(nn_conv_output(&s)) && test_same_u64("oh", s.oh, o->oh) &&
           test_same_u64("ow", s.ow, o->ow);
}

static bool check_forward(const oracle_window *o)
{
    float ma[MOST_Y], fma[MOST_Y], *const want[BITS_PROFILES] = {ma, fma};
    for (int i = 0; i < BITS_PROFILES; i++)
        bits_conv_forward(want[i], x_pool, w_pool, o, (bits_profile)i);
    return same_bits(nn_conv_forward, want, x_pool, w_pool, o, o->n * o->oh * o->ow * o->oc);
}

static bool check_input(const oracle_window *o)
{
    float ma[MOST_X], fma[MOST_X], *const want[BITS_PROFILES] = {ma, fma};
    for (int i = 0; i < BITS_PROFILES; i++)
        bits_conv_backward_input(want[i], dy_pool, w_pool, o, (bits_profile)i);
    return same_bits(nn_conv_backward_input, want, dy_pool, w_pool, o, o->n * o->h * o->w * o->c);
}

static bool check_weight(const oracle_window *o)
{
    float ma[MOST_W], fma[MOST_W], *const want[BITS_PROFILES] = {ma, fma};
    for (int i = 0; i < BITS_PROFILES; i++)
        bits_conv_backward_weight(want[i], dy_pool, x_pool, o, (bits_profile)i);
    return same_bits(nn_conv_backward_weight, want, dy_pool, x_pool, o,
                     o->oc * o->c * o->kh * o->kw);
}

/* First maximum in (kh, kw) order by walking the window backwards: a tie is replaced by the
 * earlier. */
static void naive_max(float *y, uint32_t *choice, const oracle_window *o, size_t at)
{
    const size_t c = at % o->c, ow = at / o->c % o->ow, oh = at / o->c / o->ow % o->oh;
    const float *image = x_pool + at / o->c / o->ow / o->oh * o->h * o->w * o->c;
    for (size_t tap = o->kh * o->kw; tap-- > 0;) {
        const size_t ph = oh * o->stride + tap / o->kw, pw = ow * o->stride + tap % o->kw;
        if (ph < o->pad || pw < o->pad || ph >= o->h + o->pad || pw >= o->w + o->pad)
            continue;
        const size_t pixel = (ph - o->pad) * o->w + pw - o->pad;
        if (*choice == UINT32_MAX || image[pixel * o->c + c] >= *y) {
            *y = image[pixel * o->c + c];
            *choice = (uint32_t)pixel;
        }
    }
}

/* dx of one input: its dy's in ascending order of outputs, added to +0. */
static float naive_back(const uint32_t *choice, const oracle_window *o, size_t at)
{
    const size_t c = at % o->c, pixel = at / o->c % (o->h * o->w), n = at / o->c / (o->h * o->w);
    float sum = 0;
    for (size_t out = 0; out < o->oh * o->ow; out++) {
        const size_t i = (n * o->oh * o->ow + out) * o->c + c;
        if (choice[i] == pixel)
            sum = sum + dy_pool[i];
    }
    return sum;
}

static bool check_max_pool(const oracle_window *o)
{
    const size_t outputs = o->n * o->oh * o->ow * o->c, inputs = o->n * o->h * o->w * o->c;
    nn_conv_shape s = shape_of(o);
    float y[MOST_Y], want_y[MOST_Y], dx[MOST_X], want_dx[MOST_X];
    uint32_t choice[MOST_Y], want_choice[MOST_Y];
    if (o->oc != o->c || o->pad >= nn_min(o->kh, o->kw))
        return true; /* not a pooling window */
    nn_max_pool_forward(y, choice, x_pool, &s);
    nn_max_pool_backward(dx, dy_pool, choice, &s);
    for (size_t i = 0; i < outputs; i++) {
        want_choice[i] = UINT32_MAX;
        naive_max(&want_y[i], &want_choice[i], o, i);
    }
    for (size_t i = 0; i < inputs; i++)
        want_dx[i] = naive_back(want_choice, o, i);
    return test_same_floats("y", y, want_y, outputs) &&
           test_same_bytes("choice", choice, want_choice, outputs * sizeof *choice) &&
           test_same_floats("dx", dx, want_dx, inputs);
}

static void run(const char *name, fill_pattern pattern, window_check check)
{
    test_random random = test_random_start(71);
    test_case("exhaustive %s, %s", name, test_fill_name(pattern));
    test_fill(x_pool, MOST_X, pattern, &random);
    test_fill(w_pool, MOST_W, pattern, &random);
    test_fill(dy_pool, MOST_Y, pattern, &random);
    const size_t seen = walk(check);
    test_check(seen > 10000, __FILE__, __LINE__, "only %lu shapes", (unsigned long)seen);
}

void t_exhaustive(void);

void t_exhaustive(void)
{
    static const fill_pattern patterns[] = {FILL_RANDOM, FILL_CANCEL, FILL_SUBNORMAL};
    engine_count = test_engines(engines);
    run("output sizes", FILL_ZERO, check_output);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        run("conv forward", patterns[i], check_forward);
        run("conv input gradient", patterns[i], check_input);
        run("conv weight gradient", patterns[i], check_weight);
        run("max-pool", patterns[i], check_max_pool);
    }
    nn_arena_free(&scratch);
}

/* SPDX-License-Identifier: MIT */
/* One axis of a window: the classes against an enumeration of all pairs of position and tap, for
 * kernels 1 to 7, strides 1 to 4, paddings 0 to 3 and sizes 1 to 12 in both directions. SPEC 5.3,
 * 5.4. */
#include "fixture.h"

#include "../nn/conv_axis.h"

enum { KERNELS = 7, STRIDES = 4, PADS = 4, SIZES = 12, MOST = SIZES + 2 * (PADS - 1) };

/* What a result reads: source[k] through tap k, -1 for nothing. */
typedef struct view {
    int source[KERNELS];
    size_t taps;
} view;

/* Tries every source position: output o reads input o*stride + k - pad. */
static view view_of(const nn_axis *axis, size_t result)
{
    view v = {{0}, 0};
    for (size_t k = 0; k < axis->kernel; k++) {
        v.source[k] = -1;
        for (size_t source = 0; source < axis->sources; source++) {
            const size_t output = axis->backward ? source : result;
            const size_t input = axis->backward ? result : source;
            if (output * axis->stride + k == input + axis->pad)
                v.source[k] = (int)source;
        }
        v.taps += v.source[k] >= 0;
    }
    return v;
}

/* Result number i of a class sees the class's taps and no others, each at its source. */
static bool check_result(const nn_axis *axis, const nn_axis_class *class, size_t i)
{
    const view v = view_of(axis, class->first + i * class->step);
    bool good = CHECK(v.taps == class->taps);
    for (size_t t = 0; t < class->taps && good; t++) {
        const size_t start = class->source + i * class->source_step;
        const size_t source = class->descending ? start - t : start + t;
        const size_t tap = class->tap + t * class->tap_step;
        good = CHECK(tap < axis->kernel) && CHECK(v.source[tap] == (int)source);
    }
    return good;
}

static bool check_lowest(const nn_axis *axis, const nn_axis_class *class)
{
    const view v = view_of(axis, class->first);
    int lowest = (int)axis->sources;
    for (size_t k = 0; k < axis->kernel; k++)
        if (v.source[k] >= 0 && v.source[k] < lowest)
            lowest = v.source[k];
    return test_same_u64("lowest", nn_axis_lowest(class), v.taps == 0 ? 0 : (uint64_t)lowest);
}

/* Results that see the same taps, some at all, are not spread over two classes. */
static bool check_whole(const nn_axis_class *classes, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i && good; j++)
            good = CHECK(classes[i].taps == 0 || classes[i].taps != classes[j].taps ||
                         classes[i].tap != classes[j].tap);
    return good;
}

/* Each result once; classes of one phase in ascending order. */
static bool check_axis(const nn_axis *axis)
{
    nn_axis_class classes[MOST + 1];
    size_t seen[MOST] = {0}, phase = 0, next = 0;
    classes[axis->results].first = 4711; /* no room for it */
    const size_t count = nn_axis_classes(classes, axis);
    bool good = CHECK(count <= axis->results) && CHECK(classes[axis->results].first == 4711);
    for (size_t c = 0; c < count && good; c++) {
        const nn_axis_class *class = &classes[c];
        const bool new_phase = class->first % class->step != phase;
        good = CHECK(class->count > 0) && CHECK(class->step > 0) &&
               CHECK(!new_phase || class->first % class->step == phase + 1) &&
               CHECK(new_phase || class->first >= next) && check_lowest(axis, class);
        phase = class->first % class->step;
        for (size_t i = 0; i < class->count && good; i++) {
            next = class->first + i * class->step;
            good = CHECK(next < axis->results) && check_result(axis, class, i);
            seen[next % MOST]++;
        }
    }
    for (size_t p = 0; p < axis->results && good; p++)
        good = test_same_u64("covered", seen[p], 1);
    return good && check_whole(classes, count);
}

/* Window number i, false when it does not fit. */
static bool axis_at(nn_axis *axis, size_t i, bool backward)
{
    const size_t kernel = 1 + i % KERNELS, stride = 1 + i / KERNELS % STRIDES;
    const size_t pad = i / KERNELS / STRIDES % PADS, size = 1 + i / KERNELS / STRIDES / PADS;
    if (size + 2 * pad < kernel)
        return false;
    const size_t outputs = (size + 2 * pad - kernel) / stride + 1;
    *axis = (nn_axis){
        backward ? size : outputs, backward ? outputs : size, kernel, stride, pad, backward};
    return true;
}

static void check_direction(bool backward)
{
    nn_axis axis;
    size_t seen = 0;
    test_case("conv axis: classes %s", backward ? "backward" : "forward");
    for (size_t i = 0; i < (size_t)KERNELS * STRIDES * PADS * SIZES; i++) {
        if (!axis_at(&axis, i, backward))
            continue;
        seen++;
        if (!test_check(check_axis(&axis), __FILE__, __LINE__,
                        "%d results of %d sources, kernel %d, stride %d, pad %d", (int)axis.results,
                        (int)axis.sources, (int)axis.kernel, (int)axis.stride, (int)axis.pad))
            return;
    }
    test_check(seen > 1000, __FILE__, __LINE__, "only %lu windows", (unsigned long)seen);
}

/* A layer's usual window: borders and the middle between them. */
static void check_usual(void)
{
    static const nn_axis axis = {8, 8, 3, 1, 1, false};
    nn_axis_class classes[8];
    test_case("conv axis: 8 positions, kernel 3, pad 1");
    test_same_u64("classes", nn_axis_classes(classes, &axis), 3);
    test_same_u64("left", classes[0].count, 1);
    test_same_u64("middle", classes[1].count, 6);
    test_same_u64("right", classes[2].count, 1);
}

void t_conv_axis(void);

void t_conv_axis(void)
{
    check_direction(false);
    check_direction(true);
    check_usual();
}

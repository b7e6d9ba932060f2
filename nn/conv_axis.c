/* SPDX-License-Identifier: MIT */
/* Classes of results that see the same taps. SPEC 5.3, 5.4. */
#include "conv_axis.h"

/* Forward: result p reads p*stride + k - pad through tap k, if that is a position of the source. */
static nn_axis_class forward_at(const nn_axis *axis, size_t p)
{
    const size_t start = p * axis->stride; /* padding counted */
    const size_t first = start < axis->pad ? nn_min(axis->pad - start, axis->kernel) : 0;
    const size_t beyond = axis->pad + axis->sources;
    const size_t end = start < beyond ? nn_min(axis->kernel, beyond - start) : 0;
    nn_axis_class class = {.first = p, .step = 1, .count = 1, .tap = first, .tap_step = 1};
    class.taps = end > first ? end - first : 0;
    class.source = class.taps != 0 ? start + first - axis->pad : 0;
    class.source_step = class.taps != 0 ? axis->stride : 0;
    return class;
}

/* Backward: result p was read by (p + pad - k) / stride through tap k, if that is a whole number
 * and a position of the source. */
static nn_axis_class backward_at(const nn_axis *axis, size_t p)
{
    const size_t s = axis->stride, reach = p + axis->pad, last = s * (axis->sources - 1);
    const size_t least = reach > last ? reach - last : 0; /* below it the source ends */
    const size_t first =
        reach % s < least ? reach % s + (least - reach % s + s - 1) / s * s : reach % s;
    const size_t end = nn_min(axis->kernel, reach + 1);
    nn_axis_class class = {.first = p, .step = s, .count = 1, .tap = first, .tap_step = s};
    class.taps = end > first ? (end - first - 1) / s + 1 : 0;
    class.source = class.taps != 0 ? (reach - first) / s : 0;
    class.source_step = class.taps != 0 ? 1 : 0;
    class.descending = true;
    return class;
}

static nn_axis_class class_at(const nn_axis *axis, size_t p)
{
    return axis->backward ? backward_at(axis, p) : forward_at(axis, p);
}

static bool same_taps(const nn_axis_class *a, const nn_axis_class *b)
{
    return a->taps == b->taps && (a->taps == 0 || a->tap == b->tap);
}

size_t nn_axis_classes(nn_axis_class *classes, const nn_axis *axis)
{
    const size_t phases = axis->backward ? nn_min(axis->stride, axis->results) : 1;
    size_t count = 0;
    for (size_t phase = 0; phase < phases; phase++)
        for (size_t p = phase; p < axis->results; p += phases) {
            const nn_axis_class class = class_at(axis, p);
            if (p != phase && same_taps(&classes[count - 1], &class))
                classes[count - 1].count++;
            else
                classes[count++] = class;
        }
    return count;
}

size_t nn_axis_lowest(const nn_axis_class *class)
{
    return class->descending && class->taps != 0 ? class->source - (class->taps - 1)
                                                 : class->source;
}

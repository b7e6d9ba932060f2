/* SPDX-License-Identifier: MIT */
/* Random computations from text. */
#include "case_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 16, MOST_ATTRIBUTES = 8 };

const char *const test_case_texts[] = {
    "exp x:nL",
    "log x:nL",
    "rsqrt x:nL",
    "sqrt x:nL",
    "sum x:L",
    "matmul a:mL b:Ln",
    "linear x:nL w:oL b:o",
    "linear x:n222 w:o8 b:o",
    "linear.backward x:n222 w:o8 dy:no",
    "linear.backward x:Li w:oi dy:Lo",
    "conv stride=s pad=p x:nhwd w:oduv",
    "conv stride=1 pad=1 x:155D w:2D33",
    "conv.backward_input stride=s pad=p h=h w=w w:dcuv dy:nYXd",
    "conv.backward_weight stride=s pad=p kh=u kw=v x:nhwc dy:nYXo",
    "conv.backward_weight stride=s pad=p kh=u kw=v x:dhwc dy:dYXo",
    "batch_norm x:dhwc gamma:c beta:c running_mean:c running_var:c",
    "batch_norm x:nuum gamma:m beta:m running_mean:m running_var:m",
    "batch_norm.evaluate x:nhwc gamma:c beta:c running_mean:c running_var:c",
    "batch_norm.backward x:dhwc gamma:c dy:dhwc",
    "group_norm groups=g x:nhwC gamma:C beta:C",
    "group_norm.backward groups=g x:nhwC gamma:C dy:nhwC",
    "relu x:nL",
    "relu.backward y:nL dy:nL",
    "max_pool kernel=u stride=s pad=p x:nhwc",
    "max_pool.backward kernel=u stride=s pad=p x:nhwc dy:nYZc",
    "avg_pool x:nhdc",
    "avg_pool.backward h=h w=w dy:nc",
    "add a:nL b:nL",
    "softmax z:nL",
    "cross_entropy z:nL labels#n<L",
    "cross_entropy z:Lc labels#L<c",
    "cross_entropy.backward z:nL labels#n<L scale:",
    "mixture gate:nM chosen#k^M z%nc",
    "mixture.backward gate:nM chosen#k^M z%nL dy:nL",
    "mixture_probs gate:nM chosen#k^M z%nc",
    "mixture_probs.backward gate:nM chosen#k^M z%nL dy:nL",
    "sgd first=f w:L g:L v:L lr: momentum: weight_decay:",
    "average uniform=f copies:kL samples#k<B",
    "score logits:LM",
    "top_k k=k score:M",
    "argmax z:LM",
    NULL,
};

static size_t window(size_t size, size_t pad, size_t kernel, size_t stride)
{
    return (size + 2 * pad - kernel) / stride + 1;
}

/* What the letters stand for. */
static void draw_sizes(size_t size[UCHAR_MAX], test_random *random)
{
    static const struct {
        char letter;
        size_t least, most;
    } ranges[] = {{'n', 1, 5},   {'h', 3, 7}, {'w', 3, 7}, {'c', 1, 5},   {'o', 1, 4},
                  {'d', 1, 60},  {'u', 1, 3}, {'v', 1, 3}, {'s', 1, 2},   {'M', 1, 7},
                  {'m', 1, 5},   {'i', 1, 9}, {'g', 1, 3}, {'L', 1, 700}, {'B', 50, 50},
                  {'D', 30, 60}, {'f', 0, 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        size[(unsigned char)ranges[i].letter] =
            ranges[i].least + test_random_below(random, ranges[i].most - ranges[i].least + 1);
    for (size_t digit = 0; digit < 10; digit++)
        size['0' + digit] = digit;
    size['p'] = test_random_below(random, nn_min(size['u'], size['v']));
    size['k'] = 1 + test_random_below(random, size['M']);
    size['C'] = size['g'] * size['c'];
    size['Y'] = window(size['h'], size['p'], size['u'], size['s']);
    size['X'] = window(size['w'], size['p'], size['v'], size['s']);
    size['Z'] = window(size['w'], size['p'], size['u'], size['s']);
}

/* Below `most`, or also ascending without repetition: so many are left out before each. */
static const uint32_t *whole(size_t count, char kind, size_t most, test_random *random)
{
    uint32_t *x = test_bytes(count, sizeof *x);
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t spare = most - next - (count - i);
        x[i] = (uint32_t)(kind == '^' ? next + test_random_below(random, spare + 1)
                                      : test_random_below(random, most));
        next = kind == '^' ? x[i] + 1u : next;
    }
    return x;
}

nn_value test_value(const char *name, const float *elements, size_t count)
{
    return (nn_value){.name = name,
                      .type = NN_VALUE_F32,
                      .rank = 1,
                      .shape = {count},
                      .count = count,
                      .f32 = elements};
}

static char *named(const char *text, size_t length, const char *number)
{
    char *name = test_bytes(length + strlen(number) + 1, 1);
    memcpy(name, text, length);
    strcpy(name + length, number);
    return name;
}

/* One input from "labels#n<c". */
static nn_value draw_value(const char *word, const char *number, const size_t size[UCHAR_MAX],
                           fill_pattern pattern, test_random *random)
{
    const size_t length = strcspn(word, ":#%");
    const char *axes = word + length + 1;
    const size_t rank = strcspn(axes, "<^ ");
    nn_value value = {.name = named(word, length, number), .rank = rank, .count = 1};
    for (size_t i = 0; i < rank; i++) {
        value.shape[i] = size[(unsigned char)axes[i]];
        value.count *= value.shape[i];
    }
    if (word[length] == '#') {
        value.type = NN_VALUE_U32;
        value.u32 = whole(value.count, axes[rank], size[(unsigned char)axes[rank + 1]], random);
    } else {
        float *x = test_floats(value.count);
        test_fill(x, value.count, pattern, random);
        value.f32 = x;
    }
    return value;
}

nn_case test_case_from(const char *text, nn_arith arith, fill_pattern pattern, test_random *random)
{
    nn_attribute *attributes = test_bytes(MOST_ATTRIBUTES, sizeof *attributes);
    nn_value *inputs = test_bytes(MOST_VALUES, sizeof *inputs);
    nn_case work = {.arith = arith, .attributes = attributes, .inputs = inputs};
    size_t size[UCHAR_MAX] = {0};
    char number[24] = "";
    draw_sizes(size, random);
    work.op = named(text, strcspn(text, " "), "");
    for (const char *word = strchr(text, ' '); word != NULL; word = strchr(word, ' ')) {
        const size_t length = strcspn(++word, "=:#%");
        if (word[length] == '=')
            attributes[work.attribute_count++] =
                (nn_attribute){named(word, length, ""), size[(unsigned char)word[length + 1]]};
        else if (word[length] != '%')
            inputs[work.input_count++] = draw_value(word, "", size, pattern, random);
        for (size_t i = 0; word[length] == '%' && i < size['k']; i++) {
            snprintf(number, sizeof number, "%lu", (unsigned long)i);
            inputs[work.input_count++] = draw_value(word, number, size, pattern, random);
        }
    }
    return work;
}

const float *test_input(const nn_case *work, const char *name)
{
    return nn_case_input(work, name)->f32;
}

size_t test_input_size(const nn_case *work, const char *name, size_t axis)
{
    return nn_case_input(work, name)->shape[axis];
}

/* SPDX-License-Identifier: MIT */
/* The variants without a deviation against the operations of runs, bit by bit in both profiles: two
 * programs that share nothing but exp and log. SPEC 19.1.2. */
#include "case_fixture.h"

#include "../fl/gate.h"
#include "../fl/server.h"
#include "../nn/act.h"
#include "../nn/conv.h"
#include "../nn/fmath.h"
#include "../nn/gemm.h"
#include "../nn/linear.h"
#include "../nn/loss.h"
#include "../nn/norm.h"
#include "../nn/optim.h"
#include "../nn/pool.h"
#include "../nn/sum.h"

#include <string.h>

/* What the operation of a run makes of the same inputs. */
typedef struct twin {
    const nn_case *work;
    nn_engine engine;
    nn_arena arena;
    ddome_error error;
    float *y[16];
    uint32_t *index;
} twin;

static const float *in(const twin *t, const char *name)
{
    return test_input(t->work, name);
}

static size_t dim(const twin *t, const char *name, size_t axis)
{
    return test_input_size(t->work, name, axis);
}

static size_t attribute(const twin *t, const char *name)
{
    return (size_t)nn_case_attribute(t->work, name, 0);
}

static float *copy(const twin *t, const char *name)
{
    const nn_value *value = nn_case_input(t->work, name);
    float *x = test_floats(value->count);
    memcpy(x, value->f32, value->count * sizeof *x);
    return x;
}

static nn_tensor tensor(const twin *t, const char *name)
{
    return (nn_tensor){copy(t, name), dim(t, name, 0), dim(t, name, 1), dim(t, name, 2),
                       dim(t, name, 3)};
}

/* ---- products ---- */

static void elementary(twin *t)
{
    const char *op = t->work->op;
    const nn_value *x = &t->work->inputs[0];
    float (*of)(float) = strcmp(op, "exp") == 0     ? nn_expf
                         : strcmp(op, "log") == 0   ? nn_logf
                         : strcmp(op, "rsqrt") == 0 ? nn_rsqrtf
                                                    : nn_sqrtf;
    for (size_t i = 0; i < x->count; i++)
        t->y[0][i] = of(x->f32[i]);
}

static void sum(twin *t)
{
    t->y[0][0] = nn_sum(in(t, "x"), dim(t, "x", 0));
}

static void matmul(twin *t)
{
    const nn_gemm_shape shape = {dim(t, "a", 0), dim(t, "b", 1), dim(t, "a", 1)};
    CHECK(nn_gemm(&t->engine, &t->error, &t->arena, t->y[0], in(t, "a"), in(t, "b"), &shape,
                  NN_GEMM_NN) == DDOME_OK);
}

static void linear(twin *t)
{
    const nn_linear_shape shape = {dim(t, "x", 0), dim(t, "w", 1), dim(t, "w", 0)};
    CHECK(nn_linear_forward(&t->engine, &t->error, &t->arena, t->y[0], in(t, "x"), in(t, "w"),
                            in(t, "b"), &shape) == DDOME_OK);
}

static void linear_backward(twin *t)
{
    const nn_linear_shape shape = {dim(t, "x", 0), dim(t, "w", 1), dim(t, "w", 0)};
    const float *dy = in(t, "dy");
    CHECK(nn_linear_backward_input(&t->engine, &t->error, &t->arena, t->y[0], dy, in(t, "w"),
                                   &shape) == DDOME_OK);
    CHECK(nn_linear_backward_weight(&t->engine, &t->error, &t->arena, t->y[1], dy, in(t, "x"),
                                    &shape) == DDOME_OK);
    nn_linear_backward_bias(t->y[2], test_floats(shape.out), dy, &shape);
}

static void conv(twin *t)
{
    nn_conv_shape s = {dim(t, "x", 0),
                       dim(t, "x", 1),
                       dim(t, "x", 2),
                       dim(t, "x", 3),
                       dim(t, "w", 0),
                       dim(t, "w", 2),
                       dim(t, "w", 3),
                       attribute(t, "stride"),
                       attribute(t, "pad"),
                       0,
                       0};
    CHECK(nn_conv_output(&s));
    CHECK(nn_conv_forward(&t->engine, &t->error, &t->arena, t->y[0], in(t, "x"), in(t, "w"), &s) ==
          DDOME_OK);
}

static void conv_backward_input(twin *t)
{
    nn_conv_shape s = {dim(t, "dy", 0),
                       attribute(t, "h"),
                       attribute(t, "w"),
                       dim(t, "w", 1),
                       dim(t, "w", 0),
                       dim(t, "w", 2),
                       dim(t, "w", 3),
                       attribute(t, "stride"),
                       attribute(t, "pad"),
                       0,
                       0};
    CHECK(nn_conv_output(&s));
    CHECK(nn_conv_backward_input(&t->engine, &t->error, &t->arena, t->y[0], in(t, "dy"), in(t, "w"),
                                 &s) == DDOME_OK);
}

static void conv_backward_weight(twin *t)
{
    nn_conv_shape s = {dim(t, "x", 0),
                       dim(t, "x", 1),
                       dim(t, "x", 2),
                       dim(t, "x", 3),
                       dim(t, "dy", 3),
                       attribute(t, "kh"),
                       attribute(t, "kw"),
                       attribute(t, "stride"),
                       attribute(t, "pad"),
                       0,
                       0};
    CHECK(nn_conv_output(&s));
    CHECK(nn_conv_backward_weight(&t->engine, &t->error, &t->arena, t->y[0], in(t, "dy"),
                                  in(t, "x"), &s) == DDOME_OK);
}

/* ---- norms ---- */

static void batch_norm(twin *t)
{
    const nn_tensor x = tensor(t, "x");
    nn_norm_saved saved = {test_floats(x.c), test_floats(x.c)};
    const nn_batch_norm norm = {in(t, "gamma"), in(t, "beta"), NULL, false};
    memcpy(t->y[1], in(t, "running_mean"), x.c * sizeof(float));
    memcpy(t->y[2], in(t, "running_var"), x.c * sizeof(float));
    CHECK(nn_batch_norm_train(&t->engine, &t->error, &t->arena, t->y[0], &saved, t->y[1], t->y[2],
                              &x, &norm) == DDOME_OK);
}

static void batch_norm_evaluate(twin *t)
{
    const nn_tensor x = tensor(t, "x");
    const nn_batch_norm norm = {in(t, "gamma"), in(t, "beta"), NULL, false};
    CHECK(nn_batch_norm_eval(&t->engine, &t->error, &t->arena, t->y[0], &x, &norm,
                             in(t, "running_mean"), in(t, "running_var")) == DDOME_OK);
}

static void batch_norm_backward(twin *t)
{
    const nn_tensor x = tensor(t, "x");
    nn_norm_saved saved = {test_floats(x.c), test_floats(x.c)};
    float *moved = test_floats(x.c);
    const nn_batch_norm norm = {in(t, "gamma"), in(t, "gamma"), NULL, false};
    CHECK(nn_batch_norm_train(&t->engine, &t->error, &t->arena, t->y[0], &saved, moved, moved, &x,
                              &norm) == DDOME_OK);
    CHECK(nn_batch_norm_backward(&t->engine, &t->error, &t->arena, t->y[0], t->y[1], t->y[2],
                                 copy(t, "dy"), NULL, &x, in(t, "gamma"), &saved) == DDOME_OK);
}

static nn_norm_saved group_statistics(twin *t, const nn_tensor *x)
{
    const size_t sets = x->n * attribute(t, "groups");
    return (nn_norm_saved){test_floats(sets), test_floats(sets)};
}

static void group_norm(twin *t)
{
    const nn_tensor x = tensor(t, "x");
    nn_norm_saved saved = group_statistics(t, &x);
    nn_group_norm_forward(t->y[0], &saved, &x, in(t, "gamma"), in(t, "beta"),
                          attribute(t, "groups"));
}

static void group_norm_backward(twin *t)
{
    const nn_tensor x = tensor(t, "x");
    nn_norm_saved saved = group_statistics(t, &x);
    nn_group_norm_forward(t->y[0], &saved, &x, in(t, "gamma"), in(t, "gamma"),
                          attribute(t, "groups"));
    CHECK(nn_group_norm_backward(&t->error, &t->arena, t->y[0], t->y[1], t->y[2], in(t, "dy"), &x,
                                 in(t, "gamma"), &saved, attribute(t, "groups")) == DDOME_OK);
}

/* ---- point-wise, pools ---- */

static void relu(twin *t)
{
    nn_relu_forward(&t->engine, t->y[0], in(t, "x"), t->work->inputs[0].count);
}

static void relu_backward(twin *t)
{
    nn_relu_backward(&t->engine, t->y[0], in(t, "dy"), in(t, "y"), t->work->inputs[0].count);
}

static void add(twin *t)
{
    nn_add(&t->engine, t->y[0], in(t, "a"), in(t, "b"), t->work->inputs[0].count);
}

static nn_conv_shape pool_of(const twin *t)
{
    const size_t kernel = attribute(t, "kernel");
    nn_conv_shape s = {dim(t, "x", 0),
                       dim(t, "x", 1),
                       dim(t, "x", 2),
                       dim(t, "x", 3),
                       dim(t, "x", 3),
                       kernel,
                       kernel,
                       attribute(t, "stride"),
                       attribute(t, "pad"),
                       0,
                       0};
    CHECK(nn_conv_output(&s));
    return s;
}

static size_t outputs_of(const nn_conv_shape *s)
{
    return s->n * s->oh * s->ow * s->c;
}

static void max_pool(twin *t)
{
    const nn_conv_shape s = pool_of(t);
    uint32_t *choice = test_bytes(outputs_of(&s), sizeof *choice);
    nn_max_pool_forward(t->y[0], choice, in(t, "x"), &s);
}

static void max_pool_backward(twin *t)
{
    const nn_conv_shape s = pool_of(t);
    uint32_t *choice = test_bytes(outputs_of(&s), sizeof *choice);
    nn_max_pool_forward(test_floats(outputs_of(&s)), choice, in(t, "x"), &s);
    nn_max_pool_backward(t->y[0], in(t, "dy"), choice, &s);
}

static void avg_pool(twin *t)
{
    const nn_tensor x = tensor(t, "x");
    nn_avg_pool_forward(t->y[0], test_floats(x.c), &x);
}

static void avg_pool_backward(twin *t)
{
    nn_tensor dx = {t->y[0], dim(t, "dy", 0), attribute(t, "h"), attribute(t, "w"),
                    dim(t, "dy", 1)};
    nn_avg_pool_backward(&dx, in(t, "dy"));
}

/* ---- losses ---- */

static void softmax(twin *t)
{
    const size_t classes = dim(t, "z", 1);
    for (size_t n = 0; n < dim(t, "z", 0); n++)
        nn_softmax(t->y[0] + n * classes, in(t, "z") + n * classes, classes);
}

static const uint32_t *whole(const twin *t, const char *name)
{
    return nn_case_input(t->work, name)->u32;
}

static void cross_entropy(twin *t)
{
    const size_t n = dim(t, "z", 0);
    t->y[0][0] =
        nn_cross_entropy_forward(test_floats(n), in(t, "z"), whole(t, "labels"), n, dim(t, "z", 1));
}

static void cross_entropy_backward(twin *t)
{
    nn_cross_entropy_backward(t->y[0], in(t, "z"), whole(t, "labels"), dim(t, "z", 0),
                              dim(t, "z", 1), in(t, "scale")[0]);
}

static void mixture(twin *t)
{
    const nn_mixture_shape s = {dim(t, "gate", 0), dim(t, "gate", 1), dim(t, "chosen", 0),
                                dim(t, "z0", 1), whole(t, "chosen")};
    const bool probs = strncmp(t->work->op, "mixture_probs", 13) == 0;
    const nn_value *dy = nn_case_input(t->work, "dy");
    const float *logits[NN_MAX_EXPERTS];
    float *z = dy == NULL ? t->y[0] : test_floats(s.n * s.classes);
    for (size_t i = 0; i < s.k; i++)
        logits[i] = t->work->inputs[2 + i].f32;
    if (probs)
        nn_mixture_probs_forward(z, in(t, "gate"), logits, &s);
    else if (dy == NULL)
        nn_mixture_forward(z, in(t, "gate"), logits, &s);
    if (dy != NULL && probs)
        nn_mixture_probs_backward(t->y[0], t->y + 1, dy->f32, z, in(t, "gate"), logits, &s);
    else if (dy != NULL)
        nn_mixture_backward(t->y[0], t->y + 1, dy->f32, in(t, "gate"), logits, &s);
}

/* ---- federation ---- */

static void sgd(twin *t)
{
    const size_t count = dim(t, "w", 0);
    nn_slice slice = {.kind = NN_SLICE_TRAINED, .count = count};
    const nn_layout layout = {&slice, 1, 1, count, count, 0};
    const nn_sgd rates = {in(t, "lr")[0], in(t, "momentum")[0], in(t, "weight_decay")[0]};
    memcpy(t->y[0], in(t, "w"), count * sizeof(float));
    memcpy(t->y[1], in(t, "v"), count * sizeof(float));
    nn_sgd_step(t->y[0], rates.momentum != 0 ? t->y[1] : NULL, in(t, "g"), &layout, &rates,
                attribute(t, "first") != 0);
}

static void average(twin *t)
{
    const size_t copies = dim(t, "copies", 0), count = dim(t, "copies", 1);
    nn_slice slice = {.kind = NN_SLICE_TRAINED, .count = count};
    const fl_model model = {.layout = {&slice, 1, 1, count, count, 0}};
    const fl_config config = {.aggregate = attribute(t, "uniform") != 0 ? FL_AGGREGATE_UNIFORM
                                                                        : FL_AGGREGATE_SAMPLES};
    fl_slot slot = {.model = &model, .values = t->y[0], .sum = test_doubles(count)};
    fl_server server = {.config = &config, .experts = 1, .expert = &slot};
    float *flat = copy(t, "copies");
    fl_server_open_round(&server);
    for (size_t k = 0; k < copies; k++) {
        const data_client client = {.count = whole(t, "samples")[k]};
        fl_visit visit = {.client = &client, .k = 1, .expert = {flat + k * count}};
        CHECK(fl_server_take(&t->error, &server, &visit) == DDOME_OK);
    }
    const ddome_status status = fl_server_average(&t->error, &server);
    CHECK(status == DDOME_OK || status == DDOME_ERR_NONFINITE);
}

static void score(twin *t)
{
    CHECK(fl_gate_score(&t->error, &t->arena, t->y[0], in(t, "logits"), dim(t, "logits", 0),
                        dim(t, "logits", 1)) == DDOME_OK);
}

static void top_k(twin *t)
{
    fl_gate_top_k(t->index, in(t, "score"), dim(t, "score", 0), attribute(t, "k"));
}

static void argmax(twin *t)
{
    const size_t classes = dim(t, "z", 1);
    for (size_t n = 0; n < dim(t, "z", 0); n++)
        t->index[n] = (uint32_t)fl_argmax(in(t, "z") + n * classes, classes);
}

/* ---- all of them ---- */

static const struct {
    const char *op;
    void (*run)(twin *t);
} twins[] = {
    {"exp", elementary},
    {"log", elementary},
    {"rsqrt", elementary},
    {"sqrt", elementary},
    {"sum", sum},
    {"matmul", matmul},
    {"linear", linear},
    {"linear.backward", linear_backward},
    {"conv", conv},
    {"conv.backward_input", conv_backward_input},
    {"conv.backward_weight", conv_backward_weight},
    {"batch_norm", batch_norm},
    {"batch_norm.evaluate", batch_norm_evaluate},
    {"batch_norm.backward", batch_norm_backward},
    {"group_norm", group_norm},
    {"group_norm.backward", group_norm_backward},
    {"relu", relu},
    {"relu.backward", relu_backward},
    {"add", add},
    {"max_pool", max_pool},
    {"max_pool.backward", max_pool_backward},
    {"avg_pool", avg_pool},
    {"avg_pool.backward", avg_pool_backward},
    {"softmax", softmax},
    {"cross_entropy", cross_entropy},
    {"cross_entropy.backward", cross_entropy_backward},
    {"mixture", mixture},
    {"mixture.backward", mixture},
    {"mixture_probs", mixture},
    {"mixture_probs.backward", mixture},
    {"sgd", sgd},
    {"average", average},
    {"score", score},
    {"top_k", top_k},
    {"argmax", argmax},
};

enum { TWINS = sizeof twins / sizeof *twins };

static void run_twin(twin *t)
{
    size_t i = 0;
    while (i < TWINS && strcmp(twins[i].op, t->work->op) != 0)
        i++;
    if (CHECK(i < TWINS))
        twins[i].run(t);
}

/* Runs one computation both ways; false at a difference, which is printed. */
static bool same_as_run(const nn_case *work)
{
    static const nn_variant rules;
    nn_arena arena = {0};
    const nn_value *outputs = NULL;
    size_t count = 0;
    bool same = true;
    twin t = {.work = work, .engine = {test_engine()->kernels, work->arith, NULL}};
    if (!test_status(work->op, nn_variant_run(&t.error, &arena, &outputs, &count, work, &rules),
                     DDOME_OK, &t.error, NULL))
        return false;
    for (size_t i = 0; i < count; i++) {
        t.y[i] = test_floats(outputs[i].count);
        t.index = outputs[i].u32 != NULL ? test_bytes(outputs[i].count, sizeof *t.index) : NULL;
    }
    run_twin(&t);
    for (size_t i = 0; i < count; i++) {
        nn_value want = outputs[i];
        want.f32 = want.f32 != NULL ? t.y[i] : NULL;
        want.u32 = t.index;
        if (!nn_value_same(&outputs[i], &want) && outputs[i].f32 != NULL)
            same = test_same_floats(outputs[i].name, outputs[i].f32, want.f32, want.count);
        same = same && CHECK(nn_value_same(&outputs[i], &want));
    }
    nn_arena_free(&t.arena);
    nn_arena_free(&arena);
    return same;
}

static void check_text(const char *text, size_t salt)
{
    enum { ROUNDS = 12 };
    test_random random = test_random_start(1900 + salt);
    bool same = true;
    test_case("variant: as in a run: %s", text);
    for (int i = 0; i < ROUNDS * FILL_COUNT && same; i++) {
        const size_t mark = test_mark();
        const nn_case work = test_case_from(text, (nn_arith)(i % NN_ARITH_COUNT),
                                            (fill_pattern)(i / ROUNDS), &random);
        same = same_as_run(&work);
        test_rewind(mark);
    }
}

void t_variant(void);

void t_variant(void)
{
    for (size_t i = 0; test_case_texts[i] != NULL; i++)
        check_text(test_case_texts[i], i);
    test_case("variant: every operation of a run has one");
    for (size_t i = 0; i < TWINS; i++)
        CHECK(nn_variant_knows(twins[i].op));
    CHECK(!nn_variant_knows("hash") && !nn_variant_knows("philox") && !nn_variant_knows(""));
}

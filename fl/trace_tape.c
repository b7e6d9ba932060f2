/* SPDX-License-Identifier: MIT */
/* What a watched tape computes, as lines: each operation forwards; backwards the whole gradient of
 * its result, then what it gives its inputs. SPEC 19.3.2, 19.3.3. */
#include <stdio.h>
#include <string.h>

#include "trace.h"

/* The words of SPEC 19.1.2; the mixture's z0, z1, .. are made as they are needed. */
typedef struct op_words {
    const char *input[3], *gradient[3];
    unsigned saved; /* bit i: the backward pass reads input i */
} op_words;

static const op_words WORDS[NN_OP_COUNT] = {
    [NN_OP_CONV] = {{"x", "w"}, {"dx", "dw"}, 0}, /* two operations: see below */
    [NN_OP_LINEAR] = {{"x", "w", "b"}, {"dx", "dw", "db"}, 3},
    [NN_OP_BATCH_NORM] = {{"x", "gamma", "beta"}, {"dx", "dgamma", "dbeta"}, 3},
    [NN_OP_GROUP_NORM] = {{"x", "gamma", "beta"}, {"dx", "dgamma", "dbeta"}, 3},
    [NN_OP_RELU] = {{"x"}, {"dx"}, 0},
    [NN_OP_MAX_POOL] = {{"x"}, {"dx"}, 1},
    [NN_OP_AVG_POOL] = {{"x"}, {"dx"}, 0},
    [NN_OP_ADD] = {{"a", "b"}, {"da", "db"}, 0},
    [NN_OP_MIXTURE] = {{"gate"}, {"dgate"}, ~0u},
    [NN_OP_MIXTURE_PROBS] = {{"gate"}, {"dgate"}, ~0u},
    [NN_OP_CROSS_ENTROPY] = {{"z"}, {"dz"}, 1},
};

/* A gradient that a node was given: by which operation, under which word. */
typedef struct gift {
    const char *from;
    char tensor[FL_TRACE_WORD];
} gift;

/* What is kept with a node; of more than two gifts the first two. */
typedef struct note {
    size_t gifts;
    gift gift[2];
} note;

static bool is_mixture(const nn_node *node)
{
    return node->op == NN_OP_MIXTURE || node->op == NN_OP_MIXTURE_PROBS;
}

void fl_trace_input_word(char word[FL_TRACE_WORD], const nn_node *node, size_t i, bool gradient)
{
    if (is_mixture(node) && i > 0)
        snprintf(word, FL_TRACE_WORD, "%sz%u", gradient ? "d" : "", (unsigned)(i - 1));
    else
        snprintf(word, FL_TRACE_WORD, "%s",
                 gradient ? WORDS[node->op].gradient[i] : WORDS[node->op].input[i]);
}

/* The two gradients of a convolution are operations of their own, those of an addition none
 * (SPEC 5.13). */
void fl_trace_backward_op(char op[FL_TRACE_OP], const nn_node *node, size_t i)
{
    if (node->op == NN_OP_ADD)
        snprintf(op, FL_TRACE_OP, "given");
    else if (node->op == NN_OP_CONV)
        snprintf(op, FL_TRACE_OP, "conv.backward_%s", i == 1 ? "weight" : "input");
    else
        snprintf(op, FL_TRACE_OP, "%s.backward", nn_op_table[node->op].name);
}

/* ---- shapes ---- */

/* As in SPEC 19.1.2: by the operation, for an image of one pixel is still an image. */
static size_t rank_of(const nn_node *node)
{
    switch (node->op) {
    case NN_OP_LINEAR:
    case NN_OP_AVG_POOL:
    case NN_OP_MIXTURE:
    case NN_OP_MIXTURE_PROBS:
        return 2;
    case NN_OP_CROSS_ENTROPY:
        return 0;
    case NN_OP_LEAF:
    case NN_OP_CONV:
    case NN_OP_MAX_POOL:
        return 4;
    default:
        return rank_of(node->inputs[0]);
    }
}

static nn_value value_of(const char *tensor, const float *data, const nn_tensor *x, size_t rank)
{
    const size_t count = nn_tensor_count(x);
    nn_value value = {.name = tensor, .rank = rank, .count = count, .f32 = data};
    if (rank == 4) {
        value.shape[0] = x->n;
        value.shape[1] = x->h;
        value.shape[2] = x->w;
        value.shape[3] = x->c;
    } else if (rank == 2) {
        value.shape[0] = x->n;
        value.shape[1] = x->h * x->w * x->c;
    } else if (rank == 1)
        value.shape[0] = count;
    return value;
}

/* Operations whose input is [n,c] whatever made it: logits that are held come as a leaf. */
static bool takes_rows(const nn_node *node)
{
    return node->op == NN_OP_LINEAR || node->op == NN_OP_CROSS_ENTROPY || is_mixture(node);
}

/* The gradient of input i of the node: weights as PyTorch has them. */
static nn_value gradient_of(const char *tensor, const float *data, const nn_node *node, size_t i)
{
    const nn_node *input = node->inputs[i];
    const nn_conv_shape *window = &node->attr.window;
    if (node->op == NN_OP_CONV && i == 1) {
        const nn_tensor oihw = {NULL, window->oc, window->c, window->kh, window->kw};
        return value_of(tensor, data, &oihw, 4);
    }
    const bool norm = node->op == NN_OP_BATCH_NORM || node->op == NN_OP_GROUP_NORM;
    if ((norm && i > 0) || (node->op == NN_OP_LINEAR && i == 2))
        return value_of(tensor, data, &input->value, 1);
    return value_of(tensor, data, &input->value, takes_rows(node) ? 2 : rank_of(input));
}

/* ---- forward ---- */

static void add_window(fl_trace *trace, const nn_conv_shape *window)
{
    fl_trace_attribute(trace, "stride", window->stride);
    fl_trace_attribute(trace, "pad", window->pad);
}

static void add_attributes(fl_trace *trace, const nn_node *node)
{
    const nn_conv_shape *window = &node->attr.window;
    if (node->op == NN_OP_MAX_POOL)
        fl_trace_attribute(trace, "kernel", window->kh);
    if (node->op == NN_OP_MAX_POOL || node->op == NN_OP_CONV)
        add_window(trace, window);
    if (node->op == NN_OP_GROUP_NORM)
        fl_trace_attribute(trace, "groups", node->attr.groups);
}

/* A parameter stands in `start`, what comes with the batch in `data`, a result in `forward`. */
static void add_input(fl_trace *trace, const char *word, const nn_node *input)
{
    const bool leaf = input->op == NN_OP_LEAF, scoped = strchr(input->name, '/') != NULL;
    fl_trace_input(trace, word,
                   !leaf    ? "forward"
                   : scoped ? "start"
                            : "data",
                   input->name, leaf ? "value" : "y");
}

/* The experts that a visit has chosen stand before its steps; those of an evaluation in it. */
static void add_chosen(fl_trace *trace)
{
    const char *pass = trace->at.pass == NULL ? "choose" : trace->at.pass;
    const fl_trace_place place = {trace->at.round, trace->at.client, FL_TRACE_NONE, pass};
    fl_trace_input_from(trace, "chosen", &place, "", "chosen", "chosen");
}

/* What stands beside the inputs that are nodes: statistics, labels, the choice. */
static void add_other_inputs(fl_trace *trace, const nn_node *node)
{
    static const char *const statistics[] = {"running_mean", "running_var"};
    if (node->op == NN_OP_CROSS_ENTROPY)
        fl_trace_input(trace, "labels", "data",
                       strcmp(node->name, "gate_loss") == 0 ? "gate_labels" : "labels", "value");
    for (size_t i = 0; node->op == NN_OP_BATCH_NORM && i < 2; i++) {
        char name[FL_TRACE_NAME];
        snprintf(name, sizeof name, "%s.%s", node->name, statistics[i]);
        fl_trace_input(trace, statistics[i], "start", name, "value");
    }
}

static void add_inputs(fl_trace *trace, const nn_node *node, unsigned which)
{
    char word[FL_TRACE_WORD];
    for (size_t i = 0; i < node->input_count; i++) {
        if (!is_mixture(node) && (which >> i & 1u) == 0)
            continue;
        fl_trace_input_word(word, node, i, false);
        add_input(trace, word, node->inputs[i]);
        if (is_mixture(node) && i == 0)
            add_chosen(trace);
    }
}

/* A batch-norm that is watched is in training: the gate, which is also watched in evaluation, has
 * none. */
static void computed(void *user, nn_graph *graph, nn_node *node)
{
    fl_trace *trace = user;
    const bool loss = node->op == NN_OP_CROSS_ENTROPY;
    fl_trace_op(trace, nn_op_table[node->op].name);
    add_attributes(trace, node);
    add_inputs(trace, node, ~0u);
    add_other_inputs(trace, node);
    const nn_value y = value_of(loss ? "loss" : "y", node->value.data, &node->value, rank_of(node));
    fl_trace_output(trace, "forward", node->name, &y);
    if (node->op == NN_OP_BATCH_NORM) {
        const size_t c = node->value.c;
        const nn_value mean = fl_trace_floats("running_mean", node->attr.running_mean, c, 0);
        const nn_value var = fl_trace_floats("running_var", node->attr.running_var, c, 0);
        fl_trace_output(trace, "forward", node->name, &mean);
        fl_trace_output(trace, "forward", node->name, &var);
    }
    if (trace->failed)
        graph->status = fl_trace_status(graph->error, trace);
}

/* ---- backward ---- */

static note *note_of(nn_graph *graph, nn_node *node)
{
    if (node->note == NULL)
        node->note = nn_arena_zero(graph->arena, 1, sizeof(note));
    if (node->note == NULL)
        graph->status = nn_arena_fail(graph->error, graph->arena, "a note on the tape");
    return node->note;
}

/* An operation's gradient is a value of its own: the one it was given, or the sum of two. */
static void entered(void *user, nn_graph *graph, nn_node *node)
{
    fl_trace *trace = user;
    const note *n = node->note;
    const bool sum = n != NULL && n->gifts == 2;
    fl_trace_op(trace, sum ? "add" : "given");
    for (size_t i = 0; sum && i < 2; i++)
        fl_trace_input(trace, i == 0 ? "a" : "b", "backward", n->gift[i].from, n->gift[i].tensor);
    const nn_value dy = value_of("dy", node->grad, &node->value, rank_of(node));
    fl_trace_output(trace, "backward", node->name, &dy);
    if (trace->failed)
        graph->status = fl_trace_status(graph->error, trace);
}

static void add_conv(fl_trace *trace, const nn_node *node, size_t i)
{
    const nn_conv_shape *window = &node->attr.window;
    const bool weight = i == 1;
    add_window(trace, window);
    fl_trace_attribute(trace, weight ? "kh" : "h", weight ? window->kh : window->h);
    fl_trace_attribute(trace, weight ? "kw" : "w", weight ? window->kw : window->w);
    add_inputs(trace, node, weight ? 1 : 2);
}

static void backward_op(fl_trace *trace, const nn_node *node, size_t i)
{
    char op[FL_TRACE_OP];
    fl_trace_backward_op(op, node, i);
    fl_trace_op(trace, op);
    if (node->op == NN_OP_ADD) /* both gradients are the node's own */
        return;
    if (node->op == NN_OP_CONV) {
        add_conv(trace, node, i);
    } else {
        add_attributes(trace, node);
        add_inputs(trace, node, WORDS[node->op].saved);
    }
    if (node->op == NN_OP_AVG_POOL) {
        fl_trace_attribute(trace, "h", node->inputs[0]->value.h);
        fl_trace_attribute(trace, "w", node->inputs[0]->value.w);
    }
    if (node->op == NN_OP_RELU)
        fl_trace_input(trace, "y", "forward", node->name, "y");
    if (node->op == NN_OP_CROSS_ENTROPY)
        add_other_inputs(trace, node);
    fl_trace_input(trace, node->op == NN_OP_CROSS_ENTROPY ? "scale" : "dy", "backward", node->name,
                   "dy");
}

/* Where the input's gradient comes from: for its own line, or for the update. */
static void remember(fl_trace *trace, nn_graph *graph, nn_node *input, const gift *from)
{
    note *n = note_of(graph, input);
    if (n == NULL)
        return;
    if (n->gifts < 2)
        n->gift[n->gifts] = *from;
    if (n->gifts++ > 0 || input->op != NN_OP_LEAF)
        return;
    fl_trace_grad *grad = nn_arena_alloc(graph->arena, 1, sizeof *grad);
    if (grad == NULL) {
        graph->status = nn_arena_fail(graph->error, graph->arena, "a note on the tape");
        return;
    }
    *grad = (fl_trace_grad){trace->grads, input->name, n->gift[0].from, n->gift[0].tensor};
    trace->grads = grad;
}

static void delivered(void *user, nn_graph *graph, nn_node *node, nn_node *input,
                      const float *gradient)
{
    fl_trace *trace = user;
    gift from;
    size_t i = 0;
    if (node == NULL) /* the scale of the loss: its line is that of the loss's own gradient */
        return;
    while (node->inputs[i] != input)
        i++;
    from.from = node->name;
    fl_trace_input_word(from.tensor, node, i, true);
    backward_op(trace, node, i);
    const nn_value dx = gradient_of(from.tensor, gradient, node, i);
    fl_trace_output(trace, "backward", node->name, &dx);
    remember(trace, graph, input, &from);
    if (trace->failed)
        graph->status = fl_trace_status(graph->error, trace);
}

const nn_watch *fl_trace_watch(fl_trace *trace)
{
    if (!fl_trace_on(trace))
        return NULL;
    trace->watch = (nn_watch){trace, computed, entered, delivered};
    return &trace->watch;
}

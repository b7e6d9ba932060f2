/* SPDX-License-Identifier: MIT */
/* A tape: each call appends one operation and, unless the graph only plans, computes it at once;
 * nn_graph_backward walks the tape from its end. The first failure sticks in graph->status and
 * later calls do nothing, so a model reads without checks. A tape can be watched, operation by
 * operation. SPEC 5.16, 19.3. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H

#include "arena.h"
#include "conv.h"
#include "engine.h"
#include "loss.h"
#include "norm.h"
#include "tensor.h"

typedef enum nn_op {
    NN_OP_LEAF, /* an input or a parameter */
    NN_OP_CONV,
    NN_OP_LINEAR,
    NN_OP_BATCH_NORM,
    NN_OP_GROUP_NORM,
    NN_OP_RELU,
    NN_OP_MAX_POOL,
    NN_OP_AVG_POOL,
    NN_OP_ADD,
    NN_OP_MIXTURE,
    NN_OP_MIXTURE_PROBS,
    NN_OP_CROSS_ENTROPY,
    NN_OP_COUNT
} nn_op;

enum { NN_MAX_INPUTS = NN_MAX_EXPERTS + 1 };

typedef struct nn_node nn_node;

/* What an operation needs besides its inputs; each uses its own members. */
typedef struct nn_attr {
    nn_conv_shape window;                /* conv, max-pool */
    size_t groups;                       /* group-norm */
    bool relu;                           /* batch-norm: followed by max(y, +0) */
    float *running_mean, *running_var;   /* batch-norm in training; moved by the forward pass */
    const float *fixed_mean, *fixed_var; /* batch-norm in evaluation */
    const uint32_t *labels;              /* cross-entropy */
    nn_mixture_shape mixture;
} nn_attr;

struct nn_node {
    nn_op op;
    nn_tensor value; /* data NULL while planning */
    float *grad;     /* NULL until needed; a parameter's points into its flat gradient vector */
    bool wants_grad; /* a parameter, or computed from one */
    bool has_grad;   /* grad holds at least one contribution */
    bool dropped;    /* value.data was given back; the backward pass computes it again */
    size_t input_count;
    nn_node **inputs;
    nn_attr attr;
    nn_norm_saved saved; /* batch-norm, group-norm */
    uint32_t *choice;    /* max-pool */
    nn_node *previous;   /* on the tape */
    const char *name;    /* on a watched tape; else NULL */
    void *note;          /* the watcher's own */
};

typedef struct nn_graph nn_graph;

/* Who looks at every value of a tape as it is made. A watched tape has the operations as SPEC 5 and
 * 6.2 write them, one by one, and gives no activation back before its gradient is done; its bits
 * are those of any other. A watcher that fails sets graph->status. */
typedef struct nn_watch {
    void *user;
    /* The operation's value is there. */
    void (*computed)(void *user, nn_graph *graph, nn_node *node);
    /* Its backward pass begins: node->grad is the whole gradient. */
    void (*entered)(void *user, nn_graph *graph, nn_node *node);
    /* It gives its input this gradient; node NULL: the start of the backward pass. */
    void (*delivered)(void *user, nn_graph *graph, nn_node *node, nn_node *input,
                      const float *gradient);
} nn_watch;

/* Floats of the arena that no node needs any more; the entry stands in them. */
typedef struct nn_spare {
    struct nn_spare *next;
    size_t count;
} nn_spare;

struct nn_graph {
    const nn_engine *engine; /* not needed for planning */
    nn_arena *arena;         /* nodes, activations, gradients: all given back by rewinding it */
    ddome_error *error;
    ddome_status status;
    bool planning; /* shapes only */
    bool training; /* batch-norm uses and moves batch statistics */
    bool learning; /* a leaf wants a gradient */
    bool checked;  /* a NaN that conv or linear makes is DDOME_ERR_NONFINITE, before a ReLU can make
                      +0 of it */
    nn_node *last;
    nn_spare *spares;      /* reused before the arena is asked */
    const nn_watch *watch; /* NULL: nobody looks */
    const char *naming;    /* watched: what the next node is called */
    nn_node *walking;      /* watched: whose backward pass runs */
};

/* One line of the op table. Shapes are checked in `shape`, which returns false when they do not
 * fit. */
typedef struct nn_op_entry {
    const char *name, *formula;
    bool (*shape)(nn_node *node);
    ddome_status (*forward)(nn_graph *graph, nn_node *node);
    ddome_status (*backward)(nn_graph *graph, nn_node *node);
    void (*again)(nn_graph *graph,
                  nn_node *node); /* the value once more, for an op whose result is
                                     cheap; NULL: kept until its gradient is done */
} nn_op_entry;

extern const nn_op_entry nn_op_table[NN_OP_COUNT];

/* A leaf over caller's floats. grad NULL: no gradient wanted. value->data may be NULL only while
 * planning. */
nn_node *nn_graph_leaf(nn_graph *graph, const nn_tensor *value, float *grad);

/* Calls the node that is appended next SCOPE/NAMESUFFIX, or NAMESUFFIX when scope is NULL or empty;
 * nothing on a tape that nobody watches. A ReLU without a name is its input's name and ".relu", any
 * other node that of its operation. */
void nn_graph_name_next(nn_graph *graph, const char *scope, const char *name, const char *suffix);

/* Appends op(inputs) with attr (may be NULL). Returns NULL once graph->status is not DDOME_OK; NULL
 * inputs are passed on. */
nn_node *nn_graph_apply(nn_graph *graph, nn_op op, nn_node *const *inputs, size_t input_count,
                        const nn_attr *attr);

nn_node *nn_graph_conv(nn_graph *graph, nn_node *x, nn_node *weight, size_t stride, size_t pad,
                       size_t kernel);
nn_node *nn_graph_linear(nn_graph *graph, nn_node *x, nn_node *weight, nn_node *bias);
nn_node *nn_graph_relu(nn_graph *graph, nn_node *x);
nn_node *nn_graph_max_pool(nn_graph *graph, nn_node *x, size_t kernel, size_t stride, size_t pad);
nn_node *nn_graph_avg_pool(nn_graph *graph, nn_node *x);
nn_node *nn_graph_add(nn_graph *graph, nn_node *a, nn_node *b);

/* No later operation will use the node's value, so its memory may serve others: at once in a tape
 * without gradients, and in one with them if the op can compute its value again; not in a watched
 * one. NULL is fine. */
void nn_graph_drop(nn_graph *graph, nn_node *node);

/* logits[K] are the outputs of the chosen experts, gate the [n,M] gate logits. */
nn_node *nn_graph_mixture(nn_graph *graph, nn_node *gate, nn_node *const *logits,
                          const uint32_t *chosen, size_t k, bool probs);

/* Mean loss [1] over the rows of z; labels must live as long as the tape. */
nn_node *nn_graph_cross_entropy(nn_graph *graph, nn_node *z, const uint32_t *labels);

/* Gradients of scale * loss in every leaf that wants one. Where several gradients meet they are
 * added in the order in which the tape is walked, later consumer first; the first is stored as it
 * is. A leaf that the loss does not reach keeps what its gradient held; two leaves must not share
 * their gradients. Activations and their gradients are given up on the way. */
DDOME_MUST_CHECK ddome_status nn_graph_backward(nn_graph *graph, nn_node *loss, float scale);

/* For backward functions: where the gradient of input i goes, and its delivery. NULL when out of
 * memory. */
float *nn_graph_grad_buffer(nn_graph *graph, nn_node *input);
void nn_graph_grad_deliver(nn_graph *graph, nn_node *input, float *buffer);

/* Delivers the node's own gradient, as it is now, to an input of the same shape; the node must not
 * use it afterwards. */
void nn_graph_grad_hand_down(nn_graph *graph, nn_node *node, nn_node *input);

#endif

/* SPDX-License-Identifier: MIT */
/* Inputs, attributes and outputs of the operations, and the way from a name to one of them. */
#include "vectors_run.h"

#include <string.h>

static const vectors_op *find_op(const char *name)
{
    const vectors_op *const lists[] = {vectors_ops_draw, vectors_ops_sums, vectors_ops_layers,
                                       vectors_ops_loss};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const vectors_op *op = lists[i]; op->name != NULL; op++)
            if (strcmp(op->name, name) == 0)
                return op;
    return NULL;
}

bool vectors_runs(const char *op)
{
    return find_op(op) != NULL;
}

ddome_status vectors_run(ddome_error *error, nn_arena *arena, const nn_value **outputs,
                         size_t *output_count, const nn_case *work, const nn_kernels *kernels)
{
    const vectors_op *op = find_op(work->op);
    if (op == NULL)
        return nn_fail(error, DDOME_ERR_DATA, "operation %.60s: expected one of SPEC 19.1.2",
                       work->op);
    vectors_work w = {
        .error = error, .arena = arena, .engine = {kernels, work->arith, NULL}, .at_hand = work};
    w.outputs = nn_arena_zero(arena, VECTORS_OUTPUTS, sizeof *w.outputs);
    if (w.outputs == NULL)
        return nn_arena_fail(error, arena, "the outputs of an operation");
    op->run(&w);
    *outputs = w.outputs;
    *output_count = w.output_count;
    return w.status;
}

/* ---- inputs ---- */

void vectors_took(vectors_work *w, ddome_status status)
{
    if (w->status == DDOME_OK)
        w->status = status;
}

static void refuse(vectors_work *w, const char *what, const char *expected)
{
    vectors_took(w, nn_fail(w->error, DDOME_ERR_DATA, "%.40s: %.60s: expected %s (SPEC 19.1.2)",
                            w->at_hand->op, what, expected));
}

const nn_value *vectors_in(vectors_work *w, const char *name, nn_value_type type, size_t least,
                           size_t most)
{
    static const nn_value none = {.name = ""};
    const nn_value *value = nn_case_input(w->at_hand, name);
    if (value == NULL || !nn_value_known(value))
        refuse(w, name, "an input with its elements, found none");
    else if (value->type != type || value->rank < least || value->rank > most)
        refuse(w, name, "another dtype or number of sizes");
    return w->status == DDOME_OK ? value : &none;
}

const nn_value *vectors_in_f32(vectors_work *w, const char *name, size_t rank)
{
    return vectors_in(w, name, NN_VALUE_F32, rank, rank);
}

float vectors_in_scalar(vectors_work *w, const char *name)
{
    const nn_value *value = vectors_in_f32(w, name, 0);
    return w->status == DDOME_OK ? *value->f32 : 0;
}

uint64_t vectors_attribute(vectors_work *w, const char *name, uint64_t low, uint64_t high)
{
    const uint64_t value = nn_case_attribute(w->at_hand, name, 0);
    if (value >= low && value <= high)
        return value;
    vectors_took(w, nn_fail(w->error, DDOME_ERR_DATA,
                            "%.40s: attribute %s: expected %llu..%llu, found %llu (SPEC 19.1.2)",
                            w->at_hand->op, name, (unsigned long long)low, (unsigned long long)high,
                            (unsigned long long)value));
    return low;
}

bool vectors_need(vectors_work *w, bool holds, const char *what)
{
    if (w->status == DDOME_OK && !holds)
        refuse(w, "its inputs", what);
    return w->status == DDOME_OK;
}

/* ---- outputs ---- */

static void *new_output(vectors_work *w, const char *name, nn_value_type type, size_t rank,
                        const size_t *shape)
{
    nn_value *value = &w->outputs[w->output_count];
    const size_t size = type == NN_VALUE_F64 ? sizeof(double) : sizeof(float);
    size_t bytes = size;
    bool fits = w->status == DDOME_OK;
    if (!fits)
        return NULL;
    *value = (nn_value){.name = name, .type = type, .rank = rank, .count = 1};
    for (size_t i = 0; i < rank; i++) {
        value->shape[i] = shape[i];
        fits = fits && nn_size_mul(&bytes, bytes, shape[i]);
        value->count *= shape[i];
    }
    void *elements = fits ? nn_arena_zero(w->arena, value->count, size) : NULL;
    if (elements == NULL)
        vectors_took(w, nn_arena_fail(w->error, w->arena, "an output"));
    w->output_count++;
    return elements;
}

float *vectors_out_f32(vectors_work *w, const char *name, size_t rank, const size_t *shape)
{
    float *elements = new_output(w, name, NN_VALUE_F32, rank, shape);
    if (elements != NULL)
        w->outputs[w->output_count - 1].f32 = elements;
    return elements;
}

uint32_t *vectors_out_u32(vectors_work *w, const char *name, size_t rank, const size_t *shape)
{
    uint32_t *elements = new_output(w, name, NN_VALUE_U32, rank, shape);
    if (elements != NULL)
        w->outputs[w->output_count - 1].u32 = elements;
    return elements;
}

double *vectors_out_f64(vectors_work *w, const char *name, size_t rank, const size_t *shape)
{
    double *elements = new_output(w, name, NN_VALUE_F64, rank, shape);
    if (elements != NULL)
        w->outputs[w->output_count - 1].f64 = elements;
    return elements;
}

float *vectors_out_as(vectors_work *w, const char *name, const nn_value *like)
{
    return vectors_out_f32(w, name, like->rank, like->shape);
}

float *vectors_floats(vectors_work *w, size_t count)
{
    float *floats = w->status == DDOME_OK ? nn_arena_zero(w->arena, count, sizeof *floats) : NULL;
    if (floats == NULL)
        vectors_took(w, nn_arena_fail(w->error, w->arena, "scratch of an operation"));
    return floats;
}

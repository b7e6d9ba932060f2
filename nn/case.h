/* SPDX-License-Identifier: MIT */
/* One computation as a value: an operation by its name, whole-number attributes, named inputs and
 * outputs. Vectors and traces are made of these. SPEC 19.1. */
#ifndef NN_CASE_H
#define NN_CASE_H

#include "engine.h"
#include "hash.h"

typedef enum nn_value_type { NN_VALUE_F32, NN_VALUE_F64, NN_VALUE_U32 } nn_value_type;

enum { NN_VALUE_RANK = 4 };

/* At most one of f32, f64, u32 is set, by `type`; none: only the hash is known. */
typedef struct nn_value {
    const char *name; /* among the inputs or the outputs of its computation */
    nn_value_type type;
    size_t rank, shape[NN_VALUE_RANK], count; /* rank 0: a scalar, count 1 */
    const float *f32;
    const double *f64;
    const uint32_t *u32;
    bool hashed;
    nn_digest hash; /* if hashed */
} nn_value;

typedef struct nn_attribute {
    const char *name;
    uint64_t value;
} nn_attribute;

/* Owns nothing: everything lives in the arena of whoever made it. */
typedef struct nn_case {
    const char *op;
    nn_arith arith;
    const nn_attribute *attributes;
    size_t attribute_count;
    const nn_value *inputs;
    size_t input_count;
    const nn_value *outputs;
    size_t output_count;
} nn_case;

/* NULL when there is none of that name. */
const nn_value *nn_case_input(const nn_case *work, const char *name);
const nn_value *nn_case_output(const nn_case *work, const char *name);

/* `otherwise` when there is none of that name. */
uint64_t nn_case_attribute(const nn_case *work, const char *name, uint64_t otherwise);

bool nn_value_known(const nn_value *value); /* are the elements at hand? */

/* The stored hash, or that of the elements (SPEC 19.1.1). */
nn_digest nn_value_hash(const nn_value *value);

/* Same type, shape and bits; two NaNs are the same. By hash when elements are missing. */
bool nn_value_same(const nn_value *a, const nn_value *b);

#endif

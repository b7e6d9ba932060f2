/* SPDX-License-Identifier: MIT */
/* One value as JSON and as a tensor: its form, its words, its hash. SPEC 19.1.1. */
#ifndef DATA_VALUE_H
#define DATA_VALUE_H

#include "../nn/case.h"
#include "safetensors.h"

/* Bytes of an element; "F32", "F64", "U32". */
size_t data_value_width(nn_value_type type);
const char *data_value_dtype(nn_value_type type);

/* A string without NUL; NULL for anything else, NULL included. */
const char *data_value_text(const data_json_value *value);

/* The members dtype, shape (rank, shape, count; all its bytes fit a size_t) and sha256; false, and
 * *out may be half set, when they are not what SPEC 19.1.1 wants. A member may be NULL. */
bool data_value_read_type(nn_value_type *out, const data_json_value *dtype);
bool data_value_read_shape(nn_value *out, const data_json_value *shape);
bool data_value_read_digest(nn_digest *out, const data_json_value *sha256);

/* Asked before memory is: could these words be as many as the form says? */
bool data_value_words_fit(const nn_value *form, const data_json_value *words);

/* Exactly form->count words of its type, one space between, into `elements`. */
bool data_value_read_words(void *elements, const nn_value *form, const char *words);

/* The elements of a tensor of this type into `elements`, its byte_count / width many. */
void data_value_read_tensor(void *elements, nn_value_type type, const data_safetensor *tensor);

/* f32, f64 or u32 by the type. */
void data_value_set(nn_value *value, const void *elements);

/* Has the tensor the value's dtype and shape? */
bool data_value_same_form(const data_safetensor *tensor, const nn_value *value);

#endif

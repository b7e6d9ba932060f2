/* SPDX-License-Identifier: MIT */
/* Random computations of SPEC 19.1.2 from a line of text, for the suites of nn/case and nn/variant.
 */
#ifndef CASE_FIXTURE_H
#define CASE_FIXTURE_H

#include "fixture.h"

#include "../nn/variant.h"

/* "conv stride=s pad=p x:nhwc w:ocuv": the operation, attributes, inputs; letters are small random
 * sizes that fit each other (Y, X: a window's output; C: a multiple of g; k <= M; p < u, v; L: up
 * to 700; a digit is itself). labels#n<c are below c, chosen#k^M ascend below M, z%nc are z0, z1,
 * ... z(k-1). All lives in buffers of fixture.h. */
nn_case test_case_from(const char *text, nn_arith arith, fill_pattern pattern, test_random *random);

/* The elements of an input. */
const float *test_input(const nn_case *work, const char *name);

/* Size `axis` of an input. */
size_t test_input_size(const nn_case *work, const char *name, size_t axis);

/* A value of floats with one axis. */
nn_value test_value(const char *name, const float *elements, size_t count);

/* One text for each operation that nn_variant_run knows; NULL ends them. */
extern const char *const test_case_texts[];

#endif

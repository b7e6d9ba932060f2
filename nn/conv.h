/* SPDX-License-Identifier: MIT */
/* Convolution (cross-correlation) without bias: x[n,h,w,c], weights OIHW [oc,c,kh,kw],
 * y[n,oh,ow,oc]. SPEC 5.3 to 5.5. */
#ifndef NN_CONV_H
#define NN_CONV_H

#include "arena.h"
#include "engine.h"

typedef struct nn_conv_shape {
    size_t n, h, w, c;
    size_t oc, kh, kw, stride, pad;
    size_t oh, ow; /* (h + 2*pad - kh) / stride + 1, likewise ow */
} nn_conv_shape;

/* Fills oh and ow; false when the window does not fit the padded input or a size is 0. */
bool nn_conv_output(nn_conv_shape *shape);

/* y[n,oh,ow,oc] = total over k = (kh*KW + kw)*C + ic of x*w; taps outside the input are skipped. */
DDOME_MUST_CHECK ddome_status nn_conv_forward(const nn_engine *engine, ddome_error *error,
                                              nn_arena *scratch, float *y, const float *x,
                                              const float *weight, const nn_conv_shape *shape);

/* dx[n,ih,iw,ic] = total over k = (kh*KW + kw)*OC + oc of dy*w: a gather. */
DDOME_MUST_CHECK ddome_status nn_conv_backward_input(const nn_engine *engine, ddome_error *error,
                                                     nn_arena *scratch, float *dx, const float *dy,
                                                     const float *weight,
                                                     const nn_conv_shape *shape);

/* dw[oc,ic,kh,kw] = total over k = (n*OH + oh)*OW + ow of x*dy. */
DDOME_MUST_CHECK ddome_status nn_conv_backward_weight(const nn_engine *engine, ddome_error *error,
                                                      nn_arena *scratch, float *dw, const float *dy,
                                                      const float *x, const nn_conv_shape *shape);

#endif

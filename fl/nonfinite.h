/* SPDX-License-Identifier: MIT */
/* What is not finite, and where it became so: the words of the line, and a search that looks at
 * every value of a tape. Checks are cheap and late; when one fails, what was done is done once more
 * under the search, as all of it is a function of its inputs. SPEC 11.13. */
#ifndef FL_NONFINITE_H
#define FL_NONFINITE_H

#include "trace.h"
#include "trainee.h"

/* One value, in the words of a trace (SPEC 19.3): `op` made it, `name` and `tensor` are what it is.
 * DDOME_ERR_NONFINITE. */
ddome_status fl_nonfinite_at(ddome_error *error, const char *pass, const char *op, const char *name,
                             const char *tensor, size_t element, float value);

/* The same for the first of `values` that is not finite; DDOME_OK when all are. */
DDOME_MUST_CHECK ddome_status fl_nonfinite_check(ddome_error *error, const char *pass,
                                                 const char *op, const char *name,
                                                 const char *tensor, const float *values,
                                                 size_t count);

/* The same for a model: name is SCOPE/SLICE; trained slices are `w`, made by `op`, running
 * statistics `value`. */
DDOME_MUST_CHECK ddome_status fl_nonfinite_model(ddome_error *error, const char *pass,
                                                 const char *op, const char *scope,
                                                 const nn_layout *layout, const float *values);

/* The same for a model behind its last step. */
DDOME_MUST_CHECK ddome_status fl_nonfinite_trainee(ddome_error *error, const fl_trainee *trainee);

/* Puts where it was before the line of DDOME_ERR_NONFINITE, and behind it the mend, unless that is
 * NULL; the outermost place begins the line. Any other status stays as it is. Returns it. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
ddome_status
fl_nonfinite_in(ddome_error *error, ddome_status status, const char *mend, const char *where, ...);

/* ---- the search ---- */

typedef struct fl_search {
    nn_watch watch;
    size_t row; /* of what was found, in the first dimension of its tensor */
} fl_search;

/* What a tape is watched by: the search or, when it is NULL, the trace (NULL: nobody). */
const nn_watch *fl_search_watch(fl_search *search, fl_trace *trace);

/* A trainee behind a step, slice by slice: the gradient where it was corrected, then the weights or
 * statistics. (A velocity that is not finite leaves no finite weight.) Nothing without a search. */
DDOME_MUST_CHECK ddome_status fl_search_update(ddome_error *error, const fl_search *search,
                                               const fl_trainee *trainee);

/* What the search has found takes the place of what the check had told. When it has found nothing,
 * the same work gave other values, and the line says so; when it could not be done, for lack of
 * memory, the line stays. */
void fl_search_end(ddome_error *error, const ddome_error *found);

#endif

/* SPDX-License-Identifier: MIT */
/* IFCA: the start of a cluster's model, and which model suits a client. SPEC 12.6.7. */
#ifndef FL_IFCA_H
#define FL_IFCA_H

#include "model.h"

/* Models of M clusters that all start from the common expert would be equal for ever: each trained
 * value w becomes w + ((ifca_noise * w) * normal). */
void fl_ifca_perturb(float *values, const nn_layout *layout, const fl_config *config,
                     uint32_t index);

/* Index of the least figure, the lowest of equals. */
size_t fl_ifca_least(const float *figures, size_t count);

/* What one model makes of samples, in evaluation mode: the mean loss, or without labels the mean
 * entropy of the softmax outputs. */
DDOME_MUST_CHECK ddome_status fl_ifca_figure(const nn_engine *engine, ddome_error *error,
                                             nn_arena *scratch, float *figure, bool labels,
                                             const fl_model *model, const float *values,
                                             const data_set *set, const data_split *split,
                                             const uint32_t *samples, size_t count);

#endif

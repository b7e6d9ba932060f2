/* SPDX-License-Identifier: MIT */
/* Build, backward, step. SPEC 6.7, 11.3. */
#include "trainee.h"

#include "nonfinite.h"

ddome_status fl_trainee_init(ddome_error *error, nn_arena *arena, fl_trainee *trainee,
                             const fl_model *model, float *values, const nn_sgd *sgd)
{
    const size_t total = model->layout.total;
    *trainee = (fl_trainee){.model = model, .values = values, .sgd = *sgd};
    trainee->grads = nn_arena_zero(arena, total, sizeof *trainee->grads);
    if (sgd->momentum != 0)
        trainee->velocity = nn_arena_alloc(arena, total, sizeof *trainee->velocity);
    if (trainee->grads == NULL || (sgd->momentum != 0 && trainee->velocity == NULL))
        return nn_arena_fail(error, arena, "gradients");
    return DDOME_OK;
}

nn_node *fl_trainee_build(fl_trainee *trainee, nn_graph *graph, nn_node *x)
{
    nn_net net = {.graph = graph,
                  .layout = &trainee->model->layout,
                  .values = trainee->values,
                  .grads = trainee->grads,
                  .statistics = trainee->values,
                  .scope = trainee->scope};
    return fl_model_build(&net, NULL, x, trainee->model);
}

/* A loss that is not finite ends the run (SPEC 2.7). */
ddome_status fl_trainee_backward(float *value, nn_graph *graph, nn_node *loss, float scale)
{
    if (graph->status != DDOME_OK)
        return graph->status;
    *value = *loss->value.data;
    const ddome_status status =
        fl_nonfinite_check(graph->error, "forward", "cross_entropy",
                           loss->name == NULL ? "loss" : loss->name, "loss", value, 1);
    return status == DDOME_OK ? nn_graph_backward(graph, loss, scale) : status;
}

void fl_trainee_step(fl_trainee *trainee)
{
    if (trainee->correction != NULL)
        fl_correct(trainee->grads, trainee->values, &trainee->model->layout, trainee->correction);
    nn_sgd_step(trainee->values, trainee->velocity, trainee->grads, &trainee->model->layout,
                &trainee->sgd, trainee->steps == 0);
    trainee->steps++;
}

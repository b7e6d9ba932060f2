/* SPDX-License-Identifier: MIT */
/* A tiny federation for the suites of fl/. */
#include "fl_fixture.h"

#include <stdio.h>
#include <string.h>

#include "fixture.h"

static const char TINY[] =
    "synth_train=200 synth_test=80 synth_size=8 synth_domains=2 synth_shapes=2 synth_noise=8 "
    "arch=mlp hidden=6 clients=7 experts=2 top_k=2 labels_per_client=2 samples_per_client=10 "
    "active_anchors=1 active_normal=2 batch=4 rounds=3 eval_every=2 unseen_clients=2 "
    "holdout_clients=1 pretrain_epochs=1 pretrain_batch=32 gate_hidden=5 gate_lr=0.1 lr=0.05";

/* One signature for both kinds of configuration. */
typedef ddome_status set_fn(ddome_error *error, void *config, const char *key, const char *value);

static ddome_status set_inside(ddome_error *error, void *config, const char *key, const char *value)
{
    return fl_config_set(error, config, key, value);
}

static ddome_status set_public(ddome_error *error, void *config, const char *key, const char *value)
{
    return ddome_config_set(error, config, key, value);
}

static bool set_all(void *config, set_fn *set, const char *keys)
{
    char text[1024], *rest = text;
    ddome_error error = {DDOME_OK, ""};
    CHECK((size_t)snprintf(text, sizeof text, "%s", keys) < sizeof text);
    for (char *key = strtok(rest, " "); key != NULL; key = strtok(NULL, " ")) {
        char *value = strchr(key, '=');
        *value++ = '\0';
        if (!test_status(key, set(&error, config, key, value), DDOME_OK, &error, NULL))
            return false;
    }
    return true;
}

bool test_federation_keys(fl_config *config, const char *keys)
{
    fl_config_defaults(config);
    return set_all(config, set_inside, TINY) && set_all(config, set_inside, keys);
}

bool test_federation_config(ddome_config *config, const char *keys)
{
    return set_all(config, set_public, TINY) && set_all(config, set_public, keys);
}

ddome_config *test_federation_new(const char *keys)
{
    ddome_config *config;
    if (!CHECK(ddome_config_new(NULL, &config) == DDOME_OK))
        return NULL;
    if (test_federation_config(config, keys))
        return config;
    ddome_config_free(config);
    return NULL;
}

static bool init(fl_run *run, ddome_error *error, const char *keys, size_t threads)
{
    fl_config config;
    memset(run, 0, sizeof *run);
    memset(error, 0, sizeof *error);
    if (!test_federation_keys(&config, keys))
        return false;
    const ddome_status status = fl_run_init(error, run, &config, threads, NULL);
    if (strstr(error->text, "no threads") != NULL) {
        test_skip("this build has no threads");
        return false;
    }
    return test_status("set-up", status, DDOME_OK, error, NULL);
}

bool test_federation_init(fl_run *run, ddome_error *error, const char *keys)
{
    return init(run, error, keys, 1);
}

bool test_federation_threads(fl_run *run, ddome_error *error, const char *keys, size_t threads)
{
    return init(run, error, keys, threads) &&
           test_status("a tiny federation", fl_run_set_up(run), DDOME_OK, error, NULL);
}

bool test_federation(fl_run *run, ddome_error *error, const char *keys)
{
    return test_federation_threads(run, error, keys, 1);
}

ddome_status test_client(ddome_error *error, nn_arena *scratch, fl_visit *visit, const fl_run *run)
{
    ddome_status status = fl_run_choose(error, scratch, visit, run);
    if (status == DDOME_OK)
        status = fl_server_send(error, scratch, visit, &run->server);
    if (status == DDOME_OK)
        status = fl_client_train(error, scratch, visit, &run->world);
    return status;
}

ddome_status test_round(fl_run *run, uint32_t round)
{
    ddome_status status = fl_run_open_round(run, round);
    if (status == DDOME_OK)
        status = fl_run_clients(run, test_client, fl_run_take);
    return status == DDOME_OK ? fl_run_close_round(run, round) : status;
}

bool test_federation_rounds(fl_run *run, ddome_error *error, const char *keys, uint32_t rounds)
{
    if (!test_federation(run, error, keys))
        return false;
    for (uint32_t round = 1; round <= rounds; round++)
        if (!test_status("a round", test_round(run, round), DDOME_OK, error, NULL))
            return false;
    return true;
}

float *test_slice(float *values, const nn_layout *layout, const char *name)
{
    size_t i = 0;
    while (i < layout->count && strcmp(layout->slices[i].name, name) != 0)
        i++;
    test_check(i < layout->count, __FILE__, __LINE__, "there is a slice %s", name);
    return values + layout->slices[i % layout->count].offset;
}

/* ---- SGD by hand ---- */

test_sgd test_sgd_start(const fl_run *run, float *values, const nn_sgd *sgd, size_t batch)
{
    const size_t total = run->expert.layout.total;
    test_sgd s = {.run = run, .values = values, .sgd = *sgd, .batch = batch};
    s.grads = test_floats(total);
    s.velocity = test_floats(total);
    memset(s.grads, 0, total * sizeof *s.grads);
    return s;
}

bool test_sgd_batch(test_sgd *s, const uint32_t *samples, size_t count)
{
    const fl_model *model = &s->run->expert;
    const data_set *set = &s->run->task.set;
    const size_t mark = test_mark();
    nn_arena arena = {0};
    nn_tensor x = {NULL, nn_min(s->batch, count), model->h, model->w, model->c};
    x.data = test_floats(nn_tensor_count(&x));
    uint32_t *labels = test_bytes(x.n, sizeof *labels);
    data_batch_fill(&x, labels, set, &set->train, samples, x.n);
    nn_graph graph = {.engine = test_engine(), .arena = &arena, .training = true};
    nn_net net = {.graph = &graph,
                  .layout = &model->layout,
                  .values = s->values,
                  .grads = s->grads,
                  .statistics = s->values};
    nn_node *z = nn_mlp_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), &model->mlp);
    nn_node *loss = nn_graph_cross_entropy(&graph, z, labels);
    const bool ok = CHECK(nn_graph_backward(&graph, loss, 1.0f) == DDOME_OK);
    nn_sgd_step(s->values, s->velocity, s->grads, &model->layout, &s->sgd, s->steps++ == 0);
    nn_arena_free(&arena);
    test_rewind(mark);
    return ok;
}

/* SPDX-License-Identifier: MIT */
/* The parts of a run at their edges: schedules, variates and scopes with nothing in them, manifests
 * that nearly fit, losses and averages that are not finite. */
#include <stdio.h>
#include <string.h>

#include "../fl/ifca.h"
#include "../fl/origin.h"
#include "../fl/schedule.h"
#include "../fl/trainee.h"
#include "../fl/variates.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_fl_edges(void);

enum { PATH_BYTES = 1024 };

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

/* ---- schedules, variates, perturbation ---- */

static void schedules(void)
{
    fl_config config;
    test_case("schedule: every group takes part when there is no schedule");
    fl_config_defaults(&config);
    CHECK(config.schedule == FL_SCHEDULE_ALL);
    config.schedule_groups = 3;
    for (uint32_t group = 0; group < 3; group++)
        CHECK(fl_schedule_active(&config, group, 1) && fl_schedule_active(&config, group, 2));
}

/* Statistics are neither perturbed (SPEC 12.6.7) nor moved by variates, and without an answer
 * nothing moves at all. */
static void statistics(void)
{
    static const float start[4] = {1, 2, 3, 4};
    nn_slice slices[2] = {{.kind = NN_SLICE_TRAINED, .count = 2},
                          {.kind = NN_SLICE_STATISTIC, .offset = 2, .count = 2}};
    const nn_layout layout = {slices, 2, 2, 4, 2, 1};
    fl_config config;
    float values[4];
    test_case("ifca: statistics keep their values");
    fl_config_defaults(&config);
    memcpy(values, start, sizeof values);
    config.ifca_noise.value = 0.5f;
    fl_ifca_perturb(values, &layout, &config, 1);
    CHECK(values[0] != 1 && values[1] != 2);
    test_same_floats("statistics", values + 2, start + 2, 2);

    test_case("variates: nothing moves when no client answered");
    double sum[4] = {8, 8, 8, 8};
    fl_variates variates = {.server = values, .sum = sum, .clients = 2, .total = 4};
    memcpy(values, start, sizeof values);
    fl_variates_move(&variates, &layout);
    test_same_floats("nobody", values, start, 4);
    variates.returned = 1;
    fl_variates_move(&variates, &layout);
    CHECK(values[0] == 5 && values[1] == 6);
    test_same_floats("statistics", values + 2, start + 2, 2);
}

static void anchors(void)
{
    fl_run run;
    ddome_error error;
    test_case("control: clients that do not train are no anchors");
    if (test_federation_init(&run, &error, "")) {
        const size_t training = run.task.partition.training;
        CHECK(fl_control_is_anchor(&run.control, 0) && fl_control_is_anchor(&run.control, 1));
        for (size_t id = 2; id < training + 3; id++)
            CHECK(!fl_control_is_anchor(&run.control, (uint32_t)id));
    }
    fl_run_free(&run);
}

/* ---- not finite: SPEC 2.7 ---- */

static void losses(void)
{
    static const uint32_t bits[] = {0x7f800000u, 0xff800000u, 0x7fc00000u};
    static const char *const words[] = {"element 0 of loss is +infinity",
                                        "element 0 of loss is -infinity",
                                        "element 0 of loss is NaN"};
    test_case("a training loss that is not finite, each kind (SPEC 2.7)");
    for (size_t i = 0; i < 3; i++) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        float data = nn_float_from_bits(bits[i]), value = 0;
        const nn_tensor loss = {&data, 1, 1, 1, 1};
        nn_graph graph = {.engine = test_engine(), .arena = &arena, .error = &error};
        nn_node *node = nn_graph_leaf(&graph, &loss, NULL);
        test_status(words[i], fl_trainee_backward(&value, &graph, node, 1), DDOME_ERR_NONFINITE,
                    &error, words[i]);
        nn_arena_free(&arena);
    }
}

/* The expert's last bias is of this size: its logits, and the losses, are not finite. */
static void bad_evaluation(uint32_t bits, const char *part)
{
    fl_run run;
    ddome_error error;
    test_case("an evaluation whose loss is not finite: %s (SPEC 2.7)", part);
    if (test_federation(&run, &error, "algo=fedavg")) {
        fl_evaluation e;
        const fl_slot *slot = &run.server.expert[0];
        slot->values[slot->model->layout.total - 1] = nn_float_from_bits(bits);
        const ddome_status status =
            fl_evaluate(&error, &run.arena, &run.crew, &e, run.evaluator, &run.server);
        test_status("evaluation", status, DDOME_ERR_NONFINITE, &error, part);
    }
    fl_run_free(&run);
}

/* A visit returns a model that is not finite: the first such parameter of the first such model is
 * named, and no later model is averaged. */
static void bad_round(const char *keys_of_run, const char *part)
{
    fl_run run;
    ddome_error error;
    test_case("a round after which models are not finite: %s (SPEC 2.7)", keys_of_run);
    if (test_federation(&run, &error, keys_of_run)) {
        ddome_status status = fl_run_open_round(&run, 1);
        for (size_t i = 0; i < run.active && status == DDOME_OK; i++) {
            fl_visit *visit = &run.visits[i];
            status = test_client(&error, &run.scratch, visit, &run);
            for (size_t k = 0; k < visit->k && status == DDOME_OK; k++)
                visit->expert[k][2] = nn_float_from_bits(0x7f800000u);
            if (status == DDOME_OK)
                status = fl_run_take(&run, visit);
        }
        if (status == DDOME_OK)
            status = fl_run_close_round(&run, 1);
        test_status("round", status, DDOME_ERR_NONFINITE, &error, part);
    }
    fl_run_free(&run);
}

/* ---- a client without samples ---- */

static void no_samples(void)
{
    fl_run run;
    ddome_error error;
    test_case("client: one without samples takes no step");
    if (test_federation(&run, &error, "algo=fedavg")) {
        data_client nobody = run.task.partition.clients[0];
        nobody.count = 0;
        fl_visit visit = fl_run_visit(&run, &nobody, 1);
        CHECK(fl_server_send(&error, &run.scratch, &visit, &run.server) == DDOME_OK);
        test_status("train", fl_client_train(&error, &run.scratch, &visit, &run.world), DDOME_OK,
                    &error, NULL);
        CHECK(visit.steps == 0 && nn_float_bits(visit.loss) == 0);
        test_same_floats("its copy", visit.expert[0], run.server.expert[0].values,
                         run.expert.layout.total);
    }
    fl_run_free(&run);
}

/* ---- scope ---- */

/* The test split has none of a client's labels left. SPEC 13.5. */
static void unseen_labels(void)
{
    fl_config config;
    fl_task task;
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_client *clients = NULL;
    data_client whole;
    size_t count = 0;
    test_case("scope: a seen client without a test sample of its labels (SPEC 13.5)");
    if (test_federation_keys(&config, "eval_scope=seen") &&
        CHECK(fl_config_check(&error, &config) == DDOME_OK &&
              fl_task_load(&error, &arena, &task, &config) == DDOME_OK)) {
        uint8_t *labels = test_bytes(task.set.test.count, 1);
        const data_label_set held = data_client_labels(&task.partition.clients[0], &task.set.train);
        unsigned other = 0;
        while (data_label_set_has(&held, other))
            other++;
        memset(labels, (int)other, task.set.test.count);
        task.set.test.labels = labels;
        test_status("scope",
                    fl_task_scope(&error, &arena, &clients, &count, &whole, &task, &config,
                                  config.eval_scope),
                    DDOME_ERR_USAGE, &error, "client 0 has no sample of its labels");
    }
    nn_arena_free(&arena);
    test_release();
}

/* The number of samples that a seen client is given: all of its labels, however many are asked
 * for, and even shares of fewer. */
static void seen_samples(void)
{
    fl_config config;
    fl_task task;
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    const data_client *clients = NULL;
    data_client whole;
    size_t count = 0;
    test_case("scope: as many test samples of a seen client as there are (SPEC 13.5)");
    if (test_federation_keys(&config, "eval_scope=seen") &&
        CHECK(fl_config_check(&error, &config) == DDOME_OK &&
              fl_task_load(&error, &arena, &task, &config) == DDOME_OK)) {
        static const size_t asked[] = {0, 40, 39, 1000, 6};
        static const size_t want[] = {40, 40, 39, 40, 6}; /* 2 labels with 20 each */
        for (size_t i = 0; i < 5; i++) {
            config.seen_samples = asked[i];
            CHECK(fl_task_scope(&error, &arena, &clients, &count, &whole, &task, &config,
                                config.eval_scope) == DDOME_OK);
            for (size_t k = 0; k < count; k++)
                test_same_u64("samples", clients[k].count, want[i]);
        }
    }
    nn_arena_free(&arena);
}

/* A scope without clients, and data sets in a folder that is not there. */
static void refused_tasks(void)
{
    static const struct {
        const char *data, *part;
    } sets[] = {{"cifar10", "data_batch_1.bin"},
                {"cifar100", "train.bin"},
                {"mnist", "train-images-idx3-ubyte"},
                {"emnist", "emnist-"}};
    static const data_client nobody;
    fl_config config;
    fl_task task = {.partition = {.clients = &nobody}};
    nn_arena arena = {0};
    const data_client *clients = NULL;
    data_client whole;
    size_t count = 0;
    test_case("scope: one without clients (SPEC 13.1)");
    fl_config_defaults(&config);
    for (int i = 0; i < 2; i++) {
        ddome_error error = {DDOME_OK, ""};
        config.eval_scope = i == 0 ? FL_SCOPE_UNSEEN : FL_SCOPE_HOLDOUT;
        test_status("none",
                    fl_task_scope(&error, &arena, &clients, &count, &whole, &task, &config,
                                  config.eval_scope),
                    DDOME_ERR_USAGE, &error,
                    i == 0 ? "set unseen_clients to at least 1" : "set holdout_clients to");
    }
    test_case("task: data sets in a folder that is not there");
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        ddome_error error = {DDOME_OK, ""};
        data_set set = {.name = NULL};
        CHECK(fl_config_set(&error, &config, "data", sets[i].data) == DDOME_OK);
        CHECK(fl_config_set(&error, &config, "data_dir", path_to("no_such_folder")) == DDOME_OK);
        test_status(sets[i].data, fl_task_load_data(&error, &arena, &set, &config), DDOME_ERR_DATA,
                    &error, "no_such_folder");
        test_check(strstr(error.text, sets[i].part) != NULL && set.name == NULL, __FILE__, __LINE__,
                   "%s: %s", sets[i].data, error.text);
    }
    nn_arena_free(&arena);
}

/* ---- plan ---- */

/* Clients keep statistics of their own where bn_stats is local, the algorithm averages and rounds
 * are made (SPEC 11.5). */
static void kept_statistics(const char *keys_of_run, bool kept)
{
    static const char name[] = "disk bytes of clients' states, at most: ";
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config;
    char *text = NULL;
    test_case("plan: statistics that clients keep: %s", keys_of_run);
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    if (test_federation_config(config, keys_of_run) &&
        test_status("plan", ddome_plan(&error, &text, config), DDOME_OK, &error, NULL)) {
        const char *line = strstr(text, name);
        if (CHECK(line != NULL))
            CHECK((line[sizeof name - 1] != '0') == kept);
        ddome_text_free(text);
    }
    ddome_config_free(config);
}

/* ---- the common expert once more ---- */

/* With eval_scope = holdout there are no embeddings of test samples; those of the training split
 * follow the common expert. SPEC 11.12. */
static void renewed(void)
{
    fl_run run;
    ddome_error error;
    test_case("common_every where no test sample is embedded (SPEC 11.12)");
    if (test_federation(&run, &error, "common_every=1 eval_scope=holdout active_normal=1")) {
        const size_t floats = 4 * run.common_model.features;
        float *before = test_floats(floats);
        memcpy(before, run.train.rows, floats * sizeof *before);
        CHECK(run.test.rows == NULL);
        test_status("round 1", test_round(&run, 1), DDOME_OK, &error, NULL);
        CHECK(memcmp(before, run.train.rows, floats * sizeof *before) == 0);
        test_status("round 2", test_round(&run, 2), DDOME_OK, &error, NULL);
        CHECK(memcmp(before, run.train.rows, floats * sizeof *before) != 0);
        CHECK(run.test.rows == NULL);
    }
    fl_run_free(&run);
    test_release();
}

/* ---- manifests ---- */

static void manifest_says(const char *text, const fl_task *task, const fl_config *config,
                          ddome_status want, const char *part)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    CHECK(nn_os_write_file(&error, path_to("manifest.json"), text, strlen(text)) == DDOME_OK);
    test_status(text, fl_origin_check_run(&error, &arena, test_dir(), config, task), want, &error,
                part);
    CHECK(arena.used == 0);
    nn_arena_free(&arena);
}

/* SPEC 9.4, 18.3.2. */
static void manifests(void)
{
    fl_config config;
    fl_task task = {.set = {.name = "made up"}};
    char train[NN_HEX_BYTES], text[400];
    test_case("origin: manifests that lack a member, or have another kind in its place");
    fl_config_defaults(&config);
    memset(&task.set.train.hash, 0xab, sizeof task.set.train.hash);
    memset(&task.set.test.hash, 0xab, sizeof task.set.test.hash);
    nn_digest_hex(train, &task.set.train.hash);
    manifest_says("{}", &task, &config, DDOME_ERR_VERIFY, "train_sha256 or test_sha256 differ");
    manifest_says("{\"train_sha256\": 7}", &task, &config, DDOME_ERR_VERIFY, "differ");
    manifest_says("{\"train_sha256\": \"ab\"}", &task, &config, DDOME_ERR_VERIFY, "differ");
    snprintf(text, sizeof text, "{\"train_sha256\": \"%s\", \"test_sha256\": null}", train);
    manifest_says(text, &task, &config, DDOME_ERR_VERIFY, "differ");
    snprintf(text, sizeof text, "{\"train_sha256\": \"%s\", \"test_sha256\": \"%s\"}", train,
             train);
    manifest_says(text, &task, &config, DDOME_ERR_VERIFY, "arith = ma is not the profile");
    manifest_says("[]", &task, &config, DDOME_ERR_DATA, "expected an object");
    manifest_says("{", &task, &config, DDOME_ERR_DATA, "manifest.json: JSON");
    nn_os_remove(path_to("manifest.json"));
    manifest_says("{}", &task, &config, DDOME_ERR_VERIFY, "differ");
    nn_os_remove(path_to("manifest.json"));

    test_case("origin: a model in no folder, in a folder final, beside no manifest");
    static const char *const paths[] = {"no_such_model", "final/no_such_model",
                                        "no_such_folder_final/model", "no_such_folder/final/model"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        const nn_digest common = task.set.train.hash;
        test_status(paths[i], fl_origin_check_model(&error, &arena, paths[i], &common, &task),
                    DDOME_OK, &error, NULL);
        nn_arena_free(&arena);
    }
}

void t_fl_edges(void)
{
    schedules();
    statistics();
    anchors();
    losses();
    bad_evaluation(0x7fc00000u, "is NaN");
    bad_evaluation(0x7f800000u, "is +infinity");
    bad_round("algo=fedavg", "expert0/fc1.weight: element 2 of w is +infinity");
    bad_round("algo=ensemble", "expert0/fc1.weight: element 2 of w is +infinity");
    no_samples();
    unseen_labels();
    seen_samples();
    refused_tasks();
    kept_statistics("bn_stats=local arch=resnet34 width=1 rounds=1", true);
    kept_statistics("bn_stats=local arch=resnet34 width=1 rounds=1 algo=common", false);
    renewed();
    manifests();
}

/* SPDX-License-Identifier: MIT */
/* What must not pass silently: values that are not finite, sizes beyond the machine, files of
 * another origin, an old error's text. SPEC 2.7, 9.4, 18.3.2. */
#include <stdio.h>
#include <string.h>

#include "../fl/checkpoint.h"
#include "../fl/origin.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"

/* ---- not finite ---- */

/* A negative infinity before a ReLU: the loss stays finite, the weights do not. */
static void pretrained_weights(void)
{
    fl_run run;
    fl_config config;
    ddome_error error = {DDOME_OK, ""};
    test_case("refusals: a common expert with weights that are not finite ends with status 7");
    if (test_federation_keys(&config, "arch=resnet34 width=1 pretrain_lr=100 pretrain_epochs=2")) {
        ddome_status status = fl_run_init(&error, &run, &config, 1, NULL);
        if (status == DDOME_OK)
            status = fl_run_common(&run);
        test_status("pretraining", status, DDOME_ERR_NONFINITE, &error, "not finite");
        fl_run_free(&run);
    }
}

static void returned_copy(void)
{
    fl_run run;
    ddome_error error;
    test_case("refusals: a returned value that is not finite ends the round with status 7");
    if (test_federation(&run, &error, "algo=fedavg")) {
        const size_t total = run.expert.layout.total;
        fl_visit visit = {.client = &run.task.partition.clients[0], .k = 1};
        visit.expert[0] = test_floats(total);
        for (size_t i = 0; i < total; i++)
            visit.expert[0][i] = i == 3 ? nn_float_from_bits(0x7f800000u) : 1.0f;
        fl_server_open_round(&run.server);
        CHECK(fl_server_take(&error, &run.server, &visit) == DDOME_OK);
        test_status(
            "averaging", fl_server_average(&error, &run.server), DDOME_ERR_NONFINITE, &error,
            "is not finite: round 0: average, average expert0/fc1.weight: element 3 of w is +inf");
        test_release();
    }
    fl_run_free(&run);
}

static void evaluation_loss(void)
{
    fl_run run;
    ddome_error error;
    fl_evaluation evaluation;
    test_case("refusals: an evaluation that is not finite ends the run with status 7");
    if (test_federation(&run, &error, "algo=fedavg")) {
        run.server.expert[0].values[run.expert.layout.total - 1] = nn_float_from_bits(0x7fc00000u);
        test_status(
            "evaluation",
            fl_evaluate(&error, &run.arena, &run.crew, &evaluation, run.evaluator, &run.server),
            DDOME_ERR_NONFINITE, &error, "is not finite: evaluation after round 0, client ");
    }
    fl_run_free(&run);
}

/* ---- sizes ---- */

static nn_arena arena;

static ddome_status plan(ddome_error *error, size_t images, size_t hidden)
{
    nn_layout layout = {0};
    nn_graph graph = {.arena = &arena, .error = error, .planning = true};
    nn_net net = {.graph = &graph, .declare = &layout};
    const nn_tensor x = {NULL, images, 1, 1, 4};
    const nn_mlp mlp = {hidden, 3};
    memset(error, 0, sizeof *error);
    nn_mlp_build(&net, NULL, nn_graph_leaf(&graph, &x, NULL), &mlp);
    return graph.status;
}

static void sizes(void)
{
    ddome_error error;
    test_case(
        "refusals: sizes whose bytes do not fit a size_t are status 6, not a small allocation");
    test_status("a model that fits", plan(&error, 2, 5), DDOME_OK, &error, NULL);
    test_status("parameters", plan(&error, 2, SIZE_MAX / 16), DDOME_ERR_MEMORY, &error,
                "fc1.weight");
    test_status("their product", plan(&error, 2, SIZE_MAX / 2), DDOME_ERR_MEMORY, &error,
                "fc1.weight");
    test_status("an activation", plan(&error, SIZE_MAX / 16, 5), DDOME_ERR_MEMORY, &error,
                "activation");
    nn_arena_free(&arena);
}

/* ---- origin ---- */

static void write_manifest(const char *dir, const char *common, const char *train, const char *pool,
                           const char *test)
{
    char text[1024], path[512];
    ddome_error error = {DDOME_OK, ""};
    const int length = snprintf(text, sizeof text,
                                "{\"common_sha256\": \"%s\", \"train_sha256\": \"%s\", "
                                "\"pool_sha256\": \"%s\", \"test_sha256\": \"%s\", "
                                "\"arith\": \"ma\"}",
                                common, train, pool, test);
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    CHECK(nn_os_write_file(&error, path, text, (size_t)length) == DDOME_OK);
}

static void check_origin(const char *what, const char *path, const nn_digest *common,
                         const fl_task *task, const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    const ddome_status want = part == NULL ? DDOME_OK : DDOME_ERR_USAGE;
    test_status(what, fl_origin_check_model(&error, &arena, path, common, task), want, &error,
                part);
}

static void check_run(const char *what, const fl_run *run, nn_arith arith, const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    const ddome_status want = part == NULL ? DDOME_OK : DDOME_ERR_VERIFY;
    fl_config config = run->config;
    config.arith = (int)arith;
    test_status(what, fl_origin_check_run(&error, &arena, test_dir(), &config, &run->task), want,
                &error, part);
}

/* Neither half a text nor a list is taken for a manifest; the line names the file. */
static void damaged_manifests(const fl_run *run)
{
    static const char *const damaged[] = {"{\"common_sha256\": ", "[]"};
    const nn_digest digest = nn_sha256_of("a model", 7);
    char path[512], common[512];
    snprintf(path, sizeof path, "%s/manifest.json", test_dir());
    snprintf(common, sizeof common, "%s/common.safetensors", test_dir());
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        ddome_error error = {DDOME_OK, ""};
        CHECK(nn_os_write_file(&error, path, damaged[i], strlen(damaged[i])) == DDOME_OK);
        test_status(damaged[i], fl_origin_check_model(&error, &arena, common, &digest, &run->task),
                    DDOME_ERR_DATA, &error, "manifest.json: ");
    }
}

/* Each hash alone decides; a manifest above a folder `final` counts, one above another folder does
 * not. */
static void origins(const fl_run *run)
{
    const nn_digest digest = nn_sha256_of("a model", 7),
                    pool_hash = data_partition_pool_hash(&run->task.partition);
    const char *dir = test_dir(), *other = "00";
    char common[NN_HEX_BYTES], train[NN_HEX_BYTES], pool[NN_HEX_BYTES], test[NN_HEX_BYTES];
    char beside[512], final[512], elsewhere[512];
    ddome_error error = {DDOME_OK, ""};
    nn_digest_hex(common, &digest);
    nn_digest_hex(train, &run->task.set.train.hash);
    nn_digest_hex(test, &run->task.set.test.hash);
    nn_digest_hex(pool, &pool_hash);
    snprintf(beside, sizeof beside, "%s/common.safetensors", dir);
    snprintf(final, sizeof final, "%s/final/common.safetensors", dir);
    snprintf(elsewhere, sizeof elsewhere, "%s/xfinal/common.safetensors", dir);
    char folder[512], odd[512];
    snprintf(folder, sizeof folder, "%s/final", dir);
    snprintf(odd, sizeof odd, "%s/xfinal", dir);
    if (nn_os_make_dir(&error, folder) != DDOME_OK || nn_os_make_dir(&error, odd) != DDOME_OK) {
        test_skip("plain C99 cannot make folders");
        return;
    }
    write_manifest(dir, common, train, pool, test);
    check_origin("its own manifest", beside, &digest, &run->task, NULL);
    check_origin("its own manifest above final", final, &digest, &run->task, NULL);
    check_run("its own run", run, NN_ARITH_MA, NULL);
    check_run("another profile", run, NN_ARITH_FMA, "arith = fma is not the profile of");
    write_manifest(dir, other, train, pool, test);
    check_origin("another model", beside, &digest, &run->task, "is not the common expert");
    check_origin("a start has no hash there", beside, NULL, &run->task, NULL);
    write_manifest(dir, common, other, pool, test);
    check_origin("another train split", beside, &digest, &run->task, "other samples");
    check_run("a run on another train split", run, NN_ARITH_MA, "train_sha256");
    write_manifest(dir, common, train, other, other);
    check_origin("another pool", beside, &digest, &run->task, "other samples");
    check_origin("its key", final, &digest, &run->task, "common=");
    check_origin("a start of another pool", final, NULL, &run->task, "init_file=");
    check_origin("another pool, above final", final, &digest, &run->task, "other samples");
    check_origin("a manifest above another folder says nothing", elsewhere, &digest, &run->task,
                 NULL);
    check_run("a run on another test split", run, NN_ARITH_MA, "test_sha256");
}

static void origin(void)
{
    fl_run run;
    ddome_error error;
    test_case("refusals: a common expert or a run of other samples");
    if (test_federation(&run, &error, "algo=fedavg")) {
        origins(&run);
        damaged_manifests(&run);
    }
    char path[512];
    snprintf(path, sizeof path, "%s/manifest.json", test_dir());
    nn_os_remove(path);
    fl_run_free(&run);
    nn_arena_free(&arena);
}

/* ---- errors ---- */

static void second_error(void)
{
    ddome_error error = {DDOME_OK, ""};
    ddome_config *config = NULL;
    test_case("refusals: a second failing call tells its own reason");
    CHECK(ddome_config_new(&error, &config) == DDOME_OK);
    test_status("first", ddome_config_set(&error, config, "rounds", "x"), DDOME_ERR_USAGE, &error,
                "rounds");
    test_status("second", ddome_config_set(&error, config, "width", "y"), DDOME_ERR_USAGE, &error,
                "width");
    CHECK(ddome_config_set(&error, config, "width", "4") == DDOME_OK && error.status == DDOME_OK);
    ddome_config_free(config);
}

void t_refusals(void)
{
    pretrained_weights();
    returned_copy();
    evaluation_loss();
    sizes();
    origin();
    second_error();
}

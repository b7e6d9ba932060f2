/* SPDX-License-Identifier: MIT */
/* Federations on one-channel images: the paper's two-layer perceptron, the ResNet, orientation seen
 * by a whole round. SPEC 6.2, 6.4, 7.8. */
#include <stdio.h>
#include <string.h>

#include "fl_fixture.h"
#include "idx_fixture.h"

void t_idx_run(void);

static const idx_made upright[] = {{"train", 1, 100, 0, 10, false}, {"t10k", 2, 40, 0, 10, false}},
                      turned[] = {{"emnist-mnist-train", 1, 100, 0, 10, true},
                                  {"emnist-mnist-test", 2, 40, 0, 10, true}},
                      paper[] = {{"emnist-byclass-train", 3, 372, 0, 62, true},
                                 {"emnist-byclass-test", 4, 124, 0, 62, true}};

static bool federation(fl_run *run, ddome_error *error, const char *keys)
{
    char text[IDX_PATH + 256];
    snprintf(text, sizeof text, "holdout_clients=0 data_dir=%s %s", test_dir(), keys);
    return test_federation(run, error, text);
}

static bool train(fl_run *run, ddome_error *error)
{
    return test_status("round 1", test_round(run, 1), DDOME_OK, error, NULL) &&
           test_status("round 2", test_round(run, 2), DDOME_OK, error, NULL);
}

static bool evaluate(fl_run *run, ddome_error *error, size_t clients)
{
    fl_evaluation evaluation;
    ddome_status status =
        fl_evaluate(error, &run->arena, &run->crew, &evaluation, run->evaluator, &run->server);
    return test_status("evaluation", status, DDOME_OK, error, NULL) &&
           test_same_u64("clients", evaluation.clients, clients);
}

/* EMNIST ByClass: 10 experts with an anchor and 6 of 62 labels each, 5 labels a normal client, two
 * layers of weights. */
static void perceptron(void)
{
    fl_run run;
    ddome_error error;
    test_case("idx: the paper's perceptrons on EMNIST");
    if (federation(&run, &error,
                   "data=emnist hidden=12 experts=10 clients=14 labels_per_client=5 top_k=2 "
                   "active_anchors=10 samples_per_client=12")) {
        const nn_layout *layout = &run.expert.layout;
        const float *last = test_slice(run.server.expert[0].values, layout, "fc2.bias");
        const data_client *anchor = &run.task.partition.clients[9];
        const data_label_set labels = data_client_labels(anchor, &run.task.set.train);
        unsigned held = 0;
        for (unsigned k = 0; k < 62; k++)
            held += data_label_set_has(&labels, k);
        test_same_u64("labels of an anchor", held, 6);
        test_same_u64("slices", layout->count, 4);
        test_same_u64("values", layout->total, 784 * 12 + 12 + 12 * 62 + 62);
        CHECK(run.expert.c == 1 && run.expert.outputs == 62 && run.expert.features == 12);
        const float before = last[0];
        CHECK(train(&run, &error) && last[0] != before && evaluate(&run, &error, 2));
    }
    fl_run_free(&run);
}

/* Stem with one input channel, 28 = 28, 14, 7, 4 pixels a side; crops and mirrors. */
static void resnet(const char *keys)
{
    fl_run run;
    ddome_error error;
    char text[256];
    test_case("idx: a ResNet with one input channel, %s", keys);
    snprintf(text, sizeof text,
             "data=mnist arch=resnet34 width=2 augment=true labels_per_client=5 pretrain_batch=64 "
             "active_normal=1 %s",
             keys);
    if (federation(&run, &error, text)) {
        const nn_slice *stem = &run.expert.layout.slices[0];
        test_same_text("stem", stem->name, "conv1.weight");
        test_same_u64("values", stem->count, strstr(keys, "7x7") != NULL ? 2 * 49 : 2 * 9);
        CHECK(train(&run, &error) && evaluate(&run, &error, 2));
    }
    fl_run_free(&run);
}

/* What a run on MNIST's images and one on the same images kept as EMNIST keeps them end with. */
static bool end_of(const char *keys, nn_digest *data, nn_digest *weights)
{
    fl_run run;
    ddome_error error;
    bool ok = federation(&run, &error, keys) && train(&run, &error);
    if (ok) {
        *data = run.task.set.train.hash;
        *weights = nn_sha256_of(run.server.expert[1].values,
                                run.expert.layout.total * sizeof *run.server.expert[1].values);
    }
    fl_run_free(&run);
    return ok;
}

static void orientation(void)
{
    nn_digest data[2], weights[2];
    test_case("idx: EMNIST set right trains as MNIST does");
    if (end_of("data=mnist normalize=none labels_per_client=3", &data[0], &weights[0]) &&
        end_of("data=emnist emnist_split=mnist normalize=none labels_per_client=3", &data[1],
               &weights[1])) {
        test_same_bytes("data", data[0].byte, data[1].byte, sizeof data[0].byte);
        test_same_bytes("expert 1", weights[0].byte, weights[1].byte, sizeof weights[0].byte);
    }
}

/* Each new kind of partition carries a run. */
static void kinds(const char *kind)
{
    fl_run run;
    ddome_error error;
    char text[128];
    test_case("idx: a federation on MNIST, partition = %s", kind);
    snprintf(text, sizeof text, "data=mnist partition=%s min_size=2", kind);
    if (federation(&run, &error, text))
        CHECK(train(&run, &error) && evaluate(&run, &error, 2));
    fl_run_free(&run);
}

void t_idx_run(void)
{
    test_case("idx: files to train on");
    if (!idx_make_folder("mnist") || !idx_make_folder("emnist")) {
        test_skip("plain C99 cannot make folders");
        return;
    }
    for (int i = 0; i < 2; i++) {
        idx_write("mnist", &upright[i]);
        idx_write("emnist", &turned[i]);
        idx_write("emnist", &paper[i]);
    }
    perceptron();
    resnet("");
    resnet("stem=7x7 norm=group gn_channels=1");
    orientation();
    kinds("shards");
    kinds("quantity");
}

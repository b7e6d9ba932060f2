/* SPDX-License-Identifier: MIT */
/* What a visit or an epoch of pretraining names when a value is not finite: the first such event of
 * a trace, with any number of threads; values that hide behind a ReLU. SPEC 11.13. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fl/trace_model.h"
#include "../nn/finite.h"
#include "fixture.h"
#include "fl_fixture.h"
#include "trace_fixture.h"

void t_nonfinite(void);

enum { PATH_BYTES = 600 };

#define LINE "a value is not finite: "

static const float LARGE = 3e38f;

/* ---- values ---- */

/* Around the border of a block, each place alone and the first of two. */
static void finds_first(void)
{
    static const size_t counts[] = {0, 1, NN_BLOCK - 1, NN_BLOCK, NN_BLOCK + 1, 2 * NN_BLOCK + 3};
    test_case("nonfinite: the first of all places");
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        const size_t count = counts[c];
        float *values = test_floats(count);
        for (size_t i = 0; i < count; i++)
            values[i] = i % 2 == 0 ? 3.4028235e38f : -0.0f;
        test_same_u64("none", nn_nonfinite(values, count), count);
        for (size_t i = count; i-- > 0;) {
            values[i] = i % 3 == 0 ? HUGE_VALF : nn_float_from_bits(0xff800001u);
            if (!test_same_u64("first", nn_nonfinite(values, count), i))
                break;
        }
        test_release();
    }
    test_same_text("NaN", nn_nonfinite_name(nn_float_from_bits(0xffc00000u)), "NaN");
    test_same_text("a NaN that signals", nn_nonfinite_name(nn_float_from_bits(0x7f800001u)), "NaN");
    test_same_text("+", nn_nonfinite_name(HUGE_VALF), "+infinity");
    test_same_text("-", nn_nonfinite_name(-HUGE_VALF), "-infinity");
    test_same_text("finite", nn_nonfinite_name(3.4028235e38f), "a finite number");
}

/* ---- the line is an event of the trace: SPEC 11.13.2, 11.13.3 ---- */

typedef struct told {
    unsigned long round, client, epoch, step, element;
    char pass[16], op[32], name[128], tensor[16], value[16];
} told;

static bool parse(told *t, const char *line)
{
    return test_check(sscanf(line,
                             LINE "round %lu, client %lu: epoch %lu, step %lu: %15[a-z], %31s "
                                  "%127[^:]: element %lu of %15s is %15[^;]; lower lr = ",
                             &t->round, &t->client, &t->epoch, &t->step, t->pass, t->op, t->name,
                             &t->element, t->tensor, t->value) == 10,
                      __FILE__, __LINE__, "form of the line: %s", line);
}

static const data_safetensor *tensor_of(const trace_file *file, const char *key)
{
    for (size_t i = 0; i < file->tensors.count; i++)
        if (strcmp(file->tensors.tensor[i].name, key) == 0)
            return &file->tensors.tensor[i];
    return NULL;
}

static float element(const data_safetensor *tensor, size_t i)
{
    const unsigned char *b = tensor->bytes + 4 * i;
    return nn_float_from_bits((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                              (uint32_t)b[3] << 24);
}

/* Index of the first element that is no number; SIZE_MAX. */
static size_t first_in(const data_safetensor *tensor)
{
    const bool floats = tensor != NULL && strcmp(tensor->dtype, "F32") == 0;
    for (size_t i = 0; floats && i < tensor->byte_count / 4; i++)
        if (!isfinite(element(tensor, i)))
            return i;
    return SIZE_MAX;
}

/* The first event of the visit with a value that is not finite, whoever found it. */
static const trace_event *first_event(const trace_file *file, const told *t)
{
    char prefix[64];
    const int length = snprintf(prefix, sizeof prefix, "r%lu/c%lu/", t->round, t->client);
    for (size_t i = 0; i < file->count; i++)
        if (strncmp(file->event[i].key, prefix, (size_t)length) == 0 &&
            first_in(tensor_of(file, file->event[i].key)) != SIZE_MAX)
            return &file->event[i];
    return NULL;
}

static void check_event(const trace_file *file, const told *t, size_t batches)
{
    char key[300];
    const trace_event *event = first_event(file, t);
    snprintf(key, sizeof key, "r%lu/c%lu/s%lu/%s/%s/%s", t->round, t->client, t->step, t->pass,
             t->name, t->tensor);
    if (!CHECK(event != NULL) || !test_same_text("the first event", event->key, key))
        return;
    const data_safetensor *tensor = tensor_of(file, key);
    test_same_text("op", t->op, trace_event_text(event, "op"));
    test_same_u64("element", t->element, first_in(tensor));
    test_same_text("value", t->value, nn_nonfinite_name(element(tensor, t->element)));
    test_same_u64("epoch", t->epoch, t->step / batches);
}

/* batches: of an epoch. */
static void named_as_traced(const char *what, const char *keys, size_t batches)
{
    char folder[PATH_BYTES], path[PATH_BYTES];
    ddome_config *config;
    ddome_summary summary;
    ddome_error error = {DDOME_OK, ""};
    trace_file file = {.count = 0};
    told t;
    test_case("nonfinite: the line is the first event of the trace: %s", what);
    snprintf(path, sizeof path, "%s/nonfinite.jsonl", test_dir());
    snprintf(folder, sizeof folder, "%s/nonfinite", test_dir());
    if (!CHECK(ddome_config_new(&error, &config) == DDOME_OK))
        return;
    if (test_federation_config(config, keys) &&
        CHECK(ddome_config_set_trace(&error, config, path, "*", 1, 2) == DDOME_OK)) {
        const ddome_status status = ddome_train(&error, &summary, config, folder, NULL, 1);
        if (strstr(error.text, "plain C99") != NULL)
            test_skip("plain C99 cannot make folders");
        else if (test_status("train", status, DDOME_ERR_NONFINITE, &error, LINE) &&
                 parse(&t, error.text) && trace_file_read(&file, path))
            check_event(&file, &t, batches);
    }
    ddome_config_free(config);
    trace_file_free(&file);
}

/* ---- threads ---- */

/* Rounds until one fails. */
static void line_of(char line[sizeof(((ddome_error *)0)->text)], const char *keys, size_t threads)
{
    fl_run run;
    ddome_error error;
    ddome_status status = DDOME_OK;
    line[0] = '\0';
    if (test_federation_threads(&run, &error, keys, threads)) {
        for (uint32_t round = 1; round <= 9 && status == DDOME_OK; round++)
            status = test_round(&run, round);
        test_status("a diverging run", status, DDOME_ERR_NONFINITE, &error, LINE "round ");
        strcpy(line, error.text);
    }
    fl_run_free(&run);
}

static void any_threads(const char *keys)
{
    char one[sizeof(((ddome_error *)0)->text)], three[sizeof one];
    test_case("nonfinite: one and three threads, the same line: %s", keys);
    line_of(one, keys, 1);
    line_of(three, keys, 3);
    if (three[0] != '\0') /* else skipped */
        test_same_text("line", three, one);
}

/* ---- visits ---- */

static void poison(fl_run *run, float value)
{
    for (size_t i = 0; i < 256; i++)
        run->task.set.value[0][i] = value;
}

/* The loss stays finite: 5.10 makes +0 of each NaN. */
static void hidden_by_relu(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: a NaN that a ReLU hides from every loss is found in the weights");
    if (test_federation(&run, &error, "algo=fedavg epochs=3")) {
        poison(&run, nn_float_from_bits(0x7fc00000u));
        fl_visit visit = fl_run_visit(&run, &run.task.partition.clients[2], 1);
        test_status("without a search", test_client(&error, &run.scratch, &visit, &run),
                    DDOME_ERR_NONFINITE, &error, "update, sgd expert0/fc1.weight: element 0 of w");
        nn_error_clear(&error);
        test_status("a round", test_round(&run, 1), DDOME_ERR_NONFINITE, &error,
                    ": epoch 0, step 0: data, given images: element 0 of value is NaN; lower lr");
    }
    fl_run_free(&run);
}

/* Loss and gradient finite, their product with lr not. */
static void update_overflows(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: a step that overflows");
    if (test_federation(&run, &error, "algo=fedavg lr=1000")) {
        const nn_layout *layout = &run.expert.layout;
        float *weight = test_slice(run.server.expert[0].values, layout, "fc1.weight");
        memset(weight, 0, layout->slices[0].count * sizeof *weight);
        poison(&run, 3e37f);
        test_status("a round", test_round(&run, 1), DDOME_ERR_NONFINITE, &error,
                    ": epoch 0, step 0: update, sgd expert0/fc1.weight: element ");
    }
    fl_run_free(&run);
}

/* Of a slice the gradient comes first, of two slices the first one. */
static void corrected_gradient(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: a correction that overflows");
    if (test_federation(&run, &error, "algo=fedprox")) {
        const fl_correction correction = {.kind = FL_CORRECTION_PROXIMAL};
        const fl_search search = {.row = 0};
        const nn_sgd sgd = {1, 0, 0};
        const size_t count = run.expert.layout.slices[0].count;
        fl_trainee trainee;
        CHECK(fl_trainee_init(&error, &run.scratch, &trainee, &run.expert,
                              run.server.expert[0].values, &sgd) == DDOME_OK);
        trainee.correction = &correction;
        fl_trace_scope_expert(trainee.scope, 0);
        CHECK(fl_search_update(&error, &search, &trainee) == DDOME_OK);
        trainee.grads[count] = trainee.values[count] = HUGE_VALF;
        CHECK(fl_search_update(&error, NULL, &trainee) == DDOME_OK);
        test_status("both", fl_search_update(&error, &search, &trainee), DDOME_ERR_NONFINITE,
                    &error, "correct, given expert0/fc1.bias: element 0 of g is +infinity");
        trainee.values[count - 1] = -HUGE_VALF;
        nn_error_clear(&error);
        test_status("the slice before", fl_search_update(&error, &search, &trainee),
                    DDOME_ERR_NONFINITE, &error, "update, sgd expert0/fc1.weight: element ");
    }
    fl_run_free(&run);
}

/* Its embeddings were made before, as by a fault of memory. */
static void poisoned_embeddings(const char *keys, const char *part)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: embeddings that were finite when they were made: %s", keys);
    if (test_federation(&run, &error, keys)) {
        run.train.rows[run.train.slot[run.task.partition.clients[0].samples[0]] * 6 + 5] =
            -HUGE_VALF;
        ddome_status status = DDOME_OK;
        for (uint32_t round = 1; round <= 9 && status == DDOME_OK; round++)
            status = test_round(&run, round);
        test_status("rounds", status, DDOME_ERR_NONFINITE, &error, part);
        CHECK(strstr(error.text, "data, given embeddings: element ") != NULL &&
              strstr(error.text, " of value is -infinity") != NULL);
    }
    fl_run_free(&run);
}

/* One model of the server at huge finite weights. */
static void huge_model(const char *keys, bool gate, const char *part)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: huge finite weights of %s: %s", gate ? "the gate" : "an expert", keys);
    if (test_federation(&run, &error, keys)) {
        const fl_slot *slot = gate ? &run.server.gate : &run.server.expert[1];
        for (size_t i = 0; i < slot->model->layout.total; i++)
            slot->values[i] = LARGE;
        test_status("a round", test_round(&run, 1), DDOME_ERR_NONFINITE, &error, part);
    }
    fl_run_free(&run);
}

/* ---- pretraining ---- */

static void pretraining(const char *keys, const char *part)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: pretraining: %s", keys);
    if (test_federation_init(&run, &error, keys)) {
        test_status("the common expert", fl_run_common(&run), DDOME_ERR_NONFINITE, &error, part);
        CHECK(strstr(error.text, "; lower pretrain_lr") != NULL);
    }
    fl_run_free(&run);
}

/* Weights and losses finite, predictions with them not. */
static void held_out(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: logits of the held-out part");
    if (test_federation_init(&run, &error, "pretrain_batch=200 pretrain_lr=1000")) {
        poison(&run, 1e30f);
        test_status("the common expert", fl_run_common(&run), DDOME_ERR_NONFINITE, &error,
                    LINE "common expert, held-out part: sample ");
    }
    fl_run_free(&run);
}

static void renewal(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: the common expert trained on");
    if (test_federation(&run, &error, "common_every=1")) {
        float *before = test_floats(run.common.floats);
        memcpy(before, run.common.values, run.common.floats * sizeof *before);
        run.config.pretrain_lr.value = 1e20f;
        test_status("round 2", fl_run_open_round(&run, 2), DDOME_ERR_NONFINITE, &error,
                    LINE "common expert, round 2, epoch 0: step ");
        CHECK(strstr(error.text, "forward, linear common/") != NULL);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- words ---- */

static void words(void)
{
    ddome_error error = {DDOME_OK, ""}, found = {DDOME_OK, ""};
    char place[600];
    test_case("nonfinite: what a second time does not find, and places too long for a line");
    ddome_status status = fl_nonfinite_at(&error, "forward", "add", "x", "y", 3, HUGE_VALF);
    const ddome_error no_memory = {DDOME_ERR_MEMORY, "out of memory"};
    fl_search_end(&error, &no_memory);
    test_same_text("kept", error.text, "forward, add x: element 3 of y is +infinity");
    fl_search_end(&error, &found);
    test_status("told", fl_nonfinite_in(&error, status, "mend", "round %d", 4), DDOME_ERR_NONFINITE,
                &error,
                LINE "round 4: finite when it was done once more, so suspect memory or processor: "
                     "forward, add x: element 3 of y is +infinity; mend");
    memset(place, 'x', sizeof place);
    place[sizeof place - 1] = '\0';
    fl_nonfinite_in(&error, status, NULL, "%s", place);
    test_same_u64("length", strlen(error.text), sizeof error.text - 1);
    test_same_text("end", error.text + sizeof error.text - 4, "...");
    nn_error_clear(&error);
    CHECK(fl_nonfinite_in(&error, DDOME_ERR_IO, "mend", "x") == DDOME_ERR_IO &&
          error.text[0] == '\0');
    CHECK(fl_nonfinite_in(NULL, status, "mend", "x") == DDOME_ERR_NONFINITE);
    fl_search_end(NULL, &found);
}

void t_nonfinite(void)
{
    finds_first();
    named_as_traced("fedavg", "algo=fedavg lr=1000 epochs=9", 3);
    named_as_traced("ddome, fma", "arith=fma lr=1000 epochs=9", 3);
    named_as_traced("mix = probs", "mix=probs lr=1000 epochs=9 sampling=uniform", 3);
    named_as_traced("fedprox", "algo=fedprox mu=10 lr=1000 epochs=9", 3);
    named_as_traced("scaffold, fma", "arith=fma algo=scaffold lr=1000 epochs=9", 3);
    named_as_traced("ResNet-34", "algo=fedavg arch=resnet34 width=1 lr=1000 epochs=20 batch=10", 1);
    any_threads("lr=1000 epochs=9");
    any_threads("algo=fedavg lr=1000 epochs=9 arith=fma");
    hidden_by_relu();
    update_overflows();
    corrected_gradient();
    poisoned_embeddings("active_anchors=2", ", client 0: epoch 0, step ");
    poisoned_embeddings("active_anchors=2 anchors=none", ", client 0: gate, sample ");
    huge_model("active_anchors=0", true, ": forward, linear gate/fc1: element 0 of y is ");
    huge_model("active_anchors=0", false,
               ": epoch 0, step 0: forward, linear expert1/fc1: element ");
    huge_model("active_anchors=0 order=gate-first", false,
               ": epoch 0, step 0: forward, linear expert1/fc1: element ");
    pretraining("pretrain_lr=1000 pretrain_epochs=9",
                LINE "common expert, round 0, epoch 1: step ");
    pretraining("pretrain_lr=1000 pretrain_epochs=9 pretrain_momentum=0",
                "forward, linear common/fc");
    pretraining("arch=resnet34 width=1 pretrain_lr=100 pretrain_epochs=9", ": forward, conv layer");
    held_out();
    renewal();
    words();
}

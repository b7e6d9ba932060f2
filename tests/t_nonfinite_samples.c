/* SPDX-License-Identifier: MIT */
/* Which sample a line about a value that is not finite names, behind the first batch of a
 * prediction and anywhere in it; parameters that came as NaN and hide behind a ReLU; statistics
 * that overflow before anything else. SPEC 11.13. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../fl/gate.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_nonfinite_samples(void);

/* PIXEL: of an image, the one that is poisoned. */
enum { LINE_BYTES = 300, PIXEL = 5, POISONED = 255 };

static const uint32_t NOT_A_NUMBER = 0x7fc00000u;

/* ---- images ---- */

/* Pixels of a split that may be changed: none is POISONED, whose value is NaN. */
static uint8_t *poisonable(data_set *set, data_split *split)
{
    const size_t count = split->count * set->h * set->w * set->c;
    uint8_t *pixels = test_bytes(count, 1);
    for (size_t i = 0; i < count; i++)
        pixels[i] = (uint8_t)nn_min(split->pixels[i], POISONED - 1);
    for (size_t channel = 0; channel < set->c; channel++)
        set->value[channel][POISONED] = nn_float_from_bits(NOT_A_NUMBER);
    split->pixels = pixels;
    return pixels;
}

static uint8_t *pixel_of(const data_set *set, uint8_t *pixels, size_t sample)
{
    return &pixels[sample * set->h * set->w * set->c + PIXEL];
}

/* The line about the poisoned pixel of the sample in this row of its batch. */
static const char *pixel_line(const data_set *set, size_t sample, size_t row)
{
    static char line[LINE_BYTES];
    snprintf(line, sizeof line,
             "sample %lu: data, given inputs: element %lu of value is NaN", /* 11.13.3 */
             (unsigned long)sample, (unsigned long)(row * set->h * set->w * set->c + PIXEL));
    return line;
}

static ddome_status predict(fl_run *run, ddome_error *error, const uint32_t *samples, size_t count)
{
    float *logits = test_floats(count * run->expert.outputs);
    nn_error_clear(error);
    return fl_model_predict(&run->engine, error, &run->scratch, logits, NULL, &run->expert,
                            run->server.expert[0].values, &run->task.set, &run->task.set.train,
                            samples, count);
}

/* samples[place] alone is poisoned. Batches of a prediction have 64 samples. */
static void check_place(fl_run *run, uint8_t *pixels, const uint32_t *samples, size_t count,
                        size_t place)
{
    uint8_t *pixel = pixel_of(&run->task.set, pixels, samples[place]), kept = *pixel;
    ddome_error error;
    *pixel = POISONED;
    test_status("one", predict(run, &error, samples, count), DDOME_ERR_NONFINITE, &error, NULL);
    test_same_text("one", error.text, pixel_line(&run->task.set, samples[place], place % 64));
    *pixel = kept;
}

/* The order is not that of the split. */
static void predicted(void)
{
    static const size_t places[] = {0, 1, 63, 64, 65, 70, 127, 128, 149};
    uint32_t samples[150];
    fl_run run;
    ddome_error error;
    test_case("nonfinite: a prediction names the sample by its index in the split");
    for (uint32_t i = 0; i < 150; i++)
        samples[i] = 199 - i;
    if (test_federation(&run, &error, "algo=fedavg")) {
        uint8_t *pixels = poisonable(&run.task.set, &run.task.set.train);
        test_status("none", predict(&run, &error, samples, 150), DDOME_OK, &error, NULL);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            check_place(&run, pixels, samples, 150, places[i]);
        test_release();
    }
    fl_run_free(&run);
}

/* Samples are embedded in the order of their slots. */
static void embedded(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: an embedding behind the first batch names its sample");
    if (test_federation(&run, &error, "samples_per_client=20")) {
        data_set *set = &run.task.set;
        uint8_t *pixels = poisonable(set, &set->train);
        uint32_t sample = 0;
        while (sample < set->train.count && run.train.slot[sample] != 66)
            sample++;
        if (CHECK(sample < set->train.count)) {
            *pixel_of(set, pixels, sample) = POISONED;
            test_status("train split",
                        fl_common_embed_again(&run.engine, &error, &run.scratch, &run.train,
                                              &run.common, &run.common_model, &run.task,
                                              &set->train),
                        DDOME_ERR_NONFINITE, &error, pixel_line(set, sample, 2));
        }
        test_release();
    }
    fl_run_free(&run);
}

static ddome_status evaluate(fl_run *run, ddome_error *error)
{
    fl_evaluation result;
    return fl_evaluate(error, &run->arena, &run->crew, &result, run->evaluator, &run->server);
}

/* The last sample of the first client under evaluation, which has more than a batch. */
static void evaluated(void)
{
    fl_run run;
    ddome_error error;
    char line[2 * LINE_BYTES];
    test_case("nonfinite: an evaluation of more than a batch names client and sample");
    if (test_federation(&run, &error, "algo=fedavg synth_test=400")) {
        data_set *set = &run.task.set;
        const data_partition *partition = &run.task.partition;
        const data_client *client = &partition->clients[partition->training + partition->holdout];
        const size_t last = client->count - 1;
        CHECK(last > 64 && last % 64 != 0);
        *pixel_of(set, poisonable(set, &set->test), client->samples[last]) = POISONED;
        snprintf(line, sizeof line, "evaluation after round 0, client %lu: expert 0: %s",
                 (unsigned long)client->id, pixel_line(set, client->samples[last], last % 64));
        test_status("evaluation", evaluate(&run, &error), DDOME_ERR_NONFINITE, &error, line);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- the gate ---- */

static ddome_status gate_logits(fl_run *run, ddome_error *error, const data_client *client)
{
    float *logits = test_floats(client->count * run->gate.outputs);
    nn_error_clear(error);
    return fl_gate_logits(&run->engine, error, &run->scratch, logits, &run->gate,
                          run->server.gate.values, &run->train, client->samples, client->count,
                          NULL);
}

/* With replacement a client may have a sample twice. */
static size_t first_row(const data_client *client, uint32_t sample)
{
    size_t row = 0;
    while (client->samples[row] != sample)
        row++;
    return row;
}

static void check_embedding(fl_run *run, const data_client *client, uint32_t sample)
{
    const size_t width = run->train.features;
    const size_t element = first_row(client, sample) * width + width - 1;
    float *value = &run->train.rows[run->train.slot[sample] * width + width - 1];
    const float kept = *value;
    ddome_error error;
    char line[LINE_BYTES];
    snprintf(line, sizeof line,
             "gate, sample %lu: data, given embeddings: element %lu of value is -infinity",
             (unsigned long)sample, (unsigned long)element);
    *value = -HUGE_VALF;
    test_status("gate", gate_logits(run, &error, client), DDOME_ERR_NONFINITE, &error, NULL);
    test_same_text("gate", error.text, line);
    *value = kept;
}

static void gated(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: the gate names the sample whose embedding it is");
    if (test_federation(&run, &error, "")) {
        const data_client *client = &run.task.partition.clients[3];
        for (size_t i = 0; i < client->count; i++)
            check_embedding(&run, client, client->samples[i]);
        test_status("none", gate_logits(&run, &error, client), DDOME_OK, &error, NULL);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- parameters ---- */

/* Its rows are no samples: the first sample of the batch is named, whatever the element. */
static void check_slice(fl_run *run, const nn_slice *slice)
{
    static const uint32_t samples[] = {17, 3, 5};
    float *values = run->server.expert[0].values;
    float *value = &values[slice->offset + slice->count - 1];
    float *trigger = &values[run->expert.layout.total - 1]; /* a ReLU cannot hide it */
    const float kept = *value, finite = *trigger;
    ddome_error error;
    char line[LINE_BYTES];
    snprintf(line, sizeof line, "sample 17: start, given %s: element %lu of value is NaN",
             slice->name, (unsigned long)slice->count - 1);
    *value = *trigger = nn_float_from_bits(NOT_A_NUMBER);
    test_status(slice->name, predict(run, &error, samples, 3), DDOME_ERR_NONFINITE, &error, NULL);
    test_same_text(slice->name, error.text, line);
    *trigger = finite;
    *value = kept;
}

/* The last slice is the head's bias, whose NaN is in every logit. */
static void given_parameters(const char *keys)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: each parameter that came as NaN is named, with the first sample: %s",
              keys);
    if (test_federation(&run, &error, keys)) {
        const nn_layout *layout = &run.expert.layout;
        CHECK(strcmp(layout->slices[layout->count - 1].name, "fc.bias") == 0 ||
              strcmp(layout->slices[layout->count - 1].name, "fc2.bias") == 0);
        for (size_t i = 0; i < layout->count; i++)
            if (layout->slices[i].kind == NN_SLICE_TRAINED)
                check_slice(&run, &layout->slices[i]);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- behind a ReLU ---- */

/* The ReLU makes +0 of the NaN, and all logits are finite. */
static void hidden_in_model(const char *keys, const char *slice)
{
    static const uint32_t samples[] = {17, 3, 5};
    fl_run run;
    ddome_error error;
    char line[LINE_BYTES];
    test_case("nonfinite: a NaN that a ReLU hides from all logits: %s, %s", keys, slice);
    snprintf(line, sizeof line, "sample 17: start, given %s: element 0 of value is NaN", slice);
    if (test_federation(&run, &error, keys)) {
        float *weight = test_slice(run.server.expert[0].values, &run.expert.layout, slice);
        test_status("without", predict(&run, &error, samples, 3), DDOME_OK, &error, NULL);
        *weight = nn_float_from_bits(NOT_A_NUMBER);
        test_status(slice, predict(&run, &error, samples, 3), DDOME_ERR_NONFINITE, &error, line);
        test_release();
    }
    fl_run_free(&run);
}

static void hidden_in_gate(void)
{
    fl_run run;
    ddome_error error;
    char line[LINE_BYTES];
    test_case("nonfinite: a NaN that a ReLU hides from all logits of the gate");
    if (test_federation(&run, &error, "")) {
        const data_client *client = &run.task.partition.clients[3];
        *test_slice(run.server.gate.values, &run.gate.layout, "fc1.weight") =
            nn_float_from_bits(NOT_A_NUMBER);
        snprintf(line, sizeof line,
                 "gate, sample %lu: start, given gate/fc1.weight: element 0 of value is NaN",
                 (unsigned long)client->samples[0]);
        test_status("gate", gate_logits(&run, &error, client), DDOME_ERR_NONFINITE, &error, line);
        test_release();
    }
    fl_run_free(&run);
}

/* In round 1 the experts are held, so that their weights never move. */
static void hidden_in_held_expert(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: a NaN that a ReLU hides from the logits of a held expert");
    if (test_federation(&run, &error, "order=gate-first")) {
        *test_slice(run.server.expert[0].values, &run.expert.layout, "fc1.weight") =
            nn_float_from_bits(NOT_A_NUMBER);
        test_status("a round", test_round(&run, 1), DDOME_ERR_NONFINITE, &error,
                    ": epoch 0, step 0: start, given expert0/fc1.weight: element 0 of value is NaN;"
                    " lower lr");
    }
    fl_run_free(&run);
}

/* A logit of -infinity in class 0, which is no part of what `mix = probs` adds up: loss and
 * gradient stay finite. */
static void held_logits(void)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: an infinite logit of a held expert");
    if (test_federation(&run, &error, "order=gate-first mix=probs")) {
        float *values = run.server.expert[0].values;
        float *bias = test_slice(values, &run.expert.layout, "fc1.bias");
        float *weight = test_slice(values, &run.expert.layout, "fc2.weight");
        for (size_t i = 0; i < 6; i++) { /* every hidden value is above 1 */
            bias[i] = 100;
            weight[i] = -3e38f;
        }
        fl_visit visit = fl_run_visit(&run, &run.task.partition.clients[3], 1);
        test_status("without a search", test_client(&error, &run.scratch, &visit, &run),
                    DDOME_ERR_NONFINITE, &error,
                    "epoch 0, step 0: data, given expert0: element 0 of logits is -infinity");
        nn_error_clear(&error);
        test_status("a round", test_round(&run, 1), DDOME_ERR_NONFINITE, &error,
                    ": epoch 0, step 0: forward, linear expert0/fc2: element 0 of y is -infinity;");
    }
    fl_run_free(&run);
}

/* ---- statistics ---- */

/* Of a norm they are infinite, and then its 1 / deviation is 0, or they are not used: what flows
 * on, losses and gradients are finite. */
static void statistics(const char *slice, float first, const char *part)
{
    fl_run run;
    ddome_error error;
    test_case("nonfinite: statistics and nothing else, %s at %g", slice, (double)first);
    if (test_federation(&run, &error, "algo=fedavg arch=resnet34 width=1 batch=10")) {
        *test_slice(run.server.expert[0].values, &run.expert.layout, slice) = first;
        test_status("a round", test_round(&run, 1), DDOME_ERR_NONFINITE, &error, part);
    }
    fl_run_free(&run);
}

void t_nonfinite_samples(void)
{
    predicted();
    embedded();
    evaluated();
    gated();
    given_parameters("algo=fedavg");
    given_parameters("algo=fedavg arch=resnet34 width=1");
    given_parameters("algo=fedavg arch=resnet34 width=1 norm=group");
    hidden_in_model("algo=fedavg", "fc1.weight");
    hidden_in_model("algo=fedavg arch=resnet34 width=1", "conv1.weight");
    hidden_in_model("algo=fedavg arch=resnet34 width=1 norm=group", "conv1.weight");
    hidden_in_gate();
    hidden_in_held_expert();
    held_logits();
    statistics(
        "conv1.weight", 1e20f, /* its square overflows */
        ": epoch 0, step 0: forward, batch_norm expert0/bn1: element 0 of running_var is +inf");
    statistics(
        "bn1.running_mean", HUGE_VALF,
        ": epoch 0, step 0: forward, batch_norm expert0/bn1: element 0 of running_mean is +inf");
}

/* SPDX-License-Identifier: MIT */
/* What each key of local training moves and what it leaves alone, by bits; counters; pixels.
 * SPEC 7.3, 11.3, 11.4, 12.4. */
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_client(void);

/* One anchor alone: its gate and its expert are trained apart, so each key shows where it works. */
#define ANCHOR "active_anchors=1 active_normal=0 momentum=0 "

/* The models after one round of one anchor, in buffers of fixture.h. */
typedef struct after {
    size_t gate_total, expert_total;
    float *start_gate, *gate, *expert;
} after;

static float *copied(const float *values, size_t count)
{
    float *copy = test_floats(count);
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

static after one_round(const char *keys)
{
    fl_run run;
    ddome_error error;
    after a = {0};
    if (test_federation(&run, &error, keys)) {
        a.gate_total = run.gate.layout.total;
        a.expert_total = run.expert.layout.total;
        a.start_gate = copied(run.server.gate.values, a.gate_total);
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        a.gate = copied(run.server.gate.values, a.gate_total);
        a.expert = copied(run.server.expert[run.participants[0]].values, a.expert_total);
    }
    fl_run_free(&run);
    return a;
}

static bool other_floats(const float *a, const float *b, size_t count)
{
    return a != NULL && b != NULL && memcmp(a, b, count * sizeof *a) != 0;
}

/* ---- keys ---- */

static void anchor_gate_weight(void)
{
    test_case("client: anchor_gate_weight scales what an anchor does to the gate");
    const after none = one_round(ANCHOR "anchor_gate_weight=0");
    const after half = one_round(ANCHOR "anchor_gate_weight=0.5");
    const after whole = one_round(ANCHOR "anchor_gate_weight=1");
    test_same_floats("the gate at weight 0", none.gate, none.start_gate, none.gate_total);
    CHECK(other_floats(half.gate, half.start_gate, half.gate_total));
    CHECK(other_floats(whole.gate, half.gate, half.gate_total));
    test_same_floats("the expert", half.expert, none.expert, none.expert_total);
    test_same_floats("the expert", whole.expert, none.expert, none.expert_total);
    test_release();
}

/* Each key moves one of the two models and leaves the other one alone. */
static void moves(const char *key, bool gate, bool expert)
{
    char keys[200] = ANCHOR;
    test_case("client: %s works on the %s alone", key, gate ? "gate" : "expert");
    const after plain = one_round(keys);
    strcat(keys, key);
    const after changed = one_round(keys);
    CHECK(other_floats(changed.gate, plain.gate, plain.gate_total) == gate);
    CHECK(other_floats(changed.expert, plain.expert, plain.expert_total) == expert);
    test_release();
}

/* ---- counters ---- */

static void counters(void)
{
    fl_run run;
    ddome_error error;
    test_case("client: with init = common the counter of the common expert goes on");
    if (test_federation(&run, &error, ANCHOR "init=common")) {
        const uint64_t start = run.common.batches;
        test_same_u64("steps of pretraining", start, 6);
        test_same_u64("expert 0", run.server.expert[0].batches, start);
        test_same_u64("expert 1", run.server.expert[1].batches, start);
        test_same_floats("values", run.server.expert[1].values, run.common.values,
                         run.expert.layout.total);
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        const uint32_t trained = run.participants[0];
        test_same_u64("3 batches later", run.server.expert[trained].batches, start + 3);
        test_same_u64("untrained", run.server.expert[1 - trained].batches, start);
    }
    fl_run_free(&run);
}

static void counters_of_epochs(void)
{
    fl_run run;
    ddome_error error;
    test_case("client: every batch of every epoch counts");
    if (test_federation(&run, &error, ANCHOR "epochs=4")) {
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_u64("4 epochs of 3 batches", run.server.expert[run.participants[0]].batches, 12);
    }
    fl_run_free(&run);
}

/* ---- pixels ---- */

/* Sample 0 as a batch of one. */
static void first_image(float *x, const fl_run *run)
{
    const data_set *set = &run->task.set;
    const nn_tensor one = {x, 1, set->h, set->w, set->c};
    const uint32_t sample = 0;
    uint32_t label;
    nn_tensor batch = one;
    data_batch_fill(&batch, &label, set, &set->train, &sample, 1);
    test_same_u64("label", label, set->train.labels[0]);
}

/* SPEC 7.3.1. */
static void normalize(void)
{
    enum { IMAGE = 8 * 8 * 3 };
    fl_run run;
    ddome_error error;
    float none[IMAGE], dataset[IMAGE], want[IMAGE];
    test_case("client: normalize = none hands bytes over as byte / 255");
    if (test_federation_init(&run, &error, "normalize=none")) {
        for (size_t i = 0; i < IMAGE; i++)
            want[i] = (float)run.task.set.train.pixels[i] / 255.0f;
        first_image(none, &run);
        test_same_floats("image", none, want, IMAGE);
    }
    fl_run_free(&run);
    if (test_federation_init(&run, &error, "")) {
        first_image(dataset, &run);
        CHECK(memcmp(dataset, none, sizeof none) != 0);
    }
    fl_run_free(&run);
}

void t_client(void)
{
    anchor_gate_weight();
    moves("gate_momentum=0.5", true, false);
    moves("gate_lr=0.2", true, false);
    moves("momentum=0.5", false, true);
    moves("weight_decay=0.05", false, true);
    moves("lr=0.06", false, true);
    counters();
    counters_of_epochs();
    normalize();
}

/* SPDX-License-Identifier: MIT */
/* The bytes that runs count from their messages against closed forms. SPEC 15.1 to 15.4. */
#include <stdio.h>
#include <string.h>

#include "fl_fixture.h"

void t_comm(void);

/* Bytes each way of a federation, and what a participant adds. */
typedef struct forms {
    uint64_t p, g; /* of an expert, of the gate */
    uint64_t k;
    bool gate;
} forms;

typedef struct sums {
    uint64_t messages, trips, down, up;
} sums;

/* A normal client: G down, 4 K up, K P down, G + K P up; an anchor G + P each way; without a gate P
 * each way. */
static void add_participant(sums *s, const forms *f, bool anchor)
{
    const bool chooses = f->gate && !anchor;
    const uint64_t models = f->gate ? f->g + (anchor ? 1 : f->k) * f->p : f->p;
    s->messages += chooses ? 4 : 2;
    s->trips += chooses ? 2 : 1;
    s->down += models;
    s->up += models + (chooses ? 4 * f->k : 0);
}

static void add_line(char *text, unsigned round, const sums *s, sums *total)
{
    total->down += s->down;
    total->up += s->up;
    sprintf(text + strlen(text), "%u,%lu,%lu,%lu,%lu,%lu,%lu\n", round, (unsigned long)s->messages,
            (unsigned long)s->trips, (unsigned long)s->down, (unsigned long)s->up,
            (unsigned long)total->down, (unsigned long)total->up);
}

/* Three rounds: comm.csv, byte for byte. */
static void rounds(const char *keys, const forms *f)
{
    ddome_error error;
    fl_run run;
    char want[1024] = "round,messages,round_trips,bytes_down,bytes_up,total_down,total_up\n";
    sums total = {0, 0, 0, 0};
    test_case("comm: closed forms of %s", keys);
    if (!test_federation(&run, &error, keys)) {
        fl_run_free(&run);
        return;
    }
    const sums once = {run.config.clients, 0, run.config.clients * f->p, 0};
    if (f->gate)
        add_line(want, 0, &once, &total);
    for (unsigned round = 1; round <= 3; round++) {
        sums s = {0, 0, 0, 0};
        if (!test_status("a round", test_round(&run, round), DDOME_OK, &error, NULL))
            break;
        for (size_t i = 0; i < run.active; i++)
            add_participant(&s, f, run.visits[i].client->role == DATA_ANCHOR);
        add_line(want, round, &s, &total);
    }
    test_same_text("comm.csv", run.record.comm.text.data, want);
    test_same_u64("P", nn_layout_bytes(&run.expert.layout), f->p);
    fl_run_free(&run);
}

/* 8 x 8 x 3 inputs, 6 hidden, 4 classes; the gate 6, 5, M. */
enum { P = 4 * (192 * 6 + 6 + 6 * 4 + 4), G = 4 * (6 * 5 + 5 + 5 * 2 + 2) };

/* The paper's five anchors and five normal clients, K = 2 of M = 5: the experts alone are 1.5 times
 * what FedAvg moves and 0.3 times what sending all of them would. */
static void paper_ratios(void)
{
    ddome_error error;
    fl_run run;
    test_case("comm: 1.5 times FedAvg and 0.3 times all experts");
    if (test_federation(&run, &error,
                        "experts=5 clients=14 active_anchors=5 active_normal=5 rounds=1 "
                        "synth_domains=3 unseen_clients=1 anchor_labels=1") &&
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL)) {
        const uint64_t gate = nn_layout_bytes(&run.gate.layout),
                       expert = nn_layout_bytes(&run.expert.layout), fedavg = 10 * 2 * expert,
                       all = 5 * fedavg,
                       experts = run.traffic.down + run.traffic.up - 10 * 2 * gate - 5 * 2 * 4;
        test_same_u64("twice the experts' bytes, thrice FedAvg's", 2 * experts, 3 * fedavg);
        test_same_u64("ten times the experts' bytes, thrice all", 10 * experts, 3 * all);
    }
    fl_run_free(&run);
}

/* ResNet-34 with 10 classes and torchvision's stem: 21,289,802 parameters, 8,512 channels with two
 * statistics each, 36 counters of 8 bytes. */
static void resnet_bytes(void)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    fl_model model;
    fl_config config;
    const data_set set = {.h = 32, .w = 32, .c = 3, .classes = 10};
    test_case("comm: a message of ResNet-34");
    if (test_federation_keys(&config, "arch=resnet34 width=64 stem=7x7") &&
        test_status("model", fl_model_expert(&error, &arena, &model, &config, &set), DDOME_OK,
                    &error, NULL)) {
        test_same_u64("parameters", model.layout.trained, 21289802);
        test_same_u64("bytes", nn_layout_bytes(&model.layout), 85227592);
    }
    nn_arena_free(&arena);
}

void t_comm(void)
{
    rounds("algo=ddome", &(forms){P, G, 2, true});
    rounds("algo=ddome top_k=1 sampling=uniform active_anchors=2 active_normal=3",
           &(forms){P, G, 1, true});
    rounds("algo=ddome anchor_clients=0 active_anchors=0", &(forms){P, G, 2, true});
    rounds("algo=fedavg", &(forms){P, 0, 1, false});
    rounds("algo=fedavg init=common sampling=uniform", &(forms){P, 0, 1, false});
    paper_ratios();
    resnet_bytes();
}

/* SPDX-License-Identifier: MIT */
/* What rounds move when gate or experts are held or missing: closed forms. SPEC 15.5. */
#include "fixture.h"
#include "fl_fixture.h"

void t_control_bytes(void);

static bool run_rounds(fl_run *run, ddome_error *error, uint32_t count)
{
    bool ok = true;
    for (uint32_t round = 1; round <= count && ok; round++)
        ok = test_status("a round", test_round(run, round), DDOME_OK, error, NULL);
    return ok;
}

/* ---- ddome ---- */

typedef struct closed {
    uint64_t normal_down, normal_up, anchor_down, anchor_up, trips, set_up_down, set_up_up;
} closed;

static void bytes(const char *keys, uint32_t rounds, const closed *want)
{
    fl_run run;
    ddome_error error;
    test_case("control: bytes of round %u: %s", (unsigned)rounds, keys);
    if (test_federation(&run, &error, keys)) {
        test_same_u64("set-up down", run.record.total.down, want->set_up_down);
        test_same_u64("set-up up", run.record.total.up, want->set_up_up);
        run_rounds(&run, &error, rounds);
        const uint64_t normal = run.config.active_normal, anchors = run.config.active_anchors;
        test_same_u64("down", run.traffic.down,
                      normal * want->normal_down + anchors * want->anchor_down);
        test_same_u64("up", run.traffic.up, normal * want->normal_up + anchors * want->anchor_up);
        test_same_u64("round trips", run.traffic.round_trips, normal * want->trips + anchors);
        test_same_u64("messages", run.traffic.messages, 2 * run.traffic.round_trips);
    }
    fl_run_free(&run);
}

/* P and G of tests/t_plan.c; K = 2, S = 7, D = 6. */
static void all_bytes(void)
{
    enum { P = 4 * (192 * 6 + 6 + 6 * 4 + 4), G = 4 * (6 * 5 + 5 + 5 * 2 + 2), I = 2 * 4 };
    const closed learned = {G + 2 * P, G + 2 * P + I, G + P, G + P, 2, 7 * P, 0},
                 frozen = {G + 2 * P, 2 * P + I, P, P, 2, 7 * P, 0},
                 none = {2 * P, 2 * P, P, P, 1, 0, 0},
                 gate_alone = {G + 2 * P, G + I, G, G, 2, 7 * P, 0},
                 cluster = {G + 2 * P, G + 2 * P + I, G + P, G + P, 2, 7 * P, 7 * 4 * 6},
                 both = {2 * P, 2 * P, P, P, 1, 7 * P, 7 * 4 * 6};
    bytes("gate=learned", 1, &learned);
    bytes("gate=frozen", 1, &frozen);
    bytes("gate=random", 1, &none);
    bytes("gate=oracle", 1, &none);
    bytes("order=experts-first", 1, &frozen);
    bytes("order=experts-first", 2, &gate_alone);
    bytes("order=gate-first order_rounds=2", 2, &gate_alone);
    bytes("order=gate-first order_rounds=2", 3, &frozen);
    bytes("anchors=cluster", 1, &cluster);
    bytes("anchors=cluster gate=random", 1, &both);
    bytes("anchors=wrong", 2, &learned);
    bytes("anchors=none active_anchors=0 active_normal=3", 1, &learned);
}

/* ---- FedMix: SPEC 12.7.1 ---- */

/* Of a round of 3 normal clients: P and G each way, times; M = 2. */
static void fedmix_bytes(const char *keys, uint32_t round, const uint64_t down[2],
                         const uint64_t up[2], uint64_t set_up)
{
    fl_run run;
    ddome_error error;
    test_case("controls of baselines: bytes of FedMix's round %u: %s", (unsigned)round, keys);
    if (test_federation(&run, &error, keys) && run_rounds(&run, &error, round)) {
        const uint64_t p = nn_layout_bytes(&run.expert.layout), g = 4 * (6 * 5 + 5 + 5 * 2 + 2);
        test_same_u64("down", run.traffic.down, 3 * (down[0] * p + down[1] * g));
        test_same_u64("up", run.traffic.up, 3 * (up[0] * p + up[1] * g));
        test_same_u64("round trips", run.traffic.round_trips, 3);
        test_same_u64("set-up", run.record.total.down - round * run.traffic.down, set_up * p);
    }
    fl_run_free(&run);
}

static void all_fedmix_bytes(void)
{
    static const uint64_t all[2] = {2, 1}, experts[2] = {2, 0}, gate[2] = {0, 1};
    fedmix_bytes("algo=fedmix", 1, all, all, 7);
    fedmix_bytes("algo=fedmix gate=frozen", 1, all, experts, 7);
    fedmix_bytes("algo=fedmix gate=random", 1, experts, experts, 0);
    fedmix_bytes("algo=fedmix gate=oracle", 1, experts, experts, 0);
    fedmix_bytes("algo=fedmix order=experts-first", 1, all, experts, 7);
    fedmix_bytes("algo=fedmix order=experts-first", 2, all, gate, 7);
}

void t_control_bytes(void)
{
    all_bytes();
    all_fedmix_bytes();
}

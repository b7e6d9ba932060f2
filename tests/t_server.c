/* SPDX-License-Identifier: MIT */
/* Averages by hand, the three rules for running statistics, bytes, and running out of memory.
 * SPEC 11, 11.5. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

/* ---- averages ---- */

/* Two returned copies, filled with constants, of clients with 10 and 10 samples unless their lists
 * are cut. */
static void return_copy(fl_run *run, const data_client *client, float value)
{
    const size_t total = run->expert.layout.total;
    fl_visit visit = {
        .client = client, .k = 1, .chosen = {0}, .batches = {(uint64_t)client->count}};
    visit.expert[0] = test_floats(total);
    for (size_t i = 0; i < total; i++)
        visit.expert[0][i] = value;
    CHECK(fl_server_take(run->error, &run->server, &visit) == DDOME_OK);
}

static void check_average(const char *keys, float first, float second, float trained,
                          float statistic)
{
    fl_run run;
    ddome_error error;
    if (!test_federation(&run, &error, keys)) {
        fl_run_free(&run);
        return;
    }
    data_client a = run.task.partition.clients[0], b = run.task.partition.clients[1];
    a.count = 1;
    b.count = 3;
    const nn_layout *layout = &run.expert.layout;
    fl_server_open_round(&run.server);
    return_copy(&run, &a, first);
    return_copy(&run, &b, second);
    CHECK(fl_server_average(&error, &run.server) == DDOME_OK);
    for (size_t s = 0; s < layout->count; s++) {
        const bool moved = layout->slices[s].kind == NN_SLICE_TRAINED;
        float initial = layout->slices[s].init == NN_INIT_ONE ? 1.0f : 0.0f;
        float want = moved ? trained : statistic < 0 ? initial : statistic;
        test_same_floats(layout->slices[s].name,
                         &run.server.expert[0].values[layout->slices[s].offset], &want, 1);
    }
    test_same_u64("num_batches_tracked is the maximum", run.server.expert[0].batches, 3);
    fl_run_free(&run);
    test_release();
}

static void averages(void)
{
    test_case("server: averages weighted by samples, uniform, and the three rules for statistics");
    check_average("algo=fedavg arch=resnet34 width=1", 1.0f, 2.0f, 1.75f, 1.75f);
    check_average("algo=fedavg arch=resnet34 width=1 aggregate=uniform", 1.0f, 2.0f, 1.5f, 1.5f);
    check_average("algo=fedavg arch=resnet34 width=1 bn_stats=first", 1.0f, 2.0f, 1.75f, 1.0f);
    check_average("algo=fedavg arch=resnet34 width=1 bn_stats=local", 1.0f, 2.0f, 1.75f, -1.0f);
    /* (1*1 + 3*x) / 4 with x = 1 + 2^-23: the exact mean lies above the middle and rounds up; in
     * binary32 it would not */
    check_average("algo=fedavg arch=resnet34 width=1", 1.0f, 1.00000012f, 1.00000012f, 1.00000012f);
}

static void local_statistics_persist(void)
{
    fl_run run;
    ddome_error error;
    test_case("server: bn_stats = local gives a client its own statistics back");
    if (test_federation(
            &run, &error,
            "algo=fedavg arch=resnet34 width=1 bn_stats=local active_normal=1 active_anchors=0")) {
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        fl_visit visit = {.client = run.visits[0].client, .k = 1};
        CHECK(fl_server_send(&error, &run.scratch, &visit, &run.server) == DDOME_OK);
        const nn_layout *layout = &run.expert.layout;
        for (size_t s = 0; s < layout->count; s++)
            if (strcmp(layout->slices[s].name, "bn1.running_mean") == 0) {
                CHECK(visit.expert[0][layout->slices[s].offset] != 0);
                CHECK(run.server.expert[0].values[layout->slices[s].offset] == 0);
            }
    }
    fl_run_free(&run);
}

/* ---- participants ---- */

/* Partition and participants do not depend on the algorithm (D1, D21). */
static void same_for_all(void)
{
    fl_run run, other;
    ddome_error error, other_error;
    test_case("server: every algorithm has the same clients and the same participants");
    const bool made = test_federation(&run, &error, "algo=ddome");
    if (test_federation(&other, &other_error, "algo=fedavg") && made) {
        const data_partition *p = &run.task.partition, *q = &other.task.partition;
        for (size_t k = 0; k < p->training + p->holdout + p->unseen; k++)
            test_same_bytes("samples", p->clients[k].samples, q->clients[k].samples,
                            p->clients[k].count * sizeof(uint32_t));
        CHECK(fl_run_open_round(&run, 5) == DDOME_OK && fl_run_open_round(&other, 5) == DDOME_OK);
        test_same_bytes("participants", run.participants, other.participants,
                        run.active * sizeof *run.participants);
    }
    fl_run_free(&run);
    fl_run_free(&other);
}

/* ---- bytes ---- */

/* The closed form of SPEC 15.1 to 15.3 against what the messages of SPEC 11.2 weigh. */
static void bytes_counted(const char *keys, uint64_t k)
{
    fl_run run;
    ddome_error error;
    if (test_federation(&run, &error, keys)) {
        const uint64_t p = nn_layout_bytes(&run.expert.layout),
                       g = nn_layout_bytes(&run.gate.layout);
        const uint64_t normal = run.config.active_normal, anchors = run.config.active_anchors;
        test_status("a round", test_round(&run, 1), DDOME_OK, &error, NULL);
        test_same_u64("messages", run.traffic.messages, 2 * run.traffic.round_trips);
        if (run.algorithm->gate) {
            test_same_u64("down", run.traffic.down, normal * (g + k * p) + anchors * (g + p));
            test_same_u64("up", run.traffic.up, normal * (g + k * p + 4 * k) + anchors * (g + p));
            test_same_u64("round trips", run.traffic.round_trips, 2 * normal + anchors);
            test_same_u64("the common expert, once", run.record.total.down - run.traffic.down,
                          7 * p);
        } else {
            test_same_u64("down", run.traffic.down, (normal + anchors) * p);
            test_same_u64("up", run.traffic.up, (normal + anchors) * p);
            test_same_u64("round trips", run.traffic.round_trips, normal + anchors);
        }
    }
    fl_run_free(&run);
}

static void bytes(void)
{
    test_case("server: bytes of a round equal the closed form");
    bytes_counted("algo=ddome", 2);
    bytes_counted("algo=ddome top_k=1 active_normal=3", 1);
    bytes_counted("algo=fedavg", 1);
    bytes_counted("algo=ddome arch=resnet34 width=1 active_normal=1", 2);
}

/* ---- memory ---- */

/* Clears the error and lets the allocation `step` from now fail. */
static void fail_from_now(nn_arena *arena, ddome_error *error, size_t step)
{
    memset(error, 0, sizeof *error);
    arena->fail_after = arena->allocations + step;
}

/* One more failure; false when there was none, which must then be a success that met no failed
 * allocation on its way. */
static bool ran_out(ddome_status status, const ddome_error *error, const nn_arena *arena,
                    size_t *failures)
{
    if (status == DDOME_OK) {
        test_check(arena->allocations < arena->fail_after, __FILE__, __LINE__,
                   "allocation %lu failed and nobody said so", (unsigned long)arena->fail_after);
        return false;
    }
    ++*failures;
    return test_status("without memory", status, DDOME_ERR_MEMORY, error, "out of memory");
}

static void out_of_memory(const char *keys)
{
    enum { LIMIT = 2000 };
    char words[200];
    fl_run run;
    ddome_error error;
    ddome_status status = DDOME_ERR_MEMORY;
    size_t failures = 0;
    test_case("server: a round that runs out of memory says so, wherever it happens: %s", keys);
    snprintf(words, sizeof words, "%s active_normal=1 samples_per_client=4", keys);
    if (test_federation(&run, &error, words))
        for (size_t step = 1; step <= LIMIT; step++) {
            fail_from_now(&run.scratch, &error, step);
            status = test_round(&run, 1);
            nn_arena_rewind(&run.scratch, (nn_arena_mark){0});
            if (!ran_out(status, &error, &run.scratch, &failures))
                break;
        }
    test_status("enough memory at last", status, DDOME_OK, &error, NULL);
    test_check(failures > 50, __FILE__, __LINE__, "only %lu failures", (unsigned long)failures);
    fl_run_free(&run);
}

/* From the evaluation's own arrays on. */
static void evaluation_without_memory(const char *keys)
{
    enum { LIMIT = 2000 };
    fl_run run;
    ddome_error error;
    ddome_status status = DDOME_ERR_MEMORY;
    size_t failures = 0;
    test_case("server: an evaluation that runs out of memory says so: %s", keys);
    if (test_federation(&run, &error, keys))
        for (size_t step = 1; step <= LIMIT; step++) {
            fl_evaluation e;
            fail_from_now(&run.scratch, &error, step);
            status = fl_evaluate(&error, &run.arena, &run.crew, &e, run.evaluator, &run.server);
            nn_arena_rewind(&run.scratch, (nn_arena_mark){0});
            if (!ran_out(status, &error, &run.scratch, &failures))
                break;
        }
    test_status("enough memory at last", status, DDOME_OK, &error, NULL);
    test_check(failures > 10, __FILE__, __LINE__, "only %lu failures", (unsigned long)failures);
    fl_run_free(&run);
}

/* Every table has its lines. */
static ddome_status texts_of(fl_run *run)
{
    fl_table *tables[FL_RECORD_TABLES];
    ddome_status status = DDOME_OK;
    fl_record_tables(tables, &run->record);
    for (size_t i = 0; i < FL_RECORD_TABLES && status == DDOME_OK; i++)
        status = fl_text_status(run->error, &tables[i]->text);
    return status;
}

static ddome_status evaluate(fl_run *run)
{
    fl_evaluation evaluation;
    ddome_status status =
        fl_evaluate(run->error, &run->arena, &run->crew, &evaluation, run->evaluator, &run->server);
    if (status == DDOME_OK)
        status = fl_record_evaluation(run->error, &run->scratch, &run->record, 1, &evaluation,
                                      run->evaluator);
    return status == DDOME_OK ? texts_of(run) : status;
}

/* From the common expert to the lines of an evaluation. */
static ddome_status whole_run(fl_run *run)
{
    ddome_status status = fl_run_set_up(run);
    if (status == DDOME_OK)
        status = test_round(run, 1);
    return status == DDOME_OK ? evaluate(run) : status;
}

/* What stays for the whole run: models, embeddings, statistics of clients, texts. */
static void out_of_lasting_memory(const char *keys)
{
    enum { LIMIT = 200 };
    ddome_status status = DDOME_ERR_MEMORY;
    ddome_error error;
    size_t failures = 0;
    bool more = true;
    test_case("server: a run that runs out of lasting memory says so: %s", keys);
    for (size_t step = 1; step <= LIMIT && more; step++) {
        fl_run run;
        more = test_federation_init(&run, &error, keys);
        if (more) {
            fail_from_now(&run.arena, &error, step);
            status = whole_run(&run);
            more = ran_out(status, &error, &run.arena, &failures);
        }
        fl_run_free(&run);
    }
    test_status("enough memory at last", status, DDOME_OK, &error, NULL);
    test_check(failures > 10, __FILE__, __LINE__, "only %lu failures", (unsigned long)failures);
}

void t_server(void)
{
    averages();
    local_statistics_persist();
    same_for_all();
    bytes();
    out_of_memory("algo=ddome");
    out_of_memory("algo=scaffold");
    out_of_memory("algo=ensemble");
    out_of_memory("algo=ifca");
    out_of_memory("algo=head");
    evaluation_without_memory("algo=ensemble");
    evaluation_without_memory("algo=fedmix");
    evaluation_without_memory("algo=ifca");
    evaluation_without_memory("algo=head");
    evaluation_without_memory("algo=ddome");
    evaluation_without_memory("algo=ddome test=mixture mix=probs");
    evaluation_without_memory("algo=ddome gate=oracle");
    out_of_lasting_memory("pretrain_target=0");
    out_of_lasting_memory("algo=fedavg arch=resnet34 width=1 bn_stats=local unseen_samples=4");
    out_of_lasting_memory("algo=scaffold");
    out_of_lasting_memory("algo=local eval_scope=seen local_budget=full");
}

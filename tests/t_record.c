/* SPDX-License-Identifier: MIT */
/* Lines of the tables by hand: traffic and its totals, rounds, usage of experts; the last ten and
 * the maximum. SPEC 14.4, 14.5, 15.3, 17.2. */
#include <string.h>

#include "../fl/record.h"
#include "test.h"

void t_record(void);

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static void start(fl_record *record, nn_arena *arena)
{
    ddome_error error = {DDOME_OK, ""};
    memset(arena, 0, sizeof *arena);
    test_status("record", fl_record_init(&error, arena, record, 16), DDOME_OK, &error, NULL);
}

static void same_double(const char *what, double got, double want)
{
    test_check(got == want, __FILE__, __LINE__, "%s: got %a, want %a", what, got, want);
}

/* ---- over the evaluations ---- */

static void last_and_maximum(void)
{
    fl_record record;
    nn_arena arena;
    test_case("record: mean of the last ten evaluations, and the maximum");
    start(&record, &arena);
    same_double("no evaluation", fl_record_last_ten(&record), 0);
    same_double("no maximum", fl_record_maximum(&record), 0);
    for (size_t i = 0; i < 12; i++)
        record.means[i] = (double)(i == 0 ? 60 : i) / 64; /* 60, 1, 2, ..., 11 */
    record.evaluations = 2;
    same_double("both", fl_record_last_ten(&record), 61.0 / 128);
    record.evaluations = 12;
    same_double("2 to 11 of 12", fl_record_last_ten(&record), 6.5 / 64);
    same_double("the first is the largest", fl_record_maximum(&record), 60.0 / 64);
    record.evaluations = 10;
    same_double("all ten", fl_record_last_ten(&record), (60.0 + 45) / 640);
    nn_arena_free(&arena);
}

/* ---- rounds ---- */

/* Two rounds of two visits; messages and bytes of hand-made traffic (SPEC 15.3). */
static void add_rounds(fl_record *record)
{
    static const data_client clients[] = {{.id = 3}, {.id = 11}};
    const fl_traffic setup = {4, 0, 400, 0}, first = {6, 3, 50, 60}, second = {2, 1, 7, 9};
    const fl_visit visits[] = {{.client = &clients[0], .k = 1, .chosen = {1}, .loss = 1.0f},
                               {.client = &clients[1], .k = 2, .chosen = {0, 2}, .loss = 0.5f}};
    fl_slot experts[2];
    memset(experts, 0, sizeof experts);
    const fl_server server = {.experts = 2, .expert = experts};
    fl_record_setup_traffic(record, &setup);
    fl_record_round(record, 1, visits, 2, &first, &server);
    fl_record_round(record, 2, visits, 1, &second, &server);
}

/* SPEC 17.2.1, 17.2.3. */
static void rounds(void)
{
    fl_record record;
    nn_arena arena;
    test_case("record: lines of comm.csv with totals, lines of rounds.jsonl");
    start(&record, &arena);
    add_rounds(&record);
    test_same_text("comm.csv", record.comm.text.data,
                   "round,messages,round_trips,bytes_down,bytes_up,total_down,total_up\n"
                   "0,4,0,400,0,400,0\n1,6,3,50,60,450,60\n2,2,1,7,9,457,69\n");
    test_same_text("rounds.jsonl", record.rounds.text.data,
                   "{\"round\":1,\"participants\":[3,11],\"chosen\":[[1],[0,2]],"
                   "\"loss\":[\"3f800000\",\"3f000000\"],\"gate\":null,"
                   "\"experts\":[\"" ZEROS "\",\"" ZEROS "\"]}\n"
                   "{\"round\":2,\"participants\":[3],\"chosen\":[[1]],\"loss\":[\"3f800000\"],"
                   "\"gate\":null,\"experts\":[\"" ZEROS "\",\"" ZEROS "\"]}\n");
    test_same_u64("messages", record.total.messages, 12);
    test_same_u64("round trips", record.total.round_trips, 4);
    nn_arena_free(&arena);
}

/* ---- an evaluation ---- */

enum { EXPERTS = 3, CLASSES = 2 };

/* Three clients of 4, 2 and 2 samples with labels {0, 1}, {1} and {0}. */
static const uint8_t LABELS[] = {1, 0, 1, 1, 1, 1, 0, 0};
static const uint32_t SAMPLES[] = {0, 1, 2, 3, 4, 5, 6, 7};
static const data_client CLIENTS[] = {{7, DATA_UNSEEN, 4, SAMPLES},
                                      {8, DATA_UNSEEN, 2, SAMPLES + 4},
                                      {9, DATA_UNSEEN, 2, SAMPLES + 6}};

static void evaluate_by_hand(fl_record *record, uint32_t round)
{
    fl_client_result results[] = {
        {.client = 7, .role = DATA_UNSEEN, .count = 4, .correct = 3, .k = 2, .chosen = {0, 2}},
        {.client = 8, .role = DATA_UNSEEN, .count = 2, .correct = 1, .k = 2, .chosen = {1, 2}},
        {.client = 9, .role = DATA_UNSEEN, .count = 2, .correct = 0, .k = 2, .chosen = {0, 2}}};
    uint64_t routed[EXPERTS * CLASSES] = {3, 1, 0, 0, 0, 4},
                              correct[EXPERTS * CLASSES] = {1, 1, 0, 0, 0, 2};
    const fl_evaluation evaluation = {3, EXPERTS, CLASSES, results, routed, correct, 20, 13};
    fl_config config;
    fl_task task;
    nn_arena scratch = {0};
    ddome_error error = {DDOME_OK, ""};
    memset(&task, 0, sizeof task);
    task.set.test.labels = LABELS;
    fl_config_defaults(&config);
    results[0].loss = 0.25f;
    const fl_evaluator evaluator = {
        .config = &config, .task = &task, .clients = CLIENTS, .client_count = 3};
    test_status("evaluation",
                fl_record_evaluation(&error, &scratch, record, round, &evaluation, &evaluator),
                DDOME_OK, &error, NULL);
    nn_arena_free(&scratch);
}

/* SPEC 17.2.1, 17.2.2. */
static void evaluations(void)
{
    fl_record record;
    nn_arena arena;
    test_case("record: lines of metrics.csv, clients.csv and experts.csv");
    start(&record, &arena);
    add_rounds(&record);
    evaluate_by_hand(&record, 2);
    const char *line = strchr(record.metrics.text.data, '\n') + 1;
    test_same_text("metrics.csv", line,
                   "2,unseen,3,4,8,0.500000,0.416667,0.306186,0.311805,0.000000,0.000000,0.500000,"
                   "0.750000,0.750000,0.000000,0.125000,0.000000,0.000000,13,20,2 1 3,4 0 4,457,"
                   "69\n");
    test_same_text("clients.csv", record.clients.text.data,
                   "round,client,role,labels,experts,correct,total,accuracy,loss\n"
                   "2,7,unseen,0 1,0 2,3,4,0.750000,0.250000\n"
                   "2,8,unseen,1,1 2,1,2,0.500000,0.000000\n"
                   "2,9,unseen,0,0 2,0,2,0.000000,0.000000\n");
    test_same_text("experts.csv", record.experts.text.data,
                   "round,expert,label,routed,correct\n2,0,0,3,1\n2,0,1,1,1\n2,1,0,0,0\n"
                   "2,1,1,0,0\n2,2,0,0,0\n2,2,1,4,2\n");
    test_same_u64("evaluations", record.evaluations, 1);
    same_double("its mean", record.means[0], record.last.mean);
    nn_arena_free(&arena);
}

void t_record(void)
{
    last_and_maximum();
    rounds();
    evaluations();
}

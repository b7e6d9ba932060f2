/* SPDX-License-Identifier: MIT */
/* partition.csv there and back, damage to it, the guard against leaks, refusals.
 * SPEC 8.7 to 8.9. */
#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "partition_fixture.h"

void t_partition_file(void);

enum { TRAIN = 100, TEST = 40, PATH_BYTES = 1024 };

/* 5 training clients, 2 of them anchors; one held-out and two unseen ones; classes = 4. */
static data_partition_source source_of(data_partition_kind kind)
{
    static const fixture_clients numbers = {5, 2, 2, 1, 2, 3};
    return fixture_source(kind, &numbers);
}

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

static data_partition_source file_source(void)
{
    data_partition_source source = source_of(DATA_PARTITION_FILE);
    source.file = path_to("partition.csv");
    return source;
}

static void start(fixture *f)
{
    const data_synth_source source = {TRAIN, TEST, 8, 2, 2, 20, 1};
    fixture_start(f, &source);
}

static char *text_of(fixture *f, size_t *length)
{
    char *text = NULL;
    ddome_status status = data_partition_text(&f->error, &f->arena, &text, length, &f->partition);
    test_status("text", status, DDOME_OK, &f->error, NULL);
    return text;
}

static void write_file(const char *text, size_t length)
{
    CHECK(nn_os_write_file(NULL, path_to("partition.csv"), text, length) == DDOME_OK);
}

static bool same_list(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof *a) == 0;
}

/* SPEC 8.7.1, 8.7.3, 8.8. */
static void test_round_trip(data_partition_kind kind)
{
    fixture f;
    size_t length = 0, again = 0;
    start(&f);
    test_case("partition file: there and back, kind %d", (int)kind);
    data_partition_source source = source_of(kind);
    if (!fixture_make(&f, &source))
        return;
    data_partition drawn = f.partition;
    char *text = text_of(&f, &length);
    write_file(text, length);
    source = file_source();
    fixture_make(&f, &source);
    test_same_text("partition.csv", text_of(&f, &again), text);
    test_same_u64("length", again, strlen(text));
    CHECK(same_list(drawn.pool, drawn.pool_count, f.partition.pool, f.partition.pool_count));
    CHECK(same_list(drawn.held, drawn.held_count, f.partition.held, f.partition.held_count));
    CHECK(f.partition.anchors == 2 && f.partition.clients[7].role == DATA_UNSEEN);
    source.clients = source.anchors = source.unseen = source.holdout = 0;
    fixture_make(&f, &source);
    CHECK(f.partition.training == 5 && f.partition.anchors == 2 && f.partition.unseen == 2);
    nn_arena_free(&f.arena);
}

/* A training client may have a sample twice; the file decides what is held. SPEC 8.7.3. */
static void test_border(void)
{
    static const char text[] = "index,client,role\n7,0,anchor\n7,0,anchor\n3,0,anchor\n0,1,normal\n"
                               "5,2,holdout\n6,2,holdout\n5,3,unseen\n";
    fixture f;
    start(&f);
    test_case("partition file: the file moves the border");
    write_file(text, sizeof text - 1);
    data_partition_source source = {0};
    source.kind = DATA_PARTITION_FILE;
    source.file = path_to("partition.csv");
    for (source.seed = 0; source.seed < 20; source.seed++) {
        fixture_make(&f, &source);
        uint8_t pool[TRAIN] = {0};
        for (size_t i = 0; i < f.partition.pool_count; i++)
            pool[f.partition.pool[i]] = 1;
        CHECK(pool[7] && pool[3] && pool[0] && !pool[5] && !pool[6]);
        test_same_u64("all samples", f.partition.pool_count + f.partition.held_count, TRAIN);
    }
    nn_arena_free(&f.arena);
}

static void refuse(const data_partition_source *source, ddome_status want, const char *part)
{
    fixture f;
    start(&f);
    ddome_status status = data_partition_make(&f.error, &f.arena, &f.partition, &f.set, source);
    test_status(part, status, want, &f.error, part);
    CHECK(f.partition.clients == NULL);
    nn_arena_free(&f.arena);
}

#define HEAD "index,client,role\n"

/* SPEC 8.7.1; at the end other numbers of clients (SPEC 8.7.2). */
static void test_damage(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {{"", "line 1"},
                 {"index,client\n", "line 1"},
                 {"index,client,role\r\n0,0,anchor\r\n",
                  "line 1: expected lines that end in LF, found a carriage return"},
                 {HEAD, "line 2: expected at least one sample"},
                 {HEAD "0,0,anchor", "line 2"},
                 {HEAD "0,0,anchor\n1", "line 3"},
                 {HEAD "0,0,anchor\n\n", "line 3"},
                 {HEAD "0,0,boss\n", "line 2"},
                 {HEAD "0,0,anchors\n", "line 2"},
                 {HEAD "0,0,anchor \n", "line 2"},
                 {HEAD "00,0,anchor\n", "line 2"},
                 {HEAD "+1,0,anchor\n", "line 2"},
                 {HEAD "-1,0,anchor\n", "line 2"},
                 {HEAD ",0,anchor\n", "line 2"},
                 {HEAD "1;0;anchor\n", "line 2"},
                 {HEAD "100,0,anchor\n",
                  "line 2: expected a sample index inside the split, below 100, found 100"},
                 {HEAD "0,0,normal\n40,1,unseen\n", "line 3: expected a sample index"},
                 {HEAD "4294967296,0,anchor\n", "line 2"},
                 {HEAD "99999999999999999999999,0,anchor\n", "line 2"},
                 {HEAD "0,1,anchor\n", "line 2: expected the same client, or the next one"},
                 {HEAD "0,0,anchor\n1,2,anchor\n", "line 3"},
                 {HEAD "0,0,anchor\n1,1,normal\n2,0,anchor\n", "line 4"},
                 {HEAD "0,0,normal\n1,1,anchor\n", "line 3"},
                 {HEAD "0,0,anchor\n1,0,normal\n", "line 3"},
                 {HEAD "0,0,normal\n3,1,holdout\n3,1,holdout\n", "line 4: expected ascending"},
                 {HEAD "0,0,normal\n3,1,unseen\n2,1,unseen\n", "line 4: expected ascending"},
                 {HEAD "0,0,unseen\n", "a training client"},
                 {HEAD "0,0,normal\n9,0,normal\n9,1,holdout\n",
                  "line 3: expected a sample that no holdout client has"}};
    test_case("partition file: damage");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(cases[i].text, strlen(cases[i].text));
        data_partition_source source = file_source();
        source.clients = source.anchors = 0;
        refuse(&source, DDOME_ERR_DATA, cases[i].part);
    }
    write_file(HEAD "0,0,normal\n\0", sizeof HEAD + 11);
    data_partition_source source = file_source();
    refuse(&source, DDOME_ERR_DATA, "line 3");
    write_file(HEAD "0,0,normal\n", sizeof HEAD + 10);
    refuse(&source, DDOME_ERR_USAGE, "clients = 1, anchor_clients = 0");
    source.file = path_to("no_such_partition.csv");
    refuse(&source, DDOME_ERR_DATA, "no_such_partition.csv");
}

/* A file whose training clients use every sample leaves nothing to tune on (SPEC 8.7.3). */
static void test_no_held(void)
{
    char text[TRAIN * 16 + 32];
    size_t used = (size_t)snprintf(text, sizeof text, HEAD);
    test_case("partition file: nothing held out");
    for (unsigned i = 0; i < TRAIN; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%u,0,normal\n", i);
    write_file(text, used);
    data_partition_source source = file_source();
    source.clients = source.anchors = 0;
    refuse(&source, DDOME_ERR_DATA, "trains on every sample");
}

static void refuse_tampered(fixture *f, const data_partition *tampered, const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    ddome_status status = data_partition_check(&error, &f->arena, tampered, &f->set);
    test_status(part, status, DDOME_ERR_RUNTIME, &error, part);
}

/* Replaces one client by a changed copy and wants the guard to speak up. */
static void tamper(fixture *f, size_t id, const data_client *changed, const char *part)
{
    data_client clients[8];
    data_partition tampered = f->partition;
    memcpy(clients, f->partition.clients, sizeof clients);
    clients[id] = *changed;
    tampered.clients = clients;
    refuse_tampered(f, &tampered, part);
}

/* SPEC 8.9. */
static void test_guard(void)
{
    const uint32_t far = TRAIN, far_test = TEST;
    fixture f;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_LABELS);
    test_case("partition: the guard against leaks");
    fixture_make(&f, &source);
    const data_partition *p = &f.partition;
    CHECK(data_partition_check(&f.error, &f.arena, p, &f.set) == DDOME_OK);
    const data_client leaks[] = {{3, DATA_NORMAL, 1, p->held}, {5, DATA_HOLDOUT, 1, p->pool},
                                 {0, DATA_ANCHOR, 1, &far},    {6, DATA_UNSEEN, 1, &far_test},
                                 {3, DATA_ANCHOR, 1, p->pool}, {4, DATA_NORMAL, 1, p->pool},
                                 {4, DATA_NORMAL, 0, p->pool}};
    tamper(&f, 3, &leaks[0], "of normal client 3 leaks");
    tamper(&f, 5, &leaks[1], "of holdout client 5 leaks");
    tamper(&f, 0, &leaks[2], "sample 100 of client 0 is outside");
    tamper(&f, 6, &leaks[3], "sample 40 of client 6 is outside");
    tamper(&f, 3, &leaks[4], "expected role normal");
    tamper(&f, 3, &leaks[5], "entry 3 is client 4");
    tamper(&f, 4, &leaks[6], "client 4 has no samples");
    data_partition tampered = *p;
    tampered.held = p->pool;
    tampered.held_count = 1;
    refuse_tampered(&f, &tampered, "is listed twice");
    nn_arena_free(&f.arena);
}

/* Unseen client 7 gets test samples with just the labels of training client 0. */
static void test_label_guard(void)
{
    uint32_t samples[TEST];
    size_t count = 0;
    fixture f;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_LABELS);
    test_case("partition: the guard of label sets");
    fixture_make(&f, &source);
    const data_client *first = &f.partition.clients[0];
    for (uint32_t i = 0; i < TEST; i++) {
        bool shared = false;
        for (size_t k = 0; k < first->count; k++)
            shared = shared || f.set.train.labels[first->samples[k]] == f.set.test.labels[i];
        if (shared)
            samples[count++] = i;
    }
    const data_client copy = {7, DATA_UNSEEN, count, samples};
    tamper(&f, 7, &copy, "unseen client 7 has the label set of training client 0");
    nn_arena_free(&f.arena);
}

/* SPEC 8.2.1, 8.2.2, 8.3, 8.4.1, 8.4.4, 8.5.1, 8.10, 8.11.1, 16.4.8. */
static void test_refused(void)
{
    data_partition_source s;
    test_case("partition: requests that cannot be met");
#define REFUSE(kind, field, value, part)                                                           \
    s = source_of(kind);                                                                           \
    s.field = value;                                                                               \
    refuse(&s, DDOME_ERR_USAGE, part)
    REFUSE(DATA_PARTITION_IID, clients, 0, "clients = 0: expected 1");
    REFUSE(DATA_PARTITION_IID, clients, 91, "91 training clients but only 90 samples");
    REFUSE(DATA_PARTITION_IID, anchors, 6, "anchor_clients = 6: expected 0..5");
    REFUSE(DATA_PARTITION_IID, holdout, 11, "11 held-out clients but only 10 samples");
    REFUSE(DATA_PARTITION_IID, unseen, 41, "41 unseen clients");
    REFUSE(DATA_PARTITION_LABELS, labels_per_client, 0, "labels_per_client = 0: expected 1..4");
    REFUSE(DATA_PARTITION_LABELS, labels_per_client, 5, "labels_per_client = 5");
    REFUSE(DATA_PARTITION_LABELS, labels_per_client, 4, "no label set is left");
    REFUSE(DATA_PARTITION_LABELS, anchor_labels, 3, "2 anchors with 3 disjoint labels");
    REFUSE(DATA_PARTITION_LABELS, anchors, 5, "5 anchors with 1 disjoint labels each");
    REFUSE(DATA_PARTITION_LABELS, samples_per_client, 1, "1 samples cannot hold the 2 labels");
    REFUSE(DATA_PARTITION_LABELS, unseen_samples, 1, "unseen_samples = 1");
    REFUSE(DATA_PARTITION_DIRICHLET, alpha, 0.0f, "alpha");
    REFUSE(DATA_PARTITION_DIRICHLET, alpha, -1.0f, "alpha");
    REFUSE(DATA_PARTITION_DIRICHLET, alpha, nn_float_from_bits(0x7fc00000), "alpha");
    REFUSE(DATA_PARTITION_DIRICHLET, min_size, 0, "min_size = 0: expected 1..18");
    REFUSE(DATA_PARTITION_DIRICHLET, min_size, 19, "min_size = 19");
    REFUSE(DATA_PARTITION_DIRICHLET, max_draws, 0, "max_draws = 0");
    REFUSE(DATA_PARTITION_DIRICHLET, max_draws, 65536, "max_draws = 65536");
    REFUSE(DATA_PARTITION_SHARDS, shards_per_client, 0, "shards_per_client = 0: expected 1..18");
    REFUSE(DATA_PARTITION_SHARDS, shards_per_client, 11, "the 10 samples over 1 held-out clients");
    REFUSE(DATA_PARTITION_SHARDS, shards_per_client, 19, "expected 1..18, the 90 samples over 5");
    REFUSE(DATA_PARTITION_SHARDS, shards_per_client, SIZE_MAX, "expected 1..18");
    REFUSE(DATA_PARTITION_SHARDS, clients, 91, "91 training clients but only 90 samples");
    REFUSE(DATA_PARTITION_QUANTITY, beta, 0.0f, "beta: expected 0.0009765625");
    REFUSE(DATA_PARTITION_QUANTITY, beta, -1.0f, "beta");
    REFUSE(DATA_PARTITION_QUANTITY, beta, nn_float_from_bits(0x7f800000), "beta");
    REFUSE(DATA_PARTITION_QUANTITY, min_size, 19, "min_size = 19: expected 1..18");
    REFUSE(DATA_PARTITION_QUANTITY, max_draws, 0, "max_draws = 0");
#undef REFUSE
}

/* Labels without a single record in the test split (SPEC 8.4.1). */
static void test_missing_label(void)
{
    fixture f;
    start(&f);
    test_case("partition: a label the split lacks");
    f.set.test.count = 2;
    data_partition_source source = source_of(DATA_PARTITION_LABELS);
    source.labels_per_client = 3;
    ddome_status status = data_partition_make(&f.error, &f.arena, &f.partition, &f.set, &source);
    test_status("lacking label", status, DDOME_ERR_USAGE, &f.error, "has no samples there");
    nn_arena_free(&f.arena);
}

/* Nothing would be held out of nine records, one of ten is (SPEC 8.1). */
static void test_few_records(void)
{
    fixture f;
    start(&f);
    test_case("partition: nine records of the train split, and ten");
    data_partition_source source = source_of(DATA_PARTITION_IID);
    source.holdout = 1;
    f.set.train.count = 9;
    ddome_status status = data_partition_make(&f.error, &f.arena, &f.partition, &f.set, &source);
    test_status("nine", status, DDOME_ERR_USAGE, &f.error,
                "the train split has 9 samples: expected at least 10");
    f.set.train.count = 10;
    if (fixture_make(&f, &source))
        test_same_u64("held", f.partition.held_count, 1);
    nn_arena_free(&f.arena);
}

static void test_memory(data_partition_kind kind)
{
    fixture f;
    ddome_status status = DDOME_ERR_MEMORY;
    size_t failures = 0;
    start(&f);
    test_case("partition: out of memory, kind %d", (int)kind);
    data_partition_source source = source_of(kind);
    source.file = path_to("partition.csv");
    while (status == DDOME_ERR_MEMORY) {
        nn_arena arena = {0};
        data_partition partition = {0};
        arena.fail_after = failures + 1;
        status = data_partition_make(NULL, &arena, &partition, &f.set, &source);
        CHECK((partition.clients != NULL) == (status == DDOME_OK));
        failures += status == DDOME_ERR_MEMORY;
        nn_arena_free(&arena);
    }
    CHECK(status == DDOME_OK && failures > 10);
    f.arena.fail_after = 1;
    char *text = NULL;
    size_t length;
    status = data_partition_text(NULL, &f.arena, &text, &length, &f.partition);
    CHECK(status == DDOME_ERR_MEMORY && text == NULL);
    nn_arena_free(&f.arena);
}

void t_partition_file(void)
{
    test_border();
    test_damage();
    test_no_held();
    test_guard();
    test_label_guard();
    test_refused();
    test_missing_label();
    test_few_records();
    test_round_trip(DATA_PARTITION_LABELS);
    test_round_trip(DATA_PARTITION_DIRICHLET);
    test_round_trip(DATA_PARTITION_IID);
    test_round_trip(DATA_PARTITION_SHARDS);
    test_round_trip(DATA_PARTITION_QUANTITY);
    test_memory(DATA_PARTITION_LABELS);
    test_memory(DATA_PARTITION_DIRICHLET);
    test_memory(DATA_PARTITION_IID);
    test_memory(DATA_PARTITION_SHARDS);
    test_memory(DATA_PARTITION_QUANTITY);
    test_memory(DATA_PARTITION_FILE);
}

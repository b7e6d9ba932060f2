/* SPDX-License-Identifier: MIT */
/* Traces at their edges: a trace that is off or none, memory that ends in each part of a line and
 * in each watcher of a tape, a value used three times, an update without a gradient. SPEC 19.3. */
#include <stdio.h>
#include <string.h>

#include "../fl/trace_model.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"
#include "poor.h"
#include "trace_fixture.h"

void t_trace_edges(void);

static const float X[4] = {1, -2, 3, 4};

/* A trace of rounds 1 to 3, at step 0 of client 7 in round 1. */
typedef struct bench {
    fl_trace_wish wish;
    fl_trace trace;
    ddome_error error;
} bench;

static bench *start(void)
{
    static bench b;
    memset(&b, 0, sizeof b);
    snprintf(b.wish.path, sizeof b.wish.path, "%s/trace_edges.jsonl", test_dir());
    b.wish.first = 1;
    b.wish.last = 3;
    fl_trace_init(&b.trace, &b.wish);
    fl_trace_at_step(&b.trace, 1, 7, 0);
    return &b;
}

static void finish(bench *b)
{
    nn_arena_free(&b->trace.arena);
}

/* ---- nothing is wanted ---- */

static void tell_all(fl_trace *trace)
{
    const fl_trace_place place = {1, 2, 3, NULL};
    const nn_value value = fl_trace_floats("value", X, 4, 0);
    fl_trace_op(trace, "op");
    fl_trace_attribute(trace, "k", 3);
    fl_trace_input(trace, "a", "pass", "name", "tensor");
    fl_trace_input_from(trace, "b", &place, "pass", "name", "tensor");
    fl_trace_stack_open(trace, "stack");
    fl_trace_stack_add(trace, &place, "pass", "name", "tensor");
    fl_trace_stack_add(trace, &place, "pass", "other", "tensor");
    fl_trace_stack_close(trace);
    fl_trace_scalar(trace, "lr", 1);
    fl_trace_list_open(trace, "list", 2);
    fl_trace_list_add(trace, 5);
    fl_trace_list_add(trace, 6);
    fl_trace_list_close(trace);
    fl_trace_output(trace, "pass", "out", &value);
    fl_trace_given(trace, "pass", "given", &value);
}

static void nothing(void)
{
    ddome_error error = {DDOME_OK, ""};
    test_case("trace: none, and rounds before and behind those that are wanted");
    tell_all(NULL);
    fl_trace_at_step(NULL, 1, 2, 3);
    fl_trace_at_pass(NULL, 1, 2, "pass");
    fl_trace_at_client(NULL, 1);
    CHECK(!fl_trace_on(NULL) && fl_trace_watch(NULL) == NULL);
    CHECK(fl_trace_begin(&error, NULL, NN_ARITH_MA) == DDOME_OK);
    CHECK(fl_trace_status(&error, NULL) == DDOME_OK);
    CHECK(fl_trace_end(&error, NULL, DDOME_ERR_IO) == DDOME_ERR_IO);
    bench *b = start();
    for (uint64_t round = 0; round < 6; round++) {
        const bool wanted = round >= 1 && round <= 3;
        const size_t before = b->trace.text.length;
        fl_trace_at_step(&b->trace, round, 7, 0);
        tell_all(&b->trace);
        CHECK(fl_trace_on(&b->trace) == wanted && (b->trace.text.length > before) == wanted);
        CHECK((fl_trace_watch(&b->trace) != NULL) == wanted);
    }
    CHECK(strstr(b->trace.text.data, "\"stack\":[\"r1/c2/s3/pass/name/tensor\","
                                     "\"r1/c2/s3/pass/other/tensor\"]") != NULL);
    CHECK(strstr(b->trace.text.data, "\"shape\":[2],\"words\":\"5 6\"}") != NULL);
    finish(b);
}

/* A trace that was never begun leaves no file. */
static void unbegun(void)
{
    test_case("trace: one that ended before it began");
    bench *b = start();
    nn_os_remove(b->wish.path);
    CHECK(fl_trace_end(&b->error, &b->trace, DDOME_ERR_DATA) == DDOME_ERR_DATA);
    CHECK(!nn_os_exists(b->wish.path));
}

/* ---- no memory ---- */

static ddome_status begin_and_end(ddome_error *error, nn_arena *arena, void *context)
{
    bench *b = context;
    fl_trace_init(&b->trace, &b->wish);
    b->trace.arena = *arena; /* it frees its own */
    const ddome_status status = fl_trace_begin(error, &b->trace, NN_ARITH_FMA);
    arena->allocations = b->trace.arena.allocations;
    nn_arena_free(&b->trace.arena);
    return status;
}

static void beginnings(void)
{
    test_case("trace: begun without memory, at each allocation");
    bench *b = start();
    test_poor_alone("begin", 2, begin_and_end, b);
    nn_os_remove(b->wish.path);
}

/* Tensors that are wanted, but not enough memory for their path or their file. */
static void endings(void)
{
    size_t failures = 0;
    ddome_status status = DDOME_ERR_MEMORY;
    test_case("trace: ended without memory, at each allocation: the lines are written");
    for (size_t after = 1; status != DDOME_OK && after < 50; after++) {
        trace_file file = {.count = 0};
        bench *b = start();
        strcpy(b->wish.tensors, "*");
        const nn_value value = fl_trace_floats("value", X, 4, 0);
        CHECK(fl_trace_begin(&b->error, &b->trace, NN_ARITH_MA) == DDOME_OK);
        fl_trace_given(&b->trace, "pass", "x", &value);
        b->trace.arena.fail_after = b->trace.arena.allocations + after;
        status = fl_trace_end(&b->error, &b->trace, DDOME_OK);
        if (status != DDOME_OK && test_status("end", status, DDOME_ERR_MEMORY, &b->error, "memory"))
            failures++;
        if (trace_file_read(&file, b->wish.path))
            test_same_u64("lines", file.count, 1);
        trace_file_free(&file);
    }
    CHECK(status == DDOME_OK && failures >= 3);
}

/* The part of a line for which memory ends, the parts before it having room from earlier lines. */
static void line(fl_trace *trace, size_t attributes, size_t inputs)
{
    const nn_value value = fl_trace_floats("value", X, 4, 0);
    fl_trace_op(trace, "op");
    for (size_t i = 0; i < attributes; i++)
        fl_trace_attribute(trace, "attribute_with_a_long_name", i);
    for (size_t i = 0; i < inputs; i++)
        fl_trace_input(trace, "input_with_a_long_name", "forward", "a_long_name", "tensor");
    fl_trace_output(trace, "forward", "out", &value);
}

static void parts(void)
{
    static const size_t numbers[][2] = {{100, 0}, {0, 100}, {100, 100}, {1, 0}, {0, 1}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        test_case("trace: no memory for a line with %lu attributes and %lu inputs",
                  (unsigned long)numbers[i][0], (unsigned long)numbers[i][1]);
        bench *b = start();
        const nn_value value = fl_trace_floats("value", X, 4, 0);
        do
            fl_trace_given(&b->trace, "pass", "x", &value);
        while (b->trace.text.capacity - b->trace.text.length < 1000);
        const size_t length = b->trace.text.length;
        const bool fits = i > 2; /* in what the first lines have reserved */
        b->trace.arena.fail_after = b->trace.arena.allocations + 1;
        line(&b->trace, numbers[i][0], numbers[i][1]);
        CHECK(b->trace.failed == !fits && fl_trace_on(&b->trace) == fits);
        test_status("status", fl_trace_status(&b->error, &b->trace),
                    fits ? DDOME_OK : DDOME_ERR_MEMORY, &b->error, fits ? NULL : "a trace");
        CHECK((b->trace.text.length == length) == !fits);
        line(&b->trace, 0, 0);
        CHECK(fits || b->trace.text.length == length);
        finish(b);
    }
}

/* Memory ends at each allocation of a line with all that it can have: where it ends before the line
 * does, nothing of it stays, and what is told behind that is not looked at. */
static void whole_lines(void)
{
    size_t failures = 0;
    bool failed = true;
    test_case("trace: no memory for a line, at each allocation");
    for (size_t n = 1; failed && CHECK(n < 50); n++) {
        bench *b = start();
        b->trace.arena.fail_after = n;
        tell_all(&b->trace);
        failed = b->trace.failed;
        failures += failed;
        test_status("status", fl_trace_status(&b->error, &b->trace),
                    failed ? DDOME_ERR_MEMORY : DDOME_OK, &b->error, failed ? "a trace" : NULL);
        const char *end = b->trace.text.length == 0 ? "\n" : b->trace.text.data;
        end += b->trace.text.length == 0 ? 0 : b->trace.text.length - 1;
        CHECK(*end == '\n' && (!failed || b->trace.text.length == 0));
        finish(b);
    }
    CHECK(failures >= 4);
}

/* ---- tapes ---- */

/* A watched tape over three uses of one value, and what it is called in the lines. */
typedef struct tape {
    nn_arena arena;
    nn_graph graph;
    nn_tensor value;
    float x[4], grad[4];
    nn_node *leaf, *sum, *loss;
} tape;

static const uint32_t LABELS[2] = {1, 0};

/* loss((relu(x) + relu(x)) + relu(x)) of one relu. */
static void forward(tape *t, bench *b)
{
    memset(t, 0, sizeof *t);
    memcpy(t->x, X, sizeof t->x);
    t->value = (nn_tensor){t->x, 2, 1, 1, 2};
    t->graph = (nn_graph){.engine = test_engine(),
                          .arena = &t->arena,
                          .error = &b->error,
                          .watch = fl_trace_watch(&b->trace)};
    nn_graph_name_next(&t->graph, NULL, "x", "");
    t->leaf = nn_graph_leaf(&t->graph, &t->value, t->grad);
    nn_node *y = nn_graph_relu(&t->graph, t->leaf);
    nn_graph_name_next(&t->graph, NULL, "two", "");
    t->sum = nn_graph_add(&t->graph, y, y);
    nn_graph_name_next(&t->graph, NULL, "three", "");
    t->sum = t->sum == NULL ? NULL : nn_graph_add(&t->graph, t->sum, y);
    nn_graph_name_next(&t->graph, NULL, "loss", "");
    t->loss = nn_graph_cross_entropy(&t->graph, t->sum, LABELS);
}

static void three_uses(void)
{
    tape t;
    test_case("trace: a value that three operations use");
    bench *b = start();
    forward(&t, b);
    CHECK(t.loss != NULL && nn_graph_backward(&t.graph, t.loss, 1) == DDOME_OK);
    CHECK(fl_trace_status(&b->error, &b->trace) == DDOME_OK);
    const char *text = b->trace.text.data, *relu = strstr(text, "/backward/x.relu/dy\"");
    /* the sum of three gradients is no operation of SPEC 19.1.2: its line says `given` */
    if (CHECK(relu != NULL))
        CHECK(strstr(relu, "\"op\":\"given\"") != NULL &&
              strstr(relu, "\"op\":\"given\"") < strchr(relu, '\n'));
    nn_arena_free(&t.arena);
    finish(b);
}

/* The trace's memory ends in the watchers of a tape: the tape stops there with the trace's words.
 */
static void poor_tapes(void)
{
    test_case("trace: no memory in the watchers of a tape, forward and backward");
    for (int backward = 0; backward < 2; backward++) {
        tape t;
        bench *b = start();
        ddome_status status;
        const nn_value value = fl_trace_floats("value", X, 4, 0);
        fl_trace_given(&b->trace, "pass", "x", &value);
        /* the next line does not fit what there is */
        if (backward == 0)
            b->trace.text.capacity = b->trace.text.length + 1;
        b->trace.arena.fail_after = backward == 0 ? 1 : 0;
        forward(&t, b);
        status = t.graph.status;
        if (backward == 1 && CHECK(status == DDOME_OK)) {
            b->trace.text.capacity = b->trace.text.length + 1;
            b->trace.arena.fail_after = 1;
            status = nn_graph_backward(&t.graph, t.loss, 1);
        }
        test_status("tape", status, DDOME_ERR_MEMORY, &b->error, "out of memory: a trace");
        CHECK(backward == 1 || t.loss == NULL);
        nn_arena_free(&t.arena);
        finish(b);
    }
}

/* ---- updates ---- */

/* A parameter that the loss did not reach: its update names no gradient. */
static void update_alone(void)
{
    float values[2] = {1, 2}, grads[2] = {0, 0};
    nn_slice slice = {.name = "fc.bias", .rank = 1, .shape = {2}, .count = 2};
    const fl_model model = {.layout = {&slice, 1, 1, 2, 2, 0}};
    const fl_trainee trainee = {
        .model = &model, .values = values, .grads = grads, .steps = 1, .scope = "expert0"};
    const fl_trace_grad other = {NULL, "expert0/other", "loss", "dz"};
    test_case("trace: the update of a parameter without a gradient");
    for (int i = 0; i < 2; i++) {
        bench *b = start();
        b->trace.grads = i == 0 ? NULL : &other;
        fl_trace_update(&b->trace, &trainee);
        const char *text = b->trace.text.data;
        CHECK(text != NULL && strstr(text, "\"op\":\"sgd\"") != NULL);
        CHECK(strstr(text, "start/expert0/fc.bias/value") != NULL && strstr(text, "dz") == NULL);
        finish(b);
    }
}

/* A round whose gate is held still gives no copies of the gate. SPEC 11.8. */
static void held_gate(void)
{
    fl_run run;
    ddome_error error;
    fl_trace_wish wish = {.last = 9};
    trace_file file = {.count = 0};
    test_case("trace: a round that leaves the gate as it is (SPEC 11.8)");
    snprintf(wish.path, sizeof wish.path, "%s/trace_held.jsonl", test_dir());
    if (test_federation_init(&run, &error, "order=experts-first rounds=2 batch=100") &&
        CHECK(fl_run_trace(&run, &wish) == DDOME_OK) &&
        CHECK(fl_trace_begin(&error, run.trace, NN_ARITH_MA) == DDOME_OK) &&
        test_status("set-up", fl_run_set_up(&run), DDOME_OK, &error, NULL)) {
        test_status("round", test_round(&run, 1), DDOME_OK, &error, NULL);
        CHECK(fl_run_end_trace(&run, DDOME_OK) == DDOME_OK);
        if (trace_file_read(&file, wish.path)) {
            trace_file_check(&file);
            CHECK(file.count > 100);
        }
    }
    trace_file_free(&file);
    fl_run_free(&run);
    nn_os_remove(wish.path);
}

void t_trace_edges(void)
{
    nothing();
    unbegun();
    beginnings();
    endings();
    parts();
    whole_lines();
    three_uses();
    poor_tapes();
    update_alone();
    held_gate();
}

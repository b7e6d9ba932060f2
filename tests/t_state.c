/* SPDX-License-Identifier: MIT */
/* The state of a run as a file: what is written is read back; every way in which a file may not fit
 * is refused with one line and reads nothing outside it. SPEC 17.6.3, 17.6.5. */
#include <string.h>

#include "../fl/identity.h"
#include "../fl/state.h"
#include "state_fixture.h"

void t_state(void);

static void again(const char *what, const char *keys)
{
    test_saved s;
    uint32_t round = 0;
    ddome_error error;
    nn_digest digest;
    test_case("state: %s is read back as it was written", what);
    if (test_saved_make(&s, keys, 1)) {
        digest = nn_sha256_of(s.bytes, s.size);
        test_same_bytes("its hash", s.digest.byte, digest.byte, sizeof digest.byte);
        for (size_t i = 0; i < s.run.server.experts; i++)
            s.run.server.expert[i].values[0] += 1;
        s.run.record.total.down++;
        s.run.watch.expert[0].trained++;
        ddome_status status = test_saved_take(&s, &error, &round, s.bytes, s.size);
        test_status("take", status, DDOME_OK, &error, NULL);
        test_same_u64("round", round, 1);
        status = fl_state_write(&s.run, &digest, test_saved_name, 1, s.identity.data);
        test_status("write again", status, DDOME_OK, &s.error, NULL);
        test_same_bytes("the same hash", digest.byte, s.digest.byte, sizeof digest.byte);
    }
    test_saved_free(&s);
}

/* ---- damage ---- */

/* One line, and a status that says whose fault it is. */
static bool refused(ddome_status status, const ddome_error *error)
{
    return (status == DDOME_ERR_RESUME || status == DDOME_ERR_DATA) && error->text[0] != '\0' &&
           strchr(error->text, '\n') == NULL;
}

/* The header says what is where: a change in it is seen or leaves a whole file. */
static void bytes_changed(void)
{
    test_saved s;
    uint32_t round;
    ddome_error error;
    bool ok = true;
    test_case("state: every prefix of its header, every byte of it changed");
    if (test_saved_make(&s, "", 1)) {
        const size_t header = 8 + (s.bytes[0] | (size_t)s.bytes[1] << 8);
        for (size_t cut = 0; cut < header && ok; cut += 3) {
            ddome_status status = test_saved_take(&s, &error, &round, s.bytes, cut);
            ok = test_check(refused(status, &error), __FILE__, __LINE__, "cut at %lu: %d",
                            (unsigned long)cut, (int)status);
        }
        for (size_t i = 0; i < header && ok; i++) {
            s.bytes[i] ^= (unsigned char)(1u << i % 8);
            ddome_status status = test_saved_take(&s, &error, &round, s.bytes, s.size);
            ok = test_check(status == DDOME_OK || refused(status, &error), __FILE__, __LINE__,
                            "byte %lu: %d", (unsigned long)i, (int)status);
            s.bytes[i] ^= (unsigned char)(1u << i % 8);
        }
    }
    test_saved_free(&s);
}

static void does_not_fit(void)
{
    static const unsigned char nan32[4] = {0, 0, 0xc0, 0x7f},
                               inf64[8] = {0, 0, 0, 0, 0, 0, 0xf0, 0x7f},
                               many[8] = {255, 255, 255, 255, 0, 0, 0, 0}, client[4] = {0, 0, 0, 1},
                               one[8] = {1}, twice[8] = {1, 0, 0, 0, 1, 0, 0, 0},
                               last_flag[8] = {0, 1, 0, 1, 0, 1, 0, 2};
    static const test_change changes[] = {
        {"no expert", "expert_0000000.values", NULL, NULL, 0, DDOME_ERR_RESUME,
         "tensor expert_0000000.values: expected F32", WITHOUT},
        {"another type", "round", "F32", NULL, 0, DDOME_ERR_RESUME, "tensor round: expected U32",
         CHANGED},
        {"NaN", "expert_0000001.values", NULL, nan32, 4, DDOME_ERR_RESUME, "finite values",
         CHANGED},
        {"infinity", "evaluation.last_mean", NULL, inf64, 8, DDOME_ERR_RESUME, "finite values",
         CHANGED},
        {"evaluations", "evaluations", NULL, many, 8, DDOME_ERR_RESUME,
         "expected 0, found 4294967295", CHANGED},
        {"an evaluation too many", "evaluations", NULL, one, 8, DDOME_ERR_RESUME,
         "expected 0, found 1", CHANGED},
        {"a client", "anchors", NULL, client, 4, DDOME_ERR_RESUME, "distinct clients below",
         CHANGED},
        {"one client twice", "anchors", NULL, twice, 8, DDOME_ERR_RESUME, "distinct clients below",
         CHANGED},
        {"a table", "table.metrics.csv.bytes", NULL, many, 8, DDOME_ERR_RESUME, "found fewer",
         CHANGED},
        {"its hash", "table.metrics.csv.sha256", NULL, many, 8, DDOME_ERR_RESUME,
         "is not what the checkpoint knows", CHANGED},
        {"one more", "another", NULL, NULL, 0, DDOME_ERR_RESUME, "tensors, found", BESIDE},
        {"identity", "identity", NULL, (const unsigned char *)"specification = 7", 17,
         DDOME_ERR_RESUME, ": specification: expected 7, found 1;", CHANGED},
        {"identity without a value", "identity", NULL, (const unsigned char *)"specification =", 15,
         DDOME_ERR_RESUME, ": specification: expected nothing, found 1;", CUT},
        {"no identity", "identity", NULL, NULL, 0, DDOME_ERR_RESUME, "tensor identity", WITHOUT},
        {"more than a flag", "watch.begun", NULL, last_flag + 7, 1, DDOME_ERR_RESUME,
         "tensor watch.begun: expected bytes of 0 or 1 (1)", CHANGED},
        {"more than flags", "watch.seen", NULL, last_flag, 8, DDOME_ERR_RESUME,
         "tensor watch.seen: expected bytes of 0 or 1", CHANGED},
        {"any byte", "watch.seen", NULL, many, 1, DDOME_ERR_RESUME, "bytes of 0 or 1", CHANGED},
        {"any count", "traffic.down", NULL, one, 8, DDOME_OK, NULL, CHANGED},
    };
    test_saved s;
    test_case("state: a tensor too few, too many, of another type or with values that cannot be");
    if (test_saved_make(&s, "anchors=cluster", 1))
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
            ddome_error error = {DDOME_OK, ""};
            ddome_status status = test_saved_change(&s, &error, &changes[i], 0);
            test_status(changes[i].what, status, changes[i].expected, &error, changes[i].part);
        }
    test_saved_free(&s);
}

static void identities(void)
{
    static const struct {
        const char *saved;
        ddome_status expected;
        const char *part;
    } cases[] = {
        {"a = 1\nb = 2\n", DDOME_OK, NULL},
        {"a = 1\nb = 3\n", DDOME_ERR_RESUME, "x is of another run: b: expected 3, found 2"},
        {"a = 1\n", DDOME_ERR_RESUME, "b: expected its default, found 2"},
        {"a = 1\nb = 2\nc = 4\n", DDOME_ERR_RESUME, "c: expected 4, found its default"},
        {"a = 1\na = 1\nb = 2\n", DDOME_ERR_RESUME, "each line of its identity once"},
        {"b = 2\na = 1\n", DDOME_ERR_RESUME, "each line of its identity once"},
        {"\na = 1\nb = 2\n", DDOME_ERR_RESUME, "each line of its identity once"},
        {"a = 1\nb = 2\n = 3\n", DDOME_ERR_RESUME, "each line of its identity once"},
        {"a = 1\nb = 2\na = 9\n", DDOME_ERR_RESUME, "each line of its identity once"},
        {"a = 1\nb = 2\nabc\n", DDOME_ERR_RESUME, "each line of its identity once"}};
    nn_arena arena = {0};
    test_case("state: identities that are the same, differ in a line, or are no lines");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ddome_error error = {DDOME_OK, ""};
        const ddome_status status =
            fl_identity_compare(&error, &arena, cases[i].saved, "a = 1\nb = 2\n", "x");
        test_status(cases[i].saved, status, cases[i].expected, &error, cases[i].part);
    }
    nn_arena_free(&arena);
}

/* Every allocation of writing and of reading fails in turn. */
static void without_memory(void)
{
    test_saved s;
    uint32_t round;
    test_case("state without memory");
    if (test_saved_make(&s, "algo=scaffold", 1)) {
        ddome_status status = DDOME_ERR_MEMORY;
        for (size_t n = 1; status == DDOME_ERR_MEMORY && CHECK(n < 2000); n++) {
            nn_digest digest;
            nn_error_clear(&s.error);
            s.run.scratch.fail_after = s.run.scratch.allocations + n;
            status = fl_state_write(&s.run, &digest, test_saved_name, 1, s.identity.data);
            s.run.scratch.fail_after = 0;
        }
        test_status("written", status, DDOME_OK, &s.error, NULL);
        status = DDOME_ERR_MEMORY;
        for (size_t n = 1; status == DDOME_ERR_MEMORY && CHECK(n < 2000); n++) {
            ddome_error error;
            s.run.scratch.fail_after = s.run.scratch.allocations + n;
            status = test_saved_take(&s, &error, &round, s.bytes, s.size);
            s.run.scratch.fail_after = 0;
        }
        CHECK(status == DDOME_OK);
    }
    test_saved_free(&s);
}

void t_state(void)
{
    again("ddome", "");
    again("with clusters and statistics that stay", "arch=resnet34 width=1 synth_size=8 "
                                                    "bn_stats=local anchors=cluster");
    again("scaffold", "algo=scaffold");
    again("local", "algo=local eval_scope=seen");
    bytes_changed();
    does_not_fit();
    identities();
    without_memory();
}

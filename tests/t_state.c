/* SPDX-License-Identifier: MIT */
/* The state of a run as a file: what is written is read back; every way in which a file may not fit
 * is refused with one line and reads nothing outside it. SPEC 17.6.3, 17.6.5. */
#include <stdio.h>
#include <string.h>

#include "../fl/identity.h"
#include "../fl/state.h"
#include "../nn/os.h"
#include "fixture.h"
#include "fl_fixture.h"

void t_state(void);

enum { PATH_BYTES = 1024 };

static const char name[] = "ckpt/state";

/* A run after one round with its state as a file in memory. */
typedef struct saved {
    fl_run run;
    ddome_error error;
    nn_arena arena;
    fl_text identity;
    unsigned char *bytes;
    size_t size;
    nn_digest digest;
} saved;

static ddome_status write_state(saved *s)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/state_run", test_dir());
    s->identity.arena = &s->arena;
    fl_identity_write(&s->identity, &s->run);
    ddome_status status = fl_rundir_open(&s->error, &s->run.dir, &s->run.arena, path, true);
    if (status == DDOME_OK)
        status = fl_record_write(&s->error, &s->run.dir, &s->run.record);
    if (status == DDOME_OK)
        status = fl_watch_write(&s->error, &s->run.dir, &s->run.watch);
    if (status == DDOME_OK) /* makes the folder */
        status = fl_rundir_write_unhashed(&s->error, &s->run.dir, name, "", 0);
    if (status == DDOME_OK)
        status = fl_state_write(&s->run, &s->digest, name, 1, s->identity.data);
    snprintf(path, sizeof path, "%s/state_run/%s", test_dir(), name);
    if (status == DDOME_OK)
        status = nn_os_read_file(&s->error, &s->arena, &s->bytes, &s->size, path, DDOME_ERR_DATA);
    return status;
}

static bool make(saved *s, const char *keys)
{
    memset(s, 0, sizeof *s);
    if (!test_federation(&s->run, &s->error, keys))
        return false;
    ddome_status status = test_round(&s->run, 1);
    if (status == DDOME_OK)
        status = write_state(s);
    if (strstr(s->error.text, "plain C99") != NULL) {
        test_skip("plain C99 cannot make folders");
        return false;
    }
    return test_status("write", status, DDOME_OK, &s->error, NULL);
}

static void unmake(saved *s)
{
    fl_run_free(&s->run);
    nn_arena_free(&s->arena);
}

/* Reads a file back into the run; the round it is of. */
static ddome_status take(saved *s, ddome_error *error, uint32_t *round, const unsigned char *bytes,
                         size_t size)
{
    data_safetensors file;
    nn_arena_mark mark = nn_arena_get_mark(&s->arena);
    ddome_error *const usual = s->run.error;
    nn_error_clear(error);
    s->run.error = error;
    ddome_status status = data_safetensors_parse(error, &s->arena, &file, bytes, size);
    if (status == DDOME_OK)
        status = fl_state_check(error, &s->arena, round, &file, name, s->identity.data);
    if (status == DDOME_OK)
        status = fl_state_take(&s->run, &file);
    s->run.error = usual;
    nn_arena_rewind(&s->arena, mark);
    return status;
}

static void again(const char *what, const char *keys)
{
    saved s;
    uint32_t round = 0;
    ddome_error error;
    nn_digest digest;
    test_case("state: %s is read back as it was written", what);
    if (make(&s, keys)) {
        digest = nn_sha256_of(s.bytes, s.size);
        test_same_bytes("its hash", s.digest.byte, digest.byte, sizeof digest.byte);
        for (size_t i = 0; i < s.run.server.experts; i++)
            s.run.server.expert[i].values[0] += 1;
        s.run.record.total.down++;
        s.run.watch.expert[0].trained++;
        ddome_status status = take(&s, &error, &round, s.bytes, s.size);
        test_status("take", status, DDOME_OK, &error, NULL);
        test_same_u64("round", round, 1);
        status = fl_state_write(&s.run, &digest, name, 1, s.identity.data);
        test_status("write again", status, DDOME_OK, &s.error, NULL);
        test_same_bytes("the same hash", digest.byte, s.digest.byte, sizeof digest.byte);
    }
    unmake(&s);
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
    saved s;
    uint32_t round;
    ddome_error error;
    bool ok = true;
    test_case("state: every prefix of its header, every byte of it changed");
    if (make(&s, "")) {
        const size_t header = 8 + (s.bytes[0] | (size_t)s.bytes[1] << 8);
        for (size_t cut = 0; cut < header && ok; cut += 3) {
            ddome_status status = take(&s, &error, &round, s.bytes, cut);
            ok = test_check(refused(status, &error), __FILE__, __LINE__, "cut at %lu: %d",
                            (unsigned long)cut, (int)status);
        }
        for (size_t i = 0; i < header && ok; i++) {
            s.bytes[i] ^= (unsigned char)(1u << i % 8);
            ddome_status status = take(&s, &error, &round, s.bytes, s.size);
            ok = test_check(status == DDOME_OK || refused(status, &error), __FILE__, __LINE__,
                            "byte %lu: %d", (unsigned long)i, (int)status);
            s.bytes[i] ^= (unsigned char)(1u << i % 8);
        }
    }
    unmake(&s);
}

/* The same file with one tensor otherwise: other bytes in front of its data, another type or
 * length, cut, left out, or put in. */
typedef struct change {
    const char *what, *tensor;
    const char *dtype; /* NULL: the same */
    const unsigned char *bytes;
    size_t count; /* of them */
    ddome_status expected;
    const char *part;
    enum { CHANGED, CUT, WITHOUT, BESIDE } how;
} change;

static ddome_status take_changed(saved *s, ddome_error *error, const change *c)
{
    data_safetensors file;
    data_safetensor *list;
    unsigned char *bytes, *copy;
    uint64_t one = 1, cut = c->count;
    size_t size, count = 0;
    uint32_t round;
    nn_arena_mark mark = nn_arena_get_mark(&s->arena);
    ddome_status status = data_safetensors_parse(error, &s->arena, &file, s->bytes, s->size);
    if (status != DDOME_OK)
        return status;
    list = nn_arena_alloc(&s->arena, file.count + 1, sizeof *list);
    for (size_t i = 0; i < file.count; i++) {
        const bool this = strcmp(file.tensor[i].name, c->tensor) == 0;
        if (this && c->how == WITHOUT)
            continue;
        list[count] = file.tensor[i];
        if (this && c->dtype != NULL)
            list[count].dtype = c->dtype;
        if (this && c->bytes != NULL) {
            copy = nn_arena_alloc(&s->arena, list[count].byte_count, 1);
            memcpy(copy, list[count].bytes, list[count].byte_count);
            memcpy(copy, c->bytes, c->count);
            list[count].bytes = copy;
            if (c->how == CUT) {
                list[count].byte_count = c->count;
                list[count].shape = &cut;
            }
        }
        count++;
    }
    if (c->how == BESIDE)
        list[count++] = (data_safetensor){.name = c->tensor,
                                          .dtype = "U8",
                                          .rank = 1,
                                          .shape = &one,
                                          .bytes = (const unsigned char *)"x",
                                          .byte_count = 1};
    status = data_safetensors_format(error, &s->arena, &bytes, &size, list, count);
    if (status == DDOME_OK)
        status = take(s, error, &round, bytes, size);
    nn_arena_rewind(&s->arena, mark);
    return status;
}

static void does_not_fit(void)
{
    static const unsigned char nan32[4] = {0, 0, 0xc0, 0x7f},
                               inf64[8] = {0, 0, 0, 0, 0, 0, 0xf0, 0x7f},
                               many[8] = {255, 255, 255, 255, 0, 0, 0, 0}, client[4] = {0, 0, 0, 1},
                               one[8] = {1}, twice[8] = {1, 0, 0, 0, 1, 0, 0, 0},
                               last_flag[8] = {0, 1, 0, 1, 0, 1, 0, 2};
    static const change changes[] = {
        {"no expert", "expert_0000000.values", NULL, NULL, 0, DDOME_ERR_RESUME,
         "tensor expert_0000000.values: expected F32", WITHOUT},
        {"another type", "round", "F32", NULL, 0, DDOME_ERR_RESUME, "tensor round: expected U32",
         CHANGED},
        {"NaN", "expert_0000001.values", NULL, nan32, 4, DDOME_ERR_RESUME, "finite values",
         CHANGED},
        {"infinity", "evaluation.last_mean", NULL, inf64, 8, DDOME_ERR_RESUME, "finite values",
         CHANGED},
        {"evaluations", "evaluations", NULL, many, 8, DDOME_ERR_RESUME, "expected at most",
         CHANGED},
        {"an evaluation too many", "evaluations", NULL, one, 8, DDOME_ERR_RESUME,
         "those of its rounds", CHANGED},
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
        {"a flag", "watch.begun", NULL, client + 3, 1, DDOME_OK, NULL, CHANGED},
        {"more than a flag", "watch.begun", NULL, last_flag + 7, 1, DDOME_ERR_RESUME,
         "tensor watch.begun: expected bytes of 0 or 1 (1)", CHANGED},
        {"flags", "watch.seen", NULL, last_flag, 7, DDOME_OK, NULL, CHANGED},
        {"more than flags", "watch.seen", NULL, last_flag, 8, DDOME_ERR_RESUME,
         "tensor watch.seen: expected bytes of 0 or 1", CHANGED},
        {"any byte", "watch.seen", NULL, many, 1, DDOME_ERR_RESUME, "bytes of 0 or 1", CHANGED},
        {"any count", "traffic.down", NULL, many, 8, DDOME_OK, NULL, CHANGED},
    };
    saved s;
    test_case("state: a tensor too few, too many, of another type or with values that cannot be");
    if (make(&s, "anchors=cluster"))
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
            ddome_error error = {DDOME_OK, ""};
            ddome_status status = take_changed(&s, &error, &changes[i]);
            test_status(changes[i].what, status, changes[i].expected, &error, changes[i].part);
        }
    unmake(&s);
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
    saved s;
    uint32_t round;
    test_case("state without memory");
    if (make(&s, "algo=scaffold")) {
        ddome_status status = DDOME_ERR_MEMORY;
        for (size_t n = 1; status == DDOME_ERR_MEMORY && CHECK(n < 2000); n++) {
            nn_digest digest;
            nn_error_clear(&s.error);
            s.run.scratch.fail_after = s.run.scratch.allocations + n;
            status = fl_state_write(&s.run, &digest, name, 1, s.identity.data);
            s.run.scratch.fail_after = 0;
        }
        test_status("written", status, DDOME_OK, &s.error, NULL);
        status = DDOME_ERR_MEMORY;
        for (size_t n = 1; status == DDOME_ERR_MEMORY && CHECK(n < 2000); n++) {
            ddome_error error;
            s.run.scratch.fail_after = s.run.scratch.allocations + n;
            status = take(&s, &error, &round, s.bytes, s.size);
            s.run.scratch.fail_after = 0;
        }
        CHECK(status == DDOME_OK);
    }
    unmake(&s);
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

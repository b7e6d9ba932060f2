/* SPDX-License-Identifier: MIT */
/* Checkpoints of a run. A file that is no safetensors file is the matter of another reader, so the
 * input is a list of edits to the tensors of a whole checkpoint: what is taken, written again, is
 * the same file, unless it was said that a table begins anew; whatever is refused, the whole one
 * fits afterwards. SPEC 17.6. */
#include <stdio.h>
#include <string.h>

#include "../../fl/identity.h"
#include "../../fl/state.h"
#include "fuzz.h"

enum { EDIT_BYTES = 8, MOST_EDITS = 8, MOST_TENSORS = 512, ZEROS = 256 };

/* A run after its first round, its checkpoint as a file in memory. */
typedef struct subject {
    bool ready;
    fl_run run;
    ddome_error error;
    nn_arena arena;
    fl_text identity;
    data_safetensors whole;
    ddome_progress progress;
    size_t begun_anew; /* tables */
} subject;

static void count_table(void *user, const char *line)
{
    subject *s = user;
    FUZZ_CHECK(strstr(line, "; it begins anew") != NULL);
    s->begun_anew++;
}

/* ---- the run ---- */

static const char *const keys[][2] = {
    {"synth_train", "60"},    {"synth_test", "30"},       {"synth_size", "8"},
    {"synth_domains", "2"},   {"synth_shapes", "2"},      {"arch", "mlp"},
    {"hidden", "1"},          {"clients", "3"},           {"experts", "2"},
    {"top_k", "1"},           {"labels_per_client", "1"}, {"samples_per_client", "4"},
    {"active_anchors", "1"},  {"active_normal", "0"},     {"batch", "4"},
    {"rounds", "2"},          {"eval_every", "1"},        {"unseen_clients", "1"},
    {"holdout_clients", "1"}, {"pretrain_epochs", "1"},   {"gate_hidden", "1"},
};

static ddome_status set_up(subject *s)
{
    fl_config config;
    fl_config_defaults(&config);
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == DDOME_OK; i++)
        status = fl_config_set(&s->error, &config, keys[i][0], keys[i][1]);
    if (status == DDOME_OK)
        status = fl_run_init(&s->error, &s->run, &config, 1, &s->progress);
    s->progress = (ddome_progress){.user = s, .notice = count_table};
    return status == DDOME_OK ? fl_run_set_up(&s->run) : status;
}

static ddome_status write_down(subject *s, const char *path)
{
    fl_run *run = &s->run;
    nn_digest digest;
    ddome_status status = fl_rundir_open(&s->error, &run->dir, &run->arena, path, true);
    if (status == DDOME_OK)
        status = fl_run_write_tables(run);
    if (status == DDOME_OK) /* makes the folder */
        status = fl_rundir_write_unhashed(&s->error, &run->dir, "ckpt/state", "", 0);
    return status == DDOME_OK ? fl_state_write(run, &digest, "ckpt/state", 0, s->identity.data)
                              : status;
}

static void make(subject *s)
{
    char path[FUZZ_PATH];
    fuzz_path(path, "fuzz-state");
    s->identity.arena = &s->arena;
    ddome_status status = set_up(s);
    if (status == DDOME_OK) {
        fl_identity_write(&s->identity, &s->run);
        status = write_down(s, nn_arena_string(&s->arena, path));
    }
    fuzz_path(path, "fuzz-state/ckpt/state");
    if (status == DDOME_OK)
        status = data_safetensors_read_file(&s->error, &s->arena, &s->whole, path);
    FUZZ_CHECK(status == DDOME_OK && s->whole.count > 0 && s->whole.count < MOST_TENSORS);
    s->ready = true;
}

static ddome_status take(subject *s, ddome_error *error, uint32_t *round,
                         const data_safetensors *file)
{
    s->run.error = error;
    ddome_status status =
        fl_state_check(error, &s->run.scratch, round, file, "ckpt/state", s->identity.data);
    return status == DDOME_OK ? fl_state_take(&s->run, file) : status;
}

/* ---- edits ---- */

/* What the edits are made to; everything lives in the arena. */
typedef struct draft {
    nn_arena *arena;
    data_safetensor tensor[MOST_TENSORS];
    size_t count;
} draft;

static size_t width_of(const char *dtype)
{
    return strcmp(dtype, "U8") == 0 ? 1 : dtype[1] == '3' ? 4 : 8;
}

/* A tensor of rank 1 with the first bytes of `bytes`, the rest 0. */
static void reshape(const draft *d, data_safetensor *t, size_t count)
{
    const size_t size = count * width_of(t->dtype);
    unsigned char *bytes = nn_arena_zero(d->arena, size, 1);
    uint64_t *shape = nn_arena_alloc(d->arena, 2, sizeof *shape);
    FUZZ_CHECK(bytes != NULL && shape != NULL);
    if (size != 0 && t->byte_count != 0)
        memcpy(bytes, t->bytes, nn_min(size, t->byte_count));
    shape[0] = count;
    shape[1] = 1;
    t->bytes = bytes;
    t->byte_count = size;
    t->shape = shape;
    t->rank = 1;
}

static void put_word(const draft *d, data_safetensor *t, const unsigned char *edit)
{
    const size_t width = width_of(t->dtype), count = t->byte_count / width;
    if (count == 0)
        return;
    reshape(d, t, count);
    unsigned char *bytes = nn_arena_alloc(d->arena, t->byte_count, 1);
    FUZZ_CHECK(bytes != NULL);
    memcpy(bytes, t->bytes, t->byte_count);
    memcpy(bytes + (edit[2] | (size_t)edit[3] << 8) % count * width, edit + 4, nn_min(width, 4));
    t->bytes = bytes;
}

static void apply(draft *d, const unsigned char *edit)
{
    static const char *const dtypes[] = {"F32", "F64", "U64", "U32", "U8"};
    if (d->count == 0)
        return;
    data_safetensor *t = &d->tensor[edit[0] % d->count];
    switch (edit[1] % 6) {
    case 0:
        put_word(d, t, edit);
        break;
    case 1:
        t->dtype = dtypes[edit[2] % 5];
        reshape(d, t, t->byte_count / width_of(t->dtype));
        break;
    case 2:
        reshape(d, t, edit[2] | (size_t)edit[3] << 8);
        break;
    case 3:
        *t = d->tensor[--d->count];
        break;
    case 4:
        t->name = edit[2] == 0 ? "../x" : d->tensor[edit[2] % d->count].name;
        break;
    default: /* [count, 1] */
        reshape(d, t, t->byte_count / width_of(t->dtype));
        t->rank = 2;
    }
}

static ddome_status edit_file(fuzz_call *call, draft *d, unsigned char **bytes, size_t *size)
{
    for (size_t i = 0; i < MOST_EDITS && (i + 1) * EDIT_BYTES <= call->size; i++)
        apply(d, call->bytes + i * EDIT_BYTES);
    return data_safetensors_format(&call->error, d->arena, bytes, size, d->tensor, d->count);
}

/* ---- the reader ---- */

/* Written from the run it was read into, it has the same bytes. */
static void check_written(subject *s, uint32_t round, const unsigned char *bytes, size_t size)
{
    nn_digest digest;
    const nn_digest expected = nn_sha256_of(bytes, size);
    FUZZ_CHECK(fl_state_write(&s->run, &digest, "ckpt/again", round, s->identity.data) == DDOME_OK);
    FUZZ_CHECK(memcmp(&digest, &expected, sizeof digest) == 0);
}

ddome_status fuzz_state(fuzz_call *call)
{
    static subject s;
    nn_arena arena = {0};
    draft d = {.arena = &arena};
    unsigned char *bytes = NULL;
    size_t size = 0;
    uint32_t round;
    data_safetensors file;
    if (!s.ready)
        make(&s);
    d.count = s.whole.count;
    memcpy(d.tensor, s.whole.tensor, d.count * sizeof *d.tensor);
    ddome_status status = edit_file(call, &d, &bytes, &size);
    if (status == DDOME_OK)
        status = data_safetensors_parse(&call->error, &call->arena, &file, bytes, size);
    s.begun_anew = 0;
    if (status == DDOME_OK)
        status = take(&s, &call->error, &round, &file);
    if (status == DDOME_OK && s.begun_anew == 0)
        check_written(&s, round, bytes, size);
    FUZZ_CHECK(take(&s, &s.error, &round, &s.whole) == DDOME_OK);
    nn_arena_free(&arena);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* The state of a tiny federation as a file in memory, and changes to it. */
#include "state_fixture.h"

#include <stdio.h>
#include <string.h>

#include "../fl/identity.h"
#include "../nn/os.h"

enum { PATH_BYTES = 1024 };

const char test_saved_name[] = "ckpt/state";

ddome_status test_saved_write(test_saved *s)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/state_run", test_dir());
    s->identity = (fl_text){.arena = &s->arena};
    fl_identity_write(&s->identity, &s->run);
    ddome_status status = fl_rundir_open(&s->error, &s->run.dir, &s->run.arena, path, true);
    if (status == DDOME_OK)
        status = fl_run_write_tables(&s->run);
    if (status == DDOME_OK) /* makes the folder */
        status = fl_rundir_write_unhashed(&s->error, &s->run.dir, test_saved_name, "", 0);
    if (status == DDOME_OK)
        status =
            fl_state_write(&s->run, &s->digest, test_saved_name, s->run.done, s->identity.data);
    snprintf(path, sizeof path, "%s/state_run/%s", test_dir(), test_saved_name);
    if (status == DDOME_OK)
        status = nn_os_read_file(&s->error, &s->arena, &s->bytes, &s->size, path, DDOME_ERR_DATA);
    return status;
}

bool test_saved_make(test_saved *s, const char *keys, uint32_t rounds)
{
    memset(s, 0, sizeof *s);
    if (!test_federation(&s->run, &s->error, keys))
        return false;
    ddome_status status = DDOME_OK;
    for (uint32_t round = 1; round <= rounds && status == DDOME_OK; round++) {
        status = test_round(&s->run, round);
        if (status == DDOME_OK && fl_run_evaluates(&s->run, round))
            status = fl_run_evaluate(&s->run, round);
    }
    s->run.done = rounds;
    if (status == DDOME_OK)
        status = test_saved_write(s);
    if (strstr(s->error.text, "plain C99") != NULL) {
        test_skip("plain C99 cannot make folders");
        return false;
    }
    return test_status("write", status, DDOME_OK, &s->error, NULL);
}

void test_saved_free(test_saved *s)
{
    fl_run_free(&s->run);
    nn_arena_free(&s->arena);
}

ddome_status test_saved_take(test_saved *s, ddome_error *error, uint32_t *round,
                             const unsigned char *bytes, size_t size)
{
    data_safetensors file;
    nn_arena_mark mark = nn_arena_get_mark(&s->arena);
    ddome_error *const usual = s->run.error;
    nn_error_clear(error);
    s->run.error = error;
    ddome_status status = data_safetensors_parse(error, &s->arena, &file, bytes, size);
    if (status == DDOME_OK)
        status = fl_state_check(error, &s->arena, round, &file, test_saved_name, s->identity.data);
    if (status == DDOME_OK)
        status = fl_state_take(&s->run, &file);
    s->run.error = usual;
    nn_arena_rewind(&s->arena, mark);
    return status;
}

ddome_status test_saved_change(test_saved *s, ddome_error *error, const test_change *c, size_t at)
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
            memcpy(copy + at, c->bytes, c->count);
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
        status = test_saved_take(s, error, &round, bytes, size);
    nn_arena_rewind(&s->arena, mark);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* ckpt/DONE is the list of checkpoints that are whole, in the form of SHA256SUMS: what it does not
 * name does not count. SPEC 17.6.4, 17.6.5. */
#include "saved.h"

#include <stdio.h>
#include <string.h>

#include "common.h"
#include "store.h"

enum { DIGITS = 8, HEX = NN_HEX_BYTES - 1 };

static const char list_name[] = "ckpt/DONE", suffix[] = ".safetensors", temporary[] = ".tmp";

const char *fl_saved_name(char name[FL_SAVED_NAME], uint32_t round)
{
    snprintf(name, FL_SAVED_NAME, "ckpt/%08lu%s", (unsigned long)round, suffix);
    return name;
}

/* ---- the list ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_digest(nn_digest *digest, const char *text)
{
    for (size_t i = 0; i < sizeof digest->byte; i++) {
        const int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        digest->byte[i] = (unsigned char)(16 * high + low);
    }
    return true;
}

static bool read_round(uint32_t *round, const char *text)
{
    *round = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *round = 10 * *round + (uint32_t)(text[i] - '0');
    }
    return strncmp(text + DIGITS, suffix, strlen(suffix)) == 0;
}

/* "HASH  00000010.safetensors\n"; rounds ascend. NULL: it is no such line. */
static const char *read_line(fl_saved *saved, const char *line)
{
    fl_saved_file *file = &saved->file[saved->count];
    const size_t length = HEX + 2 + DIGITS + strlen(suffix);
    if (saved->count == FL_SAVED_MOST || strcspn(line, "\n") != length || line[length] != '\n' ||
        !read_digest(&file->digest, line) || strncmp(line + HEX, "  ", 2) != 0 ||
        !read_round(&file->round, line + HEX + 2))
        return NULL;
    if (saved->count != 0 && file[-1].round >= file->round)
        return NULL;
    saved->count++;
    return line + length + 1;
}

/* "00000010.safetensors" */
static bool is_checkpoint(const char *name, uint32_t *round)
{
    return strlen(name) == DIGITS + strlen(suffix) && read_round(round, name);
}

/* What a kill leaves before there is a list is the first checkpoint alone: that of round 0, unless
 * there is none before the run is stopped. */
static const char *behind_the_first(const fl_saved *saved, const char *const *names, size_t count)
{
    const char *later = NULL;
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t round;
        if (!is_checkpoint(names[i], &round))
            continue;
        found++;
        later = round != 0 ? names[i] : later;
    }
    return found > 1 || saved->every != 0 ? later : NULL;
}

ddome_status fl_saved_lost(ddome_error *error, const fl_saved *saved, const fl_rundir *dir)
{
    char *list, *path;
    const char **names = NULL, *later = NULL;
    size_t count = 0;
    ddome_error inner = {DDOME_OK, ""};
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &list, list_name);
    if (status == DDOME_OK)
        status = fl_rundir_join(error, dir->arena, dir, &path, "ckpt");
    if (status == DDOME_OK && !nn_os_exists(list))
        status = nn_os_list(&inner, dir->arena, &names, &count, path, "");
    if (status == DDOME_ERR_DATA || status == DDOME_ERR_USAGE) /* no folder, or no way to look */
        status = DDOME_OK;
    else if (status != DDOME_OK)
        status = nn_fail(error, status, "%s", inner.text);
    else
        later = behind_the_first(saved, names, count);
    if (later != NULL)
        status = nn_fail(error, DDOME_ERR_RESUME,
                         "%.300s is missing: expected it beside ckpt/%.40s; bring it back, or "
                         "replace the run with --force",
                         list, later);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

ddome_status fl_saved_open(ddome_error *error, fl_saved *saved, const fl_rundir *dir)
{
    char *path;
    unsigned char *bytes = NULL;
    size_t size = 0;
    saved->count = 0;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, list_name);
    if (status != DDOME_OK || !nn_os_exists(path)) {
        nn_arena_rewind(dir->arena, mark);
        return status == DDOME_OK ? fl_saved_lost(error, saved, dir) : status;
    }
    status = nn_os_read_file(error, dir->arena, &bytes, &size, path, DDOME_ERR_IO);
    const char *line = (const char *)bytes;
    while (status == DDOME_OK && line != NULL && line != (const char *)bytes + size)
        line = read_line(saved, line);
    if (status == DDOME_OK && (line == NULL || size == 0))
        status = nn_fail(error, DDOME_ERR_RESUME,
                         "%.200s is damaged: line %lu: expected a hash, two spaces and the name of "
                         "a checkpoint",
                         path, (unsigned long)saved->count + 1);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

static ddome_status write_list(ddome_error *error, const fl_saved *saved, const fl_rundir *dir)
{
    fl_text text = {.arena = dir->arena};
    char name[FL_SAVED_NAME];
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    for (size_t i = 0; i < saved->count; i++) {
        fl_text_digest(&text, &saved->file[i].digest);
        fl_text_add(&text, "  %s\n", fl_saved_name(name, saved->file[i].round) + strlen("ckpt/"));
    }
    ddome_status status = fl_text_status(error, &text);
    if (status == DDOME_OK)
        status = fl_rundir_write_unhashed(error, dir, list_name, text.length == 0 ? "" : text.data,
                                          text.length);
    nn_arena_rewind(dir->arena, mark);
    return status;
}

/* ---- files ---- */

/* Is a name in ckpt that of a checkpoint, whole or not, which the list does not have? Or of what
 * stays with clients, which has lost its name where a run is at work? */
static bool left_over(const fl_saved *saved, const char *name)
{
    uint32_t round;
    if (strcmp(name, FL_STORE_NAME) == 0)
        return true;
    if (strlen(name) < DIGITS + strlen(suffix) || !read_round(&round, name))
        return false;
    const char *rest = name + DIGITS + strlen(suffix);
    for (size_t i = 0; i < saved->count && *rest == '\0'; i++)
        if (saved->file[i].round == round)
            return false;
    return *rest == '\0' || strcmp(rest, temporary) == 0;
}

/* A folder that cannot be listed keeps what is in it: that costs room, no more. */
ddome_status fl_saved_tidy(ddome_error *error, fl_saved *saved, const fl_rundir *dir)
{
    char *path, name[FL_SAVED_NAME];
    const char **names;
    size_t count = 0;
    ddome_error inner = {DDOME_OK, ""};
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    const size_t before = saved->count;
    while (saved->count > 0 && saved->file[saved->count - 1].round > saved->round)
        saved->count--;
    ddome_status status = saved->count < before ? write_list(error, saved, dir) : DDOME_OK;
    if (status == DDOME_OK)
        status = fl_rundir_join(error, dir->arena, dir, &path, "ckpt");
    if (status == DDOME_OK && nn_os_list(&inner, dir->arena, &names, &count, path, "") != DDOME_OK)
        status = inner.status == DDOME_ERR_MEMORY ? nn_fail(error, inner.status, "%s", inner.text)
                                                  : DDOME_OK;
    for (size_t i = 0; i < count && status == DDOME_OK; i++)
        if (left_over(saved, names[i])) {
            snprintf(name, sizeof name, "ckpt/%.40s", names[i]);
            status = fl_rundir_remove(error, dir, name);
        }
    nn_arena_rewind(dir->arena, mark);
    return status;
}

ddome_status fl_saved_add(ddome_error *error, fl_saved *saved, const fl_rundir *dir, uint32_t round,
                          const nn_digest *digest, size_t keep)
{
    char name[FL_SAVED_NAME], from[FL_SAVED_NAME + 4], *path, *source;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    snprintf(from, sizeof from, "%s%s", fl_saved_name(name, round), temporary);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, name);
    if (status == DDOME_OK)
        status = fl_rundir_join(error, dir->arena, dir, &source, from);
    if (status == DDOME_OK)
        status = nn_os_move(error, source, path);
    nn_arena_rewind(dir->arena, mark);
    if (status != DDOME_OK)
        return status;
    while (saved->count > 0 && saved->file[saved->count - 1].round >= round)
        saved->count--; /* what is done again replaces what was there */
    fl_saved_file old[FL_SAVED_MOST];
    const size_t known = saved->count, kept = nn_min(known, keep - 1);
    memcpy(old, saved->file, sizeof old);
    memmove(saved->file, saved->file + (known - kept), kept * sizeof *old);
    saved->file[kept] = (fl_saved_file){round, *digest};
    saved->count = kept + 1;
    status = write_list(error, saved, dir);
    for (size_t i = 0; i < known - kept && status == DDOME_OK; i++)
        status = fl_rundir_remove(error, dir, fl_saved_name(name, old[i].round));
    return status;
}

/* ---- reading ---- */

static bool is_digest(nn_sha256 *sha, const nn_digest *expected)
{
    const nn_digest digest = nn_sha256_end(sha);
    return memcmp(&digest, expected, sizeof digest) == 0;
}

/* The first failure sticks to an error, and an older checkpoint may do: `reason` is of this one. */
static ddome_status read_state(ddome_error *reason, fl_saved *saved, const fl_rundir *dir,
                               const fl_saved_file *file)
{
    char name[FL_SAVED_NAME], *path;
    uint64_t size;
    nn_sha256 sha;
    ddome_error inner = {DDOME_OK, ""};
    nn_error_clear(reason);
    ddome_status status =
        fl_rundir_join(reason, &saved->arena, dir, &path, fl_saved_name(name, file->round));
    if (status != DDOME_OK)
        return status;
    status = nn_os_file_size(&inner, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK)
        status = fl_rundir_hash(&inner, dir, &sha, name, size);
    if (status == DDOME_OK && !is_digest(&sha, &file->digest))
        return nn_fail(reason, DDOME_ERR_RESUME,
                       "%.300s is damaged: its hash is not that of ckpt/DONE", path);
    if (status == DDOME_OK)
        status = data_safetensors_open_file(&inner, &saved->arena, &saved->state, path);
    if (status == DDOME_ERR_DATA)
        status = DDOME_ERR_RESUME;
    return status == DDOME_OK ? status : nn_fail(reason, status, "%s", inner.text);
}

static void tell(const ddome_progress *progress, const ddome_error *reason)
{
    char line[sizeof reason->text];
    snprintf(line, sizeof line, "%.440s; the one before it is tried", reason->text);
    fl_tell(progress, line);
}

ddome_status fl_saved_find(ddome_error *error, fl_saved *saved, const fl_rundir *dir, uint32_t most,
                           const ddome_progress *progress)
{
    ddome_error reason = {DDOME_OK, ""};
    ddome_status status = DDOME_OK;
    saved->found = false;
    for (size_t i = saved->count; i-- > 0 && !saved->found;) {
        if (saved->file[i].round > most)
            continue;
        status = read_state(&reason, saved, dir, &saved->file[i]);
        saved->found = status == DDOME_OK;
        saved->round = saved->file[i].round;
        if (!saved->found)
            nn_arena_free(&saved->arena);
        if (!saved->found && status != DDOME_ERR_RESUME)
            return nn_fail(error, status, "%s", reason.text);
        if (!saved->found && i > 0)
            tell(progress, &reason);
    }
    return status == DDOME_OK ? status : nn_fail(error, status, "%s", reason.text);
}

bool fl_saved_older(fl_saved *saved, const ddome_error *reason, const ddome_progress *progress)
{
    if (saved->file[0].round >= saved->round)
        return false;
    tell(progress, reason);
    fl_saved_free(saved);
    return true;
}

void fl_saved_free(fl_saved *saved)
{
    nn_arena_free(&saved->arena);
    saved->found = false;
}

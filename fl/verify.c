/* SPDX-License-Identifier: MIT */
/* SHA256SUMS, line by line, against the files; the configuration. SPEC 17.7.1, 17.7.2. */
#include "verify.h"

#include <string.h>

#include "identity.h"
#include "run.h"

enum { HEX = NN_HEX_BYTES - 1, CHUNK_BYTES = 1 << 16 };

/* One line: its digits, the name behind them, where the next begins. */
typedef struct sums_line {
    const char *hex, *next;
    char *name;
} sums_line;

/* A name that leads out of the folder is no name of a run's file. */
static bool is_inside(const char *name)
{
    bool inside = name[0] != '\0';
    for (const char *part = name; inside && *part != '\0';) {
        const size_t length = strcspn(part, "/");
        inside = length != 0 && !(length == 2 && strncmp(part, "..", 2) == 0);
        part += length + (part[length] == '/');
    }
    return inside;
}

/* false: it is no such line, or, *poor, memory is out. */
static bool read_line(nn_arena *arena, sums_line *out, const char *line, bool *poor)
{
    const size_t length = strcspn(line, "\n");
    if (length <= HEX + 2 || line[length] != '\n' || strspn(line, "0123456789abcdef") != HEX ||
        strncmp(line + HEX, "  ", 2) != 0)
        return false;
    out->hex = line;
    out->next = line + length + 1;
    out->name = nn_arena_zero(arena, length - HEX - 1, 1);
    *poor = out->name == NULL;
    if (*poor)
        return false;
    memcpy(out->name, line + HEX + 2, length - HEX - 2);
    return is_inside(out->name);
}

static ddome_status hash_of(ddome_error *error, const fl_rundir *dir, char hex[NN_HEX_BYTES],
                            const char *name)
{
    unsigned char *bytes;
    size_t size;
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, name);
    if (status == DDOME_OK)
        status = nn_os_read_file(error, dir->arena, &bytes, &size, path, DDOME_ERR_VERIFY);
    if (status == DDOME_OK) {
        const nn_digest digest = nn_sha256_of(bytes, size);
        nn_digest_hex(hex, &digest);
    }
    nn_arena_rewind(dir->arena, mark);
    return status;
}

static ddome_status check_line(ddome_error *error, const fl_rundir *dir, const sums_line *line)
{
    char hex[NN_HEX_BYTES];
    ddome_status status = hash_of(error, dir, hex, line->name);
    if (status == DDOME_OK && strncmp(hex, line->hex, HEX) != 0)
        return nn_fail(error, DDOME_ERR_VERIFY,
                       "%.200s/%.120s was changed: expected SHA-256 %.16s..., found %.16s...",
                       dir->path, line->name, line->hex, hex);
    return status;
}

static ddome_status check_all(ddome_error *error, const fl_rundir *dir, const char *sums)
{
    ddome_status status = DDOME_OK;
    bool poor = false;
    size_t number = 1;
    for (sums_line line; *sums != '\0' && status == DDOME_OK; sums = line.next, number++) {
        if (!read_line(dir->arena, &line, sums, &poor))
            return poor ? nn_arena_fail(error, dir->arena, "a line of SHA256SUMS")
                        : nn_fail(error, DDOME_ERR_DATA,
                                  "%.300s/SHA256SUMS: line %lu: expected a hash, two spaces and "
                                  "the path "
                                  "of a file in the folder",
                                  dir->path, (unsigned long)number);
        status = check_line(error, dir, &line);
    }
    return status;
}

ddome_status fl_verify_hashes(ddome_error *error, nn_arena *arena, const char *run_dir,
                              char root_hash[NN_HEX_BYTES])
{
    fl_rundir dir;
    unsigned char *bytes;
    size_t size;
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(arena);
    ddome_status status = fl_rundir_view(error, &dir, arena, run_dir);
    if (status == DDOME_OK)
        status = fl_rundir_join(error, arena, &dir, &path, "SHA256SUMS");
    if (status == DDOME_OK && !nn_os_exists(path))
        status = nn_fail(error, DDOME_ERR_DATA, "%.300s is missing: expected a finished run there",
                         path);
    if (status == DDOME_OK)
        status = nn_os_read_file(error, arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK && (size == 0 || strlen((const char *)bytes) != size))
        status = nn_fail(error, DDOME_ERR_DATA, "%.300s: expected lines of text", path);
    if (status == DDOME_OK)
        status = check_all(error, &dir, (const char *)bytes);
    if (status == DDOME_OK) {
        const nn_digest root = nn_sha256_of(bytes, size);
        nn_digest_hex(root_hash, &root);
    }
    nn_arena_rewind(arena, mark);
    return status;
}

ddome_status fl_verify_config(fl_run *run, const char *run_dir)
{
    unsigned char *bytes;
    size_t size;
    ddome_error inner = {DDOME_OK, ""};
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_text path = {.arena = &run->scratch}, here = {.arena = &run->scratch};
    fl_text_add(&path, "%s/config.toml", run_dir);
    fl_config_write(&here, &run->config, &run->hashes);
    ddome_status status = fl_text_status(run->error, &path);
    if (status == DDOME_OK)
        status = fl_text_status(run->error, &here);
    if (status == DDOME_OK)
        status =
            nn_os_read_file(run->error, &run->scratch, &bytes, &size, path.data, DDOME_ERR_DATA);
    if (status == DDOME_OK) {
        status = fl_identity_compare(&inner, &run->scratch, (const char *)bytes, here.data,
                                     "config.toml");
        if (status != DDOME_OK)
            status = nn_fail(run->error, status == DDOME_ERR_RESUME ? DDOME_ERR_VERIFY : status,
                             "%s", inner.text);
    }
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

bool fl_verify_has_tables(const fl_rundir *dir)
{
    char *path;
    nn_arena_mark mark = nn_arena_get_mark(dir->arena);
    const bool known = fl_rundir_join(NULL, dir->arena, dir, &path, "metrics.csv") == DDOME_OK;
    const bool has = !known || nn_os_exists(path);
    nn_arena_rewind(dir->arena, mark);
    return has;
}

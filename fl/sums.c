/* SPDX-License-Identifier: MIT */
/* SHA256SUMS, line by line. SPEC 17.3.1. */
#include "sums.h"

#include <stdlib.h>
#include <string.h>

enum { HEX = NN_HEX_BYTES - 1 };

/* A file of the folder has one path: parts that are empty, "." or ".." are in none. */
static bool is_path(const char *name)
{
    for (const char *part = name;; part++) {
        const size_t length = strcspn(part, "/");
        if (length == 0 || (length <= 2 && strspn(part, ".") >= length))
            return false;
        part += length;
        if (*part == '\0')
            return true;
    }
}

/* The line that begins at *text, whose hash and name become texts of their own; *text moves behind
 * it. */
static bool read_line(fl_sums_line *line, char **text)
{
    char *at = *text;
    const size_t length = strcspn(at, "\n");
    if (length <= HEX + 2 || at[length] != '\n' || strspn(at, "0123456789abcdef") != HEX ||
        strncmp(at + HEX, "  ", 2) != 0)
        return false;
    at[HEX] = at[length] = '\0';
    *line = (fl_sums_line){at, at + HEX + 2};
    *text = at + length + 1;
    return is_path(line->name);
}

static ddome_status read_lines(ddome_error *error, fl_sums *sums, const fl_rundir *dir, char *text)
{
    for (size_t i = 0; i < sums->count; i++) {
        fl_sums_line *line = &sums->line[i];
        if (!read_line(line, &text))
            return nn_fail(error, DDOME_ERR_DATA,
                           "%.300s/SHA256SUMS: line %lu: expected a hash, two spaces and the path "
                           "of a file in the folder",
                           dir->path, (unsigned long)i + 1);
        if (i > 0 && strcmp(line[-1].name, line->name) >= 0)
            return nn_fail(error, DDOME_ERR_DATA,
                           "%.200s/SHA256SUMS: line %lu: expected each path once, sorted by its "
                           "bytes, found %.80s behind %.80s",
                           dir->path, (unsigned long)i + 1, line->name, line[-1].name);
    }
    return DDOME_OK;
}

/* A last line without its end counts, too: it is refused where it is read. */
static size_t count_lines(const char *text, size_t size)
{
    size_t lines = text[size - 1] != '\n';
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return lines;
}

static ddome_status read_text(ddome_error *error, unsigned char **bytes, size_t *size,
                              const fl_rundir *dir)
{
    char *path;
    ddome_status status = fl_rundir_join(error, dir->arena, dir, &path, "SHA256SUMS");
    if (status == DDOME_OK && !nn_os_exists(path))
        status = nn_fail(error, DDOME_ERR_DATA, "%.300s is missing: expected a finished run there",
                         path);
    if (status == DDOME_OK)
        status = nn_os_read_file(error, dir->arena, bytes, size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK && (*size == 0 || strlen((const char *)*bytes) != *size))
        status = nn_fail(error, DDOME_ERR_DATA, "%.300s: expected lines of text", path);
    return status;
}

ddome_status fl_sums_read(ddome_error *error, fl_sums *sums, const fl_rundir *dir)
{
    unsigned char *bytes;
    size_t size;
    fl_sums made;
    ddome_status status = read_text(error, &bytes, &size, dir);
    if (status != DDOME_OK)
        return status;
    const nn_digest root = nn_sha256_of(bytes, size);
    nn_digest_hex(made.root_hash, &root);
    made.count = count_lines((const char *)bytes, size);
    made.line = nn_arena_alloc(dir->arena, made.count, sizeof *made.line);
    if (made.line == NULL)
        return nn_arena_fail(error, dir->arena, "the lines of SHA256SUMS");
    status = read_lines(error, &made, dir, (char *)bytes);
    if (status == DDOME_OK)
        *sums = made;
    return status;
}

static int compare_names(const void *name, const void *line)
{
    return strcmp(name, ((const fl_sums_line *)line)->name);
}

bool fl_sums_has(const fl_sums *sums, const char *name)
{
    return bsearch(name, sums->line, sums->count, sizeof *sums->line, compare_names) != NULL;
}

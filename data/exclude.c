/* SPDX-License-Identifier: MIT */
/* Lines of `train` or `test` and indices. SPEC 7.2.2. */
#include "exclude.h"

#include <string.h>

#include "../nn/os.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return *at == '#' ? at + strcspn(at, "\n") : at;
}

/* One index; NULL when it is no number below `indices`. */
static const char *take_index(const char *at, size_t *index, size_t indices)
{
    const char *start = at;
    *index = 0;
    while (*at >= '0' && *at <= '9' && *index < indices)
        *index = *index * 10 + (size_t)(*at++ - '0');
    bool ended = is_blank(*at) || *at == '\n' || *at == '#' || *at == '\0';
    return at > start && ended && *index < indices ? at : NULL;
}

/* The word at the start of a line says which split its indices are of; NULL when it is neither. */
static uint8_t *marks_of(const data_exclusion *list, const char *word, size_t length)
{
    if (length == 5 && memcmp(word, "train", length) == 0)
        return list->train;
    return length == 4 && memcmp(word, "test", length) == 0 ? list->test : NULL;
}

/* Where the line stops: at its line feed, at the end, or at what does not belong there
 * (SPEC 7.2.2). */
static const char *take_line(const char *at, const data_exclusion *list)
{
    at = skip_blanks(at);
    size_t word = strcspn(at, " \t\r\n#");
    uint8_t *marks = marks_of(list, at, word);
    if (marks == NULL)
        return at;
    at = skip_blanks(at + word);
    size_t index;
    for (const char *next; (next = take_index(at, &index, list->indices)) != NULL;
         at = skip_blanks(next))
        marks[index] = 1;
    return at;
}

static ddome_status read_lines(ddome_error *error, const data_exclusion *list, const char *path,
                               const char *at, const char *end)
{
    for (unsigned long line = 1; at < end; line++) {
        at = take_line(at, list);
        if (at < end && *at++ != '\n')
            return nn_fail(error, DDOME_ERR_DATA,
                           "%s line %lu: expected train or test and record indices 0..%lu; mend "
                           "the line",
                           path, line, (unsigned long)list->indices - 1);
    }
    return DDOME_OK;
}

ddome_status data_exclusion_read(ddome_error *error, nn_arena *arena, data_exclusion *list,
                                 const char *path, size_t indices)
{
    data_exclusion made = {NULL, NULL, indices};
    unsigned char *bytes;
    size_t size;
    *list = made;
    if (path == NULL)
        return DDOME_OK;
    made.train = nn_arena_zero(arena, indices, 1);
    made.test = nn_arena_zero(arena, indices, 1);
    if (made.train == NULL || made.test == NULL)
        return nn_arena_fail(error, arena, path);
    ddome_status status = nn_os_read_file(error, arena, &bytes, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK)
        status = read_lines(error, &made, path, (const char *)bytes, (const char *)bytes + size);
    if (status == DDOME_OK)
        *list = made;
    return status;
}

/* SPDX-License-Identifier: MIT */
/* Lines `LEVEL ulp N`, `LEVEL relative X`, `LEVEL exact`. SPEC 19.4.3. */
#include <stdlib.h>
#include <string.h>

#include "../fl/trace.h"
#include "compare_values.h"

static const char blanks[] = " \t\r";

bool compare_parse_ulp(uint64_t *out, const char *text)
{
    uint64_t value = 0;
    const size_t length = strlen(text);
    if (length == 0 || length > 18 || strspn(text, "0123456789") != length)
        return false;
    for (; *text != '\0'; text++)
        value = 10 * value + (uint64_t)(*text - '0');
    *out = value;
    return true;
}

/* strtod alone would take words, hexadecimal and blanks. */
bool compare_parse_relative(double *out, const char *text)
{
    char *end;
    const size_t length = strlen(text);
    if (length == 0 || length > 40 || strspn(text, "0123456789.eE+-") != length || text[0] == '-')
        return false;
    const double value = strtod(text, &end);
    if (*end != '\0' || end == text || !(value >= 0.0 && value <= 1e300))
        return false;
    *out = value;
    return true;
}

/* At most `most` words of the line, which is cut up; the number of words it has. */
static size_t split(const char *word[], size_t most, char *line)
{
    size_t count = 0;
    line[strcspn(line, "#")] = '\0';
    for (line += strspn(line, blanks); *line != '\0'; line += strspn(line, blanks)) {
        if (count < most)
            word[count] = line;
        count++;
        line += strcspn(line, blanks);
        if (*line != '\0')
            *line++ = '\0';
    }
    return count;
}

static bool parse_rule(compare_rule *rule, const char *word[], size_t count)
{
    memset(rule, 0, sizeof *rule);
    if (count == 2)
        return strcmp(word[1], "exact") == 0;
    if (count != 3)
        return false;
    rule->by_ulp = strcmp(word[1], "ulp") == 0;
    rule->by_relative = strcmp(word[1], "relative") == 0;
    return (rule->by_ulp && compare_parse_ulp(&rule->ulp, word[2])) ||
           (rule->by_relative && compare_parse_relative(&rule->relative, word[2]));
}

static bool has_level(const compare_tolerances *out, const char *level)
{
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->item[i].level, level) == 0)
            return true;
    return false;
}

static ddome_status take_line(ddome_error *error, compare_tolerances *out, char *line,
                              const char *path, size_t number)
{
    const char *word[3];
    compare_rule rule;
    const size_t count = split(word, 3, line);
    if (count == 0)
        return DDOME_OK;
    if (!parse_rule(&rule, word, count))
        return nn_fail(error, DDOME_ERR_USAGE,
                       "%.200s:%lu: expected LEVEL ulp N, LEVEL relative X or LEVEL exact "
                       "(N below 10^18, X a decimal from 0 on), found %.40s%s%.40s%s%.40s",
                       path, (unsigned long)number, word[0], count > 1 ? " " : "",
                       count > 1 ? word[1] : "", count > 2 ? " " : "", count > 2 ? word[2] : "");
    if (has_level(out, word[0]))
        return nn_fail(error, DDOME_ERR_USAGE, "%.200s:%lu: level %.40s has a line already", path,
                       (unsigned long)number, word[0]);
    out->item[out->count].level = word[0];
    out->item[out->count].line = number;
    out->item[out->count++].rule = rule;
    if (strcmp(word[0], "*") == 0)
        out->otherwise = rule;
    return DDOME_OK;
}

static size_t lines_of(const char *text)
{
    size_t lines = 1;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

ddome_status compare_tolerances_parse(ddome_error *error, nn_arena *arena, compare_tolerances *out,
                                      const char *text, const char *path)
{
    compare_tolerances read = {NULL, 0, {false, false, 0, 0.0}};
    char *line = nn_arena_string(arena, text);
    read.item = nn_arena_alloc(arena, lines_of(text), sizeof *read.item);
    if (line == NULL || read.item == NULL)
        return nn_arena_fail(error, arena, "tolerances");
    ddome_status status = DDOME_OK;
    for (size_t number = 1; status == DDOME_OK && line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end++ = '\0';
        status = take_line(error, &read, line, path, number);
        line = end;
    }
    if (status == DDOME_OK)
        *out = read;
    return status;
}

/* The levels of tests/vectors and of probes, models, all. */
static const char *const known[] = {
    "rng",    "distributions", "elementary", "hash",  "sum",        "matmul",     "linear",
    "conv",   "norm",          "pool",       "loss",  "activation", "mixture",    "optimiser",
    "gate",   "aggregation",   "data",       "block", "partition",  "train_step", "common",
    "client", "round",         "evaluation", "probe", "model",      "*"};

typedef struct nearness {
    const char *name;
    size_t distance; /* 0: it is the level itself */
} nearness;

/* The nearest of a list where it is nearer than what was found before. */
static void look_among(nearness *found, const char *level, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t distance = fl_text_distance(level, names[i]);
        if (distance < found->distance) {
            found->name = names[i];
            found->distance = distance;
        }
    }
}

const char *compare_level_nearest(const char *level, const char *const *levels, size_t count)
{
    nearness found = {NULL, SIZE_MAX};
    look_among(&found, level, levels, count);
    look_among(&found, level, known, sizeof known / sizeof *known);
    look_among(&found, level, fl_trace_passes, FL_TRACE_PASSES);
    return found.distance == 0 ? NULL : found.name;
}

compare_rule compare_rule_of(const compare_tolerances *tolerances, const char *level)
{
    for (size_t i = 0; i < tolerances->count; i++)
        if (strcmp(tolerances->item[i].level, level) == 0)
            return tolerances->item[i].rule;
    return tolerances->otherwise;
}

/* SPDX-License-Identifier: MIT */
/* The tables of a run directory, line by line. SPEC 17.2.1. */
#include <string.h>

#include "report.h"

ddome_status report_damaged(ddome_error *error, const report_table *table, const char *expected)
{
    return nn_fail(error, DDOME_ERR_DATA,
                   "%.200s/%s, line %lu: expected %s; the run is damaged, make it anew", table->run,
                   table->file, (unsigned long)table->line, expected);
}

/* The fields of the line at *at, which moves behind it; those beyond REPORT_COLUMNS are only
 * counted. A last line without its end is none. */
static bool cut_line(report_table *table, size_t *count)
{
    char *line = table->at, *end = strchr(line, '\n');
    *count = 0;
    if (end == NULL)
        return false;
    *end = '\0';
    table->at = end + 1;
    for (char *comma = line; comma != NULL;) {
        if (*count < REPORT_COLUMNS)
            table->field[*count] = line;
        ++*count;
        comma = strchr(line, ',');
        if (comma != NULL) {
            *comma = '\0';
            line = comma + 1;
        }
    }
    return true;
}

ddome_status report_table_open(ddome_error *error, report_table *table, const char *run,
                               const char *file, char *text)
{
    *table = (report_table){.run = run, .file = file, .at = text, .line = 1};
    return cut_line(table, &table->columns) && table->columns <= REPORT_COLUMNS
               ? DDOME_OK
               : report_damaged(error, table, "a line of column names, not too many");
}

ddome_status report_table_find(ddome_error *error, size_t *column, const report_table *table,
                               const char *name)
{
    for (size_t i = 0; i < table->columns; i++)
        if (strcmp(table->field[i], name) == 0) {
            *column = i;
            return DDOME_OK;
        }
    return nn_fail(error, DDOME_ERR_DATA, "%.200s/%s: expected a column %s; the run is damaged",
                   table->run, table->file, name);
}

ddome_status report_table_next(ddome_error *error, report_table *table, bool *more)
{
    size_t count;
    *more = *table->at != '\0';
    if (!*more)
        return DDOME_OK;
    table->line++;
    if (!cut_line(table, &count))
        return report_damaged(error, table, "a line that ends");
    return count == table->columns ? DDOME_OK
                                   : report_damaged(error, table, "as many fields as columns");
}

static bool take_digits(uint64_t *value, const char **at, size_t most)
{
    const char *start = *at;
    for (*value = 0; **at >= '0' && **at <= '9' && (size_t)(*at - start) < most; ++*at)
        *value = 10 * *value + (uint64_t)(**at - '0');
    return *at != start;
}

ddome_status report_table_u64(ddome_error *error, uint64_t *value, const report_table *table,
                              size_t column)
{
    const char *at = table->field[column];
    if (!take_digits(value, &at, 18) || *at != '\0') /* 10^18 < 2^63: sums stay far from the end */
        return report_damaged(error, table, "whole numbers");
    return DDOME_OK;
}

ddome_status report_table_micros(ddome_error *error, uint64_t *value, const report_table *table,
                                 size_t column)
{
    const char *at = table->field[column];
    uint64_t whole, part = 0;
    bool ok = take_digits(&whole, &at, 6) && *at == '.';
    const char *places = at + 1;
    if (ok) {
        at = places;
        ok = take_digits(&part, &at, 6) && at - places == 6 && *at == '\0';
    }
    *value = 1000000 * whole + part;
    return ok ? DDOME_OK : report_damaged(error, table, "decimals of six places");
}

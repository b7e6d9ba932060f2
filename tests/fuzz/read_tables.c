/* SPDX-License-Identifier: MIT */
/* Tolerances of compare, tables of report. SPEC 17.2.1, 19.4.3. */
#include <inttypes.h>
#include <string.h>

#include "../../tools/compare_values.h"
#include "../../tools/report.h"
#include "fuzz.h"

/* The input as a text that may be cut up; NULL when there is a NUL in it. */
static char *text_of(fuzz_call *call, nn_arena *arena)
{
    char *text = nn_arena_alloc(arena, call->size + 1, 1);
    FUZZ_CHECK(text != NULL);
    if (call->size != 0)
        memcpy(text, call->bytes, call->size);
    text[call->size] = '\0';
    if (strlen(text) == call->size)
        return text;
    nn_fail(&call->error, DDOME_ERR_DATA, "a NUL");
    return NULL;
}

/* ---- tolerances: SPEC 19.4.3 ---- */

static void add_rule(fl_text *text, const compare_tolerance *item)
{
    FUZZ_CHECK(!item->rule.by_ulp || !item->rule.by_relative);
    FUZZ_CHECK(!item->rule.by_relative ||
               (item->rule.relative >= 0.0 && item->rule.relative <= 1e300));
    if (item->rule.by_ulp)
        fl_text_add(text, "%s ulp %" PRIu64 "\n", item->level, item->rule.ulp);
    else if (item->rule.by_relative)
        fl_text_add(text, "%s relative %.17g\n", item->level, item->rule.relative);
    else
        fl_text_add(text, "%s exact\n", item->level);
}

static bool same_rule(const compare_rule *a, const compare_rule *b)
{
    return a->by_ulp == b->by_ulp && a->by_relative == b->by_relative && a->ulp == b->ulp &&
           !(a->relative < b->relative) && !(a->relative > b->relative);
}

/* Written and read again: the same levels with the same rules. */
static void check_tolerances(const compare_tolerances *read)
{
    nn_arena arena = {0};
    compare_tolerances again;
    fl_text text = {.arena = &arena};
    fl_text_add(&text, "#\n");
    for (size_t i = 0; i < read->count; i++)
        add_rule(&text, &read->item[i]);
    FUZZ_CHECK(!text.failed);
    FUZZ_CHECK(compare_tolerances_parse(NULL, &arena, &again, text.data, "again") == DDOME_OK);
    FUZZ_CHECK(again.count == read->count && same_rule(&again.otherwise, &read->otherwise));
    for (size_t i = 0; i < read->count; i++) {
        const compare_rule rule = compare_rule_of(&again, read->item[i].level);
        FUZZ_CHECK(same_rule(&rule, &read->item[i].rule));
    }
    nn_arena_free(&arena);
}

ddome_status fuzz_tolerances(fuzz_call *call)
{
    nn_arena arena = {0};
    compare_tolerances read;
    const char *text = text_of(call, &arena);
    ddome_status status =
        text == NULL ? DDOME_ERR_DATA
                     : compare_tolerances_parse(&call->error, &call->arena, &read, text, "fuzz");
    if (status == DDOME_OK)
        check_tolerances(&read);
    nn_arena_free(&arena);
    return status;
}

/* ---- one table: SPEC 17.2.1 ---- */

ddome_status fuzz_table(fuzz_call *call)
{
    nn_arena arena = {0};
    report_table table;
    size_t column = 0;
    uint64_t number;
    bool more = true;
    char *text = text_of(call, &arena);
    ddome_status status = text == NULL
                              ? DDOME_ERR_DATA
                              : report_table_open(&call->error, &table, "run", "table.csv", text);
    if (status == DDOME_OK)
        status = report_table_find(&call->error, &column, &table, "x");
    while (status == DDOME_OK &&
           (status = report_table_next(&call->error, &table, &more)) == DDOME_OK && more) {
        FUZZ_CHECK(table.columns <= REPORT_COLUMNS && column < table.columns);
        if (strchr(table.field[column], '.') != NULL)
            status = report_table_micros(&call->error, &number, &table, column);
        else
            status = report_table_u64(&call->error, &number, &table, column);
        FUZZ_CHECK(number < UINT64_MAX / 2);
    }
    nn_arena_free(&arena);
    return status;
}

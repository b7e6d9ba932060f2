/* SPDX-License-Identifier: MIT */
/* Visits, answers and trained samples of a run, from its settings, partition and rounds.
 * SPEC 18.3.8, 18.3.9. */
#include <string.h>

#include "../fl/baselines.h"
#include "../fl/control.h"
#include "../fl/schedule.h"
#include "report_reader.h"

/* ---- what a visit trains ---- */

/* Keys that an older run has not are at their defaults (SPEC 16.1.6). */
ddome_status report_read_keys(ddome_error *error, report_reader *r)
{
    static const char *const names[] = {"algo",  "epochs", "batch",        "last_batch",
                                        "gate",  "order",  "order_rounds", "straggler_share",
                                        "rounds"};
    fl_config_defaults(&r->keys);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ddome_error own = {DDOME_OK, ""};
        const char *value = report_setting_of(r->run, names[i]);
        if (value != NULL && fl_config_set(&own, &r->keys, names[i], value) != DDOME_OK)
            return nn_fail(error, DDOME_ERR_DATA, "%.200s/config.toml: %.200s", r->run->path,
                           own.text);
    }
    return DDOME_OK;
}

/* ---- partition.csv ---- */

ddome_status report_read_sizes(ddome_error *error, report_reader *r)
{
    report_table table;
    size_t column;
    uint64_t client;
    bool more = true;
    ddome_status status = report_read_table(error, r, &table, "partition.csv");
    if (status == DDOME_OK)
        status = report_table_find(error, &column, &table, "client");
    if (status != DDOME_OK)
        return status;
    r->clients = report_count_lines(table.at); /* at most one a sample */
    r->size = nn_arena_zero(&r->t->arena, r->clients, sizeof *r->size);
    if (r->size == NULL)
        return nn_arena_fail(error, &r->t->arena, "sizes of clients");
    while (status == DDOME_OK && (status = report_table_next(error, &table, &more)) == DDOME_OK &&
           more) {
        status = report_table_u64(error, &client, &table, column);
        if (status == DDOME_OK && client >= r->clients)
            status = report_damaged(error, &table, "clients with samples");
        if (status == DDOME_OK)
            r->size[client]++;
    }
    return status;
}

/* ---- rounds.jsonl ---- */

/* The first of a list that only some runs have (SPEC 17.2.3), or NULL; false: it is no list. */
static bool first_of(const data_json_value **first, const data_json_value *round, const char *name)
{
    const data_json_value *list = data_json_member(round, name);
    *first = list != NULL && list->kind == DATA_JSON_ARRAY ? list->child : NULL;
    return list == NULL || list->kind == DATA_JSON_ARRAY;
}

/* Is it this client's turn in the list, which ascends as the participants do? What is no
 * participant's turn stays. */
static bool take(const data_json_value **at, uint64_t client)
{
    uint64_t listed;
    if (*at == NULL || !data_json_u64(&listed, *at) || listed != client)
        return false;
    *at = (*at)->next;
    return true;
}

/* Does the round leave its experts as they are (SPEC 11.8)? */
static bool holds_experts(const report_reader *r, uint64_t round)
{
    bool gate, experts;
    const fl_control control = {.config = &r->keys, .routes = fl_algorithm_of(&r->keys)->gate};
    fl_control_held(&control, (uint32_t)round, &gate, &experts);
    return experts;
}

/* One visit; experts: how many it trains. SPEC 18.3.9. */
static void count_visit(report_reader *r, uint64_t client, bool lost, bool slow, size_t experts)
{
    report_run *run = r->run;
    run->visits++;
    if (lost)
        return;
    const uint64_t samples = fl_schedule_samples(&r->keys, (size_t)r->size[client], slow);
    run->answers++;
    run->samples += samples;
    run->expert_samples += samples * experts;
}

/* Participants and their sets of one line; false when they are none. */
static bool count_round(report_reader *r, const data_json_value *round)
{
    const data_json_value *number = data_json_member(round, "round"),
                          *ids = data_json_member(round, "participants"),
                          *chosen = data_json_member(round, "chosen");
    const data_json_value *lost, *slow;
    uint64_t at, client, before = 0;
    if (number == NULL || !data_json_u64(&at, number) || ids == NULL || chosen == NULL ||
        ids->kind != DATA_JSON_ARRAY || chosen->kind != DATA_JSON_ARRAY ||
        ids->length != chosen->length || !first_of(&lost, round, "lost") ||
        !first_of(&slow, round, "slow"))
        return false;
    const bool held = holds_experts(r, at);
    const data_json_value *set = chosen->child;
    for (const data_json_value *id = ids->child; id != NULL; id = id->next, set = set->next) {
        if (!data_json_u64(&client, id) || client >= r->clients || r->size[client] == 0 ||
            set->kind != DATA_JSON_ARRAY || (id != ids->child && client <= before))
            return false;
        before = client;
        const bool is_lost = take(&lost, client), is_slow = take(&slow, client);
        count_visit(r, client, is_lost, is_slow, held ? 0 : set->length);
    }
    return lost == NULL && slow == NULL;
}

ddome_status report_read_rounds(ddome_error *error, report_reader *r)
{
    char *text;
    const data_json_value *round;
    ddome_status status = report_read_hashed(error, r, "rounds.jsonl", &text, &r->run->rounds);
    for (char *end; status == DDOME_OK && *text != '\0'; text = end + 1) {
        nn_arena_mark mark = nn_arena_get_mark(&r->t->arena);
        end = text + strcspn(text, "\n");
        status = data_json_parse(error, &r->t->arena, &round, text, (size_t)(end - text));
        if (status == DDOME_OK && (*end == '\0' || !count_round(r, round)))
            status =
                nn_fail(error, DDOME_ERR_DATA,
                        "%.200s/rounds.jsonl: expected lines with participants and chosen sets",
                        r->run->path);
        nn_arena_rewind(&r->t->arena, mark);
    }
    return status;
}

/* SPDX-License-Identifier: MIT */
/* The tables and rounds.jsonl of two runs, line by line. SPEC 17.2. */
#include <inttypes.h>
#include <string.h>

#include "../fl/files.h"
#include "compare_run.h"

/* ---- lines ---- */

/* The line at *at without its end, and *at behind it; NULL behind the last. Cuts the text up. */
static char *next_line(char **at)
{
    char *line = *at;
    if (*line == '\0')
        return NULL;
    *at += strcspn(line, "\n");
    if (**at == '\n')
        *(*at)++ = '\0';
    return line;
}

typedef struct line_pair {
    run_pair *pair;
    run_part *part;
    size_t number; /* of A's, from 1 */
    const char *header;
    run_stage stage;
} line_pair;

typedef ddome_status take_lines_fn(ddome_error *error, line_pair *at, char *a, char *b);

/* ---- kinds of clients ---- */

/* Bytes of the field at the beginning of the line. */
static size_t field(const char *line)
{
    return strcspn(line, ",");
}

static const char *next_field(const char *line)
{
    line += field(line);
    return *line == ',' ? line + 1 : line;
}

/* Is the word in a list ",WORD,WORD,"? */
static bool lists(const char *list, const char *word, size_t length)
{
    for (; list[0] != '\0' && list[1] != '\0'; list += 1 + field(list + 1))
        if (strncmp(list + 1, word, length) == 0 && list[1 + length] == ',')
            return true;
    return false;
}

/* The second fields of all lines but the first, once each, as such a list; NULL where the first
 * does not call them scope. */
static const char *scopes_of(tool *t, const char *text)
{
    fl_text list = {.arena = &t->arena};
    const char *name = next_field(text);
    if (field(name) != 5 || strncmp(name, "scope", 5) != 0)
        return NULL;
    fl_text_add(&list, ",");
    for (const char *line = strchr(text, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
        const size_t end = strcspn(line + 1, "\n");
        const char *scope = next_field(line + 1);
        const size_t length = nn_min(field(scope), (size_t)(line + 1 + end - scope));
        if (scope < line + 1 + end && !list.failed && !lists(list.data, scope, length))
            fl_text_add(&list, "%.*s,", (int)length, scope);
    }
    t->text.failed = t->text.failed || list.failed;
    return list.failed ? NULL : list.data;
}

/* One side of a pair of files. Of a table whose lines are of kinds of clients (SPEC 13.8) those
 * that the other side never has are its own. */
typedef struct line_side {
    char *at;
    size_t number, *own;
    const char *kinds; /* of the other side; NULL: all lines are for both */
} line_side;

static char *next_of(line_side *s)
{
    char *line = next_line(&s->at);
    s->number += line != NULL;
    while (line != NULL && s->kinds != NULL && s->number > 1 &&
           !lists(s->kinds, next_field(line), field(next_field(line)))) {
        (*s->own)++;
        line = next_line(&s->at);
        s->number += line != NULL;
    }
    return line;
}

/* Calls `take` for the first pair of lines that differs and counts all of them. */
static ddome_status walk(ddome_error *error, line_pair *at, char *a, char *b, take_lines_fn *take)
{
    const bool kinds = at->pair->kinds_differ;
    const char *of_a = kinds ? scopes_of(at->pair->call->t, a) : NULL;
    const char *of_b = kinds ? scopes_of(at->pair->call->t, b) : NULL;
    line_side one = {a, 0, &at->part->missing, of_a == NULL ? NULL : of_b};
    line_side other = {b, 0, &at->part->extra, of_b == NULL ? NULL : of_a};
    ddome_status status = DDOME_OK;
    char *x = next_of(&one), *y = next_of(&other);
    at->header = x;
    for (; status == DDOME_OK && x != NULL && y != NULL; x = next_of(&one), y = next_of(&other)) {
        at->number = one.number;
        at->part->units++;
        if (strcmp(x, y) != 0 && at->part->differing++ == 0)
            status = take(error, at, x, y);
    }
    for (; x != NULL; x = next_of(&one))
        at->part->missing++;
    for (; y != NULL; y = next_of(&other))
        at->part->extra++;
    return status;
}

static ddome_status walk_file(ddome_error *error, run_pair *pair, const char *file, run_stage stage,
                              take_lines_fn *take)
{
    char *a = NULL, *b = NULL;
    line_pair at = {pair, NULL, 0, NULL, stage};
    ddome_status status = run_open(error, pair, &at.part, file, "lines", &a, &b);
    if (status == DDOME_OK && at.part->in_a && at.part->in_b)
        status = walk(error, &at, a, b, take);
    return status;
}

/* ---- tables ---- */

static bool same_field(const char *a, const char *b)
{
    return field(a) == field(b) && strncmp(a, b, field(a)) == 0;
}

static ddome_status take_row(ddome_error *error, line_pair *at, char *a, char *b)
{
    (void)error;
    tool *t = at->pair->call->t;
    const char *x = a, *y = b, *name = at->header;
    size_t column = 1;
    while (same_field(x, y) && (*x != '\0' || *y != '\0')) {
        x = next_field(x);
        y = next_field(y);
        name = next_field(name);
        column++;
    }
    run_finding found = {at->stage, at->part->file, NULL,         NULL,
                         NULL,      COMPARE_NO_ULP, RUN_NO_PLACE, RUN_NO_PLACE};
    found.where = compare_format(t, "line %lu, column %lu (%.*s)", (unsigned long)at->number,
                                 (unsigned long)column, (int)field(name), name);
    const char *round = compare_format(t, "%.*s", (int)field(a), a);
    if (at->stage == RUN_RESULTS && round != NULL && !compare_parse_ulp(&found.round, round))
        found.round = RUN_NO_PLACE;
    found.a = compare_format(t, "%.*s", (int)field(x), x);
    found.b = compare_format(t, "%.*s", (int)field(y), y);
    run_found(at->pair, &found);
    return DDOME_OK;
}

ddome_status run_table(ddome_error *error, run_pair *pair, const char *file, run_stage stage)
{
    return walk_file(error, pair, file, stage, take_row);
}

/* ---- rounds.jsonl ---- */

static bool same_text(const char *a, size_t a_length, const char *b, size_t b_length)
{
    return a_length == b_length && memcmp(a, b, a_length) == 0;
}

static bool same_name(const data_json_value *a, const data_json_value *b)
{
    return same_text(a->name, a->name_length, b->name, b->name_length);
}

/* The member of that name, NULs in it and all; mostly it is at the same place. */
static const data_json_value *member_like(const data_json_value *object,
                                          const data_json_value *same_place,
                                          const data_json_value *member)
{
    const data_json_value *at = object->child;
    if (same_place != NULL && same_name(same_place, member))
        return same_place;
    while (at != NULL && !same_name(at, member))
        at = at->next;
    return at;
}

/* As deep as the reader of JSON goes, which is DATA_JSON_MAX_DEPTH. */
bool run_same_json(const data_json_value *a, const data_json_value *b)
{
    if (a == NULL || b == NULL || a->kind != b->kind)
        return a == b;
    if (a->kind == DATA_JSON_NULL || a->kind == DATA_JSON_BOOL)
        return a->kind == DATA_JSON_NULL || a->boolean == b->boolean;
    if (a->kind == DATA_JSON_NUMBER || a->kind == DATA_JSON_STRING)
        return same_text(a->text, a->length, b->text, b->length);
    const data_json_value *y = b->child;
    bool same = a->length == b->length;
    for (const data_json_value *x = a->child; same && x != NULL; x = x->next) {
        same = run_same_json(x, a->kind == DATA_JSON_OBJECT ? member_like(b, y, x) : y);
        y = y == NULL ? NULL : y->next;
    }
    return same;
}

static void add_json_text(fl_text *text, const data_json_value *value)
{
    const bool object = value->kind == DATA_JSON_OBJECT;
    if (value->kind == DATA_JSON_NULL || value->kind == DATA_JSON_BOOL) {
        fl_text_add(text, "%s",
                    value->kind == DATA_JSON_NULL ? "null"
                    : value->boolean              ? "true"
                                                  : "false");
        return;
    }
    if (value->kind == DATA_JSON_NUMBER || value->kind == DATA_JSON_STRING) {
        fl_text_add(text, "%s", value->text);
        return;
    }
    fl_text_add(text, object ? "{" : "[");
    for (const data_json_value *at = value->child; at != NULL; at = at->next) {
        fl_text_add(text, "%s", at == value->child ? "" : ",");
        if (object)
            fl_text_add(text, "%s:", at->name);
        add_json_text(text, at);
    }
    fl_text_add(text, object ? "}" : "]");
}

const char *run_json_text(tool *t, const data_json_value *value)
{
    fl_text text = {.arena = &t->arena};
    if (value == NULL)
        return "nothing";
    add_json_text(&text, value);
    t->text.failed = t->text.failed || text.failed;
    t->json.failed = t->json.failed || text.failed;
    return text.data == NULL ? "" : text.data;
}

static const data_json_value *element(const data_json_value *list, size_t index)
{
    const data_json_value *at = list == NULL ? NULL : list->child;
    for (; at != NULL && index != 0; index--)
        at = at->next;
    return at;
}

static const char *loss_text(tool *t, uint32_t bits)
{
    return compare_format(t, "%08" PRIx32 "  %.9g", bits, (double)nn_float_from_bits(bits));
}

/* Names whose it is: one participant a place in `chosen` and `loss`, one expert in `experts`. */
static void name_place(tool *t, run_finding *found, const data_json_value *round, const char *name,
                       size_t index, size_t number)
{
    const data_json_value *who = element(data_json_member(round, "participants"), index);
    const bool of_client = strcmp(name, "chosen") == 0 || strcmp(name, "loss") == 0;
    if (of_client && who != NULL && data_json_u64(&found->client, who))
        found->where = compare_format(t, "line %lu (round %" PRIu64 "), %s of client %" PRIu64,
                                      (unsigned long)number, found->round, name, found->client);
    else
        found->where =
            compare_format(t, "line %lu (round %" PRIu64 "), %s, place %lu", (unsigned long)number,
                           found->round, name, (unsigned long)index);
}

static void find_element(line_pair *at, run_finding *found, const data_json_value *round,
                         const data_json_value *a, const data_json_value *b)
{
    tool *t = at->pair->call->t;
    uint32_t x, y;
    size_t index = 0;
    const data_json_value *p = a, *q = b;
    if (a->kind == DATA_JSON_ARRAY && b != NULL && b->kind == DATA_JSON_ARRAY) {
        for (p = a->child, q = b->child; p != NULL && q != NULL && run_same_json(p, q); index++) {
            p = p->next;
            q = q->next;
        }
        name_place(t, found, round, a->name, index, at->number);
    } else
        found->where = compare_format(t, "line %lu (round %" PRIu64 "), %s",
                                      (unsigned long)at->number, found->round, a->name);
    found->a = run_json_text(t, p);
    found->b = run_json_text(t, q);
    if (strcmp(a->name, "loss") == 0 && compare_pattern(&x, p) && compare_pattern(&y, q)) {
        found->a = loss_text(t, x);
        found->b = loss_text(t, y);
        found->ulp = compare_ulp32(x, y);
    }
}

static ddome_status parse_round(ddome_error *error, line_pair *at, const data_json_value **out,
                                const char *side, const char *line)
{
    ddome_error inner = {DDOME_OK, ""};
    ddome_status status =
        data_json_parse(&inner, &at->pair->call->t->arena, out, line, strlen(line));
    if (status != DDOME_OK)
        return nn_fail(error, status, "%.200s/%s:%lu: %.200s", side, at->part->file,
                       (unsigned long)at->number, inner.text);
    if ((*out)->kind != DATA_JSON_OBJECT)
        return nn_fail(error, DDOME_ERR_DATA, "%.200s/%s:%lu: expected one object", side,
                       at->part->file, (unsigned long)at->number);
    return DDOME_OK;
}

static ddome_status take_round(ddome_error *error, line_pair *at, char *a, char *b)
{
    const data_json_value *x, *y, *member;
    run_finding found = {RUN_ROUND, at->part->file, NULL,       a,
                         b,         COMPARE_NO_ULP, at->number, RUN_NO_PLACE};
    ddome_status status = parse_round(error, at, &x, at->pair->call->a, a);
    if (status == DDOME_OK)
        status = parse_round(error, at, &y, at->pair->call->b, b);
    if (status != DDOME_OK)
        return status;
    const data_json_value *number = data_json_member(x, "round");
    if (number != NULL && !data_json_u64(&found.round, number))
        found.round = at->number;
    found.where = compare_format(at->pair->call->t, "line %lu", (unsigned long)at->number);
    for (member = x->child; member != NULL; member = member->next)
        if (!run_same_json(member, data_json_member(y, member->name)))
            break;
    if (member != NULL)
        find_element(at, &found, x, member, data_json_member(y, member->name));
    run_found(at->pair, &found);
    return DDOME_OK;
}

ddome_status run_rounds(ddome_error *error, run_pair *pair)
{
    ddome_status status = walk_file(error, pair, FL_FILE_ROUNDS, RUN_ROUND, take_round);
    if (status == DDOME_OK && pair->last->differing != 0)
        pair->later_rounds = pair->last->differing - 1;
    return status;
}

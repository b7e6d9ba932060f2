/* SPDX-License-Identifier: MIT */
/* partition.csv: its text, and a reader that takes back exactly that text. SPEC 8.7, 8.8. */
#include "partition_private.h"

#include <stdio.h>
#include <string.h>

#include "../nn/os.h"

static const char header[] = "index,client,role\n";

enum {
    HEADER_BYTES = sizeof header - 1,
    LINE_BYTES = 10 + 1 + 10 + 1 + 7 + 1, /* two 32-bit integers, the longest role, LF */
    ROLES = DATA_UNSEEN + 1
};

static const char *const role_name[ROLES] = {"anchor", "normal", "holdout", "unseen"};

const char *data_role_name(data_role role)
{
    return role_name[role];
}

static char *put_text(char *at, const char *text)
{
    size_t length = strlen(text);
    memcpy(at, text, length);
    return at + length;
}

static char *put_number(char *at, uint32_t value)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_client(char *at, const data_client *client)
{
    for (size_t i = 0; i < client->count; i++) {
        at = put_number(at, client->samples[i]);
        *at++ = ',';
        at = put_number(at, client->id);
        *at++ = ',';
        at = put_text(at, data_role_name(client->role));
        *at++ = '\n';
    }
    return at;
}

ddome_status data_partition_text(ddome_error *error, nn_arena *arena, char **text, size_t *length,
                                 const data_partition *partition)
{
    size_t clients = partition->training + partition->holdout + partition->unseen, lines = 0, bytes;
    for (size_t id = 0; id < clients; id++)
        lines += partition->clients[id].count;
    char *start = NULL;
    if (nn_size_mul(&bytes, lines, LINE_BYTES) && bytes <= SIZE_MAX - sizeof header)
        start = nn_arena_alloc(arena, bytes + sizeof header, 1);
    if (start == NULL)
        return nn_arena_fail(error, arena, "partition text");
    char *at = put_text(start, header);
    for (size_t id = 0; id < clients; id++)
        at = put_client(at, &partition->clients[id]);
    *at = '\0';
    *text = start;
    *length = (size_t)(at - start);
    return DDOME_OK;
}

typedef struct row {
    uint32_t sample, client, role;
} row;

typedef struct reader {
    data_division *division;
    const char *at, *end; /* *end is the NUL that nn_os_read_file appends */
    row *rows;
    size_t count;
} reader;

/* row_number counts from 0; line 1 of the file is the header. */
static ddome_status damaged(const reader *in, size_t row_number, const char *expected)
{
    return nn_fail(in->division->error, DDOME_ERR_DATA,
                   "%s line %lu: expected %s; write the file again with ddome partition write",
                   in->division->source->file, (unsigned long)row_number + 2, expected);
}

static bool take_text(reader *in, const char *text)
{
    size_t length = strlen(text);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, text, length) != 0)
        return false;
    in->at += length;
    return true;
}

/* Digits without a sign or a leading zero, below 2^32. */
static bool take_number(reader *in, uint32_t *value)
{
    const char *start = in->at;
    uint64_t number = 0;
    while (*in->at >= '0' && *in->at <= '9' && number <= UINT32_MAX)
        number = number * 10 + (uint64_t)(*in->at++ - '0');
    *value = (uint32_t)number;
    bool leading_zero = *start == '0' && in->at - start > 1;
    return in->at > start && !leading_zero && number <= UINT32_MAX;
}

static bool take_role(reader *in, uint32_t *role)
{
    for (*role = 0; *role < ROLES; ++*role)
        if (take_text(in, role_name[*role]))
            return true;
    return false;
}

static bool take_row(reader *in, row *out)
{
    return take_number(in, &out->sample) && take_text(in, ",") && take_number(in, &out->client) &&
           take_text(in, ",") && take_role(in, &out->role) && take_text(in, "\n");
}

/* Rows of one client follow each other; clients count up from 0; roles never go back. */
static bool follows(const row *now, const row *before)
{
    if (before == NULL)
        return now->client == 0;
    if (now->client == before->client)
        return now->role == before->role;
    return now->client == before->client + 1 && now->role >= before->role;
}

static ddome_status outside(const reader *in, size_t i, size_t split)
{
    char expected[96];
    snprintf(expected, sizeof expected,
             "a sample index inside the split, below %lu, found %lu; is the data the file's?",
             (unsigned long)split, (unsigned long)in->rows[i].sample);
    return damaged(in, i, expected);
}

static ddome_status check_row(const reader *in, size_t i)
{
    const row *now = &in->rows[i], *before = i == 0 ? NULL : now - 1;
    const data_set *set = in->division->set;
    size_t split = now->role == DATA_UNSEEN ? set->test.count : set->train.count;
    if (!follows(now, before))
        return damaged(in, i, "the same client, or the next one with the same or a later role");
    if (now->sample >= split)
        return outside(in, i, split);
    bool tests = now->role >= DATA_HOLDOUT;
    if (tests && before != NULL && before->client == now->client && before->sample >= now->sample)
        return damaged(in, i, "ascending samples in a holdout or unseen client");
    return DDOME_OK;
}

/* SPEC 8.7.1: nothing but what data_partition_text writes. */
static ddome_status read_rows(reader *in)
{
    size_t lines = 0;
    for (const char *at = in->at; at < in->end; at++)
        lines += *at == '\n';
    in->rows = nn_arena_alloc(in->division->arena, lines, sizeof *in->rows);
    if (in->rows == NULL)
        return data_division_no_memory(in->division);
    ddome_status status = DDOME_OK;
    /* A taken row ends in LF: count < lines. */
    for (in->count = 0; status == DDOME_OK && in->at < in->end; in->count++) {
        row taken;
        if (!take_row(in, &taken))
            return damaged(in, in->count, "index,client,role and a line feed");
        in->rows[in->count] = taken;
        status = check_row(in, in->count);
    }
    if (status == DDOME_OK && in->count == 0)
        status = damaged(in, 0, "at least one sample");
    return status;
}

static size_t run_length(const reader *in, size_t first)
{
    size_t end = first;
    while (end < in->count && in->rows[end].client == in->rows[first].client)
        end++;
    return end - first;
}

static void count_roles(const reader *in, size_t count[ROLES])
{
    for (size_t i = 0; i < in->count; i += run_length(in, i))
        count[in->rows[i].role]++;
}

/* The configured numbers must be the file's own (SPEC 8.7.2); clients = 0 takes what the file
 * has. */
static ddome_status set_counts(const reader *in)
{
    const data_partition_source *source = in->division->source;
    data_partition *out = &in->division->out;
    size_t has[ROLES] = {0};
    count_roles(in, has);
    out->anchors = has[DATA_ANCHOR];
    out->training = has[DATA_ANCHOR] + has[DATA_NORMAL];
    out->holdout = has[DATA_HOLDOUT];
    out->unseen = has[DATA_UNSEEN];
    if (out->training == 0)
        return damaged(in, 0, "a training client");
    if (source->clients == 0 ||
        (source->clients == out->training && source->anchors == out->anchors &&
         source->holdout == out->holdout && source->unseen == out->unseen))
        return DDOME_OK;
    return nn_fail(in->division->error, DDOME_ERR_USAGE,
                   "%s has clients = %lu, anchor_clients = %lu, holdout_clients = %lu, "
                   "unseen_clients = %lu; set these in the configuration",
                   source->file, (unsigned long)out->training, (unsigned long)out->anchors,
                   (unsigned long)out->holdout, (unsigned long)out->unseen);
}

static ddome_status enter_clients(const reader *in)
{
    for (size_t i = 0; i < in->count;) {
        const row *first = &in->rows[i];
        size_t length = run_length(in, i);
        uint32_t *samples =
            data_division_client(in->division, first->client, (data_role)first->role, length);
        if (samples == NULL)
            return data_division_no_memory(in->division);
        for (size_t k = 0; k < length; k++)
            samples[k] = first[k].sample;
        i += length;
    }
    return DDOME_OK;
}

/* The file wins over the drawn hold-out: what it trains on is pool, what it tunes on is held
 * (SPEC 8.7.3). */
static ddome_status move_border(const reader *in, uint8_t *mark)
{
    for (size_t i = 0; i < in->count; i++)
        if (in->rows[i].role < DATA_HOLDOUT)
            mark[in->rows[i].sample] = DATA_MARK_POOL;
    for (size_t i = 0; i < in->count; i++)
        if (in->rows[i].role == DATA_HOLDOUT)
            mark[in->rows[i].sample] = DATA_MARK_HELD;
    for (size_t i = 0; i < in->count; i++)
        if (in->rows[i].role < DATA_HOLDOUT && mark[in->rows[i].sample] != DATA_MARK_POOL)
            return damaged(in, i, "a sample that no holdout client has");
    ddome_status status = data_division_lists(in->division, mark);
    if (status == DDOME_OK && in->division->out.held_count == 0)
        status =
            nn_fail(in->division->error, DDOME_ERR_DATA,
                    "%s trains on every sample: leave some for tuning", in->division->source->file);
    return status;
}

ddome_status data_file_read(data_division *division, uint8_t *mark)
{
    unsigned char *bytes;
    size_t size;
    ddome_status status = nn_os_read_file(division->error, division->arena, &bytes, &size,
                                          division->source->file, DDOME_ERR_DATA);
    if (status != DDOME_OK)
        return status;
    reader in = {division, (const char *)bytes, (const char *)bytes + size, NULL, 0};
    if (size > HEADER_BYTES && memcmp(bytes, header, HEADER_BYTES - 1) == 0 &&
        bytes[HEADER_BYTES - 1] == '\r')
        return nn_fail(division->error, DDOME_ERR_DATA,
                       "%s line 1: expected lines that end in LF, found a carriage return; save it "
                       "with the line ends of Unix",
                       division->source->file);
    if (!take_text(&in, header))
        return nn_fail(division->error, DDOME_ERR_DATA,
                       "%s line 1: expected index,client,role; is this a partition.csv?",
                       division->source->file);
    status = read_rows(&in);
    if (status == DDOME_OK)
        status = set_counts(&in);
    if (status == DDOME_OK)
        status = data_division_clients(division);
    if (status == DDOME_OK)
        status = enter_clients(&in);
    return status == DDOME_OK ? move_border(&in, mark) : status;
}

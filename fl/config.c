/* SPDX-License-Identifier: MIT */
/* The configuration: lines of a file, single keys, the checks of all keys together, config.toml.
 * SPEC 16.1, 16.4. */
#include "config_table.h"

#include <stdio.h>
#include <string.h>

#include "../nn/os.h"
#include "baselines.h"

enum { PLACE = 300, SHOWN = 64 };

/* Where a value comes from: "FILE:LINE: ", or "" for the command line. */
typedef struct place {
    ddome_error *error;
    char at[PLACE];
} place;

/* As much of a text as one line of an error can show: control characters are replaced. */
typedef struct shown {
    char text[SHOWN];
} shown;

static shown show(const char *text)
{
    shown out;
    size_t i = 0;
    for (; text[i] != '\0' && i < SHOWN - 1; i++)
        out.text[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    out.text[i] = '\0';
    return out;
}

static ddome_status refuse(const place *from, const fl_key *key, const char *value,
                           fl_quotes quotes)
{
    char expected[FL_EXPECTED];
    fl_config probe;
    fl_key_expected(expected, key);
    if (quotes != FL_EITHER && fl_key_parse(&probe, key, value, FL_EITHER))
        return nn_fail(from->error, DDOME_ERR_USAGE, "%s%s: expected %s quotes, found %s%s%s",
                       from->at, key->name, quotes == FL_BARE ? "double" : "a value without",
                       quotes == FL_QUOTED ? "\"" : "", show(value).text,
                       quotes == FL_QUOTED ? "\"" : "");
    return nn_fail(from->error, DDOME_ERR_USAGE, "%s%s: expected %s, found \"%s\"", from->at,
                   key->name, expected, show(value).text);
}

static ddome_status unknown(const place *from, const char *name, const char *nearest)
{
    return nn_fail(from->error, DDOME_ERR_USAGE, "%sunknown key \"%s\"; the nearest is %s",
                   from->at, show(name).text, nearest);
}

void fl_config_defaults(fl_config *config)
{
    size_t count;
    const fl_key *keys = fl_config_keys(&count);
    memset(config, 0, sizeof *config);
    /* A choice without a default is its first word, which the zero already is. A row whose default
     * is no value of it is found by tests/t_config.c. */
    for (size_t i = 0; i < count; i++)
        if (keys[i].otherwise != NULL)
            (void)fl_key_parse(config, &keys[i], keys[i].otherwise, FL_EITHER);
}

/* ---- lines: SPEC 16.1 ---- */

typedef struct line {
    char *key, *value;
    fl_quotes quotes;
    const char *comment; /* what follows #, "" where there is none */
} line;

static char *skip_blanks(char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

static bool is_key_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* SPEC 16.1.3: undoes the escapes \" and \\ in place; at is behind the opening quote. NULL without
 * a closing one, else the place behind it. */
static char *unquote(char *at)
{
    char *out = at;
    for (; *at != '"'; at++) {
        if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
            at++;
        else if (*at == '\\' || (unsigned char)*at < ' ')
            return NULL;
        *out++ = *at;
    }
    *out = '\0';
    return at + 1;
}

/* Nothing but a comment follows; false when something else does. */
static bool cut_comment(line *out, const char *at)
{
    out->comment = *at == '#' ? at + 1 : at;
    return *at == '\0' || *at == '#';
}

/* Cuts `value # comment` in place. */
static bool cut_value(line *out, char *at)
{
    out->quotes = *at == '"' ? FL_QUOTED : FL_BARE;
    out->value = *at == '"' ? at + 1 : at;
    char *end = *at == '"' ? unquote(at + 1) : at + strcspn(at, " \t#\"");
    if (end == NULL || (out->quotes == FL_BARE && end == at) || !cut_comment(out, skip_blanks(end)))
        return false;
    if (out->quotes == FL_BARE)
        *end = '\0';
    return true;
}

/* Cuts `key = value # comment` in place; false when it is none (SPEC 16.1.2). */
static bool cut_line(line *out, char *at)
{
    char *end = at;
    out->key = at;
    while (is_key_letter(*end))
        end++;
    char *equals = skip_blanks(end);
    if (end == at || *equals != '=')
        return false;
    *end = '\0';
    return cut_value(out, skip_blanks(equals + 1));
}

/* A file being read; seen[i] is the line of key i, 0 before it (SPEC 16.1.5). */
typedef struct reader {
    const char *path;
    fl_config config;
    size_t number, seen[FL_MAX_KEYS];
    place from;
} reader;

static ddome_status enter(reader *in, const line *entry)
{
    size_t count;
    const char *nearest = "";
    const fl_key *keys = fl_config_keys(&count);
    const fl_key *key = fl_config_find(entry->key, &nearest);
    if (key == NULL)
        return unknown(&in->from, entry->key, nearest);
    size_t *seen = &in->seen[key - keys];
    if (*seen != 0)
        return nn_fail(in->from.error, DDOME_ERR_USAGE,
                       "%s%s: expected once, found in line %lu too", in->from.at, key->name,
                       (unsigned long)*seen);
    *seen = in->number;
    if (!fl_key_parse(&in->config, key, entry->value, entry->quotes))
        return refuse(&in->from, key, entry->value, entry->quotes);
    return DDOME_OK;
}

/* TOML forbids control characters other than tab there, too (SPEC 16.1.2). */
static ddome_status check_comment(const reader *in, const char *at)
{
    while (*at == '\t' || ((unsigned char)*at >= ' ' && *at != 0x7f))
        at++;
    if (*at == '\0')
        return DDOME_OK;
    return nn_fail(in->from.error, DDOME_ERR_USAGE,
                   "%sexpected a comment without control characters, found byte 0x%02x; delete it",
                   in->from.at, (unsigned)*at);
}

static ddome_status read_line(reader *in, char *text)
{
    line entry = {NULL, NULL, FL_BARE, ""};
    shown before = show(text);
    char *start = skip_blanks(text);
    snprintf(in->from.at, sizeof in->from.at, "%.200s:%lu: ", in->path, (unsigned long)in->number);
    if (cut_comment(&entry, start))
        return check_comment(in, entry.comment);
    if (!cut_line(&entry, start))
        return nn_fail(in->from.error, DDOME_ERR_USAGE,
                       "%sexpected key = value or key = \"text\", found: %s", in->from.at,
                       before.text);
    ddome_status status = check_comment(in, entry.comment);
    return status == DDOME_OK ? enter(in, &entry) : status;
}

/* Ends the line at `text` with a NUL in place of LF or CR LF; bytes[size] is a NUL already. */
static char *cut_end(char *text, char *end)
{
    char *feed = memchr(text, '\n', (size_t)(end - text));
    char *last = feed != NULL ? feed : end;
    *last = '\0';
    if (feed != NULL && last > text && last[-1] == '\r')
        last[-1] = '\0';
    return last;
}

static ddome_status read_lines(reader *in, char *bytes, size_t size)
{
    ddome_status status = DDOME_OK;
    if (memchr(bytes, '\0', size) != NULL)
        return nn_fail(in->from.error, DDOME_ERR_USAGE, "%s: expected text, found a NUL byte",
                       in->path);
    for (char *at = bytes; status == DDOME_OK && at < bytes + size;) {
        char *last = cut_end(at, bytes + size);
        in->number++;
        status = read_line(in, at);
        at = last + 1;
    }
    return status;
}

ddome_status fl_config_load(ddome_error *error, fl_config *config, const char *path)
{
    nn_arena arena = {0};
    unsigned char *bytes;
    size_t size;
    reader in = {path, *config, 0, {0}, {error, ""}};
    ddome_status status = nn_os_read_file(error, &arena, &bytes, &size, path, DDOME_ERR_USAGE);
    if (status == DDOME_OK)
        status = read_lines(&in, (char *)bytes, size);
    if (status == DDOME_OK)
        *config = in.config;
    nn_arena_free(&arena);
    return status;
}

ddome_status fl_config_set(ddome_error *error, fl_config *config, const char *key,
                           const char *value)
{
    place from = {error, ""};
    const char *nearest = "";
    const fl_key *found = fl_config_find(key, &nearest);
    if (found == NULL)
        return unknown(&from, key, nearest);
    char inner[FL_PATH + 2];
    const char *bare = value;
    size_t length = strlen(value);
    bool quoted = length >= 2 && length < sizeof inner && *value == '"' && value[length - 1] == '"';
    if (quoted) {
        memcpy(inner, value + 1, length - 2);
        inner[length - 2] = '\0';
        bare = inner;
    }
    if (!fl_key_parse(config, found, bare, FL_EITHER))
        return refuse(&from, found, value, FL_EITHER);
    return DDOME_OK;
}

/* ---- keys against keys: SPEC 16.4, 16.4.1 to 16.4.7 ---- */

typedef struct rule {
    bool broken;
    const char *what;  /* the keys as an expression */
    size_t value;      /* of that */
    const char *bound; /* the keys it is held against */
    size_t limit;      /* of that */
    const char *mend;
} rule;

static ddome_status apply(ddome_error *error, const rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rules[i].broken)
            return nn_fail(error, DDOME_ERR_USAGE, "%s = %lu: expected %s = %lu; %s", rules[i].what,
                           (unsigned long)rules[i].value, rules[i].bound,
                           (unsigned long)rules[i].limit, rules[i].mend);
    return DDOME_OK;
}

/* c->anchor_clients is resolved. SPEC 16.4.2. */
static ddome_status check_clients(ddome_error *error, const fl_config *c)
{
    bool tied = c->anchors == FL_ANCHORS_LABEL || c->anchors == FL_ANCHORS_WRONG;
    bool pinned = fl_algorithm_of(c)->pinned && tied && c->anchor_clients != 0;
    const rule rules[] = {
        {c->top_k > c->experts, "top_k", c->top_k, "at most experts", c->experts,
         "lower top_k or raise experts"},
        {c->anchor_clients > c->clients, "anchor_clients", c->anchor_clients, "at most clients",
         c->clients, "raise clients, or lower experts or anchor_clients"},
        {pinned && c->anchor_clients != c->experts, "anchor_clients", c->anchor_clients,
         "0 or experts", c->experts, "each expert has one anchor client (D1)"}};
    return apply(error, rules, sizeof rules / sizeof *rules);
}

/* uniform draws active_anchors + active_normal out of all clients, so only the sum is bounded
 * (D21). SPEC 11.7.4, 16.4.3. */
static ddome_status check_participants(ddome_error *error, const fl_config *c)
{
    bool cluster = c->anchors == FL_ANCHORS_CLUSTER; /* M anchors, whatever the partition has */
    size_t anchors = cluster ? nn_min(c->experts, c->clients) : c->anchor_clients;
    size_t active = c->active_anchors + c->active_normal, normal = c->clients - anchors;
    bool strata = c->sampling == FL_SAMPLING_STRATA;
    const rule rules[] = {
        {active == 0, "active_anchors + active_normal", 0, "at least", 1, "raise one of them"},
        {strata && c->active_anchors > anchors, "active_anchors", c->active_anchors,
         cluster ? "at most experts" : "at most anchor_clients", anchors, "lower active_anchors"},
        {strata && c->active_normal > normal, "active_normal", c->active_normal,
         cluster ? "at most clients - experts" : "at most clients - anchor_clients", normal,
         "lower active_normal or raise clients"},
        {active > c->clients, "active_anchors + active_normal", active, "at most clients",
         c->clients, "lower them or raise clients"}};
    return apply(error, rules, sizeof rules / sizeof *rules);
}

/* Every stage has width * 1, 2, 4 or 8 channels in max(1, channels / gn_channels) groups (D20). */
static bool groups_divide(const fl_config *c)
{
    for (size_t channels = c->width; channels <= 8 * c->width; channels *= 2)
        if (channels % nn_max(1, channels / c->gn_channels) != 0)
            return false;
    return true;
}

bool fl_config_evaluates(const fl_config *config, int scope)
{
    return config->eval_scope == scope || (config->eval_also >> scope & 1) != 0;
}

/* The same clients twice would be a mistake, too (SPEC 16.4.6). */
static ddome_status check_scopes(ddome_error *error, const fl_config *c)
{
    const char *scope = fl_config_find("eval_scope", NULL)->choice[c->eval_scope];
    if ((c->eval_also >> c->eval_scope & 1) == 0)
        return DDOME_OK;
    return nn_fail(
        error, DDOME_ERR_USAGE,
        "eval_also names %s: expected clients other than those of eval_scope = %s; leave "
        "them out",
        scope, scope);
}

static ddome_status check_model(ddome_error *error, const fl_config *c)
{
    size_t classes = c->synth_domains * c->synth_shapes;
    bool grouped = c->arch == FL_ARCH_RESNET34 && c->norm == FL_NORM_GROUP;
    bool unseen = fl_config_evaluates(c, FL_SCOPE_UNSEEN);
    bool holdout = fl_config_evaluates(c, FL_SCOPE_HOLDOUT);
    const rule rules[] = {
        {c->data == FL_DATA_SYNTH && classes > 255, "synth_domains * synth_shapes", classes,
         "at most", 255, "lower one of them"},
        {grouped && !groups_divide(c), "gn_channels", c->gn_channels,
         "groups of equal size at width", c->width, "choose a gn_channels that divides width"},
        {unseen && c->unseen_clients == 0, "unseen_clients", 0, "at least", 1,
         "or choose another eval_scope or eval_also"},
        {holdout && c->holdout_clients == 0, "holdout_clients", 0, "at least", 1,
         "or choose another eval_scope or eval_also"}};
    return apply(error, rules, sizeof rules / sizeof *rules);
}

/* A path that nothing reads would be a silent mistake (SPEC 16.4.7). */
static ddome_status check_paths(ddome_error *error, const fl_config *c)
{
    bool file = c->partition == DATA_PARTITION_FILE;
    if (file && c->partition_file[0] == '\0')
        return nn_fail(
            error, DDOME_ERR_USAGE,
            "partition = file: expected partition_file, found none; name a partition.csv");
    if (!file && c->partition_file[0] != '\0')
        return nn_fail(
            error, DDOME_ERR_USAGE,
            "partition_file = \"%.100s\": expected partition = file; set it or drop the path",
            c->partition_file);
    if (c->init == FL_INIT_FILE && c->init_file[0] == '\0')
        return nn_fail(error, DDOME_ERR_USAGE,
                       "init = file: expected init_file, found none; name a safetensors file");
    if (c->init != FL_INIT_FILE && c->init_file[0] != '\0')
        return nn_fail(error, DDOME_ERR_USAGE,
                       "init_file = \"%.100s\": expected init = file; set it or drop the path",
                       c->init_file);
    if (c->data == FL_DATA_SYNTH && c->exclude[0] != '\0')
        return nn_fail(error, DDOME_ERR_USAGE,
                       "exclude = \"%.100s\": expected data = cifar10, cifar100, mnist or emnist; "
                       "generated data has nothing to exclude",
                       c->exclude);
    return DDOME_OK;
}

ddome_status fl_config_check(ddome_error *error, fl_config *config)
{
    fl_config resolved = *config;
    if (resolved.anchor_clients == FL_AUTO)
        resolved.anchor_clients = resolved.experts;
    ddome_status status = check_clients(error, &resolved);
    if (status == DDOME_OK)
        status = check_participants(error, &resolved);
    if (status == DDOME_OK)
        status = check_model(error, &resolved);
    if (status == DDOME_OK)
        status = check_scopes(error, &resolved);
    if (status == DDOME_OK)
        status = check_paths(error, &resolved);
    if (status == DDOME_OK)
        status = fl_algorithm_check(error, &resolved);
    if (status == DDOME_OK)
        status = fl_config_check_controls(error, &resolved);
    if (status == DDOME_OK)
        *config = resolved;
    return status;
}

/* Is the key's value the default's, by their texts? */
static bool at_default(fl_text *text, const fl_key *key, const fl_config *config)
{
    fl_config defaults;
    fl_text now = {.arena = text->arena}, then = {.arena = text->arena};
    fl_config_defaults(&defaults);
    fl_key_write(&now, key, config, NULL);
    fl_key_write(&then, key, &defaults, NULL);
    text->failed = text->failed || now.failed || then.failed;
    return !text->failed && strcmp(now.data, then.data) == 0;
}

void fl_config_write(fl_text *text, const fl_config *config, const fl_config_hashes *hashes)
{
    size_t count;
    const fl_key *keys = fl_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (hashes != NULL && !keys[i].bits)
            continue;
        if (hashes != NULL && fl_key_implied(&keys[i]) && at_default(text, &keys[i], config))
            continue;
        fl_text_add(text, "%s = ", keys[i].name);
        fl_key_write(text, &keys[i], config, hashes);
        fl_text_add(text, "\n");
    }
}

data_partition_source fl_config_partition(const fl_config *config)
{
    bool file = config->partition == DATA_PARTITION_FILE;
    data_partition_source source = {
        .kind = (data_partition_kind)config->partition,
        .clients = config->clients,
        .anchors = config->anchor_clients,
        .unseen = config->unseen_clients,
        .holdout = config->holdout_clients,
        .labels_per_client = config->labels_per_client,
        .label_group = config->label_group,
        .anchor_labels = config->anchor_labels,
        .samples_per_client = config->samples_per_client,
        .unseen_samples = config->unseen_samples,
        .alpha = config->alpha.value,
        .dialect = (data_dirichlet_dialect)config->dialect,
        .min_size = config->min_size,
        .max_draws = config->max_draws,
        .shards_per_client = config->shards_per_client,
        .beta = config->beta.value,
        .file = file ? config->partition_file : NULL,
        .seed = config->seed,
    };
    return source;
}

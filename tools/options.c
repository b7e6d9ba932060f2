/* SPDX-License-Identifier: MIT */
/* The arguments: a command of one or two words, GNU long options, words. SPEC 18.3.1. */
#include <stdio.h>
#include <string.h>

#include "tool.h"

typedef struct option {
    const char *name;
    unsigned bit; /* what the command must take; 0: every command does */
    bool value;
    const char *key; /* --NAME VALUE stands for KEY=VALUE */
} option;

static const option options[] = {
    {"out", TOOL_OUT, true, NULL},
    {"force", TOOL_FORCE, false, NULL},
    {"resume", TOOL_RESUME, false, NULL},
    {"rounds", TOOL_VERIFY, true, NULL},
    {"round", TOOL_VERIFY, true, NULL},
    {"seed", TOOL_KEYS, true, "seed"},
    {"algo", TOOL_KEYS, true, "algo"},
    {"seeds", TOOL_SEEDS, true, NULL},
    {"threads", TOOL_THREADS, true, NULL},
    {"trace", TOOL_TRACE, true, NULL},
    {"trace-tensors", TOOL_TRACE, true, NULL},
    {"trace-rounds", TOOL_TRACE, true, NULL},
    {"quiet", TOOL_QUIET, false, NULL},
    {"json", 0, false, NULL},
    {"explain", TOOL_COMPARE, false, NULL},
    {"ulp", TOOL_COMPARE, true, NULL},
    {"relative", TOOL_COMPARE, true, NULL},
    {"tolerances", TOOL_COMPARE, true, NULL},
    {"text", TOOL_REPORT, false, NULL},
    {"csv", TOOL_REPORT, false, NULL},
    {"markdown", TOOL_REPORT, false, NULL},
    {"html", TOOL_REPORT, true, NULL},
    {"help", 0, false, NULL},
};

enum { OPTIONS = sizeof options / sizeof *options };

/* ---- the command ---- */

const char *tool_nearest_command(const char *word, const char *group)
{
    size_t count;
    const tool_command *commands = tool_commands(&count);
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name = group == NULL ? commands[i].name : commands[i].sub;
        if (group != NULL && (name == NULL || strcmp(group, commands[i].name) != 0))
            continue;
        if (best == NULL || fl_text_distance(word, name) < fl_text_distance(word, best))
            best = name;
    }
    return best;
}

/* The first command with this name and, unless sub is NULL, this second word. */
static const tool_command *find_command(const char *name, const char *sub)
{
    size_t count;
    const tool_command *commands = tool_commands(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, commands[i].name) == 0 &&
            (sub == NULL || (commands[i].sub != NULL && strcmp(sub, commands[i].sub) == 0)))
            return &commands[i];
    return NULL;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Takes the second word of a command that has one; "ddome data --help" is about all of them. */
static ddome_status take_sub(ddome_error *error, tool *t, int argc, char **argv, int *next)
{
    const char *name = t->command->name;
    if (*next < argc && is_help(argv[*next])) {
        t->help = true;
        return DDOME_OK;
    }
    if (*next >= argc || argv[*next][0] == '-')
        return nn_fail(error, DDOME_ERR_USAGE,
                       "%s: expected a second word, such as %s; see ddome %s "
                       "--help",
                       name, t->command->sub, name);
    const tool_command *found = find_command(name, argv[*next]);
    if (found == NULL)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "unknown command \"%s %.60s\"; the nearest is %s %s; see ddome %s --help",
                       name, argv[*next], name, tool_nearest_command(argv[*next], name), name);
    t->command = found;
    ++*next;
    return DDOME_OK;
}

static ddome_status take_command(ddome_error *error, tool *t, int argc, char **argv, int *next)
{
    if (argc < 2)
        return nn_fail(error, DDOME_ERR_USAGE, "expected a command; see ddome --help");
    const char *word = argv[1];
    *next = 2;
    if (is_help(word))
        word = "help";
    if (strcmp(word, "--version") == 0)
        word = "version";
    t->command = find_command(word, NULL);
    if (t->command == NULL)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "unknown command \"%.60s\"; the nearest is %s; see ddome --help", word,
                       tool_nearest_command(word, NULL));
    return t->command->sub != NULL ? take_sub(error, t, argc, argv, next) : DDOME_OK;
}

/* ---- options ---- */

/* --NAME or --NAME=VALUE; NULL, with *nearest set, when there is no such option. */
static const option *find_option(const char *word, const char **nearest)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const option *best = options;
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(name, options[i].name) == 0)
            return &options[i];
        if (fl_text_distance(name, options[i].name) < fl_text_distance(name, best->name))
            best = &options[i];
    }
    *nearest = best->name;
    return NULL;
}

static void enter_trace(tool *t, const char *name, const char *value)
{
    if (strcmp(name, "trace") == 0)
        t->trace = value;
    else if (strcmp(name, "trace-tensors") == 0)
        t->trace_tensors = value;
    else
        t->trace_rounds = value;
}

static void enter_compare(tool *t, const char *name, const char *value)
{
    if (strcmp(name, "ulp") == 0)
        t->ulp = value;
    else if (strcmp(name, "relative") == 0)
        t->relative = value;
    else if (strcmp(name, "tolerances") == 0)
        t->tolerances = value;
    else
        t->explain = true;
}

/* value NULL: the form has no file of its own. */
static ddome_status enter_report(ddome_error *error, tool *t, const char *name, const char *value)
{
    if (t->form != NULL && strcmp(t->form, name) != 0)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "expected one form of the table, found --%s and --%s", t->form, name);
    t->form = name;
    t->html = value != NULL ? value : t->html;
    return DDOME_OK;
}

/* Enters an option whose value, if it takes one, stands in value. */
static ddome_status enter(ddome_error *error, tool *t, const option *found, const char *value)
{
    if (found->key != NULL) {
        fl_text word = {.arena = &t->arena};
        fl_text_add(&word, "%s=%s", found->key, value);
        t->words[t->word_count++] = word.data;
        return fl_text_status(error, &word);
    }
    if (found->bit == TOOL_OUT)
        t->out = value;
    else if (found->bit == TOOL_SEEDS)
        t->seeds = value;
    else if (found->bit == TOOL_THREADS)
        t->threads = value;
    else if (found->bit == TOOL_TRACE)
        enter_trace(t, found->name, value);
    else if (found->bit == TOOL_VERIFY && strcmp(found->name, "round") == 0)
        t->round = value;
    else if (found->bit == TOOL_VERIFY)
        t->rounds = value;
    else if (found->bit == TOOL_COMPARE)
        enter_compare(t, found->name, value);
    else if (found->bit == TOOL_REPORT)
        return enter_report(error, t, found->name, value);
    t->force = t->force || found->bit == TOOL_FORCE;
    t->resume = t->resume || found->bit == TOOL_RESUME;
    t->quiet = t->quiet || found->bit == TOOL_QUIET;
    t->as_json = t->as_json || strcmp(found->name, "json") == 0;
    t->help = t->help || strcmp(found->name, "help") == 0;
    return DDOME_OK;
}

/* argv[*next] begins with "-"; moves *next behind the option and its value. */
static ddome_status take_option(ddome_error *error, tool *t, int argc, char **argv, int *next)
{
    const char *word = argv[(*next)++], *nearest = "help";
    if (strcmp(word, "-h") == 0)
        word = "--help";
    const option *found = strncmp(word, "--", 2) == 0 ? find_option(word, &nearest) : NULL;
    if (found == NULL)
        return nn_fail(error, DDOME_ERR_USAGE, "unknown option %.60s; the nearest is --%s", word,
                       nearest);
    if ((found->bit & ~t->command->options) != 0)
        return nn_fail(error, DDOME_ERR_USAGE, "%s takes no --%s; see ddome %s --help",
                       t->command->name, found->name, t->command->name);
    const char *equals = strchr(word, '=');
    if (!found->value && equals != NULL)
        return nn_fail(error, DDOME_ERR_USAGE, "--%s takes no value, found %.60s", found->name,
                       word);
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (found->value && value == NULL)
        value = *next < argc ? argv[(*next)++] : "";
    if (found->value && value[0] == '\0')
        return nn_fail(error, DDOME_ERR_USAGE, "--%s needs a value", found->name);
    return enter(error, t, found, value);
}

static ddome_status take_rest(ddome_error *error, tool *t, int argc, char **argv, int next)
{
    ddome_status status = DDOME_OK;
    bool only_words = false;
    while (status == DDOME_OK && next < argc) {
        const char *word = argv[next];
        if (only_words || word[0] != '-' || word[1] == '\0') {
            t->words[t->word_count++] = word;
            next++;
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
            next++;
        } else
            status = take_option(error, t, argc, argv, &next);
    }
    return status;
}

static ddome_status check_count(ddome_error *error, const tool *t)
{
    const tool_command *command = t->command;
    if (t->word_count >= command->least && t->word_count <= command->most)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_USAGE, "%s arguments; usage: %s",
                   t->word_count < command->least ? "too few" : "too many", command->usage);
}

ddome_status tool_parse(ddome_error *error, tool *t, int argc, char **argv)
{
    int next = 0;
    t->words = nn_arena_zero(&t->arena, (size_t)argc + 1, sizeof *t->words);
    if (t->words == NULL)
        return nn_arena_fail(error, &t->arena, "arguments");
    ddome_status status = take_command(error, t, argc, argv, &next);
    if (status == DDOME_OK)
        status = take_rest(error, t, argc, argv, next);
    if (status == DDOME_OK && !t->help)
        status = check_count(error, t);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* The commands that train and evaluate, the resolved configuration, the plan, the
 * self-test. SPEC 18.3. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../fl/config.h"
#include "../nn/os.h"
#include "../fl/run.h"
#include "tool.h"

static ddome_status need_out(ddome_error *error, const tool *t)
{
    if (t->out != NULL)
        return DDOME_OK;
    return nn_fail(error, DDOME_ERR_USAGE, "%s needs --out DIR", t->command->name);
}

/* Members without braces; the summary of one run. */
static void add_summary_json(tool *t, const ddome_summary *s, const char *dir)
{
    tool_json_string(t, "out", dir);
    tool_json_u64(t, "rounds", s->rounds);
    tool_json_u64(t, "clients", s->clients);
    tool_json_fixed6(t, "accuracy_mean", s->mean_accuracy);
    tool_json_fixed6(t, "accuracy_worst", s->worst_accuracy);
    tool_json_u64(t, "bytes_down", s->bytes_down);
    tool_json_u64(t, "bytes_up", s->bytes_up);
    tool_json_string(t, "root_hash", s->root_hash);
}

static void add_accuracy(tool *t, const ddome_summary *s)
{
    fl_text_add(&t->text, "accuracy   mean ");
    fl_text_fixed6(&t->text, s->mean_accuracy);
    fl_text_add(&t->text, ", worst client ");
    fl_text_fixed6(&t->text, s->worst_accuracy);
    fl_text_add(&t->text, " (%lu clients)\n", (unsigned long)s->clients);
}

static void add_ending(tool *t, const ddome_summary *s, const char *dir)
{
    fl_text_add(&t->text, "root hash  %s\nrun        %s\n", s->root_hash, dir);
}

static void add_traffic(tool *t, const ddome_summary *s)
{
    fl_text_add(&t->text, "moved      ");
    tool_megabytes(&t->text, s->bytes_down);
    fl_text_add(&t->text, " down, ");
    tool_megabytes(&t->text, s->bytes_up);
    fl_text_add(&t->text, " up in %lu rounds\n", (unsigned long)s->rounds);
}

static ddome_status train_into(ddome_error *error, tool *t, ddome_summary *summary,
                               const ddome_config *config, const char *dir, const char *label)
{
    tool_progress state;
    ddome_progress progress = tool_progress_begin(&state, t, label);
    memset(summary, 0, sizeof *summary);
    ddome_status status = t->resume ? ddome_resume(error, summary, config, dir, &progress)
                                    : ddome_train(error, summary, config, dir, &progress, t->force);
    tool_progress_end(&state);
    if (status != DDOME_OK)
        return status;
    add_accuracy(t, summary);
    add_traffic(t, summary);
    add_ending(t, summary, dir);
    return DDOME_OK;
}

ddome_status tool_train_once(ddome_error *error, tool *t, const ddome_config *config)
{
    ddome_summary summary;
    ddome_status status = train_into(error, t, &summary, config, t->out, "");
    if (status == DDOME_OK)
        add_summary_json(t, &summary, t->out);
    return status;
}

/* ---- --seeds ---- */

typedef struct spread {
    size_t count;
    double sum, squares; /* of the mean accuracies */
} spread;

static ddome_status train_seed(ddome_error *error, tool *t, ddome_config *config, const char *seed,
                               spread *all)
{
    ddome_summary summary;
    fl_text dir = {.arena = &t->arena}, label = {.arena = &t->arena};
    fl_text_add(&dir, "%s/seed-%s", t->out, seed);
    fl_text_add(&label, "seed %s: ", seed);
    if (dir.failed || label.failed)
        return nn_arena_fail(error, &t->arena, "seeds");
    fl_text_add(&t->text, "%sseed       %s\n", all->count == 0 ? "" : "\n", seed);
    ddome_status status = ddome_config_set(error, config, "seed", seed);
    if (status == DDOME_OK)
        status = train_into(error, t, &summary, config, dir.data, label.data);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->json, "%s{\"seed\": %s", all->count == 0 ? "" : ", ", seed);
    add_summary_json(t, &summary, dir.data);
    fl_text_add(&t->json, "}");
    all->count++;
    all->sum += summary.mean_accuracy;
    all->squares += summary.mean_accuracy * summary.mean_accuracy;
    return DDOME_OK;
}

/* The population's deviation (D25); rounding may leave a tiny negative variance. */
static void add_spread(tool *t, const spread *all)
{
    double mean = all->sum / (double)all->count;
    double variance = all->squares / (double)all->count - mean * mean;
    double deviation = variance > 0.0 ? sqrt(variance) : 0.0;
    fl_text_add(&t->text, "\n%lu seeds    mean ", (unsigned long)all->count);
    fl_text_fixed6(&t->text, mean);
    fl_text_add(&t->text, ", standard deviation ");
    fl_text_fixed6(&t->text, deviation);
    fl_text_add(&t->text, "\n");
    fl_text_add(&t->json, "]");
    tool_json_fixed6(t, "mean", mean);
    tool_json_fixed6(t, "std", deviation);
}

/* The seed behind one of the list, whose commas have become NULs; one more NUL ends it. */
static const char *next_seed(const char *seed)
{
    return seed + strlen(seed) + 1;
}

static ddome_status split_seeds(ddome_error *error, tool *t, const char **list)
{
    char *copy = nn_arena_zero(&t->arena, strlen(t->seeds) + 2, 1);
    if (copy == NULL)
        return nn_arena_fail(error, &t->arena, "seeds");
    for (size_t i = 0; t->seeds[i] != '\0'; i++)
        copy[i] = (char)(t->seeds[i] == ',' ? '\0' : t->seeds[i]);
    *list = copy;
    return DDOME_OK;
}

/* Every seed is tried on the configuration before the first one costs time. */
static ddome_status check_seeds(ddome_error *error, ddome_config *config, const char *list)
{
    ddome_status status = DDOME_OK;
    for (const char *seed = list; status == DDOME_OK && *seed != '\0'; seed = next_seed(seed)) {
        status = ddome_config_set(error, config, "seed", seed);
        for (const char *before = list; before < seed; before = next_seed(before))
            if (strcmp(before, seed) == 0)
                status = nn_fail(error, DDOME_ERR_USAGE,
                                 "--seeds: expected each seed once, found "
                                 "%s twice",
                                 seed);
    }
    return status;
}

/* An empty item would end the list before its time. */
static bool has_empty_item(const char *seeds)
{
    size_t length = strlen(seeds);
    return seeds[0] == ',' || seeds[length - 1] == ',' || strstr(seeds, ",,") != NULL;
}

/* A configuration that would be refused makes no folder. */
static ddome_status check_config(ddome_error *error, const ddome_config *config, bool several)
{
    char *text = NULL;
    ddome_status status = ddome_config_text(error, &text, config);
    ddome_text_free(text);
    if (status == DDOME_OK && several && fl_config_of(config)->common[0] != '\0')
        status =
            nn_fail(error, DDOME_ERR_USAGE,
                    "--seeds: a common expert belongs to one seed (its pool is drawn from it); "
                    "leave common out, so that each seed pretrains its own");
    return status;
}

/* Which seed it was; what goes on with a stopped one alone leaves the others (SPEC 18.3.3). */
static ddome_status name_seed(ddome_error *error, const char *seed)
{
    const ddome_error own = *error;
    nn_error_clear(error); /* the first line would stay */
    if (own.status == DDOME_STOPPED)
        return nn_fail(error, own.status,
                       "seed %s: %.380s; with all seeds: this call again with --resume", seed,
                       own.text);
    return nn_fail(error, own.status, "seed %s: %.480s", seed, own.text);
}

/* The first run that fails ends the call (SPEC 18.3.3). */
static ddome_status train_seeds(ddome_error *error, tool *t, ddome_config *config)
{
    spread all = {0, 0.0, 0.0};
    const char *list = "";
    if (has_empty_item(t->seeds))
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--seeds: expected numbers such as 1,2,3, found %.60s", t->seeds);
    ddome_status status = split_seeds(error, t, &list);
    if (status == DDOME_OK)
        status = check_seeds(error, config, list);
    if (status == DDOME_OK)
        status = check_config(error, config, *next_seed(list) != '\0');
    if (status == DDOME_OK)
        status = nn_os_make_dir(error, t->out);
    fl_text_add(&t->json, ", \"runs\": [");
    for (const char *seed = list; status == DDOME_OK && *seed != '\0'; seed = next_seed(seed)) {
        status = train_seed(error, t, config, seed, &all);
        if (status != DDOME_OK)
            status = name_seed(error, seed);
    }
    if (status == DDOME_OK)
        add_spread(t, &all);
    return status;
}

ddome_status tool_train(ddome_error *error, tool *t)
{
    ddome_config *config = NULL;
    ddome_status status = need_out(error, t);
    tool_catch_signals();
    if (status == DDOME_OK && t->force && t->resume)
        status = nn_fail(error, DDOME_ERR_USAGE,
                         "expected --force, to replace a run, or --resume, to go on with it; found "
                         "both");
    if (status == DDOME_OK)
        status = tool_new_config(error, &config, t, 0);
    if (status == DDOME_OK)
        status =
            t->seeds != NULL ? train_seeds(error, t, config) : tool_train_once(error, t, config);
    ddome_config_free(config);
    return status;
}

/* ---- the other commands ---- */

ddome_status tool_pretrain(ddome_error *error, tool *t)
{
    ddome_config *config = NULL;
    ddome_summary summary;
    tool_progress state;
    ddome_progress progress = tool_progress_begin(&state, t, "");
    memset(&summary, 0, sizeof summary);
    ddome_status status = need_out(error, t);
    if (status == DDOME_OK)
        status = tool_new_config(error, &config, t, 0);
    if (status == DDOME_OK)
        tool_catch_signals();
    if (status == DDOME_OK)
        status = ddome_pretrain(error, &summary, config, t->out, &progress, t->force);
    tool_progress_end(&state);
    ddome_config_free(config);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->text, "accuracy   ");
    fl_text_fixed6(&t->text, summary.mean_accuracy);
    fl_text_add(&t->text, " on the held-out part\n");
    add_ending(t, &summary, t->out);
    tool_json_string(t, "out", t->out);
    tool_json_fixed6(t, "accuracy", summary.mean_accuracy);
    tool_json_string(t, "root_hash", summary.root_hash);
    return DDOME_OK;
}

/* Indices of partition.csv count records that are left, so another exclusion would be another run
 * (SPEC 18.3.2). */
static ddome_status check_exclude(ddome_error *error, const tool *t, const char *config_path)
{
    fl_config config;
    fl_config_defaults(&config);
    ddome_status status = fl_config_load(error, &config, config_path);
    if (status != DDOME_OK || strncmp(config.exclude, "sha256:", 7) != 0)
        return status;
    for (size_t i = 1; i < t->word_count; i++)
        if (strncmp(t->words[i], "exclude=", 8) == 0)
            return DDOME_OK;
    return nn_fail(error, DDOME_ERR_USAGE,
                   "the run left records out; name the same list by exclude=FILE (%s)",
                   config.exclude);
}

/* The words become RUN/config.toml and the settings over it. */
static ddome_status eval_words(ddome_error *error, tool *t, const char **run)
{
    fl_text path = {.arena = &t->arena};
    fl_text_add(&path, "%s/config.toml", t->words[0]);
    ddome_status status = fl_text_status(error, &path);
    for (size_t i = 1; status == DDOME_OK && i < t->word_count; i++)
        if (!tool_is_setting(t->words[i]))
            status = nn_fail(error, DDOME_ERR_USAGE,
                             "eval takes one run and key=value words, found %.80s", t->words[i]);
    if (status == DDOME_OK && !nn_os_exists(path.data))
        status =
            nn_fail(error, DDOME_ERR_DATA, "%.300s is missing: expected a finished run in %.100s",
                    path.data, t->words[0]);
    if (status == DDOME_OK)
        status = check_exclude(error, t, path.data);
    *run = t->words[0];
    t->words[0] = path.data;
    return status;
}

ddome_status tool_eval(ddome_error *error, tool *t)
{
    ddome_config *config = NULL;
    ddome_summary summary;
    const char *run;
    char *report = NULL;
    tool_progress state;
    ddome_progress progress = tool_progress_begin(&state, t, "");
    memset(&summary, 0, sizeof summary);
    ddome_status status = eval_words(error, t, &run);
    if (status == DDOME_OK)
        status = tool_new_config(error, &config, t, 0);
    if (status == DDOME_OK)
        status = ddome_eval(error, &summary, &report, config, run, &progress);
    tool_progress_end(&state);
    ddome_config_free(config);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->text, "%s", report);
    add_accuracy(t, &summary);
    tool_json_u64(t, "clients", summary.clients);
    tool_json_fixed6(t, "accuracy_mean", summary.mean_accuracy);
    tool_json_fixed6(t, "accuracy_worst", summary.worst_accuracy);
    tool_json_string(t, "clients_csv", report);
    ddome_text_free(report);
    return DDOME_OK;
}

ddome_status tool_config(ddome_error *error, tool *t)
{
    ddome_config *config = NULL;
    char *text = NULL;
    ddome_status status = tool_new_config(error, &config, t, 0);
    if (status == DDOME_OK)
        status = ddome_config_text(error, &text, config);
    ddome_config_free(config);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->text, "%s", text);
    tool_json_string(t, "config", text);
    ddome_text_free(text);
    return DDOME_OK;
}

/* "name: value" lines as members; a value of digits is a number. Cuts the text up. */
static void add_members(tool *t, char *text)
{
    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        char *value = strstr(text, ": ");
        *end = '\0';
        *value = '\0';
        value += 2;
        if (value[strspn(value, "0123456789")] == '\0')
            fl_text_add(&t->json, ", \"%s\": %s", text, value);
        else
            tool_json_string(t, text, value);
    }
}

ddome_status tool_plan(ddome_error *error, tool *t)
{
    ddome_config *config = NULL;
    char *text = NULL;
    ddome_status status = tool_new_config(error, &config, t, 0);
    if (status == DDOME_OK)
        status = ddome_plan(error, &text, config);
    ddome_config_free(config);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->text, "%s", text);
    add_members(t, text);
    ddome_text_free(text);
    return DDOME_OK;
}

ddome_status tool_selftest(ddome_error *error, tool *t)
{
    const nn_kernels *kernels;
    ddome_status status = ddome_selftest(error);
    if (status == DDOME_OK) /* those of a run, by their name */
        status = fl_run_selftest(error, &kernels);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&t->text, "selftest ok\nkernels  %s\n", kernels->name);
    tool_json_string(t, "kernels", kernels->name);
    return DDOME_OK;
}

/* SPDX-License-Identifier: MIT */
/* Going on with a run that was broken off, and checking one that is finished. SPEC 18.3.11,
 * 18.3.12. */
#include <stdlib.h>
#include <string.h>

#include "../fl/run.h"
#include "../nn/os.h"
#include "tool.h"

/* t->words[0], the run, becomes its configuration: `file` in it. */
static ddome_status take_run(ddome_error *error, tool *t, const char **run, const char *file)
{
    fl_text path = {.arena = &t->arena};
    *run = t->words[0];
    fl_text_add(&path, "%s/%s", *run, file);
    for (size_t i = 1; i < t->word_count; i++)
        if (!tool_is_setting(t->words[i]))
            return nn_fail(error, DDOME_ERR_USAGE,
                           "%s takes one run and key=value words, found %.80s", t->command->name,
                           t->words[i]);
    t->words[0] = path.data;
    return fl_text_status(error, &path);
}

ddome_status tool_resume(ddome_error *error, tool *t)
{
    ddome_config *config = NULL;
    const char *run = "";
    ddome_status status = take_run(error, t, &run, "ckpt/run.toml");
    if (status == DDOME_OK && !nn_os_exists(t->words[0]))
        status = nn_fail(error, DDOME_ERR_DATA,
                         "%.300s is missing: expected a run that was broken off in %.100s",
                         t->words[0], run);
    if (status == DDOME_OK)
        status = tool_new_config(error, &config, t, 0);
    t->out = run;
    t->resume = true;
    tool_catch_signals();
    if (status == DDOME_OK)
        status = tool_train_once(error, t, config);
    ddome_config_free(config);
    return status;
}

/* ---- verify ---- */

/* 9 digits fit any long; 0 is no number of rounds. */
static bool read_number(const char *word, uint64_t *number)
{
    const size_t length = strlen(word);
    *number = length > 0 && length <= 9 && strspn(word, "0123456789") == length
                  ? strtoul(word, NULL, 10)
                  : 0;
    return *number != 0;
}

/* --rounds R is 1 to R, --rounds all 1 to the last, --round N N alone; neither is none. */
static ddome_status read_rounds(ddome_error *error, const tool *t, const ddome_config *config,
                                uint64_t *first, uint64_t *last)
{
    *first = 1;
    *last = 0;
    if (t->rounds != NULL && t->round != NULL)
        return nn_fail(error, DDOME_ERR_USAGE, "expected --rounds or --round, found both");
    if (t->rounds != NULL && strcmp(t->rounds, "all") == 0) {
        *last = nn_max(fl_rounds_of(config), 1);
        return DDOME_OK;
    }
    if (t->rounds != NULL && !read_number(t->rounds, last))
        return nn_fail(error, DDOME_ERR_USAGE,
                       "--rounds: expected a whole number or all, found %.60s", t->rounds);
    if (t->round != NULL && !read_number(t->round, first))
        return nn_fail(error, DDOME_ERR_USAGE, "--round: expected a whole number, found %.60s",
                       t->round);
    if (t->round != NULL)
        *last = *first;
    return DDOME_OK;
}

static void add_findings(tool *t, const ddome_summary *summary, const char *run, uint64_t first,
                         uint64_t last)
{
    fl_text_add(&t->text, "files      as SHA256SUMS says\n");
    if (last == 0)
        fl_text_add(&t->text, "rounds     not done again: --rounds R, --rounds all or --round N\n");
    else
        fl_text_add(&t->text, "rounds     %llu to %llu done again: the same bytes\n",
                    (unsigned long long)first, (unsigned long long)last);
    fl_text_add(&t->text, "root hash  %s\nrun        %s\n", summary->root_hash, run);
    tool_json_string(t, "run", run);
    tool_json_u64(t, "first_round", last == 0 ? 0 : first);
    tool_json_u64(t, "last_round", last);
    tool_json_string(t, "root_hash", summary->root_hash);
}

/* A copy of the hashed files alone has no run.toml; what its config.toml has hashes of must then
 * be given. */
ddome_status tool_verify(ddome_error *error, tool *t)
{
    ddome_config *config = NULL;
    ddome_summary summary;
    uint64_t first, last;
    const char *run = "", *whole = t->words[0];
    tool_progress state;
    ddome_progress progress = tool_progress_begin(&state, t, "");
    progress.stop = NULL;
    ddome_status status = take_run(error, t, &run, "ckpt/run.toml");
    if (status == DDOME_OK && !nn_os_exists(t->words[0])) {
        t->words[0] = whole;
        status = take_run(error, t, &run, "config.toml");
    }
    if (status == DDOME_OK && !nn_os_exists(t->words[0]))
        status = nn_fail(error, DDOME_ERR_DATA,
                         "%.300s is missing: expected a finished run in %.100s", t->words[0], run);
    if (status == DDOME_OK)
        status = tool_new_config(error, &config, t, 0);
    if (status == DDOME_OK)
        status = read_rounds(error, t, config, &first, &last);
    if (status == DDOME_OK)
        status = ddome_verify(error, &summary, config, run, &progress, first, last);
    tool_progress_end(&state);
    ddome_config_free(config);
    if (status == DDOME_OK)
        add_findings(t, &summary, run, first, last);
    return status;
}

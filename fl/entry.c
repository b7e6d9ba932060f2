/* SPDX-License-Identifier: MIT */
/* The public functions that are not the algorithm: configuration, texts about data and partition,
 * evaluation of a finished run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nn/os.h"
#include "../nn/selftest.h"
#include "checkpoint.h"
#include "files.h"
#include "origin.h"
#include "plan.h"

struct ddome_config {
    fl_config keys;
    size_t threads;
    fl_trace_wish trace;
};

const fl_config *fl_config_of(const ddome_config *config)
{
    return &config->keys;
}

size_t fl_threads_of(const ddome_config *config)
{
    return config->threads;
}

size_t fl_rounds_of(const ddome_config *config)
{
    return fl_algorithm_of(&config->keys)->rounds ? config->keys.rounds : 0;
}

const fl_trace_wish *fl_trace_wish_of(const ddome_config *config)
{
    return &config->trace;
}

/* ---- configuration ---- */

ddome_status ddome_config_new(ddome_error *error, ddome_config **config)
{
    nn_error_clear(error);
    ddome_config *made = malloc(sizeof *made);
    if (made == NULL)
        return nn_fail(error, DDOME_ERR_MEMORY, "out of memory: a configuration");
    fl_config_defaults(&made->keys);
    made->threads = 1;
    made->trace = (fl_trace_wish){.path = ""};
    *config = made;
    return DDOME_OK;
}

ddome_status ddome_config_load(ddome_error *error, ddome_config *config, const char *path)
{
    nn_error_clear(error);
    return fl_config_load(error, &config->keys, path);
}

ddome_status ddome_config_set(ddome_error *error, ddome_config *config, const char *key,
                              const char *value)
{
    nn_error_clear(error);
    return fl_config_set(error, &config->keys, key, value);
}

/* A trace has one order of its lines. */
static ddome_status refuse_threads(ddome_error *error, size_t threads)
{
    return nn_fail(error, DDOME_ERR_USAGE,
                   "a trace is written by one thread: expected 1, found %lu; leave out --threads",
                   (unsigned long)threads);
}

/* SPEC 18.3.4. */
ddome_status ddome_config_set_threads(ddome_error *error, ddome_config *config, size_t threads)
{
    nn_error_clear(error);
    if (threads < 1 || threads > NN_TEAM_MAX)
        return nn_fail(error, DDOME_ERR_USAGE, "threads: expected a whole number 1..%d, found %lu",
                       NN_TEAM_MAX, (unsigned long)threads);
    if (threads > 1 && config->trace.path[0] != '\0')
        return refuse_threads(error, threads);
    config->threads = threads;
    return DDOME_OK;
}

static ddome_status copy_path(ddome_error *error, char to[FL_PATH], const char *text,
                              const char *what)
{
    if (strlen(text) >= FL_PATH)
        return nn_fail(error, DDOME_ERR_USAGE, "%s: expected at most %d bytes, found %lu", what,
                       FL_PATH - 1, (unsigned long)strlen(text));
    strcpy(to, text);
    return DDOME_OK;
}

ddome_status ddome_config_set_trace(ddome_error *error, ddome_config *config, const char *path,
                                    const char *tensors, uint64_t first_round, uint64_t last_round)
{
    fl_trace_wish wish = {.first = first_round, .last = last_round};
    nn_error_clear(error);
    if (first_round > last_round)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "trace: expected rounds A-B with A at most B, found %llu-%llu",
                       (unsigned long long)first_round, (unsigned long long)last_round);
    ddome_status status = DDOME_OK;
    if (path != NULL)
        status = copy_path(error, wish.path, path, "path of a trace");
    if (status == DDOME_OK && tensors != NULL)
        status = copy_path(error, wish.tensors, tensors, "patterns of a trace");
    if (status == DDOME_OK && wish.path[0] != '\0' && config->threads > 1)
        status = refuse_threads(error, config->threads);
    if (status == DDOME_OK)
        config->trace = wish;
    return status;
}

void ddome_config_free(ddome_config *config)
{
    free(config);
}

ddome_status ddome_selftest(ddome_error *error)
{
    const nn_kernels *chosen, *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    nn_error_clear(error);
    ddome_status status = fl_run_selftest(error, &chosen);
    for (size_t i = 0; i < count && status == DDOME_OK; i++)
        status = nn_selftest_kernels(error, list[i]);
    return status;
}

/* ---- texts handed to the caller ---- */

static ddome_status hand_over(ddome_error *error, char **out, const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy == NULL)
        return nn_fail(error, DDOME_ERR_MEMORY, "out of memory: a text of %lu bytes",
                       (unsigned long)length);
    memcpy(copy, text, length);
    copy[length] = '\0';
    *out = copy;
    return DDOME_OK;
}

static ddome_status hand_over_text(ddome_error *error, char **out, const fl_text *text)
{
    ddome_status status = fl_text_status(error, text);
    return status == DDOME_OK ? hand_over(error, out, text->data, text->length) : status;
}

void ddome_text_free(char *text)
{
    free(text);
}

ddome_status ddome_config_text(ddome_error *error, char **text, const ddome_config *config)
{
    nn_arena arena = {0};
    fl_config keys = config->keys;
    fl_text out = {.arena = &arena};
    nn_error_clear(error);
    ddome_status status = fl_config_check(error, &keys);
    if (status == DDOME_OK) {
        fl_config_write(&out, &keys, NULL);
        status = hand_over_text(error, text, &out);
    }
    nn_arena_free(&arena);
    return status;
}

ddome_status ddome_partition(ddome_error *error, char **text, const ddome_config *config)
{
    nn_arena arena = {0};
    fl_config keys = config->keys;
    fl_task task;
    char *csv = NULL;
    size_t length = 0;
    nn_error_clear(error);
    ddome_status status = fl_config_check(error, &keys);
    if (status == DDOME_OK)
        status = nn_selftest(error);
    if (status == DDOME_OK)
        status = fl_task_load(error, &arena, &task, &keys);
    if (status == DDOME_OK)
        status = data_partition_text(error, &arena, &csv, &length, &task.partition);
    if (status == DDOME_OK)
        status = hand_over(error, text, csv, length);
    nn_arena_free(&arena);
    return status;
}

static void describe_split(fl_text *text, const char *name, const data_split *split, size_t classes)
{
    uint64_t count[DATA_LABELS] = {0};
    for (size_t i = 0; i < split->count; i++)
        count[split->labels[i]]++;
    fl_text_add(text, "%s: %lu records, SHA-256 ", name, (unsigned long)split->count);
    fl_text_digest(text, &split->hash);
    fl_text_add(text, "\n%s: records per label", name);
    for (size_t label = 0; label < classes; label++)
        fl_text_add(text, " %llu", (unsigned long long)count[label]);
    fl_text_add(text, "\n");
}

ddome_status ddome_data_info(ddome_error *error, char **text, const ddome_config *config)
{
    nn_arena arena = {0};
    fl_text out = {.arena = &arena};
    data_set set;
    nn_error_clear(error);
    ddome_status status = nn_selftest(error);
    if (status == DDOME_OK)
        status = fl_task_load_data(error, &arena, &set, &config->keys);
    if (status == DDOME_OK) {
        fl_text_add(&out, "%s: %lu x %lu x %lu, %lu classes\n", set.name, (unsigned long)set.h,
                    (unsigned long)set.w, (unsigned long)set.c, (unsigned long)set.classes);
        describe_split(&out, "train", &set.train, set.classes);
        describe_split(&out, "test", &set.test, set.classes);
        status = hand_over_text(error, text, &out);
    }
    nn_arena_free(&arena);
    return status;
}

ddome_status ddome_plan(ddome_error *error, char **text, const ddome_config *config)
{
    fl_run run;
    fl_plan plan;
    nn_error_clear(error);
    ddome_status status = fl_run_init(error, &run, &config->keys, config->threads, NULL);
    if (status == DDOME_OK)
        status = fl_plan_make(&plan, &run);
    if (status == DDOME_OK) {
        fl_text out = {.arena = &run.arena};
        fl_plan_write(&out, &plan);
        status = hand_over_text(error, text, &out);
    }
    fl_run_free(&run);
    return status;
}

/* ---- evaluation of a finished run ---- */

/* DIR/NAME as a path of the configuration. */
static ddome_status set_path(ddome_error *error, char out[FL_PATH], const char *dir,
                             const char *name)
{
    const int length = snprintf(out, FL_PATH, "%s/%s", dir, name);
    if ((size_t)length >= FL_PATH) /* -1 is, too */
        return nn_fail(error, DDOME_ERR_USAGE, "the path of the run is too long: at most %d bytes",
                       FL_PATH - 32);
    return DDOME_OK;
}

/* A start from a file is not needed where all models are there; a client's may still be that start
 * (SPEC 12.6.6), and RUN/config.toml has its hash alone. */
static ddome_status drop_start(ddome_error *error, fl_config *keys, const char *run_dir)
{
    if (keys->init != FL_INIT_FILE)
        return DDOME_OK;
    if (!fl_algorithm_of(keys)->own) {
        keys->init = FL_INIT_RANDOM;
        keys->init_file[0] = '\0';
    } else if (strncmp(keys->init_file, "sha256:", 7) == 0)
        return nn_fail(error, DDOME_ERR_USAGE,
                       "clients of %.200s that took part in no round have the model of a file: "
                       "expected init_file=FILE, the one that its config.toml names by its hash",
                       run_dir);
    return DDOME_OK;
}

/* The run's own partition and common expert; a folder without SHA256SUMS holds no finished run
 * (SPEC 18.3.2). */
static ddome_status point_into(ddome_error *error, fl_config *keys, const char *run_dir)
{
    char sums[FL_PATH];
    keys->partition = DATA_PARTITION_FILE;
    keys->eval_also = 0;
    ddome_status status = drop_start(error, keys, run_dir);
    if (status == DDOME_OK)
        status = set_path(error, sums, run_dir, "SHA256SUMS");
    if (status == DDOME_OK && !nn_os_exists(sums))
        status = nn_fail(error, DDOME_ERR_DATA, "%.300s is missing: expected a finished run there",
                         sums);
    if (status == DDOME_OK)
        status = set_path(error, keys->partition_file, run_dir, FL_FILE_PARTITION);
    if (status == DDOME_OK)
        status = set_path(error, keys->common, run_dir, FL_FILE_COMMON);
    return status;
}

static ddome_status load_slot(fl_run *run, fl_slot *slot, const char *run_dir, const char *name)
{
    char path[FL_PATH + FL_FILE_NAME];
    snprintf(path, sizeof path, "%s/%s", run_dir, name);
    return fl_checkpoint_load(run->error, &run->scratch, slot->values, &slot->batches, slot->model,
                              path);
}

static ddome_status load_own_model(fl_run *run, uint32_t client, const char *run_dir)
{
    char name[FL_FILE_NAME], path[FL_PATH + FL_FILE_NAME];
    uint64_t batches;
    const nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    float *values = nn_arena_alloc(&run->scratch, run->expert.layout.total, sizeof *values);
    if (values == NULL)
        return nn_arena_fail(run->error, &run->scratch, "a client's model");
    snprintf(path, sizeof path, "%s/%s", run_dir, fl_file_client(name, client));
    ddome_status status =
        fl_checkpoint_load(run->error, &run->scratch, values, &batches, &run->expert, path);
    if (status == DDOME_OK)
        status = fl_server_keep_model(run->error, &run->server, client, values, batches);
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

/* Who took part follows from the seed, so a file that an older run left is not taken for this one's
 * (SPEC 12.6.6). */
static ddome_status load_own_models(fl_run *run, const char *run_dir)
{
    ddome_status status = DDOME_OK;
    for (uint32_t round = 1; round <= fl_run_rounds(run) && status == DDOME_OK; round++) {
        status = fl_run_participants(run, round);
        for (size_t i = 0; i < run->active && status == DDOME_OK; i++)
            if (!fl_store_has(&run->server.models, run->participants[i]))
                status = load_own_model(run, run->participants[i], run_dir);
    }
    return status;
}

/* The file that clients without a model still start from must be that of the run: its hash stands
 * in the resolved configuration (SPEC 16.1.6). */
static ddome_status check_start(fl_run *run, const char *run_dir)
{
    char path[FL_PATH + FL_FILE_NAME], line[NN_HEX_BYTES + 32];
    unsigned char *text;
    size_t size;
    if (run->config.init != FL_INIT_FILE)
        return DDOME_OK;
    const nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    snprintf(path, sizeof path, "%s/" FL_FILE_CONFIG, run_dir);
    snprintf(line, sizeof line, "\ninit_file = \"sha256:%s\"\n", run->hashes.init_file);
    ddome_status status =
        nn_os_read_file(run->error, &run->scratch, &text, &size, path, DDOME_ERR_DATA);
    if (status == DDOME_OK && strstr((const char *)text, line) == NULL)
        status = nn_fail(run->error, DDOME_ERR_VERIFY,
                         "init_file=%.200s is not the file that %.200s names by its hash; give the "
                         "one the run started from",
                         run->config.init_file, path);
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

static ddome_status load_models(fl_run *run, const char *run_dir)
{
    char name[FL_FILE_NAME];
    ddome_status status = DDOME_OK;
    run->server.round = (uint32_t)fl_run_rounds(run);
    if (run->server.own != NULL)
        return load_own_models(run, run_dir);
    if (run->server.gate.model != NULL)
        status = load_slot(run, &run->server.gate, run_dir, FL_FILE_GATE);
    for (size_t i = 0; i < run->server.experts && status == DDOME_OK; i++)
        status = load_slot(run, &run->server.expert[i], run_dir, fl_file_expert(name, i));
    return status;
}

static ddome_status report_clients(fl_run *run, ddome_summary *summary, char **report)
{
    fl_evaluation evaluation;
    fl_metrics metrics;
    fl_text text = {.arena = &run->arena};
    ddome_status status =
        fl_evaluate(run->error, &run->arena, &run->crew, &evaluation, run->evaluator, &run->server);
    if (status == DDOME_OK)
        status = fl_metrics_of(run->error, &run->scratch, &metrics, &evaluation);
    if (status != DDOME_OK)
        return status;
    fl_text_add(&text, "%s", fl_record_clients_header);
    const size_t rounds = fl_run_rounds(run);
    fl_record_clients(&text, (uint32_t)rounds, &evaluation, run->evaluator);
    status = hand_over_text(run->error, report, &text);
    if (status != DDOME_OK)
        return status;
    memset(summary, 0, sizeof *summary);
    summary->rounds = rounds;
    summary->clients = evaluation.clients;
    summary->mean_accuracy = metrics.mean;
    summary->worst_accuracy = metrics.min;
    return DDOME_OK;
}

ddome_status ddome_eval(ddome_error *error, ddome_summary *summary, char **report,
                        const ddome_config *config, const char *run_dir,
                        const ddome_progress *progress)
{
    fl_run run;
    fl_config keys = config->keys;
    memset(&run, 0, sizeof run);
    nn_error_clear(error);
    ddome_status status = point_into(error, &keys, run_dir);
    if (status == DDOME_OK)
        status = fl_run_init(error, &run, &keys, config->threads, progress);
    if (status == DDOME_OK)
        status = fl_origin_check_run(error, &run.scratch, run_dir, &run.config, &run.task);
    if (status == DDOME_OK)
        status = check_start(&run, run_dir);
    if (status == DDOME_OK)
        status = fl_run_set_up(&run);
    if (status == DDOME_OK)
        status = load_models(&run, run_dir);
    if (status == DDOME_OK)
        status = report_clients(&run, summary, report);
    fl_run_free(&run);
    return status;
}

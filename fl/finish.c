/* SPDX-License-Identifier: MIT */
/* The end of a run: final models, resolved configuration, manifest, hashes. SPEC 17, 17.1.1. */
#include "run.h"

#include <assert.h>
#include <string.h>

#include "../nn/os.h"
#include "checkpoint.h"
#include "files.h"

/* ---- files ---- */

static ddome_status write_text(fl_run *run, const char *name, const fl_text *text)
{
    ddome_status status = fl_text_status(run->error, text);
    return status == DDOME_OK
               ? fl_rundir_write(run->error, &run->dir, name, text->data, text->length)
               : status;
}

static ddome_status write_model(fl_run *run, const char *name, const fl_model *model,
                                const float *values, uint64_t batches)
{
    unsigned char *bytes;
    size_t size;
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    ddome_status status =
        fl_checkpoint_format(run->error, &run->scratch, &bytes, &size, model, values, batches);
    if (status == DDOME_OK)
        status = fl_rundir_write(run->error, &run->dir, name, bytes, size);
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

/* Of the clients that have one (SPEC 12.6.6). */
static ddome_status write_own_models(fl_run *run)
{
    char name[FL_FILE_NAME];
    ddome_status status = DDOME_OK;
    for (size_t i = 0; i < run->config.clients && status == DDOME_OK; i++) {
        const nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
        const float *values;
        if (!fl_store_has(&run->server.models, i))
            continue;
        status = fl_server_values(run->error, &run->scratch, &values, &run->server, (uint32_t)i, 0);
        if (status == DDOME_OK)
            status = write_model(run, fl_file_client(name, i), &run->expert, values,
                                 run->server.own[i].batches);
        nn_arena_rewind(&run->scratch, mark);
    }
    return status;
}

static ddome_status write_models(fl_run *run)
{
    const fl_server *server = &run->server;
    char name[FL_FILE_NAME];
    ddome_status status = DDOME_OK;
    if (run->common.values != NULL)
        status = write_model(run, FL_FILE_COMMON, &run->common_model, run->common.values,
                             run->common.batches);
    if (status == DDOME_OK && server->gate.model != NULL)
        status = write_model(run, FL_FILE_GATE, &run->gate, server->gate.values, 0);
    if (server->own != NULL)
        return status == DDOME_OK ? write_own_models(run) : status;
    for (size_t i = 0; i < server->experts && status == DDOME_OK; i++) {
        status = write_model(run, fl_file_expert(name, i), &run->expert, server->expert[i].values,
                             server->expert[i].batches);
    }
    return status;
}

static ddome_status write_partition(fl_run *run, nn_digest *hash)
{
    char *text;
    size_t length;
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    ddome_status status =
        data_partition_text(run->error, &run->scratch, &text, &length, &run->task.partition);
    if (status == DDOME_OK) {
        *hash = nn_sha256_of(text, length);
        status = fl_rundir_write(run->error, &run->dir, FL_FILE_PARTITION, text, length);
    }
    nn_arena_rewind(&run->scratch, mark);
    return status;
}

/* ---- configuration ---- */

/* SPEC 16.1.6: with hashes in place of paths. */
static ddome_status write_config(fl_run *run)
{
    fl_text text = {.arena = &run->arena};
    fl_config_write(&text, &run->config, &run->hashes);
    return write_text(run, FL_FILE_CONFIG, &text);
}

/* ---- manifest ---- */

static void add_digest(fl_text *text, const char *name, const nn_digest *digest)
{
    fl_text_add(text, ",\n  \"%s\": \"", name);
    fl_text_digest(text, digest);
    fl_text_add(text, "\"");
}

static void add_decimal(fl_text *text, const char *name, double value)
{
    fl_text_add(text, ",\n  \"%s\": \"", name);
    fl_text_fixed6(text, value);
    fl_text_add(text, "\"");
}

static void add_data(fl_text *text, const fl_run *run, const nn_digest *partition)
{
    const data_set *set = &run->task.set;
    fl_text_add(text, ",\n  \"data\": \"%s\",\n  \"train_records\": %lu,\n  \"test_records\": %lu",
                set->name, (unsigned long)set->train.count, (unsigned long)set->test.count);
    add_digest(text, "train_sha256", &set->train.hash);
    add_digest(text, "test_sha256", &set->test.hash);
    const nn_digest pool = data_partition_pool_hash(&run->task.partition);
    add_digest(text, "pool_sha256", &pool);
    if (partition != NULL)
        add_digest(text, "partition_sha256", partition);
    fl_text_add(text, ",\n  \"dirichlet_draws\": %lu,\n  \"dirichlet_repaired\": %s",
                (unsigned long)run->task.partition.draws,
                run->task.partition.repaired ? "true" : "false");
}

static void add_common(fl_text *text, const fl_run *run)
{
    const fl_common *common = &run->common;
    if (common->values == NULL)
        return;
    const nn_digest hash = nn_layout_hash(&run->common_model.layout, common->values);
    add_digest(text, "common_sha256", &hash);
    fl_text_add(text,
                ",\n  \"common_epochs\": %lu,\n  \"common_holdout_correct\": %lu,\n  "
                "\"common_holdout_total\": %lu",
                (unsigned long)common->epochs, (unsigned long)common->correct,
                (unsigned long)common->total);
}

static void add_models(fl_text *text, const fl_run *run)
{
    fl_text_add(text,
                ",\n  \"experts\": %lu,\n  \"expert_parameters\": %lu,\n  \"expert_bytes\": %llu",
                (unsigned long)run->server.experts, (unsigned long)run->expert.layout.trained,
                (unsigned long long)nn_layout_bytes(&run->expert.layout));
    fl_text_add(text, ",\n  \"gate_parameters\": %lu,\n  \"gate_bytes\": %llu",
                (unsigned long)run->gate.layout.trained,
                (unsigned long long)nn_layout_bytes(&run->gate.layout));
}

/* What the reader of a table must know of the controls (SPEC 17.2.4). */
static void add_controls(fl_text *text, const fl_run *run)
{
    const fl_control *control = &run->control;
    const fl_config *config = &run->config;
    const bool by_loss = config->algo == FL_ALGO_IFCA && config->ifca_test == FL_IFCA_ORACLE;
    if (control->oracle != NULL || by_loss)
        fl_text_add(text, ",\n  \"uses_labels\": true");
    if (!control->cluster)
        return;
    fl_text_add(text, ",\n  \"cluster_anchors\": \"");
    for (size_t q = 0; q < control->anchors; q++)
        fl_text_add(text, "%s%u", q == 0 ? "" : " ", (unsigned)control->anchor[q]);
    fl_text_add(text, "\"");
}

/* The version of the program is not in it: a release that moves no bit moves no root hash. Members
 * in the order of SPEC 17.2.4. */
static void open_manifest(fl_text *text, const fl_run *run, const char *algo)
{
    fl_text_add(text, "{\n  \"specification\": %d,\n  \"algo\": \"%s\"", DDOME_SPEC_VERSION, algo);
    fl_text_add(text, ",\n  \"arith\": \"%s\",\n  \"seed\": \"%llu\"",
                fl_config_arith(&run->config), (unsigned long long)run->config.seed);
}

/* What may differ between machines stays outside the hashes (SPEC 17.5). */
static ddome_status write_host(fl_run *run)
{
    fl_text text = {.arena = &run->arena};
    fl_text_add(&text, "{\"ddome\": \"%s\", ", DDOME_VERSION);
#if defined(__VERSION__)
    fl_text_add(&text, "\"compiler\": \"%s\", ", __VERSION__);
#else
    fl_text_add(&text, "\"compiler\": \"unknown\", ");
#endif
    fl_text_add(&text, "\"pointer_bits\": %lu, \"kernels\": \"%s\", ",
                (unsigned long)(8 * sizeof(void *)), run->engine.kernels->name);
    fl_text_add(&text, "\"threads\": %lu, \"milliseconds\": %lu}\n",
                (unsigned long)nn_team_size(run->crew.team),
                (unsigned long)(1000 * (nn_os_seconds() - run->started)));
    ddome_status status = fl_text_status(run->error, &text);
    if (status == DDOME_OK)
        status =
            fl_rundir_write_unhashed(run->error, &run->dir, "host.json", text.data, text.length);
    return status;
}

/* ---- both endings ---- */

/* Configuration, manifest and host; SHA256SUMS last (SPEC 17.3.1). */
static ddome_status seal(fl_run *run, const fl_text *manifest, char root[NN_HEX_BYTES])
{
    ddome_status status = write_config(run);
    if (status == DDOME_OK)
        status = write_text(run, FL_FILE_MANIFEST, manifest);
    if (status == DDOME_OK)
        status = write_host(run);
    if (status == DDOME_OK)
        status = fl_rundir_close(run->error, &run->dir, root);
    return status;
}

static ddome_status finish_manifest(fl_run *run, const nn_digest *partition,
                                    char root[NN_HEX_BYTES])
{
    fl_text text = {.arena = &run->arena};
    open_manifest(&text, run, run->algorithm->name);
    fl_text_add(&text, ",\n  \"rounds\": %lu", (unsigned long)(fl_run_rounds(run)));
    add_data(&text, run, partition);
    add_common(&text, run);
    add_models(&text, run);
    add_controls(&text, run);
    add_decimal(&text, "accuracy_mean", run->record.last.mean);
    add_decimal(&text, "accuracy_mean_last10", fl_record_last_ten(&run->record));
    add_decimal(&text, "accuracy_mean_maximum_optimistic", fl_record_maximum(&run->record));
    add_decimal(&text, "accuracy_worst", run->record.last.min);
    fl_text_add(&text, ",\n  \"bytes_down\": %llu,\n  \"bytes_up\": %llu\n}\n",
                (unsigned long long)run->record.total.down,
                (unsigned long long)run->record.total.up);
    return seal(run, &text, root);
}

ddome_status fl_run_finish(fl_run *run, ddome_summary *summary)
{
    nn_digest partition;
    char root[NN_HEX_BYTES];
    ddome_status status = fl_run_close_tables(run);
    if (status == DDOME_OK)
        status = write_models(run);
    if (status == DDOME_OK)
        status = write_partition(run, &partition);
    if (status == DDOME_OK)
        status = finish_manifest(run, &partition, root);
    if (status != DDOME_OK)
        return status;
    summary->rounds = fl_run_rounds(run);
    summary->clients = run->evaluator->client_count;
    summary->mean_accuracy = run->record.last.mean;
    summary->worst_accuracy = run->record.last.min;
    summary->bytes_down = run->record.total.down;
    summary->bytes_up = run->record.total.up;
    memcpy(summary->root_hash, root, sizeof summary->root_hash);
    return DDOME_OK;
}

static ddome_status finish_common_manifest(fl_run *run, char root[NN_HEX_BYTES])
{
    fl_text text = {.arena = &run->arena};
    open_manifest(&text, run, FL_FILE_PRETRAIN);
    add_data(&text, run, NULL);
    add_common(&text, run);
    fl_text_add(&text, ",\n  \"expert_parameters\": %lu\n}\n",
                (unsigned long)run->common_model.layout.trained);
    return seal(run, &text, root);
}

/* SPEC 17.1.2. */
ddome_status fl_run_finish_common(fl_run *run, ddome_summary *summary)
{
    const fl_common *common = &run->common;
    char root[NN_HEX_BYTES];
    ddome_status status =
        write_model(run, FL_FILE_PRETRAINED, &run->common_model, common->values, common->batches);
    if (status == DDOME_OK)
        status = finish_common_manifest(run, root);
    if (status != DDOME_OK)
        return status;
    memset(summary, 0, sizeof *summary);
    summary->clients = 1;
    summary->mean_accuracy = (double)common->correct / (double)common->total;
    summary->worst_accuracy = summary->mean_accuracy;
    memcpy(summary->root_hash, root, sizeof summary->root_hash);
    return DDOME_OK;
}

/* ---- the trace ---- */

ddome_status fl_run_trace(fl_run *run, const fl_trace_wish *wish)
{
    if (wish->path[0] == '\0')
        return DDOME_OK;
    if (wish->first > fl_run_rounds(run))
        return nn_fail(run->error, DDOME_ERR_USAGE,
                       "a trace of rounds %llu to %llu: expected a first round of at most %lu, the "
                       "last of the run; choose rounds that it has",
                       (unsigned long long)wish->first, (unsigned long long)wish->last,
                       (unsigned long)fl_run_rounds(run));
    assert(nn_team_size(run->crew.team) == 1);
    run->trace = nn_arena_alloc(&run->arena, 1, sizeof *run->trace);
    if (run->trace == NULL)
        return nn_arena_fail(run->error, &run->arena, "a trace");
    fl_trace_init(run->trace, wish);
    return DDOME_OK;
}

ddome_status fl_run_end_trace(fl_run *run, ddome_status status)
{
    return fl_trace_end(run->error, run->trace, status);
}

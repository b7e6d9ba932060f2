/* SPDX-License-Identifier: MIT */
/* Tables as text: integers, six-place decimals, hashes. SPEC 17.2, 17.2.1. */
#include "record.h"

#include <string.h>

#include "files.h"

const char fl_record_clients_header[] =
    "round,client,role,labels,experts,correct,total,accuracy,loss\n";

ddome_status fl_record_init(ddome_error *error, nn_arena *arena, fl_record *record,
                            size_t evaluations)
{
    memset(record, 0, sizeof *record);
    fl_table_init(&record->metrics, arena, "metrics.csv", true);
    fl_table_init(&record->clients, arena, "clients.csv", true);
    fl_table_init(&record->experts, arena, "experts.csv", true);
    fl_table_init(&record->comm, arena, "comm.csv", true);
    fl_table_init(&record->rounds, arena, FL_FILE_ROUNDS, true);
    fl_table_init(&record->timing, arena, "timing.csv", false);
    record->most_evaluations = evaluations;
    record->means = nn_arena_alloc(arena, evaluations, sizeof *record->means);
    if (record->means == NULL)
        return nn_arena_fail(error, arena, "the list of evaluations");
    fl_text_add(
        &record->metrics.text,
        "round,scope,clients,correct,total,accuracy,mean,weighted_std,std,min,p10,p50,p90,max,"
        "worst10,loss,"
        "gate_entropy_mean_score,gate_mean_entropy,anchor_routed,anchor_total,expert_usage_clients,"
        "expert_usage_samples,bytes_down,bytes_up\n");
    fl_text_add(&record->clients.text, "%s", fl_record_clients_header);
    fl_text_add(&record->experts.text, "round,expert,label,routed,correct\n");
    fl_text_add(&record->comm.text,
                "round,messages,round_trips,bytes_down,bytes_up,total_down,total_up\n");
    fl_text_add(&record->timing.text, "round,milliseconds\n");
    return DDOME_OK;
}

/* ---- rounds ---- */

static void add_traffic(fl_record *record, uint32_t round, const fl_traffic *t)
{
    fl_traffic_add(&record->total, t);
    fl_text_add(&record->comm.text, "%u,%llu,%llu,%llu,%llu,%llu,%llu\n", (unsigned)round,
                (unsigned long long)t->messages, (unsigned long long)t->round_trips,
                (unsigned long long)t->down, (unsigned long long)t->up,
                (unsigned long long)record->total.down, (unsigned long long)record->total.up);
}

void fl_record_setup_traffic(fl_record *record, const fl_traffic *traffic)
{
    add_traffic(record, 0, traffic);
}

static void add_chosen(fl_text *text, const fl_visit *visit)
{
    for (size_t j = 0; j < visit->k; j++)
        fl_text_add(text, "%s%u", j == 0 ? "[" : ",", (unsigned)visit->chosen[j]);
    fl_text_add(text, "]");
}

/* Ids of those for whom it holds. */
static void add_those(fl_text *text, const char *name, const fl_visit *visits, size_t count,
                      bool lost)
{
    const char *before = "";
    fl_text_add(text, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++)
        if (lost ? visits[i].lost : visits[i].slow) {
            fl_text_add(text, "%s%u", before, (unsigned)visits[i].client->id);
            before = ",";
        }
    fl_text_add(text, "]");
}

/* A lost visit has no loss. */
static void add_losses(fl_text *text, const fl_visit *visits, size_t count)
{
    fl_text_add(text, ",\"loss\":[");
    for (size_t i = 0; i < count; i++) {
        fl_text_add(text, "%s", i == 0 ? "" : ",");
        if (visits[i].lost) {
            fl_text_add(text, "null");
            continue;
        }
        fl_text_add(text, "\"");
        fl_text_float(text, visits[i].loss);
        fl_text_add(text, "\"");
    }
    fl_text_add(text, "]");
}

static void add_visits(fl_text *text, const fl_visit *visits, size_t count)
{
    fl_text_add(text, ",\"participants\":[");
    for (size_t i = 0; i < count; i++)
        fl_text_add(text, "%s%u", i == 0 ? "" : ",", (unsigned)visits[i].client->id);
    fl_text_add(text, "],\"chosen\":[");
    for (size_t i = 0; i < count; i++) {
        fl_text_add(text, "%s", i == 0 ? "" : ",");
        add_chosen(text, &visits[i]);
    }
    fl_text_add(text, "]");
    add_losses(text, visits, count);
}

static void add_hash(fl_text *text, const nn_digest *hash)
{
    fl_text_add(text, "\"");
    fl_text_digest(text, hash);
    fl_text_add(text, "\"");
}

/* The models of the participants (SPEC 12.6.6). */
static void add_own_hashes(fl_text *text, const fl_visit *visits, size_t count,
                           const fl_server *server)
{
    for (size_t i = 0; i < count; i++) {
        fl_text_add(text, "%s", i == 0 ? "" : ",");
        add_hash(text, &server->own[visits[i].client->id].hash);
    }
}

/* SPEC 17.2.3. */
void fl_record_round(fl_record *record, uint32_t round, const fl_visit *visits, size_t count,
                     const fl_traffic *traffic, const fl_server *server)
{
    fl_text *text = &record->rounds.text;
    add_traffic(record, round, traffic);
    fl_text_add(text, "{\"round\":%u", (unsigned)round);
    add_visits(text, visits, count);
    fl_text_add(text, ",\"gate\":");
    if (server->gate.model == NULL)
        fl_text_add(text, "null");
    else
        add_hash(text, &server->gate.hash);
    fl_text_add(text, ",\"experts\":[");
    if (server->own != NULL)
        add_own_hashes(text, visits, count, server);
    for (size_t i = 0; server->own == NULL && i < server->experts; i++) {
        fl_text_add(text, "%s", i == 0 ? "" : ",");
        add_hash(text, &server->expert[i].hash);
    }
    fl_text_add(text, "]");
    if (record->names_lost)
        add_those(text, "lost", visits, count, true);
    if (record->names_slow)
        add_those(text, "slow", visits, count, false);
    fl_text_add(text, "}\n");
}

/* ---- evaluations ---- */

static const char *scope_name(const fl_evaluator *evaluator)
{
    static const char *const names[] = {[FL_SCOPE_UNSEEN] = "unseen",
                                        [FL_SCOPE_HOLDOUT] = "holdout",
                                        [FL_SCOPE_GLOBAL] = "global",
                                        [FL_SCOPE_SEEN] = "seen"};
    return names[evaluator->scope];
}

/* Labels the client holds, ascending, separated by spaces (SPEC 17.2.2). */
static void add_labels(fl_text *text, const data_client *client, const fl_evaluator *evaluator)
{
    const data_split *split = fl_task_scope_split(evaluator->task, evaluator->scope);
    const data_label_set held = data_client_labels(client, split);
    bool first = true;
    for (unsigned label = 0; label < DATA_LABELS; label++)
        if (data_label_set_has(&held, label)) {
            fl_text_add(text, "%s%u", first ? "" : " ", label);
            first = false;
        }
}

void fl_record_clients(fl_text *text, uint32_t round, const fl_evaluation *evaluation,
                       const fl_evaluator *evaluator)
{
    for (size_t i = 0; i < evaluation->clients; i++) {
        const fl_client_result *r = &evaluation->client[i];
        fl_text_add(text, "%u,%u,%s,", (unsigned)round, (unsigned)r->client,
                    data_role_name(r->role));
        add_labels(text, &evaluator->clients[i], evaluator);
        for (size_t j = 0; j < r->k; j++)
            fl_text_add(text, "%s%u", j == 0 ? "," : " ", (unsigned)r->chosen[j]);
        fl_text_add(text, ",%llu,%llu,", (unsigned long long)r->correct,
                    (unsigned long long)r->count);
        fl_text_fixed6(text, (double)r->correct / (double)r->count);
        fl_text_add(text, ",");
        fl_text_fixed6(text, (double)r->loss);
        fl_text_add(text, "\n");
    }
}

/* SPEC 17.2.2: lines of zeros, too. */
static void add_experts(fl_text *text, uint32_t round, const fl_evaluation *e)
{
    for (size_t i = 0; i < e->experts; i++)
        for (size_t label = 0; label < e->classes; label++)
            fl_text_add(text, "%u,%lu,%lu,%llu,%llu\n", (unsigned)round, (unsigned long)i,
                        (unsigned long)label, (unsigned long long)e->routed[i * e->classes + label],
                        (unsigned long long)e->correct[i * e->classes + label]);
}

/* Clients that chose each expert, then samples routed to it (SPEC 14.4, 17.2.2). */
static void add_usage(fl_text *text, const fl_evaluation *e)
{
    for (size_t i = 0; i < e->experts; i++) {
        uint64_t clients = 0;
        for (size_t c = 0; c < e->clients; c++)
            for (size_t j = 0; j < e->client[c].k; j++)
                clients += e->client[c].chosen[j] == i;
        fl_text_add(text, "%s%llu", i == 0 ? "," : " ", (unsigned long long)clients);
    }
    for (size_t i = 0; i < e->experts; i++) {
        uint64_t samples = 0;
        for (size_t label = 0; label < e->classes; label++)
            samples += e->routed[i * e->classes + label];
        fl_text_add(text, "%s%llu", i == 0 ? "," : " ", (unsigned long long)samples);
    }
}

static void add_metrics(fl_record *record, uint32_t round, const fl_metrics *m,
                        const fl_evaluation *e, const fl_evaluator *evaluator)
{
    const double values[] = {m->accuracy, m->mean,          m->weighted_std, m->std, m->min,
                             m->p10,      m->p50,           m->p90,          m->max, m->worst10,
                             m->loss,     m->score_entropy, m->mean_entropy};
    fl_text *text = &record->metrics.text;
    fl_text_add(text, "%u,%s,%lu,%llu,%llu", (unsigned)round, scope_name(evaluator),
                (unsigned long)e->clients, (unsigned long long)m->correct,
                (unsigned long long)m->total);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        fl_text_add(text, ",");
        fl_text_fixed6(text, values[i]);
    }
    fl_text_add(text, ",%llu,%llu", (unsigned long long)e->anchor_own,
                (unsigned long long)e->anchor_total);
    add_usage(text, e);
    fl_text_add(text, ",%llu,%llu\n", (unsigned long long)record->total.down,
                (unsigned long long)record->total.up);
}

ddome_status fl_record_evaluation(ddome_error *error, nn_arena *scratch, fl_record *record,
                                  uint32_t round, const fl_evaluation *evaluation,
                                  const fl_evaluator *evaluator)
{
    ddome_status status = fl_metrics_of(error, scratch, &record->last, evaluation);
    if (status != DDOME_OK)
        return status;
    record->means[record->evaluations++] = record->last.mean;
    add_metrics(record, round, &record->last, evaluation, evaluator);
    fl_record_clients(&record->clients.text, round, evaluation, evaluator);
    add_experts(&record->experts.text, round, evaluation);
    return DDOME_OK;
}

ddome_status fl_record_also(ddome_error *error, nn_arena *scratch, fl_record *record,
                            uint32_t round, const fl_evaluation *evaluation,
                            const fl_evaluator *evaluator)
{
    fl_metrics metrics;
    ddome_status status = fl_metrics_of(error, scratch, &metrics, evaluation);
    if (status == DDOME_OK)
        add_metrics(record, round, &metrics, evaluation, evaluator);
    return status;
}

/* SPEC 14.5. */
double fl_record_last_ten(const fl_record *record)
{
    const size_t count = nn_min(10, record->evaluations);
    double sum = 0;
    for (size_t i = record->evaluations - count; i < record->evaluations; i++)
        sum = sum + record->means[i];
    return count == 0 ? 0 : sum / (double)count;
}

double fl_record_maximum(const fl_record *record)
{
    double most = 0;
    for (size_t i = 0; i < record->evaluations; i++)
        most = record->means[i] > most ? record->means[i] : most;
    return most;
}

void fl_record_tables(fl_table *tables[FL_RECORD_TABLES], fl_record *record)
{
    fl_table *const all[FL_RECORD_TABLES] = {&record->metrics, &record->clients, &record->experts,
                                             &record->comm,    &record->rounds,  &record->timing};
    memcpy(tables, all, sizeof all);
}

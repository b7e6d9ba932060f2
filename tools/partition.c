/* SPDX-License-Identifier: MIT */
/* ddome partition: writes partition.csv, or counts what it holds. SPEC 8.8, 18.3. */
#include <stdlib.h>
#include <string.h>

#include "../fl/run.h"
#include "../nn/os.h"
#include "../nn/selftest.h"
#include "tool.h"

static ddome_status partition_text(ddome_error *error, tool *t, char **text)
{
    ddome_config *config = NULL;
    ddome_status status = tool_new_config(error, &config, t, 0);
    if (status == DDOME_OK)
        status = ddome_partition(error, text, config);
    ddome_config_free(config);
    return status;
}

ddome_status tool_partition_write(ddome_error *error, tool *t)
{
    char *text = NULL;
    ddome_status status = partition_text(error, t, &text);
    if (status == DDOME_OK && t->out != NULL)
        status = nn_os_write_file(error, t->out, text, strlen(text));
    if (status == DDOME_OK && t->out == NULL) {
        fl_text_add(&t->text, "%s", text);
        tool_json_string(t, "partition_csv", text);
    } else if (status == DDOME_OK)
        tool_json_string(t, "out", t->out);
    ddome_text_free(text);
    return status;
}

enum { ROLES = DATA_UNSEEN + 1 };

/* Of the clients of one role. */
typedef struct role_count {
    size_t clients, samples, least, most; /* least and most samples of a client */
    size_t fewest_labels, most_labels, label_sets;
} role_count;

static size_t set_size(const data_label_set *set)
{
    size_t size = 0;
    for (unsigned label = 0; label < 256; label++)
        size += data_label_set_has(set, label);
    return size;
}

static int compare_sets(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(data_label_set));
}

static void count_client(role_count *count, const data_client *client, size_t labels)
{
    bool first = count->clients++ == 0;
    count->samples += client->count;
    count->least = first ? client->count : nn_min(count->least, client->count);
    count->most = nn_max(count->most, client->count);
    count->fewest_labels = first ? labels : nn_min(count->fewest_labels, labels);
    count->most_labels = nn_max(count->most_labels, labels);
}

/* sets is room for one label set a client. */
static role_count count_role(data_label_set *sets, const fl_task *task, data_role role)
{
    const data_partition *p = &task->partition;
    role_count count = {0, 0, 0, 0, 0, 0, 0};
    for (size_t id = 0; id < p->training + p->holdout + p->unseen; id++) {
        const data_client *client = &p->clients[id];
        if (client->role != role)
            continue;
        sets[count.clients] = data_client_labels(client, fl_task_split(task, client));
        count_client(&count, client, set_size(&sets[count.clients]));
    }
    qsort(sets, count.clients, sizeof *sets, compare_sets);
    for (size_t i = 0; i < count.clients; i++)
        count.label_sets += i == 0 || compare_sets(&sets[i - 1], &sets[i]) != 0 ? 1 : 0;
    return count;
}

static void add_role(tool *t, const role_count *count, data_role role)
{
    const char *name = data_role_name(role);
    fl_text_add(&t->text, "%-8s %7lu clients, %8lu samples", name, (unsigned long)count->clients,
                (unsigned long)count->samples);
    if (count->clients != 0)
        fl_text_add(&t->text, ", %lu to %lu each; %lu to %lu labels each, %lu label sets",
                    (unsigned long)count->least, (unsigned long)count->most,
                    (unsigned long)count->fewest_labels, (unsigned long)count->most_labels,
                    (unsigned long)count->label_sets);
    fl_text_add(&t->text, "\n");
    fl_text_add(&t->json,
                ", \"%s\": {\"clients\": %lu, \"samples\": %lu, \"least\": %lu, \"most\": %lu, "
                "\"fewest_labels\": %lu, \"most_labels\": %lu, \"label_sets\": %lu}",
                name, (unsigned long)count->clients, (unsigned long)count->samples,
                (unsigned long)count->least, (unsigned long)count->most,
                (unsigned long)count->fewest_labels, (unsigned long)count->most_labels,
                (unsigned long)count->label_sets);
}

static ddome_status describe(ddome_error *error, tool *t, const fl_task *task)
{
    const data_partition *p = &task->partition;
    size_t clients = p->training + p->holdout + p->unseen;
    data_label_set *sets = nn_arena_alloc(&t->arena, clients, sizeof *sets);
    if (sets == NULL)
        return nn_arena_fail(error, &t->arena, "label sets");
    fl_text_add(&t->text, "%s: %lu samples may train, %lu are held out\n", task->set.name,
                (unsigned long)p->pool_count, (unsigned long)p->held_count);
    tool_json_string(t, "data", task->set.name);
    tool_json_u64(t, "may_train", p->pool_count);
    tool_json_u64(t, "held_out", p->held_count);
    for (int role = 0; role < ROLES; role++) {
        role_count count = count_role(sets, task, (data_role)role);
        add_role(t, &count, (data_role)role);
    }
    if (p->draws != 0)
        fl_text_add(&t->text, "Dirichlet draws %lu%s\n", (unsigned long)p->draws,
                    p->repaired ? ", repaired" : "");
    tool_json_u64(t, "dirichlet_draws", p->draws);
    fl_text_add(&t->json, ", \"dirichlet_repaired\": %s", p->repaired ? "true" : "false");
    return DDOME_OK;
}

ddome_status tool_partition_describe(ddome_error *error, tool *t)
{
    ddome_config *config = NULL;
    fl_config keys;
    fl_task task;
    ddome_status status = tool_new_config(error, &config, t, 0);
    if (status != DDOME_OK)
        return status;
    keys = *fl_config_of(config);
    ddome_config_free(config);
    status = fl_config_check(error, &keys);
    if (status == DDOME_OK)
        status = nn_selftest(error); /* a draw computes, too (SPEC 3.7) */
    if (status == DDOME_OK)
        status = fl_task_load(error, &t->arena, &task, &keys);
    return status == DDOME_OK ? describe(error, t, &task) : status;
}

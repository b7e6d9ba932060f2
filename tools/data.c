/* SPDX-License-Identifier: MIT */
/* ddome data: finds the data sets under a folder and reads each one strictly. SPEC 7.1, 18.3. */
#include "../nn/os.h"
#include "tool.h"

typedef struct known_set {
    const char *data, *folder; /* value of the key data; the folder the official archive makes */
    const char *const *files;  /* any of them makes the set recognised, then NULL */
} known_set;

static const char *const cifar10_files[] = {"data_batch_1.bin",
                                            "data_batch_2.bin",
                                            "data_batch_3.bin",
                                            "data_batch_4.bin",
                                            "data_batch_5.bin",
                                            "test_batch.bin",
                                            NULL};
static const char *const cifar100_files[] = {"train.bin", "test.bin", NULL};

static const known_set known[] = {{"cifar10", "cifar-10-batches-bin", cifar10_files},
                                  {"cifar100", "cifar-100-binary", cifar100_files}};

enum { KNOWN = sizeof known / sizeof *known };

/* dir/folder/file or dir/file is there. */
static ddome_status has_file(ddome_error *error, tool *t, bool *has, const known_set *set,
                             const char *file)
{
    fl_text inner = {.arena = &t->arena}, outer = {.arena = &t->arena};
    fl_text_add(&inner, "%s/%s/%s", t->words[0], set->folder, file);
    fl_text_add(&outer, "%s/%s", t->words[0], file);
    if (inner.failed || outer.failed)
        return nn_arena_fail(error, &t->arena, "paths");
    *has = *has || nn_os_exists(inner.data) || nn_os_exists(outer.data);
    return DDOME_OK;
}

static ddome_status recognise(ddome_error *error, tool *t, bool *has, const known_set *set)
{
    ddome_status status = DDOME_OK;
    *has = false;
    for (size_t i = 0; status == DDOME_OK && set->files[i] != NULL; i++)
        status = has_file(error, t, has, set, set->files[i]);
    return status;
}

/* Settings follow the folder; data and data_dir are ours and come last. */
static ddome_status read_set(ddome_error *error, tool *t, const known_set *set, char **text)
{
    ddome_config *config = NULL;
    ddome_status status = tool_new_config(error, &config, t, 1);
    if (status == DDOME_OK)
        status = ddome_config_set(error, config, "data", set->data);
    if (status == DDOME_OK)
        status = ddome_config_set(error, config, "data_dir", t->words[0]);
    if (status == DDOME_OK)
        status = ddome_data_info(error, text, config);
    ddome_config_free(config);
    return status;
}

static ddome_status visit(ddome_error *error, tool *t, const known_set *set, bool info,
                          size_t *found)
{
    bool has;
    char *text = NULL;
    ddome_status status = recognise(error, t, &has, set);
    if (status != DDOME_OK || !has)
        return status;
    status = read_set(error, t, set, &text);
    if (status != DDOME_OK)
        return status;
    if (info)
        fl_text_add(&t->text, "%s%s", *found == 0 ? "" : "\n", text);
    else
        fl_text_add(&t->text, "ok %s\n", set->data);
    tool_json_string(t, set->data, info ? text : "ok");
    ddome_text_free(text);
    ++*found;
    return DDOME_OK;
}

static ddome_status visit_all(ddome_error *error, tool *t, bool info)
{
    size_t found = 0;
    ddome_status status = DDOME_OK;
    for (size_t i = 0; status == DDOME_OK && i < KNOWN; i++)
        status = visit(error, t, &known[i], info, &found);
    if (status == DDOME_OK && found == 0)
        status = nn_fail(error, DDOME_ERR_DATA,
                         "%.200s holds no data set; expected the folder %s or %s, or their files",
                         t->words[0], known[0].folder, known[1].folder);
    return status;
}

ddome_status tool_data_check(ddome_error *error, tool *t)
{
    return visit_all(error, t, false);
}

ddome_status tool_data_info(ddome_error *error, tool *t)
{
    return visit_all(error, t, true);
}

/* SPDX-License-Identifier: MIT */
/* ddome data: finds the data sets under a folder and reads each one strictly. SPEC 7.1, 7.8, 18.3.
 */
#include <string.h>

#include "../data/files.h"
#include "../nn/os.h"
#include "tool.h"

enum { MAX_FILES = 6 };

typedef struct known_set {
    const char *name, *data;    /* what is printed; value of the key data */
    const char *split;          /* value of emnist_split, or NULL */
    const char *folder;         /* that the set may have for itself */
    data_file files[MAX_FILES]; /* any of them makes the set recognised; then empty ones */
} known_set;

/* Every way in which EMNIST is cut is a set of its own here. */
#define EMNIST(split, train, test)                                                                 \
    {                                                                                              \
        "emnist-" split, "emnist", split, "emnist",                                                \
        {                                                                                          \
            {"emnist-" split "-train", "-", "-images-idx3-ubyte", train},                          \
                {"emnist-" split "-test", "-", "-images-idx3-ubyte", test},                        \
        }                                                                                          \
    }

/* Names and numbers of SPEC 7.1.1, 7.8.1. */
static const known_set known[] = {
    {"cifar10",
     "cifar10",
     NULL,
     "cifar-10-batches-bin",
     {{"data_batch_1", "_", ".bin", 10000},
      {"data_batch_2", "_", ".bin", 10000},
      {"data_batch_3", "_", ".bin", 10000},
      {"data_batch_4", "_", ".bin", 10000},
      {"data_batch_5", "_", ".bin", 10000},
      {"test_batch", "_", ".bin", 10000}}},
    {"cifar100",
     "cifar100",
     NULL,
     "cifar-100-binary",
     {{"train", "_", ".bin", 50000}, {"test", "_", ".bin", 10000}}},
    {"mnist",
     "mnist",
     NULL,
     "mnist",
     {{"train", "-", "-images-idx3-ubyte", 60000}, {"t10k", "-", "-images-idx3-ubyte", 10000}}},
    EMNIST("byclass", 697932, 116323),
    EMNIST("bymerge", 697932, 116323),
    EMNIST("balanced", 112800, 18800),
    EMNIST("letters", 124800, 20800),
    EMNIST("digits", 240000, 40000),
    EMNIST("mnist", 60000, 10000)};

enum { KNOWN = sizeof known / sizeof *known };

/* PATH or, to be told of gunzip by the reader (SPEC 7.8.4), PATH.gz. */
static ddome_status is_there(ddome_error *error, tool *t, bool *is, const data_place *place)
{
    fl_text packed = {.arena = &t->arena};
    fl_text_add(&packed, "%s.gz", place->path);
    if (packed.failed)
        return nn_arena_fail(error, &t->arena, "paths");
    *is = place->there || nn_os_exists(packed.data);
    return DDOME_OK;
}

/* Any of the files is in this folder. */
static ddome_status look_in(ddome_error *error, tool *t, bool *has, const known_set *set,
                            const char *folder)
{
    fl_text path = {.arena = &t->arena};
    ddome_status status = DDOME_OK;
    fl_text_add(&path, "%s/%s", t->words[0], folder);
    if (path.failed)
        return nn_arena_fail(error, &t->arena, "paths");
    for (size_t i = 0; status == DDOME_OK && !*has && i < MAX_FILES; i++) {
        data_place place = {NULL, false, 0};
        if (set->files[i].stem == NULL)
            break;
        status = data_file_find(error, &t->arena, &place, path.data, &set->files[i]);
        if (status == DDOME_OK)
            status = is_there(error, t, has, &place);
    }
    return status;
}

static ddome_status recognise(ddome_error *error, tool *t, bool *has, const known_set *set)
{
    fl_text inner = {.arena = &t->arena};
    *has = false;
    fl_text_add(&inner, "%s/", set->folder);
    if (inner.failed)
        return nn_arena_fail(error, &t->arena, "paths");
    ddome_status status = look_in(error, t, has, set, inner.data);
    return status == DDOME_OK ? look_in(error, t, has, set, "") : status;
}

/* Settings follow the folder; data, data_dir and emnist_split are ours and come last. */
static ddome_status read_set(ddome_error *error, tool *t, const known_set *set, char **text)
{
    ddome_config *config = NULL;
    ddome_status status = tool_new_config(error, &config, t, 1);
    if (status == DDOME_OK)
        status = ddome_config_set(error, config, "data", set->data);
    if (status == DDOME_OK)
        status = ddome_config_set(error, config, "data_dir", t->words[0]);
    if (status == DDOME_OK && set->split != NULL)
        status = ddome_config_set(error, config, "emnist_split", set->split);
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
    /* It begins with the value of data, which is not enough to tell the ways of EMNIST apart. */
    if (info)
        fl_text_add(&t->text, "%s%s%s", *found == 0 ? "" : "\n", set->name,
                    text + strlen(set->data));
    else
        fl_text_add(&t->text, "ok %s\n", set->name);
    tool_json_string(t, set->name, info ? text : "ok");
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
        status =
            nn_fail(error, DDOME_ERR_DATA,
                    "%.200s holds no data set; expected the folder %s, %s, mnist or emnist, or the "
                    "files of one",
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

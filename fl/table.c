/* SPDX-License-Identifier: MIT */
/* Tables that grow: written at their end, hashed on the way. SPEC 17.1.3, 17.6.5. */
#include "table.h"

#include <string.h>

void fl_table_init(fl_table *table, nn_arena *arena, const char *name, bool hashed)
{
    *table = (fl_table){.name = name, .hashed = hashed, .text = {.arena = arena}};
    nn_sha256_begin(&table->sha);
}

ddome_status fl_table_write(ddome_error *error, fl_rundir *dir, fl_table *table)
{
    fl_text *text = &table->text;
    ddome_status status = fl_text_status(error, text);
    if (status != DDOME_OK || (text->length == 0 && table->size != 0))
        return status;
    const char *lines = text->length == 0 ? "" : text->data;
    if (table->hashed || !dir->verify)
        status = fl_rundir_append(error, dir, table->name, table->size, lines, text->length);
    if (status != DDOME_OK)
        return status;
    nn_sha256_bytes(&table->sha, lines, text->length);
    table->size += text->length;
    text->length = 0;
    return DDOME_OK;
}

ddome_status fl_table_flush(ddome_error *error, const fl_rundir *dir, const fl_table *table)
{
    return fl_rundir_flush(error, dir, table->name);
}

nn_digest fl_table_digest(const fl_table *table)
{
    nn_sha256 sha = table->sha;
    return nn_sha256_end(&sha);
}

/* Of a table that is not the checkpoint's: a run that is only looked at does not go on with it. */
static ddome_status misfit(const fl_rundir *dir)
{
    return dir->verify ? DDOME_ERR_VERIFY : DDOME_ERR_RESUME;
}

ddome_status fl_table_resume(ddome_error *error, const fl_rundir *dir, fl_table *table,
                             uint64_t size, const nn_digest *digest)
{
    nn_sha256 sha;
    ddome_error inner = {DDOME_OK, ""};
    ddome_status status = fl_rundir_hash(&inner, dir, &sha, table->name, size);
    if (status == DDOME_ERR_DATA)
        return nn_fail(error, misfit(dir),
                       "%s/%s: expected the %llu bytes that the checkpoint knows, found fewer",
                       dir->path, table->name, (unsigned long long)size);
    if (status != DDOME_OK)
        return nn_fail(error, status, "%s", inner.text);
    fl_table resumed = *table;
    resumed.size = size;
    resumed.sha = sha;
    resumed.text.length = 0;
    const nn_digest found = fl_table_digest(&resumed);
    if (memcmp(&found, digest, sizeof found) != 0)
        return nn_fail(error, misfit(dir),
                       "%s/%s is not what the checkpoint knows: its first %llu bytes were changed",
                       dir->path, table->name, (unsigned long long)size);
    *table = resumed;
    return DDOME_OK;
}

ddome_status fl_table_close(ddome_error *error, fl_rundir *dir, fl_table *table)
{
    ddome_status status = fl_table_write(error, dir, table);
    if (status == DDOME_OK && !dir->verify) /* behind the last checkpoint there may be more */
        status = fl_rundir_append(error, dir, table->name, table->size, "", 0);
    if (status == DDOME_OK && !dir->verify)
        status = fl_table_flush(error, dir, table);
    if (status != DDOME_OK || !table->hashed)
        return status;
    const nn_digest digest = fl_table_digest(table);
    return fl_rundir_list(error, dir, table->name, &digest);
}

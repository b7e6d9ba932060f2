/* SPDX-License-Identifier: MIT */
/* One walk over all that a run is, in which every part says its name, type and place: to write it,
 * or to read it back, so that neither can forget what the other has. SPEC 17.6.3, 17.6.5. */
#include "state.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 64, CHUNK_BYTES = 1 << 20 };

typedef enum state_type { STATE_F32, STATE_F64, STATE_U64, STATE_U32, STATE_U8 } state_type;

static const struct {
    const char *name;
    size_t bytes;
} TYPE[] = {{"F32", 4}, {"F64", 8}, {"U64", 8}, {"U32", 4}, {"U8", 1}};

/* A part that is to be written. */
typedef struct part {
    const void *data;
    state_type type;
} part;

typedef struct walk {
    fl_run *run;
    ddome_error *error;
    nn_arena *arena;
    ddome_status status;
    const data_safetensors *file; /* to read; NULL: tensors and parts are listed */
    size_t next, found;           /* where the next one is looked for first; how many were there */
    data_safetensor *tensor;      /* [count] */
    part *part;                   /* [count] */
    size_t count, capacity;
} walk;

/* ---- numbers as bytes ---- */

static void to_bytes(unsigned char *bytes, const void *data, size_t first, size_t count,
                     state_type type)
{
    const size_t width = TYPE[type].bytes;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *from = (const unsigned char *)data + (first + i) * width;
        uint64_t word = *from;
        uint32_t half;
        if (width == 8)
            memcpy(&word, from, 8);
        if (width == 4) {
            memcpy(&half, from, 4);
            word = half;
        }
        for (size_t b = 0; b < width; b++)
            bytes[i * width + b] = (unsigned char)(word >> 8 * b);
    }
}

static uint64_t word_at(const unsigned char *bytes, size_t width)
{
    uint64_t word = 0;
    for (size_t b = 0; b < width; b++)
        word |= (uint64_t)bytes[b] << 8 * b;
    return word;
}

static void from_bytes(void *data, const unsigned char *bytes, size_t count, state_type type)
{
    const size_t width = TYPE[type].bytes;
    for (size_t i = 0; i < count; i++) {
        const uint64_t word = word_at(bytes + i * width, width);
        const uint32_t half = (uint32_t)word;
        unsigned char *to = (unsigned char *)data + i * width;
        if (width == 8)
            memcpy(to, &word, 8);
        else if (width == 4)
            memcpy(to, &half, 4);
        else
            *to = (unsigned char)word;
    }
}

static bool all_finite(const unsigned char *bytes, size_t count, state_type type)
{
    const size_t width = TYPE[type].bytes;
    const uint64_t exponent =
        type == STATE_F32 ? (uint64_t)0xff << 23 : (uint64_t)0x7ff << 52; /* all ones: none */
    for (size_t i = 0; i < count && (type == STATE_F32 || type == STATE_F64); i++)
        if ((word_at(bytes + i * width, width) & exponent) == exponent)
            return false;
    return true;
}

/* ---- one part ---- */

static void out_of_memory(walk *w)
{
    w->status = nn_arena_fail(w->error, w->arena, "the state of a run");
}

static void list_part(walk *w, state_type type, const char *name, const void *data, size_t count)
{
    if (w->count == w->capacity) {
        const size_t capacity = nn_max(64, 2 * w->capacity);
        data_safetensor *tensor = nn_arena_alloc(w->arena, capacity, sizeof *tensor);
        part *parts = nn_arena_alloc(w->arena, capacity, sizeof *parts);
        if (tensor == NULL || parts == NULL) {
            out_of_memory(w);
            return;
        }
        if (w->count != 0) {
            memcpy(tensor, w->tensor, w->count * sizeof *tensor);
            memcpy(parts, w->part, w->count * sizeof *parts);
        }
        w->tensor = tensor;
        w->part = parts;
        w->capacity = capacity;
    }
    uint64_t *shape = nn_arena_alloc(w->arena, 1, sizeof *shape);
    char *copy = nn_arena_string(w->arena, name);
    if (shape == NULL || copy == NULL) {
        out_of_memory(w);
        return;
    }
    *shape = count;
    w->tensor[w->count] = (data_safetensor){.name = copy,
                                            .dtype = TYPE[type].name,
                                            .rank = 1,
                                            .shape = shape,
                                            .byte_count = count * TYPE[type].bytes};
    w->part[w->count++] = (part){data, type};
}

static void does_not_fit(walk *w, const char *name, const char *expected, size_t count)
{
    w->status = nn_fail(w->error, DDOME_ERR_RESUME,
                        "the checkpoint does not fit the run: tensor %s: expected %s (%lu)", name,
                        expected, (unsigned long)count);
}

/* Parts of one kind are walked as they stand in the file: one behind the one before. */
static const data_safetensor *find(walk *w, const char *name)
{
    const data_safetensors *file = w->file;
    const data_safetensor *tensor = NULL;
    for (size_t i = w->next == 0 ? 0 : w->next - 1; i < file->count && i <= w->next; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            tensor = &file->tensor[i];
    if (tensor == NULL)
        tensor = data_safetensors_find(file, name);
    if (tensor != NULL)
        w->next = (size_t)(tensor - file->tensor) + 1;
    return tensor;
}

/* NULL, and the walk has failed, when there is none of that type and length. */
static const data_safetensor *find_part(walk *w, state_type type, const char *name, size_t count)
{
    const data_safetensor *tensor = find(w, name);
    if (tensor != NULL && strcmp(tensor->dtype, TYPE[type].name) == 0 && tensor->rank == 1 &&
        tensor->shape[0] == count)
        return tensor;
    does_not_fit(w, name, TYPE[type].name, count);
    return NULL;
}

static void read_part(walk *w, state_type type, const char *name, void *data, size_t count)
{
    const data_safetensor *tensor = find_part(w, type, name, count);
    if (tensor == NULL)
        return;
    if (!all_finite(tensor->bytes, count, type)) {
        does_not_fit(w, name, "finite values", count);
        return;
    }
    from_bytes(data, tensor->bytes, count, type);
    w->found++;
}

/* data[count] is written or read. */
static void visit(walk *w, state_type type, const char *name, void *data, size_t count)
{
    if (w->status != DDOME_OK)
        return;
    if (w->file == NULL)
        list_part(w, type, name, data, count);
    else
        read_part(w, type, name, data, count);
}

/* "PREFIX_INDEX.SUFFIX"; indices of one width, so that the alphabet keeps their order. */
static const char *indexed(char name[NAME_BYTES], const char *prefix, size_t index,
                           const char *suffix)
{
    snprintf(name, NAME_BYTES, "%s_%07lu.%s", prefix, (unsigned long)index, suffix);
    return name;
}

/* Staging: a copy that lives as long as the walk, for what is no array of such numbers. */
static uint64_t *staged(walk *w, size_t count)
{
    uint64_t *words = nn_arena_zero(w->arena, count, sizeof *words);
    if (words == NULL && w->status == DDOME_OK)
        out_of_memory(w);
    return words;
}

static void visit_size(walk *w, const char *name, size_t *value, size_t most)
{
    uint64_t *word = staged(w, 1);
    if (word == NULL)
        return;
    *word = *value;
    visit(w, STATE_U64, name, word, 1);
    if (w->status == DDOME_OK && w->file != NULL && *word > most)
        does_not_fit(w, name, "at most", most);
    if (w->status == DDOME_OK)
        *value = (size_t)*word;
}

static void visit_flags(walk *w, const char *name, bool *flags, size_t count)
{
    unsigned char *bytes = nn_arena_zero(w->arena, count, 1);
    if (bytes == NULL && w->status == DDOME_OK)
        out_of_memory(w);
    if (bytes == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        bytes[i] = flags[i];
    visit(w, STATE_U8, name, bytes, count);
    for (size_t i = 0; i < count && w->status == DDOME_OK; i++)
        if (bytes[i] > 1)
            does_not_fit(w, name, "bytes of 0 or 1", count);
    for (size_t i = 0; i < count && w->status == DDOME_OK; i++)
        flags[i] = bytes[i] != 0;
}

/* Which of `count` arrays are there; NULL when memory is out. Reading leaves the arrays alone. */
static const bool *visit_present(walk *w, const char *name, float *const *values, size_t count)
{
    bool *there = nn_arena_zero(w->arena, count, sizeof *there);
    if (there == NULL && w->status == DDOME_OK)
        out_of_memory(w);
    if (there == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        there[i] = values[i] != NULL;
    visit_flags(w, name, there, count);
    return there;
}

/* An array that may not have been there before: it is allocated, zeroed, once the file is known to
 * have its values. */
static void visit_array(walk *w, const char *name, float **values, size_t floats)
{
    if (w->status != DDOME_OK)
        return;
    if (*values == NULL && find_part(w, STATE_F32, name, floats) != NULL) {
        *values = nn_arena_zero(&w->run->arena, floats, sizeof **values);
        if (*values == NULL)
            w->status = nn_arena_fail(w->error, &w->run->arena, "the state of a client");
    }
    if (*values != NULL)
        visit(w, STATE_F32, name, *values, floats);
}

/* ---- the parts of a run ---- */

static void walk_common(walk *w)
{
    fl_common *common = &w->run->common;
    if (common->values == NULL)
        return;
    visit(w, STATE_U64, "common.batches", &common->batches, 1);
    visit_size(w, "common.correct", &common->correct, SIZE_MAX);
    visit_size(w, "common.epochs", &common->epochs, SIZE_MAX);
    visit_size(w, "common.total", &common->total, SIZE_MAX);
    visit(w, STATE_F32, "common.values", common->values, common->floats);
}

/* As clusters found them; otherwise the partition tells (SPEC 10.4). */
static void walk_anchors(walk *w)
{
    fl_control *control = &w->run->control;
    if (!control->cluster)
        return;
    visit(w, STATE_U32, "anchors", control->anchor, control->anchors);
    for (size_t q = 0; q < control->anchors && w->status == DDOME_OK; q++)
        for (size_t other = 0; other <= q; other++)
            if (control->anchor[q] >= control->training ||
                (other < q && control->anchor[q] == control->anchor[other]))
                does_not_fit(w, "anchors", "distinct clients below", control->training);
}

static void walk_slot(walk *w, const char *prefix, size_t index, fl_slot *slot)
{
    char name[NAME_BYTES];
    visit(w, STATE_U64, indexed(name, prefix, index, "batches"), &slot->batches, 1);
    visit(w, STATE_F32, indexed(name, prefix, index, "values"), slot->values,
          slot->model->layout.total);
    if (w->file != NULL && w->status == DDOME_OK)
        slot->hash = nn_layout_hash(&slot->model->layout, slot->values);
}

static void walk_own(walk *w, fl_server *server)
{
    const size_t clients = server->config->clients, floats = w->run->expert.layout.total;
    char name[NAME_BYTES];
    float **values = nn_arena_zero(w->arena, clients, sizeof *values);
    if (values == NULL && w->status == DDOME_OK)
        out_of_memory(w);
    for (size_t i = 0; i < clients && w->status == DDOME_OK; i++)
        values[i] = server->own[i].values;
    const bool *there = w->status == DDOME_OK ? visit_present(w, "own", values, clients) : NULL;
    for (size_t i = 0; i < clients && w->status == DDOME_OK; i++) {
        if (!there[i])
            continue;
        visit(w, STATE_U64, indexed(name, "own", i, "batches"), &server->own[i].batches, 1);
        visit_array(w, indexed(name, "own", i, "values"), &server->own[i].values, floats);
    }
}

static void walk_arrays(walk *w, const char *prefix, float **values, size_t count, size_t floats)
{
    char name[NAME_BYTES];
    const bool *there = visit_present(w, prefix, values, count);
    for (size_t i = 0; i < count && w->status == DDOME_OK; i++)
        if (there[i])
            visit_array(w, indexed(name, prefix, i, "values"), &values[i], floats);
}

static void walk_server(walk *w)
{
    fl_server *server = &w->run->server;
    const size_t floats = w->run->expert.layout.total, clients = server->config->clients;
    for (size_t i = 0; i < server->experts; i++)
        walk_slot(w, "expert", i, &server->expert[i]);
    if (server->gate.model != NULL)
        walk_slot(w, "gate", 0, &server->gate);
    if (server->local != NULL)
        walk_arrays(w, "local", server->local, clients * server->experts, floats);
    if (server->own != NULL)
        walk_own(w, server);
    if (server->variates.server != NULL) {
        visit(w, STATE_F32, "variate.server", server->variates.server, floats);
        walk_arrays(w, "variate", server->variates.client, clients, floats);
    }
}

static void walk_table(walk *w, fl_table *table)
{
    char name[NAME_BYTES];
    nn_digest *digest = nn_arena_alloc(w->arena, 1, sizeof *digest);
    uint64_t *size = staged(w, 1);
    if (digest == NULL && w->status == DDOME_OK)
        out_of_memory(w);
    if (w->status != DDOME_OK)
        return;
    *digest = fl_table_digest(table);
    *size = table->size;
    snprintf(name, sizeof name, "table.%s.bytes", table->name);
    visit(w, STATE_U64, name, size, 1);
    snprintf(name, sizeof name, "table.%s.sha256", table->name);
    visit(w, STATE_U8, name, digest->byte, sizeof digest->byte);
    if (w->file != NULL && w->status == DDOME_OK && (table->hashed || !w->run->dir.verify))
        w->status = fl_table_resume(w->error, &w->run->dir, table, *size, digest);
}

/* Of the rounds that a state has (SPEC 13.4). */
static size_t evaluations_of(const fl_run *run)
{
    const size_t every = run->config.eval_every, rounds = fl_run_rounds(run);
    return run->done / every + (run->done == rounds && rounds % every != 0);
}

static void walk_record(walk *w)
{
    fl_record *record = &w->run->record;
    fl_table *tables[FL_RECORD_TABLES];
    fl_record_tables(tables, record);
    visit(w, STATE_U64, "traffic.down", &record->total.down, 1);
    visit(w, STATE_U64, "traffic.messages", &record->total.messages, 1);
    visit(w, STATE_U64, "traffic.round_trips", &record->total.round_trips, 1);
    visit(w, STATE_U64, "traffic.up", &record->total.up, 1);
    visit_size(w, "evaluations", &record->evaluations, record->most_evaluations);
    if (w->file != NULL && w->status == DDOME_OK && record->evaluations != evaluations_of(w->run))
        does_not_fit(w, "evaluations", "those of its rounds", evaluations_of(w->run));
    if (w->status != DDOME_OK)
        return;
    visit(w, STATE_F64, "evaluation.means", record->means, record->evaluations);
    visit(w, STATE_F64, "evaluation.last_mean", &record->last.mean, 1);
    visit(w, STATE_F64, "evaluation.last_least", &record->last.min, 1);
    for (size_t i = 0; i < FL_RECORD_TABLES; i++)
        walk_table(w, tables[i]);
}

static void walk_watched(walk *w, fl_watch *watch, size_t i)
{
    fl_watched *expert = &watch->expert[i];
    char name[NAME_BYTES];
    visit(w, STATE_U64, indexed(name, "watch", i, "best"), &expert->best, 1);
    visit(w, STATE_U64, indexed(name, "watch", i, "common"), &expert->common, 1);
    visit(w, STATE_U64, indexed(name, "watch", i, "correct"), &expert->correct, 1);
    visit(w, STATE_F64, indexed(name, "watch", i, "cosines"), &expert->cosines, 1);
    visit(w, STATE_U32, indexed(name, "watch", i, "last"), &expert->last, 1);
    visit(w, STATE_F32, indexed(name, "watch", i, "now"), expert->now, watch->values);
    visit(w, STATE_F32, indexed(name, "watch", i, "start"), expert->start, watch->values);
    visit(w, STATE_U32, indexed(name, "watch", i, "trained"), &expert->trained, 1);
    visit_size(w, indexed(name, "watch", i, "updates"), &expert->updates, w->run->done);
}

static void walk_watch(walk *w)
{
    fl_watch *watch = &w->run->watch;
    visit_flags(w, "watch.begun", &watch->begun, 1);
    visit_flags(w, "watch.seen", (bool *)watch->seen, FL_SIGNS * FL_MAX_EXPERTS);
    for (size_t i = 0; i < watch->server->experts; i++)
        walk_watched(w, watch, i);
    fl_table *tables[FL_WATCH_TABLES];
    fl_watch_tables(tables, watch);
    for (size_t i = 0; i < FL_WATCH_TABLES; i++)
        walk_table(w, tables[i]);
}

static void walk_all(walk *w)
{
    walk_common(w);
    walk_anchors(w);
    walk_server(w);
    walk_record(w);
    walk_watch(w);
}

/* ---- identity ---- */

static void add_hash(fl_text *text, const char *key, const nn_digest *digest)
{
    fl_text_add(text, "%s = \"", key);
    fl_text_digest(text, digest);
    fl_text_add(text, "\"\n");
}

void fl_state_identity(fl_text *text, fl_run *run)
{
    char *csv;
    size_t length;
    const fl_task *task = &run->task;
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    fl_text_add(text, "specification = %d\n", DDOME_SPEC_VERSION);
    fl_config_write(text, &run->config, &run->hashes);
    add_hash(text, "train_sha256", &task->set.train.hash);
    add_hash(text, "test_sha256", &task->set.test.hash);
    if (data_partition_text(NULL, &run->scratch, &csv, &length, &task->partition) == DDOME_OK) {
        const nn_digest digest = nn_sha256_of(csv, length);
        add_hash(text, "partition_sha256", &digest);
    } else
        text->failed = true;
    nn_arena_rewind(&run->scratch, mark);
}

/* The line that begins with the key of `line`, or NULL. */
static const char *same_key(const char *text, const char *line)
{
    const size_t key = strcspn(line, " \n");
    for (; *text != '\0'; text += text[0] == '\n') {
        if (strncmp(text, line, key) == 0 && text[key] == ' ')
            return text;
        text += strcspn(text, "\n");
    }
    return NULL;
}

/* The value of the line "key = value", or that the key is at its default. */
static void show_line(fl_text *out, const char *line)
{
    if (line == NULL)
        fl_text_add(out, "its default");
    else {
        const char *value = line + strcspn(line, "=\n");
        value += *value == '=';
        value += *value == ' ';
        const int length = (int)nn_min(strcspn(value, "\n"), 80);
        fl_text_add(out, "%.*s", length, value);
        if (length == 0)
            fl_text_add(out, "nothing");
    }
}

/* The first line of a that b has otherwise, or NULL. */
static const char *first_other(const char *a, const char *b)
{
    for (; *a != '\0'; a += *a == '\n') {
        const size_t length = strcspn(a, "\n");
        const char *other = same_key(b, a);
        if (other == NULL || strcspn(other, "\n") != length || strncmp(a, other, length) != 0)
            return a;
        a += length;
    }
    return NULL;
}

static ddome_status compare_identity(ddome_error *error, nn_arena *arena, const char *saved,
                                     const char *here, const char *name)
{
    const char *line = first_other(here, saved);
    fl_text found = {.arena = arena}, expected = {.arena = arena};
    if (line == NULL)
        line = first_other(saved, here);
    if (line == NULL)
        return DDOME_OK;
    show_line(&expected, same_key(saved, line));
    show_line(&found, same_key(here, line));
    ddome_status status = fl_text_status(error, &found);
    if (status == DDOME_OK)
        status = fl_text_status(error, &expected);
    if (status != DDOME_OK)
        return status;
    return nn_fail(error, DDOME_ERR_RESUME,
                   "%.120s is of another run: %.*s: expected %s, found %s; leave it as it was, or "
                   "start a new run",
                   name, (int)nn_min(strcspn(line, " \n"), 40), line, expected.data, found.data);
}

ddome_status fl_state_check(ddome_error *error, nn_arena *arena, uint32_t *round,
                            const data_safetensors *file, const char *name, const char *identity)
{
    const data_safetensor *saved = data_safetensors_find(file, "identity");
    walk w = {.error = error, .arena = arena, .file = file};
    if (saved == NULL || strcmp(saved->dtype, "U8") != 0 || saved->rank != 1)
        does_not_fit(&w, "identity", "U8", 1);
    visit(&w, STATE_U32, "round", round, 1);
    char *text = w.status != DDOME_OK ? NULL : nn_arena_zero(arena, saved->byte_count + 1, 1);
    if (w.status == DDOME_OK && text == NULL)
        out_of_memory(&w);
    if (w.status != DDOME_OK)
        return w.status;
    if (saved->byte_count != 0)
        memcpy(text, saved->bytes, saved->byte_count);
    if (strlen(text) != saved->byte_count) {
        does_not_fit(&w, "identity", "text", saved->byte_count);
        return w.status;
    }
    return compare_identity(error, arena, text, identity, name);
}

/* ---- the file ---- */

/* The next bytes of a file that grows. */
typedef struct output {
    fl_run *run;
    const char *name;
    uint64_t size;
    nn_sha256 sha;
} output;

static ddome_status put(output *o, const void *bytes, size_t size)
{
    ddome_status status =
        fl_rundir_append(o->run->error, &o->run->dir, o->name, o->size, bytes, size);
    nn_sha256_bytes(&o->sha, bytes, size);
    o->size += size;
    return status;
}

static ddome_status put_part(output *o, unsigned char *chunk, const part *p, size_t bytes)
{
    const size_t width = TYPE[p->type].bytes, count = bytes / width;
    ddome_status status = DDOME_OK;
    for (size_t first = 0; first < count && status == DDOME_OK;) {
        const size_t some = nn_min(count - first, CHUNK_BYTES / width);
        to_bytes(chunk, p->data, first, some, p->type);
        status = put(o, chunk, some * width);
        first += some;
    }
    return status;
}

static ddome_status put_all(output *o, const walk *w)
{
    unsigned char *head, *chunk = nn_arena_alloc(w->arena, CHUNK_BYTES, 1);
    size_t bytes;
    const data_safetensor *const *order;
    if (chunk == NULL)
        return nn_arena_fail(w->error, w->arena, "a part of a checkpoint");
    ddome_status status =
        data_safetensors_head(w->error, w->arena, &head, &bytes, &order, w->tensor, w->count);
    if (status == DDOME_OK)
        status = put(o, head, bytes);
    for (size_t i = 0; i < w->count && status == DDOME_OK; i++)
        status = put_part(o, chunk, &w->part[order[i] - w->tensor], order[i]->byte_count);
    return status;
}

ddome_status fl_state_write(fl_run *run, nn_digest *digest, const char *name, uint32_t round,
                            const char *identity)
{
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    walk w = {.run = run, .error = run->error, .arena = &run->scratch};
    output o = {.run = run, .name = name};
    nn_sha256_begin(&o.sha);
    list_part(&w, STATE_U8, "identity", identity, strlen(identity));
    visit(&w, STATE_U32, "round", &round, 1);
    walk_all(&w);
    if (w.status == DDOME_OK)
        w.status = put_all(&o, &w);
    *digest = nn_sha256_end(&o.sha);
    nn_arena_rewind(&run->scratch, mark);
    return w.status;
}

/* ---- reading ---- */

static ddome_status read_by(fl_run *run, const data_safetensors *file, size_t *found,
                            void (*parts)(walk *w))
{
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    walk w = {.run = run, .error = run->error, .arena = &run->scratch, .file = file};
    parts(&w);
    *found = w.found;
    nn_arena_rewind(&run->scratch, mark);
    return w.status;
}

ddome_status fl_state_common(fl_run *run, const data_safetensors *file)
{
    size_t found;
    return read_by(run, file, &found, walk_common);
}

ddome_status fl_state_anchors(fl_run *run, const data_safetensors *file)
{
    size_t found;
    return read_by(run, file, &found, walk_anchors);
}

ddome_status fl_state_take(fl_run *run, const data_safetensors *file)
{
    size_t found;
    ddome_status status = read_by(run, file, &found, walk_all);
    const size_t expected = found + 2; /* identity and round */
    if (status == DDOME_OK && expected != file->count)
        return nn_fail(run->error, DDOME_ERR_RESUME,
                       "the checkpoint does not fit the run: expected %lu tensors, found %lu",
                       (unsigned long)expected, (unsigned long)file->count);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* Levels of the common expert, a client's visit, rounds, and the evaluation, on the federation of
 * tools/presets/three_rounds.toml. Models by hashes. SPEC 9 to 13. */
#include <string.h>

#include "vectors_federation.h"

/* The keys of tools/presets/three_rounds.toml that are not at their defaults. */
static const data_vector_key three_rounds[] = {{"seed", "7"},
                                               {"synth_train", "180"},
                                               {"synth_test", "96"},
                                               {"synth_size", "8"},
                                               {"synth_domains", "3"},
                                               {"synth_shapes", "2"},
                                               {"synth_noise", "16"},
                                               {"partition", "dirichlet"},
                                               {"clients", "6"},
                                               {"unseen_clients", "2"},
                                               {"holdout_clients", "2"},
                                               {"unseen_samples", "20"},
                                               {"alpha", "2"},
                                               {"min_size", "9"},
                                               {"width", "4"},
                                               {"pretrain_target", "0.9"},
                                               {"pretrain_lr", "0.05"},
                                               {"pretrain_epochs", "1"},
                                               {"pretrain_batch", "27"},
                                               {"experts", "3"},
                                               {"init", "common"},
                                               {"gate_hidden", "16"},
                                               {"gate_lr", "0.1"},
                                               {"gate_momentum", "0.5"},
                                               {"anchor_gate_weight", "0.5"},
                                               {"rounds", "3"},
                                               {"epochs", "2"},
                                               {"batch", "10"},
                                               {"active_anchors", "1"},
                                               {"active_normal", "2"},
                                               {"lr", "0.05"},
                                               {"weight_decay", "0.0005"},
                                               {"augment", "true"},
                                               {"eval_every", "1"}};

enum { KEYS = sizeof three_rounds / sizeof *three_rounds };

NN_ASSUME(keys_fit, KEYS + VECTORS_MORE_KEYS <= VECTORS_KEYS);

static const char *profile_name(const vectors_federation *f)
{
    return f->arith == NN_ARITH_MA ? "ma" : "fma";
}

static data_profile profile_of(const vectors_federation *f)
{
    return f->arith == NN_ARITH_MA ? DATA_PROFILE_MA : DATA_PROFILE_FMA;
}

/* What a run says goes to its own error. */
void vectors_run_must(vectors_maker *m, const vectors_federation *f, ddome_status status)
{
    if (status != DDOME_OK)
        m->error = f->error;
    vectors_must(m, status);
}

/* ---- set-up ---- */

static void set_key(vectors_federation *f, const data_vector_key *key)
{
    size_t i = 0;
    while (i < f->key_count && strcmp(f->keys[i].key, key->key) != 0)
        i++;
    f->keys[i] = *key;
    f->key_count += i == f->key_count;
}

/* three_rounds with `more` over it, in one profile; ready for round 1. */
static void open_federation(vectors_maker *m, vectors_federation *f, nn_arith arith,
                            const data_vector_key *more, size_t more_count)
{
    static const data_vector_key fma = {"arith", "fma"};
    fl_config config;
    memset(f, 0, sizeof *f);
    f->arith = arith;
    memcpy(f->keys, three_rounds, sizeof three_rounds);
    f->key_count = KEYS;
    if (arith == NN_ARITH_FMA)
        set_key(f, &fma);
    for (size_t i = 0; i < more_count; i++)
        set_key(f, &more[i]);
    fl_config_defaults(&config);
    for (size_t i = 0; i < f->key_count; i++)
        vectors_run_must(m, f, fl_config_set(&f->error, &config, f->keys[i].key, f->keys[i].value));
    vectors_run_must(m, f, fl_run_init(&f->error, &f->run, &config, 1, NULL));
    vectors_run_must(m, f, fl_run_set_up(&f->run));
}

vectors_case vectors_federation_begin(const vectors_federation *f, const char *op)
{
    vectors_case c = vectors_begin(op);
    c.config = f->keys;
    c.config_count = f->key_count;
    return c;
}

void vectors_federation_add(vectors_maker *m, const vectors_federation *f, const vectors_case *c,
                            const char *id, const char *clause, const char *comment)
{
    const vectors_about about = {vectors_name(m, "%s.%s", id, profile_name(f)), clause, comment,
                                 false};
    vectors_add(m, c, &about, profile_of(f));
}

/* ---- models ---- */

static void add_model(vectors_maker *m, vectors_list *list, const char *prefix,
                      const fl_model *model, const float *values)
{
    const nn_layout *layout = &model->layout;
    for (size_t s = 0; s < layout->count; s++) {
        const nn_slice *slice = &layout->slices[s];
        vectors_shape shape = {slice->rank, {0}};
        memcpy(shape.size, slice->shape, slice->rank * sizeof *slice->shape);
        vectors_hash_only(m, list, vectors_name(m, "%s.%s", prefix, slice->name), shape,
                          values + slice->offset);
    }
}

/* The flat vector (SPEC 6.1). */
static void add_flat(vectors_maker *m, vectors_list *list, const char *name, const fl_model *model,
                     const float *values)
{
    vectors_hash_only(m, list, name, vectors_1(model->layout.total), values);
}

void vectors_u32_scalar(vectors_maker *m, vectors_list *list, const char *name, uint64_t value)
{
    uint32_t *element = vectors_alloc(m, 1, sizeof *element);
    *element = (uint32_t)value;
    vectors_u32(m, list, name, vectors_0(), element);
}

/* ---- the common expert ---- */

static void common(vectors_maker *m, vectors_federation *f)
{
    const fl_run *run = &f->run;
    const data_client *client = &run->task.partition.clients[0];
    const size_t features = run->train.features;
    vectors_case c = vectors_federation_begin(f, "common");
    nn_tensor rows = {NULL, client->count, 1, 1, features};
    rows.data = vectors_alloc(m, nn_tensor_count(&rows), sizeof *rows.data);
    fl_embeddings_fill(&rows, &run->train, client->samples, client->count);
    vectors_u32_scalar(m, &c.outputs, "batches", run->common.batches);
    vectors_u32_scalar(m, &c.outputs, "epochs", run->common.epochs);
    vectors_u32_scalar(m, &c.outputs, "holdout_correct", run->common.correct);
    vectors_u32_scalar(m, &c.outputs, "holdout_total", run->common.total);
    add_model(m, &c.outputs, "common", &run->expert, run->common.values);
    vectors_f32(m, &c.outputs, "client0.embeddings", vectors_2(client->count, features), rows.data);
    vectors_federation_add(m, f, &c, "common", "9",
                           "pretraining in batches of 27; embeddings of anchor 0 in its order");
}

/* ---- one client ---- */

static void add_visit(vectors_maker *m, vectors_case *c, const vectors_federation *f,
                      const fl_visit *visit)
{
    const fl_run *run = &f->run;
    uint32_t *chosen = vectors_alloc(m, visit->k, sizeof *chosen);
    memcpy(chosen, visit->chosen, visit->k * sizeof *chosen);
    vectors_u32(m, &c->outputs, "chosen", vectors_1(visit->k), chosen);
    vectors_number(m, &c->outputs, "loss", visit->loss);
    add_model(m, &c->outputs, "gate", &run->gate, visit->gate);
    for (size_t i = 0; i < visit->k; i++) {
        char *name = vectors_name(m, "expert%u", (unsigned)visit->chosen[i]);
        vectors_u32_scalar(m, &c->outputs, vectors_name(m, "%s.batches", name), visit->batches[i]);
        add_model(m, &c->outputs, name, &run->expert, visit->expert[i]);
    }
}

static void client(vectors_maker *m, vectors_federation *f, fl_visit *visit)
{
    fl_run *run = &f->run;
    const bool anchor = visit->client->role == DATA_ANCHOR;
    vectors_case c = vectors_federation_begin(f, "client");
    nn_arena_mark mark = nn_arena_get_mark(&run->scratch);
    vectors_attribute_set(&c, "round", visit->round);
    vectors_attribute_set(&c, "client", visit->client->id);
    vectors_run_must(m, f, fl_run_choose(&f->error, &run->scratch, visit, run));
    vectors_run_must(m, f, fl_server_send(&f->error, &run->scratch, visit, &run->server));
    if (!anchor)
        vectors_score(m, &c, f, "score", visit->client, &run->train);
    vectors_run_must(m, f, fl_client_train(&f->error, &run->scratch, visit, &run->world));
    add_visit(m, &c, f, visit);
    nn_arena_rewind(&run->scratch, mark);
    vectors_federation_add(
        m, f, &c, anchor ? "client.anchor" : "client.normal", anchor ? "11.4" : "11.3",
        "what it returns after its visit of round 1, in batches of 10, 10 and 4");
}

static void clients(vectors_maker *m, vectors_federation *f)
{
    bool done[2] = {false, false};
    vectors_run_must(m, f, fl_run_open_round(&f->run, 1));
    for (size_t i = 0; i < f->run.active; i++) {
        const size_t kind = f->run.visits[i].client->role == DATA_ANCHOR ? 0 : 1;
        if (!done[kind])
            client(m, f, &f->run.visits[i]);
        done[kind] = true;
    }
}

/* ---- rounds ---- */

static ddome_status one_client(ddome_error *error, nn_arena *scratch, fl_visit *visit,
                               const fl_run *run)
{
    ddome_status status = fl_run_choose(error, scratch, visit, run);
    if (status == DDOME_OK)
        status = fl_server_send(error, scratch, visit, &run->server);
    return status == DDOME_OK ? fl_client_train(error, scratch, visit, &run->world) : status;
}

static void add_server(vectors_maker *m, vectors_list *list, const fl_run *run, unsigned round)
{
    if (run->server.gate.model != NULL)
        add_flat(m, list, vectors_name(m, "round%u.gate", round), &run->gate,
                 run->server.gate.values);
    for (size_t i = 0; i < run->server.experts; i++)
        add_flat(m, list, vectors_name(m, "round%u.expert%u", round, (unsigned)i), &run->expert,
                 run->server.expert[i].values);
}

/* What rounds.jsonl has of a round. */
static void add_round(vectors_maker *m, vectors_list *list, const fl_run *run, unsigned round)
{
    uint32_t *ids = vectors_alloc(m, run->active, sizeof *ids);
    float *loss = vectors_alloc(m, run->active, sizeof *loss);
    for (size_t i = 0; i < run->active; i++) {
        const fl_visit *visit = &run->visits[i];
        uint32_t *chosen = vectors_alloc(m, visit->k, sizeof *chosen);
        ids[i] = visit->client->id;
        loss[i] = visit->loss;
        memcpy(chosen, visit->chosen, visit->k * sizeof *chosen);
        vectors_u32(m, list, vectors_name(m, "round%u.client%u.chosen", round, (unsigned)ids[i]),
                    vectors_1(visit->k), chosen);
    }
    vectors_u32(m, list, vectors_name(m, "round%u.participants", round), vectors_1(run->active),
                ids);
    vectors_f32(m, list, vectors_name(m, "round%u.loss", round), vectors_1(run->active), loss);
    add_server(m, list, run, round);
}

/* One vector for the first round, one for all of them. */
static void rounds(vectors_maker *m, vectors_federation *f, unsigned count, const char *id,
                   const char *comment)
{
    fl_run *run = &f->run;
    vectors_case c = vectors_federation_begin(f, "rounds");
    c.attribute_count = 1;
    add_server(m, &c.outputs, run, 0);
    for (unsigned round = 1; round <= count; round++) {
        vectors_run_must(m, f, fl_run_open_round(run, round));
        vectors_run_must(m, f, fl_run_clients(run, one_client, fl_run_take));
        vectors_run_must(m, f, fl_run_close_round(run, round));
        add_round(m, &c.outputs, run, round);
        c.attribute[0] = (nn_attribute){"rounds", round};
        if (round == 1 || round == count)
            vectors_federation_add(m, f, &c, count == 1 ? id : vectors_name(m, "%s.%u", id, round),
                                   "11", comment);
    }
}

typedef struct other {
    const char *id, *comment;
    unsigned rounds;
    data_vector_key keys[VECTORS_MORE_KEYS];
    size_t key_count;
} other;

static const other others[] = {
    {"round.untrained",
     "one anchor alone: experts that nobody trained stay as they are",
     1,
     {{"active_anchors", "1"}, {"active_normal", "0"}},
     2},
    {"round.one_sample",
     "clients with one sample: batches of one, N = 1 in the last stage",
     1,
     {{"partition", "labels"},
      {"labels_per_client", "1"},
      {"anchor_labels", "1"},
      {"samples_per_client", "1"},
      {"holdout_clients", "0"},
      {"unseen_clients", "0"},
      {"unseen_samples", "0"},
      {"eval_scope", "global"}},
     8},
    {"round.keys",
     "the other choice of many keys: labels, probs, local statistics, uniform, random start",
     2,
     {{"mix", "probs"},
      {"bn_stats", "local"},
      {"aggregate", "uniform"},
      {"sampling", "uniform"},
      {"partition", "labels"},
      {"label_group", "2"},
      {"init", "random"},
      {"gate_momentum", "0"}},
     8},
    {"round.fedavg", "the baseline: one model, no gate", 2, {{"algo", "fedavg"}}, 1},
    {"round.first",
     "statistics of the lowest client id alone; the 7x7 stem",
     1,
     {{"bn_stats", "first"}, {"stem", "7x7"}},
     2}};

static void other_rounds(vectors_maker *m, const other *o, nn_arith arith)
{
    vectors_federation f;
    open_federation(m, &f, arith, o->keys, o->key_count);
    rounds(m, &f, o->rounds, o->id, o->comment);
    fl_run_free(&f.run);
}

/* ---- evaluation ---- */

/* The whole test split as one client, after one round. */
static void global_evaluation(vectors_maker *m, nn_arith arith)
{
    static const data_vector_key global[] = {{"eval_scope", "global"}};
    vectors_federation f;
    open_federation(m, &f, arith, global, 1);
    vectors_run_must(m, &f, fl_run_open_round(&f.run, 1));
    vectors_run_must(m, &f, fl_run_clients(&f.run, one_client, fl_run_take));
    vectors_run_must(m, &f, fl_run_close_round(&f.run, 1));
    vectors_evaluation(m, &f, 1, "evaluation.global",
                       "the whole test split as one client with K = M, after round 1");
    fl_run_free(&f.run);
}

void vectors_levels_federation(vectors_maker *m)
{
    static vectors_federation f[NN_ARITH_COUNT]; /* too large for a small stack */
    for (int i = 0; i < NN_ARITH_COUNT; i++)
        open_federation(m, &f[i], (nn_arith)i, NULL, 0);
    vectors_open(m, "common");
    for (int i = 0; i < NN_ARITH_COUNT; i++)
        common(m, &f[i]);
    vectors_close(m);
    vectors_open(m, "client");
    for (int i = 0; i < NN_ARITH_COUNT; i++)
        clients(m, &f[i]);
    vectors_close(m);
    vectors_open(m, "round");
    for (int i = 0; i < NN_ARITH_COUNT; i++)
        rounds(m, &f[i], 3, "round", "rounds with two anchors and two normal clients");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        other_rounds(m, &others[i], NN_ARITH_MA);
        other_rounds(m, &others[i], NN_ARITH_FMA);
    }
    vectors_close(m);
    vectors_open(m, "evaluation");
    for (int i = 0; i < NN_ARITH_COUNT; i++) {
        vectors_evaluation(m, &f[i], 3, "evaluation",
                           "zero-shot, of the unseen clients after round 3");
        fl_run_free(&f[i].run);
        global_evaluation(m, (nn_arith)i);
    }
    vectors_close(m);
}

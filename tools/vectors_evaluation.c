/* SPDX-License-Identifier: MIT */
/* The zero-shot evaluation as a vector: scores, routes and predictions besides what a run records.
 * SPEC 10, 13. */
#include "vectors_federation.h"

void vectors_score(vectors_maker *m, vectors_case *c, vectors_federation *f, const char *name,
                   const data_client *client, const fl_embeddings *embeddings)
{
    fl_run *run = &f->run;
    const size_t experts = run->server.experts;
    float *logits = vectors_alloc(m, client->count * experts, sizeof *logits);
    float *score = vectors_alloc(m, experts, sizeof *score);
    vectors_run_must(m, f,
                     fl_gate_logits(&run->engine, &f->error, &run->scratch, logits, &run->gate,
                                    run->server.gate.values, embeddings, client->samples,
                                    client->count, NULL));
    vectors_run_must(
        m, f, fl_gate_score(&f->error, &run->scratch, score, logits, client->count, experts));
    vectors_f32(m, &c->outputs, name, vectors_1(experts), score);
}

/* Predictions are not kept by the run: they are made again sample by sample. */
static void add_predictions(vectors_maker *m, vectors_case *c, vectors_federation *f,
                            const data_client *client, const fl_client_result *result)
{
    fl_run *run = &f->run;
    const size_t experts = run->server.experts, classes = run->expert.outputs;
    const data_split *split = fl_task_split(&run->task, client);
    const char *prefix = vectors_name(m, "client%u", (unsigned)client->id);
    float *gate = vectors_alloc(m, client->count * experts, sizeof *gate);
    float *logits = vectors_alloc(m, classes, sizeof *logits);
    uint32_t *routed = vectors_alloc(m, client->count, sizeof *routed);
    uint32_t *predicted = vectors_alloc(m, client->count, sizeof *predicted);
    vectors_run_must(m, f,
                     fl_gate_logits(&run->engine, &f->error, &run->scratch, gate, &run->gate,
                                    run->server.gate.values, &run->test, client->samples,
                                    client->count, NULL));
    size_t correct = 0;
    for (size_t i = 0; i < client->count; i++) {
        const float *row = gate + i * experts;
        routed[i] = result->chosen[0];
        for (size_t j = 1; j < result->k; j++)
            routed[i] = row[result->chosen[j]] > row[routed[i]] ? result->chosen[j] : routed[i];
        vectors_run_must(m, f,
                         fl_model_predict(&run->engine, &f->error, &run->scratch, logits, NULL,
                                          &run->expert, run->server.expert[routed[i]].values,
                                          &run->task.set, split, &client->samples[i], 1));
        predicted[i] = (uint32_t)fl_argmax(logits, classes);
        correct += predicted[i] == split->labels[client->samples[i]];
    }
    vectors_check(m, correct == result->correct, "predictions differ from the evaluation", prefix);
    vectors_u32(m, &c->outputs, vectors_name(m, "%s.routed", prefix), vectors_1(client->count),
                routed);
    vectors_u32(m, &c->outputs, vectors_name(m, "%s.predictions", prefix), vectors_1(client->count),
                predicted);
}

void vectors_evaluation(vectors_maker *m, vectors_federation *f, unsigned round, const char *id,
                        const char *comment)
{
    fl_run *run = &f->run;
    fl_evaluation e;
    vectors_case c = vectors_federation_begin(f, "evaluation");
    vectors_attribute_set(&c, "round", round);
    vectors_run_must(
        m, f, fl_evaluate(&f->error, &run->arena, &run->crew, &e, run->evaluator, &run->server));
    for (size_t i = 0; i < e.clients; i++) {
        const data_client *client = &run->evaluator->clients[i];
        const fl_client_result *r = &e.client[i];
        const char *prefix = vectors_name(m, "client%u", (unsigned)client->id);
        vectors_score(m, &c, f, vectors_name(m, "%s.score", prefix), client, &run->test);
        vectors_u32(m, &c.outputs, vectors_name(m, "%s.chosen", prefix), vectors_1(r->k),
                    r->chosen);
        add_predictions(m, &c, f, client, r);
        vectors_u32_scalar(m, &c.outputs, vectors_name(m, "%s.correct", prefix), r->correct);
        vectors_number(m, &c.outputs, vectors_name(m, "%s.loss", prefix), r->loss);
        vectors_number(m, &c.outputs, vectors_name(m, "%s.score_entropy", prefix),
                       r->score_entropy);
        vectors_number(m, &c.outputs, vectors_name(m, "%s.mean_entropy", prefix), r->mean_entropy);
    }
    vectors_u32_scalar(m, &c.outputs, "anchor_routed", e.anchor_own);
    vectors_u32_scalar(m, &c.outputs, "anchor_total", e.anchor_total);
    vectors_federation_add(m, f, &c, id, "13", comment);
}

/* SPDX-License-Identifier: MIT */
/* Pretraining against SGD by hand, its stop, its pool; what the embeddings are. SPEC 9. */
#include <string.h>

#include "fixture.h"
#include "fl_fixture.h"

void t_common(void);

enum { EPOCHS = 6, IMAGE = 8 * 8 * 3, LEVELS = 256 };

#define KEYS                                                                                       \
    "pretrain_epochs=6 pretrain_batch=25 pretrain_lr=0.2 pretrain_momentum=0.5 "                   \
    "pretrain_weight_decay=0.01 "

/* Accuracies that were reported, epoch by epoch. */
typedef struct log_book {
    size_t epochs;
    double accuracy[EPOCHS];
} log_book;

static void note(void *user, ddome_phase phase, uint64_t done, uint64_t of, double value)
{
    log_book *book = user;
    if (CHECK(phase == DDOME_PHASE_PRETRAIN && of == EPOCHS && done <= EPOCHS))
        book->accuracy[done - 1] = value;
    book->epochs = (size_t)done;
}

/* Pretrains again from the start with this target. */
static fl_common pretrain(fl_run *run, float target, log_book *book)
{
    const ddome_progress progress = {.report = note, .user = book};
    fl_common common;
    memset(book, 0, sizeof *book);
    run->config.pretrain_target.value = target;
    test_status("pretraining",
                fl_common_pretrain(&run->engine, run->error, &run->arena, &run->scratch, &common,
                                   &run->expert, &run->config, &run->task, &progress, NULL),
                DDOME_OK, run->error, NULL);
    test_same_u64("epochs", common.epochs, book->epochs);
    test_same_u64("held-out samples", common.total, run->task.partition.held_count);
    CHECK((double)common.correct / (double)common.total == book->accuracy[book->epochs - 1]);
    test_same_u64("steps", common.batches, common.epochs * 8);
    return common;
}

/* ---- the stop ---- */

/* The first epoch with the highest accuracy of all, and the accuracy as the stop sees it. */
static size_t best_epoch(const log_book *book)
{
    size_t best = 0;
    for (size_t i = 1; i < book->epochs; i++)
        if (book->accuracy[i] > book->accuracy[best])
            best = i;
    return best + 1;
}

/* SPEC 9.2. */
static void stops(void)
{
    fl_run run;
    ddome_error error;
    log_book whole, book;
    test_case("common: pretraining stops at the first epoch that reaches the target");
    if (test_federation_init(&run, &error, KEYS)) {
        pretrain(&run, 1.0f, &whole);
        const size_t best = best_epoch(&whole);
        const size_t held = run.task.partition.held_count;
        const float most = (float)(whole.accuracy[best - 1] * (double)held + 0.5);
        const float target = (float)(size_t)most / (float)held;
        test_same_u64("an unreached target ends with the last epoch", whole.epochs, EPOCHS);
        test_check(best > 1 && best < EPOCHS, __FILE__, __LINE__, "epoch %lu reaches the target",
                   (unsigned long)best);
        pretrain(&run, target, &book);
        test_same_u64("the accuracy of its epoch is enough", book.epochs, best);
        pretrain(&run, nn_float_from_bits(nn_float_bits(target) + 1), &book);
        test_same_u64("a target just above it is not reached", book.epochs, EPOCHS);
        pretrain(&run, 0, &book);
        test_same_u64("a target of 0 takes one epoch", book.epochs, 1);
    }
    fl_run_free(&run);
}

/* ---- the steps ---- */

/* Every epoch has its own order of the pool, the rate falls over all planned steps, the velocity
 * stays. SPEC 9.1. */
static void by_hand(float *values, const fl_run *run)
{
    const data_partition *p = &run->task.partition;
    const nn_sgd sgd = {0, 0.5f, 0.01f};
    /* named: where FLT_EVAL_METHOD is 1 a literal in an expression has the bits of a double */
    const float rate = 0.2f;
    test_sgd s = test_sgd_start(run, values, &sgd, 25);
    uint32_t *order = test_bytes(p->pool_count, sizeof *order);
    nn_layout_init(values, &run->expert.layout, 1, NN_STREAM_INIT_COMMON, 0);
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        nn_rng rng = nn_rng_at(1, NN_STREAM_PRETRAIN, epoch, 0, 0);
        memcpy(order, p->pool, p->pool_count * sizeof *order);
        nn_rng_shuffle(&rng, order, p->pool_count);
        for (size_t at = 0; at < p->pool_count; at += 25) {
            const float left = (float)(EPOCHS * 8 - s.steps) / (float)(EPOCHS * 8);
            s.sgd.lr = rate * left;
            test_sgd_batch(&s, order + at, p->pool_count - at);
        }
    }
}

static void equals_sgd(void)
{
    fl_run run;
    ddome_error error;
    log_book book;
    test_case("common: pretraining equals SGD by hand with the order of each epoch");
    if (test_federation_init(&run, &error, KEYS)) {
        test_same_u64("8 batches an epoch, the last one short", run.task.partition.pool_count, 180);
        const fl_common common = pretrain(&run, 1.0f, &book);
        float *values = test_floats(run.expert.layout.total);
        by_hand(values, &run);
        test_same_floats("weights", common.values, values, run.expert.layout.total);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- the pool ---- */

/* Turns the pixels of the listed samples around. */
static void invert(uint8_t *pixels, const uint32_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < IMAGE; j++) {
            uint8_t *pixel = &pixels[samples[i] * IMAGE + j];
            *pixel = (uint8_t)(LEVELS - 1 - *pixel);
        }
}

/* SPEC 9.1. */
static void only_the_pool(void)
{
    fl_run run;
    ddome_error error;
    log_book book;
    test_case("common: pretraining sees the samples of the pool and no others");
    if (test_federation_init(&run, &error, KEYS)) {
        const data_partition *p = &run.task.partition;
        const size_t bytes = run.task.set.train.count * IMAGE;
        const size_t floats = run.expert.layout.total * sizeof(float);
        const fl_common before = pretrain(&run, 1.0f, &book);
        uint8_t *pixels = test_bytes(bytes, 1);
        memcpy(pixels, run.task.set.train.pixels, bytes);
        run.task.set.train.pixels = pixels;
        invert(pixels, p->held, p->held_count);
        fl_common after = pretrain(&run, 1.0f, &book);
        test_same_floats("held-out samples changed", after.values, before.values,
                         run.expert.layout.total);
        invert(pixels, p->pool + p->pool_count - 1, 1);
        after = pretrain(&run, 1.0f, &book);
        CHECK(memcmp(after.values, before.values, floats) != 0);
        test_release();
    }
    fl_run_free(&run);
}

/* ---- embeddings ---- */

/* A sample's row is what the common expert's last layer reads, and only samples that somebody holds
 * have one. SPEC 9.3. */
static void embeds(void)
{
    fl_run run;
    ddome_error error;
    test_case("common: embeddings are the features of the samples that clients hold");
    if (test_federation(&run, &error, "")) {
        const size_t width = run.train.features, count = run.task.set.train.count;
        float *row = test_floats(width);
        uint8_t *held = test_bytes(count, 1);
        memset(held, 0, count);
        test_same_u64("features", width, 6);
        for (size_t k = 0; k < run.task.partition.training; k++)
            for (size_t i = 0; i < run.task.partition.clients[k].count; i++)
                held[run.task.partition.clients[k].samples[i]] = 1;
        for (uint32_t sample = 0; sample < count; sample++) {
            CHECK((run.train.slot[sample] != UINT32_MAX) == (held[sample] == 1));
            if (!held[sample])
                continue;
            CHECK(fl_model_predict(&run.engine, &error, &run.scratch, NULL, row, &run.expert,
                                   run.common.values, &run.task.set, &run.task.set.train, &sample,
                                   1) == DDOME_OK);
            test_same_floats("embedding", run.train.rows + run.train.slot[sample] * width, row,
                             width);
        }
        test_release();
    }
    fl_run_free(&run);
}

/* Whichever allocation is the first to fail, of what stays or of what does not. */
static void embeds_without_memory(void)
{
    fl_run run;
    ddome_error error;
    test_case("common: embeddings without memory");
    if (test_federation(&run, &error, "")) {
        const data_partition *p = &run.task.partition;
        for (int scratch = 0; scratch < 2; scratch++) {
            ddome_status status = DDOME_ERR_MEMORY;
            for (size_t step = 1; status != DDOME_OK && step < 100; step++) {
                nn_arena kept = {0}, short_lived = {0};
                fl_embeddings made;
                (scratch ? &short_lived : &kept)->fail_after = step;
                status = fl_common_embed(&run.engine, &error, &kept, &short_lived, &made,
                                         &run.common, &run.expert, &run.task, &run.task.set.train,
                                         p->clients, p->training);
                if (status != DDOME_OK)
                    test_status("without memory", status, DDOME_ERR_MEMORY, &error,
                                "out of memory");
                else
                    CHECK(step > 2);
                nn_arena_free(&kept);
                nn_arena_free(&short_lived);
            }
            CHECK(status == DDOME_OK);
        }
    }
    fl_run_free(&run);
}

void t_common(void)
{
    stops();
    equals_sgd();
    only_the_pool();
    embeds();
    embeds_without_memory();
}

/* SPDX-License-Identifier: MIT */
/* Which failure signatures an evaluation shows, each a line of signatures.csv; the first time also
 * a line for people; the gate's accuracy. SPEC 14.7 to 14.10. */
#include <string.h>

#include "baselines.h"
#include "watch.h"

static const char *const SIGN_NAME[FL_SIGNS] = {
    [FL_SIGN_ONE_CHOICE] = "one-choice",     [FL_SIGN_ONE_EXPERT] = "one-expert",
    [FL_SIGN_BELOW_COMMON] = "below-common", [FL_SIGN_CLIENT_VARIANCE] = "client-variance",
    [FL_SIGN_UNTRAINED] = "untrained",       [FL_SIGN_DRIFT] = "drift",
};

bool fl_sign_of_expert(fl_sign sign)
{
    return sign == FL_SIGN_BELOW_COMMON || sign == FL_SIGN_UNTRAINED || sign == FL_SIGN_DRIFT;
}

/* What the judges of one evaluation share. */
typedef struct judgement {
    fl_watch *watch;
    nn_arena *scratch;
    uint32_t round;
    const fl_evaluation *evaluation;
    const fl_metrics *metrics;
    const ddome_progress *progress;
} judgement;

/* ---- lines ---- */

/* Decimals of SPEC 2.8 have no sign. */
static void add_signed(fl_text *text, double value)
{
    fl_text_add(text, "%s", value < 0 ? "-" : "");
    fl_text_fixed6(text, value < 0 ? -value : value);
}

static void add_list(fl_text *text, const uint32_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fl_text_add(text, "%s%u", i == 0 ? "" : " ", (unsigned)list[i]);
}

/* "round,signature,experts,"; the value and the line's end are the caller's. */
static fl_text *open_line(const judgement *j, fl_sign sign, const uint32_t *experts, size_t count)
{
    fl_text *text = &j->watch->signatures.text;
    fl_text_add(text, "%u,%s,", (unsigned)j->round, SIGN_NAME[sign]);
    add_list(text, experts, count);
    fl_text_add(text, ",");
    return text;
}

/* Is it the first time, and does somebody listen? */
static bool is_news(const judgement *j, fl_sign sign, size_t expert)
{
    bool *seen = &j->watch->seen[sign][expert];
    const bool first = !*seen;
    *seen = true;
    return first && j->progress != NULL && j->progress->notice != NULL;
}

/* The text begins with the sign's name and round; hands it over, unless memory is out. */
static fl_text open_news(const judgement *j, fl_sign sign)
{
    fl_text text = {.arena = j->scratch};
    fl_text_add(&text, "failure signature %s, round %u: ", SIGN_NAME[sign], (unsigned)j->round);
    return text;
}

static void tell(const judgement *j, const fl_text *text)
{
    if (!text->failed)
        j->progress->notice(j->progress->user, text->data);
}

/* ---- choices (D50) ---- */

/* Where one client alone is under evaluation, those that the last round's participants made. */
static fl_watched_choice choices_of(const judgement *j)
{
    const fl_evaluation *e = j->evaluation;
    fl_watched_choice choice = {.clients = 0};
    if (e->clients < 2)
        return j->watch->choice;
    for (size_t i = 0; i < e->clients; i++)
        fl_watch_choice(&choice, e->client[i].chosen, e->client[i].k);
    return choice;
}

static void judge_choice(const judgement *j)
{
    const fl_watched_choice c = choices_of(j);
    if (c.clients < 2 || c.k >= j->evaluation->experts || !c.alike)
        return;
    fl_text *text = open_line(j, FL_SIGN_ONE_CHOICE, c.chosen, c.k);
    fl_text_add(text, "%lu\n", (unsigned long)c.clients);
    if (!is_news(j, FL_SIGN_ONE_CHOICE, 0))
        return;
    fl_text news = open_news(j, FL_SIGN_ONE_CHOICE);
    fl_text_add(&news, "all %lu %s chose expert%s ", (unsigned long)c.clients,
                j->evaluation->clients < 2 ? "participants with a choice" : "clients",
                c.k == 1 ? "" : "s");
    add_list(&news, c.chosen, c.k);
    tell(j, &news);
}

static uint64_t routed_to(const fl_evaluation *e, size_t expert)
{
    uint64_t samples = 0;
    for (size_t label = 0; label < e->classes; label++)
        samples += e->routed[expert * e->classes + label];
    return samples;
}

static void judge_routes(const judgement *j)
{
    const fl_evaluation *e = j->evaluation;
    uint32_t used = 0;
    size_t count = 0;
    for (size_t i = 0; i < e->experts; i++)
        if (routed_to(e, i) != 0) {
            used = (uint32_t)i;
            count++;
        }
    if (e->experts < 2 || count != 1 || (e->clients == 1 && e->client[0].k == 1))
        return; /* one choice of one client leaves nothing to route */
    fl_text *text = open_line(j, FL_SIGN_ONE_EXPERT, &used, 1);
    fl_text_add(text, "%llu\n", (unsigned long long)j->metrics->total);
    if (!is_news(j, FL_SIGN_ONE_EXPERT, 0))
        return;
    fl_text news = open_news(j, FL_SIGN_ONE_EXPERT);
    fl_text_add(&news, "expert %u predicts all %llu samples", (unsigned)used,
                (unsigned long long)j->metrics->total);
    tell(j, &news);
}

/* ---- experts (D51, D53, D54) ---- */

static double share(uint64_t count, size_t total)
{
    return (double)count / (double)total;
}

static const char *whose(const fl_watched *w)
{
    return w->shared ? "" : " of its anchor's labels";
}

static void judge_common(const judgement *j, uint32_t expert)
{
    const fl_watched *w = &j->watch->expert[expert];
    if (w->total == 0 || w->correct >= w->common)
        return;
    fl_text *text = open_line(j, FL_SIGN_BELOW_COMMON, &expert, 1);
    fl_text_fixed6(text, share(w->common - w->correct, w->total));
    fl_text_add(text, "\n");
    if (!is_news(j, FL_SIGN_BELOW_COMMON, expert))
        return;
    fl_text news = open_news(j, FL_SIGN_BELOW_COMMON);
    fl_text_add(&news, "of %lu held samples%s expert %u has %llu right, the common expert %llu",
                (unsigned long)w->total, whose(w), (unsigned)expert, (unsigned long long)w->correct,
                (unsigned long long)w->common);
    tell(j, &news);
}

static void judge_training(const judgement *j, uint32_t expert)
{
    const fl_control *control = j->watch->control;
    const uint32_t idle = fl_control_expert_rounds(control, j->round) -
                          fl_control_expert_rounds(control, j->watch->expert[expert].last);
    if (idle < FL_WATCH_ROUNDS)
        return;
    fl_text *text = open_line(j, FL_SIGN_UNTRAINED, &expert, 1);
    fl_text_add(text, "%u\n", (unsigned)idle);
    if (!is_news(j, FL_SIGN_UNTRAINED, expert))
        return;
    fl_text news = open_news(j, FL_SIGN_UNTRAINED);
    fl_text_add(&news, "nobody trained expert %u for %u rounds", (unsigned)expert, (unsigned)idle);
    tell(j, &news);
}

/* A tenth of the samples below its best, in integers (D54). */
static void judge_drift(const judgement *j, uint32_t expert)
{
    fl_watched *w = &j->watch->expert[expert];
    const uint64_t best = w->best;
    w->best = w->correct > best ? w->correct : best;
    if (w->total == 0 || w->correct >= best || 10 * (best - w->correct) < w->total)
        return;
    fl_text *text = open_line(j, FL_SIGN_DRIFT, &expert, 1);
    fl_text_fixed6(text, share(best - w->correct, w->total));
    fl_text_add(text, "\n");
    if (!is_news(j, FL_SIGN_DRIFT, expert))
        return;
    fl_text news = open_news(j, FL_SIGN_DRIFT);
    fl_text_add(&news, "of %lu held samples%s expert %u has %llu right and had %llu",
                (unsigned long)w->total, whose(w), (unsigned)expert, (unsigned long long)w->correct,
                (unsigned long long)best);
    tell(j, &news);
}

/* A line of drift.csv; the cosines begin anew. SPEC 14.8. */
static void add_drift(const judgement *j, uint32_t expert)
{
    fl_watched *w = &j->watch->expert[expert];
    fl_text *text = &j->watch->drift.text;
    fl_text_add(text, "%u,%u,%u,%u,", (unsigned)j->round, (unsigned)expert, (unsigned)w->trained,
                (unsigned)w->last);
    if (w->updates != 0)
        add_signed(text, w->cosines / (double)w->updates);
    fl_text_add(text, ",%llu,%lu,%llu\n", (unsigned long long)w->correct, (unsigned long)w->total,
                (unsigned long long)w->common);
    w->cosines = 0;
    w->updates = 0;
}

/* ---- clients (D52) ---- */

static void judge_variance(const judgement *j)
{
    const double std = j->metrics->std;
    if (j->evaluation->clients < 2 || !(std >= FL_WATCH_STD))
        return;
    fl_text *text = open_line(j, FL_SIGN_CLIENT_VARIANCE, NULL, 0);
    fl_text_fixed6(text, std);
    fl_text_add(text, "\n");
    if (!is_news(j, FL_SIGN_CLIENT_VARIANCE, 0))
        return;
    fl_text news = open_news(j, FL_SIGN_CLIENT_VARIANCE);
    fl_text_add(&news, "the clients' accuracies have standard deviation ");
    fl_text_fixed6(&news, std);
    tell(j, &news);
}

/* ---- the gate (SPEC 14.10) ---- */

static void add_gate(const judgement *j)
{
    const fl_evaluation *e = j->evaluation;
    for (size_t i = 0; i < e->clients; i++)
        fl_text_add(&j->watch->gate.text, "%u,%u,%lu,%lu\n", (unsigned)j->round,
                    (unsigned)e->client[i].client, (unsigned long)e->client[i].own,
                    (unsigned long)e->client[i].tied);
}

/* The order of SPEC 14.7. */
ddome_status fl_watch_judge(ddome_error *error, nn_arena *scratch, fl_watch *watch, uint32_t round,
                            const fl_evaluation *evaluation, const fl_metrics *metrics,
                            const ddome_progress *progress)
{
    const judgement j = {watch, scratch, round, evaluation, metrics, progress};
    const uint32_t experts = (uint32_t)watch->server->experts;
    const fl_algorithm *algorithm = fl_algorithm_of(watch->server->config);
    nn_arena_mark mark = nn_arena_get_mark(scratch);
    judge_choice(&j);
    if (algorithm->prediction != FL_PREDICTION_MEAN)
        judge_routes(&j);
    for (uint32_t i = 0; i < experts; i++)
        judge_common(&j, i);
    judge_variance(&j);
    for (uint32_t i = 0; i < experts && !algorithm->own; i++)
        judge_training(&j, i);
    for (uint32_t i = 0; i < experts; i++)
        judge_drift(&j, i);
    for (uint32_t i = 0; i < experts; i++)
        add_drift(&j, i);
    add_gate(&j);
    nn_arena_rewind(scratch, mark);
    ddome_status status = fl_text_status(error, &watch->signatures.text);
    if (status == DDOME_OK)
        status = fl_text_status(error, &watch->drift.text);
    return status == DDOME_OK ? fl_text_status(error, &watch->gate.text) : status;
}

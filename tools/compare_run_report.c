/* SPDX-License-Identifier: MIT */
/* What was found in two run directories, file by file, and what to do next. SPEC 19.4.2. */
#include <inttypes.h>
#include <string.h>

#include "../nn/os.h"
#include "compare_run.h"

/* ---- findings ---- */

static void add_sides(tool *t, const run_finding *f)
{
    if (f->a != NULL) {
        fl_text_add(&t->text, "    A        %s\n    B        %s\n", tool_shown(t, f->a),
                    tool_shown(t, f->b));
        tool_json_string(t, "a", f->a);
        tool_json_string(t, "b", f->b);
    }
    if (f->ulp != COMPARE_NO_ULP) {
        fl_text_add(&t->text, "    apart    %" PRIu64 " ULP\n", f->ulp);
        tool_json_u64(t, "ulp", f->ulp);
    }
}

static void add_finding(tool *t, const run_pair *pair, const run_finding *f, const char *what,
                        const char *member)
{
    fl_text_add(&t->text, "%s: %s, %s\n", what, f->file, tool_shown(t, f->where));
    fl_text_add(&t->json, ", \"%s\": {\"file\": \"%s\"", member, f->file);
    tool_json_string(t, "where", f->where);
    if (f->round != RUN_NO_PLACE)
        tool_json_u64(t, "round", f->round);
    if (f->client != RUN_NO_PLACE)
        tool_json_u64(t, "client", f->client);
    add_sides(t, f);
    if (pair->tensor != NULL && f->stage != RUN_SETTINGS) {
        compare_add_text(t, &pair->tensor->a, &pair->tensor->b, &pair->tensor->result);
        compare_add_json(t, &pair->tensor->a, &pair->tensor->b, &pair->tensor->result);
    }
    if (f->stage == RUN_ROUND) {
        fl_text_add(&t->text, "    later    %lu later rounds differ\n",
                    (unsigned long)pair->later_rounds);
        tool_json_u64(t, "later_rounds", pair->later_rounds);
    }
    fl_text_add(&t->text, "\n");
    fl_text_add(&t->json, "}");
}

static void add_findings(tool *t, const run_pair *pair)
{
    add_finding(t, pair, &pair->first, "first difference", "first");
    if (pair->first.stage == RUN_SETTINGS && pair->found_computed)
        add_finding(t, pair, &pair->computed, "first computed difference", "first_computed");
}

/* ---- next ---- */

/* A word as a shell takes it. */
static const char *quoted(tool *t, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:@%,";
    fl_text text = {.arena = &t->arena};
    if (word[0] != '\0' && strspn(word, plain) == strlen(word))
        return word;
    fl_text_add(&text, "'");
    for (; *word != '\0'; word++)
        if (*word == '\'')
            fl_text_add(&text, "'\\''");
        else
            fl_text_add(&text, "%c", *word);
    fl_text_add(&text, "'");
    t->text.failed = t->text.failed || text.failed;
    return text.data == NULL ? "" : tool_shown(t, text.data);
}

/* What another program wrote need not have the configuration that this one trains by. */
static void add_trace_command(const run_pair *pair, bool of_a, uint64_t round, const char *pattern)
{
    tool *t = pair->call->t;
    const char *run = of_a ? pair->call->a : pair->call->b, *side = of_a ? "A" : "B";
    const char *config = compare_path(t, run, "config.toml");
    if (config == NULL)
        return;
    if (!nn_os_exists(config)) {
        fl_text_add(&t->text,
                    "    %s has no config.toml: %s.trace is for the program that made it "
                    "(docs/checking.md)\n",
                    tool_shown(t, run), side);
        return;
    }
    fl_text_add(&t->text,
                "    ddome train %s --out DIR-%s --trace %s.trace --trace-rounds %" PRIu64
                "-%" PRIu64 " --trace-tensors '%s'\n",
                quoted(t, config), side, side, round, round, pattern);
}

static void add_trace(const run_pair *pair, const run_finding *f)
{
    tool *t = pair->call->t;
    const uint64_t round = f->stage == RUN_COMMON ? 0 : f->round != RUN_NO_PLACE ? f->round : 1;
    const char *pattern = compare_format(t, "r%" PRIu64 "/*", round);
    if (f->client != RUN_NO_PLACE)
        pattern = compare_format(t, "r%" PRIu64 "/c%" PRIu64 "/*", round, f->client);
    if (pattern == NULL)
        return;
    fl_text_add(&t->text, "trace round %" PRIu64 " on both sides and compare the traces\n", round);
    add_trace_command(pair, true, round, pattern);
    add_trace_command(pair, false, round, pattern);
    fl_text_add(&t->text, "    ddome compare A.trace B.trace --explain\n");
    tool_json_string(t, "trace_tensors", pattern);
    tool_json_u64(t, "trace_round", round);
}

/* Where the cause of a difference in each stage can be seen; from RUN_COMMON on in a trace. */
static void add_advice(const run_pair *pair, const run_finding *f)
{
    static const char *const advice[RUN_COMMON] = {
        "the runs were not asked for the same: give both the same keys",
        "the records differ: `ddome data info` of both folders, and the keys data and exclude",
        "`ddome partition write` with both config.toml shows the draws; then SPEC 4 and 8"};
    if (f->stage < RUN_COMMON)
        fl_text_add(&pair->call->t->text, "%s\n", advice[f->stage]);
    else
        add_trace(pair, f);
}

/* Other settings may be meant: what they moved first can be seen, too. */
static void add_next(const run_pair *pair)
{
    tool *t = pair->call->t;
    fl_text_add(&t->text, "\nnext: ");
    add_advice(pair, &pair->first);
    if (pair->first.stage != RUN_SETTINGS || !pair->found_computed)
        return;
    fl_text_add(&t->text, "if they are meant to differ: ");
    add_advice(pair, &pair->computed);
}

/* ---- files ---- */

static const char *state_of(const run_part *part)
{
    if (!part->in_a || !part->in_b)
        return part->in_a ? "only in A" : "only in B";
    return part->differing != 0 ? "differs" : "agrees";
}

/* Of a file cut short it is only what is there that agrees. */
static bool cut_short(const run_part *part)
{
    return part->in_a && part->in_b && part->differing == 0 && part->missing != 0;
}

static void add_part_lines(tool *t, const run_part *part)
{
    fl_text_add(&t->text, "%-9s %-28s", state_of(part), part->file);
    if (part->in_a && part->in_b)
        fl_text_add(&t->text, " %lu of %lu %s differ", (unsigned long)part->differing,
                    (unsigned long)part->units, part->unit);
    if (part->missing != 0)
        fl_text_add(&t->text, ", %lu missing in B", (unsigned long)part->missing);
    if (part->extra != 0)
        fl_text_add(&t->text, ", %lu only in B", (unsigned long)part->extra);
    if (cut_short(part))
        fl_text_add(&t->text, ": agrees as far as B has");
    fl_text_add(&t->text, "\n");
}

static void add_part_json(tool *t, const run_part *part, bool first)
{
    fl_text_add(&t->json, "%s{\"file\": \"%s\", \"state\": \"%s\"", first ? "" : ", ", part->file,
                cut_short(part) ? "agrees as far as B has" : state_of(part));
    tool_json_string(t, "unit", part->unit);
    tool_json_u64(t, "compared", part->units);
    tool_json_u64(t, "differing", part->differing);
    tool_json_u64(t, "missing", part->missing);
    tool_json_u64(t, "extra", part->extra);
    fl_text_add(&t->json, "}");
}

static void add_parts(run_pair *pair)
{
    compare_call *call = pair->call;
    bool first = true;
    fl_text_add(&call->t->json, ", \"files\": [");
    for (const run_part *part = pair->parts; part != NULL; part = part->next) {
        if (!part->in_a && !part->in_b)
            continue;
        add_part_lines(call->t, part);
        add_part_json(call->t, part, first);
        first = false;
        call->compared += part->in_a && part->in_b;
        call->differing += part->differing != 0;
        call->missing += part->in_a && !part->in_b;
        call->missing_parts += part->in_a && part->in_b ? part->missing : 0;
    }
    fl_text_add(&call->t->json, "]");
}

void run_report(run_pair *pair)
{
    if (pair->found)
        add_findings(pair->call->t, pair);
    add_parts(pair);
    if (pair->found)
        add_next(pair);
}

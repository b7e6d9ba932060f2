/* SPDX-License-Identifier: MIT */
/* What the files of the command line share: the parsed arguments, the two forms of output. SPEC 18.
 */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include "../fl/text.h"

typedef struct tool_command tool_command;

/* One call of ddome. Results are gathered in `text` for people and in `json` for --json, as members
 * that each begin with ", "; main prints one of them at the end, so that a failure prints neither.
 */
typedef struct tool {
    const tool_command *command;
    const char **words; /* what is neither command nor option; --seed 3 has become seed=3 */
    size_t word_count;
    const char *out, *seeds, *threads; /* NULL when not given */
    const char *trace, *trace_tensors, *trace_rounds;
    const char *ulp, *relative, *tolerances;
    const char *rounds, *round; /* verify */
    const char *form; /* of the table of runs: "text", "csv", "markdown" or "html"; NULL: none */
    const char *html; /* the file of the last */
    bool force, resume, quiet, as_json, help, explain;
    bool results_stand; /* text and json are printed although the status is a failure */
    nn_arena arena;
    fl_text text, json;
} tool;

enum {
    TOOL_OUT = 1,
    TOOL_FORCE = 2,
    TOOL_KEYS = 4, /* --seed, --algo */
    TOOL_SEEDS = 8,
    TOOL_QUIET = 16,
    TOOL_THREADS = 32,
    TOOL_TRACE = 64,    /* --trace, --trace-tensors, --trace-rounds */
    TOOL_COMPARE = 128, /* --explain, --ulp, --relative, --tolerances */
    TOOL_REPORT = 256,  /* --text, --csv, --markdown, --html */
    TOOL_RESUME = 512,  /* --resume */
    TOOL_VERIFY = 1024  /* --rounds, --round */
};

struct tool_command {
    const char *name, *sub; /* sub NULL: the command is one word */
    unsigned options;       /* those it takes beside --json and --help */
    size_t least, most;     /* words */
    ddome_status (*run)(ddome_error *error, tool *t);
    const char *usage, *help;
};

/* options.c. The name most like word: of the commands, or of the second words of `group`; NULL
 * where it has none. */
const char *tool_nearest_command(const char *word, const char *group);
DDOME_MUST_CHECK ddome_status tool_parse(ddome_error *error, tool *t, int argc, char **argv);

/* commands.c, resume.c, data.c, partition.c, report.c, compare.c, probe_write.c, probe_read.c,
 * help.c: the commands */
ddome_status tool_train(ddome_error *error, tool *t);
ddome_status tool_pretrain(ddome_error *error, tool *t);
ddome_status tool_eval(ddome_error *error, tool *t);
ddome_status tool_resume(ddome_error *error, tool *t);
ddome_status tool_verify(ddome_error *error, tool *t);
ddome_status tool_config(ddome_error *error, tool *t);
ddome_status tool_plan(ddome_error *error, tool *t);
ddome_status tool_selftest(ddome_error *error, tool *t);
ddome_status tool_partition_write(ddome_error *error, tool *t);
ddome_status tool_partition_describe(ddome_error *error, tool *t);
ddome_status tool_data_check(ddome_error *error, tool *t);
ddome_status tool_data_info(ddome_error *error, tool *t);
ddome_status tool_report(ddome_error *error, tool *t);
ddome_status tool_compare(ddome_error *error, tool *t);
ddome_status tool_probe_write(ddome_error *error, tool *t);
ddome_status tool_probe_read(ddome_error *error, tool *t);
ddome_status tool_version(ddome_error *error, tool *t);
ddome_status tool_help(ddome_error *error, tool *t);

/* commands.c: one run into t->out, with its results. */
DDOME_MUST_CHECK ddome_status tool_train_once(ddome_error *error, tool *t,
                                              const ddome_config *config);

/* signals.c: from now on an interrupt or a request to end only sets what the second one returns:
 * its number, 0 before. */
void tool_catch_signals(void);
int tool_caught_signal(void);

/* What a program ends with after that signal: 130, 143. */
int tool_signal_status(void);

/* From now on a write beyond the size that files may have (ulimit -f) fails, instead of ending the
 * program without a word. */
void tool_ignore_size_limit(void);

/* help.c: all commands; the help of t->command, or of all of them when it is NULL. */
const tool_command *tool_commands(size_t *count);
void tool_print_help(tool *t);

/* settings.c: defaults, DDOME_DATA, then `files` in order, then the key=value words from `first` on
 * in order, then --threads and the trace. A word with a key name before its first = is key=value,
 * any other a file. */
bool tool_is_setting(const char *word);
DDOME_MUST_CHECK ddome_status tool_new_config(ddome_error *error, ddome_config **config, tool *t,
                                              size_t first);
DDOME_MUST_CHECK ddome_status tool_set(ddome_error *error, tool *t, ddome_config *config,
                                       const char *word);

/* progress.c: lines or a bar on standard error. */
typedef struct tool_progress {
    const char *label;   /* before each line, such as "seed 3: "; may be "" */
    bool terminal, open; /* open: the bar's line is not ended yet */
    ddome_phase phase;
    double phase_start, last;
} tool_progress;

ddome_progress tool_progress_begin(tool_progress *progress, const tool *t, const char *label);
void tool_progress_end(tool_progress *progress);

/* output.c: members of the JSON object, each with ", " before it; texts for people. */
void tool_json_string(tool *t, const char *name, const char *value);
void tool_json_u64(tool *t, const char *name, uint64_t value);
void tool_json_fixed6(tool *t, const char *name, double value);
void tool_json_quoted(fl_text *json, const char *value);
/* What a file says, for people: control characters and bytes that are no UTF-8 as \xNN, so that it
 * stays in its line and moves no terminal. The text itself where there are none, else in the arena.
 */
const char *tool_shown(tool *t, const char *text);
void tool_megabytes(fl_text *text, uint64_t bytes);
DDOME_MUST_CHECK ddome_status tool_finish(tool *t, const ddome_error *error, ddome_status status);

#endif

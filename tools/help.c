/* SPDX-License-Identifier: MIT */
/* The commands with their usage and help; the list of keys. SPEC 18.3. */
#include <inttypes.h>
#include <string.h>

#include "../fl/config_table.h"
#include "tool.h"

#define CONFIG "[FILE...] [key=value...] [--seed N] [--algo A]"

static const tool_command commands[] = {
    {"train", NULL,
     TOOL_OUT | TOOL_FORCE | TOOL_RESUME | TOOL_KEYS | TOOL_SEEDS | TOOL_THREADS | TOOL_QUIET |
         TOOL_TRACE,
     0, SIZE_MAX, tool_train,
     "ddome train " CONFIG
     " [--seeds 1,2,3] --out DIR [--threads N] [--force | --resume] [--quiet] [--trace "
     "FILE [--trace-tensors PATTERN] [--trace-rounds A-B]]",
     "Trains (algo = ddome or a baseline: ddome help keys), evaluates, and writes the run into "
     "DIR.\n"
     "With --seeds each seed N runs into DIR/seed-N; mean and population standard deviation "
     "follow.\n"
     "A DIR that holds a run is refused without --force, which replaces it, or --resume, which "
     "goes "
     "on with it.\n"
     "--trace FILE records every value of the run with its hash, a line of JSON each, and holds "
     "them in memory till the end;\n"
     "--trace-rounds A-B only those of these rounds (0: pretraining); one thread, no --seeds.\n"
     "--trace-tensors PATTERN,... puts those whose key matches in full into FILE.safetensors; * "
     "is any text, ? one byte.\n"},
    {"resume", NULL, TOOL_THREADS | TOOL_QUIET, 1, SIZE_MAX, tool_resume,
     "ddome resume RUN [key=value...] [--threads N] [--quiet]",
     "Goes on with a run that was broken off, from its newest checkpoint that is whole, and ends "
     "in "
     "the bytes of a run that was not.\n"
     "It reads RUN/ckpt/run.toml; key=value may name a data_dir that has moved. What would be "
     "another "
     "run is refused: exit 8.\n"
     "Checkpoints: keys checkpoint_every and checkpoint_keep, and after an interrupt (a second one "
     "ends it at once).\n"},
    {"verify", NULL, TOOL_VERIFY | TOOL_THREADS | TOOL_QUIET, 1, SIZE_MAX, tool_verify,
     "ddome verify RUN [key=value...] [--rounds R | --rounds all | --round N] [--threads N] "
     "[--quiet]",
     "Are the files of a finished run those of SHA256SUMS? And does this program make the same "
     "ones?\n"
     "--rounds R does the rounds 1 to R again, with all before them, and compares what they write; "
     "--round N goes on from a checkpoint before N.\n"
     "Exit 4 when something differs. Nothing is written into RUN.\n"},
    {"pretrain", NULL, TOOL_OUT | TOOL_FORCE | TOOL_KEYS | TOOL_THREADS | TOOL_QUIET, 0, SIZE_MAX,
     tool_pretrain, "ddome pretrain " CONFIG " --out DIR [--threads N] [--force] [--quiet]",
     "Trains the common expert alone and writes it into DIR; give it to other runs by the key "
     "common.\n"},
    {"eval", NULL, TOOL_THREADS | TOOL_QUIET, 1, SIZE_MAX, tool_eval,
     "ddome eval RUN [key=value...] [--threads N] [--quiet]",
     "Evaluates the final models of RUN with RUN/config.toml, for example with eval_scope=global.\n"
     "data_dir (or DDOME_DATA) and exclude name files that are not in RUN: give them where "
     "needed.\n"
     "The data and the key arith must be those of RUN: else exit 4.\n"},
    {"partition", "write", TOOL_OUT | TOOL_KEYS, 0, SIZE_MAX, tool_partition_write,
     "ddome partition write " CONFIG " [--out FILE]",
     "Writes partition.csv, to standard output without --out.\n"},
    {"partition", "describe", TOOL_KEYS, 0, SIZE_MAX, tool_partition_describe,
     "ddome partition describe " CONFIG, "Counts clients, samples and label sets of each role.\n"},
    {"data", "check", 0, 1, SIZE_MAX, tool_data_check, "ddome data check DIR [key=value...]",
     "Reads every data set it knows under DIR strictly; exit 3 when one is damaged or none is "
     "there.\n"},
    {"data", "info", 0, 1, SIZE_MAX, tool_data_info, "ddome data info DIR [key=value...]",
     "The same, and prints records, classes and hashes.\n"},
    {"config", NULL, TOOL_KEYS, 0, SIZE_MAX, tool_config, "ddome config " CONFIG,
     "Prints the resolved configuration.\n"},
    {"plan", NULL, TOOL_KEYS | TOOL_THREADS, 0, SIZE_MAX, tool_plan,
     "ddome plan " CONFIG " [--threads N]",
     "Says what a run will take and runs no round: parameters, bytes moved, multiply-adds, memory, "
     "time.\n"
     "It loads the data and does one training step of each kind, and so needs the memory of one.\n"
     "Times and the memory of a whole run are rough; the rest is exact or says \"at most\".\n"},
    {"report", NULL, TOOL_REPORT | TOOL_OUT, 1, SIZE_MAX, tool_report,
     "ddome report RUN... [--text | --csv | --markdown] [--out FILE] | --html FILE",
     "Prints accuracy, traffic, which expert serves which labels, and the root hashes.\n"
     "The last hash is the SHA-256 over the lines of the root hashes in the order given.\n"
     "--text, --csv, --markdown or --html (--out alone: --text) compares the runs in one table "
     "instead: "
     "a line a method and kind of clients with\n"
     "accuracy, bytes beside FedAvg's and beside those of sending all experts, round trips, "
     "trained samples, failure signatures.\n"
     "A folder of --seeds is one row with mean and population standard deviation; one training "
     "looked at on several kinds of clients (eval_scope, eval_also) is one, too.\n"},
    {"compare", NULL, TOOL_COMPARE, 2, 2, tool_compare,
     "ddome compare A B [--explain] [--ulp N] [--relative X] [--tolerances FILE]",
     "Where do two runs, models (safetensors), traces, or vectors and answers to them differ "
     "first?\n"
     "A is a folder or a file, B another of its kind. Exit 4 when they differ.\n"
     "--explain does the first computation of a trace, or each vector, that differs again in the "
     "ways\n"
     "other programs do it and names those that give B's bits.\n"
     "Floats are equal when their bits are, with --ulp N also up to that distance, with --relative "
     "X\n"
     "also when |a - b| <= X * max(|a|, |b|); --tolerances FILE: a line a level, see "
     "tests/vectors/tolerances.txt.\n"},
    {"probe", "write", 0, 1, 1, tool_probe_write, "ddome probe write FILE",
     "Writes vectors of a matrix product whose answers reveal in which order a program adds.\n"},
    {"probe", "read", 0, 2, 2, tool_probe_read, "ddome probe read FILE ANSWERS",
     "Prints the order that the answers reveal as a tree, its name if it has one, and whether "
     "products\n"
     "are fused with sums. An answer is a file like FILE with what the program computed as "
     "expected.\n"},
    {"selftest", NULL, 0, 0, 0, tool_selftest, "ddome selftest",
     "Do this platform and the kernels (DDOME_ISA names some) keep the specification? Exit 4 when "
     "not.\n"},
    {"version", NULL, 0, 0, 0, tool_version, "ddome version", "Prints the version.\n"},
    {"help", NULL, 0, 0, 2, tool_help, "ddome help [COMMAND | keys]",
     "Prints help on all commands, on one, or the table of configuration keys.\n"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static const char general[] =
    "Configuration: `key = value` files, then key=value words; `ddome help keys` lists the keys.\n"
    "Every command takes --json (one object on standard output) and --help.\n"
    "DDOME_DATA is the default of data_dir.\n"
    "--threads N (1 to 256, default 1): threads to use; it moves no bit, memory grows with it.\n"
    "Exit: 0 ok, 1 internal, 2 usage or configuration, 3 data, 4 verification, 5 I/O, 6 memory,\n"
    "7 non-finite value, 8 saved state does not fit, 130 or 143 after an interrupt, with a "
    "checkpoint.\n";

const tool_command *tool_commands(size_t *count)
{
    *count = COMMANDS;
    return commands;
}

static void add_all(tool *t)
{
    fl_text_add(&t->text, "ddome %s: the golden reference of DDOME\n\n", DDOME_VERSION);
    for (size_t i = 0; i < COMMANDS; i++)
        fl_text_add(&t->text, "  %s\n", commands[i].usage);
    fl_text_add(&t->text, "\n%s", general);
}

static bool is_named(const tool_command *command, const char *name, const char *sub)
{
    return strcmp(command->name, name) == 0 &&
           (sub == NULL || (command->sub != NULL && strcmp(command->sub, sub) == 0));
}

/* Without a second word all commands that share the name, so that `ddome data --help` tells of
 * both. */
static bool add_named(tool *t, const char *name, const char *sub)
{
    bool found = false;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!is_named(&commands[i], name, sub))
            continue;
        fl_text_add(&t->text, "%susage: %s\n%s", found ? "\n" : "", commands[i].usage,
                    commands[i].help);
        found = true;
    }
    return found;
}

static void as_json(tool *t)
{
    if (t->text.data != NULL)
        tool_json_string(t, "text", t->text.data);
}

void tool_print_help(tool *t)
{
    add_named(t, t->command->name, NULL);
    as_json(t);
}

static void add_keys(tool *t)
{
    size_t count;
    const fl_key *keys = fl_config_keys(&count);
    const char *section = "";
    for (size_t i = 0; i < count; i++) {
        const fl_key *key = &keys[i];
        char expected[FL_EXPECTED];
        fl_key_expected(expected, key);
        if (strcmp(section, key->section) != 0)
            fl_text_add(&t->text, "%s# %s\n", i == 0 ? "" : "\n", key->section);
        section = key->section;
        const char *otherwise = key->otherwise != NULL ? key->otherwise : key->choice[0];
        fl_text_add(&t->text, "%-22s %-10s %s\n", key->name,
                    otherwise[0] == '\0' ? "\"\"" : otherwise, expected);
    }
}

/* Of the words that have help (SPEC 18.3.1). */
static const char *nearest_help(const char *word)
{
    const char *command = tool_nearest_command(word, NULL);
    return fl_text_distance(word, "keys") < fl_text_distance(word, command) ? "keys" : command;
}

static ddome_status refuse_help(ddome_error *error, const char *word, const char *second)
{
    const char *sub = second == NULL ? NULL : tool_nearest_command(second, word);
    return nn_fail(error, DDOME_ERR_USAGE,
                   "no help on \"%.60s%s%.60s\"; the nearest is %.60s%s%s; see ddome --help", word,
                   second == NULL ? "" : " ", second == NULL ? "" : second,
                   sub == NULL ? nearest_help(word) : word, sub == NULL ? "" : " ",
                   sub == NULL ? "" : sub);
}

ddome_status tool_help(ddome_error *error, tool *t)
{
    const char *word = t->words[0], *second = t->word_count == 2 ? t->words[1] : NULL;
    if (t->word_count == 0)
        add_all(t);
    else if (second == NULL && strcmp(word, "keys") == 0)
        add_keys(t);
    else if (!add_named(t, word, second))
        return refuse_help(error, word, second);
    as_json(t);
    return DDOME_OK;
}

ddome_status tool_version(ddome_error *error, tool *t)
{
    (void)error;
    fl_text_add(&t->text, "ddome %s (specification %d)\n", DDOME_VERSION, DDOME_SPEC_VERSION);
    tool_json_string(t, "version", DDOME_VERSION);
    tool_json_u64(t, "specification", DDOME_SPEC_VERSION);
    return DDOME_OK;
}

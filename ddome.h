/* SPDX-License-Identifier: MIT */
/* ddome: the golden reference of DDOME (arXiv 2306.08586). The public words: status codes, errors,
 * entry points.
 *
 * Argument rules:
 *  - order: context (error, arena, graph), outputs, in-outs, const inputs, scalars;
 *  - an array's length follows the array; `const` marks every input;
 *  - the caller owns all memory it passes;
 *  - a function that can fail returns ddome_status; the reason stands in `error` as one line (what,
 *    where, expected, found, the mend);
 *  - the functions of this header leave their outputs untouched when they fail;
 *  - strings are NUL-terminated bytes; sizes are size_t and count elements unless named bytes.
 *
 * SPEC.md numbers every clause; code cites them as "SPEC 5.3".
 */
#ifndef DDOME_H
#define DDOME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DDOME_VERSION "0.1.0"
/* Version of SPEC.md; it moves when a golden value moves. */
#define DDOME_SPEC_VERSION 1

#if defined(__GNUC__)
#define DDOME_MUST_CHECK __attribute__((warn_unused_result))
#else
#define DDOME_MUST_CHECK
#endif

/* Status codes; each is also the exit code of the command line (SPEC 18.1). */
typedef enum ddome_status {
    DDOME_OK = 0,
    DDOME_ERR_RUNTIME = 1,   /* an internal rule was broken */
    DDOME_ERR_USAGE = 2,     /* command line or configuration */
    DDOME_ERR_DATA = 3,      /* a data file is missing or damaged */
    DDOME_ERR_VERIFY = 4,    /* two results that must agree do not */
    DDOME_ERR_IO = 5,        /* reading or writing failed, disk full */
    DDOME_ERR_MEMORY = 6,    /* out of memory */
    DDOME_ERR_NONFINITE = 7, /* a value became infinite or NaN */
    DDOME_ERR_RESUME = 8,    /* a saved state does not fit */
    DDOME_STOPPED = 9        /* the caller wanted to stop; no exit code (SPEC 18.1) */
} ddome_status;

/* One line that says what went wrong. Every call below clears it first; a failing one fills it. */
typedef struct ddome_error {
    ddome_status status;
    char text[512];
} ddome_error;

/* ---- configuration ---- */

/* Keys with values, defaults first (SPEC 16). Owned by the caller until ddome_config_free. */
typedef struct ddome_config ddome_config;

/* A configuration with every default. DDOME_ERR_MEMORY. */
DDOME_MUST_CHECK ddome_status ddome_config_new(ddome_error *error, ddome_config **config);

/* Reads `key = value` lines over what is there. DDOME_ERR_USAGE: no such file, an unknown key (the
 * nearest one is named), a value out of range, with file and line. */
DDOME_MUST_CHECK ddome_status ddome_config_load(ddome_error *error, ddome_config *config,
                                                const char *path);

/* Sets one key from text, as on the command line. DDOME_ERR_USAGE. */
DDOME_MUST_CHECK ddome_status ddome_config_set(ddome_error *error, ddome_config *config,
                                               const char *key, const char *value);

/* How many threads a run of this configuration may use, the caller's counted: 1 (the default) to
 * 256, about as many as there are cores. No key, because it moves no bit; memory grows with it, as
 * each thread holds one client's models and activations. DDOME_ERR_USAGE. A library built without
 * threads refuses more than 1 when the run begins. The environment variable DDOME_ISA names the
 * kernels of a run (SPEC 18.4); it moves no bit either. */
DDOME_MUST_CHECK ddome_status ddome_config_set_threads(ddome_error *error, ddome_config *config,
                                                       size_t threads);

/* Records every value that ddome_train or ddome_pretrain computes in these rounds (both included;
 * pretraining is round 0) as a line of JSON in the file `path`, with its hash, and those whose keys
 * match `tensors` in full in path.safetensors (SPEC 19.3). tensors: patterns separated by commas,
 * where * is any text and ? one byte; NULL: none. path NULL: no trace, the default. No key, because
 * it moves no bit; what is recorded is held in memory until the run ends, or fails.
 * DDOME_ERR_USAGE: first_round above last_round, a text of 1024 bytes or more, more than one
 * thread; when the run begins, first_round above its last. */
DDOME_MUST_CHECK ddome_status ddome_config_set_trace(ddome_error *error, ddome_config *config,
                                                     const char *path, const char *tensors,
                                                     uint64_t first_round, uint64_t last_round);

void ddome_config_free(ddome_config *config);

/* ---- runs ---- */

typedef enum ddome_phase {
    DDOME_PHASE_PRETRAIN, /* one epoch of the common expert; value = accuracy on the held-out part
                           */
    DDOME_PHASE_EMBED,    /* samples embedded */
    DDOME_PHASE_ROUND,    /* one round; value = mean training loss of its clients */
    DDOME_PHASE_EVALUATE  /* value = mean accuracy over the clients of eval_scope */
} ddome_phase;

/* Progress, for people only: nothing of it enters a hashed file. `user` is passed back. May be NULL
 * everywhere. */
typedef struct ddome_progress {
    void (*report)(void *user, ddome_phase phase, uint64_t done, uint64_t of, double value);
    void *user;
    void (*notice)(void *user, const char *line); /* a failure signature, when it is first seen
                                                     (SPEC 14.6), or a damaged checkpoint; may be
                                                     NULL */
    int (*stop)(
        void *user); /* asked after every round and epoch of pretraining; not 0: a checkpoint
                        is written and the call ends with DDOME_STOPPED; may be NULL */
} ddome_progress;

/* What a run ends with; accuracies in [0, 1], bytes of all rounds and the common expert's
 * distribution. */
typedef struct ddome_summary {
    uint64_t rounds, clients; /* rounds done; clients evaluated */
    double mean_accuracy;     /* plain mean over the clients */
    double worst_accuracy;    /* the worst client */
    uint64_t bytes_down, bytes_up;
    char root_hash[65]; /* SHA-256 of SHA256SUMS, hex */
} ddome_summary;

/* Trains by Algorithm 1 (algo = ddome), or the baseline that the key `algo` names, evaluates, and
 * writes the run directory (SPEC 17). out_dir: its parent exists; one that holds a run is refused
 * with DDOME_ERR_USAGE unless force. */
DDOME_MUST_CHECK ddome_status ddome_train(ddome_error *error, ddome_summary *summary,
                                          const ddome_config *config, const char *out_dir,
                                          const ddome_progress *progress, int force);

/* Goes on with a run that was broken off, from the newest checkpoint in run_dir that is whole
 * (SPEC 17.6); the files it ends with are those of a run that was not. One without a checkpoint
 * starts anew. config must be that of the run, ddome_config_load of run_dir/ckpt/run.toml: another
 * configuration, data set, profile or version of SPEC.md is DDOME_ERR_RESUME, and the key that
 * differs is named. */
DDOME_MUST_CHECK ddome_status ddome_resume(ddome_error *error, ddome_summary *summary,
                                           const ddome_config *config, const char *run_dir,
                                           const ddome_progress *progress);

/* Is the finished run in run_dir what SHA256SUMS says, and is it what this program makes of config?
 * All files are hashed again, and such a run's must all be listed (else DDOME_ERR_DATA, SPEC
 * 17.7.1); then, on data that must be those of its manifest, rounds are done again and all they
 * write is compared: from round 1, or from the newest checkpoint of at most first - 1 rounds where
 * first is above 1, to round `last`; the models and SHA256SUMS as well if that is the last of the
 * run. last = 0: no round. DDOME_ERR_VERIFY names the file that differs. Writes nothing into
 * run_dir; what stays with clients is in a file without a name in TMPDIR or /tmp, which must have
 * room for it (SPEC 12.6.9). root_hash of the summary is that of the files. */
DDOME_MUST_CHECK ddome_status ddome_verify(ddome_error *error, ddome_summary *summary,
                                           const ddome_config *config, const char *run_dir,
                                           const ddome_progress *progress, uint64_t first,
                                           uint64_t last);

/* Trains the common expert alone and writes out_dir/common.safetensors (SPEC 9); mean_accuracy is
 * that on the held-out part. */
DDOME_MUST_CHECK ddome_status ddome_pretrain(ddome_error *error, ddome_summary *summary,
                                             const ddome_config *config, const char *out_dir,
                                             const ddome_progress *progress, int force);

/* Evaluates the final models of run_dir on the clients of eval_scope; config is that of the run,
 * with data_dir where needed; other data or another arith are refused. Writes nothing into run_dir;
 * TMPDIR as in ddome_verify. *report gets the text of clients.csv, to be freed by ddome_text_free.
 */
DDOME_MUST_CHECK ddome_status ddome_eval(ddome_error *error, ddome_summary *summary, char **report,
                                         const ddome_config *config, const char *run_dir,
                                         const ddome_progress *progress);

/* The text of partition.csv (SPEC 8.8) for a configuration; free it with ddome_text_free. */
DDOME_MUST_CHECK ddome_status ddome_partition(ddome_error *error, char **text,
                                              const ddome_config *config);

/* A few lines about the data set of a configuration: records, classes, counts per class, hashes;
 * free with ddome_text_free. */
DDOME_MUST_CHECK ddome_status ddome_data_info(ddome_error *error, char **text,
                                              const ddome_config *config);

/* What a run of this configuration will take, one "name: value" line each: sizes, bytes, work,
 * memory, time (SPEC 18.3.5). Loads what ddome_train would, does one training step of each kind, so
 * needs its memory, and no round; free with ddome_text_free. */
DDOME_MUST_CHECK ddome_status ddome_plan(ddome_error *error, char **text,
                                         const ddome_config *config);

/* The resolved configuration as config.toml is written; free with ddome_text_free. */
DDOME_MUST_CHECK ddome_status ddome_config_text(ddome_error *error, char **text,
                                                const ddome_config *config);

void ddome_text_free(char *text);

/* Do this platform's arithmetic and the kernels of a run (SPEC 18.4) keep SPEC 2? DDOME_ERR_VERIFY
 * names the first witness that fails (SPEC 3.7); DDOME_ERR_USAGE: DDOME_ISA names kernels that are
 * not there. Every run does it first. */
DDOME_MUST_CHECK ddome_status ddome_selftest(ddome_error *error);

#ifdef __cplusplus
}
#endif

#endif

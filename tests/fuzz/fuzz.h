/* SPDX-License-Identifier: MIT */
/* Every reader of files from outside as a function of bytes that checks what it is told. The same
 * functions are driven by libFuzzer (libfuzzer.c) and, on stored inputs, by the test runner
 * (tests/t_fuzz.c).
 *
 * A new reader is one line in readers.h, one function, and a folder corpus/NAME with a few files,
 * whose names begin with ok- (taken) or bad- (refused). */
#ifndef FUZZ_H
#define FUZZ_H

#include "../../fl/text.h"
#include "readers.h"

enum { FUZZ_PATH = 600 };

/* One input. The reader takes all its memory from the arena, so that its peak is the reader's; what
 * a check needs comes from another one. */
typedef struct fuzz_call {
    const unsigned char *bytes;
    size_t size;
    nn_arena arena;
    ddome_error error;
} fuzz_call;

typedef struct fuzz_reader {
    const char *name;
    ddome_status (*read)(fuzz_call *call);
    size_t base, each; /* at most base + each * size bytes of memory */
} fuzz_reader;

/* All of readers.h. */
const fuzz_reader *fuzz_readers(size_t *count);

/* Reads once: DDOME_OK when the input is taken. Checks what holds for every reader: a refusal says
 * so in one line and blames the input, not the program; memory is bounded. */
ddome_status fuzz_run(const fuzz_reader *reader, const unsigned char *bytes, size_t size);

/* What a broken check calls: libfuzzer.c stops, t_fuzz.c fails the case. */
void fuzz_broken(const char *file, int line, const char *condition);

#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_broken(__FILE__, __LINE__, #condition);                                           \
    } while (0)

/* ---- files ---- */

/* NAME in the scratch folder, DDOME_TEST_DIR of the environment. */
void fuzz_path(char path[FUZZ_PATH], const char *name);

/* A folder in it. */
void fuzz_folder(const char *name);

/* Writes without flushing to disk: millions are written. */
void fuzz_put(const char *name, const void *bytes, size_t size);
void fuzz_put_text(const char *name, const char *text);

#endif

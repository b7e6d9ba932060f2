/* SPDX-License-Identifier: MIT */
/* What all readers share: the table of them, the checks that hold for each, scratch files. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../nn/os.h"

#define ENTRY(name, base, each) {#name, fuzz_##name, base, each},
static const fuzz_reader readers[] = {FUZZ_READERS(ENTRY)};

const fuzz_reader *fuzz_readers(size_t *count)
{
    *count = sizeof readers / sizeof *readers;
    return readers;
}

/* The statuses of SPEC 18.1 that say that an input is no good, or no good here. */
static bool blames_input(ddome_status status)
{
    return status == DDOME_ERR_USAGE || status == DDOME_ERR_DATA || status == DDOME_ERR_VERIFY ||
           status == DDOME_ERR_RESUME;
}

ddome_status fuzz_run(const fuzz_reader *reader, const unsigned char *bytes, size_t size)
{
    fuzz_call call;
    memset(&call, 0, sizeof call);
    call.bytes = bytes;
    call.size = size;
    const ddome_status status = reader->read(&call);
    if (status != DDOME_OK) {
        FUZZ_CHECK(blames_input(status));
        FUZZ_CHECK(call.error.status == status);
        FUZZ_CHECK(call.error.text[0] != '\0' && strchr(call.error.text, '\n') == NULL);
    }
    FUZZ_CHECK(call.arena.peak <= reader->base + reader->each * size);
    nn_arena_free(&call.arena);
    return status;
}

/* ---- files ---- */

void fuzz_path(char path[FUZZ_PATH], const char *name)
{
    const char *folder = getenv("DDOME_TEST_DIR");
    snprintf(path, FUZZ_PATH, "%.400s/%.150s", folder == NULL ? "build/test-scratch" : folder,
             name);
}

void fuzz_folder(const char *name)
{
    char path[FUZZ_PATH];
    ddome_error error = {DDOME_OK, ""};
    fuzz_path(path, name);
    FUZZ_CHECK(nn_os_make_dir(&error, path) == DDOME_OK);
}

void fuzz_put(const char *name, const void *bytes, size_t size)
{
    char path[FUZZ_PATH];
    fuzz_path(path, name);
    remove(path); /* some file systems flush one that is written over */
    FILE *file = fopen(path, "wb");
    bool good = file != NULL && fwrite(bytes, 1, size, file) == size;
    if (file != NULL)
        good = fclose(file) == 0 && good;
    FUZZ_CHECK(good);
}

void fuzz_put_text(const char *name, const char *text)
{
    fuzz_put(name, text, strlen(text));
}

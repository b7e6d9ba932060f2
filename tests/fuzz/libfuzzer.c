/* SPDX-License-Identifier: MIT */
/* libFuzzer's entry point for one reader, -DFUZZ_READER=NAME. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(name) #name
#define NAME_OF(name) TEXT(name)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

void fuzz_broken(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, condition);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t count;
    const fuzz_reader *reader = fuzz_readers(&count);
    while (count-- > 0 && strcmp(reader->name, NAME_OF(FUZZ_READER)) != 0)
        reader++;
    (void)fuzz_run(reader, bytes, size);
    return 0;
}

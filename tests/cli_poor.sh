#!/bin/sh
# SPDX-License-Identifier: MIT
# Command line tests without memory: tests/cli_poor.sh PROGRAM SCRATCH_DIR. Each malloc of a command
# fails in turn, those of the texts that the library hands over too. SPEC 18.2.1.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin cli_poor "$@"
need_folders

# The nth malloc of 300 bytes or more that the program itself makes, n = REFUSE, fails; those of the
# libraries below it do not count, and with REFUSE=0 none fails.
cat > poor.c << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
static int calls;
static int from_program(const void *caller)
{
    const char *program = getenv("PROGRAM");
    Dl_info info;
    return program != NULL && dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
           strcmp(info.dli_fname, program) == 0;
}
void *malloc(size_t size)
{
    static void *(*real)(size_t);
    const char *n = size < 300 ? NULL : getenv("REFUSE");
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "malloc");
    if (n != NULL && from_program(__builtin_return_address(0)) && ++calls == atoi(n)) {
        errno = ENOMEM;
        return NULL;
    }
    return real(size);
}
END

# refused N ARGS...: the program with that library before it; status, out, err.
refused() {
    refuse=$1
    shift
    PROGRAM=$program REFUSE=$refuse LD_PRELOAD=$work/poor.so "$program" "$@" > out 2> err
    status=$?
}

# poor NAME LEAST ARGS...: while a malloc fails, status 6 and one line; and it takes LEAST of them.
poor() {
    name=$1
    least=$2
    shift 2
    n=1
    why=
    while [ -z "$why" ] && [ "$n" -lt 200 ]; do
        refused "$n" "$@"
        [ "$status" -ne 0 ] || break
        [ "$status" -eq 6 ] || why="malloc $n: status $status: $(head -n 1 err)"
        grep -q '^ddome: .*out of memory' err || why="$why; malloc $n: $(head -n 1 err)"
        [ "$(wc -l < err)" -eq 1 ] && [ ! -s out ] || why="$why; malloc $n: more than one line"
        n=$((n + 1))
    done
    [ "$status" -eq 0 ] || why="$why; not done with $n"
    [ "$n" -gt "$least" ] || why="$why; only $((n - 1)) failed, expected $least"
    verdict "$name, each malloc failing" "$why"
}

if ${CC:-cc} -shared -fPIC -o poor.so poor.c -ldl 2> err && refused 0 config $tiny && [ "$status" -eq 0 ] &&
    refused 1 config $tiny && [ "$status" -eq 6 ]; then
    # each model is larger than a block of memory, and so has a malloc of its own
    large="hidden=1400 synth_test=60"
    poor "config" 3 config $tiny
    poor "partition" 4 partition write $tiny clients=30
    poor "plan" 8 plan $tiny $large
    call train $tiny --out small --quiet
    poor "eval" 4 eval small --quiet
    call train $tiny $large algo=local eval_scope=seen --out own --quiet
    poor "eval of clients' own models" 10 eval own --quiet
else
    skip "mallocs that fail" "no library can be put before the program here"
fi

totals

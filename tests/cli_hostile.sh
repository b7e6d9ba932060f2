#!/bin/sh
# SPDX-License-Identifier: MIT
# Hostile files through the command line: tests/cli_hostile.sh PROGRAM SCRATCH_DIR. Every input of tests/fuzz/corpus
# that its reader refuses, and a few too large to store, ends in exit 2 or 3 and one line, within 256 MB. SPEC 18.1, 18.2.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin cli_hostile "$@"
corpus=$root/tests/fuzz/corpus

# A sanitizer asks for terabytes of addresses.
case "${CFLAGS_EXTRA:-}" in
*sanitize*) ;;
*) ulimit -v 262144 2> /dev/null ;;
esac

# refused WORDS...: adds to `why` unless exit 2 or 3 and one line say so.
refused() {
    call "$@"
    [ "$status" -eq 2 ] || [ "$status" -eq 3 ] || why="$why; $file: status $status"
    [ "$(grep -c '^ddome: ' err)" -eq 1 ] && [ "$(wc -l < err)" -eq 1 ] && [ ! -s out ] ||
        why="$why; $file: not one line of error alone"
    ! LC_ALL=C grep -q '[[:cntrl:]]' err || why="$why; $file: control characters"
}

# each READER WORDS...: every bad input of the reader, in place of FILE; a model is named by its end.
each() {
    name=$1
    shift
    why=
    for file in "$corpus/$name"/bad-*; do
        cp "$file" input
        refused "$@"
    done
    verdict "refuses what $name does" "${why#; }"
}

# From the words of the command to the bytes of a model, a level file, a trace: compared with itself.
each safetensors compare input input
each vectors compare input input
each json compare input input
each config config input
each tolerances compare --tolerances input "$root/tests/vectors" "$root/tests/vectors"
each partition partition describe partition=file partition_file=input synth_train=40 synth_test=20
each trace compare input input

# many PART: a million of it.
many() {
    awk -v part="$1" 'BEGIN { while (n++ < 1000) line = line part; while (m++ < 1000) printf "%s", line }'
}

# large NAME START PART WORDS...: the start, then many of the part.
large() {
    name=$1
    why=
    file=$1
    { printf '%s' "$2"; many "$3"; } > input
    shift 3
    refused "$@"
    verdict "$name" "${why#; }"
}

large "a million brackets" '{"schema":' '[' compare input input
large "a million objects in one another" '' '{"":' compare input input
large "a trace of a million brackets" '{"trace":' '[' compare input input
large "a million members" '{"schema":1' ',"":0' compare input input
large "a digit a million times" 'seed = ' 9 config input
large "a key of a million letters" '' a config input
large "a sample of a million digits" 'index,client,role
' 9 partition describe partition=file partition_file=input

totals

#!/bin/sh
# SPDX-License-Identifier: MIT
# libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer on the readers of files: tests/fuzz/run.sh SECONDS READER...
# (none: all of tests/fuzz/readers.h). What breaks a reader is kept in build/fuzz/findings, what reaches new branches in
# build/fuzz/corpus for the next call. Prints "ok NAME", "FAIL NAME", "skipped NAME: why" and the totals.
set -u
cd "$(dirname "$0")/../.." || exit 2

seconds=${1:?seconds for each reader}
shift
readers=${*:-$(sed -n 's/^    R(\([a-z0-9_]*\),.*/\1/p' tests/fuzz/readers.h)}
kept=build/fuzz
objects=build/fuzz/objects
sanitizers=address,undefined
scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) # files in memory, where there is such a folder
trap 'rm -rf "$scratch"' EXIT

finish() {
    echo "$1 passed, $2 failed$3"
    [ "$2" -eq 0 ]
    exit
}

echo 'int LLVMFuzzerTestOneInput(const char *b, unsigned long n); int LLVMFuzzerTestOneInput(const char *b, unsigned long n)
    { return b == (const char *)n; }' >"$scratch/probe.c"
if ! command -v clang >/dev/null 2>&1; then
    echo "skipped fuzz: clang is missing"
    finish 0 0 ", 1 skipped"
elif ! clang -fsanitize=fuzzer,$sanitizers -o "$scratch/probe" "$scratch/probe.c" 2>/dev/null; then
    echo "skipped fuzz: clang has no libFuzzer (Debian: libclang-rt-dev)"
    finish 0 0 ", 1 skipped"
fi

programs=
for reader in $readers; do
    programs="$programs $objects/fuzz/$reader"
done
# shellcheck disable=SC2086
if ! make -s -j2 BUILD=$objects CC=clang OPT=-O1 SIMD=0 THREADS=0 ARENA=tests/fuzz/arena $programs \
    CFLAGS_EXTRA="-g -fsanitize=fuzzer-no-link,$sanitizers -fno-sanitize-recover=undefined" >"$scratch/build" 2>&1; then
    tail -n 5 "$scratch/build"
    echo "FAIL fuzz: does not build"
    finish 0 1 ""
fi

# The final statistic of that name.
statistic() {
    sed -n "s/^stat::$1: *//p" "$scratch/log"
}

mkdir -p "$kept/findings"
passed=0
failed=0
total=0
for reader in $readers; do
    mkdir -p "$kept/corpus/$reader" "$scratch/files"
    words=
    [ -f "tests/fuzz/words/$reader.txt" ] && words=-dict=tests/fuzz/words/$reader.txt
    # Leaks are looked for at the end, not after each input.
    # shellcheck disable=SC2086
    ASAN_OPTIONS=allocator_may_return_null=1:quarantine_size_mb=16 DDOME_TEST_DIR="$scratch/files" "$objects/fuzz/$reader" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -detect_leaks=0 -print_final_stats=1 $words \
        -artifact_prefix="$kept/findings/$reader-" "$kept/corpus/$reader" "tests/fuzz/corpus/$reader" >"$scratch/log" 2>&1
    status=$?
    runs=$(statistic number_of_executed_units)
    branches=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$scratch/log" | tail -n 1)
    total=$((total + ${runs:-0}))
    if [ $status -eq 0 ]; then
        echo "ok fuzz: $reader, ${runs:-0} executions in $seconds s, ${branches:-0} branches, nothing found"
        passed=$((passed + 1))
    else
        grep -E 'broken:|ERROR:|runtime error:|SUMMARY:|Test unit written' "$scratch/log" | head -n 5
        echo "FAIL fuzz: $reader, after ${runs:-0} executions; the input is kept in $kept/findings"
        failed=$((failed + 1))
    fi
    rm -rf "$scratch/files"
done
echo "$total executions"
finish $passed $failed ""

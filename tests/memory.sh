#!/bin/sh
# SPDX-License-Identifier: MIT
# Memory, threads and integers under watch: tests/memory.sh [PART...], of msan (values that nobody has written), integers
# (undefined behaviour and sizes that wrap), tsan (races), valgrind (all of memory, in a build without instruments); the address
# sanitizer is a part of matrix.sh. Each part runs suites of the test runner and the three rounds of
# tools/presets/three_rounds.toml in both profiles, which must end with the hash of tests/golden, and first of all sees the faults
# of tests/memory/canary.c. nn/poison.h tells the watchers about the arena. Prints "ok check-memory: WHAT", "FAIL ...",
# "skipped ...: why" and the totals.
set -u

. "$(dirname "$0")/build_lib.sh"

PARTS=${*:-"msan integers tsan valgrind"}
options=
suites=$(sed -n 's/^ *T(\([a-z0-9_]*\)).*/\1/p' "$top/tests/suites.h")

# Builds a part, or says why not.
prepare() { # PART COMPILER FLAGS VARIABLE=VALUE...
    part=$1
    cc=$2
    flags=$(printf '%s' "$3" | tr -s ' \n' ' ')
    shift 3
    if ! have "$cc"; then
        line "skipped check-memory: $part: $cc is missing"
    elif ! (cd "$top" && echo "int main(void) { return 0; }" | "$cc" $flags -x c -o "$work/probe" -) >/dev/null 2>&1 || ! "$work/probe"; then
        line "skipped check-memory: $part: $cc or this machine lacks $flags"
    elif build "$part" "ddome build/tests/runner" CC="$cc" OPT=-O1 CFLAGS_EXTRA="-g $flags" "$@"; then
        return 0
    else
        line "FAIL check-memory: $part does not build without a warning"
        tail -n 5 "$work/$part.log"
    fi
    return 1
}

# The canary with each fault must end badly, without any it must not.
sees() { # PART FAULTS COMMAND...
    part=$1
    faults=$2
    shift 2
    if ! (cd "$work/$part" && $cc -std=c99 -O1 -g $flags -pthread -o canary tests/memory/canary.c build/libddome.a -lm) \
        >"$work/$part.canary" 2>&1; then
        line "FAIL check-memory: $part: tests/memory/canary.c does not build"
        return
    fi
    unseen=
    for fault in $faults; do
        ! (cd "$work/$part" && "$@" ./canary "$fault") >/dev/null 2>&1 || unseen="$unseen $fault"
    done
    if ! (cd "$work/$part" && "$@" ./canary none) >"$work/$part.canary" 2>&1; then
        line "FAIL check-memory: $part finds a fault where none is"
        head -n 5 "$work/$part.canary"
    elif [ -n "$unseen" ]; then
        line "FAIL check-memory: $part does not see$unseen"
    else
        line "ok check-memory: $part sees $(echo "$faults" | sed 's/ /, /g')"
    fi
}

# Every second of these suites, from the first or the second on.
half() { # FIRST SUITES
    echo "$2" | tr ' ' '\n' | grep . | awk -v first="$1" 'NR % 2 == first'
}

# Two runners at a time, each with a scratch folder of its own.
run_suites() { # PART SUITES COMMAND...
    part=$1
    chosen=$2
    shift 2
    for first in 0 1; do
        mkdir -p "$work/$part/scratch$first"
        (cd "$work/$part" && DDOME_TEST_DIR="$work/$part/scratch$first" "$@" build/tests/runner $(half $first "$chosen")) \
            >"$work/$part.suites$first" 2>&1 || : >"$work/$part.bad" &
    done
    wait
    if [ ! -f "$work/$part.bad" ]; then
        line "ok check-memory: $part: $(cat "$work/$part".suites* | grep -c '^ok ') cases of $(echo "$chosen" | wc -w) suites"
    else
        line "FAIL check-memory: $part: a suite"
        grep -hE -A 12 '^FAIL|ERROR|WARNING|runtime error|^==[0-9]+== [A-Z]' "$work/$part".suites* | head -n 40
    fi
}

# The hash of the three rounds in one profile.
run_rounds() { # PART PROFILE COMMAND...
    part=$1
    profile=$2
    shift 2
    want=$(sed -n "s/^$profile //p" "$top/tests/golden/three_rounds.txt")
    got=$("$@" train "$top/tools/presets/three_rounds.toml" "arith=$profile" --out "$work/$part/run-$profile" --force --quiet \
        $options 2>"$work/$part.$profile" | sed -n 's/^root hash  //p')
    if [ -n "$got" ] && [ "$got" = "$want" ] && [ ! -s "$work/$part.$profile" ]; then
        line "ok check-memory: $part: three rounds in $profile end with the hash of tests/golden"
    else
        line "FAIL check-memory: $part: three rounds in $profile give ${got:-no hash}, expected $want"
        head -n 30 "$work/$part.$profile"
    fi
}

# The kernels follow unwritten values lane by lane, so the vectors of this machine are in.
msan() {
    prepare msan clang "-fsanitize=memory -fno-omit-frame-pointer" || return
    sees msan "unset reused behind rewound"
    run_suites msan "$suites" env
    run_rounds msan ma "$work/msan/ddome"
    run_rounds msan fma "$work/msan/ddome"
}

# Unsigned wraps, casts between floats and integers, and implicit conversions are no part of "undefined". One set of kernels
# does: all are made from the same two headers, and those of AVX-512 take minutes to compile here.
integers() {
    prepare integers clang "-fsanitize=undefined,unsigned-integer-overflow,implicit-conversion,float-cast-overflow,local-bounds
        -fno-sanitize-recover=all -fsanitize-ignorelist=tests/memory/wraps.txt" KERNELS=sse2 || return
    sees integers wrap
    run_suites integers "$suites" env
    run_rounds integers ma "$work/integers/ddome"
    run_rounds integers fma "$work/integers/ddome"
}

tsan() {
    prepare tsan "${CC:-gcc}" "-fsanitize=thread" || return
    sees tsan race
    run_suites tsan "team crew round" env
    options="--threads 4"
    run_rounds tsan ma "$work/tsan/ddome"
    run_rounds tsan fma "$work/tsan/ddome"
    options=
}

# Left out, for they take half of the time or more: mixture, variant, variant_deviations, exhaustive, fma and gradients compare
# results over many shapes, all of which pass through the kernels, gemm, conv and graph that are run. selftest looks at rounding
# modes that Valgrind does not have. Valgrind knows no AVX-512; its fused multiply-add is slow, so profile fma runs on SSE2.
valgrind_() {
    have valgrind || {
        line "skipped check-memory: valgrind: it is missing"
        return
    }
    prepare valgrind "${CC:-gcc}" -DNN_VALGRIND || return
    watched="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all"
    few=$(echo "$suites" | grep -vxE 'mixture|variant|variant_deviations|exhaustive|fma|gradients|selftest')
    sees valgrind "unset reused behind rewound leak" $watched
    run_suites valgrind "$few" $watched
    run_rounds valgrind ma $watched "$work/valgrind/ddome"
    run_rounds valgrind fma env DDOME_ISA=sse2 $watched "$work/valgrind/ddome"
}

for part in $PARTS; do
    case $part in
    msan | integers | tsan) $part ;;
    valgrind) valgrind_ ;;
    *) line "FAIL check-memory: no part is called $part" ;;
    esac
done
totals

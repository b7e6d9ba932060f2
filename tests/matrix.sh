#!/bin/sh
# SPDX-License-Identifier: MIT
# The same bits everywhere (SPEC 2.2, 17.1.1): one small run in both profiles, built by every compiler at every level here, by cross compilers
# under qemu, with plain C99 in place of POSIX, with every set of kernels and without all, without threads, with three; the
# kernels of 64-bit ARM and the unit tests under sanitizers; exp and log against MPFR. Prints "ok NAME", "FAIL NAME",
# "skipped NAME: why" and the totals.
set -u

. "$(dirname "$0")/build_lib.sh"

SMALL="synth_train=300 synth_test=90 synth_size=8 synth_domains=3 synth_shapes=2 width=4 clients=9 experts=3
    label_group=2 labels_per_client=4 samples_per_client=18 active_anchors=2 active_normal=2 batch=7 rounds=2
    pretrain_epochs=1 pretrain_batch=40 gate_hidden=9 unseen_clients=2 holdout_clients=1 init=common"

WATCHED=

# The run's SHA256SUMS against the first one made, in one profile.
same_profile() { # NAME PROFILE COMMAND...
    name=$1
    profile=$2
    sums=$work/$name/run/SHA256SUMS
    shift 2
    # shellcheck disable=SC2086
    if ! "$@" train $SMALL arith=$profile $WATCHED --out "$work/$name/run" --force --quiet >>"$work/$name.log" 2>&1; then
        line "FAIL matrix: $name, $profile does not run"
        tail -n 2 "$work/$name.log"
    elif [ ! -f "$work/want.$profile" ]; then
        cp "$sums" "$work/want.$profile"
        line "ok matrix: $name is the measure of $profile"
    elif cmp -s "$work/want.$profile" "$sums"; then
        line "ok matrix: $name, $profile gives the same SHA256SUMS"
    else
        line "FAIL matrix: $name, $profile gives other bits"
        diff "$work/want.$profile" "$sums" | head -n 4
    fi
}

same_run() { # NAME COMMAND...
    one=$1
    shift
    same_profile "$one" ma "$@"
    same_profile "$one" fma "$@"
}

for cc in gcc clang; do
    for level in -O0 -O2 -O3; do
        if ! have $cc; then
            line "skipped matrix: $cc $level: $cc is missing"
        elif build "$cc$level" ddome CC=$cc OPT=$level; then
            same_run "$cc$level" "$work/$cc$level/ddome"
        else
            line "FAIL matrix: $cc $level does not build without a warning"
            tail -n 5 "$work/$cc$level.log"
        fi
    done
done

# SPEC 18.4.1: every set of kernels that the build and the processor have; the others are refused.
best=$work/gcc-O3/ddome
[ -x "$best" ] || best=$work/clang-O3/ddome
for isa in c sse2 avx2 avx512 neon; do
    mkdir -p "$work/$isa"
    if [ ! -x "$best" ]; then
        line "skipped matrix: kernels $isa: neither gcc nor clang has built a ddome"
        continue
    fi
    # shellcheck disable=SC2086
    if DDOME_ISA=$isa "$best" plan $SMALL 2>&1 | grep -q "kernels $isa: expected"; then
        line "skipped matrix: kernels $isa: this processor or build lacks them"
    else
        same_run "$isa" env DDOME_ISA=$isa "$best"
    fi
done

if build portable ddome SIMD=0; then
    same_run portable "$work/portable/ddome"
else
    line "FAIL matrix: SIMD=0 does not build without a warning"
fi

for triple in s390x-linux-gnu aarch64-linux-gnu; do
    emulator=qemu-${triple%%-*}
    if ! have "$triple-gcc" || ! have "$emulator"; then
        line "skipped matrix: $triple: $triple-gcc or $emulator is missing"
    elif build "$triple" ddome CC="$triple-gcc" AR="$triple-ar" CFLAGS_EXTRA=-static; then
        same_run "$triple" "$emulator" "$work/$triple/ddome"
    else
        line "FAIL matrix: $triple does not build without a warning"
        tail -n 5 "$work/$triple.log"
    fi
done

# The kernels of 64-bit ARM against their definition.
if ! have aarch64-linux-gnu-gcc || ! have qemu-aarch64; then
    line "skipped matrix: kernels neon: aarch64-linux-gnu-gcc or qemu-aarch64 is missing"
elif build arm build/tests/runner CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar CFLAGS_EXTRA=-static OPT=-O2 &&
    (cd "$work/arm" && DDOME_ISA=neon DDOME_TEST_DIR="$work/arm" qemu-aarch64 build/tests/runner kernels kernels_rows conv) \
        >"$work/arm.tests" 2>&1; then
    line "ok matrix: kernels neon are their definition"
else
    line "FAIL matrix: kernels neon"
    tail -n 3 "$work/arm.log"
    [ ! -f "$work/arm.tests" ] || grep '^FAIL' "$work/arm.tests" | head -n 10
fi

# Plain C99 cannot make folders, so they are made for it.
if build c99 ddome OS=c99; then
    mkdir -p "$work/c99/run/final" "$work/c99/run/ckpt"
    same_run c99 "$work/c99/ddome"
else
    line "FAIL matrix: OS=c99 does not build without a warning"
fi

if build alone ddome THREADS=0; then
    same_run alone "$work/alone/ddome"
else
    line "FAIL matrix: THREADS=0 does not build without a warning"
fi

# SPEC 11.6: three threads, all of whose accesses are watched.
watch="-O1 -g -fsanitize=thread"
if ! echo 'int main(void) { return 0; }' | ${CC:-cc} $watch -x c -o "$work/probe" - 2>/dev/null || ! "$work/probe"; then
    line "skipped matrix: threads under the thread sanitizer: the compiler or this machine lacks it"
elif build watched "ddome build/tests/runner" CFLAGS_EXTRA="$watch"; then
    WATCHED="--threads 3"
    same_run watched "$work/watched/ddome"
    WATCHED=
    if (cd "$work/watched" && DDOME_TEST_DIR="$work/watched" build/tests/runner team crew) >"$work/watched.tests" 2>&1; then
        line "ok matrix: teams and crews under the thread sanitizer"
    else
        line "FAIL matrix: threads under the thread sanitizer"
        grep -E '^FAIL|WARNING' "$work/watched.tests" | head -n 10
    fi
else
    line "FAIL matrix: the build for the thread sanitizer"
    tail -n 5 "$work/watched.log"
fi

# Sanitizers: unit tests and command line tests.
sanitize="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
if build sanitized "all build/tests/runner build/deviate build/vectors build/theorem" CFLAGS_EXTRA="$sanitize"; then
    (cd "$work/sanitized" && CFLAGS_EXTRA="$sanitize" sh tests/all.sh build) >"$work/sanitized.tests" 2>&1
    if [ $? -eq 0 ]; then
        line "ok matrix: all tests under the address and undefined-behaviour sanitizers"
    else
        line "FAIL matrix: tests under sanitizers"
        grep -E '^FAIL|ERROR|runtime error' "$work/sanitized.tests" | head -n 10
    fi
else
    line "FAIL matrix: the sanitized build"
    tail -n 5 "$work/sanitized.log"
fi

# SPEC 3.5: constants, bounds, and a part of the inputs; `make exhaustive` does all 2^32.
if echo '#include <mpfr.h>' | ${CC:-cc} -E -x c - >/dev/null 2>&1; then
    if (cd "$top" && make -s BUILD="$work/mpfr" "$work/mpfr/fmath_exhaustive" "$work/mpfr/fmath_hard") &&
        "$work/mpfr/fmath_exhaustive" proof >"$work/mpfr.log" 2>&1 &&
        "$work/mpfr/fmath_exhaustive" 42000000 42100000 >>"$work/mpfr.log" 2>&1; then
        line "ok matrix: exp, log, rsqrt, sqrt against MPFR on a part of the inputs"
    else
        line "FAIL matrix: exp, log, rsqrt or sqrt differ from MPFR"
        tail -n 5 "$work/mpfr.log"
    fi
else
    line "skipped matrix: exp and log against MPFR: libmpfr-dev is missing"
fi

totals

#!/bin/sh
# SPDX-License-Identifier: MIT
# The same bits on every machine: for each platform, compiler and level the self-test, the vectors and a run of three rounds
# in both profiles, under qemu-user where the machine is another one; and the self-test refusing what must be refused, with
# its reason. Prints "ok NAME: WHAT", "FAIL NAME: WHAT", "skipped NAME: why", a table for PLATFORMS.md, and the totals.
# A part: make check-platforms PLATFORMS="aarch64 s390x i386" LEVELS=-O2 COMPILERS=gcc
set -u

ALL="x86-64 i386 aarch64 armhf riscv64 s390x ppc64 ppc64le mips sparc64 hppa m68k"
PLATFORMS=${PLATFORMS:-$ALL}
LEVELS=${LEVELS:-"-O0 -O2"}
COMPILERS=${COMPILERS:-"gcc clang tcc"}

top=$(cd "$(dirname "$0")/.." && pwd)
work=$top/build/platforms
golden=$top/tests/golden/three_rounds.txt
mkdir -p "$work"
log=$work/log
rows=$work/rows
: >"$log"
: >"$rows"

line() {
    echo "$*" | tee -a "$log"
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# ---- what a platform is ----

# Sets triple (of Debian's cross compilers and of clang --target), emulator and flags of a platform; kept, what the Makefile
# adds there; native is 1 where this machine runs its programs and gcc builds them.
describe() {
    flags=
    kept=
    machines=$1
    case $1 in
    x86-64) triple=x86_64-linux-gnu emulator=qemu-x86_64 machines=x86_64 ;;
    i386) triple=i686-linux-gnu emulator=qemu-i386 flags="-msse2 -mfpmath=sse" ;;
    aarch64) triple=aarch64-linux-gnu emulator=qemu-aarch64 machines="aarch64 arm64" ;;
    armhf) triple=arm-linux-gnueabihf emulator=qemu-arm machines=armv7l ;;
    riscv64 | s390x | sparc64) triple=$1-linux-gnu emulator=qemu-$1 ;;
    ppc64) triple=powerpc64-linux-gnu emulator=qemu-ppc64 kept=-mno-altivec ;;
    ppc64le) triple=powerpc64le-linux-gnu emulator=qemu-ppc64le ;;
    mips | hppa | m68k) triple=$1-linux-gnu emulator=qemu-$1 ;;
    *) return 1 ;;
    esac
    native=0
    for machine in $machines; do
        [ "$machine" != "$(uname -m)" ] || native=1
    done
}

# Sets cc, the command of a compiler for the platform described, and link, what makes its programs run alone.
compiler() { # PLATFORM KIND
    link=-static
    case $2:$native in
    tcc:1) cc=tcc link= ;;
    tcc:0) cc= ;;
    gcc:0) cc=$triple-gcc ;;
    clang:0) cc="clang --target=$triple" ;;
    *:1) cc=$2 ;;
    esac
}

# A reason why the compiler cannot serve, or nothing.
# shellcheck disable=SC2086
lacking() {
    if ! have "${cc%% *}"; then
        echo "${cc%% *} is missing"
    elif ! echo 'int main(void) { return 0; }' >"$work/probe.c" ||
        ! $cc $flags $link -o "$work/probe" "$work/probe.c" >/dev/null 2>&1; then
        echo "$cc cannot link a program: it does not know $triple, or the C library is missing"
    fi
}

# Sets run: how programs of the platform are started. A 64-bit x86 runs 32-bit programs itself unless its kernel will not.
runner() { # PLATFORM
    run=
    [ "$native" -eq 1 ] && return
    [ "$1:$(uname -m)" = i386:x86_64 ] && "$work/probe" 2>/dev/null && return
    run=$emulator
}

# ---- what is measured ----

# make outside the tree: objects, program and library land in the folder, sources are found in the tree.
make_in() { # FOLDER ARGUMENTS...
    folder=$1
    shift
    mkdir -p "$folder"
    make --no-print-directory -s -j2 -C "$folder" -f "$top/Makefile" --eval="vpath %.c $top" --eval="vpath %.h $top" \
        BUILD=build "$@"
}

# The one place that knows the program of the vectors: build/vectors DIR writes them and prints as its last line
# "<64 hex>  root hash of the vectors".
VECTORS=build/vectors
vectors_exist() {
    make_in "$work/none" -n $VECTORS >/dev/null 2>&1
}
vectors_hash() { # FOLDER
    $run "$1/$VECTORS" "$1/vectors" 2>>"$1.log" | sed -n 's/^\([0-9a-f]\{64\}\)  root hash of the vectors$/\1/p' | tail -n 1
}

demo_hash() { # FOLDER PROFILE
    $run "$1/ddome" train "$top/tools/presets/three_rounds.toml" "arith=$2" --out "$1/run-$2" --force --quiet 2>>"$1.log" |
        sed -n 's/^root hash  \([0-9a-f]\{64\}\)$/\1/p'
}

# Says whether a hash is the expected one; an empty one is a program that failed.
compare() { # NAME WHAT GOT WANT
    if [ -n "$3" ] && [ "$3" = "$4" ]; then
        line "ok $1: $2 ${3%"${3#????????????????}"}"
    else
        line "FAIL $1: $2 gives ${3:-no hash}, expected ${4:-one}"
        [ -n "$3" ] || tail -n 2 "$work/$1.log"
    fi
}

byte_at() { # FILE OFFSET
    od -An -tu1 -j"$2" -N1 "$1" | tr -d ' '
}

# Width of a pointer and order of bytes, as the head of the ELF file says.
bits_of() {
    [ "$(byte_at "$1" 4)" = 1 ] && echo 32 || echo 64
}
order_of() {
    [ "$(byte_at "$1" 5)" = 1 ] && echo little || echo big
}

version_of() {
    case $cc in
    tcc) tcc -v | sed 's/^tcc version \([^ ]*\).*/\1/' ;;
    *) $cc --version | sed -n '1s/.* \([0-9][0-9.]*\).*/\1/p' ;;
    esac
}

# An emulator of s390x with a broken instruction, which the self-test must find where the compiler uses it.
breaks_products() { # PLATFORM FOLDER
    [ "$1" = s390x ] && [ -n "$run" ] &&
        $run "$2/ddome" selftest 2>&1 | grep -q '"the product of two floats is exact in double" does not hold' &&
        emulates_mdebr_wrongly
}
emulates_mdebr_wrongly() {
    s390x-linux-gnu-gcc -O1 -static -o "$work/mdebr" "$top/tests/platforms/mdebr.c" 2>/dev/null || return 1
    $run "$work/mdebr"
    [ $? -eq 1 ]
}

measure() { # PLATFORM NAME KIND LEVEL: the rows and lines of one program that has been built
    folder=$work/$2
    tested=no
    if breaks_products "$1" "$folder"; then
        line "skipped $2: THIS $run MULTIPLIES FLOATS INTO A DOUBLE WRONGLY (MDEBR); the self-test refuses, as it must"
        echo "$1 | $3 $(version_of) | $4 | $run | $(bits_of "$folder/ddome") | $(order_of "$folder/ddome") | refused | - | - | -" >>"$rows"
        return
    fi
    if [ "$($run "$folder/ddome" selftest 2>&1 | head -n 1)" = "selftest ok" ]; then
        line "ok $2: selftest"
        tested=ok
    else
        line "FAIL $2: selftest: $($run "$folder/ddome" selftest 2>&1 | tail -n 1)"
    fi
    vectors=-
    if [ "$with_vectors" -eq 1 ]; then
        vectors=$(vectors_hash "$folder")
        compare "$2" vectors "$vectors" "$vectors_want"
    fi
    ma=$(demo_hash "$folder" ma)
    compare "$2" ma "$ma" "$(sed -n 's/^ma //p' "$golden")"
    fma=$(demo_hash "$folder" fma)
    compare "$2" fma "$fma" "$(sed -n 's/^fma //p' "$golden")"
    shown=$4
    [ "$3" != tcc ] || shown=-
    echo "$1 | $3 $(version_of) | $shown | ${run:-native} | $(bits_of "$folder/ddome") | $(order_of "$folder/ddome") |" \
        "$tested | $(printf %.16s "$vectors") | $(printf %.16s "$ma") | $(printf %.16s "$fma")" >>"$rows"
}

build_and_measure() { # PLATFORM KIND LEVEL
    name=$1-$2$3
    rm -rf "${work:?}/$name"
    targets=ddome
    [ "$with_vectors" -eq 0 ] || targets="ddome $VECTORS"
    # tcc cannot list included headers.
    depends=-MMD
    [ "$2" != tcc ] || depends=
    # shellcheck disable=SC2086
    if make_in "$work/$name" CC="$cc" OPT="$3" CFLAGS_EXTRA="$link $flags" THREADS="$native" DEPENDENCIES="$depends" \
        $targets >"$work/$name.log" 2>&1 && ! grep -q 'warning:' "$work/$name.log"; then
        measure "$1" "$name" "$2" "$3"
    else
        line "FAIL $name: does not build without a warning"
        grep -E 'warning:|error' "$work/$name.log" | head -n 5
    fi
}

# ---- what must be refused ----

SELFTEST="tests/platforms/selftest.c nn/base.c nn/hash.c nn/fmath.c nn/rng.c nn/selftest.c nn/selftest_kernels.c
    nn/kernels_c.c"

# Builds the self-test with the compiler and these flags after the usual ones.
selftest() { # COMMAND AND FLAGS
    rm -f "$work/selftest"
    # shellcheck disable=SC2086
    (cd "$top" && "$@" -o "$work/selftest" $SELFTEST -lm) >"$work/selftest.log" 2>&1
}

RULES="-std=c99 -O2 -ffp-contract=off"

not_compiled() { # NAME MESSAGE FLAGS...: the message is part of an #error
    what=$1
    message=$2
    shift 2
    # shellcheck disable=SC2086
    if selftest $cc $RULES $kept $link "$@"; then
        line "FAIL $what is compiled, expected \"$message\""
    elif grep -q -e "error.*$message" "$work/selftest.log"; then
        line "ok $what is not compiled: $(sed -n 's/.*"\(ddome needs[^"]*\).*/\1/p' "$work/selftest.log" | head -n 1)"
    else
        line "FAIL $what is not compiled for another reason than \"$message\""
        head -n 3 "$work/selftest.log"
    fi
}

# Runs what selftest built: the status must be 4 and the line must name the rule.
not_run() { # NAME RULE ARGUMENTS...
    what=$1
    rule=$2
    shift 2
    said=$($run "$work/selftest" "$@" 2>&1)
    status=$?
    if [ $status -eq 100 ]; then
        : # no register of this machine flushes
    elif [ $status -eq 4 ] && echo "$said" | grep -q -e "\"$rule\" does not hold"; then
        line "ok $what ends with 4: ${said#self-test: }"
    else
        line "FAIL $what: status $status, \"$said\"; expected 4 and \"$rule\""
    fi
}

refused() { # NAME RULE FLAGS...
    what=$1
    rule=$2
    shift 2
    # shellcheck disable=SC2086
    if selftest $cc $RULES $kept $link "$@"; then
        not_run "$what" "$rule"
    else
        line "FAIL $what does not compile: $(grep -m 1 error "$work/selftest.log")"
    fi
}

# What flags of the compiler described break, on any machine.
# shellcheck disable=SC2086
refuse_flags() { # NAME
    not_compiled "$1: -ffast-math" "without -ffast-math" $flags -ffast-math
    not_compiled "$1: -Ofast" "without -ffast-math" $flags -Ofast
    not_compiled "$1: -ffinite-math-only" "without -ffinite-math-only" $flags -ffinite-math-only
    not_compiled "$1: an int of 16 bits" "32 bits" $flags -U__INT_MAX__ -D__INT_MAX__=32767
    not_compiled "$1: a size_t of 16 bits" "32 bits" $flags -ffreestanding -U__SIZE_MAX__ -D__SIZE_MAX__=65535U
    not_compiled "$1: a byte of 16 bits" "8 bits" $flags -U__CHAR_BIT__ -D__CHAR_BIT__=16
    refused "$1: -fassociative-math" "sums [a-z ]*keep their order" $flags -fassociative-math -fno-signed-zeros \
        -fno-trapping-math
    refused "$1: -freciprocal-math" "a quotient [a-z ]*is divided, not multiplied" $flags -freciprocal-math
    refused "$1: -fno-signed-zeros" "signed zeros and NaN are kept" $flags -fno-signed-zeros
    ! selftest $cc $RULES $kept $link $flags || not_run "$1: subnormals flushed at run time" "subnormals are kept" flush
}

# What only some machines can break.
refuse_here() { # PLATFORM KIND NAME
    if [ "$1-$2" = s390x-clang ] && emulates_mdebr_wrongly; then
        refused "$3: a broken MDEBR" "the product of two floats is exact in double" $flags
    fi
    case $1 in
    x86-64)
        refused "$3: -funsafe-math-optimizations" "subnormals are kept" -funsafe-math-optimizations
        if grep -qw fma /proc/cpuinfo; then
            refused "$3: -ffp-contract=fast -mfma" "a\*b+c rounds twice in [a-z]*" -ffp-contract=fast -mfma
        else
            line "skipped $3: -ffp-contract=fast -mfma: this processor has no fused multiply-add"
        fi
        [ "$2" = clang ] ||
            refused "$3: -fsingle-precision-constant" "literals have the nearest value" -fsingle-precision-constant
        ;;
    i386)
        x87=-mfpmath=387
        [ "$2" = gcc ] || x87=-mno-sse
        not_compiled "$3: x87" "-msse2 -mfpmath=sse" $x87
        # A compiler that keeps quiet about it.
        refused "$3: x87 called FLT_EVAL_METHOD 0" "[a-z]* have no excess precision" $x87 -U__FLT_EVAL_METHOD__ \
            -D__FLT_EVAL_METHOD__=0
        ;;
    aarch64 | riscv64 | s390x | ppc64 | ppc64le)
        refused "$3: -ffp-contract=fast" "a\*b+c rounds twice in [a-z]*" -ffp-contract=fast
        [ "$1" != ppc64 ] || refused "$3: -maltivec" "subnormals are kept in loops" -O3 -mcpu=G5 -maltivec
        ;;
    esac
}

# tcc uses x87 on 32-bit x86 and does not define FLT_EVAL_METHOD. Its objects need another linker.
refuse_tcc_x87() {
    name="i386-tcc: x87 without FLT_EVAL_METHOD"
    library=$(find /usr/lib -name i386-libtcc1.a 2>/dev/null | head -n 1)
    if ! have i386-tcc || ! have i686-linux-gnu-gcc || [ -z "$library" ]; then
        line "skipped $name: i386-tcc or i686-linux-gnu-gcc is missing"
        return
    fi
    rm -rf "$work/tcc" "$work/selftest"
    mkdir -p "$work/tcc"
    for source in $SELFTEST; do
        i386-tcc -I/usr/i686-linux-gnu/include -c -o "$work/tcc/$(echo "$source" | tr / _).o" "$top/$source"
    done >"$work/selftest.log" 2>&1
    if i686-linux-gnu-gcc -static -o "$work/selftest" "$work/tcc"/*.o "$library" -lm >>"$work/selftest.log" 2>&1; then
        not_run "$name" "[a-z]* have no excess precision"
    else
        line "FAIL $name: $(grep -m 1 error "$work/selftest.log")"
    fi
}

# ---- the loop ----

one_compiler() { # PLATFORM KIND
    compiler "$1" "$2"
    [ -n "$cc" ] || return 0
    why=$(lacking)
    if [ -n "$why" ]; then
        line "skipped $1-$2: $why"
        return
    fi
    runner "$1"
    if [ -n "$run" ] && ! have "$run"; then
        line "skipped $1-$2: $run is missing"
    elif [ "$1-$2" = m68k-clang ]; then
        line "skipped $1-$2: clang's back end for it is unfinished"
    elif [ "$1" = m68k ]; then
        not_compiled "$1-$2: 80-bit registers" "FLT_EVAL_METHOD"
    else
        for level in $LEVELS; do
            build_and_measure "$1" "$2" "$level"
            [ "$2" != tcc ] || break # it has no levels
        done
        [ "$2" = tcc ] || refuse_flags "$1-$2"
        [ "$2" = tcc ] || refuse_here "$1" "$2" "$1-$2"
    fi
}

with_vectors=1
vectors_want=$(sed -n 's/.*"root": *"\([0-9a-f]\{64\}\)".*/\1/p' "$top/tests/vectors/manifest.json")
if ! vectors_exist; then
    with_vectors=0
    line "skipped platforms: VECTORS ARE NOT COMPARED: the Makefile has no $VECTORS"
fi
for platform in $PLATFORMS; do
    if ! describe "$platform"; then
        line "FAIL $platform: no such platform; there are $ALL"
        continue
    fi
    for kind in $COMPILERS; do
        one_compiler "$platform" "$kind"
    done
    [ "$platform" != i386 ] || refuse_tcc_x87
done

echo
echo "| platform | compiler | level | run by | bits | bytes | self-test | vectors | ma | fma |"
echo "|---|---|---|---|---|---|---|---|---|---|"
sed 's/.*/| & |/' "$rows"
echo
echo "Whole hashes expected: $(tr '\n' ' ' <"$golden")"
passed=$(grep -c '^ok ' "$log")
failed=$(grep -c '^FAIL ' "$log")
skipped=$(grep -c '^skipped ' "$log")
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -ne 0 ]

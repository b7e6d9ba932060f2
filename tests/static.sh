#!/bin/sh
# SPDX-License-Identifier: MIT
# What analysers say of nn/, data/, fl/, tools/ and ddome.c, and shellcheck of the scripts: tests/static.sh [TOOL...], of gcc,
# clang, clang-tidy, cppcheck, shellcheck. Nothing is to be said but what tests/static/accepted.txt gives a reason for. A tool
# must also find the fault of its own that tests/static/canary.c has. JOBS=N files at a time. One line a tool: "ok check-static:
# TOOL", "FAIL check-static: TOOL" behind its findings, "skipped check-static: TOOL: why"; then the totals.
set -u
cd "$(dirname "$0")/.." || exit 2

TOOLS=${*:-"gcc clang clang-tidy cppcheck shellcheck"}
JOBS=${JOBS:-2}
LC_ALL=C
export LC_ALL
accepted=tests/static/accepted.txt
canary=tests/static/canary.c
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
: >"$log"

line() {
    echo "$*" | tee -a "$log"
}

# ---- files and their flags ----

# Warnings beyond the Makefile's that nothing here gives rise to.
MORE="-Wformat=2 -Wformat-overflow=2 -Wnull-dereference -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wundef -Wvla -Walloca
    -Wcast-align=strict -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith
    -Wwrite-strings -Wdouble-promotion -Wredundant-decls -Wnested-externs -Wdate-time -Wstack-usage=65536"

# Of the machine that the compiler builds for; what is left out is said.
kernels() {
    case $(${CC:-cc} -dumpmachine) in
    x86_64-* | amd64-*) echo "sse2 avx2 avx512" ;;
    aarch64-* | arm64-*) echo neon ;;
    esac
}

list_files() {
    for file in nn/*.c data/*.c fl/*.c tools/*.c ddome.c; do
        case $file in
        nn/kernels_c.c) echo "$file" ;;
        nn/kernels_*.c)
            isa=${file#nn/kernels_}
            case " $(kernels) " in
            *" ${isa%.c} "*) echo "$file" ;;
            *) line "skipped check-static: $file: another machine's instructions" >&2 ;;
            esac
            ;;
        tools/fmath_*)
            if echo '#include <mpfr.h>' | ${CC:-cc} -E -x c - >/dev/null 2>&1; then
                echo "$file"
            else
                line "skipped check-static: $file: libmpfr-dev is missing" >&2
            fi
            ;;
        *) echo "$file" ;;
        esac
    done
}

# As the Makefile compiles it. contracts.h stands before everything, so a macro that asks the system's headers for more, like
# _POSIX_C_SOURCE, is given on the command line; the two files that define what contracts.h describes go without it.
flags_of() { # FILE
    echo "-std=c99 -O2 -ffp-contract=off -pthread $(kernels | sed 's/[a-z0-9]*/-DNN_HAVE_&/g')"
    case $1 in
    nn/base.c | nn/arena.c | tests/*) ;;
    *) echo "-include tests/static/contracts.h" ;;
    esac
    case $1 in
    nn/kernels_avx2.c) echo "-mavx2 -mfma" ;;
    nn/kernels_avx512.c) echo "-mavx512f" ;;
    esac
    sed -n 's/^#define \(_[A-Z_]*_SOURCE\) \([0-9L]*\)$/-D\1=\2/p' "$1"
}

# ---- tools ----

# The flags are words.
# shellcheck disable=SC2046,SC2086
run_gcc() { # FILE
    gcc $(flags_of "$1") -pedantic -Wall -Wextra -Wconversion -Wshadow $MORE -fanalyzer -c -o /dev/null "$1"
}

# shellcheck disable=SC2046
run_clang() { # FILE
    clang --analyze --analyzer-output text -Xclang -analyzer-checker=security.FloatLoopCounter,optin.portability,nullability,valist \
        $(flags_of "$1") -o /dev/null "$1"
}

# shellcheck disable=SC2046
run_clang_tidy() { # FILE
    clang-tidy --quiet "$1" -- $(flags_of "$1") 2>/dev/null
}

# It reads no headers of the system, so it is told what base.h asks of them.
run_cppcheck() { # FILE
    case $1 in
    nn/base.c | nn/arena.c | tests/*) contracts= ;;
    *) contracts=--include=tests/static/contracts.h ;;
    esac
    # shellcheck disable=SC2086
    cppcheck --enable=warning,performance,portability --std=c99 --platform=unix64 --library=posix --quiet \
        --template='{file}:{line}:{column}: {severity}: {message} [{id}]' $contracts \
        -DCHAR_BIT=8 -DINT_MAX=2147483647 -DSIZE_MAX=18446744073709551615UL -DFLT_EVAL_METHOD=0 \
        $(kernels | sed 's/[a-z0-9]*/-DNN_HAVE_&/g') "$1" 2>&1
}

run_shellcheck() { # FILE
    shellcheck -f gcc -e "$SHELL_EXCEPT" "$1"
}

# SC2086, SC2046: lists of words stand in variables and are split on purpose; POSIX sh has no arrays.
# SC2016: sed programs and Markdown in single quotes.
# SC2181: `$?` behind a command of many lines reads better than an `if` around it.
# SC1091, SC2034, SC2154: files that are sourced share their variables with the file that sources them.
# SC3045: ulimit -v is tried before it is relied on.
# SC2059: formats are made of octal escapes.
# SC2129: one line a check.
SHELL_EXCEPT=SC2086,SC2046,SC2016,SC2181,SC1091,SC2034,SC2154,SC3045,SC2059,SC2129

# ---- judging ----

# Runs a tool on the files of standard input, JOBS at a time; a tool that fails says nothing else that would count.
on_files() { # TOOL
    cat >"$work/files"
    job=0
    while [ "$job" -lt "$JOBS" ]; do
        awk -v n="$JOBS" -v job=$job 'NR % n == job' "$work/files" | while read -r file; do
            "run_$(echo "$1" | tr - _)" "$file" >"$work/one.$job" 2>&1
            status=$?
            cat "$work/one.$job"
            grep -qE '^[^ :]+:[0-9]+:[0-9]+: ' "$work/one.$job" || [ $status -eq 0 ] || echo "$file:0:0: error: ended with status $status"
        done >"$work/out.$job" &
        job=$((job + 1))
    done
    wait
    cat "$work"/out.*
    rm -f "$work"/out.* "$work"/one.*
}

# The findings among what a tool says, one a line, paths from the top.
findings() {
    sed "s|^$PWD/||" | grep -E '^[^ :]+:[0-9]+:[0-9]+: (fatal |)(error|warning|performance|portability|note): ' |
        grep -vE '^[^ ]*\.[ch]:[0-9:]* note: ' | sort -u
}

# Those that accepted.txt does not have, where "TOOL FILE: TEXT" stands without line and column.
unexplained() { # TOOL
    awk -v tool="$1" -v accepted=$accepted 'BEGIN { while ((getline text < accepted) > 0) known[text] }
        { key = $0; sub(/:[0-9]+:[0-9]+:/, ":", key); if (!((tool " " key) in known)) print }'
}

check() { # TOOL FILES
    if ! command -v "$1" >/dev/null 2>&1; then
        line "skipped check-static: $1: it is missing"
        return
    fi
    on_files "$1" <"$2" | findings | unexplained "$1" >"$work/findings"
    if [ -s "$work/findings" ]; then
        cat "$work/findings"
        line "FAIL check-static: $1: $(wc -l <"$work/findings") findings"
    elif ! echo "$3" | on_files "$1" | findings | grep -q "$4"; then
        line "FAIL check-static: $1 does not find $4 in $3"
    else
        line "ok check-static: $1 ($($1 --version | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1)) on $(wc -l <"$2") files"
    fi
}

awk '/^[^#]/ && before !~ /^#/ { print FILENAME ":" FNR ": no reason above: " $0; bad = 1 } { before = $0 } END { exit bad }' $accepted ||
    line "FAIL check-static: $accepted"
list_files >"$work/sources"
find tests tools .ci -name '*.sh' -o -path .ci/run | sort >"$work/scripts"

for tool in $TOOLS; do
    case $tool in
    gcc) check gcc "$work/sources" $canary use-after-free ;;
    clang) check clang "$work/sources" $canary unix.Malloc ;;
    clang-tidy) check clang-tidy "$work/sources" $canary bugprone-infinite-loop ;;
    cppcheck) check cppcheck "$work/sources" $canary arrayIndexOutOfBounds ;;
    shellcheck) check shellcheck "$work/scripts" tests/static/canary.txt SC2164 ;;
    *) line "FAIL check-static: no tool is called $tool" ;;
    esac
done

failed=$(grep -c '^FAIL ' "$log")
echo "$(grep -c '^ok ' "$log") passed, $failed failed, $(grep -c '^skipped ' "$log") skipped"
[ "$failed" -eq 0 ]

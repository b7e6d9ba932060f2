#!/bin/sh
# SPDX-License-Identifier: MIT
# Branch coverage: tests/cover.sh DIR. In DIR, which is made anew, a copy of the tree is compiled by gcc with --coverage
# and -O0 and runs `make test` (the unit tests and the program under the scripts), with every table of kernels that the
# compiler and this processor know; then the suites and scripts of the stand-ins for POSIX and threads run in
# a second build of the same copy, where the arena speaks to a watcher of memory (nn/poison.h), though there is
# none, if Valgrind's header is here. tests/cover.py counts. No assertion is compiled out. Real data sets are not
# looked for, so that the figures do not depend on them.
set -u

least=95
top=$(cd "$(dirname "$0")/.." && pwd)
dir=$1
for tool in gcc gcov python3; do
    if ! command -v $tool >/dev/null 2>&1; then
        echo "skipped coverage: $tool is missing"
        exit 0
    fi
done

rm -rf "$dir"
mkdir -p "$dir/tree"
dir=$(cd "$dir" && pwd)
(cd "$top" && tar cf - --exclude=./build --exclude=./runs --exclude=./.git --exclude=./ddome --exclude=./libddome.a .) |
    (cd "$dir/tree" && tar xf -)
cd "$dir/tree" || exit 1

# Without always_inline each branch is there once, not once for every place it was copied to.
flags="--coverage -Dalways_inline=unused"
unset DDOME_DATA DDOME_SAFETENSORS_VECTORS DDOME_ISA MAKEFLAGS MFLAGS MAKELEVEL
failed=0
if ! make -s -j2 CC=gcc OPT=-O0 CFLAGS_EXTRA="$flags" BUILD=build test >"$dir/test.log" 2>&1; then
    grep -vE '^(ok|skipped) |^  (gcc|ar) ' "$dir/test.log" | tail -n 40
    echo "FAIL coverage: the tests fail in the build of gcc --coverage; see $dir/test.log"
    failed=1
fi
if echo '#include <valgrind/memcheck.h>' | gcc -E - >/dev/null 2>&1; then
    flags="$flags -DNN_VALGRIND"
else
    echo "skipped coverage of an arena that is watched: valgrind/memcheck.h is missing"
fi
if ! make -s -j2 CC=gcc OPT=-O0 CFLAGS_EXTRA="$flags" OS=c99 SIMD=0 BUILD=plain ddome plain/tests/runner >"$dir/plain.log" 2>&1 ||
    ! DDOME_TEST_DIR=plain plain/tests/runner os team rundir text record arena >>"$dir/plain.log" 2>&1 ||
    ! CC=gcc sh tests/cli_plain.sh ./ddome plain >>"$dir/plain.log" 2>&1; then
    tail -n 5 "$dir/plain.log"
    echo "FAIL coverage: the stand-ins fail in the build of gcc --coverage; see $dir/plain.log"
    failed=1
fi
rm -rf build/test-scratch
python3 tests/cover.py . tests/cover_reasons.txt "$least" build plain || failed=1
exit "$failed"

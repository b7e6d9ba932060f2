# SPDX-License-Identifier: MIT
# What matrix.sh and memory.sh share: lines that count, clean copies of the tree, each built its own way, the totals. Sourced,
# not run.
# shellcheck shell=sh

top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
: >"$log"

line() {
    echo "$*" | tee -a "$log"
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# A clean copy of the tree in $work/NAME.
copy() {
    mkdir -p "$work/$1"
    (cd "$top" && tar cf - --exclude=./build --exclude=./runs --exclude=./.git --exclude=./ddome --exclude=./libddome.a .) |
        (cd "$work/$1" && tar xf -)
}

build() { # NAME TARGETS VARIABLE=VALUE...
    name=$1
    targets=$2
    shift 2
    copy "$name"
    # shellcheck disable=SC2086
    (cd "$work/$name" && make -s -j2 $targets "$@") >"$work/$name.log" 2>&1 && ! grep -q 'warning:' "$work/$name.log"
}

# The last line of such a script, and its status.
totals() {
    failed=$(grep -c '^FAIL ' "$log")
    echo "$(grep -c '^ok ' "$log") passed, $failed failed, $(grep -c '^skipped ' "$log") skipped"
    [ "$failed" -eq 0 ]
}

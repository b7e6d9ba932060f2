#!/bin/sh
# SPDX-License-Identifier: MIT
# Theorem 1 by numbers: tests/theorem.sh PROGRAM SCRATCH_DIR. The same bits everywhere, and what docs/theorem.md says of
# them. One line a check, then the totals.
set -u

program=$1
scratch=$2/theorem
golden=$(dirname "$0")/golden/theorem.txt
passed=0
failed=0
mkdir -p "$scratch"

# verdict NAME WHY: fine when there is nothing to say.
verdict() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        echo "ok theorem: $1"
    else
        failed=$((failed + 1))
        echo "FAIL theorem: $1: $2"
    fi
}

"$program" 8 3 500 2 >"$scratch/out" 2>&1
status=$?
verdict "the table of tests/golden/theorem.txt" "$([ $status -eq 0 ] || echo "status $status"; cmp "$scratch/out" "$golden" 2>&1)"

# Each line: order, error of the routed expert (least to most), of the mixture, of the best routing there can be.
"$program" 16 8 4000 1 >"$scratch/out"
status=$?
verdict "joint training leads to a small error, the two orders do not" "$(tr -d '()' <"$scratch/out" | awk -v status=$status '
    $1 == "joint" && ($2 > 0.1 || $10 > 0.02) || /^(experts|gate)-first/ && ($2 < 0.5 || $10 < 0.1) { print }
    /^(joint|experts-first|gate-first|untrained)/ { lines++ }
    END { if (lines != 4 || status != 0) print lines " lines, status " status }')"

"$program" 1 1 600 3 >"$scratch/out"
status=$?
good=$(grep -c -E '^(joint|experts-first|gate-first)( +0\.0000 \(0\.0000 to 0\.0000\)){3}$' "$scratch/out")
[ $status -eq 0 ] && [ "$good" -eq 3 ] && why= || why="status $status, $good lines"
verdict "with one cell there is nothing to choose" "$why"

if [ -c /dev/full ]; then
    "$program" 1 1 2 1 >/dev/full 2>"$scratch/err"
    status=$?
    [ $status -eq 5 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && why= || why="status $status"
    verdict "a full disk is status 5" "$why"
fi

for words in "8 9 10 1" "0 1 10 1" "65 1 10 1" "8 3 1 1" "8 3 10 101" "8 3 10 x" "8 3"; do
    # shellcheck disable=SC2086
    "$program" $words >"$scratch/out" 2>"$scratch/err"
    status=$?
    [ $status -eq 2 ] && [ ! -s "$scratch/out" ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && why= || why="status $status"
    verdict "refuses $words" "$why"
done

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]

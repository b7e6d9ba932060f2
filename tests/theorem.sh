#!/bin/sh
# SPDX-License-Identifier: MIT
# Theorem 1 by numbers: tests/theorem.sh PROGRAM SCRATCH_DIR. The same bits everywhere, and what docs/theorem.md says of
# them. One line a check, then the totals.
set -u

golden=$PWD/tests/golden/theorem.txt
. "$(dirname "$0")/cli_lib.sh"
begin theorem "$1" "$2"

call 8 3 500 2
verdict "the table of tests/golden/theorem.txt" "$([ $status -eq 0 ] || echo "status $status"; cmp out "$golden" 2>&1)"

# Each line: order, error of the routed expert (least to most), of the mixture, of the best routing there can be.
call 16 8 4000 1
verdict "joint training leads to a small error, the two orders do not" "$(tr -d '()' <out | awk -v status=$status '
    $1 == "joint" && ($2 > 0.1 || $10 > 0.02) || /^(experts|gate)-first/ && ($2 < 0.5 || $10 < 0.1) { print }
    /^(joint|experts-first|gate-first|untrained)/ { lines++ }
    END { if (lines != 4 || status != 0) print lines " lines, status " status }')"

call 1 1 600 3
good=$(grep -c -E '^(joint|experts-first|gate-first)( +0\.0000 \(0\.0000 to 0\.0000\)){3}$' out)
[ $status -eq 0 ] && [ "$good" -eq 3 ] && why= || why="status $status, $good lines"
verdict "with one cell there is nothing to choose" "$why"

if [ -c /dev/full ]; then
    "$program" 1 1 2 1 >/dev/full 2>err
    status=$?
    [ $status -eq 5 ] && [ "$(wc -l <err)" -eq 1 ] && why= || why="status $status"
    verdict "a full disk is status 5" "$why"
fi

for words in "8 9 10 1" "0 1 10 1" "65 1 10 1" "8 3 1 1" "8 3 10 101" "8 3 10 x" "8 3"; do
    # shellcheck disable=SC2086
    call $words
    [ $status -eq 2 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && why= || why="status $status"
    verdict "refuses $words" "$why"
done

totals

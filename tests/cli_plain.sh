#!/bin/sh
# SPDX-License-Identifier: MIT
# Command line tests of the program with nothing but C99 (make OS=c99): tests/cli_plain.sh PROGRAM
# SCRATCH_DIR. Runs in folders that are made by hand; calls of the C library that fail. Of any other
# program it says nothing: tests/cli_edges.sh does.
set -u

. "$(dirname "$0")/cli_lib.sh"
begin cli_plain "$@"
call train $tiny --out probe --quiet
if ! grep -q 'plain C99 cannot make' err; then
    totals
    exit 0
fi

# fresh FOLDER: where a run may go.
fresh() {
    rm -rf "$1"
    mkdir -p "$1/final" "$1/ckpt"
}

# same NAME FOLDER: status 0, and the folder has the run whole.
same() {
    why=
    [ "$status" -eq 0 ] && cmp -s "$2/SHA256SUMS" whole/SHA256SUMS || why="status $status: $(head -n 1 err)"
    verdict "$1" "$why"
}

fresh whole
call train $tiny --out whole --quiet
same "a run in folders made by hand" whole
call verify whole --rounds all --quiet
same "verify of it" whole
call eval whole --quiet
mv out evaluated
cp -r whole again
rm again/SHA256SUMS
call resume again --quiet
same "resume of it" again

# earlier: the run before its last checkpoint, with what was written after it.
earlier() {
    rm -rf again
    cp -r whole again
    rm again/SHA256SUMS
    sed 1q whole/ckpt/DONE > again/ckpt/DONE
}

earlier
call resume again --quiet
same "resume cuts what is behind the checkpoint" again

# ---- what stays with clients: SPEC 12.6.9 ----

scaffold="train $tiny algo=scaffold momentum=0"
fresh kept
call $scaffold --out kept --quiet
rm -rf again
cp -r kept again
rm again/SHA256SUMS
sed 1q kept/ckpt/DONE > again/ckpt/DONE
call resume again --quiet
verdict "SCAFFOLD goes on with its control variates" "$(cmp again/SHA256SUMS kept/SHA256SUMS 2>&1)"
call verify kept --rounds all --quiet
verdict "and does its rounds again" "$([ "$status" -eq 0 ] || head -n 1 err)"

# ---- calls that fail: SPEC 17.3.4, 18.2.1; tests/preload/calls.c says what VARIABLES there are ----

# breaks NAME STATUS VARIABLES ARGS PART: that status, one line, which holds PART, and no finished run
# in the folder broken.
breaks() {
    fresh broken
    with "$3" "$4"
    refusal "$1" "$2" "$5" broken
}

train="train $tiny --out broken --quiet"
if ${CC:-cc} -shared -fPIC -o calls.so "$root/tests/preload/calls.c" -ldl 2> err &&
    with "CALL=fread NTH=3 TIMES=1" "eval whole --quiet" && [ "${status:-0}" -eq 5 ]; then
    for nth in 1 2 10 11 12 13 14; do # of tables; of a checkpoint, whose start is copied
        breaks "write $nth to a file fails" 5 "CALL=fwrite NTH=$nth TIMES=1" "$train" broken
    done
    for nth in 1 2 3 4 5 6 15; do # the last ones: tables
        breaks "end $nth of writing a file fails" 5 "CALL=fclose NTH=$nth TIMES=1" "$train" broken
    done
    breaks "a file cannot be made" 5 "CALL=fopen FILE=metrics.csv.tmp NTH=1 ERROR=13" "$train" metrics.csv
    breaks "a file cannot have its name" 5 "CALL=rename FILE=metrics.csv NTH=1 TIMES=1" "$train" metrics.csv
    breaks "a file cannot replace another one" 5 "CALL=rename FILE=ckpt/DONE NTH=2 TIMES=2" "$train" ckpt/DONE
    verdict "what should replace it is kept" "$([ -s broken/ckpt/DONE.tmp ] || echo 'nothing is there')"
    breaks "a checkpoint cannot have its name" 5 "CALL=rename FILE=00.safetensors NTH=1" "$train" 00.safetensors
    breaks "the start of a table cannot be copied" 5 "CALL=fopen FILE=metrics.csv NTH=1" "$train" metrics.csv
    earlier
    with "CALL=fwrite NTH=1 TIMES=1" "resume again --quiet"
    refusal "the start of a table cannot be written" 5 "cannot write again/metrics.csv" again
    breaks "a file became shorter" 5 "CALL=fread NTH=3 TIMES=1" "eval whole --quiet" "reading whole/config.toml failed"
    breaks "a file is read by half" 5 "CALL=fread NTH=1 TIMES=1 ERROR=5" "eval whole --quiet" "reading whole/config.toml failed"
    breaks "what cannot be read twice" 2 "CALL=fseek NTH=1 TIMES=1" "eval whole --quiet" "not a file"
    breaks "a file cannot be opened, without a reason" 2 "CALL=fopen FILE=.toml NTH=2 ERROR=0" "eval whole --quiet" \
        "no reason given"
    fresh broken
    with "CALL=rename FILE=ckpt/DONE NTH=2 TIMES=1" "$train"
    same "a file replaces another one that has to go first" broken
    for call in "fread NTH=2 ERROR=5" "fseek NTH=2"; do
        fresh broken
        with "CALL=$call TIMES=1" "$train"
        same "a table whose end is not found is written anew: ${call%% *}" broken
    done

    fresh broken
    with "CALL=tmpfile NTH=1 ERROR=24" "$scaffold --out broken --quiet"
    refusal "no temporary file can be made" 5 "cannot make a temporary file" broken
    for call in fwrite fread fseek; do # the first one that the temporary file needs
        nth=0
        while [ $nth -lt 500 ]; do
            nth=$((nth + 1))
            fresh broken
            with "CALL=$call NTH=$nth TIMES=1 ERROR=5" "$scaffold --out broken --quiet"
            ! grep -q 'a temporary file' err || break
        done
        refusal "$call $nth fails, of a temporary file" 5 "a temporary file" broken
    done

    # Every read of a table by a verification, half of which comes before it fails.
    nth=0
    why=
    status=5
    while [ "$status" -eq 5 ] && [ -z "$why" ] && [ $nth -lt 500 ]; do
        nth=$((nth + 1))
        with "CALL=fread FILE=.csv NTH=$nth TIMES=1 ERROR=5" "verify whole --rounds all --quiet"
        [ "$status" -ne 5 ] || grep -q '^ddome: reading whole/.*csv failed$' err || why="read $nth: $(cat err)"
    done
    [ "$status" -eq 0 ] && [ $nth -gt 20 ] || why="$why; status $status after $nth reads: $(cat err)"
    verdict "each read of a table fails in a verification ($nth)" "$why"
else
    skip "calls that fail" "no library can be put before the program here"
fi

totals
